"""``run-job``: what the process of a job runs. ``jobs``: which ones there are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from classifier import progress
from classifier.cli.options import AsJson, ModelsDir, settings_of
from classifier.cli.output import show

_SECONDS_BETWEEN_LINES = 1.0


def run_job(folder: Annotated[Path, typer.Argument(help="Folder of the job.")]) -> None:
    """Do the work of a job that was started on the page."""
    from classifier.cli.main import main
    from classifier.workflows.jobs import turn_of

    progress.SECONDS_BETWEEN_LINES = _SECONDS_BETWEEN_LINES
    with turn_of(folder) as job:
        sys.argv = ["classifier", job.kind, *job.arguments]
        main()


def jobs(models_dir: ModelsDir = None, as_json: AsJson = False) -> None:
    """List what was started on the page, the newest first."""
    from classifier.workflows.jobs import Jobs

    found = Jobs(settings_of(models_dir)).all()
    rows = [{"id": job.id, "state": job.state, "created": job.created, "title": job.title} for job in found]
    lines = [f"{row['id']}  {row['state']:11}  {row['created']}  {row['title']}" for row in rows]
    show(lines or ["There are no jobs."], {"jobs": rows}, as_json)
