"""``DocumentClassifier``: embedder, head, confidence and similar documents behind scikit-learn's contract."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from classifier.analysis.confidence import Floats
from classifier.analysis.evaluation import Evaluation, evaluate
from classifier.datamodels import STATUS_EMPTY, STATUS_OK, Document, Neighbor, Prediction
from classifier.embedding.contract import Embedder, Embeddings, MeasuresCoverage
from classifier.embedding.embedders import DEFAULT_EMBEDDER, load_embedder
from classifier.errors import (
    EmptyTextWarning,
    NotFittedError,
    NotTextError,
    TrainingDataError,
    TrainingDataWarning,
    UnknownNameError,
    lookup,
)
from classifier.modeling import persistence
from classifier.modeling.head import ALWAYS_IN_TRAINING, HEADS
from classifier.modeling.neighbors import NeighborIndex
from classifier.modeling.training_data import TrainingData, check_training_data


class DocumentClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no type hints
    """Classify documents by a pretrained embedding and a light linear head.

    Parameters
    ----------
    embedder : str or Embedder, default='default'
        A name or folder for `load_embedder`, or an embedder that is already loaded.
    head : str, default='logistic'
        A name of `classifier.modeling.head.HEADS`.
    seed : int, default=0
        Decides the cross-validation folds; equal seeds give equal models.

    Attributes
    ----------
    classes_ : ndarray of str, shape (n_classes,)
        The labels, sorted; columns of `predict_proba`.
    head_ : LinearHead
        The trained head.
    evaluation_ : Evaluation or None
        Cross-validated metrics of the training documents; None where no label has two documents, and after
        `load`: what was stored is in ``facts_["metrics"]``.
    documents_ : sequence of Document
        The documents it was trained on, behind `similar`.
    embeddings_ : ndarray of float32, shape (n_documents, n_dims)
        Their vectors.
    contract_ : EmbeddingContract
        What its vectors may be compared with.
    warnings_ : tuple of str
        What was noticed about the training documents.
    facts_ : dict
        What is stored with the model beside its arrays, such as its data and metrics; JSON values only.
    seconds_ : dict of str to float
        Wall time of each stage of `fit`; not stored.

    Examples
    --------
    >>> from classifier import DocumentClassifier
    >>> DocumentClassifier(seed=7)
    DocumentClassifier(seed=7)
    """

    def __init__(self, embedder: str | Embedder = DEFAULT_EMBEDDER, *, head: str = "logistic", seed: int = 0) -> None:
        self.embedder = embedder
        self.head = head
        self.seed = seed

    def fit(
        self, texts: Sequence[str], labels: Sequence[str], *, ids: Sequence[str] | None = None, progress: bool = False
    ) -> Self:
        """Train on labelled texts.

        Parameters
        ----------
        texts : sequence of str
            Any length each; empty ones are left out with a warning.
        labels : sequence of str
            One label for each text; at least two different ones.
        ids : sequence of str or None
            Names by which `similar` gives the documents back; row numbers from 1 where None.
        progress : bool, default=False
            Show a bar on stderr.

        Returns
        -------
        DocumentClassifier
            Itself.

        Raises
        ------
        TrainingDataError
            When there are fewer than two labels, or texts and labels differ in number.
        EmbedderError
            When the embedder cannot be loaded.
        UnknownNameError
            When there is no such head.
        """
        started = time.perf_counter()
        train = lookup(HEADS, self.head, "head")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise TrainingDataError(f"The seed is {self.seed!r}", "give a whole number from 0")
        data = check_training_data(texts, labels, ids)
        embedder = load_embedder(self.embedder) if isinstance(self.embedder, str) else self.embedder
        loaded = time.perf_counter()
        embeddings = embedder.encode(data.texts, progress=progress)
        embedded = time.perf_counter()
        data, embeddings = data.without_blank(embeddings)
        for message in data.warnings:
            warnings.warn(message, TrainingDataWarning, stacklevel=2)
        fitted = train(embeddings, data.y, groups=data.groups, seed=self.seed)
        self.classes_: NDArray[np.object_] = np.array(data.classes, dtype=object)
        self._embedder = embedder
        self.contract_ = embedder.contract
        self.head_ = fitted.head
        self.embeddings_, self.document_labels_ = embeddings, data.y
        self.documents_: Sequence[Document] = data.documents()
        self.warnings_ = data.warnings
        measured = fitted.folds != ALWAYS_IN_TRAINING
        self.evaluation_ = _cross_validated(data, fitted.held_out_proba, measured, self.seed)
        self.facts_: dict[str, Any] = {
            "head": self.head,
            "seed": self.seed,
            "data": {"n_documents": len(data.texts), "file": "", "sha256": ""},
            "race": {str(c): loss for c, loss in fitted.race.items()},
            "inverse_regularisation": fitted.inverse_regularisation,
            "measured_on": f"{fitted.n_folds}-fold cross-validation of the training documents",
            "metrics": None if self.evaluation_ is None else self.evaluation_.to_dict(),
        }
        self.seconds_ = {
            "loading the encoder": loaded - started,
            "embedding": embedded - loaded,
            "training the head": time.perf_counter() - embedded,
        }
        self.__dict__.pop("_index", None)
        return self

    def predict(self, texts: Sequence[str]) -> NDArray[np.object_]:
        """Return the most probable label of each text.

        Empty texts get what the head answers to no text at all, with a warning; `classify` marks them instead.

        Returns
        -------
        ndarray of str, shape (n_documents,)
        """
        columns = self.predict_proba(texts).argmax(axis=1)
        labels: NDArray[np.object_] = self.classes_[columns]
        return labels

    def predict_proba(self, texts: Sequence[str]) -> Floats:
        """Return calibrated probabilities.

        Returns
        -------
        ndarray of float64, shape (n_documents, n_classes)
            Rows follow `texts` and sum to 1, columns follow `classes_`.
        """
        embeddings = self.encode(texts)
        n_empty = int((~embeddings.any(axis=1)).sum())
        if n_empty:
            warnings.warn(
                f"{n_empty} of {len(embeddings)} texts have nothing to read; they get the answer to no text.",
                EmptyTextWarning,
                stacklevel=2,
            )
        return self.head_.predict_proba(embeddings)

    def classify(self, texts: Sequence[str], *, progress: bool = False) -> list[Prediction]:
        """Return a full answer for each text: label, confidence, status and how much was read.

        Parameters
        ----------
        texts : sequence of str
        progress : bool, default=False
            Show a bar on stderr.
        """
        texts = _strings(texts)
        embeddings = self.encode(texts, progress=progress)
        proba = self.head_.predict_proba(embeddings)
        used = self.used_fraction(texts)
        return [self._answer(*row) for row in zip(embeddings, proba, used, strict=True)]

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:
        """Embed texts as the training documents were; float32 of shape (n_documents, n_dims)."""
        self._require_fitted()
        return self.loaded_embedder().encode(_strings(texts), progress=progress)

    def used_fraction(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the share of each text's visible characters that the encoder could read, in [0, 1]."""
        texts, embedder = _strings(texts), self.loaded_embedder()
        return embedder.coverage(texts) if isinstance(embedder, MeasuresCoverage) else np.ones(len(texts))

    def similar(
        self, text: str, k: int = 10, *, label: str | None = None, exclude_self: bool = False
    ) -> list[Neighbor]:
        """Return the training documents most similar to a text.

        Parameters
        ----------
        text : str
            A text without anything to read has no neighbours.
        k : int, default=10
            How many at most.
        label : str or None
            Only documents of this label.
        exclude_self : bool, default=False
            Leave out training documents with exactly this text.

        Returns
        -------
        list of Neighbor
            By falling cosine similarity.

        Raises
        ------
        UnknownNameError
            When the model has no such label.
        """
        query = self.encode([text])[0]
        code = None if label is None else self._code(label)
        if not query.any():
            return []
        n_same = self._same_text_rows(text) if exclude_self else []
        rows, similarities = self._index.search(query, k, label=code, exclude=n_same)
        return [
            Neighbor(document.id, document.text, document.label or "", float(similarity))
            for document, similarity in zip((self.documents_[row] for row in rows), similarities, strict=True)
        ]

    def save(self, folder: str | Path) -> Path:
        """Write the model as a new folder, whole or not at all, and return it.

        Raises
        ------
        OutputError
            When the folder exists or cannot be written.
        """
        self._require_fitted()
        return persistence.save(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Check and open a folder written by `save`.

        Raises
        ------
        BundleRefusedError
            When anything about it is damaged, foreign, newer or hostile.
        """
        return persistence.load(cls, Path(folder))

    def majority_label(self) -> str:
        """Return the most frequent label of the training documents."""
        self._require_fitted()
        return str(self.classes_[np.bincount(self.document_labels_).argmax()])

    def loaded_embedder(self) -> Embedder:
        """Return the embedder, loading it on first use, never from outside this machine.

        Raises
        ------
        EmbedderError
            When it is missing, or is not the one this model was trained with.
        """
        self._require_fitted()
        if getattr(self, "_embedder", None) is None:
            chosen = self.embedder
            embedder = load_embedder(chosen, download=False) if isinstance(chosen, str) else chosen
            self.contract_.require_same(embedder.contract)
            self._embedder = embedder
        return self._embedder

    @cached_property
    def _index(self) -> NeighborIndex:
        """Search over the training documents."""
        return NeighborIndex(self.embeddings_, self.document_labels_)

    def _answer(self, embedding: NDArray[np.float32], proba: Floats, used: float) -> Prediction:
        """Build one prediction from one row."""
        if not embedding.any():
            return Prediction(label="", confidence=0.0, status=STATUS_EMPTY, used_fraction=0.0)
        order = np.argsort(-proba, kind="stable")
        probabilities = {str(self.classes_[index]): float(proba[index]) for index in order}
        label, confidence = next(iter(probabilities.items()))
        return Prediction(label, confidence, STATUS_OK, probabilities, float(used))

    def _code(self, label: str) -> int:
        """Return the column of a label."""
        codes = {name: code for code, name in enumerate(self.classes_)}
        if label not in codes:
            raise UnknownNameError(label, "label", list(codes))
        return codes[label]

    def _same_text_rows(self, text: str) -> list[int]:
        """Return the rows of training documents with exactly this text."""
        return [row for row, document in enumerate(self.documents_) if document.text == text]

    def _require_fitted(self) -> None:
        """Refuse to go on before `fit` or `load`."""
        if not hasattr(self, "head_"):
            raise NotFittedError

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn whether `fit` has been called."""
        return hasattr(self, "head_")

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be loaded again."""
        return {key: value for key, value in super().__getstate__().items() if key not in {"_embedder", "_index"}}


def _strings(texts: Sequence[str]) -> list[str]:
    """Take a list of strings and nothing else: a single string would be read letter by letter."""
    if isinstance(texts, str):
        raise NotTextError("A single string was given")
    found = list(texts)
    wrong = next((row for row, text in enumerate(found) if not isinstance(text, str)), None)
    if wrong is not None:
        raise NotTextError(f"Text {wrong + 1} is of type {type(found[wrong]).__name__}")
    return found


def _cross_validated(data: TrainingData, proba: Floats, measured: NDArray[np.bool_], seed: int) -> Evaluation | None:
    """Measure the held-out probabilities of the training documents."""
    if not measured.any():
        return None
    labels = [data.labels[row] for row in np.flatnonzero(measured)]
    return evaluate(proba[measured], data.classes, labels, majority=data.majority, seed=seed)
