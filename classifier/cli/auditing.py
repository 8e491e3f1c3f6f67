"""``audit``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from classifier.cli.options import (
    AsJson,
    Backend,
    Encoding,
    FileArgument,
    IdColumn,
    LabelColumn,
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
from classifier.reports import Columns
from classifier.terminal import label_piece, percent, snippet

if TYPE_CHECKING:
    from classifier.workflows.auditing import AuditReport

SHOWN_ISSUES = 10


def audit(
    file: FileArgument,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="CSV of the rows to look at, worst first.")
    ] = None,
    test_file: Annotated[str | None, typer.Option(help="Labelled file that shall share no document with FILE.")] = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    id_column: IdColumn = None,
    embedder: Annotated[str, typer.Option(help="What turns texts into vectors, as for train.")] = "default",
    embeddings: Vectors = None,
    backend: Backend = "auto",
    precision: Precision = "auto",
    use_cache: UseCache = True,
    multi_label: MultiLabel = False,
    seed: Annotated[int, typer.Option(min=0, help="Decides the cross-validation folds.")] = 0,
    source_name: SourceName = None,
    rejected_file: RejectedFile = None,
    encoding: Encoding = None,
    as_json: AsJson = False,
) -> None:
    """Find rows of a labelled file that deserve a look: conflicting and suspected labels, near-duplicates, leakage."""
    from classifier import workflows

    if embeddings is not None and embedder != "default":
        raise typer.BadParameter("give either --embedder or --embeddings")
    with input_path(file) as path:
        report = workflows.audit(
            path,
            settings_of(None, backend, precision, use_cache),
            columns=Columns(text_column, label_column, id_column, encoding, source_name, rejected_file),
            test_file=test_file,
            output=output,
            embedder=embedder,
            embeddings=embeddings,
            multi_label=multi_label,
            seed=seed,
            progress=True,
        )
    print_notes(report.notes)
    show(audit_lines(report), _values(report), as_json)
    finish(report.n_rejected, report.rejected_file)


def _values(report: AuditReport) -> dict[str, Any]:
    """Return everything as plain values, ready for JSON."""
    return report.audit.summary() | {
        "issues": [
            asdict(issue) | {"row": row, "id": name}
            for issue, (row, name) in zip(report.audit.issues, report.places, strict=True)
        ],
        "accuracy": report.accuracy,
        "leaked_ids": [document.id for document in report.leaked],
        "n_test": report.n_test,
        "n_rejected": report.n_rejected,
        "rejected_file": report.rejected_file,
        "output": report.output,
        "seconds": report.seconds,
    }


def audit_lines(report: AuditReport) -> Sequence[str]:
    """Say what was found, and show the worst rows."""
    accuracy = f"; {percent(report.accuracy)} were answered as labelled while held out" if report.accuracy else ""
    issues, n_leaked = report.audit.issues, len(report.leaked)
    some = f": id {', '.join(snippet(document.id) for document in report.leaked[:5])}" + (" …" if n_leaked > 5 else "")
    leaked = f"{n_leaked:,} of {report.n_test:,} test documents are, or nearly are, training documents"
    return [
        f"Looked at {report.audit.n_documents:,} documents{accuracy}.",
        *report.audit.sentences(),
        *([leaked + (some if n_leaked else "")] if report.n_test else []),
        *(
            f"  row {row}  {label_piece(issue.label, 30)}: {snippet(issue.reason, 100)}"
            for issue, (row, _) in zip(issues[:SHOWN_ISSUES], report.places, strict=False)
        ),
        *([f"  … and {len(issues) - SHOWN_ISSUES:,} more rows to look at"] if len(issues) > SHOWN_ISSUES else []),
        *([f"written to {report.output}"] if report.output else []),
    ]
