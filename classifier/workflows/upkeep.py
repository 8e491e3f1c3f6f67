"""Look after the cache folder, and tell what this machine can do."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import version
from pathlib import Path

from classifier.datamodels import Settings
from classifier.embedding.cache import VectorCache
from classifier.embedding.embedders import DEFAULT_EMBEDDER
from classifier.embedding.engine import choose_engine, processor_name, usable_cores
from classifier.embedding.origin import find_encoder
from classifier.errors import EmbedderError, OutputError
from classifier.reports import CacheReport, DoctorReport

MADE_FOLDERS = ("encoders", "static", "word-vectors", "comparisons")
LIBRARIES = ("document-classifier", "numpy", "openvino", "scikit-learn", "sentence-transformers", "tokenizers", "torch")


def cache_info(settings: Settings) -> CacheReport:
    """Return what is kept between runs, and how large it is."""
    folder = settings.encoder.cache_dir
    cache = VectorCache(folder)
    try:
        return CacheReport(folder, cache.info(), {name: _folder_bytes(folder / name) for name in MADE_FOLDERS})
    finally:
        cache.close()


def clear_cache(settings: Settings, *, everything: bool = False) -> int:
    """Remove every vector, and on request all that was converted too; return the number of vectors.

    Raises
    ------
    OutputError
        When it cannot be removed.
    """
    folder = settings.encoder.cache_dir
    cache = VectorCache(folder)
    try:
        n_vectors = cache.clear()
    finally:
        cache.close()
    for name in MADE_FOLDERS if everything else ():
        try:
            if (folder / name).exists():
                shutil.rmtree(folder / name)
        except OSError as error:
            problem = f"it cannot be removed ({error.strerror or error})"
            raise OutputError(folder / name, problem, "check its permissions") from error
    return n_vectors


def prune_cache(settings: Settings, max_bytes: int) -> int:
    """Remove the oldest vectors until the rest fits into `max_bytes`; return how many were removed.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    cache = VectorCache(settings.encoder.cache_dir)
    try:
        return cache.prune(max_bytes)
    finally:
        cache.close()


def examine(settings: Settings) -> DoctorReport:
    """Tell what this machine can do, what was chosen, and why; nothing is loaded, converted or sent."""
    encoder = settings.encoder
    engine = choose_engine(encoder.backend, encoder.precision)
    try:
        origin = find_encoder(DEFAULT_EMBEDDER, download=False)
        found = f"{origin.model_id} in {origin.folder}, its checksums are right"
    except EmbedderError as error:
        found = str(error)
    return DoctorReport(
        python=platform.python_version(),
        system=platform.platform(),
        processor=processor_name(),
        n_cores=usable_cores(),
        libraries={name: version(name) for name in LIBRARIES},
        engine=engine,
        encoder=found,
        cache_dir=encoder.cache_dir,
        can_write_cache=_can_write(encoder.cache_dir),
        models_dir=settings.models_dir,
    )


def _folder_bytes(folder: Path) -> int:
    """Add up the files of a folder; 0 where there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _can_write(folder: Path) -> bool:
    """Tell whether a folder can be written, or made."""
    existing = next((parent for parent in (folder, *folder.absolute().parents) if parent.exists()), folder)
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
