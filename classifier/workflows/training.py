"""Train on a labelled file."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from classifier.analysis.label_words import names_sentence
from classifier.datamodels import Settings
from classifier.embedding.embedders import DEFAULT_EMBEDDER
from classifier.errors import MultiLabelError
from classifier.modeling.model import DocumentClassifier
from classifier.modeling.training_data import normalise_labels as alike
from classifier.reports import FIND_COLUMNS, Columns, LabelledFile, TrainingReport
from classifier.storage.registry import ModelVersion, Registry
from classifier.workflows.corrections import send_to_review
from classifier.workflows.descriptions import read_descriptions
from classifier.workflows.labelled import name_from, read_both
from classifier.workflows.measuring import Measured, measure
from classifier.workflows.vectors import vectors_from


def train(
    file: str | Path,
    settings: Settings,
    *,
    columns: Columns = FIND_COLUMNS,
    name: str | None = None,
    embedder: str = DEFAULT_EMBEDDER,
    embeddings: str | Path | None = None,
    label_descriptions: str | Path | None = None,
    test_file: str | Path | None = None,
    multi_label: bool = False,
    normalise_labels: bool = False,
    seed: int = 0,
    promote: bool = True,
    progress: bool = False,
) -> TrainingReport:
    """Train on a labelled file and store the model as the next version of its name.

    Rows without a label are sent to the review of that name, at most the first `MOST_UNLABELLED` of them.

    Parameters
    ----------
    file : str or Path
        Labelled documents.
    settings : Settings
        Where models live.
    columns : Columns
        How to read the files.
    name : str or None
        Name of the model; made from the file's name where None.
    embedder : str
        What turns texts into vectors.
    embeddings : str, Path or None
        Vectors of all these documents made elsewhere, instead of an embedder.
    label_descriptions : str, Path or None
        What the labels stand for, see `read_descriptions`; their names speak for themselves where None.
    test_file : str, Path or None
        Labelled documents to measure on; cross-validation on the training file where None.
    multi_label : bool
        Whether a document may have any number of labels, joined by ``|`` or as a list, and also none.
    normalise_labels : bool
        Whether to write labels alike that differ only by case or spaces.
    seed : int
        Decides the folds.
    promote : bool
        Whether the name means the new version from now on.
    progress : bool
        Show bars on stderr.

    Raises
    ------
    ClassifierError
        When a file cannot be read, nothing can be learned from it, or the model cannot be stored.
    """
    started = time.perf_counter()
    name = name or name_from(Path(file))
    registry = Registry(settings.models_dir)
    registry.check_name(name)
    if multi_label and label_descriptions is not None:
        raise MultiLabelError("A file of descriptions", "leave it out, or --multi-label")
    files = read_both(file, test_file, columns, multi_label=multi_label)
    data, test = _with_labels_alike(*files, multi_label=multi_label) if normalise_labels else files
    descriptions = read_descriptions(label_descriptions, data, columns, alike=normalise_labels)
    read = time.perf_counter()
    with vectors_from(embeddings) as vectors:
        model = DocumentClassifier(vectors or embedder, seed=seed, multi_label=multi_label, options=settings.encoder)
        fit_on(model, data, descriptions=descriptions, progress=progress)
        fitted = time.perf_counter()
        found = None if test is None else measure_on(model, test)
    measured = time.perf_counter()
    before = registry.promoted(name)
    stored = registry.add(name, model.save, promote=promote)
    n_sent = 0
    if data.unlabelled:
        n_sent = send_to_review(settings, name, data.unlabelled, source=f"not labelled in {data.name}")
    stages = {"reading": read - started, "measuring": measured - fitted, "saving": time.perf_counter() - measured}
    report = report_of(model, stored, found, stages, data=data, test=test, notes=data.notes, before=before)
    return replace(report, n_sent_to_review=n_sent)


def report_of(
    model: DocumentClassifier,
    stored: ModelVersion,
    found: Measured | None,
    stages: Mapping[str, float],
    *,
    data: LabelledFile | None = None,
    test: LabelledFile | None = None,
    notes: Sequence[str] = (),
    before: str | None = None,
) -> TrainingReport:
    """Sum up what came of training.

    `found` is what was measured on a test file, `stages` are the seconds of reading, measuring and saving, and `before`
    is the version that the name meant until now.
    """
    files = [file for file in (data, test) if file is not None]
    return TrainingReport(
        model=stored,
        n_documents=model.facts_["data"]["n_documents"],
        n_labels=len(model.classes_),
        n_unlabelled=data.n_unlabelled if data else 0,
        n_rejected=sum(file.n_rejected for file in files),
        measured_on=model.facts_["measured_on"],
        evaluation=found.evaluation if found else model.evaluation_,
        label_names=names_sentence(model.facts_),
        notes=(
            *notes,
            *(f"Test file: {note}" for note in (*(test.notes if test else ()), *(found.leak_notes() if found else ()))),
        ),
        warnings=model.warnings_,
        rejected_file=" and ".join(file.rejected_file for file in files if file.rejected_file) or None,
        replaced=before if stored.promoted and before != stored.version else None,
        seconds={
            "reading": stages["reading"],
            **model.seconds_,
            "measuring": stages["measuring"],
            "saving": stages["saving"],
        },
    )


def fit_on(
    model: DocumentClassifier,
    data: LabelledFile,
    *,
    descriptions: Mapping[str, str] | None = None,
    progress: bool = False,
) -> None:
    """Train on the documents of a file, and remember which file it was."""
    documents = data.documents
    texts, labels = [document.text for document in documents], [document.label or "" for document in documents]
    ids = [document.id for document in documents]
    model.fit(texts, labels, ids=ids, descriptions=descriptions, progress=progress)
    model.facts_["data"] |= {"file": data.name, "sha256": data.sha256, "n_unlabelled": data.n_unlabelled}


def _with_labels_alike(
    data: LabelledFile, test: LabelledFile | None, *, multi_label: bool
) -> tuple[LabelledFile, LabelledFile | None]:
    """Write the labels of both files alike."""
    files = [file for file in (data, test) if file is not None]
    given = [document.label or "" for file in files for document in file.documents]
    labels = iter(alike(given, multi_label=multi_label))
    changed = [
        replace(file, documents=[replace(document, label=next(labels)) for document in file.documents])
        for file in files
    ]
    return changed[0], changed[1] if test is not None else None


def measure_on(model: DocumentClassifier, test: LabelledFile, *, progress: bool = False) -> Measured:
    """Measure on a test file, and remember the metrics."""
    found = measure(model, test, progress=progress)
    model.facts_ |= {
        "metrics": found.evaluation.to_dict(),
        "measured_on": f"the test file {test.name}",
        "n_leaked": found.n_leaked,
        "metrics_without_leaked": found.without_leaked.to_dict() if found.without_leaked else None,
    }
    return found
