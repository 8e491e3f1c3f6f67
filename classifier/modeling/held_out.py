"""How training documents fared while they were held out: what thresholds and sets are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints

UNKNOWN = -1
_N_COLUMNS = 3
_NEVER = -1.0

Column = NDArray[np.float32]
Answers = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Answers to training documents by heads that had not seen them.

    Attributes
    ----------
    truth : ndarray of float32, shape (n_documents,)
        Probability of the document's own label; -1 where it was never held out.
    confidence : ndarray of float32, shape (n_documents,)
        Probability of what was answered; -1 where it was never held out.
    correct : ndarray of float32, shape (n_documents,)
        1 where the answer was right, 0 where it was wrong, -1 where it was never held out.
    answers : ndarray of int32, shape (n_documents, 1) or (n_documents, n_classes)
        The position of the answered label; where a document may have any number of labels, 1 for each that was given
        and 0 for the others. -1 where nobody knows.
    """

    truth: Column
    confidence: Column
    correct: Column
    answers: Answers

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which documents were held out once, shape (n_documents,)."""
        return self.correct >= 0

    @classmethod
    def of(cls, proba: Floats, y: Ints, measured: NDArray[np.bool_]) -> HeldOut:
        """Take what matters from probabilities of shape (n_documents, n_classes)."""
        truth, answers = proba[np.arange(len(y)), y], proba.argmax(axis=1)
        return cls._marked(truth, proba.max(axis=1), answers == y, measured, answers[:, None])

    @classmethod
    def of_sets(
        cls,
        confidence: Floats,
        decisions: NDArray[np.bool_],
        y: NDArray[np.bool_],
        measured: NDArray[np.bool_],
    ) -> HeldOut:
        """Take what matters from sets of labels, shape (n_documents, n_classes); right is a set without an error."""
        correct = (decisions == y).all(axis=1)
        return cls._marked(confidence, confidence, correct, measured, decisions)

    @classmethod
    def never(cls, n_documents: int) -> HeldOut:
        """Say that no document was held out."""
        none = np.zeros(n_documents)
        return cls._marked(none, none, none, np.zeros(n_documents, dtype=np.bool_), none[:, None])

    @classmethod
    def _marked(
        cls,
        truth: Floats,
        confidence: Floats,
        correct: NDArray[np.bool_] | Floats,
        measured: NDArray[np.bool_],
        answers: NDArray[Any],
    ) -> HeldOut:
        """Mark what is not known."""

        def known(column: NDArray[Any]) -> Column:
            return np.where(measured, column, _NEVER).astype(np.float32)

        marked = np.where(measured[:, None], answers, UNKNOWN).astype(np.int32)
        return cls(known(truth), known(confidence), known(correct), marked)

    def to_array(self) -> NDArray[np.float32]:
        """Return all but the answers as one array of shape (n_documents, 3), as a bundle stores it."""
        return np.column_stack([self.truth, self.confidence, self.correct]).astype(np.float32)

    @classmethod
    def from_arrays(cls, values: NDArray[np.float32], answers: Answers, n_labels: int, *, is_set: bool) -> HeldOut:
        """Take `to_array`'s result back, with the answers; `is_set` where they may be any number of labels.

        Raises
        ------
        ValueError
            When it is anything else.
        """
        if values.ndim != 2 or values.shape[1] != _N_COLUMNS:
            raise ValueError("its held-out answers are no table of three numbers for each document")
        truth, confidence, correct = (np.array(column, dtype=np.float32) for column in values.T)
        is_never = (values == _NEVER).all(axis=1)
        is_answer = ((values >= 0) & (values <= 1)).all(axis=1) & np.isin(correct, (0, 1))
        if not (is_never | is_answer).all():
            raise ValueError("its held-out answers are no table of two probabilities and what was right")
        is_known = (answers != UNKNOWN).any(axis=1)
        width, largest = (n_labels, 1) if is_set else (1, n_labels - 1)
        if answers.shape != (len(values), width if is_known.any() else answers.shape[1]):
            raise ValueError("its held-out answers have another shape than its labels")
        if (is_known & is_never).any() or not ((answers[is_known] >= 0) & (answers[is_known] <= largest)).all():
            raise ValueError("its held-out answers are no labels of its own")
        return cls(truth, confidence, correct, np.array(answers, dtype=np.int32))
