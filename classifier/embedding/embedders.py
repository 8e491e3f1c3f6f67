"""The plug point for embedders: one family per prefix, the transformer where none is given."""

from __future__ import annotations

from collections.abc import Callable

from classifier.embedding.contract import Embedder

DEFAULT_EMBEDDER = "default"


def _transformer(name: str, *, download: bool) -> Embedder:
    """Load the transformer family when it is asked for, not before."""
    from classifier.embedding.transformer import load_transformer

    return load_transformer(name, download=download)


EMBEDDERS: dict[str, Callable[..., Embedder]] = {"transformer": _transformer}


def load_embedder(name: str = DEFAULT_EMBEDDER, *, download: bool = True) -> Embedder:
    """Load the encoder that `name` stands for.

    Parameters
    ----------
    name : str, default='default'
        ``default``, a folder, or the name of a sentence-transformers model; ``FAMILY:NAME`` chooses
        another family of `EMBEDDERS`.
    download : bool, default=True
        Whether a model that is not on this machine may be fetched from the hub.

    Returns
    -------
    Embedder
        ``encode(texts)`` gives float32 ``(n_documents, n_dims)``.

    Raises
    ------
    EmbedderError
        When it cannot be found, is not trusted, or is not the one that was promised.
    """
    family, colon, rest = name.partition(":")
    if colon and family in EMBEDDERS:
        return EMBEDDERS[family](rest, download=download)
    return EMBEDDERS["transformer"](name, download=download)
