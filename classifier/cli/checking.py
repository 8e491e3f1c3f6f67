"""``check``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from classifier.cli.options import (
    AsJson,
    Encoding,
    FileArgument,
    IdColumn,
    LabelColumn,
    MultiLabel,
    TextColumn,
    input_path,
)
from classifier.cli.output import print_notes, show
from classifier.cli.training import NormaliseLabels
from classifier.reports import Columns
from classifier.terminal import label_piece, table

if TYPE_CHECKING:
    from classifier.workflows.checking import FileChecks

SHOWN_LABELS = 30


def check(
    file: FileArgument,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    id_column: IdColumn = None,
    multi_label: MultiLabel = False,
    normalise_labels: NormaliseLabels = False,
    encoding: Encoding = None,
    as_json: AsJson = False,
) -> None:
    """Count the labels of a file before training, and find copies, contradictions and rows that teach nothing."""
    from classifier import workflows

    with input_path(file) as path:
        found = workflows.check_file(
            path,
            columns=Columns(text_column, label_column, id_column, encoding),
            multi_label=multi_label,
            normalise_labels=normalise_labels,
        )
    print_notes(found.notes)
    show(check_lines(found), found.to_dict(), as_json)


def check_lines(found: FileChecks) -> Iterator[str]:
    """Lay out what was found, and the labels, most frequent first."""
    counts = found.labels.counts
    yield f"{found.labels.n_documents:,} documents to learn from, {len(counts):,} labels."
    yield from found.sentences()
    rows = [(label_piece(label, 40), f"{n:,}") for label, n in list(counts.items())[:SHOWN_LABELS]]
    yield from (f"  {line}" for line in table(["label", "documents"], rows))
    if len(counts) > SHOWN_LABELS:
        yield f"  … and {len(counts) - SHOWN_LABELS:,} rarer labels (--json lists all)"
