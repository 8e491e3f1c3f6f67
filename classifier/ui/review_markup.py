"""HTML for a review: one document with what is known of it. Pure, as `markup` is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from classifier.modeling.label_sets import split_labels
from classifier.storage.feedback import Decision
from classifier.ui.markup import NO_LABEL, PASSAGE_CHARACTERS, bars, chips, escaped, percentage, shortened
from classifier.workflows.reviewing import ReviewItem

CSS = """
<style>
.dc.review .about { display: flex; flex-wrap: wrap; gap: 0.15rem 1.2rem; margin-bottom: 0.5rem; }
.dc.review .text { border: 1px solid var(--line); border-radius: 0.6rem; padding: 1rem 1.2rem; font-size: 1.05rem;
                   max-height: 26rem; overflow-y: auto; }
.dc.review .labels { display: grid; grid-template-columns: max-content 1fr; gap: 0.3rem 1rem; margin-top: 0.9rem; }
.dc.decision { display: grid; grid-template-columns: minmax(12rem, 24rem) 1fr; gap: 0.1rem 1.5rem;
               align-items: baseline; }
.dc.decision .chips, .dc.review .labels .chips { display: inline-flex; }
@media (max-width: 640px) { .dc.decision { grid-template-columns: 1fr; } }
.st-key-review-labels button { padding: 0.15rem 0.7rem; min-height: 2rem; }
.dc.review .labels dt { color: var(--muted); font-size: 0.9rem; }
</style>
"""


def render_item(item: ReviewItem, colors: Mapping[str, str]) -> str:
    """Show a document, the label it has, and what the model suggests.

    Parameters
    ----------
    item : ReviewItem
        Whatever its texts hold stays inert.
    colors : mapping of str to str
        The colour of each label.
    """
    more = len(item.text) - PASSAGE_CHARACTERS
    rest = f" … and {more:,} more characters" if more > 0 else ""
    about = [f"{escaped(item.document)}" if item.document else "", escaped(item.source), escaped(item.reason)]
    listed = "".join(f'<span class="user">{one}</span>' for one in about if one)
    rows = [("Label", _labels(item.label, colors) if item.label else "none yet")]
    if item.confidence is not None:
        sure = f' <span class="small number">{percentage(item.confidence)}</span>'
        rows.append(("The model suggests", f"{_labels(item.suggestion, colors)}{sure}"))
    terms = "".join(f"<dt>{term}</dt><dd>{value}</dd>" for term, value in rows)
    ranking = [(label, share, percentage(share)) for label, share in item.ranking] if len(item.ranking) > 2 else []
    return (
        f'<section class="dc review"><p class="about small">{listed}</p>'
        f'<div class="text passage">{escaped(item.text[:PASSAGE_CHARACTERS])}{rest}</div>'
        f'<dl class="labels">{terms}</dl>{bars(ranking, colors) if ranking else ""}</section>'
    )


def render_counts(n_ahead: int, n_done: int, n_skipped: int, n_untrained: int) -> str:
    """Count what is ahead and what was done."""
    parts = [
        f"<span><strong>{n_ahead:,}</strong> ahead</span>",
        f"<span><strong>{n_done:,}</strong> decided now</span>",
        f"<span><strong>{n_skipped:,}</strong> skipped</span>",
        f"<span><strong>{n_untrained:,}</strong> corrections no version has learned from</span>",
    ]
    return f'<div class="dc"><p class="facts">{"".join(parts)}</p></div>'


def render_decision(decision: Decision, colors: Mapping[str, str]) -> str:
    """Show what was decided about a document."""
    before = _labels(decision.old_label, colors) if decision.old_label else '<span class="small">no label</span>'
    is_kept = decision.old_label == decision.new_label
    change = (
        f"{_labels(decision.new_label, colors)} kept"
        if is_kept
        else f"{before} → {_labels(decision.new_label, colors)}"
    )
    return (
        f'<div class="dc decision"><span class="change">{change}</span>'
        f'<span class="small user">{escaped(shortened(decision.text, 110))}</span></div>'
    )


def render_retraining(result: Mapping[str, Any]) -> str:
    """Say what a new version learned."""
    counts = [
        (result["n_relabelled"], "changed a label"),
        (result["n_added"], "brought a new document"),
        (result["n_confirmed"], "confirmed a label"),
    ]
    told = "".join(f"<span><strong>{number:,}</strong> {words}</span>" for number, words in counts)
    return (
        f'<div class="dc"><p class="facts"><span><strong>{escaped(result["model"])}</strong> learned from '
        f"{result['n_documents']:,} documents in {result['seconds']:.0f} s</span>{told}</p></div>"
    )


def _labels(label: str, colors: Mapping[str, str]) -> str:
    """Draw one label, or each of several."""
    parts = (label,) if label in colors else split_labels(label) or (NO_LABEL,)
    return f'<span class="chips">{chips(parts, colors)}</span>'
