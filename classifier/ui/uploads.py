"""Turn what a visitor uploads into texts, and a table of texts into answers.

A visitor's file name is shown, never used as a path.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from streamlit.runtime.uploaded_file_manager import UploadedFile

from classifier import workflows
from classifier.datamodels import Prediction, Rejection, Settings
from classifier.errors import ColumnError, FileProblemError, listing
from classifier.modeling.predictor import Predictor
from classifier.prediction.batch import ADDED_COLUMNS, answer_cells
from classifier.prediction.formats import open_format
from classifier.reading.columns import choose_columns
from classifier.reading.documents import DocumentStream, Record, open_table
from classifier.reading.single import stored
from classifier.reading.table import Row, Table
from classifier.reports import Columns
from classifier.workflows.batch_jobs import table_suffix

if TYPE_CHECKING:
    from classifier.workflows.versions import VersionComparison

TABLE_SUFFIX = ".csv"
ROW_LIMIT = 2000
READ_BYTES = 1 << 20
ROWS_PER_STEP = 50


@dataclass(frozen=True, slots=True)
class UploadedTable:
    """The first rows of an uploaded table, in memory.

    Attributes
    ----------
    name : str
        The visitor's name for the file; only to be shown.
    table : Table
        At most `ROW_LIMIT` rows.
    n_rows : int
        Rows of the whole file.
    text_column : str or None
        Where the texts seem to be; None where no column looks like it.
    """

    name: str
    table: Table
    n_rows: int
    text_column: str | None

    def samples(self, column: str, n: int = 3) -> list[str]:
        """Return the first texts of a column that are not blank."""
        at = self.table.columns.index(column)
        cells = (str(row.cells[at]) for row in self.table.rows() if isinstance(row, Row))
        return list(islice((cell for cell in cells if cell.strip()), n))


@dataclass(frozen=True, slots=True)
class TableAnswers:
    """What became of the rows of a table.

    Attributes
    ----------
    records : list of Record
        The rows that could be read.
    predictions : list of Prediction
        Their answers, in the same order.
    rejections : list of Rejection
        The rows that could not.
    csv : bytes
        The readable rows, unchanged, with their answers; as ``classifier predict`` writes them.
    """

    records: list[Record]
    predictions: list[Prediction]
    rejections: list[Rejection]
    csv: bytes


def is_table(name: str) -> bool:
    """Tell whether a file is to be read as a table."""
    return PurePath(name).suffix.lower() == TABLE_SUFFIX


def read_table(name: str, content: bytes) -> UploadedTable:
    """Read an uploaded table.

    Raises
    ------
    FileProblemError
        When it cannot be read as a table, or has a column that the answers need.
    """
    with stored(name, content, TABLE_SUFFIX) as path:
        table = open_table(path)
        taken = [column for column, _ in ADDED_COLUMNS if column in table.columns]
        if taken:
            problem = f"it already has {listing(taken)}, which the answers are written to"
            raise FileProblemError(path, problem, "rename that column")
        rows = list(islice(table.rows(), ROW_LIMIT))
    kept = replace(table, n_rows=len(rows), read_rows=lambda: iter(rows), fingerprint=None)
    try:
        text_column = choose_columns(kept).text
    except ColumnError:
        text_column = None
    return UploadedTable(name, kept, table.n_rows, text_column)


def answer_table(
    model: Predictor, uploaded: UploadedTable, text_column: str, report: Callable[[int, int], None]
) -> TableAnswers:
    """Give every row its answer.

    Parameters
    ----------
    model : Predictor
        Trained.
    uploaded : UploadedTable
        Where rows come from.
    text_column : str
        Where the texts are.
    report : callable
        Called with the number of rows done and the number of all rows, after every few rows.
    """
    choice = choose_columns(uploaded.table, text_column=text_column)
    stream = DocumentStream(uploaded.table, choice.text, choice.label, choice.id, ())
    items = list(stream)
    records = [item for item in items if isinstance(item, Record)]
    predictions: list[Prediction] = []
    for start in range(0, len(records), ROWS_PER_STEP):
        step = records[start : start + ROWS_PER_STEP]
        predictions += model.classify([record.document.text for record in step])
        report(len(predictions), len(records))
    rejections = [item for item in items if isinstance(item, Rejection)]
    return TableAnswers(records, predictions, rejections, _to_csv(uploaded.table, records, predictions))


def compare_on(old: str, new: str, settings: Settings, given: UploadedFile | None) -> VersionComparison:
    """Compare two versions, on an uploaded test file where there is one.

    Raises
    ------
    ClassifierError
        When they cannot be compared on it.
    """
    if given is None:
        return workflows.compare_versions(old, new, settings)
    with stored(given.name, given.getvalue(), table_suffix(given.name)) as path:
        columns = Columns(source_name=given.name, rejected_file=path.with_name("rejected.csv"))
        return workflows.compare_versions(old, new, settings, test_file=path, columns=columns)


def _to_csv(table: Table, records: list[Record], predictions: list[Prediction]) -> bytes:
    """Write rows with their answers, every column of the input unchanged."""
    rows = open_format("csv", Path("answers.csv"), table, ADDED_COLUMNS)
    answers = zip(records, predictions, strict=True)
    return rows.begin() + rows.block((record.row, answer_cells(answer)) for record, answer in answers)


def pieces(given: UploadedFile) -> Iterator[bytes]:
    """Give an upload piece by piece."""
    stream = io.BytesIO(given.getbuffer())
    return iter(partial(stream.read, READ_BYTES), b"")
