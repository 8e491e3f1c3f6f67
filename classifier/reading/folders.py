"""Read a folder of documents, one in each file; or one document as a table of one row."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from classifier.datamodels import Rejection
from classifier.errors import FileProblemError, listing
from classifier.reading.encodings import find_encoding
from classifier.reading.parsing import KINDS, ParsedFile
from classifier.reading.signatures import refuse_binary
from classifier.reading.single import DOCUMENT_SUFFIXES, TEXT_SUFFIXES, read_file, read_in_turn
from classifier.reading.table import Row, Table, scan_rows

NOTE = "note"
KNOWN = listing(DOCUMENT_SUFFIXES)
BLOCK_FILES = 4 * (os.cpu_count() or 1)
MOST_KEPT_CHARACTERS = 50_000_000
ONE_DOCUMENT = "the whole file is read as one document; give a table with a column of texts for several"


def read_folder(path: Path, encoding: str | None = None) -> Table:
    """Find the documents of a folder, sub-folders included.

    Documents of other kinds than plain text are read in processes of their own, several at once, when their rows are
    asked for; what was read is kept for the next pass, up to a bound.

    Parameters
    ----------
    path : Path
        The folder; files that end in none of `DOCUMENT_SUFFIXES` are ignored.
    encoding : str or None
        Name of the codec of all plain texts; None finds that of each.

    Returns
    -------
    Table
        Columns ``id`` (the path inside the folder), ``text``, ``label`` where any file lies in a sub-folder (the first
        sub-folder; None for a file beside them), and ``note`` where any is not plain text (what was not read of it).
        Rows are sorted by id.

    Raises
    ------
    FileProblemError
        When there is no document, or none can be read.
    """
    names = sorted(_documents(path))
    if not names:
        raise FileProblemError(
            path, "there is no .txt file in this folder, nor any other document", f"put in files that end in {KNOWN}"
        )
    columns = _columns(has_labels=any("/" in name for name in names), has_notes=any(map(_is_parsed, names)))
    read_rows = partial(_rows, path, names, columns, _Reader(path, encoding))
    _require_readable(path, read_rows)
    return Table(
        source=str(path),
        format="folder",
        columns=columns,
        n_rows=len(names),
        read_rows=read_rows,
        notes=_notes(path, names) if encoding is None else (),
    )


def read_one(path: Path, encoding: str | None = None) -> Table:
    """Read a document as a table of one row, with the columns of `read_folder`.

    Raises
    ------
    FileProblemError
        When there is no text in it that can be read.
    """
    if not _is_unicode(path.name):
        raise FileProblemError(path, "its name is not valid Unicode", "rename it")
    try:
        found = read_file(path, encoding)
    except FileProblemError as error:
        raise FileProblemError(path, error.problem, error.remedy) from error
    columns = _columns(has_labels=False, has_notes=_is_parsed(path.name))
    row = _row(1, path.name, found, columns)
    return Table(
        source=str(path),
        format="document",
        columns=columns,
        n_rows=1,
        read_rows=lambda: iter((row,)),
        notes=found.notes if _is_parsed(path.name) else (ONE_DOCUMENT, *found.notes),
    )


class _Reader:
    """Reads documents of a folder; those that take a process of their own are kept, as long as there is room."""

    def __init__(self, folder: Path, encoding: str | None) -> None:
        self._folder, self._encoding = folder, encoding
        self._kept: dict[tuple[str, int, int], ParsedFile] = {}
        self._n_left = MOST_KEPT_CHARACTERS

    def __call__(self, name: str) -> ParsedFile:
        """Read one document."""
        path = self._folder / name
        if not _is_parsed(name):
            return read_file(path, self._encoding)
        status = path.stat()
        key = (name, status.st_size, status.st_mtime_ns)
        found = self._kept.get(key)
        if found is None:
            found = read_file(path)
            if len(found.text) <= self._n_left:
                self._n_left -= len(found.text)
                self._kept[key] = found
        return found


def _documents(folder: Path) -> Iterator[str]:
    """Yield the path of every document inside the folder, with forward slashes."""
    for parent, _, files in os.walk(folder):
        for name in files:
            if name.lower().endswith(DOCUMENT_SUFFIXES):
                yield (Path(parent) / name).relative_to(folder).as_posix()


def _columns(*, has_labels: bool, has_notes: bool) -> tuple[str, ...]:
    """Return the columns of a folder."""
    return ("id", "text", *(["label"] if has_labels else []), *([NOTE] if has_notes else []))


def _rows(
    folder: Path, names: list[str], columns: tuple[str, ...], read: Callable[[str], ParsedFile]
) -> Iterator[Row | Rejection]:
    """Stream one row per file; a file that cannot be read is rejected."""
    for start in range(0, len(names), BLOCK_FILES):
        block = names[start : start + BLOCK_FILES]
        outcomes = read_in_turn([partial(read, name) for name in block])
        for number, (name, found) in enumerate(zip(block, outcomes, strict=True), start=start + 1):
            if not _is_unicode(name):
                shown = name.encode("utf-8", errors="backslashreplace").decode()
                yield Rejection(str(folder), number, "has a file name that is not valid Unicode", id=shown)
            elif isinstance(found, FileProblemError):
                yield Rejection(str(folder), number, f"cannot be read: {found.problem}", id=name)
            else:
                yield _row(number, name, found, columns)


def _row(number: int, name: str, found: ParsedFile, columns: tuple[str, ...]) -> Row:
    """Make a row of a document; guessed encodings are told of all files together."""
    label = name.split("/")[0] if "/" in name else None
    cells = {"id": name, "text": found.text, "label": label, NOTE: "; ".join(found.notes) if _is_parsed(name) else ""}
    return Row(number, tuple(cells[column] for column in columns))


def _require_readable(path: Path, read_rows: Callable[[], Iterator[Row | Rejection]]) -> None:
    """Refuse a folder of which no document can be read; only as many are read as it takes."""
    rejected = []
    for row in read_rows():
        if isinstance(row, Row):
            return
        rejected.append(row)
    scan_rows(path, rejected)


def _is_parsed(name: str) -> bool:
    """Tell whether a file is read in a process of its own."""
    return name.lower().endswith(tuple(KINDS))


def _is_unicode(name: str) -> bool:
    """Tell whether the name of a file can be written."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _notes(folder: Path, names: list[str]) -> tuple[str, ...]:
    """Tell which encodings were guessed, and for how many files."""
    titles: Counter[str] = Counter()
    texts = [name for name in names if name.lower().endswith(TEXT_SUFFIXES)]
    for name in texts:
        with suppress(FileProblemError, OSError):
            refuse_binary(folder / name)
            found = find_encoding(folder / name)
            titles.update([found.title] if found.guessed else [])
    return tuple(
        f"{count} of {len(texts)} files read as {title}, as they are not UTF-8; name another with --encoding"
        for title, count in titles.items()
    )
