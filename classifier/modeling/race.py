"""The race for a head: each half, its regularisation and its share are chosen on documents that were held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints
from classifier.embedding.contract import Embeddings
from classifier.modeling.choices import BOTH, DENSE, LEXICAL, Choices
from classifier.modeling.folds import ALWAYS_IN_TRAINING
from classifier.modeling.halves import (
    Entrant,
    Half,
    measured,
    race_dense,
    race_terms,
    side_by_side,
    training_jobs,
)
from classifier.modeling.head import LexicalWeights, LinearHead
from classifier.modeling.learning_curve import LearningPoint, learning_curve, nested_parts
from classifier.modeling.lexical import Lexicon, fit_lexicon, restricted
from classifier.modeling.priors import LabelPriors, LabelTrust
from classifier.modeling.solvers import LOGISTIC, SQUARED_HINGE, Weights
from classifier.modeling.sparse import SparseRows
from classifier.modeling.task import Mask, Task, weighted_sum
from classifier.modeling.workers import undisturbed_solvers
from classifier.progress import Step, silent

Refit = Callable[[NDArray[np.bool_]], Embeddings]

LOSSES = (LOGISTIC, SQUARED_HINGE)


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
    words_scale : float or None
        What the scores of the head's sparse half are multiplied by to be log-probabilities of their own; None where
        there is none, or it counts for nothing.
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
    words_scale: float | None = None

    @property
    def n_folds(self) -> int:
        """How many folds there were; 0 where no class has two documents."""
        return int(self.folds.max(initial=ALWAYS_IN_TRAINING)) + 1


def fit_logistic(
    embeddings: Embeddings,
    y: Ints,
    *,
    texts: Sequence[str] = (),
    groups: Ints | None = None,
    seed: int = 0,
    refit: Refit | None = None,
    priors: LabelPriors | None = None,
    choices: Choices | None = None,
    step: Step = silent,
) -> HeadFit:
    """Train multinomial logistic regression on the embeddings alone; see `fit_hybrid` for the parameters."""
    task = Task.of(
        embeddings, y, texts=texts, groups=groups, seed=seed, refit=refit, priors=priors, step=step, choices=choices
    )
    return _fit_dense(task, (LOGISTIC,))


def fit_hybrid(
    embeddings: Embeddings,
    y: Ints,
    *,
    texts: Sequence[str],
    groups: Ints | None = None,
    seed: int = 0,
    refit: Refit | None = None,
    priors: LabelPriors | None = None,
    choices: Choices | None = None,
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
    choices : Choices or None
        What an earlier race on nearly these documents chose: it is taken without another race, and no learning curve
        is made. None for a race.
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
    task = Task.of(
        embeddings, y, texts=texts, groups=groups, seed=seed, refit=refit, priors=priors, step=step, choices=choices
    )
    if task.is_huge:
        return _fit_dense(task, LOSSES)
    task.step("counting words")
    lexicon, rows = fit_lexicon(task.texts, n_classes=task.n_classes)
    if not len(lexicon):
        return _fit_dense(task, LOSSES)
    with undisturbed_solvers():
        return _fit_both(task, lexicon, rows)


HEADS: dict[str, Callable[..., HeadFit]] = {"hybrid": fit_hybrid, "logistic": fit_logistic}


def _fit_dense(task: Task, losses: Sequence[str]) -> HeadFit:
    """Train a head on the embeddings alone."""
    with undisturbed_solvers():
        dense = race_dense(task, list(task.embeddings_by_fold()), losses)
        trained = task.solver(task.embeddings, loss=dense.trained_with)(dense.c)
    return _measured(task, [trained], {DENSE: dense}, None)


def _fit_both(task: Task, lexicon: Lexicon, rows: SparseRows) -> HeadFit:
    """Train a head on embeddings and words."""
    n_words, n_columns = len(lexicon.words), len(lexicon)
    by_fold = list(task.embeddings_by_fold())
    dense = race_dense(task, by_fold, LOSSES)
    matrices = [restricted(rows, task.folds != fold, n_words).matrix() for fold in range(task.n_folds)]
    kinds = {"words": n_words} | ({"words and parts": n_columns} if n_columns > n_words else {})
    terms = race_terms(task, matrices[0] if matrices else rows.matrix(), kinds, dense.scores)
    if terms.n_columns < n_columns:
        lexicon = Lexicon(lexicon.words, (), lexicon.idf[:n_words])
    may_divide = task.n_folds and not task.choices
    parts = nested_parts(task.y[: task.n_documents], task.first_fold) if may_divide else []
    task.step("all documents, and parts of them")
    whole = training_jobs(task, rows.matrix(), dense, terms)
    others = terms.held_out_jobs(task, matrices)
    first = replace(task, embeddings=by_fold[0]) if parts else task
    fewer = [
        job
        for part in parts[:-1]
        for job in training_jobs(first.part(part), matrices[0][first.rows_of(part)], dense, terms)
    ]
    found = side_by_side([*whole, *others.values(), *fewer], task, rows.matrix())
    trained, scores, smaller = found[:2], found[2 : 2 + len(others)], found[2 + len(others) :]
    halves = {DENSE: dense, LEXICAL: terms.half(task, dict(zip(others, scores, strict=True)))}
    fitted = _measured(task, trained, halves, lexicon)
    if not parts:
        return fitted
    tested = matrices[0][task.folds == 0, : terms.n_columns]
    return replace(fitted, learning_curve=_curve(first, tested, halves, parts, smaller))


def _factors(task: Task, halves: dict[str, Half]) -> Floats:
    """Find the halves' factors by their held-out scores."""
    rows = task.held_out
    return task.factors([half.scores[rows] for half in halves.values()], task.y[rows])


def _measured(task: Task, trained: Sequence[Weights], halves: dict[str, Half], lexicon: Lexicon | None) -> HeadFit:
    """Join trained halves to one head, calibrate it on their held-out scores, and tell how they fared."""
    rows, factors = task.held_out, _factors(task, halves)
    y, scores = task.y[rows], [half.scores[rows] for half in halves.values()]
    total = weighted_sum(scores, factors) if len(halves) > 1 else scores[0]
    evidence = np.full(task.n_documents, np.nan)
    evidence[rows] = total.max(axis=1)
    race = [entrant for half in halves.values() for entrant in half.entrants]
    if len(halves) > 1 and task.n_folds:
        race.append(replace(measured(BOTH, 0.0, total, y).entrant, chosen=True))
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
        words_scale=_words_scale(task, halves, factors),
    )


def _words_scale(task: Task, halves: dict[str, Half], factors: Floats) -> float | None:
    """Find what makes log-probabilities of the sparse half, as it is in the head."""
    rows = task.held_out
    if LEXICAL not in halves or not len(rows) or not factors[1]:
        return None
    return float(task.factors([halves[LEXICAL].scores[rows]], task.y[rows])[0] / factors[1])


def _curve(
    task: Task, tested: Any, halves: dict[str, Half], parts: Sequence[Mask], smaller: Sequence[Weights]
) -> tuple[LearningPoint, ...]:
    """Measure what was trained on parts of the documents; on the last part, all, the race itself has trained."""
    factors, rows = _factors(task, halves), np.flatnonzero(task.folds == 0)
    scores = [
        [task.embeddings[rows] @ coef.T + intercept, tested @ terms + bias]
        for (coef, intercept), (terms, bias) in zip(smaller[::2], smaller[1::2], strict=True)
    ]
    scores.append([half.scores[rows] for half in halves.values()])
    return learning_curve(parts, [weighted_sum(both, factors).argmax(axis=1) for both in scores], task.y[rows])


def _joined(halves: Sequence[Weights], factors: Floats) -> LinearHead:
    """Make one head of its halves and their factors; the factor of a dense half alone becomes its temperature."""
    coef, intercept = halves[0]
    if len(halves) == 1:
        return LinearHead(coef, intercept, 1 / float(factors[0]))
    lexical_coef, lexical_intercept = halves[1]
    dense, lexical = (np.float32(factor) for factor in factors)
    half = LexicalWeights(lexical_coef * lexical, lexical_intercept * lexical)
    return LinearHead(coef * dense, intercept * dense, 1.0, half)
