"""Similar documents: exact cosine search, also over vectors that stay on disk."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Ints
from classifier.embedding.contract import Embeddings

_BLOCK_ROWS = 65_536


class NeighborIndex:
    """Find the nearest rows of a matrix.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
        Rows of unit length; may be memory-mapped, it is read in blocks.

    Notes
    -----
    The search is exact. Approximate indexes lose most neighbours under a label filter, and a product
    over tens of thousands of rows takes a millisecond.

    Examples
    --------
    >>> index = NeighborIndex(np.eye(2, dtype=np.float32))
    >>> rows, similarities = index.search(np.array([1.0, 0.0], dtype=np.float32), 1)
    >>> rows.tolist(), similarities.tolist()
    ([0], [1.0])
    """

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings = embeddings

    def search(
        self,
        query: NDArray[np.float32],
        k: int,
        *,
        among: NDArray[np.bool_] | None = None,
        exclude: Collection[int] = (),
    ) -> tuple[Ints, NDArray[np.float32]]:
        """Return the `k` nearest rows.

        Parameters
        ----------
        query : ndarray of float32, shape (n_dims,)
            Any length; a vector of zeros resembles nothing equally.
        k : int
            How many rows at most.
        among : ndarray of bool, shape (n_documents,), or None
            Only these rows, such as those of one label.
        exclude : collection of int
            Rows to leave out.

        Returns
        -------
        rows : ndarray of int, shape (<= k,)
            By falling similarity; equal ones by row number.
        similarities : ndarray of float32, shape (<= k,)
            Cosines, in [-1, 1].
        """
        norm = float(np.linalg.norm(query))
        similarities = self._similarities(query / norm if norm else query)
        allowed = np.ones(len(similarities), dtype=np.bool_) if among is None else among.copy()
        allowed[list(exclude)] = False
        rows = np.flatnonzero(allowed)
        order = _largest(similarities[rows], k)
        return rows[order], np.clip(similarities[rows[order]], -1.0, 1.0)

    def _similarities(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Multiply block by block, so that mapped vectors never fill the memory."""
        found = np.empty(len(self._embeddings), dtype=np.float32)
        for start in range(0, len(found), _BLOCK_ROWS):
            found[start : start + _BLOCK_ROWS] = self._embeddings[start : start + _BLOCK_ROWS] @ query
        return found


def _largest(values: NDArray[np.float32], k: int) -> Ints:
    """Return the positions of the `k` largest values, ties by position."""
    if k <= 0:
        return np.empty(0, dtype=np.intp)
    if k < len(values):
        threshold = np.partition(values, len(values) - k)[len(values) - k]
        candidates = np.flatnonzero(values >= threshold)
    else:
        candidates = np.arange(len(values))
    return candidates[np.lexsort((candidates, -values[candidates]))][:k]
