"""The transformer family of embedders: any sentence-transformers model, whole documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from classifier.embedding.chunking import CHUNKING, Chunk, Chunker
from classifier.embedding.contract import EmbeddingContract, Embeddings
from classifier.embedding.origin import Origin, find_encoder
from classifier.embedding.runtime import Runtime, TorchRuntime, batches, padded
from classifier.errors import EmbedderError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

WINDOW_TEXTS = 4096
WINDOW_CHARACTERS = 4_000_000
FALLBACK_MAX_TOKENS = 512


class TransformerEmbedder:
    """Embed whole documents with a transformer.

    A text longer than the model's window is split with the model's own tokenizer; the windows'
    vectors are averaged by their token counts and brought to unit length again. The same text gets
    the same vector whatever else is in the call, up to float32 rounding.

    Parameters
    ----------
    runtime : Runtime
        What runs the encoder on one batch.
    chunker : Chunker
        What splits texts into windows.
    contract : EmbeddingContract
        What the vectors may be compared with.
    pad_id : int, default=0
        Token id that fills a batch up; it is masked.

    References
    ----------
    Reimers and Gurevych (2019), Sentence-BERT, https://arxiv.org/abs/1908.10084
    """

    def __init__(self, runtime: Runtime, chunker: Chunker, contract: EmbeddingContract, *, pad_id: int = 0) -> None:
        self._runtime, self._chunker, self._contract, self._pad_id = runtime, chunker, contract, pad_id

    @property
    def contract(self) -> EmbeddingContract:
        """What these vectors may be compared with."""
        return self._contract

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:
        """Embed `texts`, each of any length.

        Parameters
        ----------
        texts : sequence of str
            Equal texts are embedded once.
        progress : bool, default=False
            Show a bar with the remaining time on stderr.

        Returns
        -------
        ndarray of float32, shape (n_documents, n_dims)
            Rows follow `texts`; unit length, or zeros for a text without any token the encoder knows.
        """
        first: dict[str, int] = {}
        inverse = np.array([first.setdefault(text, len(first)) for text in texts], dtype=np.intp)
        distinct = list(first)
        vectors = np.zeros((len(distinct), self._contract.dimension), dtype=np.float32)
        with tqdm(total=len(distinct), desc="embedding", unit="doc", disable=not progress, smoothing=0.05) as bar:
            for start, end in _windows(distinct):
                self._encode_window(distinct[start:end], vectors[start:end], bar)
        return vectors if len(distinct) == len(texts) else vectors[inverse]

    def coverage(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the share of each text's visible characters that became known tokens, in [0, 1]."""
        return self._chunker.coverage(texts)

    def _encode_window(self, texts: Sequence[str], out: Embeddings, bar: Any) -> None:
        """Embed one window of texts into `out`, sorted by length."""
        chunks = list(self._chunker.chunks(texts))
        missing = np.zeros(len(texts), dtype=np.intp)
        for chunk in chunks:
            missing[chunk.document] += 1
        bar.update(int((missing == 0).sum()))
        for batch in batches(chunks):
            members = [chunks[position] for position in batch]
            vectors = self._runtime.run(*padded(members, self._pad_id))
            for chunk, vector in zip(members, vectors, strict=True):
                out[chunk.document] += chunk.n_tokens * vector
                missing[chunk.document] -= 1
            bar.update(_finished(members, missing))
        _normalize(out)


def load_transformer(name: str, *, download: bool = True) -> TransformerEmbedder:
    """Load an encoder by name or folder.

    Parameters
    ----------
    name : str
        ``default``, a folder, or the name of a sentence-transformers model.
    download : bool, default=True
        Whether a model that is not on this machine may be fetched from the hub.

    Raises
    ------
    EmbedderError
        When it cannot be found, is not trusted, or is not the one that was promised.
    """
    origin = find_encoder(name, download=download)
    model = _load_model(name, origin)
    tokenizer = getattr(model.tokenizer, "backend_tokenizer", None)
    if tokenizer is None:
        raise EmbedderError(f"The embedder {name!r} has no fast tokenizer; choose another model.")
    prompt = (model.prompts or {}).get(model.default_prompt_name or "") or ""
    lowercase = bool(getattr(model[0], "do_lower_case", False))
    try:
        chunker = Chunker(tokenizer, _max_tokens(model), prompt=prompt, lowercase=lowercase)
    except ValueError as error:
        raise EmbedderError(f"The embedder {name!r} cannot be used: {error}.") from error
    contract = EmbeddingContract(
        model_id=origin.model_id,
        revision=origin.revision,
        weights_sha256=origin.weights_sha256,
        tokenizer_sha256=origin.tokenizer_sha256,
        pooling=_pooling(model),
        normalize=True,
        prompt=prompt,
        max_tokens=chunker.max_tokens,
        chunking=CHUNKING,
        dimension=int(model.get_embedding_dimension() or 0),
    )
    return TransformerEmbedder(TorchRuntime(model), chunker, contract, pad_id=model.tokenizer.pad_token_id or 0)


def _load_model(name: str, origin: Origin) -> SentenceTransformer:
    """Build the torch model from a checked folder, silently and without any request."""
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call] # transformers leaves it untyped
    try:
        return SentenceTransformer(
            str(origin.folder),
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EmbedderError(f"The embedder {name!r} could not be loaded: {reason}") from error


def _max_tokens(model: SentenceTransformer) -> int:
    """Return the encoder's window; some models do not state one."""
    stated = model.max_seq_length
    positions = getattr(getattr(model[0], "auto_model", None), "config", None)
    limit = getattr(positions, "max_position_embeddings", None) or FALLBACK_MAX_TOKENS
    return int(min(stated, limit)) if stated else int(min(limit, FALLBACK_MAX_TOKENS))


def _pooling(model: SentenceTransformer) -> str:
    """Name the pooling of the model's own stack."""
    for module in model:
        mode = getattr(module, "pooling_mode", None)
        if mode is not None:
            return "+".join(mode) if isinstance(mode, list | tuple) else str(mode)
    return "none"


def _windows(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield ``(start, end)`` of runs bounded in texts and in characters."""
    start = characters = 0
    for index, text in enumerate(texts):
        if index > start and (index - start >= WINDOW_TEXTS or characters + len(text) > WINDOW_CHARACTERS):
            yield start, index
            start, characters = index, 0
        characters += len(text)
    if start < len(texts):
        yield start, len(texts)


def _finished(members: Sequence[Chunk], missing: NDArray[np.intp]) -> int:
    """Count the documents of `members` whose last chunk is done."""
    return sum(missing[document] == 0 for document in {chunk.document for chunk in members})


def _normalize(vectors: Embeddings) -> None:
    """Bring each row to unit length in place; rows of zeros stay."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.divide(vectors, norms, out=vectors, where=norms > 0)
