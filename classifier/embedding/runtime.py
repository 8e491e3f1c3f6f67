"""Run a transformer over windows of tokens: sorted by length, batched by token budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from classifier.embedding.chunking import Chunk
from classifier.embedding.contract import Embeddings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

TOKENS_PER_BATCH = 1024


class Runtime(Protocol):
    """Something that runs the whole encoder on one padded batch."""

    def run(self, token_ids: np.ndarray, mask: np.ndarray) -> Embeddings:
        """Return one vector per row of `token_ids`, both inputs int64 of shape (n, length)."""


class TorchRuntime:
    """Run a sentence-transformers model by torch, in float32.

    Parameters
    ----------
    model : SentenceTransformer
        The whole stack: transformer, pooling and what follows.
    """

    def __init__(self, model: SentenceTransformer) -> None:
        self._model = model.eval()

    def run(self, token_ids: np.ndarray, mask: np.ndarray) -> Embeddings:
        """Return one vector per row of `token_ids`, float32 of shape (n, n_dims)."""
        import torch

        with torch.inference_mode():
            features = {
                "input_ids": torch.from_numpy(token_ids).to(self._model.device),
                "attention_mask": torch.from_numpy(mask).to(self._model.device),
            }
            output = self._model(features)["sentence_embedding"]
            vectors: Embeddings = output.float().cpu().numpy()
        return vectors


def batches(chunks: Sequence[Chunk], tokens_per_batch: int = TOKENS_PER_BATCH) -> Iterator[list[int]]:
    """Group chunks of similar length.

    Parameters
    ----------
    chunks : sequence of Chunk
        In any order.
    tokens_per_batch : int
        Upper bound of a batch's padded size, in tokens; one chunk may exceed it alone.

    Yields
    ------
    list of int
        Positions in `chunks`, longest first; every position exactly once.
    """
    order = sorted(range(len(chunks)), key=lambda position: -len(chunks[position].token_ids))
    start = 0
    while start < len(order):
        longest = len(chunks[order[start]].token_ids)
        size = max(1, tokens_per_batch // longest)
        yield order[start : start + size]
        start += size


def padded(chunks: Sequence[Chunk], pad_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(token_ids, mask)``, both int64 of shape (n_chunks, longest)."""
    longest = max(len(chunk.token_ids) for chunk in chunks)
    token_ids = np.full((len(chunks), longest), pad_id, dtype=np.int64)
    mask = np.zeros((len(chunks), longest), dtype=np.int64)
    for row, chunk in enumerate(chunks):
        token_ids[row, : len(chunk.token_ids)] = chunk.token_ids
        mask[row, : len(chunk.token_ids)] = 1
    return token_ids, mask
