"""What an audit finds: contradictions, suspected labels, overlaps; compared with definitions and with cleanlab."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cleanlab.count import num_label_issues
from cleanlab.filter import find_label_issues
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import cross_val_predict

from classifier.analysis.audit import (
    ISSUE_KINDS,
    Audit,
    Overlap,
    audit,
    label_quality,
    overlapping_labels,
    suspected_labels,
)
from classifier.errors import TrainingDataError

CLASSES = ["apple", "pear", "plum", "quince"]
LETTER = "please send the three boxes of fruit to the old mill"


@st.composite
def judged(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Draw probabilities without ties, with labels."""
    n_documents, n_classes = draw(st.integers(1, 40)), draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    y = rng.integers(0, n_classes, n_documents)
    y[: min(n_classes, n_documents)] = np.arange(min(n_classes, n_documents))
    proba = rng.dirichlet(np.full(n_classes, draw(st.sampled_from([0.2, 1.0, 5.0]))), n_documents)
    return proba, y


@st.composite
def shelves(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what an audit takes: few different texts, some of them nearly equal, some documents never held out."""
    n_documents, n_classes = draw(st.integers(1, 25)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kinds = rng.integers(0, 8, n_documents)
    held_out = rng.random(n_documents) < 0.8
    return {
        "texts": [f"{LETTER} {kind}" if kind < 4 else f"letter {kind}" for kind in kinds],
        "labels": rng.choice(CLASSES[:n_classes], n_documents).tolist(),
        "classes": CLASSES[:n_classes],
        "embeddings": np.eye(8, dtype=np.float32)[np.maximum(kinds, 1) // 2],
        "proba": rng.dirichlet(np.ones(n_classes), n_documents) * held_out[:, np.newaxis],
        "held_out": held_out,
    }


def audited(texts: list[str], labels: list[str], proba: np.ndarray | None = None, **changes: Any) -> Audit:
    """Audit documents without near ones; without probabilities, none was held out."""
    classes = changes.pop("classes", sorted(set(labels)))
    held_out = np.full(len(texts), proba is not None)
    given_proba = np.zeros((len(texts), len(classes))) if proba is None else proba
    options = {"embeddings": np.zeros((len(texts), 2), dtype=np.float32), "held_out": held_out, **changes}
    return audit(texts, labels, classes, proba=given_proba, **options)


def noisy_clusters(n_classes: int, n_documents: int, noise: float, seed: int) -> tuple[np.ndarray, ...]:
    """Draw clusters, flip some labels, classify each document held out; return probabilities, labels, what is wrong."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n_classes, 32))
    truth = rng.integers(0, n_classes, n_documents)
    vectors = 6 * (centres / np.linalg.norm(centres, axis=1, keepdims=True))[truth]
    vectors += rng.normal(size=vectors.shape)
    is_wrong = np.zeros(n_documents, dtype=bool)
    is_wrong[rng.permutation(n_documents)[: int(noise * n_documents)]] = True
    y = np.where(is_wrong, (truth + rng.integers(1, n_classes, n_documents)) % n_classes, truth)
    return cross_val_predict(LinearDiscriminantAnalysis(), vectors, y, method="predict_proba"), y, is_wrong


def test_quality_by_hand() -> None:
    """It is the share of the given label in the sum of its probability and that of the best other one."""
    proba = np.array([[0.6, 0.2, 0.2], [0.6, 0.2, 0.2], [0.4, 0.4, 0.2]])
    assert label_quality(proba, np.array([0, 1, 0])) == pytest.approx([0.75, 0.25, 0.5])


def test_a_label_that_is_ruled_out_is_worse_than_a_close_decision() -> None:
    """Between two labels, nine to one is less suspect than a label of no chance among many."""
    proba = np.array([[0.1, 0.9, 0.0, 0.0], [0.0, 0.4, 0.3, 0.3]])
    decided, ruled_out = label_quality(proba, np.array([0, 0]))
    assert ruled_out < decided


@given(judged())
def test_quality_tells_whether_another_label_is_more_probable(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    """It lies in [0, 1], and below the middle exactly where the answer is another label."""
    proba, y = drawn
    quality = label_quality(proba, y)
    assert ((quality >= 0) & (quality <= 1)).all()
    assert np.array_equal(quality < 0.5, proba.argmax(axis=1) != y)


def test_nothing_but_the_given_label() -> None:
    """With one class there is no other label to suspect; rows of zeros say nothing; no rows give none."""
    one_class, zeros = np.array([0, 0]), np.array([1])
    assert label_quality(np.ones((2, 1)), one_class).tolist() == [1.0, 1.0]
    assert not suspected_labels(np.ones((2, 1)), one_class).any()
    assert label_quality(np.zeros((1, 3)), zeros).tolist() == [0.5]
    for n_classes in (0, 3):
        nothing = np.empty((0, n_classes)), np.array([], dtype=np.intp)
        assert label_quality(*nothing).tolist() == suspected_labels(*nothing).tolist() == []


@pytest.mark.parametrize("n_classes", [2, 6, 20])
@pytest.mark.parametrize("seed", range(3))
def test_the_worst_labels_are_the_flipped_ones(n_classes: int, seed: int) -> None:
    """Of 5 % flipped labels, the worst 5 % hold at least nine in ten."""
    proba, y, is_wrong = noisy_clusters(n_classes, 1200, 0.05, seed)
    worst = np.argsort(label_quality(proba, y), kind="stable")[: int(0.05 * len(y))]
    assert is_wrong[worst].sum() >= 0.9 * is_wrong.sum()


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.1])
def test_suspected_are_the_flipped_labels(noise: float) -> None:
    """Most flipped labels are suspected, and hardly any other one."""
    proba, y, is_wrong = noisy_clusters(6, 1500, noise, seed=4)
    suspected = suspected_labels(proba, y)
    assert 0.65 * is_wrong.sum() <= suspected.sum() <= 1.1 * is_wrong.sum() + 3
    assert (suspected & is_wrong).sum() >= 0.95 * suspected.sum() - 1


@settings(deadline=None)
@given(judged())
def test_as_many_are_suspected_as_the_confident_joint_counts(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    """Their number is that of the definition, counted document by document, and none is better than one left out."""
    proba, y = drawn
    means = [proba[y == label, label].mean() if (y == label).any() else 2 for label in range(proba.shape[1])]
    n_counted = 0
    for shares, label in zip(proba, y, strict=True):
        confident = [number for number, share in enumerate(shares) if share >= means[number] - 1e-6]
        guess = confident[0] if len(confident) == 1 else int(shares.argmax())
        n_counted += bool(confident) and guess != label and shares.argmax() != label
    suspected, quality = suspected_labels(proba, y), label_quality(proba, y)
    assert suspected.sum() == n_counted
    assert quality[suspected].max(initial=0) <= quality[~suspected].min(initial=1)


@settings(deadline=None)
@given(judged())
def test_as_many_are_suspected_as_by_cleanlab(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    """The package that accompanies the paper counts the same; with two labels, it suspects the same documents."""
    proba, y = drawn
    assume(len(set(y.tolist())) > 1)
    suspected = suspected_labels(proba, y)
    assert suspected.sum() == num_label_issues(y, proba)
    if proba.shape[1] == 2:
        theirs = find_label_issues(y, proba, filter_by="low_normalized_margin", n_jobs=1)
        assert suspected.tolist() == theirs.tolist()


@pytest.mark.parametrize("n_classes", [2, 6, 20])
@pytest.mark.parametrize("filter_by", ["confident_learning", "prune_by_noise_rate", "both"])
def test_suspicion_is_as_good_as_cleanlabs(n_classes: int, filter_by: str) -> None:
    """Of as many documents as it suspects itself, ours holds no fewer flipped labels."""
    proba, y, is_wrong = noisy_clusters(n_classes, 1200, 0.05, seed=5)
    theirs = find_label_issues(y, proba, filter_by=filter_by, n_jobs=1)
    ours = np.argsort(label_quality(proba, y), kind="stable")[: theirs.sum()]
    assert is_wrong[ours].sum() >= is_wrong[theirs].sum()


@settings(deadline=None)
@given(judged())
def test_all_that_another_label_fits_better_is_listed(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    """Each document is suspected, doubtful or not listed, by the quality of its label alone where texts differ."""
    proba, y = drawn
    names = [f"name {number}" for number in range(proba.shape[1])]
    texts = [f"text {row}" for row in range(len(y))]
    found = audit(texts, [names[label] for label in y], names, np.eye(len(y), dtype=np.float32), proba, y >= 0)
    suspected, quality = suspected_labels(proba, y), label_quality(proba, y)
    kinds = {issue.row: issue.kind for issue in found.issues}
    assert kinds == {row: "suspected" if suspected[row] else "doubtful" for row in range(len(y)) if quality[row] < 0.5}
    assert found.n_suspected == suspected.sum()


def test_ties_are_not_held_against_the_given_label() -> None:
    """Where two labels are equally probable, neither is suspected."""
    assert not suspected_labels(np.full((4, 2), 0.5), np.array([0, 0, 1, 1])).any()


def test_overlaps_by_hand() -> None:
    """Pairs count in both directions; a share of 10 % and 5 documents are needed."""
    y = np.repeat([0, 1, 2, 3], [20, 20, 100, 20])
    answers = y.copy()
    answers[[0, 1, 2, 20, 21, 22]] = [1, 1, 1, 0, 0, 0]
    answers[[3, 4, 5, 6]] = 2
    answers[[140, 141, 142, 143, 144, 145, 146, 147]] = 2
    assert overlapping_labels(answers, y, CLASSES) == (Overlap("apple", "pear", 6, 6 / 40),)
    answers[[148, 149, 150, 151]] = 2
    found = overlapping_labels(answers, y, CLASSES)
    assert found == (Overlap("apple", "pear", 6, 0.15), Overlap("plum", "quince", 12, 0.1))


@given(judged())
def test_overlaps_are_off_the_diagonal_of_the_confusion(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    """Counts and shares are those of the confusion matrix, by falling share."""
    proba, y = drawn
    answers = proba.argmax(axis=1)
    found = overlapping_labels(answers, y, CLASSES)
    assert [one.share for one in found] == sorted((one.share for one in found), reverse=True)
    assert len({(one.label, one.other) for one in found}) == len(found)
    for one in found:
        label, other = CLASSES.index(one.label), CLASSES.index(one.other)
        n_confused = ((y == label) & (answers == other)).sum() + ((y == other) & (answers == label)).sum()
        assert label < other
        assert one.n_confused == n_confused >= 5
        assert one.share == n_confused / ((y == label) | (y == other)).sum() >= 0.1


def test_no_answers_do_not_overlap() -> None:
    """Without documents, or without mistakes, no pair is named."""
    none = np.array([], dtype=np.intp)
    assert overlapping_labels(none, none, CLASSES) == overlapping_labels(none, none, []) == ()
    assert overlapping_labels(np.arange(4), np.arange(4), CLASSES) == ()


def test_all_conflicting_texts_are_found() -> None:
    """118 texts twice under different labels, among others repeated under one: all 236 documents are named."""
    texts = [f"abstract {number}" for number in range(1000)]
    labels = [CLASSES[number % 4] for number in range(1000)]
    copies = [f" Abstract  {number} " for number in range(0, 590, 5)]
    repeats = ["abstract 999", "abstract 997"]
    found = audited(
        [*texts, *copies, *repeats],
        [*labels, *(CLASSES[(number + 1) % 4] for number in range(0, 590, 5)), *(labels[row] for row in (999, 997))],
    )
    assert (found.n_conflicting_texts, found.n_conflicting_documents, found.n_repeated) == (118, 236, 2)
    assert {issue.row for issue in found.issues} == {*range(0, 590, 5), *range(1000, 1118)}
    assert {issue.kind for issue in found.issues} == {"conflicting"}
    assert found.sentences()[0].startswith("118 texts with more than one label, in 236 documents")


def test_the_majority_of_equal_texts_is_suggested() -> None:
    """Two to one, the one is worse, and all three are named with the row of the other label."""
    found = audited(["a", "b", "A", "a "], ["pear", "plum", "plum", "pear"])
    assert [(one.row, one.label, one.suggested) for one in found.issues] == [
        (2, "plum", "pear"),
        (0, "pear", "pear"),
        (3, "pear", "pear"),
    ]
    assert [one.quality for one in found.issues] == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    assert [one.reason for one in found.issues] == [
        "the same text is also labelled 'pear' (row 1)",
        "the same text is also labelled 'plum' (row 3)",
        "the same text is also labelled 'plum' (row 3)",
    ]


def test_reasons_call_documents_by_their_ids() -> None:
    """Where documents have ids, another one is named by its own; as many as there are documents."""
    names = ["T-17", "T-18", "T-19"]
    found = audited(["a", "b", "A"], ["pear", "plum", "plum"], ids=names)
    assert {names[one.row]: one.reason for one in found.issues} == {
        "T-17": "the same text is also labelled 'plum' (id T-19)",
        "T-19": "the same text is also labelled 'pear' (id T-17)",
    }
    with pytest.raises(TrainingDataError, match="2 ids"):
        audited(["a", "b", "A"], ["pear", "plum", "plum"], ids=names[:2])


def test_probabilities_decide_where_equal_texts_tie() -> None:
    """One to one, the more probable label is suggested for both; without probabilities, none."""
    texts, labels = ["a", "a", "b"], ["pear", "plum", "plum"]
    found = audited(texts, labels, np.array([[0.2, 0.8], [0.2, 0.8], [0.1, 0.9]]))
    assert {(one.row, one.suggested) for one in found.issues} == {(0, "plum"), (1, "plum")}
    assert [one.row for one in found.issues] == [0, 1]
    assert {one.suggested for one in audited(texts, labels).issues} == {""}


def test_near_duplicates_with_another_label() -> None:
    """The odd one out is named and its many neighbours are not; one against one, both are."""
    texts = [f"{LETTER} one", f"{LETTER} two", f"{LETTER} three", "a note", "note a"]
    vectors = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 1]], dtype=np.float32)
    found = audited(texts, ["pear", "plum", "pear", "pear", "plum"], embeddings=vectors)
    assert found.n_near_duplicates == 5
    assert [(one.row, one.kind, one.suggested) for one in found.issues] == [
        (1, "near-duplicate", "pear"),
        (3, "near-duplicate", ""),
        (4, "near-duplicate", ""),
    ]
    assert found.issues[0].reason == "a nearly equal text is labelled 'pear' (row 1)"
    assert found.n_conflicting_texts == found.n_repeated == 0


def test_a_suspected_label_says_why() -> None:
    """Given and suggested label are in the reason, never more than 99 % sure."""
    proba = np.array([[0.99, 0.01], [0.98, 0.02], [0.999, 0.001], [0.1, 0.9]])
    (issue,) = audited(["a", "b", "c", "d"], ["pear", "pear", "plum", "plum"], proba).issues
    assert (issue.row, issue.kind, issue.label, issue.suggested) == (2, "suspected", "plum", "pear")
    assert issue.reason == "given 'plum', 99 % sure it is 'pear'"
    assert issue.quality == pytest.approx(0.001)


def test_one_entry_with_all_reasons() -> None:
    """A document that is wrong in two ways has the stronger kind, both reasons and the lower quality."""
    texts = ["a", "A", "b", "c", "d"]
    labels = ["plum", "pear", "pear", "pear", "plum"]
    proba = np.array([[0.97, 0.03], [0.97, 0.03], [0.9, 0.1], [0.8, 0.2], [0.1, 0.9]])
    found = audited(texts, labels, proba)
    first, second = found.issues
    assert (first.row, first.kind, first.suggested) == (0, "conflicting", "pear")
    assert first.quality == pytest.approx(0.03)
    assert first.reason == "the same text is also labelled 'pear' (row 2); given 'plum', 97 % sure it is 'pear'"
    assert (second.row, second.quality) == (1, 0.5)
    assert found.n_suspected == 1
    assert found.estimated_error_fraction == 1 / 5


def test_documents_that_were_never_held_out_are_not_judged() -> None:
    """Rows of zeros, and labels that are not among the classes, are left to the comparison of texts."""
    proba = np.array([[0.99, 0.01], [0.98, 0.02], [0.0, 0.0], [0.1, 0.9], [0.9, 0.1]])
    labels = ["pear", "pear", "plum", "plum", "a new one"]
    found = audited(
        list("abcde"), labels, proba, classes=["pear", "plum"], held_out=np.array([True, True, False, True, True])
    )
    assert found.issues == ()
    assert found.estimated_error_fraction == 0
    assert found.small_labels == {"a new one": 1, "pear": 2, "plum": 2}


def test_small_labels_are_rarest_first() -> None:
    """Labels with fewer than ten documents are counted, the single one is told apart."""
    labels = ["apple"] * 10 + ["pear"] * 9 + ["quince"] + ["plum"]
    found = audited([f"text {number}" for number in range(21)], labels)
    assert list(found.small_labels.items()) == [("plum", 1), ("quince", 1), ("pear", 9)]
    assert found.sentences() == (
        "2 labels with a single document, which cannot be measured: 'plum', 'quince'.",
        "1 label with fewer than 10 documents: 'pear'.",
    )


@settings(deadline=None)
@given(shelves(), st.randoms(use_true_random=False))
def test_order_of_documents_does_not_matter(drawn: dict[str, Any], random: st.random.Random) -> None:
    """Shuffled documents have the same issues, up to the row numbers in the reasons."""
    order = random.sample(range(len(drawn["texts"])), len(drawn["texts"]))
    shuffled = {name: value if name == "classes" else [value[row] for row in order] for name, value in drawn.items()}
    shuffled |= {name: np.array(shuffled[name]) for name in ("embeddings", "proba", "held_out")}
    found, again = audit(**drawn), audit(**shuffled)
    assert again.summary() == found.summary()
    kept = {one.row: (one.kind, one.suggested, pytest.approx(one.quality)) for one in found.issues}
    assert {order[one.row]: (one.kind, one.suggested, one.quality) for one in again.issues} == kept


@settings(deadline=None)
@given(shelves(), st.permutations(range(4)))
def test_order_of_classes_does_not_matter(drawn: dict[str, Any], order: list[int]) -> None:
    """With columns and names in another order, the issues are the same."""
    columns = [number for number in order if number < len(drawn["classes"])]
    turned = {**drawn, "classes": [drawn["classes"][number] for number in columns], "proba": drawn["proba"][:, columns]}
    found, again = audit(**drawn), audit(**turned)
    assert again.issues == found.issues
    assert {frozenset((one.label, one.other)) for one in again.overlaps} == {
        frozenset((one.label, one.other)) for one in found.overlaps
    }


@settings(deadline=None)
@given(shelves())
def test_issues_are_worst_first_and_one_for_each_document(drawn: dict[str, Any]) -> None:
    """Qualities rise, rows are different, kinds are known, and summaries survive JSON and hold no rows."""
    found = audit(**drawn)
    qualities = [one.quality for one in found.issues]
    assert qualities == sorted(qualities)
    assert all(0 <= quality <= 1 for quality in qualities)
    assert len({one.row for one in found.issues}) == len(found.issues)
    assert {one.kind for one in found.issues} <= set(ISSUE_KINDS)
    assert all(one.label == drawn["labels"][one.row] for one in found.issues)
    assert json.loads(json.dumps(found.summary())) == found.summary()
    assert sum(found.summary()["n_issues"].values()) == len(found.issues)
    assert "issues" not in found.summary()


def test_everything_found_is_said() -> None:
    """Each kind of finding is a sentence; long lists are cut with a count."""
    overlaps = tuple(Overlap("pear", f"plum {number}", 7, 0.25) for number in range(7))
    found = replace(
        audited([], []),
        n_documents=900,
        n_conflicting_texts=1,
        n_conflicting_documents=2,
        n_repeated=1,
        n_near_duplicates=4,
        n_suspected=12,
        estimated_error_fraction=0.0142,
        overlaps=overlaps,
    )
    first, suspected, repeated, near, *pairs, more = found.sentences()
    assert first == "1 text with more than one label, in 2 documents: decide on one label for each."
    assert suspected.startswith("12 documents with a label that is probably wrong, 1.4 % of those held out")
    assert repeated == "1 document with the text and label of an earlier one."
    assert near == "4 documents with a text that is nearly equal to another's."
    assert (
        pairs[0] == "'pear' and 'plum 0' are hard to tell apart: 25 % of their documents (7) were taken for the other."
    )
    assert len(pairs) == 5
    assert more == "2 more pairs of labels that are hard to tell apart."


def test_sentences_where_there_is_nothing_to_say() -> None:
    """No documents, and documents without any finding, get one sentence each."""
    assert audited([], []).sentences() == ("There are no documents.",)
    assert audit([], [], [], np.empty((0, 0), np.float32), np.empty((0, 0)), np.empty(0, bool)).issues == ()
    texts = [f"text {number}" for number in range(20)]
    proba = np.repeat([[0.9, 0.1], [0.1, 0.9]], 10, axis=0)
    found = audited(texts, ["pear"] * 10 + ["plum"] * 10, proba)
    assert found.sentences() == ("Nothing was found that deserves a look.",)


def test_one_label_for_all() -> None:
    """With a single class there is nothing to confuse."""
    found = audited([f"text {number}" for number in range(12)], ["pear"] * 12, np.ones((12, 1)))
    assert found.issues == found.overlaps == ()


def test_the_same_text_five_thousand_times_under_as_many_labels() -> None:
    """One text with 5,000 labels is one conflict, and the reasons stay short."""
    labels = [f"label {number:04}" for number in range(5000)]
    found = audited(["a text"] * 5000, labels, np.full((5000, 1), 1.0), classes=[labels[0]])
    assert (found.n_conflicting_texts, found.n_conflicting_documents) == (1, 5000)
    assert {one.suggested for one in found.issues} == {labels[0]}
    assert max(len(one.reason) for one in found.issues) < 200
    assert len(found.sentences()[-1]) < 300


def test_reasons_hold_no_text_and_no_long_label() -> None:
    """Documents are told by their row, labels are cut."""
    text, label = "a confidential letter " * 20, "a very long label " * 20
    found = audited([text, text], [label, "pear"])
    assert all("confidential" not in one.reason and len(one.reason) < 120 for one in found.issues)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": ["pear"]}, "2 texts, 1 labels, 2 rows of proba, 2 marks of held out"),
        ({"proba": np.ones((3, 2))}, "3 rows of proba"),
        ({"held_out": np.ones(1, dtype=bool)}, "1 marks of held out"),
        ({"proba": np.ones((2, 3))}, "2 classes, 3 columns of proba"),
        ({"embeddings": np.ones((1, 2), dtype=np.float32)}, "2 texts, 1 embeddings"),
    ],
)
def test_one_of_each_is_needed(changes: dict[str, Any], says: str) -> None:
    """Different numbers of rows or columns are refused in one sentence."""
    good: dict[str, Any] = {
        "texts": ["a", "b"],
        "labels": ["pear", "plum"],
        "classes": ["pear", "plum"],
        "embeddings": np.eye(2, dtype=np.float32),
        "proba": np.eye(2),
        "held_out": np.ones(2, dtype=bool),
    }
    assert audit(**good).issues == ()
    with pytest.raises(TrainingDataError, match=says):
        audit(**good | changes)
