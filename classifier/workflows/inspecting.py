"""Look into a stored model: what it got wrong, how each label fares, what review buys, which labels to doubt.

All answers are those that training documents were given while they were held out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Ints
from classifier.analysis.confusion import Confusion, LabelScores, label_scores, stored_label_scores
from classifier.analysis.intervals import wilson_interval
from classifier.analysis.issues import ISSUE_KINDS, LabelIssue
from classifier.analysis.label_words import is_labels_only
from classifier.datamodels import Document, ReviewPolicy
from classifier.errors import MultiLabelError, OptionError, StorageError, lookup
from classifier.modeling.held_out import UNKNOWN
from classifier.modeling.label_sets import SEPARATOR, split_labels
from classifier.modeling.predictor import Predictor

HELD_OUT = "its training documents, each while it was held out"
OLDER_VERSION = (
    "Which answer each training document was given is not known: an earlier version trained this model. Train it again "
    "to read the documents behind the numbers"
)
NO_DOCUMENTS = "It was trained without documents, so that there are none to read behind the numbers"
NEVER_HELD_OUT = (
    "No answer to a training document is kept with this model: there were too few documents to hold any out, or an "
    "earlier version trained it. Train it again, with two or more documents of each label"
)
BUDGET_ROWS = 1000
_DIGITS = 1_000_000

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class HeldOutDocument:
    """A training document with the answer it was given while it was held out.

    Attributes
    ----------
    document : Document
    label, answer : str
        What it has and what it was given; several are joined by ``|``.
    confidence : float
        Of the answer, in [0, 1].
    """

    document: Document
    label: str
    answer: str
    confidence: float


@dataclass(frozen=True, slots=True)
class LabelTable:
    """How each label fares.

    Attributes
    ----------
    rows : tuple of LabelScores
        The lowest F1 first; none where nothing was measured.
    measured_on : str
        On what, in words.
    has_documents : bool
        Whether the documents behind the numbers can be read.
    """

    rows: tuple[LabelScores, ...]
    measured_on: str
    has_documents: bool


@dataclass(frozen=True, slots=True)
class ConfusionTable:
    """What is taken for what; the attributes beside `confusion` are those of `LabelTable`."""

    confusion: Confusion
    measured_on: str
    has_documents: bool


@dataclass(frozen=True, slots=True)
class ReviewChoice:
    """What a threshold on the confidence costs in reading, and what it gives.

    Attributes
    ----------
    threshold : float
        Answers below it go to a person; above 1, all of them do.
    review_fraction : float
        Share of documents that go to a person, in [0, 1].
    n_answered, n_documents : int
        Held-out documents that are answered alone, and all that were measured.
    accuracy : float or None
        Share of the documents answered alone that are right; None where there is none.
    accuracy_interval : tuple of float or None
        Wilson's 95 % interval.
    accuracy_of_all : float
        Share of all documents that are right without anybody reading.
    """

    threshold: float
    review_fraction: float
    n_answered: int
    n_documents: int
    accuracy: float | None
    accuracy_interval: tuple[float, float] | None
    accuracy_of_all: float


def knows_answers(model: Predictor) -> bool:
    """Tell whether a model knows which answer each training document was given while it was held out."""
    return bool(_known(model).any())


def why_no_documents(model: Predictor) -> str:
    """Say why the documents behind the numbers cannot be read, and what to do; empty where they can."""
    if knows_answers(model):
        return ""
    if is_labels_only(model.facts_):
        return NO_DOCUMENTS
    return OLDER_VERSION if model.held_out_.measured.any() else NEVER_HELD_OUT


def confusion_table(model: Predictor) -> ConfusionTable | None:
    """Count which labels are taken for which; from the stored metrics where the answers themselves are not known.

    Returns
    -------
    ConfusionTable or None
        None where nothing was measured.

    Raises
    ------
    MultiLabelError
        When the model gives any number of labels, which are not taken for one another.
    """
    if model.multi_label:
        raise MultiLabelError("The confusion of labels", "look at how each label fares instead")
    if knows_answers(model):
        known = _known(model)
        labels, answers = [str(name) for name in model.classes_], model.held_out_.answers[known, 0].astype(np.intp)
        return ConfusionTable(Confusion.of(model.document_labels_[known], answers, labels), HELD_OUT, True)
    metrics = model.facts_.get("metrics")
    if not metrics:
        return None
    return ConfusionTable(Confusion.from_metrics(metrics), str(model.facts_.get("measured_on", "")), False)


def label_table(model: Predictor) -> LabelTable:
    """Score each label; from the stored metrics where the answers themselves are not known."""
    metrics = model.facts_.get("metrics")
    if not knows_answers(model):
        rows = stored_label_scores(metrics) if metrics else ()
        return LabelTable(rows, str(model.facts_.get("measured_on", "")), False)
    return LabelTable(label_scores([str(name) for name in model.classes_], *_counts(model)), HELD_OUT, True)


def documents_of_pair(
    model: Predictor, true: str, answered: str, *, limit: int | None = None
) -> tuple[HeldOutDocument, ...]:
    """Return the documents of one label that were given another, or the same.

    Parameters
    ----------
    model : Predictor
        Of one label for each document.
    true, answered : str
    limit : int or None
        How many at most.

    Returns
    -------
    tuple of HeldOutDocument
        The surest first; where both labels are the same, the least sure first.

    Raises
    ------
    MultiLabelError
        When the model gives any number of labels.
    UnknownNameError
        When a label is not among the model's.
    StorageError
        When the model does not know the answers.
    """
    if model.multi_label:
        raise MultiLabelError("A pair of labels", "ask for one label")
    _require_answers(model)
    true_code, given_code = _code(model, true), _code(model, answered)
    rows = _known(model) & (model.document_labels_ == true_code) & (model.held_out_.answers[:, 0] == given_code)
    return _listed(model, rows, limit, surest_first=true_code != given_code)


def missed_documents(model: Predictor, label: str, *, limit: int | None = None) -> tuple[HeldOutDocument, ...]:
    """Return the documents that have a label and were not given it, the surest first; see `documents_of_pair`."""
    return _wrong(model, label, lambda has, given: has & ~given, limit)


def wrongly_given_documents(model: Predictor, label: str, *, limit: int | None = None) -> tuple[HeldOutDocument, ...]:
    """Return the documents that were given a label and do not have it, the surest first; see `documents_of_pair`."""
    return _wrong(model, label, lambda has, given: given & ~has, limit)


def review_choice(model: Predictor, policy: ReviewPolicy) -> ReviewChoice | None:
    """Find the threshold that a policy asks for, with what it costs and gives.

    Parameters
    ----------
    model : Predictor
    policy : ReviewPolicy
        A review budget is meant of 1,000 documents.

    Returns
    -------
    ReviewChoice or None
        Its threshold is rounded to six digits, so that typing it gives the same; None where nothing was held out.

    Raises
    ------
    OptionError
        When what is asked for is out of its range.
    """
    if policy.review_budget is not None and not 0 <= policy.review_budget <= BUDGET_ROWS:
        raise OptionError("review budget", policy.review_budget, f"a number from 0 to {BUDGET_ROWS:,}")
    if not model.held_out_.measured.any():
        return None
    found = model.review_threshold(policy, BUDGET_ROWS)
    rounded = math.ceil if policy.target_accuracy is not None else math.floor
    threshold = found if found > 1 else rounded(round(found * _DIGITS, 3)) / _DIGITS
    cost = model.review_cost(threshold)
    if cost is None:
        return None
    n_answered = round((1 - cost.review_fraction) * cost.n_documents)
    accuracy = cost.accuracy_answered
    return ReviewChoice(
        threshold=threshold,
        review_fraction=cost.review_fraction,
        n_answered=n_answered,
        n_documents=cost.n_documents,
        accuracy=accuracy,
        accuracy_interval=None if accuracy is None else wilson_interval(round(accuracy * n_answered), n_answered),
        accuracy_of_all=float((model.held_out_.correct[model.held_out_.measured] == 1).mean()),
    )


def suspected_documents(
    model: Predictor, *, kind: str | None = None, label: str | None = None
) -> tuple[tuple[LabelIssue, Document], ...]:
    """Return the training documents whose label deserves a look, the worst first.

    Parameters
    ----------
    model : Predictor
    kind : str or None
        One of `ISSUE_KINDS` alone.
    label : str or None
        Only documents that have this label, or that are suggested to have it.

    Raises
    ------
    UnknownNameError
        When there is no such kind or label.
    """
    if kind is not None:
        lookup(dict.fromkeys(ISSUE_KINDS, True), kind, "kind of issue")
    if label is not None:
        _code(model, label)
    return tuple(
        (issue, model.documents_[issue.row])
        for issue in model.issues_
        if kind in {None, issue.kind}
        and (label is None or label in {*_split(issue.label, model), *_split(issue.suggested, model)})
    )


def n_suspected_once(facts: Mapping[str, Any]) -> int:
    """Return how many documents deserved a look when a model was trained, also where it did not keep which."""
    return sum(((facts.get("audit") or {}).get("n_issues") or {}).values())


def _known(model: Predictor) -> Mask:
    """Tell of which documents the held-out answer is known, shape (n_documents,)."""
    return np.asarray((model.held_out_.answers != UNKNOWN).any(axis=1))


def _counts(model: Predictor) -> tuple[Ints, Ints, Ints]:
    """Count documents by label: those that have it and were given it, that have it, and that were given it."""
    known, n_classes = _known(model), len(model.classes_)
    if model.label_matrix_ is not None:
        has, given = np.asarray(model.label_matrix_[known], dtype=np.bool_), model.held_out_.answers[known] == 1
        return (has & given).sum(axis=0), has.sum(axis=0), given.sum(axis=0)
    truth, answers = model.document_labels_[known], model.held_out_.answers[known, 0]
    hits, n_true, n_given = (np.bincount(one, minlength=n_classes) for one in (truth[truth == answers], truth, answers))
    return hits, n_true, n_given


def _wrong(
    model: Predictor, label: str, choose: Callable[[Mask, Mask], Mask], limit: int | None
) -> tuple[HeldOutDocument, ...]:
    """Choose documents by whether they have a label and were given it."""
    _require_answers(model)
    code = _code(model, label)
    if model.label_matrix_ is not None:
        has, given = np.asarray(model.label_matrix_[:, code], dtype=np.bool_), model.held_out_.answers[:, code] == 1
    else:
        has, given = model.document_labels_ == code, model.held_out_.answers[:, 0] == code
    return _listed(model, _known(model) & choose(has, given), limit)


def _listed(
    model: Predictor, chosen: Mask, limit: int | None, *, surest_first: bool = True
) -> tuple[HeldOutDocument, ...]:
    """Read the chosen documents in the order of their confidence."""
    rows = np.flatnonzero(chosen)
    confidence = model.held_out_.confidence[rows]
    ordered = rows[np.argsort(-confidence if surest_first else confidence, kind="stable")][:limit]
    return tuple(
        HeldOutDocument(
            document=model.documents_[row],
            label=_label_of(model, row),
            answer=_joined(model, model.held_out_.answers[row]),
            confidence=float(model.held_out_.confidence[row]),
        )
        for row in ordered.tolist()
    )


def _label_of(model: Predictor, row: int) -> str:
    """Write the label, or the labels, of a training document."""
    if model.label_matrix_ is None:
        return str(model.classes_[model.document_labels_[row]])
    return _names(model, np.flatnonzero(model.label_matrix_[row]))


def _joined(model: Predictor, answer: Ints) -> str:
    """Write a held-out answer."""
    return _names(model, answer if model.label_matrix_ is None else np.flatnonzero(answer == 1))


def _names(model: Predictor, codes: Iterable[int]) -> str:
    """Join labels."""
    return SEPARATOR.join(str(model.classes_[code]) for code in codes)


def _split(label: str, model: Predictor) -> tuple[str, ...]:
    """Return labels one by one."""
    return split_labels(label) if model.multi_label else (label,)


def _code(model: Predictor, label: str) -> int:
    """Find the position of a label."""
    return lookup({str(name): code for code, name in enumerate(model.classes_)}, label, "label")


def _require_answers(model: Predictor) -> None:
    """Refuse where the answers are not known."""
    problem = why_no_documents(model)
    if problem:
        raise StorageError(f"{problem}.")
