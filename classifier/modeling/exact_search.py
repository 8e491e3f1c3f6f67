"""Exact cosine search: every row is multiplied, and those that may be among the nearest are summed up in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Ints
from classifier.embedding.contract import Embeddings

Found = tuple[Ints, NDArray[np.float32]]

_BLOCK_ROWS = 65_536
_RANKED_ROWS = 4_096
_QUERIES_AT_ONCE = 32


def scan(embeddings: Embeddings, queries: Embeddings, k: int, allowed: NDArray[np.bool_] | None = None) -> list[Found]:
    """Return the `k` nearest rows of each query.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
        Rows of unit length, or of zeros; may be memory-mapped, it is read in blocks.
    queries : ndarray of float32, shape (n_queries, n_dims)
        The same.
    k : int
        At least 1, and no more than rows that are allowed.
    allowed : ndarray of bool, shape (n_documents,), or None
        Only these rows.

    Returns
    -------
    list of (rows, similarities)
        One pair for each query, each of shape (k,); as `ranked` gives them.
    """
    found: list[Found] = []
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        group = queries[start : start + _QUERIES_AT_ONCE]
        for query, products in zip(group, _products(embeddings, group), strict=True):
            if allowed is not None:
                products[~allowed] = -np.inf
            candidates = np.flatnonzero(products >= kth_largest(products, k) - rounding(embeddings.shape[1]))
            found.append(ranked(embeddings, query, candidates, k))
    return found


def ranked(embeddings: Embeddings, query: NDArray[np.float32], rows: Ints, k: int) -> Found:
    """Return the `k` nearest of some rows.

    Parameters
    ----------
    embeddings, query
        As for `scan`, of a single query: shape (n_dims,).
    rows : ndarray of int, shape (n_rows,)
        Row numbers, rising.
    k : int
        How many at most.

    Returns
    -------
    rows : ndarray of int, shape (<= k,)
        By falling similarity; equal ones by row number.
    similarities : ndarray of float32, shape (<= k,)
        Cosines, in [-1, 1].

    Notes
    -----
    Each is summed up by itself, in float64, and rounded. So it depends neither on the rows beside it nor on the number
    of threads, which the last digit of a matrix product does; and equal rows are equal.
    """
    wide = query.astype(np.float64)
    similarities = np.empty(len(rows), dtype=np.float32)
    for start in range(0, len(rows), _RANKED_ROWS):
        part = slice(start, start + _RANKED_ROWS)
        values = np.ascontiguousarray(embeddings[rows[part]], dtype=np.float64)
        similarities[part] = np.einsum("ij,j->i", values, wide)
    np.clip(similarities, -1.0, 1.0, out=similarities)
    if k < len(rows):
        best = np.flatnonzero(similarities >= kth_largest(similarities, k))
        rows, similarities = rows[best], similarities[best]
    order = np.lexsort((rows, -similarities))[:k]
    return rows[order], similarities[order]


def kth_largest(values: NDArray[np.float32], k: int) -> np.float32:
    """Return the `k`-th largest value, `k` from 1.

    Examples
    --------
    >>> float(kth_largest(np.array([3, 1, 2], dtype=np.float32), 2))
    2.0
    """
    return np.float32(np.partition(values, len(values) - k)[len(values) - k])


def rounding(n_dims: int) -> float:
    """Return how far the difference of two products of unit vectors in float32 may be from the truth.

    References
    ----------
    Higham (2002), Accuracy and Stability of Numerical Algorithms, section 3.1: a product of n terms, summed in any
    order, is off by no more than n times half the machine epsilon
    """
    return n_dims * float(np.finfo(np.float32).eps)


def _products(embeddings: Embeddings, queries: Embeddings) -> NDArray[np.float32]:
    """Multiply block by block, so that mapped vectors never fill the memory; (n_queries, n_documents)."""
    found = np.empty((len(queries), len(embeddings)), dtype=np.float32)
    for start in range(0, len(embeddings), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        found[:, block] = (embeddings[block] @ queries.T).T
    return found
