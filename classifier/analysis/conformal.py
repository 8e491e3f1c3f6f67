"""Sets of labels that hold the true one as often as was asked for: split conformal prediction."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints
from classifier.errors import OptionError

ALWAYS_IN = 1.0
_DECIMALS = 9


@dataclass(frozen=True, slots=True)
class SetSummary:
    """How sets of labels fare on documents whose label is known; 0 throughout where there is none.

    Attributes
    ----------
    coverage : float
        Share of documents whose set holds their true label, in [0, 1].
    mean_size : float
        Labels in a set, on average.
    empty_fraction : float
        Share of sets without a label, in [0, 1].
    n_documents : int
        How many were measured.
    """

    coverage: float
    mean_size: float
    empty_fraction: float
    n_documents: int


def nonconformity(proba: Floats, y: Ints) -> Floats:
    """Tell how untypical each document is of its true class.

    Parameters
    ----------
    proba : ndarray of float64, shape (n_documents, n_classes)
        Calibrated probabilities from models that have not seen the document.
    y : ndarray of int, shape (n_documents,)
        True classes, as column numbers of `proba`.

    Returns
    -------
    ndarray of float64, shape (n_documents,)
        1 minus the probability of the true class, in [0, 1].

    Examples
    --------
    >>> nonconformity(np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([0, 1])).tolist()
    [0.25, 0.5]
    """
    return np.asarray(_untypicality(proba)[np.arange(len(y)), y])


def conformal_thresholds(
    scores: Floats, y: Ints, n_classes: int, confidence_level: float, *, per_class: bool
) -> Floats:
    """Find how untypical a label may be and still belong to the set.

    Parameters
    ----------
    scores : ndarray of float64, shape (n_documents,)
        From `nonconformity`.
    y : ndarray of int, shape (n_documents,)
        True classes, in [0, n_classes).
    n_classes : int
        Number of labels; some may have no document.
    confidence_level : float
        Share of sets that shall hold the true label, above 0 and below 1.
    per_class : bool
        False for one threshold, so that the level holds over all documents; True for one threshold per class, from its
        own documents, so that it holds for every label, also for a rare one.

    Returns
    -------
    ndarray of float64, shape (n_classes,)
        In [0, 1]. It is 1 where there are too few documents to promise the level: the label is then in every set.

    Raises
    ------
    OptionError
        When the level is not above 0 and below 1.

    Notes
    -----
    Of n scores the threshold is the one of rank ceil((n + 1) * level). A new document is as likely to fall into any of
    the n + 1 gaps between them, so the level is reached for any classifier and any distribution, and for the finite
    number of documents at hand. That is exact where one fixed model has seen none of the documents, and new documents
    are like them. Scores from cross-validation come from several models, each trained on fewer documents than the one
    that answers; the level is then met closely, but is not proven.

    References
    ----------
    Vovk (2012), Conditional validity of inductive conformal predictors, https://arxiv.org/abs/1209.2673
    Vovk (2015), Cross-conformal predictors, https://arxiv.org/abs/1208.0806
    Sadinle et al. (2019), Least Ambiguous Set-Valued Classifiers, https://arxiv.org/abs/1609.00451

    Examples
    --------
    >>> scores = np.array([0.4, 0.1, 0.3, 0.2])
    >>> conformal_thresholds(scores, np.array([0, 0, 1, 1]), 2, 0.6, per_class=False).tolist()
    [0.3, 0.3]
    >>> conformal_thresholds(scores, np.array([0, 0, 1, 1]), 2, 0.6, per_class=True).tolist()
    [0.4, 0.3]
    """
    if not (isinstance(confidence_level, Real) and 0 < confidence_level < 1):
        raise OptionError("confidence level", confidence_level, "a number between 0 and 1")
    if per_class:
        return _thresholds(scores, y, n_classes, confidence_level)
    return np.repeat(_thresholds(scores, np.zeros_like(y), 1, confidence_level), n_classes)


def prediction_sets(proba: Floats, thresholds: Floats) -> NDArray[np.bool_]:
    """Tell which labels belong to the set of each document.

    Parameters
    ----------
    proba : ndarray of float64, shape (n_documents, n_classes)
        Calibrated probabilities.
    thresholds : ndarray of float64, shape (n_classes,)
        From `conformal_thresholds`.

    Returns
    -------
    ndarray of bool, shape (n_documents, n_classes)
        Rows follow the documents, columns follow the classes; True where the label is in the set.

    Notes
    -----
    A set may be empty: no label is as typical as the level asks. We leave it so. The most probable label, put in
    regardless, would make a document that resembles nothing look like one with a single sure answer. Where the
    classifier is right more often than the level asks, part of the errors that the level allows are such empty sets; a
    higher level has fewer of them.

    Examples
    --------
    >>> proba = np.array([[0.9, 0.1], [0.5, 0.5], [0.6, 0.4]])
    >>> prediction_sets(proba, np.array([0.5, 0.5])).tolist()
    [[True, False], [True, True], [True, False]]
    """
    return np.asarray(_untypicality(proba) <= thresholds)


def set_summary(sets: NDArray[np.bool_], y: Ints) -> SetSummary:
    """Measure sets against true labels.

    Parameters
    ----------
    sets : ndarray of bool, shape (n_documents, n_classes)
        From `prediction_sets`.
    y : ndarray of int, shape (n_documents,)
        True classes; a number from `n_classes` on is a label that no set can hold.

    Examples
    --------
    >>> set_summary(np.array([[True, True], [False, True]]), np.array([0, 0]))
    SetSummary(coverage=0.5, mean_size=1.5, empty_fraction=0.0, n_documents=2)
    """
    if len(y) == 0:
        return SetSummary(coverage=0.0, mean_size=0.0, empty_fraction=0.0, n_documents=0)
    known = y < sets.shape[1]
    sizes = sets.sum(axis=1)
    return SetSummary(
        coverage=float(sets[known, y[known]].sum() / len(y)),
        mean_size=float(sizes.mean()),
        empty_fraction=float((sizes == 0).mean()),
        n_documents=len(y),
    )


def _untypicality(proba: Floats) -> Floats:
    """Return the score of every label; one formula for calibration and use, so that ties stay ties to the last bit."""
    return np.asarray(1.0 - np.asarray(proba, dtype=np.float64))


def _thresholds(scores: Floats, groups: Ints, n_groups: int, confidence_level: float) -> Floats:
    """Take the score of the right rank within each group; rounding keeps 0.07 * 100 from being more than 7."""
    counts = np.bincount(groups, minlength=n_groups)
    ranks = np.ceil(np.round((counts + 1) * confidence_level, _DECIMALS)).astype(np.intp).clip(min=1)
    positions = np.cumsum(counts) - counts + ranks - 1
    enough = ranks <= counts
    thresholds = np.full(n_groups, ALWAYS_IN)
    thresholds[enough] = scores[np.lexsort((scores, groups))][positions[enough]]
    return thresholds
