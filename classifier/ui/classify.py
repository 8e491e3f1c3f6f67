"""The page that classifies: a pasted text, files of many kinds, or every row of a table."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.uploaded_file_manager import UploadedFile

from classifier.datamodels import Settings
from classifier.errors import FileProblemError
from classifier.ui import frame, state, uploads, widgets
from classifier.ui.answers import Asked, answer
from classifier.ui.state import OpenModel, Question, remembered
from classifier.workflows.files import FileAnswer, GivenFile, answer_files, require_few

TITLE = "Classify"
LEAD = "Each answer comes with its confidence, the words that decided, and the training documents it resembles."


def show() -> None:
    """Draw the page; a mistake that the visitor can mend becomes one sentence."""
    with frame.page(TITLE, LEAD) as settings:
        model = frame.choose_model(settings)
        if model is not None:
            _draw(frame.open_model(model), settings)


def _draw(opened: OpenModel, settings: Settings) -> None:
    """Take what is to be classified, and answer it."""
    left, right = st.columns(2, gap="large")
    question = state.question()
    with left:
        given = widgets.input_box(can_clear=question is not None or state.has_upload())
    if len(given) == 1 and uploads.is_table(given[0].name):
        _answer_table(opened, settings, given[0], left, right)
    elif given:
        _answer_files(opened, settings, given, left, right)
    elif question is not None:
        answer(opened, settings, Asked((opened.key, question), question), left, right)
    else:
        with right:
            widgets.examples(opened)


def _answer_files(
    opened: OpenModel, settings: Settings, given: Sequence[UploadedFile], left: DeltaGenerator, right: DeltaGenerator
) -> None:
    """Answer uploaded documents: one in full, several as rows of which one may be chosen."""
    subject = (opened.key, state.upload_key())
    require_few(len(given))
    known: dict[str, FileAnswer] = remembered(subject, "files", dict)
    new = {one.file_id: GivenFile(one.name, one.size, one.getvalue) for one in given if one.file_id not in known}
    if new:
        with right, widgets.progress("files") as report:
            known.update(zip(new, answer_files(opened.classifier, list(new.values()), report), strict=True))
    found = [known[one.file_id] for one in given]
    row: int | None = 0
    if len(found) > 1:
        with right:
            widgets.files_summary(opened, found)
        row = widgets.file_answers(opened, found, key=f"files of {state.upload_key()}, {len(found)}")
        left, right = st.columns(2, gap="large")
    if row is None:
        return
    one = found[row]
    name = one.document.id
    if one.prediction is None:
        raise FileProblemError(name, one.problem, one.remedy)
    with left:
        widgets.notes(one.notes)
    asked = Asked(subject, Question(one.document.text), name=name, document=name, prediction=one.prediction)
    answer(opened, settings, asked, left, right)


def _answer_table(
    opened: OpenModel, settings: Settings, upload: UploadedFile, left: DeltaGenerator, right: DeltaGenerator
) -> None:
    """Answer every row of an uploaded table; below it, the chosen row in full."""
    subject = (opened.key, upload.file_id)
    table = remembered(subject, "table", lambda: uploads.read_table(upload.name, upload.getvalue()))
    with left:
        widgets.notes(table.table.notes)
        column = widgets.pick_text_column(table)
    if column is None:
        return
    with right:
        with widgets.progress("rows") as report:
            answers = remembered(
                subject, column, lambda: uploads.answer_table(opened.classifier, table, column, report)
            )
        widgets.table_summary(opened, table, answers)
    row = widgets.table_answers(opened, answers, key=f"rows of {upload.file_id} by {column}")
    if row is not None:
        record, prediction = answers.records[row], answers.predictions[row]
        widgets.row_heading(record)
        question = Question(record.document.text)
        asked = Asked(subject, question, document=record.document.id, prediction=prediction)
        answer(opened, settings, asked, *st.columns(2, gap="large"))
