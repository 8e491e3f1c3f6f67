"""What makes two vectors comparable, and the protocol every embedder follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from classifier.errors import ContractMismatchError

Embeddings = NDArray[np.float32]


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
        Precision of the stored numbers.
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

    def differences(self, other: EmbeddingContract) -> dict[str, tuple[object, object]]:
        """Return ``{field: (ours, theirs)}`` for every field that differs.

        The model's name or folder alone does not matter where the checksums of its files are known.
        """
        found = {
            field.name: (getattr(self, field.name), getattr(other, field.name))
            for field in fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        }
        if self.weights_sha256 and "weights_sha256" not in found:
            found.pop("model_id", None)
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
        """Build a contract from `to_dict`'s result.

        Raises
        ------
        ValueError
            When a field is missing, unknown or of the wrong type.
        """
        expected = {field.name: {"str": str, "bool": bool, "int": int}[str(field.type)] for field in fields(cls)}
        if set(values) != set(expected):
            raise ValueError(f"a contract has the fields {sorted(expected)}, not {sorted(values)}")
        for name, kind in expected.items():
            if type(values[name]) is not kind:
                raise ValueError(f"the contract's {name} is not {kind.__name__}")
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
