"""Look at a labelled file before it is trusted."""

from __future__ import annotations

import csv
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from classifier.analysis.duplicates import leaked_rows
from classifier.analysis.issues import Audit
from classifier.datamodels import Document, Settings
from classifier.embedding.embedders import DEFAULT_EMBEDDER
from classifier.errors import TrainingDataWarning
from classifier.modeling.held_out import HeldOut
from classifier.modeling.model import DocumentClassifier
from classifier.prediction.sinks import written_whole
from classifier.reports import FIND_COLUMNS, Columns, LabelledFile
from classifier.workflows.labelled import read_both, require_other_file
from classifier.workflows.training import fit_on
from classifier.workflows.vectors import vectors_from

ISSUE_COLUMNS = ("row", "id", "label", "suggested_label", "kind", "quality", "reason", "text")


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What came of an audit.

    Attributes
    ----------
    audit : Audit
        What was found.
    places : tuple of (int, str)
        Row of the file, from 1, and id of each of its issues.
    accuracy : float or None
        Share of held-out documents that got exactly their label or labels, which says how far the suspicions can be
        trusted; None where nothing could be held out.
    leaked : tuple of Document
        Documents of the test file whose text is, or nearly is, one of the training file; None without a test file.
    n_test : int
        How many documents the test file has.
    output : str or None
        Where the rows to look at were written.
    n_rejected : int
        Rows that could not be read.
    notes : tuple of str
        What was chosen while reading.
    rejected_file : str or None
        Where unreadable rows are listed.
    seconds : float
        Wall time.
    """

    audit: Audit
    places: tuple[tuple[int, str], ...]
    accuracy: float | None
    leaked: tuple[Document, ...]
    n_test: int
    output: str | None
    n_rejected: int
    notes: tuple[str, ...]
    rejected_file: str | None
    seconds: float


def audit(
    file: str | Path,
    settings: Settings,
    *,
    columns: Columns = FIND_COLUMNS,
    test_file: str | Path | None = None,
    output: Path | None = None,
    embedder: str = DEFAULT_EMBEDDER,
    embeddings: str | Path | None = None,
    multi_label: bool = False,
    seed: int = 0,
    progress: bool = False,
) -> AuditReport:
    """Find conflicting and suspected labels, near-duplicates and leakage in labelled files.

    Parameters
    ----------
    file : str or Path
        Labelled documents; a classifier is trained on parts of them and asked about the rest.
    settings : Settings
        How encoders are run.
    columns : Columns
        How to read the files.
    test_file : str, Path or None
        Documents that shall not be among those of `file`.
    output : Path or None
        Where to write the rows to look at, worst first, as CSV.
    embedder : str
        What turns texts into vectors.
    embeddings : str, Path or None
        Vectors of all documents of `file` made elsewhere, instead.
    multi_label : bool
        Whether a document may have any number of labels, joined by ``|`` or as a list, and also none.
    seed : int
        Decides the folds.
    progress : bool
        Show bars on stderr.

    Raises
    ------
    ClassifierError
        When a file cannot be read, nothing can be learned from it, or the list cannot be written.
    """
    started = time.perf_counter()
    if output is not None:
        require_other_file(output, Path(file))
    data, test = read_both(file, test_file, columns, multi_label=multi_label)
    with vectors_from(embeddings) as vectors, warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingDataWarning)
        model = DocumentClassifier(vectors or embedder, seed=seed, multi_label=multi_label, options=settings.encoder)
        fit_on(model, data, progress=progress)
        leaked = _leaked(model, test) if test is not None else ()
    found = model.audit_
    flagged = [model.documents_[issue.row] for issue in found.issues]
    places = tuple((data.documents[document.row - 1].row, document.id) for document in flagged)
    if output is not None:
        _write(output, found, places, [document.text for document in flagged])
    return AuditReport(
        audit=found,
        places=places,
        accuracy=_share_right(model.held_out_),
        leaked=leaked,
        n_test=len(test.documents) if test else 0,
        output=None if output is None else str(output),
        n_rejected=data.n_rejected + (test.n_rejected if test else 0),
        notes=(*data.notes, *(f"Test file: {note}" for note in (test.notes if test else ()))),
        rejected_file=" and ".join(one.rejected_file for one in (data, test) if one and one.rejected_file) or None,
        seconds=time.perf_counter() - started,
    )


def _leaked(model: DocumentClassifier, test: LabelledFile) -> tuple[Document, ...]:
    """Return the documents of a test file that the training documents give away."""
    texts = [document.text for document in test.documents]
    known = [document.text for document in model.documents_]
    found = leaked_rows(known, texts, model.embeddings_, model.encode(texts))
    return tuple(document for document, is_leaked in zip(test.documents, found, strict=True) if is_leaked)


def _share_right(held_out: HeldOut) -> float | None:
    """Return how many held-out documents were answered as labelled; None where none was held out."""
    return float((held_out.correct[held_out.measured] == 1).mean()) if held_out.measured.any() else None


def _write(path: Path, found: Audit, places: Sequence[tuple[int, str]], texts: Sequence[str]) -> None:
    """Write the rows to look at, whole or not at all."""
    with written_whole(path) as sink:
        writer = csv.writer(sink, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(ISSUE_COLUMNS)
        for issue, (number, name), text in zip(found.issues, places, texts, strict=True):
            cells = [issue.label, issue.suggested, issue.kind, f"{issue.quality:.4f}", issue.reason, text]
            writer.writerow([number, name, *(_storable(cell) for cell in cells)])


def _storable(cell: str) -> str:
    """Write half characters as their escapes."""
    return cell.encode("utf-8", "backslashreplace").decode("utf-8")
