"""Conservation: rows in are rows out plus listed rejections, and no cell changes on its way."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest
from conftest import DATA, predict_into
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier import DocumentClassifier
from classifier.prediction.batch import ADDED_COLUMNS, BatchCounts
from classifier.prediction.formats import unescape_formula

DATASETS = Path(__file__).parents[1] / ".." / "shared" / "datasets"
N_ADDED = len(ADDED_COLUMNS)
LONGEST_CELL = 1 << 28

NASTY_CELLS = (
    *(
        "",
        " ",
        "\r",
        "\n",
        "\r\n",
        "a\rb",
        "a\r\nb\n",
        '"',
        '""',
        'say "hi"',
        "'",
        "\x00",
        "a\x00b",
        "\ufeff",
        "\ufeffa",
    ),
    *("😀", "👩\u200d🚀", "e\u0301", "\u202egnirts", "\u2028", "\x85", "\x0b", "\x1c", "\\", "\\n", '\\"', "x" * 5000),
    *("007", "+1", "-1", "1e5", "1E400", "1.10", "0x1F", "NA", "NaN", "null", "None", "N/A", "TRUE", "2024-01-02"),
    *("=1+1", "=cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", ",", ";", "\t", "|", "a,b;c|d\te", "sep=;", "#"),
)
CELLS = st.sampled_from(NASTY_CELLS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=15)
LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])
COLUMNS = ("id", "text", "note", "last one")
BAD_ROWS = ("one cell", "a,b,c,d,e,f", '"closed" too early,b')


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[list[str]], list[int]]:
    """Draw rows of two to four cells, and where bad rows go among them."""
    width = draw(st.integers(2, len(COLUMNS)))
    rows = draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=8))
    return rows, draw(st.lists(st.integers(0, len(rows)), max_size=3))


def quoted(cell: str, *, always: bool) -> str:
    """Write a cell as CSV."""
    needed = always or cell == "" or cell[0] in " \ufeff" or any(character in cell for character in '",;|\t\r\n')
    return '"' + cell.replace('"', '""') + '"' if needed else cell


def predict(model: DocumentClassifier, source: Path, target: Path, *, raw: bool = True) -> BatchCounts:
    """Predict a whole file; rejected rows are listed beside the target."""
    return predict_into(model, source, target, "csv", raw=raw, text_column="text")


def standard(path: Path, encoding: str = "utf-8") -> list[list[str]]:
    """Read CSV by the standard library alone."""
    csv.field_size_limit(LONGEST_CELL)
    with path.open(encoding=encoding, newline="") as stream:
        return list(csv.reader(stream, strict=True))


def rejected_rows(target: Path) -> list[int]:
    """Return the numbers of the rows that were listed as rejected."""
    path = target.with_suffix(".rejected")
    return [int(row[0]) for row in standard(path)[1:]] if path.exists() else []


@pytest.fixture(scope="module")
def folder(memory_folder: Path) -> Path:
    """Make one folder for all generated files."""
    (memory_folder / "conservation").mkdir()
    return memory_folder / "conservation"


@pytest.mark.parametrize(
    "path",
    [DATA / "inbox.csv", DATA / "support_tickets.csv", *sorted(DATASETS.glob("*/*.csv"))],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_real_files_lose_and_change_nothing(small_model: DocumentClassifier, tmp_path: Path, path: Path) -> None:
    """Rows, order and every cell come through as two other readers see them, and answers are beside each."""
    target = tmp_path / "out.csv"
    counts = predict(small_model, path, target)
    before, after = standard(path), standard(target)
    assert counts.n_rows == counts.n_predicted + counts.n_rejected == len(before) - 1
    assert counts.n_predicted == len(after) - 1
    assert rejected_rows(target) == []
    width = len(before[0])
    assert [row[:width] for row in after] == before
    assert {len(row) for row in after} == {width + N_ADDED}
    assert {row[-1] for row in after[1:]} <= {"ok", "unsure", "empty"}
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert pd.read_csv(target, dtype=str, keep_default_na=False).iloc[:, :width].equals(frame)


def test_the_public_datasets_are_there() -> None:
    """Say by name when the files above were only the project's own."""
    if not DATASETS.is_dir():
        pytest.skip("no datasets beside the repository (../shared/datasets)")
    assert len(list(DATASETS.glob("*/*.csv"))) > 10


@given(
    table=tables(),
    delimiter=st.sampled_from(",;\t|"),
    end=LINE_ENDS,
    always=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    last_end=st.booleans(),
    raw=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_generated_files_lose_and_change_nothing(
    folder: Path,
    small_model: DocumentClassifier,
    table: tuple[list[list[str]], list[int]],
    delimiter: str,
    end: str,
    always: bool,
    encoding: str,
    last_end: bool,
    raw: bool,
) -> None:
    """Whatever stands in a cell comes out, byte for byte, as the standard library reads it, or with its escape off."""
    rows, _ = table
    source, target = folder / "in.csv", folder / "out.csv"
    header = list(COLUMNS[: len(rows[0])])
    lines = [delimiter.join(quoted(cell, always=always) for cell in row) for row in [header, *rows]]
    source.write_bytes((end.join(lines) + (end if last_end else "")).encode(encoding))
    counts = predict(small_model, source, target, raw=raw)
    assert (counts.n_rows, counts.n_rejected) == (len(rows), 0)
    csv.field_size_limit(LONGEST_CELL)
    with target.open(encoding="utf-8", newline="") as stream:
        found = list(csv.reader(stream, delimiter=delimiter, strict=True))
    if not raw:
        assert not any(cell.startswith(("=", "@", "\t", "\r")) for row in found for cell in row)
        found = [[unescape_formula(cell) for cell in row] for row in found]
    assert [row[: len(header)] for row in found] == [header, *rows]
    assert [row[-1] == "empty" for row in found[1:]] == [not row[1].strip() for row in rows]


@given(table=tables(), end=LINE_ENDS, kinds=st.lists(st.sampled_from(BAD_ROWS), min_size=3, max_size=3))
@settings(max_examples=100, deadline=None)
def test_generated_files_with_bad_rows_account_for_each(
    folder: Path, small_model: DocumentClassifier, table: tuple[list[list[str]], list[int]], end: str, kinds: list[str]
) -> None:
    """Rows written and rows listed are all rows, each in its place; the good ones are unchanged."""
    rows, places = table
    source, target = folder / "dirty.csv", folder / "clean.csv"
    target.with_suffix(".rejected").unlink(missing_ok=True)
    header = list(COLUMNS[: len(rows[0])])
    lines: list[tuple[str, bool]] = [(",".join(quoted(cell, always=True) for cell in row), True) for row in rows]
    for place, kind in zip(sorted(places, reverse=True), kinds, strict=False):
        lines.insert(place, (kind, False))
    source.write_bytes(end.join([",".join(header), *(line for line, _ in lines), ""]).encode())
    counts = predict(small_model, source, target)
    assert counts.n_rows == len(lines) == counts.n_predicted + counts.n_rejected
    assert rejected_rows(target) == [number for number, (_, good) in enumerate(lines, start=1) if not good]
    assert [row[: len(header)] for row in standard(target)] == [header, *rows]
