"""Dirty files from end to end: each is read rightly, or refused in one sentence, or its bad rows are listed."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import FakeEmbedder
from test_cli import Ran, command, refusal

from classifier import load
from classifier.datamodels import EncoderOptions
from classifier.embedding.embedders import EMBEDDERS, EmbedderName, Family

Cells = tuple[str, str, str]

CLEAN: list[Cells] = [
    (f"{number:03}", text, label)
    for number, (label, text) in enumerate(
        [
            *(("sea", f"the tide took {thing}") for thing in ("a boot", "my hat", "a plank", "two oars", "the buoy")),
            *(("sea", f"{fish} in the net again") for fish in ("cod", "eels", "crabs", "weed", "a tyre")),
            *(("hill", f"snow closed {place}") for place in ("the pass", "the hut", "the lift", "a bend", "the track")),
            *(
                ("hill", f"{animal} on the ridge at dawn")
                for animal in ("goats", "an ibex", "crows", "sheep", "a hare")
            ),
        ],
        start=1,
    )
]
ACCENTS = [(name, f"{text} — très froid, dit l'été à côté « ici »", label) for name, text, label in CLEAN]
MISSING_WORDS = [
    "NA",
    "null",
    "None",
    "NaN",
    "n/a",
    "#N/A",
    "",
    "nan",
    "NULL",
    "-",
    "1e5",
    "007",
    "1.10",
    "TRUE",
    "0x1F",
]
MISSING = [
    (name, MISSING_WORDS[row] if row < len(MISSING_WORDS) else text, label)
    for row, (name, text, label) in enumerate(CLEAN)
]
NASTY = [
    'she said "no"', "a, b; c\td|e", "two\nlines", "two\r\nlines", "one\rmore", "  spaces  ", "=1+1", "+1", "-1", "@x",
    "\t=tab", "👩‍🚀 emoji", "שלום", "e\u0301 and é", "'", '"', "a\x00b", "\ufeffmark", "line\u2028separator",
    "\x0b\x0c",
]  # fmt: skip
NASTY_ROWS = [(name, nasty, label) for nasty, (name, _, label) in zip(NASTY, CLEAN, strict=True)]
FUNNY_IDS = [
    (name, text, label)
    for name, (_, text, label) in zip(
        ["0", "00", "000", "1.0", "1e3", "1E3", "+5", "NA", " 7", "7 ", "0x10", "1_000", "Infinity", "-0", "01.10",
         "\u0669", "2024-01-02", "12345678901234567890", "TRUE", "null"],
        CLEAN,
        strict=True,
    )
]  # fmt: skip


def text_of(rows: list[Cells], delimiter: str = ",", end: str = "\n") -> str:
    """Write rows as delimited text, quoting every cell."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("id", "text", "label"), *rows])
    return stream.getvalue()


def json_lines(rows: list[Cells]) -> str:
    """Write rows as JSON lines."""
    return "".join(json.dumps(dict(zip(("id", "text", "label"), row, strict=True))) + "\n" for row in rows)


def parquet(rows: list[Cells]) -> bytes:
    """Write rows as Parquet."""
    buffer = io.BytesIO()
    columns = {
        name: list(column) for name, column in zip(("id", "text", "label"), zip(*rows, strict=True), strict=True)
    }
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def archive() -> bytes:
    """Return the bytes of a spreadsheet, which is a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("xl/workbook.xml", "<workbook/>" * 200)
    return buffer.getvalue()


def put(name: str, content: bytes | str) -> str:
    """Write a file into the folder we are in, and return its name."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def folder(rows: list[Cells]) -> str:
    """Write a folder of texts, one sub-folder per label, and return its name."""
    for name, text, label in rows:
        put(f"texts/{label}/{name}.txt", text)
    return "texts"


def with_lines(lines: list[str], *bad: str) -> str:
    """Put bad lines among good ones."""
    return "\n".join([*lines[:7], *bad, *lines[7:]]) + "\n"


class Readable(NamedTuple):
    """A file that has one right reading."""

    make: Callable[[], str]
    rows: list[Cells]
    note: str = ""


READABLE: dict[str, Readable] = {
    "nothing odd": Readable(lambda: put("a.csv", text_of(CLEAN)), CLEAN),
    "byte order mark": Readable(lambda: put("a.csv", b"\xef\xbb\xbf" + text_of(ACCENTS).encode()), ACCENTS),
    "UTF-16 LE": Readable(lambda: put("a.csv", b"\xff\xfe" + text_of(ACCENTS).encode("utf-16-le")), ACCENTS),
    "UTF-16 BE": Readable(lambda: put("a.csv", b"\xfe\xff" + text_of(ACCENTS).encode("utf-16-be")), ACCENTS),
    "UTF-16 LE without a mark": Readable(
        lambda: put("a.csv", text_of(ACCENTS).encode("utf-16-le")), ACCENTS, "read as UTF-16"
    ),
    "UTF-16 BE without a mark": Readable(
        lambda: put("a.csv", text_of(ACCENTS).encode("utf-16-be")), ACCENTS, "read as UTF-16"
    ),
    "Windows-1252": Readable(lambda: put("a.csv", text_of(ACCENTS).encode("cp1252")), ACCENTS, "read as Windows-1252"),
    "semicolons": Readable(lambda: put("a.csv", text_of(CLEAN, ";")), CLEAN),
    "tabs": Readable(lambda: put("a.tsv", text_of(CLEAN, "\t")), CLEAN),
    "tabs in .csv": Readable(lambda: put("a.csv", text_of(CLEAN, "\t")), CLEAN),
    "Windows line ends": Readable(lambda: put("a.csv", text_of(CLEAN, end="\r\n")), CLEAN),
    "old Macintosh line ends": Readable(lambda: put("a.csv", text_of(CLEAN, end="\r")), CLEAN),
    "blank lines": Readable(lambda: put("a.csv", "\n\n" + text_of(CLEAN, end="\n\n")), CLEAN),
    "words for missing values": Readable(lambda: put("a.csv", text_of(MISSING)), MISSING),
    "ids like numbers": Readable(lambda: put("a.csv", text_of(FUNNY_IDS)), FUNNY_IDS),
    "nasty texts": Readable(lambda: put("a.csv", text_of(NASTY_ROWS)), NASTY_ROWS),
    "nasty texts in JSON": Readable(lambda: put("a.jsonl", json_lines(NASTY_ROWS)), NASTY_ROWS),
    "nasty texts in Parquet": Readable(lambda: put("a.parquet", parquet(NASTY_ROWS)), NASTY_ROWS),
    "upper-case ending": Readable(lambda: put("A.CSV", text_of(CLEAN)), CLEAN),
    "odd file name": Readable(lambda: put("füße & more (1).csv", text_of(CLEAN)), CLEAN),
    "folder named like a table": Readable(
        lambda: Path(folder(CLEAN)).rename("x.csv").name,
        sorted((f"{label}/{name}.txt", text, label) for name, text, label in CLEAN),
    ),
    "folder": Readable(
        lambda: folder(NASTY_ROWS),
        sorted((f"{label}/{name}.txt", text.removeprefix("\ufeff"), label) for name, text, label in NASTY_ROWS),
    ),
}


class Partly(NamedTuple):
    """A file with bad rows among twenty good ones, and the numbers and reasons of the bad ones."""

    make: Callable[[], str]
    reasons: dict[str, str]
    rows: list[Cells] = CLEAN


PARTLY: dict[str, Partly] = {
    "ragged rows": Partly(
        lambda: put("a.csv", with_lines(text_of(CLEAN).splitlines(), "one,cell,too,many", "only one")),
        {"7": "has 4 fields where the header has 3", "8": "has 1 field where the header has 3"},
    ),
    "text after a quote": Partly(
        lambda: put("a.csv", with_lines(text_of(CLEAN).splitlines(), '"a" b,c,d')),
        {"7": "has text after a closing quotation mark (line 8)"},
    ),
    "broken JSON lines": Partly(
        lambda: put("a.jsonl", with_lines(json_lines(CLEAN).splitlines(), '{"text": "cut', "[1, 2]", "plain words")),
        {
            "8": "is not valid JSON (Unterminated string starting at at character 10)",
            "9": "is a list, not an object",
            "10": "is not valid JSON (Expecting value at character 1)",
        },
    ),
    "a PDF among texts": Partly(
        lambda: (folder(CLEAN), put("texts/sea/zzz.txt", b"%PDF-1.7 \xff"))[0],
        {"21": "cannot be read: it is a PDF document, not a table of documents"},
        sorted((f"{label}/{name}.txt", text, label) for name, text, label in CLEAN),
    ),
}


class Refused(NamedTuple):
    """A file that cannot be read, and what is said of it."""

    make: Callable[[], str]
    problem: str


def repeated_column() -> str:
    """Write a file whose second column is called like the first."""
    return put("a.csv", text_of(CLEAN).replace('"label"', '"text"', 1))


def locked() -> str:
    """Write a file that nobody may read."""
    Path(put("a.csv", text_of(CLEAN))).chmod(0)
    return "a.csv"


REFUSED: dict[str, Refused] = {
    "repeated column": Refused(repeated_column, "several columns are called 'text'"),
    "unclosed quote": Refused(
        lambda: put("a.csv", with_lines(text_of(CLEAN).replace('"', "").splitlines(), '777,"never closed,sea')),
        "a quotation mark opened",
    ),
    "unclosed quote among quoted cells": Refused(
        lambda: put("a.csv", with_lines(text_of(CLEAN).splitlines(), '777,"never closed,sea')),
        "a quotation mark opened in line 8 is never closed",
    ),
    "no column of texts": Refused(
        lambda: put("a.csv", "n,m\n" + "".join(f"{row},{row}\n" for row in range(20))), "no column looks like the text"
    ),
    "empty": Refused(lambda: put("a.csv", ""), "it is empty"),
    "only a mark": Refused(lambda: put("a.csv", b"\xef\xbb\xbf"), "it is empty"),
    "only a header": Refused(lambda: put("a.csv", "id,text,label\n"), "there are no rows in it"),
    "zip as CSV": Refused(lambda: put("a.csv", archive()), "it is an Office document or a zip archive"),
    "spreadsheet": Refused(lambda: put("a.xlsx", archive()), "it is an Office document or a zip archive"),
    "PNG as CSV": Refused(lambda: put("a.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4), "it is an image"),
    "PDF as CSV": Refused(lambda: put("a.csv", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"), "it is a PDF document"),
    "random bytes": Refused(lambda: put("a.csv", bytes((number * 97 + 11) % 256 for number in range(2000))), ""),
    "JSON list": Refused(
        lambda: put("a.jsonl", json.dumps([{"text": text, "label": label} for _, text, label in CLEAN], indent=1)),
        "it is one JSON list over the whole file",
    ),
    "JSON list in one line": Refused(
        lambda: put("a.jsonl", json.dumps([{"text": text, "label": label} for _, text, label in CLEAN])),
        "it is one JSON list over the whole file",
    ),
    "all JSON lines broken": Refused(lambda: put("a.jsonl", '{"text": \n' * 20), "none of its 20 rows can be read"),
    "Parquet cut short": Refused(lambda: put("a.parquet", parquet(CLEAN)[:-40]), "it is not a whole Parquet file"),
    "Parquet with a hole": Refused(
        lambda: put("a.parquet", b"PAR1" + bytes(200) + parquet(CLEAN)[-8:]), "the Parquet file is damaged"
    ),
    "CSV as Parquet": Refused(lambda: put("a.parquet", text_of(CLEAN)), "it is not a whole Parquet file"),
    "folder without texts": Refused(lambda: (put("texts/notes.rst", "x"), "texts")[1], "there is no .txt file"),
    "empty folder named like a table": Refused(
        lambda: (put("x.csv/a", ""), "x.csv")[1], "there is no .txt file in this folder"
    ),
    "unknown ending": Refused(lambda: put("a.docm", text_of(CLEAN)), "files ending in '.docm' are not read"),
    "no ending": Refused(lambda: put("table", text_of(CLEAN)), "its name has no ending"),
    "missing": Refused(lambda: "missing.csv", "there is no such file or folder"),
    "half UTF-8": Refused(
        lambda: put("a.csv", text_of(ACCENTS).encode() + text_of(ACCENTS[:3]).encode("cp1252")), "most of it is UTF-8"
    ),
    "no permission": Refused(locked, "it cannot be read (Permission denied)"),
}


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: Path) -> Path:
    """Work in an empty folder, with a model called 'places' on a fake family of embedders."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setitem(EMBEDDERS, "fake", Family(load_fake))
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(trained))
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train 'places' on the clean rows, into a folder of models for all tests."""
    home = tmp_path_factory.mktemp("dirt")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setitem(EMBEDDERS, "fake", Family(load_fake))
        ran = command(
            "train", put("places.csv", text_of(CLEAN)), "--embedder", "fake:a", "--models-dir", home / "models"
        )
    assert ran.code == 0, ran.err
    return home / "models"


def load_fake(name: EmbedderName, options: EncoderOptions) -> FakeEmbedder:  # noqa: ARG001 # part of the plug point
    """Load a fake embedder."""
    return FakeEmbedder(name=name.source)


def predicted(ran: Ran) -> list[Cells]:
    """Return the cells of the input from predictions in JSON."""
    return [(row["id"], row["text"], row["label"]) for row in ran.json["predictions"]]


def learned(home: Path) -> list[Cells]:
    """Return what the model 'learned' was trained on."""
    return [(item.id, item.text, item.label or "") for item in load("learned", models_dir=home / "models").documents_]


def train(file: str, home: Path) -> Ran:
    """Train the model 'learned' on a file."""
    return command(
        *("train", file, "--name", "learned", "--embedder", "fake:a", "--models-dir", home / "models", "--json")
    )


@pytest.mark.parametrize("case", READABLE)
def test_what_can_be_read_is_read_exactly(shelf: Path, case: str) -> None:
    """Both commands see every id, text and label as it was written, and tell of guesses on stderr."""
    make, rows, note = READABLE[case]
    file = make()
    ran = command("predict", "places", file, "--json")
    assert ran.code == 0, ran.err
    assert predicted(ran) == rows
    is_empty = [row["status"] == "empty" for row in ran.json["predictions"]]
    assert is_empty == [not text.strip() for _, text, _ in rows]
    assert note in ran.err
    assert bool(note) == bool(ran.err)
    ran = train(file, shelf)
    assert ran.code == 0, ran.err
    assert learned(shelf) == [row for row in rows if row[1].strip()]
    assert note in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("case", PARTLY)
def test_bad_rows_are_listed_and_the_others_used(shelf: Path, case: str) -> None:
    """Exit code 3; each bad row stands in the list with its number and reason, and no good row is lost."""
    make, reasons, rows = PARTLY[case]
    file = make()
    for run in (lambda: command("predict", "places", file, "--json"), lambda: train(file, shelf)):
        ran = run()
        assert ran.code == 3, ran.err
        plural = "" if len(reasons) == 1 else "s"
        assert ran.err == f"{len(reasons)} rejected row{plural} listed in {file}.rejected.csv\n"
        with Path(f"{file}.rejected.csv").open(encoding="utf-8", newline="") as stream:
            assert {row["row"]: row["reason"] for row in csv.DictReader(stream)} == reasons
        if "predictions" in ran.json:
            assert predicted(ran) == rows
            assert ran.json["counts"]["n_rows"] == len(rows) + len(reasons)
            assert ran.json["counts"]["n_rejected"] == len(reasons)
        Path(f"{file}.rejected.csv").unlink()
    assert learned(shelf) == rows


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_sentence(shelf: Path, case: str) -> None:
    """Exit code 1, one sentence that begins with the file's name, nothing else said and no file left."""
    make, problem = REFUSED[case]
    if case == "no permission" and os.geteuid() == 0:
        pytest.skip("root may read every file")
    file = make()
    before = sorted(Path().rglob("*"))
    for ran in (command("predict", "places", file, "-o", "out.csv"), train(file, shelf)):
        said = refusal(ran)
        assert said.startswith(f"{file}: {problem}")
        assert said.endswith(".")
        assert "; " in said
        assert len(said) < 400
    assert sorted(Path().rglob("*")) == before
    assert not (shelf / "models").exists()


def test_a_file_without_labels_can_be_predicted_but_not_trained_on(shelf: Path) -> None:
    """The one lacks nothing; the other is told which columns there are and how to name one."""
    file = put("a.csv", "id,text\n" + "".join(f"{name},{text}\n" for name, text, _ in CLEAN))
    ran = command("predict", "places", file, "--json")
    assert ran.code == 0
    assert [(row["id"], row["text"]) for row in ran.json["predictions"]] == [row[:2] for row in CLEAN]
    said = refusal(train(file, shelf))
    assert said == "a.csv: no column looks like the label; its columns are 'id', 'text'; name one with --label-column."


def test_columns_with_other_names_are_found_or_named(shelf: Path) -> None:
    """A found column is told of, a named one is obeyed, and a misspelt one gets a suggestion."""
    file = put("a.csv", text_of(CLEAN).replace('"id","text","label"', '"Case","Words","Kind"', 1))
    ran = train(file, shelf)
    assert ran.code == 0, ran.err
    assert ran.err == (
        "Taking the text from column 'Words' and the label from column 'Kind'; "
        "name others with --text-column and --label-column.\n"
    )
    assert [row[1:] for row in learned(shelf)] == [row[1:] for row in CLEAN]
    named = ["--text-column", "Words", "--id-column", "Case", "--json"]
    assert command("predict", "places", file, *named).err == ""
    said = refusal(command("predict", "places", file, "--text-column", "Word"))
    assert said.startswith("a.csv: there is no column 'Word'; its columns are 'Case', 'Words', 'Kind'")
    assert said.endswith("Did you mean 'Words'?")


def test_a_named_encoding_is_obeyed() -> None:
    """What the user says of the file counts, also where a guess would differ; a wrong name is refused."""
    file = put("a.csv", text_of(ACCENTS).encode("utf-16-be"))
    ran = command("predict", "places", file, "--encoding", "utf-16-be", "--json")
    assert (ran.code, ran.err, predicted(ran)) == (0, "", ACCENTS)
    put("b.csv", text_of(ACCENTS).encode("cp1252"))
    said = refusal(command("predict", "places", "b.csv", "--encoding", "utf-8"))
    assert said.startswith("b.csv: line 2 is not valid UTF-8")
