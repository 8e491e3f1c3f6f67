"""Many documents at once, folders of documents of any kind, and one document alone: one bad file stops nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import FakeEmbedder
from test_parsing import docx, mail, pdf
from typer.testing import CliRunner

from classifier import DocumentClassifier, workflows
from classifier.cli import app
from classifier.datamodels import STATUS_EMPTY, Rejection, Settings
from classifier.errors import FileMissingError, FileProblemError, OptionError
from classifier.modeling.predictor import Predictor
from classifier.reading.documents import Record, open_table, read_documents
from classifier.reading.folders import ONE_DOCUMENT
from classifier.reading.single import DOCUMENT_SUFFIXES, read_content, read_file
from classifier.workflows.files import MOST_FILES, MOST_MEGABYTES, GivenFile, answer_files, to_csv

ALL_KINDS = {
    "a.txt": b"plain words",
    "b.md": b"# marked words",
    "c.html": b"<p>words of a <b>page</b>",
    "d.htm": b"<p>older page",
    "e.eml": mail(),
    "f.PDF": pdf("words on paper", ""),
    "g.docx": docx(),
}
BAD_KINDS = {
    "broken.pdf": b"%PDF-1.7 and nothing more",
    "picture.txt": b"\x89PNG\r\n\x1a\n",
    "silent.html": b"<script>only()</script>",
}


def given(name: str, content: bytes) -> GivenFile:
    """Send a file."""
    return GivenFile(name, len(content), lambda: content)


def never() -> bytes:
    """Fail where something is read that must not be."""
    raise AssertionError("it was read")


def put(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def model() -> Predictor:
    """Train on words of two kinds."""
    texts = [f"{kind} {number}" for kind in ("words", "page", "paper", "cat", "dog", "bird") for number in range(8)]
    return DocumentClassifier(FakeEmbedder(8)).fit(texts, ["thing"] * 24 + ["animal"] * 24)


def test_every_file_gets_its_answer_or_its_reason(model: Predictor) -> None:
    """In the order in which they were sent; what was not read of one is told."""
    files = {**ALL_KINDS, **BAD_KINDS, "empty.txt": b" \n", "inbox.csv": b"text\nx\n"}
    seen: list[tuple[int, int]] = []
    answers = answer_files(model, [given(*item) for item in files.items()], lambda *done: seen.append(done))
    assert [answer.document.id for answer in answers] == list(files)
    assert seen == [(number, len(files)) for number in range(1, len(files) + 1)]
    by_name = {answer.document.id: answer for answer in answers}
    for name, content in ALL_KINDS.items():
        expected = read_content(name, content).text
        assert by_name[name].document.text == expected
        assert by_name[name].prediction == model.classify([expected])[0]
    assert by_name["f.PDF"].notes == ("1 of 2 pages hold no text; a picture of text is not read",)
    for name, why in {"broken.pdf": "damaged", "picture.txt": "an image", "silent.html": "no text"}.items():
        assert by_name[name].prediction is None
        assert why in by_name[name].problem
        assert by_name[name].remedy
    assert "a table" in by_name["inbox.csv"].problem
    empty = by_name["empty.txt"].prediction
    assert empty is not None
    assert empty.status == STATUS_EMPTY


def test_limits_are_kept_before_anything_is_read(model: Predictor) -> None:
    """Neither one file too many nor a file too large is opened."""
    with pytest.raises(OptionError, match=rf"number of files is {MOST_FILES + 1}; give at most {MOST_FILES} at once"):
        answer_files(model, [GivenFile(f"{number}.txt", 1, never) for number in range(MOST_FILES + 1)])
    large = GivenFile("large.txt", (MOST_MEGABYTES << 20) + 1, never)
    [refused, fine] = answer_files(model, [large, given("a.txt", b"words")])
    assert refused.problem == f"it is larger than {MOST_MEGABYTES} MB"
    assert fine.prediction is not None


def test_the_download_is_what_predict_writes(model: Predictor) -> None:
    """Byte for byte, formulas made harmless; files that could not be read are not in it."""
    files = {"=cmd.txt": b"=1+1 words", "b.txt": b"two\r\nlines of a cat", "c.txt": BAD_KINDS["picture.txt"]}
    written = to_csv(answer_files(model, [given(*item) for item in files.items()]))
    rows = list(csv.reader(io.StringIO(written.decode(), newline="")))
    assert rows[0] == ["id", "text", "predicted_label", "confidence", "status"]
    assert [row[:2] for row in rows[1:]] == [["'=cmd.txt", "'=1+1 words"], ["b.txt", "two\r\nlines of a cat"]]
    assert [row[2] for row in rows[1:]] == list(model.predict(["=1+1 words", "two\r\nlines of a cat"]))


def test_a_folder_holds_documents_of_any_kind(tmp_path: Path) -> None:
    """Each is read, what was not read of it stands in its note, bad ones are rejected with the reason."""
    labelled = {f"post/{name}": content for name, content in {**ALL_KINDS, **BAD_KINDS}.items()}
    put(tmp_path, {**labelled, "post/ignored.rst": b"x", "other/x.txt": b"x"})
    stream = read_documents(tmp_path, need_labels=True)
    assert stream.table.columns == ("id", "text", "label", "note")
    assert stream.n_rows == len(ALL_KINDS) + len(BAD_KINDS) + 1
    for _ in range(2):
        items = list(stream)
        records = {item.document.id: item for item in items if isinstance(item, Record)}
        for name, content in ALL_KINDS.items():
            record = records[f"post/{name}"]
            assert record.document.text == read_content(name, content).text
            assert record.document.label == "post"
        assert "not read" in records["post/f.PDF"].row.cells[3]
        assert records["post/a.txt"].row.cells[3] == ""
        rejected = {item.id: item.reason for item in items if isinstance(item, Rejection)}
        assert set(rejected) == {f"post/{name}" for name in BAD_KINDS}
        assert rejected["post/silent.html"] == "cannot be read: it holds no text"


def test_a_folder_is_not_parsed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What took a process of its own is kept for the next pass; a file that changed is read anew."""
    put(tmp_path, {"a.html": b"<p>one", "b.html": b"<p>two"})
    table = open_table(tmp_path)
    list(table.rows())
    monkeypatch.setattr("classifier.reading.parsing.EXTRACTION", "no.such.module")
    assert [row.cells[1] for row in table.rows() if not isinstance(row, Rejection)] == ["one", "two"]
    (tmp_path / "b.html").write_bytes(b"<p>three")
    assert [type(row) is Rejection for row in table.rows()] == [False, True]


def test_a_folder_of_which_nothing_can_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileProblemError, match=r"none of its 3 rows can be read \(row 1 cannot be read: it is damaged"):
        open_table(put(tmp_path, BAD_KINDS))


@pytest.mark.parametrize("name", sorted(ALL_KINDS))
def test_one_document_is_a_table_of_one_row(name: str, tmp_path: Path) -> None:
    table = open_table(put(tmp_path, {name: ALL_KINDS[name]}) / name)
    [row] = table.rows()
    assert not isinstance(row, Rejection)
    assert row.cells[:2] == (name, read_content(name, ALL_KINDS[name]).text)
    own = (ONE_DOCUMENT,) if name in {"a.txt", "b.md"} else ()
    assert table.notes == own + read_content(name, ALL_KINDS[name]).notes


@pytest.mark.parametrize("name", sorted(BAD_KINDS))
def test_one_bad_document_is_one_sentence(name: str, tmp_path: Path) -> None:
    path = put(tmp_path, BAD_KINDS) / name
    with pytest.raises(FileProblemError) as caught:
        open_table(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_other_kinds_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileMissingError):
        read_file(tmp_path / "a.txt")
    with pytest.raises(FileProblemError, match=r"no document that can be read; give '\.txt', '\.md'"):
        read_content("a.rtf", b"{\\rtf1}")
    assert set(DOCUMENT_SUFFIXES) == {".txt", ".md", ".pdf", ".docx", ".html", ".htm", ".eml"}


@pytest.fixture
def shelf(small_shelf: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Stand in an empty folder with the stored model at hand."""
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(small_shelf))
    monkeypatch.chdir(tmp_path)
    return small_shelf


@pytest.fixture(scope="module")
def small_shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store a model that needs no transformer."""
    folder = tmp_path_factory.mktemp("shelf")
    kinds = {"refund": "refund money", "delivery": "parcel late"}
    rows = [f"my {words} {number},{label}\n" for label, words in kinds.items() for number in range(18)]
    (folder / "post.csv").write_text("text,label\n" + "".join(rows))
    workflows.train(folder / "post.csv", Settings(folder / "models"), name="post", embedder="lsa:4")
    return folder / "models"


def run(*words: object) -> Callable[[], str]:
    """Run the command line; return what it says."""
    return lambda: CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False).output


@pytest.mark.usefixtures("shelf")
def test_the_command_line_reads_folders_and_documents(tmp_path: Path) -> None:
    """A folder goes on after a bad file and ends with 3; one document is answered and explained like a text."""
    put(tmp_path, {"post/a.pdf": pdf("where is my late parcel"), "post/b.html": b"<p>my refund", "post/c.pdf": b"x"})
    result = CliRunner().invoke(app, ["predict", "post", "post", "-o", "out.csv"], catch_exceptions=False)
    assert result.exit_code == 3
    with Path("out.csv").open(newline="") as stream:
        rows = {row["id"]: row["predicted_label"] for row in csv.DictReader(stream)}
    assert rows == {"a.pdf": "delivery", "b.html": "refund"}
    assert "damaged" in Path("out.csv.rejected.csv").read_text()
    alone = CliRunner().invoke(app, ["predict", "post", "post/a.pdf"], catch_exceptions=False)
    assert alone.exit_code == 0
    assert '"a.pdf","where is my late parcel"' in alone.output
    from_file = run("explain", "post", "post/a.pdf", "--json")()
    from_text = run("explain", "post", "--text", "where is my late parcel", "--json")()
    assert from_file == from_text
    neither = CliRunner().invoke(app, ["explain", "post"])
    assert neither.exit_code == 2
    both = CliRunner().invoke(app, ["explain", "post", "post/a.pdf", "--text", "x"])
    assert both.exit_code == 2
