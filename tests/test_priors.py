"""What labels say by themselves: readable names, trust, names beside few examples, names alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from classifier.embedding.contract import Embedder, Embeddings
from classifier.errors import UnknownNameError
from classifier.modeling.folds import ALWAYS_IN_TRAINING
from classifier.modeling.priors import FADED, LabelPriors, names_only_head, prior_texts, readable_name
from classifier.modeling.race import HEADS, HeadFit, fit_hybrid, fit_logistic

COUNTS = st.lists(st.integers(1, 60), min_size=2, max_size=6)


def clouds(
    n_per_class: list[int], spread: float = 0.6, seed: int = 0
) -> tuple[Embeddings, NDArray[np.intp], Embeddings]:
    """Return unit vectors around one centre per class, their shuffled classes, and the centres."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(n_per_class)), n_per_class))
    centres = rng.normal(size=(len(n_per_class), 24)).astype(np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    vectors = (centres[y] + spread / 24**0.5 * 2 * rng.normal(size=(len(y), 24))).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), y, centres


def named(vectors: Embeddings) -> LabelPriors:
    """Give each label a name of its own with this vector."""
    return LabelPriors(tuple(f"name{number}" for number in range(len(vectors))), vectors)


def words(y: NDArray[np.intp]) -> list[str]:
    """Return texts that say nothing of their class."""
    return [f"document {row}" for row in range(len(y))]


def same_bits(one: HeadFit, two: HeadFit) -> bool:
    """Compare two heads and what was measured of them."""
    heads = [
        (fit.head.coef, fit.head.intercept, fit.held_out_proba, fit.held_out_evidence, fit.folds) for fit in (one, two)
    ]
    lexical = [() if fit.head.lexical is None else (fit.head.lexical.coef,) for fit in (one, two)]
    pairs = zip((*heads[0], *lexical[0]), (*heads[1], *lexical[1]), strict=True)
    equal = all(np.array_equal(first, second, equal_nan=True) for first, second in pairs)
    return equal and one.race == two.race and one.head.temperature == two.head.temperature


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("card_arrival", "card arrival"),
        ("AddToPlaylist", "add to playlist"),
        ("getWeather", "get weather"),
        ("science/technology", "science / technology"),
        ("comp.sys.mac", "comp sys mac"),
        ("HTTPError", "HTTP error"),
        ("NASA", "NASA"),
        ("Rechnung", "Rechnung"),
        ("PayPal dispute", "PayPal dispute"),
        ("Über_uns", "Über uns"),
        ("v1.2", "v1.2"),
        ("e-mail", "e-mail"),
        ("  two\twords ", "two words"),
        ("退款", "退款"),
        ("17", "17"),
        ("__", "__"),
    ],
)
def test_labels_become_words(label: str, name: str) -> None:
    """Underscores, dots between letters, slashes and capitals inside a word divide words."""
    assert readable_name(label) == name


@given(st.text(max_size=30))
def test_readable_names_keep_letters_and_stay(label: str) -> None:
    """Only separators and case change, and what is readable is left alone."""
    name = readable_name(label)
    assert [*filter(str.isalnum, name.casefold())] == [*filter(str.isalnum, label.lower().casefold())]
    assert readable_name(name) == name
    assert bool(name) == bool(label)


def test_descriptions_speak_for_their_labels() -> None:
    """A description takes the place of a name, a blank one does not, and one of a strange label is refused."""
    assert prior_texts(["a_b", "c"], {"c": " What c stands for. "}) == ("a b", "What c stands for.")
    assert prior_texts(["a_b", "c"], {"c": "  "}) == prior_texts(["a_b", "c"]) == ("a b", "c")
    with pytest.raises(UnknownNameError, match=r"it names 'cc', but the labels are 'a_b', 'c'.*Did you mean 'c'"):
        prior_texts(["a_b", "c"], {"cc": "A slip."})


@given(COUNTS, st.integers(0, 9))
def test_trusted_names_fade_as_examples_come(counts: list[int], seed: int) -> None:
    """Names that are always right count more the more documents say so, less the more documents their label has."""
    y = np.repeat(np.arange(len(counts)), counts)
    directions = np.eye(len(counts), dtype=np.float32)
    trust = named(directions).trust(directions[y], y)
    assert trust.accuracy == 1
    assert 0 <= trust.share < 1
    ranked = [weight for _, weight in sorted(zip(counts, trust.weights, strict=True))]
    assert all(less >= more for less, more in pairwise(ranked))
    assert all(
        (weight > 0) == (count < FADED and trust.share > 0) for count, weight in zip(counts, trust.weights, strict=True)
    )
    order = np.random.default_rng(seed).permutation(len(y))
    assert named(directions).trust(directions[y[order]], y[order]) == trust
    twice = named(directions).trust(directions[np.tile(y, 2)], np.tile(y, 2))
    assert twice.share >= trust.share


@given(COUNTS)
def test_names_of_other_labels_are_not_trusted(counts: list[int]) -> None:
    """Where each document is nearest to the name of another label, names count for nothing."""
    y = np.repeat(np.arange(len(counts)), counts)
    directions = np.eye(len(counts), dtype=np.float32)
    trust = named(np.roll(directions, 1, axis=0)).trust(directions[y], y)
    assert (trust.accuracy, trust.share) == (0, 0)
    assert not any(trust.weights)
    assert str(trust).endswith("they are not used.")


def test_random_names_are_seldom_trusted() -> None:
    """Names that have nothing to do with the documents get little weight, whatever the number of labels."""
    for n_classes in (2, 5, 20):
        shares = []
        for seed in range(100):
            embeddings, y, _ = clouds([3] * n_classes, seed=seed)
            names = np.random.default_rng(1000 + seed).normal(size=(n_classes, 24)).astype(np.float32)
            shares.append(named(names).trust(embeddings, y).share)
        assert np.mean(shares) < 0.1
        assert np.mean(np.array(shares) > 0) < 0.3


@pytest.mark.parametrize("n_documents", [1, 2, 5])
@pytest.mark.parametrize("name", HEADS)
def test_names_help_few_examples(name: str, n_documents: int) -> None:
    """With one, two or five noisy documents of each label, good names make better heads."""
    tests, truth, _ = clouds([40] * 12, spread=1.5)
    embeddings, y, centres = clouds([n_documents] * 12, spread=1.5)
    with_names, without = (
        HEADS[name](embeddings, y, texts=words(y), priors=priors).head.scores(tests).argmax(axis=1)
        for priors in (named(centres), None)
    )
    assert (with_names == truth).mean() > (without == truth).mean()


@pytest.mark.parametrize("name", HEADS)
def test_names_that_say_nothing_change_little(name: str) -> None:
    """The answers of a head are as good with the names of other labels as without any."""
    tests, truth, _ = clouds([40] * 8)
    embeddings, y, centres = clouds([4] * 8)
    fits = [
        HEADS[name](embeddings, y, texts=words(y), priors=priors)
        for priors in (named(np.roll(centres, 1, axis=0)), None)
    ]
    misled, without = ((fit.head.scores(tests).argmax(axis=1) == truth).mean() for fit in fits)
    assert fits[0].trust is not None
    assert not any(fits[0].trust.weights)
    assert misled >= without - 0.02


@pytest.mark.parametrize("name", HEADS)
def test_names_of_labels_with_many_documents_change_nothing(name: str) -> None:
    """From fifty documents of every label on, a head is the same to the last bit."""
    embeddings, y, centres = clouds([FADED, FADED + 20, FADED])
    fits = [HEADS[name](embeddings, y, texts=words(y), priors=priors) for priors in (named(centres), None)]
    assert same_bits(*fits)
    assert "not needed" in str(fits[0].trust)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=5), st.integers(0, 99))
def test_every_head_takes_names(sizes: list[int], seed: int) -> None:
    """Whatever the sizes of the classes: names are never held out, and probabilities are finite and sum to 1."""
    embeddings, y, centres = clouds(sizes, seed=seed)
    for train in HEADS.values():
        fit = train(embeddings, y, texts=words(y), seed=seed, priors=named(centres))
        held_out = fit.folds != ALWAYS_IN_TRAINING
        assert fit.folds.shape == fit.held_out_evidence.shape == y.shape
        assert fit.held_out_proba.shape == (len(y), len(sizes))
        assert np.allclose(fit.held_out_proba.sum(axis=1), held_out)
        assert np.array_equal(held_out, np.array(sizes)[y] > 1)
        rows = None if fit.lexicon is None else fit.lexicon.transform(words(y))
        assert np.allclose(fit.head.predict_proba(embeddings, rows).sum(axis=1), 1)


def test_names_bring_their_words() -> None:
    """A word that stands in a name alone speaks for its label."""
    embeddings, y, centres = clouds([2] * 6, spread=0.3)
    fit = fit_hybrid(embeddings, y, texts=words(y), priors=named(centres))
    assert fit.lexicon is not None
    assert fit.head.lexical is not None
    column = fit.lexicon.words.index("name3")
    assert fit.head.lexical.coef[column].argmax() == 3
    assert fit.head.lexical.coef[column, 3] > 0


def test_names_follow_an_embedder_that_learns() -> None:
    """Each fold asks for documents and names by an embedder that learned from that fold's documents alone."""
    embeddings, y, centres = clouds([4] * 5)
    asked: list[NDArray[np.bool_]] = []

    def refit(part: NDArray[np.bool_]) -> Embeddings:
        asked.append(part)
        return np.concatenate([embeddings, centres])

    learned = fit_logistic(embeddings, y, priors=named(centres), refit=refit)
    assert [part.shape for part in asked] == [y.shape] * learned.n_folds
    assert same_bits(learned, fit_logistic(embeddings, y, priors=named(centres)))


def test_same_seed_same_head_with_names() -> None:
    """Training twice gives the same bits."""
    embeddings, y, centres = clouds([12] * 9)
    one, two = (fit_hybrid(embeddings, y, texts=words(y), seed=5, priors=named(centres)) for _ in range(2))
    assert same_bits(one, two)


@given(st.integers(2, 8), st.integers(0, 99))
def test_names_alone_are_a_head(n_classes: int, seed: int) -> None:
    """The nearest name answers, in any order of the names, and lengths of vectors do not matter."""
    rng = np.random.default_rng(seed)
    names, documents = (rng.normal(size=(n, 12)).astype(np.float32) for n in (n_classes, 20))
    proba = names_only_head(names).predict_proba(documents)
    cosines = documents @ (names / np.linalg.norm(names, axis=1, keepdims=True)).T
    assert np.array_equal(proba.argmax(axis=1), cosines.argmax(axis=1))
    order = rng.permutation(n_classes)
    assert np.allclose(names_only_head(3 * names[order]).predict_proba(documents), proba[:, order], atol=1e-5)


def test_a_name_without_a_vector_is_no_obstacle() -> None:
    """A name that the encoder cannot read gets zeros, and everything stays finite."""
    embeddings, y, centres = clouds([3] * 4)
    centres[2] = 0
    assert np.isfinite(names_only_head(centres).predict_proba(embeddings)).all()
    assert np.isfinite(fit_hybrid(embeddings, y, texts=words(y), priors=named(centres)).held_out_proba).all()


def test_real_names_answer_with_one_document_or_none(encoder: Embedder) -> None:
    """The real encoder knows what labels mean: alone, and beside a single and not very telling document each."""
    labels = ["cooking", "football_match", "PublicTransport"]
    texts = ["This took me all evening.", "We lost again.", "It was late this morning."]
    asked = {
        "Simmer the sauce and salt the pasta water.": 0,
        "Whisk the eggs before you fold in the flour.": 0,
        "My oven burns every cake.": 0,
        "The striker scored twice before half-time.": 1,
        "The referee gave a penalty in extra time.": 1,
        "Their goalkeeper saved everything.": 1,
        "The bus to the station leaves every ten minutes.": 2,
        "I missed the last underground train.": 2,
        "Tram tickets are sold on the platform.": 2,
    }
    names = prior_texts(labels)
    priors = LabelPriors(names, encoder.encode(names))
    vectors, truth = encoder.encode(list(asked)), list(asked.values())
    assert names_only_head(priors.embeddings).predict_proba(vectors).argmax(axis=1).tolist() == truth
    vectors_of_one = encoder.encode(texts)
    fits = [fit_hybrid(vectors_of_one, np.arange(3), texts=texts, priors=given) for given in (priors, None)]
    with_names, without = (
        fit.head.predict_proba(vectors, fit.lexicon and fit.lexicon.transform(list(asked))).argmax(axis=1)
        for fit in fits
    )
    assert (with_names == truth).mean() > (without == truth).mean()


@pytest.mark.parametrize("n_documents", [3, 8, 20])
def test_few_documents_that_say_nothing_make_nobody_sure(n_documents: int) -> None:
    """With labels by chance, the mean confidence on other documents stays near the share that can be right."""
    confidences = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        vectors = rng.normal(size=(3 * n_documents + 203, 24)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        names, embeddings, others = vectors[:3], vectors[3 : 3 * n_documents + 3], vectors[3 * n_documents + 3 :]
        y = np.repeat(np.arange(3), n_documents)
        texts = [" ".join(f"w{word}" for word in rng.integers(0, 40, 6)) for _ in y]
        fit = fit_hybrid(embeddings, y, texts=texts, seed=seed, priors=named(names))
        rows = fit.lexicon and fit.lexicon.transform(
            [" ".join(f"w{word}" for word in row) for row in rng.integers(0, 40, (200, 6))]
        )
        confidences.append(fit.head.predict_proba(others, rows).max(axis=1).mean())
    assert np.mean(confidences) < 0.5
