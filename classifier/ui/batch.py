"""The page that answers every row of a table, however long, as a job that does not need the page."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from classifier.datamodels import STATUSES, ReviewPolicy, Settings
from classifier.errors import counted
from classifier.prediction.formats import FORMATS
from classifier.ui import following, frame, markup, state, table_markup, uploads, widgets
from classifier.workflows import batch_jobs
from classifier.workflows.batch_jobs import RowFilter
from classifier.workflows.jobs import Job, Jobs

TITLE = "Batch"
LEAD = "Answers for every row of a table. The work goes on without this page, and its address finds it again."
SHOWN_ROWS = 500
MIME = {"csv": "text/csv", "jsonl": "application/jsonl", "parquet": "application/vnd.apache.parquet"}
EXACT, FAST = "Exact", "Fast"


def batch() -> None:
    """Draw the page; a mistake that the visitor can mend becomes one sentence."""
    with frame.page(TITLE, LEAD) as settings:
        jobs, job_id = Jobs(settings), state.followed_job()
        if job_id is None:
            _ask(settings, jobs)
            return
        job = following.find(jobs, job_id, "predict")
        if job is not None:
            _follow(settings, jobs, job)


def _ask(settings: Settings, jobs: Jobs) -> None:
    """Take a table and what is to be done with it."""
    model = frame.choose_model(settings)
    if model is None:
        return
    given = st.file_uploader("A table: CSV, TSV, JSONL or Parquet, also .gz and .zst", type=list(batch_jobs.SUFFIXES))
    if given is None:
        return
    upload = state.remembered(
        given.file_id, "upload", lambda: batch_jobs.keep_upload(jobs, given.name, uploads.pieces(given))
    )
    widgets.notes(upload.notes)
    left, right = st.columns([3, 2], gap="large")
    with left:
        column = widgets.pick_column("Column with the texts", upload.columns, upload.text_column)
        widgets.rows_preview(upload.columns, upload.first_rows, upload.n_rows)
    with right:
        options = _options(upload.n_rows)
        if st.button("Start", type="primary", disabled=column is None) and column is not None:
            job = batch_jobs.start_batch(jobs, upload, model.folder, text_column=column, **options)
            state.follow_job(job.id)
            st.rerun()


def _options(n_rows: int) -> dict[str, Any]:
    """Choose how exact the answers are, and which of them go to a person."""
    way = st.segmented_control("Answers", [EXACT, FAST], default=EXACT, required=True)
    tolerance = None
    if way == FAST:
        percent = st.slider("Rows that may get another answer", 0.1, 2.0, 0.5, 0.1, format="%.1f %%")
        tolerance = percent / 100
    rule = st.radio("A person reads", ["answers below a confidence", "a number of answers"], horizontal=True)
    if rule == "a number of answers":
        n_read = st.number_input("How many can be read", 0, n_rows, min(100, n_rows), 10)
        return {"tolerance": tolerance, "review": ReviewPolicy(review_budget=int(n_read))}
    confidence = st.slider("Confidence below which a person reads", 0, 99, 50, 1, format="%d %%")
    return {"tolerance": tolerance, "review": ReviewPolicy(min_confidence=confidence / 100)}


def _follow(settings: Settings, jobs: Jobs, job: Job) -> None:
    """Show a batch, and what came of it."""
    st.html(markup.section(job.title, f"Answered by {batch_jobs.reference_of_model(job)}"))
    if not following.follow(jobs, job, state.follow_no_job) or job.result is None:
        return
    st.html(table_markup.batch_summary(job.result))
    with st.container(horizontal=True):
        for output_format in FORMATS:
            st.download_button(
                f"Download {output_format.upper() if output_format != 'parquet' else 'Parquet'}",
                partial(_content, job, output_format),
                file_name=batch_jobs.download_name(job.title, output_format),
                mime=MIME[output_format],
                on_click="ignore",
            )
        st.button("Start another one", on_click=state.follow_no_job)
    _rows(settings, job)
    rejected = batch_jobs.rejected_rows(job)
    if rejected:
        st.html(markup.section("Rejected rows", f"{job.result['counts']['n_rejected']:,} rows could not be read"))
        st.dataframe(rejected, hide_index=True)


def _rows(settings: Settings, job: Job) -> None:
    """Show answered rows, filtered."""
    counts = (job.result or {})["counts"]
    st.html(markup.section("Answers"))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        label = st.selectbox("Label", [None, *counts["labels"]], format_func=lambda one: one or "All labels")
        status = st.selectbox(
            "Status",
            [None, *(one for one in STATUSES if one in counts["statuses"])],
            format_func=lambda one: one or "All statuses",
        )
        words = st.text_input("Contains")
    wanted = RowFilter(label, status, words)
    found = state.remembered((job.id, wanted), "rows", lambda: batch_jobs.answered_rows(job, wanted, limit=SHOWN_ROWS))
    facts = batch_jobs.facts_of_model(job)
    widgets.answered_rows(found, {} if facts is None else markup.label_colors(facts), at_most=SHOWN_ROWS)
    if not found.rows:
        return
    with st.container(horizontal=True):
        if st.button(f"Send {counted(len(found.rows), 'shown row')} to review"):
            n_new = batch_jobs.send_rows_to_review(settings, job, found)
            st.toast(f"{counted(n_new, 'document')} sent to review: choose “Sent to review” there")
        if wanted != RowFilter():
            st.download_button(
                "Download the rows that pass",
                partial(batch_jobs.passing_rows, job, wanted),
                file_name=batch_jobs.download_name(job.title, "csv"),
                mime=MIME["csv"],
                on_click="ignore",
            )


def _content(job: Job, output_format: str) -> bytes:
    """Read the answers when they are asked for."""
    return batch_jobs.download_file(job, output_format).read_bytes()
