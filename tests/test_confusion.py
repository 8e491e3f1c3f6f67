"""Which labels are taken for which, and how each fares: three-line arrays."""

from __future__ import annotations

import json

import numpy as np
import pytest

from classifier.analysis.confusion import ConfusedPair, Confusion, label_scores, stored_label_scores
from classifier.analysis.evaluation import evaluate

LABELS = ["ant", "bee", "cat", "dog"]
TRUTH = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
ANSWERS = np.array([0, 1, 1, 1, 2, 2, 2, 0, 2])


def metrics(truth: np.ndarray, answers: np.ndarray, labels: list[str]) -> dict[str, object]:
    """Measure answers as training does, and store the figures as a model does."""
    proba = np.eye(len(labels))[answers]
    found = evaluate(proba, labels, [labels[code] for code in truth], majority=labels[0])
    return json.loads(json.dumps(found.to_dict()))  # type: ignore[no-any-return]


def test_pairs_come_by_falling_number_with_their_share_of_the_true_label() -> None:
    found = Confusion.of(TRUTH, ANSWERS, LABELS)
    assert found.errors() == (
        ConfusedPair("ant", "bee", 2, 2 / 3),
        ConfusedPair("bee", "cat", 1, 1 / 2),
        ConfusedPair("cat", "ant", 1, 1 / 4),
    )
    assert found.n_true == (3, 2, 4, 0)
    assert sum(found.counts.values()) == len(TRUTH)


def test_a_part_of_the_matrix_keeps_the_order_that_is_asked_for() -> None:
    found = Confusion.of(TRUTH, ANSWERS, LABELS)
    assert found.among(["cat", "ant"]) == [[3, 1], [0, 1]]
    assert found.among(["dog"]) == [[0]]


@pytest.mark.parametrize(("n_labels", "expected"), [(1, ()), (2, ("ant", "bee")), (3, ("ant", "bee", "cat"))])
def test_most_confused_labels_are_those_of_the_most_frequent_errors(n_labels: int, expected: tuple[str, ...]) -> None:
    assert Confusion.of(TRUTH, ANSWERS, LABELS).most_confused(n_labels) == expected


def test_stored_figures_say_the_same_as_the_answers() -> None:
    """What an older model stored gives the same pairs and the same scores."""
    stored = metrics(TRUTH, ANSWERS, LABELS)
    found = Confusion.from_metrics(stored)
    assert found.labels == ("ant", "bee", "cat")
    assert found.errors() == Confusion.of(TRUTH, ANSWERS, LABELS).errors()
    hits = np.array([1, 1, 3, 0])
    assert stored_label_scores(stored) == label_scores(
        LABELS, hits, np.bincount(TRUTH, minlength=4), np.bincount(ANSWERS, minlength=4)
    )


def test_very_many_labels_keep_their_errors_and_their_right_answers() -> None:
    """Above 300 labels only the errors are stored; the right answers follow from recall."""
    labels = [f"label {number:03}" for number in range(310)]
    truth = np.repeat(np.arange(310), 3)
    answers = truth.copy()
    answers[:6] = [5, 5, 0, 0, 1, 1]
    stored = metrics(truth, answers, labels)
    assert not stored["confusion"]
    found = Confusion.from_metrics(stored)
    assert found.counts == Confusion.of(truth, answers, labels).counts
    assert found.errors()[0] == ConfusedPair("label 000", "label 005", 2, 2 / 3)


def test_scores_have_intervals_where_there_is_something_to_count() -> None:
    """The weakest label comes first; what nobody has and nobody was given is left out."""
    rows = label_scores(["a", "b", "c", "d"], np.array([3, 0, 0, 0]), np.array([4, 2, 0, 0]), np.array([3, 0, 1, 0]))
    assert [row.label for row in rows] == ["b", "c", "a"]
    never_given, never_true, common = rows
    assert (never_given.precision_interval, never_true.recall_interval) == (None, None)
    assert (common.precision, common.recall, round(common.f1, 3)) == (1.0, 0.75, 0.857)
    assert common.recall_interval == pytest.approx((0.301, 0.954), abs=0.001)
    assert common.precision_interval == pytest.approx((0.438, 1.0), abs=0.001)
