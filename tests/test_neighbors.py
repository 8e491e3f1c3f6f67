"""Similar documents: every way of searching against brute force."""

from __future__ import annotations

import gc
import importlib.util
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.errors import OptionalDependencyError, UnknownNameError
from classifier.modeling import exact_search, lance_scan, neighbors, rounded_scan
from classifier.modeling.exact_search import ranked
from classifier.modeling.neighbors import INDEXES, NeighborIndex
from classifier.modeling.rounded_scan import RoundedScan

needs_kernel = pytest.mark.skipif(not RoundedScan.is_installed(), reason="numkong is not installed")
needs_lance = pytest.mark.skipif(importlib.util.find_spec("lancedb") is None, reason="lancedb is not installed")
EXACT = ["exact", pytest.param("int8", marks=needs_kernel)]
EVERY = [*EXACT, pytest.param("lance", marks=needs_lance)]


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


@pytest.mark.parametrize("index", EVERY)
@settings(deadline=None)
@given(drawn=searches())
def test_search_is_brute_force(
    index: str, drawn: tuple[np.ndarray, np.ndarray, np.ndarray, int, int | None, list[int]]
) -> None:
    """Rows, similarities, ties, filter and exclusion are those of sorting everything."""
    embeddings, labels, query, k, label, exclude = drawn
    unit = query / np.linalg.norm(query) if query.any() else query
    expected = sorted(
        (-float(embeddings[row] @ unit), row)
        for row in range(len(embeddings))
        if label in (None, labels[row]) and row not in exclude
    )[:k]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbors, "_FEW_FRACTION", 0.9)  # a shortlist is used for so few rows, too
        found = NeighborIndex(embeddings, index=index)
        rows, similarities = found.search(query, k, among=of_label(labels, label), exclude=exclude)
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
        patch.setattr(exact_search, "_BLOCK_ROWS", block_rows)
        patch.setattr(exact_search, "_RANKED_ROWS", block_rows)
        parts = NeighborIndex(embeddings).search(query, k, among=of_label(labels, label), exclude=exclude)
    assert [part.tolist() for part in parts] == [part.tolist() for part in whole]


def unit_rows(n_documents: int, n_dims: int = 24) -> np.ndarray:
    """Draw random unit vectors."""
    rows = np.random.default_rng(0).normal(size=(n_documents, n_dims)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("index", EXACT)
def test_mapped_vectors_are_searched_where_they_lie(tmp_path: Path, index: str) -> None:
    """A memory-mapped file gives what the same array in memory gives."""
    rows = unit_rows(500)
    np.save(tmp_path / "vectors.npy", rows)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    labels = np.arange(500) % 3
    found = NeighborIndex(mapped, index=index).search(rows[7], 9, among=labels == 1, exclude=[4])
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


@pytest.mark.parametrize("index", EXACT)
def test_an_empty_matrix_has_every_index(index: str) -> None:
    """No documents, no neighbours, for many queries, too."""
    found = NeighborIndex(np.empty((0, 4), dtype=np.float32), index=index)
    assert found.search_many(np.ones((3, 4), dtype=np.float32), 3)[0].shape == (3, 0)


def clustered_rows(n_documents: int, n_dims: int = 48) -> np.ndarray:
    """Draw unit vectors around a few centers, some of them twice, with zeros among them."""
    rng = np.random.default_rng(1)
    rows = unit_rows(20, n_dims)[rng.integers(20, size=n_documents)] + rng.normal(0, 0.1, (n_documents, n_dims))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[100:140] = rows[40:80]
    rows[:: n_documents // 7] = 0
    return rows.astype(np.float32)


def filters(n_documents: int) -> dict[str, np.ndarray | None]:
    """Return filters that keep all, most, hardly any and no rows."""
    drawn = np.random.default_rng(2).random(n_documents)
    return {"all": None, "half": drawn < 0.5, "few": drawn < 0.01, "none": drawn < 0}


def same(found: exact_search.Found, expected: exact_search.Found) -> bool:
    """Tell whether two answers are equal to the last bit."""
    return all(np.array_equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))


@needs_kernel
@pytest.mark.parametrize("kept", list(filters(1)))
@pytest.mark.parametrize("k", [1, 10, 90, 5000])
def test_rounded_search_is_exact(k: int, kept: str) -> None:
    """Rows and similarities are those of reading everything, to the last bit, whatever is asked."""
    embeddings = clustered_rows(4000)
    rounded, exact = NeighborIndex(embeddings, index="int8"), NeighborIndex(embeddings, index="exact")
    queries = np.vstack([embeddings[:60], 3 * unit_rows(20, 48)])
    among, exclude = filters(4000)[kept], [3, 5, 8]
    for query in queries:
        expected = exact.search(query, k, among=among, exclude=exclude)
        assert same(rounded.search(query, k, among=among, exclude=exclude), expected)
        assert not set(expected[0].tolist()) & set(exclude)


@pytest.mark.parametrize("index", EXACT)
@pytest.mark.parametrize("kept", list(filters(1)))
def test_many_queries_are_as_many_searches(index: str, kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch gives what its queries give one by one, to the last bit, also one of zeros."""
    monkeypatch.setattr(exact_search, "_QUERIES_AT_ONCE", 7)
    monkeypatch.setattr(rounded_scan, "_QUERIES_AT_ONCE", 7)
    embeddings = clustered_rows(3000)
    found, among = NeighborIndex(embeddings, index=index), filters(3000)[kept]
    queries = np.vstack([embeddings[:17], np.zeros((1, 48), dtype=np.float32), unit_rows(2, 48)])
    rows, similarities = found.search_many(queries, 12, among=among)
    for position, query in enumerate(queries):
        assert same((rows[position], similarities[position]), found.search(query, 12, among=among))


@pytest.mark.parametrize("index", EXACT)
def test_the_layout_in_memory_does_not_show(index: str) -> None:
    """Columns that lie together, or queries that do, give the same bits."""
    embeddings = clustered_rows(2000)
    expected = NeighborIndex(embeddings, index=index).search_many(embeddings[30:60], 7)
    turned = NeighborIndex(np.asfortranarray(embeddings), index=index)
    assert same(turned.search_many(np.asfortranarray(embeddings[30:60]), 7), expected)


@pytest.mark.parametrize("index", EXACT)
def test_no_queries_give_no_answers(index: str) -> None:
    """An empty batch is answered emptily."""
    found = NeighborIndex(clustered_rows(200), index=index)
    assert found.search_many(np.empty((0, 48), dtype=np.float32), 4)[0].shape == (0, 4)


@needs_kernel
def test_the_number_of_threads_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread or five, blocks of one size or another: the same bits."""
    embeddings = clustered_rows(3000)
    answers = []
    for n_cores, n_rows in ((1, 16_384), (5, 97), (3, 1000)):
        monkeypatch.setattr(rounded_scan, "usable_cores", lambda n_cores=n_cores: n_cores)
        monkeypatch.setattr(rounded_scan, "_BLOCK_ROWS", n_rows)
        monkeypatch.setattr(rounded_scan, "_ROUNDED_ROWS", n_rows)
        answers.append(NeighborIndex(embeddings, index="int8").search_many(embeddings[50:90], 10))
    assert all(same(answer, answers[0]) for answer in answers)


@needs_kernel
def test_a_ceiling_is_never_below_the_similarity() -> None:
    """What the search relies on, for rows of any shape: spread, sparse, tiny beside one large number, zeros."""
    spread = clustered_rows(2000)
    sparse = np.eye(48, dtype=np.float32)[np.arange(2000) % 48]
    uneven = spread**7
    uneven /= np.maximum(np.linalg.norm(uneven, axis=1, keepdims=True), 1e-9)
    for embeddings in (spread, sparse, uneven.astype(np.float32)):
        queries = np.vstack([embeddings[1:40], unit_rows(10, 48)])
        ceilings = RoundedScan(embeddings)._ceilings(queries)
        truth = queries.astype(np.float64) @ embeddings.astype(np.float64).T
        assert (ceilings >= truth).all()
        assert (ceilings - truth).max() < 0.15


@needs_kernel
@pytest.mark.parametrize("n_dims", [1, 7, 33, 384, 1000])
def test_products_in_whole_numbers_are_exact(n_dims: int) -> None:
    """The library's products, single and packed, equal numpy's for every length, at the largest codes, too."""
    kernel = pytest.importorskip("numkong")
    codes = np.random.default_rng(3).integers(-127, 128, (300, n_dims)).astype(np.int8)
    codes[:2] = [[127], [-127]]
    expected = codes[:5].astype(np.int64) @ codes.astype(np.int64).T
    assert np.array_equal(np.asarray(kernel.cdist(codes[:5], codes, metric="dot")), expected)
    assert np.array_equal(np.asarray(kernel.dots_packed(codes, kernel.dots_pack(codes[:5]))).T, expected)


@needs_kernel
def test_equal_rows_keep_their_order() -> None:
    """A thousand copies of one row tie, and the first ones win."""
    embeddings = np.repeat(unit_rows(3), 1000, axis=0)
    rows, similarities = NeighborIndex(embeddings, index="int8").search(embeddings[1500], 20)
    assert rows.tolist() == list(range(1000, 1020))
    assert len(set(similarities.tolist())) == 1


@needs_kernel
def test_large_matrices_are_rounded_at_the_second_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single question is answered by reading; whoever asks again gets the rounded copy, and the same answer."""
    monkeypatch.setattr(neighbors, "_LARGE", 1000 * 48)
    embeddings = clustered_rows(1000)
    small, large = NeighborIndex(embeddings[:999]), NeighborIndex(embeddings)
    first = large.search(embeddings[50], 5)
    assert large._shortlist is None
    assert same(large.search(embeddings[50], 5), first)
    assert isinstance(large._shortlist, RoundedScan)
    small.search_many(embeddings[:30], 5)
    small.prepare()
    assert small._shortlist is None


def test_without_the_kernel_everything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large matrix is searched all the same; who insists on int8 is told what to install."""
    monkeypatch.setattr(RoundedScan, "is_installed", staticmethod(lambda: False))
    monkeypatch.setattr(neighbors, "_LARGE", 1)
    embeddings = clustered_rows(300)
    found = NeighborIndex(embeddings)
    assert same(
        found.search_many(embeddings[:9], 4), NeighborIndex(embeddings, index="exact").search_many(embeddings[:9], 4)
    )
    assert found._shortlist is None
    with pytest.raises(OptionalDependencyError, match=r"needs the package numkong.*pip install numkong"):
        NeighborIndex(embeddings, index="int8")


@needs_kernel
def test_threads_share_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several threads that ask at once make one rounded copy and get right answers."""
    monkeypatch.setattr(neighbors, "_LARGE", 1)
    embeddings = clustered_rows(3000)
    found, exact = NeighborIndex(embeddings), NeighborIndex(embeddings, index="exact")
    wrong: list[int] = []

    def ask(row: int) -> None:
        if not same(found.search(embeddings[row], 10), exact.search(embeddings[row], 10)):
            wrong.append(row)

    threads = [threading.Thread(target=ask, args=(row,)) for row in range(50, 62)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_unknown_index_is_refused() -> None:
    """The message lists what there is."""
    assert list(INDEXES) == ["auto", "exact", "int8", "lance"]
    with pytest.raises(UnknownNameError, match=r"no index 'int9'; allowed: .*Did you mean 'int8'"):
        NeighborIndex(unit_rows(3), index="int9")


def test_a_row_is_ranked_alike_in_any_company() -> None:
    """The similarity of a row is the same bits alone, among others, and in another place."""
    embeddings = unit_rows(700, 384)
    together = ranked(embeddings, embeddings[3], np.arange(700), 700)
    for row, similarity in zip(*together, strict=True):
        assert ranked(embeddings, embeddings[3], np.array([row]), 1)[1][0] == similarity


def test_lance_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra and the command, for few rows, too."""
    monkeypatch.setattr(lance_scan, "find_spec", lambda _name: None)
    with pytest.raises(OptionalDependencyError, match=r"lancedb, .*pip install 'document-classifier\[scale\]'"):
        NeighborIndex(unit_rows(3), index="lance")


@needs_lance
@pytest.mark.parametrize("kept", list(filters(1)))
def test_lance_finds_what_is_near(kept: str) -> None:
    """Nearly all neighbours are found, under filters, too; similarities are exact."""
    embeddings = clustered_rows(6000, 92)
    found, exact = NeighborIndex(embeddings, index="lance"), NeighborIndex(embeddings, index="exact")
    among, queries = filters(6000)[kept], embeddings[50:90]
    rows, similarities = found.search_many(queries, 10, among=among)
    expected, _ = exact.search_many(queries, 10, among=among)
    assert rows.shape == expected.shape
    shared = sum(len(set(ours) & set(theirs)) for ours, theirs in zip(rows.tolist(), expected.tolist(), strict=True))
    assert shared >= 0.98 * expected.size
    assert np.allclose(similarities, np.take_along_axis(queries @ embeddings.T, rows, axis=1), atol=1e-6)


@needs_lance
def test_lance_keeps_its_table_where_it_is_told(tmp_path: Path) -> None:
    """The same vectors find their table again, others get another, half a table is made anew, a temporary one goes."""
    embeddings = clustered_rows(5000)
    first = NeighborIndex(embeddings, index="lance", folder=tmp_path).search(embeddings[50], 5)
    (table,) = tmp_path.iterdir()
    made = {path: path.stat().st_mtime_ns for path in table.rglob("*") if path.is_file()}
    assert same(NeighborIndex(embeddings, index="lance", folder=tmp_path).search(embeddings[50], 5), first)
    assert {path: path.stat().st_mtime_ns for path in table.rglob("*") if path.is_file()} == made
    NeighborIndex(embeddings[:-1], index="lance", folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


@needs_lance
def test_an_unfinished_table_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table without an index is one whose making was interrupted."""
    from lancedb.table import LanceTable

    embeddings = clustered_rows(5000)
    with monkeypatch.context() as patch:
        patch.setattr(
            LanceTable, "create_index", lambda *_arguments, **_options: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            NeighborIndex(embeddings, index="lance", folder=tmp_path)
    found = NeighborIndex(embeddings, index="lance", folder=tmp_path)
    assert same(found.search(embeddings[50], 5), NeighborIndex(embeddings, index="exact").search(embeddings[50], 5))


@needs_lance
def test_a_temporary_table_goes_with_its_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left on disk."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = NeighborIndex(clustered_rows(5000), index="lance")
    assert len(list(tmp_path.iterdir())) == 1
    del found
    gc.collect()
    assert list(tmp_path.iterdir()) == []
