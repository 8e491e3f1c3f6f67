"""From probabilities to decisions: thresholds, statuses, sets, and what is kept of held-out documents."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from classifier.analysis.abstention import ASK_ALWAYS
from classifier.analysis.scope import ScopeRule
from classifier.datamodels import ReviewPolicy
from classifier.errors import OptionError, TrainingDataError
from classifier.modeling.decisions import (
    DEFAULT_MIN_CONFIDENCE,
    held_out_scores,
    review_cost,
    review_threshold,
    set_thresholds,
    statuses,
    stored_scope,
)
from classifier.modeling.held_out import HeldOut


def answered(n: int = 400, seed: int = 0) -> tuple[HeldOut, np.ndarray]:
    """Return calibrated answers of two labels, right as often as they say."""
    rng = np.random.default_rng(seed)
    top = rng.uniform(0.5, 1.0, n)
    y = rng.integers(0, 2, n)
    answers = np.where(rng.random(n) < top, y, 1 - y)
    proba = np.empty((n, 2))
    proba[np.arange(n), answers] = top
    proba[np.arange(n), 1 - answers] = 1 - top
    return HeldOut.of(proba, y, np.ones(n, dtype=bool)), y


def test_held_out_answers_survive_storing() -> None:
    """What a bundle stores is what it gives back."""
    held_out, _ = answered(20)
    again = HeldOut.from_arrays(held_out.to_array(), held_out.answers, 2, is_set=False)
    for name in ("truth", "confidence", "correct"):
        assert np.array_equal(getattr(again, name), getattr(held_out, name))
    assert again.measured.all()


def test_documents_that_were_never_held_out_are_marked() -> None:
    """Their answers and probabilities are no answers and no probabilities."""
    proba, y = np.array([[0.9, 0.1], [0.0, 0.0]]), np.array([1, 0])
    held_out = HeldOut.of(proba, y, np.array([True, False]))
    assert held_out.measured.tolist() == [True, False]
    assert held_out.correct.tolist() == [0, -1]
    assert held_out.truth.tolist() == pytest.approx([0.1, -1])


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(3),
        np.zeros((2, 4)),
        *(np.full((2, 3), value) for value in (np.nan, np.inf, 3e38, 1.5, -0.5, -2, 0.5)),
        np.array([[-1, 0.5, 1]]),
        np.array([[0.5, -1, 1]]),
        np.array([[0.5, 0.5, -1]]),
    ],
)
def test_other_arrays_are_no_held_out_answers(values: np.ndarray) -> None:
    """Shape and numbers are checked."""
    with pytest.raises(ValueError, match="held-out answers"):
        HeldOut.from_arrays(values, np.full((len(values), 1), -1, dtype=np.int32), 2, is_set=False)


def test_a_target_is_kept_and_a_higher_one_asks_more() -> None:
    """Of the answers above the threshold, the wanted share is right."""
    held_out, _ = answered()
    low, high = (review_threshold(held_out, ReviewPolicy(target_accuracy=target)) for target in (0.8, 0.9))
    assert 0.5 <= low < high <= 1
    kept = held_out.confidence >= high
    assert held_out.correct[kept].mean() >= 0.9


def test_a_threshold_has_a_price() -> None:
    """What a threshold asked and gave on held-out documents is counted as they are stored."""
    held_out, _ = answered(400)
    threshold = review_threshold(held_out, ReviewPolicy(target_accuracy=0.9))
    cost, alone = review_cost(held_out, threshold), held_out.confidence >= np.float32(threshold)
    assert cost is not None
    assert cost.review_fraction == pytest.approx(1 - alone.mean())
    assert cost.accuracy_answered == pytest.approx((held_out.correct[alone] == 1).mean())
    assert cost.accuracy_answered >= 0.9
    assert review_cost(HeldOut.never(4), 0.5) is None


def test_a_budget_is_a_share_of_the_file() -> None:
    """About as many documents fall below the threshold as a person can read."""
    held_out, _ = answered()
    threshold = review_threshold(held_out, ReviewPolicy(review_budget=50), n_documents=200)
    assert (held_out.confidence < threshold).mean() == pytest.approx(0.25, abs=0.01)
    assert review_threshold(held_out, ReviewPolicy(review_budget=500), n_documents=200) == ASK_ALWAYS
    assert review_threshold(held_out, ReviewPolicy(review_budget=10**400), n_documents=200) == ASK_ALWAYS
    assert review_threshold(held_out, ReviewPolicy(review_budget=0), n_documents=200) == 0


def test_without_a_wish_one_half_decides() -> None:
    """An answer that is less likely right than wrong goes to a person."""
    held_out, _ = answered(10)
    assert review_threshold(held_out, ReviewPolicy()) == DEFAULT_MIN_CONFIDENCE == 0.5
    assert review_threshold(held_out, ReviewPolicy(min_confidence=0.7)) == 0.7


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (ReviewPolicy(min_confidence=1.5), "minimum confidence is 1.5; give a number from 0 to 1"),
        (ReviewPolicy(min_confidence=float("nan")), "minimum confidence is nan"),
        (ReviewPolicy(target_accuracy=98), "target accuracy is 98; give a number between 0 and 1"),
        (ReviewPolicy(review_budget=10), "review budget is 10"),
    ],
)
def test_impossible_wishes_are_refused(policy: ReviewPolicy, message: str) -> None:
    """One sentence says what is allowed."""
    with pytest.raises(OptionError, match=message):
        review_threshold(answered(10)[0], policy)


def test_an_unmeasured_model_promises_nothing() -> None:
    """A target needs held-out answers."""
    never = HeldOut.never(3)
    with pytest.raises(TrainingDataError, match="never measured"):
        review_threshold(never, ReviewPolicy(target_accuracy=0.9))
    assert review_threshold(never, ReviewPolicy()) == 0.5


RULE = ScopeRule(5.0, 2.0, -0.5, 0.25, -4.0)


def test_statuses_say_why() -> None:
    """Foreign before unsure, unsure before ok; a confidence that is no number is never ok."""
    confidence, evidence = np.array([0.9, 0.4, 0.9]), np.array([5.0, 5.0, 1.0])
    similarity = np.array([0.6, 0.6, 0.2])
    assert statuses(confidence, evidence, similarity, 0.5, RULE) == ["ok", "unsure", "out-of-scope"]
    assert statuses(confidence, evidence, np.full(3, np.nan), 0.5, None) == ["ok", "unsure", "ok"]
    assert statuses(np.full(3, np.nan), evidence, similarity, 0.0, RULE) == ["unsure", "unsure", "out-of-scope"]
    assert statuses(np.zeros(0), np.zeros(0), np.zeros(0), 0.5, RULE) == []


def test_a_stored_rule_comes_back() -> None:
    """What is stored is plain, and anything else is refused."""
    assert stored_scope({"scope": asdict(RULE)}) == RULE
    assert stored_scope({}) is stored_scope({"scope": None}) is None
    for damaged in (
        [],
        {"limit": 1.0},
        {**asdict(RULE), "limit": "1"},
        {**asdict(RULE), "limit": float("inf")},
        {**asdict(RULE), "limit": 10**400},
    ):
        with pytest.raises(ValueError, match="its scope"):
            stored_scope({"scope": damaged})


def test_sets_hold_the_truth_as_often_as_asked() -> None:
    """Thresholds from one half of the documents keep their promise on the other."""
    held_out, y = answered(4000)
    threshold = set_thresholds(*held_out_scores(held_out, y), 2, 0.9)
    fresh, _ = answered(4000, seed=1)
    assert ((1 - fresh.truth) <= threshold[0]).mean() == pytest.approx(0.9, abs=0.02)
