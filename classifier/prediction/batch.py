"""Predict a file as a stream of blocks: bounded memory, every row accounted for, all hands at work at once."""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats
from classifier.datamodels import STATUS_EMPTY, Prediction, Rejection
from classifier.embedding.contract import Embeddings
from classifier.modeling.decisions import DEFAULT_MIN_CONFIDENCE
from classifier.modeling.label_sets import SEPARATOR
from classifier.modeling.predictor import Predictor
from classifier.prediction.ahead import reading_ahead
from classifier.prediction.formats import RowFormat
from classifier.prediction.outputs import Output
from classifier.progress import progress_bar
from classifier.reading.documents import Record

BLOCK_ROWS = 2048
BLOCK_CHARACTERS = 500_000
BLOCKS_AHEAD = 2
BLOCKS_PREPARED = 2
ADDED_COLUMNS: tuple[tuple[str, type], ...] = (("predicted_label", str), ("confidence", float), ("status", str))
TOP_K_COLUMN: tuple[str, type] = ("top_k", str)
SIMILAR_COLUMN: tuple[str, type] = ("similar", str)
BY_COLUMN: tuple[str, type] = ("answered_by", str)

Item = Record | Rejection


class StoppedError(KeyboardInterrupt):
    """Somebody asked to stop; what is finished is safe."""


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What is answered of each row.

    Attributes
    ----------
    top_k : int or None
        Also write that many of the most probable labels, as JSON.
    n_similar : int
        Also write that many of the nearest training documents, as JSON.
    min_confidence : float
        Answers below it are ``unsure``.
    says_by : bool
        Also write what answered: ``words`` or ``whole model``.
    """

    top_k: int | None = None
    n_similar: int = 0
    min_confidence: float = DEFAULT_MIN_CONFIDENCE
    says_by: bool = False

    def added_columns(self) -> list[tuple[str, type]]:
        """Return names and types of the columns that prediction adds."""
        more = [(TOP_K_COLUMN, self.top_k), (SIMILAR_COLUMN, self.n_similar), (BY_COLUMN, self.says_by)]
        return [*ADDED_COLUMNS, *(column for column, is_asked in more if is_asked)]


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """What became of the rows of a file.

    Attributes
    ----------
    n_rows, n_predicted, n_rejected : int
        Rows read; rows written with an answer; rows listed as rejected. The first is the sum of the others.
    n_cheap : int
        Rows that were answered by their words alone.
    statuses, labels : dict of str to int
        How often each status and each predicted label was given, most frequent first; the empty string stands for
        readable rows that were given none.
    """

    n_rows: int
    n_predicted: int
    n_rejected: int
    statuses: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    n_cheap: int = 0

    @classmethod
    def of(cls, notes: Iterable[Any]) -> BatchCounts:
        """Add up what was noted of blocks."""
        statuses: Counter[str] = Counter()
        labels: Counter[str] = Counter()
        n_rows = n_rejected = n_cheap = 0
        for note in notes:
            n_rows, n_rejected = n_rows + note["n_rows"], n_rejected + note["n_rejected"]
            statuses.update(note["statuses"])
            labels.update(note["labels"])
            n_cheap += note.get("n_cheap", 0)
        ordered = dict(statuses.most_common()), dict(labels.most_common())
        return cls(n_rows, n_rows - n_rejected, n_rejected, *ordered, n_cheap)


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers to a block of texts.

    Attributes
    ----------
    cells : list of list
        Values of the added columns, one list for each text.
    statuses : list of str
        One for each text.
    labels : list of str
        Every label that was given; an empty string for each readable text without any.
    note : dict of str to int
        What else is to be counted.
    vectors : ndarray of float32, shape (n_documents, n_dims), or None
        Of the texts, where all were embedded.
    """

    cells: list[list[object]]
    statuses: list[str]
    labels: list[str]
    note: dict[str, int] = field(default_factory=dict)
    vectors: Embeddings | None = None


class Answers(Protocol):
    """Answers blocks of texts in two steps, so that the second runs beside the first one of the next block."""

    def prepare(self, texts: Sequence[str]) -> Any:
        """Do what takes long."""

    def answer(self, texts: Sequence[str], prepared: Any) -> Answered:
        """Do the rest."""


class ExactAnswers:
    """Answers of the whole model.

    Parameters
    ----------
    model : Predictor
        Trained.
    options : BatchOptions
    """

    def __init__(self, model: Predictor, options: BatchOptions) -> None:
        self._model, self._options = model, options
        self._encoding = threading.Lock()
        self.names = [str(name) for name in model.classes_]

    def prepare(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts, one block after another: two at once are slower."""
        with self._encoding:
            return self._model.encode(texts)

    def answer(self, texts: Sequence[str], prepared: Embeddings) -> Answered:
        """Decide by embeddings and words."""
        threshold = self._options.min_confidence
        found = self._model.decide(texts, prepared, min_confidence=threshold, measures_all=False)
        cells, labels = [], []
        for given, proba, confidence, status, vector in zip(
            found.given, found.proba, found.confidence, found.statuses, prepared, strict=True
        ):
            names = [self.names[code] for code in np.flatnonzero(given)]
            is_answer = status != STATUS_EMPTY
            labels += names or [""] * is_answer
            row: list[object] = [SEPARATOR.join(names), round(float(confidence), 6) if is_answer else None, status]
            if self._options.top_k:
                row.append(self.best(proba) if is_answer else "[]")
            if self._options.n_similar:
                row.append(self._similar(vector))
            cells.append(row)
        return Answered(cells, found.statuses, labels, vectors=prepared)

    def best(self, proba: Floats) -> str:
        """List the most probable labels, as JSON."""
        order = np.argsort(-proba, kind="stable")[: self._options.top_k]
        best = [{"label": self.names[code], "confidence": round(float(proba[code]), 6)} for code in order]
        return json.dumps(best, ensure_ascii=False)

    def _similar(self, vector: NDArray[np.float32]) -> str:
        """List the nearest training documents, as JSON."""
        nearest = self._model.nearest(vector, self._options.n_similar)
        listed = [{"id": one.id, "label": one.label, "similarity": round(one.similarity, 6)} for one in nearest]
        return json.dumps(listed, ensure_ascii=False)


def predict_stream(
    answers: Answers,
    stream: Iterable[Item],
    rows: RowFormat,
    output: Output,
    *,
    n_rows: int | None = None,
    progress: bool = False,
    stop: threading.Event | None = None,
) -> BatchCounts:
    """Give every row of a stream its answer.

    Parameters
    ----------
    answers : Answers
        What answers texts.
    stream : iterable of Record or Rejection
        Where rows come from.
    rows : RowFormat
        How they are written.
    output : Output
        Takes the blocks; those that it has already are read over.
    n_rows : int or None
        How many rows there are, for the bar.
    progress : bool, default=False
        Show rows, speed, remaining time and statuses on stderr.
    stop : threading.Event or None
        Once it is set, the blocks in hand are finished and nothing more is begun.

    Raises
    ------
    StoppedError
        When it was asked to stop.

    Notes
    -----
    Blocks are cut by the input alone, so the result is the same byte for byte wherever a run was interrupted. While
    one block is embedded, the words of the next are counted, those after it are read, and the last one is written.
    """
    noted = list(output.notes)
    n_done, statuses = len(noted), Counter[str]()
    pending: deque[Future[dict[str, Any]]] = deque()
    with (
        progress_bar("predicting", "row", total=n_rows, shown=progress) as bar,
        ThreadPoolExecutor(1, "writer") as writer,
        ThreadPoolExecutor(BLOCKS_PREPARED, "preparer") as preparer,
        reading_ahead(blocks(stream), BLOCKS_AHEAD) as read,
    ):

        def show(note: Mapping[str, Any]) -> None:
            statuses.update(note["statuses"])
            bar.set_postfix_str(", ".join(f"{count:,} {status}" for status, count in statuses.most_common()), False)
            bar.update(note["n_rows"])

        def settle(n_left: int) -> None:
            while len(pending) > n_left:
                noted.append(pending.popleft().result())
                show(noted[-1])

        for number, block in enumerate(read):
            if number < n_done:
                show(noted[number])
                continue
            if stop is not None and stop.is_set():
                settle(0)
                raise StoppedError
            prepared = preparer.submit(_prepare, answers, block)
            before = pending[-1] if pending else None
            pending.append(writer.submit(_finish_block, answers, block, prepared, rows, output, before))
            settle(BLOCKS_PREPARED)
        settle(0)
    return BatchCounts.of(noted)


def _prepare(answers: Answers, block: Sequence[Item]) -> Any:
    """Do what takes long for the readable rows of a block."""
    texts = texts_of(block)
    return answers.prepare(texts) if texts else None


def _finish_block(
    answers: Answers,
    block: Sequence[Item],
    prepared: Future[Any],
    rows: RowFormat,
    output: Output,
    before: Future[Any] | None,
) -> dict[str, Any]:
    """Answer a block and write it; return what is noted of it. Where the one before it failed, so does this one."""
    if before is not None:
        before.result()
    found = prepared.result()
    records = [item for item in block if isinstance(item, Record)]
    rejected = [item for item in block if isinstance(item, Rejection)]
    answered = answers.answer(texts_of(block), found) if records else Answered([], [], [])
    body = rows.block((record.row, cells) for record, cells in zip(records, answered.cells, strict=True))
    note = {
        "n_rows": len(block),
        "n_rejected": len(rejected),
        "statuses": Counter(answered.statuses),
        "labels": Counter(answered.labels),
        **answered.note,
    }
    output.write(body, rejected, note, answered.vectors)
    return note


def texts_of(block: Sequence[Item]) -> list[str]:
    """Return the texts of the readable rows."""
    return [item.document.text for item in block if isinstance(item, Record)]


def answer_cells(answer: Prediction) -> list[object]:
    """Return the cells of `ADDED_COLUMNS` for one answer; confidences are rounded to six digits."""
    return [answer.label, None if answer.status == STATUS_EMPTY else round(answer.confidence, 6), answer.status]


def blocks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Group a stream into runs bounded in rows and in characters; a longer text makes one of its own."""
    block: list[Item] = []
    n_characters = 0
    for item in items:
        block.append(item)
        n_characters += len(item.document.text) if isinstance(item, Record) else 0
        if len(block) >= BLOCK_ROWS or n_characters >= BLOCK_CHARACTERS:
            yield block
            block, n_characters = [], 0
    if block:
        yield block
