"""The sparse half of the features: weighted counts of words, pairs of words and parts of words.

What a transformer blurs is kept here: names, numbers, codes, spellings. Counting needs nothing but Python and numpy,
so that predicting imports no further library.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints
from classifier.modeling.sparse import SparseRows
from classifier.modeling.terms import TermCounter, aligned

MANY_TEXTS = 2000
MOST_TERMS = 300_000
MOST_WEIGHTS = 32_000_000


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
        self._counter = TermCounter(
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
        return _weighted(self._counter.count(texts), self.idf, len(self.words))

    def occurrences(self, text: str) -> list[tuple[int, int, int]]:
        """Find where the known words of a text stand.

        Returns
        -------
        list of (int, int, int)
            Column, first character and the one after the last, in the original text; pairs of words reach from the
            beginning of the first to the end of the second, parts of words stand where they begin and end.
        """
        plain, begins, ends = aligned(text)
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
    counter = TermCounter({}, {}, learns=True)
    counts = counter.count(texts, with_parts=with_parts)
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
