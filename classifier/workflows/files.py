"""Answer several documents that somebody sent, each in a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath

from classifier.datamodels import Document, Prediction
from classifier.errors import FileProblemError, OptionError
from classifier.modeling.predictor import Predictor
from classifier.prediction.batch import ADDED_COLUMNS, answer_cells
from classifier.prediction.formats import open_format
from classifier.reading.parsing import ParsedFile
from classifier.reading.single import DOCUMENT_SUFFIXES, read_content, read_in_turn
from classifier.reading.table import Row, Table

MOST_FILES = 100
MOST_MEGABYTES = 20


@dataclass(frozen=True, slots=True)
class GivenFile:
    """A file that somebody sent.

    Attributes
    ----------
    name : str
        Only to be shown.
    n_bytes : int
    content : callable
        Gives the bytes; not called where there are too many.
    """

    name: str
    n_bytes: int
    content: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """What became of one file.

    Attributes
    ----------
    document : Document
        Its id is the name of the file.
    notes : tuple of str
        What its sender should know about the reading.
    prediction : Prediction or None
        None where it could not be read.
    problem, remedy : str
        Why it could not be read, and what to do; empty where it could.
    """

    document: Document
    notes: tuple[str, ...] = ()
    prediction: Prediction | None = None
    problem: str = ""
    remedy: str = ""


def require_few(n_files: int) -> None:
    """Refuse more files than are answered at once.

    Raises
    ------
    OptionError
        When there are more than `MOST_FILES`.
    """
    if n_files > MOST_FILES:
        remedy = f"at most {MOST_FILES} at once, or put them into a folder and run classifier predict MODEL FOLDER"
        raise OptionError("number of files", f"{n_files:,}", remedy)


def answer_files(
    model: Predictor, files: Sequence[GivenFile], report: Callable[[int, int], None] | None = None
) -> list[FileAnswer]:
    """Read files as documents and answer them; one that cannot be read does not stop the rest.

    Parameters
    ----------
    model : Predictor
    files : sequence of GivenFile
        At most `MOST_FILES`.
    report : callable or None
        Called with the number of files answered and the number of all files, after each.

    Returns
    -------
    list of FileAnswer
        One for each file, in their order.

    Raises
    ------
    OptionError
        When there are too many.
    """
    require_few(len(files))
    answers = []
    outcomes = read_in_turn([partial(_read, file) for file in files])
    for row, (file, outcome) in enumerate(zip(files, outcomes, strict=True), start=1):
        if isinstance(outcome, ParsedFile):
            document = Document(file.name, outcome.text, row=row)
            answers.append(FileAnswer(document, outcome.notes, model.classify([outcome.text])[0]))
        else:
            document = Document(file.name, "", row=row)
            answers.append(FileAnswer(document, problem=outcome.problem, remedy=outcome.remedy))
        if report is not None:
            report(row, len(files))
    return answers


def to_csv(answers: Sequence[FileAnswer]) -> bytes:
    """Write the answers as ``classifier predict`` writes those of a folder, without files that could not be read."""
    rows = [
        (Row(number, (answer.document.id, answer.document.text)), answer.prediction)
        for number, answer in enumerate(answers, start=1)
        if answer.prediction is not None
    ]
    table = Table("files", "folder", ("id", "text"), len(rows), lambda: iter([row for row, _ in rows]))
    written = open_format("csv", Path("answers.csv"), table, ADDED_COLUMNS)
    return written.begin() + written.block((row, answer_cells(prediction)) for row, prediction in rows)


def _read(file: GivenFile) -> ParsedFile:
    """Read one file, unless its size or its ending says that it is not to be."""
    if file.n_bytes > MOST_MEGABYTES << 20:
        raise FileProblemError(file.name, f"it is larger than {MOST_MEGABYTES} MB", "split it, or export its text")
    if PurePath(file.name).suffix.lower() not in DOCUMENT_SUFFIXES:
        problem = "it is a table or of a kind that is not read among other files"
        raise FileProblemError(file.name, problem, "take the other files away, or use the Batch page for a table")
    return read_content(file.name, file.content())
