"""Which texts are equal, which are nearly equal, and which test documents the training documents give away."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints
from classifier.analysis.wording import equal_texts, normalised, numbered, word_set
from classifier.errors import TrainingDataError, excerpt

Vectors = NDArray[np.float32]
Mask = NDArray[np.bool_]

NEAR_COSINE = 0.95
NEAR_JACCARD = 0.8
_BLOCK_ROWS = 2048
_PAIRS_AT_ONCE = 65_536
_WORTH_AN_INDEX = 4
_SKETCH_BITS = 512
_ROUNDING = 1e-6
_GIVEN_AWAY = -1
_MOST_NAMED = 3


def near_duplicates(texts: Sequence[str], embeddings: Vectors) -> Ints:
    """Put texts that are equal or nearly equal into one group.

    Two texts are nearly equal where their embeddings have a cosine of at least 0.95 and at least 0.8 of the words of
    both are common to both: vectors alone take "room 12" for "room 13", words alone take "bad, not good" for
    "good, not bad".

    Parameters
    ----------
    texts : sequence of str
    embeddings : ndarray of float32, shape (n_documents, n_dims)
        Of any length; rows follow `texts`. A row of zeros is like nothing.

    Returns
    -------
    ndarray of int, shape (n_documents,)
        Numbers of groups, from 0 in order of first occurrence. Groups are chains: each member is nearly equal to
        another one, the first and the last need not be.

    Raises
    ------
    TrainingDataError
        When there is not one vector for each text.

    Notes
    -----
    Only texts that share a rare word are compared, see `_comparable`, so that the time grows about as the number of
    texts. Similarities are computed in blocks of 2,048 by 2,048; pairs that are in one group already are skipped, so
    that many copies of one template cost neither memory nor time.
    """
    check_rows(texts=len(texts), embeddings=len(embeddings))
    if not len(texts):
        return np.empty(0, dtype=np.intp)
    row_of = numbered(texts)
    first_rows = np.unique(row_of, return_index=True)[1]
    distinct = [texts[row] for row in first_rows.tolist()]
    groups = equal_texts(distinct)
    known = _Texts.of(distinct, embeddings[first_rows], groups)
    for rows, columns in _near_pairs(known, known):
        for row, column in zip(rows, columns, strict=True):
            if groups[row] != groups[column]:
                groups[groups == groups[column]] = groups[row]
    return numbered(groups[row_of].tolist())


@dataclass(frozen=True, slots=True, eq=False)
class MixedGroup:
    """Documents of one group, such as equal texts, that do not all have one label.

    Attributes
    ----------
    rows : list of int
        Positions of the documents, rising.
    counts : dict of str to int
        How many of them have each label, in order of first occurrence.
    first_rows : dict of str to int
        The first of them with each label.
    """

    rows: list[int]
    counts: dict[str, int]
    first_rows: dict[str, int]

    @property
    def most_frequent(self) -> list[str]:
        """The label that most of them have; several where they tie."""
        most = max(self.counts.values())
        return [label for label, count in self.counts.items() if count == most]

    def share(self, label: str) -> float:
        """Return how many of them have a label, in [0, 1]."""
        return self.counts[label] / len(self.rows)

    def suggestion(self, classes: Sequence[str], proba: Floats, held_out: Mask) -> str:
        """Return the most frequent label; of several the most probable one, empty where nothing tells them apart.

        Parameters
        ----------
        classes : sequence of str
            Names of the columns of `proba`.
        proba : ndarray of float64, shape (n_documents, n_classes)
        held_out : ndarray of bool, shape (n_documents,)
            Which rows of `proba` count.
        """
        names = set(self.most_frequent)
        columns = [number for number, name in enumerate(classes) if name in names]
        rows = [row for row in self.rows if held_out[row]]
        if len(names) == 1:
            return names.pop()
        if not columns or not rows:
            return ""
        return classes[columns[int(np.argmax(sum(proba[row, columns] for row in rows)))]]

    def others(self, label: str, ids: Sequence[str] | None = None) -> str:
        """Name the other labels, three at most, each with the first document's id; its row from 1 without ids."""
        names = [name for name in islice(self.first_rows, _MOST_NAMED + 1) if name != label][:_MOST_NAMED]
        n_more = len(self.first_rows) - 1 - len(names)
        first = [self.first_rows[name] for name in names]
        called = [f"row {row + 1}" if ids is None else f"id {ids[row]}" for row in first]
        named = ", ".join(f"{excerpt(name)} ({one})" for name, one in zip(names, called, strict=True))
        return named + (f" and {n_more} more" if n_more else "")


def mixed_groups(groups: Ints, labels: Sequence[str]) -> list[MixedGroup]:
    """Find groups of documents with more than one label.

    Parameters
    ----------
    groups : ndarray of int, shape (n_documents,)
        From `equal_texts` or `near_duplicates`.
    labels : sequence of str

    Returns
    -------
    list of MixedGroup
        By first row.

    Examples
    --------
    >>> [group.rows for group in mixed_groups(np.array([0, 1, 0, 1]), ["x", "y", "z", "y"])]
    [[0, 2]]
    """
    found: defaultdict[int, MixedGroup] = defaultdict(lambda: MixedGroup([], {}, {}))
    for row, (number, label) in enumerate(zip(groups.tolist(), labels, strict=True)):
        group = found[number]
        group.rows.append(row)
        group.counts[label] = group.counts.get(label, 0) + 1
        group.first_rows.setdefault(label, row)
    return [group for group in found.values() if len(group.counts) > 1]


def n_with_others(groups: Ints, equal: Ints) -> int:
    """Count documents whose group has a text that does not equal theirs.

    Parameters
    ----------
    groups, equal : ndarray of int, shape (n_documents,)
        From `near_duplicates` and `equal_texts`.
    """
    n_texts = np.bincount(np.unique(np.stack([groups, equal]), axis=1)[0])
    return int((n_texts[groups] > 1).sum())


def leaked_rows(
    train_texts: Sequence[str], test_texts: Sequence[str], train_embeddings: Vectors, test_embeddings: Vectors
) -> Mask:
    """Find test documents that the training documents give away.

    Parameters
    ----------
    train_texts, test_texts : sequence of str
    train_embeddings : ndarray of float32, shape (n_train, n_dims)
    test_embeddings : ndarray of float32, shape (n_test, n_dims)
        Made by the same embedder.

    Returns
    -------
    ndarray of bool, shape (n_test,)
        Whether the text equals a training text once `normalised`, or is nearly equal to one, see `near_duplicates`.

    Raises
    ------
    TrainingDataError
        When there is not one vector for each text.

    Examples
    --------
    >>> leaked_rows(["Hello"], ["hello ", "bye"], np.ones((1, 2), np.float32), np.eye(2, dtype=np.float32)).tolist()
    [True, False]
    """
    check_rows(training_texts=len(train_texts), training_embeddings=len(train_embeddings))
    check_rows(test_texts=len(test_texts), test_embeddings=len(test_embeddings))
    known = {normalised(text) for text in train_texts}
    leaked = np.array([normalised(text) in known for text in test_texts], dtype=np.bool_)
    if not len(train_texts) or leaked.all():
        return leaked
    rest = np.flatnonzero(~leaked)
    test = _Texts.of([test_texts[row] for row in rest.tolist()], test_embeddings[rest], np.arange(len(rest)))
    train = _Texts.of(train_texts, train_embeddings, np.full(len(train_texts), _GIVEN_AWAY))
    for rows, _ in _near_pairs(test, train):
        test.groups[rows] = _GIVEN_AWAY
    leaked[rest] = test.groups == _GIVEN_AWAY
    return leaked


def check_rows(**numbers: int) -> None:
    """Refuse sequences of different lengths.

    Parameters
    ----------
    **numbers : int
        What there is how many of.

    Raises
    ------
    TrainingDataError
        When the numbers differ.

    Examples
    --------
    >>> check_rows(texts=2, labels=2)
    """
    if len(set(numbers.values())) > 1:
        listed = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in numbers.items())
        raise TrainingDataError(f"There are {listed}", "give one of each per document")


@dataclass(frozen=True, slots=True, eq=False)
class _Texts:
    """Texts in the form in which many pairs can be compared.

    Attributes
    ----------
    texts : sequence of str
    units : ndarray of float32, shape (n_texts, n_dims)
        Embeddings of unit length; zeros stay zeros.
    groups : ndarray of int, shape (n_texts,)
        Two texts of one group need no comparison; written to by who joins groups.
    sizes : ndarray of int, shape (n_texts,)
        How many different words each has.
    sketches, coarse : ndarray of uint64, shapes (n_texts, 8) and (n_texts,)
        A bit for each word, some words sharing one: two texts differ by at least as many words as bits.
    """

    texts: Sequence[str]
    units: Vectors
    groups: Ints
    sizes: Ints
    sketches: NDArray[np.uint64]
    coarse: NDArray[np.uint64]

    @classmethod
    def of(cls, texts: Sequence[str], embeddings: Vectors, groups: Ints) -> _Texts:
        """Normalise vectors and read words."""
        bits = np.zeros((len(texts), _SKETCH_BITS), dtype=np.bool_)
        sizes = np.zeros(len(texts), dtype=np.intp)
        for row, text in enumerate(texts):
            words = word_set(text)
            sizes[row] = len(words)
            bits[row, [hash(word) % _SKETCH_BITS for word in words]] = True
        sketches = np.packbits(bits, axis=1).view(np.uint64)
        vectors = np.asarray(embeddings, dtype=np.float32)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        units = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
        return cls(texts, units, groups, sizes, sketches, np.bitwise_or.reduce(sketches, axis=1))


def _near_pairs(left: _Texts, right: _Texts) -> Iterator[tuple[Ints, Ints]]:
    """Yield rows of both that are nearly equal, some at a time, without those that are in one group by then."""
    is_same = left is right
    for ones, others in _comparable(left, right):
        for top in range(0, len(ones), _BLOCK_ROWS):
            for start in range(top if is_same else 0, len(others), _BLOCK_ROWS):
                one, other = ones[top : top + _BLOCK_ROWS], others[start : start + _BLOCK_ROWS]
                is_close = left.units[one] @ right.units[other].T >= NEAR_COSINE
                if is_same and start == top:
                    is_close = np.triu(is_close, k=1)
                if np.count_nonzero(is_close) > _PAIRS_AT_ONCE:
                    n_different = np.bitwise_count(left.coarse[one, np.newaxis] ^ right.coarse[other])
                    is_close &= _may_share(n_different, left.sizes[one, np.newaxis] + right.sizes[other])
                    is_close &= left.groups[one, np.newaxis] != right.groups[other]
                rows, columns = np.nonzero(is_close)
                for first in range(0, len(rows), _PAIRS_AT_ONCE):
                    part = slice(first, first + _PAIRS_AT_ONCE)
                    yield _sharing_words(left, right, one[rows[part]], other[columns[part]])


def _comparable(left: _Texts, right: _Texts) -> Iterator[tuple[Ints, Ints]]:
    """Yield rows of both among which pairs may be near, rising; each near pair is in one of them at least.

    Two texts can share 0.8 of their words only if they share one of the rarest fifth of either (and one more): so only
    texts with such a word in common are compared. Where that leaves too many pairs, as among the copies of a template,
    all are compared with all.

    References
    ----------
    Chaudhuri, Ganti and Kaushik (2006), A Primitive Operator for Similarity Joins in Data Cleaning,
    https://doi.org/10.1109/ICDE.2006.9 (prefix filtering)
    """
    sides = [left] if left is right else [left, right]
    counts = Counter(word for side in sides for text in side.texts for word in word_set(text))
    by_word = [_rows_by_rare_word(side.texts, counts) for side in sides]
    shared = [(rows, by_word[-1][word]) for word, rows in by_word[0].items() if word in by_word[-1]]
    if sum(len(rows) * len(others) for rows, others in shared) > len(left.texts) * len(right.texts) / _WORTH_AN_INDEX:
        shared = [(list(range(len(left.texts))), list(range(len(right.texts))))]
    for rows, others in shared:
        if left is not right or len(rows) > 1:
            yield np.array(rows, dtype=np.intp), np.array(others, dtype=np.intp)


def _rows_by_rare_word(texts: Sequence[str], counts: Counter[str]) -> dict[str, list[int]]:
    """Tell which texts have a word among their rarest, as many of them as prefix filtering needs."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(texts):
        words = sorted(word_set(text), key=lambda word: (counts[word], word))
        for word in words[: len(words) - math.ceil(NEAR_JACCARD * len(words) - _ROUNDING) + 1]:
            found[word].append(row)
    return found


def _sharing_words(left: _Texts, right: _Texts, rows: Ints, columns: Ints) -> tuple[Ints, Ints]:
    """Keep the pairs of texts of different groups that share at least 0.8 of the words of both."""
    apart = left.groups[rows] != right.groups[columns]
    rows, columns = rows[apart], columns[apart]
    n_different = np.bitwise_count(left.sketches[rows] ^ right.sketches[columns]).sum(axis=1, dtype=np.intp)
    n_different = np.maximum(n_different, np.abs(left.sizes[rows] - right.sizes[columns]))
    possible = _may_share(n_different, left.sizes[rows] + right.sizes[columns])
    rows, columns = rows[possible], columns[possible]
    words = {row: word_set(left.texts[row]) for row in np.unique(rows).tolist()}
    others = {column: word_set(right.texts[column]) for column in np.unique(columns).tolist()}
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    kept = np.array([_jaccard(words[row], others[column]) >= NEAR_JACCARD for row, column in pairs], dtype=np.bool_)
    return rows[kept], columns[kept]


def _may_share(n_different: NDArray[np.integer], n_words: Ints) -> Mask:
    """Tell whether texts that differ by so many words or more, of all the words of both, can share 0.8 of them."""
    return (n_different * (1 + NEAR_JACCARD) <= n_words * (1 - NEAR_JACCARD) + _ROUNDING) & (n_words > 0)


def _jaccard(words: frozenset[str], others: frozenset[str]) -> float:
    """Return the share of the words of both that is common to both; there is at least one."""
    return len(words & others) / len(words | others)
