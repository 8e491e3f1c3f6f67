"""Which documents are held out together, and how much documents of rare classes weigh."""

from __future__ import annotations

import numpy as np

from classifier.analysis.confidence import Floats, Ints

N_FOLDS = 5
MANY_DOCUMENTS = 5000
FOLDS_OF_MANY = 3
ALWAYS_IN_TRAINING = -1


def assign_folds(y: Ints, n_folds: int, seed: int, groups: Ints | None = None) -> Ints:
    """Spread each class over the folds as evenly as can be.

    Parameters
    ----------
    y : ndarray of int, shape (n_documents,)
        Classes.
    n_folds : int
        How many folds; fewer are used where no class has that many documents.
    seed : int
        Shuffles within each class; classes take turns in order of their first document, so that
        the folds do not depend on what the classes are called.

    groups : ndarray of int, shape (n_documents,), or None
        Documents of one group, such as equal texts, are held out together; each is its own where None.

    Returns
    -------
    ndarray of int, shape (n_documents,)
        Fold of each document. The only document or group of a class gets -1: it stays in every training part,
        so that no head is asked for a class it never saw.
    """
    rng = np.random.default_rng(seed)
    if groups is None:
        groups = np.arange(len(y))
    _, first_rows, group_of = np.unique(groups, return_index=True, return_inverse=True)
    group_y = y[first_rows]
    counts = np.bincount(group_y, minlength=int(y.max()) + 1)
    n_folds = min(n_folds, int(counts.max()))
    folds = np.full(len(group_y), ALWAYS_IN_TRAINING, dtype=np.intp)
    offset = 0
    _, first_of_class = np.unique(y, return_index=True)
    for label in y[np.sort(first_of_class)]:
        if counts[label] < 2:
            continue
        members = rng.permutation(np.flatnonzero(group_y == label))
        folds[members] = (np.arange(len(members)) + offset) % n_folds
        offset += len(members)
    for label in np.unique(y):
        held_in = np.unique(folds[group_of][y == label])
        if len(held_in) == 1:  # its only other documents share a text with another label
            folds[group_of[y == label]] = ALWAYS_IN_TRAINING
    return folds[group_of]


def class_weights(y: Ints, n_classes: int) -> Floats:
    """Weigh documents of rare classes up, by the square root of their rarity.

    Full balancing makes rare classes win too often where classes overlap, none at all makes them
    disappear; the square root lies between and keeps probabilities easy to calibrate.

    Returns
    -------
    ndarray of float64, shape (n_documents,)
        Mean 1.
    """
    counts = np.bincount(y, minlength=n_classes)
    weights = 1.0 / np.sqrt(counts[y])
    return np.asarray(weights / weights.mean(), dtype=np.float64)
