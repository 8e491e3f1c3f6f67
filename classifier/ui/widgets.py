"""What a page is made of: each function draws one thing and returns what the visitor put in."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from classifier.analysis.label_words import is_labels_only
from classifier.datamodels import STATUS_EMPTY, Neighbor, Prediction
from classifier.errors import ClassifierError, counted
from classifier.modeling.explain import Explanation
from classifier.modeling.label_sets import split_labels
from classifier.prediction.batch import ADDED_COLUMNS
from classifier.reading.documents import Record
from classifier.reading.single import DOCUMENT_SUFFIXES
from classifier.storage.registry import ModelVersion
from classifier.ui import explaining, markup, state, table_markup
from classifier.ui.style import CSS
from classifier.ui.uploads import ROW_LIMIT, TABLE_SUFFIX, TableAnswers, UploadedTable
from classifier.workflows.batch_jobs import AnsweredRows, download_name
from classifier.workflows.files import MOST_FILES, MOST_MEGABYTES, FileAnswer, to_csv

SHOWN_LABELS = 5
SHORT_CHARACTERS = 600
NEIGHBOR_COUNTS = (5, 10, 20)
SIMILAR_KEY = "n-similar"
LABEL_CHARACTERS = 40
ALL_LABELS = ""
UNREADABLE = "rejected"
TABLE_PIXELS, TABLE_ROW_PIXELS = 388, 35
TABLE_TEXT_CHARACTERS = 400
FIRST_SCREEN_PIXELS = 680
TRAIN_COMMAND = "classifier train data/support_tickets.csv --name tickets"


def style() -> None:
    """Bring the style sheet to the page."""
    st.html(CSS)
    st.html(explaining.CSS)


def problem(error: ClassifierError) -> None:
    """Show a mistake that the visitor can mend."""
    st.error(markup.unformatted(str(error)))


def first_screen(models_dir: Path) -> None:
    """Say what to do where there is no model yet."""
    with st.container(width=FIRST_SCREEN_PIXELS):
        st.html(markup.no_model(models_dir))
        st.html(markup.section("Or on the command line, on the sample data"))
        st.code(TRAIN_COMMAND, language="bash")
        st.html(markup.section("Or let make do everything: train, measure, predict, serve"))
        st.code("make run", language="bash")
        st.button("Look again")


def pick_model(models: Sequence[ModelVersion]) -> ModelVersion:
    """Choose a model; the first promoted one to begin with."""
    named = {model.reference: model for model in models}
    gone = state.linked_model()
    if gone is not None and gone not in named:
        st.html(markup.note(f"There is no model {gone} any more"))
    promoted = next((model.reference for model in models if model.promoted), models[0].reference)
    state.set_model(state.chosen_model(list(named), promoted))
    chosen = st.selectbox(
        "Model",
        list(named),
        key=state.MODEL_KEY,
        format_func=lambda name: f"{name} · promoted" if named[name].promoted else name,
    )
    state.keep_model(chosen)
    return named[chosen]


def input_box(*, can_clear: bool) -> list[UploadedFile]:
    """Take a text or files; what is in the text box is asked about by `state.ask_text`."""
    st.text_area(
        "Text",
        key=state.TEXT_KEY,
        height=190,
        placeholder="Paste a text …",
        label_visibility="collapsed",
        on_change=state.ask_text,
    )
    with st.container(horizontal=True):
        st.button("Classify", type="primary", shortcut="Ctrl+Enter", on_click=state.ask_text)
        if can_clear:
            st.button("Clear", type="tertiary", on_click=state.clear)
    return st.file_uploader(
        f"Or up to {MOST_FILES} documents at once, or one table (.csv) of which the first {ROW_LIMIT:,} rows are "
        "answered",
        type=[*DOCUMENT_SUFFIXES, TABLE_SUFFIX],
        accept_multiple_files=True,
        max_upload_size=MOST_MEGABYTES,
        key=state.upload_key(),
        on_change=state.ask_file,
    )


def examples(opened: state.OpenModel) -> None:
    """Offer training documents to try."""
    st.html(markup.section("Try an example", "Short documents that the model was trained on"))
    for index, document in enumerate(opened.examples):
        st.button(
            markup.unformatted(markup.shortened(document.text)),
            key=f"example-{index}",
            width="stretch",
            wrap=True,
            on_click=state.ask_example,
            args=(document,),
        )


def wants_words(text: str) -> bool:
    """Explain a short text at once; a long one, which takes a while, when asked."""
    is_short = len(text) <= SHORT_CHARACTERS
    return is_short or st.toggle("Show the words that decided (takes a while)", key="words-of-long-text")


def words_label(opened: state.OpenModel, prediction: Prediction, text: str) -> str:
    """Choose the label whose words are shown: the answered one to begin with, or the one that the address names."""
    answered = markup.decided_label(prediction) or next(iter(prediction.probabilities))
    begin = state.setting(state.WORDS_PARAMETER, list(opened.colors), answered)
    options = list(dict.fromkeys([*(label for label, _ in prediction.top(SHOWN_LABELS)), answered, begin]))
    st.html(markup.section("Why", "What a label would lose without a word; choose another label to see its words"))
    key = f"words-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]}"
    state.begin_with(key, begin)
    chosen = st.pills(
        "Words of",
        options,
        format_func=lambda label: markup.unformatted(markup.shortened(label, LABEL_CHARACTERS)),
        required=True,
        key=key,
        label_visibility="collapsed",
        wrap=True,
    )
    state.keep_setting(state.WORDS_PARAMETER, chosen or answered, answered)
    return chosen or answered


def words(explanation: Explanation) -> None:
    """Show the words that decided."""
    st.html(explaining.render_words(explanation))


def result(opened: state.OpenModel, prediction: Prediction, text: str, name: str) -> None:
    """Show one answer."""
    n_labels = len(prediction.probabilities)
    place = st.container()
    show_all = n_labels > SHOWN_LABELS and st.toggle(f"Show all {n_labels} labels", key="all-labels")
    place.html(
        markup.result(
            prediction,
            opened.colors,
            text,
            n_shown=n_labels if show_all else SHOWN_LABELS,
            max_tokens=opened.classifier.contract_.max_tokens,
            name=name,
            multi_label=opened.classifier.multi_label,
            is_calibrated=not is_labels_only(opened.classifier.facts_),
        )
    )


def neighbor_filter(opened: state.OpenModel) -> tuple[str | None, int]:
    """Choose the label (None for all of them) and the number of similar documents."""
    st.html(markup.section("Similar training documents"))
    labels, key = list(opened.colors), f"label-of-{opened.reference}"
    state.begin_with(key, state.setting(state.LABEL_PARAMETER, labels, ALL_LABELS))
    state.begin_with(SIMILAR_KEY, state.setting(state.SIMILAR_PARAMETER, NEIGHBOR_COUNTS, NEIGHBOR_COUNTS[0]))
    with st.container(horizontal=True, vertical_alignment="center"):
        label = st.selectbox(
            "Label",
            [ALL_LABELS, *labels],
            format_func=lambda name: name or "All labels",
            key=key,
            label_visibility="collapsed",
        )
        n_shown = st.segmented_control(
            "Number", NEIGHBOR_COUNTS, required=True, key=SIMILAR_KEY, label_visibility="collapsed"
        )
    state.keep_setting(state.LABEL_PARAMETER, label, ALL_LABELS)
    state.keep_setting(state.SIMILAR_PARAMETER, n_shown, NEIGHBOR_COUNTS[0])
    return label or None, n_shown or NEIGHBOR_COUNTS[0]


def neighbors(opened: state.OpenModel, found: Sequence[Neighbor]) -> None:
    """Show similar training documents."""
    st.html(markup.neighbors(found, opened.colors))


def notes(sentences: Sequence[str]) -> None:
    """Tell what was chosen while a file was read, such as its encoding."""
    for sentence in sentences:
        st.html(markup.note(sentence))


def pick_text_column(table: UploadedTable) -> str | None:
    """Choose the column of the texts and show what it holds; None until one is chosen."""
    column = pick_column("Column with the texts", table.table.columns, table.text_column)
    if column is not None:
        st.html(markup.preview(table.samples(column)))
    return column


def pick_column(title: str, columns: Sequence[str], found: str | None) -> str | None:
    """Choose a column; None until one is chosen."""
    index = None if found is None else columns.index(found)
    return st.selectbox(title, columns, index=index, placeholder="Choose one")


def rows_preview(columns: Sequence[str], rows: Sequence[Sequence[Any]], n_rows: int) -> None:
    """Show the first rows of a table."""
    st.html(markup.section("Preview", f"The first of {counted(n_rows, 'row')}"))
    cells = [[markup.shortened(str(cell), TABLE_TEXT_CHARACTERS) for cell in row] for row in rows]
    st.dataframe(_table(columns, cells), hide_index=True)


def answered_rows(found: AnsweredRows, colors: Mapping[str, str], *, at_most: int) -> None:
    """Show rows of a batch, their labels in their colours."""
    if not found.rows:
        st.html(markup.note("No row passes these filters"))
        return
    if len(found.rows) == at_most:
        st.html(markup.note(f"The first {at_most:,} rows that pass; all are in the download"))
    cells = [[markup.shortened(cell, TABLE_TEXT_CHARACTERS) for cell in row] for row in found.rows]
    columns: dict[str, list[Any]] = dict(_table(found.columns, cells))
    added = [list(columns)[found.position(name)] for name, _ in ADDED_COLUMNS]
    label, confidence, _ = added
    statuses = found.column("status")
    columns[label] = [
        [one] if one in colors else list(split_labels(one)) or ([] if status == STATUS_EMPTY else [markup.NO_LABEL])
        for one, status in zip(found.column("predicted_label"), statuses, strict=True)
    ]
    columns[confidence] = [100 * float(cell) if cell else None for cell in found.column("confidence")]
    drawn = _columns(colors)
    st.dataframe(
        columns,
        hide_index=True,
        height=table_height(len(cells), 2 * TABLE_PIXELS),
        column_order=[*added, *(name for name in columns if name not in added)],
        column_config={label: drawn["label"], confidence: drawn["confidence"]},
    )


def table_height(n_rows: int, most: int = TABLE_PIXELS) -> int | Literal["content"]:
    """Let a table be as high as its rows, up to a limit in pixels."""
    return "content" if TABLE_ROW_PIXELS * (n_rows + 1) <= most else most


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """Arrange cells by column; columns of one name are told apart."""
    names = [name if columns.index(name) == at else f"{name} ({at + 1})" for at, name in enumerate(columns)]
    return {name: [row[at] for row in rows] for at, name in enumerate(names)}


@contextmanager
def progress(things: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function that shows how many things are done; the bar leaves when they all are."""
    place = st.empty()

    def report(n_done: int, n_all: int) -> None:
        place.progress(n_done / n_all, f"{n_done:,} of {n_all:,} {things}")

    yield report
    place.empty()


def table_summary(opened: state.OpenModel, table: UploadedTable, answers: TableAnswers) -> None:
    """Count what became of the rows, offer the answers as a file, and say what is not part of it."""
    st.html(table_markup.table_summary(answers.predictions, len(answers.rejections), opened.colors))
    name = download_name(table.name, "csv")
    st.download_button("Download CSV", answers.csv, file_name=name, mime="text/csv", on_click="ignore")
    n_kept = table.table.n_rows
    if n_kept < table.n_rows:
        st.warning(f"This page answers the first {n_kept:,} of {table.n_rows:,} rows. For all of them, run:")
        file = shlex.quote(table.name)
        st.code(f"classifier predict {opened.reference} {file} --output answers.csv", language="bash")
    if answers.rejections:
        st.html(table_markup.rejected_rows(answers.rejections))


def table_answers(opened: state.OpenModel, answers: TableAnswers, *, key: str) -> int | None:
    """Show the answers of a table; return the position of the row that is chosen, if any."""
    st.html(markup.section("Answers", "Choose a row to see its full answer"))
    pairs = list(zip(answers.records, answers.predictions, strict=True))
    rows: dict[str, list[Any]] = {
        "id": [record.document.id for record, _ in pairs],
        "label": [_shown_labels(answer) for _, answer in pairs],
        "confidence": [_shown_confidence(answer) for _, answer in pairs],
        "status": [answer.status for _, answer in pairs],
        "text": [markup.shortened(record.document.text, TABLE_TEXT_CHARACTERS) for record, _ in pairs],
    }
    return _chosen_row(opened, rows, key)


def files_summary(opened: state.OpenModel, answers: Sequence[FileAnswer]) -> None:
    """Count what became of files, and offer the answers as a file."""
    predictions = [answer.prediction for answer in answers if answer.prediction is not None]
    n_unread = len(answers) - len(predictions)
    st.html(table_markup.table_summary(predictions, n_unread, opened.colors, noun="file"))
    if predictions:
        content = to_csv(answers)
        st.download_button("Download CSV", content, "documents.predicted.csv", mime="text/csv", on_click="ignore")
    if n_unread:
        st.html(markup.note(f"{counted(n_unread, 'file')} could not be read; the reason is below, not in the download"))


def file_answers(opened: state.OpenModel, answers: Sequence[FileAnswer], *, key: str) -> int | None:
    """Show the answers to files; return the position of the one that is chosen, if any."""
    st.html(markup.section("Answers", "Choose a row to see its full answer"))
    predictions = [answer.prediction for answer in answers]
    rows: dict[str, list[Any]] = {
        "file": [answer.document.id for answer in answers],
        "label": [[] if one is None else _shown_labels(one) for one in predictions],
        "confidence": [_shown_confidence(one) for one in predictions],
        "status": [UNREADABLE if one is None else one.status for one in predictions],
        "note": [answer.problem or "; ".join(answer.notes) for answer in answers],
        "text": [markup.shortened(answer.document.text, TABLE_TEXT_CHARACTERS) for answer in answers],
    }
    return _chosen_row(opened, rows, key)


def _chosen_row(opened: state.OpenModel, rows: dict[str, list[Any]], key: str) -> int | None:
    """Show answers as a table; return the position of the row that is chosen, if any."""
    n_rows = len(rows["text"])
    event = st.dataframe(
        {name: cells for name, cells in rows.items() if name != "note" or any(cells)},
        hide_index=True,
        height=table_height(n_rows),
        column_config=_columns(opened.colors),
        on_select="rerun",
        selection_mode="single-row",
        key=key,
    )
    chosen: list[int] = event["selection"]["rows"]
    return chosen[0] if chosen and chosen[0] < n_rows else None


def row_heading(record: Record) -> None:
    """Head the full answer to one row of a table."""
    st.html(markup.row_heading(record.row.number, record.document.id, record.document.text))


def _columns(colors: Mapping[str, str]) -> dict[str, Any]:
    """Say how the columns of answers are drawn."""
    options = markup.NO_LABEL_COLOR | dict(colors)
    return {
        "id": st.column_config.TextColumn(width="small"),
        "file": st.column_config.TextColumn(width="medium"),
        "note": st.column_config.TextColumn(width="medium"),
        "label": st.column_config.MultiselectColumn(options=list(options), color=list(options.values())),
        "confidence": st.column_config.ProgressColumn(format="%.1f %%", min_value=0, max_value=100),
        "status": st.column_config.TextColumn(width="small"),
        "text": st.column_config.TextColumn(width="large"),
    }


def _shown_labels(answer: Prediction) -> list[str]:
    """Return the labels of a row's answer; nothing where there is nothing to read."""
    return list(answer.labels) or ([] if answer.status == STATUS_EMPTY else [markup.NO_LABEL])


def _shown_confidence(answer: Prediction | None) -> float | None:
    """Return the confidence of an answer in percent; None where there is none."""
    return None if answer is None or answer.status == STATUS_EMPTY else 100 * answer.confidence
