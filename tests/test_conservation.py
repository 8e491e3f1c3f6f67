"""Conservation: rows in are rows out plus listed rejections, and no cell changes on its way."""

from __future__ import annotations

import csv
import random
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from conftest import predict_into
from hypothesis import given, settings
from hypothesis import strategies as st
from places import DATA, scaled

from classifier import DocumentClassifier
from classifier.prediction.batch import ADDED_COLUMNS, BatchCounts
from classifier.prediction.formats import unescape_formula

DATASETS = Path(__file__).parents[1] / ".." / "shared" / "datasets"
N_ADDED = len(ADDED_COLUMNS)
LONGEST_CELL = 1 << 28
MOST_BYTES = 2_000_000

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
    [
        *(DATA / "inbox.csv", DATA / "support_tickets.csv"),
        *(
            pytest.param(path, marks=pytest.mark.slow) if path.stat().st_size > MOST_BYTES else path
            for path in sorted(DATASETS.glob("*/*.csv"))
        ),
    ],
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
@settings(max_examples=scaled(40, 200), deadline=None)
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
@settings(max_examples=scaled(20, 100), deadline=None)
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


class Generated(NamedTuple):
    """A file that was made up: its bytes, and what is in them."""

    content: bytes
    encoding: str
    delimiter: str
    n_rows: int
    bad: list[int]


ALPHABETS = (
    "abc DEF",
    "0123456789.,eE+-",
    "äöüßñçøłžőé",
    "Жяю漢字かなעבاب",
    "😀👩\u200d🚀e\u0301\u202e",
    "\"',;|=+-@\t\r\n\\#",
)
HEADERS = ("note", "last one", "=sum", 'say "x"', "Größe", "-1", "a, b; c", "label", "\t@x")


def generated(choices: random.Random) -> Generated:
    """Make up a file: any delimiter, encoding, line end and quoting, any cells, ids that repeat, and bad rows."""
    delimiter, end = choices.choice(",;\t|"), choices.choice(["\n", "\r\n", "\r"])
    encoding = choices.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16"])
    always, width = choices.random() < 0.5, choices.randint(2, 5)
    header = ["id", "text", *choices.sample(HEADERS, width - 2)]
    lines, bad = [delimiter.join(quoted(cell, always=True) for cell in header)], []
    n_rows = choices.randint(1, 25)
    for number in range(1, n_rows + 1):
        cells = [choices.choice(["7", "007", "1e5", "A-1", ""]), *(cell_of(choices) for _ in header[1:])]
        is_bad = number > 1 and choices.random() < 0.08
        if is_bad:
            bad.append(number)
            cells = choices.choice([cells[:-1] or [""], [*cells, "one more"], [cells[0] + "x"], cells * 3])
        lines.append(delimiter.join(quoted(cell, always=always or is_bad) for cell in cells))
        if is_bad and choices.random() < 0.2:
            lines[-1] = f'"closed" too early{delimiter}b'
    content = end.join(lines) + (end if choices.random() < 0.7 else "")
    return Generated(content.encode(encoding), encoding, delimiter, n_rows, bad)


def cell_of(choices: random.Random) -> str:
    """Make up a cell."""
    if choices.random() < 0.3:
        return choices.choice(NASTY_CELLS)
    alphabet = "".join(choices.sample(ALPHABETS, 2))
    return "".join(choices.choices(alphabet, k=choices.choice([0, 1, 2, 5, 20, 80])))


def predict_generated(model: DocumentClassifier, folder: Path, n_files: int, seed: int) -> tuple[int, int]:
    """Predict files that are made up, compare both ends by the standard library, and count rows and rejected ones."""
    choices = random.Random(seed)
    csv.field_size_limit(LONGEST_CELL)
    n_rows = n_rejected = 0
    for number in range(n_files):
        made = generated(choices)
        work = Path(tempfile.mkdtemp(dir=folder))
        source, target = work / "in.csv", work / "out.csv"
        source.write_bytes(made.content)
        raw = choices.random() < 0.5
        counts = predict(model, source, target, raw=raw)
        told = f"file {number} of seed {seed}"
        with source.open(encoding=made.encoding, newline="") as stream:
            header, *before = csv.reader(stream, delimiter=made.delimiter)
        assert len(before) == made.n_rows, told
        with target.open(encoding="utf-8", newline="") as stream:
            after = list(csv.reader(stream, delimiter=made.delimiter, strict=True))
        if not raw:
            after = [[unescape_formula(cell) for cell in row] for row in after]
        good = [row for row_number, row in enumerate(before, start=1) if row_number not in made.bad]
        assert [row[:-N_ADDED] for row in after] == [header, *good], told
        assert rejected_rows(target) == made.bad, told
        assert (counts.n_rows, counts.n_rejected) == (made.n_rows, len(made.bad)), told
        n_rows, n_rejected = n_rows + counts.n_rows, n_rejected + counts.n_rejected
        shutil.rmtree(work)
    return n_rows, n_rejected


def test_many_files_lose_and_change_nothing(folder: Path, small_model: DocumentClassifier) -> None:
    """No row, id or cell of many files that are made up is lost or changed."""
    n_files = scaled(150, 1_000)
    n_rows, n_rejected = predict_generated(small_model, folder, n_files, seed=0)
    assert n_rows > 10 * n_files
    assert n_rejected > n_files / 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 21))
def test_a_hundred_thousand_files_lose_and_change_nothing(
    folder: Path, small_model: DocumentClassifier, seed: int
) -> None:
    """Nor of as many times five thousand."""
    predict_generated(small_model, folder, 5_000, seed)
