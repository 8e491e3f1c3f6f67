"""``DocumentClassifier(multi_label=True)`` from training to its answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fakes import FakeEmbedder
from hypothesis import given, settings
from hypothesis import strategies as st
from places import scaled
from threadpoolctl import threadpool_limits

from classifier import DocumentClassifier
from classifier.analysis.evaluation import reliability
from classifier.analysis.multilabel import MultiLabelEvaluation
from classifier.datamodels import STATUS_EMPTY, STATUS_OK, STATUS_UNSURE, ReviewPolicy
from classifier.errors import (
    ClassifierError,
    MultiLabelError,
    TrainingDataError,
    TrainingDataWarning,
    UnknownNameError,
)
from classifier.modeling.explain import explain
from classifier.modeling.label_findings import label_rule
from classifier.modeling.label_sets import LabelRule, all_right_log_odds, join_labels
from classifier.modeling.multi_label import fit_multi_label

TEXTS = [f"{wares} {place}" for wares in ("tulips", "ladle", "saw", "moss", "glue", "oats") for place in "abcdefgh"]
LABELS = [["green"], ["green", "sharp"], [], ["sharp"], ["food"], ["food", "green"], [], ["food", "sharp"]] * 6
QUESTIONS = ["tulips z", "where is the saw?", "ein Löffel", "🔨", "x" * 3000]


def trained(labels: Any = LABELS, texts: Any = TEXTS, **options: Any) -> DocumentClassifier:
    """Train on the fake embedder."""
    return DocumentClassifier(FakeEmbedder(), multi_label=True, **options).fit(texts, labels)


@pytest.fixture(scope="module")
def model() -> DocumentClassifier:
    """Train on made-up documents once; tests must not change it."""
    return trained()


def same_bits(one: DocumentClassifier, other: DocumentClassifier) -> bool:
    """Tell whether two models answer the same to the last bit."""
    return (
        one.classes_.tolist() == other.classes_.tolist()
        and one.predict_proba(QUESTIONS).tobytes() == other.predict_proba(QUESTIONS).tobytes()
        and one.classify(QUESTIONS) == other.classify(QUESTIONS)
        and one.evaluation_ == other.evaluation_
    )


@pytest.mark.parametrize(
    "written",
    [
        [" | ".join(reversed(labels)) for labels in LABELS],
        tuple(map(tuple, LABELS)),
        [set(labels) for labels in LABELS],
        [np.array(labels, dtype=object) for labels in LABELS],
        pd.Series(LABELS, index=range(5, 53)),
        [["|".join(labels), "", labels[0] if labels else " "] for labels in LABELS],
    ],
    ids=["joined", "tuples", "sets", "arrays", "column", "parts of parts"],
)
def test_sets_of_labels_may_be_written_in_many_ways(model: DocumentClassifier, written: Any) -> None:
    """Joined strings, lists, tuples, sets and arrays, in any order, give the same model to the last bit."""
    again = trained(written)
    assert same_bits(model, again)
    assert again.facts_["label_rule"] == model.facts_["label_rule"]
    assert [document.label for document in again.documents_] == [join_labels(labels) for labels in LABELS]


def test_a_seed_and_any_number_of_workers_give_the_same_bits(
    model: DocumentClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker or three, one thread or several, the model is the same; another seed gives another one."""
    for n_workers in (1, 3):
        monkeypatch.setenv("LOKY_MAX_CPU_COUNT", str(n_workers))
        with threadpool_limits(n_workers):
            assert same_bits(model, trained())
    assert not same_bits(model, trained(seed=1))


def test_names_of_labels_do_not_matter(model: DocumentClassifier) -> None:
    """Other names, in another order, are given to the same documents with nearly the same probabilities."""
    new = {"green": "a", "sharp": "b", "food": "z"}
    renamed = trained([[new[label] for label in labels] for labels in LABELS])
    order = [renamed.classes_.tolist().index(new[label]) for label in model.classes_]
    assert renamed.predict_proba(QUESTIONS)[:, order] == pytest.approx(model.predict_proba(QUESTIONS), abs=1e-3)


def test_answers_are_four_views_of_one_decision(model: DocumentClassifier) -> None:
    """Predictions join the labels that reach their thresholds; full answers hold them one by one, with all others."""
    texts = [*TEXTS, *QUESTIONS]
    proba, joined = model.predict_proba(texts), model.predict(texts)
    rule = model.label_rule_
    assert rule is not None
    given = proba >= rule.thresholds
    assert {len(row) for row in map(np.flatnonzero, given)} >= {0, 1, 2}
    assert proba.shape == (len(texts), 3)
    for row, answer in enumerate(model.classify(texts)):
        assert answer.labels == tuple(model.classes_[given[row]])
        assert answer.label == joined[row] == "|".join(answer.labels)
        assert answer.probabilities == dict(zip(model.classes_, proba[row], strict=True))
        assert list(answer.probabilities.values()) == sorted(proba[row], reverse=True)
        assert answer.confidence == rule.confidence(proba[[row]])[0]
        assert answer.status == (STATUS_OK if answer.confidence >= 0.5 else STATUS_UNSURE)
        assert answer.similarity is None


def test_nothing_and_blanks_are_answered_as_ever(model: DocumentClassifier) -> None:
    """No texts give no answers; a blank text is empty, which is not the same as having no label."""
    assert model.classify([]) == []
    assert model.predict_proba([]).shape == (0, 3)
    blank, none = model.classify([" ", next(text for text in TEXTS if not model.predict([text])[0])])
    assert (blank.status, blank.label, blank.labels, blank.confidence) == (STATUS_EMPTY, "", (), 0.0)
    assert (none.label, none.labels) == ("", ())
    assert none.confidence > 0
    assert set(none.probabilities) == set(model.classes_)


def simulated(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return vectors that partly tell four labels, which depend on each other, and texts that tell nothing."""
    rng = np.random.default_rng(seed)
    y = rng.random((n, 4)) < (0.5, 0.3, 0.2, 0.1)
    y[:, 1] |= y[:, 0] & (rng.random(n) < 0.6)
    vectors = y @ np.random.default_rng(0).normal(size=(4, 12)) + 0.8 * rng.normal(size=(n, 12))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), y, [f"t{i}" for i in range(n)]


def test_confidence_is_the_share_of_sets_that_are_exactly_right() -> None:
    """On new documents it is calibrated, also where labels depend on each other, and tells right from wrong."""
    vectors, y, texts = simulated(3000, seed=1)
    fitted = fit_multi_label(vectors, y, texts=[""] * len(texts))
    rule = label_rule(fitted, y)
    new, truth, _ = simulated(6000, seed=2)
    proba = fitted.head.proba_of(fitted.head.scores(new, None))
    exact = (rule.decide(proba) == truth).all(axis=1)
    confidence = rule.confidence(proba)
    bins = reliability(confidence, exact)
    ece = sum(one.n_documents * abs(one.accuracy - one.mean_confidence) for one in bins) / len(exact)
    assert ece < 0.03
    assert np.ptp(confidence) > 0.5
    assert confidence[exact].mean() > confidence[~exact].mean() + 0.1


def test_confidence_of_independent_decisions_by_hand() -> None:
    """With nothing learned about sets, it is the product of the probabilities of all decisions."""
    rule = LabelRule(np.array([0.5, 0.2]))
    proba = np.array([[0.9, 0.1], [0.4, 0.3]])
    assert rule.decide(proba).tolist() == [[True, False], [False, True]]
    assert rule.confidence(proba) == pytest.approx([0.81, 0.18])


@settings(deadline=None, max_examples=scaled(10, 50))
@given(st.lists(st.floats(0, 1), min_size=1, max_size=300), st.floats(0.01, 1))
def test_confidence_of_any_probabilities_is_a_probability(proba: list[float], threshold: float) -> None:
    """Certain, impossible and many labels give finite log-odds and a confidence in [0, 1]."""
    row = np.array([proba])
    rule = LabelRule(np.full(len(proba), threshold), 0.7, -0.2)
    assert np.isfinite(all_right_log_odds(row, rule.decide(row))).all()
    assert 0 <= rule.confidence(row)[0] <= 1


def test_sets_that_hold_the_truth_are_for_one_label(model: DocumentClassifier) -> None:
    """predict_set says in one sentence what to use instead."""
    with pytest.raises(MultiLabelError, match="one label; classify gives the labels") as caught:
        model.predict_set(["x"])
    assert "\n" not in str(caught.value)


def test_similar_finds_a_label_among_others(model: DocumentClassifier) -> None:
    """Documents that have the label, alone or not, and no others; unknown labels and sets are refused by name."""
    found = model.similar("tulips a", 100, label="green")
    assert len(found) == sum("green" in labels for labels in LABELS)
    assert {neighbor.label for neighbor in found} == {"green", "green|sharp", "food|green"}
    assert "" in {neighbor.label for neighbor in model.similar("tulips a", 100)}
    for unknown in ("gren", "green|sharp", ""):
        with pytest.raises(UnknownNameError, match="no label"):
            model.similar("tulips a", label=unknown)


def test_any_label_can_be_explained(model: DocumentClassifier) -> None:
    """The most probable one, or the one that is asked for, each by its own probability."""
    proba = dict(zip(model.classes_, model.predict_proba(["tulips saw"])[0], strict=True))
    ranked = sorted(proba, key=lambda label: -proba[label])
    assert explain(model, "tulips saw").label == ranked[0]
    for label in proba:
        explained = explain(model, "tulips saw", label=label)
        assert (explained.label, explained.runner_up) == (label, next(name for name in ranked if name != label))
        assert explained.probability == pytest.approx(proba[label], abs=1e-6)
        assert explained.is_given == (label in model.classify(["tulips saw"])[0].labels)
        assert len(explained.words) == 2


def test_score_is_the_share_of_exact_matches(model: DocumentClassifier) -> None:
    """However the true labels are written; a label too many or too few is as wrong as another one."""
    truth = [["sharp", "green"] if labels == ["green"] else labels for labels in LABELS]
    answers = model.predict(TEXTS)
    exact = np.mean([answer == join_labels(labels) for answer, labels in zip(answers, truth, strict=True)])
    assert 0 < exact < 1
    assert model.score(TEXTS, truth) == model.score(TEXTS, ["|".join(reversed(row)) for row in truth]) == exact


def test_the_most_frequent_set_is_one_and_the_same_in_training_and_later() -> None:
    """Among equally frequent sets it is the first in order, so that baselines do not change."""
    tied = trained([["z"], ["z"], ["a"], ["a"], ["a", "z"], []], TEXTS[:6])
    assert tied.majority_label() == "a"
    assert trained([[], [], ["a"], ["b"]] * 3, TEXTS[:12]).majority_label() == ""


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([["a", "b"]] * 4, r"only the label 'a\|b'.*two labels or more, or some without a label"),
        (["b|a", "a | b", "|a|b|", "a||b"], r"only the label 'a\|b'"),
        (["", "|", " | ", "||"], "There are no labelled documents"),
        ([[], (), [""], ["|"]], "There are no labelled documents"),
        (["a", "b", None, ""], "document 3 is of type NoneType; give strings or lists of strings, empty where"),
        (["a", float("nan"), "b", ""], "document 2 is of type float"),
        (["a", ["b", 1], "", ""], "document 2 is of type list"),
        (["a", {"b": 0.5}, "", ""], "document 2 is of type dict"),
        (["a", b"", "", ""], "document 2 is of type bytes"),
        ("aabb", "single string"),
        (["a", "b"], "4 texts, 2 labels"),
    ],
)
def test_labels_that_teach_nothing_are_refused(labels: Any, says: str) -> None:
    """One sentence says what was wrong, before anything is learned."""
    with pytest.raises(TrainingDataError, match=says) as caught:
        trained(labels, TEXTS[:4])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("head", ["hybrid", "logistic"])
def test_one_label_that_some_documents_lack(head: str) -> None:
    """A single label is enough; explanations have no runner-up then."""
    one = trained([["late"], []] * 20, TEXTS[:40], head=head)
    assert one.classes_.tolist() == ["late"]
    assert one.predict_proba(QUESTIONS).shape == (5, 1)
    assert set(one.predict(TEXTS)) <= {"late", ""}
    explained = explain(one, "tulips a")
    assert (explained.label, explained.runner_up, explained.runner_up_probability) == ("late", "", 0.0)
    assert isinstance(one.evaluation_, MultiLabelEvaluation)


def test_a_label_that_all_documents_have() -> None:
    """It is given to everything, and the others are learned beside it."""
    found = trained([[*labels, "always"] for labels in LABELS])
    assert all("always" in answer.labels for answer in found.classify(QUESTIONS))
    assert found.classify(QUESTIONS)[0].probabilities["always"] > 0.9


def test_a_label_of_one_document_stays_in_training() -> None:
    """It is named in a warning and cannot be measured; all other documents are."""
    with pytest.warns(TrainingDataWarning, match="1 label with a single document.*'lonely'"):
        found = trained([["lonely", "food"], *LABELS[1:]])
    assert "lonely" in found.classes_
    assert found.evaluation_ is not None
    assert found.evaluation_.n_documents == len(TEXTS) - 1
    assert found.held_out_.measured.tolist() == [False] + [True] * (len(TEXTS) - 1)


@pytest.mark.filterwarnings("ignore::classifier.errors.TrainingDataWarning")
def test_more_labels_than_documents() -> None:
    """Three hundred labels on eighty documents train, answer, and measure what can be held out."""
    rng = np.random.default_rng(0)
    labels = [[f"label {number}" for number in rng.choice(300, 5, replace=False)] for _ in range(80)]
    found = trained(labels, [f"text {number}" for number in range(80)])
    assert len(found.classes_) > 200
    assert np.isfinite(found.predict_proba(QUESTIONS)).all()
    assert all(0 < answer.confidence < 1 for answer in found.classify(QUESTIONS))


@pytest.mark.filterwarnings("ignore::classifier.errors.TrainingDataWarning")
def test_documents_that_cannot_be_held_out_are_not_measured() -> None:
    """Labels of one document each give a model without metrics, and no target can be promised."""
    found = trained([["a"], ["b"], ["c", "d"]], TEXTS[:3])
    assert found.evaluation_ is None
    assert found.facts_["metrics"] is None
    assert len(found.classify(["x"])) == 1
    with pytest.raises(TrainingDataError, match="never measured"):
        found.review_threshold(ReviewPolicy(target_accuracy=0.9))


def test_conflicts_are_between_sets() -> None:
    """Equal texts with equal sets are repetitions, with different sets conflicts, and no set is one of them."""
    with pytest.warns(TrainingDataWarning) as caught:
        trained([*LABELS, ["sharp", "green"], [], ["food"]], [*TEXTS, TEXTS[1], TEXTS[3], TEXTS[4]])
    said = " ".join(str(warning.message) for warning in caught)
    assert "1 text with conflicting labels: 'tulips d' is without a label and 'sharp'" in said
    assert "2 documents with the words and label of another" in said


def test_review_is_about_whole_sets(forum: DocumentClassifier) -> None:
    """A target keeps what is exactly right often enough on held-out documents; a budget sends its share away."""
    held_out = forum.held_out_
    kept = held_out.confidence >= np.float32(forum.review_threshold(ReviewPolicy(target_accuracy=0.7)))
    assert 0.1 < kept.mean() < 0.9
    assert held_out.correct[kept].mean() >= 0.7 > held_out.correct.mean()
    threshold = forum.review_threshold(ReviewPolicy(review_budget=25), n_documents=100)
    assert (held_out.confidence < np.float32(threshold)).mean() == pytest.approx(0.25, abs=0.02)


def test_a_second_training_may_be_of_the_other_kind(model: DocumentClassifier) -> None:
    """After a training with one label each, nothing of the sets is left, and the other way round."""
    again = trained()
    again.set_params(multi_label=False).fit(TEXTS[:4], ["a", "a", "b", "b"])
    assert (again.label_rule_, again.label_matrix_) == (None, None)
    assert again.predict_proba(QUESTIONS).sum(axis=1) == pytest.approx(1)
    assert again.predict_set(["x"])[0]
    assert same_bits(model, again.set_params(multi_label=True).fit(TEXTS, LABELS))


def test_a_model_of_the_sample_posts_is_worth_having(
    forum: DocumentClassifier, posts: dict[str, list[dict[str, str]]]
) -> None:
    """On posts that it has not seen it is far better than chance, with several labels, one and none."""
    test = posts["test"]
    answers = forum.classify([row["text"] for row in test])
    assert {len(answer.labels) for answer in answers} >= {0, 1, 2}
    exact = np.mean([answer.label == join_labels(row["topics"]) for answer, row in zip(answers, test, strict=True)])
    assert exact > 0.35
    metrics = forum.facts_["metrics"]
    assert metrics["macro_f1"] > 0.6
    assert metrics["ece"] < 0.05
    assert forum.facts_["baselines"][0]["exact_match"] < metrics["exact_match"]
    assert forum.predict(["Is the Magpie worth the money?"]).tolist() == ["grinders|prices"]


def test_a_real_post_is_explained_by_its_words(forum: DocumentClassifier) -> None:
    """Each topic of a post has words of its own."""
    text = "My parcel took nine days and the grinder in it was broken"
    for label, word in (("shipping", "parcel"), ("grinders", "grinder")):
        speaks_for, _ = explain(forum, text, label=label).most_important(1)
        assert speaks_for[0].word == word


def test_facts_are_plain_json(model: DocumentClassifier) -> None:
    """What is stored with a model can be written and read back; there are no sets, scope or learning curve in it."""
    facts = json.loads(json.dumps(model.facts_, allow_nan=False))
    assert facts["task"] == "multi-label"
    assert facts["scope"] is None
    assert not {"sets", "learning_curve"} & set(facts)
    assert len(facts["label_rule"]["thresholds"]) == 3


@pytest.mark.parametrize("use", [lambda m: m.predict(["x"]), lambda m: m.score(TEXTS, LABELS), lambda m: m.save("m")])
def test_an_untrained_model_says_so(use: Callable[[DocumentClassifier], Any]) -> None:
    """Nothing is answered before training."""
    with pytest.raises(ClassifierError, match="not trained yet"):
        use(DocumentClassifier(FakeEmbedder(), multi_label=True))


def test_a_saved_model_answers_bit_for_bit(model: DocumentClassifier, tmp_path: Path) -> None:
    """Probabilities, labels, confidence, neighbours and thresholds are identical after saving and loading, twice."""
    loaded = DocumentClassifier.load(model.save(tmp_path / "m" / "1"))
    loaded = DocumentClassifier.load(loaded.save(tmp_path / "m" / "2"))
    loaded.embedder = FakeEmbedder()
    texts = [*QUESTIONS, *TEXTS, " "]
    assert loaded.multi_label
    assert loaded.predict_proba(QUESTIONS).tobytes() == model.predict_proba(QUESTIONS).tobytes()
    assert loaded.classify(texts) == model.classify(texts)
    assert loaded.similar("tulips", 50, label="food") == model.similar("tulips", 50, label="food")
    assert loaded.majority_label() == model.majority_label()
    assert loaded.review_threshold(ReviewPolicy(target_accuracy=0.6)) == model.review_threshold(
        ReviewPolicy(target_accuracy=0.6)
    )
