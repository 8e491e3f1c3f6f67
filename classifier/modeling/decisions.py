"""From probabilities to decisions: which answers stand alone, which go to a person, and which sets hold the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from classifier.analysis.abstention import threshold_for_accuracy, threshold_for_budget
from classifier.analysis.confidence import Floats, Ints
from classifier.analysis.conformal import conformal_thresholds
from classifier.analysis.scope import scope_scores, scope_threshold
from classifier.datamodels import STATUS_OK, STATUS_OUT_OF_SCOPE, STATUS_UNSURE, ReviewPolicy
from classifier.errors import OptionError, TrainingDataError
from classifier.modeling.held_out import HeldOut

DEFAULT_MIN_CONFIDENCE = 0.5


def review_threshold(held_out: HeldOut, policy: ReviewPolicy, n_documents: int | None = None) -> float:
    """Turn what a user wants into the confidence below which a person is asked.

    Parameters
    ----------
    held_out : HeldOut
        Of the training documents.
    policy : ReviewPolicy
        What is wanted.
    n_documents : int or None
        How many documents will be answered; needed for a review budget.

    Returns
    -------
    float
        In [0, 1], or a little above 1: then everything goes to a person.

    Raises
    ------
    OptionError
        When a number is out of its range, or a budget is given for an unknown number of documents.
    TrainingDataError
        When the model has no held-out answers to judge by.
    """
    if policy.min_confidence is not None:
        if not 0 <= policy.min_confidence <= 1:
            raise OptionError("minimum confidence", policy.min_confidence, "a number from 0 to 1")
        return policy.min_confidence
    if policy.target_accuracy is None and policy.review_budget is None:
        return DEFAULT_MIN_CONFIDENCE
    measured = held_out.measured
    if not measured.any():
        raise TrainingDataError(
            "This model was never measured, so that no target can be promised", "give --min-confidence instead"
        )
    confidence = held_out.confidence[measured].astype(np.float64)
    if policy.target_accuracy is not None:
        return threshold_for_accuracy(confidence, held_out.correct[measured] == 1, policy.target_accuracy)
    if n_documents is None or policy.review_budget is None or policy.review_budget < 0:
        raise OptionError(
            "review budget", policy.review_budget, "a number of documents from 0, with a file of known length"
        )
    return threshold_for_budget(confidence, min(1.0, policy.review_budget / max(1, n_documents)))


def scope_limit(held_out: HeldOut) -> float | None:
    """Return the score below which a document belongs to no label; None where too few documents tell.

    By it, two in a hundred documents that do belong are refused as well.
    """
    known = held_out.compared
    confidence, similarity = (values[known].astype(np.float64) for values in (held_out.confidence, held_out.similarity))
    limit = scope_threshold(scope_scores(confidence, similarity))
    return limit if math.isfinite(limit) else None


def statuses(confidence: Floats, similarity: Floats, min_confidence: float, limit: float | None) -> list[str]:
    """Say of each answer whether it stands alone.

    Parameters
    ----------
    confidence, similarity : ndarray of float64, shape (n_documents,)
        Of the answer; mean similarity to the nearest training documents.
    min_confidence : float
        Below it an answer is unsure.
    limit : float or None
        From `scope_limit`.
    """
    is_foreign = np.zeros(len(confidence), dtype=np.bool_)
    if limit is not None:
        is_foreign = scope_scores(np.maximum(confidence, 1e-12), similarity) < limit
    is_unsure = confidence.astype(np.float32) < np.float32(min_confidence)
    found = np.where(is_foreign, STATUS_OUT_OF_SCOPE, np.where(is_unsure, STATUS_UNSURE, STATUS_OK))
    return [str(status) for status in found]


def set_thresholds(
    held_out: HeldOut, y: Ints, n_classes: int, confidence_level: float, *, per_class: bool = False
) -> Floats:
    """Return the thresholds of conformal sets by label, from held-out answers; see `conformal_thresholds`."""
    measured = held_out.measured
    scores = 1.0 - held_out.truth[measured].astype(np.float64)
    thresholds = conformal_thresholds(scores, y[measured], n_classes, confidence_level, per_class=per_class)
    return thresholds + np.finfo(np.float32).eps  # what is stored is rounded, and rounding shall not rule a label out


def stored_limit(facts: Mapping[str, Any]) -> float | None:
    """Read the limit of a stored model; None where it has none."""
    limit = facts.get("scope_limit")
    return float(limit) if isinstance(limit, int | float) else None
