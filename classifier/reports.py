"""What workflows take and give back, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifier.datamodels import Document, ReviewPolicy
from classifier.errors import CascadeError, OptionError

if TYPE_CHECKING:
    from classifier.analysis.abstention import ReviewCost
    from classifier.analysis.agreement import Agreement
    from classifier.analysis.evaluation import Evaluation
    from classifier.analysis.multilabel import MultiLabelEvaluation
    from classifier.embedding.cache import CacheInfo
    from classifier.embedding.engine import Engine
    from classifier.prediction.batch import BatchCounts
    from classifier.storage.registry import ModelVersion


@dataclass(frozen=True, slots=True)
class Columns:
    """How to read a file.

    Attributes
    ----------
    text, label, id : str or None
        Names of columns; None finds them.
    encoding : str or None
        None finds it.
    source_name : str or None
        What the file is called wherever it is named; its own name where None.
    rejected_file : Path or None
        Where rows that cannot be read are listed; ``FILE.rejected.csv`` in the current folder where None.
    """

    text: str | None = None
    label: str | None = None
    id: str | None = None
    encoding: str | None = None
    source_name: str | None = None
    rejected_file: Path | None = None


FIND_COLUMNS = Columns()
DEFAULT_TOLERANCE = 0.005
MOST_UNLABELLED = 20_000


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """The documents of a file that can be trained or measured on, and what became of the other rows.

    Attributes
    ----------
    name, sha256 : str
        Name and checksum of the file; no checksum for a folder.
    documents : list of Document
        Each with a label, unless any number of labels was asked for.
    n_rejected, n_unlabelled : int
        Rows that cannot be read, rows without a label.
    unlabelled : tuple of Document
        The first `MOST_UNLABELLED` rows without a label that have a text.
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
    unlabelled: tuple[Document, ...] = ()


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
    evaluation : Evaluation, MultiLabelEvaluation or None
        None where nothing could be held out.
    label_names : str
        How far the model relies on the names of its labels, in a sentence.
    notes, warnings : tuple of str
        What was chosen while reading; what was noticed in the data.
    rejected_file : str or None
        Where unreadable rows are listed.
    replaced : str or None
        The version that the name meant before.
    n_sent_to_review : int
        Rows without a label that wait for a person from now on.
    seconds : dict of str to float
        Wall time of each stage.
    """

    model: ModelVersion
    n_documents: int
    n_labels: int
    n_unlabelled: int
    n_rejected: int
    measured_on: str
    evaluation: Evaluation | MultiLabelEvaluation | None
    label_names: str
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    rejected_file: str | None
    replaced: str | None = None
    n_sent_to_review: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Metrics of a model on a labelled file, and the rows that were left out of them.

    `without_leaked` is the same without the `n_leaked` documents whose text is, or nearly is, a training document's;
    None where there are none, or no others.
    """

    evaluation: Evaluation | MultiLabelEvaluation
    n_leaked: int
    without_leaked: Evaluation | MultiLabelEvaluation | None
    n_unlabelled: int
    n_empty: int
    n_rejected: int
    notes: tuple[str, ...]
    rejected_file: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRequest:
    """What is to be written of each row of a file.

    Attributes
    ----------
    output_format : str
        A name of `classifier.prediction.formats.FORMATS`.
    top_k : int or None
        Also write that many of the most probable labels.
    n_similar : int
        Also write that many of the nearest training documents.
    review : ReviewPolicy
        Which answers are unsure and go to a person.
    embeddings : str, Path or None
        Vectors of all these documents made elsewhere.
    embeddings_out : Path or None
        Also keep the vectors of the rows in this Parquet file; goes with a target that is a file.
    raw : bool
        Whether cells of CSV are left as they are even where a spreadsheet would run them.
    tolerance : float or None
        Let the words alone answer where they are clear, so that no more than this share of the rows gets another answer
        than the whole model's; None lets the whole model answer all.
    """

    output_format: str = "csv"
    top_k: int | None = None
    n_similar: int = 0
    review: ReviewPolicy = field(default_factory=ReviewPolicy)
    embeddings: str | Path | None = None
    embeddings_out: Path | None = None
    raw: bool = False
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.tolerance is None:
            return
        if not 0 < self.tolerance < 1:
            raise OptionError("tolerance", self.tolerance, "a share between 0 and 1, such as 0.005")
        if self.n_similar or self.embeddings_out is not None or self.embeddings is not None:
            raise CascadeError(
                "similar documents and vectors need every row embedded", "leave out either those or the fast way"
            )


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What came of predicting a file.

    Answers below `min_confidence` are unsure; `expected` is what that cost and gave on held-out training documents,
    None where there were none. `n_rows_before` rows were there from earlier runs that did not end. `agreement` says how
    far answers by words alone are those of the whole model; None where none was asked for. Wall time and peak memory
    are those of this process.
    """

    source: str
    output: str
    model: str
    counts: BatchCounts
    rejected_file: str | None
    notes: tuple[str, ...]
    min_confidence: float
    expected: ReviewCost | None
    n_rows_before: int
    agreement: Agreement | None
    peak_memory_bytes: int | None
    summary_file: str | None
    seconds: float


def batch_values(report: BatchReport) -> dict[str, Any]:
    """Return a report as plain values, ready for JSON."""
    return asdict(report) | {"agreement": report.agreement and report.agreement.to_dict()}


@dataclass(frozen=True, slots=True)
class EmbeddingReport:
    """What came of embedding a file.

    Attributes
    ----------
    source, output : str
        What was read and written.
    contract : dict
        What the vectors may be compared with.
    n_documents, n_empty, n_rejected : int
        Vectors written, those of zeros among them because there was nothing to read, and rows that were rejected.
    rejected_file : str or None
        Where unreadable rows are listed.
    notes : tuple of str
        What was chosen while reading.
    seconds : float
        Wall time.
    """

    source: str
    output: str
    contract: dict[str, Any]
    n_documents: int
    n_empty: int
    n_rejected: int
    rejected_file: str | None
    notes: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class CacheReport:
    """What is kept between runs: vectors, and the sizes of what was converted, by folder."""

    folder: Path
    vectors: CacheInfo
    made_bytes: dict[str, int]


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """What a machine can do and what was chosen on it.

    Attributes
    ----------
    python, system, processor : str
        Versions and names.
    n_cores : int
        Cores this process may use.
    libraries : dict of str to str
        Versions of what matters.
    engine : Engine
        What runs encoders, in which precision, and why.
    encoder : str
        Where the default encoder is, or what is wrong with it.
    cache_dir, models_dir : Path
        Where things are kept.
    can_write_cache : bool
        Whether anything can be kept between runs.
    """

    python: str
    system: str
    processor: str
    n_cores: int
    libraries: dict[str, str]
    engine: Engine
    encoder: str
    cache_dir: Path
    can_write_cache: bool
    models_dir: Path
