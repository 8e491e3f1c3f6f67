"""Probabilities that mean what they say: softmax with one temperature, fitted on held-out scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_LOG_TEMPERATURE_BOUNDS = (-3.0, 3.0)


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


def log_losses(scores: NDArray[np.floating], y: Ints, temperature: float = 1.0) -> Floats:
    """Return the negative log probability of each document's true class, in nats, shape (n_documents,)."""
    logs = _log_softmax(scores, temperature)
    return np.asarray(-logs[np.arange(len(y)), y])


def fit_temperature(scores: NDArray[np.floating], y: Ints) -> float:
    """Find the temperature with the lowest log loss on held-out scores.

    Parameters
    ----------
    scores : ndarray, shape (n_documents, n_classes)
        Scores of documents that the head was not trained on.
    y : ndarray of int, shape (n_documents,)
        True classes, as column numbers of `scores`.

    Returns
    -------
    float
        In [exp(-3), exp(3)]; 1 where there is no document to learn from.

    Notes
    -----
    Each true class gets the target 1 - 1 / (n + 2), the other share is spread over all classes, after Platt's
    targets: without any error among few documents, the confidence must not run away to 1.

    References
    ----------
    Platt (1999), Probabilistic outputs for support vector machines, section 2.2
    Guo et al. (2017), On Calibration of Modern Neural Networks, https://arxiv.org/abs/1706.04599
    """
    from scipy.optimize import minimize_scalar

    if len(y) == 0:
        return 1.0
    doubt = 1.0 / (len(y) + 2.0)

    def smoothed_loss(log_temperature: float) -> float:
        logs = _log_softmax(scores, float(np.exp(log_temperature)))
        return float(-(1 - doubt) * logs[np.arange(len(y)), y].mean() - doubt * logs.mean())

    found = minimize_scalar(
        smoothed_loss,
        bounds=_LOG_TEMPERATURE_BOUNDS,
        method="bounded",
    )
    return float(np.exp(found.x))


def cross_fitted_proba(scores: NDArray[np.floating], y: Ints, folds: Ints) -> Floats:
    """Calibrate held-out scores without using a document's own fold.

    Parameters
    ----------
    scores : ndarray, shape (n_documents, n_classes)
        Out-of-fold scores.
    y : ndarray of int, shape (n_documents,)
        True classes.
    folds : ndarray of int, shape (n_documents,)
        Fold of each document.

    Returns
    -------
    ndarray of float64, shape (n_documents, n_classes)
        For each fold, the temperature comes from the other folds; this is what metrics are honest on.
    """
    proba = np.empty(scores.shape, dtype=np.float64)
    for fold in np.unique(folds):
        held_out = folds == fold
        others = ~held_out if (~held_out).any() else held_out
        proba[held_out] = softmax(scores[held_out], fit_temperature(scores[others], y[others]))
    return proba


def _log_softmax(scores: NDArray[np.floating], temperature: float) -> Floats:
    """Return log probabilities in numpy alone: importing scipy takes longer than a prediction."""
    scaled = np.asarray(scores, dtype=np.float64) / temperature
    scaled = scaled - scaled.max(axis=1, keepdims=True, initial=-np.inf)
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True)))
