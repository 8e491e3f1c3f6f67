"""Who answers alone and what goes to a person: what a threshold on the confidence costs and what it gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints
from classifier.errors import OptionError

TARGETS = (0.9, 0.95, 0.98, 0.99)
ASK_ALWAYS = float(np.nextafter(np.float32(1), np.float32(2)))  # above a confidence of 1, also in float32
_DECIMALS = 9
_STANDARD_ERRORS = 1.2815515655446004


@dataclass(frozen=True, slots=True, eq=False)
class RiskCoverage:
    """How the accuracy falls as more documents are answered alone.

    Attributes
    ----------
    thresholds : ndarray of float64, shape (n_thresholds,)
        Every confidence that occurs, falling; documents of equal confidence are answered together.
    coverage : ndarray of float64, shape (n_thresholds,)
        Share of documents at or above each threshold, rising to 1.
    accuracy : ndarray of float64, shape (n_thresholds,)
        Share of those that are right, in [0, 1].
    aurc : float
        Area under the curve of errors over coverage, in [0, 1]; 0 where every answer is right. It is the mean, over
        all documents, of the share of errors among documents that are at least as sure.
    """

    thresholds: Floats
    coverage: Floats
    accuracy: Floats
    aurc: float

    def points(self, n: int = 20) -> list[dict[str, float]]:
        """Return at most `n` points, evenly spread over the coverage and ready for JSON; the last answers everything.

        Examples
        --------
        >>> risk_coverage(np.array([0.9, 0.6]), np.array([True, False])).points(1)
        [{'threshold': 0.6, 'coverage': 1.0, 'accuracy': 0.5}]
        """
        if not len(self.coverage):
            return []
        wanted = np.arange(1, n + 1) / n
        chosen = np.unique(np.searchsorted(self.coverage, wanted))
        columns = (self.thresholds[chosen], self.coverage[chosen], self.accuracy[chosen])
        return [
            {"threshold": float(threshold), "coverage": float(coverage), "accuracy": float(accuracy)}
            for threshold, coverage, accuracy in zip(*columns, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class ReviewCost:
    """What one threshold costs in human reading.

    Attributes
    ----------
    threshold : float
        Documents of a lower confidence go to a person; above 1, all of them do.
    review_fraction : float
        Share of documents that go to a person, in [0, 1]; 0 where there is no document.
    accuracy_answered : float or None
        Share of the other documents that are right; None where none is answered alone.
    n_documents : int
        How many were measured.
    """

    threshold: float
    review_fraction: float
    accuracy_answered: float | None
    n_documents: int


def risk_coverage(confidence: Floats, correct: NDArray[np.bool_]) -> RiskCoverage:
    """Follow the accuracy from the surest document to all of them.

    Parameters
    ----------
    confidence : ndarray of float64, shape (n_documents,)
        Probability of each answer.
    correct : ndarray of bool, shape (n_documents,)
        Whether each answer is right.

    References
    ----------
    Geifman and El-Yaniv (2017), Selective Classification for Deep Neural Networks, https://arxiv.org/abs/1705.08500
    Geifman et al. (2019), Bias-Reduced Uncertainty Estimation, https://arxiv.org/abs/1805.08206

    Examples
    --------
    >>> curve = risk_coverage(np.array([0.9, 0.6, 0.9, 0.7]), np.array([True, False, True, True]))
    >>> curve.thresholds.tolist(), curve.coverage.tolist(), curve.accuracy.tolist(), curve.aurc
    ([0.9, 0.7, 0.6], [0.5, 0.75, 1.0], [1.0, 1.0, 0.75], 0.0625)
    """
    thresholds, n_answered, n_right = _answered(confidence, correct)
    coverage, accuracy = n_answered / len(confidence), n_right / n_answered
    return RiskCoverage(thresholds, coverage, accuracy, float(np.diff(coverage, prepend=0.0) @ (1 - accuracy)))


def threshold_for_accuracy(confidence: Floats, correct: NDArray[np.bool_], target: float) -> float:
    """Find the lowest threshold above which answers are right often enough.

    Parameters
    ----------
    confidence : ndarray of float64, shape (n_documents,)
        Probability of each answer.
    correct : ndarray of bool, shape (n_documents,)
        Whether each answer is right.
    target : float
        Share of answers at or above the threshold that shall be right, above 0 and below 1.

    Returns
    -------
    float
        A confidence that occurs, or `ASK_ALWAYS`, a little above 1, where no threshold reaches the target: everything
        then goes to a person.

    Raises
    ------
    OptionError
        When the target is not above 0 and below 1.

    Notes
    -----
    The threshold is chosen on the documents that it is measured on, as the lowest of many, which alone would be
    optimistic. So not the share of right answers at or above it must reach the target, but the lower end of its 80 %
    interval (Wilson's): among few documents more than the target, among thousands hardly more. A target needs a
    number of answers, 15 without an error for 0.9, 81 for 0.98; with fewer it is not reached.

    Examples
    --------
    >>> confidence = np.linspace(0.01, 1, 100)
    >>> threshold_for_accuracy(confidence, confidence > 0.5, 0.9)
    0.49
    >>> threshold_for_accuracy(confidence[-10:], np.ones(10, dtype=np.bool_), 0.9) == ASK_ALWAYS
    True
    """
    if not 0 < target < 1:
        raise OptionError("target accuracy", target, "a number between 0 and 1")
    thresholds, n_answered, n_right = _answered(confidence, correct)
    reached = thresholds[_lower_end(n_right, n_answered) >= target]
    return float(reached[-1]) if len(reached) else ASK_ALWAYS


def _lower_end(n_right: Ints, n: Ints) -> Floats:
    """Return the lower ends of the 80 % intervals of shares."""
    share, spread = n_right / n, _STANDARD_ERRORS**2 / n
    middle = share + spread / 2
    return np.asarray((middle - np.sqrt(spread * (share * (1 - share) + spread / 4))) / (1 + spread))


def threshold_for_budget(confidence: Floats, fraction: float) -> float:
    """Find the threshold below which a person can read everything.

    Parameters
    ----------
    confidence : ndarray of float64, shape (n_documents,)
        Probability of each answer.
    fraction : float
        Share of documents that a person can read, in [0, 1], such as a number of reviews divided by one of rows.

    Returns
    -------
    float
        A confidence that occurs; 0 where the budget is too small for these documents to show a threshold, so that
        nothing is asked; `ASK_ALWAYS` for a budget of 1.

    Raises
    ------
    OptionError
        When the fraction is not from 0 to 1.

    Notes
    -----
    Of n confidences the threshold is the one of rank floor((n + 1) * fraction). A new document like these is below it
    with exactly that rank's share of n + 1, hence at most `fraction`; documents of equal confidence lower the share.

    Examples
    --------
    >>> threshold_for_budget(np.array([0.9, 0.6, 0.8, 0.7]), 0.4)
    0.7
    """
    if not 0 <= fraction <= 1:
        raise OptionError("review budget", fraction, "a share from 0 to 1")
    rank = math.floor(round((len(confidence) + 1) * fraction, _DECIMALS))
    if rank > len(confidence):
        return ASK_ALWAYS
    return float(np.sort(confidence)[rank - 1]) if rank else 0.0


def cost_of(confidence: Floats, correct: NDArray[np.bool_], threshold: float) -> ReviewCost:
    """Measure what a threshold costs.

    Parameters
    ----------
    confidence : ndarray of float64, shape (n_documents,)
        Probability of each answer.
    correct : ndarray of bool, shape (n_documents,)
        Whether each answer is right.
    threshold : float
        Documents at or above it are answered alone.

    Examples
    --------
    >>> cost_of(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False]), 0.8)
    ReviewCost(threshold=0.8, review_fraction=0.5, accuracy_answered=0.5, n_documents=4)
    """
    answered = confidence >= threshold
    return ReviewCost(
        threshold=threshold,
        review_fraction=float((~answered).mean()) if len(answered) else 0.0,
        accuracy_answered=float(correct[answered].mean()) if answered.any() else None,
        n_documents=len(confidence),
    )


def cost_table(
    confidence: Floats, correct: NDArray[np.bool_], targets: Sequence[float] = TARGETS
) -> tuple[ReviewCost, ...]:
    """Measure what each target costs in human reading; rows follow `targets`, as in `threshold_for_accuracy`."""
    return tuple(cost_of(confidence, correct, threshold_for_accuracy(confidence, correct, one)) for one in targets)


def _answered(confidence: Floats, correct: NDArray[np.bool_]) -> tuple[Floats, Ints, Ints]:
    """Return each confidence that occurs, falling, with the number of documents there or above, and of right ones."""
    thresholds, places = np.unique(-confidence, return_inverse=True)
    n_answered = np.cumsum(np.bincount(places, minlength=len(thresholds)))
    n_right = np.cumsum(np.bincount(places[correct], minlength=len(thresholds)))
    return -thresholds, n_answered, n_right
