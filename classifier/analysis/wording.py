"""What makes two texts the same: their characters but for case and spaces, or their words in their order."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import numpy as np

from classifier.analysis.confidence import Ints

_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


def normalised(text: str) -> str:
    """Return what a text is compared by: composed characters, no case, single spaces.

    Examples
    --------
    >>> normalised("  Où est   la GARE ? ")
    'où est la gare ?'
    """
    folded = unicodedata.normalize("NFC", text).casefold()
    return " ".join(unicodedata.normalize("NFC", folded).split())


def equal_texts(texts: Iterable[str]) -> Ints:
    """Give texts that are equal once `normalised` one number.

    Returns
    -------
    ndarray of int, shape (n_documents,)
        From 0, in order of first occurrence.

    Examples
    --------
    >>> equal_texts(["No.", "Yes.", "no. "]).tolist()
    [0, 1, 0]
    """
    return numbered(map(normalised, texts))


def same_words(texts: Iterable[str]) -> Ints:
    """Give texts of the same words in the same order one number, whatever their case, spaces and punctuation.

    Texts without a word are compared as `normalised`.

    Returns
    -------
    ndarray of int, shape (n_documents,)
        From 0, in order of first occurrence.

    Examples
    --------
    >>> same_words(["Where is it", "where is it?!", "Is it where", ":-)"]).tolist()
    [0, 0, 1, 2]
    """
    return numbered(tuple(_WORD.findall(text)) or text for text in map(normalised, texts))


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text, without case; where a script has no spaces, its characters."""
    return frozenset(_WORD.findall(normalised(text)))


def numbered(values: Iterable[object]) -> Ints:
    """Give equal values one number, in order of first occurrence."""
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], dtype=np.intp)
