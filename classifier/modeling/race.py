"""The race for a head: each half, its regularisation and its share are chosen on documents that were held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints, cross_fitted_proba, fit_scales, log_losses
from classifier.embedding.contract import Embeddings
from classifier.modeling.folds import ALWAYS_IN_TRAINING, FOLDS_OF_MANY, MANY_DOCUMENTS, N_FOLDS, assign_folds
from classifier.modeling.folds import class_weights as weigh
from classifier.modeling.head import LexicalWeights, LinearHead
from classifier.modeling.learning_curve import LearningPoint, learning_curve
from classifier.modeling.lexical import Lexicon, SparseRows, fit_lexicon, restricted
from classifier.modeling.solvers import LogisticPath, Weights, fit_margins, undisturbed_solvers

Refit = Callable[[NDArray[np.bool_]], Embeddings]

INVERSE_REGULARISATION = (1.0, 3.0, 10.0, 30.0, 100.0)
LEXICAL_INVERSE_REGULARISATION = (0.3, 1.0)
DENSE, LEXICAL, BOTH = "embedding", "words", "embedding and words"
_UNMEASURED_SCALES = (10.0, 5.0)


@dataclass(frozen=True, slots=True)
class Entrant:
    """One candidate of the race, and how it fared on held-out documents.

    Attributes
    ----------
    features : str
        ``embedding``, ``words``, ``words and parts``, or a sum of two.
    c : float
        Inverse regularisation; 0 for a sum of two, whose halves have their own.
    loss, accuracy : float
        Held-out log loss at its best temperature, and share of right answers.
    n_documents : int
        On how many documents.
    chosen : bool
        Whether it is in the head.
    """

    features: str
    c: float
    loss: float
    accuracy: float
    n_documents: int
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class HeadFit:
    """A head and what was learned about it on documents it had not seen.

    Attributes
    ----------
    head : LinearHead
        Trained on every document.
    lexicon : Lexicon or None
        What turns texts into the sparse half of its features.
    race : tuple of Entrant
        All that were tried.
    inverse_regularisation : float
        The chosen C of the dense half.
    folds : ndarray of int, shape (n_documents,)
        Fold in which a document was held out; -1 for the only document of a class, which never was.
    held_out_proba : ndarray of float64, shape (n_documents, n_classes)
        Calibrated probabilities from heads that had not seen the document; zeros where never held out.
    baselines : dict of str to ndarray
        The same of each half alone.
    held_out_evidence : ndarray of float64, shape (n_documents,)
        The highest score of any class from such a head; nan where never held out.
    learning_curve : tuple of LearningPoint
        How it fares with fewer documents; empty where that was not measured.
    """

    head: LinearHead
    lexicon: Lexicon | None
    race: tuple[Entrant, ...]
    inverse_regularisation: float
    folds: Ints
    held_out_proba: Floats
    baselines: dict[str, Floats]
    held_out_evidence: Floats
    learning_curve: tuple[LearningPoint, ...] = ()

    @property
    def n_folds(self) -> int:
        """How many folds there were; 0 where no class has two documents."""
        return int(self.folds.max(initial=ALWAYS_IN_TRAINING)) + 1


@dataclass(frozen=True, slots=True)
class _Half:
    """The chosen candidate of one half: its C, its out-of-fold scores, and its trained weights."""

    c: float
    scores: NDArray[np.float32]
    entrants: tuple[Entrant, ...]


def fit_logistic(
    embeddings: Embeddings,
    y: Ints,
    *,
    texts: Sequence[str] = (),  # noqa: ARG001 # one signature for all heads
    groups: Ints | None = None,
    seed: int = 0,
    refit: Refit | None = None,
) -> HeadFit:
    """Train multinomial logistic regression on the embeddings alone; see `fit_hybrid` for the parameters.

    Notes
    -----
    Within a fold the candidates are fitted from strong to weak regularisation, each from the solution before it, and
    the path ends once the held-out log loss has passed its lowest point. The chosen C is the strongest regularisation
    within one standard error of the lowest loss.

    References
    ----------
    Breiman et al. (1984), Classification and Regression Trees, section 3.4.3 (the one-standard-error rule)
    """
    n_classes = int(y.max()) + 1
    weights = weigh(y, n_classes)
    folds = _folds(y, groups, seed)
    held_out = folds != ALWAYS_IN_TRAINING
    proba = np.zeros((len(y), n_classes))
    with undisturbed_solvers():
        if not held_out.any():
            coef, intercept = LogisticPath(embeddings, y, weights).fit(1.0)
            never = np.full(len(y), np.nan)
            return HeadFit(LinearHead(coef, intercept, 1.0), None, (), 1.0, folds, proba, {}, never)
        dense = _race_dense(_by_fold(embeddings, folds, refit), y, weights, folds)
        coef, intercept = LogisticPath(embeddings, y, weights).fit(dense.c)
    proba[held_out] = cross_fitted_proba([dense.scores[held_out]], y[held_out], folds[held_out])
    temperature = 1 / float(fit_scales([dense.scores[held_out]], y[held_out])[0])
    head = LinearHead(coef, intercept, temperature)
    evidence = np.where(held_out, dense.scores.max(axis=1), np.nan)
    return HeadFit(head, None, dense.entrants, dense.c, folds, proba, {DENSE: proba}, evidence)


def fit_hybrid(
    embeddings: Embeddings,
    y: Ints,
    *,
    texts: Sequence[str],
    groups: Ints | None = None,
    seed: int = 0,
    refit: Refit | None = None,
) -> HeadFit:
    """Train one linear head on embeddings and words; shares, regularisation and confidence by cross-validation.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
    y : ndarray of int, shape (n_documents,)
        Classes 0 to n_classes - 1, each present at least once, at least two of them.
    texts : sequence of str
        Rows follow `embeddings`.
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
    Each half is trained by itself, in the way that suits it: logistic regression on the dense vectors, a linear
    support vector machine on the sparse rows. The sum of both, each times a factor, is one linear head on both
    kinds of features; the two factors are those with the lowest log loss on held-out scores, so that the sum is
    calibrated, too. A half that does not help gets the factor 0.
    """
    n_classes = int(y.max()) + 1
    weights = weigh(y, n_classes)
    folds = _folds(y, groups, seed)
    held_out = folds != ALWAYS_IN_TRAINING
    lexicon, rows = fit_lexicon(texts, n_classes=n_classes)
    if not len(lexicon):
        return fit_logistic(embeddings, y, groups=groups, seed=seed, refit=refit)
    proba = np.zeros((len(y), n_classes))
    with undisturbed_solvers():
        if not held_out.any():
            return _unmeasured(embeddings, lexicon, rows, y, weights, folds)
        by_fold = _by_fold(embeddings, folds, refit)
        dense = _race_dense(by_fold, y, weights, folds)
        lexical, n_columns = _race_lexical(rows, len(lexicon.words), y, weights, folds, dense.scores, seed)
        if n_columns < len(lexicon):
            lexicon, rows = Lexicon(lexicon.words, (), lexicon.idf[:n_columns]), _first_columns(rows, n_columns)
        halves = _parallel(
            [
                partial(LogisticPath(embeddings, y, weights).fit, dense.c),
                partial(fit_margins, rows.matrix(), y, weights, lexical.c, seed=seed),
            ]
        )
        scores = [dense.scores[held_out], lexical.scores[held_out]]
        factors = fit_scales(scores, y[held_out])
        first = restricted(rows, folds != 0, len(lexicon.words))
        curve = _curve(by_fold[0], first, y, folds == 0, (dense.c, lexical.c), factors)
    proba[held_out] = cross_fitted_proba(scores, y[held_out], folds[held_out])
    baselines = {}
    for name, half in ((DENSE, dense), (LEXICAL, lexical)):
        alone = np.zeros_like(proba)
        alone[held_out] = cross_fitted_proba([half.scores[held_out]], y[held_out], folds[held_out])
        baselines[name] = alone
    total = np.asarray(sum(factor * one for factor, one in zip(factors, scores, strict=True)))
    race = (*dense.entrants, *lexical.entrants, replace(_entrant(BOTH, 0.0, total, y[held_out]), chosen=True))
    evidence = np.full(len(y), np.nan)
    evidence[held_out] = total.max(axis=1)
    head = _joined(halves, factors)
    return HeadFit(head, lexicon, race, dense.c, folds, proba, baselines, evidence, curve)


HEADS: dict[str, Callable[..., HeadFit]] = {"hybrid": fit_hybrid, "logistic": fit_logistic}


def _folds(y: Ints, groups: Ints | None, seed: int) -> Ints:
    """Hold out fewer, larger parts of many documents."""
    return assign_folds(y, FOLDS_OF_MANY if len(y) > MANY_DOCUMENTS else N_FOLDS, seed, groups)


def _by_fold(embeddings: Embeddings, folds: Ints, refit: Refit | None) -> list[Embeddings]:
    """Return the embeddings of all documents as each fold's training part makes them."""
    return [embeddings if refit is None else refit(folds != fold) for fold in range(int(folds.max()) + 1)]


def _race_dense(by_fold: Sequence[Embeddings], y: Ints, weights: Floats, folds: Ints) -> _Half:
    """Follow the regularisation path in all folds at once until the held-out loss turns up."""
    held_out = folds != ALWAYS_IN_TRAINING
    parts = [folds != fold for fold in range(int(folds.max()) + 1)]
    paths = [LogisticPath(found[part], y[part], weights[part]) for found, part in zip(by_fold, parts, strict=True)]
    candidates: list[tuple[NDArray[np.float32], Entrant, float]] = []
    for c in INVERSE_REGULARISATION:
        scores = np.zeros((len(y), int(y.max()) + 1), dtype=np.float32)
        solutions = _parallel([partial(path.fit, c) for path in paths])
        for found, part, (coef, intercept) in zip(by_fold, parts, solutions, strict=True):
            scores[~part] = found[~part] @ coef.T + intercept
        losses = _losses(scores[held_out], y[held_out])
        entrant = _entrant(DENSE, c, scores[held_out], y[held_out], losses)
        candidates.append((scores, entrant, float(losses.std() / np.sqrt(len(losses)))))
        if len(candidates) > 1 and entrant.loss >= candidates[-2][1].loss:
            break
    _, lowest, error = min(candidates, key=lambda candidate: candidate[1].loss)
    scores, chosen, _ = next(found for found in candidates if found[1].loss <= lowest.loss + error)
    entrants = tuple(replace(entrant, chosen=entrant is chosen) for _, entrant, _ in candidates)
    return _Half(chosen.c, scores, entrants)


def _race_lexical(
    rows: SparseRows, n_words: int, y: Ints, weights: Floats, folds: Ints, dense: NDArray[np.float32], seed: int
) -> tuple[_Half, int]:
    """Try kinds of terms and regularisations in one fold, beside the dense half, and the best of them in all folds."""
    by_fold = [restricted(rows, folds != fold, n_words) for fold in range(int(folds.max()) + 1)]
    kinds = {"words": n_words} | ({"words and parts": rows.n_columns} if rows.n_columns > n_words else {})

    def scores_of(fold: int, n_columns: int, c: float) -> NDArray[np.float32]:
        matrix, part = by_fold[fold].matrix()[:, :n_columns], folds != fold
        coef, intercept = fit_margins(matrix[part], y[part], weights[part], c, seed=seed)
        return np.asarray(matrix[~part] @ coef + intercept, dtype=np.float32)

    tried = [(name, n_columns, c) for name, n_columns in kinds.items() for c in LEXICAL_INVERSE_REGULARISATION]
    first = folds == 0
    found = _parallel([partial(scores_of, 0, n_columns, c) for _, n_columns, c in tried])
    entrants = [
        _entrant(f"{DENSE} and {name}", c, _best_sum([dense[first], scores], y[first]), y[first])
        for (name, _, c), scores in zip(tried, found, strict=True)
    ]
    best = min(range(len(tried)), key=lambda row: entrants[row].loss)
    name, n_columns, c = tried[best]
    scores = np.zeros_like(dense)
    scores[first] = found[best]
    others = range(1, int(folds.max()) + 1)
    for fold, part in zip(others, _parallel([partial(scores_of, fold, n_columns, c) for fold in others]), strict=True):
        scores[folds == fold] = part
    held_out = folds != ALWAYS_IN_TRAINING
    alone = _entrant(name, c, scores[held_out], y[held_out])
    marked = (replace(entrant, chosen=row == best) for row, entrant in enumerate(entrants))
    return _Half(c, scores, (*marked, alone)), n_columns


def _curve(
    embeddings: Embeddings,
    rows: SparseRows,
    y: Ints,
    held_out: NDArray[np.bool_],
    cs: tuple[float, float],
    factors: Floats,
) -> tuple[LearningPoint, ...]:
    """Train what won the race on fewer documents."""
    matrix = rows.matrix()

    def answers_of(part: NDArray[np.bool_]) -> Ints:
        weights = weigh(y[part], int(y.max()) + 1)
        halves = _parallel(
            [
                partial(LogisticPath(embeddings[part], y[part], weights).fit, cs[0]),
                partial(fit_margins, matrix[part], y[part], weights, cs[1]),
            ]
        )
        (coef, intercept), (lexical_coef, lexical_intercept) = halves
        dense, lexical = embeddings[held_out] @ coef.T + intercept, matrix[held_out] @ lexical_coef + lexical_intercept
        found: Ints = (factors[0] * dense + factors[1] * lexical).argmax(axis=1)
        return found

    return learning_curve(answers_of, y, held_out)


def _unmeasured(
    embeddings: Embeddings, lexicon: Lexicon, rows: SparseRows, y: Ints, weights: Floats, folds: Ints
) -> HeadFit:
    """Train a head where nothing can be held out."""
    dense = LogisticPath(embeddings, y, weights).fit(1.0)
    lexical = fit_margins(rows.matrix(), y, weights, 1.0)
    head = _joined([dense, lexical], np.array(_UNMEASURED_SCALES))
    proba, never = np.zeros((len(y), len(dense[0]))), np.full(len(y), np.nan)
    return HeadFit(head, lexicon, (), 1.0, folds, proba, {}, never)


def _joined(halves: Sequence[Weights], factors: Floats) -> LinearHead:
    """Make one head of two halves and their factors."""
    (coef, intercept), (lexical_coef, lexical_intercept) = halves
    dense, lexical = (np.float32(factor) for factor in factors)
    half = LexicalWeights(lexical_coef * lexical, lexical_intercept * lexical)
    return LinearHead(coef * dense, intercept * dense, 1.0, half)


def _first_columns(rows: SparseRows, n_columns: int) -> SparseRows:
    """Keep the first columns."""
    matrix = rows.matrix()[:, :n_columns].tocsr()
    return SparseRows(matrix.data, matrix.indices, matrix.indptr.astype(np.int64), n_columns)


def _best_sum(scores: Sequence[NDArray[np.float32]], y: Ints) -> Floats:
    """Add scores up with the factors that suit these documents best."""
    factors = fit_scales(scores, y)
    return np.asarray(sum(factor * one for factor, one in zip(factors, scores, strict=True)), dtype=np.float64)


def _losses(scores: NDArray[np.floating], y: Ints) -> Floats:
    """Return the log losses of documents at the best temperature."""
    return log_losses(scores, y, 1 / float(fit_scales([scores], y)[0]))


def _entrant(features: str, c: float, scores: Any, y: Ints, losses: Floats | None = None) -> Entrant:
    """Say how a candidate fared."""
    losses = _losses(scores, y) if losses is None else losses
    return Entrant(features, c, float(losses.mean()), float((scores.argmax(axis=1) == y).mean()), len(y))


def _parallel(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run jobs on all cores, in threads; results follow `jobs`."""
    from joblib import Parallel, delayed

    results: list[Any] = Parallel(n_jobs=-1, prefer="threads")(delayed(job)() for job in jobs)
    return results
