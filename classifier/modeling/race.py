"""The race for a head: each half, its regularisation and its share are chosen on documents that were held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints, fit_scales, log_losses
from classifier.embedding.contract import Embeddings
from classifier.modeling.folds import ALWAYS_IN_TRAINING
from classifier.modeling.head import LexicalWeights, LinearHead
from classifier.modeling.learning_curve import LearningPoint, learning_curve
from classifier.modeling.lexical import Lexicon, SparseRows, fit_lexicon, restricted
from classifier.modeling.priors import LabelPriors, LabelTrust
from classifier.modeling.progress import Step, silent
from classifier.modeling.solvers import Weights, fit_margins, in_threads, undisturbed_solvers
from classifier.modeling.task import Scores, Task, weighted_sum

Refit = Callable[[NDArray[np.bool_]], Embeddings]

INVERSE_REGULARISATION = (1.0, 3.0, 10.0, 30.0, 100.0)
LEXICAL_INVERSE_REGULARISATION = (0.3, 1.0)
DENSE, LEXICAL, BOTH = "embedding", "words", "embedding and words"


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
    trust : LabelTrust or None
        How far the names of the labels were trusted; None where they were not given.
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
    trust: LabelTrust | None = None

    @property
    def n_folds(self) -> int:
        """How many folds there were; 0 where no class has two documents."""
        return int(self.folds.max(initial=ALWAYS_IN_TRAINING)) + 1


@dataclass(frozen=True, slots=True)
class _Half:
    """The chosen candidate of one half: its C, its out-of-fold scores, and all that were tried."""

    c: float
    scores: Scores
    entrants: tuple[Entrant, ...]


def fit_logistic(
    embeddings: Embeddings,
    y: Ints,
    *,
    texts: Sequence[str] = (),
    groups: Ints | None = None,
    seed: int = 0,
    refit: Refit | None = None,
    priors: LabelPriors | None = None,
    step: Step = silent,
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
    return _fit_dense(
        Task.of(embeddings, y, texts=texts, groups=groups, seed=seed, refit=refit, priors=priors, step=step)
    )


def fit_hybrid(
    embeddings: Embeddings,
    y: Ints,
    *,
    texts: Sequence[str],
    groups: Ints | None = None,
    seed: int = 0,
    refit: Refit | None = None,
    priors: LabelPriors | None = None,
    step: Step = silent,
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
        embeddings of all documents, and behind them those of all `priors`, by an embedder that learned from the
        documents of the mask alone. Without it, held-out documents would have been learned from.
    priors : LabelPriors or None
        What the labels say by themselves. As far as the documents agree, it is trained on as well; the more documents
        a label has, the less.
    step : callable
        Called at the beginning of each step with a few words for it.

    Returns
    -------
    HeadFit
        The head, trained on every document, and its held-out probabilities.

    Notes
    -----
    Each half is trained by itself, in the way that suits it: logistic regression on the dense vectors, a linear
    support vector machine on the sparse rows. The sum of both, each times a factor, is one linear head on both
    kinds of features; the two factors are those with the lowest log loss on held-out scores, so that the sum is
    calibrated, too. A half that does not help gets the factor 0. `Task` says what is different for very few documents
    and for very many classes.
    """
    task = Task.of(embeddings, y, texts=texts, groups=groups, seed=seed, refit=refit, priors=priors, step=step)
    if task.is_huge:
        return _fit_dense(task)
    task.step("counting words")
    lexicon, rows = fit_lexicon(task.texts, n_classes=task.n_classes)
    if not len(lexicon):
        return _fit_dense(task)
    with undisturbed_solvers():
        by_fold = list(task.embeddings_by_fold())
        dense = _race_dense(task, by_fold)
        lexical, n_columns = _race_lexical(task, rows, len(lexicon.words), dense.scores)
        if n_columns < len(lexicon):
            lexicon, rows = Lexicon(lexicon.words, (), lexicon.idf[:n_columns]), _first_columns(rows, n_columns)
        halves = {DENSE: dense, LEXICAL: lexical}
        task.step("all documents")
        trained = _train(task, rows.matrix(), halves)
        fitted = _measured(task, trained, halves, lexicon)
        if not task.n_folds:
            return fitted
        task.step("fewer documents")
        first = replace(task, embeddings=by_fold[0])
        known = restricted(rows, task.folds != 0, len(lexicon.words)).matrix()
        return replace(fitted, learning_curve=_curve(first, known, halves))


HEADS: dict[str, Callable[..., HeadFit]] = {"hybrid": fit_hybrid, "logistic": fit_logistic}


def _fit_dense(task: Task) -> HeadFit:
    """Train a head on the embeddings alone."""
    with undisturbed_solvers():
        dense = _race_dense(task, list(task.embeddings_by_fold()))
        trained = task.solver(task.embeddings)(dense.c)
    return _measured(task, [trained], {DENSE: dense}, None)


def _train(task: Task, matrix: Any, halves: dict[str, _Half]) -> list[Weights]:
    """Train both halves at the same time."""
    dense = partial(task.solver(task.embeddings), halves[DENSE].c)
    return in_threads([dense, partial(fit_margins, matrix, task.y, task.weights, halves[LEXICAL].c, seed=task.seed)])


def _factors(task: Task, halves: dict[str, _Half]) -> Floats:
    """Find the halves' factors by their held-out scores."""
    rows = task.held_out
    return task.factors([half.scores[rows] for half in halves.values()], task.y[rows])


def _measured(task: Task, trained: Sequence[Weights], halves: dict[str, _Half], lexicon: Lexicon | None) -> HeadFit:
    """Join trained halves to one head, calibrate it on their held-out scores, and tell how they fared."""
    rows, factors = task.held_out, _factors(task, halves)
    y, scores = task.y[rows], [half.scores[rows] for half in halves.values()]
    total = weighted_sum(scores, factors) if len(halves) > 1 else scores[0]
    evidence = np.full(task.n_documents, np.nan)
    evidence[rows] = total.max(axis=1)
    race = [entrant for half in halves.values() for entrant in half.entrants]
    if len(halves) > 1 and task.n_folds:
        race.append(replace(_entrant(BOTH, 0.0, total, y), chosen=True))
    return HeadFit(
        head=_joined(trained, factors),
        lexicon=lexicon,
        race=tuple(race),
        inverse_regularisation=halves[DENSE].c,
        folds=task.folds[: task.n_documents],
        held_out_proba=task.held_out_proba([half.scores for half in halves.values()]),
        baselines={name: task.held_out_proba([half.scores]) for name, half in halves.items()} if task.n_folds else {},
        held_out_evidence=evidence,
        trust=task.trust,
    )


def _race_dense(task: Task, by_fold: Sequence[Embeddings]) -> _Half:
    """Follow the regularisation path in all folds at once until the held-out loss turns up."""
    if not task.n_folds:
        return _Half(task.default_c, np.zeros((len(task.y), task.n_classes), dtype=np.float32), ())
    rows = task.held_out
    parts = [task.folds != fold for fold in range(task.n_folds)]
    solvers = [task.solver(found, part) for found, part in zip(by_fold, parts, strict=True)]
    candidates: list[tuple[Scores, Entrant, float]] = []
    for c in INVERSE_REGULARISATION if task.may_race else (task.default_c,):
        task.step(f"{DENSE}, C = {c:g}")
        scores = np.zeros((len(task.y), task.n_classes), dtype=np.float32)
        solutions = in_threads([partial(solver, c) for solver in solvers])
        for found, part, (coef, intercept) in zip(by_fold, parts, solutions, strict=True):
            scores[~part] = found[~part] @ coef.T + intercept
        losses = _losses(scores[rows], task.y[rows])
        entrant = _entrant(DENSE, c, scores[rows], task.y[rows], losses)
        candidates.append((scores, entrant, float(losses.std() / np.sqrt(len(losses)))))
        if len(candidates) > 1 and entrant.loss >= candidates[-2][1].loss:
            break
    _, lowest, error = min(candidates, key=lambda candidate: candidate[1].loss)
    highest = lowest.loss if task.is_lean else lowest.loss + error
    scores, chosen, _ = next(found for found in candidates if found[1].loss <= highest)
    entrants = tuple(replace(entrant, chosen=entrant is chosen) for _, entrant, _ in candidates)
    return _Half(chosen.c, scores, entrants)


def _race_lexical(task: Task, rows: SparseRows, n_words: int, dense: Scores) -> tuple[_Half, int]:
    """Try kinds of terms and regularisations in one fold, beside the dense half, and the best of them in all folds."""
    kinds = {"words": n_words} | ({"words and parts": rows.n_columns} if rows.n_columns > n_words else {})
    tried = [(name, n_columns, c) for name, n_columns in kinds.items() for c in LEXICAL_INVERSE_REGULARISATION]
    if not task.may_race:
        tried = tried[-1:]
    if not task.n_folds:
        return _Half(tried[-1][2], np.zeros_like(dense), ()), rows.n_columns
    by_fold = [restricted(rows, task.folds != fold, n_words) for fold in range(task.n_folds)]

    def scores_of(fold: int, n_columns: int, c: float) -> Scores:
        matrix, part = by_fold[fold].matrix()[:, :n_columns], task.folds != fold
        coef, intercept = fit_margins(matrix[part], task.y[part], task.weights[part], c, seed=task.seed)
        return np.asarray(matrix[~part] @ coef + intercept, dtype=np.float32)

    first, found = task.folds == 0, []
    for name, n_columns, c in tried:
        task.step(f"{name}, C = {c:g}")
        found.append(scores_of(0, n_columns, c))
    entrants = [
        _entrant(f"{DENSE} and {name}", c, _best_sum([dense[first], scores], task.y[first]), task.y[first])
        for (name, _, c), scores in zip(tried, found, strict=True)
    ]
    best = min(range(len(tried)), key=lambda row: entrants[row].loss)
    name, n_columns, c = tried[best]
    scores = np.zeros_like(dense)
    scores[first] = found[best]
    for fold in range(1, task.n_folds):
        task.step(f"{name}, part {fold + 1} of {task.n_folds}")
        scores[task.folds == fold] = scores_of(fold, n_columns, c)
    alone = _entrant(name, c, scores[task.held_out], task.y[task.held_out])
    marked = (replace(entrant, chosen=row == best) for row, entrant in enumerate(entrants))
    return _Half(c, scores, (*marked, alone)), n_columns


def _curve(task: Task, matrix: Any, halves: dict[str, _Half]) -> tuple[LearningPoint, ...]:
    """Train what won the race on fewer documents."""
    factors = _factors(task, halves)
    held_out = np.flatnonzero(task.folds == 0)

    def answers_of(documents: NDArray[np.bool_]) -> Ints:
        rows = np.concatenate([documents, np.ones(len(task.y) - task.n_documents, dtype=np.bool_)])
        (coef, intercept), (terms, bias) = _train(task.part(documents), matrix[rows], halves)
        scores = [task.embeddings[held_out] @ coef.T + intercept, matrix[held_out] @ terms + bias]
        found: Ints = weighted_sum(scores, factors).argmax(axis=1)
        return found

    return learning_curve(answers_of, task.y[: task.n_documents], task.folds[: task.n_documents] == 0)


def _joined(halves: Sequence[Weights], factors: Floats) -> LinearHead:
    """Make one head of its halves and their factors; the factor of a dense half alone becomes its temperature."""
    coef, intercept = halves[0]
    if len(halves) == 1:
        return LinearHead(coef, intercept, 1 / float(factors[0]))
    lexical_coef, lexical_intercept = halves[1]
    dense, lexical = (np.float32(factor) for factor in factors)
    half = LexicalWeights(lexical_coef * lexical, lexical_intercept * lexical)
    return LinearHead(coef * dense, intercept * dense, 1.0, half)


def _first_columns(rows: SparseRows, n_columns: int) -> SparseRows:
    """Keep the first columns."""
    matrix = rows.matrix()[:, :n_columns].tocsr()
    return SparseRows(matrix.data, matrix.indices, matrix.indptr.astype(np.int64), n_columns)


def _best_sum(scores: Sequence[Scores], y: Ints) -> Floats:
    """Add scores up with the factors that suit these documents best."""
    return weighted_sum(scores, fit_scales(scores, y))


def _losses(scores: NDArray[np.floating], y: Ints) -> Floats:
    """Return the log losses of documents at the best temperature."""
    return log_losses(scores, y, 1 / float(fit_scales([scores], y)[0]))


def _entrant(features: str, c: float, scores: Any, y: Ints, losses: Floats | None = None) -> Entrant:
    """Say how a candidate fared."""
    losses = _losses(scores, y) if losses is None else losses
    return Entrant(features, c, float(losses.mean()), float((scores.argmax(axis=1) == y).mean()), len(y))
