"""Work that outlives whoever asked for it: a job is a folder, and a command in a process of its own."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from classifier.datamodels import Settings
from classifier.errors import OutputError, UnknownJobError
from classifier.files import write_whole
from classifier.prediction.locks import lock_file
from classifier.prediction.sinks import one_sentence

FOLDER = ".jobs"
RESULT_FILE, LOG_FILE = "result.json", "log.txt"
WAITING, RUNNING, DONE, FAILED, STOPPED, INTERRUPTED = (
    "waiting", "running", "done", "failed", "stopped", "interrupted",
)  # fmt: skip
UNDER_WAY = frozenset({WAITING, RUNNING})
RESUMABLE = frozenset({FAILED, STOPPED, INTERRUPTED})
_JOB_FILE, _EXIT_FILE, _STARTED_FILE, _LOCK_FILE = "job.json", "exit.json", "started", "lock"
_TURN_FILE = "turn.lock"
_ID = re.compile(r"[A-Za-z0-9_-]{16}")
_FRACTION = re.compile(r"(\d+)%\|")
_GOOD_CODES, _STOPPED_CODE = (0, 3), 130
_LAUNCH_SECONDS = 15.0
_ABANDONED_SECONDS = 24 * 3600.0
_PAUSE_SECONDS = 0.1
_LOG_BYTES = 20_000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is.

    Attributes
    ----------
    sentence : str
        The last line that it said, such as a bar with speed and remaining time; empty before the first.
    fraction : float or None
        In [0, 1]; None where nobody knows.
    """

    sentence: str
    fraction: float | None


@dataclass(frozen=True, slots=True)
class Job:
    """Something that was asked for.

    Attributes
    ----------
    id : str
        Whoever knows it finds the job again; it cannot be guessed.
    kind : str
        ``predict``, ``train`` or another command.
    title : str
        What it is called on the page.
    arguments : tuple of str
        Of the command.
    created : str
        When, in UTC, as ISO 8601.
    folder : Path
        Where its input, its output and what it said are kept.
    """

    id: str
    kind: str
    title: str
    arguments: tuple[str, ...]
    created: str
    folder: Path

    @property
    def state(self) -> str:
        """One of ``waiting``, ``running``, ``done``, ``failed``, ``stopped`` and ``interrupted``."""
        code = self.exit_code
        if code is not None:
            return DONE if code in _GOOD_CODES else STOPPED if code == _STOPPED_CODE else FAILED
        had_started = (self.folder / _STARTED_FILE).exists()  # before the look at the lock: it may begin right behind
        if _is_held(self.folder / _LOCK_FILE):
            return RUNNING if (self.folder / _STARTED_FILE).exists() else WAITING
        if self.exit_code is not None:  # it ended between the two looks
            return self.state
        launched = (self.folder / LOG_FILE).stat().st_ctime if (self.folder / LOG_FILE).exists() else 0.0
        is_new = not had_started and time.time() - launched < _LAUNCH_SECONDS
        return WAITING if is_new else INTERRUPTED

    @property
    def exit_code(self) -> int | None:
        """What the command ended with; None before."""
        found = _read(self.folder / _EXIT_FILE)
        return int(found["code"]) if found else None

    @property
    def log(self) -> str:
        """What it said last, on stderr."""
        path = self.folder / LOG_FILE
        if not path.exists():
            return ""
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _LOG_BYTES))
            return stream.read().decode("utf-8", "replace")

    @property
    def progress(self) -> Progress:
        """How far it is."""
        lines = [line for line in self.log.splitlines() if line.strip()]
        sentence = lines[-1] if lines else ""
        percent = _FRACTION.search(sentence)
        return Progress(sentence, int(percent[1]) / 100 if percent else None)

    @property
    def result(self) -> dict[str, Any] | None:
        """What the command printed with ``--json``; None before it is done."""
        return _read(self.folder / RESULT_FILE)

    def stop(self) -> None:
        """Ask it to stop; what it has finished stays, and `resume` goes on there."""
        with suppress(OSError, ValueError):
            number = int((self.folder / _LOCK_FILE).read_text(encoding="ascii"))
            if _is_held(self.folder / _LOCK_FILE):
                os.kill(number, signal.SIGTERM)

    def resume(self) -> None:
        """Run the command again; a batch goes on behind its last finished block."""
        if self.state in RESUMABLE and (self.folder / _JOB_FILE).exists():
            _launch(self.folder)

    def delete(self) -> None:
        """Remove it with everything that belongs to it; not while it is under way."""
        if self.state not in UNDER_WAY:
            shutil.rmtree(self.folder, ignore_errors=True)


class Jobs:
    """The jobs of a models folder.

    Parameters
    ----------
    settings : Settings
        Where models live.
    """

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.models_dir.absolute() / FOLDER

    def new_folder(self) -> Path:
        """Make an empty folder for the files of a new job, and remove those that no job was started with for a day."""
        self._remove_abandoned()
        folder = self._folder / secrets.token_urlsafe(12)
        with one_sentence(str(self._folder)):
            folder.mkdir(parents=True)
        return folder

    def _remove_abandoned(self) -> None:
        """Remove uploads that nothing was started with."""
        if not self._folder.is_dir():
            return
        for folder in self._folder.iterdir():
            with suppress(OSError):
                is_old = time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS
                if _ID.fullmatch(folder.name) and is_old and not (folder / _JOB_FILE).exists():
                    shutil.rmtree(folder)

    def start(self, folder: Path, kind: str, title: str, arguments: Sequence[str]) -> Job:
        """Start the command ``classifier KIND ARGUMENTS`` in a process that does not end with this one.

        Parameters
        ----------
        folder : Path
            From `new_folder`, with the files that the command needs.
        kind, title
            As for `Job`.
        arguments : sequence of str
            Paths among them are absolute.
        """
        created = datetime.now(UTC).isoformat(timespec="seconds")
        values = {"kind": kind, "title": title, "arguments": list(arguments), "created": created}
        with one_sentence(str(folder)):
            write_whole(folder / _JOB_FILE, json.dumps(values, ensure_ascii=False).encode())
            _launch(folder)
        return self.find(folder.name)

    def find(self, job_id: str) -> Job:
        """Return a job.

        Raises
        ------
        UnknownJobError
            When there is none of that id.
        """
        found = _read(self._folder / job_id / _JOB_FILE) if _ID.fullmatch(job_id) else None
        if found is None:
            raise UnknownJobError(job_id)
        return _job(self._folder / job_id, found)

    def all(self) -> list[Job]:
        """Return every job, the newest first."""
        if not self._folder.is_dir():
            return []
        folders = [folder for folder in self._folder.iterdir() if _ID.fullmatch(folder.name)]
        read = [(folder, _read(folder / _JOB_FILE)) for folder in folders]
        return sorted((_job(folder, found) for folder, found in read if found), key=lambda job: job.created)[::-1]


@contextmanager
def turn_of(folder: Path) -> Iterator[Job]:
    """Hold a job, wait until no other one runs, and note how it ends; for the process that does its work.

    The exit code is that of the `SystemExit` that leaves the block, 0 without one.

    Raises
    ------
    OutputError
        When another process does it already.
    """
    held = _lock_soon(folder / _LOCK_FILE)
    try:
        os.pwrite(held, f"{os.getpid():<20}\n".encode(), 0)  # as wide as any, so that nothing of an earlier one stays
        job = Jobs(Settings(folder.parent.parent)).find(folder.name)
        code = 1
        try:
            turn = _lock_in_turn(folder.parent / _TURN_FILE)
            try:
                (folder / _STARTED_FILE).touch()
                yield job
                code = 0
            finally:
                os.close(turn)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except KeyboardInterrupt:
            code = _STOPPED_CODE
        finally:
            write_whole(folder / _EXIT_FILE, json.dumps({"code": code}).encode())
    finally:
        os.close(held)


def _job(folder: Path, found: dict[str, Any]) -> Job:
    """Read one job."""
    return Job(folder.name, found["kind"], found["title"], tuple(found["arguments"]), found["created"], folder)


def _launch(folder: Path) -> None:
    """Start the process of a job, apart from this one: signals and a closed terminal do not reach it."""
    for name in (_EXIT_FILE, _STARTED_FILE):
        (folder / name).unlink(missing_ok=True)
    command = [sys.executable, "-m", "classifier", "run-job", str(folder)]
    with (folder / RESULT_FILE).open("wb") as result, (folder / LOG_FILE).open("wb") as log:
        child = subprocess.Popen(  # noqa: S603 # our own command, with a folder of our own
            command, stdin=subprocess.DEVNULL, stdout=result, stderr=log, start_new_session=True
        )
    threading.Thread(target=child.wait, name="job", daemon=True).start()


def _lock_soon(path: Path) -> int:
    """Lock, also where somebody looks just now whether it is locked."""
    for _ in range(20):
        with suppress(OutputError):
            return lock_file(path, path.parent)
        time.sleep(_PAUSE_SECONDS)
    return lock_file(path, path.parent)


def _lock_in_turn(path: Path) -> int:
    """Lock as soon as nobody else does."""
    while True:
        with suppress(OutputError):
            return lock_file(path, path)
        time.sleep(_PAUSE_SECONDS)


def _is_held(path: Path) -> bool:
    """Tell whether a process holds a lock."""
    if not path.exists():
        return False
    try:
        os.close(lock_file(path, path.parent))
    except OutputError:
        return True
    return False


def _read(path: Path) -> dict[str, Any] | None:
    """Read a small file of JSON; None where there is none, or it is not finished."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
