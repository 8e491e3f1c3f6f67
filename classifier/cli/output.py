"""Print: data to stdout, everything else to stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import typer

from classifier import terminal
from classifier.errors import OutputError

EXIT_MISTAKE = 1
EXIT_REJECTED = 3
EXIT_INTERRUPTED = 130


def show(lines: Iterable[str], values: dict[str, Any], as_json: bool) -> None:
    """Print lines, or one JSON object in their place."""
    if as_json:
        lines = [json.dumps(values, ensure_ascii=False, allow_nan=False, default=str)]
    try:
        for line in lines:
            typer.echo(line if as_json else terminal.printable(line))
    except BrokenPipeError:
        raise
    except OSError as error:
        problem = f"it cannot be written ({error.strerror or error})"
        raise OutputError("standard output", problem, "check the free space") from error


def print_notes(notes: Iterable[str]) -> None:
    """Print notes for people."""
    for note in notes:
        say(note)


def finish(n_rejected: int, rejected_file: str | None) -> None:
    """Exit with the code for rejected rows, where there are any."""
    if n_rejected:
        say(f"{n_rejected:,} rejected row{'' if n_rejected == 1 else 's'} listed in {rejected_file}")
        raise typer.Exit(EXIT_REJECTED)


def say(line: str) -> None:
    """Print one line to stderr."""
    typer.echo(terminal.printable(line), err=True)
