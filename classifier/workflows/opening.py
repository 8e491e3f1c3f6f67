"""Open a stored model by name, version or folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from classifier.datamodels import Settings
from classifier.files import file_sha256
from classifier.modeling.predictor import Predictor
from classifier.storage.bundle import MANIFEST_FILE
from classifier.storage.registry import Registry

if TYPE_CHECKING:
    from classifier.modeling.model import DocumentClassifier

Model = TypeVar("Model", bound=Predictor)


def load(model: str | Path, *, models_dir: str | Path | None = None) -> DocumentClassifier:
    """Open a stored model.

    Parameters
    ----------
    model : str or Path
        ``NAME`` (its promoted version), ``NAME@VERSION``, or the folder of a bundle (a path with a separator).
    models_dir : str, Path or None
        Where names are looked up; None means ``CLASSIFIER_MODELS_DIR``, then ``models``.

    Returns
    -------
    DocumentClassifier

    Raises
    ------
    UnknownModelError
        When there is no such name or version.
    BundleRefusedError
        When the folder is damaged, foreign, newer or hostile.
    """
    from classifier.modeling.model import DocumentClassifier

    return _open(DocumentClassifier, model, Settings.from_environment(models_dir))


def open_predictor(model: str | Path, settings: Settings) -> Predictor:
    """Open a stored model to predict with, without what training needs.

    Raises
    ------
    UnknownModelError
        When there is no such name or version.
    BundleRefusedError
        When the folder is damaged, foreign, newer or hostile.
    """
    return _open(Predictor, model, settings)


def model_checksum(model: str | Path, settings: Settings) -> str:
    """Return what a model is called, with the SHA-256 of its manifest, which holds those of its other files."""
    folder = folder_of(model, settings)
    return f"{folder.parent.name}@{folder.name} {file_sha256(folder / MANIFEST_FILE)}"


def folder_of(model: str | Path, settings: Settings) -> Path:
    """Find the folder that is meant.

    Raises
    ------
    UnknownModelError
        When there is no such name or version.
    """
    text = os.fspath(model)
    is_folder = isinstance(model, Path) or os.sep in text or text in {".", ".."}
    return Path(text) if is_folder else Registry(settings.models_dir).find(text).folder


def _open(kind: type[Model], model: str | Path, settings: Settings) -> Model:
    """Find the folder that is meant, and open it."""
    return kind.load(folder_of(model, settings), settings.encoder)
