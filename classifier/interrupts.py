"""Ctrl+C and SIGTERM end a command in an orderly way: what is half-written is removed."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

FINALISER_SECONDS = 0.05
TIDYING_SECONDS = 5.0


@contextlib.contextmanager
def interruptible(leave: Callable[[], object] | None = None) -> Iterator[threading.Event]:
    """Let Ctrl+C and SIGTERM raise KeyboardInterrupt; in a finaliser, where Python would swallow it, a moment later.

    What is given is set from then on: a library that is interrupted in its own code may raise something else. Where
    tidying up takes longer than `TIDYING_SECONDS`, as where threads are deep in compiled code, `leave` is called by
    another thread; it ends the process.
    """
    asked = threading.Event()
    patience = threading.Timer(TIDYING_SECONDS, leave or (lambda: None))
    patience.daemon = True

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not asked.is_set():
            asked.set()
            patience.start()
        _interrupt(number, frame)

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        patience.cancel()
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def finishing_first(say: Callable[[str], None]) -> Iterator[threading.Event]:
    """Let the first Ctrl+C or SIGTERM set what is given, and a second one interrupt at once.

    Outside the main thread, where Python takes no signals, nothing sets it.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def finish_first(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            before = previous[signal.Signals(number)]
            (before if callable(before) else _interrupt)(number, frame)
        asked.set()
        say("stopping after the block in hand; once more stops at once")

    previous = {number: signal.signal(number, finish_first) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, or try again soon; libraries run many finalisers while they are imported."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            threading.Timer(FINALISER_SECONDS, signal.raise_signal, [number]).start()
            return
        frame = frame.f_back
    raise KeyboardInterrupt
