"""Sets of labels, multi-label folds, and the head that gives any number of labels, on small made-up data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import cpu_count
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from classifier.analysis.multilabel import decide, macro_f1
from classifier.modeling.choices import BOTH, DENSE, LEXICAL
from classifier.modeling.folds import ALWAYS_IN_TRAINING
from classifier.modeling.label_sets import join_labels, split_labels
from classifier.modeling.label_solvers import fit_logistic_all, fit_margins_all
from classifier.modeling.lexical import fit_lexicon
from classifier.modeling.multi_label import MultiLabelFit, fit_multi_label, stratify

WORDS = ["parcel", "refund", "invoice", "broken", "late", "hello"]
FILLERS = ["please", "thanks", "order", "number", "yesterday", "customer", "again"]


def letters(
    n: int, rates: Sequence[float], spread: float = 1.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return embeddings that are sums of their labels' directions, the labels, and texts that mostly name them."""
    rng = np.random.default_rng(seed)
    y = rng.random((n, len(rates))) < np.array(rates)
    embeddings = y @ rng.normal(size=(len(rates), 16)) + spread * rng.normal(size=(n, 16))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    texts = []
    for row in y:
        named = [WORDS[label] for label in np.flatnonzero(row) if rng.random() < 0.8]
        texts.append(" ".join([*named, *rng.choice(FILLERS, 3)]))
    return embeddings.astype(np.float32), y, texts


LABEL_SETS = st.integers(0, 2**32).map(
    lambda seed: (
        np.random.default_rng(seed).random((seed % 60 + 2, seed % 5 + 1))
        < np.random.default_rng(seed + 1).choice([0.02, 0.2, 0.5, 1.0], seed % 5 + 1)
    )
)


@pytest.mark.parametrize(
    ("written", "labels"),
    [
        ("", ()),
        ("late", ("late",)),
        (" late |damaged| late", ("damaged", "late")),
        ("|late||", ("late",)),
        ("very late", ("very late",)),
        ([], ()),
        (["late", " damaged "], ("damaged", "late")),
        (["late|lost", ""], ("late", "lost")),
    ],
)
def test_label_sets_are_read(written: str | list[str], labels: tuple[str, ...]) -> None:
    """Labels come out sorted, once each, without spaces around them, and joining them is the way back."""
    assert split_labels(written) == labels
    assert split_labels(join_labels(labels)) == labels


@settings(deadline=None)
@given(st.lists(st.text(), max_size=6))
def test_joined_labels_are_read_back(labels: list[str]) -> None:
    """Whatever was written, a second round changes nothing."""
    once = split_labels(labels)
    assert split_labels(join_labels(once)) == once
    assert join_labels(split_labels(join_labels(labels))) == join_labels(labels)


@settings(deadline=None)
@given(LABEL_SETS, st.integers(2, 5), st.integers(0, 9))
def test_every_training_part_knows_every_label(y: np.ndarray, n_folds: int, seed: int) -> None:
    """No fold takes all documents of a label, and folds are numbered without a gap."""
    folds = stratify(y, n_folds, seed)
    held_out = folds[folds != ALWAYS_IN_TRAINING]
    assert set(held_out) == set(range(held_out.max(initial=-1) + 1))
    assert held_out.max(initial=-1) < n_folds
    for fold in set(held_out):
        assert (y[folds != fold].any(axis=0) == y.any(axis=0)).all()


@settings(deadline=None)
@given(LABEL_SETS, st.integers(0, 9), st.randoms(use_true_random=False))
def test_folds_do_not_depend_on_the_order_of_labels(y: np.ndarray, seed: int, random: st.DataObject) -> None:
    """Permuting labels leaves every document in its fold."""
    order = list(range(y.shape[1]))
    random.shuffle(order)
    assert np.array_equal(stratify(y, 3, seed), stratify(y[:, order], 3, seed))


def test_folds_spread_rare_and_frequent_labels() -> None:
    """Each label's documents, and all documents, are spread evenly."""
    y = letters(600, [0.4, 0.1, 0.03, 0.02])[1]
    folds = stratify(y, 3, 0)
    counts = np.array([y[folds == fold].sum(axis=0) for fold in range(3)])
    assert (counts.max(axis=0) - counts.min(axis=0) <= 2).all()
    assert np.ptp(np.bincount(folds)) <= 2
    assert np.array_equal(folds, stratify(y, 3, 0))
    assert not np.array_equal(folds, stratify(y, 3, 1))


def test_groups_are_held_out_together() -> None:
    """Equal texts share a fold, even where their labels differ."""
    y = letters(120, [0.3, 0.2])[1]
    groups = np.arange(120) // 3
    folds = stratify(y, 5, 0, groups)
    assert all(len(set(folds[groups == group])) == 1 for group in np.unique(groups))
    assert set(folds) == {0, 1, 2, 3, 4}


def test_the_only_group_of_a_label_stays_in_training() -> None:
    """A label that one text alone has is never asked for before it was seen."""
    y = np.zeros((9, 2), dtype=bool)
    y[::2, 0], y[[3, 4], 1] = True, True
    folds = stratify(y, 3, 0, np.array([0, 1, 2, 3, 3, 5, 6, 7, 8]))
    assert folds[3] == folds[4] == ALWAYS_IN_TRAINING
    assert (folds == ALWAYS_IN_TRAINING).sum() == 2


@pytest.mark.parametrize("groups", [None, np.array([4, 4])])
def test_too_few_documents_are_not_held_out(groups: np.ndarray | None) -> None:
    """One text, once or twice, cannot be held out."""
    y = np.ones((1 if groups is None else 2, 1), dtype=bool)
    assert set(stratify(y, 5, 0, groups)) == {ALWAYS_IN_TRAINING}


@pytest.mark.parametrize("c", [1.0, 30.0])
def test_logistic_regressions_are_those_of_scikit_learn(c: float) -> None:
    """Fitted all at once, each label's weights are the same as alone."""
    embeddings, y, _ = letters(400, [0.5, 0.2, 0.05])
    coef, intercept = fit_logistic_all(embeddings, y, c)
    assert (coef.shape, coef.dtype, intercept.dtype) == ((3, 16), np.float32, np.float32)
    for label in range(3):
        alone = LogisticRegression(C=c, tol=1e-8, max_iter=1000).fit(embeddings, y[:, label])
        expected = alone.decision_function(embeddings)
        assert np.abs(embeddings @ coef[label] + intercept[label] - expected).mean() < 0.05 * expected.std()


@pytest.mark.parametrize("c", [0.1, 1.0])
def test_machines_are_those_of_scikit_learn(c: float) -> None:
    """Fitted many at once, each label's margins are the same as alone, and a warm start leads to them, too."""
    _, y, texts = letters(300, [0.5, 0.2, 0.05])
    rows = fit_lexicon(texts)[1].matrix()
    coef, intercept = fit_margins_all(rows, y, c)
    assert (coef.shape, coef.dtype, intercept.dtype) == ((rows.shape[1], 3), np.float32, np.float32)
    warm, bias = fit_margins_all(rows, y, c, start=fit_margins_all(rows, y, c / 3))
    for label in range(3):
        alone = LinearSVC(C=c, tol=1e-6, max_iter=10_000, random_state=0).fit(rows, y[:, label])
        expected = alone.decision_function(rows)
        assert np.abs(rows @ coef[:, label] + intercept[label] - expected).mean() < 0.05 * expected.std()
        assert np.abs(rows @ warm[:, label] + bias[label] - expected).mean() < 0.05 * expected.std()


def test_machines_of_many_labels_are_independent() -> None:
    """Neither the number nor the order of labels changes what one of them learns."""
    _, y, texts = letters(80, [0.3] * 6)
    y = np.hstack([y] * 4)
    rows = fit_lexicon(texts)[1].matrix()
    coef, _ = fit_margins_all(rows, y, 0.3)
    assert coef.shape[1] == 24
    assert all(np.allclose(coef[:, :6], coef[:, 6 * part : 6 * part + 6], atol=0.02) for part in range(4))


def test_a_warm_start_leads_to_the_same_weights() -> None:
    """Where the solver begins decides how long it takes."""
    embeddings, y, _ = letters(400, [0.5, 0.2])
    cold = fit_logistic_all(embeddings, y, 10.0)
    warm = fit_logistic_all(embeddings, y, 10.0, start=fit_logistic_all(embeddings, y, 1.0))
    assert np.allclose(embeddings @ cold[0].T + cold[1], embeddings @ warm[0].T + warm[1], atol=0.1)


@pytest.mark.parametrize("truth", [True, False])
def test_labels_that_never_vary_are_constant(truth: bool) -> None:
    """A label of all documents, or of none, has no weights, and an intercept that says which."""
    embeddings, y, _ = letters(30, [0.5, 0.5])
    y[:, 1] = truth
    coef, intercept = fit_logistic_all(embeddings, y, 1.0)
    assert coef[0].any()
    assert not coef[1].any()
    assert (intercept[1] > 0) == truth


RATES = [0.4, 0.15, 0.05, 0.02]


@pytest.fixture(scope="module")
def fitted() -> tuple[np.ndarray, np.ndarray, list[str], MultiLabelFit]:
    """Train a head of four labels; a few documents have none."""
    embeddings, y, texts = letters(300, RATES)
    return embeddings, y, texts, fit_multi_label(embeddings, y, texts=texts)


def test_head_is_plain_arrays(fitted: tuple[np.ndarray, np.ndarray, list[str], MultiLabelFit]) -> None:
    """Shapes and precision are as documented, and each label has a probability of its own."""
    embeddings, y, texts, fit = fitted
    assert fit.lexicon is not None
    assert fit.head.lexical is not None
    assert (fit.head.coef.shape, fit.head.lexical.coef.shape) == ((4, 16), (len(fit.lexicon), 4))
    assert {array.dtype for array in (fit.head.coef, fit.head.intercept, fit.head.lexical.coef)} == {np.dtype("f4")}
    assert (fit.head.temperature, fit.head.is_multi_label) == (1, True)
    assert ((fit.thresholds > 0) & (fit.thresholds <= 1)).all()
    proba = fit.head.predict_proba(embeddings, fit.lexicon.transform(texts))
    assert macro_f1(decide(proba, fit.thresholds), y) > 0.8


def test_held_out_answers_are_good_and_calibrated(
    fitted: tuple[np.ndarray, np.ndarray, list[str], MultiLabelFit],
) -> None:
    """Held-out labels are found, and as often as their probabilities say."""
    _, y, _, fit = fitted
    assert fit.n_folds == 5
    assert macro_f1(fit.held_out_decisions, y) > 0.6
    assert fit.held_out_proba.mean(axis=0) == pytest.approx(y.mean(axis=0), abs=0.03)


def test_both_halves_are_measured(fitted: tuple[np.ndarray, np.ndarray, list[str], MultiLabelFit]) -> None:
    """The race lists the halves alone and together; together they have the lowest loss."""
    _, y, _, fit = fitted
    assert set(fit.baselines) == {DENSE, LEXICAL}
    assert all(decisions.shape == y.shape for decisions in fit.baselines.values())
    alone = [entrant for entrant in fit.race if entrant.features != BOTH and entrant.n_documents == len(y)]
    assert fit.race[-1].features == BOTH
    assert fit.race[-1].loss <= min(entrant.loss for entrant in alone)
    dense = [entrant for entrant in fit.race if entrant.features == DENSE]
    assert [entrant.c for entrant in dense if entrant.chosen] == [fit.inverse_regularisation]
    assert min(dense, key=lambda entrant: entrant.loss).chosen


def test_random_labels_stay_unpredictable() -> None:
    """Where there is nothing to learn, held-out answers are no better than giving a label to all."""
    embeddings, _, texts = letters(200, [0.4, 0.2])
    y = np.random.default_rng(9).random((200, 2)) < 0.3
    fit = fit_multi_label(embeddings, y, texts=texts)
    assert macro_f1(fit.held_out_decisions, y) < macro_f1(np.ones_like(y), y) + 0.05
    assert ((fit.held_out_proba - y) ** 2).mean() > 0.9 * (0.3 * 0.7)


def test_repeated_texts_do_not_flatter() -> None:
    """Random labels stay unpredictable, however often each document is repeated."""
    rng = np.random.default_rng(3)
    y = np.repeat(rng.random((50, 2)) < 0.5, 4, axis=0)
    embeddings = np.repeat(rng.normal(size=(50, 32)), 4, axis=0).astype(np.float32)
    texts = [f"unique{number}" for number in range(50) for _ in range(4)]
    fit = fit_multi_label(embeddings, y, texts=texts, groups=np.repeat(np.arange(50), 4))
    assert ((fit.held_out_proba >= 0.5) == y).mean() < 0.65


def test_permuting_labels_permutes_the_head() -> None:
    """The order of labels decides the order of columns and nothing else."""
    embeddings, y, texts = letters(150, RATES)
    order = np.array([2, 0, 3, 1])
    plain, other = (fit_multi_label(embeddings, labels, texts=texts) for labels in (y, y[:, order]))
    assert np.array_equal(plain.folds, other.folds)
    assert np.allclose(plain.thresholds[order], other.thresholds, atol=1e-2)
    assert np.allclose(plain.held_out_proba[:, order], other.held_out_proba, atol=1e-2)
    assert np.allclose(plain.head.coef[order], other.head.coef, atol=0.05)


def test_same_seed_same_head_for_any_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training twice, on all cores and on one, gives the same bits."""
    embeddings, y, texts = letters(120, [0.4, 0.1])
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "3")
    every = fit_multi_label(embeddings, y, texts=texts, seed=3)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert cpu_count() == 1
    with threadpool_limits(1):
        one = fit_multi_label(embeddings, y, texts=texts, seed=3)
    assert np.array_equal(every.head.coef, one.head.coef)
    assert np.array_equal(every.thresholds, one.thresholds)
    assert np.array_equal(every.held_out_proba, one.held_out_proba)


def test_embeddings_are_learned_anew_in_each_fold() -> None:
    """An embedder that learns is asked once per fold, and never shown what it is measured on."""
    embeddings, y, texts = letters(100, [0.4, 0.2])
    asked: list[np.ndarray] = []

    def refit(seen: np.ndarray) -> np.ndarray:
        asked.append(seen)
        return embeddings

    fit = fit_multi_label(embeddings, y, texts=texts, refit=refit)
    assert len(asked) == fit.n_folds
    assert all(np.array_equal(seen, fit.folds != fold) for fold, seen in enumerate(asked))


def test_texts_without_terms_leave_the_dense_half() -> None:
    """Where no text has a word, the head is on embeddings alone."""
    embeddings, y, _ = letters(60, [0.4, 0.2])
    fit = fit_multi_label(embeddings, y, texts=["   "] * 60)
    assert (fit.lexicon, fit.head.lexical) == (None, None)
    assert set(fit.baselines) == {DENSE}
    assert np.isfinite(fit.head.scores(embeddings)).all()


@pytest.mark.parametrize("n_true", [0, 1, 2, 60])
def test_one_label_of_any_frequency_trains(n_true: int) -> None:
    """A single label that no document has, or one, two or all of them, gives finite answers."""
    embeddings, _, texts = letters(60, [0.3])
    y = np.zeros((60, 1), dtype=bool)
    y[:n_true] = True
    fit = fit_multi_label(embeddings, y, texts=texts)
    assert fit.lexicon is not None
    assert np.isfinite(fit.head.scores(embeddings, fit.lexicon.transform(texts))).all()
    assert 0 < fit.thresholds[0] <= 1
    assert (fit.folds == ALWAYS_IN_TRAINING).sum() == (n_true == 1)


def test_one_document_trains_without_measuring() -> None:
    """Nothing can be held out, so nothing is claimed."""
    fit = fit_multi_label(np.eye(1, 4, dtype=np.float32), np.array([[True, False]]), texts=["hello"])
    assert (fit.n_folds, fit.race, fit.baselines) == (0, (), {})
    assert fit.thresholds.tolist() == [0.5, 0.5]
    assert not fit.held_out_proba.any()
    assert fit.lexicon is not None
    proba = fit.head.predict_proba(np.eye(1, 4, dtype=np.float32), fit.lexicon.transform(["hello"]))
    assert decide(proba, fit.thresholds).tolist() == [[True, False]]


@settings(max_examples=8, deadline=None)
@given(LABEL_SETS, st.integers(0, 99))
def test_any_label_sets_train(y: np.ndarray, seed: int) -> None:
    """Whatever documents have which labels, answers are finite and thresholds are none of 0."""
    embeddings, _, texts = letters(len(y), [0.3] * y.shape[1], seed=seed)
    fit = fit_multi_label(embeddings, y, texts=texts, seed=seed)
    assert np.isfinite(fit.head.scores(embeddings, fit.lexicon.transform(texts) if fit.lexicon else None)).all()
    assert ((fit.held_out_proba >= 0) & (fit.held_out_proba <= 1)).all()
    assert ((fit.thresholds > 0) & (fit.thresholds <= 1)).all()
    assert fit.held_out_decisions.shape == y.shape
