"""Neighbours that are kept, the Pareto front and the recommendation, on arrays."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from classifier.analysis.tradeoffs import (
    NEGLIGIBLE,
    SPEED_TOLERANCE,
    Comparison,
    Tradeoff,
    kept_neighbours,
    mark_front,
    neighbour_weights,
    paired_difference,
    pareto_front,
    recommend,
    speed_classes,
)

BENEFITS = st.integers(1, 4).flatmap(
    lambda n_criteria: arrays(
        np.float64, st.tuples(st.integers(1, 25), st.just(n_criteria)), elements=st.integers(0, 4).map(float)
    )
)
SPEEDS = st.lists(st.floats(0.01, 1e6), min_size=1, max_size=30)
ANSWERS = st.integers(1, 40).flatmap(lambda n: arrays(np.bool_, st.tuples(st.just(2), st.just(n))))


def cloud(n_rows: int, n_dims: int, seed: int) -> np.ndarray:
    """Draw rows of any length."""
    return np.random.default_rng(seed).normal(size=(n_rows, n_dims)).astype(np.float32)


def row(accuracy: float = 0.9, vector_bytes: int = 100, speed: float = 10.0, **changes: object) -> Tradeoff:
    """Make a row of which most does not matter."""
    values: dict[str, object] = {
        "embedder": "a",
        "n_dims": 64,
        "is_reduced": True,
        "dtype": "float32",
        "accuracy": accuracy,
        "accuracy_interval": (accuracy - 0.05, accuracy + 0.05),
        "recall_at_10": 0.75,
        "documents_per_second": speed,
        "vector_bytes": vector_bytes,
        "model_bytes": 1000,
    }
    return Tradeoff(**values | changes)  # type: ignore[arg-type]


def answers(n_documents: int, *wrong: range) -> np.ndarray:
    """Answer rightly but for some documents, one row for each range."""
    found = np.ones((len(wrong), n_documents), dtype=np.bool_)
    for number, rows in enumerate(wrong):
        found[number, list(rows)] = False
    return found


@settings(deadline=None)
@given(st.integers(12, 40), st.integers(1, 11), st.integers(0, 99))
def test_neighbours_are_the_nearest_by_cosine(n_rows: int, k: int, seed: int) -> None:
    """Sorting every cosine gives the same documents; the length of a vector does not matter."""
    rows, queries = cloud(n_rows, 6, seed), np.array([0, 3, n_rows - 1])
    units = rows.astype(np.float64) / np.linalg.norm(rows, axis=1, keepdims=True)
    for query, weights in zip(queries, neighbour_weights(rows, queries, k), strict=True):
        cosines = units @ units[query]
        cosines[query] = -2
        assert set(np.flatnonzero(weights)) == set(np.argsort(-cosines)[:k])
        assert weights.sum() == pytest.approx(k)


def test_a_document_is_no_neighbour_of_its_own() -> None:
    """Also not where another one is equal to it, which is one."""
    rows = np.array([[1, 0], [1, 0], [0, 1], [-1, 0]], dtype=np.float32)
    assert neighbour_weights(rows, np.array([0, 1]), 1).tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]


def test_documents_that_are_equally_near_share_the_places() -> None:
    """No row number decides between equals: of three for two places, each is two thirds of a neighbour."""
    rows = np.array([[1, 0], [2, 1], [4, 2], [6, 3], [0, 1]], dtype=np.float32)
    assert neighbour_weights(rows, np.array([0]), 2)[0].tolist() == pytest.approx([0, 2 / 3, 2 / 3, 2 / 3, 0])


def test_a_vector_of_zeros_resembles_all_alike() -> None:
    """Nothing to read is as near to one document as to another."""
    rows = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=np.float32)
    assert neighbour_weights(rows, np.array([0]), 1)[0].tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])


def test_fewer_documents_than_places() -> None:
    """All others are neighbours where there are no more of them."""
    assert neighbour_weights(cloud(4, 3, 0), np.array([2]), 10).tolist() == [[1, 1, 0, 1]]


@settings(deadline=None)
@given(st.integers(12, 30), st.integers(0, 99), st.randoms(use_true_random=False))
def test_kept_neighbours_do_not_depend_on_the_order_of_documents(n_rows: int, seed: int, random: st.DataObject) -> None:
    """Shuffling documents shuffles what is kept; all is kept of what was not changed; every share is in [0, 1]."""
    order = list(range(n_rows))
    random.shuffle(order)
    rows = cloud(n_rows, 5, seed)
    coarse = np.sign(rows)
    queries = np.arange(n_rows)
    before, after = neighbour_weights(rows, queries, 10), neighbour_weights(coarse, queries, 10)
    kept = kept_neighbours(before, after)
    assert ((kept >= 0) & (kept <= 1 + 1e-6)).all()
    assert (kept_neighbours(before, before) == 1).all()
    shuffled = kept_neighbours(
        neighbour_weights(rows[order], queries, 10), neighbour_weights(coarse[order], queries, 10)
    )
    np.testing.assert_allclose(shuffled, kept[order], atol=1e-5)


def test_kept_neighbours_by_hand() -> None:
    """One of two is still there."""
    before, after = np.array([[1, 1, 0]], dtype=np.float32), np.array([[0, 1, 1]], dtype=np.float32)
    assert kept_neighbours(before, after).tolist() == [0.5]


@given(BENEFITS)
def test_the_front_is_what_nothing_beats(benefits: np.ndarray) -> None:
    """Whatever is not on it is beaten by something on it, and nothing on it is."""
    is_on = pareto_front(benefits)
    front = benefits[is_on]
    assert len(front)
    for one, on in zip(benefits, is_on, strict=True):
        beaten = ((front >= one).all(axis=1) & (front > one).any(axis=1)).any()
        assert beaten == (not on)


@given(BENEFITS, st.integers(0, 99))
def test_the_front_does_not_depend_on_order_or_scale(benefits: np.ndarray, seed: int) -> None:
    """Shuffling moves the marks along; any rising function of a criterion changes nothing."""
    order = np.random.default_rng(seed).permutation(len(benefits))
    is_on = pareto_front(benefits)
    assert np.array_equal(pareto_front(benefits[order]), is_on[order])
    assert np.array_equal(pareto_front(np.exp(benefits)), is_on)


@given(BENEFITS)
def test_what_is_beaten_changes_no_front(benefits: np.ndarray) -> None:
    """A choice that is worse in everything leaves the others where they were."""
    more = np.vstack([benefits, benefits.min(axis=0) - 1])
    assert pareto_front(more).tolist() == [*pareto_front(benefits), False]


@given(SPEEDS)
def test_classes_of_speed_are_narrow_and_in_order(speeds: list[float]) -> None:
    """Within a class nothing is more than half as fast again; a higher class is faster; numbers have no gap."""
    classes = speed_classes(speeds)
    assert set(classes) == set(range(classes.max() + 1))
    for number in set(classes):
        inside = [speed for speed, other in zip(speeds, classes, strict=True) if other == number]
        assert max(inside) <= min(inside) * (1 + SPEED_TOLERANCE)
    assert all(
        (mine < theirs) == (speed < other) or mine == theirs
        for speed, mine in zip(speeds, classes, strict=True)
        for other, theirs in zip(speeds, classes, strict=True)
    )


def test_a_little_speed_puts_nothing_on_the_front() -> None:
    """What is worse in all else is not saved by what a clock cannot tell, but by a real difference."""
    marked = mark_front([row(0.9, 100, 100.0), row(0.8, 100, 140.0), row(0.7, 100, 1000.0), row(0.6, 50, 100.0)])
    assert [one.on_front for one in marked] == [True, False, True, True]


@given(ANSWERS)
def test_paired_differences(drawn: np.ndarray) -> None:
    """The difference is that of the accuracies and turns its sign with the order; its error is 0 for equals alone."""
    difference, error = paired_difference(*drawn)
    assert difference == pytest.approx(drawn[0].mean() - drawn[1].mean())
    assert paired_difference(drawn[1], drawn[0]) == (-difference, error)
    assert (error == 0) == np.array_equal(*drawn)
    assert abs(difference) <= drawn.shape[1] ** 0.5 * error + 1e-12


def test_the_cheapest_of_equals_is_recommended() -> None:
    """Fewest bytes first, then speed, then accuracy."""
    rows = [row(vector_bytes=200), row(vector_bytes=50, embedder="slow"), row(vector_bytes=50, speed=99.0)]
    found = recommend(mark_front(rows), answers(100, range(10), range(10), range(10)))
    assert found.chosen.documents_per_second == 99.0
    assert found.best is found.chosen
    assert (found.points_below, found.standard_error, found.fastest) == (0.0, 0.0, None)


@pytest.mark.parametrize(
    ("small_wrong", "is_chosen"),
    [
        (range(10, 24), True),  # 14 lost, 10 gained: 4 apart, and one standard error is 4.9
        (range(24), False),  # 14 lost and none gained: one standard error is 3.7
    ],
)
def test_one_standard_error_decides(small_wrong: range, is_chosen: bool) -> None:
    """Documents that both answer alike say nothing; those on which they differ decide."""
    wrong = answers(400, range(10), small_wrong)
    rows = mark_front([row(wrong[0].mean(), 1000), row(wrong[1].mean(), 10)])
    found = recommend(rows, wrong)
    assert found.best is rows[0]
    assert found.chosen is rows[is_chosen]
    assert ("within one standard error (1.22)" in found.reasons[0]) == is_chosen


@pytest.mark.parametrize(("n_lost", "is_chosen"), [(5, True), (6, False)])
def test_a_quarter_of_a_point_is_given_up(n_lost: int, is_chosen: bool) -> None:
    """Of 2,000 documents five do not matter, although they are more than two standard errors."""
    wrong = answers(2000, range(10), range(10 + n_lost))
    rows = mark_front([row(wrong[0].mean(), 1000), row(wrong[1].mean(), 10)])
    below, error = paired_difference(*wrong)
    assert below > 2 * error
    assert (below <= NEGLIGIBLE) == is_chosen
    found = recommend(rows, wrong)
    assert found.chosen is rows[is_chosen]
    assert ("too little to matter" in found.reasons[0]) == is_chosen


@settings(deadline=None)
@given(
    st.integers(1, 6).flatmap(
        lambda n: st.tuples(
            arrays(np.bool_, st.tuples(st.just(n), st.integers(1, 30))),
            st.lists(st.tuples(st.integers(1, 4), st.sampled_from([1.0, 9.0])), min_size=n, max_size=n),
        )
    )
)
def test_recommended_is_as_good_and_no_larger(drawn: tuple[np.ndarray, list[tuple[int, float]]]) -> None:
    """Whatever the answers: it is on the front, takes no more than the best, and lags by no more than chance."""
    correct, costs = drawn
    rows = mark_front([row(right.mean(), *cost) for right, cost in zip(correct, costs, strict=True)])
    found = recommend(rows, correct)
    assert found.best.accuracy == max(one.accuracy for one in rows)
    assert found.chosen.on_front
    assert found.best.on_front
    assert found.chosen.vector_bytes <= found.best.vector_bytes
    assert found.points_below <= max(found.standard_error, NEGLIGIBLE)
    if found.fastest is not None:
        assert found.fastest.documents_per_second > found.chosen.documents_per_second
        assert found.fastest.vector_bytes > found.chosen.vector_bytes


def test_the_reason_has_the_figures() -> None:
    """What it takes, what the best takes, what is given up, and what a dtype is for."""
    rows = [
        row(0.9, 1536, n_dims=384, is_reduced=False, recall_at_10=1.0),
        row(0.89, 52, dtype="binary", recall_at_10=0.256),
        row(0.9, 800, speed=400.0, embedder="quick", is_reduced=False, dtype="float16"),
    ]
    found = recommend(mark_front(rows), answers(100, range(10), range(1, 12), range(10)))
    text = " ".join(found.reasons)
    assert "a+pca:64 as binary takes 52 bytes for a document and gets 89.0 % right" in text
    assert "The most accurate, quick as fp16, takes 800 and gets 90.0 %" in text
    assert "differ by 1.00 points, within one standard error (1.73)" in text
    assert "Of the ten documents most similar by the full vectors of a, it finds 2.6." in text
    assert "binary is for vectors that you store or exchange" in text
    assert "quick as fp16 embeds 40 times as fast, takes 800 bytes" in text
    assert found.commands == (
        "classifier train FILE --embedder a+pca:64 --name NAME",
        "classifier embed FILE --model NAME --dtype binary -o VECTORS.parquet",
    )


def test_full_vectors_need_no_second_command() -> None:
    """Where nothing is reduced or rounded, nothing is given up, and training is all."""
    found = recommend(mark_front([row(is_reduced=False, recall_at_10=1.0, embedder="my model")]), answers(9, range(1)))
    assert found.commands == ("classifier train FILE --embedder 'my model' --name NAME",)
    assert found.reasons == (
        (
            "my model as fp32 is the most accurate, 90.0 %, and takes 100 bytes for a document; "
            "every smaller one is measurably worse."
        ),
        "It finds the ten most similar documents that the full vectors find.",
    )


def test_a_comparison_is_plain_values() -> None:
    """Everything comes out as JSON, the words of the recommendation too."""
    rows = mark_front([row(), row(0.8)])
    comparison = Comparison(
        source="f.csv",
        n_documents=10,
        n_available=20,
        n_measured=9,
        n_labels=2,
        n_folds=5,
        n_queries=9,
        majority_accuracy=0.5,
        seed=0,
        tradeoffs=rows,
        recommendation=recommend(rows, answers(9, range(1), range(2))),
    )
    values = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
    assert [one["on_front"] for one in values["tradeoffs"]] == [True, False]
    assert values["recommendation"]["chosen"] == values["tradeoffs"][0]
    assert values["recommendation"]["commands"] == list(comparison.recommendation.commands)
