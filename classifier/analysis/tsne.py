"""A map on which neighbours stay neighbours; far more work than `projection.pca`, so it has a process of its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Ints
from classifier.analysis.projection import Coordinates, Embeddings, pca, place_by_nearest, project, sample_by_label

FEWEST_ROWS = 30
MOST_ARRANGED = 20_000
N_STEPS = 750
_N_EARLY_STEPS = 250
_STEPS_BETWEEN_REPORTS = 25
_N_AXES = 50
_PERPLEXITY = 30.0


def tsne(
    embeddings: Embeddings, codes: Ints, *, seed: int = 0, report: Callable[[int], object] | None = None
) -> tuple[Coordinates, int]:
    """Lay out vectors by t-SNE.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
        At least 30 rows.
    codes : ndarray of int, shape (n_documents,)
        The label of each: of more than 20,000 rows, so many by label are laid out, and the others are placed amid
        those that they are nearest to.
    seed : int, default=0
    report : callable or None
        Is told how many more of the 750 steps are done.

    Returns
    -------
    coordinates : ndarray of float32, shape (n_documents, 2)
    n_arranged : int
        How many were laid out themselves.

    Notes
    -----
    The vectors are brought to 50 principal axes first. The perplexity is 30, less for fewer than 91 rows.

    References
    ----------
    Poličar, Stražar, Zupan: openTSNE, a modular Python library for t-SNE. Journal of Statistical Software 109 (2024).
    """
    from openTSNE import TSNE

    rows = sample_by_label(codes, MOST_ARRANGED, seed=seed)
    reduced = project(embeddings, pca(embeddings, min(_N_AXES, embeddings.shape[1])))

    def done(_step: int, _error: float, _embedding: NDArray[np.float64]) -> None:
        if report is not None:
            report(_STEPS_BETWEEN_REPORTS)

    layout = TSNE(
        perplexity=min(_PERPLEXITY, (len(rows) - 1) / 3),
        early_exaggeration_iter=_N_EARLY_STEPS,
        n_iter=N_STEPS - _N_EARLY_STEPS,
        n_jobs=-1,
        random_state=seed,
        callbacks=[done],
        callbacks_every_iters=_STEPS_BETWEEN_REPORTS,
    ).fit(reduced[rows])
    coordinates = np.asarray(layout, dtype=np.float32)
    return place_by_nearest(reduced, rows, coordinates), len(rows)
