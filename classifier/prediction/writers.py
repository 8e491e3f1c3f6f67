"""Write results next to the rows they belong to; a file appears whole or not at all.

Every column of the input comes first, unchanged and in order; the added ones follow. What is written goes to a hidden
file beside the target, which takes the target's name only when everything is safely on disk.
"""

from __future__ import annotations

import csv
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from classifier.datamodels import Rejection
from classifier.errors import OutputError, listing, lookup
from classifier.reading.table import Row, Table
from classifier.reading.values import to_json, to_text

Added = Sequence[tuple[str, type]]

ROW_GROUP_ROWS = 10_000
ROW_GROUP_CHARACTERS = 1 << 26


class FileSink:
    """Bytes on their way to a file that is replaced in one step.

    Parameters
    ----------
    target : Path
        Where the file is to appear; an existing one stays as it is until `commit`.

    Raises
    ------
    OutputError
        When the folder cannot be written to, or `target` is no regular file.
    """

    def __init__(self, target: Path) -> None:
        self._target = Path(os.path.realpath(target))
        self._temporary = self._target.with_name(f".classifier-{secrets.token_hex(8)}.part")
        if self._target.exists() and not self._target.is_file():
            raise OutputError(target, "it is not a regular file", "name a file to write")
        self.handle: IO[bytes] = self._temporary.open("xb")

    def write(self, text: str) -> None:
        """Append text as UTF-8."""
        self.handle.write(text.encode("utf-8"))

    def commit(self) -> None:
        """Bring everything to disk and give the file its name."""
        self.handle.flush()
        os.fsync(self.handle.fileno())
        self.handle.close()
        self._temporary.replace(self._target)
        if os.name == "posix":
            folder = os.open(self._target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def discard(self) -> None:
        """Remove what was written."""
        with suppress(OSError):
            self.handle.close()
        with suppress(OSError):
            self._temporary.unlink()


class StreamSink:
    """Text on its way to an open stream, such as standard output."""

    def __init__(self, stream: IO[Any]) -> None:
        stream.flush()
        self._stream = stream
        self._bytes: IO[bytes] | None = getattr(stream, "buffer", None)

    def write(self, text: str) -> None:
        """Append text, as UTF-8 with its own line ends wherever the stream lets its bytes be reached."""
        if self._bytes is not None:
            self._bytes.write(text.encode("utf-8"))
        else:
            self._stream.write(text)

    def commit(self) -> None:
        """Hand everything over."""
        (self._bytes or self._stream).flush()

    def discard(self) -> None:
        """Do nothing: what went out cannot be called back."""


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
        self._name = str(target) if isinstance(target, Path) else "standard output"

    def __enter__(self) -> Self:
        with _one_sentence(self._name):
            self._sink = FileSink(self._target) if isinstance(self._target, Path) else StreamSink(self._target)
            self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with _one_sentence(self._name):
                self._end()
                if kind is None:
                    self._sink.commit()
        finally:
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
        with _one_sentence(self._name):
            self._write(row, values)

    def _begin(self) -> None:
        """Write what comes before the rows."""

    @abstractmethod
    def _write(self, row: Row, values: Sequence[Any]) -> None:
        """Write one row."""

    def _end(self) -> None:
        """Write what comes after the rows."""
