"""Take a model along: its folder as a zip file, or a scikit-learn pipeline as a joblib file."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from classifier.datamodels import Settings
from classifier.errors import OptionError
from classifier.prediction.sinks import one_sentence
from classifier.storage.bundle import load_bundle
from classifier.storage.registry import ModelVersion, Registry
from classifier.workflows.opening import open_predictor

ZIP, JOBLIB = ".zip", ".joblib"
SUFFIXES = (ZIP, JOBLIB)
JOBLIB_WARNING = "joblib files can run code when they are loaded: load only files you made"
ZIP_WORDS = (
    "For this program on another machine. It holds the training documents, and nothing in it runs code; unpack it into "
    "the folder of models there."
)
JOBLIB_WORDS = (
    "For programs of your own: texts in, the labels and probabilities of this model out. With the embedder lsa it "
    "needs scikit-learn alone, otherwise also this program for the vectors of texts."
)
NOTE_NAME = "READ ME.txt"
_MEGABYTE = 1 << 20
_MOMENT = (2020, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What came of an export.

    Attributes
    ----------
    model : str
        ``NAME@VERSION``.
    output : str
        Where it was written.
    n_bytes : int
        Its size.
    needs : tuple of str
        Packages, with versions, that it takes to use it.
    note : str
        How it is used, and what to beware of; a zip file holds it, beside a joblib file it is written as ``.txt``.
    """

    model: str
    output: str
    n_bytes: int
    needs: tuple[str, ...]
    note: str


def export_model(reference: str, target: Path, settings: Settings, *, max_bytes: int | None = None) -> ExportReport:
    """Write a stored model as one file.

    Parameters
    ----------
    reference : str
        ``NAME`` (its promoted version) or ``NAME@VERSION``.
    target : Path
        A name that ends with ``.zip``, for the folder itself, or ``.joblib``, for a scikit-learn pipeline.
    settings : Settings
        Where models live.
    max_bytes : int or None
        Refuse a model whose folder is larger; None for any size.

    Raises
    ------
    OptionError
        When the name ends otherwise, or the model is too large.
    StorageError
        When it is unknown or damaged.
    OutputError
        When the file cannot be written.
    """
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise OptionError("name of the export", repr(target.name), f"one that ends with {' or '.join(SUFFIXES)}")
    model = Registry(settings.models_dir).find(reference)
    if max_bytes is not None:
        require_size(model, max_bytes)
    write = _write_zip if suffix == ZIP else _write_joblib
    with one_sentence(str(target)), tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as folder:
        part = Path(folder) / target.name
        needs, note = write(model, part, settings)
        if suffix == JOBLIB:
            (Path(folder) / "note").write_text(note, encoding="utf-8")
            (Path(folder) / "note").replace(target.with_name(f"{target.name}.txt"))
        n_bytes = part.stat().st_size
        part.replace(target)
    return ExportReport(model.reference, str(target), n_bytes, needs, note)


def exported_bytes(reference: str, name: str, settings: Settings) -> bytes:
    """Return an export as bytes; `name` is what the file will be called, see `export_model`."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / name
        export_model(reference, target, settings)
        return target.read_bytes()


def folder_bytes(model: ModelVersion) -> int:
    """Return how large the folder of a model is."""
    return sum(entry.stat().st_size for entry in model.folder.iterdir() if entry.is_file())


def require_size(model: ModelVersion, max_bytes: int) -> None:
    """Refuse a model that is too large for a way of taking it along.

    Raises
    ------
    OptionError
        Naming the limit, and the way that has none.
    """
    n_bytes = folder_bytes(model)
    if n_bytes > max_bytes:
        raise OptionError(
            f"size of {model.reference}",
            f"{n_bytes / _MEGABYTE:,.0f} MB",
            f"one of at most {max_bytes / _MEGABYTE:,.0f} MB here, or use the command line: classifier export",
        )


def _write_zip(model: ModelVersion, target: Path, settings: Settings) -> tuple[tuple[str, ...], str]:  # noqa: ARG001 # as `_write_joblib`
    """Pack the folder, checked, below NAME/VERSION."""
    facts = load_bundle(model.folder).facts
    needs = (f"document-classifier {facts['libraries']['document-classifier']} or newer",)
    note = _lines(
        f"The model {model.reference} of document-classifier.",
        f"Unpack this file into your folder of models: {model.name}/{model.version} is the model.",
        f"Then: classifier models show {model.reference}",
        "It holds the training documents, as similar ones are shown: pass it on as you would pass them on.",
        "Nothing in it runs code; every file is checked against its checksum when the model is opened.",
    )
    names = sorted(entry.name for entry in model.folder.iterdir())
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(_entry(NOTE_NAME), note)
        for name in names:
            with (
                (model.folder / name).open("rb") as source,
                archive.open(_entry(f"{model.name}/{model.version}/{name}"), "w", force_zip64=True) as sink,
            ):
                shutil.copyfileobj(source, sink, _MEGABYTE)
    return needs, note


def _entry(name: str) -> zipfile.ZipInfo:
    """Describe a file of a zip file, without when and by whom it was made."""
    entry = zipfile.ZipInfo(name, _MOMENT)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def _write_joblib(model: ModelVersion, target: Path, settings: Settings) -> tuple[tuple[str, ...], str]:
    """Write the pipeline."""
    import joblib

    from classifier.modeling.portable import needs_package, to_pipeline

    classifier = open_predictor(model.folder, settings)
    joblib.dump(to_pipeline(classifier), target, compress=1)
    needs = _needs(with_package=needs_package(classifier))
    several = classifier.multi_label
    example = (
        'given = pipeline.predict(["a text"])  # 0 or 1 for each of pipeline["head"].label_names'
        if several
        else 'pipeline.predict(["a text"]); pipeline.predict_proba(["a text"])  # columns: pipeline.classes_'
    )
    package = (
        "It needs document-classifier for the vectors of texts, and its encoder; the rest is scikit-learn."
        if needs_package(classifier)
        else "It needs scikit-learn and nothing of document-classifier."
    )
    return needs, _lines(
        f"The model {model.reference} of document-classifier as a scikit-learn pipeline.",
        f"Beware: {JOBLIB_WARNING}.",
        package,
        f"Made with: {', '.join(needs)}; other versions of scikit-learn may refuse it.",
        f"import joblib; pipeline = joblib.load({target.name!r})",
        example,
        "Its labels and probabilities are those of the model (probabilities within 0.00001). It has no thresholds for "
        "review, says of no text that it is out of scope or empty, and shows no similar documents.",
        "It holds words of the training documents, but no documents.",
    )


def _needs(*, with_package: bool) -> tuple[str, ...]:
    """List packages with the versions at hand."""
    from importlib.metadata import version

    names: Sequence[str] = ("scikit-learn", "numpy", "joblib", *(("document-classifier",) if with_package else ()))
    return tuple(f"{name} {version(name)}" for name in names)


def _lines(*lines: str) -> str:
    """Join lines."""
    return "\n".join(lines) + "\n"
