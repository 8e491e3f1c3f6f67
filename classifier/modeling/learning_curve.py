"""What more documents would give: the same head on a quarter, a half and all of the documents of one training part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Ints
from classifier.analysis.intervals import wilson_interval

FRACTIONS = (0.25, 0.5, 1.0)
FEWEST_DOCUMENTS = 100
FEWEST_PER_CLASS = 4

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LearningPoint:
    """How a head fares that learned from some documents, on held-out ones it never saw; 95 % interval."""

    n_documents: int
    accuracy: float
    accuracy_interval: tuple[float, float]


def nested_parts(y: Ints, held_out: Mask, *, seed: int = 0) -> list[Mask]:
    """Divide the documents that are not held out.

    Parameters
    ----------
    y : ndarray of int, shape (n_documents,)
        Classes.
    held_out : ndarray of bool, shape (n_documents,)
        What every head is measured on.
    seed : int, default=0
        Decides which documents come first.

    Returns
    -------
    list of ndarray of bool, shape (n_documents,)
        Each within the next, every class in each, and the last holds all; empty where there are too few to divide.
    """
    training = np.flatnonzero(~held_out)
    n_classes = int(y.max()) + 1
    if len(training) < max(FEWEST_DOCUMENTS, FEWEST_PER_CLASS * n_classes) or not held_out.any():
        return []
    order = in_turn(y[training], np.random.default_rng(seed))
    parts = []
    for fraction in FRACTIONS:
        chosen = np.zeros(len(y), dtype=np.bool_)
        chosen[training[order[: max(n_classes, round(fraction * len(training)))]]] = True
        parts.append(chosen)
    return parts


def learning_curve(parts: Sequence[Mask], answers: Sequence[Ints], y: Ints) -> tuple[LearningPoint, ...]:
    """Say how heads fared that learned from parts of the documents.

    Parameters
    ----------
    parts : sequence of ndarray of bool, shape (n_documents,)
        What each learned from.
    answers : sequence of ndarray of int, shape (n_held_out,)
        What each answered.
    y : ndarray of int, shape (n_held_out,)
        The classes of what they answered.
    """
    points = []
    for part, found in zip(parts, answers, strict=True):
        n_right = int((found == y).sum())
        points.append(LearningPoint(int(part.sum()), n_right / len(y), wilson_interval(n_right, len(y))))
    return tuple(points)


def twice_the_data(points: Sequence[LearningPoint]) -> dict[str, float] | None:
    """Carry a learning curve on to twice as many documents.

    Errors fall about as a power of the number of documents; the power is fitted to the points.

    Returns
    -------
    dict or None
        ``n_documents`` and ``accuracy``; None where the curve is too short, does not rise, or has no errors left.

    References
    ----------
    Hestness et al. (2017), Deep Learning Scaling is Predictable, Empirically, https://arxiv.org/abs/1712.00409

    Examples
    --------
    >>> halves = [LearningPoint(n, 1 - 1 / n**0.5, (0.0, 1.0)) for n in (100, 200, 400)]
    >>> round(twice_the_data(halves)["accuracy"], 4)
    0.9646
    """
    errors = np.array([1 - point.accuracy for point in points])
    if len(points) < len(FRACTIONS) or not (errors > 0).all():
        return None
    sizes = np.array([point.n_documents for point in points], dtype=np.float64)
    slope, start = np.polyfit(np.log(sizes), np.log(errors), 1)
    if slope >= 0:
        return None
    n_documents = 2 * points[-1].n_documents
    return {"n_documents": n_documents, "accuracy": float(1 - np.exp(start + slope * np.log(n_documents)))}


def in_turn(y: Ints, rng: np.random.Generator) -> Ints:
    """Order documents so that each beginning holds every class in about its share, and at least once."""
    turns = np.empty(len(y))
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == label))
        turns[members] = (np.arange(len(members)) + rng.random()) / len(members)
        turns[members[0]] -= 1
    return np.argsort(turns, kind="stable")
