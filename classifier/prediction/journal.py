"""Unfinished work beside an output: files that grow block by block, and a list of the blocks that are safe.

``OUT.unfinished/`` holds the files of a run and its ``journal``, one line for each block. A block counts from the
moment its line has reached the disk; what lies behind the last such line is cut off when the run goes on. The files get
their own names when everything is there.
"""

from __future__ import annotations

import json
import os
import stat
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from classifier.errors import OutputError, UnfinishedRunError
from classifier.files import file_crc32, sync_path
from classifier.prediction.locks import lock_file
from classifier.prediction.sinks import one_sentence

JOURNAL, FORMAT = "journal", 1
_HEADER, _MEMO, _BLOCK, _FINISHED = "header", "memo", "block", "finished"
_START_OVER = "start over with --restart"


def unfinished_folder(target: Path) -> Path:
    """Return where a run keeps its files until `target` is whole."""
    return target.parent / f"{target.name}.unfinished"


class Journal:
    """The unfinished work of one run, as a context manager that holds its lock.

    Parameters
    ----------
    target : Path
        The file that the run will make.
    identity : mapping of str to object
        What the result depends on, JSON values only; a run goes on only where all of it is the same.
    names : sequence of str
        The files that grow.
    restart : bool, default=False
        Whether to throw earlier unfinished work away.

    Attributes
    ----------
    notes : list of dict
        What was noted of each finished block, in order.
    memo : dict of str to object
        What was settled before the first block; JSON values only.
    is_finished : bool
        Whether all blocks were there when an earlier run ended, so that files only had to get their names.

    Raises
    ------
    UnfinishedRunError
        On entering, when there is unfinished work of another run, or it was damaged.
    OutputError
        On entering, when another process is at it, or the folder cannot be written.
    """

    def __init__(
        self, target: Path, identity: Mapping[str, Any], names: Sequence[str], *, restart: bool = False
    ) -> None:
        self._target, self._shown = Path(os.path.realpath(target)), str(target)
        self.folder = unfinished_folder(self._target)
        self._identity = {"journal": FORMAT, **json.loads(json.dumps(identity))}
        self._names, self._restart = tuple(names), restart
        self.notes: list[dict[str, Any]] = []
        self.memo: dict[str, Any] = {}
        self.is_finished = False

    def __enter__(self) -> Self:
        with one_sentence(self._shown):
            if self._target.exists() and not self._target.is_file():
                raise OutputError(self._shown, "it is not a regular file", "name a file to write")
            self._journal = lock_file(self.folder / JOURNAL, self._shown)
            self._open: dict[str, int] = {}
            self._is_new = self._is_broken = False
            try:
                self._recover()
            except BaseException:
                if self._is_new:
                    self._forget()
                self._close()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.notes and not self.is_finished and kind is not None:  # nothing would be lost
            self._forget()
        self._close()

    def append(self, contents: Mapping[str, bytes], note: Mapping[str, Any]) -> None:
        """Make one more block safe: its bytes for each file, then its line.

        Raises
        ------
        OutputError
            When the disk is full or cannot be written; the block then does not count, and no other may follow it.
        """
        if self._is_broken:
            raise OutputError(self._shown, "a block before this one could not be written", "run it again to go on")
        with one_sentence(self._shown):
            self._is_broken = True
            for name, content in contents.items():
                _write(self._open[name], content)
                self._sums[name] = zlib.crc32(content, self._sums[name])
                self._sizes[name] += len(content)
            for name, content in contents.items():
                if content:
                    os.fsync(self._open[name])
            self._note({"kind": _BLOCK, "sizes": self._sizes, "sums": self._sums, "note": dict(note)})
            self.notes.append(dict(note))
            self._is_broken = False

    def remember(self, memo: Mapping[str, Any]) -> None:
        """Keep what was settled, for whoever goes on."""
        with one_sentence(self._shown):
            self._note({"kind": _MEMO, "memo": dict(memo)})
            self.memo.update(memo)

    def path(self, name: str) -> Path:
        """Return where a file of the run is until it gets its own name."""
        return self.folder / name

    def finish(self, finals: Mapping[str, Path]) -> None:
        """Give files their own names, in order, and remove what is left.

        Parameters
        ----------
        finals : mapping of str to Path
            Names of files in the folder of the run; what stands at the other end is replaced. The last one is the
            result, whose coming says that all is done.

        Raises
        ------
        OutputError
            When a file cannot be renamed; running again goes on from there.
        """
        with one_sentence(self._shown):
            whole = {name: os.path.realpath(path) for name, path in finals.items()}
            for name in whole:
                sync_path(self.path(name))
            self._note({"kind": _FINISHED, "finals": whole})
            self._put_in_place(whole)

    def _put_in_place(self, finals: Mapping[str, str]) -> None:
        """Rename what has not been renamed yet."""
        for name, final in ((name, Path(path)) for name, path in finals.items()):
            part = self.path(name)
            if not part.exists():
                continue
            if final.exists():
                part.chmod(stat.S_IMODE(final.stat().st_mode))
            part.replace(final)
            if os.name == "posix":
                sync_path(final.parent)
        self._remove()
        self.is_finished = True

    def _recover(self) -> None:
        """Read what an earlier run left, cut off what is not safe, and refuse what is not of this run."""
        entries, size = ([], 0) if self._restart else _entries(self.folder / JOURNAL, self._shown)
        if entries:
            self._require_same(entries[0])
        finals = next((entry["finals"] for entry in entries if entry["kind"] == _FINISHED), None)
        if finals is not None and self._is_gone(finals):
            entries, size, finals = [], 0, None
        self._is_new = not entries
        os.ftruncate(self._journal, size)
        os.lseek(self._journal, size, os.SEEK_SET)
        for entry in entries:
            self.memo.update(entry["memo"] if entry["kind"] == _MEMO else {})
        blocks = [entry for entry in entries if entry["kind"] == _BLOCK]
        self.notes = [entry["note"] for entry in blocks]
        if finals is not None:
            self._put_in_place(finals)
            return
        self._sizes = dict(blocks[-1]["sizes"]) if blocks else dict.fromkeys(self._names, 0)
        self._sums = dict(blocks[-1]["sums"]) if blocks else dict.fromkeys(self._names, 0)
        for name in self._names:
            self._open[name] = self._cut(name)
        if self._is_new:
            self._note({"kind": _HEADER, "identity": self._identity})
            sync_path(self.folder)
            sync_path(self.folder.parent)

    def _is_gone(self, finals: Mapping[str, str]) -> bool:
        """Tell whether the result of a finished run is neither here nor in its place, as somebody took it away."""
        result, final = list(finals.items())[-1]
        return not self.path(result).exists() and not Path(final).exists()

    def _cut(self, name: str) -> int:
        """Open a growing file and cut it off behind its last safe block."""
        path, size = self.path(name), self._sizes[name]
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            if os.fstat(descriptor).st_size < size or file_crc32(path, size) != self._sums[name]:
                raise UnfinishedRunError(self._shown, "its unfinished files were damaged", _START_OVER)
            os.ftruncate(descriptor, size)
            os.lseek(descriptor, size, os.SEEK_SET)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _require_same(self, header: Mapping[str, Any]) -> None:
        """Refuse to go on with a run on other input, by another model or with other options."""
        before = header.get("identity")
        if header["kind"] != _HEADER or not isinstance(before, dict):
            raise UnfinishedRunError(self._shown, "its journal was damaged", _START_OVER)
        changed = sorted(name for name in {*before, *self._identity} if before.get(name) != self._identity.get(name))
        if changed:
            raise UnfinishedRunError.of_another(self._shown, changed, before, self._identity)

    def _note(self, entry: Mapping[str, Any]) -> None:
        """Add a line to the journal, safely on disk."""
        line = json.dumps(entry, ensure_ascii=True)
        _write(self._journal, f"{line}\t{zlib.crc32(line.encode()):08x}\n".encode())
        os.fsync(self._journal)

    def _forget(self) -> None:
        """Remove what is worth nothing, if that can be done."""
        with suppress(OSError):
            self._remove()

    def _remove(self) -> None:
        """Remove every file of the run, the journal last, and the folder."""
        for path in sorted(self.folder.iterdir(), key=lambda path: path.name == JOURNAL):
            path.unlink()
        with suppress(OSError):  # another run may have begun there
            self.folder.rmdir()

    def _close(self) -> None:
        """Let go of all files, and with the journal of the lock."""
        for descriptor in (*self._open.values(), self._journal):
            with suppress(OSError):
                os.close(descriptor)
        self._open = {}


def _entries(path: Path, target: str) -> tuple[list[dict[str, Any]], int]:
    """Read the lines that are whole, and how many bytes they take; only the last may be torn."""
    found: list[dict[str, Any]] = []
    size = 0
    content = path.read_bytes()
    for line in content.splitlines(keepends=True):
        text, _, checksum = line.rstrip(b"\n").rpartition(b"\t")
        is_whole = line.endswith(b"\n") and checksum == f"{zlib.crc32(text):08x}".encode()
        if not is_whole:
            if size + len(line) < len(content):
                raise UnfinishedRunError(target, "its journal was damaged", _START_OVER)
            break
        found.append(json.loads(text))
        size += len(line)
    return found, size


def _write(descriptor: int, content: bytes) -> None:
    """Write all bytes."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
