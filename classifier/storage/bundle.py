"""Save, check and load one model folder.

A bundle holds exactly the files of `FILES`, and `STATE_FILE` where its embedder learned something from the training
texts. Its manifest carries the size and SHA-256 of each other file and of itself, so that a damaged or altered bundle
is refused before anything else is read.

How to change the format: raise `FORMAT`, keep a reader for every older number in `_READABLE`, and
commit a small bundle of the old format under ``tests/bundles`` so that it stays readable for ever.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from classifier.datamodels import Document
from classifier.errors import BundleRefusedError, OutputError
from classifier.files import file_sha256, sync_path
from classifier.storage.arrays import map_array, read_state, write_array, write_state
from classifier.storage.documents import DOCUMENTS_FILE, OFFSETS_FILE, DocumentStore, write_documents

FORMAT = 4
_READABLE = frozenset({1, 2, 3, FORMAT})
KIND = "document-classifier"
MANIFEST_FILE = "manifest.json"
CARD_FILE = "model_card.md"
STATE_FILE = "embedder.safetensors"
ISSUES_FILE = "issues.json"
_FIRST_ARRAYS: Mapping[str, tuple[str, int]] = {
    "coef": ("<f4", 2),
    "intercept": ("<f4", 1),
    "embeddings": ("<f4", 2),
    "document_labels": ("<i4", 1),
}
_WITH_WORDS: Mapping[str, tuple[str, int]] = {
    **_FIRST_ARRAYS,
    "lexical_coef": ("<f4", 2),
    "lexical_intercept": ("<f4", 1),
    "lexical_idf": ("<f4", 1),
    "lexical_terms": ("|u1", 1),
    "held_out": ("<f4", 2),
    "label_matrix": ("|u1", 2),
}
ARRAYS: Mapping[str, tuple[str, int]] = {**_WITH_WORDS, "held_out_answers": ("<i4", 2)}
_OTHER_FILES = frozenset({DOCUMENTS_FILE, OFFSETS_FILE, CARD_FILE})
FILES = frozenset({*(f"{name}.npy" for name in ARRAYS), *_OTHER_FILES, ISSUES_FILE})
MAX_MANIFEST_BYTES = 64 << 20
MAX_ISSUES_BYTES = 256 << 20
_TEMPORARY_PREFIX = ".incoming-"
_FORMAT_OF_WORDS, _FORMAT_OF_ISSUES = 3, 4


@dataclass(frozen=True, slots=True)
class Bundle:
    """What one folder holds.

    Attributes
    ----------
    facts : dict
        Everything about the model that is not an array; JSON values only.
    arrays : dict of str to ndarray
        The arrays of `ARRAYS`, or those that an older format has; memory-mapped when they were loaded.
    documents : sequence of Document
        The training documents, in the order of ``arrays['embeddings']``.
    card : str
        The model card, in Markdown.
    embedder_state : dict of str to ndarray
        What the embedder learned from the training texts; empty where it learned nothing.
    issues : list of dict
        What deserves a look among the documents, worst first; empty in older formats.
    """

    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]
    documents: Sequence[Document]
    card: str
    embedder_state: dict[str, np.ndarray] = field(default_factory=dict)
    issues: list[dict[str, Any]] = field(default_factory=list)


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Write a bundle as a new folder, whole or not at all.

    Parameters
    ----------
    bundle : Bundle
        What to write.
    folder : Path
        Must not exist yet; its parents are made.

    Raises
    ------
    OutputError
        When the folder exists or cannot be written; nothing half-written stays behind.
    """
    if folder.exists():
        raise OutputError(folder, "it exists already, and models are never overwritten", "choose another folder")
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY_PREFIX, dir=folder.parent))
        _write_files(bundle, temporary)
        temporary.chmod(0o755)
        sync_path(temporary)
        temporary = temporary.rename(folder)
        sync_path(folder.parent)
        temporary = None
    except OSError as error:
        problem = f"the model could not be saved ({error.strerror or error})"
        raise OutputError(folder, problem, "free the disk or path") from error
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)


def load_bundle(folder: Path) -> Bundle:
    """Check a bundle, then open it.

    Parameters
    ----------
    folder : Path
        A folder written by `save_bundle`.

    Returns
    -------
    Bundle
        With memory-mapped arrays and documents that are read when they are asked for.

    Raises
    ------
    BundleRefusedError
        When anything is missing, added, altered, newer or not plain data; the reason is named.
    """
    manifest = read_manifest(folder)
    try:
        files = _expected_files(manifest)
        _check_entries(folder, files)
        _check_files(folder, files, manifest["files"])
        kinds = _arrays_of(manifest["format"])
        arrays = {name: map_array(folder / f"{name}.npy", *kind) for name, kind in kinds.items()}
        documents = DocumentStore(folder)
        card = (folder / CARD_FILE).read_text(encoding="utf-8")
        state = read_state(folder / STATE_FILE) if STATE_FILE in files else {}
        issues = _read_issues(folder / ISSUES_FILE) if ISSUES_FILE in files else []
    except UnicodeDecodeError as error:
        raise BundleRefusedError(folder, f"{CARD_FILE} is not text") from error
    except OSError as error:
        raise BundleRefusedError(folder, f"it cannot be read ({error.strerror or error})") from error
    except BundleRefusedError:
        raise
    except ValueError as error:
        raise BundleRefusedError(folder, str(error)) from error
    n_documents = len(arrays["embeddings"])
    if not n_documents == len(arrays["document_labels"]) == len(documents):
        raise BundleRefusedError(folder, "its documents, labels and vectors differ in number")
    return Bundle(manifest["facts"], arrays, documents, card, state, issues)


def read_card(folder: Path) -> str:
    """Read the card of a bundle alone, in Markdown, and check it.

    Raises
    ------
    BundleRefusedError
        When the manifest or the card is missing, damaged or foreign.
    """
    manifest, path = read_manifest(folder), folder / CARD_FILE
    expected = manifest["files"].get(CARD_FILE)
    if path.is_symlink() or not path.is_file() or not isinstance(expected, dict):
        raise BundleRefusedError(folder, f"it has no {CARD_FILE}")
    if path.stat().st_size != expected.get("bytes") or file_sha256(path) != expected.get("sha256"):
        raise BundleRefusedError(folder, f"{CARD_FILE} was altered (its checksum does not match)")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BundleRefusedError(folder, f"{CARD_FILE} is not text") from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read and check the manifest alone: kind, format and its own checksum.

    Raises
    ------
    BundleRefusedError
        When it is missing, damaged, foreign or newer.
    """
    path = folder / MANIFEST_FILE
    if not _is_folder(folder):
        raise BundleRefusedError(folder, "it is not a folder", "give the folder of a saved model")
    if path.is_symlink() or not path.is_file():
        raise BundleRefusedError(folder, f"it has no {MANIFEST_FILE}", "give the folder of a saved model")
    manifest, checksum = _parsed_manifest(folder, path)
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise BundleRefusedError(folder, "it is not a document-classifier model", "give the folder of a saved model")
    number = manifest.get("format")
    if type(number) is not int or number not in _READABLE:
        raise BundleRefusedError(
            folder,
            f"its format is {number!r}, and this version reads {sorted(_READABLE)}",
            "upgrade document-classifier, or train again",
        )
    if manifest.get("manifest_sha256") != checksum:
        raise BundleRefusedError(folder, f"{MANIFEST_FILE} was altered (its checksum does not match)")
    if not isinstance(manifest.get("facts"), dict) or not isinstance(manifest.get("files"), dict):
        raise BundleRefusedError(folder, f"{MANIFEST_FILE} lacks its facts or its list of files")
    return manifest


def _parsed_manifest(folder: Path, path: Path) -> tuple[Any, str]:
    """Parse a manifest of bounded size, and return it with the checksum of its content."""
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise BundleRefusedError(folder, f"{MANIFEST_FILE} is larger than {MAX_MANIFEST_BYTES >> 20} MB")
        manifest = json.loads(path.read_text(encoding="utf-8"))
        checksum = _manifest_sha256(manifest) if isinstance(manifest, dict) else ""
    except BundleRefusedError:
        raise
    except OSError as error:
        raise BundleRefusedError(folder, f"it cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise BundleRefusedError(folder, f"{MANIFEST_FILE} is not valid JSON") from error
    return manifest, checksum


def _write_files(bundle: Bundle, folder: Path) -> None:
    """Write every file of a bundle, the manifest last."""
    for name, (dtype, n_dims) in ARRAYS.items():
        array = np.ascontiguousarray(bundle.arrays[name], dtype=dtype)
        if array.ndim != n_dims:
            raise ValueError(f"{name} has {array.ndim} dimensions instead of {n_dims}")
        write_array(folder / f"{name}.npy", array)
    write_documents(folder, bundle.documents)
    (folder / CARD_FILE).write_bytes(_utf8(bundle.card))
    (folder / ISSUES_FILE).write_text(json.dumps(bundle.issues, allow_nan=False), encoding="ascii")
    names = set(FILES)
    if bundle.embedder_state:
        write_state(folder / STATE_FILE, bundle.embedder_state)
        names.add(STATE_FILE)
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": file_sha256(folder / name)} for name in names}
    manifest: dict[str, Any] = {"kind": KIND, "format": FORMAT, "facts": bundle.facts, "files": files}
    manifest["manifest_sha256"] = _manifest_sha256(manifest)
    text = json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    (folder / MANIFEST_FILE).write_bytes(_utf8(text))
    for name in (*names, MANIFEST_FILE):
        sync_path(folder / name)


def _utf8(text: str) -> bytes:
    """Encode a text; half characters, as in names of files that are no UTF-8, become JSON's escapes."""
    return text.encode("utf-8", "backslashreplace")


def _expected_files(manifest: Mapping[str, Any]) -> frozenset[str]:
    """Return the files that a bundle must hold; one of format 1 has no state."""
    has_state = manifest["format"] > 1 and STATE_FILE in manifest["files"]
    files = _OTHER_FILES | {f"{name}.npy" for name in _arrays_of(manifest["format"])}
    if manifest["format"] >= _FORMAT_OF_ISSUES:
        files |= {ISSUES_FILE}
    return files | {STATE_FILE} if has_state else files


def _arrays_of(number: int) -> Mapping[str, tuple[str, int]]:
    """Return the arrays of a format; those of words came with format 3, held-out answers with format 4."""
    if number < _FORMAT_OF_WORDS:
        return _FIRST_ARRAYS
    return ARRAYS if number >= _FORMAT_OF_ISSUES else _WITH_WORDS


def _read_issues(path: Path) -> list[dict[str, Any]]:
    """Read what deserves a look among the documents."""
    if path.stat().st_size > MAX_ISSUES_BYTES:
        raise ValueError(f"{path.name} is larger than {MAX_ISSUES_BYTES >> 20} MB")
    try:
        found = json.loads(path.read_text(encoding="ascii"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not valid JSON") from error
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ValueError(f"{path.name} is no list of issues")
    return found


def _check_entries(folder: Path, files: frozenset[str]) -> None:
    """Refuse links, sub-folders, and any file that does not belong."""
    found = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            if not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
                raise BundleRefusedError(folder, f"{entry.name!r} is a link or a folder, not a plain file")
            found.add(entry.name)
    for name in sorted(found - files - {MANIFEST_FILE}):
        raise BundleRefusedError(folder, f"it holds a file that does not belong there: {name!r}")
    for name in sorted(files - found):
        raise BundleRefusedError(folder, f"it lacks {name!r}")


def _check_files(folder: Path, files: frozenset[str], listed: Mapping[str, Any]) -> None:
    """Compare the size and checksum of every file with the manifest."""
    if set(listed) != files:
        raise BundleRefusedError(folder, f"{MANIFEST_FILE} lists other files than a model has")
    for name in sorted(files):
        expected = listed[name]
        if not isinstance(expected, dict) or set(expected) != {"bytes", "sha256"}:
            raise BundleRefusedError(folder, f"{MANIFEST_FILE} does not give the size and checksum of {name!r}")
        path = folder / name
        if path.stat().st_size != expected["bytes"]:
            raise BundleRefusedError(folder, f"{name!r} has another size than when it was saved")
        if file_sha256(path) != expected["sha256"]:
            raise BundleRefusedError(folder, f"{name!r} was altered (its checksum does not match)")


def _is_folder(path: Path) -> bool:
    """Tell whether a path is a folder; one that the system cannot even look up is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _manifest_sha256(manifest: Mapping[str, Any]) -> str:
    """Hash a manifest without its own checksum, in canonical form."""
    content = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    text = json.dumps(content, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
