"""Sets of labels: how they are written, when a label is in them, and how sure a whole set is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, sigmoid
from classifier.datamodels import MULTI_LABEL

Bools = NDArray[np.bool_]

SEPARATOR = "|"
_LARGEST_MEASURE = 1e9
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
    if (values is None) == (facts.get("task") == MULTI_LABEL):
        raise ValueError("it has thresholds for its labels and says that each document has one label, or the reverse")
    if values is None:
        return None
    try:
        written = [*values["thresholds"], values["factor"], values["offset"]]
        numbers = np.array([number if type(number) in {int, float} else np.nan for number in written], dtype=np.float64)
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError("its thresholds are no numbers") from error
    if not np.isfinite(numbers).all():
        raise ValueError("its thresholds are not finite numbers")
    *thresholds, factor, offset = numbers.tolist()
    if len(thresholds) != n_classes or not all(0 < threshold <= 1 for threshold in thresholds):
        raise ValueError("its thresholds do not belong to its labels")
    if max(abs(factor), abs(offset)) > _LARGEST_MEASURE:
        raise ValueError("the confidence of its sets is beyond all bounds")
    return LabelRule(np.array(thresholds), factor, offset)


def split_labels(label: str | Collection[str]) -> tuple[str, ...]:
    """Read a set of labels.

    Parameters
    ----------
    label : str or collection of str
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


def join_labels(labels: str | Collection[str]) -> str:
    """Write a set of labels as `split_labels` reads it."""
    return SEPARATOR.join(split_labels(labels))
