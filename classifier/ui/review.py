"""The page where people decide about documents, keyboard first, and let the model learn from it."""

from __future__ import annotations

from functools import partial

import streamlit as st

from classifier import workflows
from classifier.datamodels import Settings
from classifier.errors import counted
from classifier.storage.registry import ModelVersion
from classifier.ui import following, frame, markup, review_markup, review_widgets, state
from classifier.ui.review_session import ReviewSession
from classifier.ui.state import OpenModel
from classifier.workflows import corrections
from classifier.workflows.corrections import ReviewCounts
from classifier.workflows.jobs import Job, Jobs

TITLE = "Review"
LEAD = "Decide about the documents that teach the model most. Every decision is kept at once, on this machine."
STRATEGIES = {
    "recommended": "Recommended",
    "suspected": "Suspected errors",
    "disagreeing": "Disagreeing",
    "uncertain": "Unsure",
    "novel": "Novel",
    "diverse": "Diverse",
    "sent": "Sent to review",
}
QUEUE_LENGTH = 200


def review() -> None:
    """Draw the page."""
    with frame.page(TITLE, LEAD) as settings:
        st.html(review_markup.CSS)
        jobs, job_id = Jobs(settings), state.followed_job()
        if job_id is not None:
            job = following.find(jobs, job_id, "retrain")
            if job is not None:
                _retrained(settings, jobs, job)
            return
        model = frame.choose_model(settings)
        if model is not None:
            opened = frame.open_model(model)
            _work(settings, model, opened, _strategy())


def _strategy() -> str:
    """Choose which documents come; the choice then lets go of the keyboard, so that Enter accepts."""
    memory = state.memory(TITLE)
    strategy, n_choices = memory.get("strategy", "recommended"), memory.get("choices", 0)
    chosen: str = st.segmented_control(
        "Which documents",
        list(STRATEGIES),
        format_func=STRATEGIES.__getitem__,
        default=strategy,
        required=True,
        key=f"strategy-{n_choices}",
    )
    if chosen != strategy:
        memory["strategy"], memory["choices"] = chosen, n_choices + 1
        st.rerun()
    return chosen


@st.fragment
def _work(settings: Settings, model: ModelVersion, opened: OpenModel, strategy: str) -> None:
    """Show one document after the other; only this part of the page is drawn anew.

    The counts are drawn behind the buttons: who sees a press counted can press again.
    """
    with frame.mistakes():
        session = _session(settings, model, opened, strategy)
        counts, place = corrections.review_counts(settings, model.name), st.container()
        if session.problem:
            st.error(markup.unformatted(session.problem))
        if session.current is None:
            review_widgets.nothing_left(session, strategy)
        else:
            left, right = st.columns([5, 4], gap="large")
            with left:
                st.html(review_markup.render_item(session.current, opened.colors))
            with right:
                review_widgets.decide(settings, model, opened, session, session.current)
        place.html(
            review_markup.render_counts(len(session.items), session.n_done, session.n_skipped, counts.n_untrained)
        )
        if counts.n_decided or counts.n_untrained:
            _offer_retraining(settings, model, counts)
        review_widgets.last_decisions(settings, model, opened, session)


def _session(settings: Settings, model: ModelVersion, opened: OpenModel, strategy: str) -> ReviewSession:
    """Return the visitor's way through this queue; begin one where there is none, or it is at its end."""
    memory, subject = state.memory(TITLE), (opened.key, strategy)
    session: ReviewSession | None = memory.get("session")
    find = partial(
        workflows.review_queue, opened.classifier, model.name, settings, strategy=strategy, limit=QUEUE_LENGTH
    )
    if session is None or session.subject != subject:
        with st.spinner("Looking for documents …"):
            begun = ReviewSession(subject, find())
        if session is not None and session.subject[0] == opened.key:
            begun.follow(session)
        begun.refill(begun.queue)
        memory["session"] = session = begun
    elif session.wants_more:
        session.refill(find())
    return session


def _offer_retraining(settings: Settings, model: ModelVersion, counts: ReviewCounts) -> None:
    """Let the model learn from what was decided, as a job."""
    st.html(
        markup.section("Learn from it", "A new version is trained and shown beside this one; nothing changes before.")
    )
    new = counted(counts.n_untrained, "new correction")
    words = f"Retrain with {new}" if counts.n_untrained else f"Retrain again with all {counts.n_decided:,} corrections"
    if st.button(words, key="retrain"):
        jobs = Jobs(settings)
        arguments = [model.name, "--json", "--models-dir", str(settings.models_dir.absolute())]
        job = jobs.start(jobs.new_folder(), "retrain", f"{model.name}: {words.lower()}", arguments)
        state.follow_job(job.id)
        st.rerun()


def _retrained(settings: Settings, jobs: Jobs, job: Job) -> None:
    """Follow the training of a new version, then show it beside the old one."""
    st.html(markup.section(job.title))
    if not following.follow(jobs, job, state.follow_no_job) or job.result is None:
        return
    review_widgets.new_version(settings, job.result)
    st.button("Back to the documents", on_click=state.follow_no_job)
