"""Fewer dimensions: principal components of any embedder's vectors, and what is left of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from classifier.embedding.contract import (
    Embedder,
    EmbeddingContract,
    Embeddings,
    HasState,
    MeasuresCoverage,
    Recipe,
    State,
)
from classifier.errors import EmbedderError

COMPONENTS, MEAN = "pca.components", "pca.mean"
SMALLEST_NORM = 1e-6
_PREFIX = "pca."
_BLOCK_ROWS = 4096


class ReducedEmbedder:
    """Project the vectors of an embedder onto a few directions, and bring them to unit length again.

    Parameters
    ----------
    inner : Embedder
        What makes the vectors.
    components : ndarray of float32, shape (n_dims, n_inner_dims)
        Orthonormal directions in its space, by falling variance.
    mean : ndarray of float32, shape (n_inner_dims,)
        Subtracted before projecting.

    Raises
    ------
    EmbedderError
        When the embedder is a reduced one already.
    """

    def __init__(self, inner: Embedder, components: Embeddings, mean: Embeddings) -> None:
        if isinstance(inner, ReducedEmbedder):
            raise EmbedderError(f"{inner.contract.model_id!r} is reduced already; reduce an embedder once.")
        self.inner, self._components, self._mean = inner, components, mean
        self._contract = _reduced_contract(inner.contract, components, mean)

    @property
    def contract(self) -> EmbeddingContract:
        """What these vectors may be compared with."""
        return self._contract

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:
        """Embed `texts` and reduce; float32 of shape (n_documents, n_dims), zeros where the inner vector is zeros."""
        return project(self.inner.encode(texts, progress=progress), self._mean, self._components)

    def coverage(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the shares that the inner embedder reads; ones where it does not measure them."""
        return self.inner.coverage(texts) if isinstance(self.inner, MeasuresCoverage) else np.ones(len(texts))

    def state(self) -> State:
        """Return the directions and the mean, beside what the inner embedder learned."""
        inner = self.inner.state() if isinstance(self.inner, HasState) else {}
        return {**inner, COMPONENTS: self._components, MEAN: self._mean}


class ReductionRecipe(Recipe):
    """Find the directions in which the training texts differ most.

    Parameters
    ----------
    name : str
        What the user called it.
    inner : Embedder
        What is reduced; a `Recipe` is fitted first, on the same texts.
    n_dims : int
        How many dimensions to keep.

    References
    ----------
    Raunak, Gupta and Metze (2019), Effective dimensionality reduction for word embeddings,
    https://aclanthology.org/W19-4328/
    """

    def __init__(self, name: str, inner: Embedder, n_dims: int) -> None:
        super().__init__(name)
        self.inner, self.n_dims = inner, n_dims
        self.learns_words = isinstance(inner, Recipe) and inner.learns_words

    def fit(self, texts: Sequence[str], *, seed: int = 0, progress: bool = False) -> tuple[ReducedEmbedder, Embeddings]:
        """Learn the directions from texts; those with nothing to read teach nothing.

        Returns
        -------
        embedder : ReducedEmbedder
            Ready to use.
        embeddings : ndarray of float32, shape (n_documents, n_dims)
            What it makes of `texts`.

        Raises
        ------
        EmbedderError
            When neither the inner embedder nor the texts have that many dimensions.
        """
        if isinstance(self.inner, Recipe):
            inner, embeddings = self.inner.fit(texts, seed=seed, progress=progress)
        else:
            self._require_possible(self.inner.contract.dimension, len(texts))
            inner, embeddings = self.inner, self.inner.encode(texts, progress=progress)
        self._require_possible(inner.contract.dimension, int(embeddings.any(axis=1).sum()))
        components, mean = principal_components(embeddings)
        embedder = ReducedEmbedder(inner, np.ascontiguousarray(components[: self.n_dims]), mean)
        return embedder, project(embeddings, mean, components[: self.n_dims])

    def _require_possible(self, n_inner_dims: int, n_texts: int) -> None:
        """Refuse more dimensions than there are, or than texts can tell apart."""
        possible = min(n_inner_dims, n_texts)
        if not possible:
            raise EmbedderError(f"The embedder {self.name!r} found nothing to read in the texts it is to learn from.")
        if not 1 <= self.n_dims <= possible:
            raise EmbedderError(
                f"The embedder {self.name!r} asks for {self.n_dims} dimensions, but {n_inner_dims} dimensions of "
                f"{n_texts} texts with something to read allow 1 to {possible}; ask for +pca:{possible} or fewer."
            )


def restore_reduction(inner: Embedder, n_dims: int, state: State) -> ReducedEmbedder:
    """Give back the reduction that was stored with a model.

    Parameters
    ----------
    inner : Embedder
        What is reduced, restored already.
    n_dims : int
        How many dimensions its name asks for.
    state : dict of str to ndarray
        The reduction's own half of `split_state`.

    Raises
    ------
    EmbedderError
        When the arrays are not those of such a reduction.
    """
    n_inner_dims = inner.contract.dimension
    expected = {COMPONENTS: (n_dims, n_inner_dims), MEAN: (n_inner_dims,)}
    if set(state) != set(expected):
        raise EmbedderError(f"A stored +pca:{n_dims} has the arrays {sorted(expected)}, not {sorted(state)}.")
    for name, shape in expected.items():
        array = state[name]
        if array.dtype != np.float32 or array.shape != shape or not np.isfinite(array).all():
            raise EmbedderError(
                f"The stored array {name!r} does not fit +pca:{n_dims} behind {n_inner_dims} dimensions; "
                "restore the model from a backup or train it again."
            )
    return ReducedEmbedder(inner, state[COMPONENTS], state[MEAN])


def split_state(state: State) -> tuple[State, State]:
    """Part a reduced embedder's state.

    Returns
    -------
    own : dict of str to ndarray
        What `restore_reduction` takes.
    inner : dict of str to ndarray
        What the reduced embedder had learned itself; empty where it learns nothing.
    """
    own = {name: array for name, array in state.items() if name.startswith(_PREFIX)}
    return own, {name: array for name, array in state.items() if name not in own}


def principal_components(embeddings: Embeddings) -> tuple[Embeddings, Embeddings]:
    """Find every direction in which embeddings differ, so that any number of them is a slice.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
        Rows of zeros are left out; at least one other row.

    Returns
    -------
    components : ndarray of float32, shape (n_dims, n_dims)
        Orthonormal rows by falling variance; the largest entry of each is positive.
    mean : ndarray of float32, shape (n_dims,)

    Notes
    -----
    Eigenvectors of the covariance, summed in float64 block by block.

    References
    ----------
    Jolliffe and Cadima (2016), Principal component analysis: a review, https://doi.org/10.1098/rsta.2015.0202

    Examples
    --------
    >>> components, mean = principal_components(np.array([[3, 1], [1, 1], [-4, 1]], dtype=np.float32))
    >>> components.tolist(), mean.tolist()
    ([[1.0, 0.0], [0.0, 1.0]], [0.0, 1.0])
    """
    n_rows, total = 0, np.zeros(embeddings.shape[1])
    for block in _read_rows(embeddings):
        n_rows, total = n_rows + len(block), total + block.sum(axis=0)
    mean = total / n_rows
    scatter = np.zeros((len(mean), len(mean)))
    for block in _read_rows(embeddings):
        centred = block - mean
        scatter += centred.T @ centred
    components = np.linalg.eigh(scatter)[1].T[::-1]
    largest = np.abs(components).argmax(axis=1)
    components = components * np.sign(components[np.arange(len(components)), largest])[:, np.newaxis]
    return components.astype(np.float32), mean.astype(np.float32)


def project(embeddings: Embeddings, mean: Embeddings, components: Embeddings) -> Embeddings:
    """Subtract the mean, keep the given directions, and bring each row to unit length.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_inner_dims)
    mean : ndarray of float32, shape (n_inner_dims,)
    components : ndarray of float32, shape (n_dims, n_inner_dims)
        The first rows of `principal_components`.

    Returns
    -------
    ndarray of float32, shape (n_documents, n_dims)
        Rows of zeros stay zeros; so becomes a row of which no more than rounding is left. With all directions
        the cosine of two rows is that of the two embeddings after the mean was subtracted from both.
    """
    reduced = np.zeros((len(embeddings), len(components)), dtype=np.float32)
    directions = components.T.astype(np.float64)
    for start in range(0, len(embeddings), _BLOCK_ROWS):
        block = embeddings[start : start + _BLOCK_ROWS]
        kept = (block.astype(np.float64) - mean) @ directions
        norms = np.linalg.norm(kept, axis=1, keepdims=True)
        readable = block.any(axis=1, keepdims=True) & (norms > SMALLEST_NORM)
        np.divide(kept, norms, out=reduced[start : start + len(block)], where=readable)
    return reduced


def explained_fraction(embeddings: Embeddings, mean: Embeddings, components: Embeddings) -> NDArray[np.float64]:
    """Return the share of the variance of embeddings that lies along each direction.

    Returns
    -------
    ndarray of float64, shape (n_components,)
        In [0, 1]; the sum over the first D of `principal_components` is what ``+pca:D`` keeps. Zeros where nothing
        varies.
    """
    along, total = np.zeros(len(components)), 0.0
    for block in _read_rows(embeddings):
        centred = block - mean
        along += np.square(centred @ components.T).sum(axis=0)
        total += float(np.square(centred).sum())
    return np.minimum(along / total, 1.0) if total else along


def _read_rows(embeddings: Embeddings) -> Iterator[NDArray[np.float64]]:
    """Yield copies of the rows that are not zeros, block by block."""
    for start in range(0, len(embeddings), _BLOCK_ROWS):
        block = embeddings[start : start + _BLOCK_ROWS]
        yield block[block.any(axis=1)].astype(np.float64)


def _reduced_contract(inner: EmbeddingContract, components: Embeddings, mean: Embeddings) -> EmbeddingContract:
    """State what the vectors are after the reduction."""
    digest = hashlib.sha256(inner.weights_sha256.encode("ascii"))
    digest.update(np.ascontiguousarray(components).tobytes())
    digest.update(np.ascontiguousarray(mean).tobytes())
    n_dims = len(components)
    return replace(
        inner,
        model_id=f"{inner.model_id}+pca:{n_dims}",
        weights_sha256=digest.hexdigest(),
        pooling=f"{inner.pooling} + pca:{n_dims}",
        normalize=True,
        dimension=n_dims,
    )
