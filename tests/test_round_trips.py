"""Laws of reading and writing: what is written is read back, and no row is lost."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import write_table
from hypothesis import example, given, settings
from hypothesis import strategies as st
from places import scaled

from classifier.datamodels import Rejection
from classifier.errors import FileProblemError
from classifier.prediction.formats import FORMATS
from classifier.reading.documents import Record, Row, open_table, read_documents
from classifier.reading.values import Literal, to_json

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text(
    "\r\n\x00\"',;\t|\ufeff 😀=-", max_size=12
)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.tuples(*[TEXTS] * width), min_size=1, max_size=8)
)  # fmt: skip
COLUMNS = ("text", "b", "c c", "d")
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of this module."""
    return tmp_path_factory.mktemp("round_trips")


def cells(path: Path, encoding: str | None = None) -> list[tuple[Any, ...]]:
    """Return the readable rows."""
    return [row.cells for row in open_table(path, encoding=encoding).rows() if isinstance(row, Row)]


@given(rows=TABLES, delimiter=st.sampled_from(",;\t|"), codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
@example(rows=[("\n\x00",)], delimiter=",", codec="utf-8")
@settings(max_examples=scaled(40, 200), deadline=None)
def test_csv_is_read_back_as_it_was_written(folder: Path, rows: Any, delimiter: str, codec: str) -> None:
    """Any text in any delimiter and Unicode encoding comes back equal."""
    path = folder / "a.csv"
    with path.open("w", encoding=codec, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerow(COLUMNS[: len(rows[0])])
        writer.writerows(rows)
    assert cells(path) == rows


@given(rows=st.lists(st.dictionaries(TEXTS, JSON_VALUES, min_size=1, max_size=3), min_size=1, max_size=5))
@settings(max_examples=scaled(40, 200), deadline=None)
def test_json_lines_are_read_back_as_they_were_written(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Any JSON object comes back equal, keys in order."""
    path = folder / "a.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8", newline="")
    table = open_table(path)
    assert table.columns == tuple(dict.fromkeys(key for row in rows for key in row))
    for found, row in zip(table.rows(), rows, strict=True):
        assert isinstance(found, Row)
        named = dict(zip(table.columns, found.cells, strict=True))
        assert {key: json.loads(to_json(named[key])) for key in row} == row
        assert all(named[key] is None for key in named.keys() - row.keys())


@given(rows=TABLES, first=st.sampled_from(sorted(FORMATS)), second=st.sampled_from(sorted(FORMATS)))
@settings(max_examples=scaled(30, 150), deadline=None)
def test_every_format_carries_texts_to_every_other(folder: Path, rows: Any, first: str, second: str) -> None:
    """Two conversions in a row lose nothing, whichever the formats."""
    source = folder / "a.csv"
    with source.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerows([COLUMNS[: len(rows[0])], *rows])
    for step, kind in enumerate((first, second), start=1):
        target = folder / f"step{step}.{kind}"
        write_table(open_table(source), target, kind, [(f"added{step}", str)], ["new"], raw=True, block_rows=3)
        source = target
    assert cells(source) == [(*row, "new", "new") for row in rows]


@given(content=st.binary(max_size=200) | st.text('ab""\',;\t\n\r é{}[]:1\x00', max_size=200).map(str.encode))
@settings(max_examples=scaled(80, 400), deadline=None)
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet"])
def test_any_bytes_are_read_without_loss_or_refused_in_a_sentence(folder: Path, name: str, content: bytes) -> None:
    """There is no third way, and no traceback."""
    path = folder / name
    path.write_bytes(content)
    refusal = ""
    items: list[Any] = []
    try:
        stream = read_documents(path)
        items = list(stream)
        assert len(items) == stream.n_rows
    except FileProblemError as error:
        refusal = str(error)
    assert bool(refusal) != bool(items)
    assert len(refusal.splitlines()) <= 1
    numbers = [item.row if isinstance(item, Rejection) else item.document.row for item in items]
    assert numbers == list(range(1, len(items) + 1))


@given(kinds=st.lists(st.sampled_from(["good", "ragged", "malformed", "blank"]), min_size=1, max_size=30))
@settings(max_examples=scaled(20, 100), deadline=None)
def test_rows_are_records_and_rejections_together(folder: Path, kinds: list[str]) -> None:
    """Good, bad and blank lines in any order add up."""
    lines = {"good": "some words,x", "ragged": "a,b,c", "malformed": '"a" b,c', "blank": ""}
    path = folder / "dirty.csv"
    path.write_text("\n".join(["text,label", "first,x", *map(lines.__getitem__, kinds)]) + "\n", encoding="utf-8")
    stream = read_documents(path)
    records = [item for item in stream if isinstance(item, Record)]
    rejected = [item for item in stream if isinstance(item, Rejection)]
    assert len(records) == 1 + kinds.count("good")
    assert len(rejected) == kinds.count("ragged") + kinds.count("malformed")
    assert stream.n_rows == len(records) + len(rejected)


@given(st.integers() | st.decimals(allow_nan=False, allow_infinity=False).map(lambda number: f"{number:f}"))
@settings(max_examples=scaled(20, 100), deadline=None)
def test_literals_of_numbers_survive(number: Any) -> None:
    """However long a number is, its digits stay."""
    assert to_json(Literal(str(number))) == str(number)
