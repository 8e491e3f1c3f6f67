"""``Predictor``: everything a trained classifier answers, without what training needs."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.abstention import ReviewCost
from classifier.analysis.confidence import Floats, Ints
from classifier.analysis.conformal import nonconformity, prediction_sets
from classifier.analysis.scope import is_near, nearest_similarity
from classifier.datamodels import CANDIDATES_CONFIDENCE, STATUS_EMPTY, Neighbor, Prediction, ReviewPolicy
from classifier.embedding.contract import (
    Embeddings,
)
from classifier.errors import (
    EmptyTextWarning,
    MultiLabelError,
    TrainingDataError,
    lookup,
)
from classifier.modeling import decisions
from classifier.modeling.decisions import DEFAULT_MIN_CONFIDENCE
from classifier.modeling.exact_search import Found
from classifier.modeling.neighbors import NeighborIndex
from classifier.modeling.trained import Trained, checked_texts


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """Answers to texts, as arrays.

    Attributes
    ----------
    given : ndarray of bool, shape (n_documents, n_classes)
        Which labels each text is given; none where there is nothing to read.
    proba : ndarray of float64, shape (n_documents, n_classes)
    confidence : ndarray of float64, shape (n_documents,)
        0 where there is nothing to read.
    statuses : list of str
        ``ok``, ``unsure``, ``out-of-scope`` or ``empty``.
    similarity : ndarray of float64, shape (n_documents,)
        Mean similarity to the nearest training documents; nan where it was not measured.
    """

    given: NDArray[np.bool_]
    proba: Floats
    confidence: Floats
    statuses: list[str]
    similarity: Floats


_MOST_COMPARED = 512
_NOTHING_TO_READ = Prediction(label="", confidence=0.0, status=STATUS_EMPTY, used_fraction=0.0)


class Predictor(Trained):
    """Answer for documents by a trained head on their embeddings; for its parameters and attributes see `Trained`."""

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
        return self.head_.proba_of(self._scores(checked_texts(texts), embeddings))

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
        texts = checked_texts(texts)
        found = self.decide(texts, self.encode(texts, progress=progress), min_confidence=min_confidence)
        rows = zip(
            found.given,
            found.proba,
            found.confidence,
            found.statuses,
            self.used_fraction(texts),
            found.similarity,
            self._candidates(found.proba),
            strict=True,
        )
        return [self._answer(*row) if row[3] != STATUS_EMPTY else _NOTHING_TO_READ for row in rows]

    def decide(
        self,
        texts: Sequence[str],
        embeddings: Embeddings,
        *,
        min_confidence: float = DEFAULT_MIN_CONFIDENCE,
        measures_all: bool = True,
    ) -> Decided:
        """Answer texts whose embeddings are known, as arrays; `classify` says the same of each text in words.

        Where not all similarities must be measured, those that change no answer are left out, which takes less time.
        """
        scores = self._scores(checked_texts(texts), embeddings)
        proba = self.head_.proba_of(scores)
        rule = decisions.stored_scope(self.facts_)
        evidence = scores.max(axis=1, initial=-np.inf).astype(np.float64)
        similarity, is_known = np.full(len(texts), np.nan), np.full(len(texts), rule is None)
        if rule is not None:
            if not measures_all:
                is_known = self._surely_belongs(embeddings, scores, rule.enough(evidence))
            similarity[~is_known] = nearest_similarity(embeddings[~is_known], self.embeddings_)
        confidence = proba.max(axis=1, initial=0.0) if self.label_rule_ is None else self.label_rule_.confidence(proba)
        statuses = decisions.statuses(confidence, evidence, similarity, min_confidence, rule)
        is_readable = np.asarray(embeddings.any(axis=1))
        marked = np.where(is_readable, statuses, STATUS_EMPTY)
        return Decided(
            given=self.given_labels(proba) & is_readable[:, None],
            proba=proba,
            confidence=np.where(is_readable, confidence, 0.0),
            statuses=[str(status) for status in marked],
            similarity=similarity,
        )

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
            When there is not one label for each text, or no document, or a label is no string.
        UnknownNameError
            When a label is not among the model's.
        """
        if self.multi_label:
            raise MultiLabelError("conformalize", "classify gives the labels that reach their thresholds")
        if isinstance(labels, str):
            raise TrainingDataError("A single string was given", "give a list of labels")
        texts, labels = checked_texts(texts), list(labels)
        wrong = next((row for row, label in enumerate(labels) if not isinstance(label, str)), None)
        if wrong is not None:
            raise TrainingDataError(f"Label {wrong + 1} is of type {type(labels[wrong]).__name__}", "give strings only")
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
        return self._sets(self.predict_proba(texts), confidence_level, per_class=per_class)

    def review_threshold(self, policy: ReviewPolicy, n_documents: int | None = None) -> float:
        """Return the confidence below which a person is asked; see `classifier.modeling.decisions.review_threshold`."""
        self._require_fitted()
        return decisions.review_threshold(self.held_out_, policy, n_documents)

    def review_cost(self, min_confidence: float) -> ReviewCost | None:
        """Return what a threshold cost and gave on held-out training documents; None where there were none."""
        self._require_fitted()
        return decisions.review_cost(self.held_out_, min_confidence)

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
        among = None if label is None else self.has_label(label)
        return self.nearest(query, k, among=among, exclude=self.same_text_rows(text) if exclude_self else ())

    def nearest(
        self,
        query: NDArray[np.float32],
        k: int,
        *,
        among: NDArray[np.bool_] | None = None,
        exclude: Collection[int] = (),
    ) -> list[Neighbor]:
        """Return the training documents nearest to a vector, shape (n_dims,); none to a vector of zeros."""
        if not query.any():
            return []
        rows, similarities = self.nearest_rows(query, k, among=among, exclude=exclude)
        return [
            Neighbor(document.id, document.text, document.label or "", float(similarity))
            for document, similarity in zip((self.documents_[row] for row in rows), similarities, strict=True)
        ]

    def nearest_rows(
        self,
        query: NDArray[np.float32],
        k: int,
        *,
        among: NDArray[np.bool_] | None = None,
        exclude: Collection[int] = (),
    ) -> Found:
        """Return the rows of the training documents nearest to a vector, and their cosines, by falling similarity."""
        return self._index.search(query, k, among=among, exclude=exclude)

    @cached_property
    def _index(self) -> NeighborIndex:
        """Search over the training documents."""
        return NeighborIndex(self.embeddings_)

    def _scores(self, texts: Sequence[str], embeddings: Embeddings) -> NDArray[np.float32]:
        """Return the uncalibrated scores of texts and their embeddings."""
        rows = None if self.lexicon_ is None else self.lexicon_.transform(texts)
        return self.head_.scores(embeddings, rows)

    def _sets(self, proba: Floats, confidence_level: float, *, per_class: bool = False) -> list[list[str]]:
        """Return the labels that probabilities do not rule out, most probable first."""
        kept_aside: tuple[Floats, NDArray[np.intp]] | None = getattr(self, "_conformal", None)
        scores, y = kept_aside or decisions.held_out_scores(self.held_out_, self.document_labels_)
        thresholds = decisions.set_thresholds(scores, y, len(self.classes_), confidence_level, per_class=per_class)
        order = np.argsort(-proba, axis=1, kind="stable")
        return [
            [str(self.classes_[code]) for code in ranked if inside[code]]
            for ranked, inside in zip(order, prediction_sets(proba, thresholds), strict=True)
        ]

    def _candidates(self, proba: Floats) -> list[list[str]]:
        """Return the candidates of answers; none where no set can be promised."""
        if self.multi_label or not (hasattr(self, "_conformal") or self.held_out_.measured.any()):
            return [[]] * len(proba)
        return self._sets(proba, CANDIDATES_CONFIDENCE)

    def _surely_belongs(self, embeddings: Embeddings, scores: NDArray[np.float32], enough: Floats) -> NDArray[np.bool_]:
        """Tell of which texts some training documents of the best label show already that they belong to the model."""
        return is_near(embeddings, scores.argmax(axis=1), self.embeddings_, self._some_rows.__getitem__, enough)

    @cached_property
    def _some_rows(self) -> list[Ints]:
        """Some training documents of each label, spread over all of them."""
        found = (np.flatnonzero(self.document_labels_ == code) for code in range(len(self.classes_)))
        return [rows[:: 1 + len(rows) // _MOST_COMPARED] for rows in found]

    def _answer(
        self,
        given: NDArray[np.bool_],
        proba: Floats,
        confidence: float,
        status: str,
        used: float,
        similarity: float,
        candidates: Sequence[str],
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
            candidates=tuple(candidates),
        )

    def has_label(self, label: str) -> NDArray[np.bool_]:
        """Tell which training documents have a label.

        Raises
        ------
        UnknownNameError
            When the model has no such label.
        """
        code = lookup({str(name): code for code, name in enumerate(self.classes_)}, label, "label")
        if self.label_matrix_ is not None:
            return self.label_matrix_[:, code]
        return np.asarray(self.document_labels_ == code)

    def same_text_rows(self, text: str) -> list[int]:
        """Return the rows of training documents with exactly this text."""
        return [row for row, document in enumerate(self.documents_) if document.text == text]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be loaded again."""
        state: Any = super().__getstate__()
        return {key: value for key, value in state.items() if key not in {"_embedder", "_index", "_some_rows"}}
