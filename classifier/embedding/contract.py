"""What makes two vectors comparable, and the protocol every embedder follows."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from classifier.errors import ContractMismatchError, UnfittedEmbedderError

Embeddings = NDArray[np.float32]
State = dict[str, NDArray[Any]]

CHUNKING = "windows of the model's length, vectors averaged by token count"
_LATER = frozenset({"precision", "backend"})
FULL_PRECISIONS = frozenset({"f32", "bf16"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingContract:
    """Everything that changes a vector; vectors of two different contracts never meet.

    Attributes
    ----------
    model_id : str
        Name or folder of the encoder.
    revision : str
        Commit of the encoder on its hub; for a local folder, a checksum of its configuration files.
    weights_sha256, tokenizer_sha256 : str
        Checksums of all weight files and of the tokenizer.
    pooling : str
        How token vectors become one vector, such as ``mean``.
    normalize : bool
        Whether vectors have unit length.
    prompt : str
        Text put before every document; usually empty.
    max_tokens : int
        Window of the encoder, special tokens included.
    chunking : str
        What happens to a text longer than the window.
    dimension : int
        Length of a vector.
    dtype : str
        What the numbers of a vector are rounded to: ``float32``, ``float16``, ``int8`` or ``binary``.
    precision : str
        Arithmetic of the encoder: ``f32``, ``bf16`` or ``int8``.
    backend : str
        What ran the encoder, such as ``openvino``.
    """

    model_id: str
    revision: str
    weights_sha256: str
    tokenizer_sha256: str
    pooling: str
    normalize: bool
    prompt: str
    max_tokens: int
    chunking: str
    dimension: int
    dtype: str = "float32"
    precision: str = "f32"
    backend: str = "torch"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over every field that can change a bit of a vector: the key of anything stored under it."""
        values = self.to_dict()
        if self.weights_sha256:
            del values["model_id"]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode("ascii")).hexdigest()

    def differences(self, other: EmbeddingContract) -> dict[str, tuple[object, object]]:
        """Return ``{field: (ours, theirs)}`` for every field that makes vectors incomparable.

        The model's name or folder alone does not matter where the checksums of its files are known. What ran the
        encoder does not matter either, nor whether in f32 or bf16: those vectors agree to a cosine of 0.9999.
        """
        found = {
            field.name: (getattr(self, field.name), getattr(other, field.name))
            for field in fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        }
        if self.weights_sha256 and "weights_sha256" not in found:
            found.pop("model_id", None)
        found.pop("backend", None)
        if {self.precision, other.precision} <= FULL_PRECISIONS:
            found.pop("precision", None)
        return found

    def require_same(self, other: EmbeddingContract) -> None:
        """Refuse vectors made under `other`.

        Raises
        ------
        ContractMismatchError
            Naming each field that differs.
        """
        differences = self.differences(other)
        if differences:
            raise ContractMismatchError(differences)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EmbeddingContract:
        """Build a contract from `to_dict`'s result; fields that came later may be missing.

        Raises
        ------
        ValueError
            When a field is missing, unknown or of the wrong type.
        """
        expected = {field.name: {"str": str, "bool": bool, "int": int}[str(field.type)] for field in fields(cls)}
        required = set(expected) - _LATER
        if not required <= set(values) <= set(expected):
            raise ValueError(f"a contract has the fields {sorted(expected)}, not {sorted(values)}")
        for name, value in values.items():
            if type(value) is not expected[name]:
                raise ValueError(f"the contract's {name} is not {expected[name].__name__}")
        return cls(**values)


class Embedder(Protocol):
    """Anything that turns texts into comparable vectors."""

    @property
    def contract(self) -> EmbeddingContract:
        """What the vectors of this embedder may be compared with."""

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:
        """Embed `texts`.

        Parameters
        ----------
        texts : sequence of str
            Any length each; an empty text gives a vector of zeros.
        progress : bool, default=False
            Show a bar on stderr.

        Returns
        -------
        ndarray of float32, shape (n_documents, n_dims)
            Rows follow `texts`.
        """


@runtime_checkable
class MeasuresCoverage(Protocol):
    """An embedder that can say how much of a text it reads."""

    def coverage(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return, for each text, the share of its visible characters that became known tokens, in [0, 1]."""


@runtime_checkable
class HasState(Protocol):
    """An embedder that learned something which is stored with every model that uses it."""

    def state(self) -> State:
        """Return what it learned, as named arrays; `load_embedder` takes them back."""


class LookUp:
    """What an embedder inherits that has vectors of certain texts, such as those in a file, and can make no others."""


class Recipe(ABC):
    """An embedder that must see the training texts before it can embed; until then it refuses to.

    Parameters
    ----------
    name : str
        What the user called it.
    """

    learns_words = True
    """Whether it learns which words count: then each fold of a cross-validation must learn anew."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def contract(self) -> EmbeddingContract:
        """Refuse: there is nothing to compare yet."""
        raise UnfittedEmbedderError(self.name)

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:  # noqa: ARG002 (of the protocol)
        """Refuse: there is nothing to embed with yet."""
        raise UnfittedEmbedderError(self.name)

    @abstractmethod
    def fit(self, texts: Sequence[str], *, seed: int = 0, progress: bool = False) -> tuple[Embedder, Embeddings]:
        """Learn from texts.

        Returns
        -------
        embedder : Embedder
            Ready to use.
        embeddings : ndarray of float32, shape (n_documents, n_dims)
            What it makes of `texts`.
        """
