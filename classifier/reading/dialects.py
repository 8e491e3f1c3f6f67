"""Split delimited text into records, and find out which delimiter it has."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

LONGEST_CELL = 1 << 28


@dataclass(frozen=True)
class Dialect:
    """How the cells of a file are told apart; where `quoted` is False, quotes are ordinary characters."""

    delimiter: str
    quoted: bool = True


class Parsed(NamedTuple):
    """One record of a file: its cells, or what is wrong with it."""

    cells: list[str]
    problem: str | None = None


class OpenQuoteError(Exception):
    """The quotation mark that opens a cell in `line` is never closed."""

    def __init__(self, line: int) -> None:
        self.line = line
        super().__init__(f"a quotation mark opened in line {line} is never closed")


def parse(lines: Iterable[str], dialect: Dialect) -> Iterator[Parsed]:
    """Split lines into records.

    Parameters
    ----------
    lines : iterable of str
        Lines with their line ends.
    dialect : Dialect
        How cells are told apart.

    Yields
    ------
    Parsed
        One per record; the record of a blank line has no cells. A record with a problem ends where its quotation
        marks are balanced, so that the rest of a broken cell is never taken for a record of its own.

    Raises
    ------
    OpenQuoteError
        When the last cell has no closing quotation mark.
    """
    csv.field_size_limit(LONGEST_CELL)
    numbered = _NumberedLines(lines)
    make_reader = partial(csv.reader, numbered, delimiter=dialect.delimiter, strict=True)
    reader = make_reader() if dialect.quoted else make_reader(quoting=csv.QUOTE_NONE)
    while True:
        numbered.start_record()
        try:
            yield Parsed(next(reader))
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error) or "field limit" in str(error):
                raise OpenQuoteError(numbered.opened) from error
            numbered.finish_record()
            yield Parsed([], f"has text after a closing quotation mark ({numbered.span})")


def find_delimiter(lines: Iterable[str], candidates: Iterable[str]) -> str:
    r"""Take the delimiter that makes the most regular table of the first lines of a file.

    Parameters
    ----------
    lines : iterable of str
        Lines with their line ends; the last record may be cut off.
    candidates : iterable of str
        Single characters; the earlier wins where two do equally well.

    Examples
    --------
    >>> find_delimiter(["text;price\n", "a, b;1,5\n", "c;2,0\n"], ",;")
    ';'
    """
    lines = list(lines)
    return max(candidates, key=lambda delimiter: _regularity(lines, delimiter))


def _regularity(lines: list[str], delimiter: str) -> tuple[bool, float, int]:
    """Rate a delimiter: does it split the header, how many rows are as wide as it, and how wide is it."""
    widths: list[int] = []
    with suppress(OpenQuoteError):
        records = parse(lines, Dialect(delimiter))
        widths.extend(len(record.cells) for record in records if record.cells or record.problem)
    if not widths:
        return (False, 0.0, 0)
    return (widths[0] > 1, widths.count(widths[0]) / len(widths), widths[0])


class _NumberedLines:
    """Pass lines on while keeping track of where records and quoted cells begin."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._n_quotes = 0
        self.number = self.first = self.opened = 0

    def __iter__(self) -> _NumberedLines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        if self._n_quotes % 2 == 0:
            self.opened = self.number
        self._n_quotes += line.count('"')
        return line

    def start_record(self) -> None:
        """Mark the next line as the first of a record."""
        self.first, self._n_quotes = self.number + 1, 0

    def finish_record(self) -> None:
        """Read on to the end of a broken record: the first line at which its quotation marks are balanced."""
        while self._n_quotes % 2:
            if next(self, None) is None:
                raise OpenQuoteError(self.opened)

    @property
    def span(self) -> str:
        """The lines of the current record, in words."""
        return f"line {self.first}" if self.first == self.number else f"lines {self.first} to {self.number}"
