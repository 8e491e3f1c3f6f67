"""Vectors in fewer bytes: half precision, one byte, or one bit for each number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.embedding.contract import Embedder, EmbeddingContract, Embeddings, HasState, MeasuresCoverage
from classifier.errors import EmbedderError, lookup

Codes = NDArray[Any]
Scales = NDArray[np.float32]

UNIT_TOLERANCE = 1e-2

_INT8_LEVELS = np.float32(127)
_SMALLEST_SCALE = np.finfo(np.float32).tiny
_LARGEST = float(np.finfo(np.float32).max)
_LARGEST_HALF = float(np.finfo(np.float16).max)
_LARGEST_INT8 = 1e38


@dataclass(frozen=True, slots=True)
class StoredDtype:
    """One way to store vectors.

    Attributes
    ----------
    code : type
        NumPy type of what is stored.
    numbers_per_code : int
        How many numbers of a vector one code holds.
    has_scales : bool
        Whether each vector has a factor beside its codes.
    largest : float
        The largest magnitude that can be stored.
    tolerance : float
        How far apart two vectors of one text may be, as a share of their length: encoders round, and not always alike.
    encode : callable
        ``encode(embeddings)`` gives codes ``(n_documents, n_codes)`` and scales ``(n_documents,)`` or None.
    decode : callable
        ``decode(codes, dimension)`` gives float32 ``(n_documents, dimension)``, before it is scaled.
    """

    code: type[np.generic]
    numbers_per_code: int
    has_scales: bool
    largest: float
    tolerance: float
    encode: Callable[[Embeddings], tuple[Codes, Scales | None]]
    decode: Callable[[Codes, int], Embeddings]

    def n_codes(self, dimension: int) -> int:
        """Return how many codes a vector of `dimension` numbers has."""
        return -(-dimension // self.numbers_per_code)


@dataclass(frozen=True, slots=True)
class Packed:
    """Vectors as they are stored.

    Attributes
    ----------
    codes : ndarray, shape (n_documents, n_codes)
        Float32, float16, int8, or uint8 with eight signs each, the first one in the highest bit.
    scales : ndarray of float32, shape (n_documents,), or None
        What the decoded codes of each vector are multiplied by, for int8 and binary: 0 for a vector of zeros, and
        1 for any other of binary. None stands for ones.
    dimension : int
        Length of a vector.
    dtype : str
        A name in `DTYPES`.
    """

    codes: Codes
    scales: Scales | None
    dimension: int
    dtype: str

    def take(self, rows: NDArray[np.intp]) -> Packed:
        """Return a copy of some rows."""
        return replace(self, codes=self.codes[rows], scales=None if self.scales is None else self.scales[rows])


def pack(embeddings: Embeddings, dtype: str) -> Packed:
    """Round vectors to what is stored.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
        Finite.
    dtype : str
        A name in `DTYPES`.

    Returns
    -------
    Packed
        A copy, whatever the dtype.

    Raises
    ------
    EmbedderError
        When a number is not finite, or larger than the dtype can hold.
    UnknownNameError
        When there is no such dtype.

    Notes
    -----
    ``int8`` is symmetric, with one scale per vector: its largest magnitude divided by 127. ``binary`` keeps the signs;
    a zero counts as negative.
    """
    stored = lookup(DTYPES, dtype, "dtype")
    fits = (np.abs(embeddings) <= stored.largest).all(axis=1)
    if not fits.all():
        which = f"{np.argmin(fits) + 1:,} of {len(embeddings):,}"
        raise EmbedderError(
            f"Vector {which} cannot be stored as {dtype}: it holds a number that is not finite, or beyond "
            f"{stored.largest:.5g}; check the embedder, or choose another dtype."
        )
    codes, scales = stored.encode(embeddings)
    return Packed(codes, scales, embeddings.shape[1], dtype)


def unpack(packed: Packed) -> Embeddings:
    """Return what is stored as plain vectors.

    Returns
    -------
    ndarray of float32, shape (n_documents, n_dims)
        Rows of ``binary`` have unit length, unless they are zeros.
    """
    embeddings = lookup(DTYPES, packed.dtype, "dtype").decode(packed.codes, packed.dimension)
    if packed.scales is None:
        return embeddings
    return embeddings * packed.scales[:, np.newaxis] + np.float32(0)  # the sum has no negative zeros


def rounded(embeddings: Embeddings, dtype: str) -> Embeddings:
    """Return what is left of vectors once they were stored; doing it twice changes nothing.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
        Finite.
    dtype : str
        A name in `DTYPES`.

    Raises
    ------
    EmbedderError
        When a number is not finite, or larger than the dtype can hold.

    Examples
    --------
    >>> rounded(np.array([[0.7, -0.1, 0.1, -0.7], [0, 0, 0, 0]], dtype=np.float32), "binary").tolist()
    [[0.5, -0.5, 0.5, -0.5], [0.0, 0.0, 0.0, 0.0]]
    """
    return unpack(pack(embeddings, dtype))


def first_flaw(packed: Packed, *, normalize: bool) -> tuple[int, str] | None:
    """Look for a vector that is not what it should be.

    Parameters
    ----------
    packed : Packed
        Vectors from elsewhere.
    normalize : bool
        Whether they should have unit length; those of ``binary`` always should. Zeros are allowed.

    Returns
    -------
    tuple of (int, str), or None
        Index of the first such vector, and what is wrong with it; None when all are good.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        embeddings = unpack(packed)
        lengths = np.linalg.norm(embeddings, axis=1)
    checks = [(np.isfinite(embeddings).all(axis=1), "holds a number that is not finite")]
    if packed.scales is not None:
        checks.append((packed.scales >= 0, "has a negative scale"))
    if normalize or packed.dtype == "binary":
        slack = np.full(len(lengths), UNIT_TOLERANCE)
        if packed.dtype == "int8" and packed.scales is not None:  # each number may be half a step off
            slack += np.minimum(packed.scales, 1 / _INT8_LEVELS) * packed.dimension**0.5 / 2
        checks.append(((np.abs(lengths - 1) <= slack) | (lengths == 0), "is not of unit length"))
    return next(((int(np.argmin(is_good)), problem) for is_good, problem in checks if not is_good.all()), None)


def are_close(packed: Packed, other: Packed) -> NDArray[np.bool_]:
    """Tell which vectors may come from the same texts by the same embedder, which does not always round alike.

    Parameters
    ----------
    packed, other : Packed
        Of the same shape and dtype.

    Returns
    -------
    ndarray of bool, shape (n_documents,)
        True where the distance is within the dtype's `tolerance`.
    """
    ours, theirs = (unpack(vectors).astype(np.float64) for vectors in (packed, other))
    longest = np.maximum(np.linalg.norm(ours, axis=1), np.linalg.norm(theirs, axis=1))
    is_close: NDArray[np.bool_] = np.linalg.norm(ours - theirs, axis=1) <= DTYPES[packed.dtype].tolerance * longest
    return is_close


def vector_bytes(dimension: int, dtype: str) -> int:
    """Return the bytes that one vector takes, its scale included.

    Examples
    --------
    >>> {dtype: vector_bytes(384, dtype) for dtype in DTYPES}
    {'float32': 1536, 'float16': 768, 'int8': 388, 'binary': 52}
    """
    stored = lookup(DTYPES, dtype, "dtype")
    n_scales = int(stored.has_scales)
    return stored.n_codes(dimension) * np.dtype(stored.code).itemsize + n_scales * np.dtype(np.float32).itemsize


def resolve_dtype(name: str) -> str:
    """Return the name in `DTYPES` that a user's name stands for.

    Raises
    ------
    UnknownNameError
        Listing the names that are allowed.

    Examples
    --------
    >>> resolve_dtype("fp16")
    'float16'
    """
    return lookup({dtype: dtype for dtype in DTYPES} | ALIASES, name, "dtype")


class RoundedEmbedder:
    """An embedder whose vectors are rounded to what is stored, so that new ones can be compared with stored ones.

    It has ``coverage`` and ``state`` where the embedder inside has them.

    Parameters
    ----------
    embedder : Embedder
        Of float32, or of `dtype` already.
    dtype : str
        A name in `DTYPES`.

    Raises
    ------
    EmbedderError
        When its vectors are already rounded to another dtype.
    UnknownNameError
        When there is no such dtype.
    """

    def __init__(self, embedder: Embedder, dtype: str) -> None:
        lookup(DTYPES, dtype, "dtype")
        found = embedder.contract.dtype
        if found not in {"float32", dtype}:
            raise EmbedderError(
                f"The vectors are already rounded to {found} and cannot become {dtype}; "
                "embed the texts again, or ask for the same dtype."
            )
        self._embedder, self._dtype = embedder, dtype
        if isinstance(embedder, MeasuresCoverage):
            self.coverage = embedder.coverage
        if isinstance(embedder, HasState):
            self.state = embedder.state

    @property
    def contract(self) -> EmbeddingContract:
        """That of the embedder inside, with the dtype its vectors are rounded to."""
        return replace(self._embedder.contract, dtype=self._dtype)

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:
        """Embed `texts` and round the vectors; float32 of shape (n_documents, n_dims)."""
        return rounded(self._embedder.encode(texts, progress=progress), self._dtype)


def _encode_float32(embeddings: Embeddings) -> tuple[Codes, None]:
    """Keep every bit."""
    return embeddings.astype(np.float32), None


def _encode_float16(embeddings: Embeddings) -> tuple[Codes, None]:
    """Round to half precision."""
    return embeddings.astype(np.float16), None


def _decode_numbers(codes: Codes, dimension: int) -> Embeddings:  # noqa: ARG001 # the codes know their number
    """Widen each code to float32."""
    return codes.astype(np.float32, copy=False)


def _encode_int8(embeddings: Embeddings) -> tuple[Codes, Scales]:
    """Divide each row by its scale; a row too small for a scale of full precision becomes zeros."""
    scales = np.abs(embeddings).max(axis=1, initial=0) / _INT8_LEVELS
    scales[scales < _SMALLEST_SCALE] = 0
    steps = np.zeros_like(embeddings)
    np.divide(embeddings, scales[:, np.newaxis], out=steps, where=scales[:, np.newaxis] > 0)
    return np.rint(steps, out=steps).astype(np.int8), scales


def _encode_binary(embeddings: Embeddings) -> tuple[Codes, Scales]:
    """Keep the signs, eight in a byte."""
    return np.packbits(embeddings > 0, axis=1), np.any(embeddings != 0, axis=1).astype(np.float32)


def _decode_binary(codes: Codes, dimension: int) -> Embeddings:
    """Turn signs into vectors of unit length."""
    signs = 2 * np.unpackbits(codes, axis=1, count=dimension).astype(np.float32) - 1
    return signs * np.float32(dimension**-0.5)


DTYPES: dict[str, StoredDtype] = {
    "float32": StoredDtype(np.float32, 1, False, _LARGEST, 0.05, _encode_float32, _decode_numbers),
    "float16": StoredDtype(np.float16, 1, False, _LARGEST_HALF, 0.05, _encode_float16, _decode_numbers),
    "int8": StoredDtype(np.int8, 1, True, _LARGEST_INT8, 0.05, _encode_int8, _decode_numbers),
    "binary": StoredDtype(np.uint8, 8, True, _LARGEST, 0.3, _encode_binary, _decode_binary),
}
ALIASES = {"fp32": "float32", "fp16": "float16"}
