"""The plug point for embedders: how a name such as ``default+pooling:cls+pca:64`` becomes an embedder."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from classifier.datamodels import EncoderOptions
from classifier.embedding.contract import CHUNKING, Embedder, EmbeddingContract, State
from classifier.errors import EmbedderError, EmbedderNotFoundError

DEFAULT_EMBEDDER = "default"
_SUFFIX = re.compile(r"\+(pooling|pca):([^+/\\]*)$")
_DIMENSIONS = re.compile(r"[1-9][0-9]{0,4}")
_FAMILY_PREFIX = re.compile(r"([a-z][a-z-]+):(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class EmbedderName:
    """The parts of what a user calls an embedder.

    Attributes
    ----------
    family : str
        A key of `EMBEDDERS`.
    source : str
        What follows the family's colon, such as a model, a file or a number; may be empty.
    pooling : str
        How a transformer's token vectors become one vector; empty for the model's own way.
    pca : int or None
        Number of dimensions to reduce to.
    """

    family: str
    source: str
    pooling: str = ""
    pca: int | None = None

    @classmethod
    def parse(cls, name: str) -> EmbedderName:
        """Take a name apart.

        Raises
        ------
        EmbedderError
            When a suffix is given twice or makes no sense.

        Examples
        --------
        >>> EmbedderName.parse("lsa:200+pca:64")
        EmbedderName(family='lsa', source='200', pooling='', pca=64)
        """
        base, suffixes = name, dict[str, str]()
        while found := _SUFFIX.search(base):
            if found[1] in suffixes:
                raise EmbedderError(f"The embedder {name!r} gives +{found[1]} twice; give it once.")
            suffixes[found[1]] = found[2]
            base = base[: found.start()]
        dims = suffixes.get("pca")
        if dims is not None and not _DIMENSIONS.fullmatch(dims):
            raise EmbedderError(f"The embedder {name!r} asks for +pca:{dims}; give a number of dimensions, as +pca:64.")
        family, source = _family(base)
        return cls(family, source, suffixes.get("pooling", ""), None if dims is None else int(dims))


@dataclass(frozen=True, slots=True)
class Family:
    """One way to compute embeddings.

    Attributes
    ----------
    load : callable
        ``load(name, options)`` with an `EmbedderName` gives an `Embedder`, or a `Recipe` that learns from texts first.
    restore : callable or None
        ``restore(name, options, state)`` gives the embedder back whose `state` was stored with a model;
        None for a family without state.
    """

    load: Callable[[EmbedderName, EncoderOptions], Embedder]
    restore: Callable[[EmbedderName, EncoderOptions, State], Embedder] | None = None


def _load_transformer(name: EmbedderName, options: EncoderOptions) -> Embedder:
    """Load a transformer, behind the cache of its vectors."""
    from classifier.embedding.transformer import load_transformer

    try:
        embedder = load_transformer(name.source, name.pooling, options)
    except EmbedderNotFoundError as error:
        raise EmbedderNotFoundError(name.source, error.reason, [DEFAULT_EMBEDDER, *EMBEDDERS]) from error
    if not options.use_cache:
        return embedder
    from classifier.embedding.cache import CachedEmbedder, VectorCache

    return CachedEmbedder(embedder, VectorCache(options.cache_dir))


def _call(module: str, function: str, *arguments: Any) -> Embedder:
    """Call a function of a module that is imported when it is asked for, not before."""
    found: Embedder = getattr(import_module(f"classifier.embedding.{module}"), function)(*arguments)
    return found


EMBEDDERS: dict[str, Family] = {
    "transformer": Family(_load_transformer),
    "static": Family(partial(_call, "static", "load_static"), partial(_call, "static", "restore_static")),
    "word-vectors": Family(
        partial(_call, "word_vectors", "load_word_vectors"), partial(_call, "word_vectors", "restore_word_vectors")
    ),
    "lsa": Family(partial(_call, "lsa", "load_lsa"), partial(_call, "lsa", "restore_lsa")),
}


def load_embedder(
    name: str = DEFAULT_EMBEDDER,
    options: EncoderOptions | None = None,
    *,
    state: State | None = None,
    dtype: str = "float32",
) -> Embedder:
    """Load the embedder that `name` stands for.

    Parameters
    ----------
    name : str, default='default'
        ``default``, a folder, or the name of a sentence-transformers model, with ``+pooling:KIND`` for another
        pooling than its own; ``FAMILY`` or ``FAMILY:SOURCE`` for another family of `EMBEDDERS`; ``+pca:D`` behind
        any of them reduces it to D dimensions.
    options : EncoderOptions or None
        How it is run; None for the defaults.
    state : dict of str to ndarray, or None
        What it learned from the training texts, where it was stored with a model.
    dtype : str, default='float32'
        What its vectors are rounded to: ``float32``, ``float16``, ``int8`` or ``binary``.

    Returns
    -------
    Embedder
        ``encode(texts)`` gives float32 ``(n_documents, n_dims)``. One that must learn from texts first is a
        `Recipe`: call its ``fit(texts)``.

    Raises
    ------
    EmbedderError
        When it cannot be found, is not trusted, or is not the one that was promised.
    """
    options = options or EncoderOptions()
    parsed = EmbedderName.parse(name)
    if parsed.pooling and parsed.family != "transformer":
        raise EmbedderError(f"The embedder {name!r} cannot change its pooling; only transformers have layers to pool.")
    if parsed.pca is not None:
        embedder = _load_reduced(name, parsed, parsed.pca, options, state or {})
    else:
        embedder = _load_family(name, parsed, options, state or {})
    if dtype == "float32":
        return embedder
    from classifier.embedding.quantization import RoundedEmbedder

    return RoundedEmbedder(embedder, dtype)


def lasting_name(name: str) -> str:
    """Return a name that means the same in another working folder: files and folders by their whole path."""
    source = EmbedderName.parse(name).source
    path = Path(source).expanduser()
    is_model = path.is_file() or (path / "config.json").is_file() or (path / "modules.json").is_file()
    return name.replace(source, str(path.resolve()), 1) if source and is_model else name


def name_of(contract: EmbeddingContract) -> str:
    """Return the name that most likely stands for what made vectors of a contract."""
    if contract.chunking != CHUNKING:
        return contract.model_id
    return f"{contract.model_id}+pooling:{contract.pooling}"


def _load_reduced(name: str, parsed: EmbedderName, n_dims: int, options: EncoderOptions, state: State) -> Embedder:
    """Load what is reduced, then its reduction where that was stored."""
    from classifier.embedding.reduction import ReductionRecipe, restore_reduction, split_state

    own, inner_state = split_state(state)
    inner = _load_family(name, parsed, options, inner_state)
    return restore_reduction(inner, n_dims, own) if own else ReductionRecipe(name, inner, n_dims)


def _load_family(name: str, parsed: EmbedderName, options: EncoderOptions, state: State) -> Embedder:
    """Load an embedder without what stands behind it."""
    family = EMBEDDERS[parsed.family]
    if not state:
        return family.load(parsed, options)
    if family.restore is None:
        raise EmbedderError(f"The embedder {name!r} learns nothing from texts, but a state was stored with the model.")
    return family.restore(parsed, options, state)


def _family(base: str) -> tuple[str, str]:
    """Split ``FAMILY:SOURCE``; a bare family stands for its default, anything else is a transformer."""
    found = _FAMILY_PREFIX.fullmatch(base)
    if found is not None and found[1] in EMBEDDERS:
        return found[1], found[2]
    if base == "transformer":
        return base, DEFAULT_EMBEDDER
    return (base, "") if base in EMBEDDERS else ("transformer", base)
