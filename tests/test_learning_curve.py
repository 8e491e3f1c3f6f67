"""Heads on fewer documents, and what twice as many would give."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from classifier.modeling.learning_curve import LearningPoint, learning_curve, nested_parts, twice_the_data
from classifier.modeling.race import fit_hybrid


def test_parts_are_nested_and_hold_every_class() -> None:
    """A quarter lies within a half, a half within all, and no class is missing from any."""
    y = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 3], [200, 100, 50, 3]))
    held_out = np.random.default_rng(1).random(len(y)) < 0.2
    parts = nested_parts(y, held_out)
    points = learning_curve(parts, [y[held_out]] * 3, y[held_out])
    assert [point.accuracy for point in points] == [1.0, 1.0, 1.0]
    assert [point.n_documents for point in points] == [int(part.sum()) for part in parts]
    assert not (parts[-1] & held_out).any()
    assert parts[-1].sum() == (~held_out).sum()
    for smaller, larger in pairwise(parts):
        assert not (smaller & ~larger).any()
        assert set(y[smaller]) == set(y[~held_out])


@pytest.mark.parametrize("n_documents", [0, 60])
def test_few_documents_have_no_curve(n_documents: int) -> None:
    """Nothing is divided that is too small to tell anything."""
    y = np.arange(max(2, n_documents)) % 2
    assert nested_parts(y, y == 5) == []


def test_a_curve_that_does_not_rise_is_not_carried_on() -> None:
    """Neither without errors nor with falling accuracy is anything foretold."""
    flat = [LearningPoint(n, 1.0, (0.9, 1.0)) for n in (100, 200, 400)]
    falling = [LearningPoint(n, accuracy, (0.0, 1.0)) for n, accuracy in ((100, 0.9), (200, 0.8), (400, 0.7))]
    assert twice_the_data(flat) is twice_the_data(falling) is twice_the_data(flat[:1]) is twice_the_data([]) is None


def test_training_measures_a_curve() -> None:
    """Where there is something to learn, more documents are better, and the last point is all of a training part."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 400)
    centres = rng.normal(size=(3, 16))
    embeddings = (centres[y] + 2.5 * rng.normal(size=(400, 16))).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    fit = fit_hybrid(embeddings, y, texts=[f"word{label} common {row % 7}" for row, label in enumerate(y)])
    sizes = [point.n_documents for point in fit.learning_curve]
    assert sizes == sorted(sizes)
    assert sizes[-1] == (fit.folds != 0).sum()
    assert min(point.accuracy for point in fit.learning_curve) >= 0.7
    assert fit.learning_curve[-1].accuracy >= 0.9
    first = fit.folds == 0
    accuracy = (fit.held_out_proba[first].argmax(axis=1) == y[first]).mean()
    assert fit.learning_curve[-1].accuracy == pytest.approx(accuracy)
