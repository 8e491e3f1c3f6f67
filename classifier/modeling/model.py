"""``DocumentClassifier``: embedder, head, confidence and similar documents behind scikit-learn's contract."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from classifier.analysis.audit import Audit, audit
from classifier.analysis.confidence import Floats
from classifier.analysis.evaluation import Evaluation, evaluate
from classifier.analysis.scope import fit_scope, leave_out_similarity
from classifier.embedding.contract import Embedder, Embeddings, HasState, Recipe
from classifier.embedding.embedders import load_embedder
from classifier.errors import TrainingDataError, TrainingDataWarning, lookup
from classifier.modeling import label_texts, persistence
from classifier.modeling.findings import baseline_scores, review_facts, set_facts
from classifier.modeling.folds import ALWAYS_IN_TRAINING
from classifier.modeling.head import LinearHead
from classifier.modeling.held_out import HeldOut
from classifier.modeling.learning_curve import twice_the_data
from classifier.modeling.lexical import Lexicon
from classifier.modeling.predictor import Predictor
from classifier.modeling.priors import names_only_head, require_described
from classifier.modeling.race import HEADS, HeadFit, Refit
from classifier.modeling.training_data import TrainingData, check_training_data


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
    evaluation_ : Evaluation or None
        Cross-validated metrics of the training documents; None where no label has two documents, and after
        `load`: what was stored is in ``facts_["metrics"]``.
    audit_ : Audit
        What deserves a look among the training documents; not stored but for a summary, and not there after
        `fit_labels`.
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
        Wall time of each stage of training; not stored.

    Examples
    --------
    >>> from classifier import DocumentClassifier
    >>> DocumentClassifier(seed=7)
    DocumentClassifier(seed=7)
    """

    evaluation_: Evaluation | None = None
    audit_: Audit

    def fit(
        self,
        texts: Sequence[str],
        labels: Sequence[str],
        *,
        ids: Sequence[str] | None = None,
        descriptions: Mapping[str, str] | None = None,
        progress: bool = False,
    ) -> Self:
        """Train on labelled texts, and on what the labels say by themselves as far as the texts agree.

        Parameters
        ----------
        texts : sequence of str
            Any length each; empty ones are left out with a warning.
        labels : sequence of str
            One label for each text; at least two different ones.
        ids : sequence of str or None
            Names by which `similar` gives the documents back; row numbers from 1 where None.
        descriptions : mapping of str to str, or None
            Sentences that say what a label stands for, by label; its readable name speaks for a label without one.
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
            When the embedder cannot be loaded, or cannot read the descriptions.
        UnknownNameError
            When there is no such head, or something else than a label of these texts is described.
        """
        started = time.perf_counter()
        train = self._trainer()
        data = check_training_data(texts, labels, ids)
        require_described(descriptions or {}, data.classes)
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
        names = label_texts.read(embedder, data, descriptions)
        refit = None
        if recipe is not None and recipe.learns_words:
            refit = _refit(recipe, data.texts, names.priors.texts if names.priors else (), self.seed)
        fitted = train(
            embeddings, data.y, texts=data.texts, groups=data.groups, seed=self.seed, refit=refit, priors=names.priors
        )
        self._keep(data, embedder, embeddings, fitted.head, fitted.lexicon)
        self.facts_ = {"head": self.head, "seed": self.seed, **self._findings(data, fitted)}
        self.facts_["label_names"] = names.facts(fitted.trust)
        self.seconds_ = {
            "loading the encoder": loaded - started,
            "embedding": embedded - loaded,
            "training the head": time.perf_counter() - embedded,
        }
        return self

    def fit_labels(self, labels: Sequence[str], *, descriptions: Mapping[str, str] | None = None) -> Self:
        """Train without any document, on the readable names or the descriptions of labels alone.

        A text then gets the label whose name or description it resembles most. The confidence of that is not
        calibrated, and nothing is measured: `fit` is better as soon as there are a few documents.

        Parameters
        ----------
        labels : sequence of str
            Two or more, each once.
        descriptions : mapping of str to str, or None
            Sentences that say what a label stands for, by label; its readable name speaks for a label without one.

        Returns
        -------
        DocumentClassifier
            Itself; `documents_` holds one text for each label, under the label as its id.

        Raises
        ------
        TrainingDataError
            When there are fewer than two labels, or one is blank or comes twice.
        EmbedderError
            When the embedder cannot be loaded, or cannot read texts before it has learned from documents.
        UnknownNameError
            When there is no such head, or something else than one of the labels is described.
        """
        started = time.perf_counter()
        self._trainer()
        data = label_texts.check_labels(labels, descriptions)
        embedder = load_embedder(self.embedder, self.options) if isinstance(self.embedder, str) else self.embedder
        label_texts.require_reader(embedder)
        loaded = time.perf_counter()
        embeddings = embedder.encode(data.texts)
        data = label_texts.with_unread_named(data, embeddings)
        for message in data.warnings:
            warnings.warn(message, TrainingDataWarning, stacklevel=2)
        self._keep(data, embedder, embeddings, names_only_head(embeddings), None)
        self.__dict__.pop("audit_", None)
        self.held_out_, self.evaluation_ = HeldOut.never(len(data.texts)), None
        self.facts_ = {"head": self.head, "seed": self.seed, **label_texts.facts_of_labels_alone(descriptions)}
        self.seconds_ = {"loading the encoder": loaded - started, "embedding": time.perf_counter() - loaded}
        return self

    def _trainer(self) -> Callable[..., HeadFit]:
        """Check the parameters, and return what trains the head."""
        train = lookup(HEADS, self.head, "head")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise TrainingDataError(f"The seed is {self.seed!r}", "give a whole number from 0")
        return train

    def _keep(
        self, data: TrainingData, embedder: Embedder, embeddings: Embeddings, head: LinearHead, lexicon: Lexicon | None
    ) -> None:
        """Keep what answers and what it was trained on."""
        self.classes_ = np.array(data.classes, dtype=object)
        self._embedder = embedder
        self.contract_ = embedder.contract
        self.embedder_state_ = embedder.state() if isinstance(embedder, HasState) else {}
        self.head_, self.lexicon_ = head, lexicon
        self.embeddings_, self.document_labels_ = embeddings, data.y
        self.documents_ = data.documents()
        self.warnings_ = data.warnings
        self.__dict__.pop("_index", None)

    def _findings(self, data: TrainingData, fitted: HeadFit) -> dict[str, Any]:
        """Keep how documents fared while they were held out, and return what is stored of it with the model."""
        measured, proba = fitted.folds != ALWAYS_IN_TRAINING, fitted.held_out_proba
        self.audit_ = audit(data.texts, data.labels, data.classes, self.embeddings_, proba, measured)
        similarity = leave_out_similarity(self.embeddings_, np.where(measured, fitted.folds, -1))
        scope = fit_scope(fitted.held_out_evidence, similarity)
        self.held_out_ = HeldOut.of(proba, data.y, measured)
        self.evaluation_ = _cross_validated(data, proba, measured, self.seed)
        return {
            "data": {"n_documents": len(data.texts), "file": "", "sha256": ""},
            "race": [asdict(entrant) for entrant in fitted.race],
            "inverse_regularisation": fitted.inverse_regularisation,
            "scope": scope and asdict(scope),
            "audit": self.audit_.summary(),
            "baselines": baseline_scores(fitted.baselines, self.embeddings_, data.y, fitted.folds, seed=self.seed),
            "learning_curve": [asdict(point) for point in fitted.learning_curve],
            "learning_curve_estimate": twice_the_data(fitted.learning_curve),
            "review": review_facts(proba, data.y, measured),
            "sets": set_facts(proba, data.y, fitted.folds),
            "measured_on": f"{fitted.n_folds}-fold cross-validation of the training documents",
            "metrics": None if self.evaluation_ is None else self.evaluation_.to_dict(),
        }

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


def _refit(recipe: Recipe, texts: Sequence[str], names: Sequence[str], seed: int) -> Refit:
    """Embed all texts, and behind them those of labels, by what a recipe learns from some of the former."""

    def embed(part: NDArray[np.bool_]) -> Embeddings:
        embedder, _ = recipe.fit([text for text, learned in zip(texts, part, strict=True) if learned], seed=seed)
        return embedder.encode([*texts, *names])

    return embed


def _cross_validated(data: TrainingData, proba: Floats, measured: NDArray[np.bool_], seed: int) -> Evaluation | None:
    """Measure the held-out probabilities of the training documents."""
    if not measured.any():
        return None
    labels = [data.labels[row] for row in np.flatnonzero(measured)]
    return evaluate(proba[measured], data.classes, labels, majority=data.majority, seed=seed)
