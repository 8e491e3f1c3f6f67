"""``DocumentClassifier``: embedder, head, confidence and similar documents behind scikit-learn's contract."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from classifier.analysis.audit import Audit
from classifier.analysis.evaluation import Evaluation
from classifier.analysis.multilabel import MultiLabelEvaluation
from classifier.embedding.contract import Embeddings, HasState, Recipe
from classifier.embedding.embedders import load_embedder
from classifier.errors import TrainingDataError, TrainingDataWarning, lookup
from classifier.modeling import persistence
from classifier.modeling.findings import Findings, findings
from classifier.modeling.label_findings import label_findings, label_rule
from classifier.modeling.label_sets import join_labels
from classifier.modeling.multi_label import MULTI_LABEL_HEADS
from classifier.modeling.predictor import Predictor
from classifier.modeling.race import HEADS, Refit
from classifier.modeling.training_data import Label, TrainingData, check_training_data


class DocumentClassifier(ClassifierMixin, Predictor, BaseEstimator):  # type: ignore[misc] # it has no type hints
    """Classify documents by a pretrained embedding and a light linear head.

    Parameters
    ----------
    embedder : str or Embedder, default='default'
        A name or folder for `load_embedder`, or an embedder that is already loaded.
    head : str, default='hybrid'
        A name of `classifier.modeling.race.HEADS`: ``hybrid`` reads the embedding and the words, ``logistic`` the
        embedding alone.
    seed : int, default=0
        Decides the cross-validation folds; equal seeds give equal models.
    multi_label : bool, default=False
        Whether a document may have any number of labels, also none. Labels are then joined by ``|`` wherever they
        are one string.
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
    held_out_ : HeldOut
        How each training document fared while it was held out.
    label_rule_ : LabelRule or None
        From which probability on a label is given; None where each document has one label.
    evaluation_ : Evaluation, MultiLabelEvaluation or None
        Cross-validated metrics of the training documents; None where no label has two documents, and after
        `load`: what was stored is in ``facts_["metrics"]``.
    audit_ : Audit
        What deserves a look among the training documents; not stored but for a summary.
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
    seconds_ : dict of str to float
        Wall time of each stage of `fit`; not stored.

    Examples
    --------
    >>> from classifier import DocumentClassifier
    >>> DocumentClassifier(seed=7)
    DocumentClassifier(seed=7)
    """

    evaluation_: Evaluation | MultiLabelEvaluation | None = None
    audit_: Audit

    def fit(
        self, texts: Sequence[str], labels: Sequence[Label], *, ids: Sequence[str] | None = None, progress: bool = False
    ) -> Self:
        """Train on labelled texts.

        Parameters
        ----------
        texts : sequence of str
            Any length each; empty ones are left out with a warning.
        labels : sequence of str, or of collections of str
            One label for each text, at least two different ones; any number for each where `multi_label` is True,
            joined by ``|`` or as a list or set.
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
        lookup(HEADS, self.head, "head")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise TrainingDataError(f"The seed is {self.seed!r}", "give a whole number from 0")
        data = check_training_data(texts, labels, ids, multi_label=self.multi_label)
        embedder = load_embedder(self.embedder, self.options) if isinstance(self.embedder, str) else self.embedder
        loaded = time.perf_counter()
        recipe = embedder if isinstance(embedder, Recipe) else None
        if recipe is not None:
            embedder, embeddings = recipe.fit(data.texts, seed=self.seed, progress=progress)
        else:
            embeddings = embedder.encode(data.texts, progress=progress)
        embedded = time.perf_counter()
        data, embeddings = data.without_blank(embeddings)
        for message in data.warnings:
            warnings.warn(message, TrainingDataWarning, stacklevel=2)
        refit = None if recipe is None or not recipe.learns_words else _refit(recipe, data.texts, self.seed)
        found = self._fit_labels(data, embeddings, refit) if self.multi_label else self._fit(data, embeddings, refit)
        self.classes_ = np.array(data.classes, dtype=object)
        self._embedder = embedder
        self.contract_ = embedder.contract
        self.embedder_state_ = embedder.state() if isinstance(embedder, HasState) else {}
        self.embeddings_, self.documents_ = embeddings, data.documents()
        self.warnings_ = data.warnings
        self.evaluation_, self.audit_, self.held_out_ = found.evaluation, found.audit, found.held_out
        self.facts_ = {"head": self.head, "seed": self.seed, **found.facts}
        self.seconds_ = {
            "loading the encoder": loaded - started,
            "embedding": embedded - loaded,
            "training the head": time.perf_counter() - embedded,
        }
        self.__dict__.pop("_index", None)
        return self

    def _fit(self, data: TrainingData, embeddings: Embeddings, refit: Refit | None) -> Findings:
        """Train a head that gives each document one label."""
        fitted = HEADS[self.head](embeddings, data.y, texts=data.texts, groups=data.groups, seed=self.seed, refit=refit)
        self.head_, self.lexicon_, self.label_rule_ = fitted.head, fitted.lexicon, None
        self.document_labels_, self.label_matrix_ = data.y, None
        return findings(data, embeddings, fitted, seed=self.seed)

    def _fit_labels(self, data: TrainingData, embeddings: Embeddings, refit: Refit | None) -> Findings:
        """Train a head that gives each document any number of labels."""
        y = data.label_matrix
        fitted = MULTI_LABEL_HEADS[self.head](
            embeddings, y, texts=data.texts, groups=data.groups, seed=self.seed, refit=refit
        )
        rule = label_rule(fitted, y)
        self.head_, self.lexicon_, self.label_rule_ = fitted.head, fitted.lexicon, rule
        self.document_labels_, self.label_matrix_ = np.zeros(len(y), dtype=np.intp), y
        return label_findings(data, embeddings, fitted, rule, seed=self.seed)

    def score(
        self, texts: Sequence[str], labels: Sequence[Label], sample_weight: NDArray[np.floating] | None = None
    ) -> float:
        """Return the share of texts that get their label, or exactly their labels, in [0, 1]."""
        given = [join_labels(label) for label in labels] if self.multi_label else labels
        return float(super().score(texts, given, sample_weight))

    def save(self, folder: str | Path) -> Path:
        """Write the model as a new folder, whole or not at all, and return it.

        Raises
        ------
        OutputError
            When the folder exists or cannot be written.
        """
        self._require_fitted()
        return persistence.save(self, Path(folder))

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn whether `fit` has been called."""
        return hasattr(self, "head_")


def _refit(recipe: Recipe, texts: Sequence[str], seed: int) -> Refit:
    """Embed all texts by what a recipe learns from some of them."""

    def embed(part: NDArray[np.bool_]) -> Embeddings:
        embedder, _ = recipe.fit([text for text, learned in zip(texts, part, strict=True) if learned], seed=seed)
        return embedder.encode(texts)

    return embed
