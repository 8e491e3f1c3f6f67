"""The transformer family of embedders: any sentence-transformers model, whole documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.datamodels import EncoderOptions
from classifier.embedding.chunking import Chunk, Chunker
from classifier.embedding.contract import CHUNKING, EmbeddingContract, Embeddings
from classifier.embedding.engine import Engine, choose_engine
from classifier.embedding.origin import Origin, find_encoder
from classifier.embedding.runtime import Encoder, Runtime, TokenIds, batches_of
from classifier.errors import EmbedderError
from classifier.progress import progress_bar

WINDOW_TEXTS = 2048
WINDOW_CHARACTERS = 4_000_000


class TransformerEmbedder:
    """Embed whole documents with a transformer.

    A text longer than the model's window is split with the model's own tokenizer; the windows'
    vectors are averaged by their token counts and brought to unit length again. The same text gets
    the same vector, bit by bit, whatever else is in the call.

    Parameters
    ----------
    runtime : Runtime
        What runs the encoder on one batch.
    chunker : Chunker
        What splits texts into windows.
    contract : EmbeddingContract
        What the vectors may be compared with.

    References
    ----------
    Reimers and Gurevych (2019), Sentence-BERT, https://arxiv.org/abs/1908.10084
    """

    def __init__(self, runtime: Runtime, chunker: Chunker, contract: EmbeddingContract) -> None:
        self._runtime, self._chunker, self._contract = runtime, chunker, contract

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
        windows = list(_windows(distinct))
        with (
            progress_bar("embedding", "doc", total=len(distinct), shown=progress) as bar,
            ThreadPoolExecutor(1, "tokenizer") as ahead,
        ):
            following = None
            for number, (start, end) in enumerate(windows):
                chunks = self._chunks(distinct[start:end]) if following is None else following.result()
                if number + 1 < len(windows):
                    following = ahead.submit(self._chunks, distinct[slice(*windows[number + 1])])
                self._encode_window(chunks, vectors[start:end], bar)
        return vectors if len(distinct) == len(texts) else vectors[inverse]

    def coverage(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the share of each text's visible characters that became known tokens, in [0, 1]."""
        return self._chunker.coverage(texts)

    def _chunks(self, texts: Sequence[str]) -> list[Chunk]:
        """Tokenize one window of texts."""
        return list(self._chunker.chunks(texts))

    def _encode_window(self, chunks: Sequence[Chunk], out: Embeddings, bar: Any) -> None:
        """Embed the chunks of one window into `out`, grouped by length."""
        missing = np.bincount([chunk.document for chunk in chunks], minlength=len(out))
        bar.update(int((missing == 0).sum()))
        groups = [[chunks[position] for position in positions] for positions in batches_of(chunks)]
        batches: Iterator[TokenIds] = (np.array([chunk.token_ids for chunk in members]) for members in groups)
        for members, vectors in zip(groups, self._runtime.run(batches), strict=True):
            for chunk, vector in zip(members, vectors, strict=True):
                out[chunk.document] += chunk.n_tokens * vector
                missing[chunk.document] -= 1
            bar.update(_finished(members, missing))
        _normalize(out)


def load_transformer(name: str, pooling: str, options: EncoderOptions) -> TransformerEmbedder:
    """Load an encoder by name or folder.

    Parameters
    ----------
    name : str
        ``default``, a folder, or the name of a sentence-transformers model.
    pooling : str
        ``mean``, ``cls``, ``max``, ``mean-last-4``, ``first-layer`` or ``layers-A-B``; empty for the model's own.
    options : EncoderOptions
        How to run it.

    Raises
    ------
    EmbedderError
        When it cannot be found, is not trusted, is not the one that was promised, or cannot be run as asked.
    """
    engine = choose_engine(options.backend, options.precision)
    origin = find_encoder(name, download=options.download)
    encoder = _open_encoder(name, origin, pooling, engine, options.cache_dir)
    facts = encoder.facts
    try:
        chunker = Chunker(encoder.tokenizer, facts.max_tokens, prompt=facts.prompt, lowercase=facts.lowercase)
    except ValueError as error:
        raise EmbedderError(f"The embedder {name!r} cannot be used: {error}.") from error
    contract = EmbeddingContract(
        model_id=origin.model_id,
        revision=origin.revision,
        weights_sha256=origin.weights_sha256,
        tokenizer_sha256=origin.tokenizer_sha256,
        pooling=facts.pooling,
        normalize=True,
        prompt=facts.prompt,
        max_tokens=facts.max_tokens,
        chunking=CHUNKING,
        dimension=facts.dimension,
        precision=engine.precision,
        backend=engine.backend,
    )
    return TransformerEmbedder(encoder.runtime, chunker, contract)


def _open_encoder(name: str, origin: Origin, pooling: str, engine: Engine, cache_dir: Path) -> Encoder:
    """Open an encoder by the engine that was chosen; only then is that engine imported."""
    if engine.backend == "openvino":
        from classifier.embedding.converted import open_converted

        return open_converted(name, origin, pooling, engine.precision, cache_dir)
    from classifier.embedding.torch_encoder import load_torch_encoder

    return load_torch_encoder(name, origin, pooling, engine.precision)


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
