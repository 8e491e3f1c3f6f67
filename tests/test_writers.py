"""Writing: input columns come out unchanged, and a file appears whole or not at all."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classifier.datamodels import Rejection
from classifier.errors import OutputError, UnknownNameError
from classifier.prediction.writers import WRITERS, RejectionsFile, open_writer
from classifier.reading.documents import Row, Table, open_table

ADDED = [("predicted_label", str), ("confidence", float), ("status", str)]
ANSWER = ("späm", 0.1, "ok")


def write(folder: Path, name: str, content: str) -> Path:
    """Write a file byte for byte."""
    path = folder / name
    path.write_bytes(content.encode())
    return path


def rows_of(table: Table) -> list[Row]:
    """Return the readable rows."""
    return [row for row in table.rows() if isinstance(row, Row)]


def copy(table: Table, target: Any, format_: str) -> None:
    """Write every row of a table with the same answer."""
    with open_writer(target, format_, table, ADDED) as writer:
        for row in rows_of(table):
            writer.write(row, ANSWER)


def write_and_stop(writer: Any, *what: Any) -> None:
    """Write once and be interrupted."""
    writer.write(*what)
    raise KeyboardInterrupt


def test_csv_to_csv_keeps_cells_and_delimiter(tmp_path: Path) -> None:
    """Every cell is quoted, and its line ends, spaces, zeros and leading = stay."""
    source = write(tmp_path, "a.csv", 'text;n\r\n"a\r\nb ""c""";007\r\n=1+1; x \r\n')
    copy(open_table(source), tmp_path / "out.csv", "csv")
    assert (tmp_path / "out.csv").read_bytes().decode() == (
        '"text";"n";"predicted_label";"confidence";"status"\n'
        '"a\r\nb ""c""";"007";"späm";"0.1";"ok"\n'
        '"=1+1";" x ";"späm";"0.1";"ok"\n'
    )


def test_jsonl_to_jsonl_keeps_every_byte_of_a_line(tmp_path: Path) -> None:
    """Keys are added before the last brace; spaces, escapes and numbers stay as they were."""
    lines = ['{"n":1.10,  "text" : "\\u00e9}"}', "{ }", ' {"text": {"a": {}}} \t', '{"text": "{"}']
    copy(open_table(write(tmp_path, "a.jsonl", "\n".join(lines))), tmp_path / "out.jsonl", "jsonl")
    added = '"predicted_label": "späm", "confidence": 0.1, "status": "ok"'
    written = (tmp_path / "out.jsonl").read_bytes().decode().split("\n")
    assert written == [
        f'{{"n":1.10,  "text" : "\\u00e9}}", {added}}}',
        f"{{ {added}}}",
        f' {{"text": {{"a": {{}}}}, {added}}} \t',
        f'{{"text": "{{", {added}}}',
        "",
    ]
    assert all(json.loads(line)["status"] == "ok" for line in written[:-1])


def odd_parquet(folder: Path) -> tuple[Path, pa.Table]:
    """Write a file with the types that are easily spoiled."""
    zoned = pa.timestamp("ns", "UTC")
    day = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.UTC)
    table = pa.table(
        {
            "text": pa.array(["a", None, ""], pa.large_string()),
            "int8": pa.array([1, None, -1], pa.int8()),
            "float32": pa.array([0.1, None, 1e-30], pa.float32()),
            "when": pa.array([1, None, 1_700_000_000_123_456_789], zoned),
            "time": pa.array([1, None, 2], pa.time64("ns")),
            "date": pa.array([day.date(), None, day.date()]),
            "decimal": pa.array([decimal.Decimal("1.10"), None, decimal.Decimal("0.00")]),
            "bytes": pa.array([b"\xff", None, b""]),
            "nested": pa.array(
                [[{"a": 1, "b": "x"}], None, []], pa.list_(pa.struct({"a": pa.int8(), "b": pa.string()}))
            ),
            "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
            "category": pa.array(["p", None, "q"], pa.dictionary(pa.int32(), pa.string())),
            "flag": pa.array([True, None, False]),
            "nothing": pa.nulls(3),
            "not a number": pa.array([1.0, None, float("nan")]),
        },
        metadata={"made by": "a test"},
    )
    path = folder / "odd.parquet"
    pq.write_table(table, path)
    return path, table


def test_parquet_to_parquet_keeps_types_values_and_nulls(tmp_path: Path) -> None:
    """Nanoseconds, decimals, nested values and metadata come through."""
    source, before = odd_parquet(tmp_path)
    copy(open_table(source), tmp_path / "out.parquet", "parquet")
    after = pq.read_table(tmp_path / "out.parquet")
    assert after.schema.names == [*before.schema.names, *(name for name, _ in ADDED)]
    comparable = before.column_names[:-1]
    assert after.select(comparable).equals(pq.read_table(source).select(comparable), check_metadata=True)
    assert str(after["not a number"]) == str(before["not a number"])
    assert after.schema.metadata[b"made by"] == b"a test"
    assert after.schema.field("confidence").type == pa.float64()
    assert after["predicted_label"].to_pylist() == ["späm"] * 3


def test_parquet_to_text_writes_literals(tmp_path: Path) -> None:
    """CSV and JSON show typed values in their own notation, and nulls as nothing."""
    source, _ = odd_parquet(tmp_path)
    table = open_table(source)
    copy(table, tmp_path / "out.csv", "csv")
    copy(table, tmp_path / "out.jsonl", "jsonl")
    first, second, _ = rows_of(open_table(tmp_path / "out.csv"))
    cells = dict(zip(open_table(tmp_path / "out.csv").columns, first.cells, strict=True))
    assert (cells["int8"], cells["flag"], cells["decimal"], cells["date"]) == ("1", "true", "1.10", "2024-05-01")
    assert cells["nested"] == '[{"a": 1, "b": "x"}]'
    assert set(second.cells[:14]) == {""}
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[0]["nested"] == [{"a": 1, "b": "x"}]
    assert lines[0]["category"] == "p"
    assert lines[1] == dict.fromkeys(table.columns) | dict(zip([name for name, _ in ADDED], ANSWER, strict=True))
    assert lines[2]["not a number"] is None


def test_jsonl_to_others_keeps_literals_and_nulls(tmp_path: Path) -> None:
    """1.10 does not become 1.1, and a null stays null where the format has one."""
    source = write(tmp_path, "a.jsonl", '{"text": "a", "n": 1.10, "l": [1e5, "x"]}\n{"text": null}\n')
    table = open_table(source)
    copy(table, tmp_path / "out.csv", "csv")
    copy(table, tmp_path / "out.parquet", "parquet")
    assert [row.cells[:3] for row in rows_of(open_table(tmp_path / "out.csv"))] == [
        ("a", "1.10", '[1e5, "x"]'),
        ("", "", ""),
    ]
    assert pq.read_table(tmp_path / "out.parquet").to_pylist()[1]["text"] is None
    assert pq.read_table(tmp_path / "out.parquet").to_pylist()[0]["n"] == "1.10"


def test_a_folder_can_be_written_too(tmp_path: Path) -> None:
    """A folder has no lines of its own, so objects are made from its columns."""
    (tmp_path / "in").mkdir()
    write(tmp_path, "in/a.txt", "words")
    copy(open_table(tmp_path / "in"), tmp_path / "out.jsonl", "jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))["id"] == "a.txt"


def test_standard_output_takes_text_formats(tmp_path: Path) -> None:
    """UTF-8 goes out whatever the stream's own encoding; Parquet is refused."""
    table = open_table(write(tmp_path, "a.csv", "text\nzwölf\n"))
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    copy(table, stream, "csv")
    assert raw.getvalue().decode().endswith('"zwölf","späm","0.1","ok"\n')
    text = io.StringIO()
    copy(table, text, "jsonl")
    assert json.loads(text.getvalue())["text"] == "zwölf"
    with pytest.raises(OutputError, match="standard output: Parquet cannot be written there"):
        copy(table, io.StringIO(), "parquet")


@pytest.mark.parametrize("format_", WRITERS)
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path, format_: str) -> None:
    """An interrupted run changes nothing that can be seen."""
    table = open_table(write(tmp_path, "a.csv", "text\na\nb\n"))
    target = write(tmp_path, "out", "old")
    with pytest.raises(KeyboardInterrupt), open_writer(target, format_, table, ADDED) as writer:
        write_and_stop(writer, rows_of(table)[0], ANSWER)
    assert target.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "out"]


@pytest.mark.parametrize("format_", WRITERS)
@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_failing_disk_leaves_the_old_file_and_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_: str, call: str
) -> None:
    """A fault at any step of writing is reported, and cleaned up after."""
    table = open_table(write(tmp_path, "a.csv", "text\na\n"))
    target = write(tmp_path, "out", "old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if call == "write":
        opened = Path.open
        monkeypatch.setattr(Path, "open", lambda path, *mode, **named: _Full(opened(path, *mode, **named), mode))
    else:
        monkeypatch.setattr(os if call == "fsync" else Path, call, fail)
    with pytest.raises(OutputError, match=r"out: it cannot be written \(No space left on device\); check the folder"):
        copy(table, target, format_)
    monkeypatch.undo()
    assert target.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "out"]


class _Full:
    """A file on a full disk: reading works, writing does not."""

    closed = False

    def __init__(self, file: Any, mode: tuple[str, ...]) -> None:
        self._file, self._writes = file, "x" in "".join(mode)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Any:
        return self._file

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, _: bytes) -> int:
        raise OSError(28, "No space left on device")


def test_refusals_before_anything_is_written(tmp_path: Path) -> None:
    """A name clash, the input itself, an unknown format and a bad target touch no file."""
    source = write(tmp_path, "a.csv", "text,status\na,b\n")
    table = open_table(source)
    with pytest.raises(OutputError, match="already has the column 'status'; rename that column"):
        open_writer(tmp_path / "out.csv", "csv", table, ADDED)
    with pytest.raises(OutputError, match="the file that is being read"):
        open_writer(source, "csv", table, [])
    with pytest.raises(UnknownNameError, match="no output format 'xlsx'"):
        open_writer(tmp_path / "out.xlsx", "xlsx", table, [])
    with pytest.raises(OutputError, match="cannot be written"), open_writer(tmp_path / "no" / "o", "csv", table, []):
        pass
    with pytest.raises(OutputError, match="not a regular file"), open_writer(tmp_path, "csv", table, []):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_parquet_is_written_in_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded, as rows go out in groups."""
    monkeypatch.setattr("classifier.prediction.writers.ROW_GROUP_ROWS", 10)
    table = open_table(write(tmp_path, "a.csv", "text\n" + "a\n" * 25))
    copy(table, tmp_path / "out.parquet", "parquet")
    metadata = pq.read_metadata(tmp_path / "out.parquet")
    assert (metadata.num_rows, metadata.num_row_groups) == (25, 3)


def write_rejections(path: Path, rejections: list[Rejection]) -> int:
    """Write a whole list of rejected rows, and return how many there were."""
    with RejectionsFile(path) as file:
        for rejection in rejections:
            file.write(rejection)
    return file.n_written


def test_rejections_are_listed_only_where_there_are_some(tmp_path: Path) -> None:
    """No rejections make no file, but replace the list of an earlier run."""
    path = tmp_path / "rejected.csv"
    assert write_rejections(path, []) == 0
    assert not path.exists()
    assert write_rejections(path, [Rejection("a.csv", 3, 'has "too" many\nfields', "x,1")]) == 1
    assert path.read_text(encoding="utf-8") == '"row","id","reason"\n"3","x,1","has ""too"" many\nfields"\n'
    with pytest.raises(KeyboardInterrupt), RejectionsFile(path) as file:
        write_and_stop(file, Rejection("a.csv", 4, "is bad"))
    assert '"3"' in path.read_text(encoding="utf-8")
    assert write_rejections(path, []) == 0
    assert path.read_text(encoding="utf-8") == '"row","id","reason"\n'
    with pytest.raises(OutputError):
        write_rejections(tmp_path / "no" / "r.csv", [Rejection("a.csv", 1, "is bad")])
    assert [entry.name for entry in tmp_path.iterdir()] == ["rejected.csv"]


def test_a_tsv_is_written_with_tabs(tmp_path: Path) -> None:
    """A target called .tsv has tabs, whatever separated the input, and can be read again."""
    source = tmp_path / "in.csv"
    source.write_text("id,text\n1,hello\n", encoding="utf-8")
    table = open_table(source)
    with open_writer(tmp_path / "out.tsv", "csv", table, [("status", str)]) as writer:
        for row in table.rows():
            assert isinstance(row, Row)
            writer.write(row, ["ok"])
    assert open_table(tmp_path / "out.tsv").columns == ("id", "text", "status")
    assert (tmp_path / "out.tsv").read_text(encoding="utf-8").startswith('"id"\t"text"')


def test_a_file_keeps_its_permissions(tmp_path: Path) -> None:
    """A private output stays private when it is written again."""
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("id,text\n1,hello\n", encoding="utf-8")
    target.touch(mode=0o600)
    with open_writer(target, "csv", open_table(source), []):
        pass
    assert target.stat().st_mode & 0o777 == 0o600
