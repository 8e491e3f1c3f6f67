"""Softmax and temperature: laws that hold for any scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import log_loss

from classifier.analysis import confidence
from classifier.analysis.confidence import cross_fitted_proba, fit_scales, log_losses, softmax

SHAPES = st.tuples(st.integers(1, 6), st.integers(2, 5))
SCORES = SHAPES.flatmap(lambda shape: arrays(np.float64, shape, elements=st.floats(-50, 50)))
TEMPERATURES = st.floats(0.05, 20)


def noisy_scores(n_documents: int, scale: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels from a softmax, and return its scores `scale` times too large."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n_documents, 4)) * 2
    y = np.array([rng.choice(4, p=row) for row in softmax(scores)])
    return scores * scale, y


def temperature_of(scores: np.ndarray, y: np.ndarray) -> float:
    """Find the temperature of one matrix of scores."""
    return 1 / float(fit_scales([scores], y)[0])


@settings(deadline=None)
@given(SCORES, TEMPERATURES)
def test_rows_are_distributions(scores: np.ndarray, temperature: float) -> None:
    """Probabilities lie in [0, 1] and sum to 1 at every temperature."""
    proba = softmax(scores, temperature)
    assert ((proba >= 0) & (proba <= 1 + 1e-12)).all()
    assert np.allclose(proba.sum(axis=1), 1)


@settings(deadline=None)
@given(SCORES, TEMPERATURES)
def test_temperature_keeps_the_order(scores: np.ndarray, temperature: float) -> None:
    """A class with a higher score never gets a lower probability."""
    in_order = np.take_along_axis(softmax(scores, temperature), np.argsort(scores, axis=1), axis=1)
    assert (np.diff(in_order, axis=1) >= -1e-12).all()


@settings(deadline=None)
@given(SCORES, st.floats(-100, 100))
def test_softmax_ignores_a_common_shift(scores: np.ndarray, shift: float) -> None:
    """Adding one number to every score of a document changes nothing."""
    assert np.allclose(softmax(scores), softmax(scores + shift), atol=1e-9)


@settings(deadline=None)
@given(SCORES, st.floats(0.05, 10), st.floats(1.0, 5.0))
def test_heat_flattens(scores: np.ndarray, temperature: float, factor: float) -> None:
    """The confidence never rises with the temperature."""
    cool, warm = (softmax(scores, t).max(axis=1) for t in (temperature, temperature * factor))
    assert (warm <= cool + 1e-12).all()


def test_huge_scores_stay_finite() -> None:
    """Scores far beyond the range of exp give probabilities, not NaN, also from float32."""
    assert softmax(np.array([[1e30, -1e30]], dtype=np.float32)).tolist() == [[1.0, 0.0]]
    assert log_losses(np.array([[0.0, 2000.0]]), np.array([0])).tolist() == [2000.0]


def test_no_documents() -> None:
    """No scores give no probabilities, and a temperature of 1."""
    assert softmax(np.empty((0, 3))).shape == (0, 3)
    assert temperature_of(np.empty((0, 3)), np.empty(0, dtype=np.intp)) == 1.0


@settings(deadline=None)
@given(SCORES, TEMPERATURES, st.data())
def test_losses_are_those_of_scikit_learn(scores: np.ndarray, temperature: float, data: st.DataObject) -> None:
    """The mean loss agrees with scikit-learn wherever its clipping does not act."""
    n_documents, n_classes = scores.shape
    y = np.array(data.draw(st.lists(st.integers(0, n_classes - 1), min_size=n_documents, max_size=n_documents)))
    proba = softmax(scores / 10, temperature)
    expected = log_loss(y, proba, labels=list(range(n_classes)))
    if proba[np.arange(n_documents), y].min() > 1e-12:
        assert log_losses(scores / 10, y, temperature).mean() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_fit_finds_the_temperature_that_was_hidden(scale: float) -> None:
    """Scores that are `scale` times too sharp get a temperature near `scale`."""
    scores, y = noisy_scores(4000, scale)
    assert temperature_of(scores, y) == pytest.approx(scale, rel=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_fit_is_the_best_of_a_grid(seed: int) -> None:
    """No temperature of a fine grid has a lower loss to speak of than the fitted one."""
    scores, y = noisy_scores(2000, 2.0, seed)
    best = log_losses(scores, y, temperature_of(scores, y)).mean()
    assert all(best <= log_losses(scores, y, t).mean() + 1e-4 for t in np.geomspace(0.05, 20, 100))


def test_fit_is_bounded_for_perfect_and_for_hopeless_scores() -> None:
    """Scores that are always right, or always wrong, do not drive the temperature to 0 or infinity."""
    y = np.array([0, 1, 2] * 5)
    right = np.eye(3)[y] * 5
    assert np.exp(-3) <= temperature_of(right, y) < 1.5
    assert softmax(right, temperature_of(right, y)).max() < 0.97
    assert temperature_of(-right, y) == pytest.approx(np.exp(3), rel=0.05)


def test_cross_fitting_uses_the_temperature_of_the_other_folds() -> None:
    """Each fold is calibrated by exactly what a fit on the others gives."""
    scores, y = noisy_scores(90, 3.0)
    folds = np.arange(90) % 3
    proba = cross_fitted_proba([scores], y, folds)
    for fold in range(3):
        inside = folds == fold
        expected = softmax(scores[inside], temperature_of(scores[~inside], y[~inside]))
        assert np.allclose(proba[inside], expected)


def test_cross_fitting_never_sees_its_own_labels() -> None:
    """Other labels in a fold change the other folds' probabilities, and not its own."""
    scores, y = noisy_scores(90, 3.0)
    folds = np.arange(90) % 3
    before = cross_fitted_proba([scores], y, folds)
    after = cross_fitted_proba([scores], np.where(folds == 0, (y + 1) % 4, y), folds)
    assert np.array_equal(before[folds == 0], after[folds == 0])
    assert not np.allclose(before[folds == 1], after[folds == 1])


def test_cross_fitting_of_a_single_fold_uses_that_fold() -> None:
    """With nothing else to learn from, the only fold calibrates itself."""
    scores, y = noisy_scores(20, 3.0)
    proba = cross_fitted_proba([scores], y, np.zeros(20, dtype=np.intp))
    assert np.allclose(proba, softmax(scores, temperature_of(scores, y)))


def test_few_flawless_documents_do_not_make_certainty() -> None:
    """Without an error among a few documents the confidence stays near what so few can show."""
    scores = np.array([[4.0, 0.0], [0.0, 4.0]] * 4)
    y = np.array([0, 1] * 4)
    confidence = softmax(scores, temperature_of(scores, y)).max()
    assert 0.85 < confidence < 0.97


def test_scales_of_several_scores_find_the_useful_one() -> None:
    """Noise gets next to no share, and the sum is no worse than the better half alone."""
    scores, y = noisy_scores(600, 3.0)
    noise = np.random.default_rng(5).normal(size=scores.shape)
    factors = fit_scales([scores, noise], y)
    assert factors[0] == pytest.approx(1 / temperature_of(scores, y), rel=0.05)
    assert abs(factors[1]) < 0.2
    together = log_losses(factors[0] * scores + factors[1] * noise, y).mean()
    assert together <= log_losses(scores, y, temperature_of(scores, y)).mean() + 1e-3


def test_scales_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large matrices are taken a block of rows at a time, with the same result."""
    scores, y = noisy_scores(90, 3.0)
    expected = fit_scales([scores, scores[::-1]], y)
    monkeypatch.setattr(confidence, "_BLOCK_NUMBERS", 28)
    assert np.allclose(fit_scales([scores, scores[::-1]], y), expected, rtol=1e-4)


def test_without_documents_scores_count_alike() -> None:
    """Nothing is known, so nothing is preferred."""
    assert fit_scales([np.zeros((0, 3)), np.zeros((0, 3))], np.zeros(0, dtype=np.intp)).tolist() == [0.5, 0.5]
    assert temperature_of(np.zeros((0, 3)), np.zeros(0, dtype=np.intp)) == 1
