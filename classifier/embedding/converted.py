"""Converted encoders, kept between runs: made once, checked whenever they are opened, shared by processes.

A converted encoder is a folder of four files under the cache folder. Its name is a checksum of everything the
conversion depends on; its ``encoder.json`` holds the checksums of the others and of itself. What is damaged is made
again. Once it is there, neither torch nor transformers is needed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from classifier.embedding.engine import import_openvino
from classifier.embedding.openvino_runtime import OpenVinoRuntime, compress_weights
from classifier.embedding.origin import Origin
from classifier.embedding.runtime import Encoder, EncoderFacts, Runtime, TokenIds
from classifier.errors import CacheWarning, EmbedderError
from classifier.files import file_sha256, sync_path

CONVERSION = 2
FOLDER = "encoders"
DESCRIPTION_FILE, MODEL_FILE, WEIGHTS_FILE, TOKENIZER_FILE = "encoder.json", "model.xml", "model.bin", "tokenizer.json"
_FILES = (MODEL_FILE, WEIGHTS_FILE, TOKENIZER_FILE)
_DAMAGED = (OSError, ValueError, KeyError, TypeError, RecursionError)
_LOWEST_SIMILARITY = {"f32": 0.9999, "bf16": 0.9999, "int8": 0.95}


def open_converted(name: str, origin: Origin, pooling: str, precision: str, cache_dir: Path) -> Encoder:
    """Open the converted form of an encoder, converting it first where that has not been done.

    Parameters
    ----------
    name : str
        What the user called it.
    origin : Origin
        Where the original is.
    pooling : str
        Another pooling than its own, or empty.
    precision : str
        ``f32``, ``bf16`` or ``int8``.
    cache_dir : Path
        Where converted encoders are kept; where that cannot be written, it is converted for this run alone,
        with a warning.

    Raises
    ------
    EmbedderError
        When the original cannot be loaded or converted.
    """
    own = cache_dir / FOLDER / _key(origin, "", precision)
    folder = own if pooling in {"", _pooling_of(own)} else cache_dir / FOLDER / _key(origin, pooling, precision)
    found = _opened(folder, precision)
    if found is not None:
        return found
    model, tokenizer, facts, group = _convert(name, origin, pooling, precision)
    try:
        _store(folder, model, tokenizer, facts, group)
    except OSError as error:
        warnings.warn(
            f"The converted encoder cannot be kept in {cache_dir} ({error.strerror or error}): it is made anew by "
            "every command. Make the folder writable, or name another one with CLASSIFIER_CACHE_DIR.",
            CacheWarning,
            stacklevel=2,
        )
    else:
        found = _opened(folder, precision)
    return found or Encoder(OpenVinoRuntime(model, precision, quantization_group=group), tokenizer, facts)


def _key(origin: Origin, pooling: str, precision: str) -> str:
    """Name the folder by all that the conversion depends on; f32 and bf16 run from the same weights."""
    parts = [
        origin.weights_sha256,
        origin.tokenizer_sha256,
        origin.revision,
        pooling,
        "int8" if precision == "int8" else "f32",
        version("openvino"),
        version("sentence-transformers"),
        str(CONVERSION),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _opened(folder: Path, precision: str) -> Encoder | None:
    """Open a converted encoder; None where there is none, or it is damaged."""
    try:
        content = _checked(folder)
        facts = EncoderFacts(**content["facts"])
        tokenizer = Tokenizer.from_buffer((folder / TOKENIZER_FILE).read_bytes())
        runtime = OpenVinoRuntime(folder / MODEL_FILE, precision, quantization_group=content["quantization_group"])
    except (*_DAMAGED, RuntimeError):
        return None
    return Encoder(runtime, tokenizer, facts)


def _checked(folder: Path) -> Any:
    """Return the description of a converted encoder whose files are as they were written.

    Raises
    ------
    ValueError
        When one was altered.
    """
    content = _described(folder)
    for file in _FILES:
        if file_sha256(folder / file) != content["files"][file]:
            raise ValueError(f"{file} was altered")
    return content


def _pooling_of(folder: Path) -> str | None:
    """Return the pooling of a converted encoder; None where there is none."""
    try:
        return str(_described(folder)["facts"]["pooling"])
    except _DAMAGED:
        return None


def _described(folder: Path) -> Any:
    """Read the description of a converted encoder.

    Raises
    ------
    ValueError
        When it was altered.
    """
    description = json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))
    if description["sha256"] != _checksum(description["content"]):
        raise ValueError(f"{DESCRIPTION_FILE} was altered")
    return description["content"]


def _store(folder: Path, model: Any, tokenizer: Tokenizer, facts: EncoderFacts, group: int) -> None:
    """Write a converted encoder, whole or not at all; another process may be first, or the old one damaged."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder.parent))
    new = temporary / "new"
    try:
        new.mkdir()
        _save_model(model, new / MODEL_FILE)
        (new / TOKENIZER_FILE).write_text(tokenizer.to_str(), encoding="utf-8")
        content = {
            "facts": asdict(facts),
            "quantization_group": group,
            "files": {file: file_sha256(new / file) for file in _FILES},
        }
        description = {"content": content, "sha256": _checksum(content)}
        (new / DESCRIPTION_FILE).write_text(json.dumps(description, indent=1), encoding="utf-8")
        for file in (*_FILES, DESCRIPTION_FILE):
            sync_path(new / file)
        _give_name(new, folder, temporary / "old")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _give_name(new: Path, folder: Path, old: Path) -> None:
    """Let a folder appear; a sound one of another process stays, whatever else is there becomes `old`."""
    with suppress(OSError):
        new.rename(folder)
        return
    with suppress(*_DAMAGED):
        _checked(folder)
        return
    with suppress(FileNotFoundError):
        folder.rename(old)
    new.rename(folder)


def _save_model(model: Any, path: Path) -> None:
    """Save OpenVINO's model in full precision; its own errors become the system's."""
    try:
        import_openvino().save_model(model, path, compress_to_fp16=False)
    except RuntimeError as error:
        raise OSError("the model could not be written; is the disk full?") from error


def _convert(name: str, origin: Origin, pooling: str, precision: str) -> tuple[Any, Tokenizer, EncoderFacts, int]:
    """Convert the torch model, and compare a few vectors with its own."""
    from classifier.embedding.torch_encoder import TorchRuntime, load_model, quiet_transformers

    torch_model, facts = load_model(name, origin, pooling)
    torch_model = torch_model.to("cpu")
    reference = TorchRuntime(torch_model)
    transformer: Any = torch_model[0]
    try:
        n_tokens = transformer.auto_model.get_input_embeddings().num_embeddings
        with quiet_transformers(), _logging_kept():
            model = _converted(torch_model)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EmbedderError(
            f"The embedder {name!r} could not be converted for OpenVINO ({reason}); use it with --backend torch."
        ) from error
    group = compress_weights(model) if precision == "int8" else 0
    batches = _sample_batches(n_tokens, facts.max_tokens)
    _compare(name, precision, OpenVinoRuntime(model, precision, quantization_group=group), reference, batches)
    return model, torch_model.tokenizer.backend_tokenizer, facts, group


@contextmanager
def _logging_kept() -> Iterator[None]:
    """Put the root logger back as it was, which a conversion that fails does not."""
    root = logging.getLogger()
    level, handlers, filters = root.level, root.handlers.copy(), root.filters.copy()
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers, root.filters = handlers, filters


def _converted(torch_model: Any) -> Any:
    """Trace the whole stack, from token ids to vectors."""
    import torch

    class Stack(torch.nn.Module):  # type: ignore[misc] # types of torch are not read
        """Token ids in, vectors out."""

        def __init__(self) -> None:
            super().__init__()
            self.stack = torch_model

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            """Return one vector per row."""
            features = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}
            vectors: torch.Tensor = self.stack(features)["sentence_embedding"]
            return vectors

    example = torch.ones((2, 8), dtype=torch.int64)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        return import_openvino().convert_model(Stack().eval(), example_input={"input_ids": example})


def _sample_batches(n_tokens: int, max_tokens: int) -> list[TokenIds]:
    """Draw a few batches of tokens, always the same ones."""
    rng = np.random.default_rng(0)
    return [rng.integers(n_tokens, size=(n_rows, min(max_tokens, length))) for n_rows, length in ((3, 11), (2, 64))]


def _compare(name: str, precision: str, runtime: Runtime, reference: Runtime, batches: list[TokenIds]) -> None:
    """Refuse a conversion that gives other vectors than the original."""
    for ours, theirs in zip(runtime.run(batches), reference.run(batches), strict=True):
        norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
        similarity = float(((ours * theirs).sum(axis=1) / norms).min())
        if not similarity >= _LOWEST_SIMILARITY[precision]:
            raise EmbedderError(
                f"The embedder {name!r} gives other vectors by OpenVINO in {precision} than by torch "
                f"(cosine {similarity:.4f}); use it with --backend torch."
            )


def _checksum(content: dict[str, Any]) -> str:
    """Hash a description in canonical form."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
