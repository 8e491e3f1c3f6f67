"""How training documents fared while they were held out: what thresholds and sets are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints

_N_COLUMNS = 3
_NEVER = -1.0

Column = NDArray[np.float32]


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
    """

    truth: Column
    confidence: Column
    correct: Column

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which documents were held out once, shape (n_documents,)."""
        return self.correct >= 0

    @classmethod
    def of(cls, proba: Floats, y: Ints, measured: NDArray[np.bool_]) -> HeldOut:
        """Take what matters from probabilities of shape (n_documents, n_classes)."""
        truth, correct = proba[np.arange(len(y)), y], proba.argmax(axis=1) == y
        return cls._marked(truth, proba.max(axis=1), correct, measured)

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
        return cls._marked(confidence, confidence, correct, measured)

    @classmethod
    def never(cls, n_documents: int) -> HeldOut:
        """Say that no document was held out."""
        none = np.zeros(n_documents)
        return cls._marked(none, none, none, np.zeros(n_documents, dtype=np.bool_))

    @classmethod
    def _marked(
        cls,
        truth: Floats,
        confidence: Floats,
        correct: NDArray[np.bool_] | Floats,
        measured: NDArray[np.bool_],
    ) -> HeldOut:
        """Mark what is not known."""

        def known(column: NDArray[Any]) -> Column:
            return np.where(measured, column, _NEVER).astype(np.float32)

        return cls(known(truth), known(confidence), known(correct))

    def to_array(self) -> NDArray[np.float32]:
        """Return all as one array of shape (n_documents, 3), as a bundle stores it."""
        return np.column_stack([self.truth, self.confidence, self.correct]).astype(np.float32)

    @classmethod
    def from_array(cls, values: NDArray[np.float32]) -> HeldOut:
        """Take `to_array`'s result back.

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
        return cls(truth, confidence, correct)
