"""Foreign documents: likeness against one plain product, thresholds by hand, and the area against scikit-learn."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from classifier.analysis.scope import (
    FEWEST_SCORES,
    MOST_QUERIES,
    ScopeRule,
    auroc,
    fit_scope,
    is_near,
    leave_out_similarity,
    nearest_similarity,
    scope_threshold,
)
from classifier.errors import OptionError

SCORES = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=30).map(np.array)


def cloud(n_rows: int, n_dims: int, seed: int = 0) -> np.ndarray:
    """Draw rows of unit length."""
    rows = np.random.default_rng(seed).normal(size=(n_rows, n_dims))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def plain_similarity(queries: np.ndarray, embeddings: np.ndarray, k: int, allowed: np.ndarray) -> np.ndarray:
    """Average the `k` nearest allowed ones by one product and a full sort of each row."""
    cosines = queries.astype(np.float64) @ embeddings.T.astype(np.float64)
    ranked = [np.sort(row[may])[::-1][:k] for row, may in zip(cosines, allowed, strict=True)]
    return np.array([row.mean() if len(row) else np.nan for row in ranked])


RULE = ScopeRule(5.0, 2.0, 0.0, 1.0, -3.0)


def test_scores_by_hand() -> None:
    """Evidence and likeness count alike, each in what is usual for it."""
    found = RULE.scores(np.array([5.0, 3.0, 7.0]), np.array([1.0, np.exp(-0.5), np.exp(-2.0)]))
    assert found.tolist() == pytest.approx([0, -1.5, -1])


def test_scores_of_any_likeness_are_finite() -> None:
    """Cosines of 0 or below count as 1e-6, rounding above 1 counts as 1, and what is not known stays so."""
    found = RULE.scores(np.full(4, 5.0), np.array([0.0, -1.0, 1.0000001, np.nan]))
    assert found[:3] == pytest.approx([np.log(1e-6), np.log(1e-6), 0])
    assert np.isnan(found[3])


def test_a_rule_needs_documents_that_differ() -> None:
    """Too few, unknown or equal documents tell nothing."""
    rng = np.random.default_rng(0)
    evidence, similarity = rng.normal(5, 1, 200), rng.uniform(0.3, 0.9, 200)
    assert fit_scope(evidence, similarity) is not None
    assert fit_scope(evidence[:40], similarity[:40]) is None
    assert fit_scope(np.where(np.arange(200) < 40, evidence, np.nan), similarity) is None
    assert fit_scope(np.ones(200), similarity) is None
    assert fit_scope(evidence, np.full(200, 0.5)) is None


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 12), st.integers(1, 7), st.sampled_from([1, 2, 5, 64]), st.integers(0, 2**32))
def test_leaving_out_is_one_plain_product(n_documents: int, n_groups: int, k: int, block: int, seed: int) -> None:
    """Whatever the size of a block, equal texts are passed over and the nearest others averaged."""
    embeddings = cloud(n_documents, 3, seed)
    groups = np.random.default_rng(seed).integers(0, n_groups, n_documents)
    expected = plain_similarity(embeddings, embeddings, k, groups[:, np.newaxis] != groups)
    assert leave_out_similarity(embeddings, groups, k, block) == pytest.approx(expected, abs=1e-6, nan_ok=True)


@settings(deadline=None)
@given(st.integers(0, 12), st.integers(0, 30), st.integers(1, 7), st.sampled_from([1, 2, 5, 64]), st.integers(0, 2**32))
def test_nearest_is_one_plain_product(n_queries: int, n_documents: int, k: int, block: int, seed: int) -> None:
    """Whatever the size of a block, on either side, the nearest documents are averaged, or as many as there are."""
    queries, embeddings = cloud(n_queries, 3, seed), cloud(n_documents, 3, seed + 1)
    expected = plain_similarity(queries, embeddings, k, np.ones((n_queries, n_documents), dtype=bool))
    assert nearest_similarity(queries, embeddings, k, block) == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_default_blocks_are_one_plain_product() -> None:
    """Blocks of the default size meet without losing or repeating a document."""
    queries, embeddings = cloud(2100, 4), cloud(4200, 4, seed=1)
    whole = nearest_similarity(queries, embeddings, block=5000)
    assert nearest_similarity(queries, embeddings) == pytest.approx(whole, abs=1e-6)


def test_memory_is_bounded_by_the_block() -> None:
    """A product of 3,000 by 3,000 would take 36 million bytes; blocks of 256 take a few."""
    embeddings, groups = cloud(3000, 4), np.arange(3000)
    tracemalloc.start()
    nearest_similarity(embeddings, embeddings, block=256)
    leave_out_similarity(embeddings, groups, block=256)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 4_000_000


def test_arrays_are_left_as_they_are() -> None:
    """Neither embeddings nor groups are written to."""
    embeddings, groups = cloud(20, 3), np.arange(20) % 4
    embeddings.setflags(write=False)
    groups.setflags(write=False)
    assert np.isfinite(leave_out_similarity(embeddings, groups)).all()
    assert np.isfinite(nearest_similarity(embeddings, embeddings)).all()


def test_equal_texts_do_not_vouch_for_each_other() -> None:
    """Two copies of an odd document are as far from the rest as one."""
    embeddings = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=np.float32)
    assert leave_out_similarity(embeddings, np.array([0, 0, 1, 2]), k=2).tolist() == [0.0, 0.0, 0.5, 0.5]
    assert leave_out_similarity(embeddings, np.arange(4), k=1).tolist() == [1.0] * 4


def test_a_document_without_others_is_not_known() -> None:
    """A single document, or copies of one, have nothing to be compared with; no documents give no numbers."""
    alone = cloud(1, 3)
    assert np.isnan(leave_out_similarity(alone, np.zeros(1, dtype=np.intp))).all()
    assert np.isnan(leave_out_similarity(alone.repeat(3, axis=0), np.zeros(3, dtype=np.intp))).all()
    assert leave_out_similarity(alone[:0], np.empty(0, dtype=np.intp)).shape == (0,)
    assert nearest_similarity(alone, alone) == pytest.approx([1.0])
    assert nearest_similarity(alone[:0], alone).shape == (0,)


def test_rows_of_zeros_resemble_nothing() -> None:
    """A text of which nothing could be read has a likeness of 0, as a query and as a neighbour."""
    zeros, one = np.zeros((1, 3), dtype=np.float32), cloud(1, 3)
    assert nearest_similarity(zeros, one).tolist() == [0.0]
    assert nearest_similarity(one, zeros).tolist() == [0.0]
    assert leave_out_similarity(np.concatenate([zeros, one]), np.arange(2)).tolist() == [0.0, 0.0]


def test_many_documents_are_sampled() -> None:
    """Of more than 4,000 documents a seeded sample is measured against all; the rest is nan."""
    embeddings, groups = cloud(MOST_QUERIES + 200, 3), np.arange(MOST_QUERIES + 200) // 2
    found = leave_out_similarity(embeddings, groups)
    rows = np.flatnonzero(~np.isnan(found))
    assert len(rows) == MOST_QUERIES
    some = rows[::400]
    expected = plain_similarity(embeddings[some], embeddings, 5, groups[some, np.newaxis] != groups)
    assert found[some] == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(leave_out_similarity(embeddings, groups), found, equal_nan=True)
    assert not np.array_equal(np.isnan(leave_out_similarity(embeddings, groups, seed=1)), np.isnan(found))
    assert not np.isnan(leave_out_similarity(embeddings[:MOST_QUERIES], groups[:MOST_QUERIES])).any()


@pytest.mark.parametrize("k", [0, -1])
def test_numbers_of_neighbours_that_cannot_be(k: int) -> None:
    """At least one neighbour is needed."""
    says = rf"^The number of neighbours is {k}; give a whole number from 1\.$"
    with pytest.raises(OptionError, match=says):
        nearest_similarity(cloud(2, 3), cloud(2, 3), k)
    with pytest.raises(OptionError, match=says):
        leave_out_similarity(cloud(2, 3), np.arange(2), k)


def test_threshold_by_hand() -> None:
    """Of the scores 1 to 99 the second lowest refuses one in fifty; order and nan do not matter."""
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 100.0))
    assert scope_threshold(scores) == pytest.approx(2)
    assert scope_threshold(scores, 0.5) == pytest.approx(50)
    assert scope_threshold(np.concatenate([scores, np.full(500, np.nan)])) == pytest.approx(2)
    assert scope_threshold(scores, 1) == 99


def test_threshold_refuses_the_share_of_new_documents() -> None:
    """Over many draws of 99 scores, 2 % of new documents from the same source fall below the threshold."""
    rng = np.random.default_rng(0)
    refused = [scope_threshold(rng.random(99)) for _ in range(2000)]
    assert np.mean(refused) == pytest.approx(0.02, abs=0.002)


def test_few_scores_refuse_nothing() -> None:
    """Up to 49 known scores, or a share below what the scores can show, draw no line."""
    scores = np.arange(float(FEWEST_SCORES))
    assert scope_threshold(scores) > -np.inf
    assert scope_threshold(np.append(scores[1:], np.nan)) == -np.inf
    assert scope_threshold(np.empty(0)) == -np.inf
    assert scope_threshold(scores, 0.01) == -np.inf
    assert scope_threshold(scores, 0) == -np.inf


@pytest.mark.parametrize("fraction", [-0.1, 1.1, 2, np.nan])
def test_fractions_that_cannot_be(fraction: float) -> None:
    """A refused fraction is a share."""
    with pytest.raises(OptionError, match=rf"^The refused fraction is {fraction}; give a share from 0 to 1\.$"):
        scope_threshold(np.zeros(100), fraction)


@settings(deadline=None)
@given(SCORES, SCORES)
def test_area_is_that_of_scikit_learn(scores_in: np.ndarray, scores_out: np.ndarray) -> None:
    """Ties count half, as in scikit-learn; swapping the two kinds mirrors the area."""
    belongs = np.repeat([1, 0], [len(scores_in), len(scores_out)])
    found = auroc(scores_in, scores_out)
    assert found == pytest.approx(roc_auc_score(belongs, np.concatenate([scores_in, scores_out])))
    assert auroc(scores_out, scores_in) == pytest.approx(1 - found)


def test_area_at_its_ends() -> None:
    """Apart is 1, equal is 0.5, nan is left out, and a kind that is missing gives nan."""
    low, high = np.array([1.0, 2.0, np.nan]), np.array([3.0, np.nan, 4.0])
    assert auroc(high, low) == 1
    assert auroc(low, high) == 0
    assert auroc(low, low) == 0.5
    assert np.isnan(auroc(high, np.full(2, np.nan)))
    assert np.isnan(auroc(np.empty(0), low))


def test_foreign_documents_score_lower() -> None:
    """Sure answers to documents that resemble nothing, and unsure ones to those between labels, both score lower."""
    rng = np.random.default_rng(0)
    known = np.abs(cloud(300, 8)) * [1, 1, 1, 1, 0, 0, 0, 0]
    embeddings = (known / np.linalg.norm(known, axis=1, keepdims=True)).astype(np.float32)
    foreign = cloud(100, 8, seed=1)
    similarity = leave_out_similarity(embeddings, np.arange(300))
    evidence = rng.normal(6, 1, 300)
    rule = fit_scope(evidence, similarity)
    assert rule is not None
    inside = rule.scores(evidence, similarity)
    outside = rule.scores(rng.normal(4, 1, 100), nearest_similarity(foreign, embeddings))
    assert auroc(inside, outside) > 0.95
    assert (outside < rule.limit).mean() > 0.8
    assert (inside < rule.limit).mean() == pytest.approx(0.02, abs=0.005)


@settings(deadline=None)
@given(seed=st.integers(0, 2**16), limit=st.floats(-6, 2), n_dims=st.integers(2, 6), n_groups=st.integers(1, 4))
def test_who_is_near_belongs_by_all_documents(seed: int, limit: float, n_dims: int, n_groups: int) -> None:
    """The short way says of no document that it belongs where reading everything says that it does not."""
    rng = np.random.default_rng(seed)
    embeddings, queries = cloud(60, n_dims, seed), cloud(40, n_dims, seed + 1)
    groups, evidence = rng.integers(n_groups, size=60), rng.normal(size=40)
    rule = ScopeRule(0.0, 1.0, -0.3, 0.2, limit)
    asked = rng.integers(n_groups, size=40)
    near = is_near(queries, asked, embeddings, lambda group: np.flatnonzero(groups == group), rule.enough(evidence))
    belongs = rule.scores(evidence, nearest_similarity(queries, embeddings)) >= limit
    assert not (near & ~belongs).any()


def test_the_short_way_is_taken() -> None:
    """Documents beside those of their group are near; what no similarity can save is not."""
    embeddings = np.repeat(np.eye(2, dtype=np.float32), 5, axis=0)
    rule = ScopeRule(0.0, 1.0, 0.0, 1.0, -1.0)
    enough = rule.enough(np.array([0.0, 0.0, 40.0, -40.0]))
    near = is_near(
        np.eye(2, dtype=np.float32)[[0, 0, 0, 0]], np.array([0, 1, 1, 0]), embeddings,
        lambda group: np.arange(10)[5 * group : 5 * group + 5], enough,
    )  # fmt: skip
    assert near.tolist() == [True, False, True, False]
