"""What is looked at before training: which documents count, and what their owner should know."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from classifier.analysis.confidence import Ints
from classifier.datamodels import Document
from classifier.embedding.contract import Embeddings
from classifier.errors import TrainingDataError, excerpt, listing


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Labelled texts that a head can be trained on.

    Attributes
    ----------
    texts, labels, ids : list of str
        Rows belong together.
    classes : list of str
        The labels that occur, sorted.
    warnings : tuple of str
        What was noticed.
    """

    texts: list[str]
    labels: list[str]
    ids: list[str]
    classes: list[str]
    warnings: tuple[str, ...]

    @property
    def y(self) -> Ints:
        """Labels as positions in `classes`, shape (n_documents,)."""
        code = {name: index for index, name in enumerate(self.classes)}
        return np.array([code[label] for label in self.labels], dtype=np.intp)

    @property
    def groups(self) -> Ints:
        """Equal texts share a number, shape (n_documents,)."""
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(text, len(numbers)) for text in self.texts], dtype=np.intp)

    @property
    def majority(self) -> str:
        """The most frequent label; the first in order among equals."""
        counts = Counter(self.labels)
        return max(self.classes, key=lambda label: counts[label])

    def documents(self) -> list[Document]:
        """Return the rows as documents."""
        rows = zip(self.ids, self.texts, self.labels, strict=True)
        return [Document(name, text, label, row) for row, (name, text, label) in enumerate(rows, start=1)]

    def without_blank(self, embeddings: Embeddings) -> tuple[TrainingData, Embeddings]:
        """Leave out texts that the encoder could read nothing of, whose vectors are zeros."""
        readable = embeddings.any(axis=1)
        if readable.all():
            return self, embeddings
        rows = np.flatnonzero(readable)
        blank = np.flatnonzero(~readable)
        n_blank = _count(len(blank), "document")
        message = f"{n_blank} with nothing to read left out: id {listing(self.ids[row] for row in blank)}."
        kept = _checked(
            [self.texts[row] for row in rows], [self.labels[row] for row in rows], [self.ids[row] for row in rows]
        )
        return replace(kept, warnings=(message, *kept.warnings)), embeddings[rows]


def check_training_data(texts: Sequence[str], labels: Sequence[str], ids: Sequence[str] | None = None) -> TrainingData:
    """Check labelled texts and collect what deserves a warning.

    Parameters
    ----------
    texts, labels : sequence of str
        Of equal length.
    ids : sequence of str or None
        Row numbers from 1 where None.

    Raises
    ------
    TrainingDataError
        When the numbers differ, something is not a string, or there are fewer than two labels.
    """
    if isinstance(texts, str) or isinstance(labels, str):
        raise TrainingDataError("A single string was given", "give a list of texts and a list of labels")
    texts, labels = list(texts), list(labels)
    names = [str(row) for row in range(1, len(texts) + 1)] if ids is None else [str(name) for name in ids]
    if not len(texts) == len(labels) == len(names):
        raise TrainingDataError(
            f"There are {len(texts)} texts, {len(labels)} labels and {len(names)} ids", "give one of each per document"
        )
    for role, values in (("text", texts), ("label", labels)):
        wrong = next((row for row, value in enumerate(values) if not isinstance(value, str)), None)
        if wrong is not None:
            kind = type(values[wrong]).__name__
            raise TrainingDataError(f"The {role} of document {wrong + 1} is of type {kind}", "give strings only")
    blank = next((row for row, label in enumerate(labels) if not label.strip()), None)
    if blank is not None:
        raise TrainingDataError(f"The label of document {blank + 1} is empty", "leave unlabelled documents out")
    return _checked([str(text) for text in texts], [str(label) for label in labels], names)


def normalise_labels(labels: Sequence[str]) -> list[str]:
    """Write labels alike that differ only by case or spaces: each as it is written most often, else first.

    Examples
    --------
    >>> normalise_labels(["Refund", "refund", "refund ", "refund", "Other"])
    ['refund', 'refund', 'refund', 'refund', 'Other']
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for label in labels:
        counts[_folded(label)][" ".join(label.split())] += 1
    spelling = {folded: found.most_common(1)[0][0] for folded, found in counts.items()}
    return [spelling[_folded(label)] for label in labels]


def _folded(label: str) -> str:
    """Return what labels share that differ only by case or spaces."""
    return " ".join(label.casefold().split())


def _checked(texts: list[str], labels: list[str], ids: list[str]) -> TrainingData:
    """Collect classes and warnings of strings of equal length."""
    classes = sorted(set(labels))
    if len(classes) < 2:
        have = f"only the label {excerpt(classes[0])}" if classes else "no labelled documents"
        raise TrainingDataError(f"There is {have} to learn from", "a classifier needs documents of two labels or more")
    return TrainingData(
        texts,
        labels,
        ids,
        classes,
        (*_lonely(labels), *_alike(classes), *_repeated(texts, labels), *_conflicting(texts, labels)),
    )


def _lonely(labels: list[str]) -> list[str]:
    """Warn of labels with a single document."""
    lonely = [label for label, count in sorted(Counter(labels).items()) if count == 1]
    if not lonely:
        return []
    return [
        (
            f"{_count(len(lonely), 'label')} with a single document, which cannot be measured: {listing(lonely)}; "
            "add documents or merge labels."
        )
    ]


def _alike(classes: list[str]) -> list[str]:
    """Warn of labels that differ only by case or spaces."""
    spellings: defaultdict[str, list[str]] = defaultdict(list)
    for label in classes:
        spellings[_folded(label)].append(label)
    alike = [" and ".join(map(repr, labels)) for labels in spellings.values() if len(labels) > 1]
    if not alike:
        return []
    listed = "; ".join(alike[:5])
    return [f"Labels that differ only by case or spaces: {listed}; write them alike, or let --normalise-labels do it."]


def _repeated(texts: list[str], labels: list[str]) -> list[str]:
    """Warn of documents that were there before, text and label."""
    n_repeated = len(texts) - len(set(zip(texts, labels, strict=True)))
    if not n_repeated:
        return []
    return [f"{_count(n_repeated, 'document')} with the text and label of another; equal texts are held out together."]


def _conflicting(texts: list[str], labels: list[str]) -> list[str]:
    """Warn of equal texts under different labels."""
    given: defaultdict[str, set[str]] = defaultdict(set)
    for text, label in zip(texts, labels, strict=True):
        given[text].add(label)
    conflicts = [(text, sorted(names)) for text, names in given.items() if len(names) > 1]
    if not conflicts:
        return []
    shown = "; ".join(f"{excerpt(text, 30)} is {' and '.join(map(repr, names))}" for text, names in conflicts[:3])
    more = f"; and {len(conflicts) - 3} more" if len(conflicts) > 3 else ""
    return [f"{_count(len(conflicts), 'text')} with conflicting labels: {shown}{more}."]


def _count(n: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")
