"""Let the words alone answer where they are clear, and the whole model where they are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.agreement import AgreementCurve, margins, stored_curve
from classifier.analysis.confidence import Floats, Ints, softmax
from classifier.datamodels import STATUS_OK
from classifier.embedding.contract import Embeddings
from classifier.errors import CascadeError
from classifier.modeling.predictor import Predictor
from classifier.prediction.batch import Answered, BatchOptions, ExactAnswers

_WORDS, _WHOLE = "words", "whole model"


@dataclass(frozen=True, slots=True, eq=False)
class CheapAnswers:
    """What the words alone say of texts.

    Attributes
    ----------
    proba : ndarray of float64, shape (n_documents, n_classes)
    margin : ndarray of float64, shape (n_documents,)
        How clear it is; minus infinity for a text without a known word.
    """

    proba: Floats
    margin: Floats

    @property
    def confidence(self) -> Floats:
        """Probability of the answer."""
        return np.asarray(self.proba.max(axis=1, initial=0.0))

    def are_enough(self, threshold: float, min_confidence: float) -> NDArray[np.bool_]:
        """Tell which are clear and sure enough to stand."""
        is_sure = self.confidence.astype(np.float32) >= np.float32(min_confidence)
        return np.asarray((self.margin >= threshold) & is_sure)


class CheapHalf:
    """The sparse half of a model, by itself.

    Parameters
    ----------
    model : Predictor

    Raises
    ------
    CascadeError
        When its words were never measured by themselves, or it gives any number of labels.
    """

    def __init__(self, model: Predictor) -> None:
        curve = stored_curve(model.facts_)
        if model.multi_label:
            raise CascadeError("the model gives any number of labels", "leave --fast out")
        if curve is None or model.lexicon_ is None or model.head_.lexical is None:
            raise CascadeError(
                "the words of this model were never measured by themselves", "train it again, or leave --fast out"
            )
        self.curve: AgreementCurve = curve
        self._lexicon, self._weights = model.lexicon_, model.head_.lexical

    def answer(self, texts: Sequence[str]) -> CheapAnswers:
        """Answer texts by their words."""
        rows = self._lexicon.transform(texts)
        scores = rows.times(self._weights.coef) + self._weights.intercept
        proba = softmax(scores * np.float32(self.curve.scale))
        has_words = np.diff(rows.starts) > 0
        return CheapAnswers(proba, np.where(has_words, margins(proba), -np.inf))


class FastAnswers:
    """Answers of the words alone where they are clear, else of the whole model.

    Parameters
    ----------
    model : Predictor
    half : CheapHalf
        Of the model.
    options : BatchOptions
    threshold : float
        Margin from which on the words are clear.
    """

    def __init__(self, model: Predictor, half: CheapHalf, options: BatchOptions, threshold: float) -> None:
        self._model, self._half, self._options, self._threshold = model, half, options, threshold
        self._exact = ExactAnswers(model, options)

    def prepare(self, texts: Sequence[str]) -> tuple[CheapAnswers, Ints, Embeddings]:
        """Answer by words, and embed the texts that they do not settle."""
        cheap = self._half.answer(texts)
        left = np.flatnonzero(~cheap.are_enough(self._threshold, self._options.min_confidence))
        return cheap, left, self._exact.prepare([texts[row] for row in left.tolist()])

    def answer(self, texts: Sequence[str], prepared: tuple[CheapAnswers, Ints, Embeddings]) -> Answered:
        """Put both kinds of answers together, each with what it is by."""
        cheap, left, embeddings = prepared
        whole = self._exact.answer([texts[row] for row in left.tolist()], embeddings)
        found: list[list[object]] = [[]] * len(texts)
        statuses, paths = [STATUS_OK] * len(texts), [_WORDS] * len(texts)
        for row, cells, status in zip(left.tolist(), whole.cells, whole.statuses, strict=True):
            found[row], statuses[row], paths[row] = [*cells, _WHOLE], status, _WHOLE
        settled = np.ones(len(texts), dtype=np.bool_)
        settled[left] = False
        names = self._exact.names
        codes, confidence = cheap.proba.argmax(axis=1), cheap.confidence
        for row in np.flatnonzero(settled).tolist():
            cells = [names[codes[row]], round(float(confidence[row]), 6), STATUS_OK]
            if self._options.top_k:
                cells.append(self._exact.best(cheap.proba[row]))
            found[row] = [*cells, _WORDS]
        labels = whole.labels + [names[code] for code in codes[settled]]
        return Answered(found, statuses, labels, {"n_cheap": int(settled.sum())})
