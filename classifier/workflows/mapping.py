"""Two coordinates for each training document of a model: at once by PCA, better by t-SNE, which a job computes."""

from __future__ import annotations

import csv
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis import projection
from classifier.analysis.confidence import Ints
from classifier.analysis.projection import Coordinates
from classifier.analysis.tsne import FEWEST_ROWS, MOST_ARRANGED, N_STEPS, tsne
from classifier.datamodels import Settings
from classifier.errors import OptionError, lookup
from classifier.files import sync_path
from classifier.modeling.predictor import Predictor
from classifier.prediction.formats import escape_formula
from classifier.prediction.sinks import one_sentence, written_whole
from classifier.progress import progress_bar
from classifier.storage.arrays import map_array, write_array
from classifier.workflows.exploring import Group, first_labels
from classifier.workflows.jobs import Job, Jobs
from classifier.workflows.map_files import stored_path
from classifier.workflows.opening import folder_of, open_predictor

PCA, TSNE = "pca", "tsne"
MOST_DRAWN = 200_000
JOB_KIND = "map"
COORDINATE_COLUMNS = ("id", "label", "x", "y")


@dataclass(frozen=True, slots=True, eq=False)
class DocumentMap:
    """Where each training document of a model lies.

    Attributes
    ----------
    method : str
        ``pca`` or ``tsne``.
    coordinates : ndarray of float32, shape (n_documents, 2)
    drawn : ndarray of int
        Rows that are drawn: all up to 200,000, else so many, by label.
    explained : float or None
        The share of the variance that a PCA shows, in [0, 1].
    """

    method: str
    coordinates: Coordinates
    drawn: Ints
    explained: float | None


@dataclass(frozen=True, slots=True)
class MapReport:
    """What came of a map.

    Attributes
    ----------
    model : str
        Folder of the model.
    method : str
        ``pca`` or ``tsne``.
    n_documents : int
    n_arranged : int
        How many decided the layout; the others were placed afterwards.
    explained : float or None
        The share of the variance that a PCA shows, in [0, 1].
    output : str or None
        Where the coordinates were written as CSV.
    kept : str or None
        Where those of a t-SNE are kept for the page.
    seconds : float
        Wall time.
    """

    model: str
    method: str
    n_documents: int
    n_arranged: int
    explained: float | None
    output: str | None
    kept: str | None
    seconds: float


def map_documents(
    model: str | Path, settings: Settings, *, method: str = TSNE, output: Path | None = None, progress: bool = False
) -> MapReport:
    """Lay out the training documents of a model on a map.

    Parameters
    ----------
    model : str or Path
        ``NAME``, ``NAME@VERSION``, or the folder of a model.
    settings : Settings
        Where models live; the coordinates of a t-SNE are kept beside them, and not computed twice.
    method : str, default='tsne'
        ``pca`` or ``tsne``.
    output : Path or None
        Where to write id, label and coordinates of each document, as CSV.
    progress : bool, default=False
        Show a bar on stderr.

    Raises
    ------
    ClassifierError
        When the model cannot be read, there is no such method, there are too few documents for it, or something cannot
        be written.
    """
    started = time.perf_counter()
    lookup({PCA: PCA, TSNE: TSNE}, method, "method")
    folder, predictor = folder_of(model, settings), open_predictor(model, settings)
    n_documents, kept = len(predictor.documents_), None
    n_arranged, explained = min(n_documents, projection.MOST_FITTED), None
    if method == PCA:
        found = pca_map(predictor)
        coordinates, explained = found.coordinates, found.explained
    else:
        _require_enough(n_documents)
        kept = stored_path(folder, settings)
        known = stored_coordinates(folder, settings, n_documents)
        coordinates = _arranged(predictor, kept, progress=progress) if known is None else known
        n_arranged = min(n_documents, MOST_ARRANGED)
    if output is not None:
        _write(output, predictor, coordinates)
    return MapReport(
        model=str(folder),
        method=method,
        n_documents=n_documents,
        n_arranged=n_arranged,
        explained=explained,
        output=None if output is None else str(output),
        kept=None if kept is None else str(kept),
        seconds=time.perf_counter() - started,
    )


def pca_map(model: Predictor) -> DocumentMap:
    """Lay out documents by their two principal axes."""
    axes = projection.pca(model.embeddings_)
    coordinates = projection.project(model.embeddings_, axes)
    return DocumentMap(PCA, coordinates, drawn_rows(model), float(axes.explained.sum()))


def stored_map(model: Predictor, folder: Path, settings: Settings) -> DocumentMap | None:
    """Return the map by t-SNE; None before it was computed."""
    found = stored_coordinates(folder, settings, len(model.documents_))
    return None if found is None else DocumentMap(TSNE, found, drawn_rows(model), None)


def drawn_rows(model: Predictor) -> Ints:
    """Choose what is drawn of a map."""
    return projection.sample_by_label(first_labels(model), MOST_DRAWN)


def drawn_groups(found: DocumentMap, groups: Sequence[Group]) -> list[Group]:
    """Keep of each group what is drawn of a map."""
    is_drawn: NDArray[np.bool_] = np.zeros(len(found.coordinates), dtype=np.bool_)
    is_drawn[found.drawn] = True
    return [Group(group.name, group.role, group.rows[is_drawn[group.rows]]) for group in groups]


def can_arrange(n_documents: int) -> bool:
    """Tell whether there are enough documents for a t-SNE."""
    return n_documents >= FEWEST_ROWS


def is_quick(n_documents: int) -> bool:
    """Tell whether a t-SNE takes about a minute, so that nobody need be asked before."""
    return n_documents <= MOST_ARRANGED


def stored_coordinates(folder: Path, settings: Settings, n_documents: int) -> Coordinates | None:
    """Read the coordinates of a model; None where there are none, or the file is damaged."""
    try:
        found = np.array(map_array(stored_path(folder, settings), "<f4", 2), dtype=np.float32)
    except (OSError, ValueError):
        return None
    return found if found.shape == (n_documents, 2) and bool(np.isfinite(found).all()) else None


def map_job(jobs: Jobs, folder: Path) -> Job | None:
    """Return the newest job that lays out a model, if any."""
    asked = str(folder.absolute())
    return next((job for job in jobs.all() if job.kind == JOB_KIND and job.arguments[:1] == (asked,)), None)


def start_map(jobs: Jobs, folder: Path, reference: str, settings: Settings) -> Job:
    """Start laying out a model by t-SNE."""
    arguments = [str(folder.absolute()), f"--method={TSNE}", f"--models-dir={settings.models_dir.absolute()}", "--json"]
    return jobs.start(jobs.new_folder(), JOB_KIND, f"Map of {reference}", arguments)


def rows_in(coordinates: Coordinates, areas: Sequence[Mapping[str, Any]]) -> Ints:
    """Return the rows that lie in any of the regions drawn on a map.

    Parameters
    ----------
    coordinates : ndarray of float32, shape (n_documents, 2)
    areas : sequence of mapping
        ``brush_type`` is ``rect`` or ``polygon``; ``coord_range`` holds two bounds for each axis, or the corners.
    """
    inside: NDArray[np.bool_] = np.zeros(len(coordinates), dtype=np.bool_)
    for area in areas:
        where = area["coord_range"]
        if area["brush_type"] == "rect":
            inside |= projection.in_rectangle(coordinates, *where)
        elif area["brush_type"] == "polygon":
            inside |= projection.in_polygon(coordinates, where)
    return np.flatnonzero(inside)


def _require_enough(n_documents: int) -> None:
    """Refuse a t-SNE of a handful."""
    if not can_arrange(n_documents):
        raise OptionError(f"method for {n_documents:,} documents", TSNE, f"{PCA}, or train on {FEWEST_ROWS} or more")


def _arranged(model: Predictor, path: Path, *, progress: bool) -> Coordinates:
    """Compute the coordinates of a t-SNE and keep them for the next look."""
    with progress_bar("arranging", "step", total=N_STEPS, shown=progress) as bar:
        found, _ = tsne(model.embeddings_, first_labels(model), report=bar.update)
    with one_sentence(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
        try:
            write_array(temporary, found)
            sync_path(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return found


def _write(path: Path, model: Predictor, coordinates: Coordinates) -> None:
    """Write coordinates as a table, whole or not at all."""
    with written_whole(path) as sink:
        writer = csv.writer(sink, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
        writer.writerow(COORDINATE_COLUMNS)
        storable = partial(str.encode, encoding="utf-8", errors="backslashreplace")
        for document, (x, y) in zip(model.documents_, coordinates.tolist(), strict=True):
            names = [escape_formula(storable(cell).decode()) for cell in (document.id, document.label or "")]
            writer.writerow([*names, f"{x:.6g}", f"{y:.6g}"])
