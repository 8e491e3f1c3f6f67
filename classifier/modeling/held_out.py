"""How training documents fared while they were held out: what thresholds and sets are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints

_N_COLUMNS = 4
_NEVER = -1.0
_UNKNOWN_SIMILARITY = -2.0

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
    similarity : ndarray of float32, shape (n_documents,)
        Mean similarity to the nearest other training documents, in [-1, 1]; -2 where it was not looked for.
    """

    truth: Column
    confidence: Column
    correct: Column
    similarity: Column

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which documents were held out once, shape (n_documents,)."""
        return self.correct >= 0

    @property
    def compared(self) -> NDArray[np.bool_]:
        """Which documents were held out and compared with others, shape (n_documents,)."""
        return self.measured & (self.similarity > _UNKNOWN_SIMILARITY)

    @classmethod
    def of(cls, proba: Floats, y: Ints, measured: NDArray[np.bool_], similarity: Floats) -> HeldOut:
        """Take what matters from probabilities of shape (n_documents, n_classes)."""
        truth, correct = proba[np.arange(len(y)), y], proba.argmax(axis=1) == y
        return cls._marked(truth, proba.max(axis=1), correct, measured, similarity)

    @classmethod
    def of_sets(
        cls,
        confidence: Floats,
        decisions: NDArray[np.bool_],
        y: NDArray[np.bool_],
        measured: NDArray[np.bool_],
        similarity: Floats,
    ) -> HeldOut:
        """Take what matters from sets of labels, shape (n_documents, n_classes); right is a set without an error."""
        correct = (decisions == y).all(axis=1)
        return cls._marked(confidence, confidence, correct, measured, similarity)

    @classmethod
    def never(cls, n_documents: int) -> HeldOut:
        """Say that no document was held out."""
        none = np.zeros(n_documents)
        return cls._marked(none, none, none, np.zeros(n_documents, dtype=np.bool_), np.full(n_documents, np.nan))

    @classmethod
    def _marked(
        cls,
        truth: Floats,
        confidence: Floats,
        correct: NDArray[np.bool_] | Floats,
        measured: NDArray[np.bool_],
        similarity: Floats,
    ) -> HeldOut:
        """Mark what is not known."""

        def known(column: NDArray[Any]) -> Column:
            return np.where(measured, column, _NEVER).astype(np.float32)

        near = np.where(np.isfinite(similarity), similarity, _UNKNOWN_SIMILARITY).astype(np.float32)
        return cls(known(truth), known(confidence), known(correct), near)

    def to_array(self) -> NDArray[np.float32]:
        """Return all as one array of shape (n_documents, 4), as a bundle stores it."""
        return np.column_stack([self.truth, self.confidence, self.correct, self.similarity]).astype(np.float32)

    @classmethod
    def from_array(cls, values: NDArray[np.float32]) -> HeldOut:
        """Take `to_array`'s result back.

        Raises
        ------
        ValueError
            When it is anything else.
        """
        if values.ndim != 2 or values.shape[1] != _N_COLUMNS or not np.isfinite(values).all():
            raise ValueError("its held-out answers are no table of four finite numbers for each document")
        truth, confidence, correct, similarity = (np.array(column, dtype=np.float32) for column in values.T)
        return cls(truth, confidence, correct, similarity)
