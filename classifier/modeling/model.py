"""``DocumentClassifier``: embedder, head, confidence and similar documents behind scikit-learn's contract."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from classifier.analysis.evaluation import Evaluation
from classifier.analysis.issues import NOTHING_TO_AUDIT, Audit
from classifier.analysis.multilabel import MultiLabelEvaluation
from classifier.embedding.contract import Embedder, Embeddings, HasState, Recipe
from classifier.embedding.embedders import load_embedder
from classifier.errors import MultiLabelError, TrainingDataError, TrainingDataWarning, lookup
from classifier.modeling import label_texts, persistence
from classifier.modeling.choices import Choices
from classifier.modeling.findings import Findings, findings
from classifier.modeling.held_out import HeldOut
from classifier.modeling.label_findings import label_findings, label_rule
from classifier.modeling.label_sets import join_labels
from classifier.modeling.label_texts import LabelTexts
from classifier.modeling.multi_label import MULTI_LABEL_HEADS
from classifier.modeling.predictor import Predictor
from classifier.modeling.priors import names_only_head, require_described
from classifier.modeling.race import HEADS, Refit
from classifier.modeling.training_data import Label, TrainingData, check_training_data
from classifier.progress import Step, steps_shown


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
        Cross-validated metrics of the training documents; None where no label has two different documents, and after
        `load`: what was stored is in ``facts_["metrics"]``.
    audit_ : Audit
        What deserves a look among the training documents; stored are its summary and `issues_`.
    issues_ : tuple of LabelIssue
        The training documents that deserve a look, worst first.
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

    evaluation_: Evaluation | MultiLabelEvaluation | None = None
    audit_: Audit

    def fit(
        self,
        texts: Sequence[str],
        labels: Sequence[Label],
        *,
        ids: Sequence[str] | None = None,
        descriptions: Mapping[str, str] | None = None,
        choices: Choices | None = None,
        progress: bool = False,
    ) -> Self:
        """Train on labelled texts, and on what the labels say by themselves as far as the texts agree.

        Parameters
        ----------
        texts : sequence of str
            Any length each; empty ones are left out with a warning.
        labels : sequence of str, or of collections of str
            One label for each text, at least two different ones; any number for each where `multi_label` is True,
            joined by ``|`` or as a list or set.
        ids : sequence of str or None
            Names by which `similar` gives the documents back; row numbers from 1 where None.
        descriptions : mapping of str to str, or None
            Sentences that say what a label stands for, by label; its readable name speaks for a label without one.
        choices : Choices or None
            What the race for a model of nearly the same documents chose, to save another one; not for multi-label.
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
        self._check_parameters()
        data = check_training_data(texts, labels, ids, multi_label=self.multi_label)
        if self.multi_label and descriptions:
            raise MultiLabelError("Describing labels", "leave the descriptions out")
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
        refit = _refit(recipe, [*data.texts, *names.texts], len(data.texts), self.seed)
        with steps_shown("training the head", shown=progress) as step:
            if self.multi_label:
                found = self._fit_any_number(data, embeddings, refit, step)
            else:
                found = self._fit_one(data, embeddings, refit, names, choices, step)
        self._keep(data, embedder, embeddings, found)
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
        MultiLabelError
            When a document may have any number of labels.
        UnknownNameError
            When there is no such head, or something else than one of the labels is described.
        """
        started = time.perf_counter()
        self._check_parameters()
        if self.multi_label:
            raise MultiLabelError("Training on labels alone", "give labelled documents to fit")
        data = label_texts.check_labels(labels, descriptions)
        embedder = load_embedder(self.embedder, self.options) if isinstance(self.embedder, str) else self.embedder
        label_texts.require_reader(embedder)
        loaded = time.perf_counter()
        embeddings = embedder.encode(data.texts)
        data = label_texts.with_unread_named(data, embeddings)
        for message in data.warnings:
            warnings.warn(message, TrainingDataWarning, stacklevel=2)
        self.head_, self.lexicon_, self.label_rule_ = names_only_head(embeddings), None, None
        self.document_labels_, self.label_matrix_ = data.y, None
        facts = label_texts.facts_of_labels_alone(descriptions)
        self._keep(data, embedder, embeddings, Findings(None, NOTHING_TO_AUDIT, HeldOut.never(len(data.texts)), facts))
        self.seconds_ = {"loading the encoder": loaded - started, "embedding": time.perf_counter() - loaded}
        return self

    def _check_parameters(self) -> None:
        """Refuse a head or a seed that there is not."""
        lookup(HEADS, self.head, "head")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise TrainingDataError(f"The seed is {self.seed!r}", "give a whole number from 0")

    def _fit_one(
        self,
        data: TrainingData,
        embeddings: Embeddings,
        refit: Refit | None,
        names: LabelTexts,
        choices: Choices | None,
        step: Step,
    ) -> Findings:
        """Train a head that gives each document one label."""
        fitted = HEADS[self.head](
            embeddings,
            data.y,
            texts=data.texts,
            groups=data.groups,
            seed=self.seed,
            refit=refit,
            priors=names.priors,
            choices=choices,
            step=step,
        )
        self.head_, self.lexicon_, self.label_rule_ = fitted.head, fitted.lexicon, None
        self.document_labels_, self.label_matrix_ = data.y, None
        step("audit")
        found = findings(data, embeddings, fitted, seed=self.seed)
        return replace(found, facts=found.facts | {"label_names": names.facts(fitted.trust)})

    def _fit_any_number(self, data: TrainingData, embeddings: Embeddings, refit: Refit | None, step: Step) -> Findings:
        """Train a head that gives each document any number of labels."""
        y = data.label_matrix
        fitted = MULTI_LABEL_HEADS[self.head](
            embeddings, y, texts=data.texts, groups=data.groups, seed=self.seed, refit=refit, step=step
        )
        rule = label_rule(fitted, y)
        self.head_, self.lexicon_, self.label_rule_ = fitted.head, fitted.lexicon, rule
        self.document_labels_, self.label_matrix_ = np.zeros(len(y), dtype=np.intp), y
        step("audit")
        return label_findings(data, embeddings, fitted, rule, seed=self.seed)

    def _keep(self, data: TrainingData, embedder: Embedder, embeddings: Embeddings, found: Findings) -> None:
        """Keep what the head was trained on, and what is known of it."""
        self.classes_ = np.array(data.classes, dtype=object)
        self._embedder = embedder
        self.contract_ = embedder.contract
        self.embedder_state_ = embedder.state() if isinstance(embedder, HasState) else {}
        self.embeddings_, self.documents_ = embeddings, data.documents()
        self.warnings_ = data.warnings
        self.evaluation_, self.audit_, self.held_out_ = found.evaluation, found.audit, found.held_out
        self.issues_ = found.audit.issues
        self.facts_ = {"head": self.head, "seed": self.seed, **found.facts}
        for made_from_them in ("_index", "_conformal"):
            self.__dict__.pop(made_from_them, None)

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


def _refit(recipe: Recipe | None, texts: Sequence[str], n_documents: int, seed: int) -> Refit | None:
    """Embed all texts by what a recipe learns from some of the first ones; None for what learns no words."""
    if recipe is None or not recipe.learns_words:
        return None

    def embed(part: NDArray[np.bool_]) -> Embeddings:
        learned = [text for text, is_learned in zip(texts[:n_documents], part, strict=True) if is_learned]
        embedder, _ = recipe.fit(learned, seed=seed)
        return embedder.encode(texts)

    return embed
