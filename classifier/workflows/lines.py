"""Documents between two labels or two documents: all of them projected on the line from one to the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from classifier.analysis import projection
from classifier.analysis.confidence import Floats, Ints
from classifier.errors import OptionError, UnknownNameError
from classifier.modeling.predictor import Predictor
from classifier.workflows.exploring import FoundDocument, Group, describe, first_labels, of_codes, search

MOST_LANES = 12


@dataclass(frozen=True, slots=True, eq=False)
class End:
    """One end of a line.

    Attributes
    ----------
    name : str
        A label, or the id of a document.
    is_label : bool
    vector : ndarray of float64, shape (n_dims,)
        The centre of the label, or the vector of the document.
    rows : ndarray of int
        The documents of the label, or the one document.
    """

    name: str
    is_label: bool
    vector: Floats
    rows: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Documents on the line between two ends.

    Attributes
    ----------
    rows : ndarray of int
        By rising position.
    positions : ndarray of float64
        0 beside the first end, 1 beside the second; below 0 and above 1 beyond them.
    distances : ndarray of float64
        How far each is from the line.
    similarity : float
        Cosine of the two ends.
    """

    rows: Ints
    positions: Floats
    distances: Floats
    similarity: float


@dataclass(frozen=True, slots=True)
class OnLine:
    """Some documents of a line with their positions, and how many more lie in the same part of it."""

    documents: list[tuple[FoundDocument, float]]
    n_more: int


def end_of(model: Predictor, name: str) -> End:
    """Return the end of a line that a name stands for: a label, or else the id of a document.

    Raises
    ------
    UnknownNameError
        When it is neither.
    """
    if name in {str(label) for label in model.classes_}:
        rows = np.flatnonzero(model.has_label(name))
        return End(name, True, projection.centroids(model.embeddings_, [rows]).means[0], rows)
    row = next((row for row, document in enumerate(model.documents_) if document.id == name), None)
    if row is None:
        raise UnknownNameError(name, "label or document id", [str(label) for label in model.classes_])
    return document_end(model, row)


def document_end(model: Predictor, row: int) -> End:
    """Return a training document as the end of a line."""
    vector = np.asarray(model.embeddings_[row], dtype=np.float64)
    return End(model.documents_[row].id, False, vector, np.array([row]))


def nearest_end(model: Predictor, text: str) -> End | None:
    """Return the document that a visitor means by its id or by some words; None where there is nothing to read."""
    row = next((row for row, document in enumerate(model.documents_) if document.id == text.strip()), None)
    if row is None:
        found = search(model, text, k=1)
        row = found[0][0].row if found else None
    return None if row is None else document_end(model, row)


def between(model: Predictor, start: End, end: End, *, only_theirs: bool = False) -> Line:
    """Project the training documents on the line between two ends.

    Parameters
    ----------
    model : Predictor
    start, end : End
    only_theirs : bool, default=False
        Leave out the documents that have neither label; for two labels.

    Raises
    ------
    OptionError
        When both ends are at the same place.
    """
    try:
        positions, distances = projection.line_positions(model.embeddings_, start.vector, end.vector)
    except ValueError as error:
        raise OptionError("second end", "at the same place as the first", "two that differ") from error
    rows = np.union1d(start.rows, end.rows) if only_theirs else np.arange(len(positions))
    rows = rows[np.argsort(positions[rows], kind="stable")]
    lengths = np.linalg.norm(start.vector) * np.linalg.norm(end.vector)
    similarity = float(start.vector @ end.vector / lengths) if lengths else 0.0
    return Line(rows, positions[rows], distances[rows], similarity)


def on_line(model: Predictor, line: Line, low: float, high: float, *, limit: int) -> OnLine:
    """Return the documents of a part of a line, by rising position; of too many, those nearest to halfway.

    Parameters
    ----------
    model : Predictor
    line : Line
    low, high : float
        The first and the last position.
    limit : int
        How many at most.
    """
    places = np.flatnonzero((line.positions >= low) & (line.positions <= high))
    nearest = np.sort(places[np.argsort(np.abs(line.positions[places] - 0.5), kind="stable")[:limit]])
    found = describe(model, line.rows[nearest])
    return OnLine(list(zip(found, line.positions[nearest].tolist(), strict=True)), len(places) - len(nearest))


def lanes(model: Predictor, line: Line, start: End, end: End) -> list[Group]:
    """Sort the documents of a line by label, those of its ends first.

    Returns
    -------
    list of Group
        None of them empty; their rows are positions in the line. There are no more than twelve: of more labels, all
        but those of the ends are one group. A document with both labels of the ends counts for the first.
    """
    left, named = np.ones(len(line.rows), dtype=np.bool_), []
    for one in (start, end):
        if one.is_label:
            named.append(Group(one.name, "label", np.flatnonzero(left & np.isin(line.rows, one.rows))))
            left[named[-1].rows] = False
    codes = first_labels(model)[line.rows]
    others = [
        Group(group.name, group.role, kept)
        for group in of_codes(model, codes)
        if len(kept := group.rows[left[group.rows]])
    ]
    if len(others) > MOST_LANES - len(named):
        others = [Group("other labels", "others", np.flatnonzero(left))]
    return [group for group in (*named, *others) if len(group.rows)]
