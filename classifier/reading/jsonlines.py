"""Read JSON lines as a stream, numbers exactly as they are written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from classifier.datamodels import Rejection
from classifier.errors import FileProblemError, excerpt
from classifier.reading.encodings import find_encoding, text_lines
from classifier.reading.table import Row, Table, scan_rows
from classifier.reading.values import Literal

DEEPEST = 100


class _FlawError(ValueError):
    """A line that is JSON, but not a usable object; the message goes on from 'row 3 …'."""


def read_json_lines(path: Path, encoding: str | None = None) -> Table:
    """Scan a file of one JSON object per line.

    Parameters
    ----------
    path : Path
        The file.
    encoding : str or None
        Name of a codec; None finds it.

    Returns
    -------
    Table
        Its columns are the keys of all objects, in order of first appearance; a key that a line lacks is None there.

    Raises
    ------
    FileProblemError
        When the file cannot be read as a whole, such as one JSON list over all lines.
    """
    found = find_encoding(path, encoding)
    _refuse_whole_document(path, found.codec)
    keys: dict[str, None] = {}
    n_rows = scan_rows(path, _collect(path, found.codec, keys))
    columns = tuple(keys)
    if not columns:
        raise FileProblemError(path, "its objects have no keys", 'write lines such as {"text": "..."}')
    return Table(
        source=str(path),
        format="jsonl",
        columns=columns,
        n_rows=n_rows,
        read_rows=partial(_rows, path, found.codec, columns),
        notes=found.notes,
    )


def parse_object(line: str) -> dict[str, Any]:
    """Parse one line, keeping the literals of numbers.

    Raises
    ------
    ValueError
        Goes on from "the row …": what is wrong with the line.

    Examples
    --------
    >>> parse_object('{"id": 1.10}')
    {'id': '1.10'}
    """
    try:
        value = _DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise _FlawError(f"is not valid JSON ({error.msg} at character {error.pos + 1})") from error
    except RecursionError as error:
        raise _FlawError("is nested too deeply") from error
    if not isinstance(value, dict):
        raise _FlawError(f"is {_kind(value)}, not an object")
    if _depth_exceeds(value, DEEPEST):
        raise _FlawError("is nested too deeply")
    if "\\u" in line and _has_lone_surrogate(value):
        raise _FlawError("is not valid Unicode: it has half of a surrogate pair")
    return value


def _objects(path: Path, codec: str) -> Iterator[tuple[int, str, dict[str, Any] | str]]:
    """Stream the number, the text and the object (or what is wrong with it) of each line that is not blank."""
    number = 0
    for line in text_lines(path, codec):
        raw = line.rstrip("\r\n")
        if not raw.strip():
            continue
        number += 1
        try:
            parsed: dict[str, Any] | str = parse_object(raw)
        except ValueError as error:
            parsed = str(error)
        yield number, raw, parsed


def _rows(path: Path, codec: str, columns: tuple[str, ...]) -> Iterator[Row | Rejection]:
    """Stream the rows; a key that is not among the columns cannot occur, as all lines were scanned."""
    for number, raw, parsed in _objects(path, codec):
        if isinstance(parsed, str):
            yield Rejection(str(path), number, parsed)
        else:
            yield Row(number, tuple(parsed.get(column) for column in columns), raw)


def _collect(path: Path, codec: str, keys: dict[str, None]) -> Iterator[Row | Rejection]:
    """Stream the rows without cells while adding every key to `keys`."""
    for number, raw, parsed in _objects(path, codec):
        if isinstance(parsed, str):
            yield Rejection(str(path), number, parsed)
        else:
            keys.update(dict.fromkeys(parsed))
            yield Row(number, (), raw)


def _refuse_whole_document(path: Path, codec: str) -> None:
    """Raise when the file is one JSON value over many lines."""
    lines = filter(None, map(str.strip, text_lines(path, codec)))
    first, is_only = next(lines, ""), next(lines, None) is None
    if first == "{" or (first.startswith("[") and (is_only or not first.endswith("]"))):
        what = "list" if first.startswith("[") else "object"
        remedy = "write one object per line, without brackets around them and commas between them"
        raise FileProblemError(path, f"it is one JSON {what} over the whole file", remedy)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object, refusing a key that occurs twice."""
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _FlawError(f"has the key {excerpt(next(key for key in keys if keys.count(key) > 1))} twice")
    return result


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=Literal, parse_float=Literal, parse_constant=Literal)


def _kind(value: object) -> str:
    """Name a JSON value that is not an object."""
    if isinstance(value, list):
        return "a list"
    if isinstance(value, Literal):
        return "a number"
    return "a string" if isinstance(value, str) else "null" if value is None else "true or false"


def _children(value: object) -> list[Any]:
    """Return what a value directly holds."""
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _depth_exceeds(value: object, limit: int) -> bool:
    """Tell whether lists and objects are nested deeper than `limit`."""
    level = [value]
    for _ in range(limit):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return True


def _has_lone_surrogate(value: object) -> bool:
    """Tell whether any string in a value cannot be written as UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
