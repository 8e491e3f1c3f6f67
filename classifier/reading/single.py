"""Read one document from one file, whatever its kind; and several at once, each in its turn."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePath

from classifier.errors import FileMissingError, FileProblemError, listing
from classifier.reading.encodings import find_encoding, text_lines
from classifier.reading.parsing import DEFAULT_LIMITS, KINDS, ParsedFile, parse, refuse_large
from classifier.reading.signatures import refuse_binary

TEXT_SUFFIXES = (".txt", ".md")
DOCUMENT_SUFFIXES = (*TEXT_SUFFIXES, *KINDS)


def read_file(path: Path, encoding: str | None = None) -> ParsedFile:
    """Read a file as one document; all but plain text in a limited process of its own.

    Parameters
    ----------
    path : Path
        Its ending is one of `DOCUMENT_SUFFIXES`.
    encoding : str or None
        Name of the codec of plain text; None finds it.

    Returns
    -------
    ParsedFile
        With what its reader should know, such as a guessed encoding, or what was not read.

    Raises
    ------
    FileProblemError
        When there is no text in it that can be read.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise FileMissingError(path)
    if suffix in KINDS:
        refuse_large(path.name, path.stat().st_size, DEFAULT_LIMITS)
        return parse(path.name, path.read_bytes())
    if suffix not in TEXT_SUFFIXES:
        raise FileProblemError(path.name, "it is no document that can be read", f"give {listing(DOCUMENT_SUFFIXES)}")
    refuse_binary(path)
    found = find_encoding(path, encoding)
    return ParsedFile("".join(text_lines(path, found.codec)), () if encoding else found.notes)


def read_content(name: str, content: bytes) -> ParsedFile:
    """Read what somebody sent as one document, as `read_file` does; its name is never used as a path.

    Raises
    ------
    FileProblemError
        When there is no text in it that can be read.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix in KINDS:
        return parse(name, content)
    with stored(name, content, suffix if suffix in TEXT_SUFFIXES else ".unknown") as path:
        return read_file(path)


def read_in_turn(readers: Sequence[Callable[[], ParsedFile]]) -> Iterator[ParsedFile | FileProblemError]:
    """Read several documents, as many at once as there are processors; a bad one does not stop the rest.

    Parameters
    ----------
    readers : sequence of callable
        Each reads one document.

    Yields
    ------
    ParsedFile or FileProblemError
        One for each reader, in their order: the document, or why there is none.
    """
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as workers:
        yield from workers.map(_outcome, readers)


@contextmanager
def stored(name: str, content: bytes, suffix: str) -> Iterator[Path]:
    """Put what somebody sent where the readers can reach it; what they say about it has the sender's name for it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"upload{suffix}"
        path.write_bytes(content)
        try:
            yield path
        except FileProblemError as error:
            raise FileProblemError(name, error.problem, error.remedy) from error


def _outcome(read: Callable[[], ParsedFile]) -> ParsedFile | FileProblemError:
    """Read one document; return why there is none."""
    try:
        return read()
    except FileProblemError as error:
        return error
    except OSError as error:
        return FileProblemError("", error.strerror or str(error), "check its permissions")
