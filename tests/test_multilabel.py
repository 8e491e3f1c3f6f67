"""Calibration, thresholds and metrics of answers of any number of labels, on arrays."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import scaled
from scipy.optimize import minimize
from sklearn.metrics import brier_score_loss, f1_score, precision_recall_fscore_support

from classifier.analysis.confidence import sigmoid
from classifier.analysis.label_scales import fit_label_scales, label_losses
from classifier.analysis.multilabel import (
    cross_fitted,
    decide,
    evaluate_multi_label,
    label_matrix,
    macro_f1,
    tune_thresholds,
)

CLASSES = ["late", "damaged", "lost", "wrong"]


def drawn(n: int, rates: list[float], seed: int = 0, signal: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Return scores that separate labels by `signal`, and the labels."""
    rng = np.random.default_rng(seed)
    y = rng.random((n, len(rates))) < np.array(rates)
    return rng.normal(size=y.shape) + signal * y, y


@st.composite
def answers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Draw probabilities and labels; some rows, and some columns, without any."""
    n, k = draw(st.integers(1, 40)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    y = rng.random((n, k)) < rng.choice([0.0, 0.1, 0.5, 1.0], k)
    return np.clip(0.6 * y + 0.4 * rng.random((n, k)), 0, 1), y


def test_scales_of_one_label_are_those_of_platt() -> None:
    """One label has no other to be pulled to: a general optimizer finds the same."""
    scores, y = drawn(300, [0.2])
    found = fit_label_scales([scores], y)
    n_true = y.sum()
    target = np.where(y[:, 0], (n_true + 1) / (n_true + 2), 1 / (len(y) - n_true + 2))

    def loss(values: np.ndarray) -> float:
        total = values[0] * scores[:, 0] + values[1]
        return float((np.logaddexp(0, total) - target * total).sum())

    expected = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9}).x
    assert [found.factors[0, 0], found.offsets[0]] == pytest.approx(expected, abs=1e-3)


def test_scales_calibrate() -> None:
    """Scores that are stretched and shifted per label become the probabilities they came from."""
    rng = np.random.default_rng(0)
    proba = rng.beta(0.5, 2.0, (4000, 3))
    y = rng.random(proba.shape) < proba
    stretched = np.log(proba / (1 - proba)) * np.array([2.0, 3.0, 0.5]) + np.array([1.0, -4.0, 0.0])
    found = fit_label_scales([stretched], y).proba([stretched])
    assert np.abs(found - proba).mean() < 0.02


def test_a_useless_score_does_not_count() -> None:
    """Beside a good score, noise gets next to no factor, and no factor is negative."""
    scores, y = drawn(2000, [0.3, 0.1, 0.5])
    noise = np.random.default_rng(5).normal(size=scores.shape)
    found = fit_label_scales([scores, noise, -scores], y)
    assert (found.factors >= 0).all()
    assert (found.factors[1:] < 0.2).all()
    assert (found.factors[0] > 2).all()


def test_rare_labels_take_the_factors_of_the_others() -> None:
    """With two documents, chance does not decide; with many, the label's own documents do."""
    scores, y = drawn(20_000, [0.3, 0.3, 0.3, 0.0])
    y[:2, 3], scores[:2, 3] = True, 9.0
    scores[:, 0] /= 2
    factors = fit_label_scales([scores], y).factors[0]
    assert factors[0] / factors[1] == pytest.approx(2, rel=0.2)
    assert factors[1] < factors[3] < factors[0]


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_labels_of_no_and_of_all_documents_stay_finite(rate: float) -> None:
    """What never varied gets a probability near the end, but not at it."""
    scores, y = drawn(50, [rate, 0.5])
    found = fit_label_scales([scores], y)
    proba = found.proba([scores])[:, 0]
    assert np.isfinite(found.factors).all()
    assert 0 < abs(proba - rate).mean() < 0.1


def test_equal_scores_have_no_say() -> None:
    """A score that is the same everywhere leaves the share of the label."""
    y = drawn(100, [0.3, 0.6])[1]
    proba = fit_label_scales([np.full(y.shape, -1.0)], y).proba([np.full(y.shape, -1.0)])
    assert proba.mean(axis=0) == pytest.approx(y.mean(axis=0), abs=0.02)


@settings(deadline=None, max_examples=scaled(10, 50))
@given(answers(), st.randoms(use_true_random=False))
def test_the_order_of_labels_does_not_matter(found: tuple[np.ndarray, np.ndarray], random: st.DataObject) -> None:
    """Permuted labels have permuted scales, thresholds and scores."""
    proba, y = found
    order = list(range(y.shape[1]))
    random.shuffle(order)
    plain, other = fit_label_scales([proba], y), fit_label_scales([proba[:, order]], y[:, order])
    assert np.allclose(plain.factors[:, order], other.factors, atol=1e-4)
    assert np.allclose(plain.offsets[order], other.offsets, atol=1e-4)
    assert np.allclose(tune_thresholds(proba, y)[order], tune_thresholds(proba[:, order], y[:, order]))
    names = [CLASSES[column] for column in order]
    one = evaluate_multi_label(proba, proba > 0.5, CLASSES[: len(order)], y)
    two = evaluate_multi_label(proba[:, order], proba[:, order] > 0.5, names, y[:, order])
    assert one.per_class == two.per_class
    assert one.macro_f1 == pytest.approx(two.macro_f1)
    assert one.majority_macro_f1 == pytest.approx(two.majority_macro_f1)


@settings(deadline=None)
@given(answers())
def test_thresholds_lie_in_the_unit_interval(found: tuple[np.ndarray, np.ndarray]) -> None:
    """Whatever the labels, no threshold is 0, and the same answers give the same ones."""
    thresholds = tune_thresholds(*found)
    assert ((thresholds > 0) & (thresholds <= 1)).all()
    assert np.array_equal(thresholds, tune_thresholds(*found))


def test_tuned_thresholds_find_more_than_a_half_does() -> None:
    """Where labels are rare, a threshold of a half misses what a lower one finds."""
    scores, y = drawn(4000, [0.05, 0.1, 0.02], signal=2.0)
    proba = fit_label_scales([scores], y).proba([scores])
    fresh, truth = drawn(4000, [0.05, 0.1, 0.02], seed=1, signal=2.0)
    asked = fit_label_scales([scores], y).proba([fresh])
    thresholds = tune_thresholds(proba, y)
    assert (thresholds < 0.5).all()
    assert macro_f1(decide(asked, thresholds), truth) > macro_f1(asked >= 0.5, truth) + 0.03


def test_a_threshold_of_one_document_is_that_of_all_labels() -> None:
    """A single document moves the shared threshold by little, wherever it stands."""
    scores, y = drawn(2000, [0.2, 0.2, 0.0])
    proba = fit_label_scales([scores], y).proba([scores])
    y[0, 2], proba[0, 2] = True, 0.999
    thresholds = tune_thresholds(proba, y)
    assert abs(thresholds[2] - thresholds[:2].mean()) < 0.15


def test_without_any_label_the_threshold_is_a_half() -> None:
    """Nothing to learn from is no reason to fail."""
    assert tune_thresholds(np.full((3, 2), 0.2), np.zeros((3, 2), dtype=bool)).tolist() == [0.5, 0.5]


def test_decisions_include_the_threshold_itself() -> None:
    """A document may be given several labels, or none."""
    found = decide(np.array([[0.5, 0.9], [0.1, 0.2]]), np.array([0.5, 0.3]))
    assert found.tolist() == [[True, True], [False, False]]


def test_cross_fitting_does_not_see_a_documents_own_fold() -> None:
    """Turning the truth of one fold around changes the others' answers, and not its own."""
    scores, y = drawn(300, [0.3, 0.1])
    folds = np.arange(300) % 3
    turned = np.where(folds[:, None] == 0, ~y, y)
    (proba, decisions), (other, others) = cross_fitted([scores], y, folds), cross_fitted([scores], turned, folds)
    assert np.array_equal(proba[folds == 0], other[folds == 0])
    assert np.array_equal(decisions[folds == 0], others[folds == 0])
    assert not np.allclose(proba[folds == 1], other[folds == 1])


def test_cross_fitting_honestly_measures_noise() -> None:
    """Scores that know nothing are not found useful."""
    rng = np.random.default_rng(2)
    scores, y = rng.normal(size=(600, 3)), rng.random((600, 3)) < 0.5
    proba, _ = cross_fitted([scores], y, np.arange(600) % 5)
    assert label_losses(np.log(proba / (1 - proba)), y).mean() > np.log(2) - 0.01


def test_one_fold_is_calibrated_on_itself() -> None:
    """Where there are no other folds, there is still an answer."""
    scores, y = drawn(20, [0.5])
    proba, decisions = cross_fitted([scores], y, np.zeros(20, dtype=np.intp))
    assert proba.shape == decisions.shape == (20, 1)
    assert np.isfinite(proba).all()


@settings(deadline=None)
@given(answers())
def test_scores_are_those_of_scikit_learn(found: tuple[np.ndarray, np.ndarray]) -> None:
    """F1, precision, recall and Brier score agree with scikit-learn, labels without documents and answers left out."""
    proba, y = found
    decisions = proba >= 0.5
    names = CLASSES[: y.shape[1]]
    measured = evaluate_multi_label(proba, decisions, names, y)
    present = np.flatnonzero(y.any(axis=0) | decisions.any(axis=0))
    assert list(measured.per_class) == [names[column] for column in present]
    assert measured.exact_match == pytest.approx((decisions == y).all(axis=1).mean())
    assert measured.brier == pytest.approx(
        np.mean(
            [brier_score_loss(y[:, column], proba[:, column], labels=[False, True]) for column in range(len(names))]
        )
    )
    if not len(present):
        assert (measured.macro_f1, measured.micro_f1) == (1, 1)
        return
    kept = y[:, present].astype(int), decisions[:, present].astype(int)
    precision, recall, f1, _ = precision_recall_fscore_support(*kept, zero_division=0, average=None)
    scores = list(measured.per_class.values())
    assert [one.precision for one in scores] == pytest.approx(np.atleast_1d(precision)[-len(present) :].tolist())
    assert [one.recall for one in scores] == pytest.approx(np.atleast_1d(recall)[-len(present) :].tolist())
    assert measured.macro_f1 == pytest.approx(np.mean(np.atleast_1d(f1)[-len(present) :]))
    assert measured.micro_f1 == pytest.approx(f1_score(kept[0].ravel(), kept[1].ravel(), zero_division=0))


@settings(deadline=None)
@given(answers())
def test_metrics_stay_within_their_bounds(found: tuple[np.ndarray, np.ndarray]) -> None:
    """Shares lie in [0, 1], and a share lies in its interval."""
    proba, y = found
    measured = evaluate_multi_label(proba, proba >= 0.5, CLASSES[: y.shape[1]], y)
    low, high = measured.exact_match_interval
    assert 0 <= low <= measured.exact_match <= high <= 1
    assert 0 <= measured.macro_f1_interval[0] <= measured.macro_f1_interval[1] <= 1
    assert 0 <= measured.ece <= 1
    assert measured.mean_true_labels == pytest.approx(y.sum() / len(y))
    assert measured.mean_given_labels == pytest.approx((proba >= 0.5).sum() / len(y))
    assert measured.no_label_fraction == pytest.approx(1 - (proba >= 0.5).any(axis=1).mean())


def test_metrics_by_hand() -> None:
    """Three documents, two labels, every number done on paper."""
    y = np.array([[True, False], [True, True], [False, False]])
    proba = np.array([[0.9, 0.1], [0.8, 0.3], [0.1, 0.1]])
    found = evaluate_multi_label(proba, proba >= 0.5, ["late", "lost"], y)
    assert found.exact_match == pytest.approx(2 / 3)
    assert found.micro_f1 == pytest.approx(4 / 5)
    assert found.macro_f1 == pytest.approx(1 / 2)
    assert found.brier == pytest.approx((0.01 + 0.01 + 0.04 + 0.49 + 0.01 + 0.01) / 6)
    assert found.ece == pytest.approx((3 * 0.1 + 0.7 + 0.2 + 0.1) / 6)
    assert found.no_label_fraction == pytest.approx(1 / 3)
    assert (found.majority_exact_match, found.majority_macro_f1) == (pytest.approx(1 / 3), pytest.approx(0.4))


def test_the_most_frequent_set_may_be_that_of_the_training_documents() -> None:
    """What is always answered can be given, the empty set too."""
    y = np.array([[True], [True], [False]])
    found = evaluate_multi_label(y.astype(float), y, ["late"], y, majority=np.array([False]))
    assert (found.majority_exact_match, found.majority_macro_f1) == (pytest.approx(1 / 3), 0)


def test_unknown_labels_cost_a_match() -> None:
    """A label that the model does not have is listed, scored, and never found."""
    y, names = label_matrix([["late"], ["late", "zest"], []], ["late"])
    found = evaluate_multi_label(y[:, :1].astype(float), y[:, :1], names, y)
    assert found.unknown_labels == ["zest"]
    assert found.exact_match == pytest.approx(2 / 3)
    assert (found.per_class["zest"].recall, found.per_class["late"].f1) == (0, 1)
    assert found.brier == pytest.approx(1 / 6)


def test_the_interval_of_macro_f1_is_that_of_plain_resampling() -> None:
    """Counting resampled patterns gives what drawing whole documents gives."""
    scores, y = drawn(200, [0.3, 0.2, 0.5], signal=2.0)
    decisions = scores > 1.0
    found = evaluate_multi_label(sigmoid(scores), decisions, CLASSES[:3], y)
    rng = np.random.default_rng(4)
    resampled = [macro_f1(decisions[rows], y[rows]) for rows in (rng.integers(0, 200, 200) for _ in range(800))]
    assert found.macro_f1_interval == pytest.approx(np.percentile(resampled, [2.5, 97.5]), abs=0.02)
    assert found == evaluate_multi_label(sigmoid(scores), decisions, CLASSES[:3], y)
    assert found != evaluate_multi_label(sigmoid(scores), decisions, CLASSES[:3], y, seed=1)


def test_a_flawless_run_has_no_degenerate_interval() -> None:
    """Where no answer is wrong, macro-F1 still has an interval below 1."""
    y = np.eye(4, dtype=bool)
    found = evaluate_multi_label(y.astype(float), y, CLASSES, y)
    assert (found.macro_f1, found.exact_match, found.ece, found.brier) == (1, 1, 0, 0)
    assert found.macro_f1_interval == found.exact_match_interval
    assert found.macro_f1_interval[0] < 0.7


def test_nothing_right_has_no_degenerate_interval() -> None:
    """Where no given label is right, macro-F1 still has an interval above 0, whatever has no label at all."""
    y = np.eye(4, dtype=bool)
    found = evaluate_multi_label(np.full(y.shape, 0.5), np.ones_like(y), CLASSES, y)
    assert (found.macro_f1 > 0, found.exact_match) == (True, 0)
    assert found.macro_f1_interval[0] <= found.macro_f1 <= found.macro_f1_interval[1]
    wrong = np.roll(y, 1, axis=1)
    found = evaluate_multi_label(wrong.astype(float), wrong, CLASSES, y)
    assert (found.macro_f1, found.exact_match) == (0, 0)
    assert found.macro_f1_interval == found.exact_match_interval
    assert found.macro_f1_interval[1] > 0.3
    y, wrong = (np.vstack([one, np.zeros((9, 4), dtype=bool)]) for one in (y, wrong))
    with_unlabelled = evaluate_multi_label(wrong.astype(float), wrong, CLASSES, y)
    assert with_unlabelled.exact_match == 9 / 13
    assert with_unlabelled.macro_f1_interval == found.macro_f1_interval


def test_documents_without_labels_can_be_all_there_is() -> None:
    """Nothing true and nothing given is a perfect answer."""
    y = np.zeros((3, 2), dtype=bool)
    found = evaluate_multi_label(np.full((3, 2), 0.1), y, CLASSES[:2], y)
    assert (found.macro_f1, found.micro_f1, found.exact_match, found.no_label_fraction) == (1, 1, 1, 1)
    assert found.per_class == {}


def test_evaluations_become_json() -> None:
    """Every field is a plain value that survives JSON."""
    y, names = label_matrix([["late", "lost"], []], ["late"])
    found = evaluate_multi_label(np.array([[0.9], [0.2]]), np.array([[True], [False]]), names, y).to_dict()
    assert json.loads(json.dumps(found))["per_class"] == found["per_class"]
