"""Latent semantic analysis: scikit-learn's features, projected; nothing to read gives zeros."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as from_safetensors
from safetensors.numpy import save as to_safetensors
from sklearn.feature_extraction.text import TfidfVectorizer

from classifier.datamodels import EncoderOptions
from classifier.embedding.contract import HasState, MeasuresCoverage, State
from classifier.embedding.embedders import EmbedderName
from classifier.embedding.lsa import (
    COMPONENTS,
    DEFAULT_N_DIMS,
    IDF,
    MANY_TEXTS,
    VOCABULARY,
    LsaEmbedder,
    LsaRecipe,
    _terms,
    load_lsa,
    restore_lsa,
)
from classifier.errors import EmbedderError, UnfittedEmbedderError

NAME = EmbedderName("lsa", "")
OPTIONS = EncoderOptions()
STRANGE = [
    "",
    "  \n",
    "a b c",
    "\ud800",
    "gr\udc80in\0der",
    "☕ ☕",
    "Ünïcode naïve ΣΊΣΥΦΟΣ",
    "İstanbul",
    "日本語 です",
]
TEXTS = [
    "The grinder burns my coffee beans",
    "The grinder is loud and the beans are burnt",
    "Where is my parcel, and where is the invoice?",
    "My parcel arrived: the invoice was wrong",
    "Cancel the subscription to the beans",
    "Coffee coffee coffee!",
    *STRANGE,
]
ANY_TEXT = st.text(st.characters(), max_size=40) | st.lists(
    st.sampled_from(["grinder", "Beans", "the", "a", "x_1", "é", "\ud800", "don't", "\n", "ß", "12", "İ"])
).map(" ".join)


@pytest.fixture(scope="module")
def fitted() -> LsaEmbedder:
    """Fit on the texts above."""
    return LsaRecipe("lsa").fit(TEXTS)[0]


def tf_idf(texts: list[str]) -> TfidfVectorizer:
    """Build scikit-learn's own vectorizer, with its own analyzer."""
    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(texts)


def unit(rows: np.ndarray) -> np.ndarray:
    """Bring rows to unit length; zeros stay."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 1e-9)


@given(ANY_TEXT)
def test_terms_are_those_of_scikit_learn(text: str) -> None:
    """Words and pairs of words are found exactly as by the vectorizer's own analyzer."""
    analyze = TfidfVectorizer(ngram_range=(1, 2)).build_analyzer()
    assert Counter(_terms(text)) == Counter(analyze(text))


def test_vectors_are_scikit_learn_features_on_the_directions(fitted: LsaEmbedder) -> None:
    """Counts, idf and lengths are those of scikit-learn, also for texts that were not learned from."""
    reference = tf_idf(TEXTS)
    texts = [*TEXTS, "the beans the beans where", "grinder\ud800beans", "GRINDER"]
    assert fitted.state()[VOCABULARY].tobytes().decode().split("\n") == list(reference.get_feature_names_out())
    expected = unit(reference.transform(texts).toarray() @ fitted.state()[COMPONENTS].T)
    np.testing.assert_allclose(fitted.encode(texts), expected, atol=1e-6)


def test_with_every_direction_nothing_is_lost(fitted: LsaEmbedder) -> None:
    """Where all directions of the training texts are kept, their cosines are those of their tf-idf weights."""
    weights = tf_idf(TEXTS).transform(TEXTS).toarray()
    vectors = fitted.encode(TEXTS)
    np.testing.assert_allclose(vectors @ vectors.T, weights @ weights.T, atol=1e-5)


def test_directions_keep_nearly_all_that_can_be_kept(ticket_rows: list[dict[str, str]]) -> None:
    """The randomised decomposition keeps at least 95 % of what the exact one keeps in as many dimensions."""
    texts = [row["text"] for row in ticket_rows]
    components = LsaRecipe("lsa:40", 40).fit(texts)[0].state()[COMPONENTS]
    weights = tf_idf(texts).transform(texts).toarray()
    best = np.linalg.eigvalsh(weights @ weights.T)[-40:].sum()
    np.testing.assert_allclose(components @ components.T, np.eye(40), atol=1e-4)
    assert np.square(weights @ components.T).sum() > 0.95 * best


def test_related_words_meet_in_few_dimensions() -> None:
    """Texts without a common word are close where other texts join their words."""
    pets = ["kitten purrs", "cat purrs", "cat sleeps", "kitten naps", "cat naps"]
    ships = ["vessel sails", "ship sails", "ship anchors", "vessel docks", "ship docks"]
    embedder, vectors = LsaRecipe("lsa:2", 2).fit([*pets, *ships])
    kitten, cat, vessel = embedder.encode(["kitten", "cat", "vessel"])
    assert vectors.shape == (10, 2)
    assert kitten @ cat > 0.9
    assert abs(kitten @ vessel) < 0.1


def test_fitting_returns_what_it_makes_of_its_texts() -> None:
    """The embeddings of a fit are those of the embedder, bit for bit, and a second fit gives the same."""
    embedder, vectors = LsaRecipe("lsa").fit(TEXTS)
    assert vectors.dtype == np.float32
    assert np.array_equal(vectors, embedder.encode(TEXTS))
    again, same = LsaRecipe("lsa").fit(TEXTS)
    assert np.array_equal(vectors, same)
    assert embedder.contract == again.contract


@given(st.lists(ANY_TEXT, max_size=5), st.randoms(use_true_random=False))
def test_company_and_order_change_nothing(fitted: LsaEmbedder, texts: list[str], random: object) -> None:
    """A text has the same vector alone, in a batch, and in any order."""
    texts = [*texts, *TEXTS]
    order = list(range(len(texts)))
    random.shuffle(order)  # type: ignore[attr-defined]
    together = fitted.encode(texts)
    shuffled = fitted.encode([texts[index] for index in order])
    alone = np.vstack([fitted.encode([text]) for text in texts])
    assert np.array_equal(shuffled, together[order])
    assert np.array_equal(alone, together)


@given(ANY_TEXT)
def test_vectors_have_unit_length_or_nothing_was_read(fitted: LsaEmbedder, text: str) -> None:
    """Coverage is a share, and a text of which nothing is known is a vector of zeros."""
    vector, share = fitted.encode([text])[0], fitted.coverage([text])[0]
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6) or not vector.any()
    assert 0 <= share <= 1
    if share == 0:
        assert not vector.any()


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("grinder beans", 1.0),
        ("Grinder, a: BEANS!", 1.0),
        ("beans zebras", 5 / 11),
        ("beans\n\t zebras?", 6 / 12),
        ("beans ☕☕", 1.0),
        ("zebras", 0.0),
        ("☕", 0.0),
        ("", 0.0),
        (" \n", 0.0),
        ("beans İzmir", 7 / 11),
    ],
)
def test_coverage_by_hand(fitted: LsaEmbedder, text: str, share: float) -> None:
    """Letters of unknown words were not read; what belongs to no word counts as read."""
    assert fitted.coverage([text])[0] == pytest.approx(share)


def test_no_texts_are_no_rows(fitted: LsaEmbedder) -> None:
    """An empty list has vectors and shares too: none."""
    assert fitted.encode([]).shape == (0, fitted.contract.dimension)
    assert fitted.coverage([]).shape == (0,)


def test_known_words_outside_the_directions_are_no_noise() -> None:
    """Rounding is never blown up to unit length."""
    embedder, vectors = LsaRecipe("lsa:1", 1).fit(["moss moss", "moss moss", "moss", "rust"])
    assert vectors.any(axis=1).tolist() == [True, True, True, False]
    assert embedder.coverage(["rust"])[0] == 1


def test_the_contract_says_what_it_is(fitted: LsaEmbedder) -> None:
    """Every field is filled; there is no window, and nothing is cut."""
    contract = fitted.contract
    assert (contract.model_id, contract.revision, contract.prompt) == ("lsa", "", "")
    assert (contract.max_tokens, contract.chunking) == (0, "none")
    assert (contract.backend, contract.precision, contract.dtype) == ("numpy", "f32", "float32")
    assert contract.pooling == "tf-idf + truncated SVD"
    assert contract.normalize
    assert len(contract.weights_sha256) == len(contract.tokenizer_sha256) == 64
    assert isinstance(fitted, HasState)
    assert isinstance(fitted, MeasuresCoverage)


def test_other_texts_make_another_contract(fitted: LsaEmbedder) -> None:
    """Vectors learned from different texts never meet, even where the words are the same."""
    other_words = LsaRecipe("lsa").fit([*TEXTS, "a kettle"])[0].contract
    other_weights = LsaRecipe("lsa").fit([*TEXTS, TEXTS[0]])[0].contract
    assert "tokenizer_sha256" in fitted.contract.differences(other_words)
    assert set(fitted.contract.differences(other_weights)) == {"weights_sha256"}


@pytest.mark.parametrize(
    ("texts", "n_dims", "expected"),
    [
        (["moss", "rust"], 256, 2),
        (["moss"], 256, 1),
        (["moss", "moss", "moss"], 256, 1),
        (["moss", "moss rust", "rust moss", "", "☕"], 256, 3),
        (["moss and rust", "rust and dust", "dust and moss"], 2, 2),
    ],
)
def test_there_are_no_more_dimensions_than_texts_have(texts: list[str], n_dims: int, expected: int) -> None:
    """Repeated and empty texts add no direction, and the contract states how many were found."""
    embedder, vectors = LsaRecipe("lsa", n_dims).fit(texts)
    assert embedder.contract.dimension == vectors.shape[1] == expected


def test_many_texts_make_a_term_prove_itself() -> None:
    """From `MANY_TEXTS` on, a word must occur in two texts; before, once is enough."""
    texts = ["moss and rust"] * (MANY_TEXTS - 1)
    few = LsaRecipe("lsa").fit([*texts[1:], "moss and dust"])[0]
    many = LsaRecipe("lsa").fit([*texts, "moss and dust"])[0]
    assert few.coverage(["dust"])[0] == 1
    assert many.coverage(["dust"])[0] == 0


@pytest.mark.parametrize(
    ("texts", "hint"),
    [
        ([], "these 0 texts"),
        (["", " ", "☕"], "a word of two letters"),
        (["a", "b c", "\ud800"], "a word of two letters"),
        ([f"word{number}" for number in range(MANY_TEXTS)], "a word that two of them share"),
    ],
)
def test_texts_without_words_are_refused(texts: list[str], hint: str) -> None:
    """There must be something to learn."""
    with pytest.raises(EmbedderError, match=hint) as caught:
        LsaRecipe("lsa").fit(texts)
    assert "word1" not in str(caught.value)


def test_it_must_learn_before_it_embeds() -> None:
    """A recipe has no vectors and no contract."""
    recipe = load_lsa(NAME, OPTIONS)
    with pytest.raises(UnfittedEmbedderError, match="'lsa' learns from the training texts"):
        recipe.encode(["grinder"])
    with pytest.raises(UnfittedEmbedderError):
        _ = recipe.contract


@pytest.mark.parametrize(("source", "n_dims"), [("", DEFAULT_N_DIMS), ("1", 1), ("64", 64), ("4096", 4096)])
def test_the_name_says_how_many_dimensions(source: str, n_dims: int) -> None:
    """``lsa`` is ``lsa:256``."""
    assert load_lsa(EmbedderName("lsa", source), OPTIONS).n_dims == n_dims


@pytest.mark.parametrize("source", ["0", "-3", "x", "2.5", "4097", "9" * 5000, "064", "٣", " 64", "64\n"])
def test_a_name_without_a_number_is_refused(source: str) -> None:
    """One sentence says which numbers are allowed."""
    for make in (
        lambda name: load_lsa(name, OPTIONS),
        lambda name: restore_lsa(name, OPTIONS, {}),
    ):
        with pytest.raises(EmbedderError, match=r"give a number from 1 to 4096, as lsa:256\.$"):
            make(EmbedderName("lsa", source))


def test_what_was_learned_comes_back_bit_for_bit(fitted: LsaEmbedder) -> None:
    """The state passes through safetensors and gives the same embedder."""
    restored = restore_lsa(NAME, OPTIONS, from_safetensors(to_safetensors(fitted.state())))
    texts = [*TEXTS, "the beans of the invoice", "zebras"]
    assert np.array_equal(restored.encode(texts), fitted.encode(texts))
    assert np.array_equal(restored.coverage(texts), fitted.coverage(texts))
    assert dataclasses.asdict(restored.contract) == dataclasses.asdict(fitted.contract)


DAMAGES: dict[str, Callable[[State], object]] = {
    "nothing there": lambda state: state.clear(),
    "an array too few": lambda state: state.pop(IDF),
    "an array too many": lambda state: state.update(extra=state[IDF]),
    "weights in double precision": lambda state: state.update({IDF: state[IDF].astype(np.float64)}),
    "weights in a square": lambda state: state.update({IDF: state[IDF][np.newaxis]}),
    "a weight too few": lambda state: state.update({IDF: state[IDF][1:]}),
    "no direction": lambda state: state.update({COMPONENTS: state[COMPONENTS][:0]}),
    "a flat direction": lambda state: state.update({COMPONENTS: state[COMPONENTS][0]}),
    "a term too few in the directions": lambda state: state.update({COMPONENTS: state[COMPONENTS][:, 1:]}),
    "more directions than asked for": lambda state: state.update(
        {COMPONENTS: np.tile(state[COMPONENTS], (DEFAULT_N_DIMS, 1))}
    ),
    "not a number": lambda state: state.update({COMPONENTS: state[COMPONENTS] * np.float32(np.nan)}),
    "endless": lambda state: state.update({IDF: state[IDF] + np.float32(np.inf)}),
    "not UTF-8": lambda state: state.update({VOCABULARY: state[VOCABULARY] | 0x80}),
    "a term twice": lambda state: state.update({VOCABULARY: repeated(state[VOCABULARY])}),
    "an empty term": lambda state: state.update({VOCABULARY: np.append(state[VOCABULARY][:-1], np.uint8(10))}),
    "no terms": lambda state: state.update({VOCABULARY: state[VOCABULARY][:0]}),
}


def repeated(vocabulary: np.ndarray) -> np.ndarray:
    """Put the first term in the place of the second."""
    terms = vocabulary.tobytes().split(b"\n")
    return np.frombuffer(b"\n".join([terms[0], terms[0], *terms[2:]]), dtype=np.uint8)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_state_is_refused(fitted: LsaEmbedder, damage: Callable[[State], object]) -> None:
    """Whatever does not fit together is said in one sentence."""
    state = fitted.state()
    damage(state)
    with pytest.raises(EmbedderError, match=r"'lsa' is damaged: .*train it again"):
        restore_lsa(NAME, OPTIONS, state)


def test_a_long_text_needs_little_more_than_itself(fitted: LsaEmbedder) -> None:
    """Words are counted as they are found, not collected."""
    text = "the grinder burns zebras " * 20_000
    tracemalloc.start()
    vector, share = fitted.encode([text])[0], fitted.coverage([text])[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert vector.any()
    assert share == pytest.approx(15 / 21)
    assert peak < 2 * len(text)


def test_importing_it_is_cheap() -> None:
    """scikit-learn is loaded where it is needed: to learn, not to embed."""
    code = (
        "import sys, numpy as np\n"
        "from classifier.embedding.lsa import LsaEmbedder\n"
        "one = np.ones((1, 1), dtype=np.float32)\n"
        "LsaEmbedder(['moss'], one[0], one).encode(['moss'])\n"
        "print({'sklearn', 'scipy', 'torch', 'pandas'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"


@settings(deadline=None, max_examples=25)
@given(st.lists(ANY_TEXT, min_size=1, max_size=8), st.integers(1, 6))
def test_whatever_was_learned_can_be_stored(texts: list[str], n_dims: int) -> None:
    """Any texts either give an embedder that survives storing, or a refusal."""
    try:
        embedder, vectors = LsaRecipe("lsa", n_dims).fit(texts)
    except EmbedderError:
        assert not any(list(_terms(text)) for text in texts)
        return
    restored = restore_lsa(EmbedderName("lsa", str(n_dims)), OPTIONS, embedder.state())
    assert np.isfinite(vectors).all()
    assert np.array_equal(restored.encode(texts), vectors)
