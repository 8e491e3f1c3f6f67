"""Files of vectors: what is written comes back, and whatever breaks its word is refused in one sentence."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import FakeEmbedder
from hypothesis import given, settings
from hypothesis import strategies as st
from places import scaled

from classifier.embedding import vectors_file
from classifier.embedding.contract import Embedder, Embeddings, HasState, MeasuresCoverage
from classifier.embedding.quantization import DTYPES, pack, rounded
from classifier.embedding.vectors_file import (
    CONTRACT_KEY,
    FORMAT_KEY,
    MAX_DIMENSION,
    ROW_GROUP_ROWS,
    VectorsFile,
    VectorsWriter,
    contract_metadata,
    read_contract,
)
from classifier.errors import (
    ContractMismatchError,
    EmbedderError,
    FileMissingError,
    FileProblemError,
    OutputError,
    UnknownNameError,
)

TEXTS = ["a letter from the bank", "", "two words", "ünïcode ☃", "lone \ud800 surrogate", "a\0b", " \n"]
FAKE = FakeEmbedder()
CONTRACT = FAKE.contract
DIMENSION = CONTRACT.dimension


def write(path: Path, texts: list[str] = TEXTS, dtype: str = "float32", ids: list[str] | None = None) -> Path:
    """Write the fake embedder's vectors of some texts."""
    with VectorsWriter(path, replace(CONTRACT, dtype=dtype)) as writer:
        writer.write(ids or [str(number) for number in range(len(texts))], texts, FAKE.encode(texts))
    return path


def sha256(text: str) -> str:
    """Return a checksum as other teams would make it."""
    return hashlib.sha256(text.encode()).hexdigest()


def foreign(path: Path, columns: dict[str, Any], dtype: str = "float32", **changes: Any) -> Path:
    """Write columns as a program without Arrow would: plain lists, and our metadata beside the schema."""
    table = pa.table(columns)
    with pq.ParquetWriter(path, table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(contract_metadata(replace(CONTRACT, dtype=dtype, **changes)))
    return path


def with_metadata(path: Path, metadata: dict[bytes, bytes]) -> Path:
    """Write a good file with other metadata."""
    table = pq.read_table(write(path)).replace_schema_metadata(metadata)
    pq.write_table(table, path)
    return path


def contract_json(**changes: Any) -> dict[bytes, bytes]:
    """Return metadata with a changed contract."""
    return {CONTRACT_KEY: json.dumps(CONTRACT.to_dict() | changes).encode(), FORMAT_KEY: b"1"}


def refused(path: Path, problem: str) -> FileProblemError:
    """Open a file that must be refused, in one sentence that names it and holds no text of it."""
    with pytest.raises(FileProblemError, match=problem) as caught:
        VectorsFile(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < 700
    assert "letter" not in message
    return caught.value


@pytest.mark.parametrize("dtype", DTYPES)
def test_vectors_come_back_rounded(tmp_path: Path, dtype: str) -> None:
    """Whatever the order they are asked for, texts get the vectors of their embedder, rounded to the dtype."""
    with VectorsFile(write(tmp_path / "v.parquet", dtype=dtype)) as vectors:
        wanted = [*TEXTS[::-1], TEXTS[2]]
        assert np.array_equal(vectors.encode(wanted), rounded(FAKE.encode(wanted), dtype))
        assert vectors.encode([]).shape == (0, DIMENSION)
        assert vectors.contract == replace(CONTRACT, dtype=dtype) == read_contract(tmp_path / "v.parquet")
        assert vectors.n_vectors == len(TEXTS)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(deadline=None, max_examples=25)
@given(
    texts=st.lists(st.text(st.characters(), max_size=8), max_size=30),
    dimension=st.integers(1, 20),
    block=st.integers(1, 10),
)
def test_any_texts_come_back(dtype: str, texts: list[str], dimension: int, block: int) -> None:
    """No string and no length of a vector is too strange, however the rows were cut into blocks."""
    fake = FakeEmbedder(dimension)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors_file, "ROW_GROUP_ROWS", 7)
        path = Path(folder) / "v.parquet"
        with VectorsWriter(path, replace(fake.contract, dtype=dtype)) as writer:
            for start in range(0, len(texts), block):
                part = texts[start : start + block]
                writer.write(part, part, fake.encode(part))
        with VectorsFile(path) as vectors:
            assert vectors.n_vectors == len(texts)
            assert np.array_equal(vectors.encode(texts), rounded(fake.encode(texts), dtype))


def test_a_file_of_vectors_is_an_embedder(tmp_path: Path) -> None:
    """It keeps the protocol, and claims neither coverage nor state."""
    with VectorsFile(write(tmp_path / "v.parquet")) as vectors:
        embedder: Embedder = vectors
        assert embedder.encode(TEXTS, progress=True).dtype == np.float32
        assert not isinstance(vectors, MeasuresCoverage)
        assert not isinstance(vectors, HasState)


@pytest.mark.parametrize("dtype", DTYPES)
def test_columns_are_what_other_programs_expect(tmp_path: Path, dtype: str) -> None:
    """Plain types, no text, the contract as JSON, and a scale only where there is one."""
    table = pq.read_table(write(tmp_path / "v.parquet", dtype=dtype))
    packed = pack(FAKE.encode(TEXTS), dtype)
    assert table.column_names == ["id", "text_sha256", "vector", *(["scale"] if packed.scales is not None else [])]
    assert table.schema.field("vector").type == pa.list_(pa.from_numpy_dtype(packed.codes.dtype), packed.codes.shape[1])
    assert np.array_equal(np.stack(table["vector"].to_numpy()), packed.codes)
    assert table["text_sha256"][0].as_py() == sha256(TEXTS[0])
    assert json.loads(table.schema.metadata[b"classifier.embedding_contract"]) == CONTRACT.to_dict() | {"dtype": dtype}
    assert table.schema.metadata[b"classifier.vectors_format"] == b"1"
    assert b"letter" not in (tmp_path / "v.parquet").read_bytes()


def test_ids_with_lone_surrogates_are_escaped(tmp_path: Path) -> None:
    """Parquet holds UTF-8 alone; what is not goes in as its escape."""
    path = write(tmp_path / "v.parquet", ["a", "b"], ids=["x\udcff", "é"])
    assert pq.read_table(path)["id"].to_pylist() == ["x\\udcff", "é"]


@pytest.mark.parametrize("dtype", ["int8", "binary"])
def test_small_dtypes_make_small_files(tmp_path: Path, dtype: str) -> None:
    """Parquet has no type of one byte of its own: without a dictionary, codes would take four."""
    embeddings = np.random.default_rng(0).standard_normal((5000, 384)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    texts = [str(number) for number in range(len(embeddings))]
    with VectorsWriter(tmp_path / "v.parquet", replace(CONTRACT, dimension=384, dtype=dtype)) as writer:
        writer.write(texts, texts, embeddings)
    n_code_bytes = 384 if dtype == "int8" else 48
    assert (tmp_path / "v.parquet").stat().st_size < 5000 * (n_code_bytes * 1.05 + 45)


def test_rows_are_grouped_by_the_ten_thousand(tmp_path: Path) -> None:
    """Small blocks gather, a large one is cut."""
    contract = replace(CONTRACT, dimension=1, normalize=False)
    with VectorsWriter(tmp_path / "v.parquet", contract) as writer:
        for n_rows in (*[4000] * 4, 45_000):
            texts = [""] * n_rows
            writer.write(texts, texts, np.zeros((n_rows, 1), np.float32))
    file = pq.ParquetFile(tmp_path / "v.parquet")
    sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert sum(sizes) == 61_000
    assert max(sizes) <= 2 * ROW_GROUP_ROWS
    assert sizes[0] == 12_000


@pytest.mark.parametrize(("n_rows", "sizes"), [(0, []), (ROW_GROUP_ROWS, [ROW_GROUP_ROWS])])
def test_no_group_is_empty(tmp_path: Path, n_rows: int, sizes: list[int]) -> None:
    """Nothing is written where nothing is left to write."""
    texts = [""] * n_rows
    with VectorsWriter(tmp_path / "v.parquet", replace(CONTRACT, dimension=1, normalize=False)) as writer:
        writer.write(texts, texts, np.zeros((n_rows, 1), np.float32))
        writer.write([], [], np.zeros((0, 1), np.float32))
    metadata = pq.ParquetFile(tmp_path / "v.parquet").metadata
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == sizes


def test_empty_groups_of_others_are_read(tmp_path: Path) -> None:
    """Some programs write groups without rows."""
    with pq.ParquetWriter(tmp_path / "v.parquet", pa.table(good_columns()).schema) as writer:
        for n_rows in (0, 2, 0):
            writer.write_table(pa.table(good_columns())[:n_rows])
        writer.add_key_value_metadata(contract_metadata(CONTRACT))
    with VectorsFile(tmp_path / "v.parquet") as vectors:
        assert np.array_equal(vectors.encode(["b", "a"]), FAKE.encode(["b", "a"]))


def blocks(n_rows: int, dimension: int) -> Iterator[tuple[list[str], Embeddings]]:
    """Make texts and vectors, a block at a time."""
    rng = np.random.default_rng(0)
    for start in range(0, n_rows, 1000):
        vectors = rng.standard_normal((1000, dimension)).astype(np.float32)
        texts = [f"text {number}" for number in range(start, start + 1000)]
        yield texts, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def arrow_bytes(path: Path) -> int:
    """Open a file of vectors in a fresh interpreter, and return the most that Arrow took."""
    code = (
        "import sys, pathlib, pyarrow\n"
        "from classifier.embedding.vectors_file import VectorsFile\n"
        "VectorsFile(pathlib.Path(sys.argv[1]))\n"
        "print(pyarrow.default_memory_pool().max_memory())\n"
    )
    return int(subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True).stdout)


def test_memory_is_bounded_both_ways(tmp_path: Path) -> None:
    """Of 50,000 vectors, writing holds a few blocks, and reading a few blocks and some bytes for each vector."""
    n_rows, dimension = 50_000, 32
    n_vectors_bytes = n_rows * dimension * 4
    write(tmp_path / "warm.parquet")
    VectorsFile(tmp_path / "warm.parquet").close()
    arrow_written = []
    tracemalloc.start()
    with VectorsWriter(tmp_path / "v.parquet", replace(CONTRACT, dimension=dimension)) as writer:
        for texts, embeddings in blocks(n_rows, dimension):
            writer.write(texts, texts, embeddings)
            arrow_written.append(pa.total_allocated_bytes())
    written = tracemalloc.get_traced_memory()[1]
    del texts, embeddings
    tracemalloc.reset_peak()
    with VectorsFile(tmp_path / "v.parquet") as vectors:
        kept, read = tracemalloc.get_traced_memory()
        assert vectors.n_vectors == n_rows
    tracemalloc.stop()
    assert written < n_vectors_bytes / 2
    assert max(arrow_written[25:]) <= max(arrow_written[:25]) + n_vectors_bytes / 20
    assert kept < 40 * n_rows
    assert read < 100 * n_rows
    assert arrow_bytes(tmp_path / "v.parquet") < n_vectors_bytes


def test_the_temporary_file_goes(tmp_path: Path) -> None:
    """It has no name while it is there, and takes no room once it is closed."""
    scratch, maps = tmp_path / "scratch", Path("/proc/self/maps")
    scratch.mkdir()
    vectors = VectorsFile(write(tmp_path / "v.parquet"), scratch_dir=scratch)
    assert vectors.encode(TEXTS).shape == (len(TEXTS), DIMENSION)
    if maps.exists():
        assert list(scratch.iterdir()) == []
        assert str(scratch) in maps.read_text()
    vectors.close()
    vectors.close()
    assert list(scratch.iterdir()) == []
    assert not maps.exists() or str(scratch) not in maps.read_text()
    with pytest.raises(ValueError, match="is closed"):
        vectors.encode(["two words"])
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["scratch", "v.parquet"]


def test_a_scratch_folder_that_is_missing_is_an_output_error(tmp_path: Path) -> None:
    """The folder is named."""
    with pytest.raises(OutputError, match="nowhere: it cannot be written"):
        VectorsFile(write(tmp_path / "v.parquet"), scratch_dir=tmp_path / "nowhere")


def test_texts_without_vectors_are_counted_not_quoted(tmp_path: Path) -> None:
    """How many, of how many, and where the first is; never what it says."""
    with VectorsFile(write(tmp_path / "v.parquet", ["a", "b"])) as vectors, pytest.raises(EmbedderError) as caught:
        vectors.encode(["a", "", "a secret", "b", "another secret"])
    message = str(caught.value)
    assert message.startswith(
        f"2 of 5 texts have no vector in {tmp_path / 'v.parquet'}, the first of them at position 3;"
    )
    assert message.endswith("embed the texts again with: classifier embed.")
    assert "secret" not in message


def test_blank_texts_need_no_row(tmp_path: Path) -> None:
    """What has nothing to read has a vector of zeros; in the file or not."""
    with VectorsFile(write(tmp_path / "v.parquet", ["a"])) as vectors:
        assert np.array_equal(vectors.encode(["", "a", " \t\n"]), FAKE.encode(["", "a", " \t\n"]))
    with VectorsFile(write(tmp_path / "none.parquet", [])) as nothing:
        assert not nothing.encode(["", " "]).any()
        with pytest.raises(EmbedderError, match="1 of 1 texts"):
            nothing.encode(["a"])


def test_another_contract_is_refused_by_name(tmp_path: Path) -> None:
    """Each field that differs is named, the dtype too."""
    with VectorsFile(write(tmp_path / "v.parquet", dtype="int8")) as vectors:
        other = replace(CONTRACT, pooling="cls")
        with pytest.raises(ContractMismatchError) as caught:
            other.require_same(vectors.contract)
        assert caught.value.fields == ("pooling", "dtype")
        replace(CONTRACT, dtype="int8").require_same(vectors.contract)


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_texts_may_come_twice(tmp_path: Path, dtype: str) -> None:
    """An encoder's own rounding does not matter, and the first vector is taken; another vector is refused."""
    texts = ["a", "b", "a", "c", "a"]
    embeddings = FAKE.encode(texts)
    embeddings[2] += np.float32(1e-7)
    contract = replace(CONTRACT, dtype=dtype)
    path = tmp_path / "v.parquet"
    with VectorsWriter(path, contract) as writer:
        writer.write(texts, texts, embeddings)
    with VectorsFile(path) as vectors:
        assert np.array_equal(vectors.encode(["a"]), rounded(embeddings[:1], dtype))
    embeddings[4] = embeddings[1]
    with VectorsWriter(path, contract) as writer:
        writer.write(texts, texts, embeddings)
    refused(path, "rows 1 and 5 have the same text and different vectors")


def test_many_equal_texts_are_compared_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A difference is found however far behind."""
    monkeypatch.setattr(vectors_file, "_BLOCK_ROWS", 3)
    embeddings = np.repeat(FAKE.encode(["a"]), 20, axis=0)
    embeddings[18] *= -1
    with VectorsWriter(tmp_path / "v.parquet", CONTRACT) as writer:
        writer.write(["x"] * 20, ["a"] * 20, embeddings)
    refused(tmp_path / "v.parquet", "rows 1 and 19 have the same text")


def test_a_writer_takes_only_what_fits(tmp_path: Path) -> None:
    """Rows that do not go together, numbers that are none, and unknown dtypes leave no file."""
    with (
        pytest.raises(ValueError, match="2 ids, 1 texts"),
        VectorsWriter(tmp_path / "v.parquet", CONTRACT) as writer,
    ):
        writer.write(["1", "2"], ["a"], FAKE.encode(["a"]))
    with pytest.raises(ValueError, match=r"shape \(1, 3\)"), VectorsWriter(tmp_path / "v.parquet", CONTRACT) as writer:
        writer.write(["1"], ["a"], np.zeros((1, 3), np.float32))
    with pytest.raises(EmbedderError, match="finite"), VectorsWriter(tmp_path / "v.parquet", CONTRACT) as writer:
        writer.write(["1"], ["a"], np.full((1, DIMENSION), np.nan, np.float32))
    with pytest.raises(UnknownNameError, match="float16"):
        VectorsWriter(tmp_path / "v.parquet", replace(CONTRACT, dtype="float8"))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_file_does_not_appear(tmp_path: Path) -> None:
    """The earlier file stays as it was, and nothing lies beside it."""
    path = write(tmp_path / "v.parquet", ["before"])
    before = path.read_bytes()

    def interrupted() -> None:
        with VectorsWriter(path, CONTRACT) as writer:
            writer.write(["1"], ["a"], FAKE.encode(["a"]))
            assert [entry.name.startswith(".") for entry in sorted(tmp_path.iterdir())] == [True, False]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_replaced_file_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    """Writing through a link changes what it points to."""
    real, link = write(tmp_path / "real.parquet", ["a"]), tmp_path / "link.parquet"
    real.chmod(0o640)
    link.symlink_to(real)
    write(link, ["b"])
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    with VectorsFile(real) as vectors:
        assert vectors.encode(["b"]).any()


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("nowhere/v.parquet", os.strerror(errno.ENOENT)),
        ("", "it is not a regular file"),
        ("/dev/full", "it is not a regular file"),
        ("file/v.parquet", os.strerror(errno.ENOTDIR)),
        ("x" * 300, os.strerror(errno.ENAMETOOLONG)),
    ],
)
def test_a_target_that_cannot_be_written_leaves_nothing(tmp_path: Path, target: str, why: str) -> None:
    """A missing folder, a folder, a device, a file for a folder and an endless name are each one sentence."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="it cannot be written") as caught, VectorsWriter(tmp_path / target, CONTRACT):
        pass
    assert why in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("missing", [1, 40, 5000, 60_000])
def test_a_full_disk_leaves_nothing(tmp_path: Path, missing: int) -> None:
    """A real write that stops at any length, also at the last byte, is an error with its cause."""
    resource = pytest.importorskip("resource")
    texts = [f"text {number}" for number in range(1000)]
    size = write(tmp_path / "whole.parquet", texts).stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size - missing, hard))
    try:
        with pytest.raises(OutputError) as caught:
            write(tmp_path / "v.parquet", texts)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.strerror(errno.EFBIG) in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["whole.parquet"]


def test_a_full_disk_under_the_temporary_file_is_said(tmp_path: Path) -> None:
    """The folder without room is named, not the file that was read."""
    resource = pytest.importorskip("resource")
    path = write(tmp_path / "v.parquet", [f"text {number}" for number in range(1000)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OutputError) as caught:
            VectorsFile(path, scratch_dir=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value).startswith(f"{tmp_path}: it cannot be written ({os.strerror(errno.EFBIG)})")
    assert list(tmp_path.iterdir()) == [path]


LISTS: dict[str, Callable[[pa.DataType], pa.DataType]] = {
    "list": pa.list_,
    "large list": pa.large_list,
    "fixed list": lambda kind: pa.list_(kind, DIMENSION),
}


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
@pytest.mark.parametrize("lists", LISTS)
@pytest.mark.parametrize("strings", [pa.string(), pa.large_string()])
def test_files_of_other_teams_are_read(tmp_path: Path, kind: pa.DataType, lists: str, strings: pa.DataType) -> None:
    """Lists of any kind, double precision and upper-case checksums are fine, in any order of columns, without ids."""
    texts = ["a", "b", "☃"]
    columns = {
        "made on": ["today"] * 3,
        "vector": pa.array(FAKE.encode(texts).tolist(), LISTS[lists](kind)),
        "text_sha256": pa.array([sha256(text).upper() for text in texts], strings),
    }
    with VectorsFile(foreign(tmp_path / "v.parquet", columns)) as vectors:
        assert np.array_equal(vectors.encode(texts[::-1]), FAKE.encode(texts[::-1]))


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_half_precision_may_be_written_wider(tmp_path: Path, kind: pa.DataType) -> None:
    """Many programs know no half precision; their numbers are rounded to it."""
    codes = pack(FAKE.encode(["a", "b"]), "float16").codes
    columns = {"text": ["a", "b"], "vector": pa.array(list(codes.astype(kind.to_pandas_dtype())), pa.list_(kind))}
    with VectorsFile(foreign(tmp_path / "v.parquet", columns, "float16")) as vectors:
        assert np.array_equal(vectors.encode(["a", "b"]), rounded(FAKE.encode(["a", "b"]), "float16"))


@pytest.mark.parametrize("dtype", ["int8", "binary"])
@pytest.mark.parametrize("kind", [pa.int16(), pa.int64()])
def test_codes_may_be_written_as_wider_integers(tmp_path: Path, dtype: str, kind: pa.DataType) -> None:
    """Codes count by value; vectors of signs need no scale."""
    packed = pack(FAKE.encode(["a", "b"]), dtype)
    columns = {"text": ["a", "b"], "vector": pa.array(packed.codes.tolist(), pa.list_(kind))}
    if dtype == "int8":
        columns["scale"] = pa.array(packed.scales.astype(np.float64))
    with VectorsFile(foreign(tmp_path / "v.parquet", columns, dtype)) as vectors:
        assert np.array_equal(vectors.encode(["b", "a"]), rounded(FAKE.encode(["b", "a"]), dtype))


def test_a_file_by_pandas_is_read(tmp_path: Path) -> None:
    """A data frame with texts and lists, and the metadata added by hand."""
    frame = pd.DataFrame({"text": ["a", "b", "a"], "vector": FAKE.encode(["a", "b", "a"]).astype(float).tolist()})
    table = pa.Table.from_pandas(frame)
    assert table.schema.field("vector").type.value_type == pa.float64()
    metadata = {b"classifier.embedding_contract": json.dumps(CONTRACT.to_dict())}
    pq.write_table(table.replace_schema_metadata(table.schema.metadata | metadata), tmp_path / "v.parquet")
    with VectorsFile(tmp_path / "v.parquet") as vectors:
        assert vectors.n_vectors == 3
        assert np.array_equal(vectors.encode(["b", "a"]), FAKE.encode(["b", "a"]))


def test_a_category_of_texts_is_read(tmp_path: Path) -> None:
    """Repeated texts are often stored once."""
    columns = {"text": pa.array(["a", "b", "a"]).dictionary_encode(), "vector": FAKE.encode(["a", "b", "a"]).tolist()}
    path = tmp_path / "v.parquet"
    pq.write_table(pa.table(columns).replace_schema_metadata(contract_metadata(CONTRACT)), path)
    with VectorsFile(path) as vectors:
        assert np.array_equal(vectors.encode(["b"]), FAKE.encode(["b"]))


def good_columns() -> dict[str, Any]:
    """Return the columns of two texts."""
    return {"text_sha256": [sha256("a"), sha256("b")], "vector": FAKE.encode(["a", "b"]).tolist()}


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        ("vector", None, "it needs one column 'vector', and has 'text_sha256'"),
        ("text_sha256", None, "it needs one column 'text_sha256', and has 'vector'"),
        ("vector", [[1.0], [1.0, 0.0]], "'vector' holds 'list<element: double>', which cannot be read as fixed_size"),
        ("vector", [[1.0] * 17] * 2, "'vector' holds .*cannot be read"),
        ("vector", [0.5, 0.5], "'vector' holds 'double', which"),
        ("vector", ["my letter", "b"], "'vector' holds 'string', which"),
        ("vector", [["my letter"] * 16, ["b"] * 16], "'vector' holds 'list<element: string>', which"),
        ("vector", [{"a": 1}, {"a": 2}], "'vector' holds 'struct"),
        ("vector", [None, [1.0] + [0.0] * 15], "'vector' has empty cells"),
        ("vector", [[None] + [0.0] * 15] * 2, "'vector' has empty cells"),
        ("vector", [[1.0] + [0.0] * 15, [0.0, np.nan] + [0.0] * 14], "vector of row 2 holds a number that is not fin"),
        ("vector", [[1.0] + [0.0] * 15, [1e300] + [0.0] * 15], "vector of row 2 holds a number that is not finite"),
        ("vector", [[1.0] + [0.0] * 15, [1e30] + [0.0] * 15], "vector of row 2 is not of unit length"),
        ("vector", [[1.02] + [0.0] * 15] * 2, "vector of row 1 is not of unit length"),
        ("text_sha256", ["ab", "cd"], "'text_sha256' must hold 64 hexadecimal digits"),
        ("text_sha256", ["g" * 64] * 2, "'text_sha256' must hold"),
        ("text_sha256", ["1" * 64 + "\n", "2" * 64], "'text_sha256' must hold"),
        ("text_sha256", [None, "1" * 64], "'text_sha256' has empty cells"),
        ("text_sha256", [["a"], ["b"]], "'text_sha256' holds 'list"),
        ("text_sha256", [b"\xff", b"a"], "'text_sha256' holds 'binary', which"),
    ],
)
def test_columns_that_do_not_fit_are_refused(tmp_path: Path, name: str, values: Any, problem: str) -> None:
    """Each is named, with what it holds."""
    columns = {key: value for key, value in (good_columns() | {name: values}).items() if value is not None}
    refused(foreign(tmp_path / "v.parquet", columns), problem)


@pytest.mark.parametrize(
    ("dtype", "codes", "scales", "problem"),
    [
        ("int8", [[300] * 16], [0.1], "'vector' holds 'list<element: int64>', which cannot be read"),
        ("int8", [[0.5] * 16], [0.1], "'vector' holds 'list<element: double>', which cannot be read"),
        ("int8", [[127] * 16], None, "it needs one column 'scale'"),
        ("int8", [[127] + [0] * 15], [None], "'scale' has empty cells"),
        ("int8", [[127] + [0] * 15], ["a letter"], "'scale' holds 'string'"),
        ("int8", [[127] + [0] * 15], [float("nan")], "row 1 holds a number that is not finite"),
        ("int8", [[127] + [0] * 15], [3e38], "row 1 holds a number that is not finite"),
        ("int8", [[127] + [0] * 15], [-1 / 127], "row 1 has a negative scale"),
        ("int8", [[127] * 16], [1 / 127], "row 1 is not of unit length"),
        ("binary", [[255] * 16], [1.0], "'vector' holds .* which cannot be read as fixed_size_list<item: uint8>"),
        ("binary", [[-1, 3]], None, "'vector' holds .* which cannot be read"),
        ("binary", [[255, 3]], [0.25], "row 1 is not of unit length"),
        ("float16", [[1e5] + [0.0] * 15], None, "row 1 holds a number that is not finite"),
    ],
)
def test_codes_that_do_not_fit_are_refused(tmp_path: Path, dtype: str, codes: Any, scales: Any, problem: str) -> None:
    """Codes out of range, missing or senseless scales, and lengths of another dtype."""
    columns = {"text": ["x"], "vector": codes} | ({} if scales is None else {"scale": scales})
    refused(foreign(tmp_path / "v.parquet", columns, dtype), problem)


def test_length_matters_only_where_it_was_promised(tmp_path: Path) -> None:
    """A contract without unit length takes vectors of any; with it, a little less and zeros are allowed."""
    columns = {"text": ["a", "b"], "vector": [[3.0] * 16, [0.0] * 16]}
    with VectorsFile(foreign(tmp_path / "v.parquet", columns, normalize=False)) as vectors:
        assert vectors.encode(["b", "a"]).sum(axis=1).tolist() == [0, 48]
    columns["vector"] = [[0.995] + [0.0] * 15, [0.0] * 16]
    with VectorsFile(foreign(tmp_path / "v.parquet", columns)) as vectors:
        assert vectors.encode(["b"]).sum() == 0


def test_a_repeated_column_is_refused(tmp_path: Path) -> None:
    """Nobody knows which of two is meant."""
    arrays = [pa.array(["a"]), pa.array([[1.0] + [0.0] * 15]), pa.array([[1.0] + [0.0] * 15])]
    table = pa.Table.from_arrays(arrays, names=["text", "vector", "vector"])
    pq.write_table(table.replace_schema_metadata(contract_metadata(CONTRACT)), tmp_path / "v.parquet")
    refused(tmp_path / "v.parquet", "it needs one column 'vector'")


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({}, "it holds no embedding contract"),
        ({FORMAT_KEY: b"1"}, "it holds no embedding contract"),
        (contract_json() | {FORMAT_KEY: b"2"}, "its format is '2', and this version reads 1; update the classifier"),
        (contract_json() | {FORMAT_KEY: b"\xff" * 5000}, "its format is '"),
        ({CONTRACT_KEY: b""}, "contract is damaged"),
        ({CONTRACT_KEY: b"\xff\xfe"}, "contract is damaged"),
        ({CONTRACT_KEY: b"[" * 100_000}, "contract is damaged"),
        ({CONTRACT_KEY: b"[]"}, "contract is damaged"),
        ({CONTRACT_KEY: b"null"}, "contract is damaged"),
        ({CONTRACT_KEY: b"1" * 5000}, "contract is damaged"),
        ({CONTRACT_KEY: b"{}"}, 'contract is damaged: "a contract has the fields'),
        (contract_json(**{"x" * 5000: 1}), "contract is damaged"),
        (contract_json(dimension="16"), "the contract's dimension is not int"),
        (contract_json(dimension=0), "a vector has 1 to 65,536 numbers, not 0"),
        (contract_json(dimension=-16), "a vector has 1 to"),
        (contract_json(dimension=MAX_DIMENSION + 1), "a vector has 1 to"),
        (contract_json(dimension=10**4000), "a vector has 1 to"),
        (contract_json(dtype="float64"), "There is no dtype 'float64'"),
        (contract_json(dtype="fp16"), "There is no dtype 'fp16'"),
        ({CONTRACT_KEY: b" " * (1 << 25)}, "it is no Parquet file, or a damaged one"),
    ],
)
def test_contracts_that_make_no_sense_are_refused(tmp_path: Path, metadata: dict[bytes, bytes], problem: str) -> None:
    """Missing, newer, damaged, hostile and endless metadata: reading the contract alone says the same sentence."""
    path = with_metadata(tmp_path / "v.parquet", metadata)
    found = refused(path, problem)
    with pytest.raises(FileProblemError) as caught:
        read_contract(path)
    assert str(caught.value) == str(found)


def test_the_contract_is_read_without_the_vectors(tmp_path: Path) -> None:
    """Vectors that would be refused do not matter yet."""
    path = foreign(tmp_path / "v.parquet", {"vector": ["nothing like it"]})
    assert read_contract(path) == CONTRACT


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    """Nothing, anything, half a file and a footer that lies."""
    whole = write(tmp_path / "whole.parquet").read_bytes()
    path = tmp_path / "v.parquet"
    lying = whole[:-8] + struct.pack("<I", 0x7FFFFFFF) + b"PAR1"
    for content in (
        b"",
        b"PAR1",
        b"PAR1PAR1",
        b"id,vector\n1,2\n",
        bytes(100),
        whole[:-1],
        whole[: len(whole) // 2],
        lying,
    ):
        path.write_bytes(content)
        refused(path, "it is no Parquet file, or a damaged one")
    path.write_bytes(b"PAR1" + bytes(20) + struct.pack("<I", 20) + b"PAR1")
    refused(path, "it")


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    """Also a pipe, which would keep its reader waiting."""
    with pytest.raises(FileMissingError):
        VectorsFile(tmp_path / "nowhere.parquet")
    with pytest.raises(FileMissingError):
        read_contract(tmp_path / "nowhere.parquet")
    refused(tmp_path / ("x" * 300), os.strerror(errno.ENAMETOOLONG))
    refused(tmp_path, "it is not a file")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "it is not a file")


@settings(deadline=None, max_examples=scaled(40, 200))
@given(data=st.data())
def test_a_damaged_file_is_never_believed(data: st.DataObject) -> None:
    """One changed byte anywhere is refused in one sentence, or changes nothing that is read."""
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "v.parquet", ["a", "b"], dtype=data.draw(st.sampled_from(list(DTYPES))))
        content = bytearray(path.read_bytes())
        with VectorsFile(path) as vectors:
            contract, expected = vectors.contract, vectors.encode(["a", "b"])
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
        try:
            with VectorsFile(path) as vectors:
                found = vectors.encode(["a", "b"]) if vectors.contract == contract else expected
        except (FileProblemError, EmbedderError):
            found = expected
        assert np.array_equal(found, expected)


def test_importing_is_light() -> None:
    """Parquet is loaded when a file is opened, not before."""
    code = "import sys, classifier.embedding.vectors_file; print({'pyarrow', 'pandas', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
