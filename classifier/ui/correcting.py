"""Below an answer: say that it is right, or which label is; it is kept at once, and can be undone."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable

import streamlit as st

from classifier.datamodels import Prediction, Settings
from classifier.errors import ClassifierError
from classifier.modeling.label_sets import join_labels, split_labels
from classifier.ui import login, markup, state, widgets
from classifier.workflows.corrections import correct, undo_correction

KEPT = "What you say is kept on this machine at once; the model learns from it when it is retrained (Review page)"
LABEL_PIXELS = 232


def correction(
    opened: state.OpenModel, settings: Settings, answer: Prediction, text: str, *, document: str = ""
) -> None:
    """Take what a person says about an answer.

    Parameters
    ----------
    opened : OpenModel
    settings : Settings
        Where decisions are kept.
    answer : Prediction
        Of a text that could be read.
    text : str
    document : str
        Its id or the name of its file, where it has one.
    """
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
    subject = (opened.key, digest)
    decided = state.decision_about(subject)
    st.html(markup.section("Is this right?", KEPT))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if decided is not None:
            _decided(opened, settings, subject, *decided)
            return
        is_right = st.button("Right", key=f"right-{digest}", disabled=not answer.label)
        wanted = _label(opened, answer, digest)
        is_saved = st.button("Save", key=f"save-{digest}", type="primary", disabled=not wanted)
    label = answer.label if is_right else wanted if is_saved else None
    if not label:
        return
    name, _, version = opened.reference.rpartition("@")
    said = {"old_label": answer.label, "new_label": label, "who": login.who(), "document": document}
    try:
        number = correct(settings, name, version, text, **said)
    except ClassifierError as error:
        widgets.problem(error)
        return
    state.keep_decision(subject, number, label)
    st.rerun()


def _label(opened: state.OpenModel, answer: Prediction, digest: str) -> str | None:
    """Choose one of the model's labels, or type another; None until something is chosen."""
    title, hint, key = "No, it is", "Choose or type a label", f"wrong-{digest}"
    if not opened.classifier.multi_label:
        others = [label for label in opened.colors if label != answer.label]
        return st.selectbox(
            title, others, index=None, placeholder=hint, accept_new_options=True, key=key, width=LABEL_PIXELS
        )
    given, known = list(answer.labels), list(opened.colors)
    chosen = st.multiselect(
        title, known, default=given, placeholder=hint, accept_new_options=True, key=key, width=LABEL_PIXELS
    )
    return join_labels(chosen) if set(chosen) != set(given) else None


def _decided(opened: state.OpenModel, settings: Settings, subject: Hashable, number: int, label: str) -> None:
    """Show what was decided, and let it be undone."""
    labels = split_labels(label) if opened.classifier.multi_label else [label]
    saved = f'<p class="chips"><strong>Saved</strong> {markup.chips(labels, opened.colors)}</p>'
    st.html(f'<div class="dc">{saved}</div>')
    if st.button("Undo", key=f"undo-{number}"):
        try:
            undo_correction(settings, number)
        except ClassifierError as error:
            widgets.problem(error)
            return
        state.forget_decision(subject)
        st.rerun()
