"""Which documents a person should label next, on arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.analysis.sampling import (
    QUERY_STRATEGIES,
    UNKNOWN,
    Candidates,
    disagreeing,
    diverse,
    novel,
    recommended,
    suspected,
    uncertain,
)


def candidates(
    confidence: list[float],
    *,
    answers: list[int] | None = None,
    labels: list[int] | None = None,
    quality: list[float] | None = None,
    similarity: list[float] | None = None,
    embeddings: np.ndarray | None = None,
) -> Candidates:
    """Describe documents; what is not said is not known."""
    n = len(confidence)
    return Candidates(
        confidence=np.array(confidence, dtype=np.float64),
        answers=np.array(answers or [0] * n, dtype=np.intp),
        labels=np.array(labels or [UNKNOWN] * n, dtype=np.intp),
        label_quality=np.array(quality or [1.0] * n),
        similarity=np.array(similarity or [np.nan] * n),
        embeddings=np.eye(max(n, 1), dtype=np.float32)[:n] if embeddings is None else embeddings,
    )


def test_the_unsure_come_first() -> None:
    """Lowest confidence first; what the model was never asked about is left out."""
    assert uncertain(candidates([0.9, 0.2, np.nan, 0.5])).tolist() == [1, 3, 0]


def test_the_novel_come_first() -> None:
    """Least similar first; training documents, whose similarity says nothing, are left out."""
    assert novel(candidates([0.9] * 3, similarity=[0.7, np.nan, 0.1])).tolist() == [2, 0]


def test_surest_disagreement_first() -> None:
    """Documents whose label is the answer, or that have none, do not disagree."""
    found = disagreeing(candidates([0.6, 0.9, 0.8, 0.7], answers=[1, 1, 1, 1], labels=[0, 0, 1, UNKNOWN]))
    assert found.tolist() == [1, 0]


def test_the_worst_label_comes_first() -> None:
    """Labels that nothing speaks against, and documents without one, are not suspected."""
    found = suspected(candidates([0.9] * 4, labels=[0, 0, 0, UNKNOWN], quality=[0.4, 0.1, 0.8, 0.2]))
    assert found.tolist() == [1, 0]


def test_the_recommended_take_turns() -> None:
    """Evident errors, then a suspected label and an unsure document without one, and so on; the rest follows."""
    found = recommended(
        candidates(
            [0.9, 0.9, 0.9, 0.5, 0.2, 0.9],
            labels=[0, 0, 0, UNKNOWN, UNKNOWN, 0],
            quality=[0.3, 0.1, 0.31, 1.0, 1.0, 0.32],
        )
    )
    assert found.tolist() == [1, 0, 4, 2, 3, 5]


def test_nearly_equal_texts_are_recommended_once() -> None:
    """The second of two texts that say the same comes behind another one, unsure as it is."""
    vectors = np.array([[1, 0], [1, 0.01], [0, 1]], dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert recommended(candidates([0.1, 0.2, 0.3], embeddings=vectors)).tolist() == [0, 2, 1]


def test_the_diverse_differ_from_all_before() -> None:
    """Each cluster is visited before any is visited twice."""
    rng = np.random.default_rng(0)
    cluster = np.repeat(np.arange(5), 20)
    vectors = (np.eye(8)[cluster] + 0.05 * rng.normal(size=(100, 8))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = diverse(candidates([0.5] * 100, embeddings=vectors))
    assert sorted(cluster[found[:5]].tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("strategy", sorted(QUERY_STRATEGIES))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_strategy_names_each_document_once(strategy: str, data: st.DataObject) -> None:
    """Positions are valid and never repeat, also where there is no document; the input stays as it was."""
    n = data.draw(st.integers(0, 12))

    def numbers(values: st.SearchStrategy[float]) -> list[float]:
        return data.draw(st.lists(values, min_size=n, max_size=n))

    given_candidates = candidates(
        numbers(st.floats(0, 1) | st.just(np.nan)),
        answers=[int(one) for one in numbers(st.integers(-1, 3))],
        labels=[int(one) for one in numbers(st.integers(-1, 3))],
        quality=numbers(st.floats(0, 1)),
        similarity=numbers(st.floats(-1, 1) | st.just(np.nan)),
        embeddings=np.random.default_rng(n).normal(size=(n, 4)).astype(np.float32),
    )
    before = given_candidates.confidence.copy()
    found = QUERY_STRATEGIES[strategy](given_candidates)
    assert len(set(found.tolist())) == len(found)
    assert all(0 <= position < n for position in found.tolist())
    assert np.array_equal(given_candidates.confidence, before, equal_nan=True)
