"""A batch as a job: the file is kept with it, so that it can be looked at, gone on with and fetched later."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

from classifier.datamodels import Document, ReviewPolicy, Settings
from classifier.errors import ColumnError, FileProblemError, StorageError, listing
from classifier.prediction.batch import ADDED_COLUMNS
from classifier.prediction.formats import open_format, unescape_formula
from classifier.prediction.sinks import one_sentence
from classifier.reading.columns import Choice, choose_columns
from classifier.reading.documents import READERS, open_table
from classifier.reading.table import Row, Table
from classifier.storage.registry import ModelVersion
from classifier.workflows.corrections import send_to_review
from classifier.workflows.jobs import Job, Jobs
from classifier.workflows.labelled import rejected_path

SUFFIXES = tuple(
    f"{suffix}{packed}" for suffix in READERS for packed in (("", ".gz", ".zst") if suffix != ".parquet" else ("",))
)
OUTPUT_FILE = "answers.csv"
PREVIEW_ROWS = 5
_TEXT_OPTION = "--text-column="
_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class Upload:
    """A table that was uploaded for a batch.

    Attributes
    ----------
    folder : Path
        Of the job that it is for.
    path : Path
        Where it is kept.
    name : str
        What its owner calls it; never part of a path.
    columns : tuple of str
    n_rows : int
    text_column, label_column, id_column : str or None
        Where the texts, labels and ids seem to be; None where no column looks like it.
    first_rows : tuple of tuple
        The first cells of each column, for a preview.
    notes : tuple of str
        What its owner should know about how it is read.
    """

    folder: Path
    path: Path
    name: str
    columns: tuple[str, ...]
    n_rows: int
    text_column: str | None
    label_column: str | None
    id_column: str | None
    first_rows: tuple[tuple[Any, ...], ...]
    notes: tuple[str, ...]


def keep_upload(jobs: Jobs, name: str, content: Iterable[bytes]) -> Upload:
    """Keep an uploaded table for a job that may be started with it.

    Parameters
    ----------
    jobs : Jobs
    name : str
        What its owner calls it.
    content : iterable of bytes
        The file, piece by piece.

    Raises
    ------
    FileProblemError
        When it cannot be read as a table.
    """
    suffix = table_suffix(name)
    folder = jobs.new_folder()
    path = folder / f"input{suffix}"
    with one_sentence(str(path)), path.open("wb") as stream:
        for piece in content:
            stream.write(piece)
    try:
        table = open_table(path)
        rows = islice((row for row in table.rows() if isinstance(row, Row)), PREVIEW_ROWS)
        first_rows = tuple(row.cells for row in rows)
        try:
            found: Choice | None = choose_columns(table)
        except ColumnError:
            found = None
    except FileProblemError as error:
        path.unlink()
        folder.rmdir()
        raise FileProblemError(name, error.problem, error.remedy) from error
    return Upload(
        folder,
        path,
        name,
        table.columns,
        table.n_rows,
        text_column=found.text if found else None,
        label_column=found.label if found else None,
        id_column=found.id if found else None,
        first_rows=first_rows,
        notes=table.notes,
    )


def table_suffix(name: str) -> str:
    """Return how a table is to be read, such as ``.csv.gz``.

    Raises
    ------
    FileProblemError
        When its name does not tell.
    """
    suffix = next((one for one in sorted(SUFFIXES, key=len, reverse=True) if name.lower().endswith(one)), None)
    if suffix is None:
        raise FileProblemError(name, "it is no table that can be read here", f"give one of {listing(SUFFIXES, 99)}")
    return suffix


def start_batch(
    jobs: Jobs,
    upload: Upload,
    model: Path,
    *,
    text_column: str,
    review: ReviewPolicy,
    tolerance: float | None = None,
) -> Job:
    """Start answering every row of an uploaded table.

    Parameters
    ----------
    jobs : Jobs
    upload : Upload
    model : Path
        Folder of the model.
    text_column : str
        Where the texts are.
    review : ReviewPolicy
        Which answers go to a person.
    tolerance : float or None
        Let the words alone answer where they are clear, with at most this share of other answers; None for exact ones.
    """
    taken = [column for column, _ in ADDED_COLUMNS if column in upload.columns]
    if taken:
        problem = f"it already has {listing(taken)}, which the answers are written to"
        raise FileProblemError(upload.name, problem, "rename that column")
    arguments = [str(model.absolute()), str(upload.path), "-o", str(upload.folder / OUTPUT_FILE), "--json"]
    arguments += [f"{_TEXT_OPTION}{text_column}"]
    arguments += ["--fast", f"--tolerance={tolerance}"] if tolerance is not None else []
    for option, value in (
        ("target-accuracy", review.target_accuracy),
        ("review-budget", review.review_budget),
        ("min-confidence", review.min_confidence),
    ):
        arguments += [f"--{option}={value}"] if value is not None else []
    return jobs.start(upload.folder, "predict", upload.name, arguments)


@dataclass(frozen=True, slots=True)
class AnsweredRows:
    """Some rows of a finished batch.

    Attributes
    ----------
    columns : tuple of str
        Those of the upload, then the added ones.
    rows : list of tuple of str
        Their cells.
    numbers : list of int
        Which rows of the answers they are, from 1.
    """

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    numbers: list[int]

    def column(self, name: str) -> list[str]:
        """Return the cells of an added column."""
        at = self.position(name)
        return [row[at] for row in self.rows]

    def position(self, name: str) -> int:
        """Return where an added column is; one of the upload may have the same name, before it."""
        return len(self.columns) - 1 - self.columns[::-1].index(name)


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Which rows of a batch are looked at.

    Attributes
    ----------
    label, status : str or None
        Only rows of this label or status; None for all.
    contains : str
        Only rows of which a cell contains this, whatever its case.
    """

    label: str | None = None
    status: str | None = None
    contains: str = ""

    def passing(self, table: Table) -> Iterator[Row]:
        """Yield the rows of answers that pass, as they were before formulas were escaped."""
        asked = self.contains.casefold()
        label_at, _, status_at = (len(table.columns) - 1 - table.columns[::-1].index(name) for name, _ in ADDED_COLUMNS)
        for row in table.rows():
            if not isinstance(row, Row):
                continue
            cells = _unescaped(row).cells
            if (
                (self.label is None or cells[label_at] == self.label)
                and (self.status is None or cells[status_at] == self.status)
                and (not asked or any(asked in cell.casefold() for cell in cells))
            ):
                yield Row(row.number, cells)


def answered_rows(job: Job, wanted: RowFilter | None = None, *, limit: int = 1000) -> AnsweredRows:
    """Return the first answered rows of a finished batch that pass a filter; without one, of all rows."""
    table = _answers(job)
    kept = list(islice((wanted or RowFilter()).passing(table), limit))
    return AnsweredRows(table.columns, [row.cells for row in kept], [row.number for row in kept])


def passing_rows(job: Job, wanted: RowFilter) -> bytes:
    """Return all answered rows of a finished batch that pass a filter, as CSV."""
    table = _answers(job)
    rows = open_format("csv", io.StringIO(), table, ())
    blocks = (rows.block((row, ()) for row in some) for some in _in_blocks(wanted.passing(table)))
    return b"".join([rows.begin(), *blocks])


def facts_of_model(job: Job) -> dict[str, Any] | None:
    """Return the facts of the model that answers a batch; None where that model is gone."""
    folder = Path(job.arguments[0])
    try:
        return ModelVersion(folder.parent.name, folder.name, promoted=False, folder=folder).facts()
    except StorageError:
        return None


def rejected_rows(job: Job, limit: int = 1000) -> list[dict[str, str]]:
    """Return the first rows of a batch that could not be read, and why."""
    path = rejected_path(job.folder / OUTPUT_FILE)
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return list(islice(csv.DictReader(stream), limit))


def download_file(job: Job, output_format: str) -> Path:
    """Return the answers of a finished batch in a format, which is made where it is asked for first.

    Parameters
    ----------
    job : Job
        Done.
    output_format : str
        A name of `classifier.prediction.formats.FORMATS`.
    """
    answers = job.folder / OUTPUT_FILE
    if output_format == "csv":
        return answers
    target = job.folder / f"answers.{output_format}"
    if not target.exists():
        parts, whole = job.folder / f".{target.name}.parts", job.folder / f".{target.name}"
        table = _answers(job)
        rows = open_format(output_format, target, table, ())
        with parts.open("wb") as stream:
            stream.write(rows.begin())
            some_rows = _in_blocks(row for row in table.rows() if isinstance(row, Row))
            sizes = [stream.write(rows.block((_unescaped(row), ()) for row in some)) for some in some_rows]
        if not rows.whole(parts, sizes, whole):
            parts.replace(whole)
        parts.unlink(missing_ok=True)
        whole.replace(target)
    return target


def download_name(name: str, output_format: str) -> str:
    """Name the answers after the uploaded file.

    Examples
    --------
    >>> download_name("in box.2024.csv.gz", "jsonl"), download_name("<b>.csv", "csv")
    ('in-box.2024.predicted.jsonl', 'b.predicted.csv')
    """
    file = PurePath(name).name
    suffix = next((one for one in sorted(SUFFIXES, key=len, reverse=True) if file.lower().endswith(one)), "")
    stem = _UNSAFE.sub("-", file.removesuffix(file[len(file) - len(suffix) :])).strip("-.")[:80]
    return f"{stem or 'answers'}.predicted.{output_format}"


def reference_of_model(job: Job) -> str:
    """Return which model answers a batch, as ``NAME@VERSION``."""
    folder = Path(job.arguments[0])
    return f"{folder.parent.name}@{folder.name}"


def send_rows_to_review(settings: Settings, job: Job, found: AnsweredRows) -> int:
    """Let rows of a finished batch wait for a decision about its model; return how many did not wait yet."""
    columns = list(found.columns[: -len(ADDED_COLUMNS)])
    text_at = columns.index(next(one for one in job.arguments if one.startswith(_TEXT_OPTION))[len(_TEXT_OPTION) :])
    name = Path(job.arguments[0]).parent.name
    documents = (
        Document(f"{PurePath(job.title).name}, row {number}", row[text_at])
        for number, row in zip(found.numbers, found.rows, strict=True)
    )
    return send_to_review(settings, name, documents, source=f"batch {PurePath(job.title).name}")


def _answers(job: Job) -> Table:
    """Open the answers of a finished batch, with the column names of its input."""
    table = open_table(job.folder / OUTPUT_FILE)
    return replace(table, columns=tuple(map(unescape_formula, table.columns)))


def _unescaped(row: Row) -> Row:
    """Take the apostrophes away that a spreadsheet needs."""
    return Row(row.number, tuple(unescape_formula(cell) for cell in row.cells))


def _in_blocks(rows: Iterator[Row], size: int = 2000) -> Iterator[list[Row]]:
    """Group rows."""
    while some := list(islice(rows, size)):
        yield some
