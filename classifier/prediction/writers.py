"""Write results next to the rows they belong to; a file appears whole or not at all.

Every column of the input comes first, unchanged and in order; the added ones follow. What is written goes to a hidden
file beside the target, which takes the target's name only when everything is safely on disk.
"""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from classifier.datamodels import Rejection
from classifier.errors import OutputError, listing, lookup
from classifier.prediction.sinks import FileSink, StreamSink, one_sentence
from classifier.reading.table import Row, Table
from classifier.reading.values import to_json, to_text

Added = Sequence[tuple[str, type]]

_REJECTION_COLUMNS = ("row", "id", "reason")
ROW_GROUP_ROWS = 10_000
ROW_GROUP_CHARACTERS = 1 << 26


class Writer(ABC):
    """A context manager that writes one row at a time.

    Leaving it without an exception makes the file appear; leaving it with one removes every trace.

    Parameters
    ----------
    target : Path or text stream
        Where to write.
    table : Table
        Where the rows come from.
    added : sequence of (str, type)
        Names and types (str, float, int or bool) of the columns to add.
    """

    def __init__(self, target: Path | IO[Any], table: Table, added: Added) -> None:
        self._target, self._table, self._added = target, table, tuple(added)
        self.name = str(target) if isinstance(target, Path) else "standard output"

    def __enter__(self) -> Self:
        with one_sentence(self.name):
            self._sink = FileSink(self._target) if isinstance(self._target, Path) else StreamSink(self._target)
            try:
                self._begin()
            except BaseException:
                self._sink.discard()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with one_sentence(self.name):
                    self._end()
                    self._sink.commit()
        finally:
            self._abandon()
            self._sink.discard()

    def write(self, row: Row, values: Sequence[Any]) -> None:
        """Write one row.

        Parameters
        ----------
        row : Row
            A row of the table.
        values : sequence
            One value per added column; None leaves it empty.

        Raises
        ------
        OutputError
            When the disk is full, or the file cannot be written for another reason.
        """
        with one_sentence(self.name):
            self._write(row, values)

    def _begin(self) -> None:  # noqa: B027 (not every format needs this step)
        """Write what comes before the rows."""

    @abstractmethod
    def _write(self, row: Row, values: Sequence[Any]) -> None:
        """Write one row."""

    def _end(self) -> None:  # noqa: B027 (not every format needs this step)
        """Write what comes after the rows."""

    def _abandon(self) -> None:  # noqa: B027 (not every format needs this step)
        """Let go of what is still open."""


class CsvWriter(Writer):
    """CSV in UTF-8, every cell quoted, with tabs in a ``.tsv``, else the delimiter of the input; None becomes empty."""

    def _begin(self) -> None:
        self._csv = csv.writer(self._sink, delimiter=self._delimiter(), quoting=csv.QUOTE_ALL, lineterminator="\n")
        self._csv.writerow([*self._table.columns, *(name for name, _ in self._added)])

    def _delimiter(self) -> str:
        """Take the tab for a file that is called so, else the delimiter of the input."""
        if isinstance(self._target, Path) and self._target.suffix.lower() in {".tsv", ".tab"}:
            return "\t"
        return self._table.delimiter or ","

    def _write(self, row: Row, values: Sequence[Any]) -> None:
        self._csv.writerow([_cell(value) for value in (*row.cells, *values)])


class JsonLinesWriter(Writer):
    """One JSON object per line; a line that was JSON keeps every byte, and the added keys follow its own."""

    def _write(self, row: Row, values: Sequence[Any]) -> None:
        added = _members((name for name, _ in self._added), values)
        if row.raw is None:
            self._sink.write(f"{{{_join(_members(self._table.columns, row.cells), added)}}}\n")
            return
        end = row.raw.rindex("}")
        own = row.raw[:end]
        comma = "" if own.rstrip().endswith("{") or not added else ", "
        self._sink.write(f"{own}{comma}{added}{row.raw[end:]}\n")


class ParquetWriter(Writer):
    """Parquet; columns of a Parquet input keep their types, all others are strings. Nulls stay nulls."""

    def _begin(self) -> None:
        import pyarrow as pa  # type: ignore[import-untyped]
        import pyarrow.parquet as pq  # type: ignore[import-untyped]

        if not isinstance(self._sink, FileSink):
            raise OutputError(self.name, "Parquet cannot be written there", "name a file, or choose csv or jsonl")
        kinds = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_()}
        schema = self._table.schema
        if schema is None:
            schema = pa.schema([(column, pa.string()) for column in self._table.columns])
        for name, kind in self._added:
            schema = schema.append(pa.field(name, kinds[kind]))
        self._schema, self._file = schema, pq.ParquetWriter(self._sink.handle, schema)
        self._rows: list[tuple[Any, ...]] = []
        self._n_characters = 0

    def _write(self, row: Row, values: Sequence[Any]) -> None:
        cells = row.cells if self._table.schema is not None else tuple(map(_nullable_cell, row.cells))
        self._rows.append((*cells, *values))
        self._n_characters += sum(len(cell) for cell in cells if isinstance(cell, str))
        if len(self._rows) >= ROW_GROUP_ROWS or self._n_characters >= ROW_GROUP_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        """Write the buffered rows as one row group."""
        import pyarrow as pa

        columns = zip(*self._rows, strict=True)
        arrays = [pa.array(column, type=field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._file.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows, self._n_characters = [], 0

    def _end(self) -> None:
        if self._rows:
            self._flush()
        self._file.close()

    def _abandon(self) -> None:
        with suppress(OSError, ValueError):
            self._file.close()


WRITERS: dict[str, type[Writer]] = {"csv": CsvWriter, "jsonl": JsonLinesWriter, "parquet": ParquetWriter}


def open_writer(target: Path | IO[Any], format: str, table: Table, added: Added) -> Writer:  # noqa: A002 (as in Table)
    """Prepare to write the rows of a table with added columns.

    Parameters
    ----------
    target : Path or text stream
        A file, or standard output, which can take csv and jsonl.
    format : str
        A name in `WRITERS`.
    table : Table
        Where the rows come from.
    added : sequence of (str, type)
        Names and types (str, float, int or bool) of the columns to add.

    Returns
    -------
    Writer
        Use it in a ``with`` statement; nothing is touched before.

    Raises
    ------
    OutputError
        When an added column has the name of an input column, or the target is the input.
    UnknownNameError
        When there is no such format.
    """
    writer = lookup(WRITERS, format, "output format")(target, table, added)
    clashes = [name for name, _ in added if name in table.columns]
    if clashes:
        problem = f"the input already has the column {listing(clashes)}"
        raise OutputError(writer.name, problem, "rename that column in the input, so that nothing is overwritten")
    if isinstance(target, Path) and target.exists() and Path(table.source).exists() and target.samefile(table.source):
        raise OutputError(writer.name, "it is the file that is being read", "write to another file")
    return writer


class RejectionsFile:
    """A CSV of rejected rows (``row,id,reason``) that is made only when there is something to tell.

    Use it in a ``with`` statement. Where nothing was rejected, no file is made, and the list of an earlier run is
    replaced by an empty one; a file that is no such list is not touched.

    Parameters
    ----------
    path : Path
        Where the list is to appear.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sink: FileSink | None = None
        self.n_written = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with one_sentence(str(self._path)):
                    if self._sink is None and self._is_old_list():
                        self._open()
                    if self._sink is not None:
                        self._sink.commit()
        finally:
            if self._sink is not None:
                self._sink.discard()

    def write(self, rejection: Rejection) -> None:
        """Add one rejected row.

        Raises
        ------
        OutputError
            When the list cannot be written.
        """
        with one_sentence(str(self._path)):
            if self._sink is None:
                self._open()
            self._csv.writerow([rejection.row, rejection.id, rejection.reason])
            self.n_written += 1

    def _open(self) -> None:
        """Start the list."""
        self._sink = FileSink(self._path)
        self._csv = csv.writer(self._sink, quoting=csv.QUOTE_ALL, lineterminator="\n")
        self._csv.writerow(_REJECTION_COLUMNS)

    def _is_old_list(self) -> bool:
        """Tell whether an earlier run left its list here."""
        if not self._path.is_file():
            return False
        with self._path.open("rb") as stream:
            return stream.readline() == b'"row","id","reason"\n'


def _cell(value: Any) -> str:
    """Write a value as the text of a CSV cell."""
    return _nullable_cell(value) or ""


def _nullable_cell(value: Any) -> str | None:
    """Write a value as text, or None for a missing one; bytes that are no text are escaped."""
    try:
        return to_text(value)
    except UnicodeDecodeError:
        return to_json(value)


def _members(names: Iterable[str], values: Iterable[Any]) -> str:
    """Write the inside of a JSON object."""
    return ", ".join(f"{to_json(name)}: {to_json(value)}" for name, value in zip(names, values, strict=True))


def _join(*members: str) -> str:
    """Join the insides of two objects, either of which may be empty."""
    return ", ".join(filter(None, members))
