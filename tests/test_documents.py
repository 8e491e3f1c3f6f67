"""Reading: every row comes out as it stands in the file, or is listed as rejected."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from classifier.datamodels import Rejection
from classifier.errors import FileMissingError, FileProblemError
from classifier.reading.documents import DocumentStream, Record, Row, open_table, read_documents

DATASETS = Path(__file__).parents[1] / ".." / "shared" / "datasets"
GOOD_ROWS = "".join(f"text number {number},{'ab'[number % 2]}\n" for number in range(19))


def write(folder: Path, name: str, content: str | bytes) -> Path:
    """Write a file byte for byte."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def cells(path: Path, **options: str) -> list[tuple[object, ...]]:
    """Return the readable rows of a file."""
    return [row.cells for row in open_table(path, **options).rows() if isinstance(row, Row)]


def rejections(path: Path) -> list[tuple[int, str]]:
    """Return the number and the reason of each rejected row."""
    return [(row.row, row.reason) for row in open_table(path).rows() if isinstance(row, Rejection)]


def texts(stream: DocumentStream) -> list[tuple[str, str, str | None]]:
    """Return id, text and label of each document."""
    return [(r.document.id, r.document.text, r.document.label) for r in stream if isinstance(r, Record)]


UNTOUCHED = {
    "missing-looking words": (
        "a.csv",
        "text,n\nNA,null\nNone,NaN\n,n/a\n",
        [("NA", "null"), ("None", "NaN"), ("", "n/a")],
    ),
    "numbers": ("a.csv", "text,n\n007,1e5\n1.10,+1\n", [("007", "1e5"), ("1.10", "+1")]),
    "outer spaces": ("a.csv", "text,n\n  a , b\n", [("  a ", " b")]),
    "quotes": ("a.csv", 'text,n\n"say ""hi""",5" nail\n', [('say "hi"', '5" nail')]),
    "line ends in cells": ("a.csv", b'text,n\r\n"a\r\nb","c\rd"\r\n"e\nf",g\r\n', [("a\r\nb", "c\rd"), ("e\nf", "g")]),
    "NUL": ("a.csv", b"text,n\na\x00b,c\n", [("a\x00b", "c")]),
    "old Macintosh lines": ("a.csv", b"text,n\ra,b\rc,d\r", [("a", "b"), ("c", "d")]),
    "blank lines": ("a.csv", "\n\ntext,n\n\na,b\n\r\n\nc,d\n\n", [("a", "b"), ("c", "d")]),
    "blank lines of one column": ("a.csv", "text\na\n\nb\n", [("a",), ("",), ("b",)]),
    "no last line end": ("a.csv", "text,n\na,b", [("a", "b")]),
    "semicolons": ("a.csv", 'text;n\n"a, b; c";1,5\nd, e;2,0\n', [("a, b; c", "1,5"), ("d, e", "2,0")]),
    "bars": ("a.csv", "text|n\na, b; c|1\nd|2\n", [("a, b; c", "1"), ("d", "2")]),
    "tabs in .csv": ("a.csv", "text\tn\na, b\t1\nc, d\t2\n", [("a, b", "1"), ("c, d", "2")]),
    "commas in one column": ("a.csv", "text\nhello, world\nbye\n", [("hello, world",), ("bye",)]),
    "line that names the delimiter": ("a.csv", "sep=;\ntext;n\na;b\n", [("a", "b")]),
    "tsv": ("a.tsv", 'text\tn\n"a\tb"\tc, d\n', [("a\tb", "c, d")]),
    "tsv without quoting": ("a.tab", 'text\tn\n"Hi" he said\tx\n"open\ty\n', [('"Hi" he said', "x"), ('"open', "y")]),
    "tsv with quoting and a flaw": ("a.tsv", 'text\tn\n"a ""b"" c"\tx\n"Hi" he said\ty\n', [('a "b" c', "x")]),
    "upper-case ending": ("A.CSV", "text,n\na,b\n", [("a", "b")]),
    "very long cell": ("a.csv", "text,n\n" + "x" * 200_000 + ",b\n", [("x" * 200_000, "b")]),
    "unnamed last column": ("a.csv", "text,\na,b\n", [("a", "b")]),
    "JSON numbers": ("a.jsonl", '{"text": "007", "n": 1.10}\n\n{"n": 1e5}\n', [("007", "1.10"), (None, "1e5")]),
    "JSON values": ("a.ndjson", '{"a": null, "b": true, "c": [1, {"d": 2.0}]}', [(None, True, ["1", {"d": "2.0"}])]),
    "JSON escapes": ("a.jsonl", r'{"text": "\u00e9\ud83d\ude00\u0000\r\n"}', [("é😀\x00\r\n",)]),
    "JSON with separators": ("a.jsonl", '{"text": "a\u2028b\u0085c"}\r\n{"text": "d"}', [("a\u2028b\u0085c",), ("d",)]),
}


@pytest.mark.parametrize("case", UNTOUCHED)
def test_cells_are_exactly_what_the_file_says(tmp_path: Path, case: str) -> None:
    """No cell is stripped, converted, or taken for a missing value."""
    name, content, expected = UNTOUCHED[case]
    assert cells(write(tmp_path, name, content)) == expected


REJECTED = {
    "too many fields": ("a.csv", "text,label\n", "a,b,c,d\n", "has 4 fields where the header has 2"),
    "too few fields": ("a.csv", "text,label\n", "a\n", "has 1 field where the header has 2"),
    "text after a quote": ("a.csv", "text,label\n", '"a" b,c\n', "has text after a closing quotation mark (line 21)"),
    "no JSON": ("a.jsonl", "", "{'text': 1}\n", "is not valid JSON ("),
    "cut JSON": ("a.jsonl", "", '{"text": "a\n', "is not valid JSON ("),
    "JSON string": ("a.jsonl", "", '"text"\n', "is a string, not an object"),
    "JSON null": ("a.jsonl", "", "null\n", "is null, not an object"),
    "JSON list": ("a.jsonl", "", '["text"]\n', "is a list, not an object"),
    "JSON number": ("a.jsonl", "", "1.5\n", "is a number, not an object"),
    "repeated key": ("a.jsonl", "", '{"text": "a", "text": "b"}\n', "has the key 'text' twice"),
    "lone surrogate": ("a.jsonl", "", '{"text": "\\ud800"}\n', "is not valid Unicode"),
    "lone surrogate in a key": ("a.jsonl", "", '{"\\udc00": "a"}\n', "is not valid Unicode"),
    "nested too deeply": ("a.jsonl", "", '{"text": ' + "[" * 200 + "]" * 200 + "}\n", "is nested too deeply"),
    "nested far too deeply": ("a.jsonl", "", "[" * 100_000 + "\n", "is nested too deeply"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_a_bad_row_is_listed_and_the_others_are_kept(tmp_path: Path, case: str) -> None:
    """One flaw among 38 good rows costs one row."""
    name, header, bad, reason = REJECTED[case]
    good = GOOD_ROWS if name.endswith("csv") else '{"text": "a"}\n' * 19
    clean = write(tmp_path, "good_" + name, header + good)
    dirty = write(tmp_path, name, header + good + bad + good)
    [(number, found)] = rejections(dirty)
    assert (number, found[: len(reason)]) == (20, reason)
    assert cells(dirty) == cells(clean) * 2
    assert open_table(dirty).n_rows == 39


def test_a_flaw_over_several_lines_is_one_rejection_that_names_them(tmp_path: Path) -> None:
    """What was skipped can be found in the file."""
    path = write(tmp_path, "a.csv", 'text,label\n"a\nb" c,x\nd,y\n')
    assert rejections(path) == [(1, "has text after a closing quotation mark (lines 2 to 3)")]
    assert cells(path) == [("d", "y")]


def zipped(folder: Path) -> bytes:
    """Return the bytes of an archive."""
    with zipfile.ZipFile(folder / "made.zip", "w") as archive:
        archive.writestr("a", "b")
    return (folder / "made.zip").read_bytes()


REFUSED = {
    "empty": ("a.csv", b"", "it is empty"),
    "only a mark": ("a.csv", b"\xef\xbb\xbf", "it is empty"),
    "only blank lines": ("a.csv", b"\n\n", "it is empty"),
    "only a header": ("a.csv", b"text,label\n", "there are no rows"),
    "only blank JSON lines": ("a.jsonl", b" \n\n", "there are no rows"),
    "repeated column": ("a.csv", b"text,n,text\na,b,c\n", "several columns are called 'text'"),
    "unnamed columns": ("a.csv", b"text,,\na,b,c\n", "several of its columns have no name"),
    "unclosed quote": ("a.csv", b'text,n\na,b\n"c\nd",e\nf,"g\nh,i\n', "a quotation mark opened in line 5"),
    "broken header": ("a.csv", b'"text" x,n\na,b\n', "its header has text after"),
    "every row rejected": ("a.csv", b"text,n\na\nb\n", "none of its 2 rows can be read (row 1 has 1 field where"),
    "a JSON list": ("a.jsonl", b'[{"text": "a"},\n{"text": "b"}]', "it is one JSON list over the whole file"),
    "a JSON document": ("a.jsonl", b'{\n"text": "a"\n}', "it is one JSON object over the whole file"),
    "objects without keys": ("a.jsonl", b"{}\n{}\n", "its objects have no keys"),
    "PDF": ("a.csv", b"%PDF-1.7\n", "it is a PDF document"),
    "image": ("a.tsv", b"\x89PNG\r\n\x1a\n", "it is an image"),
    "gzip": ("a.jsonl", b"\x1f\x8b\x08\x00", "it is a gzip archive"),
    "old Office": ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "it is an older Office document"),
    "web page": ("a.csv", b"\n<!DOCTYPE html><html>", "it is a web page"),
    "Parquet as CSV": ("a.csv", b"PAR1....PAR1", "it is a Parquet file; rename it to end in .parquet"),
    "CSV as Parquet": ("a.parquet", b"text,n\na,b\n", "it is not a whole Parquet file"),
    "damaged Parquet": ("a.parquet", b"PAR1 damaged PAR1", "the Parquet file is damaged"),
    "unknown ending": ("a.json", b"{}", "files ending in '.json' are not read; use one of '.csv'"),
    "no ending": ("a", b"text\na\n", "its name has no ending"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_hopeless_file_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    """The sentence begins with the file and says what is wrong with it."""
    name, content, problem = REFUSED[case]
    path = write(tmp_path, name, content)
    with pytest.raises(FileProblemError) as caught:
        open_table(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {problem}")
    assert message.endswith(".")
    assert "\n" not in message


def test_other_refusals(tmp_path: Path) -> None:
    """A missing file, an archive, an empty folder, and things that are no files."""
    with pytest.raises(FileMissingError, match="no such file"):
        open_table(tmp_path / "no.csv")
    with pytest.raises(FileMissingError):
        open_table("bad\x00name.csv")
    with pytest.raises(FileProblemError, match="export it as CSV"):
        open_table(write(tmp_path, "a.xlsx", zipped(tmp_path)))
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileProblemError, match=r"no \.txt file"):
        open_table(tmp_path / "folder")
    with pytest.raises(FileProblemError, match="neither a file nor a folder"):
        open_table("/dev/null")


def test_a_file_that_changes_after_the_scan_is_noticed(tmp_path: Path) -> None:
    """A pass that disagrees with the scan does not end in silence."""
    path = write(tmp_path, "a.csv", "text\na\nb\n")
    table = open_table(path)
    path.write_text("text\na\n")
    with pytest.raises(FileProblemError, match="changed while it was read"):
        list(table.rows())
    path.unlink()
    with pytest.raises(FileProblemError, match="changed while it was read"):
        list(table.rows())


def test_rows_can_be_streamed_many_times_and_at_once(tmp_path: Path) -> None:
    """Every pass has its own place in the file."""
    table = open_table(write(tmp_path, "a.csv", "text\na\nb\n"))
    assert list(zip(table.rows(), table.rows(), strict=True)) == [(row, row) for row in table.rows()]


def test_jsonl_keeps_the_untouched_line(tmp_path: Path) -> None:
    """Columns are all keys in order of first appearance; a missing key is None."""
    lines = ['{"b": 1,"a":"x"}', '  {"c" : [ 1 ] }  ']
    table = open_table(write(tmp_path, "a.jsonl", "\r\n".join(lines)))
    rows = [row for row in table.rows() if isinstance(row, Row)]
    assert table.columns == ("b", "a", "c")
    assert [row.raw for row in rows] == lines
    assert [row.cells for row in rows] == [("1", "x", None), (None, None, ["1"])]


def test_a_folder_of_texts(tmp_path: Path) -> None:
    """Ids are sorted paths, labels are sub-folders, other files are ignored, bad ones rejected."""
    for name, text in {"b/2.txt": "two\r\n", "a/deep/1.TXT": "one", "3.txt": "", "b/notes.rst": "no"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path, name, text)
    write(tmp_path, "b/4.txt", b"%PDF-1.4")
    stream = read_documents(tmp_path, need_labels=True)
    assert stream.table.columns == ("id", "text", "label")
    assert texts(stream) == [("3.txt", "", None), ("a/deep/1.TXT", "one", "a"), ("b/2.txt", "two\r\n", "b")]
    [rejection] = [item for item in stream if isinstance(item, Rejection)]
    assert (rejection.id, rejection.reason) == (
        "b/4.txt",
        "cannot be read: it is a PDF document, not a table of documents",
    )
    assert stream.notes == ()


def test_a_file_name_that_is_not_unicode_is_rejected(tmp_path: Path) -> None:
    """Such an id could not be written anywhere."""
    (tmp_path / "1.txt").write_text("fine")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).write_text("odd")
    [_, rejection] = read_documents(tmp_path)
    assert rejection == Rejection(str(tmp_path), 2, "has a file name that is not valid Unicode", id="\\udcff.txt")


def test_a_list_in_the_first_line_is_only_a_bad_row(tmp_path: Path) -> None:
    """It is not mistaken for a file that is one list."""
    path = write(tmp_path, "a.jsonl", '["a"]\n{"text": "b"}\n')
    assert rejections(path) == [(1, "is a list, not an object")]
    assert cells(path) == [("b",)]


def test_a_flat_folder_has_no_labels_and_tells_of_guessed_encodings(tmp_path: Path) -> None:
    """One note counts the files of each guess."""
    write(tmp_path, "1.txt", "Très déçu".encode("cp1252"))
    write(tmp_path, "2.txt", "Fine")
    stream = read_documents(tmp_path)
    assert stream.table.columns == ("id", "text")
    assert texts(stream) == [("1.txt", "Très déçu", None), ("2.txt", "Fine", None)]
    assert stream.notes == ("1 of 2 files read as Windows-1252, as they are not UTF-8; name another with --encoding",)


@pytest.mark.parametrize("path", sorted(DATASETS.glob("*/*.csv")) or [None], ids=lambda path: str(path)[-40:])
def test_real_files_read_as_pandas_reads_them(path: Path | None) -> None:
    """Row by row, with conversions turned off."""
    if path is None:
        pytest.skip("no datasets beside the repository (../shared/datasets)")
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    table = open_table(path)
    assert table.columns == tuple(frame.columns)
    assert table.notes == ()
    expected = zip(*(frame[column].tolist() for column in frame), strict=True)
    assert [row.cells for row in table.rows() if isinstance(row, Row)] == list(expected)
    assert table.n_rows == len(frame)


def test_importing_the_door_is_light() -> None:
    """Heavy libraries wait until a file needs them."""
    heavy = "pyarrow pandas numpy torch"
    code = f"import sys, classifier.reading.documents; print([m for m in {heavy.split()} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_rest_of_a_broken_cell_is_no_document(tmp_path: Path) -> None:
    """A record broken in the middle of a cell over several lines is one rejection; no row is made of its rest."""
    path = tmp_path / "broken.csv"
    path.write_text(
        'id,text,label\n1,"my grinder broke",repair\n2,"he said "hello" to me\nthen left, really",billing\n'
        '3,"refund please",billing\n',
        encoding="utf-8",
    )
    items = list(read_documents(path, need_labels=True))
    assert [type(item) for item in items] == [Record, Rejection, Record]
    assert [item.document.id for item in items if isinstance(item, Record)] == ["1", "3"]


def test_another_file_of_the_same_length_is_noticed(tmp_path: Path) -> None:
    """A file that was rewritten after the scan is refused, also where its number of rows is the same."""
    path = tmp_path / "moving.csv"
    path.write_text("id,text\n1,hello\n", encoding="utf-8")
    table = open_table(path)
    path.write_text("text,id\nhello there,1\n", encoding="utf-8")
    with pytest.raises(FileProblemError, match="changed while it was read"):
        list(table.rows())
