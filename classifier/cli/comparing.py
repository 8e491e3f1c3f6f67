"""``compare``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from classifier.cli.options import (
    AsJson,
    Backend,
    Encoding,
    FileArgument,
    IdColumn,
    LabelColumn,
    Precision,
    TextColumn,
    input_path,
    settings_of,
)
from classifier.cli.output import finish, print_notes, show
from classifier.reports import Columns
from classifier.terminal import percent, table

if TYPE_CHECKING:
    from classifier.analysis.tradeoffs import Comparison, Tradeoff
    from classifier.workflows.comparing import ComparisonReport

HEADER = ("embedder", "dims", "stored", "accuracy", "95 % interval", "recall@10", "docs/s", "bytes/doc", "model MB")


def compare(
    file: FileArgument,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    id_column: IdColumn = None,
    embedder: Annotated[
        list[str] | None, typer.Option(help="As for train; give it several times [the default one, static and lsa].")
    ] = None,
    max_documents: Annotated[int, typer.Option(min=10, help="Take a sample of a larger file.")] = 3000,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show every row that was measured.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Forget what an earlier run has measured.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Decides the sample and the folds.")] = 0,
    backend: Backend = "auto",
    precision: Precision = "auto",
    encoding: Encoding = None,
    as_json: AsJson = False,
) -> None:
    """Measure embedders, dimensions and stored precisions on a labelled file, and recommend one."""
    from classifier import workflows

    options = {} if not embedder else {"embedders": embedder}
    with input_path(file) as path:
        report = workflows.compare(
            path,
            settings_of(None, backend, precision),
            columns=Columns(text_column, label_column, id_column, encoding),
            max_documents=max_documents,
            page=html,
            restart=restart,
            seed=seed,
            progress=True,
            **options,
        )
    print_notes([*report.notes, *(f"warning: {warning}" for warning in report.warnings), *_left_out(report)])
    values = asdict(report) | {"comparison": report.comparison.to_dict()}
    show(comparison_lines(report.comparison, everything=everything), values, as_json)
    if report.page is not None:
        print_notes([f"Page written to {report.page}"])
    finish(report.n_rejected, report.rejected_file)


def comparison_lines(comparison: Comparison, *, everything: bool) -> list[str]:
    """Lay out what was measured: the front and the best row of each embedder by falling accuracy, or every row."""
    shown = comparison.tradeoffs if everything else _worth_a_look(comparison)
    chosen = comparison.recommendation.chosen
    n_rows, n_front = len(comparison.tradeoffs), sum(one.on_front for one in comparison.tradeoffs)
    is_whole = comparison.n_documents == comparison.n_available
    sampled = "documents" if is_whole else f"of {comparison.n_available:,} documents (a sample)"
    return [
        (
            f"{comparison.source}: {comparison.n_documents:,} {sampled}, {comparison.n_labels} labels, "
            f"{comparison.n_folds}-fold cross-validation; always the most frequent label: "
            f"{percent(comparison.majority_accuracy)}"
        ),
        "",
        *_table(shown, chosen),
        "",
        (
            f"{len(shown)} of {n_rows} measured rows"
            + ("" if everything else "; --all shows the others")
            + f". * recommended, + one of {n_front} that no other row beats in accuracy, bytes and speed together"
        ),
        "",
        f"Recommended: {chosen.title}",
        *(f"  {reason}" for reason in comparison.recommendation.reasons),
        *(f"  {command}" for command in comparison.recommendation.commands),
    ]


def _worth_a_look(comparison: Comparison) -> list[Tradeoff]:
    """Choose the front, and the most accurate row of each embedder, the smallest of equals."""
    best: dict[str, Tradeoff] = {}
    for one in comparison.tradeoffs:
        before = best.get(one.embedder)
        if before is None or (-one.accuracy, one.vector_bytes) < (-before.accuracy, before.vector_bytes):
            best[one.embedder] = one
    shown = [one for one in comparison.tradeoffs if one.on_front or one is best[one.embedder]]
    return sorted(shown, key=lambda one: (-one.accuracy, one.vector_bytes))


def _table(shown: Sequence[Tradeoff], chosen: Tradeoff) -> Iterable[str]:
    """Align rows, with a mark before each."""
    rows = [
        (
            f"{'*' if one is chosen else '+' if one.on_front else ' '} {one.embedder}",
            f"{one.n_dims}",
            one.short_dtype,
            percent(one.accuracy),
            f"{100 * one.accuracy_interval[0]:.1f} to {100 * one.accuracy_interval[1]:.1f}",
            f"{one.recall_at_10:.2f}",
            f"{one.documents_per_second:,.0f}",
            f"{one.vector_bytes:,}",
            f"{one.model_bytes / 1e6:,.1f}",
        )
        for one in shown
    ]
    return table((f"  {HEADER[0]}", *HEADER[1:]), rows)


def _left_out(report: ComparisonReport) -> list[str]:
    """Say what was not measured, and what was not measured again."""
    counts = ((report.n_unlabelled, "without a label"), (report.n_empty, "with nothing to read"))
    left_out = [f"{count:,} {what}" for count, what in counts if count]
    n_resumed = report.n_resumed
    return [
        *([f"Left out: {', '.join(left_out)}."] if left_out else []),
        *([f"{n_resumed} measured before, not again (--restart does)."] if n_resumed else []),
    ]
