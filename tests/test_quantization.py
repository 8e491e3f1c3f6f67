"""Stored precision: what rounding keeps, what it costs, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeEmbedder
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from classifier.embedding.contract import (
    Embedder,
    EmbeddingContract,
    Embeddings,
    HasState,
    MeasuresCoverage,
    Recipe,
    State,
)
from classifier.embedding.quantization import (
    ALIASES,
    DTYPES,
    Packed,
    RoundedEmbedder,
    are_close,
    first_flaw,
    pack,
    resolve_dtype,
    rounded,
    unpack,
    vector_bytes,
)
from classifier.errors import ClassifierError, EmbedderError, UnfittedEmbedderError, UnknownNameError

TINY = float(np.finfo(np.float32).tiny)
LARGEST = float(np.finfo(np.float32).max)
LIMITS = {"float32": LARGEST, "float16": 65504.0, "int8": float(np.float32(9.9e37)), "binary": LARGEST}


def arrays(largest: float) -> st.SearchStrategy[Embeddings]:
    """Draw a few vectors of any length, with numbers of any size up to a limit, often zero."""
    numbers = st.just(0.0) | st.floats(-largest, largest, width=32) | st.floats(-1, 1, width=32)
    shapes = st.tuples(st.integers(0, 5), st.integers(1, 20))
    return shapes.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=numbers))


def unit_vectors(n: int, dimension: int) -> Embeddings:
    """Draw directions at random, always the same ones."""
    vectors = np.random.default_rng(7).standard_normal((n, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Bare:
    """An embedder with a contract and vectors, and nothing else."""

    def __init__(self, contract: EmbeddingContract) -> None:
        self.contract = contract
        self.encode = FakeEmbedder(contract.dimension).encode


class Unfitted(Recipe):
    """An embedder that has learned nothing yet."""

    def fit(self, texts: Sequence[str], *, seed: int = 0, progress: bool = False) -> tuple[Embedder, Embeddings]:
        """Never get here."""
        raise NotImplementedError


class Learned(Bare):
    """An embedder with something learned."""

    def state(self) -> State:
        """Return what it learned."""
        return {"components": np.eye(2)}


@pytest.mark.parametrize("dtype", DTYPES)
@settings(deadline=None)
@given(data=st.data())
def test_rounding_twice_changes_no_bit(dtype: str, data: st.DataObject) -> None:
    """What was stored once is stored the same again, numbers of any size included."""
    embeddings = data.draw(arrays(LIMITS[dtype]))
    once = rounded(embeddings, dtype)
    assert once.dtype == np.float32
    assert once.shape == embeddings.shape
    assert np.isfinite(once).all()
    assert rounded(once, dtype).tobytes() == once.tobytes()


@pytest.mark.parametrize("exponent", [7, 8, 127, 252])
def test_scales_survive_division_and_multiplication(exponent: int) -> None:
    """The largest number of an int8 vector gives the same scale again: tried for every number of a size.

    At exponent 7 the scale is about the smallest with full precision; what is below becomes zero.
    """
    for start in range(0, 1 << 23, 1 << 20):
        mantissas = np.arange(start, start + (1 << 20), dtype=np.uint32)[:, np.newaxis]
        once = pack((mantissas | np.uint32(exponent << 23)).view(np.float32), "int8")
        again = pack(unpack(once), "int8")
        assert again.scales.tobytes() == once.scales.tobytes()
        assert np.array_equal(again.codes, once.codes)
        assert set(once.codes[once.scales > 0, 0]) <= {127}


@settings(deadline=None)
@given(arrays(LARGEST))
def test_float32_keeps_every_bit(embeddings: Embeddings) -> None:
    """Full precision is a copy, and shares no memory with what it was made of."""
    packed = pack(embeddings, "float32")
    assert unpack(packed).tobytes() == embeddings.tobytes()
    assert not np.shares_memory(packed.codes, embeddings)


@settings(deadline=None)
@given(arrays(1.0))
def test_rounding_costs_at_most_half_a_step(embeddings: Embeddings) -> None:
    """A number moves by half of the smallest difference that its dtype knows at its size, or less."""
    largest = np.abs(embeddings).max(axis=1, keepdims=True, initial=0)
    assert (np.abs(rounded(embeddings, "float16") - embeddings) <= np.abs(embeddings) * 2**-11 + 2**-25).all()
    assert (np.abs(rounded(embeddings, "int8") - embeddings) <= largest * (0.5 / 127 + 1e-6) + 127 * TINY).all()


@settings(deadline=None)
@given(arrays(LARGEST))
def test_binary_keeps_the_signs_and_has_unit_length(embeddings: Embeddings) -> None:
    """Each number becomes the same magnitude with its sign; a zero beside others counts as negative."""
    found = rounded(embeddings, "binary")
    full = embeddings.any(axis=1)
    assert np.array_equal(found[full] > 0, embeddings[full] > 0)
    assert np.linalg.norm(found[full], axis=1) == pytest.approx(np.ones(full.sum()), abs=1e-6)
    assert not found[~full].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_zeros_stay_zeros(dtype: str) -> None:
    """A text without anything to read keeps its vector of positive zeros beside others."""
    embeddings = unit_vectors(3, 10)
    embeddings[1] = 0
    found = rounded(embeddings, dtype)
    assert found[1].tobytes() == bytes(40)
    assert found[[0, 2]].any(axis=1).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_vectors_are_no_problem(dtype: str) -> None:
    """An empty block keeps its width."""
    packed = pack(np.zeros((0, 9), dtype=np.float32), dtype)
    assert packed.codes.shape == (0, DTYPES[dtype].n_codes(9))
    assert unpack(packed).shape == (0, 9)


@pytest.mark.parametrize("dtype", DTYPES)
def test_neighbours_stay_neighbours(dtype: str) -> None:
    """A vector's nearest after rounding is itself, and but for binary hardly a degree away."""
    embeddings = unit_vectors(200, 384)
    found = rounded(embeddings, dtype)
    cosines = (embeddings * found).sum(axis=1) / np.linalg.norm(found, axis=1)
    assert cosines.min() > {"float32": 0.999999, "float16": 0.999999, "int8": 0.999, "binary": 0.7}[dtype]
    assert np.array_equal(np.argmax(found @ embeddings.T, axis=1), np.arange(200))


def test_codes_are_what_they_are_said_to_be() -> None:
    """Signs are packed from the highest bit; int8 uses its whole range; scales belong to rows."""
    embeddings = np.array([[0.5, -0.25, 0.0, 0.1, -1, -1, -1, -1, 0.5], [0] * 9], dtype=np.float32)
    binary, int8 = pack(embeddings, "binary"), pack(embeddings, "int8")
    assert binary.codes.tolist() == [[0b10010000, 0b10000000], [0, 0]]
    assert binary.scales.tolist() == [1, 0]
    assert int8.codes.tolist() == [[64, -32, 0, 13, -127, -127, -127, -127, 64], [0] * 9]
    assert int8.scales.tolist() == [np.float32(1) / np.float32(127), 0]
    assert pack(embeddings, "float16").codes.dtype == np.float16
    assert pack(embeddings, "float16").scales is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dimension", [1, 7, 8, 9, 384])
def test_bytes_are_those_of_the_arrays(dtype: str, dimension: int) -> None:
    """What a vector is said to take is what codes and scale take."""
    packed = pack(np.ones((3, dimension), dtype=np.float32), dtype)
    n_bytes = packed.codes.nbytes + (0 if packed.scales is None else packed.scales.nbytes)
    assert n_bytes == 3 * vector_bytes(dimension, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(dtype: str, wrong: float) -> None:
    """The vector is counted from 1, and the message is one sentence."""
    embeddings = np.zeros((3, 4), dtype=np.float32)
    embeddings[1, 2] = wrong
    with pytest.raises(EmbedderError, match=f"^Vector 2 of 3 cannot be stored as {dtype}: .* not finite") as caught:
        pack(embeddings, dtype)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("dtype", "number"), [("float16", 65505.0), ("float16", -1e6), ("int8", 1.1e38)])
def test_numbers_too_large_are_refused(dtype: str, number: float) -> None:
    """Nothing overflows unsaid; the limit is told."""
    with pytest.raises(EmbedderError, match=r"beyond (65504|1e\+38)"):
        pack(np.full((1, 2), number, dtype=np.float32), dtype)


def test_users_may_say_fp32_and_fp16() -> None:
    """The short names stand for the contract's; every other name is its own."""
    assert {name: resolve_dtype(name) for name in ALIASES} == {"fp32": "float32", "fp16": "float16"}
    assert [resolve_dtype(name) for name in DTYPES] == list(DTYPES)


@pytest.mark.parametrize("name", ["fp8", "", "FP16", "int4", "float64"])
def test_an_unknown_dtype_lists_the_known_ones(name: str) -> None:
    """Aliases are allowed names too."""
    with pytest.raises(UnknownNameError) as caught:
        resolve_dtype(name)
    assert all(repr(allowed) in str(caught.value) for allowed in [*DTYPES, *ALIASES])
    for refuse in (lambda: pack(np.zeros((1, 1), np.float32), name), lambda: vector_bytes(4, name)):
        with pytest.raises(UnknownNameError):
            refuse()


@pytest.mark.parametrize("dtype", DTYPES)
def test_good_vectors_have_no_flaw(dtype: str) -> None:
    """Rounded vectors of unit length and zeros pass, also one whose rounding is as bad as it can be."""
    embeddings = np.vstack([unit_vectors(50, 384), np.zeros((1, 384), np.float32)])
    lopsided = np.full((1, 384), 0.45 * 0.7 / 127, dtype=np.float32)
    lopsided[0, 0] = 0.7
    lopsided[0, 1:200] = 6.6 * 0.7 / 127
    embeddings = np.vstack([embeddings, lopsided / np.linalg.norm(lopsided)])
    assert first_flaw(pack(embeddings, dtype), normalize=True) is None


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_the_first_vector_of_another_length_is_found(dtype: str) -> None:
    """Length matters only where it was promised."""
    embeddings = unit_vectors(4, 64)
    embeddings[2:] *= 1.5
    packed = pack(embeddings, dtype)
    assert first_flaw(packed, normalize=True) == (2, "is not of unit length")
    assert first_flaw(packed, normalize=False) is None


@pytest.mark.parametrize(
    ("scale", "problem"),
    [
        (-1.0, "has a negative scale"),
        (np.nan, "holds a number that is not finite"),
        (np.inf, "holds a number that is not finite"),
        (2.0, "is not of unit length"),
    ],
)
def test_odd_scales_are_found(scale: float, problem: str) -> None:
    """A scale from elsewhere is looked at like any number, and vectors of signs always have unit length."""
    packed = pack(unit_vectors(2, 8), "binary")
    scales = np.array([1, scale], dtype=np.float32)
    assert first_flaw(replace(packed, scales=scales), normalize=False) == (1, problem)


def test_signs_alone_have_unit_length() -> None:
    """Without scales, no vector of signs is zero."""
    packed = Packed(np.array([[0b10100000]], dtype=np.uint8), None, 4, "binary")
    assert unpack(packed).tolist() == [[0.5, -0.5, 0.5, -0.5]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_encoders_own_rounding_is_allowed_for(dtype: str) -> None:
    """Vectors that another batch moved a little are close; those of other texts, and zeros, are not."""
    embeddings = unit_vectors(50, 384)
    moved = embeddings + np.random.default_rng(1).normal(0, 5e-4, embeddings.shape).astype(np.float32)
    packed = pack(embeddings, dtype)
    assert are_close(packed, pack(moved, dtype)).all()
    assert not are_close(packed, packed.take(np.roll(np.arange(50), 1))).any()
    assert not are_close(packed, pack(np.zeros_like(embeddings), dtype)).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_rounded_embedder_keeps_the_protocol(dtype: str) -> None:
    """Vectors are rounded, the contract says so, and everything else is that of the embedder inside."""
    inside = FakeEmbedder()
    embedder: Embedder = RoundedEmbedder(inside, dtype)
    texts = ["a letter", " ", "a bill"]
    assert embedder.contract == replace(inside.contract, dtype=dtype)
    assert np.array_equal(embedder.encode(texts), rounded(inside.encode(texts), dtype))
    assert isinstance(embedder, MeasuresCoverage)
    assert embedder.coverage(texts).tolist() == [1, 0, 1]
    assert not isinstance(embedder, HasState)


def test_a_rounded_embedder_claims_nothing_more_than_the_one_inside() -> None:
    """Coverage and state pass through where they exist."""
    bare = RoundedEmbedder(Bare(FakeEmbedder().contract), "int8")
    assert not isinstance(bare, MeasuresCoverage)
    assert not isinstance(bare, HasState)
    learned = RoundedEmbedder(Learned(FakeEmbedder().contract), "int8")
    assert isinstance(learned, HasState)
    assert list(learned.state()) == ["components"]


def test_rounding_is_not_piled_up() -> None:
    """Binary vectors cannot pass for int8 ones; the same dtype twice is the same."""
    inside = RoundedEmbedder(FakeEmbedder(), "binary")
    with pytest.raises(EmbedderError, match="already rounded to binary and cannot become int8"):
        RoundedEmbedder(inside, "int8")
    assert np.array_equal(RoundedEmbedder(inside, "binary").encode(["a"]), inside.encode(["a"]))


def test_a_rounded_embedder_refuses_what_it_cannot_round() -> None:
    """An unknown dtype and an embedder that must learn first are refused at once; so are vectors not finite."""
    with pytest.raises(UnknownNameError):
        RoundedEmbedder(FakeEmbedder(), "fp16")
    with pytest.raises(UnfittedEmbedderError, match="lsa:2"):
        RoundedEmbedder(Unfitted("lsa:2"), "int8")
    broken = Bare(FakeEmbedder().contract)
    broken.encode = lambda texts, *, progress=False: np.full((len(texts), 16), np.nan, np.float32)  # noqa: ARG005 # protocol
    with pytest.raises(ClassifierError, match="not finite"):
        RoundedEmbedder(broken, "int8").encode(["a"])
