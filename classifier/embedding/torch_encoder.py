"""Load an encoder by sentence-transformers, change its pooling, and run it by torch: the reference."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from classifier.embedding.contract import Embeddings
from classifier.embedding.origin import Origin
from classifier.embedding.runtime import Encoder, EncoderFacts, TokenIds
from classifier.errors import EmbedderError, nearest

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

FALLBACK_MAX_TOKENS = 512
TOKEN_POOLINGS = ("mean", "cls", "max")
LAYER_POOLINGS = ("mean-last-4", "first-layer")
_LAYERS = re.compile(r"layers-(\d{1,4})-(\d{1,4})")


class TorchRuntime:
    """Run a sentence-transformers model by torch, on a graphics processor where there is one.

    Parameters
    ----------
    model : SentenceTransformer
        The whole stack: transformer, pooling and what follows.
    precision : str, default='f32'
        ``f32``, or ``bf16`` by autocast.

    Notes
    -----
    On a processor every row is run by itself. How torch adds up a product of matrices depends on the number of rows
    on some processors (those with AVX-512): the last bits of a vector would depend on its company. On a graphics
    processor, where rows by themselves would be very slow, they may.
    """

    def __init__(self, model: SentenceTransformer, precision: str = "f32") -> None:
        self._model, self._precision = model.eval(), precision

    def run(self, batches: Iterable[TokenIds]) -> Iterator[Embeddings]:
        """Yield one vector per row of each batch, float32 of shape (n, n_dims), in order."""
        for token_ids in batches:
            parts = [token_ids] if self._model.device.type != "cpu" else np.split(token_ids, len(token_ids))
            yield np.concatenate([self._vectors(part) for part in parts])

    def _vectors(self, token_ids: TokenIds) -> Embeddings:
        """Run the model once."""
        import torch

        device = self._model.device
        with torch.inference_mode(), self._autocast(device.type):
            input_ids = torch.from_numpy(token_ids).to(device)
            features = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}
            vectors: Embeddings = self._model(features)["sentence_embedding"].float().cpu().numpy()
        return vectors

    def _autocast(self, device: str) -> AbstractContextManager[Any]:
        """Return the context of the precision."""
        import torch

        return torch.autocast(device, torch.bfloat16) if self._precision == "bf16" else nullcontext()


def load_torch_encoder(name: str, origin: Origin, pooling: str = "", precision: str = "f32") -> Encoder:
    """Load an encoder from a checked folder.

    Parameters
    ----------
    name : str
        What the user called it.
    origin : Origin
        Where it is.
    pooling : str, default=''
        Another pooling than its own.
    precision : str, default='f32'
        ``f32`` or ``bf16``.

    Raises
    ------
    EmbedderError
        When it cannot be loaded, or has no such pooling.
    """
    model, facts = load_model(name, origin, pooling)
    return Encoder(TorchRuntime(model, precision), model.tokenizer.backend_tokenizer, facts)


def load_model(name: str, origin: Origin, pooling: str = "") -> tuple[SentenceTransformer, EncoderFacts]:
    """Build the torch model from a checked folder, silently and without any request.

    Raises
    ------
    EmbedderError
        When it cannot be loaded, has no fast tokenizer, or no such pooling.
    """
    import torch
    from sentence_transformers import SentenceTransformer

    try:
        with quiet_transformers():
            model = SentenceTransformer(
                str(origin.folder),
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True, "dtype": torch.float32},
            )
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EmbedderError(f"The embedder {name!r} could not be loaded: {reason}") from error
    if getattr(model.tokenizer, "backend_tokenizer", None) is None:
        raise EmbedderError(f"The embedder {name!r} has no fast tokenizer; choose another model.")
    if pooling and pooling != _own_pooling(model):
        _replace_pooling(name, model, pooling)
    return model, EncoderFacts(
        max_tokens=_max_tokens(model),
        prompt=(model.prompts or {}).get(model.default_prompt_name or "") or "",
        lowercase=bool(getattr(model[0], "do_lower_case", False)),
        pooling=pooling or _own_pooling(model),
        dimension=int(model.get_embedding_dimension() or 0),
    )


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep the bars and remarks of transformers off the terminal."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _max_tokens(model: SentenceTransformer) -> int:
    """Return the encoder's window; some models do not state one."""
    stated = model.max_seq_length
    positions = getattr(getattr(model[0], "auto_model", None), "config", None)
    limit = getattr(positions, "max_position_embeddings", None) or FALLBACK_MAX_TOKENS
    return int(min(stated, limit)) if stated else int(min(limit, FALLBACK_MAX_TOKENS))


def _own_pooling(model: SentenceTransformer) -> str:
    """Name the pooling of the model's own stack."""
    for module in model:
        mode = getattr(module, "pooling_mode", None)
        if mode is not None:
            return "+".join(mode) if isinstance(mode, list | tuple) else str(mode)
    return "none"


def _replace_pooling(name: str, model: SentenceTransformer, pooling: str) -> None:
    """Put another pooling in the place of the model's own; what follows it stays."""
    place = next((key for key, module in model.named_children() if hasattr(module, "pooling_mode")), None)
    transformer = getattr(model[0], "auto_model", None)
    n_layers = getattr(getattr(transformer, "config", None), "num_hidden_layers", None)
    if place is None or n_layers is None:
        raise EmbedderError(f"The embedder {name!r} has no layers to pool; use it without +pooling.")
    first, last = _layer_range(name, pooling, n_layers)
    setattr(model, place, _layer_pooling(first, last, pooling if pooling in TOKEN_POOLINGS else "mean"))
    transformer.config.output_hidden_states = True  # type: ignore[union-attr] # it has a config, see above


def _layer_range(name: str, pooling: str, n_layers: int) -> tuple[int, int]:
    """Return the first and the last layer that a pooling averages; 0 is the embedding layer."""
    found = _LAYERS.fullmatch(pooling)
    if found is not None:
        first, last = int(found[1]), int(found[2])
        if not 0 <= first <= last <= n_layers:
            raise EmbedderError(f"The embedder {name!r} has the layers 0 to {n_layers}, not {first} to {last}.")
        return first, last
    ranges = {
        **dict.fromkeys(TOKEN_POOLINGS, (n_layers, n_layers)),
        "mean-last-4": (max(0, n_layers - 3), n_layers),
        "first-layer": (0, 0),
    }
    if pooling not in ranges:
        raise EmbedderError(
            f"There is no pooling {pooling!r}; allowed: {', '.join((*TOKEN_POOLINGS, *LAYER_POOLINGS))}, "
            f"layers-A-B.{nearest(pooling, ranges)}"
        )
    return ranges[pooling]


def _layer_pooling(first: int, last: int, kind: str) -> Any:
    """Make a module that averages the layers `first` to `last`, then pools their tokens."""
    import torch

    class LayerPooling(torch.nn.Module):  # type: ignore[misc] # types of torch are not read
        """Average layers, then pool tokens."""

        def forward(self, features: dict[str, Any]) -> dict[str, Any]:
            """Add ``sentence_embedding`` to the features."""
            layers = features["all_layer_embeddings"]
            tokens = torch.stack(list(layers[first : last + 1])).mean(dim=0)
            mask = features["attention_mask"].unsqueeze(-1).to(tokens.dtype)
            if kind == "cls":
                pooled = tokens[:, 0]
            elif kind == "max":
                pooled = tokens.masked_fill(mask == 0, float(np.finfo(np.float16).min)).max(dim=1).values
            else:
                pooled = (tokens * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1e-9)
            return {**features, "sentence_embedding": pooled}

    return LayerPooling()
