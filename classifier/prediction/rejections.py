"""The list of rows that cannot be read: ``row,id,reason``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from classifier.datamodels import Rejection
from classifier.prediction.sinks import FileSink, one_sentence

REJECTION_COLUMNS = ("row", "id", "reason")


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
                    if self._sink is None and is_list_of_rejected(self._path):
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
            (self._sink or self._open()).write(rejected_lines([rejection]))
            self.n_written += 1

    def _open(self) -> FileSink:
        """Start the list."""
        self._sink = FileSink(self._path)
        self._sink.write(rejected_lines([], with_header=True))
        return self._sink


def rejected_lines(rejected: Iterable[Rejection], *, with_header: bool = False) -> str:
    """Write rejected rows as CSV."""
    lines = io.StringIO(newline="")
    writer = csv.writer(lines, quoting=csv.QUOTE_ALL, lineterminator="\n")
    if with_header:
        writer.writerow(REJECTION_COLUMNS)
    writer.writerows([one.row, one.id, one.reason] for one in rejected)
    return lines.getvalue()


def is_list_of_rejected(path: Path) -> bool:
    """Tell whether an earlier run left its list there, which is then to be replaced."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.readline() == rejected_lines([], with_header=True).encode("ascii")
