"""Cells become text without changing what they say.

A cell is a string, or, in JSONL and Parquet, one of: None, a bool, an int or float, a `Literal`, a list or dict of
such values, or an Arrow scalar for the types whose Python form would lose detail (timestamps, decimals, nested values,
bytes).
"""

from __future__ import annotations

import json
import math
from typing import Any


class Literal(str):
    """A JSON number exactly as it was written: ``1.10`` stays ``1.10``, however long it is.

    Examples
    --------
    >>> to_json([Literal("1.10"), "1.10"])
    '[1.10, "1.10"]'
    """

    __slots__ = ()


_encode = json.JSONEncoder(ensure_ascii=False).encode


def to_json(value: Any) -> str:
    """Write a cell as JSON, numbers as they were written.

    Parameters
    ----------
    value : object
        Any cell of a `Row`. What JSON has no notation for (a timestamp, a decimal) is written as a string; a float
        that is NaN becomes null.

    Returns
    -------
    str
        One line, non-ASCII characters unescaped.
    """
    value = _plain(value)
    if isinstance(value, str):
        return str(value) if isinstance(value, Literal) else _encode(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{to_json(str(key))}: {to_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(to_json, value)) + "]"
    if isinstance(value, float) and math.isnan(value):
        return "null"
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return _encode(value)
    return _encode(_shown(value))


def to_text(value: Any) -> str | None:
    """Write a cell as text: strings as they are, everything else as its literal.

    Parameters
    ----------
    value : object
        Any cell of a `Row`.

    Returns
    -------
    str or None
        None for a missing value: null, or a number that is NaN.

    Raises
    ------
    UnicodeDecodeError
        When the cell holds bytes that are not UTF-8.

    Examples
    --------
    >>> to_text("007"), to_text(Literal("1e5")), to_text(True), to_text(["a", None]), to_text(float("nan"))
    ('007', '1e5', 'true', '["a", null]', None)
    """
    value = _plain(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, Literal):
        return None if value == "NaN" else str(value)
    if isinstance(value, str):
        return value
    if isinstance(value, bool | list | tuple | dict):
        return to_json(value)
    return value.decode("utf-8") if isinstance(value, bytes) else _shown(value)


def to_label(value: Any) -> str | None:
    """Write a cell as a label: as `to_text`, but lists are joined with ``|``, and empty or blank labels are none.

    Examples
    --------
    >>> to_label(["spam", "urgent"]), to_label(["", " "]), to_label(""), to_label(Literal("3"))
    ('spam|urgent', None, None, '3')
    """
    value = _plain(value)
    if isinstance(value, list | tuple):
        texts = [text for item in value if (text := to_text(item)) is not None and text.strip()]
        return "|".join(texts) or None
    text = to_text(value)
    return text if text and text.strip() else None


def _plain(value: Any) -> Any:
    """Turn an Arrow scalar into a Python value, or into Arrow's notation where Python has no such value."""
    if not hasattr(value, "as_py"):
        return value
    try:
        return value.as_py()
    except (ValueError, OverflowError, LookupError):
        return value.cast("string").as_py()


def _shown(value: Any) -> str:
    """Write a value that JSON has no notation for."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace")
    return str(value)
