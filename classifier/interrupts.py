"""Ctrl+C and SIGTERM end a command in an orderly way: what is half-written is removed."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

FINALISER_SECONDS = 0.05


@contextlib.contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Let Ctrl+C and SIGTERM raise KeyboardInterrupt; in a finaliser, where Python would swallow it, a moment later.

    What is given is set from then on: a library that is interrupted in its own code may raise something else.
    """
    asked = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        asked.set()
        _interrupt(number, frame)

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
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
