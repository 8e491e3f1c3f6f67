"""Similar documents: exact cosine search, in one byte per number where there are many, also over vectors on disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Ints
from classifier.embedding.contract import Embeddings
from classifier.errors import lookup
from classifier.modeling.exact_search import Found, scan
from classifier.modeling.lance_scan import FEWEST_ROWS, LanceScan
from classifier.modeling.rounded_scan import RoundedScan

AUTO = "auto"

_LARGE = 2**25
_FEW_FRACTION = 1 / 32


class Shortlist(Protocol):
    """Finds the rows among which the nearest are, so that not all have to be read."""

    def rows(self, queries: Embeddings, k: int, allowed: NDArray[np.bool_] | None) -> list[Ints]:
        """Return rising row numbers for each query; `k` is from 1 to the number of allowed rows."""
        ...  # pragma: no cover


class NeighborIndex:
    """Find the nearest rows of a matrix.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
        Rows of unit length, or of zeros; may be memory-mapped, it is read in blocks.
    index : str, default='auto'
        A name in `INDEXES`. ``exact`` reads every row for each query; ``int8`` reads a rounded copy in memory, and of
        the rows themselves some tens; ``lance`` asks LanceDB, which needs the extra ``scale``, keeps nothing in memory
        and may miss a neighbour. ``auto`` is ``int8`` for large matrices from the second query on, and ``exact``
        otherwise. ``int8`` and ``exact`` give the same rows and similarities.
    folder : Path or None
        Where ``lance`` keeps its table for the next process; None for a temporary folder.

    Raises
    ------
    OptionalDependencyError
        When a package that the index needs is not installed.
    UnknownNameError
        When there is no such index.

    Notes
    -----
    Under a filter that leaves few rows, these are read, whatever the index: an approximate one would lose most
    neighbours there. Similarities are always those of the vectors themselves, summed up in float64, and do not depend
    on what is asked at once or on the number of threads. Several threads may search at once.

    Examples
    --------
    >>> index = NeighborIndex(np.eye(2, dtype=np.float32))
    >>> rows, similarities = index.search(np.array([1.0, 0.0], dtype=np.float32), 1)
    >>> rows.tolist(), similarities.tolist()
    ([0], [1.0])
    """

    def __init__(self, embeddings: Embeddings, *, index: str = AUTO, folder: Path | None = None) -> None:
        make = lookup(INDEXES, index, "index")
        self._embeddings = embeddings
        self._shortlist: Shortlist | None = None
        self._may_round = index == AUTO and embeddings.size >= _LARGE and RoundedScan.is_installed()
        self._n_queries = 0
        self._lock = threading.Lock()
        if make is not None:
            self._shortlist = make(embeddings, folder)

    def prepare(self) -> None:
        """Make now what the second query would make: a rounded copy, where the matrix is large.

        A single question is answered sooner by reading everything once; who will ask more need not wait at the second.
        """
        with self._lock:
            if self._may_round and self._shortlist is None:
                self._shortlist = RoundedScan(self._embeddings)

    def search(
        self,
        query: NDArray[np.float32],
        k: int,
        *,
        among: NDArray[np.bool_] | None = None,
        exclude: Collection[int] = (),
    ) -> Found:
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
        allowed = among
        if len(exclude):
            allowed = np.ones(len(self._embeddings), dtype=np.bool_) if among is None else among.copy()
            allowed[list(exclude)] = False
        rows, similarities = self._search(query[np.newaxis], k, allowed)
        return rows[0], similarities[0]

    def search_many(self, queries: Embeddings, k: int, *, among: NDArray[np.bool_] | None = None) -> Found:
        """Return the `k` nearest rows of each query, exactly as `search` would, in less time.

        Parameters
        ----------
        queries : ndarray of float32, shape (n_queries, n_dims)
            Any length; a vector of zeros resembles nothing equally.
        k : int
            How many rows at most.
        among : ndarray of bool, shape (n_documents,), or None
            Only these rows.

        Returns
        -------
        rows : ndarray of int, shape (n_queries, <= k)
            Each by falling similarity; equal ones by row number.
        similarities : ndarray of float32, shape (n_queries, <= k)
            Cosines, in [-1, 1].
        """
        return self._search(queries, k, among)

    def _search(self, queries: Embeddings, k: int, allowed: NDArray[np.bool_] | None) -> Found:
        """Bring queries to unit length; zeros get the first rows, which no product is needed for."""
        n_allowed = len(self._embeddings) if allowed is None else int(np.count_nonzero(allowed))
        k = max(0, min(k, n_allowed))
        rows = np.zeros((len(queries), k), dtype=np.intp)
        similarities = np.zeros((len(queries), k), dtype=np.float32)
        if not k:
            return rows, similarities
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        norms = np.linalg.norm(queries, axis=1)
        directed = np.flatnonzero(norms)
        rows[norms == 0] = np.arange(k) if allowed is None else np.flatnonzero(allowed)[:k]
        unit = (queries[directed] / norms[directed, np.newaxis]).astype(np.float32, copy=False)
        for position, found in zip(directed, self._nearest(unit, k, allowed, n_allowed), strict=True):
            rows[position], similarities[position] = found
        return rows, similarities

    def _nearest(self, queries: Embeddings, k: int, allowed: NDArray[np.bool_] | None, n_allowed: int) -> list[Found]:
        """Read few rows, or the shortlist's, or all."""
        if allowed is not None and self._are_few(n_allowed):
            return self._among(queries, np.flatnonzero(allowed), k)
        shortlist = self._shortlist_for(len(queries)) if self._are_few(k) else None
        if shortlist is None:
            return scan(self._embeddings, queries, k, allowed)
        shortlists = shortlist.rows(queries, k, allowed)
        return [
            found
            for query, rows in zip(queries, shortlists, strict=True)
            for found in self._among(query[np.newaxis], rows, k)
        ]

    def _among(self, queries: Embeddings, rows: Ints, k: int) -> list[Found]:
        """Search some rows: copied where they are few, so that memory stays bounded."""
        if self._are_few(len(rows)):
            found = scan(np.asarray(self._embeddings[rows]), queries, k)
            return [(rows[positions], similarities) for positions, similarities in found]
        allowed = np.zeros(len(self._embeddings), dtype=np.bool_)
        allowed[rows] = True
        return scan(self._embeddings, queries, k, allowed)

    def _are_few(self, n_rows: int) -> bool:
        """Tell whether reading as many single rows takes less time than a pass over all, even a rounded one."""
        return n_rows <= len(self._embeddings) * _FEW_FRACTION

    def _shortlist_for(self, n_queries: int) -> Shortlist | None:
        """Return the shortlist, made at the second query: rounding takes as long as some tens of queries."""
        self._n_queries += n_queries
        if self._n_queries > 1:
            self.prepare()
        return self._shortlist


def _rounded(embeddings: Embeddings, folder: Path | None) -> Shortlist:  # noqa: ARG001 # it is kept in memory
    """Round vectors to int8."""
    return RoundedScan(embeddings)


def _lance(embeddings: Embeddings, folder: Path | None) -> Shortlist | None:
    """Hand vectors to LanceDB; so few that its index would hold next to nothing are read."""
    LanceScan.require()
    return LanceScan(embeddings, folder) if len(embeddings) >= FEWEST_ROWS else None


INDEXES: dict[str, Callable[[Embeddings, Path | None], Shortlist | None] | None] = {
    AUTO: None,
    "exact": None,
    "int8": _rounded,
    "lance": _lance,
}
