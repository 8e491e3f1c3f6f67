"""Answer for one text or for every row of a file."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import IO, Any

from classifier.analysis.label_words import is_labels_only, names_sentence
from classifier.datamodels import Neighbor, Prediction, ReviewPolicy, Settings
from classifier.errors import UncalibratedWarning
from classifier.modeling.predictor import Predictor
from classifier.prediction.batch import added_columns, predict_stream
from classifier.prediction.writers import RejectionsFile, open_writer
from classifier.reading.documents import read_documents
from classifier.reports import FIND_COLUMNS, BatchReport, Columns
from classifier.workflows.labelled import file_name, rejected_path, require_other_file
from classifier.workflows.opening import open_predictor
from classifier.workflows.vectors import vectors_from

DEFAULT_REVIEW = ReviewPolicy()


def predict_text(
    model: str | Path, text: str, settings: Settings, *, review: ReviewPolicy = DEFAULT_REVIEW
) -> Prediction:
    """Answer for one text; `review` says when it is unsure.

    Raises
    ------
    ClassifierError
        When the model cannot be read.
    """
    classifier = _opened(model, settings)
    return classifier.classify([text], min_confidence=classifier.review_threshold(review))[0]


def predict_file(
    model: str | Path,
    file: str | Path,
    target: Path | IO[Any],
    settings: Settings,
    *,
    output_format: str,
    embeddings: str | Path | None = None,
    columns: Columns = FIND_COLUMNS,
    top_k: int | None = None,
    review: ReviewPolicy = DEFAULT_REVIEW,
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
    embeddings : str, Path or None
        Vectors of all these documents made elsewhere.
    columns : Columns
        How to read the file.
    top_k : int or None
        Also write that many labels with their probabilities.
    review : ReviewPolicy
        Which answers are unsure and go to a person.
    progress : bool
        Show a bar on stderr.

    Raises
    ------
    ClassifierError
        When the model or file cannot be read, or the output cannot be written; an old output stays as it was.
    """
    started = time.perf_counter()
    stream = read_documents(file, text_column=columns.text, id_column=columns.id, encoding=columns.encoding)
    rejects_path = rejected_path(target if isinstance(target, Path) else Path(file_name(Path(file))))
    require_other_file(rejects_path, Path(file))
    classifier = _opened(model, settings)
    min_confidence = classifier.review_threshold(review, stream.n_rows)
    with (
        vectors_from(embeddings, classifier.contract_) as vectors,
        RejectionsFile(rejects_path) as rejects,
        open_writer(target, output_format, stream.table, added_columns(top_k)) as writer,
    ):
        classifier.embedder = vectors or classifier.embedder
        counts = predict_stream(
            classifier, stream, writer, rejects, top_k=top_k, min_confidence=min_confidence, progress=progress
        )
    return BatchReport(
        source=str(file),
        output=str(target) if isinstance(target, Path) else "-",
        model=str(model),
        counts=counts,
        rejected_file=str(rejects_path) if counts.n_rejected else None,
        notes=stream.notes,
        min_confidence=min_confidence,
        expected=classifier.review_cost(min_confidence),
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
    return open_predictor(model, settings).similar(text, k, label=label, exclude_self=exclude_self)


def _opened(model: str | Path, settings: Settings) -> Predictor:
    """Open a model, and warn where its confidence means nothing yet."""
    classifier = open_predictor(model, settings)
    if is_labels_only(classifier.facts_):
        warnings.warn(names_sentence(classifier.facts_), UncalibratedWarning, stacklevel=3)
    return classifier
