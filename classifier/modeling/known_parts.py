"""Find the known parts of words in many texts at once, by arrays instead of one string at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

PART_LENGTHS = (2, 3, 4, 5)
_CHARACTER_BITS = np.uint64(21)
_LENGTH_BITS = np.uint64(62)
_NOTHING = np.uint64(2**64 - 1)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 by the golden ratio
_SLOTS_PER_KEY = 4
_SPACE = 32

Keys = NDArray[np.uint64]
Numbers = NDArray[np.int64]


class KnownParts:
    """Parts of words, as a tree that many places of a text go down together.

    Parameters
    ----------
    numbers : mapping of str to int
        Number of each part, two to five characters long.

    Notes
    -----
    A branch is found by the number of the one before it and one more character, 21 bits in Unicode: nothing is hashed
    that could be confused. Most places of an unusual text are left behind after two or three characters.

    Examples
    --------
    >>> places = KnownParts({" a": 0, "ab": 1, "b ": 2}).find(["ab b"])
    >>> [numbers.tolist() for numbers in places]
    [[0, 0, 0, 0], [0, 1, 2, 2]]
    """

    def __init__(self, numbers: Mapping[str, int]) -> None:
        longest = PART_LENGTHS[-1]
        padded = "".join(part.ljust(longest, "\0") for part in numbers)
        characters = _characters(padded).reshape(len(numbers), longest)
        lengths = np.fromiter(map(len, numbers), dtype=np.int64, count=len(numbers))
        values = np.fromiter(numbers.values(), dtype=np.int64, count=len(numbers))
        keys, named = list[Keys](), list[Numbers]()
        branch, n_branches = characters[:, 0], 0
        for length in PART_LENGTHS:
            reaches = np.flatnonzero(lengths >= length)
            grown = _grown(length, branch[reaches], characters[reaches, length - 1])
            distinct, places = np.unique(grown, return_inverse=True)
            names = np.full(len(distinct), -1, dtype=np.int64)
            ends = lengths[reaches] == length
            names[places[ends]] = values[reaches[ends]]
            branch = np.zeros(len(numbers), dtype=np.uint64)
            branch[reaches] = (n_branches + places).astype(np.uint64)
            n_branches += len(distinct)
            keys.append(distinct)
            named.append(names)
        self._names = np.concatenate(named)
        self._branches = KeyTable(np.concatenate(keys))

    def find(self, texts: Sequence[str]) -> tuple[Numbers, Numbers]:
        """Find every occurrence of a known part; each run of characters between spaces has a space at either end.

        Returns
        -------
        rows, numbers : ndarray of int64, shape (n_found,)
            Which text, and which part.
        """
        padded = [f" {' '.join(text.split())} " for text in texts]
        lengths = np.fromiter(map(len, padded), dtype=np.int64, count=len(padded))
        characters = _characters("".join(padded))
        row_of = np.repeat(np.arange(len(texts)), lengths)
        starts, branch = np.arange(len(characters) - 1), characters[:-1]
        rows, numbers = list[Numbers](), list[Numbers]()
        for length in PART_LENGTHS:
            last = characters[starts + length - 1]
            found = self._branches.find(_grown(length, branch, last))
            is_on = np.flatnonzero(found >= 0)
            starts, found, last = starts[is_on], found[is_on], last[is_on]
            names = self._names[found]
            is_part = names >= 0
            rows.append(row_of[starts[is_part]])
            numbers.append(names[is_part])
            goes_on = (last != _SPACE) & (starts + length < len(characters))
            starts, branch = starts[goes_on], found[goes_on].astype(np.uint64)
        return np.concatenate(rows), np.concatenate(numbers)


class KeyTable:
    """Number distinct keys in their order, and find thousands of them at once.

    Parameters
    ----------
    keys : ndarray of uint64, shape (n_keys,)
        Any but the largest possible one.

    References
    ----------
    Knuth (1998), The Art of Computer Programming, volume 3, section 6.4: open addressing, linear probing

    Examples
    --------
    >>> KeyTable(np.array([7, 3], dtype=np.uint64)).find(np.array([3, 4, 7], dtype=np.uint64)).tolist()
    [1, -1, 0]
    """

    def __init__(self, keys: Keys) -> None:
        n_bits = (_SLOTS_PER_KEY * len(keys) + 1).bit_length()
        self._shift, self._last = np.uint64(64 - n_bits), (1 << n_bits) - 1
        self._keys = np.full(1 << n_bits, _NOTHING, dtype=np.uint64)
        slots, left = self._first_slots(keys), np.arange(len(keys))
        while len(left):
            free = left[self._keys[slots[left]] == _NOTHING]
            self._keys[slots[free]] = keys[free]
            left = left[self._keys[slots[left]] != keys[left]]
            slots[left] = (slots[left] + 1) & self._last
        self._numbers = np.full(1 << n_bits, -1, dtype=np.int64)
        self._numbers[slots] = np.arange(len(keys))

    def find(self, keys: Keys) -> Numbers:
        """Return the number of each key, -1 where it is not known."""
        slots = self._first_slots(keys)
        there = self._keys[slots]
        found = self._numbers[slots]
        found[there != keys] = -1
        left = np.flatnonzero((there != keys) & (there != _NOTHING))
        while len(left):
            slots[left] = (slots[left] + 1) & self._last
            there, wanted = self._keys[slots[left]], keys[left]
            hit = there == wanted
            found[left[hit]] = self._numbers[slots[left[hit]]]
            left = left[~hit & (there != _NOTHING)]
        return found

    def _first_slots(self, keys: Keys) -> Numbers:
        """Return where each key is looked for first."""
        return ((keys * _SPREAD) >> self._shift).astype(np.int64)


def _grown(length: int, branch: Keys, character: Keys) -> Keys:
    """Return the key of a branch with one more character, which makes it as long as given."""
    kind = np.uint64(length - PART_LENGTHS[0]) << _LENGTH_BITS
    grown: Keys = kind | (branch << _CHARACTER_BITS) | character
    return grown


def _characters(text: str) -> Keys:
    """Return the numbers of characters in Unicode."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
