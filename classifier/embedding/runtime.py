"""What running an encoder means: batches of equal length go in, one vector per row comes out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from classifier.embedding.chunking import Chunk
from classifier.embedding.contract import Embeddings

TOKENS_PER_BATCH = 1024

TokenIds = NDArray[np.int64]


class Runtime(Protocol):
    """Something that runs the whole encoder on batches of token ids."""

    def run(self, batches: Iterable[TokenIds]) -> Iterator[Embeddings]:
        """Yield one vector per row of each batch, in the order of `batches`.

        Parameters
        ----------
        batches : iterable of ndarray of int64, shape (n, length)
            Token ids without padding; taken a few ahead of what has been yielded.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderFacts:
    """What must be known of an encoder besides its weights.

    Attributes
    ----------
    max_tokens : int
        Length of its window, special tokens included.
    prompt : str
        Text put before every window.
    lowercase : bool
        Whether it wants lower-case text.
    pooling : str
        How token vectors become one vector.
    dimension : int
        Length of a vector.
    """

    max_tokens: int
    prompt: str
    lowercase: bool
    pooling: str
    dimension: int


@dataclass(frozen=True, slots=True)
class Encoder:
    """A transformer that is ready to run, with its tokenizer and what must be known of it."""

    runtime: Runtime
    tokenizer: Tokenizer
    facts: EncoderFacts


def batches_of(chunks: Sequence[Chunk], tokens_per_batch: int = TOKENS_PER_BATCH) -> Iterator[list[int]]:
    """Group chunks of exactly the same length, so that nothing is ever padded.

    Parameters
    ----------
    chunks : sequence of Chunk
        In any order.
    tokens_per_batch : int
        Upper bound of a batch's size, in tokens; one chunk may exceed it alone.

    Yields
    ------
    list of int
        Positions in `chunks`, the longest chunks first; every position exactly once.

    Notes
    -----
    Without padding no number of a row depends on the other rows of its batch: a text gets the same vector, to the
    last bit, alone or in any company.
    """
    positions_of: defaultdict[int, list[int]] = defaultdict(list)
    for position, chunk in enumerate(chunks):
        positions_of[len(chunk.token_ids)].append(position)
    for length in sorted(positions_of, reverse=True):
        size = max(1, tokens_per_batch // length)
        positions = positions_of[length]
        for start in range(0, len(positions), size):
            yield positions[start : start + size]
