"""What outlives one run of a page: opened models, shared by all visitors, and each visitor's own question.

No other module touches ``st.session_state`` or a cache. What a visitor asks stays in the visitor's session.
"""

from __future__ import annotations

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
    return OpenModel(
        reference=f"{name}@{version}",
        key=(folder, created),
        classifier=classifier,
        colors=label_colors(classifier.facts_),
        examples=tuple(choose_examples(classifier.documents_)),
    )


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
    _drop_upload()


def ask_example(document: Document) -> None:
    """Put a training document into the text box and ask about it."""
    st.session_state[TEXT_KEY] = document.text
    st.session_state[_QUESTION] = Question(document.text, is_example=True)
    _drop_upload()


def ask_file() -> None:
    """Empty the text box in favour of an uploaded file."""
    st.session_state[TEXT_KEY] = ""
    st.session_state[_QUESTION] = None


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


def upload_key() -> str:
    """Return the key of the uploader; under a new key it is empty."""
    return f"upload-{st.session_state.get(_N_UPLOADS, 0)}"


def _drop_upload() -> None:
    """Empty the uploader."""
    if st.session_state.get(upload_key()) is not None:
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


def who() -> str:
    """Return who decides: the e-mail address of a visitor who logged in, else ``page``."""
    email = st.user.get("email") if st.user.get("is_logged_in") else None
    return str(email) if email else "page"
