"""Names and descriptions of labels in ``DocumentClassifier``: beside documents, and alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeEmbedder
from hypothesis import given, settings
from hypothesis import strategies as st
from places import scaled

from classifier import DocumentClassifier, load
from classifier.datamodels import STATUS_EMPTY, ReviewPolicy
from classifier.embedding.contract import Embedder, Embeddings, LookUp
from classifier.embedding.lsa import LsaEmbedder, LsaRecipe
from classifier.errors import (
    LabelTextsError,
    TrainingDataError,
    TrainingDataWarning,
    UnknownLabelError,
    UnknownNameError,
)
from classifier.modeling.explain import explain
from classifier.modeling.label_texts import check_labels
from classifier.modeling.priors import FADED

TEXTS = [
    *("the cat sleeps", "a cat purrs", "cat food again", "my cat hides"),
    *("the dog barks", "a dog runs", "dog food again", "my dog digs"),
]
LABELS = ["cat"] * 4 + ["dog"] * 4


class WordEmbedder(FakeEmbedder):
    """Turn a text into the mean of its words' vectors, so that texts that share words are similar."""

    def __init__(self) -> None:
        super().__init__(64)

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:  # noqa: ARG002 # of the protocol
        """Hash each word; float32 of shape (n_documents, 64)."""
        self.calls.append(list(texts))
        sums = np.array([sum(map(self._vector, text.split()), np.zeros(64)) for text in texts]).reshape(-1, 64)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 0).astype(np.float32)


class KnownTexts(WordEmbedder, LookUp):
    """An embedder that has vectors of the training documents alone."""

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:
        """Look up."""
        assert set(texts) <= set(TEXTS)
        return super().encode(texts, progress=progress)


def trained(embedder: Embedder, **options: Any) -> DocumentClassifier:
    """Train on four documents of each of two labels."""
    return DocumentClassifier(embedder).fit(TEXTS, LABELS, **options)


def test_readable_names_are_trained_on_without_being_asked_for() -> None:
    """Names are embedded as words, are trusted as far as they fit, and never become documents."""
    embedder = WordEmbedder()
    model = DocumentClassifier(embedder).fit(TEXTS, ["a_cat"] * 4 + ["a_dog"] * 4)
    assert embedder.calls[-1] == ["a cat", "a dog"]
    assert [document.text for document in model.documents_] == TEXTS
    assert len(model.embeddings_) == len(model.document_labels_) == len(model.held_out_.truth) == 8
    assert model.facts_["data"]["n_documents"] == 8
    names = model.facts_["label_names"]
    assert (names["role"], names["described"], names["accuracy"]) == ("beside documents", [], 1.0)
    assert 0 < names["share"] < 1
    assert 0 < names["largest_weight"] <= 4
    assert model.lexicon_ is not None


def test_descriptions_take_the_place_of_names() -> None:
    """A description teaches a word that no document has; blank ones and labels without one fall back on names."""
    embedder = WordEmbedder()
    model = trained(embedder, descriptions={"cat": "cat or kitten", "dog": "  "})
    assert embedder.calls[-1] == ["cat or kitten", "dog"]
    assert model.facts_["label_names"]["described"] == ["cat"]
    plain = trained(WordEmbedder())
    asked = ["kitten"]
    assert model.predict_proba(asked)[0, 0] > plain.predict_proba(asked)[0, 0]


def test_names_that_say_nothing_are_not_trusted() -> None:
    """Labels that are called wrongly or by numbers get no weight, and the facts say so."""
    for labels in (["dog"] * 4 + ["cat"] * 4, ["17"] * 4 + ["18"] * 4):
        names = DocumentClassifier(WordEmbedder()).fit(TEXTS, labels).facts_["label_names"]
        assert (names["share"], names["largest_weight"]) == (0, 0)


@settings(max_examples=scaled(3, 10), deadline=None)
@given(st.dictionaries(st.sampled_from(["cat", "dog"]), st.text(max_size=30)))
def test_many_documents_of_every_label_make_descriptions_idle(descriptions: dict[str, str]) -> None:
    """From fifty documents of each label on, answers are the same to the last bit, and names are not even embedded."""
    texts = [f"{text} {number}" for text in TEXTS for number in range(math.ceil(FADED / 4))]
    labels = [label for label in LABELS for _ in range(math.ceil(FADED / 4))]
    embedder = WordEmbedder()
    described = DocumentClassifier(embedder).fit(texts, labels, descriptions=descriptions)
    plain = DocumentClassifier(WordEmbedder()).fit(texts, labels)
    assert embedder.calls == [texts]
    assert np.array_equal(described.predict_proba(TEXTS), plain.predict_proba(TEXTS))
    assert np.array_equal(described.held_out_.to_array(), plain.held_out_.to_array())
    assert described.facts_["label_names"]["role"] == "not needed"


@pytest.mark.parametrize("train", ["fit", "fit_labels"])
def test_a_description_of_no_label_is_refused_before_anything_is_embedded(train: str) -> None:
    """The message names it, lists the labels and suggests the nearest; a description that is no string is named."""
    embedder = WordEmbedder()
    arguments = (TEXTS, LABELS) if train == "fit" else (["cat", "dog"],)
    fit = getattr(DocumentClassifier(embedder), train)
    says = r"^descriptions: it names 'dogs', but the labels are 'cat', 'dog'; .* Did you mean 'dog'\?$"
    with pytest.raises(UnknownLabelError, match=says) as caught:
        fit(*arguments, descriptions={"dogs": "Barks."})
    assert isinstance(caught.value, UnknownNameError)
    with pytest.raises(TrainingDataError, match="The description of 'dog' is of type NoneType; give strings only"):
        fit(*arguments, descriptions={"dog": None})
    assert embedder.calls == []


def test_a_label_whose_documents_are_all_blank_may_be_described() -> None:
    """Its documents are left out with a warning, and its description with them."""
    with pytest.warns(TrainingDataWarning, match="nothing to read"):
        model = DocumentClassifier(WordEmbedder()).fit(
            [*TEXTS, " "], [*LABELS, "eel"], descriptions={"eel": "Swims.", "dog": "a dog"}
        )
    assert model.classes_.tolist() == ["cat", "dog"]
    assert model.facts_["label_names"]["described"] == ["dog"]


def test_vectors_made_elsewhere_have_no_names() -> None:
    """An embedder that only looks up is asked for documents alone; descriptions and labels alone are refused."""
    model = trained(KnownTexts(), descriptions={"dog": " "})
    assert model.facts_["label_names"]["role"] == "not read"
    assert model.predict(TEXTS).tolist() == LABELS
    with pytest.raises(LabelTextsError, match="vectors were made elsewhere; leave them out, or train with an embedder"):
        trained(KnownTexts(), descriptions={"dog": "Barks."})
    with pytest.raises(LabelTextsError, match="vectors were made elsewhere; train with an embedder"):
        DocumentClassifier(KnownTexts()).fit_labels(["cat", "dog"])


def test_a_recipe_learns_from_documents_and_embeds_names_behind_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """No fold learns from the text of a label, and each embeds documents and names together."""
    learned: list[list[str]] = []
    encoded: list[list[str]] = []
    fit, encode = LsaRecipe.fit, LsaEmbedder.encode

    def watched_fit(self: LsaRecipe, texts: list[str], **options: Any) -> Any:
        learned.append(list(texts))
        return fit(self, texts, **options)

    def watched_encode(self: LsaEmbedder, texts: list[str], **options: Any) -> Embeddings:
        encoded.append(list(texts))
        return encode(self, texts, **options)

    monkeypatch.setattr(LsaRecipe, "fit", watched_fit)
    monkeypatch.setattr(LsaEmbedder, "encode", watched_encode)
    model = trained(LsaRecipe("lsa", 8), descriptions={"dog": "a dog that barks"})
    n_folds = int(model.facts_["measured_on"].partition("-")[0])
    assert len(learned) == 1 + n_folds
    assert all(set(texts) <= set(TEXTS) for texts in learned)
    assert encoded.count([*TEXTS, "cat", "a dog that barks"]) == n_folds
    assert model.facts_["label_names"]["accuracy"] == 1
    assert model.predict(["cat", "a dog"]).tolist() == ["cat", "dog"]


def test_labels_alone_answer_by_the_nearest_text() -> None:
    """Each text gets the label whose text it resembles, whatever the order the labels came in."""
    model = DocumentClassifier(WordEmbedder()).fit_labels(["dog", "cat"], descriptions={"cat": "cat or kitten"})
    assert model.classes_.tolist() == ["cat", "dog"]
    assert model.predict(["a kitten purrs", *TEXTS]).tolist() == ["cat", *LABELS]
    assert [(item.id, item.text, item.label) for item in model.documents_] == [
        ("cat", "cat or kitten", "cat"),
        ("dog", "dog", "dog"),
    ]
    assert model.similar("my dog", 1)[0].id == "dog"
    assert np.allclose(model.predict_proba(TEXTS).sum(axis=1), 1)
    assert model.classify([" "])[0].status == STATUS_EMPTY


def test_labels_alone_claim_nothing() -> None:
    """No document, no metric, no scope and no held-out answer is made up; what needs them is refused."""
    model = DocumentClassifier(WordEmbedder()).fit_labels(["cat", "dog"])
    assert model.evaluation_ is None
    assert not model.held_out_.measured.any()
    assert model.facts_["data"]["n_documents"] == 0
    assert [model.facts_[name] for name in ("metrics", "scope", "review", "audit")] == [None] * 4
    assert model.facts_["label_names"]["role"] == "alone"
    assert model.audit_.n_documents == 0
    with pytest.raises(TrainingDataError, match="never measured"):
        model.review_threshold(ReviewPolicy(target_accuracy=0.9))
    assert model.predict_set(["a cat"]) == [["cat", "dog"]]


def test_training_again_replaces_what_was_known() -> None:
    """Documents replace labels alone, and labels alone replace documents, with nothing left over."""
    model = DocumentClassifier(WordEmbedder()).fit_labels(["eel", "owl"])
    model.similar("owl")
    model.fit(TEXTS, LABELS)
    assert model.classes_.tolist() == ["cat", "dog"]
    assert model.similar("my dog digs", 1)[0].text == "my dog digs"
    assert model.audit_.n_documents == len(TEXTS)
    model.fit_labels(["eel", "owl"])
    assert (model.evaluation_, model.lexicon_, model.audit_.n_documents) == (None, None, 0)
    assert model.similar("owl", 1)[0].text == "owl"


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([], "There is no label to choose from; give two labels or more"),
        (["cat"], "There is only the label 'cat' to choose from"),
        (["cat", "dog", "cat"], "The label 'cat' was given twice"),
        (["cat", " "], "Label 2 is blank"),
        (["cat", 7], "Label 2 is of type int"),
        ("cat", "A single string was given"),
    ],
)
def test_labels_that_cannot_be_chosen_between_are_refused(labels: Any, says: str) -> None:
    """Fewer than two, repeated, blank or other things than strings: one sentence each, and nothing is trained."""
    model = DocumentClassifier(WordEmbedder())
    with pytest.raises(TrainingDataError, match=says) as caught:
        model.fit_labels(labels)
    assert "\n" not in str(caught.value)
    assert not model.__sklearn_is_fitted__()


def test_labels_alone_need_an_embedder_that_reads_anything() -> None:
    """One that learns from documents is refused, and so are a head that does not exist and a wrong seed."""
    with pytest.raises(LabelTextsError, match="The embedder 'lsa' learns from documents, and there are none"):
        DocumentClassifier("lsa").fit_labels(["cat", "dog"])
    with pytest.raises(UnknownNameError, match="no head 'x'"):
        DocumentClassifier(WordEmbedder(), head="x").fit_labels(["cat", "dog"])
    with pytest.raises(TrainingDataError, match="The seed is -1"):
        DocumentClassifier(WordEmbedder(), seed=-1).fit_labels(["cat", "dog"])


def test_labels_that_look_alike_or_cannot_be_read_are_named() -> None:
    """Equal texts and texts without anything to read are warned about; everything stays finite."""
    assert check_labels(["a_b", "A b", "c"]).warnings == (
        "Labels with the same text cannot be told apart: 'A b' and 'a_b'; describe them.",
    )
    assert check_labels(["a_b", "a b", "c"], {"a_b": "The first."}).warnings == ()

    class Blind(WordEmbedder):
        def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:
            found = super().encode(texts, progress=progress)
            found[[text == "owl" for text in texts]] = 0
            return found

    with pytest.warns(TrainingDataWarning, match="can read nothing of these labels: 'owl'; describe them"):
        model = DocumentClassifier(Blind()).fit_labels(["cat", "owl"])
    assert np.isfinite(model.predict_proba(TEXTS)).all()


def test_a_model_of_labels_alone_survives_the_disk(tmp_path: Path) -> None:
    """Saved and loaded, it answers the same, and similar documents, explanations and facts are there."""
    model = DocumentClassifier(WordEmbedder()).fit_labels(["cat", "dog"], descriptions={"dog": "dog or puppy"})
    opened = load(model.save(tmp_path / "pets" / "1"))
    opened.embedder = WordEmbedder()
    assert np.array_equal(opened.predict_proba(TEXTS), model.predict_proba(TEXTS))
    assert opened.classify(TEXTS) == model.classify(TEXTS)
    assert opened.similar("puppy", 1) == model.similar("puppy", 1)
    assert opened.facts_["label_names"] == model.facts_["label_names"]
    why = explain(opened, "my dog digs")
    assert why.label == "dog"
    assert max(why.words, key=lambda word: word.total).word == "dog"


def test_the_real_encoder_reads_descriptions(encoder: Embedder) -> None:
    """Codes say nothing by themselves; described, they answer without any document and better with one each."""
    descriptions = {
        "Q1": "cooking and food",
        "Q2": "a football match",
        "Q3": "buses, trains and other public transport",
    }
    asked = {
        "Simmer the sauce and salt the pasta water.": "Q1",
        "Whisk the eggs before you fold in the flour.": "Q1",
        "My oven burns every cake.": "Q1",
        "The striker scored twice before half-time.": "Q2",
        "The referee gave a penalty in extra time.": "Q2",
        "Their goalkeeper saved everything.": "Q2",
        "The bus to the station leaves every ten minutes.": "Q3",
        "I missed the last underground train.": "Q3",
        "Tram tickets are sold on the platform.": "Q3",
    }
    alone = DocumentClassifier(encoder).fit_labels(list(descriptions), descriptions=descriptions)
    assert alone.score(list(asked), list(asked.values())) == 1
    texts = [
        *("Fry the onions first.", "This took me all evening."),
        *("We lost again.", "A late goal."),
        "A full tram.",
    ]
    labels = ["Q1", "Q1", "Q2", "Q2", "Q3"]
    with pytest.warns(TrainingDataWarning, match="single document"):
        described, plain = (
            DocumentClassifier(encoder).fit(texts, labels, descriptions=given) for given in (descriptions, None)
        )
    assert described.facts_["label_names"]["share"] > plain.facts_["label_names"]["share"]
    assert described.score(list(asked), list(asked.values())) >= plain.score(list(asked), list(asked.values()))
