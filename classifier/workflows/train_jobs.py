"""Training, and the look for wrong labels before it, as jobs: the file is kept with each."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

from classifier.datamodels import Document, Settings
from classifier.files import write_whole
from classifier.reports import Columns
from classifier.storage.registry import Registry
from classifier.workflows.batch_jobs import Upload
from classifier.workflows.checking import FileChecks, check_file
from classifier.workflows.jobs import Job, Jobs
from classifier.workflows.labelled import name_from
from classifier.workflows.opening import open_predictor

TRAIN, AUDIT = "train", "audit"
KINDS = (TRAIN, AUDIT)
ISSUES_FILE, REJECTED_FILE, REQUEST_FILE = "issues.csv", "rejected.csv", "request.json"
EMBEDDERS = {
    "default": "A small transformer: understands words that it has not seen in training. The most accurate in general.",
    "static": "One vector for each word, made from the same transformer: many times faster, a little less accurate.",
    "lsa": "Only the words of your own documents: needs no model at all, in any language, best with much data.",
}
SHOWN_ISSUES = 200


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What is to be trained, and how the uploaded file is read.

    Attributes
    ----------
    name : str
        Of the model.
    text_column, label_column : str
    id_column : str or None
        None finds one, else rows are numbered.
    multi_label : bool
        Whether a document has any number of labels.
    normalise_labels : bool
        Whether labels are written alike that differ only by case or spaces.
    embedder : str
        A name of `EMBEDDERS`.
    """

    name: str
    text_column: str
    label_column: str
    id_column: str | None = None
    multi_label: bool = False
    normalise_labels: bool = False
    embedder: str = "default"

    @property
    def columns(self) -> Columns:
        """How the file is read."""
        return Columns(self.text_column, self.label_column, self.id_column)


def suggested_name(upload: Upload) -> str:
    """Make a model's name from the name of an uploaded file."""
    return name_from(Path(PurePath(upload.name).name))


def promoted_version(settings: Settings, name: str) -> str | None:
    """Return which version a name means now; None for a new name.

    Raises
    ------
    RegistryError
        When the name is not allowed.
    """
    registry = Registry(settings.models_dir)
    registry.check_name(name)
    return registry.promoted(name)


def check_upload(upload: Upload, request: TrainingRequest) -> FileChecks:
    """Look at an uploaded file before training.

    Raises
    ------
    ClassifierError
        When it cannot be read so.
    """
    return check_file(
        upload.path,
        columns=request.columns,
        multi_label=request.multi_label,
        normalise_labels=request.normalise_labels,
    )


def start_training(jobs: Jobs, settings: Settings, upload: Upload, request: TrainingRequest) -> Job:
    """Start training on an uploaded file; only the first version of a name is promoted at once.

    Parameters
    ----------
    jobs : Jobs
    settings : Settings
        Where the model goes.
    upload : Upload
    request : TrainingRequest
    """
    Registry(settings.models_dir).check_name(request.name)
    return _start_training(jobs, settings, upload.folder, upload.path.name, upload.name, request)


def start_audit(jobs: Jobs, upload: Upload, request: TrainingRequest) -> Job:
    """Start looking for wrong labels in an uploaded file."""
    arguments = [*_arguments(upload.folder, upload.path.name, upload.name, request)]
    arguments += ["-o", str(upload.folder / ISSUES_FILE)]
    write_whole(upload.folder / REQUEST_FILE, json.dumps(asdict(request) | {"input": upload.path.name}).encode("utf-8"))
    return jobs.start(upload.folder, AUDIT, upload.name, arguments)


def train_after_audit(jobs: Jobs, settings: Settings, job: Job) -> Job:
    """Start training on the file that was looked at, as it is."""
    values: dict[str, Any] = json.loads((job.folder / REQUEST_FILE).read_bytes())
    file, folder = str(values.pop("input")), jobs.new_folder()
    try:
        os.link(job.folder / file, folder / file)
    except OSError:
        shutil.copyfile(job.folder / file, folder / file)
    return _start_training(jobs, settings, folder, file, job.title, TrainingRequest(**values))


def _start_training(
    jobs: Jobs, settings: Settings, folder: Path, file: str, title: str, request: TrainingRequest
) -> Job:
    """Start ``classifier train``."""
    arguments = [*_arguments(folder, file, title, request), f"--name={request.name}", "--no-promote"]
    arguments += ["--normalise-labels"] if request.normalise_labels else []
    arguments += [f"--models-dir={settings.models_dir.absolute()}"]
    return jobs.start(folder, TRAIN, title, arguments)


def _arguments(folder: Path, file: str, title: str, request: TrainingRequest) -> list[str]:
    """Return what both commands take."""
    options = {
        "text-column": request.text_column,
        "label-column": request.label_column,
        "id-column": request.id_column,
        "embedder": request.embedder,
        "source-name": title,
        "rejected-file": str(folder / REJECTED_FILE),
    }
    given = [f"--{name}={value}" for name, value in options.items() if value is not None]
    return [str(folder / file), *given, *(["--multi-label"] if request.multi_label else []), "--json"]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A document whose label deserves a look; `quality` is low where that is most so, in [0, 1]."""

    document: Document
    suggested: str
    quality: float
    reason: str


def audited_rows(job: Job, limit: int = SHOWN_ISSUES) -> list[Suspect]:
    """Return the worst rows that a finished audit found."""
    path = job.folder / ISSUES_FILE
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            Suspect(
                Document(row["id"], row["text"], row["label"], int(row["row"])),
                row["suggested_label"],
                float(row["quality"]),
                row["reason"],
            )
            for row in islice(csv.DictReader(stream), limit)
        ]


def suspects_of(model: Path, settings: Settings, limit: int = SHOWN_ISSUES) -> list[Suspect]:
    """Return the training documents of a model whose labels deserve a look most."""
    found = open_predictor(model, settings)
    return [
        Suspect(found.documents_[issue.row], issue.suggested, issue.quality, issue.reason)
        for issue in found.issues_[:limit]
    ]


def rejected_rows(job: Job, limit: int = 1000) -> list[dict[str, str]]:
    """Return the first rows of a file that could not be read, and why."""
    path = job.folder / REJECTED_FILE
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return list(islice(csv.DictReader(stream), limit))
