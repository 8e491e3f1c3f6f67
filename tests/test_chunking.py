"""Windows of tokens, with small tokenizers built here."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import scaled
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from classifier.embedding import chunking
from classifier.embedding.chunking import PIECE_CHARACTERS, Chunker

UNKNOWN = "[UNK]"
VOCABULARY = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "query": 4, ":": 5, "sun": 6, "rain": 7, "wind": 8}
PIECES = {**VOCABULARY, "un": 9, "##ny": 10, "##y": 11, "a": 12, "b": 13, "##b": 14}


def finished(tokenizer: Tokenizer) -> Tokenizer:
    """Add white space splitting and special tokens."""
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def words() -> Tokenizer:
    """Build a tokenizer of whole words."""
    return finished(Tokenizer(models.WordLevel(VOCABULARY, unk_token=UNKNOWN)))


def pieces() -> Tokenizer:
    """Build a tokenizer of parts of words, lower-casing like BERT's."""
    tokenizer = finished(Tokenizer(models.WordPiece(PIECES, unk_token=UNKNOWN, max_input_chars_per_word=100)))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def unigram() -> Tokenizer:
    """Build a tokenizer as multilingual encoders have it, whose unknown token shows in its JSON alone."""
    tokenizer = Tokenizer(models.Unigram([("<s>", 0.0), ("<unk>", -9.0), ("▁sun", -1.0), ("▁", -2.0)], unk_id=1))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


TOKENIZERS = {"words": words(), "pieces": pieces()}
SENTENCES = st.lists(st.sampled_from(["sun", "rain", "wind", "sunny", "Sun", "ab", "☃", "?!", "İ", " ", "\n"])).map(
    " ".join
)
TEXTS = SENTENCES | st.text(st.characters(), max_size=60)


def flat(chunker: Chunker, text: str) -> list[int]:
    """Concatenate the windows of one text, without special tokens."""
    return [token for chunk in chunker.chunks([text]) for token in chunk.token_ids[1:-1]]


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(deadline=None)
@given(text=TEXTS, max_tokens=st.integers(3, 9))
def test_windows_put_together_are_the_text(kind: str, text: str, max_tokens: int) -> None:
    """Nothing is lost, doubled or moved; only a text without any known token has no window."""
    tokenizer = TOKENIZERS[kind]
    whole = tokenizer.encode(text.encode("utf-8", "replace").decode(), add_special_tokens=False).ids
    expected = whole if any(token != VOCABULARY[UNKNOWN] for token in whole) else []
    chunker = Chunker(tokenizer, max_tokens)
    assert flat(chunker, text) == expected
    chunks = list(chunker.chunks([text]))
    assert sum(chunk.n_tokens for chunk in chunks) == len(expected)
    for chunk in chunks:
        assert chunk.token_ids[0] == VOCABULARY["[CLS]"]
        assert chunk.token_ids[-1] == VOCABULARY["[SEP]"]
        assert chunk.n_tokens == len(chunk.token_ids) - 2
        assert 3 <= len(chunk.token_ids) <= max_tokens
    assert all(len(chunk.token_ids) == max_tokens for chunk in chunks[:-1])


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(deadline=None)
@given(text=TEXTS, piece_characters=st.integers(6, 40))
def test_long_texts_in_pieces_are_the_same_text(kind: str, text: str, piece_characters: int) -> None:
    """Reading piece by piece gives the tokens and the coverage of reading at once."""
    text = " ".join(word for word in text.split() if len(word) < 6)
    chunker = Chunker(TOKENIZERS[kind], 5)
    at_once, share = flat(chunker, text), chunker.coverage([text])[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunking, "PIECE_CHARACTERS", piece_characters)
        assert flat(chunker, text) == at_once
        assert chunker.coverage([text])[0] == pytest.approx(share)


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=6))
def test_texts_are_numbered_in_order(texts: list[str]) -> None:
    """Windows name the document they belong to, and company changes no window."""
    chunker = Chunker(TOKENIZERS["words"], 4)
    together = list(chunker.chunks(texts))
    assert [chunk.document for chunk in together] == sorted(chunk.document for chunk in together)
    for document, text in enumerate(texts):
        mine = [chunk.token_ids for chunk in together if chunk.document == document]
        assert mine == [chunk.token_ids for chunk in chunker.chunks([text])]


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("tokenizer", [words(), pieces(), unigram()], ids=["words", "pieces", "unigram"])
@settings(deadline=None)
@given(text=TEXTS)
def test_coverage_is_a_share(tokenizer: Tokenizer, lowercase: bool, text: str) -> None:
    """Coverage lies in [0, 1], and is 0 exactly where there is no window."""
    chunker = Chunker(tokenizer, 8, lowercase=lowercase)
    share = chunker.coverage([text])[0]
    assert 0 <= share <= 1
    if not list(chunker.chunks([text])):
        assert share == 0


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("sun rain", 1.0),
        ("sun ☃☃☃", 0.5),
        ("sun\n\n  zz", 0.6),
        ("☃", 0.0),
        ("", 0.0),
        (" \t\n", 0.0),
        ("sun \ud800", 0.75),
        ("sun \0", 0.75),
    ],
)
def test_coverage_by_hand(text: str, share: float) -> None:
    """Visible characters that only unknown tokens stand for were not read."""
    assert Chunker(words(), 8).coverage([text])[0] == pytest.approx(share)


def test_coverage_does_not_count_the_space_inside_an_unknown_token() -> None:
    """A token may span white space; only what can be seen is counted."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("a", "isolated")
    assert Chunker(tokenizer, 8).coverage(["a zz  zz  ", "a      "]).tolist() == pytest.approx([0.2, 1.0])


def test_coverage_of_letters_that_grow_in_lower_case() -> None:
    """A capital that becomes two characters does not push the share below 0."""
    share = Chunker(words(), 8, lowercase=True).coverage(["sun İİİİ"])[0]
    assert share == pytest.approx(3 / 11)


def test_unknown_tokens_of_multilingual_encoders_are_known_as_such() -> None:
    """A unigram tokenizer hides its unknown token; what it cannot read counts as not read."""
    chunker = Chunker(unigram(), 8)
    assert chunker.coverage(["sun", "sun ☃☃☃", "☃"]).tolist() == pytest.approx([1.0, 0.5, 0.0], abs=0.01)
    assert [chunk.document for chunk in chunker.chunks(["☃☃", "sun"])][-1] == 1


def test_a_prompt_stands_before_every_window() -> None:
    """The prompt takes room in each window and no weight."""
    chunker = Chunker(words(), 6, prompt="query: ")
    assert [(chunk.token_ids, chunk.n_tokens) for chunk in chunker.chunks(["sun rain wind"])] == [
        ([2, 4, 5, 6, 7, 3], 2),
        ([2, 4, 5, 8, 3], 1),
    ]


@pytest.mark.parametrize("max_tokens", [0, 2])
def test_a_window_without_room_is_refused(max_tokens: int) -> None:
    """Special tokens alone cannot fill a window."""
    with pytest.raises(ValueError, match="no room for text"):
        Chunker(words(), max_tokens)


def test_a_prompt_that_fills_the_window_is_refused() -> None:
    """A prompt must leave room for at least one token."""
    with pytest.raises(ValueError, match="no room for text"):
        Chunker(words(), 4, prompt="query: ")


def test_the_tokenizer_is_copied() -> None:
    """Truncation and padding of the given tokenizer are ignored, and stay as they are."""
    tokenizer = words()
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=10)
    assert flat(Chunker(tokenizer, 4), "sun rain wind sun rain") == [6, 7, 8, 6, 7]
    assert tokenizer.truncation["max_length"] == 3
    assert tokenizer.padding is not None


@pytest.mark.parametrize("text", ["sun \ud800\udfff rain", "sun\0rain", "\ud83d sun", "sun\u200drain", "\u202esun"])
def test_no_string_is_too_strange(text: str) -> None:
    """Lone surrogates, NUL and direction marks are read around, not stumbled over."""
    chunker = Chunker(pieces(), 8)
    assert 0 < chunker.coverage([text])[0] <= 1 or not list(chunker.chunks([text]))
    assert np.isfinite(chunker.coverage([text])).all()


def test_megabytes_are_read_whole_in_bounded_memory() -> None:
    """A very long text keeps every token and needs little more than they do."""
    n_times = scaled(71_428, 714_286)
    text = "sun rain wind " * n_times
    chunker = Chunker(words(), 256)
    started = time.perf_counter()
    tracemalloc.start()
    n_tokens = sum(chunk.n_tokens for chunk in chunker.chunks([text]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n_tokens == 3 * n_times
    assert peak < 10 * len(text)
    assert time.perf_counter() - started < 60


def test_one_endless_word_is_cut_hard() -> None:
    """Without any white space a text is cut where a piece ends, and still read to its end."""
    text = "☃" * (2 * PIECE_CHARACTERS + 5) + " sun"
    chunker = Chunker(words(), 8)
    assert flat(chunker, text)[-1] == VOCABULARY["sun"]
    assert 0 < chunker.coverage([text])[0] < 1e-4


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 400), st.sampled_from([" ", "\n", "\t", ""]))
def test_pieces_put_together_are_the_text(n_words: int, space: str) -> None:
    """Cutting loses no character, and no piece is longer than the limit."""
    text = space.join(["wind"] * n_words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunking, "PIECE_CHARACTERS", 50)
        parts = list(chunking._pieces(text))
    assert "".join(parts) == text
    assert max(map(len, parts)) <= 50
