"""Principal components: the same as scikit-learn's, with zeros kept apart, behind any embedder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from fakes import FakeEmbedder
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load as from_safetensors
from safetensors.numpy import save as to_safetensors
from sklearn.decomposition import PCA

from classifier.datamodels import EncoderOptions
from classifier.embedding import reduction
from classifier.embedding.contract import Embeddings, HasState, MeasuresCoverage, State
from classifier.embedding.embedders import EmbedderName
from classifier.embedding.lsa import LsaRecipe, restore_lsa
from classifier.embedding.reduction import (
    COMPONENTS,
    MEAN,
    ReducedEmbedder,
    ReductionRecipe,
    explained_fraction,
    principal_components,
    project,
    restore_reduction,
    split_state,
)
from classifier.errors import EmbedderError, UnfittedEmbedderError

TEXTS = [f"{what} number {number}" for number in range(15) for what in ("a spade", "a kettle")]
BLANK = ["", " \n"]


class SilentEmbedder:
    """Embed like the fake embedder, without telling how much was read."""

    def __init__(self) -> None:
        self._inner = FakeEmbedder()
        self.contract = self._inner.contract

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:
        """Pass on."""
        return self._inner.encode(texts, progress=progress)


def cloud(n_rows: int = 200, n_dims: int = 12, seed: int = 0) -> Embeddings:
    """Draw unit rows that vary more in some directions than in others, around a mean that is not zero."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n_rows, n_dims)) * np.geomspace(1, 0.05, n_dims) @ rng.normal(size=(n_dims, n_dims)) + 0.5
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def cosines(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the cosine of each pair of rows."""
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ rows.T


@pytest.fixture
def reduced() -> ReducedEmbedder:
    """Reduce the fake embedder to five dimensions."""
    return ReductionRecipe("fake+pca:5", FakeEmbedder(), 5).fit(TEXTS)[0]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_components_are_those_of_scikit_learn(seed: int, n_dims: int) -> None:
    """Directions agree up to their sign, mean and shares of variance agree as they are."""
    rows = cloud(60, 8, seed)
    reference = PCA(n_dims).fit(rows.astype(np.float64))
    components, mean = principal_components(rows)
    along = np.abs(np.sum(components[:n_dims] * reference.components_, axis=1))
    np.testing.assert_allclose(along, 1, atol=1e-4)
    np.testing.assert_allclose(mean, reference.mean_, atol=1e-6)
    shares = explained_fraction(rows, mean, components[:n_dims])
    np.testing.assert_allclose(shares, reference.explained_variance_ratio_, atol=1e-6)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_all_directions_keep_the_cosines_of_centred_rows(seed: int) -> None:
    """A full basis only turns the space around the mean: cosines after subtracting the mean stay as they were."""
    rows = cloud(40, 6, seed)
    components, mean = principal_components(rows)
    projected = project(rows, mean, components)
    np.testing.assert_allclose(projected @ projected.T, cosines(rows.astype(np.float64) - mean), atol=1e-5)
    assert explained_fraction(rows, mean, components).sum() == pytest.approx(1)


def test_components_are_an_orthonormal_basis_in_falling_order() -> None:
    """Every direction is there once, the widest first, and each points where its largest entry is positive."""
    rows = cloud()
    components, mean = principal_components(rows)
    assert components.dtype == mean.dtype == np.float32
    np.testing.assert_allclose(components @ components.T, np.eye(12), atol=1e-6)
    shares = explained_fraction(rows, mean, components)
    assert (np.diff(shares) <= 0).all()
    assert (components[np.arange(12), np.abs(components).argmax(axis=1)] > 0).all()


def test_the_order_of_rows_changes_nothing() -> None:
    """Signs included, the directions belong to the set of rows."""
    rows = cloud()
    components, mean = principal_components(rows)
    turned, same_mean = principal_components(rows[::-1])
    np.testing.assert_allclose(turned, components, atol=1e-5)
    np.testing.assert_allclose(same_mean, mean, atol=1e-6)


@pytest.mark.parametrize("block_rows", [1, 7, 199, 200])
def test_blocks_are_as_good_as_the_whole(block_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are read block by block, which shows nowhere."""
    rows = np.vstack([cloud(), np.zeros((3, 12), dtype=np.float32)])
    components, mean = principal_components(rows)
    projected, shares = project(rows, mean, components[:4]), explained_fraction(rows, mean, components)
    monkeypatch.setattr(reduction, "_BLOCK_ROWS", block_rows)
    again, same_mean = principal_components(rows)
    np.testing.assert_allclose(again, components, atol=1e-5)
    np.testing.assert_allclose(same_mean, mean, atol=1e-6)
    np.testing.assert_allclose(project(rows, mean, components[:4]), projected, atol=1e-6)
    np.testing.assert_allclose(explained_fraction(rows, mean, components), shares, atol=1e-9)


@given(st.lists(st.booleans(), min_size=12, max_size=30))
def test_rows_of_zeros_teach_nothing_and_stay_zeros(is_read: list[bool]) -> None:
    """Nothing to read is neither a point of the cloud nor one of its projections."""
    rows = cloud(len(is_read), 4)
    rows[~np.array(is_read)] = 0
    if sum(is_read) < 5:
        return
    components, mean = principal_components(rows)
    of_read, mean_of_read = principal_components(rows[is_read])
    assert np.array_equal(components, of_read)
    assert np.array_equal(mean, mean_of_read)
    projected = project(rows, mean, components[:2])
    assert projected.dtype == np.float32
    assert projected.any(axis=1).tolist() == is_read
    np.testing.assert_allclose(np.linalg.norm(projected[is_read], axis=1), 1, atol=1e-6)


def test_more_dimensions_keep_the_first_ones() -> None:
    """A sweep over the number of dimensions slices one basis: no direction depends on how many are kept."""
    embeddings = FakeEmbedder().encode(TEXTS)
    components, mean = principal_components(embeddings)
    for n_dims in (1, 3, 16):
        embedder, vectors = ReductionRecipe("fake", FakeEmbedder(), n_dims).fit(TEXTS)
        assert np.array_equal(vectors, project(embeddings, mean, components[:n_dims]))
        assert np.array_equal(embedder.state()[COMPONENTS], components[:n_dims])


def test_equal_texts_leave_nothing_to_tell_them_apart() -> None:
    """What is left of a row at the mean is rounding, and rounding is not blown up to unit length."""
    rows = np.tile(cloud(1), (9, 1))
    components, mean = principal_components(rows)
    assert not project(rows, mean, components[:3]).any()
    assert explained_fraction(rows, mean, components).shape == (12,)


def test_fitting_returns_what_it_makes_of_its_texts() -> None:
    """The embeddings of a fit are those of the embedder; a text without anything to read is zeros."""
    embedder, vectors = ReductionRecipe("fake+pca:5", FakeEmbedder(), 5).fit([*TEXTS, *BLANK])
    assert vectors.shape == (32, 5)
    assert np.array_equal(vectors, embedder.encode([*TEXTS, *BLANK]))
    assert not vectors[-2:].any()
    again, _ = ReductionRecipe("fake+pca:5", FakeEmbedder(), 5).fit(TEXTS)
    assert again.contract == embedder.contract


@given(st.permutations(TEXTS[:6]))
def test_company_and_order_change_nothing(texts: list[str]) -> None:
    """A text has the same vector alone and in any batch."""
    embedder = ReductionRecipe("fake+pca:5", FakeEmbedder(), 5).fit(TEXTS)[0]
    alone = np.vstack([embedder.encode([text]) for text in texts])
    np.testing.assert_allclose(embedder.encode(texts), alone, atol=1e-6)


def test_the_contract_names_the_reduction(reduced: ReducedEmbedder) -> None:
    """It is that of the inner embedder but for what the reduction changes."""
    changed = FakeEmbedder().contract.differences(reduced.contract)
    assert set(changed) == {"model_id", "weights_sha256", "pooling", "dimension"}
    assert reduced.contract.model_id == "fake-embedder+pca:5"
    assert reduced.contract.pooling == "none + pca:5"
    assert reduced.contract.dimension == 5


def test_other_texts_make_another_contract(reduced: ReducedEmbedder) -> None:
    """Two reductions to as many dimensions are not the same space."""
    other, _ = ReductionRecipe("fake+pca:5", FakeEmbedder(), 5).fit(TEXTS[1:])
    assert set(reduced.contract.differences(other.contract)) == {"weights_sha256"}


def test_other_weights_make_another_contract(reduced: ReducedEmbedder) -> None:
    """The same directions behind another encoder are not the same space either."""
    inner = SilentEmbedder()
    inner.contract = dataclasses.replace(inner.contract, weights_sha256="0" * 64)
    other = ReducedEmbedder(inner, reduced.state()[COMPONENTS], reduced.state()[MEAN])
    assert "weights_sha256" in reduced.contract.differences(other.contract)


def test_coverage_is_that_of_the_inner_embedder(reduced: ReducedEmbedder) -> None:
    """Fewer dimensions read no less; where the inner embedder does not measure, all counts as read."""
    assert isinstance(reduced, MeasuresCoverage)
    assert reduced.coverage(["a spade", ""]).tolist() == [1.0, 0.0]
    silent = ReductionRecipe("silent+pca:2", SilentEmbedder(), 2).fit(TEXTS)[0]
    assert silent.coverage(["a spade", ""]).tolist() == [1.0, 1.0]


def test_it_must_learn_before_it_embeds() -> None:
    """A recipe has no vectors and no contract."""
    recipe = ReductionRecipe("fake+pca:5", FakeEmbedder(), 5)
    with pytest.raises(UnfittedEmbedderError, match=r"'fake\+pca:5'"):
        recipe.encode(TEXTS)
    with pytest.raises(UnfittedEmbedderError):
        _ = recipe.contract


@pytest.mark.parametrize(
    ("n_dims", "texts", "possible"),
    [(17, TEXTS, 16), (1000, TEXTS, 16), (6, TEXTS[:5], 5), (5, [*TEXTS[:4], *BLANK], 4), (0, TEXTS, 16)],
)
def test_more_dimensions_than_possible_are_refused(n_dims: int, texts: list[str], possible: int) -> None:
    """Neither the inner embedder nor the texts can be exceeded; the message says how far one may go."""
    with pytest.raises(EmbedderError, match=rf"asks for {n_dims} dimensions.* ask for \+pca:{possible} or fewer\.$"):
        ReductionRecipe("fake+pca", FakeEmbedder(), n_dims).fit(texts)


def test_what_is_impossible_is_refused_before_anything_is_embedded() -> None:
    """Hours of embedding do not end in a refusal that was clear from the start."""
    inner = FakeEmbedder()
    with pytest.raises(EmbedderError):
        ReductionRecipe("fake+pca:17", inner, 17).fit(TEXTS)
    assert inner.calls == []


@pytest.mark.parametrize("texts", [[], BLANK])
def test_texts_without_anything_to_read_are_refused(texts: list[str]) -> None:
    """There must be something to learn from."""
    with pytest.raises(EmbedderError, match="nothing to read"):
        ReductionRecipe("fake+pca:2", FakeEmbedder(), 2).fit(texts)


def test_a_reduced_embedder_is_not_reduced_again(reduced: ReducedEmbedder) -> None:
    """Two reductions would be one, and their states would collide."""
    with pytest.raises(EmbedderError, match="reduce an embedder once"):
        ReductionRecipe("twice", reduced, 2).fit(TEXTS)


def test_what_was_learned_comes_back_bit_for_bit(reduced: ReducedEmbedder) -> None:
    """The state passes through safetensors and gives the same embedder."""
    assert isinstance(reduced, HasState)
    own, inner = split_state(from_safetensors(to_safetensors(reduced.state())))
    restored = restore_reduction(FakeEmbedder(), 5, own)
    assert inner == {}
    assert np.array_equal(restored.encode([*TEXTS, *BLANK]), reduced.encode([*TEXTS, *BLANK]))
    assert dataclasses.asdict(restored.contract) == dataclasses.asdict(reduced.contract)


def test_a_reduction_behind_what_also_learns() -> None:
    """The inner embedder is fitted first, and both parts of the state find their owner again."""
    name = "lsa:10+pca:3"
    embedder, vectors = ReductionRecipe(name, LsaRecipe("lsa:10", 10), 3).fit([*TEXTS, *BLANK], seed=4)
    own, inner = split_state(from_safetensors(to_safetensors(embedder.state())))
    assert set(own) == {COMPONENTS, MEAN}
    assert len(own | inner) == len(own) + len(inner) == len(embedder.state())
    lsa = restore_lsa(EmbedderName("lsa", "10"), EncoderOptions(), inner)
    restored = restore_reduction(lsa, 3, own)
    assert restored.contract == embedder.contract
    assert restored.contract.model_id == "lsa+pca:3"
    assert np.array_equal(restored.encode([*TEXTS, *BLANK]), vectors)
    assert restored.coverage(["a spade", "a zebra"]).tolist() == pytest.approx([1.0, 0.0])


def test_the_inner_embedder_may_have_fewer_dimensions_than_it_was_asked_for() -> None:
    """What counts is what it found in the texts."""
    with pytest.raises(EmbedderError, match=r"ask for \+pca:2 or fewer"):
        ReductionRecipe("lsa+pca:3", LsaRecipe("lsa"), 3).fit(["moss", "rust", "moss", "rust"])


DAMAGES: dict[str, Callable[[State], object]] = {
    "nothing there": lambda state: state.clear(),
    "no mean": lambda state: state.pop(MEAN),
    "an array too many": lambda state: state.update(other=state[MEAN]),
    "double precision": lambda state: state.update({MEAN: state[MEAN].astype(np.float64)}),
    "a direction too few": lambda state: state.update({COMPONENTS: state[COMPONENTS][1:]}),
    "another inner dimension": lambda state: state.update({COMPONENTS: state[COMPONENTS][:, 1:]}),
    "a flat direction": lambda state: state.update({COMPONENTS: state[COMPONENTS][0]}),
    "a short mean": lambda state: state.update({MEAN: state[MEAN][1:]}),
    "not a number": lambda state: state.update({COMPONENTS: state[COMPONENTS] * np.float32(np.nan)}),
    "endless": lambda state: state.update({MEAN: state[MEAN] + np.float32(np.inf)}),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_state_is_refused(reduced: ReducedEmbedder, damage: Callable[[State], object]) -> None:
    """Whatever does not fit the name and the inner embedder is said in one sentence."""
    state = dict(reduced.state())
    damage(state)
    with pytest.raises(EmbedderError, match=r"\+pca:5"):
        restore_reduction(FakeEmbedder(), 5, state)
