"""Sets of labels: how they are written, when a label is in them, and how sure a whole set is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, sigmoid

Bools = NDArray[np.bool_]

SEPARATOR = "|"
_SMALLEST = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class LabelRule:
    """From which probability on a label is given, and how sure a set of given labels is.

    Attributes
    ----------
    thresholds : ndarray of float64, shape (n_classes,)
        In (0, 1].
    factor, offset : float
        Of the log-odds that all decisions about a document are right, were they independent of each other: times the
        first plus the second they are the log-odds that held-out documents show.
    """

    thresholds: Floats
    factor: float = 1.0
    offset: float = 0.0

    def decide(self, proba: Floats) -> Bools:
        """Give each document the labels that reach their thresholds, shape (n_documents, n_classes); maybe none."""
        return np.asarray(proba >= self.thresholds)

    def confidence(self, proba: Floats) -> Floats:
        """Return the probability that exactly the right labels are given, shape (n_documents,)."""
        return self.confidence_of(proba, self.decide(proba))

    def confidence_of(self, proba: Floats, decisions: Bools) -> Floats:
        """Return the same for labels that were given by other thresholds."""
        return sigmoid(self.factor * all_right_log_odds(proba, decisions) + self.offset)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {"thresholds": self.thresholds.tolist(), "factor": self.factor, "offset": self.offset}


def all_right_log_odds(proba: Floats, decisions: Bools) -> Floats:
    """Return the log-odds that all decisions about a document are right, were they independent, (n_documents,)."""
    right = np.clip(np.where(decisions, proba, 1.0 - proba), _SMALLEST, 1.0)
    logs = np.minimum(np.log(right).sum(axis=1), -_SMALLEST)
    return np.asarray(logs - np.log(-np.expm1(logs)))


def stored_label_rule(facts: Mapping[str, Any], n_classes: int) -> LabelRule | None:
    """Read the rule of a stored model; None where each document has one label.

    Raises
    ------
    ValueError
        When it is no rule for so many labels.
    """
    values = facts.get("label_rule")
    if values is None:
        return None
    try:
        thresholds = np.array(values["thresholds"], dtype=np.float64)
        factor, offset = float(values["factor"]), float(values["offset"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("its thresholds are no numbers") from error
    if thresholds.shape != (n_classes,) or not (np.isfinite(thresholds).all() and (thresholds > 0).all()):
        raise ValueError("its thresholds do not belong to its labels")
    if not (math.isfinite(factor) and math.isfinite(offset)):
        raise ValueError("its thresholds hold numbers that are not finite")
    return LabelRule(thresholds, factor, offset)


def split_labels(label: str | Sequence[str]) -> tuple[str, ...]:
    """Read a set of labels.

    Parameters
    ----------
    label : str or sequence of str
        Labels joined by ``|``, or one by one.

    Returns
    -------
    tuple of str
        Sorted, each once, without spaces around them; empty where there is no label.

    Examples
    --------
    >>> split_labels("late | damaged|late")
    ('damaged', 'late')
    >>> split_labels("")
    ()
    """
    joined = label if isinstance(label, str) else SEPARATOR.join(label)
    return tuple(sorted({part.strip() for part in joined.split(SEPARATOR)} - {""}))


def join_labels(labels: str | Sequence[str]) -> str:
    """Write a set of labels as `split_labels` reads it."""
    return SEPARATOR.join(split_labels(labels))
