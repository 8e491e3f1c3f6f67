"""Files that list labels: every kind of table, plain lists, and one sentence for each mistake."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.errors import ColumnError, FileMissingError, FileProblemError
from classifier.reading.columns import LABEL_NAMES
from classifier.reading.labels_file import read_labels

FOUND = {"z_last": "What comes at the end", "a": ""}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", "label,description\nz_last,What comes at the end\na,\n"),
        ("l.csv", "owner;Description;Label\nme; What comes at the end ;z_last\nme;  ;a\n"),
        ("l.tsv", "meaning\ttopic\nWhat comes at the end\tz_last\n\ta\n"),
        ("l.jsonl", '{"label": "z_last", "definition": "What comes at the end"}\n{"label": "a"}\n'),
    ],
)
def test_tables_of_labels(tmp_path: Path, name: str, content: str) -> None:
    """Labels keep the order of the file; descriptions are found by the usual names and trimmed."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    found = read_labels(tmp_path / name)
    assert list(found.descriptions.items()) == list(FOUND.items())
    assert found.notes == ()


def test_parquet_of_labels(tmp_path: Path) -> None:
    """Numbers are labels as they are written, and nulls are no description."""
    table = pa.table({"label": [3, 5], "description": ["three", None]})
    pq.write_table(table, tmp_path / "l.parquet")
    assert read_labels(tmp_path / "l.parquet").descriptions == {"3": "three", "5": ""}


@given(st.lists(st.from_regex(r"[a-zäß_ ]*[a-zäß][a-zäß_ ]*", fullmatch=True).map(str.strip), min_size=1, unique=True))
def test_a_list_of_labels_is_read_line_by_line(tmp_path_factory: pytest.TempPathFactory, labels: list[str]) -> None:
    """Each line of a text file is a label, whatever the line ends and blank lines, and the first is no header."""
    path = tmp_path_factory.mktemp("labels") / "l.txt"
    path.write_bytes("\r\n\n ".join(labels).encode() + b"\r\n\r\n")
    assert read_labels(path).descriptions == dict.fromkeys(labels, "")


def test_a_column_can_be_named_or_preferred(tmp_path: Path) -> None:
    """A named column is taken and no other; among usual names the first that is there is taken."""
    path = tmp_path / "l.csv"
    path.write_text("queue,label,description\nq1,x,The first\nq2,y,The second\n", encoding="utf-8")
    assert list(read_labels(path).descriptions) == ["x", "y"]
    assert list(read_labels(path, label_column="queue").descriptions) == ["q1", "q2"]
    assert list(read_labels(path, usual_names=("queue", *LABEL_NAMES)).descriptions) == ["q1", "q2"]
    with pytest.raises(ColumnError, match=r"there is no column 'queu'.*--label-column. Did you mean 'queue'\?$"):
        read_labels(path, label_column="queu")


def test_a_guessed_encoding_is_told(tmp_path: Path) -> None:
    """A file that is not UTF-8 is read, and the guess is told; an encoding that was named is no guess."""
    for name in ("l.csv", "l.txt"):
        path = tmp_path / name
        path.write_bytes("label\nRückgabe möglich\nschöne Grüße an die Küche\n".encode("cp1252"))
        found = read_labels(path)
        assert "Rückgabe möglich" in found.descriptions
        assert found.notes[0].startswith("read as Windows-1252")
        assert read_labels(path, encoding="cp1252").notes == ()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("l.csv", "billing\ndelivery\n", "no column looks like the label; its columns are 'billing'; name one with"),
        ("l.csv", "label,description\na,x\nb,y\na,z\n", "the label 'a' is in row 1 and again in row 3; keep one"),
        ("l.txt", "a\nb\n a\n", "the label 'a' is in row 1 and again in row 3; keep one of them"),
        ("l.csv", "label,description\na,x\n ,y\n", "the label of row 2 is blank; fill it in, or remove it"),
        ("l.csv", "label,description\n", "there are no rows in it"),
        ("l.csv", "", "it is empty"),
        ("l.txt", "", "there is no label in it; write one in each line"),
        ("l.txt", " \n\n", "there is no label in it; write one in each line"),
        ("l.csv", "label,description\na,x\nb,y,z\n", "row 2 has 3 fields where the header has 2; mend it"),
        ("l.doc", "a\n", "files ending in '.doc' are not read"),
        ("l.txt", "%PDF-1.7\n", "it is a PDF"),
    ],
)
def test_mistakes_are_told_in_one_sentence(tmp_path: Path, name: str, content: str, says: str) -> None:
    """The file is named, and what is wrong with it, and what to do."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(FileProblemError) as caught:
        read_labels(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: {says}")
    assert "\n" not in str(caught.value)


def test_descriptions_may_be_needed(tmp_path: Path) -> None:
    """Where descriptions are what a file is read for, one that describes nothing is refused; one is enough."""
    path = tmp_path / "l.csv"
    path.write_text("label,description\na,\nb, \n", encoding="utf-8")
    assert read_labels(path).descriptions == {"a": "", "b": ""}
    with pytest.raises(FileProblemError, match="no label is described in it; give it a column called 'description'"):
        read_labels(path, need_descriptions=True)
    path.write_text("label,description\na,\nb,The second\n", encoding="utf-8")
    assert read_labels(path, need_descriptions=True).descriptions == {"a": "", "b": "The second"}


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing list is a missing file like any other."""
    with pytest.raises(FileMissingError):
        read_labels(tmp_path / "gone.txt")
