"""Batches that die, or whose system calls fail, wherever a test asks for it.

Run as a script, this is a process without threads that forks one child for each batch; `Crasher` is its other end. With
a batch as its argument, it runs that one itself.
"""

from __future__ import annotations

import ctypes
import errno
import io
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from classifier.datamodels import EncoderOptions, Settings
from classifier.embedding.embedders import EMBEDDERS, Family
from classifier.interrupts import finishing_first
from classifier.prediction import batch
from classifier.prediction.journal import Journal
from classifier.reports import BatchRequest
from classifier.workflows import batches

KILL_BEFORE, KILL_AFTER, KILL_TORN = "kill before", "kill after", "kill torn"
FAIL_ONCE, FAIL_TORN, FAIL_FROM_THEN_ON = "fail once", "fail torn", "fail from then on"
TERMINATE, TERMINATE_TWICE, VANISH = "terminate", "terminate twice", "vanish"
_WATCHED = ("write", "fsync", "ftruncate", "replace", "unlink", "mkdir", "rmdir", "chmod", "open")


@dataclass(frozen=True)
class Job:
    """One batch.

    Attributes
    ----------
    model, source, target : str
        The folder of a bundle, what is read and what is written.
    output_format : str
    embeddings_out : str or None
        Where vectors are kept.
    block_rows : int
        How many rows make a block.
    restart : bool
    action : str or None
        What happens at one call to the system.
    at : int
        The number of that call, the first being 0.
    seconds : float or None
        When the process is killed, if it has not ended by then.
    delay_seconds : float
        How long it waits before it begins.
    n_bytes : int or None
        No file may become longer than this.
    is_ordinary : bool
        Whether permissions count, as they do not for root.
    """

    model: str
    source: str
    target: str
    output_format: str = "csv"
    embeddings_out: str | None = None
    block_rows: int = 5
    restart: bool = False
    action: str | None = None
    at: int = 0
    seconds: float | None = None
    delay_seconds: float = 0.0
    n_bytes: int | None = None
    is_ordinary: bool = False

    def but(self, **changes: Any) -> Job:
        """Return the same batch with some things changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Ended:
    """How a batch ended.

    Attributes
    ----------
    was_killed : bool
    error, message : str
        What was raised, empty where nothing was.
    calls : list of str
        Every call to the system that changed or could change something on disk.
    n_rows, n_rows_before : int
        As it was reported.
    held : (float, float) or None
        From when till when it had the output to itself, in seconds.
    """

    was_killed: bool
    error: str = ""
    message: str = ""
    calls: Sequence[str] = ()
    n_rows: int = 0
    n_rows_before: int = 0
    held: tuple[float, float] | None = None

    @property
    def is_done(self) -> bool:
        """Whether the batch came to its end."""
        return not self.was_killed and not self.error


class Crasher:
    """Runs batches in children of another process, as a context manager."""

    def __enter__(self) -> Self:
        root = Path(__file__).parents[1]
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **threads, "PYTHONPATH": str(root)},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=60)

    def run(self, *jobs: Job) -> list[Ended]:
        """Run batches, all at once, and tell how they ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([asdict(job) for job in jobs]) + "\n")
        self._process.stdin.flush()
        return [Ended(**one) for one in json.loads(self._process.stdout.readline())]


def run_alone(job: Job) -> Ended:
    """Run one batch as a process of its own, with as many threads as it likes."""
    root = Path(__file__).parents[1]
    arguments = [sys.executable, __file__, json.dumps(asdict(job))]
    done = subprocess.run(arguments, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(root)})
    return Ended(was_killed=done.returncode == -signal.SIGKILL, **(json.loads(done.stdout) if done.stdout else {}))


class Calls:
    """Watches calls that change files in a folder, as a context manager, and lets one of them go wrong."""

    def __init__(self, job: Job) -> None:
        self._folder, self._source = Path(job.target).parent, Path(job.source)
        self._action, self._at = job.action, job.at
        self.made: list[str] = []
        self._kept: Any = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        for name in _WATCHED:
            setattr(os, name, self._watched(name, getattr(os, name)))
        io.open = self._watched("open", io.open)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave everything as it is: the process ends here."""

    def _watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a call."""

        def watched(*arguments: Any, **named: Any) -> Any:
            if not self._is_ours(arguments[0]) or (call is _OPEN and not set("wxa+") & set([*arguments, "r"][1])):
                return call(*arguments, **named)
            with self._lock:
                number = len(self.made)
                self.made.append(name)
            is_now = number == self._at or (number > self._at and self._action == FAIL_FROM_THEN_ON)
            if self._action is None or not is_now:
                return call(*arguments, **named)
            if self._action in {TERMINATE, TERMINATE_TWICE, VANISH}:
                self._go_on()
                return call(*arguments, **named)
            if name == "write" and self._action in {KILL_TORN, FAIL_TORN}:
                call(arguments[0], arguments[1][: len(arguments[1]) // 2])
            if self._action == KILL_AFTER:
                with suppress(OSError):
                    self._kept = call(*arguments, **named)
            if self._action in {KILL_BEFORE, KILL_AFTER, KILL_TORN}:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return watched

    def _go_on(self) -> None:
        """Do what does not keep the call from being made."""
        if self._action == VANISH:
            self._source.unlink()
        for _ in range({TERMINATE: 1, TERMINATE_TWICE: 2}.get(str(self._action), 0)):
            os.kill(os.getpid(), signal.SIGTERM)

    def _is_ours(self, what: Any) -> bool:
        """Tell whether a path or a descriptor is that of a file in the folder."""
        path = Path(f"/proc/self/fd/{what}").readlink() if isinstance(what, int) else Path(what).absolute()
        return path.is_relative_to(self._folder)


_OPEN = io.open


class _Held(Journal):
    """A journal that says when it had the output to itself."""

    since = until = 0.0

    def __enter__(self) -> Self:
        super().__enter__()
        type(self).since = time.monotonic()
        return self

    def __exit__(self, *ended: Any) -> None:
        type(self).until = time.monotonic()
        super().__exit__(*ended)


def _run(job: Job) -> dict[str, Any]:
    """Run one batch in this process."""
    time.sleep(job.delay_seconds)
    batch.BLOCK_ROWS = job.block_rows
    batches.Journal = _Held  # type: ignore[misc]
    if job.n_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (job.n_bytes, resource.RLIM_INFINITY))
    if job.is_ordinary:
        _obey_permissions()
    target = Path(job.target)
    kept = None if job.embeddings_out is None else Path(job.embeddings_out)
    request = BatchRequest(output_format=job.output_format, embeddings_out=kept)
    settings = Settings(Path("nowhere"), EncoderOptions(use_cache=False))
    ended: dict[str, Any] = {}
    with Calls(job) as calls, finishing_first(lambda _: None) as stop:
        try:
            report = batches.predict_file(
                Path(job.model), job.source, target, settings, request, restart=job.restart, stop=stop
            )
            ended = {"n_rows": report.counts.n_rows, "n_rows_before": report.n_rows_before}
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 # the test judges it
            ended = {"error": type(error).__name__, "message": str(error)}
    return {**ended, "calls": calls.made, "held": (_Held.since, _Held.until) if _Held.since else None}


def _obey_permissions() -> None:
    """Take from root what lets it write everywhere, for this thread and those that it starts."""
    system = ctypes.CDLL(None)
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    system.capget(header, sets)
    sets[0] &= ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    assert system.capset(header, sets) == 0


def _start(job: Job) -> tuple[int, int, float | None]:
    """Fork a child for a batch."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading, job.seconds
    try:
        os.close(reading)
        os.write(writing, json.dumps(_run(job)).encode())
    finally:
        os._exit(0)


def _wait(child: int, reading: int, seconds: float | None) -> dict[str, Any]:
    """Wait for a child, and kill it when it is time."""
    if seconds is not None and not select.select([reading], [], [], seconds)[0]:
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reading, "rb") as stream:
        content = stream.read()
    _, status = os.waitpid(child, 0)
    was_killed = os.WIFSIGNALED(status)
    return {"calls": [], **(json.loads(content) if content else {}), "was_killed": was_killed}


def _serve() -> None:
    """Run what comes in, line by line."""
    import multiprocessing.synchronize  # noqa: F401 # children shall find everything imported, here and below

    import pandas  # noqa: F401 # pyarrow looks for it where it writes
    import pyarrow.parquet  # noqa: F401
    from fakes import FakeEmbedder

    EMBEDDERS["fake"] = Family(lambda name, options: FakeEmbedder(name=name.source))  # noqa: ARG005
    for line in sys.stdin:
        children = [_start(Job(**job)) for job in json.loads(line)]
        print(json.dumps([_wait(*child) for child in children]), flush=True)  # noqa: T201


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(_run(Job(**json.loads(sys.argv[1])))))  # noqa: T201
    else:
        _serve()
