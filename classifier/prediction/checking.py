"""How often words and whole model differ is measured on the rows at hand, before any answer is written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.agreement import AUDITED_FRACTION, Agreement, choose_threshold, n_to_check
from classifier.analysis.confidence import Floats
from classifier.datamodels import STATUS_EMPTY, STATUS_OUT_OF_SCOPE
from classifier.modeling.predictor import Predictor
from classifier.prediction.batch import Item, StoppedError, blocks, texts_of
from classifier.prediction.cascade import CheapHalf
from classifier.progress import Bar, progress_bar
from classifier.reading.documents import Record

MOST_TRIES = 3
_EXPLORED_FRACTION = 0.1


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
    and as many as it takes for the interval to end within the tolerance if none of them differs. Where that fails, or
    another margin would spare the whole model more rows than checking it costs, that one is tried on rows that were
    not looked at yet.
    """
    threshold, curve = half.curve.threshold(tolerance), half.curve
    kept: Agreement | None = None
    known, n_wanted = _Sample.empty(), n_to_check(n_rows, curve.share_above(threshold), tolerance)
    with progress_bar("checking the words", "row", total=0, shown=progress) as shown:
        draw = _Draw(model, half, read, n_rows, min_confidence, seed, shown, stop)
        for _ in range(MOST_TRIES):
            if not np.isfinite(threshold):
                break
            fresh = draw(threshold, n_wanted, known.share_above(threshold) or curve.share_above(threshold))
            found = fresh.agreement(threshold, tolerance)
            if not found.n_audited:
                break
            known = known.joined(fresh)
            kept = found if found.is_kept else kept
            better = choose_threshold(known.margin, known.differs, known.n_looked_at, n_rows, tolerance)
            if kept is not None and n_rows * (1 - kept.cheap_fraction) <= better.cost:
                break
            threshold, n_wanted = better.threshold, better.n_checks
    return kept or Agreement(float("inf"), tolerance, 0, 0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """Answers of the words that the whole model was asked about, too: all of at least some margin."""

    n_looked_at: int
    floor: float
    margin: Floats
    differs: NDArray[np.bool_]

    @classmethod
    def empty(cls, floor: float = -np.inf) -> _Sample:
        """Return a sample of nothing."""
        return cls(0, floor, np.zeros(0), np.zeros(0, dtype=np.bool_))

    def share_above(self, margin: float) -> float:
        """Return the share of the rows that were looked at."""
        return float((self.margin >= margin).sum()) / self.n_looked_at if self.n_looked_at else 0.0

    def joined(self, other: _Sample) -> _Sample:
        """Put two samples together, as far down as both go."""
        floor = max(self.floor, other.floor)
        margin = np.concatenate([self.margin, other.margin])
        differs = np.concatenate([self.differs, other.differs])
        reaches = margin >= floor
        return _Sample(self.n_looked_at + other.n_looked_at, floor, margin[reaches], differs[reaches])

    def agreement(self, margin: float, tolerance: float) -> Agreement:
        """Sum up what was found from a margin on."""
        is_cheap = self.margin >= margin
        n_differing = int(self.differs[is_cheap].sum())
        return Agreement(margin, tolerance, int(is_cheap.sum()), n_differing, self.share_above(margin))


class _Draw:
    """Draws rows that were not looked at yet."""

    def __init__(
        self,
        model: Predictor,
        half: CheapHalf,
        read: Callable[[], Iterable[Item]],
        n_rows: int,
        min_confidence: float,
        seed: int,
        shown: Bar,
        stop: threading.Event | None,
    ) -> None:
        self._model, self._half, self._read = model, half, read
        self._min_confidence, self._shown, self._stop = min_confidence, shown, stop
        self._order, self._n_drawn = np.random.default_rng(seed).permutation(n_rows), 0

    def __call__(self, threshold: float, n_wanted: int, share: float) -> _Sample:
        """Draw until enough answers of the words lie above a threshold, which about some share of rows does.

        Where that takes a small part of the rows, answers below it are checked, too: a lower one may do.
        """
        n_rows = len(self._order)
        floor = -np.inf if n_wanted <= _EXPLORED_FRACTION * share * n_rows else threshold
        sample = _Sample.empty(floor)
        while self._n_drawn < n_rows:
            n_missing = n_wanted - int((sample.margin >= threshold).sum())
            if n_missing <= 0:
                break
            share = sample.share_above(threshold) or share
            end = min(n_rows, self._n_drawn + int(np.ceil(n_missing / max(share, AUDITED_FRACTION))))
            sample = sample.joined(self._look_at(self._order[self._n_drawn : end], floor))
            self._n_drawn = end
        return sample

    def _look_at(self, rows: NDArray[np.int64], floor: float) -> _Sample:
        """Check the answers of some rows."""
        chosen = np.zeros(len(self._order) + 1, dtype=np.bool_)
        chosen[rows + 1] = True
        self._shown.total = self._n_drawn + len(rows)
        sample = _Sample.empty(floor)
        for block in blocks(_of_rows(self._read(), chosen)):
            if self._stop is not None and self._stop.is_set():
                raise StoppedError
            sample = sample.joined(self._check(block, floor))
            self._shown.update(len(block))
        return sample

    def _check(self, block: Sequence[Item], floor: float) -> _Sample:
        """Give answers of the words to the whole model, too."""
        texts = texts_of(block)
        cheap = self._half.answer(texts)
        rows = np.flatnonzero(cheap.are_enough(floor, self._min_confidence) & np.isfinite(cheap.margin))
        asked = [texts[row] for row in rows.tolist()]
        embeddings = self._model.encode(asked)
        whole = self._model.decide(asked, embeddings, min_confidence=self._min_confidence, measures_all=False)
        is_foreign = np.isin(whole.statuses, (STATUS_OUT_OF_SCOPE, STATUS_EMPTY))
        differs = (whole.proba.argmax(axis=1) != cheap.proba[rows].argmax(axis=1)) | is_foreign
        return _Sample(len(texts), floor, cheap.margin[rows], differs)


def _of_rows(items: Iterable[Item], chosen: NDArray[np.bool_]) -> Iterator[Record]:
    """Pick the readable rows with some numbers."""
    return (item for item in items if isinstance(item, Record) and chosen[item.row.number])
