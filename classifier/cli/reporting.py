"""``report``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from classifier.cli.options import AsJson, ModelArgument, ModelsDir
from classifier.cli.output import show
from classifier.datamodels import Settings

if TYPE_CHECKING:
    from classifier.workflows.reporting import ModelReport


def report(
    model: ModelArgument,
    output: Annotated[
        str | None, typer.Option("-o", "--output", help="HTML file to write [NAME-VERSION-report.html].")
    ] = None,
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Write what a model is, how good it is and where it must not be trusted, as one HTML page."""
    from classifier import workflows

    if output == "-" and as_json:
        raise typer.BadParameter("the page and --json cannot both go to standard output: give a file with -o")
    target = sys.stdout if output == "-" else None if output is None else Path(output)
    written = workflows.report(model, Settings.from_environment(models_dir), output=target)
    if output != "-":
        show(report_lines(written), asdict(written), as_json)


def report_lines(written: ModelReport) -> Sequence[str]:
    """Say what the page says first, what it lacks, and where it is."""
    lacking = (("not recorded by the version that trained it", written.not_recorded),
               ("not measured, for want of documents", written.not_measured))  # fmt: skip
    return [
        *written.summary,
        *(f"{why}: {', '.join(what)}" for why, what in lacking if what),
        f"written to {written.page} ({written.n_bytes / 1000:,.0f} kB)",
    ]
