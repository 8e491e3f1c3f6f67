"""What every embedder keeps to, by whichever name a user asks for it; what learns from texts is learned first."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SMALL_TEXTS
from fakes import FakeEmbedder
from hypothesis import given
from hypothesis import strategies as st
from places import scaled
from test_converted import tiny_encoder

from classifier import DocumentClassifier, load_embedder
from classifier.datamodels import EncoderOptions
from classifier.embedding.contract import Embedder, EmbeddingContract, HasState, MeasuresCoverage, Recipe
from classifier.embedding.embedders import EMBEDDERS, EmbedderName
from classifier.embedding.engine import BACKENDS, PRECISIONS
from classifier.errors import ContractMismatchError, UnfittedEmbedderError
from classifier.modeling.predictor import Predictor

NAMES = [
    "default",
    "{encoder}+pooling:cls",
    "{encoder}+pooling:max",
    "{encoder}+pooling:layers-0-2",
    "{encoder}+pooling:first-layer",
    "{encoder}+pooling:layers-1-2",
    "transformer:{encoder}",
    "static:{encoder}",
    "lsa:12",
    "word-vectors:{words}",
    "{encoder}+pca:4",
    "{encoder}+pooling:cls+pca:4",
    "static:{encoder}+pca:4",
    "lsa:12+pca:4",
    "word-vectors:{words}+pca:4",
]
LONG_READERS = ["transformer:{encoder}", "static:{encoder}", "lsa:12", "word-vectors:{words}", "lsa:12+pca:4"]
REAL_STATIC = pytest.param("static", marks=pytest.mark.slow)  # distils the default encoder
OPTIONS = EncoderOptions(use_cache=False, download=False)
TEXTS = [text for texts in SMALL_TEXTS.values() for text in texts]
LABELS = [label for label, texts in SMALL_TEXTS.items() for _ in texts]
BLANK = ["", " ", "\n\t \r\n", "\u2003"]
STRANGE = [
    "tulips \ud800 rake",
    "\udfff\ud800",
    "tulips\0rake",
    "\0",
    "👩\u200d👩\u200d👧",
    "\u202emoss",
    "漢字 moss",
    "İ",
    "a" * 300,
]
N_HUGE = scaled(1_000_000, 10_000_000)
CONTRACT = EmbeddingContract(
    model_id="some/encoder",
    revision="abc",
    weights_sha256="1" * 64,
    tokenizer_sha256="2" * 64,
    pooling="mean",
    normalize=True,
    prompt="",
    max_tokens=256,
    chunking="windows",
    dimension=384,
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Write a small transformer, and a file with a vector for each word of the texts."""
    folder = tmp_path_factory.mktemp("sources")
    rng = np.random.default_rng(0)
    known = sorted({word for text in TEXTS for word in text.split()})
    lines = [f"{word} {' '.join(f'{number:.6f}' for number in rng.standard_normal(8))}" for word in known]
    (folder / "words.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"encoder": str(tiny_encoder(folder / "tiny", n_layers=2)), "words": str(folder / "words.txt")}


class Trained:
    """A classifier on one embedder, and where it was saved."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.model = DocumentClassifier(name, options=OPTIONS).fit(TEXTS, LABELS)
        self.folder = self.model.save(folder)
        self.embedder: Embedder = self.model.loaded_embedder()


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory, sources: dict[str, str]) -> Callable[[str], Trained]:
    """Train and save a classifier on each embedder, once."""
    made: dict[str, Trained] = {}

    def trained_on(name: str) -> Trained:
        if name not in made:
            made[name] = Trained(name.format(**sources), tmp_path_factory.mktemp("models") / "model" / "1")
        return made[name]

    return trained_on


@pytest.fixture(scope="module", params=[*NAMES, REAL_STATIC])
def trained(request: pytest.FixtureRequest, train: Callable[[str], Trained]) -> Trained:
    """Give each embedder in turn."""
    return train(request.param)


@pytest.fixture
def embedder(trained: Trained) -> Embedder:
    """Give the embedder alone."""
    return trained.embedder


def test_no_family_is_forgotten(sources: dict[str, str]) -> None:
    """Each family is tried, plain and reduced."""
    parsed = [EmbedderName.parse(name.format(**sources)) for name in NAMES]
    assert {name.family for name in parsed if name.pca is None} == set(EMBEDDERS)
    assert {name.family for name in parsed if name.pca} == set(EMBEDDERS)


def test_contracts_are_complete(embedder: Embedder) -> None:
    """Every field has its type and a meaning, and survives JSON."""
    contract = embedder.contract
    for field in fields(contract):
        assert type(getattr(contract, field.name)).__name__ == field.type
    assert EmbeddingContract.from_dict(json.loads(json.dumps(contract.to_dict()))) == contract
    for checksum in (contract.weights_sha256, contract.tokenizer_sha256, contract.fingerprint):
        assert re.fullmatch(r"[0-9a-f]{64}", checksum)
    assert contract.model_id
    assert contract.pooling
    assert contract.chunking
    assert contract.normalize
    assert contract.dtype == "float32"
    assert contract.backend in {*BACKENDS, "numpy"}
    assert contract.precision in PRECISIONS


def test_vectors_have_the_promised_shape(embedder: Embedder) -> None:
    """One float32 row for each text, of unit length; none for no texts."""
    vectors = embedder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.contract.dimension)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    nothing = embedder.encode([])
    assert (nothing.shape, nothing.dtype) == ((0, embedder.contract.dimension), np.float32)


def test_vectors_are_those_of_training(trained: Trained) -> None:
    """What a recipe gives for the texts it learned from is what the embedder gives for them later."""
    assert trained.embedder.encode(TEXTS) == pytest.approx(np.asarray(trained.model.embeddings_), abs=1e-6)


def test_the_same_call_gives_the_same_vectors(embedder: Embedder) -> None:
    """Bit for bit."""
    texts = [*TEXTS, *STRANGE, *BLANK]
    assert np.array_equal(embedder.encode(texts), embedder.encode(texts))


def test_company_changes_no_vector(trained: Trained) -> None:
    """Alone, reversed or repeated: bit for bit, or up to rounding behind a reduction."""
    texts = [*TEXTS[::3], *STRANGE, *BLANK, "moss and compost " * 400]
    embedder = trained.embedder
    together = embedder.encode(texts)
    alone = np.vstack([embedder.encode([text]) for text in texts])
    reversed_ = embedder.encode(texts[::-1])[::-1]
    repeated = embedder.encode([text for text in texts for _ in range(3)])
    assert np.array_equal(repeated[::3], repeated[1::3])
    assert np.array_equal(repeated[::3], repeated[2::3])
    for others in (alone, reversed_, repeated[::3]):
        assert others == pytest.approx(together, abs=1e-6)
        assert "+pca" in trained.name or np.array_equal(others, together)


def test_blank_texts_are_zeros(embedder: Embedder) -> None:
    """In their place, whatever stands beside them."""
    vectors = embedder.encode([*BLANK, "tulips", *BLANK])
    assert vectors.any(axis=1).tolist() == [False] * len(BLANK) + [True] + [False] * len(BLANK)


def test_strange_texts_are_embedded(embedder: Embedder) -> None:
    """Half characters, NUL, joined emoji and other scripts give unit length or zeros."""
    lengths = np.linalg.norm(embedder.encode(STRANGE), axis=1)
    assert np.minimum(lengths, np.abs(lengths - 1)) == pytest.approx(0, abs=1e-5)
    assert lengths[0] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", LONG_READERS)
def test_ten_megabytes_are_embedded(name: str, train: Callable[[str], Trained]) -> None:
    """A text of any length is read to its end: through white space, and past a word of a megabyte."""
    known, spaced, filled = train(name).embedder.encode(
        ["moss tulips", f"moss {' ' * N_HUGE} tulips", f"moss {'a' * (N_HUGE // 10)} tulips"]
    )
    assert spaced == pytest.approx(known, abs=1e-6)
    assert np.linalg.norm(filled) == pytest.approx(1, abs=1e-5)


def test_coverage_is_a_share(embedder: Embedder) -> None:
    """In [0, 1], and 0 where there is nothing to read."""
    texts = [*TEXTS, *STRANGE, *BLANK]
    assert isinstance(embedder, MeasuresCoverage)
    coverage = embedder.coverage(texts)
    assert (coverage.shape, coverage.dtype) == ((len(texts),), np.float64)
    assert coverage.min() >= 0
    assert coverage.max() <= 1
    assert not coverage[-len(BLANK) :].any()
    assert coverage[: len(TEXTS)].all()
    assert embedder.coverage([]).shape == (0,)


def test_a_saved_model_answers_the_same(trained: Trained) -> None:
    """After training, saving and loading the probabilities are the same bit for bit, with or without a cache."""
    texts = [*TEXTS[::2], "compost for tulips", "a drill and a rake, " * 100]
    expected = trained.model.predict_proba(texts)
    for kind, options in ((Predictor, OPTIONS), (DocumentClassifier, replace(OPTIONS, use_cache=True))):
        loaded = kind.load(trained.folder, options)
        assert np.array_equal(loaded.predict_proba(texts), expected)
        assert np.array_equal(loaded.predict_proba(texts), expected)
        loaded.loaded_embedder().contract.require_same(trained.embedder.contract)
        assert loaded.loaded_embedder().contract == loaded.contract_ == trained.embedder.contract


def test_state_is_given_back(trained: Trained) -> None:
    """What an embedder learned makes the same embedder again; plain arrays, and none where nothing is learned."""
    if not isinstance(trained.embedder, HasState):
        assert trained.model.embedder_state_ == {}
        return
    state = trained.embedder.state()
    assert state
    assert all(isinstance(array, np.ndarray) and array.dtype != object for array in state.values())
    again = load_embedder(trained.name, OPTIONS, state=state)
    assert again.contract == trained.embedder.contract
    assert np.array_equal(again.encode(TEXTS), trained.embedder.encode(TEXTS))


def test_other_vectors_are_refused(trained: Trained) -> None:
    """A model that is given another embedder names each field in which the two differ."""
    loaded = Predictor.load(trained.folder, OPTIONS)
    loaded.embedder = FakeEmbedder()
    with pytest.raises(ContractMismatchError) as caught:
        loaded.predict_proba(["tulips"])
    assert set(caught.value.fields) == set(trained.embedder.contract.differences(FakeEmbedder().contract))
    assert "weights_sha256" in caught.value.fields
    assert all(f"{field}: " in str(caught.value) for field in caught.value.fields)
    assert "\n" not in str(caught.value)


def test_no_two_embedders_are_taken_for_each_other(train: Callable[[str], Trained]) -> None:
    """Vectors of two different names never meet, and are never stored under one key."""
    contracts = [train(name).embedder.contract for name in NAMES]
    for ours, theirs in combinations(contracts, 2):
        with pytest.raises(ContractMismatchError):
            ours.require_same(theirs)
    assert len({contract.fingerprint for contract in contracts}) == len(contracts)


RECIPES = [name for name in NAMES if "+pca" in name or name.startswith(("lsa", "word-vectors"))]


@pytest.mark.parametrize("name", RECIPES)
def test_what_has_to_learn_refuses_to_embed(name: str, sources: dict[str, str]) -> None:
    """Until then there is neither a vector nor a contract, and one sentence says so."""
    recipe = load_embedder(name.format(**sources), OPTIONS)
    assert isinstance(recipe, Recipe)
    for ask in (lambda: recipe.encode(["tulips"]), lambda: recipe.contract):
        with pytest.raises(UnfittedEmbedderError, match="learns from the training texts") as caught:
            ask()
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(f"The embedder '{name.partition('{')[0]}")


TYPES: dict[str, st.SearchStrategy[Any]] = {
    "str": st.text(max_size=5),
    "bool": st.booleans(),
    "int": st.integers(0, 99),
}
VALUES = {field.name: TYPES[str(field.type)] for field in fields(EmbeddingContract)}
VALUES["precision"] = st.sampled_from(PRECISIONS)
CONTRACTS = st.builds(EmbeddingContract, **VALUES)


@given(ours=CONTRACTS, data=st.data())
def test_whatever_changes_a_vector_changes_the_fingerprint(ours: EmbeddingContract, data: st.DataObject) -> None:
    """Every field counts, but for the name of an encoder whose weights are known; rounding still may be compared."""
    field = data.draw(st.sampled_from(sorted(VALUES)))
    theirs = replace(ours, **{field: data.draw(VALUES[field])})
    is_same = ours == theirs or (field == "model_id" and bool(ours.weights_sha256))
    is_close = field == "backend" or (field == "precision" and "int8" not in {ours.precision, theirs.precision})
    assert (ours.fingerprint == theirs.fingerprint) is is_same
    assert (ours.differences(theirs) == {}) is (is_same or is_close)


@given(CONTRACTS, CONTRACTS)
def test_fingerprints_tell_contracts_apart(ours: EmbeddingContract, theirs: EmbeddingContract) -> None:
    """Whatever may not be compared is not stored under one key."""
    if ours.fingerprint == theirs.fingerprint:
        assert ours.differences(theirs) == {}
    assert ours.differences(theirs).keys() == theirs.differences(ours).keys()
