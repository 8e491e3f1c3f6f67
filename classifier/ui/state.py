"""What outlives one run of a page: opened models, shared by all visitors, and each visitor's own question.

No other module touches ``st.session_state`` or a cache. What a visitor asks stays in the visitor's session.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import streamlit as st

from classifier import workflows
from classifier.datamodels import Document, Settings
from classifier.modeling.predictor import Predictor
from classifier.storage.registry import ModelVersion
from classifier.ui.examples import choose_examples
from classifier.ui.markup import label_colors

T = TypeVar("T")

MAX_OPEN_MODELS, MAX_SHARED = 3, 24
TEXT_KEY = "classify.text"
JOB_PARAMETER, MODEL_PARAMETER = "job", "model"
MODEL_KEY = "model"
_MODEL = "chosen model"
LABEL_PARAMETER, SIMILAR_PARAMETER, WORDS_PARAMETER = "label", "similar", "words"
MOST_KEPT_DECISIONS = 500
_DECISIONS = "decisions of this visit"
_QUESTION, _ANSWERS, _N_UPLOADS = "classify.question", "classify.answers", "classify.n_uploads"


@dataclass(frozen=True, slots=True)
class Question:
    """A text that was asked about.

    Attributes
    ----------
    text : str
        The text.
    is_example : bool
        Whether it is a training document, which must not count as similar to itself.
    """

    text: str
    is_example: bool = False


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model that is ready to answer.

    Attributes
    ----------
    reference : str
        ``NAME@VERSION``.
    key : tuple of str
        Tells it from every other model, also from an earlier one of the same name.
    classifier : Predictor
        With its encoder in memory.
    colors : dict of str to str
        Each label with its colour, in the model's order.
    examples : tuple of Document
        A few training documents to try it with.
    """

    reference: str
    key: tuple[str, ...]
    classifier: Predictor
    colors: dict[str, str]
    examples: tuple[Document, ...]


def open_model(model: ModelVersion, created: str) -> OpenModel:
    """Open a model, once for all visitors.

    Parameters
    ----------
    model : ModelVersion
        Which one.
    created : str
        When it was made.

    Raises
    ------
    ClassifierError
        When the model or its encoder is refused.
    """
    return _open(model.name, model.version, str(model.folder.absolute()), created)


@st.cache_resource(max_entries=MAX_OPEN_MODELS, show_spinner="Opening the model …")
def _open(name: str, version: str, folder: str, created: str) -> OpenModel:
    """Open one model; the cache keeps one entry for each set of arguments."""
    classifier = workflows.open_predictor(Path(folder), Settings.from_environment())
    classifier.loaded_embedder()
    opened = OpenModel(
        reference=f"{name}@{version}",
        key=(folder, created),
        classifier=classifier,
        colors=label_colors(classifier.facts_),
        examples=tuple(choose_examples(classifier.documents_)),
    )
    _spare_collections()
    return opened


def _spare_collections() -> None:
    """Let garbage collection skip what is in memory now: Streamlit collects after each run, through all objects."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def after_the_others(compute: Callable[[], T]) -> T:
    """Compute what takes longer than an answer when nobody else does, so that answers come first for everybody."""
    with _one_at_a_time():
        return compute()


@st.cache_resource(show_spinner=False)
def _one_at_a_time() -> threading.Lock:
    """Return the lock of all visitors."""
    return threading.Lock()


def question() -> Question | None:
    """Return what was asked last, or None where nothing was."""
    asked: Question | None = st.session_state.get(_QUESTION)
    return asked


def ask_text() -> None:
    """Ask about what is in the text box, and let go of an uploaded file."""
    text = st.session_state[TEXT_KEY]
    asked = question()
    if asked is None or asked.text != text:
        st.session_state[_QUESTION] = Question(text)
    _turn_to_another()


def ask_example(document: Document) -> None:
    """Put a training document into the text box and ask about it."""
    st.session_state[TEXT_KEY] = document.text
    st.session_state[_QUESTION] = Question(document.text, is_example=True)
    _turn_to_another()


def ask_file() -> None:
    """Empty the text box in favour of uploaded files."""
    st.session_state[TEXT_KEY] = ""
    st.session_state[_QUESTION] = None
    _forget_words()


def clear() -> None:
    """Go back to the first screen."""
    ask_file()
    _drop_upload()


def chosen_model(references: Sequence[str], first: str) -> str:
    """Return the model to show: the one that the visitor chose last, on any page, or that the address names.

    Parameters
    ----------
    references : sequence of str
        The models there are.
    first : str
        The one for a visitor who has not chosen.
    """
    candidates = (
        st.session_state.get(MODEL_KEY),
        st.session_state.get(_MODEL),
        st.query_params.get(MODEL_PARAMETER),
        first,
    )
    return next(str(one) for one in candidates if one in references)


def set_model(reference: str) -> None:
    """Let the choice of a model, which is drawn next, begin with this one."""
    st.session_state[MODEL_KEY] = reference


def linked_model() -> str | None:
    """Return the model that the address names, if any."""
    return st.query_params.get(MODEL_PARAMETER)


def keep_model(reference: str) -> None:
    """Remember the chosen model for the next page, and name it in the address."""
    st.session_state[_MODEL] = reference
    st.query_params[MODEL_PARAMETER] = reference


def choose_model(reference: str) -> None:
    """Turn to a model; for what a button does."""
    set_model(reference)
    keep_model(reference)


def choose_from_table(key: str, references: Sequence[str]) -> None:
    """Turn to the model whose row of a table was chosen; for what the table of that key does."""
    rows = st.session_state[key]["selection"]["rows"]
    if rows and rows[0] < len(references):
        choose_model(references[rows[0]])


def followed_job() -> str | None:
    """Return the id of the job that the address of the page names, if any."""
    return st.query_params.get(JOB_PARAMETER)


def follow_job(job_id: str) -> None:
    """Let the address of the page name a job, so that it is found again."""
    st.query_params[JOB_PARAMETER] = job_id


def follow_no_job() -> None:
    """Go back to where a job can be started."""
    st.query_params.pop(JOB_PARAMETER, None)


def is_dark() -> bool:
    """Tell whether the visitor sees the page in its dark look."""
    return st.context.theme.type == "dark"


def setting(name: str, allowed: Sequence[T], default: T) -> T:
    """Return what the address says about a setting, or the default where it says nothing that is allowed.

    Parameters
    ----------
    name : str
        Of the parameter.
    allowed : sequence
        Values; the address holds one of them as text.
    default
        For an address without the parameter.
    """
    asked = st.query_params.get(name)
    return next((value for value in allowed if str(value) == asked), default)


def keep_setting(name: str, value: object, default: object) -> None:
    """Name a setting in the address, so that whoever opens it finds the same; the default needs no naming."""
    if value == default:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != str(value):
        st.query_params[name] = str(value)


def begin_with(key: str, value: object) -> None:
    """Let a widget that is drawn next begin with a value, where the visitor has not set it yet."""
    if key not in st.session_state:
        st.session_state[key] = value


def decision_about(subject: Hashable) -> tuple[int, str] | None:
    """Return number and label of what this visitor decided about a document during this visit, if anything."""
    kept: dict[Hashable, tuple[int, str]] = st.session_state.get(_DECISIONS, {})
    return kept.get(subject)


def keep_decision(subject: Hashable, number: int, label: str) -> None:
    """Remember a decision about a document, so that it can be shown and undone."""
    kept = {**st.session_state.get(_DECISIONS, {}), subject: (number, label)}
    st.session_state[_DECISIONS] = dict(list(kept.items())[-MOST_KEPT_DECISIONS:])


def forget_decision(subject: Hashable) -> None:
    """Let go of a decision that was undone."""
    st.session_state.get(_DECISIONS, {}).pop(subject, None)


def upload_key() -> str:
    """Return the key of the uploader; under a new key it is empty."""
    return f"upload-{st.session_state.get(_N_UPLOADS, 0)}"


def has_upload() -> bool:
    """Tell whether there is anything in the uploader."""
    return bool(st.session_state.get(upload_key()))


def _turn_to_another() -> None:
    """Let go of uploaded files in favour of a text."""
    _drop_upload()
    _forget_words()


def _drop_upload() -> None:
    """Empty the uploader."""
    if has_upload():
        st.session_state[_N_UPLOADS] = st.session_state.get(_N_UPLOADS, 0) + 1


def shared(subject: Hashable, part: Hashable, compute: Callable[[], T]) -> T:
    """Compute something about a model once for all visitors; nothing that a visitor sent may be in it.

    Parameters
    ----------
    subject : hashable
        The key of the model.
    part : hashable
        What is computed about it.
    compute : callable
        Gives the value, which nobody changes; a failure is not kept.
    """
    value: T = _shared(subject, part, compute)
    return value


@st.cache_resource(max_entries=MAX_SHARED, show_spinner=False)
def _shared(subject: Hashable, part: Hashable, _compute: Callable[[], Any]) -> Any:  # noqa: ARG001 # they are the key
    """Compute one value; the cache keeps one entry for each subject and part."""
    return _compute()


def _forget_words() -> None:
    """Explain the answer of another text, unless it is the first: then the address may name another label."""
    if _ANSWERS in st.session_state:
        st.query_params.pop(WORDS_PARAMETER, None)


def remembered(subject: Hashable, part: Hashable, compute: Callable[[], T]) -> T:
    """Compute something about a subject once, until the visitor turns to another subject.

    Parameters
    ----------
    subject : hashable
        What is looked at, such as a model with a question.
    part : hashable
        What is computed about it.
    compute : callable
        Gives the value; a failure is not remembered.
    """
    kept, values = st.session_state.get(_ANSWERS, (None, {}))
    if kept != subject:
        values = {}
        st.session_state[_ANSWERS] = (subject, values)
    if part not in values:
        values[part] = compute()
    value: Any = values[part]
    return value  # type: ignore[no-any-return] # each part has a type of its own


def memory(page: str) -> dict[str, Any]:
    """Return what a page keeps about this visitor, which only that page reads."""
    kept: dict[str, Any] = st.session_state.setdefault(f"memory of {page}", {})
    return kept


def value_of(key: str) -> Any:
    """Return what a widget holds; None where there is none."""
    return st.session_state.get(key)
