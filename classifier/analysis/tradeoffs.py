"""What an embedding costs and what it is worth: neighbours kept, the Pareto front, and which one to take."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints

SPEED_TOLERANCE = 0.5
NEGLIGIBLE = 0.0025
SHORT_DTYPES = {"float32": "fp32", "float16": "fp16"}
_DECIMALS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Tradeoff:
    """One way to keep documents as vectors, with what it costs and what it is worth.

    Attributes
    ----------
    embedder : str
        The embedder's name, without what reduces it.
    n_dims : int
        Length of a vector.
    is_reduced : bool
        Whether principal components were taken to come to `n_dims`.
    dtype : str
        What numbers are rounded to: ``float32``, ``float16``, ``int8`` or ``binary``.
    accuracy : float
        Of documents that were held out, in [0, 1].
    accuracy_interval : tuple of float
        Wilson's 95 % interval.
    recall_at_10 : float
        Share of the ten nearest documents by full float32 vectors that are still among the ten nearest, in [0, 1].
    documents_per_second : float
        How many documents are embedded in a second.
    vector_bytes : int
        What one vector takes.
    model_bytes : int
        What the embedder takes, its components included.
    on_front : bool
        Whether no other one is as good in everything and better in something.
    """

    embedder: str
    n_dims: int
    is_reduced: bool
    dtype: str
    accuracy: float
    accuracy_interval: tuple[float, float]
    recall_at_10: float
    documents_per_second: float
    vector_bytes: int
    model_bytes: int
    on_front: bool = False

    @property
    def option(self) -> str:
        """What ``--embedder`` takes to get it; the dtype is asked for elsewhere."""
        return f"{self.embedder}+pca:{self.n_dims}" if self.is_reduced else self.embedder

    @property
    def short_dtype(self) -> str:
        """The dtype as it is said in a table."""
        return SHORT_DTYPES.get(self.dtype, self.dtype)

    @property
    def title(self) -> str:
        """Embedder and dtype in words."""
        return f"{self.option} as {self.short_dtype}"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The one to take, and why.

    Attributes
    ----------
    chosen, best : Tradeoff
        The cheapest that is as good as the most accurate one, and that one.
    points_below : float
        How much less accurate the chosen one was on the same documents, in [0, 1].
    standard_error : float
        Of that difference.
    fastest : Tradeoff or None
        One that is as good too and embeds faster than the chosen one, where there is one.
    """

    chosen: Tradeoff
    best: Tradeoff
    points_below: float
    standard_error: float
    fastest: Tradeoff | None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it was chosen and what is given up, in sentences."""
        sentences = [self._accuracy(), self._neighbours()]
        if self.chosen.dtype != "float32":
            sentences.append(
                f"A model keeps float32; {self.chosen.short_dtype} is for vectors that you store or exchange yourself."
            )
        if self.fastest is not None:
            times = self.fastest.documents_per_second / self.chosen.documents_per_second
            sentences.append(
                f"If speed matters more than size: {self.fastest.title} embeds {times:.3g} times as fast, takes "
                f"{self.fastest.vector_bytes:,} bytes, and is as good as the most accurate too "
                f"({_percent(self.fastest.accuracy)})."
            )
        return tuple(sentences)

    @property
    def commands(self) -> tuple[str, ...]:
        """What to run to have it; the dtype is one of vectors that are kept or exchanged, not of a model."""
        train = f"classifier train FILE --embedder {shlex.quote(self.chosen.option)} --name NAME"
        if self.chosen.dtype == "float32":
            return (train,)
        return train, f"classifier embed FILE --model NAME --dtype {self.chosen.short_dtype} -o VECTORS.parquet"

    def _accuracy(self) -> str:
        """Say why no smaller and no larger one was chosen."""
        chosen, best = self.chosen, self.best
        if chosen == best:
            return (
                f"{chosen.title} is the most accurate, {_percent(chosen.accuracy)}, and takes "
                f"{chosen.vector_bytes:,} bytes for a document; every smaller one is measurably worse."
            )
        is_within = self.points_below <= self.standard_error
        return (
            f"{chosen.title} takes {chosen.vector_bytes:,} bytes for a document and gets {_percent(chosen.accuracy)} "
            f"right. The most accurate, {best.title}, takes {best.vector_bytes:,} and gets {_percent(best.accuracy)}: "
            f"on the same documents they differ by {100 * self.points_below:.2f} points, "
            + (f"within one standard error ({100 * self.standard_error:.2f})" if is_within else "too little to matter")
            + "; every smaller one is measurably worse."
        )

    def _neighbours(self) -> str:
        """Say what becomes of the documents that are found to be similar."""
        if self.chosen.recall_at_10 == 1:
            return "It finds the ten most similar documents that the full vectors find."
        kept = 10 * self.chosen.recall_at_10
        return f"Of the ten documents most similar by the full vectors of {self.chosen.embedder}, it finds {kept:.1f}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Every way that was measured on one set of documents.

    Attributes
    ----------
    source : str
        Name of the file.
    n_documents, n_available : int
        Documents that were used, and those that the file has.
    n_measured : int
        Documents among those used that were held out once.
    n_labels, n_folds, n_queries : int
        Labels, folds, and documents whose neighbours were looked for.
    majority_accuracy : float
        What always answering the most frequent label would score.
    seed : int
        What decided the sample and the folds.
    tradeoffs : tuple of Tradeoff
        By embedder, then dimensions, then dtype.
    recommendation : Recommendation
        Which of them to take.
    """

    source: str
    n_documents: int
    n_available: int
    n_measured: int
    n_labels: int
    n_folds: int
    n_queries: int
    majority_accuracy: float
    seed: int
    tradeoffs: tuple[Tradeoff, ...]
    recommendation: Recommendation

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        values = asdict(self)
        values["recommendation"] |= {
            "reasons": self.recommendation.reasons,
            "commands": self.recommendation.commands,
        }
        return values


def neighbour_weights(vectors: NDArray[np.float32], queries: Ints, k: int) -> NDArray[np.float32]:
    """Tell which documents are the `k` nearest of each query.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n_documents, n_dims)
        Of any length.
    queries : ndarray of int, shape (n_queries,)
        Rows of `vectors`; a query is no neighbour of its own.
    k : int
        How many; fewer where there are not as many other documents.

    Returns
    -------
    ndarray of float32, shape (n_queries, n_documents)
        1 for a neighbour by cosine, else 0; documents that are equally near share the places that are left. Rows sum
        to the number of neighbours.
    """
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    similarities = np.round(units[queries] @ units.T, _DECIMALS)
    similarities[np.arange(len(queries)), queries] = -np.inf
    k = min(k, len(vectors) - 1)
    last = np.partition(similarities, len(vectors) - k, axis=1)[:, len(vectors) - k, np.newaxis]
    nearer, tied = similarities > last, similarities == last
    places = k - nearer.sum(axis=1, keepdims=True)
    weights: NDArray[np.float32] = (nearer + tied * (places / tied.sum(axis=1, keepdims=True))).astype(np.float32)
    return weights


def kept_neighbours(before: NDArray[np.float32], after: NDArray[np.float32]) -> Floats:
    """Return the share of each query's neighbours that it keeps, shape (n_queries,), from two `neighbour_weights`."""
    return np.asarray(np.minimum(before, after).sum(axis=1, dtype=np.float64) / before.sum(axis=1, dtype=np.float64))


def pareto_front(benefits: Floats) -> NDArray[np.bool_]:
    """Find what nothing else beats.

    Parameters
    ----------
    benefits : ndarray of float64, shape (n_choices, n_criteria)
        More is better.

    Returns
    -------
    ndarray of bool, shape (n_choices,)
        False where another choice is as good by every criterion and better by one.

    Examples
    --------
    >>> pareto_front(np.array([[1.0, 3.0], [2.0, 2.0], [1.0, 2.0]])).tolist()
    [True, True, False]
    """
    return np.array(
        [not ((benefits >= one).all(axis=1) & (benefits > one).any(axis=1)).any() for one in benefits], dtype=np.bool_
    )


def speed_classes(documents_per_second: Sequence[float]) -> Ints:
    """Put speeds into one class that differ by no more than a busy machine's clock does.

    Returns
    -------
    ndarray of int, shape (n_choices,)
        From 0, the slowest; a class reaches from its slowest member to half as much again.

    Examples
    --------
    >>> speed_classes([140.0, 900.0, 100.0]).tolist()
    [0, 1, 0]
    """
    number, slowest = -1, -np.inf
    class_of: dict[float, int] = {}
    for speed in sorted(set(documents_per_second)):
        if speed > slowest * (1 + SPEED_TOLERANCE):
            number, slowest = number + 1, speed
        class_of[speed] = number
    return np.array([class_of[speed] for speed in documents_per_second], dtype=np.intp)


def mark_front(tradeoffs: Sequence[Tradeoff]) -> tuple[Tradeoff, ...]:
    """Set `on_front` by accuracy, bytes of a vector and class of speed."""
    speeds = speed_classes([one.documents_per_second for one in tradeoffs])
    benefits = [(one.accuracy, -one.vector_bytes, speed) for one, speed in zip(tradeoffs, speeds, strict=True)]
    on_front = pareto_front(np.array(benefits, dtype=np.float64))
    return tuple(replace(one, on_front=bool(is_on)) for one, is_on in zip(tradeoffs, on_front, strict=True))


def paired_difference(correct: NDArray[np.bool_], other: NDArray[np.bool_]) -> tuple[float, float]:
    """Compare two sets of answers to the same documents.

    Parameters
    ----------
    correct, other : ndarray of bool, shape (n_documents,)
        Whether each answer was right.

    Returns
    -------
    difference : float
        Accuracy of the first minus accuracy of the second.
    standard_error : float
        Of that difference, were the two equally good.

    References
    ----------
    McNemar (1947), https://doi.org/10.1007/BF02295996

    Examples
    --------
    >>> right = np.array([True, True, True, False])
    >>> paired_difference(right, ~right)
    (0.5, 0.5)
    """
    n_gained, n_lost = int((correct & ~other).sum()), int((other & ~correct).sum())
    return (n_gained - n_lost) / len(correct), (n_gained + n_lost) ** 0.5 / len(correct)


def recommend(tradeoffs: Sequence[Tradeoff], correct: NDArray[np.bool_]) -> Recommendation:
    """Choose the cheapest one that is as good as the most accurate one.

    Parameters
    ----------
    tradeoffs : sequence of Tradeoff
        From `mark_front`, at least one.
    correct : ndarray of bool, shape (n_tradeoffs, n_measured)
        Whether each answered each of the same documents rightly while it was held out.

    Returns
    -------
    Recommendation
        Of those on the front: fewest bytes for a document, then the faster class, then the more accurate.

    Notes
    -----
    One counts as good as the most accurate where their paired difference is at most one standard error, or a quarter
    of a point: versions of one vector agree on nearly every document, so that differences too small to matter can be
    several standard errors.

    References
    ----------
    Breiman et al. (1984), Classification and Regression Trees, section 3.4.3 (the one-standard-error rule)
    """
    speeds = speed_classes([one.documents_per_second for one in tradeoffs])

    def cheapness(row: int) -> tuple[float, ...]:
        one = tradeoffs[row]
        return one.vector_bytes, -speeds[row], -one.accuracy

    best = min(range(len(tradeoffs)), key=lambda row: (-tradeoffs[row].accuracy, *cheapness(row)))
    differences = [paired_difference(correct[best], answers) for answers in correct]
    as_good = [
        row
        for row, (below, error) in enumerate(differences)
        if tradeoffs[row].on_front and below <= max(error, NEGLIGIBLE)
    ]
    chosen = min(as_good, key=cheapness)
    fastest = min(as_good, key=lambda row: (-speeds[row], *cheapness(row)))
    return Recommendation(
        tradeoffs[chosen],
        tradeoffs[best],
        *differences[chosen],
        tradeoffs[fastest] if speeds[fastest] > speeds[chosen] else None,
    )


def _percent(share: float) -> str:
    """Write a share as a percentage."""
    return f"{100 * share:.1f} %"
