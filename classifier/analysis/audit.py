"""What deserves a look before labelled documents are trusted: contradictions, suspected labels, labels that overlap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from classifier.analysis.confidence import Floats, Ints
from classifier.analysis.duplicates import (
    Mask,
    MixedGroup,
    Vectors,
    check_rows,
    mixed_groups,
    n_with_others,
    near_duplicates,
)
from classifier.analysis.issues import FEW_DOCUMENTS, ISSUE_KINDS, Audit, LabelIssue, Overlap
from classifier.analysis.wording import equal_texts
from classifier.errors import excerpt

LEAST_SHARE = 0.1
LEAST_CONFUSED = 5
_NO_CLASS = -1
_ROUNDING = 1e-6
_EVEN = 0.5


def audit(
    texts: Sequence[str],
    labels: Sequence[str],
    classes: Sequence[str],
    embeddings: Vectors,
    proba: Floats,
    held_out: Mask,
    *,
    ids: Sequence[str] | None = None,
) -> Audit:
    """Look for labels and documents that deserve a look.

    Parameters
    ----------
    texts, labels : sequence of str
        The documents; a label that is not among the classes is not judged by probabilities.
    classes : sequence of str
        Names of the columns of `proba`.
    embeddings : ndarray of float32, shape (n_documents, n_dims)
        Rows follow `texts`.
    proba : ndarray of float64, shape (n_documents, n_classes)
        Probabilities from models that had not seen the document.
    held_out : ndarray of bool, shape (n_documents,)
        Which documents have such probabilities; the others are not judged by them.
    ids : sequence of str or None
        What reasons call documents; their rows, counted from 1, where None.

    Raises
    ------
    TrainingDataError
        When there is not one of each for every document, or not one column for each class.

    Examples
    --------
    >>> vectors, proba = np.eye(2, dtype=np.float32), np.array([[0.9, 0.1], [0.8, 0.2]])
    >>> audit(["a", "A"], ["x", "y"], ["x", "y"], vectors, proba, np.array([True, False])).issues[1].reason
    "the same text is also labelled 'x' (row 1)"
    """
    check_rows(texts=len(texts), labels=len(labels), rows_of_proba=len(proba), marks_of_held_out=len(held_out))
    check_rows(texts=len(texts), ids=len(texts if ids is None else ids))
    check_rows(classes=len(classes), columns_of_proba=proba.shape[1])
    code = {name: number for number, name in enumerate(classes)}
    y = np.array([code.get(label, _NO_CLASS) for label in labels], dtype=np.intp)
    judged = np.asarray(held_out, dtype=np.bool_) & (y != _NO_CLASS)
    judged_proba, judged_y = proba[judged], y[judged]
    quality, suspected = np.ones(len(y)), np.zeros(len(y), dtype=np.bool_)
    quality[judged] = label_quality(judged_proba, judged_y)
    suspected[judged] = suspected_labels(judged_proba, judged_y)
    doubtful = judged & (quality < _EVEN) & ~suspected
    equal, near = equal_texts(texts), near_duplicates(texts, embeddings)
    conflicts = mixed_groups(equal, labels)
    judge = _Judge(labels, classes, proba, held_out, quality, ids)
    answers = judged_proba.argmax(axis=1) if len(judged_y) else judged_y
    n_of_label = sorted(Counter(labels).items(), key=lambda item: (item[1], item[0]))
    return Audit(
        n_documents=len(y),
        issues=worst_first(
            [
                *judge.issues(conflicts, np.flatnonzero(suspected), mixed_groups(near, labels)),
                *(judge.of_row(row, "doubtful") for row in np.flatnonzero(doubtful).tolist()),
            ]
        ),
        n_conflicting_texts=len(conflicts),
        n_conflicting_documents=sum(len(group.rows) for group in conflicts),
        n_repeated=len(y) - len(set(zip(equal.tolist(), labels, strict=True))),
        n_near_duplicates=n_with_others(near, equal),
        n_suspected=int(suspected.sum()),
        estimated_error_fraction=float(suspected.sum() / max(judged.sum(), 1)),
        overlaps=overlapping_labels(answers, judged_y, classes),
        small_labels={label: count for label, count in n_of_label if count < FEW_DOCUMENTS},
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Judge:
    """Says what speaks against labels; fields are those of `audit`, and the quality of each label by probabilities."""

    labels: Sequence[str]
    classes: Sequence[str]
    proba: Floats
    held_out: Mask
    quality: Floats
    ids: Sequence[str] | None

    def issues(
        self, conflicts: Sequence[MixedGroup], suspected: Ints, similar: Sequence[MixedGroup]
    ) -> Iterator[LabelIssue]:
        """Yield all there is against any label, the strongest kind first."""
        in_conflict = {row for group in conflicts for row in group.rows}
        for group in conflicts:
            yield from self._of_group(group, "conflicting", "the same text is also labelled")
        for row in suspected.tolist():
            yield self.of_row(row, "suspected")
        for group in similar:
            for issue in self._of_group(group, "near-duplicate", "a nearly equal text is labelled"):
                if issue.row not in in_conflict and group.share(issue.label) <= 0.5:
                    yield issue

    def of_row(self, row: int, kind: str) -> LabelIssue:
        """Say what probabilities say."""
        best = int(self.proba[row].argmax())
        label, suggested = self.labels[row], self.classes[best]
        percent = min(round(100 * self.proba[row, best]), 99)
        reason = f"given {excerpt(label)}, {percent} % sure it is {excerpt(suggested)}"
        return LabelIssue(row, kind, label, suggested, float(self.quality[row]), reason)

    def _of_group(self, group: MixedGroup, kind: str, words: str) -> Iterator[LabelIssue]:
        """Say of each document which other labels its group has."""
        suggested = group.suggestion(self.classes, self.proba, self.held_out)
        for row in group.rows:
            label = self.labels[row]
            quality = min(float(self.quality[row]), group.share(label))
            yield LabelIssue(row, kind, label, suggested, quality, f"{words} {group.others(label, self.ids)}")


def label_quality(proba: Floats, y: Ints) -> Floats:
    """Tell how much held-out probabilities speak for each given label.

    Parameters
    ----------
    proba : ndarray of float64, shape (n_documents, n_classes)
        Probabilities from models that had not seen the document.
    y : ndarray of int, shape (n_documents,)
        Given labels, as column numbers of `proba`.

    Returns
    -------
    ndarray of float64, shape (n_documents,)
        In [0, 1], low is suspect: below 0.5 another label is more probable.

    Notes
    -----
    The probability of the given label, divided by the sum of it and that of the most probable other one; 0.5 where
    both are 0. It orders documents by the odds of the two. The difference of the two would put a document first that
    the model has narrowed down to two labels, before one with a label it rules out.

    Examples
    --------
    >>> label_quality(np.array([[0.6, 0.2, 0.2], [0.6, 0.2, 0.2]]), np.array([0, 1])).round(2).tolist()
    [0.75, 0.25]
    """
    rows = np.arange(len(y))
    given, others = proba[rows, y], proba.copy()
    others[rows, y] = 0.0
    both = given + others.max(axis=1, initial=0.0)
    return np.asarray(np.divide(given, both, out=np.full(len(y), 0.5), where=both > 0))


def suspected_labels(proba: Floats, y: Ints) -> Mask:
    """Decide which labels are suspected to be wrong: as many as confident learning counts, those of lowest quality.

    Parameters
    ----------
    proba, y
        As `label_quality` takes them.

    Returns
    -------
    ndarray of bool, shape (n_documents,)
        Another label is more probable wherever it is True; documents of equal quality are treated alike.

    Notes
    -----
    The count is that of the confident joint off its diagonal. A label counts as confidently recognised in a document
    where it is at least as probable as, on average, in the documents that have it; the document is counted where
    such a label, the most probable if there are several, is not the given one. Calibrating the joint to the number
    of documents would count more: nearer the truth for easy data, far too many where the model itself errs.

    References
    ----------
    Northcutt et al. (2021), Confident Learning, https://arxiv.org/abs/1911.00068
    """
    quality = label_quality(proba, y)
    n_wrong = _n_off_diagonal(proba, y)
    if not n_wrong:
        return np.zeros(len(y), dtype=np.bool_)
    return np.asarray((quality <= np.partition(quality, n_wrong - 1)[n_wrong - 1]) & (quality < _EVEN))


def _n_off_diagonal(proba: Floats, y: Ints) -> int:
    """Count documents that are confidently recognised as something else than what they are labelled."""
    if not len(y):
        return 0
    n_documents, n_labels = proba.shape
    counts = np.bincount(y, minlength=n_labels)
    own = proba[np.arange(n_documents), y]
    means = np.divide(np.bincount(y, own, n_labels), counts, out=np.full(n_labels, np.inf), where=counts > 0)
    is_confident = proba >= means - _ROUNDING
    n_confident = is_confident.sum(axis=1)
    is_other = (n_confident > 1) | ((n_confident == 1) & ~is_confident[np.arange(n_documents), y])
    return int((is_other & (own < proba.max(axis=1))).sum())


def overlapping_labels(answers: Ints, y: Ints, classes: Sequence[str]) -> tuple[Overlap, ...]:
    """Find pairs of labels that are often taken for each other.

    Parameters
    ----------
    answers, y : ndarray of int, shape (n_documents,)
        Held-out answers and given labels, as positions in `classes`.
    classes : sequence of str

    Returns
    -------
    tuple of Overlap
        Pairs of which at least 5 documents and at least 10 % were given the other label, by falling share.
    """
    wrong = answers != y
    pairs = np.sort(np.stack([y[wrong], answers[wrong]], axis=1), axis=1)
    n_documents = np.bincount(y, minlength=len(classes))
    found = [
        Overlap(classes[one], classes[other], int(count), float(count / (n_documents[one] + n_documents[other])))
        for (one, other), count in zip(*np.unique(pairs, axis=0, return_counts=True), strict=True)
        if count >= LEAST_CONFUSED
    ]
    often = [overlap for overlap in found if overlap.share >= LEAST_SHARE]
    return tuple(sorted(often, key=lambda overlap: (-overlap.share, -overlap.n_confused)))


def worst_first(found: Iterable[LabelIssue]) -> tuple[LabelIssue, ...]:
    """Keep one issue for each document, the one found first, with the reasons of all and the lowest quality."""
    kept: dict[int, LabelIssue] = {}
    for issue in found:
        first = kept.get(issue.row)
        kept[issue.row] = (
            issue
            if first is None
            else replace(first, quality=min(first.quality, issue.quality), reason=f"{first.reason}; {issue.reason}")
        )
    return tuple(sorted(kept.values(), key=lambda one: (one.quality, ISSUE_KINDS.index(one.kind), one.row)))
