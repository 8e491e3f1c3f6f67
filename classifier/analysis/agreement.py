"""How often a cheap answer is the one that the whole model would give, by how clear it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints
from classifier.analysis.intervals import Z95, wilson_interval

MOST_POINTS = 200
AIM = 0.5
FEWEST_AUDITED = 500
AUDITED_FRACTION = 0.01
_ROOM = 1.05  # shares turn out a little different
_LARGEST = 1e9
_SMALLEST = 1e-30


@dataclass(frozen=True, slots=True)
class AgreementCurve:
    """What cheap answers to held-out documents were worth, from the clearest to all of them.

    Attributes
    ----------
    scale : float
        What scores of the cheap half are multiplied by to be log-probabilities, above 0.
    n_documents : int
        How many were measured.
    points : tuple of (float, int, int)
        A margin, how many answers are at least as clear, and how many of those the whole model does not give.
    """

    scale: float
    n_documents: int
    points: tuple[tuple[float, int, int], ...]

    def threshold(self, tolerance: float) -> float:
        """Return the lowest margin above which few enough answers of all differ; infinity where there is none.

        It aims at half the tolerance: the documents to come may be a little harder than these.
        """
        most = AIM * tolerance * self.n_documents
        good = [margin for margin, _, n_differing in self.points if n_differing <= most]
        return min(good, default=float("inf"))

    def share_above(self, threshold: float) -> float:
        """Return the share of documents that were answered at least as clearly."""
        return max((n for margin, n, _ in self.points if margin >= threshold), default=0) / max(1, self.n_documents)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Agreement:
    """What was found by giving a random part of the cheap answers to the whole model.

    Attributes
    ----------
    threshold : float
        Answers of at least this margin are cheap; infinity where none is.
    tolerance : float
        Share of all rows whose answer may differ from the whole model's.
    n_audited, n_differing : int
        Cheap answers that were checked, and those that the whole model does not give.
    cheap_fraction : float
        Share of the rows looked at that are answered cheaply.
    """

    threshold: float
    tolerance: float
    n_audited: int
    n_differing: int
    cheap_fraction: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the share of all rows that differ."""
        if not self.cheap_fraction:
            return 0.0, 0.0
        low, high = wilson_interval(self.n_differing, self.n_audited)
        return self.cheap_fraction * low, self.cheap_fraction * high

    @property
    def observed(self) -> float:
        """Share of all rows that differ, as far as was looked."""
        return self.cheap_fraction * self.n_differing / self.n_audited if self.n_audited else 0.0

    @property
    def is_kept(self) -> bool:
        """Whether the upper end of the interval is within the tolerance."""
        return self.interval[1] <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON; no threshold where nothing is cheap."""
        values = asdict(self) | {"observed": self.observed, "interval": list(self.interval), "is_kept": self.is_kept}
        return values | {"threshold": self.threshold if np.isfinite(self.threshold) else None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Agreement:
        """Take `to_dict`'s result back."""
        threshold = values["threshold"]
        numbers = [values[name] for name in ("tolerance", "n_audited", "n_differing", "cheap_fraction")]
        return cls(float("inf") if threshold is None else threshold, *numbers)


def margins(proba: Floats) -> Floats:
    """Return by how much the most probable class leads, as a difference of logarithms, shape (n_documents,).

    Examples
    --------
    >>> margins(np.array([[0.5, 0.5], [0.8, 0.2]])).round(3).tolist()
    [0.0, 1.386]
    """
    best = np.partition(proba, -2, axis=1)[:, -2:]
    return np.asarray(np.log(np.maximum(best[:, 1], _SMALLEST)) - np.log(np.maximum(best[:, 0], _SMALLEST)))


def agreement_curve(
    proba: Floats, answers: Ints, is_foreign: NDArray[np.bool_], *, scale: float
) -> AgreementCurve | None:
    """Measure cheap answers to held-out documents.

    Parameters
    ----------
    proba : ndarray of float64, shape (n_documents, n_classes)
        Of the cheap half.
    answers : ndarray of int, shape (n_documents,)
        What the whole model answers to them, also while they are held out.
    is_foreign : ndarray of bool, shape (n_documents,)
        Which of them the whole model calls out of scope; a cheap answer to those differs.
    scale : float
        As for `AgreementCurve`.

    Returns
    -------
    AgreementCurve or None
        None where there is nothing to measure.
    """
    if not len(proba) or proba.shape[1] < 2:
        return None
    clear, differs = margins(proba), (proba.argmax(axis=1) != answers) | is_foreign
    order = np.argsort(-clear, kind="stable")
    n_differing = np.cumsum(differs[order])
    is_last = np.append(np.diff(clear[order]) < 0, True)  # equal margins stand or fall together
    ends = np.flatnonzero(is_last)
    if len(ends) > MOST_POINTS:
        ends = ends[np.unique(np.linspace(0, len(ends) - 1, MOST_POINTS).astype(np.intp))]
    points = tuple((float(clear[order[end]]), int(end) + 1, int(n_differing[end])) for end in ends)
    return AgreementCurve(scale, len(proba), points)


@dataclass(frozen=True, slots=True)
class ThresholdChoice:
    """A margin from which on cheap answers may stand, and what that takes.

    Attributes
    ----------
    threshold : float
        Infinity where nothing is spared.
    n_checks : int
        How many cheap answers must be checked before it can be trusted.
    cost : float
        How many rows the whole model will be asked about, checks included.
    """

    threshold: float
    n_checks: int
    cost: float


def n_to_check(n_rows: int, share: float, tolerance: float, rate: float = 0.0) -> int:
    """Return how many cheap answers must be checked so that Wilson's interval of 95 % ends within a tolerance.

    Parameters
    ----------
    n_rows : int
        How many rows there are.
    share : float
        Which part of them is answered cheaply, in [0, 1].
    tolerance : float
        Which part of them may get another answer.
    rate : float, default=0
        Which part of the cheap answers is expected to differ.

    Returns
    -------
    int
        At least 500 and a hundredth of the cheap answers; more than there are rows where no number is enough.

    Examples
    --------
    >>> n_to_check(10_000, 1.0, 0.005), n_to_check(10_000, 1.0, 0.005, 0.002), n_to_check(10_000, 1.0, 0.005, 0.01)
    (803, 2230, 10001)
    """
    least = max(FEWEST_AUDITED, AUDITED_FRACTION * share * n_rows)
    limit = min(1.0, tolerance / share) if share > 0 else 1.0
    if rate >= limit:
        return n_rows + 1 if limit < 1 else int(np.ceil(least))
    return int(np.ceil(max(least, _ROOM * Z95**2 * limit * (1 - limit) / (limit - rate) ** 2)))


def choose_threshold(
    clear: Floats, differs: NDArray[np.bool_], n_looked_at: int, n_rows: int, tolerance: float
) -> ThresholdChoice:
    """Find the margin that leaves the whole model least to do, judged by answers that were checked.

    Parameters
    ----------
    clear : ndarray of float64, shape (n_audited,)
        Margins of cheap answers.
    differs : ndarray of bool, shape (n_audited,)
        Which of them the whole model does not give.
    n_looked_at : int
        Out of how many rows they came.
    n_rows : int
        How many rows there are.
    tolerance : float
        Share of all rows whose answer may differ.

    Notes
    -----
    A low one leaves few rows to the whole model, but more answers above it differ, and the nearer their share is to the
    tolerance, the more of them must be checked to be sure. One more differing answer is reckoned with than was seen.
    """
    order = np.argsort(-clear, kind="stable")
    n_differing = np.cumsum(differs[order])
    best = ThresholdChoice(float("inf"), 0, float(n_rows))
    for end in np.flatnonzero(np.append(np.diff(clear[order]) < 0, len(order) > 0)) + 1:
        share, rate = end / n_looked_at, (n_differing[end - 1] + 1) / (end + 2)
        n_checks = n_to_check(n_rows, share, tolerance, rate)
        cost = n_rows * (1 - share) + n_checks
        if n_checks <= share * n_rows and cost < best.cost:
            best = ThresholdChoice(float(clear[order[end - 1]]), n_checks, cost)
    return best


def stored_curve(facts: Mapping[str, Any]) -> AgreementCurve | None:
    """Read the curve of a stored model; None where it has none.

    Raises
    ------
    ValueError
        When it is no curve.
    """
    values = facts.get("cascade")
    if values is None:
        return None
    try:
        scale, n_documents, points = values["scale"], values["n_documents"], values["points"]
        is_whole = _is_number(scale) and 0 < scale <= _LARGEST and _is_count(n_documents, _LARGEST)
        is_whole = is_whole and len(points) <= MOST_POINTS and all(_is_point(point, n_documents) for point in points)
    except (KeyError, TypeError) as error:
        raise ValueError("its cascade is no curve") from error
    if not is_whole:
        raise ValueError("its cascade is no curve of margins and counts")
    return AgreementCurve(float(scale), n_documents, tuple((float(one), two, three) for one, two, three in points))


def _is_point(point: Sequence[Any], n_documents: int) -> bool:
    """Tell whether something is a margin and two counts."""
    return (
        len(point) == 3
        and _is_number(point[0])
        and 0 <= point[0] <= _LARGEST
        and _is_count(point[1], n_documents)
        and _is_count(point[2], point[1])
    )


def _is_number(value: Any) -> bool:
    """Tell whether a value is a number and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any, most: float) -> bool:
    """Tell whether a value is a whole number up to another one."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
