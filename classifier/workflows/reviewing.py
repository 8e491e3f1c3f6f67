"""Choose the documents that a person should look at next, each with what the model says and why it is asked about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from classifier.analysis.confidence import Floats, Ints
from classifier.analysis.sampling import QUERY_STRATEGIES, UNKNOWN, Candidates
from classifier.analysis.scope import nearest_similarity
from classifier.datamodels import Settings
from classifier.errors import excerpt, lookup
from classifier.modeling.label_sets import SEPARATOR
from classifier.modeling.predictor import Predictor
from classifier.storage.feedback import Waiting, text_digest
from classifier.workflows.corrections import feedback_of

SENT = "sent"
STRATEGIES = (*QUERY_STRATEGIES, SENT)
MOST_WAITING = 5000
SURE = 0.9
SHOWN_LABELS = 5


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One document to look at.

    Attributes
    ----------
    document : str
        Its id, empty where it has none.
    text : str
    label : str
        The label it has; empty for none; several are joined by ``|``.
    suggestion : str
        What the model says, by a head that has not learned from the document; empty where nobody knows.
    confidence : float or None
        Of the suggestion, in [0, 1].
    ranking : tuple of (str, float)
        The most probable labels with their probabilities, as far as they are known.
    similarity : float or None
        To the nearest training documents; None for a training document.
    reason : str
        Why it is worth a look, in a few words.
    source : str
        Where it comes from.
    """

    document: str
    text: str
    label: str
    suggestion: str
    confidence: float | None
    ranking: tuple[tuple[str, float], ...]
    similarity: float | None
    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class ReviewQueue:
    """What to look at next.

    Attributes
    ----------
    items : tuple of ReviewItem
        The most useful first; none of them has a decision yet.
    n_candidates : int
        How many documents the strategy would bring one after the other, decided ones included.
    n_waiting, n_looked_at : int
        Documents that were sent to review and have no decision, and how many of them were considered.
    """

    items: tuple[ReviewItem, ...]
    n_candidates: int
    n_waiting: int
    n_looked_at: int


def review_queue(
    model: Predictor, name: str, settings: Settings, *, strategy: str = "recommended", limit: int = 200
) -> ReviewQueue:
    """Order the documents that deserve a person's look: training documents in doubt, and those that wait for a label.

    Parameters
    ----------
    model : Predictor
        Trained.
    name : str
        What it is called, whose decisions count.
    settings : Settings
    strategy : str, default='recommended'
        One of `STRATEGIES`; ``sent`` takes what was sent to review in the order it came.
    limit : int, default=200
        How many at most.

    Raises
    ------
    UnknownNameError
        When there is no such strategy.
    StorageError
        When decisions cannot be read.
    """
    lookup(dict.fromkeys(STRATEGIES), strategy, "query strategy")
    feedback = feedback_of(settings)
    decided = {text_digest(one.text) for one in feedback.standing(name)}
    waiting = feedback.waiting(name, limit=MOST_WAITING)
    pool = _Pool.of(model, waiting)
    order = pool.sent() if strategy == SENT else QUERY_STRATEGIES[strategy](pool.candidates)
    fresh = (item for item in pool.items(order) if text_digest(item.text) not in decided)
    return ReviewQueue(tuple(islice(fresh, limit)), len(order), feedback.n_waiting(name), len(waiting))


@dataclass(frozen=True, slots=True, eq=False)
class _Pool:
    """Training documents in doubt, and behind them the waiting ones.

    `rows` are the numbers of the training documents, `sent_rows` those of them that were sent to review; `rankings`
    belong to `waiting`.
    """

    model: Predictor
    candidates: Candidates
    names: Sequence[str]
    rows: Ints
    sent_rows: list[int]
    waiting: Sequence[Waiting]
    rankings: Sequence[tuple[tuple[str, float], ...]]

    @classmethod
    def of(cls, model: Predictor, waiting: Sequence[Waiting]) -> _Pool:
        """Collect what is known of each document."""
        place = _rows_by_text(model) if any(one.label for one in waiting) else {}
        others = [one for one in waiting if text_digest(one.text) not in place]
        sent = list(dict.fromkeys(place[text_digest(one.text)] for one in waiting if text_digest(one.text) in place))
        rows = _rows_in_doubt(model, sent)
        codes = _Codes()
        trained = _trained_candidates(model, rows, codes)
        foreign, rankings = _foreign_candidates(model, others, codes)
        joined = Candidates(**{name: np.concatenate([trained[name], foreign[name]]) for name in trained})
        return cls(model, joined, codes.names, rows, sent, others, rankings)

    def sent(self) -> Ints:
        """Return the positions of what was sent to review in that order, the training documents first."""
        place = {row: position for position, row in enumerate(self.rows.tolist())}
        known = [place[row] for row in self.sent_rows]
        waiting = np.arange(len(self.rows), len(self.rows) + len(self.waiting))
        return np.concatenate([np.array(known, dtype=np.intp), waiting])

    def items(self, order: Ints) -> Iterator[ReviewItem]:
        """Yield documents in an order, each read only when it is asked for."""
        reasons = {issue.row: issue.reason for issue in self.model.issues_}
        for position in order.tolist():
            if position < len(self.rows):
                yield self._trained_item(position, reasons.get(int(self.rows[position]), ""))
            else:
                yield self._waiting_item(position, position - len(self.rows))

    def _trained_item(self, position: int, reason: str) -> ReviewItem:
        """Describe a training document."""
        document = self.model.documents_[int(self.rows[position])]
        answer, confidence = self._answer(position)
        truth = float(self.model.held_out_.truth[self.rows[position]])
        label = document.label or ""
        ranking = [(answer, confidence)] if confidence is not None else []
        ranking += [(label, truth)] if truth >= 0 and answer != label and not self.model.multi_label else []
        return ReviewItem(
            document=document.id,
            text=document.text,
            label=label,
            suggestion=answer,
            confidence=confidence,
            ranking=tuple(ranking),
            similarity=None,
            reason=reason or _sureness(answer, confidence),
            source="training documents",
        )

    def _waiting_item(self, position: int, number: int) -> ReviewItem:
        """Describe a document that waits for a label."""
        found, ranking = self.waiting[number], self.rankings[number]
        answer, confidence = self._answer(position)
        return ReviewItem(
            document=found.document,
            text=found.text,
            label=found.label,
            suggestion=answer,
            confidence=confidence,
            ranking=ranking,
            similarity=float(self.candidates.similarity[position]),
            reason=_sureness(answer, confidence),
            source=found.source,
        )

    def _answer(self, position: int) -> tuple[str, float | None]:
        """Return the model's answer and its confidence; nothing where nobody knows."""
        code, confidence = int(self.candidates.answers[position]), float(self.candidates.confidence[position])
        return ("", None) if code == UNKNOWN else (self.names[code], confidence)


class _Codes:
    """Give each label, or set of labels, a number."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    @property
    def names(self) -> list[str]:
        """The labels by number."""
        return list(self._codes)

    def of(self, labels: Sequence[str | None]) -> Ints:
        """Return the numbers of labels; -1 for None."""
        found = [UNKNOWN if label is None else self._codes.setdefault(label, len(self._codes)) for label in labels]
        return np.array(found, dtype=np.intp)


def held_out_answers(model: Predictor, rows: Ints) -> list[str | None]:
    """Return what training documents were answered while they were held out; None where nobody knows.

    Several labels are joined by ``|``, and an empty string stands for no label at all.
    """
    classes = [str(name) for name in model.classes_]
    found: list[str | None] = []
    for given in model.held_out_.answers[rows]:
        if given.max() == UNKNOWN:
            found.append(None)
        elif model.multi_label:
            found.append(SEPARATOR.join(name for name, is_given in zip(classes, given, strict=True) if is_given))
        else:
            found.append(classes[int(given[0])])
    return found


def _rows_by_text(model: Predictor) -> dict[bytes, int]:
    """Find training documents by their texts."""
    return {text_digest(document.text): row for row, document in enumerate(model.documents_)}


def _rows_in_doubt(model: Predictor, sent: list[int]) -> Ints:
    """Return the training documents that may be worth a look: unsure, wrongly answered, audited, or sent to review."""
    held_out = model.held_out_
    is_doubtful = held_out.measured & ((held_out.correct == 0) | (held_out.confidence < SURE))
    is_doubtful[[issue.row for issue in model.issues_]] = True
    is_doubtful[sent] = True
    return np.flatnonzero(is_doubtful)


def _trained_candidates(model: Predictor, rows: Ints, codes: _Codes) -> dict[str, np.ndarray]:
    """Describe training documents by what they were answered while they were held out."""
    held_out = model.held_out_
    measured = held_out.measured[rows]
    confidence = np.where(measured, held_out.confidence[rows], np.nan).astype(np.float64)
    truth = np.where(measured, held_out.truth[rows], np.nan).astype(np.float64)
    quality = np.ones(len(rows))
    is_wrong = held_out.correct[rows] == 0
    quality[is_wrong] = truth[is_wrong] / np.maximum(truth[is_wrong] + confidence[is_wrong], 1e-12)
    audited = {issue.row: issue.quality for issue in model.issues_}
    quality = np.minimum(quality, [audited.get(row, 1.0) for row in rows.tolist()])
    labels = [model.documents_[row].label or "" for row in rows.tolist()]
    return {
        "confidence": confidence,
        "answers": codes.of(held_out_answers(model, rows)),
        "labels": codes.of(labels),
        "label_quality": quality,
        "similarity": np.full(len(rows), np.nan),
        "embeddings": np.asarray(model.embeddings_[rows]),
    }


def _foreign_candidates(
    model: Predictor, waiting: Sequence[Waiting], codes: _Codes
) -> tuple[dict[str, np.ndarray], list[tuple[tuple[str, float], ...]]]:
    """Describe documents that the model has not learned from by what it answers to them."""
    texts = [one.text for one in waiting]
    embeddings = model.encode(texts) if texts else np.zeros((0, model.contract_.dimension), dtype=np.float32)
    found = model.decide(texts, embeddings)
    classes = [str(name) for name in model.classes_]
    answers = [SEPARATOR.join(name for name, given in zip(classes, row, strict=True) if given) for row in found.given]
    similarity = found.similarity
    if len(texts) and not np.isfinite(similarity).all():
        similarity = nearest_similarity(embeddings, model.embeddings_)
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    values = {
        "confidence": found.confidence,
        "answers": codes.of(answers),
        "labels": codes.of([one.label or None for one in waiting]),
        "label_quality": np.ones(len(waiting)),
        "similarity": similarity,
        "embeddings": np.divide(embeddings, lengths, out=np.zeros_like(embeddings), where=lengths > 0),
    }
    return values, [_ranking(classes, row) for row in found.proba]


def _ranking(classes: Sequence[str], proba: Floats) -> tuple[tuple[str, float], ...]:
    """Return the most probable labels."""
    order = np.argsort(-proba, kind="stable")[:SHOWN_LABELS]
    return tuple((classes[code], float(proba[code])) for code in order)


def _sureness(answer: str, confidence: float | None) -> str:
    """Say how sure the model is."""
    if confidence is None:
        return "the model was never asked about it"
    return f"{min(round(100 * confidence), 99)} % sure it is {excerpt(answer) if answer else 'without a label'}"
