"""Read CSV and its relatives as a stream, every cell exactly as it stands in the file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from classifier.datamodels import Rejection
from classifier.errors import FileProblemError, listing
from classifier.reading.dialects import Dialect, OpenQuoteError, Parsed, find_delimiter, parse
from classifier.reading.encodings import find_encoding, text_lines
from classifier.reading.table import Row, Table, scan_rows

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_LINES, SAMPLE_CHARACTERS = 1000, 1 << 20
UNQUOTED_NOTE = "quotation marks are read as ordinary characters, as they do not enclose whole cells"


def read_delimited(path: Path, encoding: str | None = None, *, delimiters: tuple[str, ...] = DELIMITERS) -> Table:
    """Scan a delimited text file.

    Parameters
    ----------
    path : Path
        The file.
    encoding : str or None
        Name of a codec; None finds it.
    delimiters : tuple of str
        What may separate the cells; the one that gives the most regular table is taken.

    Returns
    -------
    Table
        Its `delimiter` is the one that was found.

    Raises
    ------
    FileProblemError
        When the file cannot be read as a whole: unknown encoding, unclosed quote, repeated column names, no rows.
    """
    found = find_encoding(path, encoding)
    notes = found.notes
    dialect = Dialect(find_delimiter(_head(_lines(path, found.codec)), delimiters))
    if _is_unquoted(path, found.codec, dialect):
        dialect = Dialect(dialect.delimiter, quoted=False)
        notes += (UNQUOTED_NOTE,)
    columns = _header(path, found.codec, dialect)
    read_rows = partial(_rows, path, found.codec, dialect, len(columns))
    return Table(
        source=str(path),
        format="csv",
        columns=columns,
        n_rows=scan_rows(path, read_rows()),
        read_rows=read_rows,
        notes=notes,
        delimiter=dialect.delimiter if len(columns) > 1 else delimiters[0],
    )


def read_tab_separated(path: Path, encoding: str | None = None) -> Table:
    """Scan a tab-separated file; see `read_delimited`."""
    return read_delimited(path, encoding, delimiters=("\t",))


def _lines(path: Path, codec: str) -> Iterator[str]:
    """Stream the lines, with the line ``sep=;`` that some spreadsheets put first blanked out."""
    for number, line in enumerate(text_lines(path, codec)):
        yield "\n" if not number and re.fullmatch("sep=[,;|\t][\r\n]*", line) else line


def _head(lines: Iterator[str]) -> Iterator[str]:
    """Pass on the first lines, as many as are needed to know the delimiter."""
    n_characters = 0
    for line in islice(lines, SAMPLE_LINES):
        yield line
        n_characters += len(line)
        if n_characters > SAMPLE_CHARACTERS:
            return


def _records(path: Path, codec: str, dialect: Dialect) -> Iterator[Parsed]:
    """Stream the records from the header on."""
    try:
        started = False
        for record in parse(_lines(path, codec), dialect):
            started = started or bool(record.cells or record.problem)
            if started:
                yield record
    except OpenQuoteError as error:
        remedy = "close it, or double the quotation marks that belong to a text"
        raise FileProblemError(path, str(error), remedy) from error


def _header(path: Path, codec: str, dialect: Dialect) -> tuple[str, ...]:
    """Read the names of the columns and refuse repeated ones."""
    header = next(_records(path, codec, dialect), None)
    if header is None:
        raise FileProblemError(path, "it is empty", "give a file with a header and at least one row")
    if header.problem:
        raise FileProblemError(path, f"its header {header.problem}", "mend the first line")
    repeated = [name for name, count in Counter(header.cells).items() if count > 1]
    if repeated == [""]:
        raise FileProblemError(path, "several of its columns have no name", "name them or remove them")
    if repeated:
        raise FileProblemError(path, f"several columns are called {listing(repeated)}", "give each its own name")
    return tuple(header.cells)


def _rows(path: Path, codec: str, dialect: Dialect, width: int) -> Iterator[Row | Rejection]:
    """Stream the data rows; those that do not fit the header are rejected."""
    number = 0
    for record in islice(_records(path, codec, dialect), 1, None):
        cells = record.cells
        if not cells and not record.problem:
            if width > 1:
                continue
            cells = [""]
        number += 1
        if record.problem:
            yield Rejection(str(path), number, record.problem)
        elif len(cells) != width:
            fields = "1 field" if len(cells) == 1 else f"{len(cells)} fields"
            yield Rejection(str(path), number, f"has {fields} where the header has {width}")
        else:
            yield Row(number, tuple(cells))


def _is_unquoted(path: Path, codec: str, dialect: Dialect) -> bool:
    """Tell whether a tab-separated file uses no quoting at all.

    It is so where quoting fails while plain splitting gives a table without a flaw, and no quotation mark is doubled.
    """
    if dialect.delimiter != "\t" or not _has_malformed_quoting(path, codec, dialect):
        return False
    records = _records(path, codec, Dialect("\t", quoted=False))
    header = next(records).cells
    return not any('"' in name for name in header) and all(
        len(cells) in (0, len(header)) and not any('""' in cell[1:-1] for cell in cells) for cells, _ in records
    )


def _has_malformed_quoting(path: Path, codec: str, dialect: Dialect) -> bool:
    """Tell whether any record cannot be parsed."""
    try:
        return any(record.problem for record in parse(_lines(path, codec), dialect))
    except OpenQuoteError:
        return True
