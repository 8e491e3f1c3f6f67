"""Two sets of answers to the same documents: which is better, label by label, and whether chance explains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats
from classifier.analysis.intervals import Z95, wilson_interval

Bools = NDArray[np.bool_]

SIGNIFICANCE = 0.05
FEWEST_LOST = 2
CLEAR_FALL = 0.05
FELL_RULE = (
    "A label fell where at least 2 documents fewer get it rightly, or 2 decisions about it more are wrong, and its "
    "recall, or its F1, is lower by 5 points or by more than chance explains (p < 0.05)"
)


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """How good one set of answers is.

    Attributes
    ----------
    n_correct : int
        Documents that got exactly their label, or labels.
    accuracy : float
        Their share, in [0, 1].
    accuracy_interval : tuple of float
        Wilson's 95 % interval.
    macro_f1 : float
        Mean F1 of the labels that occur in the truth or in these answers; 1 without any.
    """

    n_correct: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    macro_f1: float


@dataclass(frozen=True, slots=True)
class LabelChange:
    """How one label fares in both sets of answers.

    Attributes
    ----------
    label : str
    n_documents : int
        Documents that truly have it.
    old_recall, new_recall : float or None
        Share of those that got it, in [0, 1]; None without any.
    old_precision, new_precision : float or None
        Share of the documents that got it which truly have it; None where none got it.
    old_f1, new_f1 : float
        0 where undefined.
    n_lost, n_gained : int
        Documents of the label that only the old, or only the new answers give it to.
    p_value : float
        How often chance alone would make `n_lost` and `n_gained` differ as much: an exact sign test.
    fell : bool
        See `FELL_RULE`.
    beyond_chance : bool
        Whether chance does not explain that it fell.
    """

    label: str
    n_documents: int
    old_recall: float | None
    new_recall: float | None
    old_precision: float | None
    new_precision: float | None
    old_f1: float
    new_f1: float
    n_lost: int
    n_gained: int
    p_value: float
    fell: bool
    beyond_chance: bool

    @property
    def recall_difference(self) -> float | None:
        """New recall less the old one; None without a document."""
        return None if self.old_recall is None or self.new_recall is None else self.new_recall - self.old_recall


@dataclass(frozen=True, slots=True)
class PairedScores:
    """Both sets of answers, and their difference.

    Attributes
    ----------
    n_documents : int
    old, new : AnswerScore
    n_only_old_right, n_only_new_right : int
        Documents that only one of them answers rightly.
    p_value : float
        How often chance alone would make these two numbers differ as much: McNemar's test, exact.
    difference : float
        New accuracy less the old one.
    difference_interval : tuple of float
        95 % interval of the difference.
    labels : tuple of LabelChange
        Fallen ones first, then by falling loss of recall.
    """

    n_documents: int
    old: AnswerScore
    new: AnswerScore
    n_only_old_right: int
    n_only_new_right: int
    p_value: float
    difference: float
    difference_interval: tuple[float, float]
    labels: tuple[LabelChange, ...]

    @property
    def is_shown(self) -> bool:
        """Whether the difference is more than chance explains."""
        return self.p_value < SIGNIFICANCE


def compare_answers(truth: Bools, old: Bools, new: Bools, names: Sequence[str]) -> PairedScores:
    """Compare two sets of answers to the same documents.

    Parameters
    ----------
    truth, old, new : ndarray of bool, shape (n_documents, n_labels)
        Which labels each document has, and which it was given; at least one document.
    names : sequence of str, length n_labels

    References
    ----------
    McNemar (1947), https://doi.org/10.1007/BF02295996

    Examples
    --------
    >>> truth = np.eye(2, dtype=bool)[[0, 0, 1]]
    >>> found = compare_answers(truth, np.eye(2, dtype=bool)[[1, 1, 1]], truth, ["no", "yes"])
    >>> found.n_only_new_right, found.p_value, found.labels[0].label
    (2, 0.5, 'yes')
    """
    old_right, new_right = (truth == old).all(axis=1), (truth == new).all(axis=1)
    n_old, n_new = int((old_right & ~new_right).sum()), int((new_right & ~old_right).sum())
    changes = [
        _label_change(name, truth[:, column], old[:, column], new[:, column]) for column, name in enumerate(names)
    ]
    occurring: Bools = np.asarray((truth | old | new).any(axis=0))
    kept = [change for change, occurs in zip(changes, occurring, strict=True) if occurs]
    return PairedScores(
        n_documents=len(truth),
        old=_score(truth, old, old_right),
        new=_score(truth, new, new_right),
        n_only_old_right=n_old,
        n_only_new_right=n_new,
        p_value=sign_test(n_old, n_new),
        difference=(n_new - n_old) / len(truth),
        difference_interval=_difference_interval(n_old, n_new, len(truth)),
        labels=tuple(
            sorted(kept, key=lambda one: (not one.fell, not one.beyond_chance, one.recall_difference or 0.0, one.label))
        ),
    )


def sign_test(n_first: int, n_second: int) -> float:
    """Return how often chance alone would split so many cases at least as unevenly; 1 without any.

    Examples
    --------
    >>> sign_test(0, 5), sign_test(3, 3)
    (0.0625, 1.0)
    """
    from scipy.special import bdtr

    n = n_first + n_second
    return min(1.0, 2 * float(bdtr(min(n_first, n_second), n, 0.5))) if n else 1.0


def p_words(p_value: float) -> str:
    """Write a p-value.

    Examples
    --------
    >>> p_words(0.00001), p_words(0.0312)
    ('p < 0.001', 'p = 0.031')
    """
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def _difference_interval(n_old: int, n_new: int, n: int) -> tuple[float, float]:
    """Return a 95 % interval of the difference of two shares of the same documents (Agresti and Min, 2005)."""
    lost, gained, total = n_old + 0.5, n_new + 0.5, n + 2.0
    middle = (gained - lost) / total
    half = Z95 * float(np.sqrt(lost + gained - (gained - lost) ** 2 / total)) / total
    return max(-1.0, middle - half), min(1.0, middle + half)


def _score(truth: Bools, answers: Bools, right: Bools) -> AnswerScore:
    """Sum up one set of answers."""
    n_correct, occurring = int(right.sum()), (truth | answers).any(axis=0)
    f1 = _f1((truth & answers).sum(axis=0), truth.sum(axis=0), answers.sum(axis=0))[occurring]
    return AnswerScore(
        n_correct=n_correct,
        accuracy=n_correct / len(truth),
        accuracy_interval=wilson_interval(n_correct, len(truth)),
        macro_f1=float(f1.mean()) if occurring.any() else 1.0,
    )


def _f1(hits: NDArray[np.int_], n_true: NDArray[np.int_], n_given: NDArray[np.int_]) -> Floats:
    """Return F1 of each label; 0 where undefined."""
    return np.asarray(2 * hits / np.maximum(1, n_true + n_given), dtype=np.float64)


def _label_change(label: str, truth: Bools, old: Bools, new: Bools) -> LabelChange:
    """Compare the decisions about one label."""
    n_true, n_lost, n_gained = int(truth.sum()), int((truth & old & ~new).sum()), int((truth & new & ~old).sum())
    hits = [int((truth & one).sum()) for one in (old, new)]
    given = [int(one.sum()) for one in (old, new)]
    old_f1, new_f1 = (2 * hit / max(1, n_true + count) for hit, count in zip(hits, given, strict=True))
    recalls = [hit / n_true if n_true else None for hit in hits]
    precisions = [hit / count if count else None for hit, count in zip(hits, given, strict=True)]
    p_value = sign_test(n_lost, n_gained)
    only_old_right, only_new_right = (
        int(((one == truth) & (other != truth)).sum()) for one, other in ((old, new), (new, old))
    )
    recall_fall, f1_fall = (hits[0] - hits[1]) / max(1, n_true), old_f1 - new_f1
    fewer_found = hits[0] - hits[1] >= FEWEST_LOST
    fewer_by_more_than_chance = fewer_found and p_value < SIGNIFICANCE
    lost_documents = fewer_found and (recall_fall >= CLEAR_FALL or fewer_by_more_than_chance)
    more_wrong = only_old_right - only_new_right >= FEWEST_LOST and f1_fall > 0
    wrong_by_more_than_chance = more_wrong and sign_test(only_old_right, only_new_right) < SIGNIFICANCE
    lost_f1 = more_wrong and (f1_fall >= CLEAR_FALL or wrong_by_more_than_chance)
    return LabelChange(
        label=label,
        n_documents=n_true,
        old_recall=recalls[0],
        new_recall=recalls[1],
        old_precision=precisions[0],
        new_precision=precisions[1],
        old_f1=old_f1,
        new_f1=new_f1,
        n_lost=n_lost,
        n_gained=n_gained,
        p_value=p_value,
        fell=lost_documents or lost_f1,
        beyond_chance=fewer_by_more_than_chance or wrong_by_more_than_chance,
    )
