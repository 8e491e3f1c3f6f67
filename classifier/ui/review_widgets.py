"""What the review page is made of: how a label is chosen, what was decided last, and the new version beside the old."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import streamlit as st

from classifier import workflows
from classifier.datamodels import Settings
from classifier.errors import ClassifierError
from classifier.modeling.label_sets import join_labels, split_labels
from classifier.storage.feedback import Decision, text_digest
from classifier.storage.registry import ModelVersion
from classifier.ui import login, markup, review_markup, state
from classifier.ui.comparison import render_comparison
from classifier.ui.review_session import ReviewSession, numbered_labels
from classifier.ui.state import OpenModel
from classifier.workflows import corrections
from classifier.workflows.reviewing import ReviewItem

N_LAST = 10
OTHER = "Another label, or one of your own"
HASTE = "Several labels were pressed before the page could show them: look, then accept again."


@dataclass(frozen=True, slots=True)
class _Screen:
    """What a button was drawn for: a press may come when the visitor is elsewhere already."""

    settings: Settings
    model: ModelVersion
    session: ReviewSession
    item: ReviewItem
    turn: int


def decide(
    settings: Settings, model: ModelVersion, opened: OpenModel, session: ReviewSession, item: ReviewItem
) -> None:
    """Choose a label by number keys or from all of them; Enter accepts, Space skips, U takes the last one back."""
    key = text_digest(item.text).hex()[:16]
    screen = _Screen(settings, model, session, item, session.turn)
    several = f"labels-{key}" if opened.classifier.multi_label else ""
    with st.container(horizontal=True):
        st.button(
            f"Accept **{markup.unformatted(session.chosen)}**" if session.chosen else "Accept",
            key=f"accept-{key}-{session.turn}",  # a press tells by it which screen it was made on
            type="primary",
            shortcut="Enter",
            disabled=not session.chosen,
            on_click=_accept,
            args=(screen, several),
        )
        st.button("Skip", key=f"skip-{key}", shortcut="Space", on_click=_skip, args=(screen,))
        st.button(
            "Undo",
            key=f"undo-{session.turn}",
            shortcut="U",
            disabled=not session.history,
            on_click=_undo,
            args=(settings, session),
        )
    if several:
        _several(opened, session, several)
    else:
        _one(opened, screen, key)


def _one(opened: OpenModel, screen: _Screen, key: str) -> None:
    """Choose one label."""
    session, item = screen.session, screen.item
    numbered = numbered_labels(item, list(opened.colors))
    with st.container(horizontal=True, key="review-labels", gap="xsmall"):
        for number, label in enumerate(numbered, 1):
            st.button(
                markup.unformatted(label) + (" · suggested" if label == item.suggestion else ""),
                key=f"label-{number}-{key}-{session.turn}",
                shortcut=str(number % 10),
                type="primary" if label == session.chosen else "secondary",
                on_click=_choose,
                args=(screen, label),
            )
    st.caption("A number chooses, Enter accepts, Space skips, U takes the last decision back.")
    others = sorted({*opened.colors} - set(numbered))
    st.selectbox(
        OTHER,
        others,
        index=None,
        accept_new_options=True,
        key=f"other-{key}",
        placeholder=OTHER,
        label_visibility="collapsed",
        on_change=_choose_other,
        args=(screen, f"other-{key}"),
    )


def _choose_other(screen: _Screen, key: str) -> None:
    """Take what was chosen from all labels, or written."""
    label = state.value_of(key)
    if label:
        _choose(screen, str(label))


def _choose(screen: _Screen, label: str) -> None:
    """Choose a label; where its document was accepted in the same haste, decide for this one label instead."""
    session, item = screen.session, screen.item
    if session.is_current(item):
        session.choose(label)
        return
    n_pressed = session.n_pressed_for(item)
    if n_pressed is None:
        return
    _undo(screen.settings, session)
    if not session.is_current(item):
        return
    if n_pressed:
        session.problem = HASTE
    else:
        _keep(screen, label, n_pressed=1)


def _several(opened: OpenModel, session: ReviewSession, key: str) -> None:
    """Choose any number of labels."""
    given = list(split_labels(session.chosen))
    chosen = st.multiselect("Labels", sorted({*opened.colors, *given}), default=given, accept_new_options=True, key=key)
    session.chosen = join_labels(chosen)


def _accept(screen: _Screen, several: str) -> None:
    """Accept what is chosen, by a widget for several labels where one is named, and go on."""
    session, item = screen.session, screen.item
    if not session.is_current(item):
        return
    if several:
        session.chosen = join_labels(state.value_of(several) or [])
    if not session.chosen:
        return
    n_pressed = session.n_pressed_since(screen.turn)
    if n_pressed > 1:
        session.problem = HASTE
        return
    try:
        if not session.is_again(item) and corrections.is_decided(screen.settings, screen.model.name, item.text):
            session.problem = "Somebody else decided about this document meanwhile; see the last decisions."
            session.pass_over(partial(corrections.is_decided, screen.settings, screen.model.name))
            return
    except ClassifierError as error:
        session.problem = str(error)
        return
    _keep(screen, session.chosen, n_pressed=n_pressed)


def _keep(screen: _Screen, label: str, *, n_pressed: int) -> None:
    """Keep a decision, and go on; where it cannot be kept, say why and stay."""
    session, item = screen.session, screen.item
    try:
        number = corrections.correct(
            screen.settings,
            screen.model.name,
            screen.model.version,
            item.text,
            old_label=item.label,
            new_label=label,
            who=login.who(),
            document=item.document,
        )
    except ClassifierError as error:
        session.problem = str(error)
        return
    session.problem = ""
    session.done(item, number, n_pressed)
    _pass_over(screen)


def _skip(screen: _Screen) -> None:
    """Go on without a decision."""
    if screen.session.is_current(screen.item):
        screen.session.skip(screen.item)
        _pass_over(screen)


def _pass_over(screen: _Screen) -> None:
    """Leave out what others have decided meanwhile; where that cannot be known, say why."""
    try:
        screen.session.pass_over(partial(corrections.is_decided, screen.settings, screen.model.name))
    except ClassifierError as error:
        screen.session.problem = str(error)


def _undo(settings: Settings, session: ReviewSession) -> None:
    """Take the last decision back; where that cannot be kept, say why."""
    try:
        was_there = not session.history or corrections.undo_correction(settings, session.history[-1][0])
    except ClassifierError as error:
        session.problem = str(error)
        return
    session.problem = "" if was_there else "That decision no longer counted: somebody changed it meanwhile."
    session.undo()


def nothing_left(session: ReviewSession, strategy: str) -> None:
    """Say that a queue is at its end, and what else there is."""
    told = {
        "novel": "No document without a label waits here. Send some from the Batch, Explore or Report page.",
        "sent": "Nothing was sent to review, or all of it is decided. Send documents from the other pages.",
    }
    words = told.get(strategy, "Nothing more to decide here. Choose other documents above, or let the model learn.")
    st.info(words)
    if session.skipped:
        st.button("Bring the skipped ones back", on_click=session.forget_skipped)


def last_decisions(settings: Settings, model: ModelVersion, opened: OpenModel, session: ReviewSession) -> None:
    """List the last decisions; each can be changed."""
    found = corrections.last_corrections(settings, model.name, N_LAST)
    if not found:
        return
    st.html(markup.section("Last decisions", "Each can be changed; nothing is overwritten, the last one counts"))
    for decision in found:
        left, right = st.columns([7, 1], vertical_alignment="center")
        left.html(review_markup.render_decision(decision, opened.colors))
        right.button(
            "Change",
            key=f"change-{decision.number}-{session.turn}",
            type="tertiary",
            on_click=session.bring_back,
            args=(_again(decision),),
        )


def _again(decision: Decision) -> ReviewItem:
    """Make a decided document one to decide about."""
    return ReviewItem(
        document=decision.document,
        text=decision.text,
        label=decision.old_label,
        suggestion=decision.new_label,
        confidence=None,
        ranking=(),
        similarity=None,
        reason=f"decided as {decision.new_label!r} before",
        source=decision.who,
    )


def new_version(settings: Settings, result: Mapping[str, Any]) -> None:
    """Show a version that learned from corrections beside the one before, and let it take its place."""
    reference = str(result["model"])
    model, facts = workflows.show_model(reference, settings)
    st.html(review_markup.render_retraining(result))
    is_better = False
    if facts["metrics"] is not None:
        with st.spinner("Comparing both versions on the same documents …"):
            compared = state.remembered(
                ("compared", reference),
                "versions",
                lambda: workflows.compare_versions(str(result["before"]), reference, settings),
            )
        render_comparison(compared, markup.label_colors(facts))
        is_better = compared.scores.is_shown and compared.scores.difference > 0
    if model.promoted:
        st.success(
            f"{markup.unformatted(model.name)} means {markup.unformatted(reference)} now. The page Models goes back."
        )
    elif st.button(f"Promote {markup.unformatted(reference)}", type="primary" if is_better else "secondary"):
        workflows.promote_model(reference, settings)
        state.keep_model(reference)
        st.rerun()
