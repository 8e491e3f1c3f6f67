"""Rows of which most numbers are zero, by numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class SparseRows:
    """Rows of which most numbers are zero, in compressed form.

    Attributes
    ----------
    weights : ndarray of float32, shape (n_stored,)
        The numbers that are not zero, row by row.
    columns : ndarray of int32, shape (n_stored,)
        Where they stand.
    starts : ndarray of int64, shape (n_rows + 1,)
        Where each row begins in the other two.
    n_columns : int
        How many columns there are.
    """

    weights: NDArray[np.float32]
    columns: NDArray[np.int32]
    starts: NDArray[np.int64]
    n_columns: int

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.starts) - 1

    def times(self, coef: NDArray[np.float32]) -> NDArray[np.float32]:
        """Multiply by a dense matrix, each row by itself: its result does not depend on its company.

        Parameters
        ----------
        coef : ndarray of float32, shape (n_columns, n_classes)
            May be memory-mapped; only the rows that are needed are read.

        Returns
        -------
        ndarray of float32, shape (n_rows, n_classes)
        """
        found = np.zeros((len(self), coef.shape[1]), dtype=np.float32)
        for row, (start, end) in enumerate(zip(self.starts[:-1], self.starts[1:], strict=True)):
            if end > start:
                found[row] = self.weights[start:end] @ coef[self.columns[start:end]]
        return found

    def matrix(self) -> Any:
        """Return the same as a ``scipy.sparse.csr_array``, for training."""
        from scipy.sparse import csr_array

        starts = self.starts.astype(np.int32)
        return csr_array((self.weights, self.columns, starts), shape=(len(self), self.n_columns))


def counted(rows: NDArray[np.int64], columns: NDArray[np.int64], n_rows: int) -> SparseRows:
    """Count how often each row and column is named; columns rise within a row."""
    n_columns = int(columns.max(initial=-1)) + 1
    keys = np.sort(rows * n_columns + columns)
    firsts = np.flatnonzero(np.diff(keys, prepend=-1))
    counts = np.diff(firsts, append=len(keys)).astype(np.float32)
    found_rows, found_columns = np.divmod(keys[firsts], max(1, n_columns))
    starts = np.concatenate([[0], np.cumsum(np.bincount(found_rows, minlength=n_rows))]).astype(np.int64)
    return SparseRows(counts, found_columns.astype(np.int32), starts, n_columns)


def stacked(parts: Sequence[SparseRows]) -> SparseRows:
    """Put rows under rows."""
    ends = np.cumsum([0, *(part.starts[-1] for part in parts)])
    starts = [part.starts[1:] + end for part, end in zip(parts, ends, strict=False)]
    return SparseRows(
        np.concatenate([np.zeros(0, dtype=np.float32), *(part.weights for part in parts)]),
        np.concatenate([np.zeros(0, dtype=np.int32), *(part.columns for part in parts)]),
        np.concatenate([np.zeros(1, dtype=np.int64), *starts]),
        max((part.n_columns for part in parts), default=0),
    )
