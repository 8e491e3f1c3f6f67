"""Answer for every row of a file, whatever happens on the way."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from classifier import __version__
from classifier.analysis.agreement import Agreement
from classifier.datamodels import Settings
from classifier.embedding.vectors_file import VectorsWriter
from classifier.errors import OutputError
from classifier.files import file_sha256
from classifier.memory import peak_memory_bytes
from classifier.modeling.predictor import Predictor
from classifier.prediction.batch import (
    BLOCK_CHARACTERS,
    BLOCK_ROWS,
    Answers,
    BatchCounts,
    BatchOptions,
    ExactAnswers,
    blocks,
    predict_stream,
)
from classifier.prediction.cascade import CheapHalf, FastAnswers
from classifier.prediction.checking import settle
from classifier.prediction.formats import RowFormat, open_format
from classifier.prediction.journal import Journal
from classifier.prediction.outputs import OUTPUT, REJECTED, VECTORS, JournaledOutput, StreamedOutput, summary_path
from classifier.prediction.rejections import RejectionsFile
from classifier.reading.documents import DocumentStream, Record, read_documents
from classifier.reports import FIND_COLUMNS, BatchReport, BatchRequest, Columns, batch_values
from classifier.workflows.labelled import file_name, rejected_path, require_other_file
from classifier.workflows.opening import model_checksum
from classifier.workflows.predicting import opened
from classifier.workflows.vectors import vectors_from

AGREEMENT = "agreement"


@dataclass(frozen=True, slots=True)
class _Run:
    """Everything that one batch needs."""

    model: str | Path
    classifier: Predictor
    file: Path
    stream: DocumentStream
    target: Path | IO[Any]
    request: BatchRequest
    columns: Columns
    options: BatchOptions
    rows: RowFormat
    rejected: Path
    progress: bool
    stop: threading.Event | None
    started: float

    def settle(self, remembered: Mapping[str, Any] | None = None) -> Agreement | None:
        """Find where the words may answer alone; None where the whole model answers all."""
        if remembered is not None:
            return Agreement.from_dict(remembered)
        if self.request.tolerance is None:
            return None
        return settle(
            self.classifier,
            CheapHalf(self.classifier),
            self.stream.__iter__,
            self.stream.n_rows,
            tolerance=self.request.tolerance,
            min_confidence=self.options.min_confidence,
            progress=self.progress,
            stop=self.stop,
        )

    def predict(self, output: JournaledOutput | StreamedOutput, agreement: Agreement | None) -> BatchCounts:
        """Answer what is not there yet."""
        answers: Answers = ExactAnswers(self.classifier, self.options)
        if agreement is not None:
            answers = FastAnswers(self.classifier, CheapHalf(self.classifier), self.options, agreement.threshold)
        return predict_stream(
            answers,
            self.stream,
            self.rows,
            output,
            n_rows=self.stream.n_rows,
            progress=self.progress,
            stop=self.stop,
        )

    def report(self, counts: BatchCounts, agreement: Agreement | None, n_before: int = 0) -> BatchReport:
        """Sum up."""
        is_file = isinstance(self.target, Path)
        return BatchReport(
            source=str(self.file),
            output=str(self.target) if is_file else "-",
            model=str(self.model),
            counts=counts,
            rejected_file=str(self.rejected) if counts.n_rejected else None,
            notes=self.stream.notes,
            min_confidence=self.options.min_confidence,
            expected=self.classifier.review_cost(self.options.min_confidence),
            n_rows_before=n_before,
            agreement=agreement,
            peak_memory_bytes=peak_memory_bytes(),
            summary_file=str(summary_path(self.target)) if isinstance(self.target, Path) else None,
            seconds=time.perf_counter() - self.started,
        )

    def identity(self, settings: Settings) -> Mapping[str, Any]:
        """Return what the result depends on, each under the name that a message calls it by."""
        given, kept = self.request.embeddings, self.request.embeddings_out
        contract = self.classifier.contract_
        return {
            "input": _checksum(self.file),
            "model": model_checksum(self.model, settings),
            "text column": self.stream.text_column,
            "id column": self.stream.id_column,
            "encoding": self.columns.encoding,
            "notes on reading": list(self.stream.notes),
            "format": self.request.output_format,
            "raw": self.request.raw,
            "tolerance": self.request.tolerance,
            "top-k": self.options.top_k,
            "similar": self.options.n_similar,
            "threshold": repr(self.options.min_confidence),
            "embeddings": None if given is None else file_sha256(Path(given)),
            "embeddings-out": None if kept is None else str(kept),
            "engine": [contract.backend, contract.precision],
            "block": [BLOCK_ROWS, BLOCK_CHARACTERS],
            "program": __version__,
        }


def predict_file(
    model: str | Path,
    file: str | Path,
    target: Path | IO[Any],
    settings: Settings,
    request: BatchRequest,
    *,
    columns: Columns = FIND_COLUMNS,
    restart: bool = False,
    progress: bool = False,
    stop: threading.Event | None = None,
) -> BatchReport:
    """Give every row of a file its answer, and write all of its columns with it.

    Into a file, the work is safe block by block: whatever ends it, the same call goes on behind the last whole block,
    and the file appears when everything is there.

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
    request : BatchRequest
        What is to be written.
    columns : Columns
        How to read the file.
    restart : bool
        Whether to throw unfinished work on this target away.
    progress : bool
        Show a bar on stderr.
    stop : threading.Event or None
        Once it is set, the blocks in hand are finished and the rest is left for the next call.

    Raises
    ------
    StoppedError
        When it was asked to stop.
    UnfinishedRunError
        When there is unfinished work on this target with other input, model or options.
    ClassifierError
        When the model or file cannot be read, or the output cannot be written; an old output stays as it was.
    """
    started = time.perf_counter()
    path = Path(file)
    stream = read_documents(path, text_column=columns.text, id_column=columns.id, encoding=columns.encoding)
    rejected = rejected_path(target if isinstance(target, Path) else Path(file_name(path)))
    _require_apart(path, target, rejected, request.embeddings_out)
    classifier = opened(model, settings)
    threshold = classifier.review_threshold(request.review, stream.n_rows)
    options = BatchOptions(request.top_k, request.n_similar, threshold, says_by=request.tolerance is not None)
    rows = open_format(request.output_format, target, stream.table, options.added_columns(), raw=request.raw)
    with vectors_from(request.embeddings, classifier.contract_) as vectors:
        classifier.embedder = vectors or classifier.embedder
        run = _Run(
            model, classifier, path, stream, target, request, columns, options, rows, rejected, progress, stop, started
        )
        if isinstance(target, Path):
            return _to_file(run, target, settings, restart=restart)
        return _to_stream(run, target)


def _require_apart(source: Path, target: Path | IO[Any], rejected: Path, kept: Path | None) -> None:
    """Refuse to write over what is read, and to write two things to one file."""
    written = [rejected, *([target, summary_path(target)] if isinstance(target, Path) else [])]
    for other in (path for path in (*written, kept) if isinstance(path, Path) and path != target):
        require_other_file(other, source)
    if kept is not None and os.path.realpath(kept) in map(os.path.realpath, written):
        raise OutputError(
            kept, "the vectors would be written where something else of this run goes", "name another file"
        )


def _to_file(run: _Run, target: Path, settings: Settings, *, restart: bool) -> BatchReport:
    """Write to a file by way of a journal."""
    kept = run.request.embeddings_out
    names = [OUTPUT, REJECTED, *([VECTORS] if kept else [])]
    with Journal(target, run.identity(settings), names, restart=restart) as journal:
        output = JournaledOutput(journal, target, run.rows, run.rejected, keeps_vectors=kept is not None)
        before = BatchCounts.of(output.notes)
        agreement = run.settle(journal.memo.get(AGREEMENT))
        if journal.is_finished:
            return run.report(before, agreement, before.n_rows)
        if agreement is not None and AGREEMENT not in journal.memo:
            journal.remember({AGREEMENT: agreement.to_dict()})
        counts = run.predict(output, agreement)
        if kept is not None:
            _write_vectors(kept, run, output)
        report = run.report(counts, agreement, before.n_rows)
        output.finish(batch_values(report))
        return report


def _to_stream(run: _Run, target: IO[Any]) -> BatchReport:
    """Write to a stream, and list rejected rows behind it."""
    output = StreamedOutput(target, run.rows)
    agreement = run.settle()
    counts = run.predict(output, agreement)
    with RejectionsFile(run.rejected) as rejects:
        for rejection in output.rejected:
            rejects.write(rejection)
    return run.report(counts, agreement)


def _write_vectors(path: Path, run: _Run, output: JournaledOutput) -> None:
    """Write the vectors that were kept, with ids and checksums of the texts, as one file of vectors."""
    contract = run.classifier.contract_
    with VectorsWriter(path, contract) as writer:
        for block, vectors in zip(blocks(run.stream), output.vectors(contract.dimension), strict=True):
            documents = [item.document for item in block if isinstance(item, Record)]
            writer.write([one.id for one in documents], [one.text for one in documents], vectors)


def _checksum(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names, sizes and times of the text files in a folder."""
    if path.is_file():
        return file_sha256(path)
    digest = hashlib.sha256()
    for one in sorted(one for one in path.rglob("*") if one.name.lower().endswith(".txt")):
        status = one.stat()
        digest.update(f"{one.relative_to(path)}\0{status.st_size}\0{status.st_mtime_ns}\0".encode(errors="replace"))
    return digest.hexdigest()
