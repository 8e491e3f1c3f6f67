"""Where the map of a model is kept: beside the models, so that a bundle stays as it was saved."""

from __future__ import annotations

import re
from pathlib import Path

from classifier.datamodels import Settings
from classifier.files import file_sha256
from classifier.storage.bundle import MANIFEST_FILE

FOLDER = ".maps"
_UNSAFE = re.compile(r"[^\w.-]+")


def stored_path(folder: Path, settings: Settings) -> Path:
    """Return where the coordinates of a model are kept: under the checksum of its manifest.

    Raises
    ------
    OSError
        When the manifest cannot be read.
    """
    name = _UNSAFE.sub("-", f"{folder.absolute().parent.name}-{folder.absolute().name}")[:100]
    checksum = file_sha256(folder / MANIFEST_FILE)[:24]
    return settings.models_dir.absolute() / FOLDER / f"{name}-{checksum}.npy"


def forget_map(path: Path) -> None:
    """Remove the coordinates of a model that is gone; what cannot be removed stays, and is nobody's."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
