"""What came of training, and of the look for wrong labels before it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from classifier import workflows
from classifier.datamodels import Settings
from classifier.errors import counted
from classifier.ui import documents, markup, state, widgets
from classifier.ui.documents import ListedDocument
from classifier.workflows import train_jobs
from classifier.workflows.jobs import Job
from classifier.workflows.train_jobs import Suspect

TALLEST_PIXELS = 388


def render_audit(job: Job) -> bool:
    """Show which labels deserve a look before training; tell whether to train all the same."""
    result = job.result or {}
    st.html(audit_summary(result))
    if result["issues"]:
        documents.table(
            _listed(train_jobs.audited_rows(job)), {}, key=f"audit-{job.id}", number="label quality", note="why"
        )
        content = partial((job.folder / train_jobs.ISSUES_FILE).read_bytes)
        st.download_button("Download all as CSV", content, file_name="labels-to-check.csv", on_click="ignore")
    st.html(
        markup.note("Mend the labels in your file and upload it again, or train on it as it is and mend them later")
    )
    return st.button("Train on it as it is", type="primary")


def render_training(settings: Settings, job: Job, result: dict[str, Any]) -> None:
    """Show what was trained, how good it is, and what deserves a look."""
    model = result["model"]
    reference = f"{model['name']}@{model['version']}"
    chosen, facts = workflows.show_model(reference, settings)
    colors = markup.label_colors(facts)
    st.html(summary(reference, result))
    with st.container(horizontal=True, vertical_alignment="center"):
        if chosen.promoted:
            st.html(markup.note(f"This version answers wherever {chosen.name} is asked for"))
        elif st.button(markup.unformatted(f"Promote {reference}"), type="primary"):
            workflows.promote_model(reference, settings)
            st.rerun()
        st.button("Choose it on all pages", on_click=state.choose_model, args=(reference,))
    st.html(markup.next_steps(reference))
    if not chosen.promoted:
        st.html(markup.note("The page Models compares it with the version that answers now; Report says more about it"))
    figures(result, facts, colors)
    subject = (job.id, "suspects")
    rows = _listed(state.remembered(subject, "rows", lambda: train_jobs.suspects_of(chosen.folder, settings)))
    note = f"The {counted(len(rows), 'training document')} whose labels most deserve a look, worst first"
    st.html(markup.section("Labels to check", note if rows else ""))
    picked = documents.table(rows, colors, key=f"suspects-{job.id}", number="label quality", note="why")
    if rows:
        documents.actions(
            rows, picked, settings=settings, name=chosen.name, source="labels to check", key=f"suspects-{job.id}"
        )
    rejected = train_jobs.rejected_rows(job)
    if rejected:
        st.html(markup.section("Rejected rows", f"{result['n_rejected']:,} rows could not be read"))
        st.dataframe(rejected, hide_index=True)


def _listed(suspects: list[Suspect]) -> list[ListedDocument]:
    """Arrange documents for the table."""
    return [
        ListedDocument(
            one.document.id, one.document.text, one.document.label or "", one.suggested, one.quality, one.reason
        )
        for one in suspects
    ]


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
    return (
        f'<section class="dc result"><h2 class="user">{markup.escaped(reference)}</h2>{figure}'
        f'<p class="small user">{markup.escaped("; ".join(told))}</p>'
        f'<ul style="margin-top: 0.5rem">{markup.warned(result["warnings"])}</ul></section>'
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
            height=widgets.table_height(len(ranked), TALLEST_PIXELS),
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
