"""Probabilities that mean what they say: softmax with one temperature, fitted on held-out scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_LARGEST_LOG_SCALE = 3.0
_BLOCK_NUMBERS = 2_000_000


def softmax(scores: NDArray[np.floating], temperature: float = 1.0) -> Floats:
    """Turn scores into probabilities.

    Parameters
    ----------
    scores : ndarray, shape (n_documents, n_classes)
        Linear scores of a head.
    temperature : float, default=1.0
        Above 1 flattens, below 1 sharpens; the order of classes never changes.

    Returns
    -------
    ndarray of float64, shape (n_documents, n_classes)
        Rows sum to 1.

    Examples
    --------
    >>> softmax(np.array([[0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """
    return np.exp(_log_softmax(scores, temperature))


def sigmoid(scores: NDArray[np.floating], temperature: float = 1.0) -> Floats:
    """Turn each score into a probability of its own, the same shape.

    Examples
    --------
    >>> sigmoid(np.array([[0.0, -1000.0]])).tolist()
    [[0.5, 0.0]]
    """
    scaled = np.asarray(scores, dtype=np.float64) / temperature
    small = np.exp(-np.abs(scaled))
    return np.asarray(np.where(scaled >= 0, 1.0, small) / (1.0 + small))


def log_losses(scores: NDArray[np.floating], y: Ints, temperature: float = 1.0) -> Floats:
    """Return the negative log probability of each document's true class, in nats, shape (n_documents,)."""
    logs = _log_softmax(scores, temperature)
    return np.asarray(-logs[np.arange(len(y)), y])


def fit_scales(scores: Sequence[NDArray[np.floating]], y: Ints, *, unseen: float = 0.0) -> Floats:
    """Find how much each of several held-out scores should count in their sum.

    Parameters
    ----------
    scores : sequence of ndarray, each of shape (n_documents, n_classes)
        Scores of heads that were not trained on these documents.
    y : ndarray of int, shape (n_documents,)
        True classes, as column numbers.
    unseen : float, default=0.0
        Share of all documents that have no such scores, as they are the only ones of their class. What the heads
        would have made of them is not known, and so the targets are that much further from 1.

    Returns
    -------
    ndarray of float64, shape (n_scores,)
        Factors of the scores with which the softmax of their sum has the lowest smoothed log loss; 1 where there is no
        document to learn from. A single one lies in [exp(-3), exp(3)]; of several, some may be 0, but not all.

    Notes
    -----
    With one matrix this is temperature scaling; with several it is stacking without an intercept
    (Wolpert 1992, https://doi.org/10.1016/S0893-6080(05)80023-1), and the sum is calibrated at once.

    Each true class gets the target 1 - 1 / (n + 2), the other share is spread over all classes, after Platt's
    targets: without any error among few documents, the confidence must not run away to 1.

    References
    ----------
    Platt (1999), Probabilistic outputs for support vector machines, section 2.2
    Guo et al. (2017), On Calibration of Modern Neural Networks, https://arxiv.org/abs/1706.04599
    """
    from scipy.optimize import minimize

    n_scores = len(scores)
    if len(y) == 0:
        return np.full(n_scores, 1.0 / n_scores)
    least = np.exp(-_LARGEST_LOG_SCALE) if n_scores == 1 else 0.0
    found = minimize(
        _smoothed_loss,
        np.full(n_scores, 1.0 / n_scores),
        args=(scores, y, unseen),
        jac=True,
        method="L-BFGS-B",
        bounds=[(least, np.exp(_LARGEST_LOG_SCALE))] * n_scores,
        options={"ftol": 1e-12, "gtol": 1e-7},
    )
    factors = np.asarray(found.x, dtype=np.float64)
    return factors if factors.any() else np.full(n_scores, np.exp(-_LARGEST_LOG_SCALE) / n_scores)


def cross_fitted_proba(scores: Sequence[NDArray[np.floating]], y: Ints, folds: Ints, *, unseen: float = 0.0) -> Floats:
    """Calibrate held-out scores without using a document's own fold.

    Parameters
    ----------
    scores : sequence of ndarray, each of shape (n_documents, n_classes)
        Out-of-fold scores, to be added up as `fit_scales` finds.
    y : ndarray of int, shape (n_documents,)
        True classes.
    folds : ndarray of int, shape (n_documents,)
        Fold of each document.
    unseen : float, default=0.0
        As for `fit_scales`.

    Returns
    -------
    ndarray of float64, shape (n_documents, n_classes)
        For each fold, the factors come from the other folds; this is what metrics are honest on.
    """
    proba = np.empty(scores[0].shape, dtype=np.float64)
    for fold in np.unique(folds):
        held_out = folds == fold
        others = ~held_out if (~held_out).any() else held_out
        factors = fit_scales([one[others] for one in scores], y[others], unseen=unseen)
        proba[held_out] = softmax(_weighted_sum([one[held_out] for one in scores], factors))
    return proba


def _smoothed_loss(
    factors: Floats, scores: Sequence[NDArray[np.floating]], y: Ints, unseen: float
) -> tuple[float, Floats]:
    """Return the log loss against smoothed targets, and its gradient by the factors; a block of rows at a time."""
    n, n_classes = scores[0].shape
    doubt = 1.0 - (1.0 - 1.0 / (n + 2.0)) * (1.0 - unseen)
    loss, gradient = 0.0, np.zeros(len(scores))
    for start in range(0, n, max(1, _BLOCK_NUMBERS // n_classes)):
        rows = slice(start, start + max(1, _BLOCK_NUMBERS // n_classes))
        parts = [np.asarray(one[rows], dtype=np.float64) for one in scores]
        logs = _log_softmax(_weighted_sum(parts, factors), 1.0)
        wrong = np.exp(logs) - doubt / n_classes
        own = np.arange(len(logs)), y[rows]
        wrong[own] -= 1 - doubt
        loss -= (1 - doubt) * logs[own].sum() + doubt * logs.mean(axis=1).sum()
        gradient += [float((wrong * part).sum()) for part in parts]
    return loss / n, gradient / n


def _weighted_sum(scores: Sequence[NDArray[np.floating]], factors: Floats) -> Floats:
    """Add scores up, each times its factor."""
    total = np.zeros(scores[0].shape, dtype=np.float64)
    for one, factor in zip(scores, factors, strict=True):
        total += factor * one
    return total


def _log_softmax(scores: NDArray[np.floating], temperature: float) -> Floats:
    """Return log probabilities in numpy alone: importing scipy takes longer than a prediction."""
    scaled = np.asarray(scores, dtype=np.float64) / temperature
    scaled = scaled - scaled.max(axis=1, keepdims=True, initial=-np.inf)
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True)))
