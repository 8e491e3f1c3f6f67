"""Pieces of the page that trains: its questions, what is seen before training, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    for sentence in sentences:
        st.html(f'<p class="dc user">⚠ {markup.escaped(sentence)}</p>')
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
            st.dataframe(table, hide_index=True, height=min(38 + 35 * len(shown), TALLEST_PIXELS))


def summary(reference: str, result: Mapping[str, Any]) -> str:
    """Head a finished training with its figure, as HTML."""
    found = result["evaluation"]
    learned = f"{counted(result['n_documents'], 'document')}, {counted(result['n_labels'], 'label')}"
    told = [f"learned from {learned}"]
    if result["n_sent_to_review"]:
        told.append(f"{counted(result['n_sent_to_review'], 'row')} without a label sent to the review")
    figure = '<p class="sure">It could not be measured: too few documents of each label.</p>'
    if found:
        name = "exact_match" if "exact_match" in found else "accuracy"
        low, high = found[f"{name}_interval"]
        words = (
            "of held-out documents got exactly their labels" if name == "exact_match" else "right on held-out documents"
        )
        figure = (
            f'<p class="sure"><strong class="number">{markup.percentage(found[name])}</strong> {words} '
            f'<span class="small">(95 % interval {100 * low:.1f} to {100 * high:.1f}; '
            f"measured on {markup.escaped(result['measured_on'])})</span></p>"
        )
    warnings = "".join(f'<li class="user">⚠ {markup.escaped(one)}</li>' for one in result["warnings"])
    return (
        f'<section class="dc result"><h2 class="user">{markup.escaped(reference)}</h2>{figure}'
        f'<p class="small user">{markup.escaped("; ".join(told))}</p><ul>{warnings}</ul></section>'
    )


def figures(result: Mapping[str, Any], facts: Mapping[str, Any], colors: Mapping[str, str]) -> None:
    """Show how each label fares, and what took part in the race."""
    per_class = (result["evaluation"] or {}).get("per_class") or {}
    if per_class:
        ranked = sorted(per_class.items(), key=lambda item: item[1]["f1"])
        st.html(markup.section("Labels", "The weakest first"))
        scores = {
            word: [100 * one[name] for _, one in ranked]
            for name, word in (("recall", "found"), ("precision", "right"), ("f1", "F1"))
        }
        known = dict(colors) | {
            label: markup.NO_LABEL_COLOR[markup.NO_LABEL] for label in per_class if label not in colors
        }
        st.dataframe(
            {"label": [[label] for label, _ in ranked], "documents": [one["n_documents"] for _, one in ranked]}
            | scores,
            hide_index=True,
            height=min(38 + 35 * len(ranked), TALLEST_PIXELS),
            column_config={
                "label": st.column_config.MultiselectColumn(options=list(known), color=list(known.values())),
                "found": _bar("Recall: share of the documents of the label that got it"),
                "right": _bar("Precision: share of the documents given the label that have it"),
                "F1": _bar("Harmonic mean of both"),
            },
        )
    race = facts.get("race")
    if isinstance(race, list) and race:
        with st.expander("Which methods were tried"):
            st.dataframe(
                {
                    "chosen": ["✓" if one["chosen"] else "" for one in race],
                    "method": [f"{one['features']} {one['trained_with']}".strip() for one in race],
                    "C": [one["c"] or None for one in race],
                    "log loss": [one["loss"] for one in race],
                    "accuracy or macro-F1": [100 * one.get("accuracy", one.get("macro_f1", 0)) for one in race],
                },
                hide_index=True,
                column_config={"accuracy or macro-F1": _bar("On held-out documents")},
            )


def _bar(words: str) -> Any:
    """Describe a column of shares."""
    return st.column_config.ProgressColumn(format="%.1f %%", min_value=0, max_value=100, help=words)


def audit_summary(result: Mapping[str, Any]) -> str:
    """Head a finished look for wrong labels, as HTML."""
    n_issues, n_documents = len(result["issues"]), result["n_documents"]
    trust = ""
    if result["accuracy"] is not None:
        trust = (
            f"{markup.percentage(result['accuracy'])} of the documents were answered as labelled while they were held "
            "out: the higher, the more the suspicions can be trusted."
        )
    title = f"{n_issues:,} of {counted(n_documents, 'document')} deserve a look" if n_issues else "No label stands out"
    return (
        f'<section class="dc result"><h2>{markup.escaped(title)}</h2>'
        f'<p class="small">{markup.escaped(trust)}</p></section>'
    )
