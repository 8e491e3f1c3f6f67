"""How heads of any number of labels are fitted: one decision per label, each against all documents without it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats
from classifier.analysis.label_scales import Bools
from classifier.embedding.contract import Embeddings
from classifier.modeling.solvers import Weights
from classifier.modeling.workers import in_threads

_MAX_ITERATIONS = 300
_LOSS_TOLERANCE = 1e-6
_N_CORRECTIONS = 20
_LABELS_AT_ONCE = 16
_MOST_NEWTON_STEPS = 30
_MOST_HALVINGS = 8
_MOST_CONJUGATE_STEPS = 30
_MARGIN_TOLERANCE = 2e-3
_SYSTEM_TOLERANCE = 0.1
_TINY = 1e-30
_BLOCK_ROWS = 2048


def fit_logistic_all(embeddings: Embeddings, y: Bools, c: float, *, start: Weights | None = None) -> Weights:
    """Train one logistic regression per label, all at once.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
    y : ndarray of bool, shape (n_documents, n_classes)
        Which labels each document has.
    c : float
        Inverse regularisation.
    start : (ndarray, ndarray) or None
        Weights to begin from, which saves time where they are near.

    Returns
    -------
    coef : ndarray of float32, shape (n_classes, n_dims)
    intercept : ndarray of float32, shape (n_classes,)
        A label that all documents have, or none, has a coefficient of zeros.

    Notes
    -----
    The sum of all labels' losses is minimized by L-BFGS: one product of matrices serves all labels. It works on the
    principal axes of the embeddings, each in units of the loss's curvature there if all documents were equally
    likely to have the label, and then needs a fifth of the steps.
    """
    from scipy.optimize import minimize

    n_true = y.sum(axis=0)
    varied = (n_true > 0) & (n_true < len(y))
    penalty = 1 / (c * len(y))
    turned, axes, variances, mean = _on_principal_axes(embeddings)
    rates = n_true[varied] / len(y)
    curvature = (rates * (1 - rates))[:, None] * np.append(variances, 1.0)
    curvature[:, :-1] += penalty
    units = 1 / np.sqrt(curvature)
    coef = np.zeros((y.shape[1], len(mean)))
    intercept = np.log(n_true + 0.5) - np.log(len(y) - n_true + 0.5)
    if start is not None:
        coef[varied] = start[0][varied]
        intercept[varied] = start[1][varied] + coef[varied] @ mean
    if varied.any():
        found = minimize(
            _penalised_loss,
            (np.column_stack([coef @ axes, intercept])[varied] / units).ravel(),
            args=(turned, y[:, varied], units, penalty),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _MAX_ITERATIONS, "ftol": _LOSS_TOLERANCE, "gtol": 0.0, "maxcor": _N_CORRECTIONS},
        )
        solution = found.x.reshape(units.shape) * units
        coef[varied] = solution[:, :-1] @ axes.T
        intercept[varied] = solution[:, -1] - coef[varied] @ mean
    return coef.astype(np.float32), intercept.astype(np.float32)


def fit_margins_all(rows: Any, y: Bools, c: float, *, start: Weights | None = None) -> Weights:
    """Train one linear support vector machine per label, with squared hinge loss, many labels at once.

    Parameters
    ----------
    rows : scipy.sparse.csr_array of float32, shape (n_documents, n_columns)
    y : ndarray of bool, shape (n_documents, n_classes)
        Which labels each document has.
    c : float
        Inverse regularisation.
    start : (ndarray, ndarray) or None
        Weights to begin from, which saves time where they are near.

    Returns
    -------
    coef : ndarray of float32, shape (n_columns, n_classes)
    intercept : ndarray of float32, shape (n_classes,)
        Regularised like a coefficient.

    Notes
    -----
    Newton's method; its systems of equations are solved by conjugate gradients, up to a tenth of their size. Many
    labels share each product of matrices, which takes no longer than one label after the other by LIBLINEAR, and
    involves no chance: in threads, LIBLINEAR's random numbers depend on which thread comes first.

    References
    ----------
    Keerthi and DeCoste (2005), A Modified Finite Newton Method for Fast Solution of Large Scale Linear SVMs,
    https://www.jmlr.org/papers/v6/keerthi05a.html
    """
    from scipy.sparse import csr_array, hstack

    with_ones = hstack([rows, csr_array(np.ones((len(y), 1), dtype=np.float32))], format="csr")
    turned = with_ones.T.tocsr()
    begin = np.zeros((with_ones.shape[1], y.shape[1]), dtype=np.float32) if start is None else np.vstack(start)
    some = [slice(first, first + _LABELS_AT_ONCE) for first in range(0, y.shape[1], _LABELS_AT_ONCE)]
    found = np.hstack(in_threads([partial(_fit_some, with_ones, turned, y[:, now], c, begin[:, now]) for now in some]))
    return found[:-1], found[-1]


def _fit_some(rows: Any, turned: Any, y: Bools, c: float, begin: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fit the machines of some labels by Newton's method; a label whose loss hardly sinks any more is done."""
    signs = np.where(y, 1, -1).astype(np.float32)
    found, coef, open_labels = begin.copy(), begin.copy(), np.arange(y.shape[1])
    scores = rows @ coef
    for _ in range(_MOST_NEWTON_STEPS):
        missing = np.maximum(1 - signs * scores, 0)
        gradient = coef - 2 * c * (turned @ (signs * missing))
        step, moved = _newton_step(rows, turned, missing > 0, gradient, c)
        loss = _hinge_loss(coef, missing, c)
        share = np.ones(len(open_labels), dtype=np.float32)
        for _ in range(_MOST_HALVINGS):
            missing = np.maximum(1 - signs * (scores + share * moved), 0)
            worse = _hinge_loss(coef + share * step, missing, c) > loss
            if not worse.any():
                break
            share[worse] /= 2
        coef += share * step
        scores += share * moved
        found[:, open_labels] = coef
        gains = -(gradient * step).sum(axis=0) > _MARGIN_TOLERANCE * loss
        if not gains.any():
            break
        open_labels, signs, coef, scores = open_labels[gains], signs[:, gains], coef[:, gains], scores[:, gains]
    return found


def _newton_step(
    rows: Any, turned: Any, counts: Bools, gradient: NDArray[np.float32], c: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Solve for the step of each label by conjugate gradients; also return by how much it moves the scores."""
    step, moved = np.zeros_like(gradient), np.zeros(counts.shape, dtype=np.float32)
    left = -gradient
    direction = left.copy()
    size = first = (left**2).sum(axis=0)
    for _ in range(_MOST_CONJUGATE_STEPS):
        seen = rows @ direction
        curved = direction + 2 * c * (turned @ (seen * counts))
        length = size / np.maximum((direction * curved).sum(axis=0), _TINY)
        step += length * direction
        moved += length * seen
        left -= length * curved
        before, size = size, (left**2).sum(axis=0)
        if (size <= _SYSTEM_TOLERANCE**2 * first).all():
            break
        direction = left + size / np.maximum(before, _TINY) * direction
    return step, moved


def _hinge_loss(coef: NDArray[np.float32], missing: NDArray[np.float32], c: float) -> NDArray[np.float32]:
    """Return each label's penalised loss; `missing` is how far documents are from the margin."""
    return np.asarray(0.5 * (coef**2).sum(axis=0) + c * (missing**2).sum(axis=0))


def _on_principal_axes(embeddings: Embeddings) -> tuple[Embeddings, Floats, Floats, Floats]:
    """Turn embeddings around their mean; also return the axes as columns, the variances along them, and the mean."""
    mean = embeddings.mean(axis=0, dtype=np.float64)
    centred = embeddings - mean.astype(np.float32)
    variances, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64) / len(centred))
    return centred @ axes.astype(np.float32), axes, np.maximum(variances, 0.0), mean


def _penalised_loss(flat: Floats, turned: Embeddings, y: Bools, units: Floats, penalty: float) -> tuple[float, Floats]:
    """Return the penalised loss of all labels per document, and its gradient; products are taken in float32."""
    parameters = flat.reshape(units.shape) * units
    coef, intercept = parameters[:, :-1].astype(np.float32), parameters[:, -1].astype(np.float32)
    gradient = np.zeros_like(parameters)
    loss = 0.0
    for first in range(0, len(y), _BLOCK_ROWS):
        rows = slice(first, first + _BLOCK_ROWS)
        total = turned[rows] @ coef.T + intercept
        small = np.exp(-np.abs(total))
        loss += float((np.log(1 + small) + np.maximum(total, 0) - total * y[rows]).sum(dtype=np.float64))
        wrong = np.where(total >= 0, 1, small) / (1 + small) - y[rows]
        gradient[:, :-1] += wrong.T @ turned[rows]
        gradient[:, -1] += wrong.sum(axis=0, dtype=np.float64)
    gradient /= len(y)
    gradient[:, :-1] += penalty * parameters[:, :-1]
    loss = loss / len(y) + 0.5 * penalty * float((parameters[:, :-1] ** 2).sum())
    return loss, (gradient * units).ravel()
