"""What every reader returns: a table whose rows can be streamed any number of times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from classifier.datamodels import Rejection
from classifier.errors import FileProblemError


class Row(NamedTuple):
    """One readable row of a table.

    Attributes
    ----------
    number : int
        Number of the data row, the first being 1.
    cells : tuple
        The values as they stand in the file, in the order of the table's columns. Cells of CSV and of text files
        are strings; see `classifier.reading.values` for the others.
    raw : str or None
        The untouched line, without its line end, where the source is JSONL.
    """

    number: int
    cells: tuple[Any, ...]
    raw: str | None = None


@dataclass(frozen=True)
class Table:
    """A file that was scanned once from end to end and found readable.

    Attributes
    ----------
    source : str
        The path, as it was given.
    format : str
        ``csv`` (any delimited text), ``jsonl``, ``parquet``, ``folder`` or ``document``.
    columns : tuple of str
        Every column, in order, named exactly as in the file.
    n_rows : int
        Number of data rows, rejected ones included.
    notes : tuple of str
        Sentences the user should see, such as a guessed encoding.
    schema : pyarrow.Schema or None
        The exact types, where the source is Parquet.
    delimiter : str or None
        What separates the cells, where the source is delimited text.
    fingerprint : tuple of int or None
        Size, time and inode of the file when it was scanned; None for what is no single file.
    read_rows : callable
        Starts a new pass over the file; use `rows`, which also watches over the pass.
    """

    source: str
    format: str
    columns: tuple[str, ...]
    n_rows: int
    read_rows: Callable[[], Iterator[Row | Rejection]] = field(repr=False, compare=False)
    notes: tuple[str, ...] = ()
    schema: Any = None
    delimiter: str | None = None
    fingerprint: tuple[int, ...] | None = None

    def rows(self) -> Iterator[Row | Rejection]:
        """Stream the rows in file order; each comes out readable or rejected.

        Yields
        ------
        Row or Rejection
            Exactly `n_rows` of them, numbered from 1.

        Raises
        ------
        FileProblemError
            When the file is no longer the one that was scanned.
        """
        n_read = 0
        try:
            for row in self.read_rows():
                n_read += 1
                yield row
        except OSError as error:
            raise self._changed(error.strerror or str(error)) from error
        if self.fingerprint is not None and fingerprint_of(Path(self.source)) != self.fingerprint:
            raise self._changed("its size or time is another")
        if n_read != self.n_rows:
            raise self._changed(f"it had {self.n_rows} rows and now has {n_read}")

    def _changed(self, what: str) -> FileProblemError:
        """Say that the file changed between the scan and this pass."""
        return FileProblemError(self.source, f"the file changed while it was read ({what})", "read it again")


def fingerprint_of(path: Path) -> tuple[int, ...] | None:
    """Return size, time and inode of a file; None where it is no file."""
    if not path.is_file():
        return None
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def scan_rows(source: object, rows: Iterable[Row | Rejection]) -> int:
    """Count all rows, and refuse a file of which none can be used.

    Raises
    ------
    FileProblemError
        When there are no rows, or every row is rejected.
    """
    n_rows = n_readable = 0
    first_rejection: Rejection | None = None
    for row in rows:
        n_rows += 1
        if isinstance(row, Rejection):
            first_rejection = first_rejection or row
        else:
            n_readable += 1
    if not n_rows:
        raise FileProblemError(source, "there are no rows in it", "give a file with at least one document")
    if first_rejection and not n_readable:
        problem = f"none of its {n_rows} rows can be read (row {first_rejection.row} {first_rejection.reason})"
        raise FileProblemError(source, problem, "mend the file")
    return n_rows
