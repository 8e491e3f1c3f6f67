"""Similar documents: exact against brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.modeling import neighbors
from classifier.modeling.neighbors import NeighborIndex


@st.composite
def searches(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, int | None, list[int]]:
    """Draw rows of small whole numbers (so that ties are exact), classes, a query and what to look for."""
    n_documents = draw(st.integers(1, 30))
    vectors = st.lists(st.integers(-1, 1), min_size=3, max_size=3)
    rows = draw(st.lists(vectors, min_size=n_documents, max_size=n_documents))
    labels = draw(st.lists(st.integers(0, 2), min_size=n_documents, max_size=n_documents))
    query = draw(st.sampled_from([[1, 0, 0], [0, -1, 0], [0, 0, 0], [0, 0, 4]]))
    k = draw(st.integers(0, 40))
    label = draw(st.none() | st.integers(0, 3))
    exclude = draw(st.lists(st.integers(0, n_documents - 1), unique=True))
    return np.array(rows, dtype=np.float32), np.array(labels), np.array(query, dtype=np.float32), k, label, exclude


def of_label(labels: np.ndarray, label: int | None) -> np.ndarray | None:
    """Tell which rows have a label; None for any."""
    return None if label is None else labels == label


@settings(deadline=None)
@given(searches())
def test_search_is_brute_force(drawn: tuple[np.ndarray, np.ndarray, np.ndarray, int, int | None, list[int]]) -> None:
    """Rows, similarities, ties, filter and exclusion are those of sorting everything."""
    embeddings, labels, query, k, label, exclude = drawn
    unit = query / np.linalg.norm(query) if query.any() else query
    expected = sorted(
        (-float(embeddings[row] @ unit), row)
        for row in range(len(embeddings))
        if label in (None, labels[row]) and row not in exclude
    )[:k]
    rows, similarities = NeighborIndex(embeddings).search(query, k, among=of_label(labels, label), exclude=exclude)
    assert rows.tolist() == [row for _, row in expected]
    assert similarities.tolist() == [-similarity for similarity, _ in expected]


@settings(deadline=None)
@given(searches(), st.integers(1, 7))
def test_blocks_do_not_show(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray, int, int | None, list[int]], block_rows: int
) -> None:
    """Reading in blocks of any size finds the same rows."""
    embeddings, labels, query, k, label, exclude = drawn
    whole = NeighborIndex(embeddings).search(query, k, among=of_label(labels, label), exclude=exclude)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbors, "_BLOCK_ROWS", block_rows)
        parts = NeighborIndex(embeddings).search(query, k, among=of_label(labels, label), exclude=exclude)
    assert [part.tolist() for part in parts] == [part.tolist() for part in whole]


def unit_rows(n_documents: int, n_dims: int = 24) -> np.ndarray:
    """Draw random unit vectors."""
    rows = np.random.default_rng(0).normal(size=(n_documents, n_dims)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_mapped_vectors_are_searched_where_they_lie(tmp_path: Path) -> None:
    """A memory-mapped file gives what the same array in memory gives."""
    rows = unit_rows(500)
    np.save(tmp_path / "vectors.npy", rows)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    labels = np.arange(500) % 3
    found = NeighborIndex(mapped).search(rows[7], 9, among=labels == 1, exclude=[4])
    expected = NeighborIndex(rows).search(rows[7], 9, among=labels == 1, exclude=[4])
    assert [part.tolist() for part in found] == [part.tolist() for part in expected]
    assert found[0][0] == 7


def test_similarity_is_a_cosine() -> None:
    """The length of the query does not matter, a row is most similar to itself, and 1 is never passed."""
    rows = unit_rows(50)
    index = NeighborIndex(rows)
    for row in range(50):
        found, similarities = index.search(rows[row] * 37.5, 50)
        assert found[0] == row
        assert similarities[0] == pytest.approx(1, abs=1e-6)
        assert np.abs(similarities).max() <= 1
        assert (np.diff(similarities) <= 0).all()


@pytest.mark.parametrize("k", [0, -3])
def test_nothing_is_asked_for(k: int) -> None:
    """No neighbours wanted, none given."""
    rows, similarities = NeighborIndex(unit_rows(5)).search(unit_rows(1)[0], k)
    assert (len(rows), len(similarities)) == (0, 0)


def test_an_index_without_rows_finds_nothing() -> None:
    """No documents, no neighbours."""
    index = NeighborIndex(np.empty((0, 4), dtype=np.float32))
    assert index.search(np.ones(4, dtype=np.float32), 3)[0].tolist() == []
