"""Search in one byte per number: a quarter of the memory is read, and no neighbour is lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Ints
from classifier.embedding.contract import Embeddings
from classifier.embedding.engine import usable_cores
from classifier.embedding.quantization import Codes, Scales, pack, unpack
from classifier.errors import OptionalDependencyError
from classifier.modeling.exact_search import kth_largest, ranked, rounding

T = TypeVar("T")

_BLOCK_ROWS = 65_536
_ROUNDED_ROWS = 2_048
_QUERIES_AT_ONCE = 32
_FIRST_ROWS = 64


class RoundedScan:
    """Vectors in int8, and for each a ceiling of its similarity to a query.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
        Rows of unit length, or of zeros; may be memory-mapped. Only rows that may be among the nearest are read later.

    Raises
    ------
    OptionalDependencyError
        When numkong, which multiplies, is not installed.
    EmbedderError
        When a number is not finite.

    Notes
    -----
    A row x and a query q are rounded to x' and q', whose product in whole numbers is exact. By the inequality of
    Cauchy and Schwarz, x.q is no more than x'.q' + ``|x - x'| |q| + |x'| |q - q'|``: a ceiling that is known for each
    row without reading it. The rows with the highest ceilings are then read; the `k`-th best similarity among them is
    a floor, and whoever's ceiling is below it is not among the `k` nearest. What is left, some tens of rows, holds
    all of them. So the result is not nearly but entirely that of reading everything.

    References
    ----------
    Weber, Schek and Blott (1998), A Quantitative Analysis and Performance Study for Similarity-Search Methods in
    High-Dimensional Spaces (the VA-file), https://www.vldb.org/conf/1998/p194.pdf
    """

    def __init__(self, embeddings: Embeddings) -> None:
        if not self.is_installed():
            raise OptionalDependencyError("The index 'int8'", "numkong")
        self._kernel: Any = import_module("numkong")
        self._embeddings = embeddings
        self._codes = np.empty(embeddings.shape, dtype=np.int8)
        self._scales, self._errors = (np.empty(len(embeddings), dtype=np.float32) for _ in range(2))
        self._longest = max(self._each_block(self._round, _ROUNDED_ROWS), default=0.0)

    @staticmethod
    def is_installed() -> bool:
        """Tell whether the products in int8 are at hand, without importing them."""
        return find_spec("numkong") is not None

    def rows(self, queries: Embeddings, k: int, allowed: NDArray[np.bool_] | None) -> list[Ints]:
        """Return rows that hold the `k` nearest of each query; parameters as of `exact_search.scan`."""
        found: list[Ints] = []
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            group = queries[start : start + _QUERIES_AT_ONCE]
            for query, ceilings in zip(group, self._ceilings(group), strict=True):
                if allowed is not None:
                    ceilings[~allowed] = -np.inf
                found.append(self._shortlist(query, ceilings, k))
        return found

    def _shortlist(self, query: NDArray[np.float32], ceilings: NDArray[np.float32], k: int) -> Ints:
        """Read the most promising rows, and keep whoever may reach the `k`-th best of them.

        Any number of first rows from `k` is right. Of too few, the floor is low; reading more than some tens only
        takes time, as the best are nearly always among them.
        """
        n_first = max(_FIRST_ROWS, 2 * k)
        promising = ceilings >= kth_largest(ceilings, min(n_first, len(ceilings)))
        promising &= ceilings > -np.inf
        first = np.flatnonzero(promising)
        _, similarities = ranked(self._embeddings, query, first[:n_first] if len(first) > n_first else first, k)
        return np.flatnonzero(ceilings >= similarities[-1])

    def _ceilings(self, queries: Embeddings) -> NDArray[np.float32]:
        """Return the highest similarity that each row may have to each query, (n_queries, n_documents)."""
        rounded = pack(queries, "int8")
        lost = np.linalg.norm(queries - unpack(rounded), axis=1)
        slack = rounding(queries.shape[1]) * max(1.0, self._longest)
        unsure = (lost * self._longest + slack)[:, np.newaxis].astype(np.float32)
        found = np.empty((len(queries), len(self._codes)), dtype=np.float32)
        packed = self._kernel.dots_pack(rounded.codes) if len(queries) > 1 else None
        scales = np.asarray(rounded.scales, dtype=np.float32)[:, np.newaxis]
        products = partial(self._products, rounded.codes, packed)
        self._each_block(partial(self._bound, found, products, scales, unsure), _BLOCK_ROWS)
        return found

    def _bound(
        self,
        found: NDArray[np.float32],
        products: Callable[[slice], NDArray[Any]],
        scales: Scales,
        unsure: NDArray[np.float32],
        block: slice,
    ) -> None:
        """Fill in the ceilings of one block."""
        np.multiply(products(block), scales, out=found[:, block], casting="unsafe")
        found[:, block] *= self._scales[block]
        found[:, block] += self._errors[block]
        found[:, block] += unsure

    def _products(self, queries: Codes, packed: Any, block: slice) -> NDArray[Any]:
        """Multiply whole numbers, (n_queries, n_rows); packing pays off for several queries."""
        if packed is None:
            return np.asarray(self._kernel.cdist(queries, self._codes[block], metric="dot"))
        return np.asarray(self._kernel.dots_packed(self._codes[block], packed)).T

    def _round(self, block: slice) -> float:
        """Round one block, note what is lost of each row, and return the length of the longest rounded one."""
        rows = np.asarray(self._embeddings[block])
        packed = pack(rows, "int8")
        restored = unpack(packed)
        self._codes[block], self._scales[block] = packed.codes, packed.scales
        self._errors[block] = np.linalg.norm(rows - restored, axis=1)
        return float(np.linalg.norm(restored, axis=1).max())

    def _each_block(self, work: Callable[[slice], T], n_rows: int) -> list[T]:
        """Do something with each block of rows, on all cores."""
        blocks = [slice(start, start + n_rows) for start in range(0, len(self._codes), n_rows)]
        with ThreadPoolExecutor(usable_cores()) as pool:
            return list(pool.map(work, blocks))
