"""HTML for what became of the rows of a table. Pure, as `markup` is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from classifier.datamodels import STATUS_EMPTY, STATUS_OUT_OF_SCOPE, STATUS_UNSURE, Prediction, Rejection
from classifier.errors import counted
from classifier.ui.markup import NO_LABEL, bars, escaped, percentage

LISTED_REJECTIONS = 100
STATUS_WORDS = {
    STATUS_UNSURE: "a person should read it",
    STATUS_OUT_OF_SCOPE: "it resembles no training document enough, the label is only a guess",
    STATUS_EMPTY: "nothing to read",
}


def table_summary(
    predictions: Sequence[Prediction], n_rejected: int, colors: Mapping[str, str], *, noun: str = "row"
) -> str:
    """Count what became of the rows of a table, or of other things."""
    answered = [prediction for prediction in predictions if prediction.status != STATUS_EMPTY]
    labels = Counter(label for prediction in answered for label in prediction.labels or (NO_LABEL,))
    n_answered, n_empty = len(answered), len(predictions) - len(answered)
    parts = [f"{counted(n_answered, noun)} answered"]
    parts += [f"{n_empty:,} with nothing to read"] if n_empty else []
    parts += [f"{n_rejected:,} rejected"] if n_rejected else []
    rows = [(label, count / n_answered, f"{count:,}") for label, count in labels.most_common(12)]
    return f'<section class="dc"><h2>{escaped(", ".join(parts))}</h2>{bars(rows, colors)}</section>'


def batch_summary(report: Mapping[str, Any]) -> str:
    """Sum up a batch: what became of its rows, how long it took, and how far the fast way can be trusted."""
    counts, seconds = report["counts"], max(report["seconds"], 1e-9)
    facts = [f"<span><strong>{counts['n_predicted']:,}</strong> rows answered</span>"]
    facts += [f"<span><strong>{n:,}</strong> {escaped(status)}</span>" for status, n in counts["statuses"].items()]
    if counts["n_rejected"]:
        facts.append(f"<span><strong>{counts['n_rejected']:,}</strong> rejected</span>")
    facts.append(f"<span>{seconds:,.1f} s, {counts['n_rows'] / seconds:,.0f} rows/s</span>")
    lines = [f'<p class="facts">{"".join(facts)}</p>']
    told = [f"{status}: {STATUS_WORDS[status]}" for status in counts["statuses"] if status in STATUS_WORDS]
    lines += [f'<p class="small">{escaped("; ".join(told))}.</p>'] if told else []
    found = report.get("agreement")
    if found is not None and counts["n_cheap"]:
        low, high = (percentage(bound) for bound in found["interval"])
        share = percentage(counts["n_cheap"] / max(1, counts["n_rows"]))
        lines.append(
            f'<p class="small">{share} of the rows were answered by their words alone. '
            f"{found['n_audited']:,} of those answers were checked with the whole model, "
            f"{found['n_differing']:,} differed: between {low} and {high} of all rows.</p>"
        )
    elif found is not None:
        lines.append('<p class="small">No answer by words alone was sure enough: the whole model answered all.</p>')
    return f'<div class="dc">{"".join(lines)}</div>'


def rejected_rows(rejections: Sequence[Rejection]) -> str:
    """List rows that could not be read, with the reason for each."""
    items = [f"Row {rejection.row:,} {rejection.reason}" for rejection in rejections[:LISTED_REJECTIONS]]
    n_more = len(rejections) - len(items)
    items += [f"and {counted(n_more, 'more row')}"] if n_more else []
    listed = "".join(f'<li class="small user">{escaped(item)}</li>' for item in items)
    return (
        '<section class="dc"><h2>Rejected rows</h2><p class="small">They are not part of the download.</p>'
        f'<ul class="rejected">{listed}</ul></section>'
    )
