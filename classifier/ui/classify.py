"""The page that classifies: a pasted text, a text file, or every row of a table."""

from __future__ import annotations

from collections.abc import Hashable

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.uploaded_file_manager import UploadedFile

from classifier.datamodels import STATUS_EMPTY, Prediction
from classifier.modeling.explain import explain
from classifier.ui import frame, markup, state, uploads, widgets
from classifier.ui.state import OpenModel, Question, remembered

TITLE = "Classify"
LEAD = "Each answer comes with its confidence, the words that decided, and the training documents it resembles."


def show() -> None:
    """Draw the page; a mistake that the visitor can mend becomes one sentence."""
    with frame.page(TITLE, LEAD) as settings:
        model = frame.choose_model(settings)
        if model is not None:
            _draw(frame.open_model(model))


def _draw(opened: OpenModel) -> None:
    """Take what is to be classified, and answer it."""
    left, right = st.columns(2, gap="large")
    question = state.question()
    with left:
        upload = widgets.input_box(can_clear=question is not None)
    if upload is not None and uploads.is_table(upload.name):
        _answer_table(opened, upload, left, right)
    elif upload is not None:
        _answer_file(opened, upload, left, right)
    elif question is not None:
        _answer(opened, (opened.key, question), question, left, right)
    else:
        with right:
            widgets.examples(opened)


def _answer(
    opened: OpenModel,
    subject: Hashable,
    question: Question,
    left: DeltaGenerator,
    right: DeltaGenerator,
    *,
    name: str = "",
    prediction: Prediction | None = None,
) -> None:
    """Show the answer to one text on the left, similar training documents on the right."""
    model = opened.classifier
    with left:
        answer = prediction or remembered(subject, question, lambda: model.classify([question.text])[0])
        widgets.result(opened, answer, question.text, name)
        if answer.status != STATUS_EMPTY and widgets.wants_words(question.text):
            label = markup.decided_label(answer)
            why = remembered(subject, (question, "why"), lambda: explain(model, question.text, label=label, k=1))
            widgets.words(why)
    if answer.status == STATUS_EMPTY:
        return
    with right:
        label, k = widgets.neighbor_filter(opened)
        found = remembered(
            subject,
            (question, label, k),
            lambda: model.similar(question.text, k, label=label, exclude_self=question.is_example),
        )
        widgets.neighbors(opened, found)


def _answer_file(opened: OpenModel, upload: UploadedFile, left: DeltaGenerator, right: DeltaGenerator) -> None:
    """Answer an uploaded text."""
    subject = (opened.key, upload.file_id)
    text, notes = remembered(subject, "text", lambda: uploads.read_text(upload.name, upload.getvalue()))
    with left:
        widgets.notes(notes)
    _answer(opened, subject, Question(text), left, right, name=upload.name)


def _answer_table(opened: OpenModel, upload: UploadedFile, left: DeltaGenerator, right: DeltaGenerator) -> None:
    """Answer every row of an uploaded table; below it, the chosen row in full."""
    subject = (opened.key, upload.file_id)
    table = remembered(subject, "table", lambda: uploads.read_table(upload.name, upload.getvalue()))
    with left:
        widgets.notes(table.table.notes)
        column = widgets.pick_text_column(table)
    if column is None:
        return
    with right:
        with widgets.progress() as report:
            answers = remembered(
                subject, column, lambda: uploads.answer_table(opened.classifier, table, column, report)
            )
        widgets.table_summary(opened, table, answers)
    row = widgets.table_answers(opened, answers, key=f"rows of {upload.file_id} by {column}")
    if row is not None:
        record, prediction = answers.records[row], answers.predictions[row]
        widgets.row_heading(record)
        question = Question(record.document.text)
        _answer(opened, subject, question, *st.columns(2, gap="large"), prediction=prediction)
