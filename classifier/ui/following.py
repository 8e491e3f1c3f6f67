"""How a page follows a job: how far it is, what can be done about it, and why it ended."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from classifier.errors import UnknownJobError
from classifier.ui import frame, markup, state, widgets
from classifier.workflows.jobs import DONE, FAILED, INTERRUPTED, RUNNING, STOPPED, UNDER_WAY, Job, Jobs

SECONDS_BETWEEN_LOOKS = 1.0
_PAGES = {"predict": "Batch", "train": "Train", "audit": "Train", "retrain": "Review", "map": "Explore"}
_ENDS = {
    STOPPED: "Stopped. What was finished is kept.",
    INTERRUPTED: "Interrupted: its process is gone. What was finished is kept.",
    FAILED: "It could not be done.",
}


def find(jobs: Jobs, job_id: str, *kinds: str) -> Job | None:
    """Find the job that the address of the page names; where this page has none, say so and offer to go on without.

    Parameters
    ----------
    jobs : Jobs
    job_id : str
    *kinds : str
        Of the jobs that this page can show.
    """
    try:
        job = jobs.find(job_id)
    except UnknownJobError as error:
        widgets.problem(error)
    else:
        if job.kind in kinds:
            return job
        st.html(markup.note(f"This job belongs to the page {_PAGES.get(job.kind, 'that started it')}"))
    st.button("Start another one", on_click=state.follow_no_job)
    return None


def follow(jobs: Jobs, job: Job, forget: Callable[[], None]) -> bool:
    """Show a job until it ends; tell whether it is done.

    Parameters
    ----------
    jobs : Jobs
        Where it is found again.
    job : Job
    forget : callable
        Turns the page away from it.
    """
    if job.state in UNDER_WAY:
        _watch(jobs, job.id)
        return False
    if job.state == DONE:
        return True
    (st.error if job.state == FAILED else st.warning)(_ENDS[job.state])
    if job.log.strip():
        st.code(_last_line(job), language=None, wrap_lines=True)
    with st.container(horizontal=True):
        st.button("Go on" if job.state != FAILED else "Try again", type="primary", on_click=job.resume)
        st.button("Delete", on_click=_delete, args=(job, forget))
    return False


def _delete(job: Job, forget: Callable[[], None]) -> None:
    """Remove a job, and turn the page away from it."""
    job.delete()
    forget()


@st.fragment(run_every=SECONDS_BETWEEN_LOOKS)
def _watch(jobs: Jobs, job_id: str) -> None:
    """Look again and again while it is under way."""
    with frame.mistakes():
        _look(jobs.find(job_id))


def _look(job: Job) -> None:
    """Show how far a job is."""
    if job.state not in UNDER_WAY:
        st.rerun()
    progress = job.progress
    is_running = job.state == RUNNING
    words = markup.unformatted(progress.sentence) or ("Starting …" if is_running else "Waiting for its turn …")
    st.progress(progress.fraction or 0.0, words)
    st.caption("It goes on when this page is closed; its address finds it again.")
    st.button("Stop", on_click=job.stop)


def _last_line(job: Job) -> str:
    """Return the last thing that a job said."""
    return [line for line in job.log.splitlines() if line.strip()][-1]
