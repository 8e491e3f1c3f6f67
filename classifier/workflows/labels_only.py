"""Train on labels alone."""

from __future__ import annotations

import time
from pathlib import Path

from classifier.datamodels import Settings
from classifier.embedding.embedders import DEFAULT_EMBEDDER
from classifier.files import file_sha256
from classifier.modeling.model import DocumentClassifier
from classifier.reading.columns import LABEL_NAMES
from classifier.reading.labels_file import read_labels
from classifier.reports import FIND_COLUMNS, Columns, TrainingReport
from classifier.storage.registry import Registry
from classifier.workflows.labelled import file_name, name_from, read_labelled
from classifier.workflows.training import measure_on, report_of


def train_on_labels(
    file: str | Path,
    settings: Settings,
    *,
    columns: Columns = FIND_COLUMNS,
    name: str | None = None,
    embedder: str = DEFAULT_EMBEDDER,
    test_file: str | Path | None = None,
    seed: int = 0,
    promote: bool = True,
    progress: bool = False,
) -> TrainingReport:
    """Train on the names or descriptions of labels alone, and store the model as the next version of its name.

    Parameters
    ----------
    file : str or Path
        Labels, perhaps with descriptions, see `read_labels`.
    settings : Settings
        Where models live.
    columns : Columns
        How to read the test file; without one, the name of the column of labels in `file`, and its encoding.
    name : str or None
        Name of the model; made from the file's name where None.
    embedder : str
        What turns texts into vectors; not one that learns from documents.
    test_file : str, Path or None
        Labelled documents to measure on; nothing is measured where None.
    seed : int
        Kept with the model.
    promote : bool
        Whether the name means the new version from now on.
    progress : bool
        Show bars on stderr.

    Returns
    -------
    TrainingReport
        Of 0 documents.

    Raises
    ------
    ClassifierError
        When a file cannot be read, fewer than two labels are in it, or the model cannot be stored.
    """
    started = time.perf_counter()
    name = name or name_from(Path(file))
    registry = Registry(settings.models_dir)
    registry.check_name(name)
    usual = LABEL_NAMES if columns.label is None else (columns.label, *LABEL_NAMES)
    exact = columns.label if test_file is None else None
    listed = read_labels(file, label_column=exact, usual_names=usual, encoding=columns.encoding)
    test = read_labelled(test_file, columns) if test_file is not None else None
    read = time.perf_counter()
    model = DocumentClassifier(embedder, seed=seed, options=settings.encoder)
    model.fit_labels(list(listed.descriptions), descriptions=listed.descriptions)
    model.facts_["data"] |= {"file": file_name(Path(file)), "sha256": file_sha256(Path(file))}
    fitted = time.perf_counter()
    found = None if test is None else measure_on(model, test, progress=progress)
    measured = time.perf_counter()
    stored = registry.add(name, model.save, promote=promote)
    stages = {"reading": read - started, "measuring": measured - fitted, "saving": time.perf_counter() - measured}
    return report_of(model, stored, found, stages, test=test, notes=listed.notes)
