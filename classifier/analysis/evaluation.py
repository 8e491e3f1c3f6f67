"""How good the answers are: metrics with intervals, from probabilities and true labels alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints
from classifier.analysis.intervals import wilson_interval

N_BINS = 15
N_RESAMPLES = 1000
MOST_MATRIX_LABELS = 300
MOST_CONFUSED = 1000
_SMALLEST_PROBABILITY = 1e-12


@dataclass(frozen=True, slots=True)
class ClassScores:
    """How one label fares; every score in [0, 1].

    Attributes
    ----------
    n_documents : int
        Documents that truly have the label.
    n_predicted : int
        Documents that were given it.
    precision, recall, f1 : float
        0 where undefined.
    """

    n_documents: int
    n_predicted: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Documents of similar confidence: how sure the answers were, and how many were right."""

    n_documents: int
    mean_confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics of a set of answers.

    Attributes
    ----------
    n_documents : int
        How many labelled documents were measured.
    accuracy, macro_f1 : float
        In [0, 1].
    accuracy_interval, macro_f1_interval : tuple of float
        95 % intervals: Wilson's for accuracy, `resampled_interval` of 1,000 resamples for macro-F1; where none or
        all of the answers are right, resamples cannot vary, and macro-F1 gets the interval of accuracy.
    log_loss : float
        Mean negative log probability of the true label, in nats.
    brier : float
        Mean squared distance between probabilities and truth, summed over labels, in [0, 2].
    ece : float
        Expected calibration error over 15 bins of equal width, in [0, 1].
    majority_accuracy, majority_macro_f1 : float
        What always answering the most frequent label of the training documents would score.
    per_class : dict of str to ClassScores
        Labels that occur in the truth or in the answers.
    labels : list of str
        Row and column names of `confusion`.
    confusion : list of list of int
        Rows are true labels, columns are answers.
    reliability : list of ReliabilityBin
        Only bins with documents, by rising confidence.
    unknown_labels : list of str
        True labels that the model does not have; their documents count as wrong.
    """

    n_documents: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    macro_f1: float
    macro_f1_interval: tuple[float, float]
    log_loss: float
    brier: float
    ece: float
    majority_accuracy: float
    majority_macro_f1: float
    per_class: dict[str, ClassScores]
    labels: list[str]
    confusion: list[list[int]]
    reliability: list[ReliabilityBin]
    unknown_labels: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON.

        Above 300 labels, whose matrix would take megabytes, ``confusion`` is empty, and ``confused`` lists row, column
        and number of the most frequent errors instead.
        """
        if len(self.labels) <= MOST_MATRIX_LABELS:
            return asdict(self)
        values = asdict(replace(self, confusion=[]))
        errors = np.array(self.confusion)
        np.fill_diagonal(errors, 0)
        rows, columns = np.nonzero(errors)
        order = np.argsort(-errors[rows, columns], kind="stable")[:MOST_CONFUSED]
        triples = zip(rows[order], columns[order], errors[rows[order], columns[order]], strict=True)
        return values | {"confused": [[int(number) for number in triple] for triple in triples]}


def evaluate(
    proba: Floats,
    classes: Sequence[str],
    labels: Sequence[str],
    *,
    majority: str,
    n_distinct: int | None = None,
    seed: int = 0,
) -> Evaluation:
    """Measure answers against true labels.

    Parameters
    ----------
    proba : ndarray of float64, shape (n_documents, n_classes)
        Calibrated probabilities; rows follow `labels`, columns follow `classes`.
    classes : sequence of str
        The model's labels.
    labels : sequence of str
        True labels, at least one; some may be unknown to the model.
    majority : str
        Most frequent label of the training documents.
    n_distinct : int or None
        How many of the documents differ from each other; copies of a document do not make an interval narrower. All of
        them where None.
    seed : int, default=0
        Decides the resamples behind the interval of macro-F1.

    Examples
    --------
    >>> proba = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> evaluate(proba, ["no", "yes"], ["no", "yes"], majority="no").accuracy
    1.0
    """
    unknown = sorted(set(labels) - set(classes))
    names = [*classes, *unknown]
    code = {name: index for index, name in enumerate(names)}
    truth = np.array([code[label] for label in labels], dtype=np.intp)
    answers = proba.argmax(axis=1)
    confusion = _confusion(truth, answers, len(names))
    seen = np.flatnonzero(confusion.sum(axis=0) + confusion.sum(axis=1))
    n_correct = int((answers == truth).sum())
    n = len(truth) if n_distinct is None else n_distinct
    interval = wilson_interval(n_correct * n / len(truth), n)
    per_class = _per_class(confusion)
    majority_answers = np.full(len(truth), code[majority])
    majority_scores = _per_class(_confusion(truth, majority_answers, len(names)))
    bins = reliability(proba.max(axis=1), answers == truth)
    return Evaluation(
        n_documents=len(truth),
        accuracy=n_correct / len(truth),
        accuracy_interval=interval,
        macro_f1=_macro_f1(per_class),
        macro_f1_interval=_macro_f1_interval(truth, answers, n, _macro_f1(per_class), seed)
        if 0 < n_correct < len(truth)
        else interval,
        log_loss=float(-np.log(_true_probability(proba, truth)).mean()),
        brier=_brier(proba, truth),
        ece=sum(item.n_documents * abs(item.accuracy - item.mean_confidence) for item in bins) / len(truth),
        majority_accuracy=float((truth == majority_answers).mean()),
        majority_macro_f1=_macro_f1(majority_scores),
        per_class={names[index]: per_class[index] for index in seen},
        labels=[names[index] for index in seen],
        confusion=confusion[np.ix_(seen, seen)].tolist(),
        reliability=bins,
        unknown_labels=unknown,
    )


def score_answers(answers: Ints, truth: Ints, n_classes: int) -> tuple[float, float]:
    """Return accuracy and macro-F1 of answers, both in [0, 1]; arrays of shape (n_documents,), at least one.

    Examples
    --------
    >>> score_answers(np.array([0, 0]), np.array([0, 1]), 2)
    (0.5, 0.3333333333333333)
    """
    return float((answers == truth).mean()), _macro_f1(_per_class(_confusion(truth, answers, n_classes)))


def reliability(confidence: Floats, correct: NDArray[np.bool_]) -> list[ReliabilityBin]:
    """Group answers by confidence into 15 bins of equal width; empty bins are left out."""
    positions = np.minimum((confidence * N_BINS).astype(np.intp), N_BINS - 1)
    return [
        ReliabilityBin(int(inside.sum()), float(confidence[inside].mean()), float(correct[inside].mean()))
        for inside in (positions == number for number in range(N_BINS))
        if inside.any()
    ]


def _confusion(truth: Ints, answers: Ints, n_names: int) -> NDArray[np.int64]:
    """Count answers by true label (rows) and given label (columns)."""
    return np.bincount(truth * n_names + answers, minlength=n_names**2).reshape(n_names, n_names)


def class_scores(hits: Ints, n_true: Ints, n_given: Ints) -> list[ClassScores]:
    """Score labels by the documents that have and were given each, that have it, and that were given it."""
    return [
        ClassScores(
            n_documents=int(true),
            n_predicted=int(given),
            precision=float(hit / given) if given else 0.0,
            recall=float(hit / true) if true else 0.0,
            f1=float(2 * hit / (true + given)) if true + given else 0.0,
        )
        for hit, true, given in zip(hits, n_true, n_given, strict=True)
    ]


def _per_class(confusion: NDArray[np.int64]) -> list[ClassScores]:
    """Score every label of a confusion matrix."""
    return class_scores(confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0))


def _macro_f1(scores: Sequence[ClassScores]) -> float:
    """Average F1 over the labels that occur in the truth or in the answers."""
    return float(np.mean([score.f1 for score in scores if score.n_documents + score.n_predicted]))


def resampled_interval(resampled: Floats, value: float) -> tuple[float, float]:
    """Return a 95 % interval of a share from what it is in resamples of the documents.

    Parameters
    ----------
    resampled : ndarray of float64, shape (n_resamples,)
        The share in each resample.
    value : float
        The share in the documents themselves.

    Notes
    -----
    The 2.5th and 97.5th percentiles, moved by as much as the mean of the resamples is off: labels of one or two
    documents are missing from many resamples, and a mean over labels is then too low in nearly all of them.

    References
    ----------
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 10.3

    Examples
    --------
    >>> [round(bound, 3) for bound in resampled_interval(np.array([0.2, 0.3, 0.4]), 0.5)]
    [0.405, 0.595]
    """
    low, high = np.percentile(resampled, [2.5, 97.5]) + (value - resampled.mean())
    return max(0.0, min(float(low), value)), min(1.0, max(float(high), value))


def _macro_f1_interval(truth: Ints, answers: Ints, n: int, value: float, seed: int) -> tuple[float, float]:
    """Resample the documents, so many at a time."""
    from scipy.sparse import csr_array

    n_names = int(max(truth.max(), answers.max())) + 1
    pairs, counts = np.unique(np.stack([truth, answers]), axis=1, return_counts=True)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(n, counts / len(truth), size=N_RESAMPLES).astype(np.float64)
    of_true, of_answer = (
        csr_array((np.ones(len(codes)), (np.arange(len(codes)), codes)), shape=(len(codes), n_names)) for codes in pairs
    )
    n_true, n_given = draws @ of_true, draws @ of_answer
    hits = draws @ of_true.multiply(of_answer)
    present = (n_true + n_given) > 0
    f1 = np.divide(2 * hits, n_true + n_given, out=np.zeros_like(hits), where=present)
    return resampled_interval(f1.sum(axis=1) / present.sum(axis=1), value)


def _true_probability(proba: Floats, truth: Ints) -> Floats:
    """Return the probability given to each true label, never quite 0; unknown labels have none."""
    known = truth < proba.shape[1]
    given = np.zeros(len(truth))
    given[known] = proba[known, truth[known]]
    return np.maximum(given, _SMALLEST_PROBABILITY)


def _brier(proba: Floats, truth: Ints) -> float:
    """Return the multi-class Brier score."""
    known = truth < proba.shape[1]
    given = np.where(known, proba[np.arange(len(truth)), np.where(known, truth, 0)], 0.0)
    return float(((proba**2).sum(axis=1) - 2 * given + 1).mean())
