"""How far cheap answers are those of the whole model: curves, thresholds and what is stored of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.analysis.agreement import (
    MOST_POINTS,
    Agreement,
    AgreementCurve,
    agreement_curve,
    choose_threshold,
    margins,
    n_to_check,
    stored_curve,
)
from classifier.analysis.intervals import wilson_interval


def drawn(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities, answers that differ the more often the less clear they are, and which are foreign."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.full(4, 0.3), n)
    answers = proba.argmax(axis=1)
    differs = rng.random(n) < 0.3 * np.exp(-margins(proba))
    answers[differs] = (answers[differs] + 1) % 4
    return proba, answers, rng.random(n) < 0.001


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 600), st.integers(0, 50), st.sampled_from([0.002, 0.01, 0.1, 0.5]))
def test_above_the_threshold_few_enough_differ(n: int, seed: int, tolerance: float) -> None:
    """Counted anew, at most half of the tolerated answers at or above the threshold differ."""
    proba, answers, foreign = drawn(n, seed)
    curve = agreement_curve(proba, answers, foreign, scale=1.0)
    assert curve is not None
    assert len(curve.points) <= MOST_POINTS
    threshold = curve.threshold(tolerance)
    above = margins(proba) >= threshold
    differs = (proba.argmax(axis=1) != answers) | foreign
    assert (above & differs).sum() <= 0.5 * tolerance * n
    if np.isfinite(threshold):
        assert curve.share_above(threshold) == pytest.approx(above.mean())


def test_a_larger_tolerance_lets_more_pass() -> None:
    """Thresholds fall with the tolerance."""
    curve = agreement_curve(*drawn(5000), scale=1.0)
    assert curve is not None
    found = [curve.threshold(tolerance) for tolerance in (0.0001, 0.002, 0.01, 0.1, 0.9)]
    assert found == sorted(found, reverse=True)
    assert curve.share_above(found[-1]) == 1.0


def test_nothing_to_measure_is_no_curve() -> None:
    """Neither without documents nor with one class is there a margin."""
    nothing = np.zeros(0, dtype=np.intp)
    assert agreement_curve(np.zeros((0, 3)), nothing, nothing.astype(bool), scale=1.0) is None
    assert agreement_curve(np.ones((4, 1)), np.zeros(4, dtype=np.intp), np.zeros(4, dtype=bool), scale=1.0) is None


def test_an_agreement_says_what_it_promises() -> None:
    """The interval is of all rows, and the promise stands on its upper end."""
    found = Agreement(threshold=3.0, tolerance=0.005, n_audited=1000, n_differing=0, cheap_fraction=0.8)
    assert found.observed == 0.0
    assert found.interval == pytest.approx((0.0, 0.8 * 0.003827), abs=1e-5)
    assert found.is_kept
    assert not Agreement(3.0, 0.005, 1000, 5, 0.8).is_kept
    assert Agreement(float("inf"), 0.005, 0, 0, 0.0).is_kept
    for one in (found, Agreement(float("inf"), 0.005, 0, 0, 0.0)):
        assert Agreement.from_dict(one.to_dict()) == one


def test_the_best_threshold_weighs_rows_against_checks() -> None:
    """What differs stays below it, unless there are so many rows that checking more answers pays."""
    clear = np.repeat([9.0, 7.0, 5.0, 3.0], 1000)
    differs = np.zeros(4000, dtype=bool)
    differs[[2001, 2002, 2003, 2004, 2005]] = True
    differs[3000:3100] = True
    few = choose_threshold(clear, differs, 4000, 10_000, 0.003)
    many = choose_threshold(clear, differs, 4000, 1_000_000, 0.003)
    assert (few.threshold, many.threshold) == (7.0, 5.0)
    assert few.cost == pytest.approx(5000 + few.n_checks)
    assert many.cost == pytest.approx(250_000 + many.n_checks)
    assert choose_threshold(clear, np.ones(4000, dtype=bool), 4000, 10_000, 0.003).threshold == float("inf")
    assert choose_threshold(clear[:0], differs[:0], 4000, 10_000, 0.003).threshold == float("inf")


@given(share=st.floats(0.05, 1), tolerance=st.floats(0.001, 0.2), rate=st.floats(0, 0.1))
def test_as_many_checks_as_it_takes(share: float, tolerance: float, rate: float) -> None:
    """So many checks with that rate end the interval within the tolerance."""
    n_checks = n_to_check(10_000_000, share, tolerance, rate)
    if n_checks <= 10_000_000:
        assert share * wilson_interval(rate * n_checks, n_checks)[1] <= tolerance * (1 + 1e-9)
    else:
        assert share * rate > 0.9 * tolerance


def test_at_least_a_hundredth_of_many_cheap_answers_is_checked() -> None:
    """However generous the tolerance; of few answers at least 500 are."""
    assert [n_to_check(1_000_000, share, 0.9) for share in (1, 0.5, 0.25, 0.01)] == [10_000, 5000, 2500, 500]


def test_a_stored_curve_comes_back() -> None:
    """What is stored is JSON, and gives the same curve."""
    curve = agreement_curve(*drawn(300), scale=2.5)
    assert curve is not None
    assert stored_curve({"cascade": curve.to_dict()}) == curve
    assert stored_curve({}) is stored_curve({"cascade": None}) is None


@pytest.mark.parametrize(
    "values",
    [
        [],
        "curve",
        {"scale": 1.0},
        {"scale": 0.0, "n_documents": 3, "points": []},
        {"scale": "1", "n_documents": 3, "points": []},
        {"scale": True, "n_documents": 3, "points": []},
        {"scale": 1.0, "n_documents": -1, "points": []},
        {"scale": 1.0, "n_documents": 3, "points": [[1.0, 4, 0]]},
        {"scale": 1.0, "n_documents": 3, "points": [[1.0, 2, 3]]},
        {"scale": 1.0, "n_documents": 3, "points": [[-1.0, 2, 1]]},
        {"scale": 1.0, "n_documents": 3, "points": [[float("nan"), 2, 1]]},
        {"scale": 1.0, "n_documents": 3, "points": [[1.0, 2]]},
        {"scale": 1.0, "n_documents": 3, "points": [[1.0, 2, 1]] * 201},
    ],
)
def test_anything_else_is_refused(values: Any) -> None:
    """A model whose curve is none does not answer by it."""
    with pytest.raises(ValueError, match="its cascade is no curve"):
        stored_curve({"cascade": values})


def test_margins_are_differences_of_logarithms() -> None:
    """Also where a probability is zero."""
    found = margins(np.array([[1.0, 0.0], [0.25, 0.75]]))
    assert found[1] == pytest.approx(np.log(3))
    assert np.isfinite(found).all()
    assert AgreementCurve(1.0, 0, ()).threshold(0.1) == float("inf")
