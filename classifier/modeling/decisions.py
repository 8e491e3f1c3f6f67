"""From probabilities to decisions: which answers stand alone, which go to a person, and which sets hold the truth."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from classifier.analysis.abstention import ReviewCost, cost_of, threshold_for_accuracy, threshold_for_budget
from classifier.analysis.confidence import Floats, Ints
from classifier.analysis.conformal import conformal_thresholds
from classifier.analysis.scope import ScopeRule
from classifier.datamodels import STATUS_OK, STATUS_OUT_OF_SCOPE, STATUS_UNSURE, ReviewPolicy
from classifier.errors import OptionError, TrainingDataError
from classifier.modeling.held_out import HeldOut

DEFAULT_MIN_CONFIDENCE = 0.5
_LARGEST_MEASURE, _SMALLEST_SCALE = 1e9, 1e-100


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
    n_documents = max(1, n_documents)
    return threshold_for_budget(confidence, min(policy.review_budget, n_documents) / n_documents)


def review_cost(held_out: HeldOut, min_confidence: float) -> ReviewCost | None:
    """Return what a threshold cost and gave on held-out documents; None where there were none."""
    measured = held_out.measured
    if not measured.any():
        return None
    confidence, threshold = held_out.confidence[measured].astype(np.float64), float(np.float32(min_confidence))
    return cost_of(confidence, held_out.correct[measured] == 1, threshold)


def statuses(
    confidence: Floats, evidence: Floats, similarity: Floats, min_confidence: float, rule: ScopeRule | None
) -> list[str]:
    """Say of each answer whether it stands alone.

    Parameters
    ----------
    confidence, evidence, similarity : ndarray of float64, shape (n_documents,)
        Probability of the answer; highest score of any label; mean similarity to the nearest training documents.
    min_confidence : float
        Below it an answer is unsure.
    rule : ScopeRule or None
        Tells what belongs to no label; None where nothing can.
    """
    is_foreign = np.zeros(len(confidence), dtype=np.bool_)
    if rule is not None:
        is_foreign = rule.scores(evidence, similarity) < rule.limit
    is_sure = confidence.astype(np.float32) >= np.float32(min_confidence)  # nan is not
    found = np.where(is_foreign, STATUS_OUT_OF_SCOPE, np.where(is_sure, STATUS_OK, STATUS_UNSURE))
    return [str(status) for status in found]


def held_out_scores(held_out: HeldOut, y: Ints) -> tuple[Floats, Ints]:
    """Return how little held-out answers conform to the true labels, and those labels; see `nonconformity`."""
    measured = held_out.measured
    return 1.0 - held_out.truth[measured].astype(np.float64), y[measured]


def set_thresholds(
    scores: Floats, y: Ints, n_classes: int, confidence_level: float, *, per_class: bool = False
) -> Floats:
    """Return the thresholds of conformal sets by label, see `conformal_thresholds`."""
    thresholds = conformal_thresholds(scores, y, n_classes, confidence_level, per_class=per_class)
    return thresholds + np.finfo(np.float32).eps  # what is stored is rounded, and rounding shall not rule a label out


def stored_scope(facts: Mapping[str, Any]) -> ScopeRule | None:
    """Read the rule of a stored model; None where it has none.

    Raises
    ------
    ValueError
        When it is no rule.
    """
    values = facts.get("scope")
    if values is None:
        return None
    names = {one.name for one in fields(ScopeRule)}
    if not isinstance(values, dict) or set(values) != names:
        raise ValueError("its scope is no rule")
    if not all(isinstance(one, int | float) and abs(one) <= sys.float_info.max for one in values.values()):
        raise ValueError("its scope holds something else than numbers")
    rule = ScopeRule(**{name: float(number) for name, number in values.items()})
    centers, scales = (rule.evidence_center, rule.similarity_center), (rule.evidence_scale, rule.similarity_scale)
    if max(map(abs, (*centers, *scales))) > _LARGEST_MEASURE or min(scales) < _SMALLEST_SCALE:
        raise ValueError("its scope measures in widths of nothing, or beyond all bounds")
    return rule
