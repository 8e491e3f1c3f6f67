"""Names and versions: ``models/NAME/VERSION/`` is a bundle, ``models/NAME/promoted`` says which one NAME means.

Versions are the numbers 1, 2, 3, …; while a name exists, none of its numbers is used twice: ``models/NAME/highest``
remembers the highest one once it was deleted.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from classifier.datamodels import MULTI_LABEL
from classifier.errors import BundleRefusedError, OutputError, RegistryError, UnknownModelError, excerpt
from classifier.files import write_whole
from classifier.storage.bundle import read_manifest

PROMOTED_FILE = "promoted"
HIGHEST_FILE = "highest"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_SHARES = ("accuracy", "exact_match", "micro_f1", "macro_f1")
_OF_NAMES = ("accuracy", "chance", "share", "largest_weight", "needed_below")
_OF_ROLES: Mapping[str, tuple[str, ...]] = {"alone": (), "not needed": ("needed_below",), "not read": ()}


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One stored model.

    Attributes
    ----------
    name, version : str
        What it is called.
    promoted : bool
        Whether the bare name means this version.
    folder : Path
        Where its bundle is.
    """

    name: str
    version: str
    promoted: bool
    folder: Path

    @property
    def reference(self) -> str:
        """``NAME@VERSION``."""
        return f"{self.name}@{self.version}"

    def facts(self) -> dict[str, Any]:
        """Read the facts of its manifest, without opening its arrays.

        Raises
        ------
        BundleRefusedError
            When the manifest is damaged or foreign.
        """
        facts: dict[str, Any] = read_manifest(self.folder)["facts"]
        try:
            check_facts(facts)
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise BundleRefusedError(self.folder, f"its manifest does not describe a model ({error})") from error
        return facts


def check_facts(facts: Mapping[str, Any]) -> None:
    """Try out the facts that are shown about a model, as a terminal and a page write them.

    Raises
    ------
    LookupError, TypeError, ValueError, ArithmeticError, AttributeError
        When one is missing or of another kind.
    """
    datetime.fromisoformat(facts["created"])
    f"{facts['data']['n_documents']:,} {facts['data']['file']} {facts['contract']['model_id']}"
    labels = [label[part] for label in facts["labels"] for part in ("name", "color")]
    if not all(isinstance(text, str) for text in (*labels, *facts["warnings"], facts["measured_on"])):
        raise TypeError("a label or a warning is no text")
    _try_names(facts.get("label_names"))
    metrics = facts["metrics"]
    if metrics is not None:
        main = "exact_match" if facts.get("task") == MULTI_LABEL else "accuracy"
        low, high = metrics[f"{main}_interval"]
        shares = [metrics[name] for name in _SHARES if name in metrics]
        for number in (metrics[main], metrics["macro_f1"], metrics["ece"], low, high, *shares):
            f"{number:.3f} {100 * number:.1f}"


def _try_names(found: Mapping[str, Any] | None) -> None:
    """Try out what a sentence about the names of labels is made of; models of earlier versions have none."""
    if not found:
        return
    for name in _OF_ROLES.get(found["role"], _OF_NAMES):
        f"{100 * found[name]:.1f}"


class Registry:
    """The models below one folder.

    Parameters
    ----------
    models_dir : Path
        Need not exist; it is made when the first model is added.
    """

    def __init__(self, models_dir: Path) -> None:
        self.models_dir = models_dir

    def add(self, name: str, save: Callable[[Path], object], *, promote: bool = True) -> ModelVersion:
        """Store a model as the next version of a name.

        Parameters
        ----------
        name : str
            Letters, digits, ``.``, ``_`` and ``-``.
        save : callable
            Writes the bundle to the folder it is given, whole or not at all.
        promote : bool, default=True
            Whether the name means the new version from now on; a first version always is.

        Raises
        ------
        RegistryError
            When the name is not allowed.
        OutputError
            When the folder cannot be written.
        """
        self.check_name(name)
        meant = self.promoted(name)
        while True:
            version = self._next_version(name)
            try:
                save(self.models_dir / name / version)
            except OutputError:
                if (self.models_dir / name / version).exists():
                    continue
                raise
            break
        if promote or meant is None:
            self.promote(name, version)
        elif self.promoted(name) == version:  # the note was lost, and the newest is another one now
            self.promote(name, meant)
        return self.find(f"{name}@{version}")

    def models(self) -> list[ModelVersion]:
        """Return every stored version, by name and number."""
        if not self.models_dir.is_dir():
            return []
        names = sorted(entry.name for entry in self.models_dir.iterdir() if entry.is_dir())
        return [
            ModelVersion(name, version, version == self.promoted(name), self.models_dir / name / version)
            for name in names
            if _NAME.fullmatch(name)
            for version in self._versions(name)
        ]

    def find(self, reference: str) -> ModelVersion:
        """Resolve ``NAME`` or ``NAME@VERSION``.

        Raises
        ------
        UnknownModelError
            When there is no such name or version.
        """
        name, _, version = reference.partition("@")
        known = self.models()
        promoted = self.promoted(name) if _NAME.fullmatch(name) else None
        for model in known:
            if model.name == name and model.version == (version or promoted):
                return model
        same_name = [model.reference for model in known if model.name == name]
        raise UnknownModelError(reference, self.models_dir, same_name or sorted({model.name for model in known}))

    def promoted(self, name: str) -> str | None:
        """Return the promoted version of a name; the newest where the note of it is lost, None without any."""
        versions = self._versions(name)
        with suppress(OSError, UnicodeDecodeError):
            noted = (self.models_dir / name / PROMOTED_FILE).read_text(encoding="ascii").strip()
            if noted in versions:
                return noted
        return versions[-1] if versions else None

    def promote(self, name: str, version: str) -> None:
        """Let the bare name mean this version, atomically.

        Raises
        ------
        UnknownModelError
            When there is no such version.
        BundleRefusedError
            When its manifest is damaged.
        OutputError
            When the note cannot be written.
        """
        model = self.find(f"{name}@{version}")
        model.facts()
        _write_note(model.folder.parent / PROMOTED_FILE, version)

    def delete(self, name: str, version: str) -> None:
        """Remove one version for good.

        Raises
        ------
        UnknownModelError
            When there is no such version.
        RegistryError
            When it is the promoted one of several: promote another first.
        """
        model = self.find(f"{name}@{version}")
        folder = model.folder.parent
        if model.promoted and len(self._versions(name)) > 1:
            raise RegistryError(f"{model.reference} is the promoted version", "promote another one before deleting it")
        _write_note(folder / HIGHEST_FILE, str(max(int(self._versions(name)[-1]), self._highest(name))))
        trash: Path | None = None
        try:
            trash = Path(tempfile.mkdtemp(prefix=".deleted-", dir=folder))
            model.folder.rename(trash / version)
            shutil.rmtree(trash)
        except OSError as error:
            if trash is not None:
                with suppress(OSError):
                    trash.rmdir()
            problem = f"it cannot be deleted ({error.strerror})"
            raise OutputError(model.folder, problem, "check its permissions") from error
        if not self._versions(name):
            for note in (PROMOTED_FILE, HIGHEST_FILE):
                (folder / note).unlink(missing_ok=True)
            with suppress(OSError):
                folder.rmdir()

    @staticmethod
    def check_name(name: str) -> None:
        """Refuse a name that cannot be a folder's.

        Raises
        ------
        RegistryError
            Saying what is allowed.
        """
        if not _NAME.fullmatch(name):
            raise RegistryError(
                f"{excerpt(name)} cannot be a model's name",
                "use up to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit",
            )

    def _next_version(self, name: str) -> str:
        """Return the first number above everything that is there, also above what is no bundle."""
        folder = self.models_dir / name
        names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        numbers = [int(entry) for entry in names if _VERSION.fullmatch(entry)]
        return str(max([self._highest(name), *numbers]) + 1)

    def _highest(self, name: str) -> int:
        """Return the highest number that was ever deleted; 0 where none is noted."""
        with suppress(OSError, ValueError):
            noted = (self.models_dir / name / HIGHEST_FILE).read_text(encoding="ascii").strip()
            if _VERSION.fullmatch(noted):
                return int(noted)
        return 0

    def _versions(self, name: str) -> list[str]:
        """Return the version numbers of a name, rising."""
        folder = self.models_dir / name
        if not folder.is_dir():
            return []
        found = [entry.name for entry in folder.iterdir() if entry.is_dir() and _VERSION.fullmatch(entry.name)]
        return sorted(found, key=int)


def _write_note(path: Path, value: str) -> None:
    """Write a one-line file in one step."""
    try:
        write_whole(path, f"{value}\n".encode("ascii"))
    except OSError as error:
        raise OutputError(path, f"it cannot be written ({error.strerror})", "check the disk") from error
