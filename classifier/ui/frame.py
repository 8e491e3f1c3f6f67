"""What every page has: its look, its heading, one sentence for a mistake, and the choice of a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st
from streamlit.errors import Error as StreamlitError

from classifier import workflows
from classifier.datamodels import Settings
from classifier.errors import ClassifierError
from classifier.storage.registry import ModelVersion
from classifier.ui import login, markup, state, widgets


def may_enter() -> bool:
    """Let everybody in where no log-in is set up; where one is, show nothing but its button before it is passed."""
    if not login.must_log_in():
        return True
    widgets.style()
    st.html(markup.heading("Document classifier", "Log in to go on."))
    if st.button("Log in", type="primary"):
        try:
            st.login()
        except StreamlitError as error:
            st.error(markup.unformatted(f"The log-in is not set up completely: {error}"))
    return False


def log_out() -> None:
    """Offer whoever is logged in to log out."""
    if login.is_logged_in():
        with st.sidebar:
            st.caption(f"Logged in as {markup.unformatted(login.who())}")
            st.button("Log out", on_click=st.logout)


@contextmanager
def page(title: str, lead: str) -> Iterator[Settings]:
    """Head a page and give its settings; a mistake that the visitor can mend becomes one sentence."""
    widgets.style()
    st.html(markup.heading(title, lead))
    with mistakes():
        yield Settings.from_environment()


@contextmanager
def mistakes() -> Iterator[None]:
    """Show a mistake that the visitor can mend as one sentence; for a part of a page that is drawn by itself."""
    try:
        yield
    except ClassifierError as error:
        widgets.problem(error)


def choose_model(settings: Settings) -> ModelVersion | None:
    """Choose a model in the sidebar, the one of the page before to begin with; where there is none, say what to do."""
    models = workflows.list_models(settings)
    if not models:
        widgets.first_screen(settings.models_dir)
        return None
    with st.sidebar:
        chosen = widgets.pick_model(models)
        with mistakes():
            st.html(markup.model_card(chosen.facts()))
    return chosen


def open_model(model: ModelVersion) -> state.OpenModel:
    """Open a model, once for all visitors.

    Raises
    ------
    ClassifierError
        When the model or its encoder is refused.
    """
    return state.open_model(model, model.facts()["created"])
