"""Documents that no label fits: found without a single example of one, by confidence and likeness together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints
from classifier.errors import OptionError

N_NEIGHBORS = 5
SMALLEST_SIMILARITY = 1e-6
BLOCK_ROWS = 2048
MOST_QUERIES = 4000
FEWEST_SCORES = 50
_ROUNDING = 1e-4


@dataclass(frozen=True, slots=True)
class ScopeRule:
    """How to tell a document that belongs to no label.

    Attributes
    ----------
    evidence_center, evidence_scale : float
        Median and interquartile range of the evidence of held-out training documents.
    similarity_center, similarity_scale : float
        The same of the logarithm of their similarity.
    limit : float
        Score below which a document counts as foreign.
    """

    evidence_center: float
    evidence_scale: float
    similarity_center: float
    similarity_scale: float
    limit: float

    def scores(self, evidence: Floats, similarity: Floats) -> Floats:
        """Tell how well each document belongs to what the classifier was trained on.

        Parameters
        ----------
        evidence : ndarray of float64, shape (n_documents,)
            The highest score that the head gives to any label, before the probabilities are made to sum to 1.
        similarity : ndarray of float64, shape (n_documents,)
            Mean cosine to the nearest training documents; nan where it is not known.

        Returns
        -------
        ndarray of float64, shape (n_documents,)
            Higher belongs better; 0 is usual. nan where the similarity is.

        Notes
        -----
        Both are measured in interquartile ranges of held-out training documents and added up; the similarity goes in
        by its logarithm, clipped at 1e-6. Probabilities hide what is needed here: of a foreign document no label may
        have much evidence, and still one of them most of the probability.

        References
        ----------
        Hendrycks et al. (2022), Scaling Out-of-Distribution Detection for Real-World Settings (maximum logit),
        https://arxiv.org/abs/1911.11132;
        Sun et al. (2022), Out-of-Distribution Detection with Deep Nearest Neighbors, https://arxiv.org/abs/2204.06507

        Examples
        --------
        >>> rule = ScopeRule(5.0, 2.0, 0.0, 1.0, -3.0)
        >>> rule.scores(np.array([5.0, 1.0]), np.array([1.0, np.exp(-2.0)])).tolist()
        [0.0, -4.0]
        """
        near = np.log(np.clip(similarity, SMALLEST_SIMILARITY, 1.0))
        return np.asarray(
            (evidence - self.evidence_center) / self.evidence_scale
            + (near - self.similarity_center) / self.similarity_scale
        )

    def enough(self, evidence: Floats) -> Floats:
        """Return the similarity from which on a document belongs, by its evidence.

        Parameters
        ----------
        evidence : ndarray of float64, shape (n_documents,)
            As for `scores`.

        Returns
        -------
        ndarray of float64, shape (n_documents,)
            Minus infinity where any similarity will do, infinity where none does.

        Examples
        --------
        >>> ScopeRule(5.0, 2.0, 0.0, 1.0, -3.0).enough(np.array([5.0, -40.0, 99.0])).round(3).tolist()
        [0.05, inf, -inf]
        """
        missing = self.limit - (evidence - self.evidence_center) / self.evidence_scale
        near = missing * self.similarity_scale + self.similarity_center
        lowest = np.exp(np.minimum(near, 1.0))
        lowest[near <= np.log(SMALLEST_SIMILARITY)] = -np.inf
        lowest[near > 0] = np.inf
        return np.asarray(lowest)


def fit_scope(evidence: Floats, similarity: Floats, refused_fraction: float = 0.02) -> ScopeRule | None:
    """Learn a rule from training documents that were held out, without one that is foreign.

    Parameters
    ----------
    evidence, similarity : ndarray of float64, shape (n_documents,)
        As for `ScopeRule.scores`, both measured while the documents were held out; nan is left out.
    refused_fraction : float, default=0.02
        As for `scope_threshold`.

    Returns
    -------
    ScopeRule or None
        None where there are too few documents to tell, or they do not differ.
    """
    known = np.isfinite(evidence) & np.isfinite(similarity)
    if known.sum() < FEWEST_SCORES:
        return None
    near = np.log(np.clip(similarity[known], SMALLEST_SIMILARITY, 1.0))
    (low, center, high), (far, middle, close) = (np.percentile(one, [25, 50, 75]) for one in (evidence[known], near))
    if not (high > low and close > far):
        return None
    rule = ScopeRule(float(center), float(high - low), float(middle), float(close - far), -np.inf)
    limit = scope_threshold(rule.scores(evidence[known], similarity[known]), refused_fraction)
    return replace(rule, limit=limit) if np.isfinite(limit) else None


def leave_out_similarity(
    embeddings: NDArray[np.float32], groups: Ints, k: int = N_NEIGHBORS, block: int = BLOCK_ROWS, *, seed: int = 0
) -> Floats:
    """Measure how close training documents lie to the other ones, as if each were new.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
        Rows of unit length, or of zeros.
    groups : ndarray of int, shape (n_documents,)
        Documents of one group have equal texts and are no neighbours of each other.
    k : int, default=5
        How many neighbours; fewer where there are not as many other documents.
    block : int, default=2048
        Rows on either side of one product; it bounds the memory, not the result.
    seed : int, default=0
        Decides the sample.

    Returns
    -------
    ndarray of float64, shape (n_documents,)
        Mean cosine to the `k` nearest documents of other groups; nan where there is none. Of more than 4,000 documents
        it is measured for a sample of 4,000, against all others, and nan for the rest.

    Raises
    ------
    OptionError
        When `k` is below 1.

    Examples
    --------
    >>> embeddings = np.array([[1, 0], [1, 0], [0.6, 0.8]], dtype=np.float32)
    >>> leave_out_similarity(embeddings, np.array([0, 0, 1])).round(3).tolist()
    [0.6, 0.6, 0.6]
    """
    n_documents = len(embeddings)
    rows = np.arange(n_documents)
    if n_documents > MOST_QUERIES:
        rows = np.sort(np.random.default_rng(seed).choice(n_documents, MOST_QUERIES, replace=False))
    found = np.full(n_documents, np.nan)
    found[rows] = _mean_of_nearest(embeddings[rows], groups[rows], embeddings, groups, k, block)
    return found


def nearest_similarity(
    queries: NDArray[np.float32], embeddings: NDArray[np.float32], k: int = N_NEIGHBORS, block: int = BLOCK_ROWS
) -> Floats:
    """Measure how close new documents lie to the training documents.

    Parameters
    ----------
    queries : ndarray of float32, shape (n_queries, n_dims)
        Rows of unit length, or of zeros.
    embeddings : ndarray of float32, shape (n_documents, n_dims)
        The same, of the training documents; may be memory-mapped, it is read in blocks.
    k : int, default=5
        How many neighbours; fewer where there are not as many documents.
    block : int, default=2048
        Rows on either side of one product; it bounds the memory, not the result.

    Returns
    -------
    ndarray of float64, shape (n_queries,)
        Mean cosine to the `k` nearest documents; nan where there is no document.

    Raises
    ------
    OptionError
        When `k` is below 1.

    Examples
    --------
    >>> nearest_similarity(np.array([[1, 0]], dtype=np.float32), np.eye(2, dtype=np.float32)).tolist()
    [0.5]
    """
    nobody, everybody = np.zeros(len(queries), dtype=np.intp), np.ones(len(embeddings), dtype=np.intp)
    return _mean_of_nearest(queries, nobody, embeddings, everybody, k, block)


def is_near(
    queries: NDArray[np.float32],
    groups: Ints,
    embeddings: NDArray[np.float32],
    rows_of: Callable[[int], Ints],
    enough: Floats,
) -> NDArray[np.bool_]:
    """Tell which new documents are similar enough to a few training documents already, so that no others need be read.

    Parameters
    ----------
    queries, embeddings
        As for `nearest_similarity`.
    groups : ndarray of int, shape (n_queries,)
        What each of them is compared with.
    rows_of : callable
        Gives the rows of the training documents of a group.
    enough : ndarray of float64, shape (n_queries,)
        From `ScopeRule.enough`.

    Returns
    -------
    ndarray of bool, shape (n_queries,)
        Where it is true, `nearest_similarity` is enough, too; where it is false, it may be.

    Examples
    --------
    >>> query, embeddings = np.eye(1, 2, dtype=np.float32), np.repeat(np.eye(2, dtype=np.float32), 5, axis=0)
    >>> is_near(query, np.array([0]), embeddings, lambda group: np.arange(5), np.array([0.9])).tolist()
    [True]
    """
    found = np.zeros(len(queries), dtype=np.bool_)
    for group in np.unique(groups):
        mine, rows = np.flatnonzero(groups == group), rows_of(int(group))
        if len(rows) >= N_NEIGHBORS:
            cosines = queries[mine] @ embeddings[rows].T
            nearest = np.partition(cosines, len(rows) - N_NEIGHBORS, axis=1)[:, -N_NEIGHBORS:]
            found[mine] = nearest.mean(axis=1, dtype=np.float64) >= enough[mine] + _ROUNDING
    return found


def scope_threshold(scores: Floats, refused_fraction: float = 0.02) -> float:
    """Find the score below which a document counts as foreign.

    Parameters
    ----------
    scores : ndarray of float64, shape (n_documents,)
        From `ScopeRule.scores`, of training documents that were held out; nan is left out.
    refused_fraction : float, default=0.02
        Share of documents that do belong and will be refused all the same, in [0, 1].

    Returns
    -------
    float
        Between the lowest and the highest score, or minus infinity, which refuses nothing.

    Raises
    ------
    OptionError
        When the fraction is not from 0 to 1.

    Notes
    -----
    The quantile lies at rank (n + 1) * fraction of n scores, so that of new documents like these the given share falls
    below it; numpy's default would refuse nearly twice as many where n is 50.

    Nothing is refused with fewer than 50 scores, nor where that rank is below 1. A share of one in fifty cannot be read
    off fewer than fifty documents: the lowest score there is only the oddest document that happened to be at hand, and
    refusing what belongs costs more trust than answering what does not.

    Examples
    --------
    >>> scope_threshold(-np.arange(1.0, 100.0), 0.05)
    -95.0
    >>> scope_threshold(np.zeros(49))
    -inf
    """
    if not 0 <= refused_fraction <= 1:
        raise OptionError("refused fraction", refused_fraction, "a share from 0 to 1")
    known = scores[~np.isnan(scores)]
    if len(known) < FEWEST_SCORES or (len(known) + 1) * refused_fraction < 1:
        return -np.inf
    return float(np.quantile(known, refused_fraction, method="weibull"))


def auroc(scores_in: Floats, scores_out: Floats) -> float:
    """Return the chance that a document that belongs scores higher than a foreign one; a tie counts half.

    Parameters
    ----------
    scores_in, scores_out : ndarray of float64, shape (n_in,) and (n_out,)
        Of documents that belong and of foreign ones; nan is left out.

    Returns
    -------
    float
        In [0, 1]; 0.5 is chance. nan where either kind is missing.

    References
    ----------
    Mann and Whitney (1947), https://doi.org/10.1214/aoms/1177730491

    Examples
    --------
    >>> auroc(np.array([3.0, 2.0]), np.array([1.0, 2.0]))
    0.875
    """
    inside, outside = scores_in[~np.isnan(scores_in)], np.sort(scores_out[~np.isnan(scores_out)])
    if not len(inside) or not len(outside):
        return np.nan
    n_below, n_not_above = (np.searchsorted(outside, inside, side=side).sum() for side in ("left", "right"))
    return float((n_below + n_not_above) / (2 * len(inside) * len(outside)))


def _mean_of_nearest(
    queries: NDArray[np.float32],
    query_groups: Ints,
    embeddings: NDArray[np.float32],
    groups: Ints,
    k: int,
    block: int,
) -> Floats:
    """Average the `k` largest cosines of each query to documents of other groups, a block of queries at a time."""
    if k < 1:
        raise OptionError("number of neighbours", k, "a whole number from 1")
    found = np.full(len(queries), np.nan)
    for start in range(0, len(queries), block):
        rows = slice(start, start + block)
        nearest = _nearest(queries[rows], query_groups[rows], embeddings, groups, min(k, len(embeddings)), block)
        exists = np.isfinite(nearest)
        n_found = exists.sum(axis=1)
        sums = np.where(exists, nearest, 0.0).sum(axis=1, dtype=np.float64)
        np.divide(sums, n_found, out=found[rows], where=n_found > 0)
    return found


def _nearest(
    queries: NDArray[np.float32],
    query_groups: Ints,
    embeddings: NDArray[np.float32],
    groups: Ints,
    k: int,
    block: int,
) -> Floats:
    """Keep the `k` largest cosines of each query while passing over blocks of documents; -inf fills what is missing.

    Those that are kept are summed up anew in float64: a product's last digit depends on how many are asked at once.
    """
    kept = np.full((len(queries), k), -np.inf, dtype=np.float32)
    kept_rows = np.zeros((len(queries), k), dtype=np.intp)
    for start in range(0, len(embeddings), block):
        rows = slice(start, start + block)
        cosines = queries @ embeddings[rows].T
        cosines[query_groups[:, np.newaxis] == groups[rows]] = -np.inf
        candidates = np.concatenate([kept, cosines], axis=1)
        numbers = np.arange(start, start + cosines.shape[1])
        best = np.argpartition(candidates, candidates.shape[1] - k, axis=1)[:, candidates.shape[1] - k :]
        kept = np.take_along_axis(candidates, best, axis=1)
        old = np.take_along_axis(kept_rows, np.minimum(best, k - 1), axis=1)
        kept_rows = np.where(best < k, old, numbers[np.maximum(best - k, 0)])
    exact = np.zeros(kept.shape)
    for place, rows_of_place in enumerate(kept_rows.T if len(embeddings) else ()):
        exact[:, place] = np.einsum("nd,nd->n", queries, embeddings[rows_of_place], dtype=np.float64)
    return np.where(np.isfinite(kept), exact, -np.inf)
