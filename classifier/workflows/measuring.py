"""Measure a stored model on a labelled file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from classifier.analysis.evaluation import Evaluation
from classifier.analysis.evaluation import evaluate as score
from classifier.datamodels import Settings
from classifier.errors import TrainingDataError
from classifier.modeling.predictor import Predictor
from classifier.reports import FIND_COLUMNS, Columns, EvaluationReport, LabelledFile
from classifier.workflows.labelled import read_labelled
from classifier.workflows.opening import open_predictor
from classifier.workflows.vectors import vectors_from

MAX_UNKNOWN_LABELS = 1000


def evaluate(
    model: str | Path,
    file: str | Path,
    settings: Settings,
    *,
    embeddings: str | Path | None = None,
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
    classifier = open_predictor(model, settings)
    data = read_labelled(file, columns)
    with vectors_from(embeddings, classifier.contract_) as vectors:
        classifier.embedder = vectors or classifier.embedder
        evaluation, n_empty = measure(classifier, data, progress=progress)
    trained_on = {document.text for document in classifier.documents_}
    n_known = sum(document.text in trained_on for document in data.documents)
    seen = f"{n_known:,} of {len(data.documents):,} documents were also trained on, which flatters the figures."
    notes = (*data.notes, *([seen] if n_known else []))
    return EvaluationReport(evaluation, data.n_unlabelled, n_empty, data.n_rejected, notes, data.rejected_file)


def measure(model: Predictor, data: LabelledFile, *, progress: bool = False) -> tuple[Evaluation, int]:
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
    return score(proba, classes, labels, majority=model.majority_label()), int((~readable).sum())
