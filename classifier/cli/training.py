"""``train`` and ``evaluate``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from classifier import terminal
from classifier.cli.options import (
    AsJson,
    Backend,
    Encoding,
    FileArgument,
    IdColumn,
    LabelColumn,
    ModelArgument,
    ModelsDir,
    MultiLabel,
    Precision,
    TextColumn,
    UseCache,
    Vectors,
    input_path,
    settings_of,
)
from classifier.cli.output import finish, print_notes, show
from classifier.reports import Columns, EvaluationReport


def train(
    file: FileArgument,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    id_column: IdColumn = None,
    name: Annotated[str | None, typer.Option(help="Name of the model [the file's name].")] = None,
    embedder: Annotated[
        str, typer.Option(help="default, a model by name or folder, static, lsa, word-vectors:FILE; see the docs.")
    ] = "default",
    embeddings: Vectors = None,
    test_file: Annotated[
        str | None, typer.Option(help="Labelled file to measure on [cross-validation on FILE].")
    ] = None,
    multi_label: MultiLabel = False,
    normalise_labels: Annotated[
        bool, typer.Option("--normalise-labels", help="Write labels alike that differ only by case or spaces.")
    ] = False,
    models_dir: ModelsDir = None,
    backend: Backend = "auto",
    precision: Precision = "auto",
    use_cache: UseCache = True,
    seed: Annotated[int, typer.Option(min=0, help="Decides the cross-validation folds.")] = 0,
    promote: Annotated[bool, typer.Option(help="Let NAME mean the new version from now on.")] = True,
    encoding: Encoding = None,
    as_json: AsJson = False,
) -> None:
    """Train a model on a labelled file, measure it, and store it as the next version of its name."""
    from classifier import workflows

    if embeddings is not None and embedder != "default":
        raise typer.BadParameter("give either --embedder or --embeddings")
    with input_path(file) as path:
        report = workflows.train(
            path,
            settings_of(models_dir, backend, precision, use_cache),
            columns=Columns(text_column, label_column, id_column, encoding),
            name=name,
            embedder=embedder,
            embeddings=embeddings,
            test_file=test_file,
            multi_label=multi_label,
            normalise_labels=normalise_labels,
            seed=seed,
            promote=promote,
            progress=sys.stderr.isatty(),
        )
    print_notes(report.notes)
    values = asdict(report)
    values["model"] = {"name": report.model.name, "version": report.model.version, "folder": str(report.model.folder)}
    show(terminal.training_lines(report), values, as_json)
    finish(report.n_rejected, report.rejected_file)


def evaluate(
    model: ModelArgument,
    file: FileArgument,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    id_column: IdColumn = None,
    embeddings: Vectors = None,
    models_dir: ModelsDir = None,
    backend: Backend = "auto",
    precision: Precision = "auto",
    use_cache: UseCache = True,
    encoding: Encoding = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model on a labelled file."""
    from classifier import workflows

    with input_path(file) as path:
        report = workflows.evaluate(
            model,
            path,
            settings_of(models_dir, backend, precision, use_cache),
            embeddings=embeddings,
            columns=Columns(text_column, label_column, id_column, encoding),
            progress=sys.stderr.isatty(),
        )
    print_notes([*report.notes, *_left_out(report)])
    values = report.evaluation.to_dict() | {
        "n_leaked": report.n_leaked,
        "without_leaked": report.without_leaked.to_dict() if report.without_leaked else None,
        "n_unlabelled": report.n_unlabelled,
        "n_empty": report.n_empty,
        "n_rejected": report.n_rejected,
        "rejected_file": report.rejected_file,
    }
    show(terminal.measured_lines(report), values, as_json)
    finish(report.n_rejected, report.rejected_file)


def _left_out(report: EvaluationReport) -> list[str]:
    """Tell which rows are not in the metrics."""
    counts = (
        (report.n_unlabelled, "without a label"),
        (report.n_empty, "with nothing to read"),
        (report.n_rejected, "rejected"),
    )
    found = [f"{count:,} {what}" for count, what in counts if count]
    return [f"Left out of the metrics: {', '.join(found)}."] if found else []
