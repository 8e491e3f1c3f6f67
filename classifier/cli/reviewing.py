"""``review``, ``correct``, ``retrain``: what to look at, what was decided, and the model that learns from it."""

from __future__ import annotations

import csv
import getpass
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from classifier.cli.options import (
    AsJson,
    Encoding,
    FileArgument,
    IdColumn,
    LabelColumn,
    ModelsDir,
    TextColumn,
    input_path,
    settings_of,
)
from classifier.cli.output import finish, print_notes, show
from classifier.reports import Columns
from classifier.terminal import evaluation_lines, label_piece, snippet

if TYPE_CHECKING:
    from classifier.workflows.retraining import RetrainingReport
    from classifier.workflows.reviewing import ReviewQueue

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of a model; its promoted version is meant.")]
QUEUE_COLUMNS = ("id", "label", "suggestion", "confidence", "reason", "source", "text")


def review(
    name: NameArgument,
    strategy: Annotated[
        str, typer.Option(help="recommended, uncertain, novel, disagreeing, suspected, diverse or sent.")
    ] = "recommended",
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="How many documents.")] = 20,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="CSV of the documents; correct its labels for correct.")
    ] = None,
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """List the documents that a person should look at next, the most useful first."""
    from classifier import workflows

    settings = settings_of(models_dir)
    found = workflows.show_model(name, settings)[0]
    model = workflows.open_predictor(found.folder, settings)
    queue = workflows.review_queue(model, found.name, settings, strategy=strategy, limit=limit)
    counts = workflows.review_counts(settings, found.name)
    if output is not None:
        _write(output, queue)
    values = {
        **asdict(counts),
        "n_candidates": queue.n_candidates,
        "items": [asdict(item) for item in queue.items],
        "output": None if output is None else str(output),
    }
    summary = (
        f"{queue.n_candidates:,} documents of {found.reference} deserve a look; {counts.n_waiting:,} wait for a label, "
        f"{counts.n_decided:,} are decided, {counts.n_untrained:,} of those no version has learned from."
    )
    lines = [
        summary,
        *(
            f"  {snippet(item.document, 20)}  {label_piece(item.label, 25)} -> {label_piece(item.suggestion, 25)}  "
            f"{snippet(item.reason, 60)}  {snippet(item.text, 60)}"
            for item in queue.items
        ),
        *([f"written to {output}"] if output is not None else []),
    ]
    show(lines, values, as_json)


def correct(
    name: NameArgument,
    file: FileArgument,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    id_column: IdColumn = None,
    encoding: Encoding = None,
    who: Annotated[str | None, typer.Option(help="Who decided [the user of this machine].")] = None,
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Keep the labels of a file as corrections of a model; retrain learns from them."""
    from classifier import workflows

    with input_path(file) as path:
        report = workflows.correct_from_file(
            name,
            path,
            settings_of(models_dir),
            columns=Columns(text_column, label_column, id_column, encoding),
            who=who or getpass.getuser(),
        )
    print_notes(report.notes)
    line = (
        f"{report.n_kept:,} corrections of {report.model} kept, {report.n_unlabelled:,} rows without a label left out."
    )
    show([line], asdict(report), as_json)
    finish(report.n_rejected, report.rejected_file)


def retrain(
    name: NameArgument,
    promote: Annotated[bool, typer.Option(help="Whether NAME means the new version from now on.")] = False,
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Train the next version of a model with its corrections."""
    from classifier import workflows

    report = workflows.retrain(name, settings_of(models_dir), promote=promote, progress=True)
    show(retraining_lines(report), _values(report), as_json)


def retraining_lines(report: RetrainingReport) -> list[str]:
    """Say what came of training with corrections."""
    new = report.model
    summary = (
        f"{new.reference}: {report.n_documents:,} documents; of {report.n_decisions:,} corrections of {report.before} "
        f"{report.n_relabelled:,} changed a label, {report.n_added:,} brought a new document, "
        f"{report.n_confirmed:,} confirmed a label."
    )
    return [
        summary,
        *(["There was no race: its winner of before was trained."] if not report.raced else []),
        *([f"Measured on {report.measured_on}:", *evaluation_lines(report.evaluation)] if report.evaluation else []),
        *(f"warning: {warning}" for warning in report.warnings),
        "promoted" if new.promoted else f"not promoted yet: classifier models promote {new.reference}",
    ]


def _values(report: RetrainingReport) -> dict[str, Any]:
    """Return everything as plain values, ready for JSON."""
    evaluation = None if report.evaluation is None else report.evaluation.to_dict()
    plain = {"model": report.model.reference, "promoted": report.model.promoted, "evaluation": evaluation}
    kept = ("before", "n_decisions", "n_relabelled", "n_added", "n_confirmed", "raced", "n_documents", "seconds")
    return plain | {name: getattr(report, name) for name in kept} | {"warnings": list(report.warnings)}


def _write(path: Path, queue: ReviewQueue) -> None:
    """Write documents as a table whose labels a person can correct."""
    from classifier.prediction.formats import escape_formula
    from classifier.prediction.sinks import written_whole

    with written_whole(path) as sink:
        writer = csv.writer(sink, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(QUEUE_COLUMNS)
        for item in queue.items:
            confidence = "" if item.confidence is None else f"{item.confidence:.4f}"
            cells = (item.document, item.label, item.suggestion, confidence, item.reason, item.source, item.text)
            writer.writerow([escape_formula(cell) for cell in cells])
