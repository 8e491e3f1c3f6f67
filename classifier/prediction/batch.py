"""Predict a file as a stream: bounded memory, every row accounted for."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tqdm import tqdm

from classifier.datamodels import STATUS_EMPTY, Prediction, Rejection
from classifier.modeling.decisions import DEFAULT_MIN_CONFIDENCE
from classifier.modeling.predictor import Predictor
from classifier.prediction.writers import RejectionsFile, Writer
from classifier.reading.documents import DocumentStream, Record

WINDOW_DOCUMENTS = 2048
WINDOW_CHARACTERS = 8_000_000
ADDED_COLUMNS: tuple[tuple[str, type], ...] = (("predicted_label", str), ("confidence", float), ("status", str))
TOP_K_COLUMN: tuple[str, type] = ("top_k", str)


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """What became of the rows of a file.

    Attributes
    ----------
    n_rows, n_predicted, n_rejected : int
        Rows read; rows written with an answer; rows listed as rejected. The first is the sum of the others.
    statuses, labels : dict of str to int
        How often each status and each predicted label was given, most frequent first; the empty string stands for
        readable rows that were given none.
    """

    n_rows: int
    n_predicted: int
    n_rejected: int
    statuses: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)


def added_columns(top_k: int | None) -> list[tuple[str, type]]:
    """Return names and types of the columns that prediction adds."""
    return [*ADDED_COLUMNS, *([TOP_K_COLUMN] if top_k else [])]


def predict_stream(
    model: Predictor,
    stream: DocumentStream,
    writer: Writer,
    rejects: RejectionsFile,
    *,
    top_k: int | None = None,
    min_confidence: float = DEFAULT_MIN_CONFIDENCE,
    progress: bool = False,
) -> BatchCounts:
    """Give every row of a stream its answer.

    Parameters
    ----------
    model : Predictor
        Trained.
    stream : DocumentStream
        Where rows come from.
    writer : Writer
        Takes rows with their answers, in the order of the input.
    rejects : RejectionsFile
        Takes rows that cannot be read.
    top_k : int or None
        Also write the `top_k` most probable labels, as JSON.
    min_confidence : float, default=0.5
        Answers below it are ``unsure``.
    progress : bool, default=False
        Show rows, speed and remaining time on stderr.
    """
    statuses: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    n_rows = n_rejected = 0
    with tqdm(total=stream.n_rows, desc="predicting", unit="row", disable=not progress, file=sys.stderr) as bar:
        for window in _windows(stream):
            records = [item for item in window if isinstance(item, Record)]
            for item in window:
                if isinstance(item, Rejection):
                    rejects.write(item)
            texts = [record.document.text for record in records]
            answers = model.classify(texts, min_confidence=min_confidence) if texts else []
            for record, answer in zip(records, answers, strict=True):
                writer.write(record.row, answer_cells(answer, top_k))
                statuses[answer.status] += 1
                labels.update(answer.labels or [""] * (answer.status != STATUS_EMPTY))
            n_rows += len(window)
            n_rejected += len(window) - len(records)
            bar.update(len(window))
    return BatchCounts(
        n_rows, n_rows - n_rejected, n_rejected, dict(statuses.most_common()), dict(labels.most_common())
    )


def answer_cells(answer: Prediction, top_k: int | None = None) -> list[object]:
    """Return the cells of `added_columns` for one answer; confidences are rounded to six digits."""
    is_answer = answer.status != STATUS_EMPTY
    values: list[object] = [answer.label, round(answer.confidence, 6) if is_answer else None, answer.status]
    if top_k:
        best = [{"label": label, "confidence": round(share, 6)} for label, share in answer.top(top_k)]
        values.append(json.dumps(best, ensure_ascii=False))
    return values


def _windows(items: Iterable[Record | Rejection]) -> Iterator[list[Record | Rejection]]:
    """Group a stream into runs bounded in documents and in characters."""
    window: list[Record | Rejection] = []
    n_characters = 0
    for item in items:
        window.append(item)
        n_characters += len(item.document.text) if isinstance(item, Record) else 0
        if len(window) >= WINDOW_DOCUMENTS or n_characters >= WINDOW_CHARACTERS:
            yield window
            window, n_characters = [], 0
    if window:
        yield window
