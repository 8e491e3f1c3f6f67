"""Find the terms of texts: words, pairs of neighbouring words, and parts of what stands between spaces."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from classifier.modeling.known_parts import PART_LENGTHS, KnownParts
from classifier.modeling.sparse import SparseRows, counted, stacked

_CHARACTERS_AT_ONCE = 50_000
_LONGEST_KNOWN_WORD = 40
_MOST_KNOWN_WORDS = 200_000
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_TOKEN = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
_RUN = re.compile(r"\S+")
_SURROGATES = re.compile("[\ud800-\udfff]")


class TermCounter:
    """Count the terms of a text; known ones alone, or learning new ones."""

    def __init__(self, words: dict[str, int], parts: dict[str, int], *, learns: bool) -> None:
        self._words, self._parts, self._learns = words, parts, learns
        self._known: dict[str, NDArray[np.int64]] = {}

    def names(self) -> list[str]:
        """Return the learned terms by number; parts of words begin with a line feed."""
        found = [""] * (len(self._words) + len(self._parts))
        for term, number in self._words.items():
            found[number] = term
        for part, number in self._parts.items():
            found[number] = f"\n{part}"
        return found

    def count(self, texts: Sequence[str], *, with_parts: bool = True) -> SparseRows:
        """Count the terms of texts by their numbers; some texts at a time, so that memory stays bounded."""
        with_parts = with_parts and (self._learns or bool(self._parts))
        found, some, n_characters = [], list[str](), 0
        for text in texts:
            some.append(text)
            n_characters += len(text)
            if n_characters >= _CHARACTERS_AT_ONCE:
                found.append(self._count(some, with_parts=with_parts))
                some, n_characters = [], 0
        return stacked([*found, self._count(some, with_parts=with_parts)])

    def _count(self, texts: Sequence[str], *, with_parts: bool) -> SparseRows:
        """Count the terms of a few texts."""
        plain = [_plain(text) for text in texts]
        words, n_words = list[int](), list[int]()
        for text in plain:
            tokens = _TOKEN.findall(text)
            n_before = len(words)
            words += self._numbers(self._words, tokens)
            words += self._numbers(self._words, map(" ".join, pairwise(tokens)))
            n_words.append(len(words) - n_before)
        rows = np.repeat(np.arange(len(texts)), np.array(n_words, dtype=np.int64))
        numbers = np.array(words, dtype=np.int64)
        if with_parts:
            part_rows, parts = self._learned_parts(plain) if self._learns else self._known_parts.find(plain)
            rows, numbers = np.concatenate([rows, part_rows]), np.concatenate([numbers, parts])
        return counted(rows, numbers, len(texts))

    def _learned_parts(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return row and number of every part, of new ones too."""
        parts, rows = list[NDArray[np.int64]](), list[int]()
        for row, text in enumerate(texts):
            found = [self._parts_of(run) for run in text.split()]
            parts += found
            rows += [row] * len(found)
        lengths = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
        return np.repeat(np.array(rows, dtype=np.int64), lengths), np.concatenate([np.zeros(0, dtype=np.int64), *parts])

    @cached_property
    def _known_parts(self) -> KnownParts:
        """The parts, to be found in many texts at once."""
        return KnownParts(self._parts)

    def locate(self, plain: str) -> Iterator[tuple[int, int, int]]:
        """Yield number, start and end of each known term of a plain text."""
        tokens = list(_TOKEN.finditer(plain))
        for token in tokens:
            if token[0] in self._words:
                yield self._words[token[0]], *token.span()
        for one, two in pairwise(tokens):
            pair = f"{one[0]} {two[0]}"
            if pair in self._words:
                yield self._words[pair], one.start(), two.end()
        for run in _RUN.finditer(plain):
            first, last = run.start(), run.end()
            for part, start, end in _placed(run[0]):
                if part in self._parts:
                    yield self._parts[part], max(first, first + start - 1), min(last, first + end - 1)

    def _numbers(self, table: dict[str, int], terms: Iterable[str]) -> list[int]:
        """Return the numbers of terms; of unknown ones only where they are learned."""
        if not self._learns:
            return [number for number in map(table.get, terms) if number is not None]
        return [table.setdefault(term, len(self._words) + len(self._parts)) for term in terms]

    def _parts_of(self, run: str) -> NDArray[np.int64]:
        """Return the numbers of the parts of a run of characters; those of short runs are remembered."""
        found = self._known.get(run)
        if found is None:
            found = np.array(self._numbers(self._parts, _cut(run)), dtype=np.int64)
            if len(run) <= _LONGEST_KNOWN_WORD and len(self._known) < _MOST_KNOWN_WORDS:
                self._known[run] = found
        return found


def _cut(run: str) -> list[str]:
    """Return the parts of a run with a space at either end, by length and then by place."""
    padded = f" {run} "
    if len(padded) <= PART_LENGTHS[0]:
        return [padded]
    lengths = [length for length in PART_LENGTHS if length < len(padded)]
    longest = [padded] if len(padded) <= PART_LENGTHS[-1] else []
    parts = [padded[start : start + size] for size in lengths for start in range(len(padded) - size + 1)]
    return parts + longest


def _placed(run: str) -> Iterator[tuple[str, int, int]]:
    """Yield the parts of a run, and where they begin and end in it with a space at either end."""
    size, start = 0, 0
    for part in _cut(run):
        start = start + 1 if len(part) == size else 0
        size = len(part)
        yield part, start, start + size


def _plain(text: str) -> str:
    """Bring equal texts to equal characters: composed, in lower case, without half characters."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", _SURROGATES.sub("\ufffd", text))
    return text.lower()


def aligned(text: str) -> tuple[str, list[int], list[int]]:
    """Return the plain form of a text, and where each of its characters begins and ends in the original."""
    plain = _plain(text)
    if len(plain) == len(text) and unicodedata.is_normalized("NFC", text):
        return plain, list(range(len(text))), list(range(1, len(text) + 1))
    begins: list[int] = []
    ends: list[int] = []
    start = 0
    while start < len(text):
        end = start + 1
        while end < len(text) and unicodedata.combining(text[end]):
            end += 1
        n_characters = len(_plain(text[start:end]))
        begins += [start] * n_characters
        ends += [end] * n_characters
        start = end
    missing = len(plain) - len(begins)
    return plain, begins + [len(text) - 1] * missing, ends + [len(text)] * missing
