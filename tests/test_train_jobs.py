"""Training as a job: the file keeps its own name, unlabelled rows reach the review, unused uploads are removed."""

from __future__ import annotations

import csv
import os
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from conftest import ended
from places import DATA

from classifier import workflows
from classifier.datamodels import Settings
from classifier.errors import FileProblemError, RegistryError
from classifier.reports import Columns
from classifier.workflows import batch_jobs, train_jobs
from classifier.workflows.corrections import feedback_of, review_counts
from classifier.workflows.jobs import DONE, FOLDER, Jobs
from classifier.workflows.train_jobs import TrainingRequest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes are ended by signals")
NAME = "--my tickets; $(touch hacked).csv"
REQUEST = TrainingRequest("tickets", "text", "label", embedder="lsa")


def content(n: int = 80, n_unlabelled: int = 3) -> bytes:
    """Return a file of tickets, some of which have no label, and a row that cannot be read."""
    with (DATA / "support_tickets.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(islice(csv.DictReader(stream), n))
    lines = [f'{row["id"]},"{row["text"].replace(chr(34), "")}",{row["label"]}' for row in rows]
    lines += [f'new-{number},"unlabelled no {number}",' for number in range(n_unlabelled)]
    return "\n".join(["id,text,label", *lines, "too,many,cells,here", ""]).encode()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Give a folder of models, and run where a file that appears is seen."""
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.chdir(tmp_path / "here")
    return Settings(tmp_path / "models")


def test_an_audit_then_training_on_the_same_file(settings: Settings, tmp_path: Path) -> None:
    """The file is called what its owner calls it, rejected rows are kept with the job, unlabelled ones reach review."""
    jobs = Jobs(settings)
    upload = batch_jobs.keep_upload(jobs, NAME, [content()])
    assert (upload.text_column, upload.label_column, upload.id_column) == ("text", "label", "id")
    assert train_jobs.suggested_name(upload) == "my-tickets-touch-hacked"
    assert train_jobs.promoted_version(settings, "tickets") is None
    audit = train_jobs.start_audit(jobs, upload, REQUEST)
    assert ended(audit) == DONE, audit.log
    assert audit.result is not None
    suspects = train_jobs.audited_rows(audit)
    assert len(suspects) == len(audit.result["issues"])
    assert [one.document.id for one in suspects] == [one["id"] for one in audit.result["issues"]]

    training = train_jobs.train_after_audit(jobs, settings, audit)
    assert ended(training) == DONE, training.log
    assert training.result is not None
    model, facts = workflows.show_model("tickets", settings)
    assert model.promoted
    assert facts["data"]["file"] == NAME
    assert training.result["n_sent_to_review"] == review_counts(settings, "tickets").n_waiting == 3
    waiting = feedback_of(settings).waiting("tickets")
    assert {one.source for one in waiting} == {f"not labelled in {NAME}"}
    assert [one["row"] for one in train_jobs.rejected_rows(training)] == ["84"]
    issues = workflows.open_predictor(model.folder, settings).issues_
    assert len(train_jobs.suspects_of(model.folder, settings)) == len(issues)
    assert list((tmp_path / "here").iterdir()) == []


def test_a_second_version_waits_to_be_promoted(settings: Settings) -> None:
    """The first one answers until somebody promotes the other; rows that wait already are not sent twice."""
    for version in "12":
        jobs = Jobs(settings)
        upload = batch_jobs.keep_upload(jobs, "tickets.csv", [content()])
        request = replace(REQUEST, multi_label=False, normalise_labels=True, id_column="id")
        job = train_jobs.start_training(jobs, settings, upload, request)
        assert ended(job) == DONE, job.log
        assert job.result is not None
        assert job.result["model"]["version"] == version
        assert job.result["n_sent_to_review"] == (3 if version == "1" else 0)
        assert train_jobs.promoted_version(settings, "tickets") == "1"


def test_a_name_that_cannot_be_is_refused_before_anything_starts(settings: Settings) -> None:
    """No job is made of it."""
    jobs = Jobs(settings)
    upload = batch_jobs.keep_upload(jobs, "tickets.csv", [content()])
    with pytest.raises(RegistryError, match="cannot be a model's name"):
        train_jobs.start_training(jobs, settings, upload, replace(REQUEST, name="../tickets"))
    assert jobs.all() == []


def test_uploads_that_were_never_used_are_removed_after_a_day(settings: Settings) -> None:
    """Fresh ones, jobs of any age and whatever else lies there stay."""
    jobs = Jobs(settings)
    abandoned, fresh, started, foreign = jobs.new_folder(), jobs.new_folder(), jobs.new_folder(), "notes"
    (abandoned / "input.csv").write_text("text\na\n")
    (started / "job.json").write_text("{}")
    (settings.models_dir / FOLDER / foreign).mkdir()
    before = time.time() - 25 * 3600
    for name in (abandoned.name, started.name, foreign):
        os.utime(settings.models_dir / FOLDER / name, (before, before))
    upload = batch_jobs.keep_upload(jobs, "tickets.csv", [content()])
    left = {entry.name for entry in (settings.models_dir / FOLDER).iterdir()}
    assert left == {fresh.name, started.name, foreign, upload.folder.name}
    with pytest.raises(FileProblemError):
        batch_jobs.keep_upload(jobs, "tickets.pdf", [content()])


@pytest.mark.filterwarnings("ignore::classifier.errors.TrainingDataWarning")
def test_only_so_many_unlabelled_rows_are_kept(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are counted, blank ones are not sent."""
    monkeypatch.setattr("classifier.workflows.labelled.MOST_UNLABELLED", 2)
    file = settings.models_dir.parent / "tickets.csv"
    file.write_bytes(content() + b'blank,"  ",\n')
    columns = Columns(rejected_file=settings.models_dir.parent / "rejected.csv")
    report = workflows.train(file, settings, name="tickets", embedder="lsa", columns=columns)
    assert (report.n_unlabelled, report.n_sent_to_review) == (4, 2)
    assert report.rejected_file == str(columns.rejected_file)
