"""Look at a labelled file before it is trained on: cheap, without an encoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from classifier.analysis.label_checks import FEW_DOCUMENTS, LabelChecks, check_labels
from classifier.datamodels import Document, Rejection
from classifier.errors import counted, excerpt, listing
from classifier.modeling.label_sets import split_labels
from classifier.reading.documents import read_documents
from classifier.reports import FIND_COLUMNS, Columns

SHOWN_EXAMPLES = 5
_EXCERPT = 70


@dataclass(frozen=True, slots=True)
class FileChecks:
    """What was found in a labelled file.

    Attributes
    ----------
    labels : LabelChecks
        On the rows with a text and a label; rows in it are positions in `documents`.
    documents : tuple of Document
        Those rows.
    n_unlabelled, n_empty, n_rejected : int
        Rows without a label, with nothing to read, and those that cannot be read.
    unlabelled, empty : tuple of Document
        The first of them.
    rejected : tuple of Rejection
        The first of them.
    notes : tuple of str
        What was chosen while reading.
    """

    labels: LabelChecks
    documents: tuple[Document, ...]
    n_unlabelled: int
    n_empty: int
    n_rejected: int
    unlabelled: tuple[Document, ...]
    empty: tuple[Document, ...]
    rejected: tuple[Rejection, ...]
    notes: tuple[str, ...]

    @property
    def can_train(self) -> bool:
        """Whether there is something to tell apart."""
        return len({document.label for document in self.documents}) > 1

    def sentences(self) -> Iterator[str]:
        """Say what deserves a look, worst first; nothing where all is well."""
        found = self.labels
        if not self.can_train:
            yield "There are not two labels to tell apart: nothing can be trained on this."
        if found.n_conflicting:
            yield (
                f"{counted(found.n_conflicting, 'document')} {_have(found.n_conflicting)} the words of another one "
                f"with another label, such as {self._conflict()}."
            )
        if found.alike:
            alike = "; ".join(listing(names) for names in found.alike[:SHOWN_EXAMPLES])
            yield f"Labels that differ only by case or spaces, yet count as different: {alike}."
        if found.few:
            yield (
                f"{counted(len(found.few), 'label')} with fewer than {FEW_DOCUMENTS} different texts, which can "
                f"hardly be learned or measured: {listing(found.few)}."
            )
        for n, what in (
            (self.n_unlabelled, "without a label, which will wait for a person in the review"),
            (self.n_empty, "with nothing to read, left out"),
            (self.n_rejected, "that cannot be read, left out"),
        ):
            if n:
                yield f"{counted(n, 'row')} {what}."
        if found.n_copies:
            yield (
                f"{counted(found.n_copies, 'document')} {_have(found.n_copies)} the words and the label of another "
                "one; they are held out together, so that they flatter no figure."
            )

    def _conflict(self) -> str:
        """Show one contradiction."""
        one = self.labels.conflicts[0]
        names = listing(dict.fromkeys(label or "no label" for label in one.labels), 3)
        return f"{excerpt(self.documents[one.rows[0]].text, _EXCERPT)} ({names})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON; rows are numbers of the file, from 1."""
        labels, numbers = asdict(self.labels), [document.row for document in self.documents]
        labels["copies"] = [[numbers[row] for row in rows] for rows in self.labels.copies]
        labels["conflicts"] = [
            {"rows": [numbers[row] for row in one.rows], "labels": list(one.labels)} for one in self.labels.conflicts
        ]
        return labels | {
            "n_unlabelled": self.n_unlabelled,
            "n_empty": self.n_empty,
            "n_rejected": self.n_rejected,
            "unlabelled_rows": [document.row for document in self.unlabelled],
            "empty_rows": [document.row for document in self.empty],
            "rejected": [asdict(one) for one in self.rejected],
            "sentences": list(self.sentences()),
            "can_train": self.can_train,
        }


def check_file(
    file: str | Path, *, columns: Columns = FIND_COLUMNS, multi_label: bool = False, normalise_labels: bool = False
) -> FileChecks:
    """Look at the labels and texts of a file.

    Parameters
    ----------
    file : str or Path
        Labelled documents.
    columns : Columns
        How to read it.
    multi_label : bool
        Whether a document may have any number of labels, joined by ``|`` or as a list, and also none.
    normalise_labels : bool
        Whether labels are written alike that differ only by case or spaces.

    Raises
    ------
    FileProblemError
        When it cannot be read.
    """
    stream = read_documents(
        file,
        text_column=columns.text,
        label_column=columns.label,
        id_column=columns.id,
        need_labels=True,
        encoding=columns.encoding,
    )
    documents, unlabelled, empty, rejected = list[Document](), list[Document](), list[Document](), list[Rejection]()
    for item in stream:
        if isinstance(item, Rejection):
            rejected.append(item)
        elif not item.document.text.strip():
            empty.append(item.document)
        elif item.document.label is None and not multi_label:
            unlabelled.append(item.document)
        else:
            documents.append(item.document)
    names = [document.label or "" for document in documents]
    if normalise_labels:
        from classifier.modeling.training_data import normalise_labels as alike

        names = alike(names, multi_label=multi_label)
    return FileChecks(
        labels=check_labels(
            [document.text for document in documents],
            [split_labels(name) if multi_label else (name,) for name in names],
        ),
        documents=tuple(documents),
        n_unlabelled=len(unlabelled),
        n_empty=len(empty),
        n_rejected=len(rejected),
        unlabelled=tuple(unlabelled[:SHOWN_EXAMPLES]),
        empty=tuple(empty[:SHOWN_EXAMPLES]),
        rejected=tuple(rejected[:SHOWN_EXAMPLES]),
        notes=stream.notes,
    )


def _have(n: int) -> str:
    """Make a verb agree."""
    return "has" if n == 1 else "have"
