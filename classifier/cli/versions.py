"""``compare-versions``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from classifier.cli.options import (
    AsJson,
    Backend,
    Encoding,
    IdColumn,
    LabelColumn,
    ModelsDir,
    Precision,
    TextColumn,
    UseCache,
    settings_of,
)
from classifier.cli.output import print_notes, show
from classifier.reports import Columns
from classifier.terminal import label_piece, percent, table

if TYPE_CHECKING:
    from classifier.analysis.paired import LabelChange
    from classifier.workflows.versions import VersionComparison

SHOWN_LABELS = 30


def compare_versions(
    old: Annotated[str, typer.Argument(metavar="OLD", help="NAME@VERSION, NAME, or the folder of a model.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="As OLD.")],
    test_file: Annotated[
        str | None, typer.Option(help="Labelled file that both answer [documents that both held out in training].")
    ] = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    id_column: IdColumn = None,
    models_dir: ModelsDir = None,
    backend: Backend = "auto",
    precision: Precision = "auto",
    use_cache: UseCache = True,
    encoding: Encoding = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a newer version of a model is better, on the same documents, label by label."""
    from classifier import workflows

    found = workflows.compare_versions(
        old,
        new,
        settings_of(models_dir, backend, precision, use_cache),
        test_file=test_file,
        columns=Columns(text_column, label_column, id_column, encoding),
        progress=True,
    )
    print_notes(found.notes)
    show(version_lines(found), found.to_dict(), as_json)


def version_lines(found: VersionComparison) -> Iterator[str]:
    """Lay out a comparison: the verdict, both figures, and the labels, fallen ones first."""
    scores, word = found.scores, "exact match" if found.multi_label else "accuracy"
    yield found.verdict
    yield f"Measured on {scores.n_documents:,} {'rows of ' if 'file' in found.measured_on else ''}{found.measured_on}:"
    rows = [
        (name, percent(one.accuracy), f"{100 * low:.1f} to {100 * high:.1f}", f"{one.macro_f1:.3f}")
        for name, one in ((found.old, scores.old), (found.new, scores.new))
        for low, high in [one.accuracy_interval]
    ]
    yield from (f"  {line}" for line in table(["version", word, "95 % interval", "macro-F1"], rows))
    yield from (f"warning: {warning}" for warning in found.warnings)
    yield from (f"  {line}" for line in table(_HEADER, map(_label_row, scores.labels[:SHOWN_LABELS])))
    more = len(scores.labels) - SHOWN_LABELS
    if more > 0:
        yield f"  … and {more:,} more labels (--json lists all)"


_HEADER = ["label", "documents", "recall", "now", "change", "precision", "now", ""]


def _label_row(change: LabelChange) -> tuple[str, ...]:
    """Lay out one label."""
    difference = change.recall_difference
    return (
        label_piece(change.label, 40),
        f"{change.n_documents:,}",
        _share(change.old_recall),
        _share(change.new_recall),
        "" if difference is None else f"{100 * difference:+.1f}",
        _share(change.old_precision),
        _share(change.new_precision),
        "" if not change.fell else "fell" if change.beyond_chance else "fell, maybe chance",
    )


def _share(value: float | None) -> str:
    """Write a share; nothing where there is none."""
    return "" if value is None else percent(value)
