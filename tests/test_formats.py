"""The bytes of rows: input columns come out unchanged in every format, and blocks do not show."""

from __future__ import annotations

import csv
import datetime
import decimal
import gzip
import io
import json
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import write_table
from hypothesis import example, given
from hypothesis import strategies as st

from classifier.errors import OutputError, UnknownNameError
from classifier.prediction import formats
from classifier.prediction.formats import (
    COMPRESSIONS,
    FORMATS,
    OF_SUFFIX,
    compress,
    escape_formula,
    format_of,
    open_format,
    unescape_formula,
)
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


copy = partial(write_table, added=ADDED, answer=ANSWER)


def test_csv_to_csv_keeps_cells_and_delimiter(tmp_path: Path) -> None:
    """Every cell is quoted, and its line ends, spaces and zeros stay; a leading = as well where that is asked for."""
    source = write(tmp_path, "a.csv", 'text;n\r\n"a\r\nb ""c""";007\r\n=1+1; x \r\n')
    copy(open_table(source), tmp_path / "out.csv", "csv", raw=True)
    assert (tmp_path / "out.csv").read_bytes().decode() == (
        '"text";"n";"predicted_label";"confidence";"status"\n'
        '"a\r\nb ""c""";"007";"späm";"0.1";"ok"\n'
        '"=1+1";" x ";"späm";"0.1";"ok"\n'
    )
    copy(open_table(source), tmp_path / "escaped.csv", "csv")
    raw, escaped = ((tmp_path / name).read_bytes() for name in ("out.csv", "escaped.csv"))
    assert escaped == raw.replace(b'"=1+1"', b'"\'=1+1"')


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


def test_refusals_before_anything_is_written(tmp_path: Path) -> None:
    """A name clash, the input itself, an unknown format and Parquet for a stream touch no file."""
    source = write(tmp_path, "a.csv", "text,status\na,b\n")
    table = open_table(source)
    with pytest.raises(OutputError, match="already has the column 'status'; rename that column"):
        open_format("csv", tmp_path / "out.csv", table, ADDED)
    with pytest.raises(OutputError, match="the file that is being read"):
        open_format("csv", source, table, [])
    with pytest.raises(UnknownNameError, match="no output format 'xlsx'"):
        open_format("xlsx", tmp_path / "out.xlsx", table, [])
    with pytest.raises(OutputError, match="standard output: Parquet cannot be written there"):
        open_format("parquet", io.StringIO(), table, [])
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_parquet_is_written_in_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded, as rows go out in groups of whole blocks."""
    monkeypatch.setattr(formats, "ROW_GROUP_ROWS", 10)
    table = open_table(write(tmp_path, "a.csv", "text\n" + "a\n" * 25))
    copy(table, tmp_path / "out.parquet", "parquet", block_rows=4)
    metadata = pq.read_metadata(tmp_path / "out.parquet")
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [12, 12, 1]


@pytest.mark.parametrize("kind", FORMATS)
def test_blocks_do_not_show(tmp_path: Path, kind: str) -> None:
    """Rows of all types are the same however they are cut into blocks; dictionaries of each block are merged."""
    source, _ = odd_parquet(tmp_path)
    for block_rows in (1, 2, 3):
        copy(open_table(source), tmp_path / f"{block_rows}.{kind}", kind, block_rows=block_rows)
    first, *others = (tmp_path / f"{block_rows}.{kind}" for block_rows in (3, 2, 1))
    for other in others:
        if kind == "parquet":
            tables = [pq.read_table(path).drop_columns("not a number") for path in (first, other)]
            assert tables[0].equals(tables[1], check_metadata=True)
        else:
            assert other.read_bytes() == first.read_bytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_block_without_rows_is_harmless(tmp_path: Path, kind: str) -> None:
    """A block in which every row was rejected adds nothing."""
    table = open_table(write(tmp_path, "a.csv", "text\na\nb\n"))
    rows = open_format(kind, tmp_path / "out", table, ADDED)
    blocks = [rows.block([]), *(rows.block([(row, ANSWER)]) for row in table.rows() if isinstance(row, Row))]
    blocks.insert(2, rows.block([]))
    parts, target = tmp_path / "parts", tmp_path / f"out.{kind}"
    parts.write_bytes(rows.begin() + b"".join(blocks))
    found = target if rows.whole(parts, list(map(len, blocks)), target) else parts.rename(target)
    copy(table, tmp_path / f"expected.{kind}", kind)
    assert found.read_bytes() == (tmp_path / f"expected.{kind}").read_bytes()


@pytest.mark.parametrize("ending", COMPRESSIONS)
def test_compressed_blocks_make_one_file(tmp_path: Path, ending: str) -> None:
    """Blocks that are compressed one by one, an empty one among them, are read as one; the time is not in them."""
    path = tmp_path / f"a{ending}"
    blocks = [b"first\n", b"", "zweite späte Zeile\n".encode() * 1000]
    path.write_bytes(b"".join(map(compress(path), blocks)))
    with pa.input_stream(str(path), compression={".gz": "gzip", ".zst": "zstd"}[ending]) as stream:
        assert stream.read() == b"".join(blocks)
    if ending == ".gz":
        assert gzip.decompress(path.read_bytes()) == b"".join(blocks)
    assert [compress(path)(block) for block in blocks] == [compress(path)(block) for block in blocks]
    assert compress(Path("a.csv"))(b"as it is") == b"as it is"


def test_names_stand_for_formats() -> None:
    """The ending counts, in any case, and that of a compression does not."""
    for suffix, kind in OF_SUFFIX.items():
        for more in ("", ".GZ", ".zst"):
            assert format_of(Path(f"a.b{suffix.upper()}{more}")) == kind
    assert [format_of(Path(name)) for name in ("a", "a.gz", "csv", "a.csv.xz")] == [None] * 4


def test_a_tsv_is_written_with_tabs(tmp_path: Path) -> None:
    """A target called .tsv has tabs, whatever separated the input, and can be read again."""
    table = open_table(write(tmp_path, "in.csv", "id,text\n1,hello\n"))
    copy(table, tmp_path / "out.tsv", "csv")
    assert open_table(tmp_path / "out.tsv").columns == ("id", "text", *(name for name, _ in ADDED))
    assert (tmp_path / "out.tsv").read_text(encoding="utf-8").startswith('"id"\t"text"')
    packed = open_format("csv", tmp_path / "out.TSV.gz", table, ADDED)
    assert packed.begin().startswith(b'"id"\t"text"')


LIVE = ("=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0", "-", "+49 30 1234", "'=1", "''@x")
INERT = ("", "plain", "'tis", "' =1", "-5", "+1", "-1,234.56", "1e5", "-1E-5", " =1+1", "1-1", "a=b", "''")


@pytest.mark.parametrize("cell", LIVE)
def test_what_a_spreadsheet_would_run_is_escaped(cell: str) -> None:
    """An apostrophe comes before it, and goes away again."""
    assert escape_formula(cell) == f"'{cell}"
    assert unescape_formula(f"'{cell}") == cell


@pytest.mark.parametrize("cell", INERT)
def test_what_a_spreadsheet_would_show_is_left_alone(cell: str) -> None:
    """Plain numbers with a sign among it, and apostrophes that escape nothing."""
    assert escape_formula(cell) == unescape_formula(cell) == cell


@given(cell=st.text("'=+-@\t\r\n15.,eE a", max_size=8) | st.text(max_size=8))
@example(cell="'")
def test_escaping_is_taken_back_exactly(cell: str) -> None:
    """Whatever a cell holds, it comes back, and no escaped cell begins with what would be run."""
    escaped = escape_formula(cell)
    assert unescape_formula(escaped) == cell
    assert not escaped.startswith(("=", "@", "\t", "\r"))


def test_headers_are_escaped_like_cells_and_answers(tmp_path: Path) -> None:
    """A column or a label can begin with = as well; JSON and raw CSV keep them as they are."""
    source = write(tmp_path, "a.csv", '=x,text\n@a,"-b"\n')
    answer = ("=label", 0.5, "ok")
    for raw in (False, True):
        write_table(open_table(source), tmp_path / "out.csv", "csv", ADDED, answer, raw=raw)
        with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as stream:
            header, row = csv.reader(stream)
        mark = "" if raw else "'"
        assert (header[0], *row[:3]) == (f"{mark}=x", f"{mark}@a", f"{mark}-b", f"{mark}=label")
    write_table(open_table(source), tmp_path / "out.jsonl", "jsonl", ADDED, answer)
    found = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))
    assert (found["=x"], found["text"], found["predicted_label"]) == ("@a", "-b", "=label")
