"""How heads are fitted: multinomial logistic regression on dense vectors, linear support vectors on sparse rows."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints
from classifier.embedding.contract import Embeddings
from classifier.modeling.folds import class_weights
from classifier.modeling.head import LinearHead
from classifier.modeling.workers import undisturbed_solvers

LOGISTIC, SQUARED_HINGE = "logistic", "squared hinge"

_MAX_ITERATIONS = 300
_GRADIENT_TOLERANCE = 2e-3
_FEWEST = 20
_MARGIN_TOLERANCE = 1e-3
_DIRECT_TOLERANCE = 1e-2

_LIBLINEAR = threading.Lock()

Weights = tuple[NDArray[np.float32], NDArray[np.float32]]


class LogisticPath:
    """Fits of one training part, each warm-started from the last."""

    def __init__(self, embeddings: Embeddings, y: Ints, weights: Floats) -> None:
        from sklearn.linear_model import LogisticRegression

        self._data = embeddings, y, weights.astype(embeddings.dtype)
        self._n_classes = int(y.max()) + 1
        self._model = LogisticRegression(warm_start=True, max_iter=_MAX_ITERATIONS)

    def begin_from(self, head: LinearHead) -> None:
        """Let the next fit start where a head of the same shape is; of two classes the solver knows one."""
        coef, intercept = head.coef, head.intercept
        if len(coef) == 2:
            coef, intercept = coef[1:] - coef[:1], intercept[1:] - intercept[:1]
        self._model.coef_, self._model.intercept_ = coef.copy(), intercept.copy()

    def fit(self, c: float) -> Weights:
        """Return ``coef (n_classes, n_dims)`` and ``intercept (n_classes,)``."""
        embeddings, y, weights = self._data
        # The gradient is spread over the classes and flattens as C grows: with a fixed tolerance a
        # warm start would stop at once, and several C would share one solution.
        self._model.set_params(C=c, tol=_GRADIENT_TOLERANCE / (max(self._n_classes, _FEWEST) * c**0.5))
        self._model.fit(embeddings, y, sample_weight=weights)
        coef, intercept = _one_row_per_class(self._model.coef_, self._model.intercept_)
        return np.ascontiguousarray(coef, dtype=np.float32), intercept.astype(np.float32)


def fit_margins(rows: Any, y: Ints, weights: Floats, c: float, *, seed: int = 0) -> Weights:
    """Train one linear support vector machine per class against all others, with squared hinge loss.

    Parameters
    ----------
    rows : scipy.sparse.csr_array, shape (n_documents, n_columns)
    y : ndarray of int, shape (n_documents,)
        Classes 0 to n_classes - 1, each present.
    weights : ndarray of float64, shape (n_documents,)
        How much each document counts.
    c : float
        Inverse regularisation.
    seed : int, default=0
        Decides the order in which the solver visits documents.

    Returns
    -------
    coef : ndarray of float32, shape (n_columns, n_classes)
    intercept : ndarray of float32, shape (n_classes,)

    Notes
    -----
    LIBLINEAR has one stream of random numbers for all threads of a process, which every fit begins anew, also one that
    draws none. One machine is trained at a time, so that equal seeds give equal weights whatever else the process does.

    References
    ----------
    Fan et al. (2008), LIBLINEAR, https://www.jmlr.org/papers/v9/fan08a.html
    """
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=c, dual=True, tol=_MARGIN_TOLERANCE, random_state=seed)
    with _LIBLINEAR:
        model.fit(rows, y, sample_weight=weights)
    coef, intercept = _one_row_per_class(model.coef_, np.broadcast_to(model.intercept_, len(model.coef_)))
    return np.ascontiguousarray(coef.T, dtype=np.float32), intercept.astype(np.float32)


def fit_dense_margins(embeddings: Embeddings, y: Ints, weights: Floats, c: float) -> Weights:
    """Do the same on dense vectors, directly; the coefficients have shape (n_classes, n_dims)."""
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=c, dual=False, tol=_DIRECT_TOLERANCE)
    with _LIBLINEAR:
        model.fit(embeddings, y, sample_weight=weights)
    coef, intercept = _one_row_per_class(model.coef_, np.atleast_1d(model.intercept_))
    return np.ascontiguousarray(coef, dtype=np.float32), intercept.astype(np.float32)


def fit_log_odds(rows: Any, y: Ints, weights: Floats, c: float, *, seed: int = 0) -> Weights:  # noqa: ARG001 # no chance
    """Train one logistic regression per class against all others; see `fit_margins` for the parameters."""
    from sklearn.linear_model import LogisticRegression

    n_classes, rows = int(y.max()) + 1, rows.astype(np.float64)
    model = LogisticRegression(C=c, solver="liblinear", tol=_DIRECT_TOLERANCE)
    found = []
    for label in range(1 if n_classes == 2 else 0, n_classes):
        with _LIBLINEAR:
            model.fit(rows, y == label, sample_weight=weights)
        found.append((model.coef_[0], model.intercept_[0]))
    coef, intercept = _one_row_per_class(np.array([row for row, _ in found]), np.array([bias for _, bias in found]))
    return np.ascontiguousarray(coef.T, dtype=np.float32), intercept.astype(np.float32)


SPARSE_SOLVERS = {SQUARED_HINGE: fit_margins, LOGISTIC: fit_log_odds}


def _one_row_per_class(coef: Any, intercept: Any) -> tuple[Any, Any]:
    """Write one row as two, of the classes without and with it."""
    if len(coef) > 1:
        return coef, intercept
    return np.vstack([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2


def fit_parts(parts: Iterable[tuple[Embeddings, Ints, LinearHead | None]], c: float) -> list[LinearHead]:
    """Train one head on each of several training parts, at a given C and without a race; the parts share the cores.

    Parameters
    ----------
    parts : iterable of (ndarray of float32, ndarray of int, LinearHead or None)
        Embeddings ``(n_documents, n_dims)`` and their classes, as `fit_logistic` takes them, and a head of the same
        shape to begin from, which saves time where it is near. They are drawn one by one, as cores become free.
    c : float
        Inverse regularisation.

    Returns
    -------
    list of LinearHead
        Rows follow `parts`; not calibrated.
    """
    from joblib import Parallel, delayed

    workers = Parallel(n_jobs=-1, prefer="threads")
    with undisturbed_solvers():
        heads: list[LinearHead] = workers(delayed(_fit_part)(*part, c) for part in parts)
    return heads


def _fit_part(embeddings: Embeddings, y: Ints, start: LinearHead | None, c: float) -> LinearHead:
    """Train one head at one C."""
    path = LogisticPath(embeddings, y, class_weights(y, int(y.max()) + 1))
    if start is not None:
        path.begin_from(start)
    return LinearHead(*path.fit(c), 1.0)
