"""What a head is trained on, documents and behind them the texts of labels; and how much so many can decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints, cross_fitted_proba, fit_scales, softmax
from classifier.embedding.contract import Embeddings
from classifier.modeling.choices import Choices
from classifier.modeling.folds import ALWAYS_IN_TRAINING, FOLDS_OF_MANY, MANY_DOCUMENTS, N_FOLDS, assign_folds
from classifier.modeling.folds import class_weights as weigh
from classifier.modeling.priors import FADED, LabelPriors, LabelTrust
from classifier.modeling.solvers import LOGISTIC, LogisticPath, Weights, fit_dense_margins
from classifier.progress import Step, silent

Mask = NDArray[np.bool_]
Scores = NDArray[np.float32]

FEW_HELD_OUT = 100
MANY_SCORES = 5_000_000
FEW_PER_CLASS = 10
_UNMEASURED_C = 1.0
_UNMEASURED_FACTORS = {1: (1.0,), 2: (10.0, 5.0)}
_UNRACED_C = 10.0
_EXPECTED_FACTORS = (2.5, 1.0)
_EXPECTED_COUNT = 50
_MEANS_SCALE = np.float32(10)


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Rows to train on: documents, and behind them the texts of labels that count, which are never held out.

    Attributes
    ----------
    embeddings : ndarray of float32, shape (n_rows, n_dims)
    texts : sequence of str
    y : ndarray of int, shape (n_rows,)
    weights : ndarray of float64, shape (n_rows,)
        How much each row counts.
    folds : ndarray of int, shape (n_rows,)
        Fold in which a row is held out; -1 for those that never are.
    n_documents : int
        How many of the rows are documents.
    seed : int
    refit : callable or None
        Takes a mask of rows and gives the embeddings of all rows by an embedder that learned from those documents.
    step : callable
        Takes a few words at the beginning of each step.
    trust : LabelTrust or None
        How far the names of labels are trusted; None where they were not given.
    choices : Choices or None
        What an earlier race chose, which is taken as it is; None for a race.

    Notes
    -----
    Three sizes of data have rules of their own, the first two only where the texts of labels were given.

    Few documents are held out, fewer than `FEW_HELD_OUT`: they cannot choose a regularisation, and how two factors
    fitted to them alone compare varies wildly. C is 10, and the halves' shares are a mean of those that fit and of 2.5
    for the dense and 1 for the sparse half, which count as 50 documents. How sure their sum is, the held-out documents
    alone decide. Where no document is held out, 2.5 and 1 are taken as they are.

    A label has few documents, fewer than `FADED`: the lowest held-out loss decides, without the standard error's grace.

    A huge task, of more than `MANY_SCORES` documents times classes: the sparse half is left out and C is 10. Where
    there are fewer than `FEW_PER_CLASS` documents per class on average, the dense half is the mean of each class,
    which among so few is nearly as good as logistic regression and takes no time.
    """

    embeddings: Embeddings
    texts: Sequence[str]
    y: Ints
    weights: Floats
    folds: Ints
    n_documents: int
    seed: int
    refit: Callable[[Mask], Embeddings] | None
    step: Step = silent
    trust: LabelTrust | None = None
    choices: Choices | None = None

    @classmethod
    def of(
        cls,
        embeddings: Embeddings,
        y: Ints,
        *,
        texts: Sequence[str],
        groups: Ints | None,
        seed: int,
        refit: Callable[[Mask], Embeddings] | None,
        priors: LabelPriors | None,
        step: Step,
        choices: Choices | None = None,
    ) -> Self:
        """Assign folds and weights to documents, and put the texts of labels behind them as far as they are trusted."""
        folds = assign_folds(y, FOLDS_OF_MANY if len(y) > MANY_DOCUMENTS else N_FOLDS, seed, groups)
        weights = weigh(y, int(y.max()) + 1)
        task = cls(embeddings, texts, y, weights, folds, len(y), seed, refit, step, choices=choices)
        return task if priors is None else task._with(priors)

    def _with(self, priors: LabelPriors) -> Self:
        """Put texts of labels behind the documents; each weighs as much as so many documents of its label."""
        trust = priors.trust(self.embeddings, self.y)
        n, counts = self.n_documents, np.array(trust.weights)
        classes = np.flatnonzero(counts)
        weight_of_one = np.zeros(len(counts))
        weight_of_one[self.y] = self.weights
        refit, kept = self.refit, np.concatenate([np.arange(n), n + classes])
        return replace(
            self,
            embeddings=np.concatenate([self.embeddings, priors.embeddings[classes]]),
            texts=[*self.texts, *(priors.texts[label] for label in classes)],
            y=np.concatenate([self.y, classes]),
            weights=np.concatenate([self.weights, (counts * weight_of_one)[classes]]),
            folds=np.concatenate([self.folds, np.full(len(classes), ALWAYS_IN_TRAINING)]),
            refit=None if refit is None else lambda rows: refit(rows[:n])[kept],
            trust=trust,
        )

    def rows_of(self, documents: Mask) -> Mask:
        """Return which rows some documents and the texts of labels are."""
        return np.concatenate([documents, np.ones(len(self.y) - self.n_documents, dtype=np.bool_)])

    def part(self, documents: Mask) -> Self:
        """Return the task of some documents, with the texts of labels."""
        rows, chosen = self.rows_of(documents), np.flatnonzero(documents)
        return replace(
            self,
            embeddings=self.embeddings[rows],
            texts=(),
            y=self.y[rows],
            weights=np.concatenate([weigh(self.y[chosen], self.n_classes), self.weights[self.n_documents :]]),
            folds=self.folds[rows],
            n_documents=len(chosen),
            refit=None,
        )

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        return int(self.y.max()) + 1

    @property
    def n_folds(self) -> int:
        """How many folds there are; 0 where nothing can be held out."""
        return int(self.folds.max()) + 1

    @property
    def held_out(self) -> Ints:
        """Rows that are held out once, all of them documents."""
        return np.flatnonzero(self.folds != ALWAYS_IN_TRAINING)

    @property
    def first_fold(self) -> Mask:
        """Which documents are held out first."""
        return np.asarray(self.folds[: self.n_documents] == 0)

    @property
    def unseen(self) -> float:
        """Share of the documents that are never held out."""
        return 1 - len(self.held_out) / self.n_documents

    @property
    def is_small(self) -> bool:
        """Whether too few documents are held out to choose by."""
        return self.trust is not None and len(self.held_out) < FEW_HELD_OUT

    @property
    def is_lean(self) -> bool:
        """Whether a label has few documents."""
        return self.trust is not None and int(np.bincount(self.y[: self.n_documents]).min()) < FADED

    @property
    def is_huge(self) -> bool:
        """Whether a race would take hours."""
        return self.n_documents * self.n_classes > MANY_SCORES

    @property
    def may_race(self) -> bool:
        """Whether several candidates are tried."""
        return not self.is_small and not self.is_huge

    @property
    def default_c(self) -> float:
        """C of the dense half where there is no race."""
        return _UNMEASURED_C if self.may_race else _UNRACED_C

    def embeddings_by_fold(self) -> Iterator[Embeddings]:
        """Yield the embeddings of all rows as each fold's training part makes them."""
        for fold in range(self.n_folds):
            yield self.embeddings if self.refit is None else self.refit(self.folds != fold)

    def solver(
        self,
        embeddings: Embeddings,
        rows: Mask | slice = slice(None),
        loss: str = LOGISTIC,
        *,
        may_start: bool = False,
    ) -> Callable[[float], Weights]:
        """Return what fits the dense half to some rows at a given C, from the head of before where it may."""
        data = embeddings[rows], self.y[rows], self.weights[rows]
        if self.is_huge and self.n_documents < FEW_PER_CLASS * self.n_classes:
            return partial(class_means, *data)
        if loss != LOGISTIC:
            return partial(fit_dense_margins, *data)
        path, start = LogisticPath(*data), self.choices.start if self.choices else None
        if may_start and start is not None and start.coef.shape == (self.n_classes, embeddings.shape[1]):
            path.begin_from(start)
        return path.fit

    def factors(self, scores: Sequence[Scores], y: Ints) -> Floats:
        """Find how much each of several held-out scores should count in their sum."""
        if not self.n_folds and not self.is_small:
            return np.array(_UNMEASURED_FACTORS[len(scores)])
        found = fit_scales(scores, y, unseen=self.unseen)
        if not self.is_small:
            return found
        expected = np.array(_EXPECTED_FACTORS[: len(scores)])
        if not len(y):
            return expected
        shares = (len(y) * found + _EXPECTED_COUNT * expected) / (len(y) + _EXPECTED_COUNT)
        return np.asarray(shares * fit_scales([weighted_sum(scores, shares)], y, unseen=self.unseen)[0])

    def held_out_proba(self, scores: Sequence[Scores]) -> Floats:
        """Calibrate the held-out scores of documents without a document's own fold; zeros where never held out."""
        proba = np.zeros((self.n_documents, self.n_classes))
        rows = self.held_out
        found, y, folds = [one[rows] for one in scores], self.y[rows], self.folds[rows]
        if not self.is_small:
            proba[rows] = cross_fitted_proba(found, y, folds, unseen=self.unseen)
            return proba
        for fold in range(self.n_folds):
            others = folds != fold
            factors = self.factors([one[others] for one in found], y[others])
            proba[rows[~others]] = softmax(weighted_sum([one[~others] for one in found], factors))
        return proba


def class_means(embeddings: Embeddings, y: Ints, weights: Floats, c: float = 0.0) -> Weights:  # noqa: ARG001 # a solver
    """Return the direction of each class's mean, so that scores are ten times the cosine similarity to it."""
    means = np.zeros((int(y.max()) + 1, embeddings.shape[1]), dtype=np.float32)
    np.add.at(means, y, embeddings * weights[:, None].astype(np.float32))
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    coef = np.divide(means, lengths, out=np.zeros_like(means), where=lengths > 0) * _MEANS_SCALE
    return coef, np.zeros(len(coef), dtype=np.float32)


def weighted_sum(scores: Sequence[Scores], factors: Floats) -> Floats:
    """Add scores up, each times its factor."""
    return np.asarray(sum(factor * one for factor, one in zip(factors, scores, strict=True)), dtype=np.float64)
