"""The command line: parse, call one workflow, print.

Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 a mistake that the user can mend (one sentence),
2 wrong usage, 3 finished with rejected rows.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from classifier import __version__, terminal
from classifier.datamodels import Settings
from classifier.errors import ClassifierError, EmptyTextWarning, OutputError, TrainingDataWarning, lookup
from classifier.interrupts import interruptible
from classifier.reports import BatchReport, Columns

EXIT_MISTAKE = 1
EXIT_REJECTED = 3
EXIT_INTERRUPTED = 130
STOPPED = "stopped; nothing half-written was kept, run the same command again"
FORMATS = ("csv", "jsonl", "parquet")
_FORMAT_OF_SUFFIX = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}

app = typer.Typer(
    help="Train, run and trust a document classifier on your own machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(help="List, show, promote and delete stored models.", no_args_is_help=True)
app.add_typer(models_app, name="models")

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="NAME, NAME@VERSION, or the folder of a model.")]
FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="CSV, TSV, JSONL, Parquet, a folder of .txt, or -.")]
ModelsDir = Annotated[
    Path | None, typer.Option("--models-dir", help="Where models live [CLASSIFIER_MODELS_DIR, then models].")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
TextColumn = Annotated[str | None, typer.Option("--text-column", help="Column of the texts [found].")]
LabelColumn = Annotated[str | None, typer.Option("--label-column", help="Column of the labels [found].")]
IdColumn = Annotated[str | None, typer.Option("--id-column", help="Column of the ids [found, else row numbers].")]
Encoding = Annotated[str | None, typer.Option("--encoding", help="Encoding of the file [found].")]


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


@app.command()
def train(
    file: FileArgument,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    id_column: IdColumn = None,
    name: Annotated[str | None, typer.Option(help="Name of the model [the file's name].")] = None,
    embedder: Annotated[
        str, typer.Option(help="'default', or a sentence-transformers model by name or folder.")
    ] = "default",
    test_file: Annotated[
        str | None, typer.Option(help="Labelled file to measure on [cross-validation on FILE].")
    ] = None,
    models_dir: ModelsDir = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides the cross-validation folds.")] = 0,
    promote: Annotated[bool, typer.Option(help="Let NAME mean the new version from now on.")] = True,
    encoding: Encoding = None,
    as_json: AsJson = False,
) -> None:
    """Train a model on a labelled file, measure it, and store it as the next version of its name."""
    from classifier import workflows

    with _input(file) as path:
        report = workflows.train(
            path,
            Settings.from_environment(models_dir),
            columns=Columns(text_column, label_column, id_column, encoding),
            name=name,
            embedder=embedder,
            test_file=test_file,
            seed=seed,
            promote=promote,
            progress=sys.stderr.isatty(),
        )
    _notes(report.notes)
    values = asdict(report)
    values["model"] = {"name": report.model.name, "version": report.model.version, "folder": str(report.model.folder)}
    _show(terminal.training_lines(report), values, as_json)
    _finish(report.n_rejected, report.rejected_file)


@app.command()
def evaluate(
    model: ModelArgument,
    file: FileArgument,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    id_column: IdColumn = None,
    models_dir: ModelsDir = None,
    encoding: Encoding = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model on a labelled file."""
    from classifier import workflows

    with _input(file) as path:
        report = workflows.evaluate(
            model,
            path,
            Settings.from_environment(models_dir),
            columns=Columns(text_column, label_column, id_column, encoding),
            progress=sys.stderr.isatty(),
        )
    left_out = [
        f"{count:,} {what}"
        for count, what in (
            (report.n_unlabelled, "without a label"),
            (report.n_empty, "with nothing to read"),
            (report.n_rejected, "rejected"),
        )
        if count
    ]
    _notes([*report.notes, *([f"Left out of the metrics: {', '.join(left_out)}."] if left_out else [])])
    values = report.evaluation.to_dict() | {
        "n_unlabelled": report.n_unlabelled,
        "n_empty": report.n_empty,
        "n_rejected": report.n_rejected,
        "rejected_file": report.rejected_file,
    }
    _show(terminal.evaluation_lines(report.evaluation), values, as_json)
    _finish(report.n_rejected, report.rejected_file)


@app.command()
def predict(
    model: ModelArgument,
    file: Annotated[str | None, typer.Argument(metavar="[FILE]", help="Documents; - reads standard input.")] = None,
    text: Annotated[str | None, typer.Option("--text", help="One text, instead of a file.")] = None,
    output: Annotated[str | None, typer.Option("-o", "--output", help="Where to write [standard output].")] = None,
    output_format: Annotated[
        str | None, typer.Option("--format", help="csv, jsonl or parquet [by the ending of the output, else of FILE].")
    ] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Also write the K most probable labels, as JSON.")] = None,
    text_column: TextColumn = None,
    id_column: IdColumn = None,
    models_dir: ModelsDir = None,
    encoding: Encoding = None,
    as_json: AsJson = False,
) -> None:
    """Give one text, or every row of a file, its label with a calibrated confidence."""
    from classifier import workflows

    settings = Settings.from_environment(models_dir)
    if (text is None) == (file is None):
        raise typer.BadParameter("give either a FILE or --text")
    if text is not None:
        if output is not None or output_format is not None or top_k is not None:
            raise typer.BadParameter("-o, --format and --top-k go with a FILE, not with --text")
        prediction = workflows.predict_text(model, text, settings)
        _show(terminal.prediction_lines(prediction), asdict(prediction), as_json)
        return
    to_file = output not in {None, "-"}
    chosen = _chosen_format(output_format, output if to_file else None, str(file), json_rows=as_json and not to_file)
    if chosen == "parquet" and not to_file:
        raise typer.BadParameter("Parquet goes to a file: give one with -o")
    buffer = io.StringIO()
    stream = buffer if as_json else sys.stdout
    with _input(str(file)) as path:
        report = workflows.predict_file(
            model,
            path,
            Path(str(output)) if to_file else stream,
            settings,
            output_format=chosen,
            columns=Columns(text_column, None, id_column, encoding),
            top_k=top_k,
            progress=sys.stderr.isatty(),
        )
    _notes(report.notes)
    if as_json:
        _show_batch(report, None if to_file else buffer.getvalue())
    else:
        _notes(terminal.batch_lines(report))
    _finish(report.counts.n_rejected, report.rejected_file)


@app.command()
def similar(
    model: ModelArgument,
    text: Annotated[str, typer.Option("--text", help="The text to compare with.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many documents.")] = 10,
    label: Annotated[str | None, typer.Option(help="Only documents of this label.")] = None,
    exclude_self: Annotated[
        bool, typer.Option("--exclude-self", help="Leave out documents with this very text.")
    ] = False,
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Show the training documents most similar to a text."""
    from classifier import workflows

    settings = Settings.from_environment(models_dir)
    found = workflows.similar(model, text, settings, k=k, label=label, exclude_self=exclude_self)
    _show(terminal.neighbor_lines(found), {"results": [asdict(item) for item in found]}, as_json)


@models_app.command("list")
def list_models(models_dir: ModelsDir = None, as_json: AsJson = False) -> None:
    """List stored models; a star marks the version that the bare name means."""
    from classifier import workflows

    found = workflows.list_models(Settings.from_environment(models_dir))
    values = [asdict(model) | {"folder": str(model.folder)} for model in found]
    _show(terminal.model_lines(found), {"models": values}, as_json)


@models_app.command("show")
def show_model(model: ModelArgument, models_dir: ModelsDir = None, as_json: AsJson = False) -> None:
    """Show what a model was trained on, how good it is, and what was noticed."""
    from classifier import workflows

    found, facts = workflows.show_model(model, Settings.from_environment(models_dir))
    values = asdict(found) | {"folder": str(found.folder)} | facts
    _show(terminal.facts_lines(found, facts), values, as_json)


@models_app.command("promote")
def promote_model(
    reference: Annotated[str, typer.Argument(metavar="NAME@VERSION")],
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Let a name mean this version from now on."""
    from classifier import workflows

    found = workflows.promote_model(reference, Settings.from_environment(models_dir))
    _show([f"{found.name} now means {found.reference}"], {"promoted": found.reference}, as_json)


@models_app.command("delete")
def delete_model(
    reference: Annotated[str, typer.Argument(metavar="NAME@VERSION")],
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Remove one version for good."""
    from classifier import workflows

    workflows.delete_model(reference, Settings.from_environment(models_dir))
    _show([f"deleted {reference}"], {"deleted": reference}, as_json)


def main() -> None:
    """Run the command line and exit with its code."""
    warnings.showwarning = _show_warning  # type: ignore[assignment] # the standard library types it too narrowly
    try:
        with interruptible():
            app()
    except ClassifierError as error:
        _say(f"error: {error}")
        sys.exit(EXIT_MISTAKE)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_MISTAKE)
    except OSError as error:
        _say(f"error: {error.filename or 'a file'}: {error.strerror or error}; check the path and its permissions.")
        sys.exit(EXIT_MISTAKE)
    except KeyboardInterrupt:
        _say(STOPPED)
        sys.exit(EXIT_INTERRUPTED)
    except SystemExit as stop:
        if stop.code == EXIT_INTERRUPTED:  # typer catches Ctrl+C itself, and says nothing
            _say(STOPPED)
        raise


@contextlib.contextmanager
def _input(file: str) -> Iterator[Path]:
    """Give the path to read; standard input is first copied to a file, as it is read twice."""
    if file != "-":
        yield Path(file)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stdin"
        with path.open("wb") as stream:
            shutil.copyfileobj(sys.stdin.buffer, stream)
        with path.open("rb") as stream:
            start = stream.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
        suffix = ".parquet" if start.startswith(b"PAR1") else ".jsonl" if start.startswith(b"{") else ".csv"
        yield path.rename(path.with_suffix(suffix))


def _chosen_format(asked: str | None, output: str | None, file: str, *, json_rows: bool) -> str:
    """Choose the format of the output."""
    if json_rows:
        return "jsonl"
    if asked is not None:
        return lookup({name: name for name in FORMATS}, asked, "output format")
    if output is not None and Path(output).suffix:
        suffix = Path(output).suffix.lower()
        if suffix not in _FORMAT_OF_SUFFIX:
            allowed = ", ".join(_FORMAT_OF_SUFFIX)
            raise typer.BadParameter(f"files ending in {suffix} are not written: use one of {allowed}, or --format")
        return _FORMAT_OF_SUFFIX[suffix]
    by_input = _FORMAT_OF_SUFFIX.get(Path(file).suffix.lower(), "csv")
    return "csv" if output is None and by_input == "parquet" else by_input


def _show(lines: Iterable[str], values: dict[str, Any], as_json: bool) -> None:
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


def _show_batch(report: BatchReport, json_lines: str | None) -> None:
    """Print a report as one JSON object, with the rows as they were written where they went nowhere else."""
    summary = json.dumps(asdict(report), ensure_ascii=False, allow_nan=False)
    if json_lines is not None:
        rows = ", ".join(line for line in json_lines.split("\n") if line)
        summary = f'{summary[:-1]}, "predictions": [{rows}]}}'
    typer.echo(summary)


def _notes(notes: Iterable[str]) -> None:
    """Print notes for people."""
    for note in notes:
        _say(note)


def _finish(n_rejected: int, rejected_file: str | None) -> None:
    """Exit with the code for rejected rows, where there are any."""
    if n_rejected:
        _say(f"{n_rejected:,} rejected row{'' if n_rejected == 1 else 's'} listed in {rejected_file}")
        raise typer.Exit(EXIT_REJECTED)


def _say(line: str) -> None:
    """Print one line to stderr."""
    typer.echo(terminal.printable(line), err=True)


def _show_warning(message: Warning | str, category: type[Warning], *_where: object) -> None:
    """Print the product's own warnings as one line, and no others: those are for developers."""
    if issubclass(category, TrainingDataWarning | EmptyTextWarning):
        _say(f"warning: {message}")
