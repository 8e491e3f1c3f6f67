"""Answer for one text, and find what it resembles."""

from __future__ import annotations

import warnings
from pathlib import Path

from classifier.analysis.label_words import is_labels_only, names_sentence
from classifier.datamodels import Neighbor, Prediction, ReviewPolicy, Settings
from classifier.errors import UncalibratedWarning
from classifier.modeling.predictor import Predictor
from classifier.workflows.exploring import search
from classifier.workflows.opening import open_predictor

DEFAULT_REVIEW = ReviewPolicy()


def predict_text(
    model: str | Path, text: str, settings: Settings, *, review: ReviewPolicy = DEFAULT_REVIEW
) -> Prediction:
    """Answer for one text; `review` says when it is unsure.

    Raises
    ------
    ClassifierError
        When the model cannot be read.
    """
    classifier = opened(model, settings)
    return classifier.classify([text], min_confidence=classifier.review_threshold(review))[0]


def similar(
    model: str | Path,
    text: str,
    settings: Settings,
    *,
    k: int = 10,
    label: str | None = None,
    correctness: str | None = None,
    min_similarity: float = -1.0,
    exclude_self: bool = False,
) -> list[Neighbor]:
    """Return the training documents most similar to a text; the filters are those of `exploring.search`.

    Raises
    ------
    ClassifierError
        When the model cannot be read, or has no such label, or a filter is none.
    """
    found = search(
        open_predictor(model, settings),
        text,
        k=k,
        label=label,
        correctness=correctness,
        min_similarity=min_similarity,
        exclude_self=exclude_self,
    )
    documents = ((one.document, similarity) for one, similarity in found)
    return [
        Neighbor(document.id, document.text, document.label or "", similarity) for document, similarity in documents
    ]


def opened(model: str | Path, settings: Settings) -> Predictor:
    """Open a model, and warn where its confidence means nothing yet."""
    classifier = open_predictor(model, settings)
    if is_labels_only(classifier.facts_):
        warnings.warn(names_sentence(classifier.facts_), UncalibratedWarning, stacklevel=3)
    return classifier
