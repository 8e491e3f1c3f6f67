"""Answers of any number of labels: which labels a document is given, and how good such answers are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints, sigmoid
from classifier.analysis.evaluation import (
    N_RESAMPLES,
    ClassScores,
    ReliabilityBin,
    class_scores,
    reliability,
    resampled_interval,
)
from classifier.analysis.intervals import wilson_interval
from classifier.analysis.label_scales import Bools, fit_label_scales

_PULL_OF_THRESHOLDS = 20.0
_N_THRESHOLDS = 99
_SMALLEST = 1e-9
_BLOCK_NUMBERS = 4_000_000


@dataclass(frozen=True, slots=True)
class MultiLabelEvaluation:
    """Metrics of answers of any number of labels.

    Attributes
    ----------
    n_documents : int
        How many documents were measured.
    exact_match : float
        Share of documents that were given exactly their labels, in [0, 1].
    micro_f1, macro_f1 : float
        F1 of all decisions together, and the mean of the labels' F1; labels that neither the truth nor an answer has
        are left out. 1 where there is no label at all.
    exact_match_interval, macro_f1_interval : tuple of float
        95 % intervals: Wilson's for exact matches, 1,000 resamples for macro-F1; where every answer is right, or no
        given label is, resamples cannot vary, and macro-F1 gets Wilson's, too, of the documents with any label.
    ece : float
        Expected calibration error of the probabilities of all labels over 15 bins of equal width, in [0, 1].
    brier : float
        Mean squared distance between probabilities and truth, over all documents and labels, in [0, 1].
    mean_true_labels, mean_given_labels : float
        Labels per document, in the truth and in the answers.
    no_label_fraction : float
        Share of documents that were given no label.
    majority_exact_match, majority_macro_f1 : float
        What always answering the most frequent set of labels would score.
    per_class : dict of str to ClassScores
        Labels that occur in the truth or in the answers.
    reliability : list of ReliabilityBin
        Decisions about single labels by rising probability; `accuracy` is the share that the label was right for.
    unknown_labels : list of str
        True labels that the model does not have; their documents are no exact match.
    """

    n_documents: int
    exact_match: float
    exact_match_interval: tuple[float, float]
    micro_f1: float
    macro_f1: float
    macro_f1_interval: tuple[float, float]
    ece: float
    brier: float
    mean_true_labels: float
    mean_given_labels: float
    no_label_fraction: float
    majority_exact_match: float
    majority_macro_f1: float
    per_class: dict[str, ClassScores]
    reliability: list[ReliabilityBin]
    unknown_labels: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def tune_thresholds(proba: Floats, y: Bools) -> Floats:
    """Find for each label the probability from which on it is given, so that F1 is highest.

    Parameters
    ----------
    proba : ndarray of float64, shape (n_documents, n_classes)
        Calibrated probabilities of documents that were held out.
    y : ndarray of bool, shape (n_documents, n_classes)
        Which labels they have.

    Returns
    -------
    ndarray of float64, shape (n_classes,)
        In (0, 1].

    Notes
    -----
    The best threshold on few documents is mostly luck. A label's own is therefore averaged, on the scale of log odds,
    with the threshold that has the best macro-F1 when all labels share it; its own counts as much as it has
    documents, the shared one as much as `_PULL_OF_THRESHOLDS` documents.
    """
    grid = np.arange(1, _N_THRESHOLDS + 1) / (_N_THRESHOLDS + 1)
    n_true = y.sum(axis=0)
    f1 = np.stack([_f1_by_threshold(column, truth, grid) for column, truth in zip(proba.T, y.T, strict=True)])
    shared = _middle_of_best(grid, f1[n_true > 0].mean(axis=0)) if n_true.any() else 0.5
    own = np.array([_best_threshold(column, truth, shared) for column, truth in zip(proba.T, y.T, strict=True)])
    trust = n_true / (n_true + _PULL_OF_THRESHOLDS)
    return sigmoid(trust * _log_odds(own) + (1 - trust) * _log_odds(np.array(shared)))


def decide(proba: Floats, thresholds: Floats) -> Bools:
    """Give each document the labels that reach their thresholds, shape (n_documents, n_classes); maybe none."""
    return np.asarray(proba >= thresholds)


def cross_fitted(scores: Sequence[NDArray[np.floating]], y: Bools, folds: Ints) -> tuple[Floats, Bools]:
    """Calibrate held-out scores and decide, without using a document's own fold.

    Parameters
    ----------
    scores : sequence of ndarray, each of shape (n_documents, n_classes)
        Out-of-fold scores, to be added up as `fit_label_scales` finds.
    y : ndarray of bool, shape (n_documents, n_classes)
        Which labels the documents have.
    folds : ndarray of int, shape (n_documents,)
        Fold of each document.

    Returns
    -------
    proba : ndarray of float64, shape (n_documents, n_classes)
    decisions : ndarray of bool, shape (n_documents, n_classes)
        For each fold, scales and thresholds come from the other folds; this is what metrics are honest on.
    """
    proba, decisions = np.zeros(y.shape), np.zeros(y.shape, dtype=np.bool_)
    for fold in np.unique(folds):
        held_out = folds == fold
        others = ~held_out if (~held_out).any() else held_out
        known = [one[others] for one in scores]
        scales = fit_label_scales(known, y[others])
        proba[held_out] = scales.proba([one[held_out] for one in scores])
        decisions[held_out] = decide(proba[held_out], tune_thresholds(scales.proba(known), y[others]))
    return proba, decisions


def evaluate_multi_label(
    proba: Floats,
    decisions: Bools,
    classes: Sequence[str],
    y: Bools,
    *,
    majority: Bools | None = None,
    n_distinct: int | None = None,
    seed: int = 0,
) -> MultiLabelEvaluation:
    """Measure answers of any number of labels against true labels.

    Parameters
    ----------
    proba : ndarray of float64, shape (n_documents, n_known)
        Calibrated probabilities of the model's labels.
    decisions : ndarray of bool, shape (n_documents, n_known)
        Which labels were given.
    classes : sequence of str
        Names of the columns of `y`: first the model's labels, then those that it does not have.
    y : ndarray of bool, shape (n_documents, n_classes)
        Which labels are true; at least one document. See `label_matrix`.
    majority : ndarray of bool, shape (n_classes,), or None
        Most frequent set of labels of the training documents; that of `y` where None.
    n_distinct : int or None
        How many of the documents differ from each other; copies of a document do not make an interval narrower. All of
        them where None.
    seed : int, default=0
        Decides the resamples behind the interval of macro-F1.

    Examples
    --------
    >>> y = np.array([[True, False], [True, True]])
    >>> evaluate_multi_label(y.astype(float), y, ["late", "damaged"], y).exact_match
    1.0
    """
    n_known = proba.shape[1]
    missing = ((0, 0), (0, y.shape[1] - n_known))
    proba, decisions = np.pad(proba, missing), np.pad(decisions, missing)
    always = np.broadcast_to(_most_frequent(y) if majority is None else majority, y.shape)
    per_class = _per_class(decisions, y)
    n_exact = int((decisions == y).all(axis=1).sum())
    n = len(y) if n_distinct is None else n_distinct
    exact_interval = wilson_interval(n_exact * n / len(y), n)
    bins = reliability(proba.ravel(), y.ravel())
    return MultiLabelEvaluation(
        n_documents=len(y),
        exact_match=n_exact / len(y),
        exact_match_interval=exact_interval,
        micro_f1=micro_f1(decisions, y),
        macro_f1=macro_f1(decisions, y),
        macro_f1_interval=_macro_f1_interval(decisions, y, n, seed),
        ece=sum(item.n_documents * abs(item.accuracy - item.mean_confidence) for item in bins) / y.size,
        brier=float(((proba - y) ** 2).mean()),
        mean_true_labels=float(y.sum(axis=1).mean()),
        mean_given_labels=float(decisions.sum(axis=1).mean()),
        no_label_fraction=float((~decisions.any(axis=1)).mean()),
        majority_exact_match=float((always == y).all(axis=1).mean()),
        majority_macro_f1=macro_f1(always, y),
        per_class={
            name: scores
            for name, scores in zip(classes, per_class, strict=True)
            if scores.n_documents + scores.n_predicted
        },
        reliability=bins,
        unknown_labels=sorted(classes[n_known:]),
    )


def label_matrix(label_sets: Sequence[Sequence[str]], classes: Sequence[str]) -> tuple[Bools, list[str]]:
    """Say which labels each document has.

    Parameters
    ----------
    label_sets : sequence of sequence of str
        The labels of each document; maybe none.
    classes : sequence of str
        The model's labels.

    Returns
    -------
    y : ndarray of bool, shape (n_documents, n_classes)
    names : list of str
        What its columns stand for: `classes`, then all other labels, sorted.

    Examples
    --------
    >>> y, names = label_matrix([["late"], [], ["late", "lost"]], ["late"])
    >>> y.astype(int).tolist(), names
    ([[1, 0], [0, 0], [1, 1]], ['late', 'lost'])
    """
    names = [*classes, *sorted({label for labels in label_sets for label in labels} - set(classes))]
    code = {name: column for column, name in enumerate(names)}
    y = np.zeros((len(label_sets), len(names)), dtype=np.bool_)
    for row, labels in enumerate(label_sets):
        y[row, [code[label] for label in labels]] = True
    return y, names


def micro_f1(decisions: Bools, y: Bools) -> float:
    """Return F1 of all decisions together; 1 where nothing is true and nothing was given."""
    n_either = int(decisions.sum() + y.sum())
    return 2 * int((decisions & y).sum()) / n_either if n_either else 1.0


def macro_f1(decisions: Bools, y: Bools) -> float:
    """Average F1 over the labels that the truth or an answer has; 1 where there is none."""
    present = [scores.f1 for scores in _per_class(decisions, y) if scores.n_documents + scores.n_predicted]
    return float(np.mean(present)) if present else 1.0


def _per_class(decisions: Bools, y: Bools) -> list[ClassScores]:
    """Score every label."""
    return class_scores((decisions & y).sum(axis=0), y.sum(axis=0), decisions.sum(axis=0))


def _most_frequent(y: Bools) -> Bools:
    """Return the most frequent set of labels, the first one of several, shape (n_classes,)."""
    _, first_rows, counts = np.unique(np.packbits(y, axis=1), axis=0, return_index=True, return_counts=True)
    return np.asarray(y[first_rows[np.lexsort((first_rows, -counts))[0]]])


def _macro_f1_interval(decisions: Bools, y: Bools, n: int, seed: int) -> tuple[float, float]:
    """Resample the documents, so many at a time; where that cannot vary, take Wilson's interval."""
    n_exact = int((decisions == y).all(axis=1).sum())
    if n_exact == len(y):
        return wilson_interval(n, n)
    if not (decisions & y).any():
        return wilson_interval(0, max(1, round(n * (1 - n_exact / len(y)))))
    from scipy.sparse import csr_array

    pairs = np.packbits(np.hstack([y, decisions]), axis=1)
    _, rows, counts = np.unique(pairs, axis=0, return_index=True, return_counts=True)
    hits = csr_array((y[rows] & decisions[rows]).astype(np.float64))
    either = csr_array(y[rows].astype(np.float64) + decisions[rows])
    rng = np.random.default_rng(seed)
    found: list[Floats] = []
    while sum(map(len, found)) < N_RESAMPLES:
        size = min(N_RESAMPLES - sum(map(len, found)), max(1, _BLOCK_NUMBERS // len(counts)))
        draws = rng.multinomial(n, counts / len(y), size=size).astype(np.float64)
        n_hits, n_either = np.asarray(draws @ hits), np.asarray(draws @ either)
        f1 = np.divide(2 * n_hits, n_either, out=np.zeros_like(n_hits), where=n_either > 0)
        found.append(f1.sum(axis=1) / np.maximum((n_either > 0).sum(axis=1), 1))
    return resampled_interval(np.concatenate(found), macro_f1(decisions, y))


def _log_odds(proba: Floats) -> Floats:
    """Undo `sigmoid`, within what floats can tell from 0 and 1."""
    inside = np.clip(proba, _SMALLEST, 1 - _SMALLEST)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def _middle_of_best(thresholds: Floats, scores: Floats) -> float:
    """Return the middle one of the thresholds that are equally good."""
    best = np.flatnonzero(scores >= scores.max() - _SMALLEST)
    return float(thresholds[best[len(best) // 2]])


def _f1_by_threshold(proba: Floats, truth: Bools, thresholds: Floats) -> Floats:
    """Return one label's F1 at each of some rising thresholds."""
    n_given = len(proba) - np.searchsorted(np.sort(proba), thresholds)
    hits = truth.sum() - np.searchsorted(np.sort(proba[truth]), thresholds)
    return np.asarray(2 * hits / np.maximum(n_given + truth.sum(), 1))


def _best_threshold(proba: Floats, truth: Bools, shared: float) -> float:
    """Return the threshold of one label with the best F1, half way to the next lower probability."""
    if not truth.any():
        return shared
    order = np.argsort(-proba, kind="stable")
    ranked = proba[order]
    f1 = 2 * np.cumsum(truth[order]) / (np.arange(1, len(ranked) + 1) + truth.sum())
    f1[:-1][ranked[:-1] == ranked[1:]] = -1
    best = int(f1.argmax())
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float(ranked[best] + below) / 2
