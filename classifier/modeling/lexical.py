"""The sparse half of the features: weighted counts of words, pairs of words and parts of words.

What a transformer blurs is kept here: names, numbers, codes, spellings. Counting needs nothing but Python and numpy,
so that predicting imports no further library.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints

PART_LENGTHS = (2, 3, 4, 5)
MANY_TEXTS = 2000
MOST_TERMS = 300_000
MOST_WEIGHTS = 32_000_000
_LONGEST_KNOWN_WORD = 40
_MOST_KNOWN_WORDS = 200_000
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_TOKEN = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
_RUN = re.compile(r"\S+")
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, eq=False)
class SparseRows:
    """Rows of which most numbers are zero, in compressed form.

    Attributes
    ----------
    weights : ndarray of float32, shape (n_stored,)
        The numbers that are not zero, row by row.
    columns : ndarray of int32, shape (n_stored,)
        Where they stand.
    starts : ndarray of int64, shape (n_rows + 1,)
        Where each row begins in the other two.
    n_columns : int
        How many columns there are.
    """

    weights: NDArray[np.float32]
    columns: NDArray[np.int32]
    starts: NDArray[np.int64]
    n_columns: int

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.starts) - 1

    def times(self, coef: NDArray[np.float32]) -> NDArray[np.float32]:
        """Multiply by a dense matrix, each row by itself: its result does not depend on its company.

        Parameters
        ----------
        coef : ndarray of float32, shape (n_columns, n_classes)
            May be memory-mapped; only the rows that are needed are read.

        Returns
        -------
        ndarray of float32, shape (n_rows, n_classes)
        """
        found = np.zeros((len(self), coef.shape[1]), dtype=np.float32)
        for row, (start, end) in enumerate(zip(self.starts[:-1], self.starts[1:], strict=True)):
            if end > start:
                found[row] = self.weights[start:end] @ coef[self.columns[start:end]]
        return found

    def matrix(self) -> Any:
        """Return the same as a ``scipy.sparse.csr_array``, for training."""
        from scipy.sparse import csr_array

        starts = self.starts.astype(np.int32)
        return csr_array((self.weights, self.columns, starts), shape=(len(self), self.n_columns))


class Lexicon:
    """Known terms and their weights; turns texts into `SparseRows`.

    Parameters
    ----------
    words : sequence of str
        Words in lower case, and pairs of neighbouring words joined by a space: the first columns.
    parts : sequence of str
        Parts of 2 to 5 characters of what stands between spaces, a space marking either end: the other columns.
    idf : ndarray of float32, shape (n_words + n_parts,)
        Weight of each term: the rarer, the heavier.

    Notes
    -----
    A term that occurs ``n`` times weighs ``(1 + ln n) * idf``; words and parts of a text are each brought to unit
    length. In scripts without spaces between words each character is a word.

    References
    ----------
    Salton and Buckley (1988), Term-weighting approaches in automatic text retrieval,
    https://doi.org/10.1016/0306-4573(88)90021-0

    Examples
    --------
    >>> lexicon, rows = fit_lexicon(["the parcel", "the refund"], with_parts=False)
    >>> lexicon.terms[:2], len(rows), rows.n_columns
    (('the', 'parcel'), 2, 5)
    """

    def __init__(self, words: Sequence[str], parts: Sequence[str], idf: NDArray[np.float32]) -> None:
        self.words, self.parts = tuple(words), tuple(parts)
        self.idf = np.ascontiguousarray(idf, dtype=np.float32)
        self._counter = _TermCounter(
            {term: column for column, term in enumerate(self.words)},
            {part: column for column, part in enumerate(self.parts, start=len(self.words))},
            learns=False,
        )

    @property
    def terms(self) -> tuple[str, ...]:
        """All terms, by column."""
        return self.words + self.parts

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self.idf)

    def transform(self, texts: Sequence[str]) -> SparseRows:
        """Weigh the known terms of texts of any length; a text without any gets a row of zeros."""
        counts = [self._counter.count(text) for text in texts]
        return _weighted(_counted(counts), self.idf, len(self.words))

    def occurrences(self, text: str) -> list[tuple[int, int, int]]:
        """Find where the known words of a text stand.

        Returns
        -------
        list of (int, int, int)
            Column, first character and the one after the last, in the original text; pairs of words reach from the
            beginning of the first to the end of the second, parts of words stand where they begin and end.
        """
        plain, begins, ends = _aligned(text)
        return [
            (column, begins[start], ends[end - 1]) for column, start, end in self._counter.locate(plain) if end > start
        ]


def fit_lexicon(texts: Sequence[str], *, with_parts: bool = True, n_classes: int = 2) -> tuple[Lexicon, SparseRows]:
    """Learn the terms of texts and their weights.

    Parameters
    ----------
    texts : sequence of str
        Of any length.
    with_parts : bool, default=True
        Whether to count parts of words, too.
    n_classes : int, default=2
        How many classes a head will have; with many, only the most frequent terms are kept, so that a head has at
        most `MOST_WEIGHTS` numbers.

    Returns
    -------
    lexicon : Lexicon
        From `MANY_TEXTS` texts on, a word must occur in two of them; a part always.
    rows : SparseRows
        What it makes of `texts`.
    """
    counter = _TermCounter({}, {}, learns=True)
    counts = _counted([counter.count(text, with_parts=with_parts) for text in texts])
    names = counter.names()
    is_word = np.array([not key.startswith("\n") for key in names], dtype=np.bool_)
    n_texts_with = np.bincount(counts.columns, minlength=len(names))
    least = np.where(is_word & (len(texts) < MANY_TEXTS), 1, 2)
    kept = np.flatnonzero(n_texts_with >= least)
    most = min(MOST_TERMS, max(1, MOST_WEIGHTS // n_classes))
    if len(kept) > most:
        kept = np.sort(kept[np.argsort(-n_texts_with[kept], kind="stable")[:most]])
    order = np.concatenate([kept[is_word[kept]], kept[~is_word[kept]]])
    idf = np.log((1 + len(texts)) / (1 + n_texts_with[order])) + 1
    words = [names[column] for column in order if is_word[column]]
    parts = [names[column][1:] for column in order if not is_word[column]]
    lexicon = Lexicon(words, parts, idf.astype(np.float32))
    return lexicon, _weighted(_renumbered(counts, order, len(names)), lexicon.idf, len(words))


def restricted(rows: SparseRows, seen: NDArray[np.bool_], n_words: int) -> SparseRows:
    """Leave out the columns that some rows do not have, and bring rows to unit length again.

    Parameters
    ----------
    rows : SparseRows
    seen : ndarray of bool, shape (n_rows,)
        A training part: terms that occur in none of its rows are unknown to what is trained on it.
    n_words : int
        How many columns stand for words.
    """
    row_of = np.repeat(np.arange(len(rows)), np.diff(rows.starts))
    known = np.zeros(rows.n_columns, dtype=np.bool_)
    known[rows.columns[seen[row_of]]] = True
    keep = known[rows.columns]
    starts = np.concatenate([[0], np.cumsum(np.bincount(row_of[keep], minlength=len(rows)))]).astype(np.int64)
    left = SparseRows(rows.weights[keep], rows.columns[keep], starts, rows.n_columns)
    return _of_unit_length(left, n_words)


class _TermCounter:
    """Count the terms of a text; known ones alone, or learning new ones."""

    def __init__(self, words: dict[str, int], parts: dict[str, int], *, learns: bool) -> None:
        self._words, self._parts, self._learns = words, parts, learns
        self._known: dict[str, list[int]] = {}

    def names(self) -> list[str]:
        """Return the learned terms by number; parts of words begin with a line feed."""
        found = [""] * (len(self._words) + len(self._parts))
        for term, number in self._words.items():
            found[number] = term
        for part, number in self._parts.items():
            found[number] = f"\n{part}"
        return found

    def count(self, text: str, *, with_parts: bool = True) -> Counter[int]:
        """Count the terms of a text by their numbers."""
        plain = _plain(text)
        tokens = _TOKEN.findall(plain)
        counts = Counter(self._numbers(tokens))
        counts.update(self._numbers(map(" ".join, pairwise(tokens))))
        if with_parts and (self._learns or self._parts):
            for run, n_times in Counter(_RUN.findall(plain)).items():
                numbers = self._parts_of(run)
                for _ in range(n_times):
                    counts.update(numbers)
        return counts

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
            for part, start, end in _cut(run[0]):
                if part in self._parts:
                    yield self._parts[part], max(first, first + start - 1), min(last, first + end - 1)

    def _numbers(self, terms: Any) -> Iterator[int]:
        """Yield the numbers of words and pairs."""
        if self._learns:
            return (self._number(self._words, term) for term in terms)
        return (self._words[term] for term in terms if term in self._words)

    def _number(self, table: dict[str, int], term: str) -> int:
        """Return a term's number, giving it the next one where it is new."""
        return table.setdefault(term, len(self._words) + len(self._parts))

    def _parts_of(self, run: str) -> list[int]:
        """Return the numbers of the parts of a run of characters; those of short runs are remembered."""
        found = self._known.get(run)
        if found is None:
            cut = (part for part, _, _ in _cut(run))
            if self._learns:
                found = [self._number(self._parts, part) for part in cut]
            else:
                found = [self._parts[part] for part in cut if part in self._parts]
            if len(run) <= _LONGEST_KNOWN_WORD and len(self._known) < _MOST_KNOWN_WORDS:
                self._known[run] = found
        return found


def _cut(run: str) -> Iterator[tuple[str, int, int]]:
    """Yield the parts of a run with a space at either end, and where they begin and end in that."""
    padded = f" {run} "
    for length in PART_LENGTHS:
        for start in range(max(1, len(padded) - length + 1)):
            part = padded[start : start + length]
            yield part, start, start + len(part)
            if length >= len(padded):
                return


def _plain(text: str) -> str:
    """Bring equal texts to equal characters: composed, in lower case, without half characters."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", _SURROGATES.sub("\ufffd", text))
    return text.lower()


def _aligned(text: str) -> tuple[str, list[int], list[int]]:
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


def _counted(counts: Sequence[Counter[int]]) -> SparseRows:
    """Put counts into rows, columns rising."""
    lengths = np.fromiter(map(len, counts), dtype=np.int64, count=len(counts))
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    columns, weights = np.empty(starts[-1], dtype=np.int32), np.empty(starts[-1], dtype=np.float32)
    for row, count in enumerate(counts):
        part = slice(starts[row], starts[row + 1])
        found = np.fromiter(count, dtype=np.int32, count=len(count))
        order = np.argsort(found)
        columns[part] = found[order]
        weights[part] = np.fromiter(count.values(), dtype=np.float32, count=len(count))[order]
    return SparseRows(weights, columns, starts, int(columns.max(initial=-1)) + 1)


def _renumbered(rows: SparseRows, order: Ints, n_before: int) -> SparseRows:
    """Keep the columns of `order` and number them as they stand there."""
    numbers = np.full(n_before, -1, dtype=np.int32)
    numbers[order] = np.arange(len(order), dtype=np.int32)
    renamed = numbers[rows.columns]
    keep = renamed >= 0
    row_of = np.repeat(np.arange(len(rows)), np.diff(rows.starts))[keep]
    columns, weights = renamed[keep], rows.weights[keep]
    sort = np.lexsort((columns, row_of))
    starts = np.concatenate([[0], np.cumsum(np.bincount(row_of, minlength=len(rows)))]).astype(np.int64)
    return SparseRows(weights[sort], columns[sort], starts, len(order))


def _weighted(counts: SparseRows, idf: NDArray[np.float32], n_words: int) -> SparseRows:
    """Damp counts, weigh them by rarity, and bring words and parts of each row to unit length."""
    weights = ((1 + np.log(counts.weights)) * idf[counts.columns]).astype(np.float32)
    return _of_unit_length(SparseRows(weights, counts.columns, counts.starts, len(idf)), n_words)


def _of_unit_length(rows: SparseRows, n_words: int) -> SparseRows:
    """Bring the words and the parts of each row to unit length."""
    row_of = np.repeat(np.arange(len(rows)), np.diff(rows.starts))
    block = 2 * row_of + (rows.columns >= n_words)
    squares = np.bincount(block, weights=rows.weights.astype(np.float64) ** 2, minlength=2 * len(rows))
    norms: Floats = np.sqrt(squares)[block]
    weights = np.divide(rows.weights, norms, out=np.zeros_like(norms), where=norms > 0).astype(np.float32)
    return SparseRows(weights, rows.columns, rows.starts, rows.n_columns)
