"""Vectors in one SQLite file, which several processes and threads read and write at once.

Rows are appended and never moved, so the oldest ones lie together and can be dropped cheaply. A row is found by 63
bits of its text's digest; the whole digest and a checksum of the vector are compared before it is given out. What is
damaged is therefore a miss, never another vector.
"""

from __future__ import annotations

import math
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from classifier.embedding.contract import EmbeddingContract

BUSY_SECONDS = 10.0
ROWS_PER_DELETION = 20_000
DAMAGED_SUFFIX = ".damaged"
_FILE_SUFFIXES = ("", "-wal", "-shm")
_APPLICATION_ID = 0x564543
_FORMAT = 1
_CONTRACTS = (
    "CREATE TABLE IF NOT EXISTS contracts (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE,"
    " model_id TEXT NOT NULL, precision TEXT NOT NULL, pooling TEXT NOT NULL, dimension INTEGER NOT NULL,"
    " vector_bytes INTEGER NOT NULL, last_used TEXT NOT NULL)"
)
_VECTORS = (
    "CREATE TABLE IF NOT EXISTS vectors (number INTEGER PRIMARY KEY, key INTEGER NOT NULL, contract INTEGER NOT NULL,"
    " digest BLOB NOT NULL, checksum INTEGER NOT NULL, vector BLOB NOT NULL, UNIQUE (key, contract))"
)
_MARKS = (f"PRAGMA application_id = {_APPLICATION_ID}", f"PRAGMA user_version = {_FORMAT}")
_STATE = (
    "SELECT (SELECT COUNT(*) FROM sqlite_master), application_id, user_version"
    " FROM pragma_application_id, pragma_user_version"
)
_FETCH = (
    "SELECT digest, checksum, vector FROM vectors WHERE number IN"
    " (SELECT number FROM vectors WHERE key IN (SELECT value FROM json_each(?)))"
)
_ADD_CONTRACT = (
    "INSERT OR IGNORE INTO contracts (fingerprint, model_id, precision, pooling, dimension, vector_bytes, last_used)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_INSERT = "INSERT OR REPLACE INTO vectors (key, contract, digest, checksum, vector) VALUES (?, ?, ?, ?, ?)"
_DELETE_OLDEST = (
    "DELETE FROM vectors WHERE number <= (SELECT MAX(number) FROM (SELECT number FROM vectors ORDER BY number LIMIT ?))"
)
_USAGE = (
    "SELECT model_id, precision, pooling, dimension, n_vectors, n_vectors * vector_bytes, last_used"
    " FROM (SELECT contract, COUNT(*) AS n_vectors FROM vectors GROUP BY contract) JOIN contracts ON contract = id"
    " ORDER BY last_used DESC, model_id, id"
)
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED = {
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_NOTADB,
}
_left_to_the_parent: list[sqlite3.Connection | None] = []


@dataclass(frozen=True, slots=True)
class ContractUsage:
    """What is stored under one contract.

    Attributes
    ----------
    model_id, precision, pooling : str
        As in its `EmbeddingContract`.
    dimension : int
        Length of a vector.
    n_vectors : int
        How many are stored.
    n_bytes : int
        Size of their numbers alone.
    last_used : str
        Day on which one was last stored or found, as ``2026-01-31``.
    """

    model_id: str
    precision: str
    pooling: str
    dimension: int
    n_vectors: int
    n_bytes: int
    last_used: str


class VectorStore:
    """Blobs by digest, in a file that is opened when it is first needed.

    Every method may raise ``OSError`` or ``sqlite3.Error``; `is_damage` and `is_busy` tell what became of it.

    Parameters
    ----------
    path : Path
        The file; it is made, with its folder, for nobody else's eyes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._file_id: tuple[int, int] | None = None
        self._lock = threading.Lock()
        self._process_id = os.getpid()

    def fetch(self, digests: Sequence[bytes], vector_bytes: int) -> dict[bytes, bytes]:
        """Look up vectors.

        Parameters
        ----------
        digests : sequence of bytes
            32 bytes each; some thousands at a time.
        vector_bytes : int
            Length that a vector must have.

        Returns
        -------
        dict of bytes to bytes
            Vectors by digest: those that are stored and undamaged.
        """
        with self._connected() as connection:
            return {
                digest: vector
                for digest, checksum, vector in connection.execute(_FETCH, (str(_keys(digests)),))
                if type(vector) is bytes and len(vector) == vector_bytes and zlib.crc32(vector) == checksum
            }

    def insert(self, contract: EmbeddingContract, vectors: dict[bytes, bytes]) -> None:
        """Store vectors by their digests, all of them or none; what is stored under a digest is replaced."""
        vector_bytes = len(next(iter(vectors.values()), b""))
        shown = [_printable(text) for text in (contract.model_id, contract.precision, contract.pooling)]
        fingerprint, today = contract.fingerprint, date.today().isoformat()
        with self._transaction() as connection:
            connection.execute(_ADD_CONTRACT, (fingerprint, *shown, contract.dimension, vector_bytes, today))
            _note_use(connection, fingerprint, today)
            found = connection.execute("SELECT id FROM contracts WHERE fingerprint = ?", (fingerprint,)).fetchone()
            if found is None:
                raise sqlite3.DatabaseError("its list of contracts is damaged")
            rows = zip(_keys(list(vectors)), vectors.items(), strict=True)
            connection.executemany(
                _INSERT, ((key, *found, digest, zlib.crc32(vector), vector) for key, (digest, vector) in rows)
            )

    def touch(self, fingerprint: str, day: str) -> None:
        """Note that a contract was used on a day, unless it is noted."""
        query = "SELECT 1 FROM contracts WHERE fingerprint = ? AND last_used < ?"
        with self._connected() as connection:
            is_new = connection.execute(query, (fingerprint, day)).fetchone()
        if is_new:
            with self._transaction() as connection:
                _note_use(connection, fingerprint, day)

    def usage(self) -> tuple[ContractUsage, ...]:
        """Return what is stored for each contract that has vectors, the last used one first."""
        if not self.path.exists():
            return ()
        with self._connected() as connection:
            return tuple(ContractUsage(*row) for row in connection.execute(_USAGE))

    def used_bytes(self) -> int:
        """Return the size of what is stored, without pages that are free."""
        with self._connected() as connection:
            return _used_bytes(connection)

    def file_bytes(self) -> int:
        """Return the size on disk: of the file and of what waits to be written to it."""
        total = 0
        for suffix in _FILE_SUFFIXES[:2]:
            with suppress(FileNotFoundError, NotADirectoryError):
                total += _with_suffix(self.path, suffix).stat().st_size
        return total

    def prune(self, max_bytes: int) -> int:
        """Drop the oldest vectors until no more than `max_bytes` are used, shrink the file, return their number."""
        n_removed = 0
        if self.path.exists():
            while n := self._drop_oldest(max_bytes):
                n_removed += n
        return n_removed

    def clear(self) -> int:
        """Drop all vectors and what was set aside, shrink the file, return the number of vectors."""
        n_removed = 0
        if self.path.exists():
            with self._transaction() as connection:
                n_removed = connection.execute("DELETE FROM vectors").rowcount
                connection.execute("DELETE FROM contracts")
            self._write_back()
        for suffix in _FILE_SUFFIXES:
            with suppress(FileNotFoundError, NotADirectoryError):
                _with_suffix(self.path, DAMAGED_SUFFIX + suffix).unlink()
        return n_removed

    def set_aside(self) -> Path:
        """Rename a damaged file, unless another process has done so, and return where it is now."""
        damaged = _with_suffix(self.path, DAMAGED_SUFFIX)
        self.close()
        if self.path.exists() and _file_id(self.path) == self._file_id:
            for suffix in _FILE_SUFFIXES:
                with suppress(FileNotFoundError):
                    _with_suffix(self.path, suffix).replace(_with_suffix(damaged, suffix))
        return damaged

    def close(self) -> None:
        """Let go of the file; whatever comes next opens it again."""
        self._leave_inherited()
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """Give this process's connection to one thread at a time."""
        self._leave_inherited()
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                yield self._connection
            except UnicodeDecodeError as error:
                raise sqlite3.DatabaseError("its names are damaged") from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all of what follows, or nothing."""
        with self._connected() as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection

    def _leave_inherited(self) -> None:
        """Leave a connection that came with a fork to the parent: using it, or closing it, would disturb it there."""
        if self._process_id != os.getpid():
            _left_to_the_parent.append(self._connection)
            self._connection, self._lock, self._process_id = None, threading.Lock(), os.getpid()

    def _connect(self) -> sqlite3.Connection:
        """Open the file, or begin a new one."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._file_id = _file_id(self.path)
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Check that the file is ours, or make it so if it is empty."""
        n_tables, application_id, user_version = connection.execute(_STATE).fetchone()
        if n_tables and application_id != _APPLICATION_ID:
            raise FileExistsError("another program's file is in its place")
        if n_tables and user_version != _FORMAT:
            raise sqlite3.DatabaseError("it was written by another version")
        if not n_tables:
            self.path.chmod(0o600)
            connection.execute("PRAGMA auto_vacuum = FULL")
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = OFF")
        if not n_tables:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                for statement in (_CONTRACTS, _VECTORS, *_MARKS):
                    connection.execute(statement)

    def _drop_oldest(self, max_bytes: int) -> int:
        """Drop about as many vectors as there are too many, but not too many at once."""
        with self._transaction() as connection:
            used, n_removed = _used_bytes(connection), 0
            if used > max_bytes:
                (n_vectors,) = connection.execute("SELECT COUNT(*) FROM vectors").fetchone()
                n_surplus = math.ceil(n_vectors * (used - max(max_bytes, 0)) / used)
                n_removed = connection.execute(_DELETE_OLDEST, (min(n_surplus, ROWS_PER_DELETION),)).rowcount
        self._write_back()
        return n_removed

    def _write_back(self) -> None:
        """Bring what was written into the file itself, so that its size shows it."""
        with self._connected() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def is_damage(error: Exception) -> bool:
    """Tell whether an error means that the file's content is damaged or foreign."""
    return isinstance(error, sqlite3.Error) and _code(error) in _DAMAGED


def is_busy(error: Exception) -> bool:
    """Tell whether an error means that others keep the file for themselves at the moment."""
    return isinstance(error, sqlite3.Error) and _code(error) in _BUSY


def _code(error: sqlite3.Error) -> int:
    """Return the primary code of an error; one without a code is about the content of the file."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Let readers and a writer work at once; SQLite does not wait by itself while another process does the same."""
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return


def _note_use(connection: sqlite3.Connection, fingerprint: str, day: str) -> None:
    """Write down when a contract was last used."""
    connection.execute("UPDATE contracts SET last_used = ? WHERE fingerprint = ?", (day, fingerprint))


def _used_bytes(connection: sqlite3.Connection) -> int:
    """Return the size of all pages that are not free."""
    page_bytes, n_pages, n_free = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
    )
    return int(page_bytes * (n_pages - n_free))


def _keys(digests: Sequence[bytes]) -> list[int]:
    """Return the first 63 bits of each digest as a number."""
    keys: list[int] = (np.frombuffer(b"".join(digests), dtype=">u8")[::4] >> 1).tolist()
    return keys


def _printable(text: str) -> str:
    """Replace what cannot be written as UTF-8, such as a folder's name in another encoding."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _file_id(path: Path) -> tuple[int, int]:
    """Return what stays the same about a file while it is renamed."""
    status = path.stat()
    return status.st_dev, status.st_ino


def _with_suffix(path: Path, suffix: str) -> Path:
    """Put a suffix behind a file's whole name."""
    return path.with_name(path.name + suffix)
