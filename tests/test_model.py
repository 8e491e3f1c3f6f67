"""``DocumentClassifier``: scikit-learn's contract, laws of its answers, and clear refusals."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL_TEXTS
from fakes import FakeEmbedder
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone, is_classifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_score
from sklearn.utils.validation import check_is_fitted

from classifier import DocumentClassifier
from classifier.datamodels import STATUS_EMPTY, STATUS_OK
from classifier.embedding.contract import Embedder, Embeddings
from classifier.errors import (
    ClassifierError,
    ContractMismatchError,
    EmptyTextWarning,
    NotFittedError,
    NotTextError,
    TrainingDataError,
    TrainingDataWarning,
    UnknownNameError,
)

TEXTS = ["a train to the coast", "platform four", "a late ferry", "harbour lights"]
LABELS = ["rail", "rail", "sea", "sea"]


class PlainEmbedder:
    """An embedder with nothing but what the protocol asks for: no coverage."""

    def __init__(self) -> None:
        self._inner = FakeEmbedder()
        self.contract = self._inner.contract

    def encode(self, texts: list[str], *, progress: bool = False) -> Embeddings:
        """Hash each text."""
        return self._inner.encode(texts, progress=progress)


def trained(**options: Any) -> DocumentClassifier:
    """Train two labels of two documents."""
    return DocumentClassifier(FakeEmbedder(), **options).fit(TEXTS, LABELS)


def test_parameters_are_those_of_scikit_learn() -> None:
    """Parameters are only assigned, can be read, set and cloned, and unknown ones are refused."""
    embedder = FakeEmbedder()
    model = DocumentClassifier(embedder, seed=3)
    assert model.get_params() == {
        "embedder": embedder,
        "head": "hybrid",
        "multi_label": False,
        "options": None,
        "seed": 3,
    }
    assert model.set_params(seed=4).seed == 4
    with pytest.raises(ValueError, match="Invalid parameter"):
        model.set_params(sede=4)
    assert is_classifier(model)


def test_a_clone_is_not_trained() -> None:
    """A clone keeps the parameters and forgets the training."""
    model = trained(seed=9)
    copy = clone(model)
    assert copy.seed == 9
    assert not copy.__sklearn_is_fitted__()
    assert model.__sklearn_is_fitted__()
    check_is_fitted(model)
    assert copy.fit(TEXTS, LABELS).predict(TEXTS).tolist() == model.predict(TEXTS).tolist()


def test_scikit_learn_can_cross_validate_it(small_model: DocumentClassifier) -> None:
    """scikit-learn splits lists of strings, clones, trains and scores without help."""
    texts = [document.text for document in small_model.documents_]
    labels = [document.label for document in small_model.documents_]
    scores = cross_val_score(DocumentClassifier(FakeEmbedder()), texts, labels, cv=2, error_score="raise")
    assert scores.shape == (2,)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_score_is_accuracy(small_model: DocumentClassifier) -> None:
    """The score is the share of right labels."""
    texts, labels = ["moss", "flour", "vice", "glue"], ["garden", "kitchen", "workshop", "garden"]
    assert small_model.score(texts, labels) == accuracy_score(labels, small_model.predict(texts))


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.predict(TEXTS),
        lambda model: model.predict_proba(TEXTS),
        lambda model: model.classify(TEXTS),
        lambda model: model.encode(TEXTS),
        lambda model: model.used_fraction(TEXTS),
        lambda model: model.similar("a train"),
        lambda model: model.save("somewhere"),
        lambda model: model.majority_label(),
    ],
)
def test_untrained_use_is_refused(use: Any) -> None:
    """Whatever is asked of an untrained classifier, it says that it is not trained."""
    with pytest.raises(NotFittedError, match="not trained yet"):
        use(DocumentClassifier(FakeEmbedder()))


def test_two_labels_of_two_documents() -> None:
    """The smallest measurable training set gives a whole model."""
    model = trained()
    assert model.classes_.tolist() == ["rail", "sea"]
    assert model.predict(TEXTS).tolist() == LABELS
    assert model.evaluation_ is not None
    assert model.evaluation_.n_documents == 4
    assert model.facts_["data"]["n_documents"] == 4
    assert model.embeddings_.shape == (4, 16)
    assert [document.text for document in model.documents_] == TEXTS


def test_one_document_per_label_is_not_measured() -> None:
    """Labels of one document are named in a warning, and no metric is made up."""
    with pytest.warns(TrainingDataWarning, match="2 labels with a single document.*'rail', 'sea'"):
        model = DocumentClassifier(FakeEmbedder()).fit(["a train", "a ferry"], ["rail", "sea"])
    assert model.evaluation_ is None
    assert model.facts_["metrics"] is None
    assert model.predict(["a train"]).tolist() == ["rail"]


def test_conflicting_labels_are_named() -> None:
    """Equal texts under two labels are trained on, and named."""
    with pytest.warns(TrainingDataWarning, match="'platform four' is 'rail' and 'sea'"):
        model = DocumentClassifier(FakeEmbedder()).fit([*TEXTS, "platform four"], [*LABELS, "sea"])
    assert any("conflicting" in warning for warning in model.warnings_)


def test_empty_training_texts_are_left_out() -> None:
    """Texts with nothing to read do not become training documents."""
    with pytest.warns(TrainingDataWarning, match="2 documents with nothing to read left out: id '5', '6'"):
        model = DocumentClassifier(FakeEmbedder()).fit([*TEXTS, "", " \n"], [*LABELS, "sea", "rail"])
    assert len(model.documents_) == len(model.embeddings_) == len(model.document_labels_) == 4


@pytest.mark.parametrize(
    ("texts", "labels", "says"),
    [
        (TEXTS, ["rail"] * 4, "only the label 'rail'"),
        ([], [], "no labelled documents"),
        (TEXTS, LABELS[:3], "4 texts, 3 labels"),
        (["a", 7], ["x", "y"], "of type int"),
        (["", " "], ["x", "y"], "no labelled documents"),
    ],
)
def test_training_data_is_refused_in_one_sentence(texts: Any, labels: Any, says: str) -> None:
    """What cannot be trained on is refused before anything is learned."""
    model = DocumentClassifier(FakeEmbedder())
    with pytest.raises(TrainingDataError, match=says) as caught:
        model.fit(texts, labels)
    assert "\n" not in str(caught.value)
    assert not model.__sklearn_is_fitted__()


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ("one text, not a list", "A single string was given"),
        ([None], "Text 1 is of type NoneType"),
        (["fine", float("nan")], "Text 2 is of type float"),
        ([b"bytes"], "Text 1 is of type bytes"),
    ],
)
@pytest.mark.parametrize("method", ["predict", "predict_proba", "classify", "encode"])
def test_only_lists_of_strings_are_classified(
    small_model: DocumentClassifier, method: str, texts: Any, says: str
) -> None:
    """A bare string is not read letter by letter, and no other type is guessed at."""
    with pytest.raises(NotTextError, match=says) as caught:
        getattr(small_model, method)(texts)
    assert isinstance(caught.value, ClassifierError | TypeError)


@pytest.mark.parametrize("kind", [tuple, np.array, pd.Series, lambda values: pd.Series(values, index=[7, 5, 3, 1])])
def test_any_sequence_of_strings_is_classified(small_model: DocumentClassifier, kind: Any) -> None:
    """Arrays and columns give what lists give."""
    assert np.array_equal(small_model.predict_proba(kind(TEXTS)), small_model.predict_proba(TEXTS))


def test_an_unknown_head_is_named_before_anything_is_embedded() -> None:
    """The allowed heads are listed, and no time is lost."""
    embedder = FakeEmbedder()
    with pytest.raises(UnknownNameError, match=r"no head 'logistics'; allowed: 'hybrid', 'logistic'.*mean 'logistic'"):
        DocumentClassifier(embedder, head="logistics").fit(TEXTS, LABELS)
    assert embedder.calls == []


def test_a_failed_refit_leaves_the_old_model() -> None:
    """After a refused second training the first one still answers, unchanged."""
    model = trained()
    before = model.predict_proba(TEXTS)
    with pytest.raises(TrainingDataError):
        model.fit(["a", "b"], ["only", "only"])
    with pytest.raises(UnknownNameError):
        model.set_params(head="none").fit(TEXTS, ["w", "x", "y", "z"])
    assert model.classes_.tolist() == ["rail", "sea"]
    assert np.array_equal(model.predict_proba(TEXTS), before)


def test_a_second_training_replaces_the_first() -> None:
    """Labels, documents and neighbours are those of the last training."""
    model = trained()
    model.similar("a train")
    model.fit(["oats", "rye", "plums", "figs"], ["grain", "grain", "fruit", "fruit"])
    assert model.classes_.tolist() == ["fruit", "grain"]
    assert model.similar("figs", 1)[0].text == "figs"


def test_probabilities_and_answers_agree(small_model: DocumentClassifier) -> None:
    """predict, predict_proba and classify are three views of one answer."""
    texts = ["moss", "never seen before", "glue"]
    proba = small_model.predict_proba(texts)
    labels = small_model.predict(texts)
    assert np.allclose(proba.sum(axis=1), 1)
    for row, answer in enumerate(small_model.classify(texts, min_confidence=0)):
        assert answer.status == STATUS_OK
        assert answer.label == labels[row]
        assert answer.confidence == proba[row].max()
        assert answer.probabilities == dict(zip(small_model.classes_, proba[row], strict=True))
        assert list(answer.probabilities.values()) == sorted(proba[row], reverse=True)
        assert answer.top(2) == list(answer.probabilities.items())[:2]


def test_nothing_to_classify(small_model: DocumentClassifier) -> None:
    """No texts give no answers."""
    assert small_model.classify([]) == []
    assert small_model.predict([]).tolist() == []
    assert small_model.predict_proba([]).shape == (0, 3)


def test_empty_texts_get_no_guess(small_model: DocumentClassifier) -> None:
    """Classify marks an empty text in its place; predict gives the prior and warns."""
    texts = ["moss", "", "glue", " \t\n"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answers = small_model.classify(texts, min_confidence=0)
    assert [answer.status for answer in answers] == [STATUS_OK, STATUS_EMPTY, STATUS_OK, STATUS_EMPTY]
    blank = answers[1]
    assert (blank.label, blank.confidence, dict(blank.probabilities), blank.used_fraction) == ("", 0.0, {}, 0.0)
    with pytest.warns(EmptyTextWarning, match="2 of 4 texts have nothing to read"):
        proba = small_model.predict_proba(texts)
    assert np.array_equal(proba[1], proba[3])
    with pytest.warns(EmptyTextWarning):
        assert small_model.predict([""]).tolist() == [small_model.classes_[proba[1].argmax()]]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(max_size=20), max_size=12), st.randoms(use_true_random=False))
def test_company_and_order_do_not_change_an_answer(
    small_model: DocumentClassifier, texts: list[str], random: Any
) -> None:
    """Each text gets the answer it gets alone, wherever it stands; any Unicode will do."""
    order = list(range(len(texts)))
    random.shuffle(order)
    together = small_model.classify(texts)
    shuffled = small_model.classify([texts[position] for position in order])
    for place, position in enumerate(order):
        assert shuffled[place].label == together[position].label
        assert shuffled[place].confidence == pytest.approx(together[position].confidence, abs=1e-6)


def test_same_seed_same_model(small_model: DocumentClassifier) -> None:
    """Training again on the same rows gives the same probabilities."""
    texts = [document.text for document in small_model.documents_]
    labels = [str(document.label) for document in small_model.documents_]
    again = DocumentClassifier(FakeEmbedder()).fit(texts, labels)
    assert np.array_equal(again.predict_proba(texts), small_model.predict_proba(texts))
    assert again.evaluation_ == small_model.evaluation_


def test_renaming_labels_renames_answers() -> None:
    """Where documents are enough, other names in another order give the same probabilities under the new names."""
    new = {"garden": "z outdoors", "kitchen": "m cooking", "workshop": "a tools"}
    rows = [(f"{text} {number}", label) for label in new for text in SMALL_TEXTS[label] for number in range(7)]
    texts, labels = [text for text, _ in rows], [label for _, label in rows]
    model = DocumentClassifier(FakeEmbedder()).fit(texts, labels)
    renamed = DocumentClassifier(FakeEmbedder()).fit(texts, [new[label] for label in labels])
    for old_answer, new_answer in zip(model.classify(texts), renamed.classify(texts), strict=True):
        for name, probability in old_answer.probabilities.items():
            assert new_answer.probabilities[new[name]] == pytest.approx(probability, abs=1e-3)


def test_majority_label() -> None:
    """The most frequent label of the training documents is known."""
    model = DocumentClassifier(FakeEmbedder()).fit([*TEXTS, "a tram"], [*LABELS, "rail"])
    assert model.majority_label() == "rail"


def test_similar_gives_training_documents_back(small_model: DocumentClassifier) -> None:
    """The nearest document of a training text is itself; filter, exclusion and count are kept."""
    found = small_model.similar("moss", 5)
    assert (found[0].text, found[0].label) == ("moss", "garden")
    assert found[0].similarity == pytest.approx(1, abs=1e-6)
    assert len(found) == 5
    assert [n.similarity for n in found] == sorted((n.similarity for n in found), reverse=True)
    others = small_model.similar("moss", 100, exclude_self=True)
    assert "moss" not in {neighbor.text for neighbor in others}
    assert len(others) == len(small_model.documents_) - 1
    assert {neighbor.label for neighbor in small_model.similar("moss", 4, label="kitchen")} == {"kitchen"}


def test_similar_to_nothing_is_nothing(small_model: DocumentClassifier) -> None:
    """An empty text has no neighbours, and an unknown label is refused by name also there."""
    assert small_model.similar("  ") == []
    for text in ("moss", ""):
        with pytest.raises(UnknownNameError, match="Did you mean 'kitchen'"):
            small_model.similar(text, label="kitchn")


def test_similar_uses_the_ids_that_were_given() -> None:
    """Documents are given back under their own ids."""
    model = DocumentClassifier(FakeEmbedder()).fit(TEXTS, LABELS, ids=["r1", "r2", "s1", "s2"])
    assert model.similar("a late ferry", 1)[0].id == "s1"


def test_an_embedder_without_coverage_reads_everything() -> None:
    """Where an embedder cannot say what it read, nothing is said against it."""
    model = DocumentClassifier(PlainEmbedder()).fit(TEXTS, LABELS)
    assert model.used_fraction(["x", "y"]).tolist() == [1.0, 1.0]
    assert model.classify(["a train"])[0].used_fraction == 1.0


def test_another_embedder_cannot_answer_for_a_model() -> None:
    """A model that lost its embedder refuses one with another contract, and takes one with the same."""
    model = trained()
    del model._embedder
    model.embedder = FakeEmbedder(dimension=8)
    with pytest.raises(ContractMismatchError, match="dimension: 16 here, 8 there"):
        model.predict(TEXTS)
    model.embedder = FakeEmbedder()
    assert model.predict(TEXTS).tolist() == LABELS


def test_the_state_leaves_out_what_can_be_loaded_again() -> None:
    """Copies of a model do not drag an encoder or a search index along."""
    model = trained()
    model.similar("a train")
    assert not {"_embedder", "_index"} & set(model.__getstate__())


def test_real_model_knows_its_tickets(
    real_model: DocumentClassifier, encoder: Embedder, ticket_rows: list[dict[str, str]]
) -> None:
    """Trained on real sentences, it is far better than the majority, also on rows it has not seen."""
    metrics = real_model.facts_["metrics"]
    assert metrics["accuracy_interval"][0] > metrics["majority_accuracy"]
    seen = {document.text for document in real_model.documents_}
    fresh = [row for row in ticket_rows if row["text"] not in seen and row["label"] in real_model.classes_][:60]
    right = real_model.predict([row["text"] for row in fresh]) == [row["label"] for row in fresh]
    assert np.mean(right) > metrics["majority_accuracy"] + 0.2
    assert real_model.contract_ == encoder.contract


def test_real_answers_do_not_depend_on_the_batch(real_model: DocumentClassifier) -> None:
    """Labels never change with the company, and probabilities move by at most 1e-5."""
    texts = [document.text for document in real_model.documents_[:12]]
    together = real_model.predict_proba(texts)
    backwards = real_model.predict_proba([*texts[::-1], "a very long letter " * 100])[:-1][::-1]
    assert np.abs(together - backwards).max() <= 1e-5
    assert (together.argmax(axis=1) == backwards.argmax(axis=1)).all()
