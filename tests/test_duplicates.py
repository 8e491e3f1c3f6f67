"""Equal and nearly equal texts, groups with several labels, and test documents that training documents give away."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.analysis import duplicates
from classifier.analysis.duplicates import (
    leaked_rows,
    mixed_groups,
    n_with_others,
    near_duplicates,
)
from classifier.analysis.wording import equal_texts, normalised
from classifier.errors import TrainingDataError

WORDS = ["tea", "salt", "milk", "rice", "corn", "plum", "leek", "kale", "oats", "beer", "wine", "rye"]
TEN = " ".join(WORDS[:10])
ELEVEN = " ".join(WORDS[:11])
DIRECTIONS = np.array([[1, 0, 0], [0.98, 0.2, 0], [0.9, 0.44, 0], [0, 1, 0], [0, 0, 0]], dtype=np.float32)


@st.composite
def shelves(draw: st.DrawFn) -> tuple[list[str], np.ndarray]:
    """Draw texts of few words, many of them alike, with vectors in few directions; equal texts have equal vectors."""
    texts = draw(st.lists(st.lists(st.sampled_from(WORDS[:7]), max_size=7).map(" ".join), min_size=1, max_size=25))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    number = {text: rng.integers(len(DIRECTIONS)) for text in sorted(set(texts))}
    return texts, DIRECTIONS[[number[text] for text in texts]]


WORTHS = st.sampled_from([1e-9, 4, 1e9])
"""By how much fewer pairs an index must leave: always worth it, as usual, never."""


def near_by_hand(text: str, other: str, vector: np.ndarray, another: np.ndarray) -> bool:
    """Compare two texts as the definition says."""
    if normalised(text) == normalised(other):
        return True
    words, others = set(text.split()), set(other.split())
    norm = np.linalg.norm(vector) * np.linalg.norm(another)
    is_close = norm > 0 and vector @ another / norm >= 0.95
    return bool(is_close and words | others and len(words & others) / len(words | others) >= 0.8)


def partition(groups: np.ndarray) -> set[frozenset[int]]:
    """Return groups as sets of rows."""
    rows = defaultdict(set)
    for row, group in enumerate(groups):
        rows[group].add(row)
    return {frozenset(members) for members in rows.values()}


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("Cafe\u0301", "café"),
        ("STRASSE", "straße"),
        ("two  words\n", "\ttwo words"),
        ("non\u00a0breaking", "non breaking"),
        ("\u0390", "\u03b9\u0308\u0301"),
        ("", " \n"),
    ],
)
def test_what_counts_as_equal(text: str, other: str) -> None:
    """Accents in one character or two, case and spaces make no difference."""
    assert normalised(text) == normalised(other)
    assert equal_texts([text, "something else", other]).tolist() == [0, 1, 0]


@pytest.mark.parametrize(("text", "other"), [("resume", "résumé"), ("a b", "ab"), ("no.", "no"), ("²", "2")])
def test_what_counts_as_different(text: str, other: str) -> None:
    """Accents, punctuation and spaces within words do make one."""
    assert normalised(text) != normalised(other)


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    """What is normalised stays as it is."""
    assert normalised(normalised(text)) == normalised(text)


@pytest.mark.parametrize(
    ("other", "cosine", "is_near"),
    [
        (ELEVEN, 1.0, True),
        (ELEVEN, 0.951, True),
        (ELEVEN, 0.949, False),
        (" ".join(WORDS[:8]), 1.0, True),
        (" ".join(WORDS[:7]), 1.0, False),
        (" ".join(reversed(WORDS[:10])), 1.0, True),
        (" ".join(WORDS[:10]).upper(), 0.0, True),
        ("", 1.0, False),
    ],
)
def test_two_texts_are_near_by_vector_and_by_words(other: str, cosine: float, is_near: bool) -> None:
    """Both a cosine of 0.95 and 0.8 of the words are needed; equal texts need no vector."""
    vectors = np.array([[3.0, 0.0], [cosine, np.sqrt(1 - cosine**2)]], dtype=np.float32)
    assert near_duplicates([TEN, other], vectors).tolist() == [0, 0 if is_near else 1]


def test_groups_are_chains() -> None:
    """The first and the last of a chain share a group although they are not near each other."""
    texts = [" ".join(WORDS[:10]), " ".join(WORDS[:8]), " ".join(WORDS[:7]), "beer"]
    assert near_duplicates(texts, np.ones((4, 2), dtype=np.float32)).tolist() == [0, 0, 0, 1]


def test_characters_are_words_where_there_are_no_spaces() -> None:
    """One sign more in a sentence of a script without spaces is near, another sentence is not."""
    texts = ["我想取消明天的酒店预订", "我想取消明天的酒店预订吧", "他们昨天买了一辆红色汽车"]
    assert near_duplicates(texts, np.ones((3, 2), dtype=np.float32)).tolist() == [0, 0, 1]


def test_without_words_nothing_is_near() -> None:
    """Signs without a word are equal or not, never nearly equal."""
    assert near_duplicates([":-)", ":-(", ":-)"], np.ones((3, 2), dtype=np.float32)).tolist() == [0, 1, 0]


@settings(deadline=None)
@given(shelves(), st.sampled_from([1, 3, 2048]), st.sampled_from([1, 5, 65_536]), WORTHS)
def test_groups_are_those_of_the_definition(
    drawn: tuple[list[str], np.ndarray], block: int, pairs: int, worth: float
) -> None:
    """Whatever the size of a block, with an index and without, groups are what comparing all pairs gives, in order."""
    texts, vectors = drawn
    expected = np.arange(len(texts))
    for row, other in combinations(range(len(texts)), 2):
        if near_by_hand(texts[row], texts[other], vectors[row], vectors[other]):
            expected[expected == expected[other]] = expected[row]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BLOCK_ROWS", block)
        patch.setattr(duplicates, "_PAIRS_AT_ONCE", pairs)
        patch.setattr(duplicates, "_WORTH_AN_INDEX", worth)
        found = near_duplicates(texts, vectors)
    assert partition(found) == partition(expected)
    assert list(dict.fromkeys(found.tolist())) == list(range(len(set(found.tolist()))))


@settings(deadline=None)
@given(shelves(), st.randoms(use_true_random=False))
def test_order_of_documents_does_not_matter(drawn: tuple[list[str], np.ndarray], random: st.random.Random) -> None:
    """Shuffled documents fall into the same groups."""
    texts, vectors = drawn
    order = random.sample(range(len(texts)), len(texts))
    shuffled = near_duplicates([texts[row] for row in order], vectors[order])
    back = {frozenset(order[row] for row in members) for members in partition(shuffled)}
    assert back == partition(near_duplicates(texts, vectors))


@settings(deadline=None)
@given(shelves(), shelves(), st.sampled_from([1, 3, 2048]), WORTHS)
def test_leaks_are_those_of_the_definition(
    train: tuple[list[str], np.ndarray], test: tuple[list[str], np.ndarray], block: int, worth: float
) -> None:
    """A test document leaks where any training text is equal or near, with an index and without."""
    expected = [
        any(near_by_hand(text, other, vector, another) for other, another in zip(*train, strict=True))
        for text, vector in zip(*test, strict=True)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BLOCK_ROWS", block)
        patch.setattr(duplicates, "_WORTH_AN_INDEX", worth)
        assert leaked_rows(train[0], test[0], train[1], test[1]).tolist() == expected


def test_every_copied_document_leaks() -> None:
    """Test documents copied from training with changed case, spaces or one word are found, the others are not."""
    rng = np.random.default_rng(0)
    train_texts = [" ".join(rng.choice(WORDS, 12)) + f" {number}" for number in range(300)]
    vectors = rng.normal(size=(300, 32)).astype(np.float32)
    own = [f"an own text {number}" for number in range(50)]
    copies = [f" {train_texts[0].upper()} ", train_texts[7].replace(" ", "  "), train_texts[9] + " please"]
    near = np.concatenate([vectors[[0, 7]] * 0, vectors[[9]] * 2 + 0.1, rng.normal(size=(50, 32))]).astype(np.float32)
    assert leaked_rows(train_texts, copies + own, vectors, near).tolist() == [True] * 3 + [False] * 50


def test_nothing_leaks_from_nothing() -> None:
    """Without training or test documents there is nothing to find."""
    none, one = np.empty((0, 2), dtype=np.float32), np.ones((1, 2), dtype=np.float32)
    assert leaked_rows([], ["a"], none, one).tolist() == [False]
    assert leaked_rows(["a"], [], one, none).tolist() == []
    assert near_duplicates([], none).tolist() == []
    assert equal_texts([]).tolist() == []


def test_copies_of_one_text_are_one_group() -> None:
    """Thousands of equal and of nearly equal documents are found quickly, in one group each."""
    texts = ["the same letter"] * 3000 + [f"{TEN} {number}" for number in range(3000)]
    vectors = np.repeat(np.eye(2, dtype=np.float32), 3000, axis=0)
    groups = near_duplicates(texts, vectors)
    assert set(groups[:3000].tolist()) == {0}
    assert set(groups[3000:].tolist()) == {1}


def test_documents_with_a_near_one_are_counted() -> None:
    """Equal copies alone do not count; with a near one, all of the group do."""
    texts = ["beer", "Beer", TEN, ELEVEN, ELEVEN.upper(), "wine"]
    equal = equal_texts(texts)
    assert n_with_others(near_duplicates(texts, np.ones((6, 1), dtype=np.float32)), equal) == 3
    assert n_with_others(equal, equal) == 0


def test_groups_with_several_labels() -> None:
    """Groups of one label are left out; counts, first rows and shares are those of the rows."""
    (group,) = mixed_groups(np.array([0, 1, 0, 1, 0]), ["x", "z", "y", "z", "y"])
    assert group.rows == [0, 2, 4]
    assert group.counts == {"x": 1, "y": 2}
    assert (group.share("x"), group.share("y")) == (1 / 3, 2 / 3)
    assert group.most_frequent == ["y"]
    assert group.others("y") == "'x' (row 1)"
    assert mixed_groups(np.array([], dtype=np.intp), []) == []


def test_many_other_labels_are_cut_with_a_count() -> None:
    """Three other labels are named, the rest is counted."""
    (group,) = mixed_groups(np.zeros(9, dtype=np.intp), list("abcdefgha"))
    assert group.others("a") == "'b' (row 2), 'c' (row 3), 'd' (row 4) and 4 more"
    assert group.others("h") == "'a' (row 1), 'b' (row 2), 'c' (row 3) and 4 more"


@pytest.mark.parametrize(
    ("labels", "held_out", "suggested"),
    [
        (["x", "x", "y"], [False, False, False], "x"),
        (["x", "y"], [True, True], "y"),
        (["x", "y"], [True, False], "x"),
        (["x", "y"], [False, False], ""),
        (["x", "unheard of"], [True, True], "x"),
        (["unheard of", "unseen"], [True, True], ""),
    ],
)
def test_the_majority_or_the_more_probable_is_suggested(
    labels: list[str], held_out: list[bool], suggested: str
) -> None:
    """Where labels tie, held-out probabilities decide among them; where there are none, nothing is suggested."""
    (group,) = mixed_groups(np.zeros(len(labels), dtype=np.intp), labels)
    proba = np.array([[0.4, 0.3, 0.3], [0.1, 0.3, 0.6], [0.1, 0.3, 0.6]])
    assert group.suggestion(["x", "y", "z"], proba[: len(labels)], np.array(held_out)) == suggested


def test_a_vector_for_each_text_is_needed() -> None:
    """Different numbers are refused with both."""
    with pytest.raises(TrainingDataError, match="There are 1 texts, 2 embeddings"):
        near_duplicates(["a"], np.ones((2, 2), dtype=np.float32))
    with pytest.raises(TrainingDataError, match="2 test texts, 1 test embeddings"):
        leaked_rows(["a"], ["b", "c"], np.ones((1, 2), np.float32), np.ones((1, 2), np.float32))
