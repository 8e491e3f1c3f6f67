"""The page that shows where the documents of a model lie: a map of them, and other ways to look around."""

from __future__ import annotations

import zlib

import streamlit as st

from classifier.datamodels import Settings
from classifier.errors import counted
from classifier.storage.registry import ModelVersion
from classifier.ui import explore_chart, explore_views, frame, markup, state
from classifier.ui.state import OpenModel
from classifier.workflows import exploring, mapping
from classifier.workflows.jobs import RUNNING, UNDER_WAY, Job, Jobs
from classifier.workflows.mapping import DocumentMap

TITLE = "Explore"
LEAD = "The documents that a model was trained on, by their meaning: close together means alike."
MAP = "Map"
MOST_LISTED = 2_000
SECONDS_BETWEEN_LOOKS = 1.5
COLORINGS = {
    exploring.LABEL: "Label",
    exploring.PREDICTION: "Answer",
    exploring.CONFIDENCE: "Confidence",
    exploring.CORRECTNESS: "Right or wrong",
}
_HELD_OUT = "Answers are those that the model gave to a document while it was not trained on it"


def explore() -> None:
    """Draw the page; a mistake that the visitor can mend becomes one sentence."""
    with frame.page(TITLE, LEAD) as settings:
        model = frame.choose_model(settings)
        if model is None:
            return
        opened = frame.open_model(model)
        views = {MAP: _map, **explore_views.VIEWS}
        chosen = st.segmented_control("View", list(views), default=MAP, required=True, label_visibility="collapsed")
        views[chosen or MAP](settings, model, opened)


def _map(settings: Settings, model: ModelVersion, opened: OpenModel) -> None:
    """Show the map, and the documents of a region that is drawn on it."""
    by = st.segmented_control(
        "Colour by", list(COLORINGS), default=exploring.LABEL, required=True, format_func=COLORINGS.__getitem__
    )
    found = mapping.stored_map(opened.classifier, model.folder, settings)
    if found is None:
        found = state.shared(opened.key, mapping.PCA, lambda: mapping.pca_map(opened.classifier))
        _arrange(settings, model, len(found.coordinates))
    groups = mapping.drawn_groups(found, exploring.groups(opened.classifier, by or exploring.LABEL))
    captions = state.shared(
        opened.key, "captions", lambda: explore_chart.captions_table(exploring.captions(opened.classifier))
    )
    event = st.echarts_chart(
        explore_chart.map_option(found, groups, opened.colors, captions),
        height=explore_chart.MAP_PIXELS,
        key=f"map of {opened.key} by {found.method}",
        on_select="rerun",
        alt=f"Map of {counted(len(found.drawn), 'document')}, one point for each",
    )
    st.html(markup.note(_about(found)))
    _region(settings, model, opened, found, event)


def _arrange(settings: Settings, model: ModelVersion, n_documents: int) -> None:
    """Start the better map where there is none, or show how far it is."""
    if not mapping.can_arrange(n_documents):
        return
    jobs = Jobs(settings)
    job = mapping.map_job(jobs, model.folder)
    if job is not None and job.state in UNDER_WAY:
        _watch(jobs, job.id)
    elif job is None and mapping.is_quick(n_documents):
        _watch(jobs, mapping.start_map(jobs, model.folder, model.reference, settings).id)
    elif st.button(f"Arrange {n_documents:,} documents by their neighbours (t-SNE, takes minutes)"):
        mapping.start_map(jobs, model.folder, model.reference, settings)
        st.rerun()


@st.fragment(run_every=SECONDS_BETWEEN_LOOKS)
def _watch(jobs: Jobs, job_id: str) -> None:
    """Look again and again while the better map is computed."""
    with frame.mistakes():
        job = jobs.find(job_id)
        if job.state not in UNDER_WAY:
            st.rerun()
        st.progress(job.progress.fraction or 0.0, f"A better map (t-SNE) is on its way: {_stage(job)}")


def _stage(job: Job) -> str:
    """Say how far a job is."""
    if job.state != RUNNING:
        return "it waits for its turn"
    fraction = job.progress.fraction
    return "it begins" if fraction is None else f"{100 * fraction:.0f} %"


def _about(found: DocumentMap) -> str:
    """Say how the map was made, and how much of it is drawn."""
    about = "Arranged so that near neighbours stay near (t-SNE); distances between far groups mean little"
    if found.method == mapping.PCA:
        share = markup.percentage(found.explained or 0.0)
        about = f"Arranged by the two directions in which documents differ most (PCA): {share} of all differences"
    n_drawn, n_documents = len(found.drawn), len(found.coordinates)
    if n_drawn < n_documents:
        about += f". {n_drawn:,} of {n_documents:,} documents are drawn, of each label its share"
    return f"{about}. {_HELD_OUT}. The wheel zooms, and the legend hides a group"


def _region(
    settings: Settings, model: ModelVersion, opened: OpenModel, found: DocumentMap, event: explore_chart.Event
) -> None:
    """List the documents of the region that is drawn, if any."""
    areas = explore_chart.regions(event)
    if not areas:
        return
    rows = mapping.rows_in(found.coordinates, areas)
    title = f"{counted(len(rows), 'document')} in the region"
    st.html(markup.label_counts(title, exploring.label_counts(opened.classifier, rows), opened.colors))
    key = f"region-{zlib.crc32(repr((areas, opened.key)).encode())}"
    ordered = exploring.doubtful_first(opened.classifier, rows)[:MOST_LISTED]
    if len(ordered) < len(rows):
        st.html(markup.note(f"The {len(ordered):,} most doubtful are listed; draw a smaller region for the others"))
    listed = [explore_views.listed(one) for one in exploring.describe(opened.classifier, ordered)]
    explore_views.show(settings, model, opened, listed, key=key, source="a region of the map")
