"""Links: how calibrated scores become the log-odds of a label, and by which score they move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from classifier.analysis.confidence import Floats
from classifier.modeling.head import LinearHead


@dataclass(frozen=True, slots=True)
class Link:
    """How calibrated scores become the log-odds of a label.

    Attributes
    ----------
    log_odds : callable
        From scores ``(n_documents, n_classes)`` and a column to ``(n_documents,)``.
    direction : callable
        From scores ``(n_classes,)`` and a column to the derivatives of the log-odds, ``(n_classes,)``.
    """

    log_odds: Callable[[Floats, int], Floats]
    direction: Callable[[Floats, int], Floats]

    def proba(self, scores: Floats, column: int) -> Floats:
        """Return the probabilities of a label, shape (n_documents,)."""
        return np.asarray(np.exp(-np.logaddexp(0.0, -self.log_odds(scores, column))))


def _log_odds_to_the_rest(scores: Floats, column: int) -> Floats:
    """Compare a label with all others together."""
    return np.asarray(scores[:, column] - np.logaddexp.reduce(np.delete(scores, column, axis=1), axis=1))


def _direction_to_the_rest(scores: Floats, column: int) -> Floats:
    """Return 1 for the label and, for the others, minus their shares of what is left."""
    others = scores.copy()
    others[column] = -np.inf
    shares = np.exp(others - others.max())
    direction = -shares / shares.sum()
    direction[column] = 1.0
    return np.asarray(direction)


def _log_odds_alone(scores: Floats, column: int) -> Floats:
    """Take a label for itself."""
    return scores[:, column]


def _direction_alone(scores: Floats, column: int) -> Floats:
    """Return 1 for the label and 0 for the others."""
    direction = np.zeros(len(scores))
    direction[column] = 1.0
    return direction


ONE_OF_ALL = Link(_log_odds_to_the_rest, _direction_to_the_rest)
"""Softmax: labels exclude each other."""
EACH_ALONE = Link(_log_odds_alone, _direction_alone)
"""Sigmoid: any number of labels may hold."""


def link_of(head: LinearHead) -> Link:
    """Return the link by which a head's scores become probabilities."""
    return EACH_ALONE if head.is_multi_label else ONE_OF_ALL
