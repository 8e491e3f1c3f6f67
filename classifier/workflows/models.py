"""Look after stored models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifier.datamodels import MULTI_LABEL, Settings
from classifier.errors import BundleRefusedError, RegistryError, counted, excerpt
from classifier.storage.bundle import read_card
from classifier.storage.feedback import FILE_NAME, Feedback
from classifier.storage.registry import ModelVersion, Registry
from classifier.workflows.map_files import forget_map, stored_path


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """One stored version in a list.

    Attributes
    ----------
    model : ModelVersion
    created : str
        When, in UTC, as ISO 8601; empty where `problem` is not.
    n_documents, n_labels : int
        What it learned from.
    metric : str
        ``accuracy`` or ``exact match``.
    quality : float or None
        The share of answers that were right; None where nothing was measured.
    interval : tuple of float or None
        Its 95 % interval.
    measured_on : str
        On which documents.
    source : str
        The file that it was trained on; empty where it came from Python.
    problem : str
        Why it cannot be opened; empty where nothing is wrong with its manifest.
    """

    model: ModelVersion
    created: str = ""
    n_documents: int = 0
    n_labels: int = 0
    metric: str = "accuracy"
    quality: float | None = None
    interval: tuple[float, float] | None = None
    measured_on: str = ""
    source: str = ""
    problem: str = ""


def summarise_models(settings: Settings) -> list[VersionSummary]:
    """Return every stored version with its figures, by name and then the newest first; damaged ones say so."""
    found = list_models(settings)
    return [_summary(model) for model in sorted(found, key=lambda one: (one.name, -int(one.version)))]


def _summary(model: ModelVersion) -> VersionSummary:
    """Read the figures of one version."""
    try:
        facts = model.facts()
    except BundleRefusedError as error:
        return VersionSummary(model, problem=error.reason)
    metrics: Mapping[str, Any] = facts["metrics"] or {}
    name = "exact_match" if facts.get("task") == MULTI_LABEL else "accuracy"
    interval = metrics.get(f"{name}_interval")
    return VersionSummary(
        model,
        created=facts["created"],
        n_documents=facts["data"]["n_documents"],
        n_labels=len(facts["labels"]),
        metric=name.replace("_", " "),
        quality=metrics.get(name),
        interval=tuple(interval) if interval else None,
        measured_on=facts["measured_on"],
        source=facts["data"]["file"] or "",
    )


def model_card(model: ModelVersion) -> str:
    """Return the card that is stored with a model, in Markdown.

    Raises
    ------
    BundleRefusedError
        When it is missing or damaged.
    """
    return read_card(model.folder)


def losses(model: ModelVersion, settings: Settings) -> str:
    """Say in a sentence what goes when a version is deleted, and what stays."""
    summary = _summary(model)
    others = [one for one in list_models(settings) if one.name == model.name and one.version != model.version]
    what = counted(summary.n_documents, "training document")
    rest = (
        f"{counted(len(others), 'other version')} of {model.name} {'stays' if len(others) == 1 else 'stay'}"
        if others
        else f"it is the only version, so that the name {model.name} goes, too"
    )
    return f"{model.reference} goes for good, with its {what}, their vectors and all that it learned; {rest}."


def list_models(settings: Settings) -> list[ModelVersion]:
    """Return every stored version, by name and number."""
    return Registry(settings.models_dir).models()


def show_model(reference: str, settings: Settings) -> tuple[ModelVersion, dict[str, Any]]:
    """Return one stored version and its facts.

    Raises
    ------
    StorageError
        When it is unknown or damaged.
    """
    model = Registry(settings.models_dir).find(reference)
    return model, model.facts()


def promote_model(reference: str, settings: Settings) -> ModelVersion:
    """Let a name mean this version from now on.

    Raises
    ------
    StorageError
        When it is unknown or damaged, or no version is given.
    """
    name, chosen = _name_and_version(reference)
    registry = Registry(settings.models_dir)
    registry.promote(name, chosen)
    return registry.find(name)


def delete_model(reference: str, settings: Settings) -> None:
    """Remove one version for good.

    Raises
    ------
    StorageError
        When it is unknown, is the promoted one of several, or no version is given.
    """
    name, chosen = _name_and_version(reference)
    registry = Registry(settings.models_dir)
    drawn = _map_of(registry.find(reference), settings)
    registry.delete(name, chosen)
    if drawn is not None:
        forget_map(drawn)
    Feedback(settings.models_dir / FILE_NAME).forget_version(name, chosen)


def _map_of(model: ModelVersion, settings: Settings) -> Path | None:
    """Return where the map of a version would be; None where its manifest cannot be read."""
    try:
        return stored_path(model.folder, settings)
    except OSError:
        return None


def _name_and_version(reference: str) -> tuple[str, str]:
    """Split ``NAME@VERSION``, both required."""
    name, at, chosen = reference.partition("@")
    if not (name and at and chosen):
        raise RegistryError(f"{excerpt(reference)} does not name one version", "write NAME@VERSION, such as tickets@2")
    return name, chosen
