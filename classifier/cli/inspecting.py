"""``errors``, ``threshold`` and ``suspects``: what the page of the report shows, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from classifier.analysis.html import bounds
from classifier.cli.options import AsJson, MinConfidence, ModelArgument, ModelsDir, TargetAccuracy, review_of
from classifier.cli.output import show
from classifier.datamodels import Settings
from classifier.errors import TrainingDataError
from classifier.terminal import label_piece, percent, snippet, table

if TYPE_CHECKING:
    from classifier.analysis.confusion import LabelScores
    from classifier.analysis.issues import LabelIssue
    from classifier.datamodels import Document
    from classifier.workflows.inspecting import ConfusionTable, HeldOutDocument, LabelTable, ReviewChoice

SHOWN_PAIRS, SHOWN_DOCUMENTS, SHOWN_LABELS = 20, 20, 300

TrueLabel = Annotated[str | None, typer.Option("--true", help="Documents that have this label …")]
AnsweredLabel = Annotated[str | None, typer.Option("--answered", help="… and were given this one, maybe the same.")]
OneLabel = Annotated[str | None, typer.Option("--label", help="Documents that missed this label or wrongly got it.")]
BudgetOf1000 = Annotated[
    int | None, typer.Option("--review-budget", min=0, help="How many of 1,000 documents a person can read.")
]


def errors(
    model: ModelArgument,
    true: TrueLabel = None,
    answered: AnsweredLabel = None,
    label: OneLabel = None,
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what a model gets wrong: each label, the pairs it confuses, and the training documents behind them."""
    from classifier import workflows
    from classifier.workflows import inspecting

    if (true is None) != (answered is None) or (true is not None and label is not None):
        raise typer.BadParameter("give --true and --answered together, or --label alone")
    opened = workflows.open_predictor(model, Settings.from_environment(models_dir))
    if true is not None and answered is not None:
        found = inspecting.documents_of_pair(opened, true, answered)
        show(document_lines(found), {"documents": _plain(found)}, as_json)
    elif label is not None:
        missed, wrong = inspecting.missed_documents(opened, label), inspecting.wrongly_given_documents(opened, label)
        lines = [
            f"{len(missed):,} missed:",
            *document_lines(missed),
            f"{len(wrong):,} wrongly given:",
            *document_lines(wrong),
        ]
        show(lines, {"missed": _plain(missed), "wrongly_given": _plain(wrong)}, as_json)
    else:
        labels = inspecting.label_table(opened)
        confusion = None if opened.multi_label else inspecting.confusion_table(opened)
        values = {
            "measured_on": labels.measured_on,
            "has_documents": labels.has_documents,
            "labels": [asdict(one) for one in labels.rows],
            "pairs": None if confusion is None else [asdict(pair) for pair in confusion.confusion.errors()],
        }
        show([*label_lines(labels), *pair_lines(confusion)], values, as_json)


def threshold(
    model: ModelArgument,
    target_accuracy: TargetAccuracy = None,
    review_budget: BudgetOf1000 = None,
    min_confidence: MinConfidence = None,
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """Show below which confidence a person must read, how much that is, and how often the rest is right."""
    from classifier import workflows
    from classifier.workflows import inspecting

    opened = workflows.open_predictor(model, Settings.from_environment(models_dir))
    choice = inspecting.review_choice(opened, review_of(target_accuracy, review_budget, min_confidence))
    if choice is None:
        problem = "This model was never measured, so that nothing is known about thresholds"
        raise TrainingDataError(problem, "train it on documents of which every label has two or more")
    show(review_lines(choice), asdict(choice), as_json)


def suspects(
    model: ModelArgument,
    kind: Annotated[
        str | None, typer.Option(help="Only these: conflicting, suspected, near-duplicate or doubtful.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Only documents that have or may deserve this label.")] = None,
    models_dir: ModelsDir = None,
    as_json: AsJson = False,
) -> None:
    """List the training documents of a model whose label deserves a look, the worst first."""
    from classifier import workflows
    from classifier.workflows import inspecting

    opened = workflows.open_predictor(model, Settings.from_environment(models_dir))
    found = inspecting.suspected_documents(opened, kind=kind, label=label)
    values = [asdict(issue) | {"id": document.id, "text": document.text} for issue, document in found]
    show(suspect_lines(found, inspecting.n_suspected_once(opened.facts_)), {"documents": values}, as_json)


def label_lines(found: LabelTable) -> list[str]:
    """Lay out how each label fares, the weakest first."""
    if not found.rows:
        return ["Nothing was measured."]
    rows = [
        (label_piece(one.label), f"{one.n_documents:,}", *_scores(one), f"{one.f1:.2f}")
        for one in found.rows[:SHOWN_LABELS]
    ]
    n_more = len(found.rows) - len(rows)
    header = ("label", "documents", "precision", "95 %", "recall", "95 %", "F1")
    more = [f"  … and {n_more:,} labels with a higher F1"] if n_more else []
    return [f"Measured on {found.measured_on}:", *(f"  {line}" for line in table(header, rows)), *more]


def pair_lines(found: ConfusionTable | None) -> list[str]:
    """List the most frequent errors."""
    if found is None:
        return []
    pairs = found.confusion.errors()
    lines = [
        f"  {pair.n_documents:>6,}  {label_piece(pair.true, 40)} taken for {label_piece(pair.answered, 40)}"
        f" ({percent(pair.share)})"
        for pair in pairs[:SHOWN_PAIRS]
    ]
    more = [f"  … and {len(pairs) - SHOWN_PAIRS:,} more pairs"] if len(pairs) > SHOWN_PAIRS else []
    return ["Most often confused:" if pairs else "No label was taken for another.", *lines, *more]


def document_lines(found: Sequence[HeldOutDocument]) -> list[str]:
    """List documents with their answers."""
    lines = [
        f"  {percent(one.confidence):>7}  {label_piece(one.label, 30)} → {label_piece(one.answer, 30)}  "
        f"{snippet(one.document.id, 20)}  {snippet(one.document.text, 70)}"
        for one in found[:SHOWN_DOCUMENTS]
    ]
    more = [f"  … and {len(found) - SHOWN_DOCUMENTS:,} more"] if len(found) > SHOWN_DOCUMENTS else []
    return [*lines, *more] or ["  no document"]


def review_lines(choice: ReviewChoice) -> list[str]:
    """Say what a threshold costs and gives."""
    measured = f"Measured on {choice.n_documents:,} held-out training documents."
    if choice.accuracy is None or choice.accuracy_interval is None:
        return [f"A person reads everything: no answer is left alone. {measured}"]
    return [
        f"threshold       {choice.threshold:.6g}  (--min-confidence)",
        f"a person reads  {percent(choice.review_fraction)}",
        f"rest right      {percent(choice.accuracy)}  (95 % interval {bounds(choice.accuracy_interval)})",
        f"without review  {percent(choice.accuracy_of_all)}",
        measured,
    ]


def suspect_lines(found: Sequence[tuple[LabelIssue, Document]], n_once: int) -> list[str]:
    """List what deserves a look."""
    lines = [
        f"  {snippet(document.id, 20)}  {label_piece(issue.label, 30)}: {snippet(issue.reason, 100)}"
        for issue, document in found[:SHOWN_DOCUMENTS]
    ]
    if not found and n_once:
        return [f"None is kept with this model that is asked for; {n_once:,} were noticed when it was trained."]
    more = [f"  … and {len(found) - SHOWN_DOCUMENTS:,} more"] if len(found) > SHOWN_DOCUMENTS else []
    return [f"{len(found):,} training documents deserve a look:", *lines, *more] if found else ["None deserves a look."]


def _scores(one: LabelScores) -> tuple[str, str, str, str]:
    """Write precision and recall, each with its interval."""
    precision, recall = one.precision_interval, one.recall_interval
    return (
        f"{one.precision:.2f}" if precision else "",
        bounds(precision) if precision else "",
        f"{one.recall:.2f}" if recall else "",
        bounds(recall) if recall else "",
    )


def _plain(found: Sequence[HeldOutDocument]) -> list[dict[str, Any]]:
    """Return documents as plain values, ready for JSON."""
    return [
        {"id": one.document.id, "label": one.label, "answer": one.answer, "confidence": one.confidence}
        | {"text": one.document.text}
        for one in found
    ]
