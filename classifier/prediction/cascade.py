"""Let the words alone answer where they are clear, and the whole model where they are not.

How often that gives another answer than the whole model is measured on the rows at hand, before anything is written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.agreement import Agreement, AgreementCurve, margins, raised, stored_curve
from classifier.analysis.confidence import Floats, Ints, softmax
from classifier.datamodels import STATUS_EMPTY, STATUS_OK, STATUS_OUT_OF_SCOPE
from classifier.embedding.contract import Embeddings
from classifier.errors import CascadeError
from classifier.modeling.predictor import Predictor
from classifier.prediction.batch import Answered, BatchOptions, ExactAnswers, Item, StoppedError, blocks, texts_of
from classifier.progress import progress_bar
from classifier.reading.documents import Record

FEWEST_AUDITED = 500
AUDITED_FRACTION = 0.01
MOST_RAISES = 3
_PER_TOLERANCE = 4.8  # 1.25 times 1.96 squared: none that differs among so many / tolerance keeps it, with some room
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


def settle(
    model: Predictor,
    half: CheapHalf,
    read: Callable[[], Iterable[Item]],
    n_rows: int,
    *,
    tolerance: float,
    min_confidence: float,
    seed: int = 0,
    progress: bool = False,
    stop: threading.Event | None = None,
) -> Agreement:
    """Find a margin from which on the words may answer alone, so that few enough rows get another answer.

    Parameters
    ----------
    model : Predictor
    half : CheapHalf
        Of the model.
    read : callable
        Starts a pass over the rows that will be answered.
    n_rows : int
        How many they are.
    tolerance : float
        Share of all rows whose answer may be another than the whole model's, above 0 and below 1.
    min_confidence : float
        As for the run.
    seed : int, default=0
        Decides which rows are looked at.
    progress : bool, default=False
        Show on stderr how many of the wanted rows were looked at.
    stop : threading.Event or None
        Once it is set, the block in hand is finished and nothing more is begun.

    Returns
    -------
    Agreement
        What was found at the margin that it gives; its answers were drawn after that margin was chosen.

    Raises
    ------
    StoppedError
        When it was asked to stop.

    Notes
    -----
    The margin of training is tried first, on a random part of the rows: at least 500 cheap answers, one in a hundred,
    and as many as it takes for the interval to end within the tolerance. Where that fails, the margin is raised to
    where these answers would have been good enough, and rows that were not looked at yet are drawn to try again.
    """
    order = np.random.default_rng(seed).permutation(n_rows)
    threshold, start = half.curve.threshold(tolerance), 0
    with progress_bar("checking the words", "row", total=0, shown=progress) as bar:
        for _ in range(MOST_RAISES):
            sample = _Sample.empty()
            while start < n_rows and np.isfinite(threshold):
                share = sample.cheap_fraction if sample.n_looked_at else half.curve.share_above(threshold)
                n_wanted = _n_wanted(n_rows, share, tolerance) - len(sample.margin)
                if n_wanted <= 0:
                    break
                end = min(n_rows, start + int(np.ceil(n_wanted / max(share, AUDITED_FRACTION))))
                chosen = np.zeros(n_rows + 1, dtype=np.bool_)
                chosen[order[start:end] + 1] = True
                bar.total = end
                for block in blocks(_of_rows(read(), chosen)):
                    if stop is not None and stop.is_set():
                        raise StoppedError
                    sample = sample.joined(_audit(model, half, block, threshold, min_confidence))
                    bar.update(len(block))
                start = end
            found = sample.agreement(threshold, tolerance)
            if not found.n_audited:
                break
            if found.is_kept:
                return found
            threshold = raised(sample.margin, sample.differs, sample.n_looked_at, tolerance)
    return Agreement(float("inf"), tolerance, 0, 0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """Cheap answers that the whole model was asked about, too."""

    n_looked_at: int
    margin: Floats
    differs: NDArray[np.bool_]

    @classmethod
    def empty(cls) -> _Sample:
        """Return a sample of nothing."""
        return cls(0, np.zeros(0), np.zeros(0, dtype=np.bool_))

    @property
    def cheap_fraction(self) -> float:
        """Share of the rows that were looked at."""
        return len(self.margin) / self.n_looked_at if self.n_looked_at else 0.0

    def joined(self, other: _Sample) -> _Sample:
        """Put two samples together."""
        margin = np.concatenate([self.margin, other.margin])
        differs = np.concatenate([self.differs, other.differs])
        return _Sample(self.n_looked_at + other.n_looked_at, margin, differs)

    def agreement(self, threshold: float, tolerance: float) -> Agreement:
        """Sum up."""
        return Agreement(threshold, tolerance, len(self.margin), int(self.differs.sum()), self.cheap_fraction)


def _n_wanted(n_rows: int, share: float, tolerance: float) -> int:
    """Return how many cheap answers are to be checked."""
    return int(np.ceil(max(FEWEST_AUDITED, AUDITED_FRACTION * share * n_rows, _PER_TOLERANCE * share / tolerance)))


def _of_rows(items: Iterable[Item], chosen: NDArray[np.bool_]) -> Iterator[Record]:
    """Pick the readable rows with some numbers."""
    return (item for item in items if isinstance(item, Record) and chosen[item.row.number])


def _audit(
    model: Predictor, half: CheapHalf, block: Sequence[Item], threshold: float, min_confidence: float
) -> _Sample:
    """Give the cheap answers among some rows to the whole model, too."""
    texts = texts_of(block)
    cheap = half.answer(texts)
    rows = np.flatnonzero(cheap.are_enough(threshold, min_confidence))
    asked = [texts[row] for row in rows.tolist()]
    whole = model.decide(asked, model.encode(asked), min_confidence=min_confidence, measures_all=False)
    is_foreign = np.isin(whole.statuses, (STATUS_OUT_OF_SCOPE, STATUS_EMPTY))
    differs = (whole.proba.argmax(axis=1) != cheap.proba[rows].argmax(axis=1)) | is_foreign
    return _Sample(len(texts), cheap.margin[rows], differs)
