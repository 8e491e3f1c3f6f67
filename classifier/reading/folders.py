"""Read a folder of text files, one document per file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from classifier.datamodels import Rejection
from classifier.errors import FileProblemError
from classifier.reading.encodings import find_encoding, text_lines
from classifier.reading.signatures import refuse_binary
from classifier.reading.table import Row, Table, scan_rows


def read_folder(path: Path, encoding: str | None = None) -> Table:
    """Scan a folder of ``.txt`` files, sub-folders included.

    Parameters
    ----------
    path : Path
        The folder.
    encoding : str or None
        Name of the codec of all files; None finds that of each.

    Returns
    -------
    Table
        Columns ``id`` (the path inside the folder), ``text`` and, where any file lies in a sub-folder, ``label``
        (the first sub-folder; None for a file beside them). Rows are sorted by id.

    Raises
    ------
    FileProblemError
        When there is no ``.txt`` file, or none can be read.
    """
    names = sorted(_text_files(path))
    if not names:
        raise FileProblemError(path, "there is no .txt file in this folder", "put one document in each .txt file")
    has_labels = any("/" in name for name in names)
    read_rows = partial(_rows, path, names, has_labels, encoding)
    return Table(
        source=str(path),
        format="folder",
        columns=("id", "text", "label") if has_labels else ("id", "text"),
        n_rows=scan_rows(path, read_rows()),
        read_rows=read_rows,
        notes=_notes(path, names) if encoding is None else (),
    )


def _text_files(folder: Path) -> Iterator[str]:
    """Yield the path of every text file inside the folder, with forward slashes."""
    for parent, _, files in os.walk(folder):
        for name in files:
            if name.lower().endswith(".txt"):
                yield (Path(parent) / name).relative_to(folder).as_posix()


def _rows(folder: Path, names: list[str], has_labels: bool, requested: str | None) -> Iterator[Row | Rejection]:
    """Stream one row per file; a file that cannot be read is rejected."""
    for number, name in enumerate(names, start=1):
        path = folder / name
        try:
            name.encode("utf-8")
            refuse_binary(path)
            text = "".join(text_lines(path, find_encoding(path, requested).codec))
        except UnicodeEncodeError:
            shown = name.encode("utf-8", errors="backslashreplace").decode()
            yield Rejection(str(folder), number, "has a file name that is not valid Unicode", id=shown)
        except FileProblemError as error:
            yield Rejection(str(folder), number, f"cannot be read: {error.problem}", id=name)
        except OSError as error:
            yield Rejection(str(folder), number, f"cannot be read: {error.strerror or error}", id=name)
        else:
            label = name.split("/")[0] if "/" in name else None
            yield Row(number, (name, text, label) if has_labels else (name, text))


def _notes(folder: Path, names: list[str]) -> tuple[str, ...]:
    """Tell which encodings were guessed, and for how many files."""
    titles: Counter[str] = Counter()
    for name in names:
        with suppress(FileProblemError, OSError):
            refuse_binary(folder / name)
            found = find_encoding(folder / name)
            titles.update([found.title] if found.guessed else [])
    return tuple(
        f"{count} of {len(names)} files read as {title}, as they are not UTF-8; name another with --encoding"
        for title, count in titles.items()
    )
