"""Counting words, pairs and parts of words: weights, what is the same text, and where words stand."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from classifier.modeling import lexical
from classifier.modeling.lexical import Lexicon, fit_lexicon, restricted

TEXTS = [
    "The parcel has not arrived, and the courier lost the parcel.",
    "My card was charged twice for the same parcel",
    "Where is my card? It has not arrived.",
    "Refund the second charge, please",
]
ANY_TEXTS = st.lists(st.text(max_size=30) | st.sampled_from(TEXTS), max_size=6)


def dense(rows: lexical.SparseRows) -> np.ndarray:
    """Return rows with their zeros."""
    return rows.matrix().toarray()


def test_words_weigh_as_in_scikit_learn() -> None:
    """Words and pairs get the weights of the library everyone knows."""
    lexicon, rows = fit_lexicon(TEXTS, with_parts=False)
    words = r"[^\W]+"
    other = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=words)
    expected = other.fit_transform(TEXTS).toarray()
    assert sorted(lexicon.words) == sorted(other.vocabulary_)
    columns = [other.vocabulary_[word] for word in lexicon.words]
    assert np.allclose(dense(rows), expected[:, columns], atol=1e-6)


def test_parts_weigh_as_in_scikit_learn() -> None:
    """Parts of words get the weights of the library everyone knows."""
    lexicon, rows = fit_lexicon(TEXTS)
    other = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2)
    expected = other.fit_transform(TEXTS).toarray()
    assert sorted(lexicon.parts) == sorted(other.vocabulary_)
    columns = [other.vocabulary_[part] for part in lexicon.parts]
    assert np.allclose(dense(rows)[:, len(lexicon.words) :], expected[:, columns], atol=1e-6)


@settings(deadline=None)
@given(ANY_TEXTS)
def test_what_was_learned_is_found_again(texts: list[str]) -> None:
    """Transforming the texts that were learned from gives the rows that learning gave."""
    lexicon, rows = fit_lexicon(texts)
    again = lexicon.transform(texts)
    assert (len(rows), rows.n_columns) == (len(texts), len(lexicon))
    assert np.array_equal(dense(rows), dense(again))
    copy = Lexicon(lexicon.words, lexicon.parts, lexicon.idf).transform(texts)
    assert np.array_equal(copy.weights, again.weights)


@settings(deadline=None)
@given(ANY_TEXTS)
def test_each_half_of_a_row_has_unit_length_or_is_empty(texts: list[str]) -> None:
    """Words weigh as much as parts, in long texts and short ones."""
    lexicon, rows = fit_lexicon(texts)
    for half in np.split(dense(rows), [len(lexicon.words)], axis=1):
        lengths = np.linalg.norm(half, axis=1)
        assert (np.isclose(lengths, 1, atol=1e-5) | (lengths == 0)).all()


@settings(deadline=None)
@given(st.text(max_size=40))
def test_composed_and_decomposed_letters_are_the_same_text(text: str) -> None:
    """How an editor stores an accent changes nothing."""
    lexicon, _ = fit_lexicon([*TEXTS, text, "Ça va très bien à l'hôtel"])
    rows = lexicon.transform([unicodedata.normalize(form, text) for form in ("NFC", "NFD")])
    one, other = dense(rows)
    assert np.array_equal(one, other)


@settings(deadline=None)
@given(st.text(max_size=40) | st.sampled_from(["İstanbul card", "Cafe\u0301 CARD", "half \ud800 card", "ﬁne card"]))
def test_occurrences_are_slices_of_the_original(text: str) -> None:
    """Offsets lie in the text, in order, and a word stands where it says."""
    lexicon, _ = fit_lexicon([text, "a card"])
    for column, start, end in lexicon.occurrences(text):
        assert 0 <= start < end <= len(text)
        term = lexicon.terms[column]
        if term == "card":
            assert text[start:end].lower() == "card"
    counted = lexicon.transform([text]).columns
    assert {column for column, _, _ in lexicon.occurrences(text)} <= set(counted.tolist())


def test_scripts_without_spaces_are_not_one_long_word() -> None:
    """Characters of Chinese, Japanese and Thai are words, and pairs of them are pairs."""
    lexicon, rows = fit_lexicon(["我的卡还没有到", "我的卡在哪里", "カードが届かない", "บัตรของฉัน"], with_parts=False)
    assert {"卡", "的 卡", "が"} <= set(lexicon.words)
    similarity = dense(rows) @ dense(rows).T
    assert similarity[0, 1] > 0.2
    assert similarity[0, 3] == 0


def test_rare_words_are_left_out_of_many_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What occurs once is kept among few texts, and not among many."""
    assert "courier" in fit_lexicon(TEXTS)[0].words
    monkeypatch.setattr(lexical, "MANY_TEXTS", len(TEXTS))
    assert "courier" not in fit_lexicon(TEXTS)[0].words
    assert "parcel" in fit_lexicon(TEXTS)[0].words


def test_many_labels_leave_room_for_fewer_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most frequent terms stay, so that a head never outgrows the memory."""
    monkeypatch.setattr(lexical, "MOST_WEIGHTS", 40)
    lexicon, rows = fit_lexicon(TEXTS, with_parts=False, n_classes=10)
    assert len(lexicon) == rows.n_columns == 4
    assert "the" in lexicon.words


def test_unseen_columns_are_left_out_of_held_out_rows() -> None:
    """What no training document has is unknown, and the rest has unit length again."""
    lexicon, rows = fit_lexicon(["red card", "red box", "green box"], with_parts=False)
    seen = np.array([True, True, False])
    left = restricted(rows, seen, len(lexicon.words))
    names = [lexicon.words[column] for column in left.columns[left.starts[2] : left.starts[3]]]
    assert names == ["box"]
    assert dense(left)[2].max() == pytest.approx(1)
    assert np.array_equal(dense(left)[:2], dense(rows)[:2])


def test_products_do_not_depend_on_company() -> None:
    """A row's product is its own, bit for bit, and that of the matrix up to rounding."""
    lexicon, rows = fit_lexicon(TEXTS)
    coef = np.random.default_rng(0).normal(size=(len(lexicon), 3)).astype(np.float32)
    together = rows.times(coef)
    assert np.allclose(together, dense(rows) @ coef, atol=1e-5)
    for text, expected in zip(TEXTS, together, strict=True):
        assert np.array_equal(lexicon.transform([text]).times(coef)[0], expected)


@pytest.mark.parametrize("texts", [[], [""], ["", " \n"], ["☃", "!!"], ["\ud800"], ["a" * 100_000], ["\x00"]])
def test_odd_texts_are_counted(texts: list[str]) -> None:
    """Nothing to read is a row of zeros, never an error."""
    lexicon, rows = fit_lexicon(texts)
    assert len(rows) == len(texts)
    assert np.isfinite(rows.weights).all()
    assert lexicon.transform(["", "unknown"]).times(np.ones((len(lexicon), 2), dtype=np.float32)).shape == (2, 2)
