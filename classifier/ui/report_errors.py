"""The parts of the report's page that lead to documents: confused labels, single labels, labels to doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from classifier.analysis.confusion import ConfusedPair, Confusion
from classifier.analysis.issues import ISSUE_KINDS
from classifier.datamodels import Settings
from classifier.storage.registry import ModelVersion
from classifier.ui import documents, markup, report_charts, report_markup, state
from classifier.ui.documents import ListedDocument
from classifier.ui.state import OpenModel
from classifier.workflows import inspecting
from classifier.workflows.inspecting import HeldOutDocument

WHOLE_MATRIX, SHOWN_LABELS, MOST_LABELS = 20, 12, 30
SHOWN_PAIRS, SHOWN_DOCUMENTS = 200, 500
MATRIX, PAIRS = "Matrix", "List of errors"
MISSED, WRONG = "Missed", "Wrongly given"
KIND_MEANINGS = {
    "conflicting": "an equal text has another label",
    "suspected": "the model is clearly for another label",
    "near-duplicate": "nearly equal texts have another label",
    "doubtful": "another label is a little more probable",
}


@dataclass(frozen=True, slots=True)
class Inspected:
    """The model that a part of the page is about."""

    settings: Settings
    model: ModelVersion
    opened: OpenModel


def confusion(on: Inspected) -> None:
    """Show which labels are taken for which; a cell or a row opens its documents."""
    opened = on.opened
    found = state.remembered(_subject(opened), "confusion", lambda: inspecting.confusion_table(opened.classifier))
    if found is None:
        st.html(markup.note("It was not measured which labels are taken for which"))
        return
    st.html(markup.section("What is taken for what", f"Measured on {found.measured_on}."))
    errors = found.confusion.errors()
    way = st.segmented_control("Shown as", [MATRIX, PAIRS], default=MATRIX, required=True, label_visibility="collapsed")
    if way == MATRIX:
        pair = _matrix(found.confusion, f"{opened.reference} matrix")
    else:
        pair = _pairs(errors, opened.colors, f"{opened.reference} pairs")
    if not found.has_documents:
        st.html(markup.note(inspecting.why_no_documents(opened.classifier)))
        return
    if pair is None:
        st.html('<p class="dc small">Choose a cell, or a row of the list, to read its documents.</p>')
        return
    true, answered = pair
    rows = inspecting.documents_of_pair(opened.classifier, true, answered, limit=SHOWN_DOCUMENTS)
    title = f"{true}: answered rightly" if true == answered else f"{true} taken for {answered}"
    note = "The least sure answer first." if true == answered else "The surest error first: these labels may be wrong."
    code = {label: number for number, label in enumerate(found.confusion.labels)}
    _documents(rows, title, note, on, key=f"pair {code[true]} {code[answered]}")


def labels(on: Inspected) -> None:
    """Show how each label fares; a row opens the documents that missed the label or wrongly got it."""
    opened = on.opened
    found = state.remembered(_subject(opened), "labels", lambda: inspecting.label_table(opened.classifier))
    st.html(
        markup.section(
            "Label by label, the weakest first",
            f"Measured on {found.measured_on}. Recall: of the documents that have the label, how many were given it. "
            "Precision: of those that were given it, how many have it. F1 balances both.",
        )
    )
    options = {name: st.column_config.NumberColumn(format="%.1f %%") for name in ("recall", "precision")} | {
        "F1": st.column_config.ProgressColumn(format="%.1f %%", min_value=0, max_value=100)
    }
    chosen = _choose_row(report_markup.label_columns(found.rows), opened.colors, options, f"{opened.reference} labels")
    if not found.has_documents:
        st.html(markup.note(inspecting.why_no_documents(opened.classifier)))
        return
    if chosen is None or chosen >= len(found.rows):
        st.html('<p class="dc small">Choose a row to read the documents behind its errors.</p>')
        return
    label = found.rows[chosen].label
    st.html(f'<div class="dc"><h2>Errors of {markup.chips([label], opened.colors)}</h2></div>')
    kind = st.segmented_control("Errors", [MISSED, WRONG], default=MISSED, required=True, label_visibility="collapsed")
    read = inspecting.missed_documents if kind == MISSED else inspecting.wrongly_given_documents
    note = "They have the label and were not given it." if kind == MISSED else "They were given it and do not have it."
    rows = read(opened.classifier, label, limit=SHOWN_DOCUMENTS)
    _documents(rows, "", f"{note} The surest first.", on, key=f"label {chosen} {kind}")


def suspects(on: Inspected) -> None:
    """List the training documents whose label deserves a look, filtered."""
    opened = on.opened
    classifier = opened.classifier
    st.html(
        markup.section(
            "Training documents that deserve a look",
            "The worst first. Answer: the label that seems right. Quality: how well the label that it has fits.",
        )
    )
    if not classifier.issues_:
        n_once = inspecting.n_suspected_once(classifier.facts_)
        known = (
            f"{n_once:,} were noticed, but an earlier version trained this model and did not keep which: train again"
        )
        st.html(markup.note(known if n_once else "None was found"))
        return
    with st.container(horizontal=True):
        kind = st.selectbox("Kind", [None, *ISSUE_KINDS], format_func=_kind_name)
        label = st.selectbox("Label", [None, *opened.colors], format_func=lambda one: one or "All labels")
    found = inspecting.suspected_documents(classifier, kind=kind, label=label)
    rows = [
        ListedDocument(
            document.id, document.text, issue.label, issue.suggested, issue.quality, f"{issue.kind}: {issue.reason}"
        )
        for issue, document in found
    ]
    key = f"{opened.reference} suspects {kind} {list(opened.colors).index(label) if label else ''}"
    chosen = documents.table(rows, opened.colors, key=key, number="quality", note="reason")
    if rows:
        documents.actions(
            rows, chosen, settings=on.settings, name=on.model.name, source="labels to doubt", key=f"{key} do"
        )


def _matrix(found: Confusion, key: str) -> tuple[str, str] | None:
    """Draw the matrix, of many labels only the most confused; return true label and answer of the chosen cell."""
    shown: Sequence[str] = found.labels
    if len(shown) > WHOLE_MATRIX:
        shown = st.multiselect(
            f"Labels, of {len(found.labels):,}; to begin with, those of the most frequent errors",
            found.labels,
            default=list(found.most_confused(SHOWN_LABELS)) or list(found.labels[:SHOWN_LABELS]),
            max_selections=MOST_LABELS,
        )
    if not shown:
        st.html(markup.note("No label is chosen"))
        return None
    code = {label: number for number, label in enumerate(found.labels)}
    matrix, n_true = found.among(shown), [found.n_true[code[label]] for label in shown]
    st.html(
        '<p class="dc small">A row is a true label, a column the answer. Blue is right, orange wrong; the deeper, the '
        "larger the share of its row.</p>"
    )
    event = st.echarts_chart(
        report_charts.matrix_chart(shown, matrix, n_true, dark=state.is_dark()),
        height=report_charts.matrix_height(len(shown)),
        width=report_charts.matrix_width(len(shown)),
        renderer="svg",
        on_select="rerun",
        key=f"{key} {' '.join(str(code[label]) for label in shown)}",
        alt="Confusion matrix: rows are true labels, columns answers; the list of errors says the same in words",
    )
    cells = report_charts.matrix_cells(matrix)
    chosen = [index for group in event["selection"]["selected"] for index in group["data_indices"]]
    if not chosen or chosen[0] >= len(cells):
        return None
    row, column = cells[chosen[0]]
    return shown[row], shown[column]


def _pairs(errors: Sequence[ConfusedPair], colors: Mapping[str, str], key: str) -> tuple[str, str] | None:
    """List the pairs that are confused; return the chosen one."""
    if not errors:
        st.html(markup.note("No label was taken for another"))
        return None
    listed = errors[:SHOWN_PAIRS]
    if len(listed) < len(errors):
        st.html(markup.note(f"The {len(listed):,} most frequent of {len(errors):,} pairs"))
    columns: dict[str, list[Any]] = {
        "true label": [[pair.true] for pair in listed],
        "taken for": [[pair.answered] for pair in listed],
        "documents": [pair.n_documents for pair in listed],
        "share of the label": [100 * pair.share for pair in listed],
    }
    options = {"share of the label": st.column_config.ProgressColumn(format="%.1f %%", min_value=0, max_value=100)}
    chosen = _choose_row(columns, colors, options, key)
    return None if chosen is None or chosen >= len(listed) else (listed[chosen].true, listed[chosen].answered)


def _choose_row(
    columns: Mapping[str, list[Any]], colors: Mapping[str, str], options: Mapping[str, Any], key: str
) -> int | None:
    """Show a table whose columns of labels have their colours; return the chosen row."""
    named = st.column_config.MultiselectColumn(options=list(colors), color=list(colors.values()))
    n_rows = len(next(iter(columns.values())))
    event = st.dataframe(
        dict(columns),
        hide_index=True,
        height=min(documents.HEAD_PIXELS + documents.ROW_PIXELS * n_rows, documents.TALLEST_PIXELS),
        column_config={name: named for name in ("label", "true label", "taken for") if name in columns} | dict(options),
        on_select="rerun",
        selection_mode="single-row",
        key=key,
    )
    rows: list[int] = event["selection"]["rows"]
    return rows[0] if rows else None


def _documents(
    found: Sequence[HeldOutDocument],
    title: str,
    note: str,
    on: Inspected,
    *,
    key: str,
) -> None:
    """List documents, and what can be done with them."""
    more = f" The first {SHOWN_DOCUMENTS:,}." if len(found) == SHOWN_DOCUMENTS else ""
    if title:
        st.html(markup.section(title, note + more))
    else:
        st.html(f'<p class="dc small">{markup.escaped(note + more)}</p>')
    rows = [ListedDocument(one.document.id, one.document.text, one.label, one.answer, one.confidence) for one in found]
    chosen = documents.table(rows, on.opened.colors, key=f"{on.opened.reference} {key}")
    if rows:
        source = "errors while held out"
        documents.actions(
            rows, chosen, settings=on.settings, name=on.model.name, source=source, key=f"{on.opened.reference} {key} do"
        )


def _kind_name(kind: str | None) -> str:
    """Say what a kind of issue means."""
    return "All kinds" if kind is None else f"{kind}: {KIND_MEANINGS[kind]}"


def _subject(opened: OpenModel) -> tuple[str, ...]:
    """Tell what is remembered about this model on this page from everything else."""
    return ("report", *opened.key)
