"""The lsa family of embedders: weighted word counts of the training texts, squeezed into a few dimensions."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from classifier.datamodels import EncoderOptions
from classifier.embedding.contract import EmbeddingContract, Embeddings, Recipe, State
from classifier.embedding.reduction import SMALLEST_NORM
from classifier.errors import EmbedderError
from classifier.progress import progress_bar

if TYPE_CHECKING:
    from classifier.embedding.embedders import EmbedderName

POOLING = "tf-idf + truncated SVD"
DEFAULT_N_DIMS = 256
MOST_DIMS = 4096
MOST_FEATURES = 50_000
MANY_TEXTS = 2000
IDF, COMPONENTS, VOCABULARY = "lsa.idf", "lsa.components", "lsa.vocabulary"
_WORD = re.compile(r"\b\w\w+\b")
_SPACE = re.compile(r"\s+")
_N_DIMS = re.compile(r"[1-9][0-9]{0,3}")
_N_POWER_ITERATIONS = 5
_SMALLEST_SINGULAR_VALUE = 1e-5


class LsaEmbedder:
    """Embed texts by the words and pairs of neighbouring words that the training texts share.

    Parameters
    ----------
    vocabulary : sequence of str
        The known terms: words of two letters or more in lower case, and pairs of them joined by a space.
    idf : ndarray of float32, shape (n_features,)
        Weight of each term: the rarer, the heavier.
    components : ndarray of float32, shape (n_dims, n_features)
        Directions in the space of terms.

    Notes
    -----
    A term that occurs ``n`` times weighs ``(1 + ln n) * idf``; the weights of a text are brought to unit length,
    projected, and brought to unit length again. Each text is embedded by itself, whatever else is in the call.

    References
    ----------
    Deerwester, Dumais, Furnas, Landauer and Harshman (1990), Indexing by latent semantic analysis,
    https://doi.org/10.1002/(SICI)1097-4571(199009)41:6<391::AID-ASI1>3.0.CO;2-9
    """

    def __init__(self, vocabulary: Sequence[str], idf: Embeddings, components: Embeddings) -> None:
        self._columns = {term: column for column, term in enumerate(vocabulary)}
        self._idf = np.ascontiguousarray(idf, dtype=np.float32)
        self._term_vectors = np.ascontiguousarray(components.T, dtype=np.float32)
        self._contract = _contract(self.state(), len(components))

    @property
    def contract(self) -> EmbeddingContract:
        """What these vectors may be compared with."""
        return self._contract

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:
        """Embed `texts`, each of any length.

        Parameters
        ----------
        texts : sequence of str
        progress : bool, default=False
            Show a bar with the remaining time on stderr.

        Returns
        -------
        ndarray of float32, shape (n_documents, n_dims)
            Rows follow `texts`; unit length, or zeros for a text without any known term, and for one whose
            known terms have no part in the directions that were kept.
        """
        vectors = np.zeros((len(texts), self._contract.dimension), dtype=np.float32)
        with progress_bar("embedding", "doc", total=len(texts), shown=progress) as bar:
            for row, text in enumerate(texts):
                columns, weights = self._weights(text)
                vector = weights @ self._term_vectors[columns]
                norm = np.sqrt(vector @ vector)
                if norm > SMALLEST_NORM:
                    np.divide(vector, norm, out=vectors[row])
                bar.update()
        return vectors

    def coverage(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the share of each text's visible characters that do not belong to unknown words.

        Returns
        -------
        ndarray of float64, shape (n_documents,)
            In [0, 1]; 0 for a text without any known term. Punctuation and single letters count as read.
        """
        return np.array([self._known_share(text) for text in texts], dtype=np.float64)

    def state(self) -> State:
        """Return terms, weights and directions, as `restore_lsa` takes them back."""
        vocabulary = np.frombuffer("\n".join(self._columns).encode("utf-8"), dtype=np.uint8)
        return {IDF: self._idf, COMPONENTS: np.ascontiguousarray(self._term_vectors.T), VOCABULARY: vocabulary}

    def _weights(self, text: str) -> tuple[NDArray[np.intp], Embeddings]:
        """Return the columns of a text's known terms and their tf-idf weights of unit length."""
        columns = self._columns
        counts = Counter(columns[term] for term in _terms(text) if term in columns)
        found = np.fromiter(counts, dtype=np.intp, count=len(counts))
        n_times = np.fromiter(counts.values(), dtype=np.float32, count=len(counts))
        weights: Embeddings = (1 + np.log(n_times)) * self._idf[found]
        return found, weights / (np.sqrt(weights @ weights) or 1)

    def _known_share(self, text: str) -> float:
        """Return the share of visible characters outside unknown words; 0 where nothing is known."""
        if not any(term in self._columns for term in _terms(text)):
            return 0.0
        lowered = text.lower()
        n_visible = len(lowered) - sum(len(space[0]) for space in _SPACE.finditer(lowered))
        n_unknown = sum(len(word[0]) for word in _WORD.finditer(lowered) if word[0] not in self._columns)
        return 1.0 - n_unknown / n_visible


class LsaRecipe(Recipe):
    """Learn terms, their weights and the directions in which texts differ.

    Parameters
    ----------
    name : str
        What the user called it.
    n_dims : int
        How many dimensions to keep; fewer where the texts have fewer.

    References
    ----------
    Halko, Martinsson and Tropp (2011), Finding structure with randomness, https://arxiv.org/abs/0909.4061
    """

    def __init__(self, name: str, n_dims: int = DEFAULT_N_DIMS) -> None:
        super().__init__(name)
        self.n_dims = n_dims

    def fit(self, texts: Sequence[str], *, seed: int = 0, progress: bool = False) -> tuple[LsaEmbedder, Embeddings]:
        """Learn from texts; a term must occur in two of them where there are `MANY_TEXTS`.

        Returns
        -------
        embedder : LsaEmbedder
            Ready to use.
        embeddings : ndarray of float32, shape (n_documents, n_dims)
            What it makes of `texts`.

        Raises
        ------
        EmbedderError
            When the texts hold no words to learn from.
        """
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.utils.extmath import randomized_svd

        min_df = 2 if len(texts) >= MANY_TEXTS else 1
        vectorizer = TfidfVectorizer(
            analyzer=_terms, sublinear_tf=True, min_df=min_df, max_features=MOST_FEATURES, dtype=np.float32
        )
        try:
            weights = vectorizer.fit_transform(texts)
        except ValueError as error:
            needed = "a word that two of them share" if min_df == 2 else "a word of two letters"
            raise EmbedderError(
                f"The embedder {self.name!r} cannot learn from these {len(texts)} texts, which do not even hold "
                f"{needed}; give other texts, or choose another embedder."
            ) from error
        n_dims = min(self.n_dims, *weights.shape)
        _, strengths, components = randomized_svd(weights, n_dims, n_iter=_N_POWER_ITERATIONS, random_state=seed)
        components = components[strengths > _SMALLEST_SINGULAR_VALUE * strengths[0]]
        embedder = LsaEmbedder(vectorizer.get_feature_names_out().tolist(), vectorizer.idf_, components)
        return embedder, embedder.encode(texts, progress=progress)


def load_lsa(name: EmbedderName, options: EncoderOptions) -> LsaRecipe:  # noqa: ARG001 # every family takes them
    """Return the recipe that ``lsa`` or ``lsa:D`` stands for.

    Raises
    ------
    EmbedderError
        When D is not a number of dimensions.
    """
    return LsaRecipe(_called(name), _n_dims(name))


def restore_lsa(name: EmbedderName, options: EncoderOptions, state: State) -> LsaEmbedder:  # noqa: ARG001 # as load_lsa
    """Give back the embedder whose `state` was stored with a model.

    Raises
    ------
    EmbedderError
        When the arrays are not those of such an embedder.
    """
    n_dims = _n_dims(name)
    try:
        vocabulary = _checked(state, n_dims)
    except ValueError as error:
        raise EmbedderError(
            f"What was stored of the embedder {_called(name)!r} is damaged: {error}; "
            "restore the model from a backup or train it again."
        ) from error
    return LsaEmbedder(vocabulary, state[IDF], state[COMPONENTS])


def _terms(text: str) -> Iterator[str]:
    """Yield the words of a text, and each word together with the one before it."""
    before = ""
    for found in _WORD.finditer(text.lower()):
        word = found[0]
        yield word
        if before:
            yield f"{before} {word}"
        before = word


def _called(name: EmbedderName) -> str:
    """Return what the user wrote."""
    return f"{name.family}:{name.source}" if name.source else name.family


def _n_dims(name: EmbedderName) -> int:
    """Read D."""
    if not name.source:
        return DEFAULT_N_DIMS
    if not _N_DIMS.fullmatch(name.source) or int(name.source) > MOST_DIMS:
        raise EmbedderError(
            f"The embedder {_called(name)!r} does not say how many dimensions; "
            f"give a number from 1 to {MOST_DIMS}, as lsa:256."
        )
    return int(name.source)


def _checked(state: State, n_dims: int) -> list[str]:
    """Return the terms of a state whose arrays fit together; say what does not."""
    if set(state) != {IDF, COMPONENTS, VOCABULARY}:
        raise ValueError(f"its arrays are {sorted(state)}")
    idf, components, encoded = state[IDF], state[COMPONENTS], state[VOCABULARY]
    kinds = {name: (array.dtype.name, array.ndim) for name, array in state.items()}
    if kinds != {IDF: ("float32", 1), COMPONENTS: ("float32", 2), VOCABULARY: ("uint8", 1)}:
        raise ValueError("an array has another type")
    if not 1 <= len(components) <= n_dims or components.shape[1] != len(idf):
        raise ValueError(f"{components.shape} directions do not fit {n_dims} dimensions and {len(idf)} terms")
    if not (np.isfinite(idf).all() and np.isfinite(components).all()):
        raise ValueError("a number is not finite")
    terms = encoded.tobytes().decode("utf-8").split("\n")
    if len(terms) != len(idf) or len(set(terms)) != len(terms) or "" in terms:
        raise ValueError(f"it has {len(idf)} weights but {len(set(terms) - {''})} terms")
    return terms


def _contract(state: State, n_dims: int) -> EmbeddingContract:
    """State what the vectors may be compared with."""
    weights = hashlib.sha256(state[IDF].tobytes())
    weights.update(state[COMPONENTS].tobytes())
    return EmbeddingContract(
        model_id="lsa",
        revision="",
        weights_sha256=weights.hexdigest(),
        tokenizer_sha256=hashlib.sha256(state[VOCABULARY].tobytes()).hexdigest(),
        pooling=POOLING,
        normalize=True,
        prompt="",
        max_tokens=0,
        chunking="none",
        dimension=n_dims,
        precision="f32",
        backend="numpy",
    )
