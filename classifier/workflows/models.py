"""Look after stored models."""

from __future__ import annotations

from typing import Any

from classifier.datamodels import Settings
from classifier.errors import RegistryError, excerpt
from classifier.storage.registry import ModelVersion, Registry


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
    Registry(settings.models_dir).delete(*_name_and_version(reference))


def _name_and_version(reference: str) -> tuple[str, str]:
    """Split ``NAME@VERSION``, both required."""
    name, at, chosen = reference.partition("@")
    if not (name and at and chosen):
        raise RegistryError(f"{excerpt(reference)} does not name one version", "write NAME@VERSION, such as tickets@2")
    return name, chosen
