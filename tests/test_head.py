"""Folds, class weights and the linear head, on arrays."""

from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import cpu_count
from places import scaled
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from classifier.analysis.confidence import softmax
from classifier.modeling.choices import DENSE
from classifier.modeling.colors import label_colors
from classifier.modeling.folds import ALWAYS_IN_TRAINING, assign_folds, class_weights
from classifier.modeling.halves import INVERSE_REGULARISATION
from classifier.modeling.head import HEAD_NAMES
from classifier.modeling.lexical import fit_lexicon
from classifier.modeling.race import HEADS, HeadFit, fit_hybrid, fit_logistic
from classifier.modeling.solvers import LOGISTIC, fit_dense_margins, fit_log_odds, fit_margins
from classifier.modeling.workers import in_threads

CLASSES = st.lists(st.integers(0, 6), min_size=1, max_size=80).map(
    lambda drawn: np.unique(drawn, return_inverse=True)[1].astype(np.intp)
)


@pytest.fixture(autouse=True)
def several_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train side by side, as users do and most tests do not."""
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "3")


def clouds(n_per_class: list[int], spread: float = 0.6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors around one centre per class, and their shuffled classes."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(n_per_class)), n_per_class))
    centres = rng.normal(size=(len(n_per_class), 12))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    vectors = (centres[y] + spread * rng.normal(size=(len(y), 12))).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), y


@settings(deadline=None)
@given(CLASSES, st.integers(2, 6), st.integers(0, 9))
def test_folds_spread_every_class(y: np.ndarray, n_folds: int, seed: int) -> None:
    """Per class, folds differ by at most one document, and no fold takes a whole class."""
    folds = assign_folds(y, n_folds, seed)
    used = min(n_folds, int(np.bincount(y).max()))
    for label in np.unique(y):
        inside = folds[y == label]
        if len(inside) == 1:
            assert inside[0] == ALWAYS_IN_TRAINING
            continue
        counts = np.bincount(inside, minlength=used)
        assert len(counts) == used
        assert counts.max() - counts.min() <= 1
        assert counts.max() < len(inside)


@settings(deadline=None)
@given(CLASSES, st.integers(2, 6))
def test_every_fold_has_documents(y: np.ndarray, n_folds: int) -> None:
    """Folds are numbered without a gap, and only single documents stay out of them."""
    folds = assign_folds(y, n_folds, 0)
    held_out = folds[folds != ALWAYS_IN_TRAINING]
    assert set(held_out) == set(range(held_out.max() + 1 if len(held_out) else 0))
    assert (folds == ALWAYS_IN_TRAINING).sum() == list(Counter(y.tolist()).values()).count(1)


@settings(deadline=None)
@given(CLASSES, st.integers(0, 9), st.randoms(use_true_random=False))
def test_folds_do_not_depend_on_the_names_of_classes(y: np.ndarray, seed: int, random: st.DataObject) -> None:
    """Renaming classes leaves every document in its fold."""
    names = list(range(int(y.max()) + 1))
    random.shuffle(names)
    assert np.array_equal(assign_folds(y, 5, seed), assign_folds(np.array(names)[y], 5, seed))


def test_folds_follow_the_seed() -> None:
    """Equal seeds give equal folds, another seed gives others."""
    y = np.repeat([0, 1], 20)
    assert np.array_equal(assign_folds(y, 5, 1), assign_folds(y, 5, 1))
    assert not np.array_equal(assign_folds(y, 5, 1), assign_folds(y, 5, 2))


def test_weights_are_the_square_root_of_rarity() -> None:
    """A class nine times rarer weighs three times more, and the mean weight is 1."""
    weights = class_weights(np.array([0] * 9 + [1]), 2)
    assert weights.mean() == pytest.approx(1)
    assert weights[-1] / weights[0] == pytest.approx(3)


@pytest.fixture(scope="module")
def fitted() -> tuple[np.ndarray, np.ndarray, HeadFit]:
    """Train a head of three unequal classes, one of which has a single document."""
    embeddings, y = clouds([40, 25, 1])
    return embeddings, y, fit_logistic(embeddings, y, seed=0)


def test_head_is_plain_arrays(fitted: tuple[np.ndarray, np.ndarray, HeadFit]) -> None:
    """Shapes, precision and arithmetic of the head are as documented."""
    embeddings, _, fit = fitted
    head = fit.head
    assert (head.coef.shape, head.intercept.shape) == ((3, 12), (3,))
    assert head.coef.dtype == head.intercept.dtype == np.float32
    expected = softmax(embeddings @ head.coef.T + head.intercept, head.temperature)
    assert np.allclose(head.predict_proba(embeddings), expected)
    assert np.allclose(head.predict_proba(embeddings).sum(axis=1), 1)


def test_single_documents_are_never_held_out(fitted: tuple[np.ndarray, np.ndarray, HeadFit]) -> None:
    """The only document of a class has no held-out answer, every other has one."""
    _, y, fit = fitted
    single = y == 2
    assert (fit.folds == ALWAYS_IN_TRAINING).tolist() == single.tolist()
    assert not fit.held_out_proba[single].any()
    assert np.allclose(fit.held_out_proba[~single].sum(axis=1), 1)
    assert fit.n_folds == 5


def test_the_race_goes_from_strong_to_weak(fitted: tuple[np.ndarray, np.ndarray, HeadFit]) -> None:
    """Candidates are tried in order, and the chosen one is among them."""
    fit = fitted[2]
    assert [entrant.c for entrant in fit.race] == list(INVERSE_REGULARISATION[LOGISTIC][: len(fit.race)])
    assert {entrant.features for entrant in fit.race} == {DENSE}
    chosen = [entrant for entrant in fit.race if entrant.chosen]
    assert [entrant.c for entrant in chosen] == [fit.inverse_regularisation]
    assert chosen[0].loss <= max(entrant.loss for entrant in fit.race)


def test_held_out_answers_beat_guessing_and_do_not_cheat() -> None:
    """Held-out answers are good where there is something to learn, and no better than chance where not."""
    embeddings, y = clouds([60, 60], spread=0.3)
    good = fit_logistic(embeddings, y).held_out_proba
    assert (good.argmax(axis=1) == y).mean() > 0.9
    noise = np.random.default_rng(3).integers(0, 2, len(y))
    useless = fit_logistic(embeddings, noise).held_out_proba
    assert log_loss(noise, useless) > 0.6


@pytest.mark.parametrize("sizes", [[30, 30], [30, 12, 6], [9, 8, 7, 1]])
def test_renaming_classes_permutes_probabilities(sizes: list[int]) -> None:
    """What classes are called decides the order of columns and nothing else."""
    embeddings, y = clouds(sizes)
    names = np.random.default_rng(1).permutation(len(sizes))
    if (names == np.arange(len(sizes))).all():
        names = names[::-1]
    plain, renamed = fit_logistic(embeddings, y), fit_logistic(embeddings, names[y])
    assert plain.inverse_regularisation == renamed.inverse_regularisation
    assert np.allclose(
        plain.head.predict_proba(embeddings), renamed.head.predict_proba(embeddings)[:, names], atol=1e-3
    )
    assert np.allclose(plain.held_out_proba, renamed.held_out_proba[:, names], atol=1e-3)


def test_same_seed_same_head() -> None:
    """Training twice gives the same bits."""
    embeddings, y = clouds([20, 20, 20])
    one, two = (fit_logistic(embeddings, y, seed=5) for _ in range(2))
    assert np.array_equal(one.head.coef, two.head.coef)
    assert np.array_equal(one.held_out_proba, two.held_out_proba)
    assert one.head.temperature == two.head.temperature


def test_any_number_of_workers_gives_the_same_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """One worker or all of them, one thread of linear algebra or all of them: the same bits."""
    embeddings, y = clouds([40, 30, 20])
    every = fit_logistic(embeddings, y)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert cpu_count() == 1
    with threadpool_limits(1):
        one = fit_logistic(embeddings, y)
    assert np.array_equal(every.head.coef, one.head.coef)
    assert np.array_equal(every.held_out_proba, one.held_out_proba)


def worded(n_per_class: int, n_classes: int) -> tuple[list[str], np.ndarray]:
    """Return texts whose words tell their class only loosely, and their classes."""
    rng = np.random.default_rng(1)
    y = np.repeat(np.arange(n_classes), n_per_class)
    return [" ".join(f"w{word}" for word in rng.normal(label * 2, 6, 8).astype(int)) for label in y], y


def test_support_vectors_are_the_same_whatever_other_threads_do() -> None:
    """Machines that train at the same time do not draw each other's random numbers."""
    texts, y = worded(20, 8)
    matrix, weights = fit_lexicon(texts, n_classes=8)[1].matrix(), np.ones(len(y))
    alone = fit_margins(matrix, y, weights, 1.0)
    for coef, intercept in in_threads([partial(fit_margins, matrix, y, weights, 1.0) for _ in range(40)]):
        assert np.array_equal(coef, alone[0])
        assert np.array_equal(intercept, alone[1])


def test_no_other_fit_disturbs_support_vectors() -> None:
    """Fits that draw no random numbers begin the stream anew as well, and so must wait, too."""
    texts, y = worded(20, 8)
    matrix, weights = fit_lexicon(texts, n_classes=8)[1].matrix(), np.ones(len(y))
    embeddings, _ = clouds([20] * 8)
    alone = fit_margins(matrix, y, weights, 1.0)
    jobs = [partial(fit_margins, matrix, y, weights, 1.0) for _ in range(30)]
    others = [partial(fit_dense_margins, embeddings, y, weights, 1.0), partial(fit_log_odds, matrix, y, weights, 1.0)]
    mixed = in_threads([job for one in jobs for job in (one, *others)])
    for coef, intercept in mixed[::3]:
        assert np.array_equal(coef, alone[0])
        assert np.array_equal(intercept, alone[1])


def test_the_hybrid_head_is_the_same_for_any_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice by all workers and once by one: the same bits in both halves, and the same race."""
    texts, y = worded(20, 8)
    embeddings, _ = clouds([20] * 8)
    fits = [fit_hybrid(embeddings, y, texts=texts) for _ in range(2)]
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    with threadpool_limits(1):
        fits.append(fit_hybrid(embeddings, y, texts=texts))
    first = fits[0]
    assert first.head.lexical is not None
    for other in fits[1:]:
        assert other.head.lexical is not None
        assert np.array_equal(other.head.lexical.coef, first.head.lexical.coef)
        assert np.array_equal(other.head.coef, first.head.coef)
        assert np.array_equal(other.held_out_proba, first.held_out_proba)
        assert (other.race, other.learning_curve) == (first.race, first.learning_curve)


def test_processes_and_threads_give_the_same_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs long enough for processes of their own end with the same bits."""
    texts, y = worded(20, 8)
    embeddings, _ = clouds([20] * 8)
    in_threads_only = fit_hybrid(embeddings, y, texts=texts)
    monkeypatch.setattr("classifier.modeling.halves._HEAVY", 0)
    in_processes = fit_hybrid(embeddings, y, texts=texts)
    assert in_threads_only.head.lexical is not None
    assert in_processes.head.lexical is not None
    assert np.array_equal(in_processes.head.lexical.coef, in_threads_only.head.lexical.coef)
    assert np.array_equal(in_processes.head.coef, in_threads_only.head.coef)
    assert np.array_equal(in_processes.held_out_proba, in_threads_only.held_out_proba)
    assert (in_processes.race, in_processes.learning_curve) == (in_threads_only.race, in_threads_only.learning_curve)


def test_two_documents_of_two_classes_are_enough() -> None:
    """Two folds of one document per class train and measure a head."""
    embeddings = np.eye(4, dtype=np.float32)[[0, 0, 1, 1]]
    fit = fit_logistic(embeddings, np.array([0, 0, 1, 1]))
    assert fit.n_folds == 2
    assert fit.head.predict_proba(embeddings).argmax(axis=1).tolist() == [0, 0, 1, 1]
    assert np.isfinite(fit.held_out_proba).all()


def test_one_document_per_class_trains_without_measuring() -> None:
    """Nothing can be held out, so nothing is claimed."""
    fit = fit_logistic(np.eye(3, dtype=np.float32), np.array([0, 1, 2]))
    assert (fit.n_folds, fit.race, fit.head.temperature) == (0, (), 1.0)
    assert not fit.held_out_proba.any()
    assert fit.head.predict_proba(np.eye(3, dtype=np.float32)).argmax(axis=1).tolist() == [0, 1, 2]


def test_many_classes_with_few_documents_train() -> None:
    """Sixty classes of one to three documents each train without a warning."""
    embeddings, y = clouds([1, 2, 3] * 20)
    fit = fit_logistic(embeddings, y)
    assert fit.head.coef.shape == (60, 12)
    assert np.isfinite(fit.head.predict_proba(embeddings)).all()


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=4), st.integers(0, 99))
def test_every_head_gives_distributions(sizes: list[int], seed: int) -> None:
    """Every plugged head returns finite probabilities for classes of any size."""
    embeddings, y = clouds(sizes, seed=seed)
    for train in HEADS.values():
        fit = train(embeddings, y, texts=[f"text {label} {row}" for row, label in enumerate(y)], seed=seed)
        rows = fit.lexicon and fit.lexicon.transform(["text 0 new"] * len(y))
        proba = fit.head.predict_proba(embeddings, rows)
        assert proba.shape == (len(y), len(sizes))
        assert np.allclose(proba.sum(axis=1), 1)
        assert 0.04 < fit.head.temperature < 21


def test_colours_differ_and_stay() -> None:
    """The same place gives the same colour, and forty labels give forty colours."""
    labels = [f"label {number}" for number in range(40)]
    colors = label_colors(labels)
    assert list(colors) == labels
    assert len(set(colors.values())) == 40
    assert all(len(color) == 7 and int(color[1:], 16) >= 0 for color in colors.values())
    assert list(label_colors(labels[:3]).items()) == list(colors.items())[:3]
    assert label_colors([]) == {}


def test_groups_are_held_out_together() -> None:
    """Documents of one group share a fold, so that no head is measured on a text it has seen."""
    y = np.repeat([0, 1, 2], 20)
    groups = np.arange(60) // 4
    folds = assign_folds(y, 5, 0, groups)
    assert all(len(set(folds[groups == group])) == 1 for group in np.unique(groups))
    assert set(folds) == {0, 1, 2, 3, 4}


def test_repeated_texts_do_not_flatter() -> None:
    """Random labels stay unpredictable, however often each document is repeated."""
    rng = np.random.default_rng(3)
    y = np.repeat(rng.integers(0, 3, 60), 4)
    embeddings = np.repeat(rng.normal(size=(60, 32)), 4, axis=0).astype(np.float32)
    fitted = fit_logistic(embeddings, y, groups=np.repeat(np.arange(60), 4))
    assert (fitted.held_out_proba.argmax(axis=1) == y).mean() < 0.6


def test_a_label_that_only_conflicting_texts_carry_stays_in_training() -> None:
    """Where every document of a label shares its text with another label, no fold may go without it."""
    y, groups = np.array([0, 0, 0, 1, 2, 2, 2]), np.array([0, 1, 2, 0, 3, 4, 5])
    folds = assign_folds(y, 5, 0, groups)
    assert folds[0] == folds[3] == ALWAYS_IN_TRAINING
    for fold in range(folds.max() + 1):
        assert set(y[folds != fold]) == {0, 1, 2}


@settings(deadline=None, max_examples=scaled(40, 200))
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 8)), min_size=2, max_size=30), st.integers(2, 5))
def test_every_training_part_knows_every_label(rows: list[tuple[int, int]], n_folds: int) -> None:
    """Whatever texts and labels repeat: equal texts lie together, and no training part lacks a label."""
    codes = sorted({label for label, _ in rows})
    y = np.array([codes.index(label) for label, _ in rows])
    groups = np.array([text for _, text in rows])
    folds = assign_folds(y, n_folds, 0, groups)
    for text in set(groups):
        assert len(set(folds[groups == text])) == 1
    for fold in range(folds.max() + 1):
        assert set(y[folds != fold]) == set(y)


def test_a_stored_model_knows_every_head() -> None:
    """The names that a bundle may hold are those that can be trained."""
    assert tuple(HEADS) == HEAD_NAMES
