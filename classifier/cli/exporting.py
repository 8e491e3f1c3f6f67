"""``export``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from classifier.cli.options import AsJson, ModelsDir, settings_of
from classifier.cli.output import show


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="NAME or NAME@VERSION.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="FILE.zip for the model's folder, FILE.joblib for scikit-learn.")
    ],
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Write a model as one file, to be used on another machine or by a program of yours."""
    from classifier import workflows

    report = workflows.export_model(model, output, settings_of(models_dir))
    lines = [f"{report.model} written to {report.output} ({report.n_bytes / 1e6:,.1f} MB)", *report.note.splitlines()]
    show(lines, asdict(report), as_json)
