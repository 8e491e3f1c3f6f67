"""A trained model as a scikit-learn pipeline, for programs that know scikit-learn and nothing else of this product."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import Normalizer

from classifier.embedding.contract import EmbeddingContract, Embeddings, State
from classifier.embedding.lsa import COMPONENTS, IDF, VOCABULARY
from classifier.modeling.known_parts import PART_LENGTHS
from classifier.modeling.lexical import Lexicon
from classifier.modeling.terms import UNSPACED
from classifier.modeling.trained import Trained

WORD_PATTERN = rf"[{UNSPACED}]|[^\W{UNSPACED}]+"
LSA_PATTERN = r"\b\w\w+\b"


class DocumentVectors(TransformerMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn carries no type hints
    """The dense half of the features, by the embedder that a model was trained with.

    Parameters
    ----------
    embedder : str
        Its name or folder.
    contract : EmbeddingContract
        What its vectors must be; another embedder is refused.
    state : dict of str to ndarray
        What it learned from the training texts.
    """

    def __init__(self, embedder: str, contract: EmbeddingContract, state: State) -> None:
        self.embedder = embedder
        self.contract = contract
        self.state = state

    def fit(self, texts: Sequence[str], y: object = None) -> Self:  # noqa: ARG002 # the signature of scikit-learn
        """Do nothing: it is trained."""
        return self

    def transform(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts; float32 of shape (n_documents, n_dims)."""
        if getattr(self, "_trained", None) is None:
            trained: Any = Trained(self.embedder)
            trained.head_, trained.contract_, trained.embedder_state_ = None, self.contract, self.state
            self._trained = trained
        found: Embeddings = self._trained.encode(list(texts))
        return found

    def __sklearn_is_fitted__(self) -> bool:
        """Say that it can be used as it is."""
        return True

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the embedder itself, which is loaded again."""
        state: dict[str, Any] = super().__getstate__()
        return {key: value for key, value in state.items() if key != "_trained"}


def to_pipeline(model: Trained) -> Pipeline:
    """Write a trained model as a scikit-learn pipeline from texts to labels.

    Parameters
    ----------
    model : Trained

    Returns
    -------
    Pipeline
        Its `predict` and `predict_proba` are those of the model. Where documents have any number of labels, the last
        step is a `MultiOutputClassifier`: `predict` gives 0 or 1 for each of its `label_names`.

    Notes
    -----
    Words and parts of words are scikit-learn's own ``TfidfVectorizer``, the head is its ``LogisticRegression`` with
    the weights of the model divided by its temperature. See `needs_package` for the vectors.
    """
    parts: list[tuple[str, Any]] = [("vectors", _dense_half(model))]
    coef, intercept = [model.head_.coef], np.array(model.head_.intercept, dtype=np.float64)
    if model.lexicon_ is not None and model.head_.lexical is not None:
        parts += _lexical_half(model.lexicon_)
        coef.append(np.asarray(model.head_.lexical.coef).T)
        intercept = intercept + model.head_.lexical.intercept
    weights = np.hstack(coef) / np.float32(model.head_.temperature)
    head = _head(model, weights, intercept / model.head_.temperature)
    return Pipeline([("features", FeatureUnion(parts)), ("head", head)])


def needs_package(model: Trained) -> bool:
    """Tell whether its pipeline needs this package for the vectors of texts; those of lsa are scikit-learn's own."""
    return set(model.embedder_state_) != {IDF, COMPONENTS, VOCABULARY}


def _dense_half(model: Trained) -> BaseEstimator:
    """Return what turns texts into vectors."""
    state = {name: np.array(array) for name, array in model.embedder_state_.items()}
    if needs_package(model):
        name = model.embedder if isinstance(model.embedder, str) else model.contract_.model_id
        return DocumentVectors(name, model.contract_, state)
    terms = state[VOCABULARY].tobytes().decode("utf-8").split("\n")
    svd = TruncatedSVD(n_components=len(state[COMPONENTS]))
    svd.components_, svd.n_features_in_ = state[COMPONENTS], len(terms)
    words = _vectorizer(terms, state[IDF], token_pattern=LSA_PATTERN, ngram_range=(1, 2))
    return Pipeline([("words", words), ("svd", svd), ("unit length", Normalizer())])


def _lexical_half(lexicon: Lexicon) -> list[tuple[str, TfidfVectorizer]]:
    """Return what counts words, pairs of them, and parts of words."""
    n_words, composed = len(lexicon.words), partial(unicodedata.normalize, "NFC")
    found = [
        _vectorizer(
            lexicon.words,
            lexicon.idf[:n_words],
            token_pattern=WORD_PATTERN,
            ngram_range=(1, 2),
            strip_accents=composed,
        )
    ]
    if lexicon.parts:
        lengths = (PART_LENGTHS[0], PART_LENGTHS[-1])
        found.append(
            _vectorizer(
                lexicon.parts, lexicon.idf[n_words:], analyzer="char_wb", ngram_range=lengths, strip_accents=composed
            )
        )
    return list(zip(("words", "parts of words"), found, strict=False))


def _vectorizer(terms: Sequence[str], idf: NDArray[np.float32], **options: Any) -> TfidfVectorizer:
    """Return a vectorizer that knows these terms and their weights."""
    vectorizer = TfidfVectorizer(
        sublinear_tf=True, vocabulary={term: column for column, term in enumerate(terms)}, **options
    )
    vectorizer.idf_ = np.array(idf, dtype=np.float64)
    return vectorizer


def _head(model: Trained, weights: NDArray[np.float32], intercept: NDArray[np.float64]) -> BaseEstimator:
    """Return the linear head."""
    classes = np.array([str(label) for label in model.classes_], dtype=object)
    if model.label_rule_ is not None:
        several = MultiOutputClassifier(LogisticRegression())
        several.estimators_ = [
            _thresholded(weights[code], intercept[code], threshold)
            for code, threshold in enumerate(model.label_rule_.thresholds)
        ]
        several.classes_ = [np.array([0, 1])] * len(classes)
        several.label_names = list(classes)
        return several
    if len(classes) == 2:
        weights, intercept = weights[1:] - weights[:1], intercept[1:] - intercept[:1]
    return _logistic(classes, weights, intercept)


def _thresholded(
    weights: NDArray[np.float32], intercept: np.float64, threshold: np.float64
) -> FixedThresholdClassifier:
    """Return the decision about one label."""
    inner = _logistic(np.array([0, 1]), weights[None, :], np.array([intercept]))
    found = FixedThresholdClassifier(inner, threshold=float(threshold), response_method="predict_proba")
    found.estimator_ = inner
    return found


def _logistic(
    classes: NDArray[Any], weights: NDArray[np.float32], intercept: NDArray[np.float64]
) -> LogisticRegression:
    """Return a logistic regression that is trained."""
    found = LogisticRegression()
    found.classes_, found.coef_, found.intercept_ = classes, np.ascontiguousarray(weights), intercept
    found.n_features_in_, found.n_iter_ = weights.shape[1], np.array([0])
    return found
