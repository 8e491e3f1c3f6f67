"""Which column is the text, the label and the id, and how cells become text."""

from __future__ import annotations

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classifier.datamodels import Rejection
from classifier.errors import ColumnError, FileProblemError
from classifier.reading.documents import DocumentStream, Record, read_documents

SENTENCES = ["where is my parcel", "I want my money back", "the app does not start", "thanks a lot"] * 5


def table(folder: Path, header: str, *rows: str) -> Path:
    """Write a CSV file."""
    path = folder / "table.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8", newline="")
    return path


def documents(stream: DocumentStream) -> list[tuple[str, str, str | None]]:
    """Return id, text and label of each document."""
    return [(r.document.id, r.document.text, r.document.label) for r in stream if isinstance(r, Record)]


def test_plain_names_are_taken_in_silence(tmp_path: Path) -> None:
    """text, label and id need no explanation."""
    stream = read_documents(table(tmp_path, "label,id,text", "x,7,a", ",8,b"))
    assert (stream.text_column, stream.label_column, stream.id_column, stream.notes) == ("text", "label", "id", ())
    assert documents(stream) == [("7", "a", "x"), ("8", "b", None)]
    assert stream.n_rows == 2


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("subject,body,topic", ("body", "topic", None)),
        ("Text,LABEL,Doc_ID", ("Text", "LABEL", "Doc_ID")),
        ("message,text,category", ("text", "category", None)),
        ("title,content,labels", ("content", "labels", None)),
        (" text ,intent,n", (" text ", "intent", None)),
        ("identifier,text,labeled", ("text", None, None)),
    ],
)
def test_known_names_are_found(tmp_path: Path, header: str, chosen: tuple[str | None, ...]) -> None:
    """Exact spellings come first, then other cases and outer spaces; parts of names do not count."""
    stream = read_documents(table(tmp_path, header, "a,b,c"))
    assert (stream.text_column, stream.label_column, stream.id_column) == chosen


def test_a_choice_is_told_with_the_flags_that_change_it(tmp_path: Path) -> None:
    """Only choices that the user did not make are told."""
    path = table(tmp_path, "body,topic,n", "a,b,c")
    [note] = read_documents(path).notes
    assert note.startswith("Taking the text from column 'body' and the label from column 'topic'; ")
    assert note.endswith("; name others with --text-column and --label-column.")
    assert read_documents(path, text_column="n").notes == (
        "Taking the label from column 'topic'; name another with --label-column.",
    )
    assert read_documents(path, text_column="n", label_column="body").notes == ()


def test_columns_without_usual_names_are_found_by_what_they_hold(tmp_path: Path) -> None:
    """Dates and addresses are longer than the text, but no words."""
    rows = [
        f"{number},2024-01-{number:02d}T10:00:00.000000+00:00,https://example.org/a/very/long/address/{number},{text},{kind}"
        for number, (text, kind) in enumerate(
            zip(SENTENCES, ["late", "money", "bug", "praise"] * 5, strict=True), start=1
        )
    ]
    path = table(tmp_path, "n,when,where,what,kind", *rows)
    stream = read_documents(path, need_labels=True)
    assert (stream.text_column, stream.label_column) == ("what", "kind")
    assert read_documents(path).label_column is None


def test_texts_without_spaces_between_words_are_found(tmp_path: Path) -> None:
    """Chinese is words too."""
    path = table(tmp_path, "code,what", *(f"ABCDEFGH-{number},我的包裹在哪里" for number in range(9)))
    assert read_documents(path).text_column == "what"


def test_an_only_column_is_the_text(tmp_path: Path) -> None:
    """Whatever it is called, and however short its cells are."""
    assert read_documents(table(tmp_path, "words", "refund", "invoice")).text_column == "words"


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (
            "a,b",
            ["1,2", "3,4"],
            "no column looks like the text; its columns are 'a', 'b'; name one with --text-column.",
        ),
        (
            "text,n",
            ["some words,1", "more words,2"],
            "no column looks like the label; .* name one with --label-column.",
        ),
        ("text,a,b", ["w,x,y", "v,z,y", "w,x,u", "v,z,u"], "no column looks like the label"),
    ],
)
def test_a_choice_in_doubt_is_left_to_the_user(tmp_path: Path, header: str, rows: list[str], message: str) -> None:
    """No candidate, or two equally good ones, are an error that names the flag."""
    with pytest.raises(ColumnError, match=message):
        read_documents(table(tmp_path, header, *rows), need_labels=True)


def test_named_columns_are_taken_exactly(tmp_path: Path) -> None:
    """Case counts, and a near miss is suggested."""
    path = table(tmp_path, "text,Kind,kind", "a,b,c")
    assert documents(read_documents(path, label_column="kind")) == [("1", "a", "c")]
    with pytest.raises(ColumnError, match=r"no column 'kinds'; its columns are .* --label-column\. Did you mean"):
        read_documents(path, label_column="kinds")
    with pytest.raises(FileProblemError, match="cannot both come from column 'text'"):
        read_documents(path, text_column="text", label_column="text")


def test_labels_are_not_altered_and_ids_may_repeat(tmp_path: Path) -> None:
    """Only an empty label is no label."""
    path = table(tmp_path, "id,text,label", "1,a, x ", "1,b,NA", "001,c,", ",d,y")
    assert documents(read_documents(path)) == [("1", "a", " x "), ("1", "b", "NA"), ("001", "c", None), ("", "d", "y")]


def test_json_cells_become_their_literals(tmp_path: Path) -> None:
    """Numbers keep their digits, lists of labels are joined, null and NaN are missing."""
    path = tmp_path / "a.jsonl"
    lines = [
        '{"id": 1.10, "text": 12345678901234567890123, "label": ["a", "b"]}',
        '{"id": null, "text": null, "label": []}',
        '{"text": {"a": [1e5, "x"]}, "label": NaN}',
        '{"text": true, "label": 0}',
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert documents(read_documents(path)) == [
        ("1.10", "12345678901234567890123", "a|b"),
        ("", "", None),
        ("", '{"a": [1e5, "x"]}', None),
        ("", "true", "0"),
    ]


def test_parquet_cells_become_text(tmp_path: Path) -> None:
    """Typed values become their literals; bytes must be UTF-8."""
    path = tmp_path / "a.parquet"
    day = datetime.date(2024, 5, 1)
    columns = {
        "id": pa.array([1, 2, 3], pa.int8()),
        "text": pa.array([b"caf\xc3\xa9", None, b"\xff"], pa.binary()),
        "label": pa.array([["a", "b"], [], None], pa.list_(pa.string())),
        "day": pa.array([day, None, day]),
    }
    pq.write_table(pa.table(columns), path)
    stream = read_documents(path)
    assert documents(stream) == [("1", "café", "a|b"), ("2", "", None)]
    assert [item for item in stream if isinstance(item, Rejection)] == [Rejection(str(path), 3, "is not valid Unicode")]
    dated = [r.document for r in read_documents(path, text_column="day", label_column="id") if isinstance(r, Record)]
    assert [(document.text, document.label) for document in dated] == [
        ("2024-05-01", "1"),
        ("", "2"),
        ("2024-05-01", "3"),
    ]


def test_bytes_that_are_no_text_are_never_taken_for_words(tmp_path: Path) -> None:
    """A column of images does not disturb the choice."""
    path = tmp_path / "a.parquet"
    columns = {"image": pa.array([b"\xff\xd8" * 50] * 20, pa.binary()), "": SENTENCES, "kind": ["a", "b"] * 10}
    pq.write_table(pa.table(columns), path)
    stream = read_documents(path, need_labels=True)
    assert (stream.text_column, stream.label_column) == ("", "kind")
    assert stream.notes[0].startswith("Taking the text from column ''")


def test_parquet_is_refused_where_it_is_no_table_of_documents(tmp_path: Path) -> None:
    """Repeated names, no rows, damage and a text encoding are refused."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table([pa.array(["x"]), pa.array(["y"])], names=["text", "text"]), path)
    with pytest.raises(FileProblemError, match="several columns are called 'text'"):
        read_documents(path)
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    with pytest.raises(FileProblemError, match="there are no rows"):
        read_documents(path)
    pq.write_table(pa.table({"text": ["some text"] * 1000}), path)
    content = bytearray(path.read_bytes())
    content[4:40] = b"\xff" * 36
    path.write_bytes(content)
    with pytest.raises(FileProblemError, match="the Parquet file is damaged"):
        read_documents(path)
    with pytest.raises(FileProblemError, match="no text encoding"):
        read_documents(path, encoding="utf-8")
