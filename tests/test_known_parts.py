"""Known parts of words are found in many texts at once, as a plain search would find them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.modeling.known_parts import KeyTable, KnownParts
from classifier.modeling.terms import TermCounter

LETTERS = st.characters(codec="utf-8") | st.sampled_from(list("ab \n\u3000\0\U0001f600"))
TEXTS = st.lists(st.text(LETTERS, max_size=12) | st.text("ab ", max_size=30), max_size=6)


def parts_of(text: str) -> Counter[str]:
    """Cut each run with a space at either end into everything of two to five characters."""
    found: Counter[str] = Counter()
    for run in text.split():
        padded = f" {run} "
        for length in (2, 3, 4, 5):
            found.update(padded[start : start + length] for start in range(len(padded) - length + 1))
    return found


@settings(deadline=None)
@given(known=TEXTS, asked=TEXTS, share=st.integers(1, 3))
def test_places_are_those_of_a_plain_search(known: list[str], asked: list[str], share: int) -> None:
    """Every part that is known is counted in every text, and nothing else, also where its beginning is no part."""
    names = sorted(set().union(*map(parts_of, known)))[::share]
    numbers = {name: 10 + 2 * place for place, name in enumerate(names)}
    rows, found = KnownParts(numbers).find(asked)
    expected = Counter(
        {
            (row, numbers[part]): count
            for row, text in enumerate(asked)
            for part, count in parts_of(text).items()
            if part in numbers
        }
    )
    assert Counter(zip(rows.tolist(), found.tolist(), strict=True)) == expected


@settings(deadline=None)
@given(texts=TEXTS, more=TEXTS)
def test_what_was_learned_is_known(texts: list[str], more: list[str]) -> None:
    """Learning and knowing count the same."""
    words: dict[str, int] = {}
    parts: dict[str, int] = {}
    learned = TermCounter(words, parts, learns=True).count(texts)
    known = TermCounter(words, parts, learns=False)
    again = known.count([*texts, *more])
    assert again.starts[: len(texts) + 1].tolist() == learned.starts.tolist()
    assert again.columns[: again.starts[len(texts)]].tolist() == learned.columns.tolist()
    assert again.weights[: again.starts[len(texts)]].tolist() == learned.weights.tolist()


@given(keys=st.lists(st.integers(0, 2**64 - 2), unique=True, max_size=60), others=st.lists(st.integers(0, 2**64 - 2)))
def test_keys_are_found(keys: list[int], others: list[int]) -> None:
    """Known keys have the number of their place, whatever else is asked for; unknown ones have none."""
    asked = np.array([*keys, *others], dtype=np.uint64)
    expected = [keys.index(key) if key in keys else -1 for key in asked.tolist()]
    assert KeyTable(np.array(keys, dtype=np.uint64)).find(asked).tolist() == expected


@pytest.mark.parametrize("n_keys", [1, 2, 3, 1000])
def test_keys_that_meet_in_one_slot_are_told_apart(n_keys: int) -> None:
    """Keys that are looked for in the same place all find their own."""
    table = KeyTable(np.zeros(0, dtype=np.uint64))
    assert table.find(np.arange(9, dtype=np.uint64)).tolist() == [-1] * 9
    inverse = np.uint64(pow(0x9E3779B97F4A7C15, -1, 2**64))
    keys = np.arange(n_keys, dtype=np.uint64) * inverse
    assert KeyTable(keys).find(np.concatenate([keys, keys + np.uint64(1)]))[:n_keys].tolist() == list(range(n_keys))
