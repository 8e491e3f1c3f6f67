"""Look around among the documents that a model was trained on: what they have in common, and which mean what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Ints
from classifier.datamodels import Document
from classifier.errors import OptionError, lookup
from classifier.modeling.held_out import UNKNOWN
from classifier.modeling.label_sets import SEPARATOR
from classifier.modeling.predictor import Predictor

LABEL, PREDICTION, CONFIDENCE, CORRECTNESS = "label", "prediction", "confidence", "correctness"
COLORINGS = (LABEL, PREDICTION, CONFIDENCE, CORRECTNESS)
RIGHT, WRONG, NEVER = "right", "wrong", "never held out"
CORRECTNESSES = {RIGHT: 1.0, WRONG: 0.0, NEVER: -1.0}
N_CONFIDENCE_STEPS = 10
MOST_CAPTIONED = 20_000
_CAPTION_CHARACTERS = 160
_WORD = re.compile(r"\w{3,}")

Role: TypeAlias = Literal["label", "no label", "confidence", "right", "wrong", "unknown", "others"]


@dataclass(frozen=True, slots=True)
class FoundDocument:
    """A training document, and how it fared while it was held out.

    Attributes
    ----------
    row : int
        Its position among the training documents, from 0.
    document : Document
    answer : str
        What the model answered; several labels are joined by ``|``; empty where nobody knows, or for no label.
    confidence : float or None
        Of that answer, in [0, 1].
    correctness : str
        ``right``, ``wrong`` or ``never held out``.
    """

    row: int
    document: Document
    answer: str
    confidence: float | None
    correctness: str


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Documents that are drawn alike.

    Attributes
    ----------
    name : str
        What they have in common.
    role : str
        What kind of thing that is, as a label may be called anything.
    rows : ndarray of int
    """

    name: str
    role: Role
    rows: Ints


def first_labels(model: Predictor) -> Ints:
    """Return the position of each document's label, of the first where it has several; -1 for none."""
    if model.label_matrix_ is None:
        return model.document_labels_
    return _first(model.label_matrix_)


def groups(model: Predictor, by: str) -> list[Group]:
    """Sort the training documents by what they are coloured by.

    Parameters
    ----------
    model : Predictor
    by : str
        ``label``, ``prediction`` (what was answered while a document was held out), ``confidence`` or ``correctness``.

    Returns
    -------
    list of Group
        None of them empty; each document in one: of several labels the first counts.

    Raises
    ------
    UnknownNameError
        When they cannot be sorted by that.
    """
    sort = lookup(
        {LABEL: _by_label, PREDICTION: _by_answer, CONFIDENCE: _by_confidence, CORRECTNESS: _by_correctness},
        by,
        "colouring",
    )
    return [group for group in sort(model) if len(group.rows)]


def captions(model: Predictor) -> dict[str, list[str]]:
    """Say a few words about each document of a small map; about none where there are more than 20,000."""
    if len(model.documents_) > MOST_CAPTIONED:
        return {}
    found = [
        (f"{document.id} · {document.label or 'no label'}", _how_answered(model, row), _start(document.text))
        for row, document in enumerate(model.documents_)
    ]
    return dict(zip(("who", "how", "what"), map(list, zip(*found, strict=True)), strict=True)) if found else {}


def label_counts(model: Predictor, rows: Ints) -> list[tuple[str, int]]:
    """Count labels among some rows, the most frequent first; a document counts for each of its labels."""
    if model.label_matrix_ is None:
        counts = np.bincount(model.document_labels_[rows], minlength=len(model.classes_))
    else:
        counts = model.label_matrix_[rows].sum(axis=0)
    order = np.argsort(-counts, kind="stable")
    return [(str(model.classes_[code]), int(counts[code])) for code in order if counts[code]]


def describe(model: Predictor, rows: Sequence[int] | Ints) -> list[FoundDocument]:
    """Read some training documents, in the given order."""
    names = {value: name for name, value in CORRECTNESSES.items()}
    held_out = model.held_out_
    return [
        FoundDocument(
            row=row,
            document=model.documents_[row],
            answer=_answer(model, row),
            confidence=float(held_out.confidence[row]) if held_out.confidence[row] >= 0 else None,
            correctness=names[float(held_out.correct[row])],
        )
        for row in map(int, rows)
    ]


def doubtful_first(model: Predictor, rows: Ints) -> Ints:
    """Order rows: answered wrongly, then answered rightly, then never held out; in each the least confident first."""
    held_out = model.held_out_
    rank = np.where(held_out.correct[rows] < 0, 2.0, held_out.correct[rows])
    return rows[np.lexsort((rows, held_out.confidence[rows], rank))]


def search(
    model: Predictor,
    text: str,
    *,
    k: int = 50,
    label: str | None = None,
    correctness: str | None = None,
    min_similarity: float = -1.0,
    exclude_self: bool = False,
) -> list[tuple[FoundDocument, float]]:
    """Find the training documents whose meaning is nearest to a text.

    Parameters
    ----------
    model : Predictor
    text : str
        A text without anything to read finds nothing.
    k : int
        How many at most.
    label, correctness : str or None
        Only documents of this label; only those that were answered so while they were held out.
    min_similarity : float
        Only documents at least so similar, in [-1, 1].
    exclude_self : bool, default=False
        Leave out training documents with exactly this text.

    Returns
    -------
    list of (FoundDocument, float)
        With their cosine similarities, the nearest first.

    Raises
    ------
    UnknownNameError
        When there is no such label, or no such way to be answered.
    OptionError
        When the least similarity is no cosine.
    """
    if not -1 <= min_similarity <= 1:
        raise OptionError("least similarity", f"{min_similarity:g}", "a number from -1 to 1")
    among = np.ones(len(model.documents_), dtype=np.bool_) if label is None else model.has_label(label).copy()
    if correctness is not None:
        among &= model.held_out_.correct == lookup(CORRECTNESSES, correctness, "answer")
    query = model.encode([text])[0]
    if not query.any():
        return []
    exclude = model.same_text_rows(text) if exclude_self else ()
    rows, similarities = model.nearest_rows(query, k, among=among, exclude=exclude)
    kept = similarities >= min_similarity
    return list(zip(describe(model, rows[kept]), map(float, similarities[kept]), strict=True))


def shared_words(query: str, text: str, limit: int = 6) -> tuple[str, ...]:
    """Return the words of a query, of three letters or more, that a text has too.

    Examples
    --------
    >>> shared_words("Where is my refund?", "The refund is late, where are you?")
    ('where', 'refund')
    """
    known = set(_WORD.findall(text.casefold()))
    return tuple(dict.fromkeys(word for word in _WORD.findall(query.casefold()) if word in known))[:limit]


def _first(given: NDArray[np.bool_]) -> Ints:
    """Return the first column that is set in each row; -1 for none."""
    return np.where(given.any(axis=1), given.argmax(axis=1), -1)


def _answer(model: Predictor, row: int) -> str:
    """Write what was answered to a held-out document."""
    answers = model.held_out_.answers[row]
    if (answers == UNKNOWN).any():
        return ""
    given = np.flatnonzero(answers) if model.label_matrix_ is not None else answers
    return SEPARATOR.join(str(model.classes_[code]) for code in given)


def _how_answered(model: Predictor, row: int) -> str:
    """Say what became of a document while it was held out."""
    held_out = model.held_out_
    if held_out.correct[row] < 0:
        return NEVER
    answer, confidence = _answer(model, row) or "no label", 100 * held_out.confidence[row]
    known = f"answered {answer}, " if (held_out.answers[row] != UNKNOWN).all() else ""
    return f"{RIGHT if held_out.correct[row] else WRONG}: {known}{confidence:.1f} % sure"


def _start(text: str) -> str:
    """Return the beginning of a text on one line."""
    line = " ".join(text[: 4 * _CAPTION_CHARACTERS].split())
    return line if len(line) <= _CAPTION_CHARACTERS else f"{line[:_CAPTION_CHARACTERS]} …"


def of_codes(model: Predictor, codes: Ints) -> list[Group]:
    """Sort by the positions of labels, shape (n,); -1 stands for none. Groups may be empty."""
    named = [Group(str(label), "label", np.flatnonzero(codes == code)) for code, label in enumerate(model.classes_)]
    return [*named, Group("no label", "no label", np.flatnonzero(codes == -1))]


def _by_label(model: Predictor) -> list[Group]:
    """Sort by the given label."""
    return of_codes(model, first_labels(model))


def _by_answer(model: Predictor) -> list[Group]:
    """Sort by what was answered."""
    answers = model.held_out_.answers
    is_known = (answers != UNKNOWN).all(axis=1)
    codes = answers[:, 0] if model.label_matrix_ is None else _first(answers > 0)
    return [
        *of_codes(model, np.where(is_known, codes, -2).astype(np.intp)),
        Group(NEVER, "unknown", np.flatnonzero(~is_known)),
    ]


def _by_confidence(model: Predictor) -> list[Group]:
    """Sort by ten steps of confidence."""
    confidence = model.held_out_.confidence
    steps = np.minimum((confidence * N_CONFIDENCE_STEPS).astype(np.intp), N_CONFIDENCE_STEPS - 1)
    steps[confidence < 0] = -1
    width = 100 // N_CONFIDENCE_STEPS
    return [
        *(
            Group(f"{width * step} to {width * (step + 1)} %", "confidence", np.flatnonzero(steps == step))
            for step in range(N_CONFIDENCE_STEPS)
        ),
        Group(NEVER, "unknown", np.flatnonzero(steps == -1)),
    ]


def _by_correctness(model: Predictor) -> list[Group]:
    """Sort by what became of held-out documents."""
    roles: dict[str, Role] = {RIGHT: "right", WRONG: "wrong", NEVER: "unknown"}
    correct = model.held_out_.correct
    return [Group(name, role, np.flatnonzero(correct == CORRECTNESSES[name])) for name, role in roles.items()]
