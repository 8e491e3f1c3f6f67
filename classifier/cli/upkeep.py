"""``cache`` and ``doctor``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from classifier import terminal
from classifier.cli.options import AsJson, Backend, ModelsDir, Precision, settings_of
from classifier.cli.output import show

cache_app = typer.Typer(help="Look at, empty or shrink what is kept between runs.", no_args_is_help=True)


@cache_app.command("info")
def cache_info(as_json: AsJson = False) -> None:
    """Show what is kept between runs, where, and how large it is."""
    from classifier import workflows

    report = workflows.cache_info(settings_of())
    show(terminal.cache_lines(report), asdict(report), as_json)


@cache_app.command("clear")
def clear_cache(
    everything: Annotated[bool, typer.Option("--all", help="Converted encoders too, not only vectors.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove every vector; texts are embedded again when they are needed."""
    from classifier import workflows

    n_vectors = workflows.clear_cache(settings_of(), everything=everything)
    show([f"removed {n_vectors:,} vectors"], {"n_removed": n_vectors}, as_json)


@cache_app.command("prune")
def prune_cache(
    max_bytes: Annotated[int, typer.Option("--max-bytes", min=0, help="What the vectors may take.")],
    as_json: AsJson = False,
) -> None:
    """Remove the oldest vectors until the rest fits."""
    from classifier import workflows

    n_vectors = workflows.prune_cache(settings_of(), max_bytes)
    show([f"removed {n_vectors:,} vectors"], {"n_removed": n_vectors}, as_json)


def doctor(
    models_dir: ModelsDir = None,
    backend: Backend = "auto",
    precision: Precision = "auto",
    as_json: AsJson = False,
) -> None:
    """Show what this machine can do, what runs the encoder on it, and why."""
    from classifier import workflows

    report = workflows.examine(settings_of(models_dir, backend, precision))
    show(terminal.doctor_lines(report), asdict(report), as_json)
