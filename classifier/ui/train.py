"""The page that trains a model: a file, a look at it, training as a job, and what came of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from typing import Any

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from classifier import workflows
from classifier.datamodels import Settings
from classifier.errors import counted
from classifier.ui import documents, following, frame, markup, state, training, widgets
from classifier.ui.documents import ListedDocument
from classifier.workflows import batch_jobs, train_jobs
from classifier.workflows.jobs import Job, Jobs
from classifier.workflows.train_jobs import Suspect

TITLE = "Train"
LEAD = "Turn a file with a column of texts and a column of labels into a model. The file is looked at first."
READ_BYTES = 1 << 20


def train() -> None:
    """Draw the page; a mistake that the visitor can mend becomes one sentence."""
    with frame.page(TITLE, LEAD) as settings:
        jobs, job_id = Jobs(settings), state.followed_job()
        if job_id is None:
            _ask(settings, jobs)
            return
        job = following.find(jobs, job_id)
        if job is not None:
            _follow(settings, jobs, job)


def _ask(settings: Settings, jobs: Jobs) -> None:
    """Take a file, and what is to be trained on it."""
    given = st.file_uploader(
        "Labelled documents: CSV, TSV, JSONL or Parquet, also .gz and .zst", type=list(batch_jobs.SUFFIXES)
    )
    if given is None:
        return
    upload = state.remembered(given.file_id, "upload", lambda: batch_jobs.keep_upload(jobs, given.name, _pieces(given)))
    widgets.notes(upload.notes)
    left, right = st.columns([3, 2], gap="large")
    with left:
        widgets.rows_preview(upload.columns, upload.first_rows, upload.n_rows)
    with right:
        request = training.request(upload, train_jobs.suggested_name(upload))
    if request is None:
        return
    checks = state.remembered(given.file_id, request, lambda: train_jobs.check_upload(upload, request))
    with left:
        training.checks(checks)
    with right:
        st.html(markup.section("Start"))
        meant = train_jobs.promoted_version(settings, request.name)
        st.html(markup.note(training.what_becomes(request.name, meant)))
        with st.container(horizontal=True):
            if st.button("Start training", type="primary", disabled=not checks.can_train):
                _turn_to(train_jobs.start_training(jobs, settings, upload, request))
            if st.button("Look for wrong labels first", disabled=not checks.can_train):
                _turn_to(train_jobs.start_audit(jobs, upload, request))


def _turn_to(job: Job) -> None:
    """Follow a job that was just started."""
    state.follow_job(job.id)
    st.rerun()


def _follow(settings: Settings, jobs: Jobs, job: Job) -> None:
    """Show a job, and what came of it."""
    st.html(markup.section(job.title, "Looking for wrong labels" if job.kind == train_jobs.AUDIT else "Training"))
    if not following.follow(jobs, job, state.follow_no_job) or job.result is None:
        return
    if job.kind == train_jobs.AUDIT:
        _audited(settings, jobs, job)
    elif job.kind == train_jobs.TRAIN:
        _trained(settings, job, job.result)
    else:
        st.html(markup.note("This job belongs to another page"))
    st.button("Train another one", on_click=state.follow_no_job)


def _audited(settings: Settings, jobs: Jobs, job: Job) -> None:
    """Show which labels deserve a look before training."""
    result = job.result or {}
    st.html(training.audit_summary(result))
    if result["issues"]:
        documents.table(
            _listed(train_jobs.audited_rows(job)), {}, key=f"audit-{job.id}", number="label quality", note="why"
        )
        content = partial((job.folder / train_jobs.ISSUES_FILE).read_bytes)
        st.download_button("Download all as CSV", content, file_name="labels-to-check.csv", on_click="ignore")
    st.html(
        markup.note("Mend the labels in your file and upload it again, or train on it as it is and mend them later")
    )
    if st.button("Train on it as it is", type="primary"):
        _turn_to(train_jobs.train_after_audit(jobs, settings, job))


def _trained(settings: Settings, job: Job, result: dict[str, Any]) -> None:
    """Show what was trained, how good it is, and what deserves a look."""
    model = result["model"]
    reference = f"{model['name']}@{model['version']}"
    chosen, facts = workflows.show_model(reference, settings)
    colors = markup.label_colors(facts)
    st.html(training.summary(reference, result))
    with st.container(horizontal=True, vertical_alignment="center"):
        if chosen.promoted:
            st.html(markup.note(f"{chosen.name} means this version"))
        elif st.button(markup.unformatted(f"Promote {reference}"), type="primary"):
            workflows.promote_model(reference, settings)
            st.rerun()
        st.button("Choose it on all pages", on_click=state.choose_model, args=(reference,))
    if not chosen.promoted:
        st.html(markup.note("The page Models compares it with the version that answers now"))
    training.figures(result, facts, colors)
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


def _pieces(given: UploadedFile) -> Iterator[bytes]:
    """Give an upload piece by piece."""
    stream = io.BytesIO(given.getbuffer())
    return iter(partial(stream.read, READ_BYTES), b"")
