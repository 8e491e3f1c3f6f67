"""The page of stored models: look at them, compare versions, choose which one answers, take one along, delete one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import streamlit as st

from classifier import workflows
from classifier.datamodels import Settings
from classifier.errors import ClassifierError
from classifier.storage.registry import ModelVersion
from classifier.ui import card, comparison, frame, markup, state, uploads, widgets
from classifier.workflows import exporting
from classifier.workflows.batch_jobs import SUFFIXES
from classifier.workflows.models import VersionSummary, losses, model_card, summarise_models

TITLE = "Models"
LEAD = "Every model with its versions. The promoted version is the one that answers when only the name is given."
ABOUT, COMPARE, EXPORT, DELETE = "About", "Compare", "Export", "Delete"
MAX_EXPORT_BYTES = 500 << 20
TABLE_PIXELS = 318


def models() -> None:
    """Draw the page; a mistake that the visitor can mend becomes one sentence."""
    with frame.page(TITLE, LEAD) as settings:
        found = summarise_models(settings)
        if found:
            _list(found)
        chosen = frame.choose_model(settings)
        if chosen is None:
            return
        _head(chosen, found, settings)
        parts = [ABOUT, COMPARE, EXPORT, DELETE]
        part = st.segmented_control("Part", parts, default=ABOUT, required=True, label_visibility="collapsed")
        if part == ABOUT:
            st.html(card.CSS)
            st.html(card.render_document(model_card(chosen)))
        elif part == COMPARE:
            _compare(chosen, found, settings)
        elif part == EXPORT:
            _export(chosen, settings)
        elif part == DELETE:
            _delete(chosen, settings)


def _list(found: Sequence[VersionSummary]) -> None:
    """Show every version; a chosen row is turned to."""
    references = [one.model.reference for one in found]
    key = f"versions-{'-'.join(references)}"
    st.dataframe(
        {
            "model": [one.model.name for one in found],
            "version": [int(one.model.version) for one in found],
            "state": [(one.problem and "damaged") or ("● promoted" if one.model.promoted else "") for one in found],
            "right": [None if one.quality is None else 100 * one.quality for one in found],
            "95 % interval": [_interval(one) for one in found],
            "documents": [one.n_documents for one in found],
            "labels": [one.n_labels for one in found],
            "created": [datetime.fromisoformat(one.created) if one.created else None for one in found],
            "trained from": [one.source for one in found],
            "measured on": [one.problem or f"{one.metric}, {one.measured_on}" for one in found],
        },
        hide_index=True,
        height=widgets.table_height(len(found), TABLE_PIXELS),
        column_config={
            "right": st.column_config.ProgressColumn(
                format="%.1f %%", min_value=0, max_value=100, help="Accuracy, or exact match for any number of labels"
            ),
            "documents": st.column_config.NumberColumn(format="localized"),
            "created": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm"),
        },
        on_select=partial(state.choose_from_table, key, references),
        selection_mode="single-row",
        key=key,
    )


def _interval(one: VersionSummary) -> str:
    """Write an interval."""
    return "" if one.interval is None else f"{100 * one.interval[0]:.1f} to {100 * one.interval[1]:.1f}"


def _head(chosen: ModelVersion, found: Sequence[VersionSummary], settings: Settings) -> None:
    """Name the chosen version, and let its name mean it."""
    meant = next((one.model for one in found if one.model.name == chosen.name and one.model.promoted), None)
    note = f"Whoever asks for {chosen.name} gets this version."
    if not chosen.promoted and meant is not None:
        note = f"Whoever asks for {chosen.name} gets version {meant.version} now."
    st.html(markup.section(chosen.reference, note))
    if chosen.promoted or meant is None:
        return
    is_older = int(chosen.version) < int(meant.version)
    words = f"Go back to {chosen.reference}" if is_older else f"Promote {chosen.reference}"
    if st.button(markup.unformatted(words), type="primary"):
        workflows.promote_model(chosen.reference, settings)
        st.toast(markup.unformatted(f"{chosen.name} now means {chosen.reference}"))
        st.rerun()


def _compare(chosen: ModelVersion, found: Sequence[VersionSummary], settings: Settings) -> None:
    """Compare two versions on documents of training, or on a test file."""
    created = {one.model.reference: one.created for one in found if not one.problem}
    others = [one.model for one in found if one.model != chosen and not one.problem]
    if not others:
        st.html(markup.note("There is one version only; train another one to compare it with"))
        return
    others.sort(key=lambda one: (one.name != chosen.name, not one.promoted))
    left, right = st.columns(2, gap="large")
    other = left.selectbox(f"Compare {markup.unformatted(chosen.reference)} with", [one.reference for one in others])
    given = right.file_uploader(
        "On a labelled test file (otherwise on documents that both held out in training)", type=list(SUFFIXES)
    )
    old, new = sorted((chosen.reference, other), key=lambda name: (created[name], int(name.partition("@")[2])))
    subject = (old, created[old], new, created[new], given and given.file_id)
    with st.spinner("Comparing …"):
        result = state.remembered(subject, "comparison", lambda: uploads.compare_on(old, new, settings, given))
    comparison.render_comparison(result, markup.label_colors(chosen.facts()))


def _export(chosen: ModelVersion, settings: Settings) -> None:
    """Offer the folder and the pipeline as files."""
    exporting.require_size(chosen, MAX_EXPORT_BYTES)
    n_megabytes = exporting.folder_bytes(chosen) / (1 << 20)
    left, right = st.columns(2, gap="large")
    for place, suffix, title, words in (
        (left, exporting.ZIP, f"The folder, as a zip file ({n_megabytes:,.0f} MB unpacked)", exporting.ZIP_WORDS),
        (right, exporting.JOBLIB, "A scikit-learn pipeline", exporting.JOBLIB_WORDS),
    ):
        with place:
            st.html(markup.section(title, words))
            name = f"{chosen.name}-{chosen.version}{suffix}"
            content = partial(exporting.exported_bytes, chosen.reference, name, settings)
            st.download_button(f"Download {suffix}", content, file_name=name, on_click="ignore")
    right.warning(markup.unformatted(f"{exporting.JOBLIB_WARNING}."))


def _delete(chosen: ModelVersion, settings: Settings) -> None:
    """Delete a version, once it is clear what is lost."""
    st.html(markup.section(f"Delete {chosen.reference}", losses(chosen, settings)))
    is_sure = st.checkbox(
        f"Yes, delete {markup.unformatted(chosen.reference)} for good", key=f"sure-{chosen.reference}"
    )
    if not st.button("Delete", disabled=not is_sure):
        return
    try:
        workflows.delete_model(chosen.reference, settings)
    except ClassifierError as error:
        widgets.problem(error)
        return
    st.toast(markup.unformatted(f"{chosen.reference} is deleted"))
    st.rerun()
