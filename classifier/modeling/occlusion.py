"""Texts with a part left out: where words, sentences and passages stand, and what either half makes of the rest."""

from __future__ import annotations

import copy
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints
from classifier.embedding.contract import Embedder, Embeddings
from classifier.modeling.head import LexicalWeights, LinearHead
from classifier.modeling.lexical import Lexicon
from classifier.modeling.terms import UNSPACED

Span = tuple[int, int]

MOST_WORDS_OF_A_SENTENCE = 25
_GAP = " "
_PIECE_CHARACTERS = 20_000
_JOINERS = "\u200c\u200d"
_SENTENCE_END = re.compile(r"[.!?\u2026\u061f\u06d4\u0964]\S*\s|[\u3002\uff01\uff1f]|[\n\r]")
_RUN = re.compile(r"\S+")
_WORDLIKE = re.compile(rf"[\w{UNSPACED}]")
_TOKEN_LIKE = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]{{1,7}}|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring words of a text.

    Attributes
    ----------
    first, last : int
        Number of the first word, and the one after that of the last.
    start, end : int
        Where the group stands in the text.
    """

    first: int
    last: int
    start: int
    end: int


def word_spans(text: str) -> list[Span]:
    """Find the words of a text in reading order, as offsets of their first character and of the one after the last.

    A word is a run of letters and digits with the marks upon them, also around an apostrophe; a single character in
    scripts without spaces between words; or a run of pictographs. Punctuation belongs to no word.

    Examples
    --------
    >>> [text[start:end] for text in ["Don't pay: 東京 🎉!"] for start, end in word_spans(text)]
    ["Don't", 'pay', '東', '京', '🎉']
    """
    kinds = {character: unicodedata.category(character) for character in set(text) if not character.isascii()}
    marks = "".join(character for character, kind in kinds.items() if kind.startswith("M")) + _JOINERS
    pictures = "".join(
        character for character, kind in kinds.items() if kind == "So" or (kind == "Sk" and character > "\uffff")
    )
    letters = rf"[^\W{UNSPACED}](?:[^\W{UNSPACED}]|[{marks}])*"
    pattern = rf"[{UNSPACED}][{marks}]*|{letters}(?:['\u2019]{letters})*"
    if pictures:
        pattern += rf"|[{pictures}][{pictures}{marks}]*"
    return [found.span() for found in re.finditer(pattern, text)]


def sentences(text: str, words: Sequence[Span]) -> list[Group]:
    """Group words into sentences; a line ends one, and so do `MOST_WORDS_OF_A_SENTENCE` words without a full stop."""
    found: list[Group] = []
    first = 0
    for last in range(1, len(words) + 1):
        ends = last == len(words) or last - first == MOST_WORDS_OF_A_SENTENCE
        if ends or _SENTENCE_END.search(text, words[last - 1][1], words[last][0]):
            found.append(Group(first, last, words[first][0], words[last - 1][1]))
            first = last
    return found


def passages(text: str, words: Sequence[Span], groups: Sequence[Group], n_tokens: int) -> list[Group]:
    """Join sentences into passages that fit into a window of about `n_tokens` tokens; they tile the text."""
    borders = [0, *(words[group.first][0] for group in groups[1:]), len(text)]
    found: list[Group] = []
    start = first = n_held = 0
    for number, group in enumerate(groups):
        n_more = estimated_tokens(text[borders[number] : borders[number + 1]])
        if n_held and n_held + n_more > n_tokens:
            found.append(Group(first, group.first, start, borders[number]))
            start, first, n_held = borders[number], group.first, 0
        n_held += n_more
    return [*found, Group(first, len(words), start, len(text))]


def joined(groups: Sequence[Group], most: int) -> list[Group]:
    """Join neighbouring groups so that no more than `most` are left."""
    step = -(-len(groups) // most)
    parts = [groups[start : start + step] for start in range(0, len(groups), max(step, 1))]
    return [Group(part[0].first, part[-1].last, part[0].start, part[-1].end) for part in parts]


def estimated_tokens(text: str) -> int:
    """Guess how many tokens an encoder makes of a text, without its tokenizer."""
    return sum(1 for _ in _TOKEN_LIKE.finditer(text))


def without(text: str, spans: Sequence[Span]) -> str:
    """Return a text with a space in place of each of some parts, so that what stood around them does not grow together.

    Examples
    --------
    >>> without("pay me-now", [(4, 6)])
    'pay  -now'
    """
    kept, position = [], 0
    for start, end in sorted(spans):
        kept += [text[position:start], _GAP]
        position = end
    return "".join([*kept, text[position:]])


def without_cache(embedder: Embedder) -> Embedder:
    """Return what computes an embedder's vectors: texts that are seen once must not fill a cache."""
    from classifier.embedding.cache import CachedEmbedder
    from classifier.embedding.reduction import ReducedEmbedder

    if isinstance(embedder, CachedEmbedder):
        return embedder.embedder
    if isinstance(embedder, ReducedEmbedder) and isinstance(embedder.inner, CachedEmbedder):
        embedder = copy.copy(embedder)
        embedder.inner = without_cache(embedder.inner)
    return embedder


class DenseHalf:
    """Scores of the embedding of a text, and of the text with any part left out.

    Parameters
    ----------
    text : str
    embedding : ndarray of float32, shape (n_dims,)
        Of the text.
    embedder : Embedder
        What it was made with.
    head : LinearHead
    parts : sequence of Group
        Passages that tile the text. With several, the text's vector is taken for the mean of theirs, weighed by
        tokens, and only the passage with the part that is left out is embedded anew: what that takes does not grow
        with the text. With one, the text is embedded whole.
    """

    def __init__(
        self, text: str, embedding: NDArray[np.float32], embedder: Embedder, head: LinearHead, parts: Sequence[Group]
    ) -> None:
        self._text, self._embedder, self._head = text, embedder, head
        self._starts = np.array([part.start for part in parts], dtype=np.intp)
        self._ends = np.array([part.end for part in parts], dtype=np.intp)
        self._weights = np.ones(len(parts))
        self._vectors = embedding[np.newaxis]
        if len(parts) > 1:
            pieces = [text[part.start : part.end] for part in parts]
            self._weights = np.array([estimated_tokens(piece) for piece in pieces], dtype=np.float64)
            self._vectors = embedder.encode(pieces)
        self._sum: Floats = self._weights @ self._vectors
        self.scores: Floats = self._scores_of(self._sum[np.newaxis])[0]

    def scores_without(self, spans: Sequence[Span]) -> Floats:
        """Return the scores of the text without each of some parts, shape (n_spans, n_classes), by one call.

        No part reaches from one passage into another.
        """
        numbers = np.searchsorted(self._starts, [start for start, _ in spans], side="right") - 1
        variants, lost = [], np.zeros(len(spans))
        for row, ((start, end), number) in enumerate(zip(spans, numbers, strict=True)):
            piece = self._text[self._starts[number] : self._ends[number]]
            begin = start - int(self._starts[number])
            variants.append(without(piece, [(begin, begin + end - start)]))
            lost[row] = estimated_tokens(self._text[start:end]) if len(self._starts) > 1 else 0.0
        vectors = self._embedder.encode(variants).astype(np.float64)
        weights = self._weights[numbers, np.newaxis]
        changed = (weights - lost[:, np.newaxis]) * vectors - weights * self._vectors[numbers]
        return self._scores_of(self._sum + changed)

    def _scores_of(self, sums: Floats) -> Floats:
        """Return the scores of vectors; sums over several passages are brought to unit length first."""
        vectors = sums
        if len(self._starts) > 1:
            norms = np.linalg.norm(sums, axis=1, keepdims=True)
            vectors = np.divide(sums, norms, out=np.zeros_like(sums), where=norms > 0)
        found: Embeddings = vectors.astype(np.float32)
        return self._head.scores(found).astype(np.float64)


class LexicalHalf:
    """Scores of the terms of a text, and of the text with any part left out.

    Parameters
    ----------
    text : str
    lexicon : Lexicon
    weights : LexicalWeights
        What the head gives to its terms.

    Notes
    -----
    Leaving out a part changes the counts of the terms around it: some go, neighbours become new pairs, and the others
    weigh more since words and parts are brought to unit length. The sums over all terms are updated by what changed,
    which gives what counting the whole text again would give.
    """

    def __init__(self, text: str, lexicon: Lexicon, weights: LexicalWeights) -> None:
        self._text, self._lexicon, self._head = text, lexicon, weights
        self._runs = _Runs(text)
        self._columns, self._starts, self._ends = self._occurrences()
        self._counts = np.bincount(self._columns, minlength=len(lexicon))
        self._present = np.flatnonzero(self._counts)
        tf_idf = self._weigh(self._present, self._counts[self._present])
        self._sums, self._squares, self._n_terms = self._totals(self._present, tf_idf, tf_idf**2, np.sign(tf_idf))
        self.scores: Floats = self._scores_of(self._sums, self._squares, self._n_terms)

    def scores_without(self, start: int, end: int) -> Floats:
        """Return the scores of the text without a part, shape (n_classes,)."""
        left, right = self._runs.around(start, end)
        gone = self._columns_of(self._text[left:right])
        come = self._columns_of(self._text[left:start] + _GAP + self._text[end:right])
        columns, inverse = np.unique(np.concatenate([gone, come]), return_inverse=True)
        signs = np.repeat([-1.0, 1.0], [len(gone), len(come)])
        change = np.bincount(inverse, weights=signs, minlength=len(columns)).astype(np.intp)
        columns, change = columns[change != 0], change[change != 0]
        before = self._weigh(columns, self._counts[columns])
        after = self._weigh(columns, self._counts[columns] + change)
        sums, squares, n_terms = self._totals(
            columns, after - before, after**2 - before**2, np.sign(after) - np.sign(before)
        )
        return self._scores_of(self._sums + sums, self._squares + squares, self._n_terms + n_terms)

    def word_effects(self, words: Sequence[Span], direction: Floats) -> Floats:
        """Return what each word's terms add to a weighted sum of the scores.

        Parameters
        ----------
        words : sequence of (int, int)
            In reading order.
        direction : ndarray of float64, shape (n_classes,)
            The weights of the scores.

        Returns
        -------
        ndarray of float64, shape (n_words,)
            What a term adds is shared evenly among its occurrences, and that of an occurrence among the words it
            touches; occurrences in punctuation alone are nobody's.
        """
        if not words or not len(self._present):
            return np.zeros(len(words))
        counts = self._counts[self._present]
        norms = np.sqrt(np.where(self._present < len(self._lexicon.words), *self._squares))
        adds = self._weigh(self._present, counts) / norms * (self._head.coef[self._present] @ direction)
        shares = (adds / counts)[np.searchsorted(self._present, self._columns)]
        begins, ends = np.array(words, dtype=np.intp).T
        first = np.searchsorted(ends, self._starts, side="right")
        last = np.searchsorted(begins, np.maximum(self._ends, self._starts + 1), side="left")
        touches = last > first
        shares = shares[touches] / (last - first)[touches]
        steps = np.bincount(first[touches], weights=shares, minlength=len(words) + 1)
        steps -= np.bincount(last[touches], weights=shares, minlength=len(words) + 1)
        return np.asarray(np.cumsum(steps)[:-1])

    def _occurrences(self) -> tuple[Ints, Ints, Ints]:
        """Return column, start and end of each known term, found piece by piece to spare memory."""
        found = []
        for start, end in self._runs.pieces():
            right = self._runs.around(start, end)[1]
            part = np.array(self._lexicon.occurrences(self._text[start:right]), dtype=np.intp).reshape(-1, 3)
            part[:, 1:] += start
            found.append(part[part[:, 1] < end])
        columns, starts, ends = np.concatenate(found).T
        return columns, starts, ends

    def _columns_of(self, text: str) -> Ints:
        """Return the column of each known term of a text."""
        return np.array([column for column, _, _ in self._lexicon.occurrences(text)], dtype=np.intp)

    def _weigh(self, columns: Ints, counts: Ints) -> Floats:
        """Damp counts and weigh them by rarity, as the lexicon does; without unit length."""
        damped = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0.0)
        return np.asarray(damped * self._lexicon.idf[columns], dtype=np.float64)

    def _totals(self, columns: Ints, weights: Floats, squares: Floats, signs: Floats) -> tuple[Floats, Floats, Floats]:
        """Sum up words and parts: weights times the head's, their squares, and how many there are."""
        is_part = columns >= len(self._lexicon.words)
        coef = self._head.coef[columns].astype(np.float64)
        sums = np.array([weights[~is_part] @ coef[~is_part], weights[is_part] @ coef[is_part]])
        blocks = is_part.astype(np.intp)
        n_terms = np.asarray(np.bincount(blocks, signs, minlength=2), dtype=np.float64)
        return sums, np.asarray(np.bincount(blocks, squares, minlength=2), dtype=np.float64), n_terms

    def _scores_of(self, sums: Floats, squares: Floats, n_terms: Floats) -> Floats:
        """Bring words and parts to unit length and add them up."""
        norms = np.sqrt(np.where(n_terms > 0, squares, np.inf))
        return np.asarray((sums / norms[:, np.newaxis]).sum(axis=0) + self._head.intercept)


class _Runs:
    """What stands between the spaces of a text; no term reaches further than into the next run with a word."""

    def __init__(self, text: str) -> None:
        spans = [run.span() for run in _RUN.finditer(text)]
        self._length = len(text)
        self._starts, self._ends = np.array(spans, dtype=np.intp).reshape(-1, 2).T
        wordlike = [bool(_WORDLIKE.search(text, start, end)) for start, end in spans]
        self._with_words = np.flatnonzero(wordlike)

    def around(self, start: int, end: int) -> Span:
        """Return where the runs around a part begin and end, as far as its terms can reach."""
        first = np.searchsorted(self._starts, start, side="right") - 1
        last = np.searchsorted(self._ends, end, side="left")
        before = np.searchsorted(self._with_words, first, side="left") - 1
        after = np.searchsorted(self._with_words, last, side="right")
        left = int(self._starts[self._with_words[before]]) if before >= 0 else 0
        right = int(self._ends[self._with_words[after]]) if after < len(self._with_words) else self._length
        return left, right

    def pieces(self) -> list[Span]:
        """Cut the text between runs, near every `_PIECE_CHARACTERS`."""
        wanted = np.arange(_PIECE_CHARACTERS, self._length, _PIECE_CHARACTERS)
        numbers = np.searchsorted(self._starts, wanted, side="left")
        inner = sorted({int(self._starts[number]) for number in numbers if number < len(self._starts)} - {0})
        return list(zip([0, *inner], [*inner, self._length], strict=True))
