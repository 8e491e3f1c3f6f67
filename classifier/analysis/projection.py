"""Where documents lie: two coordinates for a map, regions of it, lines between two places, and centres of labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints

Embeddings = NDArray[np.float32]
Coordinates = NDArray[np.float32]

MOST_FITTED = 50_000
_BLOCK_ROWS = 8192
_FEWEST_CORNERS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """The directions in which vectors differ most.

    Attributes
    ----------
    mean : ndarray of float64, shape (n_dims,)
    components : ndarray of float64, shape (n_axes, n_dims)
        Orthogonal rows of unit length, the widest first; zeros where there are fewer directions.
    explained : ndarray of float64, shape (n_axes,)
        The share of the variance along each, in [0, 1].
    """

    mean: Floats
    components: Floats
    explained: Floats


def pca(embeddings: Embeddings, n_axes: int = 2) -> Axes:
    """Find the principal axes of vectors, by the covariance of at most 50,000 of them.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
        May be memory-mapped, it is read in blocks; from more than 50,000 rows evenly spread ones are taken.
    n_axes : int, default=2

    Notes
    -----
    The sign of an axis is chosen so that its largest component is positive: the same vectors give the same map.

    Examples
    --------
    >>> pca(np.array([[0.0, 0.0], [2.0, 0.0]], dtype=np.float32), 1).components.tolist()
    [[1.0, 0.0]]
    """
    n_dims = embeddings.shape[1]
    step = 1 + (len(embeddings) - 1) // MOST_FITTED if len(embeddings) else 1
    sample = embeddings[::step]
    shift = sample[:_BLOCK_ROWS].mean(axis=0, dtype=np.float64).astype(np.float32) if len(sample) else 0.0
    total, squares = np.zeros(n_dims), np.zeros((n_dims, n_dims))
    for block in _blocks(sample):
        shifted = block - shift
        total += shifted.sum(axis=0)
        squares += shifted.T @ shifted
    mean = total / max(1, len(sample))
    squares -= len(sample) * np.outer(mean, mean)
    variances, vectors = np.linalg.eigh(squares)
    variances = np.maximum(variances[::-1], 0.0)
    components, explained = np.zeros((n_axes, n_dims)), np.zeros(n_axes)
    n_found = min(n_axes, n_dims)
    found = vectors[:, ::-1][:, :n_found].T
    largest = np.take_along_axis(found, np.abs(found).argmax(axis=1)[:, None], axis=1)
    components[:n_found] = found * np.where(largest < 0, -1.0, 1.0)
    explained[:n_found] = variances[:n_found] / max(variances.sum(), np.finfo(np.float64).tiny)
    return Axes(mean + shift, components, explained)


def project(embeddings: Embeddings, axes: Axes) -> NDArray[np.float32]:
    """Return where vectors lie along axes.

    Returns
    -------
    ndarray of float32, shape (n_documents, n_axes)
    """
    matrix = axes.components.T.astype(np.float32)
    offset = axes.mean @ axes.components.T
    parts = [block @ matrix - offset for block in _blocks(embeddings)]
    return np.concatenate([np.zeros((0, len(axes.components))), *parts]).astype(np.float32)


def sample_by_label(codes: Ints, size: int, *, seed: int = 0) -> Ints:
    """Choose rows so that each label keeps its share, and none is lost.

    Parameters
    ----------
    codes : ndarray of int, shape (n_documents,)
        The label of each row; any number stands for one.
    size : int
        About how many to choose; all rows where there are no more. Each label keeps one row at least.
    seed : int, default=0
        Decides which.

    Returns
    -------
    ndarray of int
        Rising row numbers.
    """
    if len(codes) <= size:
        return np.arange(len(codes))
    shuffled = np.random.default_rng(seed).permutation(len(codes))
    ordered = shuffled[np.argsort(codes[shuffled], kind="stable")]
    _, counts = np.unique(codes, return_counts=True)
    ends = np.cumsum(counts)
    kept = [
        ordered[end - count : end - count + max(1, int(count * size / len(codes)))]
        for end, count in zip(ends, counts, strict=True)
    ]
    return np.sort(np.concatenate(kept))


def place_by_nearest(embeddings: Embeddings, known: Ints, coordinates: Coordinates, *, k: int = 5) -> Coordinates:
    """Give every row a place on a map of some of them: amid the places of its nearest ones, weighted by similarity.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
    known : ndarray of int, shape (n_known,)
        The rows that have a place; at least one.
    coordinates : ndarray of float32, shape (n_known, 2)
        Their places; they keep them.
    k : int, default=5
        How many of the nearest ones count.

    Returns
    -------
    ndarray of float32, shape (n_documents, 2)
    """
    found = np.zeros((len(embeddings), 2), dtype=np.float32)
    found[known] = coordinates
    others = np.setdiff1d(np.arange(len(embeddings)), known, assume_unique=True)
    reference = np.asarray(embeddings[known], dtype=np.float32)
    half_squares = 0.5 * np.einsum("ij,ij->i", reference, reference)
    k = min(k, len(known))
    for start in range(0, len(others), _BLOCK_ROWS // 8):
        rows = others[start : start + _BLOCK_ROWS // 8]
        closeness = embeddings[rows] @ reference.T - half_squares
        nearest = np.argpartition(-closeness, k - 1, axis=1)[:, :k]
        weights = np.take_along_axis(closeness, nearest, axis=1).astype(np.float64)
        weights = np.exp(20.0 * (weights - weights.max(axis=1, keepdims=True)))
        found[rows] = np.einsum("ij,ijc->ic", weights / weights.sum(axis=1, keepdims=True), coordinates[nearest])
    return found


def in_rectangle(points: Coordinates, x: Sequence[float], y: Sequence[float]) -> NDArray[np.bool_]:
    """Tell which points, shape (n, 2), lie in a rectangle between two values of `x` and two of `y`, its edge included.

    Examples
    --------
    >>> in_rectangle(np.array([[0.5, 0.5], [2.0, 0.5]]), (1, 0), (0, 1)).tolist()
    [True, False]
    """
    low, high = (np.array([side(x), side(y)], dtype=np.float64) for side in (min, max))
    return np.asarray(((points >= low) & (points <= high)).all(axis=1))


def in_polygon(points: Coordinates, corners: Sequence[Sequence[float]]) -> NDArray[np.bool_]:
    """Tell which points lie in a polygon, by the parity of the edges to the right of each.

    Parameters
    ----------
    points : ndarray, shape (n_points, 2)
    corners : sequence of (x, y)
        In order; the last is joined to the first. Fewer than three enclose nothing. Where the polygon crosses itself,
        what it goes round twice is outside.

    Returns
    -------
    ndarray of bool, shape (n_points,)

    Examples
    --------
    >>> in_polygon(np.array([[0.2, 0.2], [0.9, 0.9]]), [(0, 0), (1, 0), (0, 1)]).tolist()
    [True, False]
    """
    inside = np.zeros(len(points), dtype=np.bool_)
    if len(corners) < _FEWEST_CORNERS:
        return inside
    ends = np.array(corners, dtype=np.float64).reshape(-1, 2)
    near = np.flatnonzero(in_rectangle(points, ends[:, 0].tolist(), ends[:, 1].tolist()))
    x, y = np.asarray(points, dtype=np.float64)[near].T
    found = np.zeros(len(near), dtype=np.bool_)
    for (x0, y0), (x1, y1) in zip(ends, np.roll(ends, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        found ^= crosses & (x < x0 + (y - y0) * ((x1 - x0) / (y1 - y0)))
    inside[near] = found
    return inside


def line_positions(embeddings: Embeddings, start: Floats, end: Floats) -> tuple[Floats, Floats]:
    """Project vectors on the line through two others.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
    start, end : ndarray, shape (n_dims,)
        Two different vectors.

    Returns
    -------
    positions : ndarray of float64, shape (n_documents,)
        0 beside `start`, 1 beside `end`, one half midway; below 0 and above 1 beyond them.
    distances : ndarray of float64, shape (n_documents,)
        How far each is from the line.

    Raises
    ------
    ValueError
        When the two are the same.

    Notes
    -----
    ``(x - start) · (end - start) / |end - start|²``.

    Examples
    --------
    >>> positions, _ = line_positions(np.array([[1.0, 5.0]], dtype=np.float32), np.zeros(2), np.array([2.0, 0.0]))
    >>> positions.tolist()
    [0.5]
    """
    origin, way = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64) - start
    length = float(way @ way)
    if not length > 0:
        raise ValueError("there is no line between two equal vectors")
    positions, distances = np.zeros(len(embeddings)), np.zeros(len(embeddings))
    for at, block in zip(_starts(embeddings), _blocks(embeddings), strict=True):
        away = block - origin
        along = away @ way / length
        positions[at : at + len(block)] = along
        distances[at : at + len(block)] = np.linalg.norm(away - along[:, None] * way, axis=1)
    return positions, distances


@dataclass(frozen=True, slots=True, eq=False)
class Centroids:
    """The middle of each label.

    Attributes
    ----------
    means : ndarray of float64, shape (n_classes, n_dims)
        The mean of its vectors; zeros for a label without any.
    compactness : ndarray of float64, shape (n_classes,)
        Mean cosine similarity of its vectors to that mean; 0 for a label without any.
    similarity : ndarray of float64, shape (n_classes, n_classes)
        Cosine similarity of the means of two labels.
    """

    means: Floats
    compactness: Floats
    similarity: Floats

    def nearest_other(self, code: int) -> int | None:
        """Return the label whose mean is nearest to another's; None where there is no other."""
        if len(self.means) == 1:
            return None
        others = self.similarity[code].copy()
        others[code] = -np.inf
        return int(others.argmax())


def centroids(embeddings: Embeddings, members: Sequence[Ints]) -> Centroids:
    """Find the middle of each label.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
        Rows of unit length, or of zeros.
    members : sequence of ndarray of int
        The rows of each label; a row may have several labels.
    """
    means = np.zeros((len(members), embeddings.shape[1]))
    for code, rows in enumerate(members):
        for start in range(0, len(rows), _BLOCK_ROWS):
            means[code] += embeddings[rows[start : start + _BLOCK_ROWS]].sum(axis=0, dtype=np.float64)
        means[code] /= max(1, len(rows))
    norms = np.linalg.norm(means, axis=1)
    unit = means / np.maximum(norms, np.finfo(np.float64).tiny)[:, None]
    return Centroids(means, norms, unit @ unit.T)


def extremes(embeddings: Embeddings, rows: Ints, centre: Floats, k: int) -> tuple[Ints, Ints, Floats]:
    """Return the most and the least typical rows around a centre.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
        Rows of unit length, or of zeros.
    rows : ndarray of int
        Those among which to choose.
    centre : ndarray, shape (n_dims,)
    k : int
        How many of each kind at most.

    Returns
    -------
    nearest, farthest : ndarray of int
        By falling and by rising similarity; equal ones by row number.
    similarities : ndarray of float64, shape of `rows`
        Cosines to the centre.
    """
    direction = np.asarray(centre, dtype=np.float64) / max(float(np.linalg.norm(centre)), np.finfo(np.float64).tiny)
    parts = [embeddings[rows[at : at + _BLOCK_ROWS]] @ direction for at in range(0, len(rows), _BLOCK_ROWS)]
    similarities = np.concatenate([np.zeros(0), *parts])
    nearest = np.argsort(-similarities, kind="stable")[:k]
    farthest = np.argsort(similarities, kind="stable")[:k]
    return rows[nearest], rows[farthest], similarities


def _starts(rows: Embeddings) -> range:
    """Return where blocks begin."""
    return range(0, len(rows), _BLOCK_ROWS)


def _blocks(rows: Embeddings) -> Iterator[Embeddings]:
    """Read rows block by block."""
    for start in _starts(rows):
        yield np.asarray(rows[start : start + _BLOCK_ROWS])
