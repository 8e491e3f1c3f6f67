"""Sets of labels: the promised coverage, and laws that hold for any probabilities."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.analysis.conformal import (
    SetSummary,
    conformal_thresholds,
    nonconformity,
    prediction_sets,
    set_summary,
)
from classifier.errors import ClassifierError, OptionError

PERCENTS = st.integers(1, 99)
N_ROUNDS = 400


@st.composite
def answers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Draw probabilities of few digits, hence with ties, and true classes, some of which have no document."""
    n_documents, n_classes = draw(st.integers(1, 40)), draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    counts = rng.multinomial(10, rng.dirichlet(np.ones(n_classes)), n_documents)
    return counts / 10, rng.integers(0, n_classes, n_documents)


def drawn_documents(n_documents: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw unbalanced classes with probabilities that are too sure, one class being harder than the others."""
    truth = rng.dirichlet([1.5, 0.7, 0.3], n_documents)
    y = (rng.random((n_documents, 1)) > truth.cumsum(axis=1)).sum(axis=1).clip(max=2)
    too_sure = truth**2 + 1e-6
    return too_sure / too_sure.sum(axis=1, keepdims=True), y


def calibrated_sets(
    n_known: int, n_new: int, level: float, *, per_class: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Calibrate on some documents; return the sets of others, and their true classes."""
    proba, y = drawn_documents(n_known + n_new, rng)
    scores = nonconformity(proba[:n_known], y[:n_known])
    thresholds = conformal_thresholds(scores, y[:n_known], 3, level, per_class=per_class)
    return prediction_sets(proba[n_known:], thresholds), y[n_known:]


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_coverage_is_the_level(level: float) -> None:
    """Learnt from 99 documents, where the rank is whole, sets hold the truth as promised, of a bad classifier too."""
    rng = np.random.default_rng(0)
    rounds = [set_summary(*calibrated_sets(99, 200, level, per_class=False, rng=rng)) for _ in range(N_ROUNDS)]
    assert np.mean([one.coverage for one in rounds]) == pytest.approx(level, abs=0.007)


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_coverage_of_every_class_is_the_level(level: float) -> None:
    """Thresholds per class reach the level for the rare, hard class too, where one threshold for all does not."""
    rng = np.random.default_rng(1)
    coverage = {}
    for per_class in (False, True):
        sets, y = calibrated_sets(20_000, 20_000, level, per_class=per_class, rng=rng)
        coverage[per_class] = [set_summary(sets[y == label], y[y == label]).coverage for label in range(3)]
    assert coverage[True] == pytest.approx([level] * 3, abs=0.02)
    assert min(coverage[False]) < level - 0.03


@settings(deadline=None)
@given(answers(), PERCENTS, st.booleans())
def test_sets_hold_what_is_typical_enough(drawn: tuple[np.ndarray, np.ndarray], percent: int, per_class: bool) -> None:
    """A label is in the set exactly where its conformal p-value exceeds 1 minus the level, counted in whole numbers."""
    proba, y = drawn
    scores = nonconformity(proba, y)
    sets = prediction_sets(proba, conformal_thresholds(scores, y, proba.shape[1], percent / 100, per_class=per_class))
    for label in range(proba.shape[1]):
        known = scores[y == label] if per_class else scores
        n_as_untypical = (known >= (1 - proba[:, label])[:, np.newaxis]).sum(axis=1)
        expected = (n_as_untypical + 1) * 100 > (len(known) + 1) * (100 - percent)
        assert np.array_equal(sets[:, label], expected)


@settings(deadline=None)
@given(answers(), st.tuples(PERCENTS, PERCENTS), st.booleans())
def test_sets_grow_with_the_level(
    drawn: tuple[np.ndarray, np.ndarray], percents: tuple[int, int], per_class: bool
) -> None:
    """A higher level never takes a label out of a set."""
    proba, y = drawn
    scores = nonconformity(proba, y)
    smaller, larger = (
        prediction_sets(proba, conformal_thresholds(scores, y, proba.shape[1], percent / 100, per_class=per_class))
        for percent in sorted(percents)
    )
    assert (smaller <= larger).all()


@settings(deadline=None)
@given(answers(), PERCENTS, st.booleans(), st.integers(0, 2**32))
def test_order_of_documents_does_not_matter(
    drawn: tuple[np.ndarray, np.ndarray], percent: int, per_class: bool, seed: int
) -> None:
    """Shuffled documents give the same thresholds."""
    proba, y = drawn
    scores = nonconformity(proba, y)
    order = np.random.default_rng(seed).permutation(len(y))
    before = conformal_thresholds(scores, y, 4, percent / 100, per_class=per_class)
    after = conformal_thresholds(scores[order], y[order], 4, percent / 100, per_class=per_class)
    assert np.array_equal(before, after)


def test_thresholds_by_hand() -> None:
    """Nine documents at 80 %: the eighth score for all; per class the fourth of four, and the fifth of five."""
    y = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])
    true_probabilities = np.array([0.875, 0.75, 0.625, 0.5, 0.9375, 0.8125, 0.6875, 0.5625, 0.25])
    proba = np.where(np.eye(2, dtype=bool)[y], true_probabilities[:, np.newaxis], 1 - true_probabilities[:, np.newaxis])
    scores = nonconformity(proba, y)
    assert scores.tolist() == (1 - true_probabilities).tolist()
    assert conformal_thresholds(scores, y, 2, 0.8, per_class=False).tolist() == [0.5, 0.5]
    assert conformal_thresholds(scores, y, 2, 0.8, per_class=True).tolist() == [0.5, 0.75]
    new = np.array([[0.5, 0.5], [0.75, 0.25], [0.4, 0.6]])
    assert prediction_sets(new, np.array([0.5, 0.75])).tolist() == [[True, True], [True, True], [False, True]]


@pytest.mark.parametrize(("level", "n_enough"), [(0.5, 1), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_too_few_documents_promise_nothing(level: float, n_enough: int) -> None:
    """A level needs level / (1 - level) documents; with one less, the label is in every set, even at probability 0."""
    for n_documents, expected in ((n_enough, 0.25), (n_enough - 1, 1.0)):
        scores, y = np.full(n_documents, 0.25), np.zeros(n_documents, dtype=np.intp)
        for per_class in (False, True):
            thresholds = conformal_thresholds(scores, y, 1, level, per_class=per_class)
            assert thresholds.tolist() == [expected]
            assert prediction_sets(np.zeros((1, 1)), thresholds).tolist() == [[expected == 1]]


def test_a_tiny_class_does_not_spoil_the_others() -> None:
    """A class of one document and a class of none are always in the set; the large one keeps its own threshold."""
    y = np.array([0] * 19 + [2])
    scores = np.array([*np.arange(19) / 20, 0.5])
    assert conformal_thresholds(scores, y, 3, 0.9, per_class=True).tolist() == [17 / 20, 1.0, 1.0]


def test_ties_are_in() -> None:
    """A label that is exactly as untypical as the threshold belongs to the set, also where 1 - p is rounded."""
    proba = np.tile([0.7, 0.2, 0.1], (30, 1))
    y = np.repeat([0, 1, 2], 10)
    thresholds = conformal_thresholds(nonconformity(proba, y), y, 3, 0.9, per_class=True)
    assert prediction_sets(proba, thresholds).all()
    assert not prediction_sets(proba - 1e-12, thresholds).any()


def test_sets_may_be_empty() -> None:
    """Where sure answers are the rule, an unsure document gets no label at a level below the accuracy."""
    proba, y = np.tile([0.99, 0.01], (99, 1)), np.zeros(99, dtype=np.intp)
    thresholds = conformal_thresholds(nonconformity(proba, y), y, 2, 0.9, per_class=False)
    sets = prediction_sets(np.array([[0.99, 0.01], [0.6, 0.4]]), thresholds)
    assert sets.tolist() == [[True, False], [False, False]]


def test_ranks_are_counted_without_rounding_errors() -> None:
    """100 * 0.07 is 7 and not a little more: the seventh score is taken, not the eighth."""
    scores = np.arange(1, 100) / 100
    assert 100 * 0.07 > 7
    assert conformal_thresholds(scores, np.zeros(99, dtype=np.intp), 1, 0.07, per_class=False).tolist() == [0.07]


def test_the_lowest_level_takes_the_lowest_score() -> None:
    """However little is asked for, the threshold is one of the scores."""
    scores, y = np.array([0.5, 0.25, 0.75]), np.zeros(3, dtype=np.intp)
    assert conformal_thresholds(scores, y, 1, 1e-12, per_class=False).tolist() == [0.25]


@pytest.mark.parametrize("level", [0, 1, -0.1, 1.5, 95, np.nan])
def test_levels_that_cannot_be(level: float) -> None:
    """A level of 1 or more, or of 0 or less, is refused with what is allowed."""
    with pytest.raises(
        OptionError, match=rf"^The confidence level is {level}; give a number between 0 and 1\.$"
    ) as told:
        conformal_thresholds(np.array([0.5]), np.array([0]), 1, level, per_class=False)
    assert isinstance(told.value, ClassifierError)
    assert isinstance(told.value, ValueError)
    assert (told.value.option, told.value.allowed) == ("confidence level", "a number between 0 and 1")


def test_summary_by_hand() -> None:
    """Three sets of sizes 2, 0 and 1, one of which holds the truth."""
    sets = np.array([[True, True], [False, False], [False, True]])
    found = set_summary(sets, np.array([1, 0, 0]))
    assert found == SetSummary(coverage=1 / 3, mean_size=1.0, empty_fraction=1 / 3, n_documents=3)
    assert json.loads(json.dumps(asdict(found))) == asdict(found)


def test_labels_the_model_does_not_have_are_not_covered() -> None:
    """A label beyond the columns is in no set."""
    assert set_summary(np.ones((2, 2), dtype=bool), np.array([2, 1])).coverage == 0.5


def test_no_documents() -> None:
    """Nothing to learn from lets every label in; nothing to measure gives zeros."""
    nobody = np.empty(0, dtype=np.intp)
    assert nonconformity(np.empty((0, 2)), nobody).shape == (0,)
    for per_class in (False, True):
        assert conformal_thresholds(np.empty(0), nobody, 2, 0.9, per_class=per_class).tolist() == [1.0, 1.0]
    assert set_summary(np.empty((0, 2), dtype=bool), nobody) == SetSummary(0.0, 0.0, 0.0, 0)
