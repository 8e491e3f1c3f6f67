"""Measure embedders on labelled documents: every dimension and stored precision, each answer on a held-out document.

What is fitted on texts (a vocabulary, weights of words, principal components) is fitted on each training part alone,
and held-out documents are embedded by what was fitted without them.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Ints
from classifier.analysis.intervals import wilson_interval
from classifier.analysis.tradeoffs import Tradeoff, kept_neighbours, neighbour_weights
from classifier.datamodels import EncoderOptions
from classifier.embedding.contract import Embedder, Embeddings, HasState, Recipe
from classifier.embedding.embedders import EmbedderName, load_embedder
from classifier.embedding.origin import find_encoder
from classifier.embedding.quantization import DTYPES, rounded, vector_bytes
from classifier.embedding.reduction import principal_components, project
from classifier.errors import EmbedderError, TrainingDataError
from classifier.files import file_sha256
from classifier.modeling.folds import ALWAYS_IN_TRAINING, assign_folds
from classifier.modeling.head import LinearHead
from classifier.modeling.race import fit_logistic
from classifier.modeling.solvers import fit_parts
from classifier.modeling.training_data import TrainingData, check_training_data
from classifier.progress import progress_bar

DEFAULT_EMBEDDERS = (
    "default",
    "default+pooling:cls",
    "default+pooling:max",
    "default+pooling:mean-last-4",
    "default+pooling:first-layer",
    "static",
    "lsa",
)
DIMS = (16, 32, 64, 128, 256)
N_FOLDS = 5
FOLDS_OF_MANY = 3
MANY_DOCUMENTS = 1000
N_NEIGHBOURS = 10
MOST_QUERIES = 1000
TIMED_TEXTS = 500
WARM_UP_TEXTS = 32
MOST_PASSES = 10
LONGEST_SECONDS = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The documents that every embedder is measured on.

    Attributes
    ----------
    data : TrainingData
        Labelled texts.
    folds : ndarray of int, shape (n_documents,)
        Fold in which each is held out; -1 for the only document of a label, which never is.
    queries : ndarray of int, shape (n_queries,)
        Rows of held-out documents whose neighbours are looked for, rising.
    seed : int
        What decided all this.
    """

    data: TrainingData
    folds: Ints
    queries: Ints
    seed: int

    @property
    def n_folds(self) -> int:
        """How many folds there are."""
        return int(self.folds.max()) + 1

    @property
    def measured(self) -> Ints:
        """Rows of the documents that are held out once."""
        return np.flatnonzero(self.folds != ALWAYS_IN_TRAINING)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of texts, labels and seed."""
        return hashlib.sha256(json.dumps([self.data.texts, self.data.labels, self.seed]).encode("ascii")).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What came of one embedder.

    Attributes
    ----------
    tradeoffs : tuple of Tradeoff
        By dimensions, then dtype.
    correct : ndarray of bool, shape (n_tradeoffs, n_measured)
        Whether each held-out document was answered rightly; columns follow `Sample.measured`.
    """

    tradeoffs: tuple[Tradeoff, ...]
    correct: NDArray[np.bool_]


def draw_sample(texts: Sequence[str], labels: Sequence[str], *, max_documents: int, seed: int) -> Sample:
    """Draw documents, label by label in proportion, and divide them into folds.

    Parameters
    ----------
    texts, labels : sequence of str
        Of equal length; at least two labels.
    max_documents : int
        All documents where there are no more.
    seed : int
        Decides sample, folds and queries.

    Raises
    ------
    TrainingDataError
        When there are fewer than two labels, or none with two documents.
    """
    rows = stratified_rows(labels, max_documents, seed)
    data = check_training_data([texts[row] for row in rows], [labels[row] for row in rows])
    n_folds = FOLDS_OF_MANY if len(rows) > MANY_DOCUMENTS else N_FOLDS
    folds = assign_folds(data.y, n_folds, seed, data.groups)
    measured = np.flatnonzero(folds != ALWAYS_IN_TRAINING)
    if not len(measured):
        raise TrainingDataError("No label has two different documents", "add documents: nothing can be held out")
    queries = np.random.default_rng(seed).permutation(measured)[:MOST_QUERIES]
    return Sample(data, folds, np.sort(queries), seed)


def stratified_rows(labels: Sequence[str], n_documents: int, seed: int) -> Ints:
    """Choose rows so that each label keeps its share, up to one document.

    Returns
    -------
    ndarray of int, shape (min(n_documents, n_labels),)
        Rising.
    """
    if len(labels) <= n_documents:
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    y = np.unique(np.array(labels, dtype=object), return_inverse=True)[1]
    turns = np.empty(len(y))
    for label in range(int(y.max()) + 1):
        members = rng.permutation(np.flatnonzero(y == label))
        turns[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return np.sort(np.argsort(turns, kind="stable")[:n_documents])


def identify(name: str, options: EncoderOptions) -> str:
    """Load an embedder and tell all that its vectors depend on; refuse what cannot be compared.

    Returns
    -------
    str
        Equal for equal vectors of equal texts.

    Raises
    ------
    EmbedderError
        When there is no such embedder, or it is reduced already.
    """
    parsed = EmbedderName.parse(name)
    if parsed.pca is not None:
        whole = name.replace(f"+pca:{parsed.pca}", "")
        raise EmbedderError(f"The embedder {name!r} is reduced already; give {whole!r}: all dimensions are tried.")
    embedder = load_embedder(name, options)
    if not isinstance(embedder, Recipe):
        return f"{name} {embedder.contract.fingerprint}"
    return f"{name} {file_sha256(Path(parsed.source).expanduser())}" if parsed.family == "word-vectors" else name


def measure_embedder(name: str, sample: Sample, options: EncoderOptions, *, progress: bool = False) -> Measured:
    """Measure one embedder in every dimension and stored precision.

    Parameters
    ----------
    name : str
        As `load_embedder` takes it, without ``+pca``.
    sample : Sample
        From `draw_sample`.
    options : EncoderOptions
        How transformers are run; known vectors are looked up, except where speed is measured.
    progress : bool, default=False
        Show bars on stderr.

    Returns
    -------
    Measured
        Nothing is marked as being on the front yet.

    Raises
    ------
    EmbedderError
        When it cannot be loaded, or finds nothing to read or to learn from.

    Notes
    -----
    The regularisation is chosen once, by the usual race on the full float32 vectors of the first training part, and
    serves every dimension and precision. Heads on rounded vectors begin from the head on float32 vectors. Vectors of
    held-out documents and of training documents are rounded alike.
    """
    embedder, spaces = _spaces(name, sample, options, progress=progress)
    n_full = embedder.contract.dimension
    dims: list[int | None] = [n for n in DIMS if n < n_full and all(n <= space.most_dims for space in spaces)]
    dims.append(None)
    first = spaces[0].training
    race = fit_logistic(
        spaces[0].embeddings[first], sample.data.y[first], groups=sample.data.groups[first], seed=sample.seed
    )
    with progress_bar(name, "head", total=len(dims) * len(DTYPES) * len(spaces), shown=progress) as bar:
        correct, recall = _sweep(sample, spaces, dims, race.inverse_regularisation, bar.update)
    speed, size = _speed(name, embedder, sample, options), _model_bytes(name, embedder, options)
    tradeoffs = tuple(
        Tradeoff(
            embedder=name,
            n_dims=n_dims or n_full,
            is_reduced=n_dims is not None,
            dtype=dtype,
            accuracy=float(answers.mean()),
            accuracy_interval=wilson_interval(int(answers.sum()), len(answers)),
            recall_at_10=float(share),
            documents_per_second=speed,
            vector_bytes=vector_bytes(n_dims or n_full, dtype),
            model_bytes=size + (0 if n_dims is None else (n_dims + 1) * n_full * np.dtype(np.float32).itemsize),
        )
        for (n_dims, dtype), answers, share in zip(_versions(dims), correct, recall, strict=True)
    )
    return Measured(tradeoffs, correct)


@dataclass(eq=False)
class _Space:
    """All documents as they look to an embedder that has seen one training part.

    Attributes
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
    training : ndarray of bool, shape (n_documents,)
        Which documents it has seen; the others are held out.
    """

    embeddings: Embeddings
    training: NDArray[np.bool_]

    @property
    def most_dims(self) -> int:
        """How many directions the training part can tell apart, at most."""
        return int(min(self.embeddings.shape[1], self.embeddings[self.training].any(axis=1).sum()))

    @cached_property
    def directions(self) -> tuple[Embeddings, Embeddings]:
        """Every principal component of the training part, and its mean."""
        return principal_components(self.embeddings[self.training])

    def vectors(self, n_dims: int | None, dtype: str) -> Embeddings:
        """Reduce to `n_dims`, not at all where None, and round."""
        if n_dims is None:
            return rounded(self.embeddings, dtype)
        components, mean = self.directions
        return rounded(project(self.embeddings, mean, components[:n_dims]), dtype)


def _spaces(name: str, sample: Sample, options: EncoderOptions, *, progress: bool) -> tuple[Embedder, list[_Space]]:
    """Embed all documents once, or once for each training part; and give the embedder as it would be used."""
    from threadpoolctl import threadpool_limits

    embedder, texts = load_embedder(name, options), sample.data.texts
    parts = [sample.folds != fold for fold in range(sample.n_folds)]
    if isinstance(embedder, Recipe):
        with threadpool_limits(1):  # on a busy machine, small factorizations by several threads take thrice as long
            fitted = [embedder.fit([texts[row] for row in np.flatnonzero(part)], seed=sample.seed)[0] for part in parts]
            embedder = embedder.fit(texts, seed=sample.seed)[0]
        spaces = [_Space(one.encode(texts), part) for one, part in zip(fitted, parts, strict=True)]
    else:
        embeddings = embedder.encode(texts, progress=progress)
        spaces = [_Space(embeddings, part) for part in parts]
    if not all(space.most_dims for space in spaces):
        raise EmbedderError(f"The embedder {name!r} found nothing to read in these documents; choose another one.")
    return embedder, spaces


def _versions(dims: Sequence[int | None]) -> Iterator[tuple[int | None, str]]:
    """Yield every number of dimensions in every dtype."""
    return ((n_dims, dtype) for n_dims in dims for dtype in DTYPES)


def _sweep(
    sample: Sample, spaces: Sequence[_Space], dims: Sequence[int | None], c: float, on_head: Callable[[], object]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Answer each held-out document, and look for neighbours, in every version; rows follow `_versions`."""
    y, order = sample.data.y, list(_versions(dims))
    correct = np.zeros((len(order), len(y)), dtype=np.bool_)
    kept = np.zeros((len(order), len(y)))
    queries = [np.intersect1d(sample.queries, np.flatnonzero(~space.training)) for space in spaces]
    nearest_before = [
        neighbour_weights(space.embeddings, rows, N_NEIGHBOURS) for space, rows in zip(spaces, queries, strict=True)
    ]
    starts: dict[tuple[int | None, int], LinearHead] = {}
    for dtype in DTYPES:
        jobs = [(n_dims, fold) for n_dims in dims for fold in range(len(spaces))]
        heads = fit_parts(_parts(spaces, y, jobs, dtype, starts, on_head), c)
        starts = starts or dict(zip(jobs, heads, strict=True))
        for (n_dims, fold), head in zip(jobs, heads, strict=True):
            row, held_out = order.index((n_dims, dtype)), ~spaces[fold].training
            vectors = spaces[fold].vectors(n_dims, dtype)
            correct[row, held_out] = head.scores(vectors[held_out]).argmax(axis=1) == y[held_out]
            nearest_after = neighbour_weights(vectors, queries[fold], N_NEIGHBOURS)
            kept[row, queries[fold]] = kept_neighbours(nearest_before[fold], nearest_after)
    return correct[:, sample.measured], kept[:, sample.queries].mean(axis=1)


def _parts(
    spaces: Sequence[_Space],
    y: Ints,
    jobs: Sequence[tuple[int | None, int]],
    dtype: str,
    starts: dict[tuple[int | None, int], LinearHead],
    on_part: Callable[[], object],
) -> Iterator[tuple[Embeddings, Ints, LinearHead | None]]:
    """Yield the training part of each job, when it is asked for."""
    for n_dims, fold in jobs:
        training = spaces[fold].training
        yield spaces[fold].vectors(n_dims, dtype)[training], y[training], starts.get((n_dims, fold))
        on_part()


def _speed(name: str, embedder: Embedder, sample: Sample, options: EncoderOptions) -> float:
    """Embed some documents without looking any up, a few times if it is quick; return how many a second, at best."""
    uncached = load_embedder(name, replace(options, use_cache=False))
    if not isinstance(uncached, Recipe):
        embedder = uncached
    rows = np.random.default_rng(sample.seed).permutation(len(sample.data.texts))[:TIMED_TEXTS]
    texts = [sample.data.texts[row] for row in rows]
    embedder.encode(texts[:WARM_UP_TEXTS])
    seconds: list[float] = []
    while len(seconds) < MOST_PASSES and sum(seconds) < LONGEST_SECONDS:
        started = time.perf_counter()
        embedder.encode(texts)
        seconds.append(time.perf_counter() - started)
    return len(texts) / min(seconds)


def _model_bytes(name: str, embedder: Embedder, options: EncoderOptions) -> int:
    """Add up what an embedder learned and the weights it was given."""
    parsed = EmbedderName.parse(name)
    state = embedder.state() if isinstance(embedder, HasState) else {}
    size = sum(int(array.nbytes) for array in state.values())
    if parsed.family == "word-vectors":
        return size + Path(parsed.source).expanduser().stat().st_size
    if parsed.family == "transformer":
        folder = find_encoder(parsed.source, download=options.download).folder
        return size + sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    return size
