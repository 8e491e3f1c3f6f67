"""One function per thing a user does; the command line, the page and Python all call these."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import IO, Any

import numpy as np

from classifier.analysis.evaluation import Evaluation
from classifier.analysis.evaluation import evaluate as measure
from classifier.datamodels import Document, Neighbor, Prediction, Rejection, Settings
from classifier.embedding.embedders import DEFAULT_EMBEDDER
from classifier.errors import OutputError, RegistryError, TrainingDataError, excerpt
from classifier.files import file_sha256
from classifier.modeling.model import DocumentClassifier
from classifier.prediction.batch import added_columns, predict_stream
from classifier.prediction.writers import RejectionsFile, open_writer
from classifier.reading.documents import read_documents
from classifier.reports import FIND_COLUMNS, BatchReport, Columns, EvaluationReport, LabelledFile, TrainingReport
from classifier.storage.registry import ModelVersion, Registry

MAX_UNKNOWN_LABELS = 1000


def load(model: str | Path, *, models_dir: str | Path | None = None) -> DocumentClassifier:
    """Open a stored model.

    Parameters
    ----------
    model : str or Path
        ``NAME`` (its promoted version), ``NAME@VERSION``, or the folder of a bundle (a path with a separator).
    models_dir : str, Path or None
        Where names are looked up; None means ``CLASSIFIER_MODELS_DIR``, then ``models``.

    Returns
    -------
    DocumentClassifier

    Raises
    ------
    UnknownModelError
        When there is no such name or version.
    BundleRefusedError
        When the folder is damaged, foreign, newer or hostile.
    """
    text = os.fspath(model)
    if isinstance(model, Path) or os.sep in text or text in {".", ".."}:
        return DocumentClassifier.load(Path(text))
    settings = Settings.from_environment(models_dir)
    return DocumentClassifier.load(Registry(settings.models_dir).find(text).folder)


def train(
    file: str | Path,
    settings: Settings,
    *,
    columns: Columns = FIND_COLUMNS,
    name: str | None = None,
    embedder: str = DEFAULT_EMBEDDER,
    test_file: str | Path | None = None,
    seed: int = 0,
    promote: bool = True,
    progress: bool = False,
) -> TrainingReport:
    """Train on a labelled file and store the model as the next version of its name.

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
    test_file : str, Path or None
        Labelled documents to measure on; cross-validation on the training file where None.
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
    name = name or _name_from(Path(file))
    registry = Registry(settings.models_dir)
    registry.check_name(name)
    data = read_labelled(file, columns)
    test = read_labelled(test_file, columns, beside=data) if test_file is not None else None
    read = time.perf_counter()
    documents = data.documents
    texts, labels = [document.text for document in documents], [document.label or "" for document in documents]
    ids = [document.id for document in documents]
    model = DocumentClassifier(embedder, seed=seed).fit(texts, labels, ids=ids, progress=progress)
    fitted = time.perf_counter()
    evaluation = model.evaluation_
    if test is not None:
        evaluation = _measure(model, test)[0]
        model.facts_ |= {"metrics": evaluation.to_dict(), "measured_on": f"the test file {test.name}"}
    measured = time.perf_counter()
    model.facts_["data"] |= {"file": data.name, "sha256": data.sha256, "n_unlabelled": data.n_unlabelled}
    stored = registry.add(name, model.save, promote=promote)
    return TrainingReport(
        model=stored,
        n_documents=len(model.documents_),
        n_labels=len(model.classes_),
        n_unlabelled=data.n_unlabelled,
        n_rejected=data.n_rejected + (test.n_rejected if test else 0),
        measured_on=model.facts_["measured_on"],
        evaluation=evaluation,
        notes=(*data.notes, *(f"Test file: {note}" for note in (test.notes if test else ()))),
        warnings=model.warnings_,
        rejected_file=" and ".join(file.rejected_file for file in (data, test) if file and file.rejected_file) or None,
        seconds={
            "reading": read - started,
            **model.seconds_,
            "measuring": measured - fitted,
            "saving": time.perf_counter() - measured,
        },
    )


def evaluate(
    model: str | Path,
    file: str | Path,
    settings: Settings,
    *,
    columns: Columns = FIND_COLUMNS,
    progress: bool = False,
) -> EvaluationReport:
    """Measure a stored model on a labelled file.

    Rows without a label, and texts with nothing to read, are counted and left out of the metrics.

    Raises
    ------
    ClassifierError
        When the model or the file cannot be read, or no row has a label.
    """
    classifier = load(model, models_dir=settings.models_dir)
    data = read_labelled(file, columns)
    evaluation, n_empty = _measure(classifier, data, progress=progress)
    trained_on = {document.text for document in classifier.documents_}
    n_known = sum(document.text in trained_on for document in data.documents)
    seen = f"{n_known:,} of {len(data.documents):,} documents were also trained on, which flatters the figures."
    notes = (*data.notes, *([seen] if n_known else []))
    return EvaluationReport(evaluation, data.n_unlabelled, n_empty, data.n_rejected, notes, data.rejected_file)


def predict_text(model: str | Path, text: str, settings: Settings) -> Prediction:
    """Answer for one text.

    Raises
    ------
    ClassifierError
        When the model cannot be read.
    """
    return load(model, models_dir=settings.models_dir).classify([text])[0]


def predict_file(
    model: str | Path,
    file: str | Path,
    target: Path | IO[Any],
    settings: Settings,
    *,
    output_format: str,
    columns: Columns = FIND_COLUMNS,
    top_k: int | None = None,
    progress: bool = False,
) -> BatchReport:
    """Give every row of a file its answer, and write all of its columns with it.

    Parameters
    ----------
    model : str or Path
        As for `load`.
    file : str or Path
        Documents.
    target : Path or text stream
        Where to write.
    settings : Settings
        Where models live.
    output_format : str
        A name of `classifier.prediction.writers.WRITERS`.
    columns : Columns
        How to read the file.
    top_k : int or None
        Also write that many labels with their probabilities.
    progress : bool
        Show a bar on stderr.

    Raises
    ------
    ClassifierError
        When the model or file cannot be read, or the output cannot be written; an old output stays as it was.
    """
    started = time.perf_counter()
    stream = read_documents(file, text_column=columns.text, id_column=columns.id, encoding=columns.encoding)
    rejects_path = rejected_path(target if isinstance(target, Path) else Path(_file_name(Path(file))))
    _require_other_file(rejects_path, Path(file))
    classifier = load(model, models_dir=settings.models_dir)
    with (
        RejectionsFile(rejects_path) as rejects,
        open_writer(target, output_format, stream.table, added_columns(top_k)) as writer,
    ):
        counts = predict_stream(classifier, stream, writer, rejects, top_k=top_k, progress=progress)
    return BatchReport(
        source=str(file),
        output=str(target) if isinstance(target, Path) else "-",
        model=str(model),
        counts=counts,
        rejected_file=str(rejects_path) if counts.n_rejected else None,
        notes=stream.notes,
        seconds=time.perf_counter() - started,
    )


def similar(
    model: str | Path,
    text: str,
    settings: Settings,
    *,
    k: int = 10,
    label: str | None = None,
    exclude_self: bool = False,
) -> list[Neighbor]:
    """Return the training documents most similar to a text.

    Raises
    ------
    ClassifierError
        When the model cannot be read, or has no such label.
    """
    return load(model, models_dir=settings.models_dir).similar(text, k, label=label, exclude_self=exclude_self)


def list_models(settings: Settings) -> list[ModelVersion]:
    """Return every stored version, by name and number."""
    return Registry(settings.models_dir).models()


def show_model(reference: str, settings: Settings) -> tuple[ModelVersion, dict[str, Any]]:
    """Return one stored version and its facts.

    Raises
    ------
    StorageError
        When it is unknown or damaged.
    """
    model = Registry(settings.models_dir).find(reference)
    return model, model.facts()


def promote_model(reference: str, settings: Settings) -> ModelVersion:
    """Let a name mean this version from now on.

    Raises
    ------
    StorageError
        When it is unknown or damaged, or no version is given.
    """
    name, chosen = _name_and_version(reference)
    registry = Registry(settings.models_dir)
    registry.promote(name, chosen)
    return registry.find(name)


def delete_model(reference: str, settings: Settings) -> None:
    """Remove one version for good.

    Raises
    ------
    StorageError
        When it is unknown, is the promoted one of several, or no version is given.
    """
    Registry(settings.models_dir).delete(*_name_and_version(reference))


def read_labelled(file: str | Path, columns: Columns, *, beside: LabelledFile | None = None) -> LabelledFile:
    """Read the labelled documents of a file; rows that cannot be read are listed in a file of their own.

    Raises
    ------
    FileProblemError
        When the file cannot be read.
    TrainingDataError
        When no row has a label.
    """
    stream = read_documents(
        file,
        text_column=columns.text,
        label_column=columns.label,
        id_column=columns.id,
        need_labels=True,
        encoding=columns.encoding,
    )
    path = Path(file)
    rejects_path = rejected_path(Path(_file_name(path)))
    if beside is not None and rejects_path.name == f"{beside.name}.rejected.csv":
        rejects_path = rejected_path(Path(f"{_file_name(path)}.test"))
    _require_other_file(rejects_path, path)
    documents: list[Document] = []
    n_rejected = n_unlabelled = 0
    with RejectionsFile(rejects_path) as rejects:
        for item in stream:
            if isinstance(item, Rejection):
                rejects.write(item)
                n_rejected += 1
            elif item.document.label is None:
                n_unlabelled += 1
            else:
                documents.append(item.document)
    if not documents:
        raise TrainingDataError(f"No row of {path} has a label", "fill one in, or name the column with --label-column")
    return LabelledFile(
        name=_file_name(path),
        sha256=file_sha256(path) if path.is_file() else "",
        documents=documents,
        n_rejected=n_rejected,
        n_unlabelled=n_unlabelled,
        notes=stream.notes,
        rejected_file=str(rejects_path) if n_rejected else None,
    )


def rejected_path(target: Path) -> Path:
    """Return where the rows that cannot be read are listed: ``TARGET.rejected.csv``."""
    return target.parent / f"{_file_name(target)}.rejected.csv"


def _require_other_file(target: Path, source: Path) -> None:
    """Refuse to write over what is read."""
    if target.exists() and source.exists() and target.samefile(source):
        raise OutputError(target, "rejected rows would be written over the file that is read", "rename it first")


def _measure(model: DocumentClassifier, data: LabelledFile, *, progress: bool = False) -> tuple[Evaluation, int]:
    """Return metrics on the documents that can be read, and the number of those that cannot."""
    embeddings = model.encode([document.text for document in data.documents], progress=progress)
    readable = np.asarray(embeddings.any(axis=1))
    if not readable.any():
        raise TrainingDataError(f"No labelled row of {data.name} has a text", "name its column with --text-column")
    labels = [document.label or "" for document, keep in zip(data.documents, readable, strict=True) if keep]
    proba = model.head_.predict_proba(embeddings[readable])
    classes = [str(label) for label in model.classes_]
    n_unknown = len(set(labels) - set(classes))
    if n_unknown > max(MAX_UNKNOWN_LABELS, len(classes)):
        problem = f"{data.name} has {n_unknown:,} labels that the model does not know"
        raise TrainingDataError(problem, "name the column of the labels with --label-column")
    return measure(proba, classes, labels, majority=model.majority_label()), int((~readable).sum())


def _file_name(path: Path) -> str:
    """Return the name of a file or folder, also of one that is given as ``.`` or ``..``."""
    return (path.resolve().name if path.name in {"", ".."} else path.name) or "documents"


def _name_from(path: Path) -> str:
    """Make a model's name from a file's name."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:64]
    return name or "model"


def _name_and_version(reference: str) -> tuple[str, str]:
    """Split ``NAME@VERSION``, both required."""
    name, at, chosen = reference.partition("@")
    if not (name and at and chosen):
        raise RegistryError(f"{excerpt(reference)} does not name one version", "write NAME@VERSION, such as tickets@2")
    return name, chosen
