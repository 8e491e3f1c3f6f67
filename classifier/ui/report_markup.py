"""HTML of the page of the report: the look of its parts, and what a threshold buys. Pure."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from classifier.analysis import html, report_figures, report_page
from classifier.analysis.confusion import LabelScores
from classifier.ui.markup import escaped, percentage
from classifier.workflows.inspecting import BUDGET_ROWS, ReviewChoice

_OWN_STYLE = """
--paper: light-dark(#ffffff, #12151c); --ink: currentColor; --accent: light-dark(#3b6fd4, #7ea4f0);
--doubt: light-dark(#d9622b, #e8854f); --track: color-mix(in srgb, currentColor 7%, transparent);
section { margin-top: 0; } section + section, .summary + section, .believed + section { margin-top: 2.25rem; }
h2 { font-size: 1.1rem; letter-spacing: 0; }
.summary { margin: 0; } .summary p { font-size: 1rem; max-width: 52rem; }
.believed p { max-width: 52rem; }
.sentences { list-style: disc; } table { color: inherit; }
th, td { border: 0; border-bottom: 1px solid var(--line); background: none; }
.bought { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 0.8rem 1.4rem;
  margin-top: 0.9rem; }
.bought dt { color: var(--muted); font-size: 0.85rem; }
.bought dd { font-size: 1.35rem; font-weight: 640; font-variant-numeric: tabular-nums; line-height: 1.3; }
.bought small { display: block; color: var(--muted); font-size: 0.85rem; font-weight: 400; }
"""
_COLORS = {  # light, dark
    "--paper": ("#ffffff", "#12151c"),
    "--ink": ("#1d2433", "#e6e9f0"),
    "--muted": ("#5b6271", "#a4abb9"),
    "--line": ("#dfe2e8", "#2c3342"),
    "--track": ("#f1f3f6", "#1b202b"),
    "--accent": ("#3b6fd4", "#7ea4f0"),
    "--doubt": ("#d9622b", "#e8854f"),
}
_MARGIN = 14  # ticks stick out of a drawing; a picture would cut them
_FONT = "font:12px 'Source Sans 3',system-ui,'Segoe UI',sans-serif;font-variant-numeric:tabular-nums"
_FIGURE_STYLE = report_figures.STYLE.replace(".plot ", "")
_DRAWING = re.compile(r'<svg class="plot".*?</svg>', re.DOTALL)
_HEAD = re.compile(
    r'<svg class="plot" viewBox="0 0 (?P<width>\d+) (?P<height>\d+)" role="img" aria-label="(?P<label>[^"]*)"'
    r'(?: style="(?P<style>[^"]*)")?>'
)
CSS = f"<style>.dc.report {{ {html.STYLE} {report_page.STYLE} {_OWN_STYLE} }}</style>"


def framed(content: str, *, dark: bool) -> str:
    """Give parts of the report their look, light or dark.

    Drawings become pictures that hold their own colours, as a page shows no others.
    """
    pictured = _DRAWING.sub(lambda found: _picture(found[0], dark=dark), content)
    return f'<div class="dc report">{pictured}</div>'


def _picture(drawing: str, *, dark: bool) -> str:
    """Turn a drawing into a picture, described by the same words."""
    head = _HEAD.match(drawing)
    if head is None:
        return ""
    width, height, label, style = head["width"], head["height"], head["label"], head["style"] or ""
    values = ";".join(f"{name}:{pair[dark]}" for name, pair in _COLORS.items())
    wide = int(width) + 2 * _MARGIN
    size = f'viewBox="-{_MARGIN} 0 {wide} {height}" width="{wide}" height="{height}"'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    look = f"<style>svg{{{values};{_FONT}}}text{{fill:var(--muted)}}.rule{{stroke:var(--line)}}{_FIGURE_STYLE}</style>"
    whole = f"{opening}{look}{drawing[head.end() :]}"
    source = base64.b64encode(whole.encode("utf-8", "replace")).decode()
    return f'<img class="plot" style="{style}" alt="{label}" src="data:image/svg+xml;base64,{source}">'


def bought(choice: ReviewChoice, *, multi_label: bool, dark: bool) -> str:
    """Say what a threshold costs and what it gives."""
    n_read = round(choice.review_fraction * BUDGET_ROWS)
    if choice.accuracy is None or choice.accuracy_interval is None:
        return framed(
            "<p>A person reads everything: no confidence is high enough for this, or the budget is all.</p>", dark=dark
        )
    facts = (
        ("A person reads", f"{n_read:,} of {BUDGET_ROWS:,}", "the ones it is least sure of"),
        ("Whose confidence is below", f"{100 * choice.threshold:.1f} %", ""),
        ("Right among the others", percentage(choice.accuracy), f"95 % interval {bounds(choice.accuracy_interval)}"),
        ("Without any reading", percentage(choice.accuracy_of_all), "of all answers are right"),
    )
    items = "".join(
        f"<div><dt>{name}</dt><dd>{escaped(value)}<small>{escaped(note)}</small></dd></div>"
        for name, value, note in facts
    )
    right = "Right means exactly the right labels. " if multi_label else ""
    measured = (
        f"{right}Measured on {choice.n_documents:,} training documents while they were held out. A threshold is chosen "
        "on the documents it is measured on, which flatters it a little: aim somewhat higher than you need."
    )
    return framed(f'<dl class="bought">{items}</dl><p class="small">{measured}</p>', dark=dark)


def curve(points: Sequence[Mapping[str, float]], choice: ReviewChoice | None, *, dark: bool) -> str:
    """Draw right answers against answered documents, with the chosen threshold on the curve."""
    marks = []
    if choice is not None and choice.accuracy is not None:
        marks.append((1 - choice.review_fraction, choice.accuracy, percentage(choice.accuracy)))
    drawn = report_figures.coverage_curve(points, marks)
    return framed(
        f"<figure><figcaption>Right answers against answered documents</figcaption>{drawn}</figure>", dark=dark
    )


def predict_command(reference: str, choice: ReviewChoice) -> str:
    """Write the command that applies a threshold."""
    model = shlex.quote(reference)
    return f"classifier predict {model} FILE --min-confidence {min(choice.threshold, 1.0):.6g} --output answers.csv"


def bounds(interval: Sequence[float] | None) -> str:
    """Write an interval in percent; empty where there is none."""
    return html.bounds(interval) if interval else ""


def label_columns(rows: Sequence[LabelScores]) -> dict[str, list[Any]]:
    """Arrange what is known of labels by column."""
    return {
        "label": [[row.label] for row in rows],
        "documents": [row.n_documents for row in rows],
        "F1": [100 * row.f1 for row in rows],
        "recall": [100 * row.recall if row.recall_interval else None for row in rows],
        "recall, 95 %": [bounds(row.recall_interval) for row in rows],
        "precision": [100 * row.precision if row.precision_interval else None for row in rows],
        "precision, 95 %": [bounds(row.precision_interval) for row in rows],
    }
