"""Pieces of the page that trains: its questions, and what is seen in the file before training."""

from __future__ import annotations

import streamlit as st

from classifier.errors import counted
from classifier.ui import markup, widgets
from classifier.workflows.batch_jobs import Upload
from classifier.workflows.checking import FileChecks
from classifier.workflows.train_jobs import EMBEDDERS, TrainingRequest

SHOWN_LABELS = 15
NO_IDS = "(row numbers)"
TALLEST_PIXELS = 388


def request(upload: Upload, name: str) -> TrainingRequest | None:
    """Ask how a file is read and what is trained on it; None until texts, labels and a name are chosen."""
    text = widgets.pick_column("Column with the texts", upload.columns, upload.text_column)
    label = widgets.pick_column("Column with the labels", upload.columns, upload.label_column)
    with st.expander("More choices"):
        ids = [NO_IDS, *upload.columns]
        chosen_id = st.selectbox("Column with the ids", ids, index=ids.index(upload.id_column or NO_IDS))
        multi_label = st.toggle("A document may have several labels, joined by |, or none")
        alike = st.toggle("Write labels alike that differ only by case or spaces")
        embedder = st.radio(
            "What turns texts into numbers", list(EMBEDDERS), captions=list(EMBEDDERS.values()), horizontal=False
        )
    name = st.text_input("Name of the model", name, help="Letters, digits, '.', '_' and '-'", max_chars=64)
    if text is None or label is None or not name:
        st.html(markup.note("Choose both columns and a name to go on"))
        return None
    if text == label:
        st.html(markup.note("Texts and labels cannot come from one column"))
        return None
    return TrainingRequest(
        name=name,
        text_column=text,
        label_column=label,
        id_column=None if chosen_id == NO_IDS else chosen_id,
        multi_label=multi_label,
        normalise_labels=alike,
        embedder=embedder,
    )


def what_becomes(name: str, meant: str | None) -> str:
    """Say what training will add."""
    if meant is None:
        return f"This makes version 1 of {name}, which answers at once"
    return f"This adds a version to {name}; version {meant} goes on answering until you promote the new one"


def checks(found: FileChecks) -> None:
    """Show what was seen in the file: its labels, and what deserves a look."""
    counts, n_documents = found.labels.counts, found.labels.n_documents
    title = f"{counted(n_documents, 'document')} to learn from, {counted(len(counts), 'label')}"
    st.html(markup.section(title))
    shown = list(counts.items())[:SHOWN_LABELS]
    largest = max(counts.values(), default=1)
    st.html(f'<div class="dc">{markup.bars([(label, n / largest, f"{n:,}") for label, n in shown], {})}</div>')
    if len(counts) > SHOWN_LABELS:
        st.html(markup.note(f"{counted(len(counts) - SHOWN_LABELS, 'rarer label')} not shown"))
    sentences = list(found.sentences())
    st.html(markup.section("What deserves a look" if sentences else "Nothing in it stands out"))
    st.html(f'<ul class="dc">{markup.warned(sentences)}</ul>')
    _examples(found)


def _examples(found: FileChecks) -> None:
    """Show some of the rows that the sentences count."""
    rows = [
        *(("conflicting labels", found.documents[row]) for one in found.labels.conflicts for row in one.rows[:3]),
        *(("copy", found.documents[row]) for rows in found.labels.copies for row in rows[:2]),
        *(("no label", document) for document in found.unlabelled),
        *(("nothing to read", document) for document in found.empty),
    ]
    shown = [(kind, one.row, one.label or "", markup.shortened(one.text)) for kind, one in rows]
    shown += [("cannot be read", one.row, "", one.reason) for one in found.rejected]
    if shown:
        with st.expander("Examples of these rows"):
            columns = ("what", "row", "label", "text")
            table = {name: [row[at] for row in shown] for at, name in enumerate(columns)}
            st.dataframe(table, hide_index=True, height=widgets.table_height(len(shown), TALLEST_PIXELS))
