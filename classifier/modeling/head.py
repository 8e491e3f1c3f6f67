"""Linear heads: a score per class is one dot product, a probability is a calibrated softmax of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, sigmoid, softmax
from classifier.embedding.contract import Embeddings
from classifier.modeling.sparse import SparseRows

HEAD_NAMES = ("hybrid", "logistic")


@dataclass(frozen=True, slots=True)
class LexicalWeights:
    """The sparse half of a head.

    Attributes
    ----------
    coef : ndarray of float32, shape (n_terms, n_classes)
        May be memory-mapped.
    intercept : ndarray of float32, shape (n_classes,)
    """

    coef: NDArray[np.float32]
    intercept: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LinearHead:
    """A trained head on [dense ‖ sparse] features; nothing but arrays.

    Attributes
    ----------
    coef : ndarray of float32, shape (n_classes, n_dims)
        Of the dense half.
    intercept : ndarray of float32, shape (n_classes,)
    temperature : float
        Divides the scores before the softmax.
    lexical : LexicalWeights or None
        Of the sparse half, which adds its own intercept; None for a head on embeddings alone.
    is_multi_label : bool
        Whether each label has a probability of its own, by the logistic function, instead of all sharing 1.
    """

    coef: NDArray[np.float32]
    intercept: NDArray[np.float32]
    temperature: float
    lexical: LexicalWeights | None = None
    is_multi_label: bool = False

    def scores(self, embeddings: Embeddings, rows: SparseRows | None = None) -> NDArray[np.float32]:
        """Return uncalibrated scores, shape (n_documents, n_classes); without `rows`, the dense half's alone.

        Products are summed up in float64 and then rounded: in float32, the last digit of a document's score would
        depend on how many others are asked about at once.
        """
        total = embeddings.astype(np.float64) @ self.coef.T.astype(np.float64)
        total += self.intercept
        if rows is not None and self.lexical is not None:
            total += rows.times(self.lexical.coef)
            total += self.lexical.intercept
        return total.astype(np.float32)

    def predict_proba(self, embeddings: Embeddings, rows: SparseRows | None = None) -> Floats:
        """Return calibrated probabilities, shape (n_documents, n_classes); rows sum to 1 unless multi-label."""
        return self.proba_of(self.scores(embeddings, rows))

    def proba_of(self, scores: NDArray[np.float32]) -> Floats:
        """Calibrate scores."""
        link = sigmoid if self.is_multi_label else softmax
        return link(scores, self.temperature)
