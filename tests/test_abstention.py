"""Who answers alone: curves and thresholds against counting by hand, and laws that hold for any answers."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from classifier.analysis.abstention import (
    ASK_ALWAYS,
    TARGETS,
    ReviewCost,
    cost_of,
    cost_table,
    risk_coverage,
    threshold_for_accuracy,
    threshold_for_budget,
)
from classifier.errors import OptionError

TIED_CONFIDENCE = st.integers(0, 10).map(lambda tenths: tenths / 10)
PERCENTS = st.integers(1, 99)


@st.composite
def answers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Draw confidences, with ties, and whether each answer is right."""
    rows = draw(st.lists(st.tuples(TIED_CONFIDENCE, st.booleans()), min_size=1, max_size=60))
    return np.array([one for one, _ in rows]), np.array([right for _, right in rows])


def typical_answers(n_documents: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw calibrated confidences: each answer is right as often as it says."""
    rng = np.random.default_rng(seed)
    confidence = rng.beta(4, 1, n_documents)
    return confidence, rng.random(n_documents) < confidence


@settings(deadline=None)
@given(answers())
def test_curve_is_that_of_counting(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    """Each point is what counting the documents at or above its threshold gives; the area is a mean over documents."""
    confidence, correct = drawn
    curve = risk_coverage(confidence, correct)
    assert curve.thresholds.tolist() == sorted(set(confidence.tolist()), reverse=True)
    for threshold, coverage, accuracy in zip(curve.thresholds, curve.coverage, curve.accuracy, strict=True):
        answered = confidence >= threshold
        assert coverage == answered.mean()
        assert accuracy == pytest.approx(correct[answered].mean())
    errors = [1 - correct[confidence >= one].mean() for one in confidence]
    assert curve.aurc == pytest.approx(np.mean(errors))


def test_curve_by_hand() -> None:
    """Two documents that are equally sure are answered together, so luck does not order them."""
    confidence, correct = np.array([0.5, 0.75, 1.0, 0.75]), np.array([False, True, True, False])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        curve = risk_coverage(confidence[order], correct[order])
        assert curve.thresholds.tolist() == [1.0, 0.75, 0.5]
        assert curve.coverage.tolist() == [0.25, 0.75, 1.0]
        assert curve.accuracy.tolist() == [1.0, 2 / 3, 0.5]
        assert curve.aurc == pytest.approx(0.5 / 3 + 0.25 / 2)


def test_useful_confidence_has_a_smaller_area() -> None:
    """Sorting right answers before wrong ones beats any other order, and a useless confidence errs as all do."""
    correct = np.array([True] * 80 + [False] * 20)
    rising = np.arange(100) / 100
    best, worst = (risk_coverage(confidence, correct).aurc for confidence in (rising[::-1], rising))
    assert best < 0.03 < worst
    assert risk_coverage(np.full(100, 0.5), correct).aurc == pytest.approx(0.2)
    assert risk_coverage(rising, np.ones(100, dtype=bool)).aurc == 0


@settings(deadline=None)
@given(answers(), st.integers(1, 30))
def test_points_are_few_and_end_with_everything(drawn: tuple[np.ndarray, np.ndarray], n: int) -> None:
    """At most `n` points of the curve survive JSON; the last one answers all documents."""
    curve = risk_coverage(*drawn)
    points = json.loads(json.dumps(curve.points(n)))
    assert 1 <= len(points) <= n
    whole = list(zip(curve.thresholds.tolist(), curve.coverage.tolist(), curve.accuracy.tolist(), strict=True))
    rows = [whole.index((point["threshold"], point["coverage"], point["accuracy"])) for point in points]
    assert rows == sorted(set(rows))
    assert points[-1]["coverage"] == 1


def test_points_are_spread_over_the_coverage() -> None:
    """Of 10,000 documents, twenty points lie a twentieth apart."""
    points = risk_coverage(*typical_answers(10_000)).points()
    assert [point["coverage"] for point in points] == pytest.approx(np.arange(1, 21) / 20)


def proportion_ci(n_right: int, n: int) -> float:
    """Return the lower end of Wilson's 80 % interval, as statistics packages give it."""
    return float(binomtest(n_right, n).proportion_ci(0.8, method="wilson").low)


@settings(deadline=None)
@given(answers(), PERCENTS)
def test_threshold_is_the_lowest_that_reaches_the_target(drawn: tuple[np.ndarray, np.ndarray], percent: int) -> None:
    """Trying every threshold finds no lower one whose interval lies above the target, nor one where there is none."""
    confidence, correct = drawn
    reaching = [ASK_ALWAYS]
    for threshold in set(confidence.tolist()):
        right = correct[confidence >= threshold]
        if proportion_ci(int(right.sum()), len(right)) >= percent / 100:
            reaching.append(threshold)
    assert threshold_for_accuracy(confidence, correct, percent / 100) == min(reaching)


@settings(deadline=None)
@given(answers(), st.tuples(PERCENTS, PERCENTS))
def test_a_higher_target_never_lowers_the_threshold(
    drawn: tuple[np.ndarray, np.ndarray], percents: tuple[int, int]
) -> None:
    """Who wants fewer errors answers no more documents alone."""
    lower, higher = (threshold_for_accuracy(*drawn, percent / 100) for percent in sorted(percents))
    assert lower <= higher


@pytest.mark.parametrize(("target", "n_enough"), [(0.5, 2), (0.9, 15), (0.95, 32), (0.98, 81), (0.99, 163)])
def test_a_lucky_few_do_not_decide(target: float, n_enough: int) -> None:
    """Flawless answers count from a number of them on, the larger the higher the target; one less reaches nothing."""
    confidence, correct = np.linspace(0.7, 0.9, n_enough), np.ones(n_enough, dtype=bool)
    assert threshold_for_accuracy(confidence, correct, target) == 0.7
    assert threshold_for_accuracy(confidence[1:], correct[1:], target) == ASK_ALWAYS


def test_a_target_that_cannot_be_reached_asks_everything() -> None:
    """The threshold then lies above a confidence of 1, in float32 too, and survives JSON."""
    certain, wrong = np.ones(100), np.zeros(100, dtype=bool)
    threshold = threshold_for_accuracy(certain, wrong, 0.9)
    assert 1 < threshold < 1.000001
    assert not (certain >= threshold).any()
    assert not (certain.astype(np.float32) >= threshold).any()
    assert json.loads(json.dumps(threshold)) == threshold
    assert cost_of(certain, wrong, threshold) == ReviewCost(threshold, 1.0, None, 100)


@pytest.mark.parametrize("n_documents", [60, 300])
def test_promises_from_few_documents_are_mostly_kept(n_documents: int) -> None:
    """Of two hundred thresholds for 90 %, chosen on few documents, four in five are right that often or more."""
    kept = []
    for seed in range(200):
        threshold = threshold_for_accuracy(*typical_answers(n_documents, seed=seed), 0.9)
        found = cost_of(*typical_answers(20_000, seed=1000 + seed), threshold).accuracy_answered
        kept.append(found is None or found >= 0.9)
    assert np.mean(kept) > 0.8


def test_thresholds_hold_on_new_documents_nearly() -> None:
    """Chosen on 5,000 documents, a threshold for 95 % gives 95 % of others, within what luck allows."""
    threshold = threshold_for_accuracy(*typical_answers(5000), 0.95)
    found = cost_of(*typical_answers(50_000, seed=1), threshold)
    assert found.accuracy_answered == pytest.approx(0.95, abs=0.01)


@settings(deadline=None)
@given(st.lists(TIED_CONFIDENCE, min_size=1, max_size=40), st.integers(0, 100))
def test_budget_is_kept_by_new_documents(confidence: list[float], percent: int) -> None:
    """With each document in turn as the new one, no more than the budget fall below the threshold of the others."""
    every = np.array(confidence)
    n_asked = sum(
        every[row] < threshold_for_budget(np.delete(every, row), percent / 100) for row in range(len(confidence))
    )
    assert n_asked * 100 <= percent * len(confidence)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(0, 100), st.integers(0, 2**32))
def test_budget_is_used_up(n_documents: int, percent: int, seed: int) -> None:
    """Without ties, as many fall below as whole documents fit into the budget."""
    every = np.random.default_rng(seed).permutation(n_documents) / n_documents
    n_asked = sum(every[row] < threshold_for_budget(np.delete(every, row), percent / 100) for row in range(n_documents))
    assert n_asked == percent * n_documents // 100


def test_budget_at_its_ends() -> None:
    """No budget, or one too small to show, asks nothing; a full one asks everything, even learnt from nothing."""
    for confidence in (np.array([0.9, 0.5, 1.0]), np.empty(0)):
        assert threshold_for_budget(confidence, 0) == 0
        assert threshold_for_budget(confidence, 1) == ASK_ALWAYS
        assert threshold_for_budget(confidence, 0.1) == 0


def test_costs_by_hand() -> None:
    """A document at the threshold is answered alone."""
    confidence, correct = np.array([0.9, 0.8, 0.8, 0.3, 0.2]), np.array([True, True, False, True, False])
    found = cost_of(confidence, correct, 0.8)
    assert (found.review_fraction, found.n_documents) == (0.4, 5)
    assert found.accuracy_answered == pytest.approx(2 / 3)
    assert cost_of(confidence, correct, 0) == ReviewCost(0, 0.0, 0.6, 5)


def test_table_shows_what_each_target_costs() -> None:
    """Every row reaches its target, and higher ones cost more reading; a row that cannot be reached asks everything."""
    table = cost_table(*typical_answers(5000))
    for target, row in zip(TARGETS, table, strict=True):
        assert row.accuracy_answered is not None
        assert row.accuracy_answered >= target
        assert row.n_documents == 5000
    costs = [row.review_fraction for row in table]
    assert costs == sorted(costs)
    hopeless = cost_table(np.ones(200), np.arange(200) % 10 > 0, targets=(0.85, 0.9))
    assert [row.review_fraction for row in hopeless] == [0, 1]
    assert json.loads(json.dumps([asdict(row) for row in hopeless]))[1]["accuracy_answered"] is None


def test_no_documents() -> None:
    """Nothing to learn from gives an empty curve, asks everything for a target, and costs nothing."""
    nobody, nothing = np.empty(0), np.empty(0, dtype=bool)
    curve = risk_coverage(nobody, nothing)
    assert (len(curve.thresholds), curve.aurc, curve.points()) == (0, 0, [])
    assert threshold_for_accuracy(nobody, nothing, 0.9) == ASK_ALWAYS
    assert cost_of(nobody, nothing, 0.5) == ReviewCost(0.5, 0.0, None, 0)


@pytest.mark.parametrize("target", [0, 1, 1.5, -1, 95, math.nan])
def test_targets_that_cannot_be(target: float) -> None:
    """A target of 1 or more, or of 0 or less, is refused, alone and in a table."""
    confidence, correct = typical_answers(10)
    says = rf"^The target accuracy is {target}; give a number between 0 and 1\.$"
    with pytest.raises(OptionError, match=says):
        threshold_for_accuracy(confidence, correct, target)
    with pytest.raises(OptionError, match=says):
        cost_table(confidence, correct, (0.9, target))


@pytest.mark.parametrize("fraction", [-0.1, 1.1, 20, math.nan])
def test_budgets_that_cannot_be(fraction: float) -> None:
    """A budget is a share."""
    with pytest.raises(OptionError, match=rf"^The review budget is {fraction}; give a share from 0 to 1\.$"):
        threshold_for_budget(np.array([0.5]), fraction)
