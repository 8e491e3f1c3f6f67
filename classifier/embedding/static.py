"""The static family of embedders: an encoder distilled to one vector per token, hundreds of times faster than it.

What was distilled is kept in the cache folder, and stored with every model that uses it: predicting needs neither
the encoder nor the cache.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tqdm import tqdm

from classifier.datamodels import EncoderOptions
from classifier.embedding.chunking import Chunker
from classifier.embedding.contract import EmbeddingContract, Embeddings, State
from classifier.embedding.embedders import DEFAULT_EMBEDDER, EmbedderName
from classifier.embedding.origin import Origin, find_encoder
from classifier.embedding.words import Block, embed_in_windows, kept_table, mean_rows
from classifier.errors import EmbedderError

if TYPE_CHECKING:
    from model2vec import StaticModel

DIMS = 256
FOLDER = "static"
TOKENS_PER_CHUNK = 1 << 16


class StaticEmbedder:
    """Embed whole texts by the mean of one fixed vector per token.

    There is no window: a text of any length is read to its end, and the order of its words does not matter. Tokens
    the encoder does not know are left out: their row is zeros.

    Parameters
    ----------
    vectors : ndarray of float16, shape (n_tokens, n_dims)
        One row for each token; how common tokens weigh less is part of the rows.
    tokenizer_json : bytes
        The tokenizer, as `tokenizers` writes it.
    model_id : str
        The encoder it was distilled from.
    revision : str
        Of that encoder.

    References
    ----------
    Tulkens and van Dongen (2024), Model2Vec, https://github.com/MinishLab/model2vec;
    Arora et al. (2017), A simple but tough-to-beat baseline for sentence embeddings,
    https://openreview.net/forum?id=SyK00v5xx
    """

    def __init__(self, vectors: NDArray[np.float16], tokenizer_json: bytes, *, model_id: str, revision: str) -> None:
        self._stored, self._tokenizer_json = np.ascontiguousarray(vectors, "<f2"), tokenizer_json
        self._model_id = model_id
        self._vectors = self._stored.astype(np.float32)
        self._chunker = Chunker(Tokenizer.from_buffer(tokenizer_json), TOKENS_PER_CHUNK)
        self._contract = EmbeddingContract(
            model_id=f"{FOLDER}:{model_id}",
            revision=revision,
            weights_sha256=hashlib.sha256(self._stored.tobytes()).hexdigest(),
            tokenizer_sha256=hashlib.sha256(tokenizer_json).hexdigest(),
            pooling="mean",
            normalize=True,
            prompt="",
            max_tokens=0,
            chunking="none",
            dimension=vectors.shape[1],
            backend="numpy",
        )

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
            Show a bar on stderr.

        Returns
        -------
        ndarray of float32, shape (n_documents, n_dims)
            Rows follow `texts`; unit length, or zeros for a text without any token the encoder knows.
        """
        return embed_in_windows(texts, self._contract.dimension, self._encode_window, progress=progress)

    def coverage(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the share of each text's visible characters that became known tokens, in [0, 1]."""
        return self._chunker.coverage(texts)

    def state(self) -> State:
        """Return the vectors, the tokenizer, and which encoder they come from."""
        origin = json.dumps({"model_id": self._model_id, "revision": self._contract.revision}).encode()
        return {
            "vectors": self._stored,
            "tokenizer": np.frombuffer(self._tokenizer_json, dtype=np.uint8),
            "origin": np.frombuffer(origin, dtype=np.uint8),
        }

    def _encode_window(self, texts: Sequence[str]) -> Embeddings:
        """Embed some texts."""
        lengths = np.zeros(len(texts), dtype=np.intp)
        parts = [np.zeros(0, dtype=np.int32)]
        for chunk in self._chunker.chunks(texts):
            lengths[chunk.document] += chunk.n_tokens
            parts.append(np.array(chunk.token_ids, dtype=np.int32))
        rows = np.concatenate(parts)
        return mean_rows(self._vectors, rows, np.ones(len(rows), dtype=np.float32), lengths)


def load_static(name: EmbedderName, options: EncoderOptions) -> StaticEmbedder:
    """Distil an encoder, or open what was distilled before.

    Parameters
    ----------
    name : EmbedderName
        Its source is an encoder's name or folder; empty for the default one.
    options : EncoderOptions
        Where the distilled form is kept, and whether the encoder may be fetched.

    Raises
    ------
    EmbedderError
        When the encoder cannot be found, is not trusted, or cannot be distilled.
    """
    source = name.source or DEFAULT_EMBEDDER
    origin = find_encoder(source, download=options.download)
    table = kept_table(options.cache_dir / FOLDER / _key(origin), lambda: _distilled(source, origin))
    return StaticEmbedder(table.vectors, table.vocabulary, model_id=origin.model_id, revision=origin.revision)


def restore_static(name: EmbedderName, options: EncoderOptions, state: State) -> StaticEmbedder:  # noqa: ARG001 # one signature for all families
    """Build the embedder from what was stored with a model; neither the encoder nor the cache is needed.

    Raises
    ------
    EmbedderError
        When the state is not one that `StaticEmbedder.state` gives.
    """
    try:
        return _restored(state)
    except Exception as error:
        raise EmbedderError(
            f"The stored state of the embedder {FOLDER}:{name.source or DEFAULT_EMBEDDER} is damaged ({error}); "
            "restore the model from a backup, or train it again."
        ) from error


def _key(origin: Origin) -> str:
    """Name the folder by all that the distillation depends on."""
    parts = [origin.weights_sha256, origin.tokenizer_sha256, origin.revision, str(DIMS), version("model2vec")]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _distilled(name: str, origin: Origin) -> Iterator[Block]:
    """Yield the vectors of all tokens, and the tokenizer."""
    try:
        model = _distil(name, origin)
    except EmbedderError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EmbedderError(f"The embedder {name!r} cannot be distilled ({reason}); choose another one.") from error
    vectors = np.array(model.embedding, dtype="<f2")
    if not np.isfinite(vectors).all():
        raise EmbedderError(f"The embedder {name!r} gives tokens numbers beyond half precision; choose another one.")
    if model.unk_token_id is not None:
        vectors[model.unk_token_id] = 0
    model.tokenizer.no_truncation()
    model.tokenizer.no_padding()
    yield vectors, model.tokenizer.to_str().encode()


def _distil(name: str, origin: Origin) -> StaticModel:
    """Run every token of the encoder's vocabulary through it; a bar shows on a terminal alone."""
    from model2vec.distill import distill_from_model, inference

    from classifier.embedding.torch_encoder import load_model

    model, _ = load_model(name, origin)
    encoder: Any = model[0].auto_model
    vars(inference)["tqdm"] = partial(tqdm, disable=None)  # its own bar has no switch
    dims = min(DIMS, getattr(encoder.config, "hidden_size", DIMS))
    with _quiet_tokenizers():
        return distill_from_model(encoder, model.tokenizer, device="cpu", pca_dims=dims)


@contextmanager
def _quiet_tokenizers() -> Iterator[None]:
    """Keep back what is logged about a tokenizer while it is rewritten."""
    logger = logging.getLogger("skeletoken")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _restored(state: State) -> StaticEmbedder:
    """Check a state, and build the embedder from it."""
    if set(state) != {"vectors", "tokenizer", "origin"}:
        raise ValueError(f"it has the arrays {sorted(state)}")
    vectors, tokenizer_json = state["vectors"], _bytes(state["tokenizer"])
    if vectors.dtype != np.float16 or vectors.ndim != 2 or 0 in vectors.shape or not np.isfinite(vectors).all():
        raise ValueError("its vectors are no finite half-precision table")
    tokenizer = Tokenizer.from_buffer(tokenizer_json)
    if tokenizer.post_processor is not None or max(tokenizer.get_vocab().values(), default=0) >= len(vectors):
        raise ValueError("its tokenizer has tokens without a vector")
    origin = json.loads(_bytes(state["origin"]))
    if set(origin) != {"model_id", "revision"} or not all(isinstance(value, str) for value in origin.values()):
        raise ValueError("it does not say where it comes from")
    return StaticEmbedder(vectors, tokenizer_json, **origin)


def _bytes(array: NDArray[Any]) -> bytes:
    """Take the bytes of a text that is stored as an array."""
    if array.dtype != np.uint8 or array.ndim != 1:
        raise ValueError("a text of it is not stored as bytes")
    return array.tobytes()
