"""The page that trains a model: a file, a look at it, training as a job, and what came of it."""

from __future__ import annotations

import streamlit as st

from classifier.datamodels import Settings
from classifier.ui import following, frame, markup, state, trained, training, uploads, widgets
from classifier.workflows import batch_jobs, train_jobs
from classifier.workflows.jobs import Job, Jobs

TITLE = "Train"
LEAD = "Turn a file with a column of texts and a column of labels into a model. The file is looked at first."


def train() -> None:
    """Draw the page; a mistake that the visitor can mend becomes one sentence."""
    with frame.page(TITLE, LEAD) as settings:
        jobs, job_id = Jobs(settings), state.followed_job()
        if job_id is None:
            _ask(settings, jobs)
            return
        job = following.find(jobs, job_id, train_jobs.TRAIN, train_jobs.AUDIT)
        if job is not None:
            _follow(settings, jobs, job)


def _ask(settings: Settings, jobs: Jobs) -> None:
    """Take a file, and what is to be trained on it."""
    given = st.file_uploader(
        "Labelled documents: CSV, TSV, JSONL or Parquet, also .gz and .zst", type=list(batch_jobs.SUFFIXES)
    )
    if given is None:
        return
    upload = state.remembered(
        given.file_id, "upload", lambda: batch_jobs.keep_upload(jobs, given.name, uploads.pieces(given))
    )
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
        if trained.render_audit(job):
            _turn_to(train_jobs.train_after_audit(jobs, settings, job))
    else:
        trained.render_training(settings, job, job.result)
    st.button("Train another one", on_click=state.follow_no_job)
