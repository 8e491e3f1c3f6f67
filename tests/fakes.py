"""An embedder without a model, light enough for the processes that tests start."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifier.embedding.contract import EmbeddingContract, Embeddings

GATE = "CLASSIFIER_TEST_GATE"


class FakeEmbedder:
    """Turn each text into a vector of unit length that comes from its hash alone; a blank text into zeros.

    The bundles of tests/bundles were made with it: its vectors and its contract must never change.

    Parameters
    ----------
    dimension : int, default=16
        Length of a vector.
    name : str, default='fake-embedder'
        The model id of its contract.

    Attributes
    ----------
    calls : list of list of str
        The texts of each call of `encode`.
    """

    def __init__(self, dimension: int = 16, name: str = "fake-embedder") -> None:
        self.calls: list[list[str]] = []
        self._contract = EmbeddingContract(
            model_id=name,
            revision="",
            weights_sha256=hashlib.sha256(b"no weights").hexdigest(),
            tokenizer_sha256=hashlib.sha256(b"no tokenizer").hexdigest(),
            pooling="none",
            normalize=True,
            prompt="",
            max_tokens=512,
            chunking="none",
            dimension=dimension,
        )

    @property
    def contract(self) -> EmbeddingContract:
        """What its vectors may be compared with."""
        return self._contract

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:  # noqa: ARG002 # part of the protocol
        """Hash each text; float32 of shape (n_documents, dimension)."""
        self.calls.append(list(texts))
        vectors = np.array([self._vector(text) for text in texts], dtype=np.float32)
        return vectors.reshape(len(texts), self._contract.dimension)

    def coverage(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return 1 for each text with something to read, otherwise 0."""
        return np.array([float(bool(text.strip())) for text in texts])

    def _vector(self, text: str) -> NDArray[np.float64]:
        """Hash one text."""
        if not text.strip():
            return np.zeros(self._contract.dimension)
        digest = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(self._contract.dimension)
        vector = np.frombuffer(digest, dtype=np.uint8) - 127.5
        return vector / np.linalg.norm(vector)


class GatedEmbedder(FakeEmbedder):
    """A fake embedder that waits at a gate: a file with the number of calls that may pass, named by the environment.

    Where there is no such file, or no longer, every call passes. Who has to wait makes a file of the gate's name with
    ``.reached`` behind it. So something to interrupt need not take long by itself.
    """

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:
        """Hash each text, once it is allowed."""
        while not self._may_pass():
            Path(f"{os.environ[GATE]}.reached").touch()
            time.sleep(0.005)
        return super().encode(texts, progress=progress)

    def _may_pass(self) -> bool:
        """Look at the gate."""
        try:
            return len(self.calls) < int(Path(os.environ[GATE]).read_text(encoding="utf-8"))
        except (KeyError, FileNotFoundError):
            return True
