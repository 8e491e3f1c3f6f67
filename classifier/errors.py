"""Everything that can go wrong, as one tree.

::

    ClassifierError
    ├── FileProblemError (ValueError)          a file cannot be read as a table of documents
    │   ├── FileMissingError (FileNotFoundError)
    │   └── ColumnError (LookupError)
    ├── OutputError (OSError)                  a result cannot be written
    │   └── UnfinishedRunError                 unfinished work that cannot be gone on with
    ├── UnknownNameError (KeyError)            a name that is not in a table of names
    │   └── UnknownLabelError                  a label that is described, and that is none of the labels
    ├── OptionError (ValueError)               a number that an option cannot take
    ├── CascadeError (ValueError)              a model whose words cannot answer alone
    ├── TrainingDataError (ValueError)         documents that no classifier can be trained on
    ├── NotTextError (TypeError)               something else than a list of strings is to be read
    ├── NotFittedError (AttributeError)        a classifier is used before it is trained
    ├── OptionalDependencyError (ImportError)  a package that is needed is not installed
    ├── EmbedderError (ValueError)
    │   ├── EmbedderNotFoundError (LookupError)
    │   ├── UntrustedEmbedderError             the folder would run code or unpickle
    │   ├── EmbedderChangedError               weights differ from the ones that were promised
    │   ├── UnfittedEmbedderError              it must see the training texts first
    │   ├── LabelTextsError                    it cannot read the names of labels
    │   └── ContractMismatchError              two kinds of vectors would meet
    └── StorageError (ValueError)
        ├── BundleRefusedError                 damaged, foreign, newer or hostile bundle
        ├── UnknownModelError (LookupError)
        ├── UnknownJobError (LookupError)
        └── RegistryError                      a request that the registry refuses

Each class takes facts and builds its own message: what was wrong, what is allowed, what to do.
A message never holds a whole document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

T = TypeVar("T")


class ClassifierError(Exception):
    """The root: catch this to catch every mistake that a user can mend."""

    def __str__(self) -> str:
        """Return the message itself, also where a builtin base would quote it."""
        return str(self.args[0]) if self.args else ""


class TrainingDataWarning(UserWarning):
    """Something in the training documents deserves a look; training went on."""


class UncalibratedWarning(UserWarning):
    """Answers of a model that was trained on the names of its labels alone."""


class EmptyTextWarning(UserWarning):
    """Some texts were empty: what is returned for them is the prior, not a reading."""


class CacheWarning(UserWarning):
    """What can be made again could not be kept; everything still works, only slower."""


def excerpt(value: object, length: int = 40) -> str:
    """Quote a value from a user's data, on one line, cut to `length` characters."""
    text = " ".join(str(value).split())
    return repr(text if len(text) <= length else text[: length - 1] + "…")


def counted(n: int, noun: str) -> str:
    """Write a number of things.

    Examples
    --------
    >>> counted(1, "row"), counted(2000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def listing(names: Iterable[object], limit: int = 8) -> str:
    """List at most `limit` names, and say how many were left out."""
    quoted = [excerpt(name) for name in names]
    if not quoted:
        return "none"
    more = f" and {len(quoted) - limit} more" if len(quoted) > limit else ""
    return ", ".join(quoted[:limit]) + more


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"``, or nothing where no allowed name is close."""
    folded = {candidate.casefold(): candidate for candidate in allowed}
    close = get_close_matches(name.casefold(), list(folded), n=1)
    return f" Did you mean {excerpt(folded[close[0]])}?" if close else ""


def lookup(table: Mapping[str, T], name: str, kind: str) -> T:
    """Take `name` from a table of plugs.

    Parameters
    ----------
    table : mapping of str
        The plug point, such as ``READERS`` or ``EMBEDDERS``.
    name : str
        What the user asked for.
    kind : str
        What the names stand for, in the singular.

    Raises
    ------
    UnknownNameError
        When the table has no such name; the message lists the names it has.

    Examples
    --------
    >>> lookup({"csv": 1}, "csv", "format")
    1
    """
    if name not in table:
        raise UnknownNameError(name, kind, list(table))
    return table[name]


class FileProblemError(ClassifierError, ValueError):
    """A file that cannot be read as a table of documents."""

    def __init__(self, source: object, problem: str, remedy: str) -> None:
        self.source, self.problem, self.remedy = str(source), problem, remedy
        super().__init__(f"{self.source}: {problem}; {remedy}{'' if remedy.endswith('?') else '.'}")


class FileMissingError(FileProblemError, FileNotFoundError):
    """A file or folder that is not there."""

    def __init__(self, source: object) -> None:
        super().__init__(source, "there is no such file or folder", "check the path")


class ColumnError(FileProblemError, LookupError):
    """A column that is missing or cannot be chosen."""

    def __init__(self, source: object, wanted: str | None, role: str, columns: Iterable[str]) -> None:
        self.columns = tuple(columns)
        problem = f"there is no column {excerpt(wanted)}" if wanted is not None else f"no column looks like the {role}"
        hint = nearest(wanted, self.columns) if wanted is not None else ""
        super().__init__(
            source,
            problem,
            f"its columns are {listing(self.columns)}; name one with --{role}-column.{hint}".rstrip("."),
        )


class OutputError(ClassifierError, OSError):
    """A result that cannot be written."""

    def __init__(self, target: object, problem: str, remedy: str) -> None:
        self.target = str(target)
        super().__init__(f"{self.target}: {problem}; {remedy}.")


class UnfinishedRunError(OutputError):
    """Unfinished work that cannot be gone on with."""

    @classmethod
    def of_another(
        cls, target: object, changed: Sequence[str], before: Mapping[str, Any], now: Mapping[str, Any]
    ) -> UnfinishedRunError:
        """Name what is not the same as when the unfinished run began."""
        told = [f"{name} was {excerpt(str(before.get(name)))}, now {excerpt(str(now.get(name)))}" for name in changed]
        remedy = "run it as before to go on, or start over with --restart"
        return cls(target, f"an unfinished run of it is another one ({'; '.join(told)})", remedy)


class UnknownNameError(ClassifierError, KeyError):
    """A name that a table of plugs does not have."""

    def __init__(self, name: str, kind: str, allowed: Iterable[str]) -> None:
        self.name, self.allowed = name, tuple(allowed)
        super().__init__(
            f"There is no {kind} {excerpt(name)}; allowed: {listing(self.allowed, 20)}.{nearest(name, self.allowed)}"
        )


class UnknownLabelError(UnknownNameError):
    """A description of something that is none of the labels."""

    def __init__(self, label: str, classes: Iterable[str], source: object = "descriptions") -> None:
        self.name, self.allowed = label, tuple(classes)
        ClassifierError.__init__(
            self,
            f"{source}: it names {excerpt(label)}, but the labels are {listing(self.allowed, 20)}; "
            f"write it like one of them, or leave it out.{nearest(label, self.allowed)}",
        )


class OptionError(ClassifierError, ValueError):
    """A number that an option cannot take."""

    def __init__(self, option: str, value: object, allowed: str) -> None:
        self.option, self.value, self.allowed = option, value, allowed
        super().__init__(f"The {option} is {value}; give {allowed}.")


class TrainingDataError(ClassifierError, ValueError):
    """Documents that no classifier can be trained or measured on."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}.")


class MultiLabelError(ClassifierError, ValueError):
    """Something that only makes sense where each document has one label."""

    def __init__(self, wanted: str, remedy: str) -> None:
        super().__init__(f"{wanted} is for models that give each document one label; {remedy}.")


class CascadeError(ClassifierError, ValueError):
    """A model whose words cannot answer alone."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"There is no fast way here: {problem}; {remedy}.")


class NotTextError(ClassifierError, TypeError):
    """Something else than a list of strings is to be read."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}; give a list of strings, one for each document.")


class NotFittedError(ClassifierError, ValueError, AttributeError):
    """A classifier that is used before it is trained."""

    def __init__(self) -> None:
        super().__init__("This classifier is not trained yet; call fit(texts, labels), or load a saved one.")


class OptionalDependencyError(ClassifierError, ImportError):
    """Something that needs a package which is not installed."""

    def __init__(self, wanted: str, package: str, extra: str | None = None) -> None:
        self.package, self.extra = package, extra
        how = f"install the extra {extra} with pip install 'document-classifier[{extra}]'"
        super().__init__(
            f"{wanted} needs the package {package}, which is not installed; "
            f"{how if extra else f'install it with pip install {package}'}."
        )


class EmbedderError(ClassifierError, ValueError):
    """Something about the model that turns texts into vectors."""


class EmbedderNotFoundError(EmbedderError, LookupError):
    """An encoder that is neither a folder, nor installed, nor cached, nor on the hub."""

    def __init__(self, name: str, reason: str, families: Iterable[str] = ()) -> None:
        self.name, self.reason = name, reason
        families = tuple(families)
        kinds = f", or one of {listing(families)}" if families else ""
        super().__init__(
            f"The embedder {excerpt(name, 80)} could not be found ({reason}); give a folder with a "
            f"sentence-transformers model, or the name of one that is in the local hub cache{kinds}."
            f"{nearest(name, families)}"
        )


class UntrustedEmbedderError(EmbedderError):
    """A model folder that would run its own code or needs unpickling."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"The embedder {excerpt(name, 80)} was refused: {reason}; "
            "only modules of sentence-transformers with weights in safetensors are loaded."
        )


class EmbedderChangedError(EmbedderError):
    """A file of the encoder that is not the one that was promised."""

    def __init__(self, name: str, file: str, expected: str, found: str) -> None:
        super().__init__(
            f"The embedder {excerpt(name, 80)} has a different {file} "
            f"(SHA-256 {found[:12]}… instead of {expected[:12]}…); "
            "install the original again, or train a new model with this one."
        )


class UnfittedEmbedderError(EmbedderError):
    """An embedder that has to learn from texts before it can embed any."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The embedder {excerpt(name, 80)} learns from the training texts; train a model with it, "
            "or call its fit(texts), and embed with the result."
        )


class LabelTextsError(EmbedderError):
    """An embedder that cannot embed the names or descriptions of labels."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}.")


class ContractMismatchError(EmbedderError):
    """Vectors made under different contracts would be compared."""

    def __init__(self, differences: Mapping[str, tuple[object, object]]) -> None:
        self.fields = tuple(differences)
        listed = "; ".join(f"{field}: {ours!r} here, {theirs!r} there" for field, (ours, theirs) in differences.items())
        super().__init__(
            f"These vectors cannot be compared, their embedding contracts differ ({listed}); "
            "embed the texts again with one embedder, or train a new model."
        )


class StorageError(ClassifierError, ValueError):
    """Something about stored models."""


class BundleRefusedError(StorageError):
    """A bundle that is damaged, foreign, newer or hostile."""

    def __init__(self, folder: object, reason: str, remedy: str = "restore it from a backup or train again") -> None:
        self.reason = reason
        super().__init__(f"The model in {folder} was refused: {reason}; {remedy}.")


class UnknownModelError(StorageError, LookupError):
    """A model name or version that the registry does not have."""

    def __init__(self, wanted: str, models_dir: object, known: Iterable[str]) -> None:
        self.known = tuple(known)
        what = (
            f"it has {listing(self.known)}"
            if self.known
            else "it is empty: train one with 'classifier train FILE --name NAME'"
        )
        super().__init__(
            f"There is no model {excerpt(wanted, 80)} in {models_dir}; {what}.{nearest(wanted, self.known)}"
        )


class UnknownJobError(StorageError, LookupError):
    """A job that is not there."""

    def __init__(self, wanted: str) -> None:
        super().__init__(f"There is no job {excerpt(wanted)}; it may have been deleted: classifier jobs lists them.")


class RegistryError(StorageError):
    """A request that the registry refuses."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}.")
