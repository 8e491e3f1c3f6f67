"""Batch prediction: answers stand beside their rows, blocks never show, formats keep what they can."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import StopAfter, predict_into
from fakes import FakeEmbedder
from places import DATA

from classifier import DocumentClassifier, progress
from classifier.datamodels import Prediction, Rejection
from classifier.embedding.contract import Embeddings
from classifier.errors import OutputError
from classifier.prediction import batch
from classifier.prediction.batch import (
    Answered,
    BatchOptions,
    ExactAnswers,
    StoppedError,
    predict_stream,
)
from classifier.prediction.formats import open_format
from classifier.prediction.journal import Journal, unfinished_folder
from classifier.prediction.outputs import OUTPUT, REJECTED, JournaledOutput
from classifier.reading.documents import read_documents

ADDED = ["predicted_label", "confidence", "status"]


def write(folder: Path, name: str, content: str) -> Path:
    """Write a file byte for byte."""
    path = folder / name
    path.write_bytes(content.encode())
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    """Read CSV by the standard library alone."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, strict=True))


def expected(answer: Prediction) -> list[str]:
    """Return the cells that an answer should give in CSV."""
    return [answer.label, str(round(answer.confidence, 6)) if answer.label else "", answer.status]


def test_every_row_gets_its_own_answer(small_model: DocumentClassifier, tmp_path: Path) -> None:
    """What stands beside a text is what the model says of it alone, for all of the inbox."""
    counts = predict_into(small_model, DATA / "inbox.csv", tmp_path / "out.csv", "csv", raw=True)
    found = rows_of(tmp_path / "out.csv")
    answers = [small_model.classify([row["text"]])[0] for row in found]
    assert [[row[name] for name in ADDED] for row in found] == [expected(answer) for answer in answers]
    assert (counts.n_rows, counts.n_predicted, counts.n_rejected) == (60, 60, 0)
    assert counts.statuses == {"unsure": 58, "empty": 2}
    assert sum(counts.labels.values()) == 58
    assert list(counts.labels.values()) == sorted(counts.labels.values(), reverse=True)


@pytest.mark.parametrize("n_documents", [1, 7, 60])
@pytest.mark.parametrize("n_characters", [1, 500, 10**9])
def test_blocks_do_not_show(
    small_model: DocumentClassifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    n_documents: int,
    n_characters: int,
) -> None:
    """The output is the same byte for byte, however many rows are taken at a time."""
    predict_into(small_model, DATA / "inbox.csv", tmp_path / "whole.csv", "csv")
    monkeypatch.setattr(batch, "BLOCK_ROWS", n_documents)
    monkeypatch.setattr(batch, "BLOCK_CHARACTERS", n_characters)
    predict_into(small_model, DATA / "inbox.csv", tmp_path / "blocks.csv", "csv")
    assert (tmp_path / "blocks.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_blocks_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more rows, nor many more characters, are held at once than allowed; a long text ends its block."""
    embedder = FakeEmbedder()
    model = DocumentClassifier(embedder).fit(["a", "b", "c", "d"], ["x", "x", "y", "y"])
    embedder.calls.clear()
    monkeypatch.setattr(batch, "BLOCK_ROWS", 3)
    monkeypatch.setattr(batch, "BLOCK_CHARACTERS", 100)
    texts = ["word"] * 7 + ["long" * 50] + ["word"] * 2
    predict_into(model, write(tmp_path, "in.csv", "text\n" + "\n".join(texts) + "\n"), tmp_path / "out.csv", "csv")
    assert [len(call) for call in embedder.calls] == [3, 3, 2, 2]
    assert [text for call in embedder.calls for text in call] == texts


def test_rows_and_rejections_in_any_order(
    small_model: DocumentClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block of nothing but rejected rows is no hindrance, and all rows are accounted for."""
    monkeypatch.setattr(batch, "BLOCK_ROWS", 2)
    source = write(tmp_path, "in.csv", "id,text\nx\ny\nz\n1,moss\n2,a,b\n3,flour\nw\n")
    counts = predict_into(small_model, source, tmp_path / "out.csv", "csv")
    assert (counts.n_rows, counts.n_predicted, counts.n_rejected) == (7, 2, 5)
    assert [row["id"] for row in rows_of(tmp_path / "out.csv")] == ["1", "3"]
    assert [row["row"] for row in rows_of(tmp_path / "out.rejected")] == ["1", "2", "3", "5", "7"]


def test_top_k_lists_the_most_probable_labels(small_model: DocumentClassifier, tmp_path: Path) -> None:
    """The list falls, begins with the answer, and is never longer than there are labels."""
    source = write(tmp_path, "in.csv", "text\na rake\n \n")
    for k in (1, 2, 9):
        predict_into(small_model, source, tmp_path / "out.csv", "csv", options=BatchOptions(top_k=k))
        first, blank = rows_of(tmp_path / "out.csv")
        best = json.loads(first["top_k"])
        assert len(best) == min(k, 3)
        assert (best[0]["label"], str(best[0]["confidence"])) == (first["predicted_label"], first["confidence"])
        assert [item["confidence"] for item in best] == sorted((item["confidence"] for item in best), reverse=True)
        assert blank["top_k"] == "[]"


def test_jsonl_to_jsonl_keeps_the_original_text_of_each_line(small_model: DocumentClassifier, tmp_path: Path) -> None:
    """Spaces, escapes, long numbers and the order of keys stay; three keys are added before the last brace."""
    lines = [
        '{"text": "moss \\u00e9\\ud83d\\ude00", "n": 1.10, "big": 123456789012345678901234567890}',
        '  {"n":1e5,"text":"a { brace }"  }',
        '{ "text" : null , "deep" : { "a" : [ 1 , 2.50 ] } }\t',
        '{"other": "no text here"}',
    ]
    source = write(tmp_path, "in.jsonl", "\r\n".join(lines) + "\r\n")
    counts = predict_into(small_model, source, tmp_path / "out.jsonl", "jsonl")
    written = (tmp_path / "out.jsonl").read_bytes().decode().split("\n")[:-1]
    for line, out in zip(lines, written, strict=True):
        own, after = line[: line.rindex("}")], line[line.rindex("}") :]
        assert out.startswith(own + ", ")
        assert out.endswith(after)
        assert list(json.loads("{" + out[len(own) + 2 :])) == ADDED
        assert list(json.loads(out)) == [*json.loads(line), *ADDED]
    assert counts.statuses == {"unsure": 2, "empty": 2}


def test_parquet_to_parquet_keeps_types(small_model: DocumentClassifier, tmp_path: Path) -> None:
    """Columns of the input come out with their types, values and nulls; the answers have types of their own."""
    table = pa.table(
        {
            "id": pa.array([7, None, 2**40], pa.int64()),
            "text": pa.array(["moss", None, "flour"], pa.large_string()),
            "when": pa.array([1, None, 1_700_000_000_123_456_789], pa.timestamp("ns", "Europe/Paris")),
            "tags": pa.array([["a"], None, []], pa.list_(pa.string())),
            "kind": pa.array(["p", "q", "p"]).dictionary_encode(),
            "share": pa.array([0.1, None, float("inf")], pa.float32()),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    best = BatchOptions(top_k=1)
    predict_into(small_model, tmp_path / "in.parquet", tmp_path / "out.parquet", "parquet", options=best)
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.select(table.column_names).equals(pq.read_table(tmp_path / "in.parquet"))
    added = [found.schema.field(name).type for name in [*ADDED, "top_k"]]
    assert added == [pa.string(), pa.float64(), pa.string(), pa.string()]
    assert found["status"].to_pylist() == ["unsure", "empty", "unsure"]
    assert found["confidence"].to_pylist()[1] is None


def test_csv_to_parquet_and_jsonl(small_model: DocumentClassifier, tmp_path: Path) -> None:
    """Cells of CSV become strings, never numbers or nulls, and both formats say the same."""
    cells = [("007", "NA", "1e5"), ("", "moss", "null"), ("1.10", " a\r\nb ", "=1+1")]
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([("id", "text", "note"), *cells])
    source = write(tmp_path, "in.csv", stream.getvalue())
    predict_into(small_model, source, tmp_path / "out.parquet", "parquet")
    predict_into(small_model, source, tmp_path / "out.jsonl", "jsonl")
    table = pq.read_table(tmp_path / "out.parquet")
    assert [field.type for field in table.schema][:3] == [pa.string()] * 3
    found = table.to_pylist()
    assert [tuple(row[name] for name in ("id", "text", "note")) for row in found] == cells
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    assert [json.loads(line) for line in lines] == found


def test_standard_output_takes_text(small_model: DocumentClassifier, tmp_path: Path) -> None:
    """An open stream gets the same rows as a file; Parquet is refused there."""
    predict_into(small_model, DATA / "inbox.csv", tmp_path / "out.csv", "csv")
    stream = io.StringIO()
    predict_into(small_model, DATA / "inbox.csv", stream, "csv")
    assert stream.getvalue() == (tmp_path / "out.csv").read_bytes().decode()
    with pytest.raises(OutputError, match="Parquet cannot be written there"):
        predict_into(small_model, DATA / "inbox.csv", io.StringIO(), "parquet")


def test_a_taken_column_name_is_refused_before_anything_is_written(
    small_model: DocumentClassifier, tmp_path: Path
) -> None:
    """Cells of the input are never overwritten by answers."""
    source = write(tmp_path, "in.csv", "text,top_k\nmoss,mine\n")
    assert predict_into(small_model, source, tmp_path / "out.csv", "csv").n_rows == 1
    assert rows_of(tmp_path / "out.csv")[0]["top_k"] == "mine"
    with pytest.raises(OutputError, match="the input already has the column 'top_k'"):
        predict_into(small_model, source, tmp_path / "new.csv", "csv", options=BatchOptions(top_k=2))
    assert not (tmp_path / "new.csv").exists()


def test_a_failure_midway_leaves_the_old_output(
    small_model: DocumentClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the input changes while it is read, neither half an output nor a list of rejected rows appears."""
    monkeypatch.setattr(batch, "BLOCK_ROWS", 1)
    source = write(tmp_path, "in.csv", "text,n\nmoss,1\nbad\nflour,2\n")
    target = write(tmp_path, "out.csv", "of last week")
    stream = read_documents(source)
    source.write_text("text,n\nmoss,1\n")
    rows = open_format("csv", target, stream.table, BatchOptions().added_columns())
    with Journal(target, {}, [OUTPUT, REJECTED]) as journal:
        output = JournaledOutput(journal, target, rows, tmp_path / "rejected.csv")
        with pytest.raises(ValueError, match="changed while it was read"):
            predict_stream(ExactAnswers(small_model, BatchOptions()), stream, rows, output)
    assert target.read_text() == "of last week"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv", "out.csv.unfinished"]


@pytest.mark.parametrize("n_blocks", [0, 1, 5, 11])
def test_a_stopped_run_is_gone_on_with(
    small_model: DocumentClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_blocks: int
) -> None:
    """What is finished is not answered again, and the result is that of one run."""
    monkeypatch.setattr(batch, "BLOCK_ROWS", 5)
    predict_into(small_model, DATA / "inbox.csv", tmp_path / "whole.csv", "csv")
    target, stop = tmp_path / "out.csv", StopAfter(n_blocks)
    with pytest.raises(StoppedError):
        predict_into(small_model, DATA / "inbox.csv", target, "csv", stop=stop)
    assert not target.exists()
    assert unfinished_folder(target).exists() is (n_blocks > 0)
    assert isinstance(small_model.embedder, FakeEmbedder)
    small_model.embedder.calls.clear()
    counts = predict_into(small_model, DATA / "inbox.csv", target, "csv")
    assert len(small_model.embedder.calls) == 12 - n_blocks
    assert counts == predict_into(small_model, DATA / "inbox.csv", tmp_path / "whole.csv", "csv")
    assert target.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not unfinished_folder(target).exists()


@pytest.mark.parametrize("fails", ["answer", "write"])
def test_nothing_follows_a_block_that_failed(
    small_model: DocumentClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """Blocks in hand are given up when the one before them failed, so that no row is left out in the middle."""
    monkeypatch.setattr(batch, "BLOCK_ROWS", 5)
    stream = read_documents(DATA / "inbox.csv")
    rows = open_format("csv", tmp_path / "out.csv", stream.table, BatchOptions().added_columns())
    answers, output = FailingAnswers(small_model, BatchOptions()), FailingOutput()
    (answers if fails == "answer" else output).fails_at = 3
    with pytest.raises(MemoryError):
        predict_stream(answers, stream, rows, output)
    assert [note["n_rows"] for note in output.notes] == [5, 5]


class FailingAnswers(ExactAnswers):
    """Answers that fail at one block, slowly, so that the next one is waiting by then."""

    fails_at = 0

    def answer(self, texts: Sequence[str], prepared: Embeddings) -> Answered:
        """Answer, or fail."""
        self.fails_at -= 1
        if self.fails_at == 0:
            time.sleep(0.2)
            raise MemoryError
        return super().answer(texts, prepared)


class FailingOutput:
    """An output that fails once, slowly, and would take what follows."""

    fails_at = 0

    def __init__(self) -> None:
        self.notes: list[Mapping[str, Any]] = []

    def write(self, body: bytes, rejected: Sequence[Rejection], note: Mapping[str, Any], vectors: object) -> None:  # noqa: ARG002 # as Output
        """Take a block, or fail."""
        self.fails_at -= 1
        if self.fails_at == 0:
            time.sleep(0.2)
            raise MemoryError
        self.notes.append(note)


def test_progress_goes_to_stderr(
    small_model: DocumentClassifier,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bar counts rows, and only where it is asked for."""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    predict_into(small_model, DATA / "inbox.csv", tmp_path / "out.csv", "csv")
    assert capsys.readouterr() == ("", "")
    predict_into(small_model, DATA / "inbox.csv", tmp_path / "out.csv", "csv", progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "60/60" in err


def test_blocks_are_prepared_at_once_and_embedded_in_turn(
    small_model: DocumentClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two blocks are in hand at a time, but the encoder, which keeps all cores busy, has one."""
    monkeypatch.setattr(batch, "BLOCK_ROWS", 5)
    monkeypatch.setattr(small_model, "_embedder", Busy(), raising=False)
    busy = small_model._embedder
    n_in_hand: list[int] = []

    class Watched(ExactAnswers):
        """Notes how many blocks are in hand."""

        n_now = 0

        def prepare(self, texts: Sequence[str]) -> Embeddings:
            Watched.n_now += 1
            n_in_hand.append(Watched.n_now)
            found = super().prepare(texts)
            Watched.n_now -= 1
            return found

    stream = read_documents(DATA / "inbox.csv")
    target = tmp_path / "out.csv"
    rows = open_format("csv", target, stream.table, BatchOptions().added_columns())
    with Journal(target, {}, [OUTPUT, REJECTED]) as journal:
        output = JournaledOutput(journal, target, rows, tmp_path / "rejected.csv")
        predict_stream(Watched(small_model, BatchOptions()), stream, rows, output)
    assert max(n_in_hand) == batch.BLOCKS_PREPARED == 2
    assert busy.most_at_once == 1


class Busy(FakeEmbedder):
    """Notes how many calls are under way."""

    n_now = most_at_once = 0

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:
        """Take a moment."""
        self.n_now += 1
        self.most_at_once = max(self.most_at_once, self.n_now)
        time.sleep(0.01)
        found = super().encode(texts, progress=progress)
        self.n_now -= 1
        return found
