"""What workflows take and give back, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from classifier.datamodels import Document

if TYPE_CHECKING:
    from classifier.analysis.evaluation import Evaluation
    from classifier.prediction.batch import BatchCounts
    from classifier.storage.registry import ModelVersion


@dataclass(frozen=True, slots=True)
class Columns:
    """How to read a file: column names (None finds them) and encoding (None finds it)."""

    text: str | None = None
    label: str | None = None
    id: str | None = None
    encoding: str | None = None


FIND_COLUMNS = Columns()


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """The documents of a file that can be trained or measured on, and what became of the other rows.

    Attributes
    ----------
    name, sha256 : str
        Name and checksum of the file; no checksum for a folder.
    documents : list of Document
        Each with a label.
    n_rejected, n_unlabelled : int
        Rows that cannot be read, rows without a label.
    notes : tuple of str
        What was chosen while reading.
    rejected_file : str or None
        Where the unreadable rows are listed.
    """

    name: str
    sha256: str
    documents: list[Document]
    n_rejected: int
    n_unlabelled: int
    notes: tuple[str, ...]
    rejected_file: str | None


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What came of training.

    Attributes
    ----------
    model : ModelVersion
        Where it is.
    n_documents, n_labels, n_unlabelled, n_rejected : int
        Documents learned from, their labels, and the rows left out.
    measured_on : str
        What `evaluation` was measured on.
    evaluation : Evaluation or None
        None where nothing could be held out.
    notes, warnings : tuple of str
        What was chosen while reading; what was noticed in the data.
    rejected_file : str or None
        Where unreadable rows are listed.
    seconds : dict of str to float
        Wall time of each stage.
    """

    model: ModelVersion
    n_documents: int
    n_labels: int
    n_unlabelled: int
    n_rejected: int
    measured_on: str
    evaluation: Evaluation | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    rejected_file: str | None
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Metrics of a model on a labelled file, and the rows that were left out of them."""

    evaluation: Evaluation
    n_unlabelled: int
    n_empty: int
    n_rejected: int
    notes: tuple[str, ...]
    rejected_file: str | None


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What came of predicting a file."""

    source: str
    output: str
    model: str
    counts: BatchCounts
    rejected_file: str | None
    notes: tuple[str, ...]
    seconds: float
