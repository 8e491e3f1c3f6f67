"""Read PDF, DOCX, web pages and e-mails as text, each in a limited process of its own: no file can harm its reader."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from classifier.errors import FileProblemError, counted, lookup

EXTRACTION = "classifier.reading.extraction"
KINDS: dict[str, str] = {".pdf": "pdf", ".docx": "docx", ".html": "html", ".htm": "html", ".eml": "eml"}


@dataclass(frozen=True, slots=True)
class ParsingLimits:
    """What reading one file may take.

    Attributes
    ----------
    file_bytes : int
        Largest file.
    seconds : float
        Longest time.
    memory_bytes : int
        Most memory of the process that reads it; kept on Linux.
    """

    file_bytes: int = 50 << 20
    seconds: float = 4.5
    memory_bytes: int = 1 << 30


DEFAULT_LIMITS = ParsingLimits()


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """The text of a document.

    Attributes
    ----------
    text : str
    notes : tuple of str
        What was not read, and why.
    """

    text: str
    notes: tuple[str, ...] = ()


def parse(name: str, content: bytes, limits: ParsingLimits = DEFAULT_LIMITS) -> ParsedFile:
    """Read one document.

    Parameters
    ----------
    name : str
        Its name, never used as a path; the ending says what it is: a key of `KINDS`.
    content : bytes
        The file.
    limits : ParsingLimits
        What reading it may take. Pages of a PDF that were read in the time are used, and the rest is noted.

    Raises
    ------
    FileProblemError
        When it has no text that can be read: encrypted, damaged, scanned, hostile, too large, or too slow to read.
    UnknownNameError
        When the ending is none of `KINDS`.

    Examples
    --------
    >>> parse("note.html", b"<p>Where is my <b>parcel</b>?<script>x()</script></p>").text
    'Where is my parcel?'
    """
    kind = lookup(KINDS, PurePath(name).suffix.lower(), "kind of document")
    refuse_large(name, len(content), limits)
    command = [sys.executable, "-m", EXTRACTION, kind, str(int(limits.seconds) + 1), str(limits.memory_bytes)]
    is_late = False
    pipe = subprocess.PIPE
    child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)  # noqa: S603 # our own module
    with child:
        try:
            output, _ = child.communicate(content, timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            output, _ = child.communicate()
            is_late = True
    pieces = [_piece(line) for line in output.splitlines()]
    return _together(name, [piece for piece in pieces if piece], limits, is_late=is_late)


def refuse_large(name: str, n_bytes: int, limits: ParsingLimits) -> None:
    """Refuse a file by its size, before it is read.

    Raises
    ------
    FileProblemError
        When it is larger than is allowed.
    """
    if n_bytes > limits.file_bytes:
        raise FileProblemError(
            name, f"it is larger than {limits.file_bytes >> 20} MB", "split it, or export its text as .txt"
        )


def _piece(line: bytes) -> Mapping[str, Any]:
    """Read one line of the child; nothing where it was cut off."""
    try:
        piece = json.loads(line)
    except ValueError:
        return {}
    return piece if isinstance(piece, dict) else {}


def _together(name: str, pieces: list[Mapping[str, Any]], limits: ParsingLimits, *, is_late: bool) -> ParsedFile:
    """Put the pieces of a document together, or say why there is no text."""
    notes = [str(piece["note"]) for piece in pieces if "note" in piece]
    text = "".join(str(piece.get("text", "")) for piece in pieces).strip()
    last: Mapping[str, Any] = pieces[-1] if pieces else {}
    if "problem" in last:
        raise FileProblemError(name, str(last["problem"]), str(last["remedy"]))
    if not last.get("done"):
        n_parts = next((int(piece["n_parts"]) for piece in pieces if "n_parts" in piece), 0)
        n_done = sum(1 for piece in pieces if piece.get("part_done"))
        if not text:
            took = f"more than {limits.seconds:g} seconds" if is_late else "more time or memory than is allowed"
            raise FileProblemError(name, f"reading it takes {took}", "split it, or export its text as .txt")
        notes.append(f"only {n_done:,} of its {counted(n_parts, 'page')} could be read in {limits.seconds:g} seconds")
    if not text:
        raise FileProblemError(name, "it holds no text", "check that it is the right file")
    return ParsedFile(text, tuple(notes))
