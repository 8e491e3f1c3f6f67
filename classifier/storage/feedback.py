"""What people decided about documents, and which wait for them, in one SQLite file; a decision is on disk at once."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from classifier.datamodels import Document
from classifier.errors import StorageError

FILE_NAME = "decisions.sqlite"
BUSY_SECONDS = 10.0
_FORMAT = 2
_TABLE = """
CREATE TABLE IF NOT EXISTS decisions (
  number INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL, version TEXT NOT NULL, digest BLOB NOT NULL,
  document TEXT NOT NULL, text TEXT NOT NULL, old_label TEXT NOT NULL, new_label TEXT NOT NULL, who TEXT NOT NULL,
  made_at TEXT NOT NULL, replaced_by INTEGER, undone_at TEXT, trained_in TEXT
)"""
_WAITING_TABLE = """
CREATE TABLE IF NOT EXISTS waiting (
  number INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL, digest BLOB NOT NULL, document TEXT NOT NULL,
  text TEXT NOT NULL, label TEXT NOT NULL, source TEXT NOT NULL, sent_at TEXT NOT NULL, UNIQUE (model, digest)
)"""
_ONE_EACH = """
CREATE UNIQUE INDEX IF NOT EXISTS standing ON decisions (model, digest)
  WHERE replaced_by IS NULL AND undone_at IS NULL"""
_FIND = (
    "SELECT number, new_label, who FROM decisions"
    " WHERE model = ? AND digest = ? AND replaced_by IS NULL AND undone_at IS NULL"
)
_INSERT = (
    "INSERT INTO decisions (model, version, digest, document, text, old_label, new_label, who, made_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_REPLACE = "UPDATE decisions SET replaced_by = ? WHERE number = ?"
_UNDO = "UPDATE decisions SET undone_at = ? WHERE number = ? AND replaced_by IS NULL AND undone_at IS NULL"
_BRING_BACK = "UPDATE decisions SET replaced_by = NULL WHERE replaced_by = ?"
_MARK = "UPDATE decisions SET trained_in = ? WHERE number = ? AND trained_in IS NULL"
_SEND = (
    "INSERT INTO waiting (model, digest, document, text, label, source, sent_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (model, digest) DO NOTHING"
)
_UNDECIDED = (
    " FROM waiting WHERE model = :model AND NOT EXISTS (SELECT 1 FROM decisions WHERE decisions.model = waiting.model"
    " AND decisions.digest = waiting.digest AND replaced_by IS NULL AND undone_at IS NULL)"
)
_WAITING = f"SELECT document, text, label, source, sent_at{_UNDECIDED} ORDER BY number LIMIT :most"
_N_WAITING = f"SELECT COUNT(*){_UNDECIDED}"
_COUNTS = (
    "SELECT COUNT(*), COUNT(*) - COUNT(trained_in) FROM decisions"
    " WHERE model = :model AND replaced_by IS NULL AND undone_at IS NULL"
)
_TAKEN_BACK = (
    "SELECT number, model, version, document, text, old_label, new_label, who, made_at, trained_in"
    " FROM decisions AS gone WHERE model = :model AND undone_at IS NOT NULL AND trained_in IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM decisions AS other WHERE other.model = gone.model AND other.digest = gone.digest"
    " AND other.replaced_by IS NULL AND other.undone_at IS NULL) ORDER BY number"
)
_UNLEARN = "UPDATE decisions SET trained_in = NULL WHERE number = ?"
_FORGET = "UPDATE decisions SET trained_in = NULL WHERE model = ? AND trained_in = ?"
_IS_DECIDED = (
    "SELECT 1 FROM decisions"
    " WHERE model = :model AND digest = :digest AND replaced_by IS NULL AND undone_at IS NULL LIMIT 1"
)
_STANDING = (
    "SELECT number, model, version, document, text, old_label, new_label, who, made_at, trained_in FROM decisions"
    " WHERE model = :model AND replaced_by IS NULL AND undone_at IS NULL"
    " AND (trained_in IS NULL OR NOT :untrained) AND (who = :who OR :who IS NULL) ORDER BY number DESC LIMIT :most"
)


@dataclass(frozen=True, slots=True)
class Decision:
    """One label that a person gave.

    Attributes
    ----------
    number : int
        Rises with time.
    model, version : str
        The model that was looked at.
    document : str
        Id of the document, empty where it has none.
    text : str
        The document.
    old_label, new_label : str
        What was said of it before, and what the person says; equal where the person agreed.
    who : str
        Who decided.
    made_at : str
        When, in UTC, as ISO 8601.
    trained_in : str or None
        The first version that learned from it.
    """

    number: int
    model: str
    version: str
    document: str
    text: str
    old_label: str
    new_label: str
    who: str
    made_at: str
    trained_in: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """One document that waits for a decision.

    Attributes
    ----------
    document : str
        Its id, empty where it has none.
    text : str
    label : str
        The label it has, empty where it has none.
    source : str
        Who or what sent it, in a few words.
    sent_at : str
        When, in UTC, as ISO 8601.
    """

    document: str
    text: str
    label: str
    source: str
    sent_at: str


class Feedback:
    """The decisions about all models of a folder; several processes and threads may use it at once.

    Nothing is ever deleted: a decision that was changed or undone stays in the file, and no longer counts.

    Parameters
    ----------
    path : Path
        The file; it is made by the first decision.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> feedback = Feedback(Path(folder.name) / FILE_NAME)
    >>> number = feedback.record("tickets", "1", "where is my parcel", "refund", "delivery", who="ana")
    >>> feedback.record("tickets", "1", "where is my parcel", "refund", "delivery", who="ana") == number
    True
    >>> [one.new_label for one in feedback.standing("tickets")]
    ['delivery']
    >>> folder.cleanup()
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def record(
        self, model: str, version: str, text: str, old_label: str, new_label: str, *, who: str, document: str = ""
    ) -> int:
        """Keep a decision, and return its number.

        About one document the last decision counts. The same one again is no new one, so that a key that is pressed
        ten times decides once.

        Raises
        ------
        StorageError
            When it cannot be kept.
        """
        digest, text = text_digest(text), _storable(text)
        with self._change() as connection:
            before = connection.execute(_FIND, (model, digest)).fetchone()
            if before is not None and before[1:] == (new_label, who):
                return int(before[0])
            if before is not None:
                connection.execute(_REPLACE, (0, before[0]))
            values = (model, version, digest, document, text, old_label, new_label, who, _now())
            number = int(connection.execute(_INSERT, values).lastrowid or 0)
            if before is not None:
                connection.execute(_REPLACE, (number, before[0]))
            return number

    def undo(self, number: int) -> bool:
        """Let a decision no longer count, and the one that it replaced count again; tell whether it counted until now.

        Raises
        ------
        StorageError
            When that cannot be kept.
        """
        with self._change() as connection:
            is_undone = bool(connection.execute(_UNDO, (_now(), number)).rowcount)
            if is_undone:
                connection.execute(_BRING_BACK, (number,))
            return is_undone

    def standing(self, model: str, *, untrained: bool = False) -> list[Decision]:
        """Return the decisions that count about a model, the oldest first; or those no version has learned from."""
        return self._select(model=model, untrained=untrained, who=None, most=-1)[::-1]

    def counts(self, model: str) -> tuple[int, int]:
        """Count the decisions that count about a model, and what no version has learned: new ones, and undone ones."""
        found = self._rows(_COUNTS, {"model": model})
        return (int(found[0][0]), int(found[0][1]) + len(self.taken_back(model))) if found else (0, 0)

    def taken_back(self, model: str) -> list[Decision]:
        """Return the decisions that were undone after a version had learned from them, the oldest first."""
        return [Decision(*row) for row in self._rows(_TAKEN_BACK, {"model": model})]

    def mark_unlearned(self, numbers: Iterable[int]) -> None:
        """Note that a version has learned that undone decisions no longer count.

        Raises
        ------
        StorageError
            When that cannot be kept.
        """
        with self._change() as connection:
            connection.executemany(_UNLEARN, [(number,) for number in numbers])

    def forget_version(self, model: str, version: str) -> None:
        """Note that the version that learned from some decisions is no more: the next one has to learn from them.

        Raises
        ------
        StorageError
            When that cannot be kept.
        """
        if self.path.exists():
            with self._change() as connection:
                connection.execute(_FORGET, (model, version))

    def is_decided(self, model: str, text: str) -> bool:
        """Tell whether a decision about a text counts."""
        return bool(self._rows(_IS_DECIDED, {"model": model, "digest": text_digest(text)}))

    def last(self, model: str, n: int = 10, *, who: str | None = None) -> list[Decision]:
        """Return the last decisions that count, of one person or of all, the newest first."""
        return self._select(model=model, untrained=False, who=who, most=n)

    def mark_trained(self, numbers: Iterable[int], version: str) -> None:
        """Note that a version has learned from decisions.

        Raises
        ------
        StorageError
            When that cannot be kept.
        """
        with self._change() as connection:
            connection.executemany(_MARK, [(version, number) for number in numbers])

    def send(self, model: str, documents: Iterable[Document], *, source: str) -> int:
        """Let documents wait for a decision, each text once; return how many did not wait yet.

        Raises
        ------
        StorageError
            When that cannot be kept.
        """
        with self._change() as connection:
            (before,) = connection.execute("SELECT COUNT(*) FROM waiting").fetchone()
            connection.executemany(
                _SEND,
                ((model, text_digest(one.text), *_cells(one), source, _now()) for one in documents),
            )
            (after,) = connection.execute("SELECT COUNT(*) FROM waiting").fetchone()
        return int(after - before)

    def waiting(self, model: str, *, limit: int | None = None) -> list[Waiting]:
        """Return the documents that wait for a decision about a model, the first sent first."""
        found = self._rows(_WAITING, {"model": model, "most": -1 if limit is None else limit})
        return [Waiting(*row) for row in found]

    def n_waiting(self, model: str) -> int:
        """Count the documents that wait for a decision about a model."""
        found = self._rows(_N_WAITING, {"model": model})
        return int(found[0][0]) if found else 0

    def _select(self, **values: object) -> list[Decision]:
        """Read decisions, the newest first."""
        return [Decision(*row) for row in self._rows(_STANDING, values)]

    def _rows(self, query: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Read rows; none where there is no file yet."""
        if not self.path.exists():
            return []
        try:
            with closing(self._open()) as connection:
                return connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise _refused(self.path, error) from error

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """Change the file, all of it or nothing; what is left without an error is on the disk."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._open()) as connection:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
        except (OSError, sqlite3.Error) as error:
            raise _refused(self.path, error) from error

    def _open(self) -> sqlite3.Connection:
        """Open the file, with its table."""
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            if found > _FORMAT:
                raise StorageError(f"{self.path}: a newer program wrote these decisions; update this one.")
            if found < _FORMAT:
                connection.execute(_TABLE)
                connection.execute(_WAITING_TABLE)
                connection.execute(_ONE_EACH)
                connection.execute(f"PRAGMA user_version = {_FORMAT}")
        except BaseException:
            connection.close()
            raise
        return connection


def text_digest(text: str) -> bytes:
    """Return what tells a text from all others that can be kept."""
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def _cells(document: Document) -> tuple[str, str, str]:
    """Return what is kept of a document."""
    return _storable(document.id), _storable(document.text), _storable(document.label or "")


def _storable(text: str) -> str:
    """Replace half characters, which SQLite does not keep."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _now() -> str:
    """Return the time."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _refused(path: Path, error: Exception) -> StorageError:
    """Say why decisions cannot be read or kept."""
    reason = getattr(error, "strerror", None) or str(error)
    return StorageError(f"{path}: decisions cannot be read or kept ({reason}); check the disk and the permissions.")
