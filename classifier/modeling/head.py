"""Linear heads: a score per class is one dot product, a probability is a calibrated softmax of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints, cross_fitted_proba, fit_temperature, log_losses, softmax
from classifier.embedding.contract import Embeddings

Refit = Callable[[NDArray[np.bool_]], Embeddings]

INVERSE_REGULARISATION = (1.0, 3.0, 10.0, 30.0, 100.0)
N_FOLDS = 5
MANY_DOCUMENTS = 5000
FOLDS_OF_MANY = 3
ALWAYS_IN_TRAINING = -1
_MAX_ITERATIONS = 300
_GRADIENT_TOLERANCE = 2e-3


@dataclass(frozen=True, slots=True)
class LinearHead:
    """A trained head; nothing but arrays.

    Attributes
    ----------
    coef : ndarray of float32, shape (n_classes, n_dims)
    intercept : ndarray of float32, shape (n_classes,)
    temperature : float
        Divides the scores before the softmax.
    """

    coef: NDArray[np.float32]
    intercept: NDArray[np.float32]
    temperature: float

    def scores(self, embeddings: Embeddings) -> NDArray[np.float32]:
        """Return uncalibrated scores, shape (n_documents, n_classes)."""
        return embeddings @ self.coef.T + self.intercept

    def predict_proba(self, embeddings: Embeddings) -> Floats:
        """Return calibrated probabilities, shape (n_documents, n_classes); rows sum to 1."""
        return softmax(self.scores(embeddings), self.temperature)


@dataclass(frozen=True, slots=True)
class HeadFit:
    """A head and what was learned about it on documents it had not seen.

    Attributes
    ----------
    head : LinearHead
        Trained on every document.
    inverse_regularisation : float
        The chosen C.
    race : dict of float to float
        Held-out log loss of each C that was tried, at its best temperature.
    folds : ndarray of int, shape (n_documents,)
        Fold in which a document was held out; -1 for the only document of a class, which never was.
    held_out_proba : ndarray of float64, shape (n_documents, n_classes)
        Calibrated probabilities from heads that had not seen the document; zeros where never held out.
    """

    head: LinearHead
    inverse_regularisation: float
    race: dict[float, float]
    folds: Ints
    held_out_proba: Floats

    @property
    def n_folds(self) -> int:
        """How many folds there were; 0 where no class has two documents."""
        return int(self.folds.max(initial=ALWAYS_IN_TRAINING)) + 1


def assign_folds(y: Ints, n_folds: int, seed: int, groups: Ints | None = None) -> Ints:
    """Spread each class over the folds as evenly as can be.

    Parameters
    ----------
    y : ndarray of int, shape (n_documents,)
        Classes.
    n_folds : int
        How many folds; fewer are used where no class has that many documents.
    seed : int
        Shuffles within each class; classes take turns in order of their first document, so that
        the folds do not depend on what the classes are called.

    groups : ndarray of int, shape (n_documents,), or None
        Documents of one group, such as equal texts, are held out together; each is its own where None.

    Returns
    -------
    ndarray of int, shape (n_documents,)
        Fold of each document. The only document or group of a class gets -1: it stays in every training part,
        so that no head is asked for a class it never saw.
    """
    rng = np.random.default_rng(seed)
    if groups is None:
        groups = np.arange(len(y))
    _, first_rows, group_of = np.unique(groups, return_index=True, return_inverse=True)
    group_y = y[first_rows]
    counts = np.bincount(group_y, minlength=int(y.max()) + 1)
    n_folds = min(n_folds, int(counts.max()))
    folds = np.full(len(group_y), ALWAYS_IN_TRAINING, dtype=np.intp)
    offset = 0
    _, first_of_class = np.unique(y, return_index=True)
    for label in y[np.sort(first_of_class)]:
        if counts[label] < 2:
            continue
        members = rng.permutation(np.flatnonzero(group_y == label))
        folds[members] = (np.arange(len(members)) + offset) % n_folds
        offset += len(members)
    for label in np.unique(y):
        held_in = np.unique(folds[group_of][y == label])
        if len(held_in) == 1:  # its only other documents share a text with another label
            folds[group_of[y == label]] = ALWAYS_IN_TRAINING
    return folds[group_of]


def class_weights(y: Ints, n_classes: int) -> Floats:
    """Weigh documents of rare classes up, by the square root of their rarity.

    Full balancing makes rare classes win too often where classes overlap, none at all makes them
    disappear; the square root lies between and keeps probabilities easy to calibrate.

    Returns
    -------
    ndarray of float64, shape (n_documents,)
        Mean 1.
    """
    counts = np.bincount(y, minlength=n_classes)
    weights = 1.0 / np.sqrt(counts[y])
    return np.asarray(weights / weights.mean(), dtype=np.float64)


def fit_logistic(
    embeddings: Embeddings, y: Ints, *, groups: Ints | None = None, seed: int = 0, refit: Refit | None = None
) -> HeadFit:
    """Train multinomial logistic regression; regularisation and temperature by cross-validation.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
    y : ndarray of int, shape (n_documents,)
        Classes 0 to n_classes - 1, each present at least once, at least two of them.
    groups : ndarray of int, shape (n_documents,), or None
        Documents that are held out together, see `assign_folds`.
    seed : int, default=0
        Decides the folds.
    refit : callable or None
        For an embedder that learns from texts: takes a mask of documents, shape (n_documents,), and gives the
        embeddings of all documents by an embedder that learned from those alone. Without it, held-out documents
        would have been learned from.

    Returns
    -------
    HeadFit
        The head, trained on every document, and its held-out probabilities.

    Notes
    -----
    Within a fold the candidates are fitted from strong to weak regularisation, each from the solution
    before it, and the path ends once the held-out log loss has passed its lowest point. The chosen C is
    the strongest regularisation within one standard error of the lowest loss.

    References
    ----------
    Breiman et al. (1984), Classification and Regression Trees, section 3.4.3 (the one-standard-error rule)
    """
    n_classes = int(y.max()) + 1
    weights = class_weights(y, n_classes)
    folds = assign_folds(y, FOLDS_OF_MANY if len(y) > MANY_DOCUMENTS else N_FOLDS, seed, groups)
    held_out = folds != ALWAYS_IN_TRAINING
    proba = np.zeros((len(y), n_classes))
    with _undisturbed_solvers():
        if not held_out.any():
            return HeadFit(LinearHead(*_Path(embeddings, y, weights).fit(1.0), 1.0), 1.0, {}, folds, proba)
        race, chosen = _race(_by_fold(embeddings, folds, refit), y, weights, folds)
        coef, intercept = _Path(embeddings, y, weights).fit(chosen.c)
    proba[held_out] = cross_fitted_proba(chosen.scores[held_out], y[held_out], folds[held_out])
    temperature = fit_temperature(chosen.scores[held_out], y[held_out])
    return HeadFit(LinearHead(coef, intercept, temperature), chosen.c, race, folds, proba)


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
    with _undisturbed_solvers():
        heads: list[LinearHead] = workers(delayed(_fit_part)(*part, c) for part in parts)
    return heads


HEADS: dict[str, Callable[..., HeadFit]] = {"logistic": fit_logistic}


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One C with its out-of-fold scores, their loss, and the standard error of that mean."""

    c: float
    loss: float
    standard_error: float
    scores: NDArray[np.float32]


def _by_fold(embeddings: Embeddings, folds: Ints, refit: Refit | None) -> list[Embeddings]:
    """Return the embeddings of all documents as each fold's training part makes them."""
    return [embeddings if refit is None else refit(folds != fold) for fold in range(int(folds.max()) + 1)]


def _race(
    by_fold: Sequence[Embeddings], y: Ints, weights: Floats, folds: Ints
) -> tuple[dict[float, float], _Candidate]:
    """Follow the regularisation path in all folds at once until the held-out loss turns up."""
    from joblib import Parallel, delayed

    held_out = folds != ALWAYS_IN_TRAINING
    parts = [folds != fold for fold in range(int(folds.max()) + 1)]
    paths = [_Path(found[part], y[part], weights[part]) for found, part in zip(by_fold, parts, strict=True)]
    workers = Parallel(n_jobs=-1, prefer="threads")
    candidates: list[_Candidate] = []
    for c in INVERSE_REGULARISATION:
        scores = np.zeros((len(y), int(y.max()) + 1), dtype=np.float32)
        solutions = workers(delayed(path.fit)(c) for path in paths)
        for found, part, (coef, intercept) in zip(by_fold, parts, solutions, strict=True):
            scores[~part] = found[~part] @ coef.T + intercept
        temperature = fit_temperature(scores[held_out], y[held_out])
        losses = log_losses(scores[held_out], y[held_out], temperature)
        error = float(losses.std() / np.sqrt(len(losses)))
        candidates.append(_Candidate(c, float(losses.mean()), error, scores))
        if len(candidates) > 1 and candidates[-1].loss >= candidates[-2].loss:
            break
    lowest = min(candidates, key=lambda candidate: candidate.loss)
    limit = lowest.loss + lowest.standard_error
    chosen = next(candidate for candidate in candidates if candidate.loss <= limit)
    return {candidate.c: candidate.loss for candidate in candidates}, chosen


def _fit_part(embeddings: Embeddings, y: Ints, start: LinearHead | None, c: float) -> LinearHead:
    """Train one head at one C."""
    path = _Path(embeddings, y, class_weights(y, int(y.max()) + 1))
    if start is not None:
        path.begin_from(start)
    return LinearHead(*path.fit(c), 1.0)


@contextmanager
def _undisturbed_solvers() -> Iterator[None]:
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


class _Path:
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

    def fit(self, c: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return ``coef (n_classes, n_dims)`` and ``intercept (n_classes,)``."""
        embeddings, y, weights = self._data
        # The gradient is spread over the classes and flattens as C grows: with a fixed tolerance a
        # warm start would stop at once, and several C would share one solution.
        self._model.set_params(C=c, tol=_GRADIENT_TOLERANCE / (self._n_classes * c**0.5))
        self._model.fit(embeddings, y, sample_weight=weights)
        coef: NDArray[np.float32] = np.ascontiguousarray(self._model.coef_, dtype=np.float32)
        intercept: NDArray[np.float32] = self._model.intercept_.astype(np.float32)
        if len(coef) == 1:
            half, bias = coef / np.float32(2), intercept / np.float32(2)
            return np.vstack([-half, half]), np.concatenate([-bias, bias])
        return coef, intercept
