"""What is looked at before training: which documents count, and what their owner should know."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from classifier.analysis.confidence import Ints
from classifier.analysis.wording import same_words
from classifier.datamodels import Document
from classifier.embedding.contract import Embeddings
from classifier.errors import TrainingDataError, counted, excerpt, listing
from classifier.modeling.label_sets import SEPARATOR, Bools, join_labels, split_labels

Label = str | Collection[str]


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Labelled texts that a head can be trained on.

    Attributes
    ----------
    texts, labels, ids : list of str
        Rows belong together; several labels of one document are joined as `join_labels` does.
    classes : list of str
        The labels that occur, sorted.
    warnings : tuple of str
        What was noticed.
    is_multi_label : bool
        Whether a document may have any number of labels.
    positions : sequence of int or None
        Where each document was among the given ones, from 0; None where all are there.
    """

    texts: list[str]
    labels: list[str]
    ids: list[str]
    classes: list[str]
    warnings: tuple[str, ...]
    is_multi_label: bool = False
    positions: Sequence[int] | None = None

    @property
    def y(self) -> Ints:
        """Labels as positions in `classes`, shape (n_documents,); for documents of one label each."""
        code = {name: index for index, name in enumerate(self.classes)}
        return np.array([code[label] for label in self.labels], dtype=np.intp)

    @property
    def label_matrix(self) -> Bools:
        """Which labels each document has, shape (n_documents, n_classes)."""
        code = {name: index for index, name in enumerate(self.classes)}
        found = np.zeros((len(self.labels), len(self.classes)), dtype=np.bool_)
        for row, label in enumerate(self.labels):
            found[row, [code[part] for part in split_labels(label)]] = True
        return found

    @property
    def groups(self) -> Ints:
        """Texts of the same words share a number, shape (n_documents,); see `same_words`."""
        return same_words(self.texts)

    @property
    def majority(self) -> str:
        """The most frequent label, or set of labels; the first in order among equals."""
        counts = Counter(self.labels)
        return max(sorted(counts), key=lambda label: counts[label])

    def documents(self) -> list[Document]:
        """Return the rows as documents, each with its number among the given ones."""
        positions = range(len(self.texts)) if self.positions is None else self.positions
        rows = zip(self.ids, self.texts, self.labels, positions, strict=True)
        return [Document(name, text, label, position + 1) for name, text, label, position in rows]

    def without_blank(self, embeddings: Embeddings) -> tuple[TrainingData, Embeddings]:
        """Leave out texts that the encoder could read nothing of, whose vectors are zeros."""
        readable = embeddings.any(axis=1)
        if readable.all():
            return self, embeddings
        rows = np.flatnonzero(readable)
        blank = np.flatnonzero(~readable)
        n_blank = counted(len(blank), "document")
        message = f"{n_blank} with nothing to read left out: id {listing(self.ids[row] for row in blank)}."
        kept = _checked(
            [self.texts[row] for row in rows],
            [self.labels[row] for row in rows],
            [self.ids[row] for row in rows],
            multi_label=self.is_multi_label,
        )
        positions = rows.tolist() if self.positions is None else [self.positions[row] for row in rows.tolist()]
        return replace(kept, warnings=(message, *kept.warnings), positions=positions), embeddings[rows]


def check_training_data(
    texts: Sequence[str], labels: Sequence[Label], ids: Sequence[str] | None = None, *, multi_label: bool = False
) -> TrainingData:
    """Check labelled texts and collect what deserves a warning.

    Parameters
    ----------
    texts : sequence of str
    labels : sequence of str, or of collections of str
        One for each text; several labels of a multi-label document are joined by ``|`` or given one by one.
    ids : sequence of str or None
        Row numbers from 1 where None.
    multi_label : bool, default=False
        Whether a document may have any number of labels, also none.

    Raises
    ------
    TrainingDataError
        When the numbers differ, something is not a string, or there are too few labels to tell documents apart.
    """
    if isinstance(texts, str) or isinstance(labels, str):
        raise TrainingDataError("A single string was given", "give a list of texts and a list of labels")
    texts, labels = list(texts), [_joined(label) if multi_label else label for label in labels]
    names = [str(row) for row in range(1, len(texts) + 1)] if ids is None else [str(name) for name in ids]
    if not len(texts) == len(labels) == len(names):
        raise TrainingDataError(
            f"There are {len(texts)} texts, {len(labels)} labels and {len(names)} ids", "give one of each per document"
        )
    for role, values in (("text", texts), ("label", labels)):
        wrong = next((row for row, value in enumerate(values) if not isinstance(value, str)), None)
        if wrong is not None:
            kind = type(values[wrong]).__name__
            is_set = multi_label and role == "label"
            remedy = "strings or lists of strings, empty where there is no label" if is_set else "strings only"
            raise TrainingDataError(f"The {role} of document {wrong + 1} is of type {kind}", f"give {remedy}")
    blank = next((row for row, label in enumerate(labels) if not str(label).strip()), None)
    if blank is not None and not multi_label:
        raise TrainingDataError(f"The label of document {blank + 1} is empty", "leave unlabelled documents out")
    return _checked([str(text) for text in texts], [str(label) for label in labels], names, multi_label=multi_label)


def normalise_labels(labels: Sequence[str], *, multi_label: bool = False) -> list[str]:
    """Write labels alike that differ only by case or spaces: each as it is written most often, else first.

    Parameters
    ----------
    labels : sequence of str
    multi_label : bool, default=False
        Whether ``|`` joins several labels, which are then looked at one by one.

    Examples
    --------
    >>> normalise_labels(["Refund", "refund", "refund ", "refund", "Other"])
    ['refund', 'refund', 'refund', 'refund', 'Other']
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    given = [split_labels(label) if multi_label else (label,) for label in labels]
    for part in (part for parts in given for part in parts):
        counts[_folded(part)][" ".join(part.split())] += 1
    spelling = {folded: found.most_common(1)[0][0] for folded, found in counts.items()}
    alike = [[spelling[_folded(part)] for part in parts] for parts in given]
    return [join_labels(parts) if multi_label else parts[0] for parts in alike]


def _folded(label: str) -> str:
    """Return what labels share that differ only by case or spaces."""
    return " ".join(label.casefold().split())


def _joined(label: Label) -> Label:
    """Join the labels of a document; what is no label stays as it is."""
    is_set = isinstance(label, Collection) and not isinstance(label, bytes | Mapping)
    return join_labels(label) if is_set and all(isinstance(part, str) for part in label) else label


def _checked(texts: list[str], labels: list[str], ids: list[str], *, multi_label: bool) -> TrainingData:
    """Collect classes and warnings of strings of equal length."""
    given = [split_labels(label) if multi_label else (label,) for label in labels]
    classes = sorted({part for parts in given for part in parts})
    if len(set(labels)) < 2:
        have = f"is only the label {excerpt(labels[0])}" if classes else "are no labelled documents"
        others = ", or some without a label" if multi_label else ""
        raise TrainingDataError(
            f"There {have} to learn from", f"a classifier needs documents of two labels or more{others}"
        )
    counts = Counter(part for parts in given for part in parts)
    noticed = (*_lonely(counts), *_alike(classes), *_repeated(texts, labels), *_conflicting(texts, labels))
    return TrainingData(
        texts, labels, ids, classes, (*noticed, *([] if multi_label else _combined(classes))), multi_label
    )


def _combined(classes: list[str]) -> list[str]:
    """Warn of labels that look like several: their parts are labels, or parts of others, too."""
    parts = {label: split_labels(label) for label in classes}
    counts = Counter(part for found in parts.values() for part in found)
    combined = [label for label, found in parts.items() if len(found) > 1 and max(counts[part] for part in found) > 1]
    if not combined:
        return []
    n_joined = counted(len(combined), "label")
    return [
        (
            f"{n_joined} with the sign {SEPARATOR!r}, such as {excerpt(combined[0])}, each taken as one label; where "
            "it joins several, train with --multi-label (multi_label=True in Python)."
        )
    ]


def _lonely(counts: Counter[str]) -> list[str]:
    """Warn of labels with a single document."""
    lonely = [label for label, count in sorted(counts.items()) if count == 1]
    if not lonely:
        return []
    remedy = "add documents or merge labels"
    if len(lonely) == len(counts):
        remedy = "add documents, or train with --labels-only if this is a list of labels (fit_labels in Python)"
    n_lonely = counted(len(lonely), "label")
    return [f"{n_lonely} with a single document, which cannot be measured: {listing(lonely)}; {remedy}."]


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
    """Warn of documents that were there before, words and label."""
    n_repeated = len(texts) - len(set(zip(same_words(texts).tolist(), labels, strict=True)))
    if not n_repeated:
        return []
    return [f"{counted(n_repeated, 'document')} with the words and label of another; such texts are held out together."]


def _conflicting(texts: list[str], labels: list[str]) -> list[str]:
    """Warn of equal texts under different labels."""
    given: defaultdict[str, set[str]] = defaultdict(set)
    for text, label in zip(texts, labels, strict=True):
        given[text].add(label)
    conflicts = [(text, sorted(names)) for text, names in given.items() if len(names) > 1]
    if not conflicts:
        return []
    shown = "; ".join(
        f"{excerpt(text, 30)} is {' and '.join(repr(name) if name else 'without a label' for name in names)}"
        for text, names in conflicts[:3]
    )
    more = f"; and {len(conflicts) - 3} more" if len(conflicts) > 3 else ""
    return [f"{counted(len(conflicts), 'text')} with conflicting labels: {shown}{more}."]
