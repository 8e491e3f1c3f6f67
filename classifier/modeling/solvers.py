"""How heads are fitted: multinomial logistic regression on dense vectors, linear support vectors on sparse rows."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints
from classifier.embedding.contract import Embeddings
from classifier.modeling.folds import class_weights
from classifier.modeling.head import LinearHead

_MAX_ITERATIONS = 300
_GRADIENT_TOLERANCE = 2e-3
_FEWEST = 20
_MARGIN_TOLERANCE = 1e-3

_LIBLINEAR = threading.Lock()

Weights = tuple[NDArray[np.float32], NDArray[np.float32]]


@contextmanager
def undisturbed_solvers() -> Iterator[None]:
    """Give each fold one core, and keep quiet about solvers that stop at their iteration limit.

    One linear-algebra thread per fold is several times faster than all threads on one fold, and makes
    the result the same for any number of workers. A head stopped early is a valid head: it is judged
    on documents it has not seen.
    """
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # few documents per label
        yield


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
        coef: NDArray[np.float32] = np.ascontiguousarray(self._model.coef_, dtype=np.float32)
        intercept: NDArray[np.float32] = self._model.intercept_.astype(np.float32)
        if len(coef) == 1:
            half, bias = coef / np.float32(2), intercept / np.float32(2)
            return np.vstack([-half, half]), np.concatenate([-bias, bias])
        return coef, intercept


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
    LIBLINEAR has one stream of random numbers for all threads of a process. One machine is trained at a time, so that
    equal seeds give equal weights whatever else the process does.

    References
    ----------
    Fan et al. (2008), LIBLINEAR, https://www.jmlr.org/papers/v9/fan08a.html
    """
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=c, dual=True, tol=_MARGIN_TOLERANCE, random_state=seed)
    with _LIBLINEAR:
        model.fit(rows, y, sample_weight=weights)
    coef, intercept = model.coef_, np.broadcast_to(model.intercept_, len(model.coef_))
    if len(coef) == 1:
        coef, intercept = np.vstack([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
    return np.ascontiguousarray(coef.T, dtype=np.float32), intercept.astype(np.float32)


def in_threads(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run jobs on all cores; results follow `jobs`."""
    from joblib import Parallel, delayed

    results: list[Any] = Parallel(n_jobs=-1, prefer="threads")(delayed(job)() for job in jobs)
    return results


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
