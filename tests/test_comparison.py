"""Measuring embedders: samples, honest folds, dimensions, dtypes and what each takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeEmbedder
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from classifier.datamodels import EncoderOptions
from classifier.embedding.contract import Embedder, Embeddings, Recipe
from classifier.embedding.embedders import EMBEDDERS, Family
from classifier.embedding.lsa import LsaRecipe
from classifier.embedding.quantization import DTYPES, rounded, vector_bytes
from classifier.embedding.reduction import principal_components, project
from classifier.errors import EmbedderError, TrainingDataError
from classifier.modeling import comparison
from classifier.modeling.comparison import (
    DEFAULT_EMBEDDERS,
    Measured,
    Sample,
    draw_sample,
    identify,
    measure_embedder,
    stratified_rows,
)
from classifier.modeling.folds import class_weights
from classifier.modeling.head import LinearHead
from classifier.modeling.race import fit_logistic
from classifier.modeling.solvers import fit_parts

LABELS = st.lists(st.sampled_from("abcde"), min_size=1, max_size=120)
TOPICS = {"red": "fire rose blood", "green": "leaf moss frog", "blue": "sea sky ice"}


class WordsEmbedder(FakeEmbedder):
    """Add up the hashes of words, so that texts with common words are alike."""

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:
        """Embed each word as the fake embedder does."""
        sums = [super(WordsEmbedder, self).encode(text.split(), progress=progress).sum(axis=0) for text in texts]
        vectors = np.array(sums, dtype=np.float32).reshape(len(texts), -1)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)


class Memory(Recipe):
    """Know the texts it learned from by heart: the first number of a vector says whether it has seen the text.

    Attributes
    ----------
    seen : list of list of str
        The texts of each fit.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.seen: list[list[str]] = []

    def fit(self, texts: Sequence[str], *, seed: int = 0, progress: bool = False) -> tuple[Embedder, Embeddings]:  # noqa: ARG002 # of the protocol
        """Remember the texts."""
        self.seen.append(list(texts))
        embedder = WordsEmbedder()
        return embedder, embedder.encode(texts)


def options(folder: Path) -> EncoderOptions:
    """Keep everything in the test's own folder."""
    return EncoderOptions(cache_dir=folder, download=False)


def documents(n_per_label: int = 12) -> tuple[list[str], list[str]]:
    """Write texts that share a word with others of their label."""
    rng = np.random.default_rng(0)
    labels = [label for label in TOPICS for _ in range(n_per_label)]
    texts = [
        f"{rng.choice(TOPICS[label].split())} {rng.choice(['one', 'two', 'six'])} {number}"
        for number, label in enumerate(labels)
    ]
    return texts, labels


def sample_of(n_per_label: int = 12, seed: int = 0) -> Sample:
    """Draw all of them."""
    return draw_sample(*documents(n_per_label), max_documents=1000, seed=seed)


@pytest.fixture(autouse=True)
def words_family(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register embedders of words as ``words`` and ``words:DIMENSION``."""
    monkeypatch.setitem(
        EMBEDDERS,
        "words",
        Family(lambda name, options: WordsEmbedder(int(name.source or 40))),  # noqa: ARG005 # one signature for all
    )


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    """Measure the words."""
    return measure_embedder("words", sample_of(), options(tmp_path))


@given(LABELS, st.integers(1, 130), st.integers(0, 9))
def test_a_sample_keeps_the_share_of_every_label(labels: list[str], n_documents: int, seed: int) -> None:
    """No label is off by a document or more, rows rise, and a small file is taken whole."""
    rows = stratified_rows(labels, n_documents, seed)
    assert len(rows) == min(n_documents, len(labels))
    assert (np.diff(rows) > 0).all()
    if len(labels) <= n_documents:
        return
    share = n_documents / len(labels)
    taken = Counter(labels[row] for row in rows)
    for label, count in Counter(labels).items():
        assert abs(taken[label] - count * share) < 2


def test_samples_follow_the_seed() -> None:
    """Equal seeds draw equal rows, another seed draws others."""
    labels = ["a", "b"] * 50
    assert np.array_equal(stratified_rows(labels, 20, 0), stratified_rows(labels, 20, 0))
    assert not np.array_equal(stratified_rows(labels, 20, 0), stratified_rows(labels, 20, 1))


def test_a_sample_holds_equal_texts_out_together() -> None:
    """Copies are in one fold, the only document of a label in none, and queries are among the others."""
    texts, labels = documents()
    sample = draw_sample([*texts, texts[0], "alone"], [*labels, labels[0], "odd"], max_documents=1000, seed=0)
    assert sample.n_folds == 5
    assert sample.folds[0] == sample.folds[-2]
    assert sample.folds[-1] == -1
    assert np.array_equal(sample.queries, sample.measured)
    assert len(sample.measured) == len(texts) + 1


def test_large_samples_have_three_folds_and_a_thousand_queries() -> None:
    """Above 1,000 documents there are fewer folds, and not every document looks for its neighbours."""
    sample = draw_sample([f"t{n}" for n in range(1500)], ["a", "b", "c"] * 500, max_documents=1200, seed=0)
    assert (len(sample.data.texts), sample.n_folds, len(sample.queries)) == (1200, 3, 1000)
    assert set(sample.queries) <= set(sample.measured)


def test_a_sample_is_known_by_all_that_it_is() -> None:
    """Texts, labels and seed make the fingerprint, and a lone surrogate does not break it."""
    texts, labels = documents()
    texts[0] += " \ud800"
    mine = draw_sample(texts, labels, max_documents=99, seed=0)
    others = [
        draw_sample([*texts[:-1], "x"], labels, max_documents=99, seed=0),
        draw_sample(texts, [*labels[:-1], "red"], max_documents=99, seed=0),
        draw_sample(texts, labels, max_documents=99, seed=1),
        draw_sample(texts, labels, max_documents=20, seed=0),
    ]
    assert len({mine.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert mine.fingerprint == draw_sample(texts, labels, max_documents=1000, seed=0).fingerprint


@pytest.mark.parametrize(
    ("texts", "labels", "problem"),
    [
        (["a", "b", "c"], ["x", "y", "z"], "No label has two different documents"),
        (["a", "a", "b"], ["x", "x", "y"], "No label has two different documents"),
        (["a", "b"], ["x", "x"], "only the label 'x'"),
    ],
)
def test_what_cannot_be_held_out_is_refused(texts: list[str], labels: list[str], problem: str) -> None:
    """Without two different documents of a label there is nothing to measure on."""
    with pytest.raises(TrainingDataError, match=problem):
        draw_sample(texts, labels, max_documents=10, seed=0)


def test_every_dimension_comes_in_every_dtype(measured: Measured) -> None:
    """Below the full dimension and below what the training documents tell apart, then the full one."""
    found = [(one.option, one.n_dims, one.dtype, one.vector_bytes) for one in measured.tradeoffs]
    assert found == [
        (name, n_dims, dtype, vector_bytes(n_dims, dtype))
        for name, n_dims in (("words+pca:16", 16), ("words", 40))
        for dtype in DTYPES
    ]
    assert measured.correct.shape == (8, 36)
    assert [one.accuracy for one in measured.tradeoffs] == measured.correct.mean(axis=1).tolist()
    assert all(one.accuracy_interval[0] <= one.accuracy <= one.accuracy_interval[1] for one in measured.tradeoffs)
    assert not any(one.on_front for one in measured.tradeoffs)


def test_common_words_are_found(measured: Measured) -> None:
    """An embedder that says something answers better than chance, and its full vectors keep every neighbour."""
    full = next(one for one in measured.tradeoffs if one.option == "words" and one.dtype == "float32")
    coarse = next(one for one in measured.tradeoffs if one.option == "words+pca:16" and one.dtype == "binary")
    assert full.accuracy > 0.6
    assert full.recall_at_10 == 1
    assert 10 / 36 < coarse.recall_at_10 < 0.9


def test_answers_are_those_of_heads_trained_without_the_document(tmp_path: Path) -> None:
    """Fold by fold, by hand: components and head from the training part alone, both parts rounded."""
    sample = sample_of()
    measured = measure_embedder("words", sample, options(tmp_path))
    y, embeddings, first = sample.data.y, WordsEmbedder(40).encode(sample.data.texts), sample.folds != 0
    c = fit_logistic(embeddings[first], y[first], groups=sample.data.groups[first]).inverse_regularisation
    correct = np.zeros((len(DTYPES), len(y)), dtype=np.bool_)
    for fold in range(sample.n_folds):
        training, start = sample.folds != fold, None
        components, mean = principal_components(embeddings[training])
        reduced = project(embeddings, mean, components[:16])
        for position, dtype in enumerate(DTYPES):
            vectors = rounded(reduced, dtype)
            head = fit_parts([(vectors[training], y[training], start)], c)[0]
            start = start or head
            correct[position, ~training] = head.scores(vectors[~training]).argmax(axis=1) == y[~training]
    assert np.array_equal(correct, measured.correct[: len(DTYPES)])


def test_nothing_is_learned_from_held_out_texts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A recipe sees each training part by itself, and all texts once to be sized and timed."""
    recipe, sample = Memory("memory"), sample_of()
    monkeypatch.setitem(EMBEDDERS, "memory", Family(lambda *_arguments: recipe))
    measure_embedder("memory", sample, options(tmp_path))
    parts = [
        [text for text, other in zip(sample.data.texts, sample.folds, strict=True) if other != fold]
        for fold in range(sample.n_folds)
    ]
    assert recipe.seen == [*parts, sample.data.texts]


def test_lsa_is_measured_on_words_it_has_not_counted(tmp_path: Path) -> None:
    """Texts whose words occur nowhere else cannot be told from one another, however well they fit afterwards."""
    texts = [f"word{chr(97 + number)}x" for number in range(24)]
    sample = draw_sample(texts, ["p", "q"] * 12, max_documents=99, seed=0)
    measured = measure_embedder("lsa", sample, options(tmp_path))
    full = next(one for one in measured.tradeoffs if one.option == "lsa" and one.dtype == "float32")
    assert full.accuracy <= 0.5
    vectors = LsaRecipe("lsa").fit(texts)[1]
    assert LogisticRegression(C=1e4).fit(vectors, sample.data.y).score(vectors, sample.data.y) == 1


def test_few_documents_allow_few_dimensions(tmp_path: Path) -> None:
    """No more directions than every training part has documents."""
    sample = sample_of(6)
    measured = measure_embedder("words:300", sample, options(tmp_path))
    assert sorted({one.n_dims for one in measured.tradeoffs}) == [300]
    measured = measure_embedder("words:300", sample_of(8), options(tmp_path))
    assert sorted({one.n_dims for one in measured.tradeoffs}) == [16, 300]


def test_measuring_twice_gives_the_same(tmp_path: Path) -> None:
    """All but the clock."""
    first, again = (measure_embedder("words", sample_of(seed=3), options(tmp_path)) for _ in range(2))
    assert np.array_equal(first.correct, again.correct)
    assert [replace(one, documents_per_second=1.0) for one in first.tradeoffs] == [
        replace(one, documents_per_second=1.0) for one in again.tradeoffs
    ]


def test_speed_is_measured_without_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is timed was loaded to compute, at most 500 texts after a warm-up of 32."""
    loaded: list[tuple[bool, FakeEmbedder]] = []

    def load(name: object, given: EncoderOptions) -> FakeEmbedder:  # noqa: ARG001 # one signature for all families
        loaded.append((given.use_cache, FakeEmbedder(20)))
        return loaded[-1][1]

    monkeypatch.setitem(EMBEDDERS, "spy", Family(load))
    sample = draw_sample([f"text {n}" for n in range(600)], ["a", "b"] * 300, max_documents=600, seed=0)
    measured = measure_embedder("spy", sample, options(tmp_path))
    assert [use_cache for use_cache, _ in loaded] == [True, False]
    assert [len(texts) for texts in loaded[0][1].calls] == [600]
    warm_up, *timed = (len(texts) for texts in loaded[1][1].calls)
    assert warm_up == 32
    assert set(timed) == {500}
    assert len({one.documents_per_second for one in measured.tradeoffs}) == 1


def test_a_model_takes_what_it_learned_and_its_components(measured: Measured, tmp_path: Path) -> None:
    """The arrays of an embedder count, and those that reduce it; one without arrays takes nothing."""
    assert {one.option: one.model_bytes for one in measured.tradeoffs} == {"words+pca:16": 17 * 40 * 4, "words": 0}
    sample = sample_of()
    embedder = LsaRecipe("lsa").fit(sample.data.texts)[0]
    size = sum(array.nbytes for array in embedder.state().values())
    found = measure_embedder("lsa", sample, options(tmp_path)).tradeoffs
    n_full = embedder.contract.dimension
    assert found[-1].model_bytes == size
    assert found[0].model_bytes == size + 17 * n_full * 4


def test_word_vectors_take_their_file(tmp_path: Path) -> None:
    """The file is needed to predict, so it counts; what changes in it makes other results."""
    file = tmp_path / "vectors.txt"
    words = [word for topic in TOPICS.values() for word in topic.split()]
    file.write_text("".join(f"{word} {row}.5 1 {row % 3}\n" for row, word in enumerate(words)), encoding="utf-8")
    name = f"word-vectors:{file}"
    before = identify(name, options(tmp_path))
    found = measure_embedder(name, sample_of(), options(tmp_path)).tradeoffs
    assert file.stat().st_size < found[-1].model_bytes < file.stat().st_size + 200
    assert before == identify(name, options(tmp_path))
    file.write_text(file.read_text(encoding="utf-8").replace("0.5", "0.25"), encoding="utf-8")
    assert before != identify(name, options(tmp_path))


@pytest.mark.parametrize("name", ["default", "default+pooling:cls"])
def test_the_default_encoder_weighs_as_much_as_its_weights(encoder: Embedder, name: str) -> None:
    """Its safetensors are what it takes, whatever is made of its layers."""
    assert comparison._model_bytes(name, encoder, EncoderOptions(download=False)) == 90_868_376


def test_an_embedder_that_reads_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Vectors of zeros alone have no directions."""

    class Blind(FakeEmbedder):
        def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:
            return 0 * super().encode(texts, progress=progress)

    monkeypatch.setitem(EMBEDDERS, "blind", Family(lambda *_arguments: Blind()))
    with pytest.raises(EmbedderError, match="'blind' found nothing to read"):
        measure_embedder("blind", sample_of(), options(tmp_path))


def test_some_documents_may_be_unreadable(tmp_path: Path) -> None:
    """They stay in the comparison, as every embedder answers the same documents."""
    texts, labels = documents()
    sample = draw_sample([*texts, "\u200b", " "], [*labels, "red", "blue"], max_documents=99, seed=0)
    measured = measure_embedder("words", sample, options(tmp_path))
    assert measured.correct.shape[1] == len(texts) + 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("words+pca:8", "reduced already; give 'words': all dimensions are tried"),
        ("default+pca:8+pooling:cls", "give 'default+pooling:cls'"),
        ("lsaa", "Did you mean 'lsa'?"),
        ("word-vectors", "give word-vectors:FILE"),
        ("lsa+pooling:cls", "only transformers have layers to pool"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, name: str, words: str) -> None:
    """The sentence says what is allowed."""
    with pytest.raises(EmbedderError) as refused:
        identify(name, options(tmp_path))
    assert words in str(refused.value)


def test_identities_differ_where_vectors_do(encoder: Embedder, tmp_path: Path) -> None:
    """Another embedder or dimension is another one; the same name is the same one; a contract is part of it."""
    names = ["words:16", "words:32", "lsa", "lsa:64"]
    found = [identify(name, options(tmp_path)) for name in names]
    assert len(set(found)) == len(found)
    assert [identify(name, options(tmp_path)) for name in names] == found
    assert encoder.contract.fingerprint in identify("default", EncoderOptions(download=False))


def test_the_default_embedders_can_be_named() -> None:
    """Each once, and word vectors only where a file is given."""
    assert len(set(DEFAULT_EMBEDDERS)) == len(DEFAULT_EMBEDDERS) == 7
    assert not any(name.startswith("word-vectors") for name in DEFAULT_EMBEDDERS)
    assert tuple(sorted(comparison.DIMS)) == comparison.DIMS


@pytest.mark.parametrize("n_classes", [2, 4])
def test_parts_are_fitted_as_one_by_one(n_classes: int) -> None:
    """Each head belongs to its part, in order, and a start near by leads to the same answers."""
    rng = np.random.default_rng(0)
    y = np.arange(200) % n_classes
    centres = rng.normal(size=(n_classes, 8))
    parts = [((centres[y] + rng.normal(size=(200, 8))).astype(np.float32), y) for _ in range(3)]
    heads = fit_parts(((rows, classes, None) for rows, classes in parts), 3.0)
    again = fit_parts(((rows, classes, head) for (rows, classes), head in zip(parts, heads, strict=True)), 3.0)
    for (rows, classes), head, warm in zip(parts, heads, again, strict=True):
        reference = LogisticRegression(C=3.0, tol=1e-6, max_iter=1000)
        reference.fit(rows, classes, sample_weight=class_weights(classes, n_classes))
        answers = head.scores(rows).argmax(axis=1)
        assert (answers == reference.predict(rows)).mean() > 0.98
        assert (answers == warm.scores(rows).argmax(axis=1)).mean() > 0.98
        assert head.coef.shape == warm.coef.shape == (n_classes, 8)
        assert isinstance(head, LinearHead)
        assert head.temperature == 1.0


def test_parts_are_drawn_when_they_are_needed() -> None:
    """An endless supply of memory is not assumed: parts are made one by one."""
    drawn: list[int] = []
    rows, y = np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1])

    def parts() -> object:
        for number in range(5):
            drawn.append(number)
            yield rows, y, None

    assert len(fit_parts(parts(), 1.0)) == 5  # type: ignore[arg-type] # a generator is an iterable
    assert drawn == [0, 1, 2, 3, 4]


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 1000))
def test_starting_at_the_solution_of_two_classes_stays_there(seed: int) -> None:
    """The one row of weights that the solver keeps for two classes is put together from both."""
    rng = np.random.default_rng(seed)
    rows, y = rng.normal(size=(60, 4)).astype(np.float32), rng.permutation(60) % 2
    head = fit_parts([(rows, y, None)], 1.0)[0]
    again = fit_parts([(rows, y, head)], 1.0)[0]
    np.testing.assert_allclose(again.coef, head.coef, atol=0.02)
    np.testing.assert_allclose(again.intercept, head.intercept, atol=0.02)
