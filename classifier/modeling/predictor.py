"""``Predictor``: everything a trained classifier answers, without what training needs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats
from classifier.analysis.conformal import nonconformity, prediction_sets
from classifier.analysis.scope import nearest_similarity
from classifier.datamodels import STATUS_EMPTY, Document, EncoderOptions, Neighbor, Prediction, ReviewPolicy
from classifier.embedding.contract import (
    FULL_PRECISIONS,
    Embedder,
    EmbeddingContract,
    Embeddings,
    MeasuresCoverage,
    Recipe,
    State,
)
from classifier.embedding.embedders import DEFAULT_EMBEDDER, load_embedder
from classifier.embedding.engine import AUTO
from classifier.errors import (
    EmptyTextWarning,
    MultiLabelError,
    NotFittedError,
    NotTextError,
    TrainingDataError,
    UnfittedEmbedderError,
    lookup,
)
from classifier.modeling import decisions, persistence
from classifier.modeling.decisions import DEFAULT_MIN_CONFIDENCE
from classifier.modeling.head import LinearHead
from classifier.modeling.held_out import HeldOut
from classifier.modeling.label_sets import SEPARATOR, LabelRule
from classifier.modeling.lexical import Lexicon
from classifier.modeling.neighbors import NeighborIndex

_NOTHING_TO_READ = Prediction(label="", confidence=0.0, status=STATUS_EMPTY, used_fraction=0.0)


class Predictor:
    """Answer for documents by a trained head on their embeddings.

    Parameters
    ----------
    embedder : str or Embedder, default='default'
        A name or folder for `load_embedder`, or an embedder that is already loaded.
    head : str, default='hybrid'
        A name of `classifier.modeling.race.HEADS`: ``hybrid`` reads the embedding and the words, ``logistic`` the
        embedding alone.
    seed : int, default=0
        Decides the cross-validation folds.
    multi_label : bool, default=False
        Whether a document may have any number of labels, also none.
    options : EncoderOptions or None
        How a transformer is run; None for the defaults.

    Attributes
    ----------
    classes_ : ndarray of str, shape (n_classes,)
        The labels, sorted; columns of `predict_proba`.
    head_ : LinearHead
        The trained head.
    lexicon_ : Lexicon or None
        What turns texts into the sparse half of the head's features; None where it reads embeddings alone.
    label_rule_ : LabelRule or None
        From which probability on a label is given; None where each document has one label.
    held_out_ : HeldOut
        How each training document fared while it was held out.
    documents_ : sequence of Document
        The documents it was trained on, behind `similar`.
    embeddings_ : ndarray of float32, shape (n_documents, n_dims)
        Their vectors.
    contract_ : EmbeddingContract
        What its vectors may be compared with.
    warnings_ : tuple of str
        What was noticed about the training documents.
    embedder_state_ : dict of str to ndarray
        What its embedder learned from them; empty for one that learns nothing.
    facts_ : dict
        What is stored with the model beside its arrays, such as its data and metrics; JSON values only.
    """

    classes_: NDArray[np.object_]
    head_: LinearHead
    lexicon_: Lexicon | None
    label_rule_: LabelRule | None
    held_out_: HeldOut
    contract_: EmbeddingContract
    embeddings_: Embeddings
    document_labels_: NDArray[np.intp]
    label_matrix_: NDArray[np.bool_] | None
    documents_: Sequence[Document]
    warnings_: tuple[str, ...]
    embedder_state_: State
    facts_: dict[str, Any]

    def __init__(
        self,
        embedder: str | Embedder = DEFAULT_EMBEDDER,
        *,
        head: str = "hybrid",
        seed: int = 0,
        multi_label: bool = False,
        options: EncoderOptions | None = None,
    ) -> None:
        self.embedder = embedder
        self.head = head
        self.seed = seed
        self.multi_label = multi_label
        self.options = options

    def predict(self, texts: Sequence[str]) -> NDArray[np.object_]:
        """Return the label of each text; of a multi-label model, all labels joined by ``|``, an empty string for none.

        Empty texts get what the head answers to no text at all, with a warning; `classify` marks them instead.

        Returns
        -------
        ndarray of str, shape (n_documents,)
        """
        given = self.given_labels(self.predict_proba(texts))
        return np.array([self._joined(row) for row in given], dtype=object)

    def predict_proba(self, texts: Sequence[str]) -> Floats:
        """Return calibrated probabilities.

        Returns
        -------
        ndarray of float64, shape (n_documents, n_classes)
            Rows follow `texts`, columns follow `classes_`. Rows sum to 1, but for a multi-label model, where each
            label has a probability of its own.
        """
        embeddings = self.encode(texts)
        n_empty = int((~embeddings.any(axis=1)).sum())
        if n_empty:
            warnings.warn(
                f"{n_empty} of {len(embeddings)} texts have nothing to read; they get the answer to no text.",
                EmptyTextWarning,
                stacklevel=2,
            )
        return self.proba_of(texts, embeddings)

    def proba_of(self, texts: Sequence[str], embeddings: Embeddings) -> Floats:
        """Return calibrated probabilities of texts whose embeddings are known, as `predict_proba` does."""
        return self.head_.proba_of(self._scores(_strings(texts), embeddings))

    def given_labels(self, proba: Floats) -> NDArray[np.bool_]:
        """Decide by probabilities, as `predict_proba` returns them, which labels are given, of the same shape."""
        if self.label_rule_ is not None:
            return self.label_rule_.decide(proba)
        return np.asarray(np.arange(proba.shape[1]) == proba.argmax(axis=1)[:, None])

    def classify(
        self, texts: Sequence[str], *, min_confidence: float = DEFAULT_MIN_CONFIDENCE, progress: bool = False
    ) -> list[Prediction]:
        """Return a full answer for each text: label, confidence, status and how much was read.

        Parameters
        ----------
        texts : sequence of str
        min_confidence : float, default=0.5
            Answers below it are ``unsure``; `review_threshold` finds one for a wanted accuracy or budget.
        progress : bool, default=False
            Show a bar on stderr.
        """
        texts = _strings(texts)
        embeddings = self.encode(texts, progress=progress)
        scores = self._scores(texts, embeddings)
        proba = self.head_.proba_of(scores)
        rule = decisions.stored_scope(self.facts_)
        similarity = np.full(len(texts), np.nan)
        if rule is not None:
            similarity = nearest_similarity(embeddings, self.embeddings_)
        evidence = scores.max(axis=1, initial=-np.inf).astype(np.float64)
        confidence = proba.max(axis=1, initial=0.0) if self.label_rule_ is None else self.label_rule_.confidence(proba)
        found = decisions.statuses(confidence, evidence, similarity, min_confidence, rule)
        rows = zip(
            self.given_labels(proba), proba, confidence, found, self.used_fraction(texts), similarity, strict=True
        )
        return [
            self._answer(*row) if is_readable else _NOTHING_TO_READ
            for row, is_readable in zip(rows, np.asarray(embeddings.any(axis=1)), strict=True)
        ]

    def conformalize(self, texts: Sequence[str], labels: Sequence[str]) -> Self:
        """Let `predict_set` learn from labelled documents that the model was not trained on.

        Without it, sets are made from the held-out answers of training, by heads that had seen fewer documents than
        the model itself: they then hold the true label up to two points more often than asked. Not stored by `save`.

        Parameters
        ----------
        texts, labels : sequence of str
            Documents like those that will be asked about, one known label for each; some hundreds are enough.

        Raises
        ------
        MultiLabelError
            When the model gives any number of labels.
        TrainingDataError
            When there is not one label for each text, or no document.
        UnknownNameError
            When a label is not among the model's.
        """
        if self.multi_label:
            raise MultiLabelError("conformalize", "classify gives the labels that reach their thresholds")
        if not 0 < len(labels) == len(texts):
            problem = f"There are {len(texts):,} texts and {len(labels):,} labels"
            raise TrainingDataError(problem, "give one label for each text, of at least one")
        codes = {str(name): code for code, name in enumerate(self.classes_)}
        y = np.array([lookup(codes, label, "label") for label in labels], dtype=np.intp)
        self._conformal = nonconformity(self.predict_proba(texts), y), y
        return self

    def predict_set(
        self, texts: Sequence[str], confidence_level: float = 0.9, *, per_class: bool = False
    ) -> list[list[str]]:
        """Return the labels that cannot be ruled out, so that the true one is among them as often as asked.

        Parameters
        ----------
        texts : sequence of str
        confidence_level : float, default=0.9
            How often the true label shall be in the set, between 0 and 1.
        per_class : bool, default=False
            Whether that shall hold for the documents of each label by themselves; sets are larger then.

        Returns
        -------
        list of list of str
            Labels of each text, most probable first; empty where no label is typical enough.

        Raises
        ------
        OptionError
            When the level is not between 0 and 1.
        MultiLabelError
            When the model gives any number of labels.
        """
        if self.multi_label:
            raise MultiLabelError("predict_set", "classify gives the labels that reach their thresholds")
        proba = self.predict_proba(texts)
        kept_aside: tuple[Floats, NDArray[np.intp]] | None = getattr(self, "_conformal", None)
        scores, y = kept_aside or decisions.held_out_scores(self.held_out_, self.document_labels_)
        thresholds = decisions.set_thresholds(scores, y, len(self.classes_), confidence_level, per_class=per_class)
        order = np.argsort(-proba, axis=1, kind="stable")
        return [
            [str(self.classes_[code]) for code in ranked if inside[code]]
            for ranked, inside in zip(order, prediction_sets(proba, thresholds), strict=True)
        ]

    def review_threshold(self, policy: ReviewPolicy, n_documents: int | None = None) -> float:
        """Return the confidence below which a person is asked; see `classifier.modeling.decisions.review_threshold`."""
        self._require_fitted()
        return decisions.review_threshold(self.held_out_, policy, n_documents)

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
        among = None if label is None else self._has_label(label)
        if not query.any():
            return []
        n_same = self._same_text_rows(text) if exclude_self else []
        rows, similarities = self._index.search(query, k, among=among, exclude=n_same)
        return [
            Neighbor(document.id, document.text, document.label or "", float(similarity))
            for document, similarity in zip((self.documents_[row] for row in rows), similarities, strict=True)
        ]

    @classmethod
    def load(cls, folder: str | Path, options: EncoderOptions | None = None) -> Self:
        """Check and open a folder written by `DocumentClassifier.save`.

        Raises
        ------
        BundleRefusedError
            When anything about it is damaged, foreign, newer or hostile.
        """
        return persistence.load(cls, Path(folder), options)

    def majority_label(self) -> str:
        """Return the most frequent label, or set of labels joined by ``|``, of the training documents."""
        self._require_fitted()
        if self.label_matrix_ is not None:
            sets, counts = np.unique(self.label_matrix_, axis=0, return_counts=True)
            return min(self._joined(row) for row in sets[counts == counts.max()])
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
            embedder = self._load_embedder(chosen) if isinstance(chosen, str) else chosen
            self.contract_.require_same(embedder.contract)
            self._embedder = embedder
        return self._embedder

    def _load_embedder(self, name: str) -> Embedder:
        """Load what the training documents were embedded with, in the same precision."""
        options = replace(self.options or EncoderOptions(), download=False)
        if options.precision == AUTO and self.contract_.precision not in FULL_PRECISIONS:
            options = replace(options, precision=self.contract_.precision)
        embedder = load_embedder(name, options, state=self.embedder_state_, dtype=self.contract_.dtype)
        if isinstance(embedder, Recipe):
            raise UnfittedEmbedderError(name)
        return embedder

    @cached_property
    def _index(self) -> NeighborIndex:
        """Search over the training documents."""
        return NeighborIndex(self.embeddings_)

    def _scores(self, texts: Sequence[str], embeddings: Embeddings) -> NDArray[np.float32]:
        """Return the uncalibrated scores of texts and their embeddings."""
        rows = None if self.lexicon_ is None else self.lexicon_.transform(texts)
        return self.head_.scores(embeddings, rows)

    def _answer(
        self,
        given: NDArray[np.bool_],
        proba: Floats,
        confidence: float,
        status: str,
        used: float,
        similarity: float,
    ) -> Prediction:
        """Build one prediction from one row."""
        order = np.argsort(-proba, kind="stable")
        return Prediction(
            label=self._joined(given),
            confidence=float(confidence),
            status=status,
            probabilities={str(self.classes_[index]): float(proba[index]) for index in order},
            used_fraction=float(used),
            similarity=None if np.isnan(similarity) else float(similarity),
            labels=tuple(str(label) for label in self.classes_[given]),
        )

    def _joined(self, given: NDArray[np.bool_]) -> str:
        """Write the labels that are given."""
        return SEPARATOR.join(str(label) for label in self.classes_[given])

    def _has_label(self, label: str) -> NDArray[np.bool_]:
        """Tell which training documents have a label."""
        code = lookup({str(name): code for code, name in enumerate(self.classes_)}, label, "label")
        if self.label_matrix_ is not None:
            return self.label_matrix_[:, code]
        return np.asarray(self.document_labels_ == code)

    def _same_text_rows(self, text: str) -> list[int]:
        """Return the rows of training documents with exactly this text."""
        return [row for row, document in enumerate(self.documents_) if document.text == text]

    def _require_fitted(self) -> None:
        """Refuse to go on before `fit` or `load`."""
        if not hasattr(self, "head_"):
            raise NotFittedError

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be loaded again."""
        state: Any = super().__getstate__()
        return {key: value for key, value in state.items() if key not in {"_embedder", "_index"}}


def _strings(texts: Sequence[str]) -> list[str]:
    """Take a list of strings and nothing else: a single string would be read letter by letter."""
    if isinstance(texts, str):
        raise NotTextError("A single string was given")
    found = list(texts)
    wrong = next((row for row, text in enumerate(found) if not isinstance(text, str)), None)
    if wrong is not None:
        raise NotTextError(f"Text {wrong + 1} is of type {type(found[wrong]).__name__}")
    return found
