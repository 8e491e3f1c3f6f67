"""``predict`` and ``similar``."""

from __future__ import annotations

import io
import json
import shlex
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from classifier import terminal
from classifier.cli.options import (
    AsJson,
    Backend,
    EmbeddingsOut,
    Encoding,
    Fast,
    IdColumn,
    MinConfidence,
    ModelArgument,
    ModelsDir,
    NSimilar,
    Precision,
    Raw,
    Restart,
    ReviewBudget,
    TargetAccuracy,
    TextColumn,
    Tolerance,
    UseCache,
    Vectors,
    input_path,
    review_of,
    settings_of,
)
from classifier.cli.output import EXIT_INTERRUPTED, finish, print_notes, say, show
from classifier.datamodels import ReviewPolicy, Settings
from classifier.errors import lookup
from classifier.interrupts import finishing_first
from classifier.reports import DEFAULT_TOLERANCE, BatchReport, BatchRequest, Columns, batch_values


def predict(
    model: ModelArgument,
    file: Annotated[str | None, typer.Argument(metavar="[FILE]", help="Documents; - reads standard input.")] = None,
    text: Annotated[str | None, typer.Option("--text", help="One text, instead of a file.")] = None,
    output: Annotated[str | None, typer.Option("-o", "--output", help="Where to write [standard output].")] = None,
    output_format: Annotated[
        str | None, typer.Option("--format", help="csv, jsonl or parquet [by the ending of the output, else of FILE].")
    ] = None,
    embeddings: Vectors = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Also write the K most probable labels, as JSON.")] = None,
    n_similar: NSimilar = 0,
    embeddings_out: EmbeddingsOut = None,
    raw: Raw = False,
    fast: Fast = False,
    tolerance: Tolerance = None,
    restart: Restart = False,
    target_accuracy: TargetAccuracy = None,
    review_budget: ReviewBudget = None,
    min_confidence: MinConfidence = None,
    text_column: TextColumn = None,
    id_column: IdColumn = None,
    models_dir: ModelsDir = None,
    backend: Backend = "auto",
    precision: Precision = "auto",
    use_cache: UseCache = True,
    encoding: Encoding = None,
    as_json: AsJson = False,
) -> None:
    """Give one text, or every row of a file, its label with a calibrated confidence."""
    settings = settings_of(models_dir, backend, precision, use_cache)
    review = review_of(target_accuracy, review_budget, min_confidence)
    if (text is None) == (file is None):
        raise typer.BadParameter("give either a FILE or --text")
    if text is not None:
        of_files = (output, output_format, top_k, embeddings, review_budget, embeddings_out)
        _require_none(*of_files, n_similar, raw, restart, fast)
        _predict_text(model, text, settings, review, as_json)
        return
    target = _target(output, must_be_file=embeddings_out is not None or restart)
    request = BatchRequest(
        output_format=_chosen_format(output_format, target, str(file), json_rows=as_json and target is None),
        top_k=top_k,
        n_similar=n_similar,
        review=review,
        embeddings=embeddings,
        embeddings_out=embeddings_out,
        raw=raw,
        tolerance=_tolerance(tolerance, fast=fast),
    )
    columns = Columns(text_column, None, id_column, encoding)
    _predict_file(model, str(file), target, settings, request, columns, restart=restart, as_json=as_json)


def _require_none(*of_files: object) -> None:
    """Refuse what goes with a file where there is one text."""
    if any(value is not None and value is not False and value != 0 for value in of_files):
        raise typer.BadParameter(
            "-o, --format, --top-k, --similar, --embeddings, --embeddings-out, --raw, --fast, --restart and "
            "--review-budget go with a FILE, not with --text"
        )


def _target(output: str | None, *, must_be_file: bool) -> Path | None:
    """Return the file to write; None for standard output."""
    if output not in {None, "-"}:
        return Path(str(output))
    if must_be_file:
        raise typer.BadParameter("--embeddings-out and --restart go with an output file: give one with -o")
    return None


def _tolerance(asked: float | None, *, fast: bool) -> float | None:
    """Return how many answers of the fast way may differ; None for the exact one."""
    if asked is not None and not fast:
        raise typer.BadParameter("--tolerance goes with --fast")
    return (DEFAULT_TOLERANCE if asked is None else asked) if fast else None


def _predict_text(model: str, text: str, settings: Settings, review: ReviewPolicy, as_json: bool) -> None:
    """Answer for one text."""
    from classifier import workflows

    prediction = workflows.predict_text(model, text, settings, review=review)
    show(terminal.prediction_lines(prediction), asdict(prediction), as_json)


def _predict_file(
    model: str,
    file: str,
    target: Path | None,
    settings: Settings,
    request: BatchRequest,
    columns: Columns,
    *,
    restart: bool,
    as_json: bool,
) -> None:
    """Answer for every row of a file, to `target` or to standard output."""
    from classifier import workflows
    from classifier.prediction.batch import StoppedError
    from classifier.prediction.journal import unfinished_folder

    if request.output_format == "parquet" and target is None:
        raise typer.BadParameter("Parquet goes to a file: give one with -o")
    buffer = io.StringIO()
    with input_path(file) as path, finishing_first(say) if target else nullcontext() as stop:
        try:
            report = workflows.predict_file(
                model,
                path,
                target or (buffer if as_json else sys.stdout),
                settings,
                request,
                columns=columns,
                restart=restart,
                progress=True,
                stop=stop,
            )
        except StoppedError as error:
            kept = unfinished_folder(Path(str(target)))
            finished = f"what is finished is kept in {kept}" if kept.exists() else "nothing was finished yet"
            say(f"stopped; {finished}. To go on:")
            say(f"  {shlex.join(['classifier', *sys.argv[1:]])}")
            raise typer.Exit(EXIT_INTERRUPTED) from error
    print_notes(report.notes)
    if as_json:
        _show_batch(report, None if target else buffer.getvalue())
    else:
        print_notes(terminal.batch_lines(report))
    finish(report.counts.n_rejected, report.rejected_file)


def similar(
    model: ModelArgument,
    text: Annotated[str, typer.Option("--text", help="The text to compare with.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many documents.")] = 10,
    label: Annotated[str | None, typer.Option(help="Only documents of this label.")] = None,
    answered: Annotated[
        str | None, typer.Option(help="Only documents answered right, wrong or never while they were held out.")
    ] = None,
    min_similarity: Annotated[float, typer.Option(help="Only documents at least so similar, from -1 to 1.")] = -1.0,
    exclude_self: Annotated[
        bool, typer.Option("--exclude-self", help="Leave out documents with this very text.")
    ] = False,
    models_dir: ModelsDir = None,
    backend: Backend = "auto",
    precision: Precision = "auto",
    use_cache: UseCache = True,
    as_json: AsJson = False,
) -> None:
    """Show the training documents most similar to a text."""
    from classifier import workflows

    settings = settings_of(models_dir, backend, precision, use_cache)
    found = workflows.similar(
        model,
        text,
        settings,
        k=k,
        label=label,
        correctness="never held out" if answered == "never" else answered,
        min_similarity=min_similarity,
        exclude_self=exclude_self,
    )
    show(terminal.neighbor_lines(found), {"results": [asdict(item) for item in found]}, as_json)


def _chosen_format(asked: str | None, output: Path | None, file: str, *, json_rows: bool) -> str:
    """Choose the format of the output."""
    from classifier.prediction.formats import COMPRESSIONS, FORMATS, OF_SUFFIX, format_of

    if json_rows:
        return "jsonl"
    if asked is not None:
        return lookup({name: name for name in FORMATS}, asked, "output format")
    if output is not None and output.suffix:
        found = format_of(output)
        if found is None or (found == "parquet" and output.suffix.lower() in COMPRESSIONS):
            allowed = f"{', '.join(OF_SUFFIX)} (all but the last also with {' or '.join(COMPRESSIONS)})"
            ending = "".join(output.suffixes[-2:]).lower()
            raise typer.BadParameter(f"files ending in {ending} are not written: use one of {allowed}, or --format")
        return found
    by_input = format_of(Path(file)) or "csv"
    return "csv" if output is None and by_input == "parquet" else by_input


def _show_batch(report: BatchReport, json_lines: str | None) -> None:
    """Print a report as one JSON object, with the rows as they were written where they went nowhere else."""
    summary = json.dumps(batch_values(report), ensure_ascii=False, allow_nan=False)
    if json_lines is not None:
        rows = ", ".join(line for line in json_lines.split("\n") if line)
        summary = f'{summary[:-1]}, "predictions": [{rows}]}}'
    typer.echo(summary)
