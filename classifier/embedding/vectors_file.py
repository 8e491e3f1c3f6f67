"""The file by which vectors travel between teams: Parquet, with the embedding contract in its metadata.

Each row has an ``id``, the SHA-256 of its text as ``text_sha256``, a ``vector`` of codes and, for int8 and binary, a
``scale``: what the decoded codes are multiplied by, 0 for a vector of zeros, and 1 for any other of binary. Whoever
writes such a file elsewhere needs only the vectors, the checksums (or the ``text`` itself) and the contract.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from classifier.embedding.contract import EmbeddingContract, Embeddings, LookUp
from classifier.embedding.quantization import DTYPES, Packed, are_close, first_flaw, pack, unpack
from classifier.errors import EmbedderError, FileMissingError, FileProblemError, OutputError, excerpt, listing, lookup
from classifier.files import sync_path

if TYPE_CHECKING:
    from pyarrow import Array, DataType, RecordBatch  # type: ignore[import-untyped]
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

FORMAT_KEY = b"classifier.vectors_format"
CONTRACT_KEY = b"classifier.embedding_contract"
FORMAT = b"1"
ROW_GROUP_ROWS = 10_000
MAX_DIMENSION = 1 << 16
_REMEDY = "embed the texts again with: classifier embed"
_WRITING = {"compression": "zstd", "write_statistics": False, "write_page_checksum": True}
_READING = {"buffer_size": 1 << 20, "pre_buffer": False, "page_checksum_verification": True}
_MAX_METADATA_BYTES = 1 << 24
_BLOCK_ROWS = 2_000
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_KEY = np.dtype("S16")


def contract_metadata(contract: EmbeddingContract) -> dict[bytes, bytes]:
    """Return the metadata by which a Parquet file of vectors is known."""
    return {CONTRACT_KEY: json.dumps(contract.to_dict()).encode("ascii"), FORMAT_KEY: FORMAT}


class VectorsWriter:
    """Write vectors, a block at a time, to a file that appears whole or not at all.

    Use it in a ``with`` statement: leaving it without an exception makes the file appear, leaving it with one removes
    every trace.

    Parameters
    ----------
    path : Path
        Where the file is to appear; an existing one stays as it is until then.
    contract : EmbeddingContract
        What the vectors were made under; they are stored as its `dtype`.

    Raises
    ------
    OutputError
        On entering or leaving, when the file cannot be written.
    UnknownNameError
        When there is no such dtype.
    """

    def __init__(self, path: Path, contract: EmbeddingContract) -> None:
        self._path, self._contract = path, contract
        has_scales = lookup(DTYPES, contract.dtype, "dtype").has_scales
        self._repetitive = ["vector.list.element", "scale"] if has_scales else False

    def __enter__(self) -> Self:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._schema = pa.schema(_columns(self._contract), metadata=contract_metadata(self._contract))
        self._batches: list[RecordBatch] = []
        with _one_sentence(self._path):
            self._target = Path(os.path.realpath(self._path))
            if self._target.exists() and not self._target.is_file():
                raise FileExistsError(errno.EEXIST, "it is not a regular file")
            self._part = self._target.with_name(f".classifier-{secrets.token_hex(8)}.part")
            self._handle = self._part.open("xb")
            try:
                self._file = pq.ParquetWriter(self._handle, self._schema, use_dictionary=self._repetitive, **_WRITING)
            except BaseException:
                self._discard()
                raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with ExitStack() as undo:
            undo.callback(self._discard, self._file.close)
            if kind is None:
                with _one_sentence(self._path):
                    self._commit()
                undo.pop_all()

    def write(self, ids: Sequence[str], texts: Sequence[str], embeddings: Embeddings) -> None:
        """Write one block; what is in memory is this block, or about 10,000 rows.

        Parameters
        ----------
        ids : sequence of str
            One for each text; a lone surrogate is written as its escape.
        texts : sequence of str
            Only their checksums are written.
        embeddings : ndarray of float32, shape (n_documents, n_dims)
            Rows follow `texts`; they are rounded to the contract's dtype.

        Raises
        ------
        EmbedderError
            When a number is not finite, or too large for the dtype.
        OutputError
            When the disk is full, or the file cannot be written for another reason.
        """
        import pyarrow as pa

        if not len(ids) == len(texts) == len(embeddings) or embeddings.shape[1:] != (self._contract.dimension,):
            raise ValueError(f"{len(ids)} ids, {len(texts)} texts and vectors of shape {embeddings.shape} do not match")
        packed = pack(embeddings, self._contract.dtype)
        columns = [
            pa.array([id_.encode("utf-8", "backslashreplace").decode("utf-8") for id_ in ids], pa.string()),
            pa.array([_sha256(text) for text in texts], pa.string()),
            pa.FixedSizeListArray.from_arrays(pa.array(packed.codes.reshape(-1)), packed.codes.shape[1]),
            *([] if packed.scales is None else [pa.array(packed.scales)]),
        ]
        self._batches.append(pa.record_batch(columns, schema=self._schema))
        if sum(batch.num_rows for batch in self._batches) >= ROW_GROUP_ROWS:
            with _one_sentence(self._path):
                self._flush()

    def _flush(self) -> None:
        """Write what has gathered as one row group."""
        import pyarrow as pa

        table = pa.Table.from_batches(self._batches, self._schema)
        if len(table):
            self._file.write_table(table, row_group_size=2 * ROW_GROUP_ROWS)
        self._batches.clear()

    def _commit(self) -> None:
        """Bring everything to disk and give the file its name."""
        self._flush()
        self._file.close()
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._handle.close()
        if self._target.exists():
            self._part.chmod(stat.S_IMODE(self._target.stat().st_mode))
        self._part.replace(self._target)
        if os.name == "posix":
            sync_path(self._target.parent)

    def _discard(self, *ends: Callable[[], object]) -> None:
        """Remove what has not become the file."""
        for end in (*ends, self._handle.close, self._part.unlink):
            with suppress(OSError, ValueError):
                end()


def read_contract(path: Path) -> EmbeddingContract:
    """Read the contract of a file of vectors, and nothing else of it.

    Raises
    ------
    FileProblemError
        When there is no such file, or it is no file of vectors that this version reads.
    """
    with _opened(path) as (_, contract):
        return contract


class VectorsFile(LookUp):
    """An embedder that looks up vectors in a file, by the checksum of each text.

    Opening it checks every vector and copies all of them, as they are stored, into a nameless temporary file that is
    mapped into memory; some 30 bytes for each vector stay in memory itself. Where a text comes more than once, its
    first vector is taken.

    Parameters
    ----------
    path : Path
        Written by `VectorsWriter`, or by another program with `contract_metadata`.
    scratch_dir : Path or None
        Where the temporary file goes; None for the system's folder.

    Attributes
    ----------
    contract : EmbeddingContract
        What the vectors may be compared with.
    n_vectors : int
        How many rows the file has.

    Raises
    ------
    FileProblemError
        When it is no file of vectors, is damaged, breaks its contract, or has different vectors for one text.
    OutputError
        When there is no room for the temporary file.
    """

    def __init__(self, path: Path, *, scratch_dir: Path | None = None) -> None:
        self._path = path
        with _opened(path) as (file, self.contract):
            keys, self._packed = _copied(_blocks(path, file, self.contract), self.contract, scratch_dir)
        self.n_vectors, self._rows = len(keys), np.argsort(keys, kind="stable")
        self._keys = keys[self._rows]
        self._require_one_vector_for_each_text()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the room of the temporary file back; no more vectors can be looked up."""
        self._packed = self._packed.take(self._rows[:0])

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:  # noqa: ARG002 # part of the protocol
        """Look up the vectors of `texts`; float32 of shape (n_documents, n_dims), zeros for a blank text without one.

        Raises
        ------
        EmbedderError
            When texts are not in the file; it tells how many, and the position of the first.
        """
        if len(self._packed.codes) != self.n_vectors:
            raise ValueError(f"{self._path} is closed")
        wanted = _keys([_sha256(text) for text in texts])
        places = np.searchsorted(self._keys, wanted)
        is_found = places < self.n_vectors
        is_found[is_found] = self._keys[places[is_found]] == wanted[is_found]
        missing = [position for position in np.flatnonzero(~is_found).tolist() if texts[position].strip()]
        if missing:
            raise EmbedderError(
                f"{len(missing):,} of {len(texts):,} texts have no vector in {self._path}, "
                f"the first of them at position {missing[0] + 1:,}; {_REMEDY}."
            )
        embeddings = np.zeros((len(texts), self.contract.dimension), dtype=np.float32)
        embeddings[is_found] = unpack(self._packed.take(self._rows[places[is_found]]))
        return embeddings

    def _require_one_vector_for_each_text(self) -> None:
        """Compare each vector of a repeated text with the first."""
        repeated = np.flatnonzero(self._keys[1:] == self._keys[:-1]) + 1
        for start in range(0, len(repeated), _BLOCK_ROWS):
            places = repeated[start : start + _BLOCK_ROWS]
            rows, firsts = self._rows[places], self._rows[np.searchsorted(self._keys, self._keys[places])]
            is_close = are_close(self._packed.take(rows), self._packed.take(firsts))
            if not is_close.all():
                wrong = np.argmin(is_close)
                problem = f"rows {firsts[wrong] + 1:,} and {rows[wrong] + 1:,} have the same text and different vectors"
                raise FileProblemError(self._path, problem, _REMEDY)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[ParquetFile, EmbeddingContract]]:
    """Open a file of vectors; what Arrow has to say about it becomes one sentence."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if not path.exists():
            raise FileMissingError(path)
        if not path.is_file():
            raise FileProblemError(path, "it is not a file", "name a file of vectors")
        with pq.ParquetFile(path, thrift_string_size_limit=_MAX_METADATA_BYTES, **_READING) as file:
            yield file, _contract(path, file.metadata.metadata or {})
    except (OutputError, FileMissingError):
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no Parquet file, or a damaged one"
        raise FileProblemError(path, f"it cannot be read ({reason})", _REMEDY) from error


def _contract(path: Path, metadata: Mapping[bytes, bytes]) -> EmbeddingContract:
    """Take the contract from the metadata of a file."""
    if (found := metadata.get(FORMAT_KEY, FORMAT)) != FORMAT:
        problem = f"its format is {excerpt(found.decode(errors='replace'))}, and this version reads {FORMAT.decode()}"
        raise FileProblemError(path, problem, f"update the classifier, or {_REMEDY}")
    if CONTRACT_KEY not in metadata:
        raise FileProblemError(path, "it holds no embedding contract, which says what made its vectors", _REMEDY)
    try:
        contract = EmbeddingContract.from_dict(json.loads(metadata[CONTRACT_KEY]))
        lookup(DTYPES, contract.dtype, "dtype")
        if not 1 <= contract.dimension <= MAX_DIMENSION:
            raise ValueError(f"a vector has 1 to {MAX_DIMENSION:,} numbers, not {contract.dimension:,}")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FileProblemError(path, f"its embedding contract is damaged: {excerpt(error, 200)}", _REMEDY) from error
    return contract


def _columns(contract: EmbeddingContract) -> dict[str, DataType]:
    """Return the columns of a file and their types."""
    import pyarrow as pa

    stored = DTYPES[contract.dtype]
    vector = pa.list_(pa.from_numpy_dtype(stored.code), stored.n_codes(contract.dimension))
    columns = {"id": pa.string(), "text_sha256": pa.string(), "vector": vector}
    return columns | ({"scale": pa.float32()} if stored.has_scales else {})


def _blocks(path: Path, file: ParquetFile, contract: EmbeddingContract) -> Iterator[tuple[NDArray[Any], Packed]]:
    """Yield keys and vectors, a block of rows at a time, checked against the contract."""
    columns, names = _columns(contract), file.schema_arrow.names
    del columns["id"]
    if "text_sha256" not in names and "text" in names:
        columns["text"] = columns.pop("text_sha256")
    if contract.dtype == "binary" and "scale" not in names:
        del columns["scale"]
    for name in columns:
        if names.count(name) != 1:
            raise FileProblemError(path, f"it needs one column {name!r}, and has {listing(names)}", _REMEDY)
    n_read = 0
    for batch in file.iter_batches(batch_size=_BLOCK_ROWS, columns=list(columns)):
        arrays = {name: _read_as(path, name, batch.column(name), kind) for name, kind in columns.items()}
        codes = arrays["vector"].flatten().to_numpy().reshape(-1, columns["vector"].list_size)
        scales = arrays["scale"].to_numpy() if "scale" in arrays else None
        packed = Packed(codes, scales, contract.dimension, contract.dtype)
        if flaw := first_flaw(packed, normalize=contract.normalize):
            raise FileProblemError(path, f"the vector of row {n_read + flaw[0] + 1:,} {flaw[1]}", _REMEDY)
        yield _keys(_checksums(path, arrays)), packed
        n_read += len(batch)


def _read_as(path: Path, name: str, column: Array, kind: DataType) -> Array:
    """Convert a column, where Arrow can, to the type that we write."""
    try:
        found = column.cast(kind)
    except (ValueError, TypeError, NotImplementedError) as error:  # Arrow's own words may quote a text
        problem = f"its column {name!r} holds {excerpt(column.type)}, which cannot be read as {kind}"
        raise FileProblemError(path, problem, _REMEDY) from error
    if found.null_count or (name == "vector" and found.flatten().null_count):
        raise FileProblemError(path, f"its column {name!r} has empty cells", _REMEDY)
    return found


def _checksums(path: Path, columns: Mapping[str, Array]) -> list[str]:
    """Return the checksums of the texts of a block."""
    if "text" in columns:
        return [_sha256(text) for text in columns["text"].to_pylist()]
    checksums: list[str] = columns["text_sha256"].to_pylist()
    if not all(map(_SHA256.fullmatch, checksums)):
        raise FileProblemError(path, "its column 'text_sha256' must hold 64 hexadecimal digits in each row", _REMEDY)
    return checksums


def _copied(
    blocks: Iterator[tuple[NDArray[Any], Packed]], contract: EmbeddingContract, scratch_dir: Path | None
) -> tuple[NDArray[Any], Packed]:
    """Copy vectors to a temporary file without a name, and map it into memory."""
    folder, stored = scratch_dir or tempfile.gettempdir(), DTYPES[contract.dtype]
    keys, scales = [_keys([])], []
    with _one_sentence(folder):
        scratch = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 # only its own errors are about writing
    with scratch:
        for block_keys, packed in blocks:
            keys.append(block_keys)
            scales += [] if packed.scales is None else [packed.scales]
            with _one_sentence(folder):
                scratch.write(packed.codes.tobytes())
                scratch.flush()
        shape = sum(map(len, keys)), stored.n_codes(contract.dimension)
        codes = np.memmap(scratch, stored.code, "r", shape=shape) if shape[0] else np.zeros(shape, stored.code)
    packed = Packed(codes, np.concatenate(scales) if scales else None, contract.dimension, contract.dtype)
    return np.concatenate(keys), packed


def _keys(checksums: Sequence[str]) -> NDArray[Any]:
    """Return what texts are found by: the first half of each checksum."""
    return np.array([bytes.fromhex(checksum)[: _KEY.itemsize] for checksum in checksums], dtype=_KEY)


def _sha256(text: str) -> str:
    """Return the checksum of a text, as hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@contextmanager
def _one_sentence(target: object) -> Iterator[None]:
    """Turn what the operating system says into an `OutputError`."""
    try:
        yield
    except OSError as error:
        remedy = "check the folder, its permissions and the free space"
        raise OutputError(target, f"it cannot be written ({error.strerror or error})", remedy) from error
