"""Probabilities of single labels that mean what they say: one logistic calibration per label on held-out scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, sigmoid

Bools = NDArray[np.bool_]

_PULL_OF_FACTORS = 10.0
_LEAST_LOG_SCALE = -3.0
_MOST_STEPS = 50
_LOSS_TOLERANCE = 1e-7
_FIRST_DAMPING = 1e-3
_RIDGE = 1e-6
_IMMOVABLE = 1e12
_SMALLEST = 1e-6
_BLOCK_NUMBERS = 200_000


@dataclass(frozen=True, slots=True, eq=False)
class LabelScales:
    """How several scores of a label become one probability.

    Attributes
    ----------
    factors : ndarray of float64, shape (n_scores, n_classes)
        At least 0.
    offsets : ndarray of float64, shape (n_classes,)
    """

    factors: Floats
    offsets: Floats

    def total(self, scores: Sequence[NDArray[np.floating]]) -> Floats:
        """Add scores of shape (n_documents, n_classes) up, each times its factors; log odds of each label."""
        total = np.tile(self.offsets, (len(scores[0]), 1))
        for one, factors in zip(scores, self.factors, strict=True):
            total += one * factors
        return total

    def proba(self, scores: Sequence[NDArray[np.floating]]) -> Floats:
        """Return the probability of each label, shape (n_documents, n_classes); rows do not sum to 1."""
        return sigmoid(self.total(scores))


def label_losses(scores: NDArray[np.floating], y: Bools) -> Floats:
    """Return each label's mean negative log probability of the truth, in nats, shape (n_classes,)."""
    return np.asarray(np.logaddexp(0, np.where(y, -scores, scores).astype(np.float64)).mean(axis=0))


def fit_label_scales(scores: Sequence[NDArray[np.floating]], y: Bools) -> LabelScales:
    """Find how much each of several held-out scores should count for each label.

    Parameters
    ----------
    scores : sequence of ndarray, each of shape (n_documents, n_classes)
        Scores of heads that were not trained on these documents.
    y : ndarray of bool, shape (n_documents, n_classes)
        Which labels each document has; it may have none.

    Returns
    -------
    LabelScales
        With the lowest log loss of ``sigmoid(factors[0] * scores[0] + ... + offsets)``.

    Notes
    -----
    Each label is Platt's logistic regression with his targets, a little inside 0 and 1. The factors of a label are
    pulled towards the mean of all labels' factors: a label with a handful of documents takes those of the others,
    one with many goes its own way.

    References
    ----------
    Platt (1999), Probabilistic outputs for support vector machines, section 2.2
    """
    n_true = y.sum(axis=0)
    centres = np.array([one.mean(axis=0, dtype=np.float64) for one in scores])
    spreads = np.array([(one - centre).std() for one, centre in zip(scores, centres, strict=True)])
    units = np.where(spreads > _SMALLEST, spreads, 1.0)
    scaled = _Scaled(scores, centres, units, y)
    at = np.full((y.shape[1], len(scores) + 1), 1.0 / len(scores))
    at[:, -1] = np.log(n_true + 1) - np.log(len(y) - n_true + 1)
    found, damping = scaled.loss(at), _FIRST_DAMPING
    for _ in range(_MOST_STEPS):
        tried = at + _newton_step(at, *found[1:], damping)
        tried[:, :-1] = np.maximum(tried[:, :-1], 0)
        there = scaled.loss(tried)
        gained = found[0] - there[0]
        damping *= 0.1 if gained > 0 else 10
        if gained > 0:
            at, found = tried, there
        if abs(gained) <= _LOSS_TOLERANCE * found[0]:
            break
    return scaled.unscaled(at)


@dataclass(frozen=True, slots=True, eq=False)
class _Scaled:
    """Scores as they are compared: each label's around its mean, in units of their spread over all labels."""

    scores: Sequence[NDArray[np.floating]]
    centres: Floats
    units: Floats
    y: Bools

    def loss(self, parameters: Floats) -> tuple[float, Floats, Floats]:
        """Return the log loss against Platt's targets plus the pull to common factors, its gradient and curvature.

        Rows of `parameters` are labels; the last column is the offset.
        """
        n, n_classes = self.y.shape
        n_true = self.y.sum(axis=0)
        high, low = (n_true + 1) / (n_true + 2), 1 / (n - n_true + 2)
        away = parameters[:, :-1] - parameters[:, :-1].mean(axis=0)
        loss = 0.5 * _PULL_OF_FACTORS * float((away**2).sum())
        gradient = np.column_stack([_PULL_OF_FACTORS * away, np.zeros(n_classes)])
        curvature = np.zeros((n_classes, len(self.scores) + 1, len(self.scores) + 1))
        step = max(1, _BLOCK_NUMBERS // n_classes)
        for rows in (slice(first, first + step) for first in range(0, n, step)):
            parts = self._parts(rows)
            total = np.asarray(sum(part * factors for part, factors in zip(parts, parameters.T, strict=True)))
            target = np.where(self.y[rows], high, low)
            small = np.exp(-np.abs(total))
            loss += float((np.log1p(small) + np.maximum(total, 0) - target * total).sum())
            wrong = np.where(total >= 0, 1, small) / (1 + small) - target
            spread = small / (1 + small) ** 2
            for one, part in enumerate(parts):
                gradient[:, one] += (wrong * part).sum(axis=0)
                for other in range(one + 1):
                    curvature[:, one, other] += (spread * part * parts[other]).sum(axis=0)
        return loss, gradient, curvature + np.tril(curvature, -1).transpose(0, 2, 1)

    def unscaled(self, parameters: Floats) -> LabelScales:
        """Return the same factors and offsets for scores as they came; no label has nothing but zeros."""
        factors = parameters[:, :-1].T.copy()
        factors[:, factors.max(axis=0) < _SMALLEST] = np.exp(_LEAST_LOG_SCALE) / len(factors)
        factors /= self.units[:, None]
        return LabelScales(factors, parameters[:, -1] - (factors * self.centres).sum(axis=0))

    def _parts(self, rows: slice) -> list[Floats]:
        """Return some rows of all scores, and of ones."""
        parts = [
            (one[rows] - centre) / unit for one, centre, unit in zip(self.scores, self.centres, self.units, strict=True)
        ]
        return [*parts, np.ones_like(parts[0])]


def _newton_step(parameters: Floats, gradient: Floats, curvature: Floats, damping: float) -> Floats:
    """Return a step to the minimum of the quadratic model, damped after Levenberg and Marquardt.

    Given how the mean of all labels' factors moves, each label has a small system of equations of its own; how it
    moves is one more, with as many equations as there are scores.
    """
    n_scores = parameters.shape[1] - 1
    firm = damping * np.diagonal(curvature, axis1=1, axis2=2) + _RIDGE
    at_bound = (parameters[:, :-1] <= 0) & (gradient[:, :-1] > 0)
    firm[:, :-1] += _PULL_OF_FACTORS + np.where(at_bound, _IMMOVABLE, 0.0)
    inverse = np.linalg.inv(curvature + firm[:, :, None] * np.eye(n_scores + 1))
    alone = -(inverse @ gradient[:, :, None])[:, :, 0]
    pulled = _PULL_OF_FACTORS * inverse[:, :, :-1]
    mean = np.linalg.solve(np.eye(n_scores) - pulled[:, :-1].mean(axis=0), alone[:, :-1].mean(axis=0))
    return np.asarray(alone + pulled @ mean)
