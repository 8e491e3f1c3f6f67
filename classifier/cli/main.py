"""The command line: parse, call one workflow, print.

Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 a mistake that the user can mend (one sentence),
2 wrong usage, 3 finished with rejected rows.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated

import typer

from classifier import __version__
from classifier.cli.auditing import audit
from classifier.cli.checking import check
from classifier.cli.comparing import compare
from classifier.cli.embedding import embed
from classifier.cli.explaining import explain
from classifier.cli.exploring import between, centroids, map_documents
from classifier.cli.exporting import export
from classifier.cli.inspecting import errors, suspects, threshold
from classifier.cli.jobs import jobs, run_job
from classifier.cli.models import models_app
from classifier.cli.output import EXIT_INTERRUPTED, EXIT_MISTAKE, say
from classifier.cli.predicting import predict, similar
from classifier.cli.reporting import report
from classifier.cli.reviewing import correct, retrain, review
from classifier.cli.training import evaluate, train
from classifier.cli.upkeep import cache_app, doctor
from classifier.cli.versions import compare_versions
from classifier.errors import CacheWarning, ClassifierError, EmptyTextWarning, TrainingDataWarning, UncalibratedWarning
from classifier.interrupts import interruptible

STOPPED = "stopped; run the same command again"

app = typer.Typer(
    help="Train, run and trust a document classifier on your own machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
VERBS = (
    train,
    evaluate,
    predict,
    explain,
    similar,
    check,
    audit,
    report,
    errors,
    threshold,
    suspects,
    review,
    correct,
    retrain,
    compare_versions,
    export,
    centroids,
    between,
    embed,
    compare,
    jobs,
    doctor,
)
for command in VERBS:
    app.command()(command)
app.command("map")(map_documents)
app.command(hidden=True)(run_job)
app.add_typer(models_app, name="models")
app.add_typer(cache_app, name="cache")


def _print_version(asked: bool) -> None:
    """Print the version and stop, before a command is missed."""
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Train, run and trust a document classifier on your own machine."""


def main() -> None:
    """Run the command line and exit with its code."""
    warnings.showwarning = _show_warning  # type: ignore[assignment] # the standard library types it too narrowly
    with interruptible(_leave) as asked_to_stop:
        try:
            app()
        except BaseException as error:
            if isinstance(error, SystemExit) and error.code != EXIT_INTERRUPTED:
                raise
            if asked_to_stop.is_set():
                say(STOPPED)
                sys.exit(EXIT_INTERRUPTED)
            if not _was_told(error):
                raise
            _drop_unwritten()
            sys.exit(EXIT_MISTAKE)


def _leave() -> None:
    """End the process without waiting for anything; every output is safe from that, as from a power cut."""
    os.write(sys.stderr.fileno(), f"{STOPPED}\n".encode())
    os._exit(EXIT_INTERRUPTED)


def _drop_unwritten() -> None:
    """Forget what could not be printed: Python would try again at exit, fail, and show that in its own way."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _was_told(error: BaseException) -> bool:
    """Say a mistake that a user can mend in one sentence; anything else is a bug."""
    if isinstance(error, ClassifierError):
        say(f"error: {error}")
    elif isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        say(f"error: {error.filename or 'a file'}: {error.strerror or error}; check the path and its permissions.")
    return isinstance(error, ClassifierError | OSError)


def _show_warning(message: Warning | str, category: type[Warning], *_where: object) -> None:
    """Print the product's own warnings as one line, and no others: those are for developers."""
    if issubclass(category, CacheWarning | EmptyTextWarning | TrainingDataWarning | UncalibratedWarning):
        say(f"warning: {message}")
