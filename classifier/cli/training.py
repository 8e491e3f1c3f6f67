"""``train`` and ``evaluate``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

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
    RejectedFile,
    SourceName,
    TextColumn,
    UseCache,
    Vectors,
    input_path,
    settings_of,
)
from classifier.cli.output import finish, print_notes, show
from classifier.reports import Columns, EvaluationReport, TrainingReport

Verb = Callable[..., TrainingReport]

Name = Annotated[str | None, typer.Option(help="Name of the model [the file's name].")]
EmbedderName = Annotated[
    str, typer.Option(help="default, a model by name or folder, static, lsa, word-vectors:FILE; see the docs.")
]
LabelDescriptions = Annotated[
    str | None, typer.Option(help="File that says what the labels stand for, in the columns label and description.")
]
LabelsOnly = Annotated[
    bool, typer.Option("--labels-only", help="Train without documents: FILE lists labels, .txt or as above.")
]
TestFile = Annotated[str | None, typer.Option(help="Labelled file to measure on [cross-validation on FILE].")]
NormaliseLabels = Annotated[
    bool, typer.Option("--normalise-labels", help="Write labels alike that differ only by case or spaces.")
]
Seed = Annotated[int, typer.Option(min=0, help="Decides the cross-validation folds.")]
Promote = Annotated[bool, typer.Option(help="Let NAME mean the new version from now on.")]


def train(
    file: FileArgument,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    id_column: IdColumn = None,
    name: Name = None,
    embedder: EmbedderName = "default",
    embeddings: Vectors = None,
    label_descriptions: LabelDescriptions = None,
    labels_only: LabelsOnly = False,
    test_file: TestFile = None,
    multi_label: MultiLabel = False,
    normalise_labels: NormaliseLabels = False,
    models_dir: ModelsDir = None,
    backend: Backend = "auto",
    precision: Precision = "auto",
    use_cache: UseCache = True,
    seed: Seed = 0,
    promote: Promote = True,
    source_name: SourceName = None,
    rejected_file: RejectedFile = None,
    encoding: Encoding = None,
    as_json: AsJson = False,
) -> None:
    """Train a model on a labelled file, measure it, and store it as the next version of its name."""
    from classifier import workflows

    if embeddings is not None and embedder != "default":
        raise typer.BadParameter("give either --embedder or --embeddings")
    of_documents: dict[str, Any] = {
        "embeddings": embeddings,
        "label_descriptions": label_descriptions,
        "multi_label": multi_label,
        "normalise_labels": normalise_labels,
    }
    if labels_only:
        _require_none(of_documents | ({} if test_file else {"text_column": text_column, "id_column": id_column}))
    verb: Verb = workflows.train_on_labels if labels_only else partial(workflows.train, **of_documents)
    with input_path(file) as path:
        report = verb(
            path,
            settings_of(models_dir, backend, precision, use_cache),
            columns=Columns(text_column, label_column, id_column, encoding, source_name, rejected_file),
            name=name,
            embedder=embedder,
            test_file=test_file,
            seed=seed,
            promote=promote,
            progress=True,
        )
    _show_training(report, as_json)


def _show_training(report: TrainingReport, as_json: bool) -> None:
    """Print what came of training, and end with the exit code that belongs to it."""
    print_notes(report.notes)
    values = asdict(report)
    values["model"] = {"name": report.model.name, "version": report.model.version, "folder": str(report.model.folder)}
    show(terminal.training_lines(report), values, as_json)
    finish(report.n_rejected, report.rejected_file)


def _require_none(options: Mapping[str, str | bool | None]) -> None:
    """Refuse options that would have no effect without documents."""
    for name, value in options.items():
        if value:
            flag = f"--{name.replace('_', '-')}"
            raise typer.BadParameter(
                f"{flag} has no effect with --labels-only, as there are no documents; leave it out"
            )


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
            progress=True,
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
