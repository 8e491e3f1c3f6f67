"""The page that says how good a model is, and leads from every number to the documents behind it."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from classifier.datamodels import ReviewPolicy
from classifier.ui import frame, markup, report_errors, report_markup, state
from classifier.ui.report_errors import Inspected
from classifier.ui.state import OpenModel
from classifier.workflows import inspecting
from classifier.workflows.reporting import report_sections

TITLE = "Report"
LEAD = "How good this model is, where it errs, how far its confidence can be trusted, and what reading buys."
PART_KEY = "part"
BUDGET, ACCURACY = "Documents a person can read", "Share that shall be right"
LOWEST_ACCURACY = 50.0


def report() -> None:
    """Draw the page; a mistake that the visitor can mend becomes one sentence."""
    with frame.page(TITLE, LEAD) as settings:
        st.html(report_markup.CSS)
        model = frame.choose_model(settings)
        if model is not None:
            _draw(Inspected(settings, model, frame.open_model(model)))


def _draw(on: Inspected) -> None:
    """Choose one part of the report, and draw it."""
    parts = {name: part for name, part in PARTS.items() if name in _parts_of(on.opened)}
    chosen = st.segmented_control(
        "Part",
        list(parts),
        default="Quality",
        required=True,
        label_visibility="collapsed",
        key=PART_KEY,
        bind="query-params",
    )
    parts.get(chosen or "Quality", _quality)(on)


def _parts_of(opened: OpenModel) -> set[str]:
    """Return the parts that this model has anything for."""
    facts = opened.classifier.facts_
    found = {"Quality", "Model"}
    if facts.get("metrics"):
        found |= {"Labels", "Confidence"} | (set() if opened.classifier.multi_label else {"Confusion"})
    if facts.get("review"):
        found.add("Threshold")
    if facts.get("audit"):
        found.add("Audit")
    return found


def _quality(on: Inspected) -> None:
    """Say how good it is, beside simpler methods, and what it must not be used for."""
    _sections(on, "summary", "quality", "limits")


def _confidence(on: Inspected) -> None:
    """Say whether the confidence can be believed."""
    _sections(on, "believed", "confidence", "sets")


def _model(on: Inspected) -> None:
    """Say what it was made from, what was tried, and what more documents would give."""
    _sections(on, "learning", "race", "data")


def _audit(on: Inspected) -> None:
    """Show what its training documents need."""
    report_errors.suspects(on)
    _sections(on, "audit")


def _review(on: Inspected) -> None:
    """Choose how much a person reads, and see what that buys."""
    st.html(
        markup.section(
            "What reading the unsure answers buys",
            "A person reads the answers below a confidence; the others stand alone, and fewer of them are wrong.",
        )
    )
    left, right = st.columns(2, gap="large")
    with left:
        choice = inspecting.review_choice(on.opened.classifier, _policy())
        if choice is None:
            return
        st.html(report_markup.bought(choice, multi_label=on.opened.classifier.multi_label, dark=state.is_dark()))
        if choice.accuracy is not None:
            st.html('<p class="dc small">To apply it to a file:</p>')
            st.code(report_markup.predict_command(on.opened.reference, choice), language="bash", wrap_lines=True)
    with right:
        st.html(report_markup.curve(on.opened.classifier.facts_["review"]["curve"], choice, dark=state.is_dark()))


def _policy() -> ReviewPolicy:
    """Ask for a number of documents to read, or for a share of right answers."""
    way = st.segmented_control("Choose by", [BUDGET, ACCURACY], default=BUDGET, required=True)
    if way == ACCURACY:
        percent = st.slider(
            "Of the answers that stand alone, shall be right", LOWEST_ACCURACY, 99.5, 95.0, 0.5, "%.1f %%"
        )
        return ReviewPolicy(target_accuracy=percent / 100)
    n_read = st.slider(
        f"Of {inspecting.BUDGET_ROWS:,} documents, a person can read", 0, inspecting.BUDGET_ROWS, 100, 10
    )
    return ReviewPolicy(review_budget=n_read)


def _sections(on: Inspected, *anchors: str) -> None:
    """Draw parts of the written report."""
    drawn = report_sections(on.model.folder.absolute(), on.opened.classifier.facts_, *anchors)
    st.html(report_markup.framed(drawn, dark=state.is_dark()))


PARTS: dict[str, Callable[[Inspected], None]] = {
    "Quality": _quality,
    "Confusion": report_errors.confusion,
    "Labels": report_errors.labels,
    "Confidence": _confidence,
    "Threshold": _review,
    "Audit": _audit,
    "Model": _model,
}
