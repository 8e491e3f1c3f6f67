"""``models list``, ``show``, ``promote`` and ``delete``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from classifier import terminal
from classifier.cli.options import AsJson, ModelArgument, ModelsDir
from classifier.cli.output import show
from classifier.datamodels import Settings

models_app = typer.Typer(help="List, show, promote and delete stored models.", no_args_is_help=True)


@models_app.command("list")
def list_models(models_dir: ModelsDir = None, as_json: AsJson = False) -> None:
    """List stored models; a star marks the version that the bare name means."""
    from classifier import workflows

    found = workflows.list_models(Settings.from_environment(models_dir))
    values = [asdict(model) | {"folder": str(model.folder)} for model in found]
    show(terminal.model_lines(found), {"models": values}, as_json)


@models_app.command("show")
def show_model(model: ModelArgument, models_dir: ModelsDir = None, as_json: AsJson = False) -> None:
    """Show what a model was trained on, how good it is, and what was noticed."""
    from classifier import workflows

    found, facts = workflows.show_model(model, Settings.from_environment(models_dir))
    values = asdict(found) | {"folder": str(found.folder)} | facts
    show(terminal.facts_lines(found, facts), values, as_json)


@models_app.command("promote")
def promote_model(
    reference: Annotated[str, typer.Argument(metavar="NAME@VERSION")],
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Let a name mean this version from now on."""
    from classifier import workflows

    found = workflows.promote_model(reference, Settings.from_environment(models_dir))
    show([f"{found.name} now means {found.reference}"], {"promoted": found.reference}, as_json)


@models_app.command("delete")
def delete_model(
    reference: Annotated[str, typer.Argument(metavar="NAME@VERSION")],
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Remove one version for good."""
    from classifier import workflows

    workflows.delete_model(reference, Settings.from_environment(models_dir))
    show([f"deleted {reference}"], {"deleted": reference}, as_json)
