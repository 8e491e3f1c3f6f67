"""Sets of labels from a trained classifier: as often right as asked, from training or from documents kept aside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fakes import FakeEmbedder
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier import DocumentClassifier
from classifier.errors import MultiLabelError, NotTextError, OptionError, TrainingDataError, UnknownNameError

N_CLASSES = 4
WORDS = 30


def documents(n: int, seed: int) -> tuple[list[str], list[str]]:
    """Return texts of six words, of which about two in three are typical of their label, and the labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, N_CLASSES, n)
    typical = rng.random((n, 6)) < 0.3
    own, any_word = rng.integers(0, WORDS, (n, 6)), rng.integers(0, N_CLASSES * WORDS, (n, 6))
    words = np.where(typical, y[:, None] * WORDS + own, any_word)
    return [" ".join(f"word{word}" for word in row) for row in words], [f"label {label}" for label in y]


@pytest.fixture(scope="module")
def model() -> DocumentClassifier:
    """Train on words that tell the label only sometimes."""
    return DocumentClassifier(FakeEmbedder(8)).fit(*documents(1200, seed=0))


def coverage(sets: list[list[str]], labels: list[str]) -> float:
    """Return how often the true label is in the set."""
    return float(np.mean([label in found for found, label in zip(sets, labels, strict=True)]))


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("per_class", [False, True])
def test_sets_hold_the_label_as_often_as_asked(model: DocumentClassifier, level: float, per_class: bool) -> None:
    """By the held-out answers of training, which are a little modest, and on other documents."""
    texts, labels = documents(2000, seed=1)
    sets = model.predict_set(texts, level, per_class=per_class)
    assert level - 0.03 <= coverage(sets, labels) <= level + 0.06
    assert 1 < np.mean([len(found) for found in sets]) < N_CLASSES


def test_documents_kept_aside_promise_exactly(model: DocumentClassifier) -> None:
    """Over twenty draws of five hundred documents, coverage is on average what was asked, to within a point."""
    found = []
    texts, labels = documents(4000, seed=2)
    for draw in range(20):
        order = np.random.default_rng(draw).permutation(len(texts))
        aside, asked = order[:500], order[500:1500]
        model.conformalize([texts[row] for row in aside], [labels[row] for row in aside])
        sets = model.predict_set([texts[row] for row in asked], 0.9)
        found.append(coverage(sets, [labels[row] for row in asked]))
    assert np.mean(found) == pytest.approx(0.9, abs=0.01)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.05, 0.9), st.floats(0.01, 0.09))
def test_sets_grow_with_the_level(model: DocumentClassifier, level: float, more: float) -> None:
    """What is in a set stays in it when more is asked, in the same order."""
    texts, _ = documents(50, seed=3)
    for small, large in zip(model.predict_set(texts, level), model.predict_set(texts, level + more), strict=True):
        assert large[: len(small)] == small


def test_training_forgets_what_was_kept_aside() -> None:
    """Documents kept aside for one training say nothing of the next."""
    texts, labels = documents(300, seed=4)
    fresh = DocumentClassifier(FakeEmbedder(8)).fit(texts, labels)
    plain = fresh.predict_set(texts[:40])
    fresh.conformalize(texts[:5], labels[:5])
    assert fresh.predict_set(texts[:40]) != plain
    assert fresh.fit(texts, labels).predict_set(texts[:40]) == plain


@pytest.mark.parametrize(
    ("texts", "labels", "error", "says"),
    [
        ([], [], TrainingDataError, "There are 0 texts and 0 labels"),
        (["a"], ["label 0", "label 1"], TrainingDataError, "There are 1 texts and 2 labels"),
        (["a"], ["label 9"], UnknownNameError, "There is no label 'label 9'"),
        (["a"], [None], TrainingDataError, "Label 1 is of type NoneType; give strings only"),
        (["a", "b"], ["label 0", 1], TrainingDataError, "Label 2 is of type int"),
        (["a"], [["label 0"]], TrainingDataError, "Label 1 is of type list"),
        (["a"], iter(["label 0", "label 1"]), TrainingDataError, "There are 1 texts and 2 labels"),
        (["a"], "x", TrainingDataError, "A single string was given; give a list of labels"),
        ("a", ["label 0"], NotTextError, "A single string was given"),
        ([None], ["label 0"], NotTextError, "Text 1 is of type NoneType"),
    ],
)
def test_documents_kept_aside_are_checked(
    model: DocumentClassifier, texts: Any, labels: Any, error: type[Exception], says: str
) -> None:
    """One known label for each of at least one text, or one sentence."""
    with pytest.raises(error, match=says):
        model.conformalize(texts, labels)


def test_documents_kept_aside_may_come_one_by_one(model: DocumentClassifier) -> None:
    """What can be read once is read once."""
    texts, labels = documents(200, seed=5)
    expected = model.conformalize(texts, labels).predict_set(texts[:20])
    assert model.conformalize(iter(texts), iter(labels)).predict_set(texts[:20]) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("level", [-0.1, 0.0, 1.0, 1.5, float("nan"), None, "x", [0.9], np.array([0.9])])
def test_a_level_is_a_share(model: DocumentClassifier, level: Any) -> None:
    """Nothing and everything cannot be asked for."""
    with pytest.raises(OptionError, match="confidence level"):
        model.predict_set(["word1"], level)


def test_sets_of_several_labels_are_another_matter() -> None:
    """A multi-label model names what to use instead."""
    several = DocumentClassifier(FakeEmbedder(8), multi_label=True).fit(
        ["a b", "b c", "c d", "d a"], ["x", "", "x|y", "y"]
    )
    with pytest.raises(MultiLabelError, match=r"conformalize is for models that give each document one label"):
        several.conformalize(["a b"], ["x"])
