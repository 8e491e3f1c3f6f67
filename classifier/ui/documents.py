"""A table of documents of which a visitor may choose some: to read them, to send them to review, to take them along."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from classifier.datamodels import Document, Settings
from classifier.errors import counted
from classifier.modeling.label_sets import split_labels
from classifier.prediction.formats import escape_formula
from classifier.ui import markup
from classifier.workflows.corrections import send_to_review

ROW_PIXELS, HEAD_PIXELS, TALLEST_PIXELS = 35, 38, 423
TEXT_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """One row of the table.

    Attributes
    ----------
    id, text : str
    label : str
        The one it has; several are joined by ``|``; empty for none.
    answer : str
        What the model says; empty where nobody knows.
    number : float or None
        In [0, 1]: what the table is ordered by, such as a confidence.
    note : str
        Anything else, such as a reason.
    """

    id: str
    text: str
    label: str = ""
    answer: str = ""
    number: float | None = None
    note: str = ""


def table(
    rows: Sequence[ListedDocument],
    colors: Mapping[str, str],
    *,
    key: str,
    number: str = "confidence",
    note: str = "note",
) -> list[int]:
    """Show documents; return the positions of those that are chosen.

    Parameters
    ----------
    rows : sequence of ListedDocument
    colors : mapping of str to str
        The colour of each label.
    key : str
        Tells this table from all others; under a new key nothing is chosen.
    number, note : str
        What these columns are called; columns without any value are left out.
    """
    if not rows:
        st.html(markup.note("There is no document here"))
        return []
    columns: dict[str, list[object]] = {
        "id": [row.id for row in rows],
        "label": [_shown(row.label, colors) for row in rows],
        "answer": [_shown(row.answer, colors) for row in rows],
        number: [None if row.number is None else 100 * row.number for row in rows],
        note: [row.note for row in rows],
        "text": [markup.shortened(row.text, TEXT_CHARACTERS) for row in rows],
    }
    kept = {name: cells for name, cells in columns.items() if name == "text" or any(cell for cell in cells)}
    shown = markup.NO_LABEL_COLOR | dict(colors)
    labels = st.column_config.MultiselectColumn(options=list(shown), color=list(shown.values()))
    event = st.dataframe(
        kept,
        hide_index=True,
        height=min(HEAD_PIXELS + ROW_PIXELS * len(rows), TALLEST_PIXELS),
        column_config={
            "id": st.column_config.TextColumn(width="small"),
            "label": labels,
            "answer": labels,
            number: st.column_config.ProgressColumn(format="%.1f %%", min_value=0, max_value=100),
            note: st.column_config.TextColumn(width="medium"),
            "text": st.column_config.TextColumn(width="large"),
        },
        on_select="rerun",
        selection_mode="multi-row",
        key=key,
    )
    chosen: list[int] = event["selection"]["rows"]
    return [position for position in chosen if position < len(rows)]


def actions(
    rows: Sequence[ListedDocument], chosen: Sequence[int], *, settings: Settings, name: str, source: str, key: str
) -> None:
    """Offer what can be done with the chosen documents, or with all of them where none is chosen.

    Parameters
    ----------
    rows, chosen
        As given to and returned by `table`.
    settings : Settings
    name : str
        The model whose review they would be sent to.
    source : str
        Where they come from, in a few words; whoever reviews them sees it.
    key : str
        As for `table`.
    """
    taken = [rows[position] for position in chosen] or list(rows)
    which = counted(len(taken), "document") if chosen or len(taken) == 1 else f"all {len(taken):,}"
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(f"Send {which} to review", key=f"{key}-send", disabled=not taken):
            documents = [Document(row.id, row.text, row.label or None) for row in taken]
            n_new = send_to_review(settings, name, documents, source=source)
            known = len(taken) - n_new
            st.toast(f"{counted(n_new, 'document')} sent to review" + (f", {known:,} known there" if known else ""))
        st.download_button(
            "Download CSV",
            partial(_to_csv, taken),
            file_name="documents.csv",
            mime="text/csv",
            key=f"{key}-csv",
            on_click="ignore",
        )
    if chosen:
        first = rows[chosen[0]]
        st.html(markup.document_in_full(first.id, first.text))


def _to_csv(rows: Sequence[ListedDocument]) -> bytes:
    """Write documents for a spreadsheet."""
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["id", "label", "answer", "number", "note", "text"])
    for row in rows:
        number = "" if row.number is None else f"{row.number:.4f}"
        cells = (row.id, row.label, row.answer, number, row.note, row.text)
        writer.writerow([escape_formula(cell) for cell in cells])
    return stream.getvalue().encode("utf-8", "replace")


def _shown(label: str, colors: Mapping[str, str]) -> list[str]:
    """Return labels one by one."""
    return [label] if label in colors else list(split_labels(label))
