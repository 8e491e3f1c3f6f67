"""The door to files: open one as a table, or read it as documents.

Rows are streamed, so memory stays bounded however long the file is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from classifier.datamodels import Document, Rejection
from classifier.errors import ClassifierError, FileMissingError, FileProblemError, excerpt, listing
from classifier.reading.columns import choose_columns
from classifier.reading.compression import COMPRESSIONS, compression_of, inner_suffix, require_whole
from classifier.reading.delimited import read_delimited, read_tab_separated
from classifier.reading.folders import read_folder, read_one
from classifier.reading.jsonlines import read_json_lines
from classifier.reading.parquet import read_parquet
from classifier.reading.signatures import refuse_binary
from classifier.reading.single import DOCUMENT_SUFFIXES
from classifier.reading.table import Row, Table, fingerprint_of
from classifier.reading.values import to_label, to_text

__all__ = ["READERS", "DocumentStream", "Record", "Row", "Table", "open_table", "read_documents"]

READERS: dict[str, Callable[[Path, str | None], Table]] = {
    ".csv": read_delimited,
    ".tsv": read_tab_separated,
    ".tab": read_tab_separated,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".parquet": read_parquet,
}


@dataclass(frozen=True)
class Record:
    """A document together with the whole row that it was made from."""

    document: Document
    row: Row


@dataclass(frozen=True)
class DocumentStream:
    """The documents of a file; every iteration reads the file anew.

    Attributes
    ----------
    table : Table
        The file.
    text_column : str
        The column the texts come from.
    label_column : str or None
        The column the labels come from; None where documents have no labels.
    id_column : str or None
        The column the ids come from; None where the row numbers serve as ids.
    notes : tuple of str
        Sentences the user should see: a guessed encoding, columns that were found.
    """

    table: Table
    text_column: str
    label_column: str | None
    id_column: str | None
    notes: tuple[str, ...]

    @property
    def n_rows(self) -> int:
        """Number of rows, and so of items that an iteration yields."""
        return self.table.n_rows

    def __iter__(self) -> Iterator[Record | Rejection]:
        """Stream one item per row: its record, or why there is none."""
        index = self.table.columns.index
        text_at = index(self.text_column)
        label_at = None if self.label_column is None else index(self.label_column)
        id_at = None if self.id_column is None else index(self.id_column)
        for row in self.table.rows():
            if isinstance(row, Rejection):
                yield row
                continue
            try:
                document = Document(
                    id=str(row.number) if id_at is None else to_text(row.cells[id_at]) or "",
                    text=to_text(row.cells[text_at]) or "",
                    label=None if label_at is None else to_label(row.cells[label_at]),
                    row=row.number,
                )
            except UnicodeDecodeError:
                yield Rejection(self.table.source, row.number, "is not valid Unicode")
            else:
                yield Record(document, row)


def open_table(path: str | Path, *, encoding: str | None = None) -> Table:
    """Scan a file or a folder of documents once, and refuse what cannot be read as a table.

    Parameters
    ----------
    path : str or Path
        A file whose ending is among `READERS`, all but Parquet also compressed (``.csv.gz``, ``.jsonl.zst``), a
        document whose ending is among `DOCUMENT_SUFFIXES`, or a folder of such documents.
    encoding : str or None
        Name of the encoding; None finds it.

    Returns
    -------
    Table
        Its rows can be streamed any number of times.

    Raises
    ------
    FileProblemError
        When the file as a whole cannot be read; one sentence says why and what to do.
    """
    path = Path(path)
    try:
        fingerprint = fingerprint_of(path)
        return replace(_reader(path)(path, encoding), fingerprint=fingerprint)
    except ClassifierError:
        raise
    except OSError as error:
        raise FileProblemError(
            path, f"it cannot be read ({error.strerror or error})", "check its permissions"
        ) from error


def read_documents(
    path: str | Path,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    id_column: str | None = None,
    need_labels: bool = False,
    encoding: str | None = None,
) -> DocumentStream:
    """Read a file as documents: every row comes out as a record or as a rejection, in file order.

    Parameters
    ----------
    path : str or Path
        A file whose ending is among `READERS`, all but Parquet also compressed (``.csv.gz``, ``.jsonl.zst``), a
        document whose ending is among `DOCUMENT_SUFFIXES`, or a folder of such documents.
    text_column, label_column, id_column : str or None
        Exact names of columns; None finds them, see `choose_columns`.
    need_labels : bool, default False
        Whether to refuse a file in which no column of labels is found.
    encoding : str or None
        Name of the encoding; None finds it.

    Returns
    -------
    DocumentStream
        Iterate over it as often as needed.

    Raises
    ------
    FileProblemError
        When the file as a whole cannot be read.
    ColumnError
        When a column does not exist or cannot be found.
    """
    table = open_table(path, encoding=encoding)
    choice = choose_columns(
        table, text_column=text_column, label_column=label_column, id_column=id_column, need_labels=need_labels
    )
    return DocumentStream(table, choice.text, choice.label, choice.id, table.notes + choice.notes)


def _reader(path: Path) -> Callable[[Path, str | None], Table]:
    """Find what reads a path, having made sure that it is there and not some other kind of file."""
    if "\x00" in str(path) or not path.exists():
        raise FileMissingError(path)
    if path.is_dir():
        return read_folder
    if not path.is_file():
        raise FileProblemError(path, "it is neither a file nor a folder", "give a file")
    if not path.stat().st_size:
        raise FileProblemError(path, "it is empty", "give a file with at least one document")
    suffix = inner_suffix(path)
    if path.suffix.lower() in DOCUMENT_SUFFIXES:
        return read_one
    if suffix != ".parquet":
        refuse_binary(path)
    elif compression_of(path):
        remedy = "unpack it first, as Parquet has its own compression"
        raise FileProblemError(path, "a Parquet file is not read from an archive", remedy)
    if suffix not in READERS:
        raise _unknown_ending(path)
    require_whole(path)
    return READERS[suffix]


def _unknown_ending(path: Path) -> FileProblemError:
    """Say which endings are known."""
    suffix, packed = inner_suffix(path), compression_of(path) or ""
    problem = f"its name has no ending{packed and f' before {packed}'}"
    if suffix:
        problem = f"files ending in {excerpt(suffix + packed)} are not read"
    behind = f"all but Parquet also with {' or '.join(COMPRESSIONS)} behind"
    return FileProblemError(
        path,
        problem,
        f"use one of {listing(READERS)} ({behind}), a document ({listing(DOCUMENT_SUFFIXES)}), or a folder of them",
    )
