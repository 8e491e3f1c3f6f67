"""Jobs live on without whoever started them, are found again, stop, go on, and wait for their turn."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import borrow, ended, wait_until

from classifier import DocumentClassifier
from classifier.datamodels import ReviewPolicy, Settings
from classifier.errors import FileProblemError, UnknownJobError
from classifier.prediction.batch import BLOCK_ROWS
from classifier.storage.registry import Registry
from classifier.workflows import batch_jobs
from classifier.workflows import jobs as jobs_module
from classifier.workflows.batch_jobs import RowFilter
from classifier.workflows.corrections import feedback_of
from classifier.workflows.jobs import (
    DONE,
    FAILED,
    FOLDER,
    INTERRUPTED,
    LOG_FILE,
    RUNNING,
    STOPPED,
    WAITING,
    Job,
    Jobs,
    turn_of,
)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes are ended by signals")
N_ROWS = 6 * BLOCK_ROWS
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def shelf(library: Path, gated_model: DocumentClassifier, memory_folder: Path) -> Settings:
    """Store a small model that needs no transformer, and one whose embedder waits at a gate."""
    settings = borrow(library, memory_folder / "jobs" / "models", "tickets")
    Registry(settings.models_dir).add("gated", gated_model.save)
    return settings


@pytest.fixture
def jobs(shelf: Settings) -> Jobs:
    """Begin with the model."""
    return Jobs(shelf)


def predict(jobs: Jobs, shelf: Settings, n_rows: int = N_ROWS, model: str = "tickets") -> Job:
    """Start a batch."""
    folder = jobs.new_folder()
    with (folder / "input.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["id", "text"], *([row, f"where is parcel {row}"] for row in range(n_rows))])
    arguments = [model, str(folder / "input.csv"), "-o", str(folder / "output.csv"), "--json", "--no-cache"]
    return jobs.start(folder, "predict", "A batch", [*arguments, "--models-dir", str(shelf.models_dir)])


def has_begun(job: Job) -> bool:
    """Tell whether a block is finished."""
    journal = job.folder / "output.csv.unfinished" / "journal"
    return journal.exists() and b'"kind": "block"' in journal.read_bytes()


def test_a_job_is_found_again_and_says_how_far_it_is(jobs: Jobs, shelf: Settings) -> None:
    """By its id, from another object, with its result and what it said."""
    job = predict(jobs, shelf, 3000)
    again = Jobs(shelf).find(job.id)
    assert again == job
    assert job in jobs.all()
    assert ended(again) == DONE
    assert again.exit_code == 0
    assert again.result is not None
    assert again.result["counts"]["n_rows"] == 3000
    assert (again.folder / "output.csv").exists()
    again.delete()
    with pytest.raises(UnknownJobError, match="may have been deleted"):
        jobs.find(job.id)


@pytest.mark.parametrize("job_id", ["", "..", "../../models", "a" * 16, "/etc/passwd", "a" * 15 + "\n"])
def test_an_id_is_no_path(jobs: Jobs, job_id: str) -> None:
    """Whatever is asked for, nothing beside the jobs is looked at."""
    with pytest.raises(UnknownJobError):
        jobs.find(job_id)


@pytest.mark.parametrize(("end", "state"), [(signal.SIGTERM, STOPPED), (signal.SIGKILL, INTERRUPTED)])
def test_a_batch_that_ended_early_goes_on(
    jobs: Jobs, shelf: Settings, gate: Path, end: signal.Signals, state: str
) -> None:
    """Stopped or killed, it loses nothing, and its file is the one of an undisturbed run."""
    job = predict(jobs, shelf, model="gated")
    wait_until(lambda: has_begun(job))
    assert job.state == RUNNING
    if end == signal.SIGTERM:
        job.stop()
        gate.write_text("4")  # the block in hand is finished first
    else:
        os.kill(int((job.folder / "lock").read_text()), end)
    assert ended(job) == state
    assert not (job.folder / "output.csv").exists()
    gate.unlink()
    job.resume()
    assert ended(job) == DONE
    assert job.result is not None
    assert job.result["n_rows_before"] > 0
    whole = predict(jobs, shelf, model="gated")
    assert ended(whole) == DONE
    assert (job.folder / "output.csv").read_bytes() == (whole.folder / "output.csv").read_bytes()


def test_a_job_that_goes_on_may_have_a_shorter_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of processes begin anew some time; the one that is asked to stop is the one that runs now."""
    monkeypatch.setattr("classifier.workflows.jobs._launch", lambda _: None)
    jobs = Jobs(Settings(tmp_path))
    folder = jobs.new_folder()
    jobs.start(folder, "predict", "A batch", [])
    (folder / "lock").write_text(f"{os.getpid()}1234\n")
    asked = []
    monkeypatch.setattr(os, "kill", lambda number, end: asked.append((number, end)))
    with turn_of(folder) as job:
        job.stop()
    assert asked == [(os.getpid(), signal.SIGTERM)]


def test_a_job_that_begins_in_the_middle_of_a_look_is_not_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process may take the lock right behind the look at it."""
    monkeypatch.setattr("classifier.workflows.jobs._launch", lambda folder: (folder / LOG_FILE).touch())
    jobs = Jobs(Settings(tmp_path))
    job = jobs.start(jobs.new_folder(), "predict", "A batch", [])
    is_held = jobs_module._is_held

    def begin_behind(lock: Path) -> bool:
        before = is_held(lock)
        running.enter_context(turn_of(job.folder))
        return before

    with ExitStack() as running:
        with monkeypatch.context() as patch:
            patch.setattr(jobs_module, "_is_held", begin_behind)
            assert job.state == WAITING
        assert job.state == RUNNING


def test_a_job_outlives_its_server(shelf: Settings, gate: Path) -> None:
    """The process that started it is killed, with its whole group; the job is done all the same."""
    script = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from pathlib import Path; import time\n"
        "from classifier.datamodels import Settings; from classifier.workflows.jobs import Jobs\n"
        "from test_jobs import predict\n"
        "shelf = Settings(Path(sys.argv[1])); print(predict(Jobs(shelf), shelf, model='gated').id, flush=True)\n"
        "time.sleep(600)"
    )
    command = [sys.executable, "-c", script, str(shelf.models_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=ROOT) as server:
        assert server.stdout is not None
        try:
            job = Jobs(shelf).find(server.stdout.readline().strip())
            wait_until(lambda: has_begun(job))
        finally:
            os.killpg(server.pid, signal.SIGKILL)
    gate.unlink()
    assert ended(job) == DONE
    assert job.result is not None
    assert job.result["counts"]["n_rows"] == N_ROWS


def test_jobs_wait_for_their_turn(jobs: Jobs, shelf: Settings, gate: Path) -> None:
    """Two at once would only slow each other down."""
    both = [predict(jobs, shelf, model="gated") for _ in range(2)]
    wait_until(lambda: any(map(has_begun, both)))
    assert sorted(job.state for job in both) == [RUNNING, WAITING]
    gate.unlink()
    seen = set[tuple[str, ...]]()

    def are_done() -> bool:
        seen.add(tuple(sorted(job.state for job in both)))
        return all(job.state == DONE for job in both)

    wait_until(are_done)
    assert (RUNNING, RUNNING) not in seen


def test_a_mistake_is_told(jobs: Jobs, shelf: Settings) -> None:
    """A job that cannot be done says why, in one sentence, and can be tried again."""
    folder = jobs.new_folder()
    (folder / "input.csv").write_text("number\n1\n")
    job = jobs.start(folder, "train", "Nothing", [str(folder / "input.csv"), "--models-dir", str(shelf.models_dir)])
    assert ended(job) == FAILED
    assert job.log.startswith("error: ")
    assert len(job.log.splitlines()) == 1
    assert job.result is None


def test_jobs_are_listed(jobs: Jobs, shelf: Settings) -> None:
    """``classifier jobs`` prints what the page shows."""
    job = predict(jobs, shelf, 10)
    assert ended(job) == DONE
    command = [sys.executable, "-m", "classifier", "jobs", "--json", "--models-dir", str(shelf.models_dir)]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["jobs"]
    assert listed[0] == {"id": job.id, "state": DONE, "created": job.created, "title": "A batch"}


def test_an_upload_becomes_answers_in_every_format(jobs: Jobs, shelf: Settings) -> None:
    """Whatever separates the cells, and whatever a spreadsheet would run, the downloads hold the very cells."""
    content = 'id;text;note\n007;"where is; my parcel";=1+1\n8;refund me;NA\n9;too;many;cells\n'.encode("utf-16")
    upload = batch_jobs.keep_upload(jobs, "../../My tickets.csv", iter([content[:9], content[9:]]))
    assert upload.path.parent == upload.folder
    assert (upload.columns, upload.n_rows, upload.text_column) == (("id", "text", "note"), 3, "text")
    assert upload.first_rows[0] == ("007", "where is; my parcel", "=1+1")
    model = shelf.models_dir / "tickets" / "1"
    job = batch_jobs.start_batch(
        jobs, upload, model, text_column="text", review=ReviewPolicy(review_budget=1), tolerance=0.1
    )
    assert ended(job) == DONE
    assert (job.exit_code, job.title) == (3, "../../My tickets.csv")
    expected = [("007", "where is; my parcel", "=1+1"), ("8", "refund me", "NA")]
    assert [row[:3] for row in batch_jobs.answered_rows(job).rows] == expected
    assert [row[:3] for row in batch_jobs.answered_rows(job, RowFilter(contains="REFUND")).rows] == expected[1:]
    label = batch_jobs.answered_rows(job).column("predicted_label")[0]
    assert label in {row[-4] for row in batch_jobs.answered_rows(job, RowFilter(label=label), limit=1).rows}
    assert batch_jobs.answered_rows(job, RowFilter(status="no such status")).rows == []
    everything = batch_jobs.download_file(job, "csv").read_bytes().splitlines()
    assert batch_jobs.passing_rows(job, RowFilter(contains="my parcel")).splitlines() == everything[:2]
    assert [row["row"] for row in batch_jobs.rejected_rows(job)] == ["3"]
    lines = batch_jobs.download_file(job, "jsonl").read_text(encoding="utf-8").splitlines()
    assert [tuple(json.loads(line).values())[:3] for line in lines] == expected
    table = pq.read_table(batch_jobs.download_file(job, "parquet")).to_pylist()
    assert [tuple(row.values())[:3] for row in table] == expected
    assert "'=1+1" in batch_jobs.download_file(job, "csv").read_text(encoding="utf-8")
    assert batch_jobs.download_name(job.title, "csv") == "My-tickets.predicted.csv"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("photo.png", b"\x89PNG", "no table that can be read here"),
        ("../a.csv", b"", "is empty|no header|empty"),
        ("a.parquet", b"PAR1 nothing", "Parquet"),
    ],
)
def test_an_upload_that_is_no_table_leaves_nothing(
    jobs: Jobs, shelf: Settings, name: str, content: bytes, why: str
) -> None:
    """The sentence names the visitor's file, and no folder is kept."""
    jobs.new_folder()
    before = set((shelf.models_dir / FOLDER).iterdir())
    with pytest.raises(FileProblemError, match=why) as caught:
        batch_jobs.keep_upload(jobs, name, iter([content]))
    assert str(caught.value).startswith(f"{name}: ")
    assert set((shelf.models_dir / FOLDER).iterdir()) == before


def test_a_table_with_answers_is_refused_before_it_is_answered(jobs: Jobs, shelf: Settings) -> None:
    """By its own name, not by one of the server's files."""
    upload = batch_jobs.keep_upload(jobs, "answered.csv", iter([b"text,status\na,b\n"]))
    with pytest.raises(FileProblemError, match=r"answered\.csv.*already has 'status'"):
        batch_jobs.start_batch(
            jobs, upload, shelf.models_dir / "tickets" / "1", text_column="text", review=ReviewPolicy()
        )


def test_a_deleted_job_is_gone_for_whoever_follows_it(jobs: Jobs, shelf: Settings) -> None:
    """Trying it again or deleting it once more does nothing, and it is not found."""
    folder = jobs.new_folder()
    job = jobs.start(folder, "train", "Nothing", ["nowhere.csv", "--models-dir", str(shelf.models_dir)])
    assert ended(job) == FAILED
    job.delete()
    job.delete()
    job.resume()
    with pytest.raises(UnknownJobError):
        jobs.find(job.id)


def test_rows_of_a_batch_can_be_sent_to_review(jobs: Jobs, shelf: Settings) -> None:
    """The rows that a filter left, with the file and the row they come from."""
    content = b"id,text\n1,where is my parcel\n2,refund me\n3,=1+1\n"
    upload = batch_jobs.keep_upload(jobs, "inbox.csv", iter([content]))
    model = shelf.models_dir / "tickets" / "1"
    job = batch_jobs.start_batch(jobs, upload, model, text_column="text", review=ReviewPolicy())
    assert ended(job) == DONE
    found = batch_jobs.answered_rows(job, RowFilter(contains="=1"))
    assert batch_jobs.send_rows_to_review(shelf, job, found) == 1
    [waiting] = feedback_of(shelf).waiting("tickets")
    assert (waiting.document, waiting.text, waiting.source) == ("inbox.csv, row 3", "=1+1", "batch inbox.csv")
