"""Read a file that lists labels, and perhaps says what each stands for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from classifier.datamodels import Rejection
from classifier.errors import ColumnError, FileProblemError, excerpt
from classifier.reading.columns import LABEL_NAMES, usual_column
from classifier.reading.documents import open_table
from classifier.reading.encodings import find_encoding, text_lines
from classifier.reading.signatures import refuse_binary
from classifier.reading.table import Row, Table
from classifier.reading.values import to_label, to_text

DESCRIPTION_NAMES = ("description", "descriptions", "definition", "meaning", "explanation", "text")


@dataclass(frozen=True, slots=True)
class ListedLabels:
    """The labels of a file.

    Attributes
    ----------
    descriptions : dict of str to str
        What each label stands for, in order of the file; empty where the file does not say.
    notes : tuple of str
        Sentences the user should see, such as a guessed encoding.
    """

    descriptions: dict[str, str]
    notes: tuple[str, ...]


def read_labels(
    path: str | Path,
    *,
    label_column: str | None = None,
    usual_names: Sequence[str] = LABEL_NAMES,
    need_descriptions: bool = False,
    encoding: str | None = None,
) -> ListedLabels:
    """Read a table with a column of labels and perhaps one of descriptions, or a ``.txt`` with one label in each line.

    Parameters
    ----------
    path : str or Path
        A file whose ending is among `classifier.reading.documents.READERS`, or ``.txt``.
    label_column : str or None
        Exact name of the column of labels; None finds it among `usual_names`.
    usual_names : sequence of str
        What a column of labels may be called, in any case; the first that is there is taken.
    need_descriptions : bool, default=False
        Whether a file that describes no label is refused.
    encoding : str or None
        Name of the encoding; None finds it.

    Returns
    -------
    ListedLabels
        Descriptions come from a column with one of `DESCRIPTION_NAMES`.

    Raises
    ------
    FileProblemError
        When the file or a row of it cannot be read, a label is blank or comes twice, or no label is described though
        descriptions are needed.
    ColumnError
        When there is no column of labels.
    """
    path = Path(path)
    is_list = path.suffix.lower() == ".txt" and path.is_file()
    table = _lines_as_table(path, encoding) if is_list else open_table(path, encoding=encoding)
    label = _label_column(table, label_column, usual_names)
    described = usual_column([column for column in table.columns if column != label], DESCRIPTION_NAMES)
    found = _collect(table, label, described)
    if need_descriptions and not any(found.values()):
        raise FileProblemError(
            path, "no label is described in it", f"give it a column called {excerpt(DESCRIPTION_NAMES[0])}"
        )
    return ListedLabels(found, table.notes)


def _label_column(table: Table, wanted: str | None, usual_names: Sequence[str]) -> str:
    """Find the column of labels; it is never guessed, as a list without a header would lose its first label."""
    found = wanted if wanted in table.columns else None
    if wanted is None:
        found = usual_column(table.columns, usual_names)
    if found is None:
        raise ColumnError(table.source, wanted, "label", table.columns)
    return found


def _collect(table: Table, label_column: str, description_column: str | None) -> dict[str, str]:
    """Take the label and the description of each row."""
    label_at = table.columns.index(label_column)
    described_at = None if description_column is None else table.columns.index(description_column)
    found: dict[str, str] = {}
    first_rows: dict[str, int] = {}
    for row in table.rows():
        if isinstance(row, Rejection):
            raise FileProblemError(table.source, f"row {row.row} {row.reason}", "mend it")
        try:
            label = to_label(row.cells[label_at])
            text = None if described_at is None else to_text(row.cells[described_at])
        except UnicodeDecodeError as error:
            raise FileProblemError(table.source, f"row {row.number} is not valid Unicode", "mend it") from error
        if label is None:
            raise FileProblemError(table.source, f"the label of row {row.number} is blank", "fill it in, or remove it")
        if label in found:
            problem = f"the label {excerpt(label)} is in row {first_rows[label]} and again in row {row.number}"
            raise FileProblemError(table.source, problem, "keep one of them, or leave --labels-only out for documents")
        found[label], first_rows[label] = (text or "").strip(), row.number
    return found


def _lines_as_table(path: Path, encoding: str | None) -> Table:
    """Take each line that is not blank as a label."""
    refuse_binary(path)
    found = find_encoding(path, encoding)
    lines = [line.strip() for line in text_lines(path, found.codec)]
    labels = [line for line in lines if line]
    if not labels:
        raise FileProblemError(path, "there is no label in it", "write one in each line")
    return Table(str(path), "txt", ("label",), len(labels), partial(_rows, labels), found.notes)


def _rows(labels: Sequence[str]) -> Iterator[Row | Rejection]:
    """Make a numbered row of each label."""
    return (Row(number, (label,)) for number, label in enumerate(labels, start=1))
