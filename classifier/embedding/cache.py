"""Vectors that are known need not be computed: a cache on disk, per text and contract, around any embedder."""

from __future__ import annotations

import hashlib
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from classifier.embedding.contract import Embedder, EmbeddingContract, Embeddings, MeasuresCoverage
from classifier.embedding.vector_store import ContractUsage, VectorStore, is_busy, is_damage
from classifier.errors import CacheWarning, OutputError
from classifier.progress import progress_bar

FILE_NAME = "vectors.sqlite"
MAX_BYTES = 4 << 30
KEPT_FRACTION = 0.9
LOOKUP_TEXTS = 2048
WINDOW_TEXTS = 2048
WINDOW_CHARACTERS = 500_000
_NUMBERS: dict[str, np.dtype[Any]] = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """What a cache holds.

    Attributes
    ----------
    path : Path
        The file; it need not exist.
    n_bytes : int
        Its size on disk.
    n_vectors : int
        How many vectors are stored.
    contracts : tuple of ContractUsage
        Each contract that has vectors, the last used one first.
    """

    path: Path
    n_bytes: int
    n_vectors: int
    contracts: tuple[ContractUsage, ...]


class VectorCache:
    """Vectors by text and contract, in an SQLite file that several processes and threads share.

    A cache only ever saves time: where the file cannot be used there is one `CacheWarning`, nothing is found and
    nothing is kept. A damaged file is set aside and a new one begun. A vector comes back as it was stored, or not.

    Parameters
    ----------
    folder : Path
        Need not exist; it is made when the file is first needed.
    max_bytes : int, default=4 GiB
        Above this size the oldest tenth is dropped.

    Notes
    -----
    A vector is stored under the SHA-256 of its contract's fingerprint and its text, so another model, pooling,
    precision or window never finds it. No text is stored. Numbers are kept as the contract rounds them, float32 or
    float16; vectors of other types are not kept.

    Examples
    --------
    >>> import tempfile
    >>> from classifier.embedding.contract import EmbeddingContract
    >>> contract = EmbeddingContract(
    ...     model_id="m", revision="", weights_sha256="", tokenizer_sha256="", pooling="mean", normalize=False,
    ...     prompt="", max_tokens=8, chunking="none", dimension=2,
    ... )
    >>> folder = tempfile.TemporaryDirectory()
    >>> cache = VectorCache(Path(folder.name))
    >>> cache.store(contract, ["rain"], np.array([[0.5, 2.0]], dtype=np.float32))
    >>> cache.lookup(contract, ["sun", "rain"])[0].tolist()
    [False, True]
    >>> cache.close(); folder.cleanup()
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path = folder / FILE_NAME
        self.max_bytes = max_bytes
        self._file = VectorStore(self.path)
        self._has_warned = False
        self._noted_days: dict[str, str] = {}

    def __reduce__(self) -> tuple[object, ...]:
        """Let a copy, also in another process, open the file for itself."""
        return type(self), (self.path.parent, self.max_bytes)

    def lookup(self, contract: EmbeddingContract, texts: Sequence[str]) -> tuple[NDArray[np.bool_], Embeddings]:
        """Find the vectors of texts.

        Parameters
        ----------
        contract : EmbeddingContract
            What the vectors must have been made under.
        texts : sequence of str
            Any strings, also lone surrogates and empty ones.

        Returns
        -------
        found : ndarray of bool, shape (n_documents,)
            Which texts have a vector.
        embeddings : ndarray of float32, shape (n_documents, n_dims)
            Rows follow `texts`; zeros where nothing was found.
        """
        found = np.zeros(len(texts), dtype=np.bool_)
        vectors = np.zeros((len(texts), contract.dimension), dtype=np.float32)
        numbers, fingerprint = _NUMBERS.get(contract.dtype), contract.fingerprint
        if numbers is not None:
            for start in range(0, len(texts), LOOKUP_TEXTS):
                part = slice(start, start + LOOKUP_TEXTS)
                digests = _digests(fingerprint, texts[part])
                fetch = partial(self._file.fetch, digests, numbers.itemsize * contract.dimension)
                found[part] = _fill(vectors[part], digests, self._attempt(fetch, {}), numbers)
        if found.any():
            self._note_use(fingerprint)
        return found, vectors

    def store(self, contract: EmbeddingContract, texts: Sequence[str], vectors: Embeddings) -> None:
        """Keep vectors; those that are not finite are left out.

        Parameters
        ----------
        contract : EmbeddingContract
            What they were made under.
        texts : sequence of str
            Any strings.
        vectors : ndarray of float32, shape (n_documents, n_dims)
            Rows follow `texts`.

        Raises
        ------
        ValueError
            When there is not one vector of the contract's dimension for each text.
        """
        if vectors.shape != (len(texts), contract.dimension):
            raise ValueError(
                f"{vectors.shape} is not one vector of {contract.dimension} for each of {len(texts)} texts"
            )
        numbers = _NUMBERS.get(contract.dtype)
        if numbers is None:
            return
        rounded, digests = vectors.astype(numbers), _digests(contract.fingerprint, texts)
        finite = np.flatnonzero(np.isfinite(rounded).all(axis=1))
        blobs = {digests[row]: rounded[row].tobytes() for row in finite}
        if blobs:
            self._attempt(partial(self._keep, contract, blobs), None)

    def info(self) -> CacheInfo:
        """Return what the cache holds; this makes no file.

        Raises
        ------
        OutputError
            When the file cannot be read.
        """
        contracts = self._manage(self._file.usage)
        n_bytes = self._manage(self._file.file_bytes)
        return CacheInfo(self.path, n_bytes, sum(contract.n_vectors for contract in contracts), contracts)

    def clear(self) -> int:
        """Drop every vector, and a damaged file that was set aside; return how many vectors there were.

        Raises
        ------
        OutputError
            When the file cannot be changed.
        """
        return self._manage(self._file.clear)

    def prune(self, max_bytes: int) -> int:
        """Drop the oldest vectors until the file is no larger than `max_bytes`, or empty; return how many.

        Raises
        ------
        OutputError
            When the file cannot be changed.
        """
        return self._manage(partial(self._file.prune, max_bytes))

    def close(self) -> None:
        """Let go of the file; whatever comes next opens it again."""
        self._file.close()

    def _keep(self, contract: EmbeddingContract, blobs: dict[bytes, bytes]) -> None:
        """Store vectors, and make room where they are too many."""
        self._file.insert(contract, blobs)
        if self._file.used_bytes() > self.max_bytes:
            self._file.prune(int(self.max_bytes * KEPT_FRACTION))

    def _note_use(self, fingerprint: str) -> None:
        """Note once a day that vectors of a contract were found."""
        today = date.today().isoformat()
        if self._noted_days.get(fingerprint) != today:
            self._noted_days[fingerprint] = today
            self._attempt(partial(self._file.touch, fingerprint, today), None)

    def _attempt(self, action: Callable[[], T], otherwise: T) -> T:
        """Do something with the file, or do without."""
        try:
            return action()
        except (OSError, sqlite3.Error) as error:
            if is_busy(error):
                self._warn("is in use by another process; some vectors were computed again or not kept")
            elif self._is_set_aside(error):
                return self._attempt(action, otherwise)
            else:
                self._warn(
                    f"cannot be used ({_reason(error)}), every text is embedded anew; "
                    "make its folder writable, or choose another one with CLASSIFIER_CACHE_DIR"
                )
        return otherwise

    def _manage(self, action: Callable[[], T]) -> T:
        """Do what somebody asked for by name: here a failure is an error, unless a damaged file can be set aside."""
        try:
            return action()
        except (OSError, sqlite3.Error) as error:
            if self._is_set_aside(error):
                return self._manage(action)
            problem = f"the vector cache cannot be used ({_reason(error)})"
            remedy = "close what else uses it, check the permissions of its folder, or delete the file"
            raise OutputError(self.path, problem, remedy) from error

    def _is_set_aside(self, error: Exception) -> bool:
        """Set the file aside if an error means that it is damaged, and tell whether that was done."""
        if not is_damage(error):
            return False
        try:
            damaged = self._file.set_aside()
        except OSError:
            return False
        self._warn(f"was damaged ({error}) and is begun anew; what was left of it is in {damaged.name}")
        return True

    def _warn(self, problem: str) -> None:
        """Warn, but only once."""
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(f"The vector cache {self.path} {problem}.", CacheWarning, stacklevel=2)


class CachedEmbedder:
    """Wrap an embedder so that only texts without a known vector are embedded.

    Parameters
    ----------
    embedder : Embedder
        What computes the vectors that are not known.
    cache : VectorCache
        Where the others are.

    Notes
    -----
    Missing texts are embedded some thousands at a time and kept after each round: an interrupted run loses little.
    """

    def __init__(self, embedder: Embedder, cache: VectorCache) -> None:
        self.embedder, self.cache = embedder, cache

    @property
    def contract(self) -> EmbeddingContract:
        """What these vectors may be compared with."""
        return self.embedder.contract

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:
        """Look up the vectors of `texts`, and embed those that are missing.

        Parameters
        ----------
        texts : sequence of str
            Any length each; equal texts are embedded once.
        progress : bool, default=False
            Show a bar on stderr; it starts at the number of vectors that were found.

        Returns
        -------
        ndarray of float32, shape (n_documents, n_dims)
            Rows follow `texts`. A vector is the same whether it was found or computed.
        """
        first: dict[str, int] = {}
        inverse = np.array([first.setdefault(text, len(first)) for text in texts], dtype=np.intp)
        distinct, contract = list(first), self.contract
        found, vectors = self.cache.lookup(contract, distinct)
        missing = np.flatnonzero(~found)
        n_found = len(distinct) - len(missing)
        with progress_bar("embedding", "doc", total=len(distinct), initial=n_found, shown=progress) as bar:
            for rows in _windows(distinct, missing):
                window = [distinct[row] for row in rows]
                vectors[rows] = _rounded(self.embedder.encode(window), contract)
                self.cache.store(contract, window, vectors[rows])
                bar.update(len(rows))
        return vectors if len(distinct) == len(texts) else vectors[inverse]

    def coverage(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the share of each text's visible characters that is read, in [0, 1]; 1 where nobody can tell."""
        return self.embedder.coverage(texts) if isinstance(self.embedder, MeasuresCoverage) else np.ones(len(texts))


def _digests(fingerprint: str, texts: Sequence[str]) -> list[bytes]:
    """Hash each text together with the contract it is embedded under."""
    prefix, sha256 = fingerprint.encode("ascii"), hashlib.sha256
    return [sha256(prefix + text.encode("utf-8", "surrogatepass")).digest() for text in texts]


def _fill(
    out: Embeddings, digests: Sequence[bytes], stored: dict[bytes, bytes], numbers: np.dtype[Any]
) -> NDArray[np.bool_]:
    """Write stored vectors into the rows of their digests, and tell which rows those are."""
    blobs = [stored.get(digest) for digest in digests]
    found = np.array([blob is not None for blob in blobs], dtype=np.bool_)
    rows = np.frombuffer(b"".join(filter(None, blobs)), dtype=numbers).reshape(int(found.sum()), out.shape[1])
    is_finite = np.isfinite(rows).all(axis=1)
    found[found] = is_finite
    out[found] = rows[is_finite]
    return found


def _rounded(vectors: Embeddings, contract: EmbeddingContract) -> Embeddings:
    """Round fresh vectors as stored ones are."""
    numbers = _NUMBERS.get(contract.dtype, vectors.dtype)
    return vectors.astype(numbers, copy=False).astype(np.float32, copy=False)


def _windows(texts: Sequence[str], rows: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Cut the numbers of rows into runs that are bounded in texts and in characters."""
    start = n_characters = 0
    for index, row in enumerate(rows):
        length = len(texts[row])
        if index > start and (index - start >= WINDOW_TEXTS or n_characters + length > WINDOW_CHARACTERS):
            yield rows[start:index]
            start, n_characters = index, 0
        n_characters += length
    if start < len(rows):
        yield rows[start:]


def _reason(error: Exception) -> str:
    """Say what went wrong, without the path that the message names anyway."""
    return getattr(error, "strerror", None) or str(error)
