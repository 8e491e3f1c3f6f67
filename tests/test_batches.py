"""Whole batches: what makes a run the same one, what is kept beside it, and what is refused first."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import StopAfter
from fakes import FakeEmbedder

from classifier import DocumentClassifier, workflows
from classifier.datamodels import ReviewPolicy, Settings
from classifier.embedding.embedders import EMBEDDERS, Family
from classifier.errors import OutputError, UnfinishedRunError
from classifier.memory import peak_memory_bytes
from classifier.prediction import batch
from classifier.prediction.batch import StoppedError
from classifier.prediction.journal import unfinished_folder
from classifier.reports import BatchReport, BatchRequest, Columns

N_ROWS = 12


@pytest.fixture(scope="module")
def trained() -> DocumentClassifier:
    """Train a model; tests must not change it."""
    return DocumentClassifier(FakeEmbedder(name="fake:a")).fit(["moss", "turf", "ladle", "sieve"], list("ggkk"))


@pytest.fixture(autouse=True)
def own_folder(trained: DocumentClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with an input and two versions of a model, two rows at a time."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(batch, "BLOCK_ROWS", 2)
    monkeypatch.setitem(EMBEDDERS, "fake", Family(lambda name, options: FakeEmbedder(name=name.source)))  # noqa: ARG005
    for version in "12":
        trained.save(tmp_path / "tools" / version)
    Path("in.csv").write_text("id,text,note\n" + "".join(f"{row},words {row},é {row}\n" for row in range(N_ROWS)))


def run(tmp_path: Path, n_blocks: int | None = None, *, version: str = "1", **options: Any) -> BatchReport:
    """Predict ``in.csv`` into ``out.csv``, or as much of it as is done when somebody stops it."""
    columns = Columns(options.pop("text_column", "text"), None, "id", options.pop("encoding", None))
    restart, target = options.pop("restart", False), Path(options.pop("target", "out.csv"))
    source = options.pop("source", "in.csv")
    return workflows.predict_file(
        tmp_path / "tools" / version,
        source,
        target,
        Settings(tmp_path / "models"),
        BatchRequest(**options),
        columns=columns,
        restart=restart,
        stop=None if n_blocks is None else StopAfter(n_blocks),
    )


def stopped(tmp_path: Path, n_blocks: int, **options: Any) -> None:
    """Leave a run unfinished."""
    with pytest.raises(StoppedError):
        run(tmp_path, n_blocks, **options)


CHANGES: dict[str, dict[str, Any]] = {
    "model was": {"version": "2"},
    "text column was 'text', now 'note'": {"text_column": "note"},
    "encoding was 'None', now 'utf-8'": {"encoding": "utf-8"},
    "format was 'csv', now 'jsonl'": {"output_format": "jsonl"},
    "raw was 'False', now 'True'": {"raw": True},
    "top-k was 'None', now '2'": {"top_k": 2},
    "similar was '0', now '1'": {"n_similar": 1},
    "threshold was '0.5', now '0.9'": {"review": ReviewPolicy(min_confidence=0.9)},
    "embeddings-out was 'None', now 'v.parquet'": {"embeddings_out": Path("v.parquet")},
}


@pytest.mark.parametrize("told", CHANGES)
def test_everything_that_the_result_depends_on_makes_it_another_run(tmp_path: Path, told: str) -> None:
    """Blocks of two runs never meet in one file; the message says what was changed, and both ways out work."""
    stopped(tmp_path, 2)
    with pytest.raises(UnfinishedRunError) as refused:
        run(tmp_path, **CHANGES[told])
    assert told in str(refused.value)
    assert not Path("out.csv").exists()
    assert run(tmp_path).n_rows_before == 4
    stopped(tmp_path, 2)
    assert run(tmp_path, restart=True, **CHANGES[told]).n_rows_before == 0


def test_another_input_is_another_run(tmp_path: Path) -> None:
    """One byte is enough, even where size and time are the same; a copy of the file is the same input."""
    stopped(tmp_path, 3)
    content = Path("in.csv").read_bytes()
    Path("copy.csv").write_bytes(content)
    Path("in.csv").write_bytes(content.replace(b"words 11", b"words 12"))
    with pytest.raises(UnfinishedRunError, match="input was"):
        run(tmp_path)
    assert run(tmp_path, source="copy.csv").n_rows_before == 6


def test_an_output_may_lie_in_the_folder_that_is_read(tmp_path: Path) -> None:
    """Unfinished work is no document, so that it does not make the folder another one."""
    for number in range(5):
        Path(f"{number}.txt").write_text(f"words {number}")
    stopped(tmp_path, 1, source=".")
    report = run(tmp_path, source=".")
    assert (report.n_rows_before, report.counts.n_rows) == (2, 5)
    Path("3.txt").write_text("other words")
    stopped(tmp_path, 1, source=".")
    Path("4.txt").write_text("other words")
    with pytest.raises(UnfinishedRunError, match="input was"):
        run(tmp_path, source=".")


def test_kept_vectors_are_those_of_one_run(tmp_path: Path) -> None:
    """Whatever stopped it, the vectors of all rows are in the file, in order."""
    run(tmp_path, embeddings_out=Path("whole.parquet"), target="whole.csv")
    stopped(tmp_path, 4, embeddings_out=Path("v.parquet"))
    assert not Path("v.parquet").exists()
    assert run(tmp_path, embeddings_out=Path("v.parquet")).n_rows_before == 8
    assert Path("v.parquet").read_bytes() == Path("whole.parquet").read_bytes()
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_a_summary_lies_beside_the_output(tmp_path: Path) -> None:
    """It holds what was reported, of the run that ended it."""
    stopped(tmp_path, 1)
    report = run(tmp_path)
    found = json.loads(Path("out.csv.summary.json").read_text(encoding="utf-8"))
    assert (report.summary_file, found["summary_file"]) == ("out.csv.summary.json", "out.csv.summary.json")
    assert (found["counts"]["n_rows"], found["n_rows_before"]) == (N_ROWS, 2)
    assert found["counts"]["labels"] == report.counts.labels
    assert sorted(path.name for path in Path().iterdir()) == ["in.csv", "out.csv", "out.csv.summary.json"]


@pytest.mark.parametrize("kept", ["out.csv", "./out.csv", "out.csv.summary.json", "out.csv.rejected.csv", "link"])
def test_vectors_never_go_where_something_else_goes(tmp_path: Path, kept: str) -> None:
    """One of both would be lost in silence."""
    Path("link").symlink_to("out.csv")
    with pytest.raises(OutputError, match="the vectors would be written where something else of this run goes"):
        run(tmp_path, embeddings_out=Path(kept))
    assert sorted(path.name for path in Path().iterdir()) == ["in.csv", "link"]


@pytest.mark.parametrize("name", ["out.csv.summary.json", "out.csv.rejected.csv"])
def test_nothing_is_written_over_the_input(tmp_path: Path, name: str) -> None:
    """Not even where the input has the name of something that lies beside the output."""
    Path("in.csv").rename("in.jsonl" if name.endswith("json") else name)
    source = Path("in.jsonl") if name.endswith("json") else Path(name)
    if name.endswith("json"):
        source.write_text('{"id": "1", "text": "a", "note": "b"}\n')
        Path(name).symlink_to(source)
    before = source.read_bytes()
    with pytest.raises(OutputError, match="would be written over the file that is read"):
        run(tmp_path, source=source)
    assert source.read_bytes() == before


def test_stopping_before_the_first_block_leaves_nothing(tmp_path: Path) -> None:
    """There is nothing to go on with, and nothing to clean up."""
    stopped(tmp_path, 0)
    assert not unfinished_folder(Path("out.csv")).exists()
    assert run(tmp_path).n_rows_before == 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system tells its own figure nowhere else")
def test_the_memory_that_is_told_is_what_the_system_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes, whatever unit the system counts in: Linux in units of 1,024 bytes, macOS in bytes."""
    import resource

    status = Path("/proc/self/status").read_text(encoding="ascii")
    counted = 1024 * int(status.partition("VmHWM:")[2].split()[0])
    assert peak_memory_bytes() == pytest.approx(counted, rel=0.05)
    monkeypatch.setattr(resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=1000))
    assert peak_memory_bytes() == 1_024_000
    monkeypatch.setattr(sys, "platform", "darwin")
    assert peak_memory_bytes() == 1000
