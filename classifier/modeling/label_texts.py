"""The texts of labels on their way into training: beside documents, or alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from classifier.analysis.label_words import ALONE, BESIDE, NOT_NEEDED, NOT_READ, NOT_USED
from classifier.datamodels import SINGLE_LABEL
from classifier.embedding.contract import Embedder, Embeddings, LookUp, Recipe
from classifier.errors import LabelTextsError, TrainingDataError, excerpt, listing
from classifier.modeling.priors import FADED, LabelPriors, LabelTrust, prior_texts
from classifier.modeling.training_data import TrainingData


@dataclass(frozen=True, slots=True)
class LabelTexts:
    """What is known of labels before training on documents.

    Attributes
    ----------
    priors : LabelPriors or None
        Their texts and vectors; None where they are not needed, or the embedder cannot read them.
    described : tuple of str
        Labels that have a description.
    role : str
        What becomes of the texts: ``beside documents``, ``not needed``, ``not read``, or ``not used`` where documents
        have any number of labels.
    """

    priors: LabelPriors | None
    described: tuple[str, ...]
    role: str

    @property
    def texts(self) -> tuple[str, ...]:
        """What is embedded behind the documents, one for each class; empty where nothing is."""
        return self.priors.texts if self.priors else ()

    def facts(self, trust: LabelTrust | None) -> dict[str, Any]:
        """Return what is stored of it with the model; JSON values only."""
        known = {"role": self.role, "described": list(self.described), "needed_below": FADED}
        return known if trust is None else known | trust.to_dict()


def read(embedder: Embedder, data: TrainingData, descriptions: Mapping[str, str] | None = None) -> LabelTexts:
    """Embed the names or descriptions of the labels of training documents, where that can help.

    Parameters
    ----------
    embedder : Embedder
        The one of the documents.
    data : TrainingData
        Those that can be read; descriptions of other labels are not looked at.
    descriptions : mapping of str to str, or None
        By label.

    Raises
    ------
    LabelTextsError
        When labels are described, and the embedder has vectors of certain texts only.
    """
    if data.is_multi_label:
        return LabelTexts(None, (), NOT_USED)
    known = {label: text for label, text in (descriptions or {}).items() if label in set(data.classes)}
    described = _described(known)
    if isinstance(embedder, LookUp):
        if described:
            raise LabelTextsError(
                "Descriptions of labels cannot be read where vectors were made elsewhere",
                "leave them out, or train with an embedder",
            )
        return LabelTexts(None, (), NOT_READ)
    if np.bincount(data.y).min() >= FADED:
        return LabelTexts(None, described, NOT_NEEDED)
    texts = prior_texts(data.classes, known)
    return LabelTexts(LabelPriors(texts, embedder.encode(texts)), described, BESIDE)


def check_labels(labels: Sequence[str], descriptions: Mapping[str, str] | None = None) -> TrainingData:
    """Check labels that are to be trained on alone; each becomes the only document of itself, under itself as its id.

    Parameters
    ----------
    labels : sequence of str
        In any order.
    descriptions : mapping of str to str, or None
        By label.

    Returns
    -------
    TrainingData
        Sorted by label, with a warning of those that cannot be told apart.

    Raises
    ------
    TrainingDataError
        When there are fewer than two labels, one is blank or no string, or one comes twice.
    UnknownLabelError
        When something else is described.
    """
    if isinstance(labels, str):
        raise TrainingDataError("A single string was given", "give a list of labels")
    given = list(labels)
    wrong = next((row for row, label in enumerate(given, start=1) if not isinstance(label, str)), None)
    if wrong is not None:
        raise TrainingDataError(f"Label {wrong} is of type {type(given[wrong - 1]).__name__}", "give strings only")
    blank = next((row for row, label in enumerate(given, start=1) if not label.strip()), None)
    if blank is not None:
        raise TrainingDataError(f"Label {blank} is blank", "give it a name, or leave it out")
    classes = sorted(map(str, given))
    repeated = next((one for one, other in pairwise(classes) if one == other), None)
    if repeated is not None:
        raise TrainingDataError(f"The label {excerpt(repeated)} was given twice", "give each label once")
    if len(classes) < 2:
        have = f"only the label {excerpt(classes[0])}" if classes else "no label"
        raise TrainingDataError(f"There is {have} to choose from", "give two labels or more")
    texts = prior_texts(classes, descriptions)
    return TrainingData(list(texts), classes, classes, classes, tuple(_same_texts(classes, texts)))


def require_reader(embedder: Embedder) -> None:
    """Refuse an embedder that cannot embed any text at once.

    Raises
    ------
    LabelTextsError
        When it learns from documents, or has vectors of certain texts only.
    """
    if isinstance(embedder, Recipe):
        raise LabelTextsError(
            f"The embedder {excerpt(embedder.name)} learns from documents, and there are none",
            "choose one that reads any text, such as the default",
        )
    if isinstance(embedder, LookUp):
        raise LabelTextsError(
            "The names of labels cannot be read where vectors were made elsewhere", "train with an embedder"
        )


def with_unread_named(data: TrainingData, embeddings: Embeddings) -> TrainingData:
    """Warn of labels whose text the encoder could read nothing of, and whose vectors are zeros."""
    unread = [data.labels[row] for row in np.flatnonzero(~embeddings.any(axis=1))]
    if not unread:
        return data
    message = f"The encoder can read nothing of these labels: {listing(unread)}; describe them in words it knows."
    return replace(data, warnings=(*data.warnings, message))


def facts_of_labels_alone(descriptions: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what is stored of a model that no document made: nothing was chosen or measured."""
    return {
        "data": {"n_documents": 0, "file": "", "sha256": ""},
        "task": SINGLE_LABEL,
        "label_names": {"role": ALONE, "described": list(_described(descriptions or {}))},
        "race": [],
        "inverse_regularisation": None,
        "scope": None,
        "audit": None,
        "baselines": [],
        "learning_curve": [],
        "learning_curve_estimate": None,
        "review": None,
        "sets": [],
        "measured_on": "",
        "metrics": None,
    }


def _described(descriptions: Mapping[str, str]) -> tuple[str, ...]:
    """Return the labels whose description is not blank."""
    return tuple(sorted(label for label, text in descriptions.items() if text.strip()))


def _same_texts(classes: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Warn of labels that share a text."""
    shared: defaultdict[str, list[str]] = defaultdict(list)
    for label, text in zip(classes, texts, strict=True):
        shared[text.casefold()].append(label)
    found = [" and ".join(map(excerpt, group)) for group in shared.values() if len(group) > 1]
    if not found:
        return []
    return [f"Labels with the same text cannot be told apart: {'; '.join(found[:5])}; describe them."]
