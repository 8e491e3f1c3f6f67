"""Read compressed files as the bytes that they hold, without trusting them.

Whether a file is compressed is said by its name: ``x.csv.gz``, ``x.jsonl.zst``. What unpacks it must find it whole, to
the end of the last of the archives that may follow one another in it. gzip always carries a checksum; so does what the
``zstd`` command writes. Where a library left it out, an archive that is cut short is still noticed, but a byte that
changed is not, as in a file that is not compressed.

Nothing is unpacked to the disk or as a whole. A decompression bomb costs time and, where it holds one endless line,
memory; both have limits. 128 MiB are unpacked within a second or two, and no table of documents that we measured comes
near 200 to 1: public data sets have at most 6 to 1, alerts from one template 23 to 1, lines of JSON that all say "ok"
102 to 1. One long text repeated tens of thousands of times does, and such a file can be unpacked by hand.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from classifier.errors import FileProblemError

BUFFER_BYTES = 1 << 18
BOMB_BYTES, BOMB_RATIO = 1 << 27, 200
LONGEST_LINE_BYTES = 1 << 26
MEBIBYTE = 1 << 20


def _unpack_gzip(file: BinaryIO) -> Any:
    """Unpack gzip."""
    return gzip.GzipFile(fileobj=file, mode="rb")


def _unpack_zstandard(file: BinaryIO) -> Any:
    """Unpack Zstandard; its decoder takes no more than 128 MiB."""
    import pyarrow as pa  # type: ignore[import-untyped]

    return pa.input_stream(file, compression="zstd")


@dataclass(frozen=True)
class Compression:
    """One way to compress.

    Attributes
    ----------
    title : str
        What people call it.
    signature : re.Pattern of bytes
        How its files begin.
    unpack : callable
        Makes of an open file one that gives what it holds.
    """

    title: str
    signature: re.Pattern[bytes]
    unpack: Callable[[BinaryIO], Any]


COMPRESSIONS = {
    ".gz": Compression("gzip", re.compile(rb"\x1f\x8b\x08"), _unpack_gzip),
    ".zst": Compression("Zstandard", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), _unpack_zstandard),
}


def compression_of(path: Path) -> str | None:
    """Return which of `COMPRESSIONS` the name of a file promises; None for none."""
    suffix = path.suffix.lower()
    return suffix if suffix in COMPRESSIONS else None


def compression_in(head: bytes) -> str | None:
    """Return which of `COMPRESSIONS` the first bytes of a file belong to; None for none."""
    return next((suffix for suffix, kind in COMPRESSIONS.items() if kind.signature.match(head)), None)


def unpacked_name(path: Path) -> Path:
    """Return the path without the ending of a compression.

    Examples
    --------
    >>> unpacked_name(Path("a.csv.gz")).name, unpacked_name(Path("a.csv")).name
    ('a.csv', 'a.csv')
    """
    return path if compression_of(path) is None else path.with_suffix("")


def inner_suffix(path: Path) -> str:
    """Return the ending that says what a file holds, in lower case.

    Examples
    --------
    >>> inner_suffix(Path("a.JSONL.zst")), inner_suffix(Path("a.csv")), inner_suffix(Path("a.gz"))
    ('.jsonl', '.csv', '')
    """
    return unpacked_name(path).suffix.lower()


def open_bytes(path: Path) -> io.BufferedReader:
    """Open a file to read what it holds, unpacked where its name says that it is compressed.

    Parameters
    ----------
    path : Path
        The file; it is unpacked while it is read, a piece in memory at a time.

    Returns
    -------
    io.BufferedReader
        Cannot be moved in where the file is compressed.

    Raises
    ------
    FileProblemError
        When the file is not what its name says. Reading raises it as well: where the archive is damaged or cut short,
        more than 128 MiB of it come from less than a 200th of that, or a line has more than 64 MiB.
    """
    suffix = compression_of(path)
    if suffix is None:
        return path.open("rb")
    return io.BufferedReader(_Unpacked(path, suffix), BUFFER_BYTES)


def open_text(path: Path, codec: str, errors: str = "strict") -> io.TextIOWrapper:
    """Open a file as `open_bytes` does, to read text with its line ends untouched."""
    return io.TextIOWrapper(open_bytes(path), encoding=codec, errors=errors, newline="")


def require_whole(path: Path) -> None:
    """Read a compressed file to its end, so that its flaws are told before anything is concluded from its bytes.

    Raises
    ------
    FileProblemError
        As for `open_bytes`.
    """
    if compression_of(path) is None:
        return
    with open_bytes(path) as file:
        while file.read(BUFFER_BYTES):
            pass


class _Unpacked(io.RawIOBase):
    """What a compressed file holds, as a stream that watches over its own growth."""

    def __init__(self, path: Path, suffix: str) -> None:
        super().__init__()
        self._path, self._title = path, COMPRESSIONS[suffix].title
        self._n_bytes = self._n_line_bytes = 0
        self._mark = (0, 0)
        self._file = path.open("rb")
        try:
            self._require_signature(suffix)
            self._source = COMPRESSIONS[suffix].unpack(self._file)
        except BaseException:
            self._file.close()
            raise

    def readable(self) -> bool:
        """Tell that this can be read."""
        return True

    def close(self) -> None:
        """Let go of the file."""
        if not self.closed and hasattr(self, "_source"):
            self._source.close()
            self._file.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the next piece goes."""
        try:
            piece = self._source.read(len(buffer))
        except (OSError, EOFError, zlib.error) as error:
            if getattr(error, "errno", None) is not None:
                raise
            raise self._unreadable(error) from error
        buffer[: len(piece)] = piece
        self._watch_ratio(len(piece))
        self._watch_line(piece)
        return len(piece)

    def _require_signature(self, suffix: str) -> None:
        """Refuse a file that is not what its name says."""
        head = self._file.read(4)
        self._file.seek(0)
        found = compression_in(head)
        if found == suffix:
            return
        problem = f"its name ends in {suffix}, but it is no {self._title} archive"
        remedy = f"take {suffix} off its name, or compress it" if found is None else f"rename it to end in {found}"
        raise FileProblemError(self._path, problem, remedy)

    def _unreadable(self, error: Exception) -> FileProblemError:
        """Say why the archive cannot be unpacked."""
        if "too much memory" in str(error):
            problem = f"the {self._title} archive needs more than 128 MiB of memory to be unpacked"
            return FileProblemError(self._path, problem, "unpack it first, or compress it without --long")
        problem = f"the {self._title} archive is damaged or cut short"
        return FileProblemError(self._path, problem, "copy or download it again")

    def _watch_ratio(self, n_new: int) -> None:
        """Refuse a bomb; each stretch is judged by itself, so that honest data before it cannot hide it."""
        self._n_bytes += n_new
        n_bytes, n_packed = self._n_bytes - self._mark[0], self._file.tell() - self._mark[1]
        if n_bytes <= BOMB_BYTES:
            return
        if n_bytes > BOMB_RATIO * n_packed:
            size = f"{BOMB_BYTES // MEBIBYTE} MiB"
            problem = f"over {size} of it come from less than a {BOMB_RATIO}th of that, as in a decompression bomb"
            raise FileProblemError(self._path, problem, "unpack it yourself if you trust it")
        self._mark = (self._n_bytes, self._file.tell())

    def _watch_line(self, piece: bytes) -> None:
        """Refuse a line that would fill the memory."""
        end = max(piece.rfind(b"\n"), piece.rfind(b"\r"))
        self._n_line_bytes = len(piece) - end - 1 if end >= 0 else self._n_line_bytes + len(piece)
        if self._n_line_bytes > LONGEST_LINE_BYTES:
            problem = f"it unpacks to a line of over {LONGEST_LINE_BYTES // MEBIBYTE} MiB, as no table has"
            raise FileProblemError(self._path, problem, "unpack it yourself if you trust it")
