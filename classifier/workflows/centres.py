"""The centre of each label: how compact a label is, which other one is nearest, and what is typical of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from classifier.analysis import projection
from classifier.modeling.predictor import Predictor
from classifier.workflows.exploring import FoundDocument, describe


@dataclass(frozen=True, slots=True)
class LabelCentre:
    """How the documents of a label lie around their centre.

    Attributes
    ----------
    label : str
    n_documents : int
    compactness : float
        Mean cosine similarity to the centre, in [0, 1]: 1 where all are the same.
    nearest : str
        The label whose centre is nearest; empty where there is no other.
    similarity : float or None
        Cosine similarity of these two centres.
    """

    label: str
    n_documents: int
    compactness: float
    nearest: str
    similarity: float | None


@dataclass(frozen=True, slots=True)
class Typical:
    """The most and the least typical documents of a label, with their similarity to its centre."""

    nearest: list[tuple[FoundDocument, float]]
    farthest: list[tuple[FoundDocument, float]]


def label_centres(model: Predictor) -> list[LabelCentre]:
    """Say of each label how compact it is and which other one is nearest, the least compact first."""
    members = [np.flatnonzero(model.has_label(str(label))) for label in model.classes_]
    found = projection.centroids(model.embeddings_, members)
    centres = []
    for code, label in enumerate(model.classes_):
        other = found.nearest_other(code)
        centres.append(
            LabelCentre(
                label=str(label),
                n_documents=len(members[code]),
                compactness=float(found.compactness[code]),
                nearest="" if other is None else str(model.classes_[other]),
                similarity=None if other is None else float(found.similarity[code, other]),
            )
        )
    return sorted(centres, key=lambda centre: centre.compactness)


def typical(model: Predictor, label: str, k: int = 10) -> Typical:
    """Return the documents nearest to the centre of their label, and the farthest, which are often errors.

    Raises
    ------
    UnknownNameError
        When there is no such label.
    """
    rows = np.flatnonzero(model.has_label(label))
    centre = projection.centroids(model.embeddings_, [rows]).means[0]
    nearest, farthest, similarities = projection.extremes(model.embeddings_, rows, centre, k)
    of_row = dict(zip(rows.tolist(), similarities.tolist(), strict=True))
    return Typical(
        *([(found, of_row[found.row]) for found in describe(model, some)] for some in (nearest, farthest)),
    )
