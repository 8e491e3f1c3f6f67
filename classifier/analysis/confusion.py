"""Which labels are taken for which, and how each label fares: from codes of labels alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from classifier.analysis.confidence import Ints
from classifier.analysis.evaluation import class_scores
from classifier.analysis.intervals import wilson_interval

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Documents of one label that were given another.

    Attributes
    ----------
    true, answered : str
        The label they have, and the one they were given.
    n_documents : int
        How many there are.
    share : float
        Their share among all documents of the true label, in [0, 1].
    """

    true: str
    answered: str
    n_documents: int
    share: float


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """How often documents of each label were given each label.

    Attributes
    ----------
    labels : tuple of str
    n_true : tuple of int
        How many documents truly have each label.
    counts : dict of (int, int) to int
        Documents by true label and answer, as positions in `labels`; pairs that do not occur are left out.
    """

    labels: tuple[str, ...]
    n_true: tuple[int, ...]
    counts: dict[tuple[int, int], int]

    @classmethod
    def of(cls, truth: Ints, answers: Ints, labels: Sequence[str]) -> Confusion:
        """Count answers.

        Parameters
        ----------
        truth, answers : ndarray of int, shape (n_documents,)
            Positions in `labels`.
        labels : sequence of str

        Examples
        --------
        >>> Confusion.of(np.array([0, 0, 1]), np.array([0, 1, 1]), ["no", "yes"]).counts
        {(0, 0): 1, (0, 1): 1, (1, 1): 1}
        """
        pairs, counts = np.unique(np.stack([truth, answers]), axis=1, return_counts=True)
        found = {(int(true), int(answer)): int(n) for (true, answer), n in zip(pairs.T, counts, strict=True)}
        return cls(tuple(labels), tuple(np.bincount(truth, minlength=len(labels)).tolist()), found)

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, Any]) -> Confusion:
        """Take what is stored with a model: the whole matrix or, of very many labels, the most frequent errors."""
        labels, scores = metrics["labels"], metrics["per_class"]
        matrix = metrics.get("confusion")
        if matrix:
            counts = {(i, j): n for i, row in enumerate(matrix) for j, n in enumerate(row) if n}
            return cls(tuple(labels), tuple(sum(row) for row in matrix), counts)
        n_true = tuple(scores[label]["n_documents"] for label in labels)
        right = [round(scores[label]["recall"] * n) for label, n in zip(labels, n_true, strict=True)]
        counts = {(code, code): n for code, n in enumerate(right) if n}
        counts |= {(true, answered): n for true, answered, n in metrics.get("confused") or ()}
        return cls(tuple(labels), n_true, counts)

    def errors(self) -> tuple[ConfusedPair, ...]:
        """Return the pairs of different labels, the most frequent first."""
        wrong = sorted((-n, true, given) for (true, given), n in self.counts.items() if true != given)
        return tuple(
            ConfusedPair(self.labels[true], self.labels[given], -n, -n / self.n_true[true] if self.n_true[true] else 0)
            for n, true, given in wrong
        )

    def most_confused(self, n_labels: int) -> tuple[str, ...]:
        """Return the labels of the most frequent errors; partners stand beside each other where that is possible."""
        found: dict[str, None] = {}
        for pair in self.errors():
            new = {pair.true, pair.answered} - found.keys()
            if len(found) + len(new) <= n_labels:
                found |= dict.fromkeys((pair.true, pair.answered))
        return tuple(found)

    def among(self, labels: Sequence[str]) -> list[list[int]]:
        """Return the counts of some labels as a matrix: a row is a true label, a column an answer."""
        code = {label: number for number, label in enumerate(self.labels)}
        return [[self.counts.get((code[true], code[given]), 0) for given in labels] for true in labels]


@dataclass(frozen=True, slots=True)
class LabelScores:
    """How one label fares; every score in [0, 1].

    Attributes
    ----------
    label : str
    n_documents, n_given : int
        Documents that have the label, and documents that were given it.
    precision, recall, f1 : float
        0 where undefined.
    precision_interval, recall_interval : tuple of float or None
        Wilson's 95 % intervals; None where there is nothing to count.
    """

    label: str
    n_documents: int
    n_given: int
    precision: float
    recall: float
    f1: float
    precision_interval: Interval | None
    recall_interval: Interval | None


def label_scores(labels: Sequence[str], hits: Ints, n_true: Ints, n_given: Ints) -> tuple[LabelScores, ...]:
    """Score labels by what was counted.

    Parameters
    ----------
    labels : sequence of str
    hits, n_true, n_given : ndarray of int, shape (n_labels,)
        Documents that have a label and were given it, that have it, and that were given it.

    Returns
    -------
    tuple of LabelScores
        Of the labels that any document has or was given, the lowest F1 first.

    Examples
    --------
    >>> label_scores(["a", "b"], np.array([3, 0]), np.array([4, 0]), np.array([3, 0]))[0].recall
    0.75
    """
    found = [
        LabelScores(
            label=label,
            n_documents=one.n_documents,
            n_given=one.n_predicted,
            precision=one.precision,
            recall=one.recall,
            f1=one.f1,
            precision_interval=wilson_interval(hit, one.n_predicted) if one.n_predicted else None,
            recall_interval=wilson_interval(hit, one.n_documents) if one.n_documents else None,
        )
        for label, hit, one in zip(labels, hits.tolist(), class_scores(hits, n_true, n_given), strict=True)
        if one.n_documents or one.n_predicted
    ]
    return tuple(sorted(found, key=lambda one: (one.f1, one.label)))


def stored_label_scores(metrics: Mapping[str, Any]) -> tuple[LabelScores, ...]:
    """Score labels by what is stored with a model, as `label_scores` does."""
    per_class = metrics["per_class"]
    n_true, n_given, recall = (
        np.array([one[name] for one in per_class.values()]) for name in ("n_documents", "n_predicted", "recall")
    )
    return label_scores(list(per_class), np.rint(recall * n_true).astype(np.intp), n_true, n_given)
