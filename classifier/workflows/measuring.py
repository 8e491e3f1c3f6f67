"""Measure a stored model on a labelled file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats
from classifier.analysis.duplicates import leaked_rows
from classifier.analysis.evaluation import Evaluation
from classifier.analysis.evaluation import evaluate as score
from classifier.analysis.label_words import is_labels_only
from classifier.analysis.multilabel import MultiLabelEvaluation, evaluate_multi_label, label_matrix
from classifier.analysis.wording import same_words
from classifier.datamodels import Settings
from classifier.errors import TrainingDataError, listing
from classifier.modeling.label_sets import split_labels
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

    Texts with nothing to read, and rows without a label unless the model gives any number of them, are counted and
    left out of the metrics.

    Raises
    ------
    ClassifierError
        When the model or the file cannot be read, or no row has a label.
    """
    classifier = open_predictor(model, settings)
    data = read_labelled(file, columns, multi_label=classifier.multi_label)
    with vectors_from(embeddings, classifier.contract_) as vectors:
        classifier.embedder = vectors or classifier.embedder
        measured = measure(classifier, data, progress=progress)
    return EvaluationReport(
        evaluation=measured.evaluation,
        n_leaked=measured.n_leaked,
        without_leaked=measured.without_leaked,
        n_unlabelled=data.n_unlabelled,
        n_empty=measured.n_empty,
        n_rejected=data.n_rejected,
        notes=(*data.notes, *measured.leak_notes()),
        rejected_file=data.rejected_file,
    )


@dataclass(frozen=True, slots=True)
class Measured:
    """Metrics on the documents that can be read, also without those that the training documents give away.

    Attributes
    ----------
    evaluation : Evaluation or MultiLabelEvaluation
        On all of them.
    without_leaked : Evaluation, MultiLabelEvaluation or None
        Without the leaked ones; None where there are none, or no others.
    n_leaked, n_empty : int
        Leaked documents, and those that cannot be read.
    """

    evaluation: Evaluation | MultiLabelEvaluation
    without_leaked: Evaluation | MultiLabelEvaluation | None
    n_leaked: int
    n_empty: int

    def leak_notes(self) -> list[str]:
        """Say how many documents the training documents give away; nothing where there are none."""
        if not self.n_leaked:
            return []
        counted = f"{self.n_leaked:,} of {self.evaluation.n_documents:,} documents"
        return [f"{counted} are, or nearly are, training documents, which flatters the figures."]


def measure(model: Predictor, data: LabelledFile, *, progress: bool = False) -> Measured:
    """Measure a model on labelled documents.

    Raises
    ------
    TrainingDataError
        When none of them can be read, or most or all labels are unknown.
    """
    embeddings = model.encode([document.text for document in data.documents], progress=progress)
    readable = np.asarray(embeddings.any(axis=1))
    if not readable.any():
        raise TrainingDataError(f"No labelled row of {data.name} has a text", "name its column with --text-column")
    labels = [document.label or "" for document, keep in zip(data.documents, readable, strict=True) if keep]
    texts = [document.text for document, keep in zip(data.documents, readable, strict=True) if keep]
    proba = model.proba_of(texts, embeddings[readable])
    known = {str(label) for label in model.classes_}
    given = {part for label in labels for part in split_labels(label)} if model.multi_label else set(labels)
    n_unknown = len(given - known)
    if n_unknown > max(MAX_UNKNOWN_LABELS, len(known)):
        problem = f"{data.name} has {n_unknown:,} labels that the model does not know"
        raise TrainingDataError(problem, "name the column of the labels with --label-column")
    if given and not given & known:
        problem = f"No label of {data.name} is one that the model knows: {listing(sorted(given))}"
        raise TrainingDataError(problem, "take the model of these labels, or name their column with --label-column")
    majority = Counter(labels).most_common(1)[0][0] if is_labels_only(model.facts_) else model.majority_label()
    leaked = leaked_rows(
        [document.text for document in model.documents_], texts, model.embeddings_, embeddings[readable]
    )

    words = same_words(texts)

    def on(rows: NDArray[np.bool_]) -> Evaluation | MultiLabelEvaluation:
        kept = [label for label, keep in zip(labels, rows, strict=True) if keep]
        n_distinct = len(np.unique(words[rows]))
        return _scored(model, proba[rows], kept, majority, n_distinct)

    without = on(~leaked) if leaked.any() and not leaked.all() else None
    return Measured(on(np.ones(len(labels), dtype=np.bool_)), without, int(leaked.sum()), int((~readable).sum()))


def _scored(
    model: Predictor, proba: Floats, labels: list[str], majority: str, n_distinct: int
) -> Evaluation | MultiLabelEvaluation:
    """Measure probabilities against true labels, or sets of them joined by ``|``."""
    classes = [str(label) for label in model.classes_]
    if not model.multi_label:
        return score(proba, classes, labels, majority=majority, n_distinct=n_distinct)
    y, names = label_matrix([split_labels(label) for label in labels], classes)
    always = np.isin(names, split_labels(majority))
    return evaluate_multi_label(proba, model.given_labels(proba), names, y, majority=always, n_distinct=n_distinct)
