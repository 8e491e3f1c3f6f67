"""Two versions side by side: the verdict, both figures, and what became of each label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import streamlit as st

from classifier.analysis.paired import FELL_RULE, AnswerScore, LabelChange, p_words
from classifier.errors import counted
from classifier.ui import markup

if TYPE_CHECKING:
    from classifier.workflows.versions import VersionComparison

FELL, MAYBE, RISE, LOWER, SAME = "▼ fell", "▼ fell, maybe chance", "▲ more found", "▽ fewer found", "= same"
ROW_PIXELS, HEAD_PIXELS, TALLEST_PIXELS = 35, 38, 458
CSS = """
<style>
.dc.verdict { border-left: 4px solid currentColor; padding: 0.1rem 0 0.1rem 1.1rem; max-width: 60rem; }
.dc.verdict.worse { border-left-style: double; border-left-width: 6px; }
.dc .figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 0.9rem;
               margin-top: 1rem; }
.dc .figure { border: 1px solid var(--line); border-radius: 0.6rem; padding: 0.8rem 1rem; }
.dc .figure .value { font-size: 1.7rem; font-weight: 650; letter-spacing: -0.02em; line-height: 1.3; }
.dc .warned { margin-top: 0.9rem; display: grid; gap: 0.25rem; }
</style>
"""


def render_comparison(comparison: VersionComparison, colors: Mapping[str, str]) -> None:
    """Show whether the new version is better, and for which labels.

    Parameters
    ----------
    comparison : VersionComparison
        Whatever its labels hold stays inert.
    colors : mapping of str to str
        The colour of each label.
    """
    st.html(CSS)
    st.html(summary(comparison))
    changes = comparison.scores.labels
    n_fallen = sum(change.fell for change in changes)
    note = f"{counted(n_fallen, 'label')} fell. {FELL_RULE}." if n_fallen else f"No label fell. {FELL_RULE}."
    st.html(markup.section("Label by label", note))
    options = dict(colors) | {
        change.label: markup.NO_LABEL_COLOR[markup.NO_LABEL] for change in changes if change.label not in colors
    }
    st.dataframe(
        label_table(changes),
        hide_index=True,
        height=min(HEAD_PIXELS + ROW_PIXELS * len(changes), TALLEST_PIXELS),
        column_config={
            "label": st.column_config.MultiselectColumn(options=list(options), color=list(options.values())),
            "documents": st.column_config.NumberColumn(format="localized", help="Documents that truly have the label"),
            **{
                name: st.column_config.NumberColumn(format="%.1f %%", help=text)
                for name, text in (
                    ("found before", "Recall of the old version: share of the documents of the label that got it"),
                    ("found now", "Recall of the new version"),
                    (
                        "right before",
                        "Precision of the old version: share of the documents given the label that have it",
                    ),
                    ("right now", "Precision of the new version"),
                )
            },
            "change": st.column_config.NumberColumn(format="%+.1f", help="Points of recall, new less old"),
        },
    )


def summary(comparison: VersionComparison) -> str:
    """Write the verdict, both figures and the warnings as HTML."""
    scores = comparison.scores
    word = "Exactly the right labels" if comparison.multi_label else "Right answers"
    figures = "".join(
        _figure(name, one, word) for name, one in ((comparison.old, scores.old), (comparison.new, scores.new))
    )
    verdict, _, detail = comparison.verdict.partition(": ")
    worse = " worse" if scores.is_shown and scores.difference < 0 else ""
    warned = markup.warned(comparison.warnings)
    notes = " ".join(comparison.notes)
    return (
        f'<section class="dc"><div class="dc verdict{worse}"><h2 class="user">{markup.escaped(verdict)}</h2>'
        f'<p class="user">{markup.escaped(detail[:1].upper() + detail[1:])}</p></div><div class="figures">{figures}'
        f"{_paired(comparison)}</div>"
        f'<ul class="warned">{warned}</ul>'
        f'<p class="small user" style="margin-top: 0.9rem">Measured on {markup.escaped(comparison.measured_on)}. '
        f"{markup.escaped(notes)}</p></section>"
    )


def label_table(changes: tuple[LabelChange, ...]) -> dict[str, list[object]]:
    """Arrange what became of each label by column; shares in per cent."""
    return {
        "label": [[change.label] for change in changes],
        "what": [_word(change) for change in changes],
        "documents": [change.n_documents for change in changes],
        "found before": [_percent(change.old_recall) for change in changes],
        "found now": [_percent(change.new_recall) for change in changes],
        "change": [_percent(change.recall_difference) for change in changes],
        "right before": [_percent(change.old_precision) for change in changes],
        "right now": [_percent(change.new_precision) for change in changes],
    }


def _figure(name: str, score: AnswerScore, word: str) -> str:
    """Draw the figure of one version."""
    low, high = (100 * bound for bound in score.accuracy_interval)
    return (
        f'<div class="figure"><p class="small user">{markup.escaped(name)}</p>'
        f'<p class="value number">{markup.percentage(score.accuracy)}</p>{markup.track(score.accuracy, "")}'
        f'<p class="small">{word}; 95 % interval {low:.1f} to {high:.1f}; macro-F1 {score.macro_f1:.3f}</p></div>'
    )


def _paired(comparison: VersionComparison) -> str:
    """Draw the documents that tell the versions apart."""
    scores = comparison.scores
    return (
        '<div class="figure"><p class="small">Where only one of them is right</p>'
        f'<p class="value number">{scores.n_only_old_right:,} : {scores.n_only_new_right:,}</p>'
        f'<p class="small user">of {counted(scores.n_documents, "document")}, {markup.escaped(comparison.old)} : '
        f"{markup.escaped(comparison.new)}; {p_words(scores.p_value)}, McNemar's exact test</p></div>"
    )


def _word(change: LabelChange) -> str:
    """Say in a word and a sign what became of a label."""
    difference = change.recall_difference
    if change.fell:
        return FELL if change.beyond_chance else MAYBE
    return SAME if not difference else RISE if difference > 0 else LOWER


def _percent(share: float | None) -> float | None:
    """Return a share in per cent; None where there is none."""
    return None if share is None else 100 * share
