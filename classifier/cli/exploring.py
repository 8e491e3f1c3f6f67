"""``map``, ``centroids`` and ``between``: where the training documents of a model lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from classifier.cli.options import AsJson, ModelArgument, ModelsDir, settings_of
from classifier.cli.output import show
from classifier.terminal import label_piece, percent, snippet, table

if TYPE_CHECKING:
    from classifier.workflows.centres import LabelCentre
    from classifier.workflows.exploring import FoundDocument
    from classifier.workflows.lines import End, Line
    from classifier.workflows.mapping import MapReport

_LABEL = 30
_TEXT = 60


def map_documents(
    model: ModelArgument,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="CSV of the id, label and coordinates of each document.")
    ] = None,
    method: Annotated[str, typer.Option(help="tsne (neighbours stay neighbours) or pca (at once).")] = "tsne",
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Give each training document two coordinates; those of tsne are kept, and the page shows them from then on."""
    from classifier.workflows.mapping import map_documents as lay_out

    report = lay_out(model, settings_of(models_dir), method=method, output=output, progress=True)
    show(_map_lines(report), asdict(report), as_json)


def centroids(
    model: ModelArgument,
    label: Annotated[str | None, typer.Option(help="Show what is typical of this label, and what is not.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many documents of each kind.")] = 10,
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Show how compact each label is and which other one is nearest; of one label, the typical documents and others."""
    from classifier.workflows.centres import label_centres, typical
    from classifier.workflows.opening import open_predictor

    predictor = open_predictor(model, settings_of(models_dir))
    centres = label_centres(predictor)
    if label is None:
        show(_centre_lines(centres), {"labels": [asdict(centre) for centre in centres]}, as_json)
        return
    found = typical(predictor, label, k)
    centre = next(centre for centre in centres if centre.label == label)
    values = {
        name: [_values(one) | {"similarity": similarity} for one, similarity in some]
        for name, some in (("farthest", found.farthest), ("nearest", found.nearest))
    }
    lines = [*_centre_lines([centre]), "Least typical:", *_document_lines(found.farthest, "similarity")]
    lines += ["Most typical:", *_document_lines(found.nearest, "similarity")]
    show(lines, asdict(centre) | {"label": label} | {"documents": values}, as_json)


def between(
    model: ModelArgument,
    start: Annotated[str, typer.Argument(metavar="A", help="A label, or the id of a training document.")],
    end: Annotated[str, typer.Argument(metavar="B", help="The same.")],
    limit: Annotated[int, typer.Option(min=1, help="How many documents, those nearest to halfway.")] = 20,
    only_theirs: Annotated[bool, typer.Option("--only-theirs", help="Only documents of A and B.")] = False,
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Show the documents between two labels or documents: at 0 as A is, at 1 as B is, halfway ambiguous."""
    from classifier.workflows import lines
    from classifier.workflows.opening import open_predictor

    predictor = open_predictor(model, settings_of(models_dir))
    ends = lines.end_of(predictor, start), lines.end_of(predictor, end)
    line = lines.between(predictor, *ends, only_theirs=only_theirs)
    found = lines.on_line(predictor, line, float("-inf"), float("inf"), limit=limit)
    heading = _line_heading(ends, line)
    values = {
        "a": _end_values(ends[0]),
        "b": _end_values(ends[1]),
        "similarity": line.similarity,
        "n_documents": len(line.rows),
        "documents": [_values(one) | {"position": position} for one, position in found.documents],
    }
    show([*heading, *_document_lines(found.documents, "position")], values, as_json)


def _map_lines(report: MapReport) -> list[str]:
    """Say what came of a map."""
    how = f"by {report.method}, in {report.seconds:.1f} s"
    if report.explained is not None:
        how += f"; the two axes show {percent(report.explained)} of the variance"
    if report.n_arranged < report.n_documents:
        how += f"; {report.n_arranged:,} decided the layout, the others were placed amid their nearest"
    return [
        f"Mapped {report.n_documents:,} documents {how}.",
        *([f"written to {report.output}"] if report.output else []),
        *([f"kept in {report.kept}"] if report.kept else []),
    ]


def _centre_lines(centres: Sequence[LabelCentre]) -> list[str]:
    """Show labels, the least compact first."""
    header = ("label", "documents", "compactness", "nearest other label", "similarity")
    rows = [
        (
            label_piece(centre.label, _LABEL),
            f"{centre.n_documents:,}",
            f"{centre.compactness:.2f}",
            label_piece(centre.nearest, _LABEL) if centre.nearest else "",
            "" if centre.similarity is None else f"{centre.similarity:.2f}",
        )
        for centre in centres
    ]
    return table(header, rows)


def _document_lines(found: Sequence[tuple[FoundDocument, float]], what: str) -> list[str]:
    """Show documents with a number each."""
    rows = [
        (
            snippet(one.document.text, _TEXT),
            snippet(one.document.id, _LABEL),
            label_piece(one.document.label or "", _LABEL),
            one.correctness,
            f"{number:.2f}",
        )
        for one, number in found
    ]
    return [f"  {line}" for line in table(("document", "id", "label", "held out", what), rows)]


def _line_heading(ends: tuple[End, End], line: Line) -> list[str]:
    """Say what lies at 0 and at 1."""
    kinds = [f"{'label' if end.is_label else 'document'} {snippet(end.name, _LABEL)}" for end in ends]
    return [f"From {kinds[0]} (0) to {kinds[1]} (1), similarity {line.similarity:.2f}; {len(line.rows):,} documents"]


def _end_values(end: End) -> dict[str, Any]:
    """Return an end as plain values."""
    return {"name": end.name, "kind": "label" if end.is_label else "document", "n_documents": len(end.rows)}


def _values(found: FoundDocument) -> dict[str, Any]:
    """Return a document as plain values, ready for JSON."""
    return {
        "id": found.document.id,
        "label": found.document.label or "",
        "answer": found.answer,
        "confidence": found.confidence,
        "correctness": found.correctness,
        "text": found.document.text,
    }
