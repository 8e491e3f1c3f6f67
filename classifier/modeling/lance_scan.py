"""Search by LanceDB for vectors beyond memory: partitions of one bit per number on disk, and the best read in full."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Ints
from classifier.embedding.contract import Embeddings
from classifier.errors import OptionalDependencyError

if TYPE_CHECKING:
    from pyarrow import RecordBatch, Schema  # type: ignore[import-untyped]

FEWEST_ROWS = 4_096

_BLOCK_ROWS = 16_384
_DIMS_OF_A_CODE = 8
_PROBED = 50
_REFINED = 50


class LanceScan:
    """A table of LanceDB with an index of the kind IVF_RQ.

    Unlike the other ways to search it may miss a neighbour: see docs/benchmarks.md for how often.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
        At least `FEWEST_ROWS` rows of unit length, or of zeros; may be memory-mapped.
    folder : Path or None
        Where the table is kept for the next process; it is named by a checksum of the vectors, so that others are
        never found. None for a temporary folder that is removed with this object.

    Raises
    ------
    OptionalDependencyError
        When LanceDB is not installed.

    References
    ----------
    https://docs.lancedb.com/indexing/vector-index;
    Gao and Long (2024), RaBitQ, https://arxiv.org/abs/2405.12497
    """

    def __init__(self, embeddings: Embeddings, folder: Path | None = None) -> None:
        self.require()
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="classifier-lance-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._n_documents = len(embeddings)
        self._table = _open_table(embeddings, folder)

    @staticmethod
    def require() -> None:
        """Refuse to go on where LanceDB is not installed."""
        if find_spec("lancedb") is None:
            raise OptionalDependencyError("The index 'lance'", "lancedb", "scale")

    def rows(self, queries: Embeddings, k: int, allowed: NDArray[np.bool_] | None) -> list[Ints]:
        """Return rows that hold the `k` nearest of each query, if all goes well; parameters as of `exact_search.scan`.

        Under a filter as many more are asked for as are left out; where too few come back, all allowed rows are given.
        """
        everyone = np.ones(self._n_documents, dtype=np.bool_) if allowed is None else allowed
        wider = self._n_documents / int(np.count_nonzero(everyone))
        n_asked = k if allowed is None else int(np.ceil(2 * k * wider))
        found = []
        for query in queries:
            rows = self._nearest(query, n_asked, wider)
            rows = rows[everyone[rows]]
            found.append(rows if len(rows) >= k else np.flatnonzero(everyone))
        return found

    def _nearest(self, query: NDArray[np.float32], n_rows: int, wider: float) -> Ints:
        """Ask the table; rows rise."""
        search = self._table.search(_padded(query[np.newaxis])[0], vector_column_name="vector").distance_type("dot")
        search = search.nprobes(int(np.ceil(_PROBED * wider))).refine_factor(_REFINED).limit(n_rows)
        rows: Ints = np.sort(search.select(["row", "_distance"]).to_arrow()["row"].to_numpy()).astype(np.intp)
        return rows


def _open_table(embeddings: Embeddings, folder: Path) -> Any:
    """Open the table of these vectors, or make it; one that was not finished has no index and is made again."""
    import pyarrow as pa

    os.environ.setdefault("LANCEDB_LOG", "error")  # it would warn that a new table is new
    lancedb = import_module("lancedb")
    config = import_module("lancedb.index").IvfRq(distance_type="dot")
    database = lancedb.connect(folder)
    name = f"vectors_{_checksum(embeddings)}"
    if (folder / f"{name}.lance").is_dir():
        table = database.open_table(name)
        if table.list_indices():
            return table
    width = _padded(np.empty((0, embeddings.shape[1]), dtype=np.float32)).shape[1]
    schema = pa.schema([("row", pa.int64()), ("vector", pa.list_(pa.float32(), width))])
    reader = pa.RecordBatchReader.from_batches(schema, _batches(embeddings, schema))
    table = database.create_table(name, reader, mode="overwrite")
    table.create_index("vector", config=config)
    return table


def _batches(embeddings: Embeddings, schema: Schema) -> Iterator[RecordBatch]:
    """Yield row numbers and vectors, block by block."""
    import pyarrow as pa

    for start in range(0, len(embeddings), _BLOCK_ROWS):
        block = _padded(np.asarray(embeddings[start : start + _BLOCK_ROWS]))
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(block.ravel()), block.shape[1])
        yield pa.record_batch([pa.array(np.arange(start, start + len(block))), vectors], schema=schema)


def _padded(vectors: Embeddings) -> Embeddings:
    """Add zeros up to whole bytes of one bit per number; they change no product."""
    return np.pad(vectors, ((0, 0), (0, -vectors.shape[1] % _DIMS_OF_A_CODE)))


def _checksum(embeddings: Embeddings) -> str:
    """Name vectors by what they are."""
    digest = hashlib.sha256(repr(embeddings.shape).encode())
    for start in range(0, len(embeddings), _BLOCK_ROWS):
        digest.update(np.ascontiguousarray(embeddings[start : start + _BLOCK_ROWS]).tobytes())
    return digest.hexdigest()[:32]
