"""Answer for one text, and find what it resembles."""

from __future__ import annotations

import warnings
from pathlib import Path

from classifier.analysis.label_words import is_labels_only, names_sentence
from classifier.datamodels import Neighbor, Prediction, ReviewPolicy, Settings
from classifier.errors import UncalibratedWarning
from classifier.modeling.predictor import Predictor
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
    exclude_self: bool = False,
) -> list[Neighbor]:
    """Return the training documents most similar to a text.

    Raises
    ------
    ClassifierError
        When the model cannot be read, or has no such label.
    """
    return open_predictor(model, settings).similar(text, k, label=label, exclude_self=exclude_self)


def opened(model: str | Path, settings: Settings) -> Predictor:
    """Open a model, and warn where its confidence means nothing yet."""
    classifier = open_predictor(model, settings)
    if is_labels_only(classifier.facts_):
        warnings.warn(names_sentence(classifier.facts_), UncalibratedWarning, stacklevel=3)
    return classifier
