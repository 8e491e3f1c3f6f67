"""How rows with their answers are written, as bytes: CSV, JSON lines, Parquet, and the first two compressed.

Every column of the input comes first, unchanged and in order; the added ones follow. Rows are written in blocks, and
the bytes of a block depend on nothing but the block, so that work can be interrupted between any two of them.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any

from classifier.errors import OutputError, lookup
from classifier.reading.compression import inner_suffix
from classifier.reading.table import Row, Table
from classifier.reading.values import to_json, to_text

Added = Sequence[tuple[str, type]]
Answered = Iterable[tuple[Row, Sequence[Any]]]

ROW_GROUP_ROWS = 10_000
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*([eE][+-]?\d+)?")


def escape_formula(cell: str) -> str:
    """Put an apostrophe before what a spreadsheet would run instead of showing; plain numbers stay as they are.

    Examples
    --------
    >>> [escape_formula(cell) for cell in ("=1+1", "'=1+1", "-5", "plain")]
    ["'=1+1", "''=1+1", '-5', 'plain']
    """
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def unescape_formula(cell: str) -> str:
    """Take back what `escape_formula` did; this gives the very cell that it was given."""
    return cell[1:] if _ESCAPED.match(cell) else cell


class RowFormat(ABC):
    """Turns blocks of rows into bytes.

    Parameters
    ----------
    table : Table
        Where the rows come from.
    added : sequence of (str, type)
        Names and types (str, float, int or bool) of the columns to add.
    delimiter : str
        What separates the cells of CSV.
    raw : bool
        Whether cells of CSV are left as they are even where a spreadsheet would run them.
    """

    def __init__(self, table: Table, added: Added, delimiter: str, *, raw: bool) -> None:
        self._table, self._added, self._delimiter, self._raw = table, tuple(added), delimiter, raw

    def begin(self) -> bytes:
        """Return what comes before the rows."""
        return b""

    @abstractmethod
    def block(self, rows: Answered) -> bytes:
        """Return the bytes of some rows; each comes with one value per added column, None leaves it empty."""

    def whole(self, parts: Path, sizes: Sequence[int], target: Path) -> bool:  # noqa: ARG002 # for formats with an end
        """Make a whole file of all blocks, whose sizes are given; False where they are one already."""
        return False


class CsvRows(RowFormat):
    """CSV in UTF-8, every cell quoted; None becomes empty."""

    def begin(self) -> bytes:
        """Return the header."""
        return self._lines([[*self._table.columns, *(name for name, _ in self._added)]])

    def block(self, rows: Answered) -> bytes:
        """Return one record for each row."""
        return self._lines([_cell(value) for value in (*row.cells, *values)] for row, values in rows)

    def _lines(self, records: Iterable[Sequence[str]]) -> bytes:
        """Write records."""
        lines = io.StringIO(newline="")
        writer = csv.writer(lines, delimiter=self._delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
        keep: Callable[[str], str] = str if self._raw else escape_formula
        writer.writerows([keep(cell) for cell in record] for record in records)
        return lines.getvalue().encode("utf-8")


class JsonLinesRows(RowFormat):
    """One JSON object per line; a line that was JSON keeps every byte, and the added keys follow its own."""

    def block(self, rows: Answered) -> bytes:
        """Return one line for each row."""
        return "".join(self._line(row, values) for row, values in rows).encode("utf-8")

    def _line(self, row: Row, values: Sequence[Any]) -> str:
        """Write one object."""
        added = _members((name for name, _ in self._added), values)
        if row.raw is None:
            return f"{{{_join(_members(self._table.columns, row.cells), added)}}}\n"
        end = row.raw.rindex("}")
        own = row.raw[:end]
        comma = "" if own.rstrip().endswith("{") or not added else ", "
        return f"{own}{comma}{added}{row.raw[end:]}\n"


class ParquetRows(RowFormat):
    """Parquet; columns of a Parquet input keep their types, all others are strings. Nulls stay nulls.

    A Parquet file ends with its index, so blocks are kept as Arrow streams until all are there.
    """

    def block(self, rows: Answered) -> bytes:
        """Return an Arrow stream of the rows."""
        import pyarrow as pa  # type: ignore[import-untyped]

        schema = self._schema()
        is_typed = self._table.schema is not None
        columns = zip(
            *((*(row.cells if is_typed else map(_nullable_cell, row.cells)), *values) for row, values in rows),
            strict=True,
        )
        arrays = [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=False)]
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema) as stream:
            if arrays:
                stream.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
        return bytes(sink.getvalue())

    def whole(self, parts: Path, sizes: Sequence[int], target: Path) -> bool:
        """Write all blocks as row groups of about 10,000 rows."""
        import pyarrow as pa
        import pyarrow.parquet as pq  # type: ignore[import-untyped]

        waiting: list[Any] = []
        with parts.open("rb") as stream, pq.ParquetWriter(target, self._schema()) as writer:
            for size in sizes:
                waiting.append(pa.ipc.open_stream(stream.read(size)).read_all())
                if sum(map(len, waiting)) >= ROW_GROUP_ROWS:
                    writer.write_table(pa.concat_tables(waiting))
                    waiting = []
            if waiting:
                writer.write_table(pa.concat_tables(waiting))
        return True

    def _schema(self) -> Any:
        """Return names and types of all columns."""
        import pyarrow as pa

        kinds = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_()}
        schema = self._table.schema
        if schema is None:
            schema = pa.schema([(column, pa.string()) for column in self._table.columns])
        for name, kind in self._added:
            schema = schema.append(pa.field(name, kinds[kind]))
        return schema


FORMATS: dict[str, type[RowFormat]] = {"csv": CsvRows, "jsonl": JsonLinesRows, "parquet": ParquetRows}
OF_SUFFIX = {".csv": "csv", ".tsv": "csv", ".tab": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


def _zstandard(content: bytes) -> bytes:
    """Compress a block as one frame."""
    import pyarrow as pa

    return bytes(pa.Codec("zstd").compress(content, asbytes=True))


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda content: gzip.compress(content, compresslevel=6, mtime=0),
    ".zst": _zstandard,
}


def open_format(name: str, target: Path | IO[Any], table: Table, added: Added, *, raw: bool = False) -> RowFormat:
    """Prepare to write the rows of a table with added columns.

    Parameters
    ----------
    name : str
        A name in `FORMATS`.
    target : Path or text stream
        Where it will go; a file called ``.tsv`` gets tabs, any other the delimiter of the input.
    table : Table
        Where the rows come from.
    added : sequence of (str, type)
        Names and types (str, float, int or bool) of the columns to add.
    raw : bool, default=False
        Whether cells of CSV are left as they are even where a spreadsheet would run them.

    Raises
    ------
    OutputError
        When an added column has the name of an input column, the target is the input, or Parquet would not go to a
        file.
    UnknownNameError
        When there is no such format.
    """
    is_file = isinstance(target, Path)
    shown = str(target) if is_file else "standard output"
    kind = lookup(FORMATS, name, "output format")
    clashes = [column for column, _ in added if column in table.columns]
    if clashes:
        problem = f"the input already has the column {', '.join(map(repr, clashes))}"
        raise OutputError(shown, problem, "rename that column in the input, so that nothing is overwritten")
    if kind is ParquetRows and not is_file:
        raise OutputError(shown, "Parquet cannot be written there", "name a file, or choose csv or jsonl")
    if isinstance(target, Path) and target.exists() and Path(table.source).exists() and target.samefile(table.source):
        raise OutputError(shown, "it is the file that is being read", "write to another file")
    has_tabs = isinstance(target, Path) and inner_suffix(target) in {".tsv", ".tab"}
    return kind(table, added, "\t" if has_tabs else table.delimiter or ",", raw=raw)


def format_of(path: Path) -> str | None:
    """Return the format that the name of a file stands for; None where it stands for none."""
    return OF_SUFFIX.get(inner_suffix(path))


def compress(path: Path) -> Callable[[bytes], bytes]:
    """Return what compresses a block for a file of this name; a file may consist of any number of such blocks."""
    return COMPRESSIONS.get(path.suffix.lower(), bytes)


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
