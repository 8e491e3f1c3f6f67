"""Metrics against scikit-learn and against arithmetic done by hand; the model card that shows them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, brier_score_loss, confusion_matrix, f1_score, log_loss
from sklearn.metrics import precision_recall_fscore_support as precision_recall

from classifier.analysis.evaluation import Evaluation, evaluate, reliability
from classifier.analysis.intervals import wilson_interval
from classifier.analysis.model_card import render_card

CLASSES = ["apple", "pear", "plum", "quince"]


@st.composite
def answers(draw: st.DrawFn) -> tuple[np.ndarray, list[str]]:
    """Draw probabilities without ties, with labels."""
    n_documents = draw(st.integers(1, 40))
    n_classes = draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    proba = rng.dirichlet(np.full(n_classes, draw(st.sampled_from([0.2, 1.0, 5.0]))), n_documents)
    labels = rng.choice(CLASSES[:n_classes], n_documents).tolist()
    return proba, labels


def measured(proba: np.ndarray, labels: list[str], **options: Any) -> Evaluation:
    """Evaluate under the first class names."""
    return evaluate(proba, CLASSES[: proba.shape[1]], labels, **{"majority": "apple", **options})


@settings(deadline=None)
@given(answers())
def test_scores_are_those_of_scikit_learn(drawn: tuple[np.ndarray, list[str]]) -> None:
    """Accuracy, macro-F1, log loss and Brier score agree with scikit-learn."""
    proba, labels = drawn
    classes = CLASSES[: proba.shape[1]]
    given_labels = [classes[column] for column in proba.argmax(axis=1)]
    found = measured(proba, labels)
    clipped = np.maximum(proba, 1e-12)
    assert found.accuracy == pytest.approx(accuracy_score(labels, given_labels))
    assert found.macro_f1 == pytest.approx(f1_score(labels, given_labels, average="macro", zero_division=0))
    assert found.log_loss == pytest.approx(
        log_loss(labels, clipped / clipped.sum(axis=1, keepdims=True), labels=classes)
    )
    brier = brier_score_loss(labels, proba, labels=classes, scale_by_half=False)
    assert found.brier == pytest.approx(brier)
    always_apple = ["apple"] * len(labels)
    assert found.majority_accuracy == pytest.approx(accuracy_score(labels, always_apple))
    expected = f1_score(labels, always_apple, average="macro", zero_division=0)
    assert found.majority_macro_f1 == pytest.approx(expected)


@settings(deadline=None)
@given(answers())
def test_each_label_is_scored_as_by_scikit_learn(drawn: tuple[np.ndarray, list[str]]) -> None:
    """Precision, recall, F1, counts and the confusion matrix agree with scikit-learn, label by label."""
    proba, labels = drawn
    given_labels = [CLASSES[column] for column in proba.argmax(axis=1)]
    found = measured(proba, labels)
    assert found.labels == sorted({*labels, *given_labels}) == list(found.per_class)
    every = [*CLASSES, "never seen"]  # a single label makes scikit-learn warn
    rows = [every.index(name) for name in found.labels]
    expected = confusion_matrix(labels, given_labels, labels=every)[np.ix_(rows, rows)]
    assert found.confusion == expected.tolist()
    expected = precision_recall(labels, given_labels, labels=found.labels, zero_division=0)
    for scores, precision, recall, f1, support in zip(found.per_class.values(), *expected, strict=True):
        assert (scores.precision, scores.recall, scores.f1) == pytest.approx((precision, recall, f1))
        assert scores.n_documents == support
    assert sum(scores.n_predicted for scores in found.per_class.values()) == len(labels)


@settings(deadline=None)
@given(answers(), st.integers(0, 5))
def test_intervals_contain_their_value(drawn: tuple[np.ndarray, list[str]], seed: int) -> None:
    """A value never lies outside its own interval, and intervals stay in [0, 1]."""
    found = measured(*drawn, seed=seed)
    for value, (low, high) in (
        (found.accuracy, found.accuracy_interval),
        (found.macro_f1, found.macro_f1_interval),
    ):
        assert 0 <= low <= value + 1e-12
        assert value - 1e-12 <= high <= 1 + 1e-12


@settings(deadline=None)
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_exactly(trial: tuple[int, int]) -> None:
    """The share lies within the interval to the last bit, also where it is 0 or 1."""
    low, high = wilson_interval(*trial)
    assert 0 <= low <= trial[0] / trial[1] <= high <= 1


@pytest.mark.parametrize(
    ("n_successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe (1998), table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilson_of_published_examples(n_successes: int, n: int, low: float, high: float) -> None:
    """Intervals that others have published come out to four digits."""
    assert wilson_interval(n_successes, n) == pytest.approx((low, high), abs=6e-5)


def test_wilson_without_trials_knows_nothing() -> None:
    """Nothing measured leaves everything possible."""
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_wilson_is_symmetric_and_shrinks() -> None:
    """Swapping success and failure mirrors the interval; more trials narrow it."""
    low, high = wilson_interval(7, 30)
    assert wilson_interval(23, 30) == pytest.approx((1 - high, 1 - low))
    widths = [high - low for low, high in (wilson_interval(n // 2, n) for n in (10, 100, 1000))]
    assert widths == sorted(widths, reverse=True)


def test_reliability_by_hand() -> None:
    """Four answers fall into three bins, and the calibration error is their weighted gap."""
    confidence = np.array([0.51, 0.53, 0.90, 1.0])
    bins = reliability(confidence, np.array([True, False, True, True]))
    assert [item.n_documents for item in bins] == [2, 1, 1]
    assert [item.accuracy for item in bins] == [0.5, 1.0, 1.0]
    assert [item.mean_confidence for item in bins] == pytest.approx([0.52, 0.9, 1.0])
    proba = np.stack([confidence, 1 - confidence], axis=1)
    found = measured(proba, ["apple", "pear", "apple", "apple"])
    assert found.ece == pytest.approx((2 * 0.02 + 0.10 + 0.0) / 4)


@settings(deadline=None)
@given(answers())
def test_bins_hold_every_document_once(drawn: tuple[np.ndarray, list[str]]) -> None:
    """Bins come by rising confidence, none is empty, and no document is missing."""
    found = measured(*drawn)
    assert sum(item.n_documents for item in found.reliability) == found.n_documents
    assert min(item.n_documents for item in found.reliability) > 0
    means = [item.mean_confidence for item in found.reliability]
    assert means == sorted(means)
    assert 0 <= found.ece <= 1


def test_there_are_fifteen_bins_of_equal_width() -> None:
    """One answer in the middle of each fifteenth falls into a bin of its own; those beside it join it."""
    middles = (np.arange(15) + 0.5) / 15
    beside = np.concatenate([middles - 0.03, middles, middles + 0.03])
    assert [item.n_documents for item in reliability(middles, np.ones(15, dtype=bool))] == [1] * 15
    assert [item.n_documents for item in reliability(beside, np.ones(45, dtype=bool))] == [3] * 15


def test_labels_the_model_does_not_have_count_as_wrong() -> None:
    """An unknown label is named, is never right, and costs the full loss."""
    proba = np.array([[0.9, 0.1], [0.8, 0.2]])
    found = measured(proba, ["apple", "zucchini"])
    assert found.unknown_labels == ["zucchini"]
    assert found.accuracy == 0.5
    assert found.per_class["zucchini"].recall == 0
    assert found.per_class["zucchini"].n_documents == 1
    assert found.labels == ["apple", "zucchini"]
    assert found.confusion == [[1, 0], [1, 0]]
    assert found.log_loss == pytest.approx((-np.log(0.9) - np.log(1e-12)) / 2)
    assert found.brier == pytest.approx((0.1**2 + 0.1**2 + 0.8**2 + 0.2**2 + 1) / 2)


def test_a_certain_and_wrong_answer_has_a_finite_loss() -> None:
    """A probability of 0 for the truth costs much, and not infinity."""
    assert measured(np.array([[0.0, 1.0]]), ["apple"]).log_loss == pytest.approx(-np.log(1e-12))


def test_perfect_answers() -> None:
    """Certain and right answers reach every bound."""
    found = measured(np.eye(3), CLASSES[:3])
    assert (found.accuracy, found.macro_f1, found.log_loss, found.brier, found.ece) == (1, 1, 0, 0, 0)
    assert found.macro_f1_interval == found.accuracy_interval
    assert found.accuracy_interval[1] == 1


def test_same_seed_same_interval() -> None:
    """Resampling is repeatable, and another seed resamples anew."""
    rng = np.random.default_rng(0)
    proba, labels = rng.dirichlet(np.ones(4), 60), rng.choice(CLASSES, 60).tolist()
    assert measured(proba, labels, seed=3) == measured(proba, labels, seed=3)
    assert measured(proba, labels, seed=3).macro_f1_interval != measured(proba, labels, seed=4).macro_f1_interval


def test_the_interval_of_macro_f1_is_that_of_plain_resampling() -> None:
    """Counting resampled pairs gives what drawing whole documents gives."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 150)
    guesses = np.where(rng.random(150) < 0.7, truth, rng.integers(0, 3, 150))
    found = measured(np.eye(3)[guesses], [CLASSES[label] for label in truth])
    drawn = [rng.integers(0, 150, 150) for _ in range(800)]
    scores = [f1_score(truth[rows], guesses[rows], average="macro") for rows in drawn]
    assert found.macro_f1_interval == pytest.approx(np.percentile(scores, [2.5, 97.5]), abs=0.02)


def test_the_interval_of_macro_f1_holds_it_with_thousands_of_tiny_labels() -> None:
    """Labels of two documents are missing from one resample in seven, which must not move the interval away."""
    truth = np.repeat(np.arange(400), 2)
    rng = np.random.default_rng(0)
    answers = np.where(rng.random(800) < 0.3, truth, rng.integers(0, 400, 800))
    names = [f"label {number:03}" for number in range(400)]
    found = evaluate(np.eye(400)[answers], names, [names[label] for label in truth], majority=names[0])
    low, high = found.macro_f1_interval
    assert low < found.macro_f1 - 0.01
    assert high > found.macro_f1 + 0.01


def test_evaluations_become_json() -> None:
    """Every field is a plain value that survives JSON."""
    found = measured(np.array([[0.9, 0.1], [0.2, 0.8]]), ["apple", "zucchini"]).to_dict()
    assert json.loads(json.dumps(found))["per_class"] == found["per_class"]


def facts(**changes: Any) -> dict[str, Any]:
    """Return the facts of a small model."""
    proba = np.array([[0.9, 0.1], [0.2, 0.8]])
    return {
        "contract": {"model_id": "an-encoder", "dimension": 8, "max_tokens": 32},
        "data": {"n_documents": 1200, "file": "letters.csv", "sha256": "ab" * 32},
        "created": "2024-05-01T10:00:00+00:00",
        "libraries": {"document-classifier": "0.1.0"},
        "head": "logistic",
        "inverse_regularisation": 10.0,
        "temperature": 0.51,
        "metrics": measured(proba, ["apple", "pear"]).to_dict(),
        "measured_on": "5-fold cross-validation",
        "warnings": [],
        **changes,
    }


def test_card_states_what_was_measured() -> None:
    """Metrics with intervals, data and encoder are on the card."""
    card = render_card("fruit, version 1", facts())
    assert card.startswith("# Model card: fruit, version 1\n")
    assert "| accuracy | 1.000 (0.342 to 1.000) | 0.500 |" in card
    assert "- Data: 1,200 documents of letters.csv, SHA-256 " in card
    assert "| pear | 1 | 1.00 | 1.00 | 1.00 |" in card


def test_card_without_metrics_says_so() -> None:
    """A model that could not be measured shows no numbers."""
    data = {"n_documents": 2, "file": "", "sha256": ""}
    card = render_card("tiny", facts(metrics=None, data=data))
    assert "Not measured: no label has two different documents." in card
    assert "2 documents, given from Python" in card
    assert "accuracy" not in card


def test_card_keeps_strings_of_users_inert() -> None:
    """Markup in a title, a label or a warning stays text, on its own line."""
    hostile = "<script>alert(1)</script>|[x](javascript:y)\n# heading"
    proba = np.array([[0.9, 0.1], [0.2, 0.8]])
    metrics = evaluate(proba, [hostile, "pear"], [hostile, "pear"], majority="pear").to_dict()
    card = render_card(hostile, facts(metrics=metrics, warnings=[hostile]))
    assert "<script" not in card
    assert "[x](" not in card
    assert r"\[x\](javascript:y)" in card
    assert "\n# heading" not in card
    assert card.count("&lt;script&gt;") == 5


def test_card_shows_what_would_steer_its_reader() -> None:
    """Characters that turn lines around, end texts or move a cursor are seen as dots."""
    card = render_card("fruit", facts(warnings=["apple\u202e\0 \x1b[31m\tand\u2028pear 🍐"]))
    assert r"- Noticed in the training data: apple·· ·\[31m and pear 🍐" in card
    assert all(character.isprintable() or character == "\n" for character in card)


def test_card_keeps_what_joins_characters() -> None:
    """Composed emoji and letters of scripts that need joiners stay whole."""
    assert "👩\u200d🚀 می\u200cروم" in render_card("fruit", facts(warnings=["👩\u200d🚀 می\u200cروم"]))


def test_card_of_many_labels_is_cut_with_a_count() -> None:
    """Two hundred labels are listed, the rest is counted."""
    names = [f"shelf {number:03}" for number in range(230)]
    metrics = evaluate(np.eye(230), names, names, majority=names[0]).to_dict()
    card = render_card("library", facts(metrics=metrics))
    assert "shelf 199" in card
    assert "shelf 200" not in card
    assert "30 more" in card


def test_a_flawless_run_has_no_degenerate_interval() -> None:
    """Where no answer is wrong, macro-F1 still has an interval below 1."""
    evaluation = evaluate(np.eye(2)[[0, 1, 0, 1]], ["a", "b"], ["a", "b", "a", "b"], majority="a")
    assert evaluation.macro_f1 == 1.0
    assert evaluation.macro_f1_interval == evaluation.accuracy_interval
    assert evaluation.macro_f1_interval[0] < 0.7


def test_nothing_right_has_no_degenerate_interval() -> None:
    """Where every answer is wrong, macro-F1 still has an interval above 0."""
    evaluation = evaluate(np.eye(2)[[0, 1, 0, 1]], ["a", "b"], ["b", "a", "b", "a"], majority="a")
    assert evaluation.macro_f1 == 0.0
    assert evaluation.macro_f1_interval == evaluation.accuracy_interval
    assert evaluation.macro_f1_interval[1] > 0.3


def test_a_matrix_of_many_labels_becomes_a_list_of_errors() -> None:
    """What is stored of thousands of labels stays small, and tells the most frequent errors first."""
    classes = [f"label {number:03}" for number in range(301)]
    truth = [*classes, "label 000", "label 000"]
    proba = np.eye(301)[[*range(301), 1, 1]]
    values = evaluate(proba, classes, truth, majority=classes[0]).to_dict()
    assert (values["confusion"], values["confused"]) == ([], [[0, 1, 2]])
    assert len(json.dumps(values)) < 100_000
    few = evaluate(proba[:2, :2], classes[:2], truth[:2], majority=classes[0]).to_dict()
    assert few["confusion"] == [[1, 0], [0, 1]]
    assert "confused" not in few
