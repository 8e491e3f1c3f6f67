"""Which documents a person should label next. Pure: arrays in, positions out, the most useful first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints

UNKNOWN = -1
EVIDENT = 0.2
MOST_SPREAD = 2000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidates:
    """Documents that a person may look at; rows of all arrays belong together.

    Attributes
    ----------
    confidence : ndarray of float64, shape (n_documents,)
        Calibrated probability of the model's answer, by a model that has not learned from the document; nan where
        nobody knows.
    answers : ndarray of int, shape (n_documents,)
        The answer, as a class number; -1 where nobody knows.
    labels : ndarray of int, shape (n_documents,)
        The label that the document has, as a class number; -1 for none.
    label_quality : ndarray of float64, shape (n_documents,)
        How much speaks for that label, in [0, 1], low is suspect; 1 where nothing speaks against it or there is none.
    similarity : ndarray of float64, shape (n_documents,)
        To the nearest training documents; nan where it was not measured, as of training documents.
    embeddings : ndarray of float32, shape (n_documents, n_dims)
        Rows of unit length.
    """

    confidence: Floats
    answers: Ints
    labels: Ints
    label_quality: Floats
    similarity: Floats
    embeddings: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self.confidence)


QueryStrategy = Callable[[Candidates], Ints]


def uncertain(candidates: Candidates) -> Ints:
    """Order documents by how unsure the model is of its answer; those it was never asked about are left out.

    References
    ----------
    Lewis and Gale (1994), A Sequential Algorithm for Training Text Classifiers, https://arxiv.org/abs/cmp-lg/9407020
    """
    return _rising(candidates.confidence, np.isfinite(candidates.confidence))


def novel(candidates: Candidates) -> Ints:
    """Order documents by how little they resemble the training documents; where that was not measured, they are out."""
    return _rising(candidates.similarity, np.isfinite(candidates.similarity))


def disagreeing(candidates: Candidates) -> Ints:
    """Order the documents whose label is not the model's answer, those first where the model is surest."""
    known = (candidates.labels != UNKNOWN) & (candidates.answers != UNKNOWN)
    return _rising(-candidates.confidence, known & (candidates.labels != candidates.answers))


def suspected(candidates: Candidates) -> Ints:
    """Order the documents whose label is in doubt by the quality of the label, the worst first."""
    return _rising(candidates.label_quality, (candidates.labels != UNKNOWN) & (candidates.label_quality < 0.5))


def diverse(candidates: Candidates) -> Ints:
    """Order documents so that each is as unlike those before it as possible; the unsure and unlabelled come first.

    Notes
    -----
    Farthest-first traversal over the `MOST_SPREAD` documents that are unsure or have no label, from the one that is
    least like all others: each step takes the document whose nearest chosen one is farthest.

    References
    ----------
    Gonzalez (1985), Clustering to minimize the maximum intercluster distance, https://doi.org/10.1016/0304-3975(85)90224-5
    Sener and Savarese (2018), Active Learning for Convolutional Neural Networks, https://arxiv.org/abs/1708.00489
    """
    confidence = np.where(np.isfinite(candidates.confidence), candidates.confidence, 1.0)
    order = np.lexsort((confidence, candidates.labels != UNKNOWN))[:MOST_SPREAD]
    vectors = candidates.embeddings[order].astype(np.float32)
    if not len(vectors):
        return order
    nearest = vectors @ vectors.mean(axis=0)
    chosen = [int(nearest.argmin())]
    nearest = vectors @ vectors[chosen[0]]
    is_left = np.ones(len(vectors), dtype=np.bool_)
    is_left[chosen[0]] = False
    while is_left.any():
        following = int(np.where(is_left, nearest, np.inf).argmin())
        chosen.append(following)
        is_left[following] = False
        nearest = np.maximum(nearest, vectors @ vectors[following])
    return np.asarray(order[chosen])


def recommended(candidates: Candidates) -> Ints:
    """Take evident label errors first, then in turn a suspected label and an unsure document without one.

    Notes
    -----
    An error that is repaired is worth several new documents: it taught the opposite. An unsure document is taken only
    once of several that are nearly equal: the others would teach next to nothing.
    """
    is_labelled = candidates.labels != UNKNOWN
    doubtful = suspected(candidates)
    n_evident = int((candidates.label_quality[doubtful] < EVIDENT).sum())
    evident, doubtful = doubtful[:n_evident], doubtful[n_evident:]
    unsure = uncertain(candidates)
    unsure = _apart(unsure[~is_labelled[unsure]], candidates.embeddings)
    both = np.full((max(len(doubtful), len(unsure)), 2), UNKNOWN, dtype=np.intp)
    both[: len(doubtful), 0], both[: len(unsure), 1] = doubtful, unsure
    return np.concatenate([evident, both[both != UNKNOWN]])


QUERY_STRATEGIES: dict[str, QueryStrategy] = {
    "recommended": recommended,
    "uncertain": uncertain,
    "novel": novel,
    "disagreeing": disagreeing,
    "suspected": suspected,
    "diverse": diverse,
}
NEARLY_EQUAL = 0.95


def _rising(values: Floats, among: NDArray[np.bool_]) -> Ints:
    """Return the positions of some documents by rising value; equal ones by position."""
    rows = np.flatnonzero(among)
    return np.asarray(rows[np.argsort(values[rows], kind="stable")])


def _apart(order: Ints, embeddings: NDArray[np.float32]) -> Ints:
    """Move documents behind the others that are nearly equal to one before them; the first ones are looked at."""
    looked_at, rest = order[:MOST_SPREAD], order[MOST_SPREAD:]
    vectors = embeddings[looked_at].astype(np.float32)
    nearest = np.full(len(looked_at), -np.inf, dtype=np.float32)
    is_late = np.zeros(len(looked_at), dtype=np.bool_)
    for position in range(len(looked_at)):
        is_late[position] = nearest[position] >= NEARLY_EQUAL
        if not is_late[position]:
            nearest[position:] = np.maximum(nearest[position:], vectors[position:] @ vectors[position])
    return np.concatenate([looked_at[~is_late], looked_at[is_late], rest]).astype(np.intp)
