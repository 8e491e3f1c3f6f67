"""``Trained``: what a classifier knows once it is trained, and the embedder behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.issues import LabelIssue
from classifier.datamodels import Document, EncoderOptions
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
    NotFittedError,
    NotTextError,
    UnfittedEmbedderError,
)
from classifier.modeling import persistence
from classifier.modeling.head import LinearHead
from classifier.modeling.held_out import HeldOut
from classifier.modeling.label_sets import SEPARATOR, LabelRule
from classifier.modeling.lexical import Lexicon


class Trained:
    """Hold a trained head, the documents behind it, and the embedder of both.

    Its parameters and attributes are those of `DocumentClassifier`, which alone can learn: opening a stored model for
    prediction imports no scikit-learn.
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
    issues_: tuple[LabelIssue, ...]
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

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:
        """Embed texts as the training documents were; float32 of shape (n_documents, n_dims)."""
        self._require_fitted()
        return self.loaded_embedder().encode(checked_texts(texts), progress=progress)

    def used_fraction(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the share of each text's visible characters that the encoder could read, in [0, 1]."""
        texts, embedder = checked_texts(texts), self.loaded_embedder()
        return embedder.coverage(texts) if isinstance(embedder, MeasuresCoverage) else np.ones(len(texts))

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

    def _joined(self, given: NDArray[np.bool_]) -> str:
        """Write the labels that are given."""
        return SEPARATOR.join(str(label) for label in self.classes_[given])

    def _require_fitted(self) -> None:
        """Refuse to go on before `fit` or `load`."""
        if not hasattr(self, "head_"):
            raise NotFittedError


def checked_texts(texts: Sequence[str]) -> list[str]:
    """Take a list of strings and nothing else: a single string would be read letter by letter."""
    if isinstance(texts, str):
        raise NotTextError("A single string was given")
    found = list(texts)
    wrong = next((row for row, text in enumerate(found) if not isinstance(text, str)), None)
    if wrong is not None:
        raise NotTextError(f"Text {wrong + 1} is of type {type(found[wrong]).__name__}")
    return found
