"""Draw from an iterable in a thread of its own, so that what uses it never waits for a disk."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

_PATIENCE_SECONDS = 0.1
_END = object()

T = TypeVar("T")


@contextmanager
def reading_ahead(items: Iterable[T], n_ahead: int) -> Iterator[Iterator[T]]:
    """Give the items, some of them drawn before they are asked for; an error comes in the place of its item.

    Leaving the block ends the drawing, also in the middle.
    """
    waiting: queue.Queue[Any] = queue.Queue(n_ahead)
    is_left = threading.Event()
    reader = threading.Thread(target=_draw, args=(items, waiting, is_left), name="reader", daemon=True)
    reader.start()
    try:
        yield _drawn(waiting)
    finally:
        is_left.set()
        reader.join()


class _Failure:
    """What was raised in the place of an item."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _draw(items: Iterable[Any], waiting: queue.Queue[Any], is_left: threading.Event) -> None:
    """Put items in the queue until they end, or nobody wants them any more."""
    last: Any = _END
    try:
        for item in items:
            if not _put(item, waiting, is_left):
                return
    except BaseException as error:  # noqa: BLE001 # it is raised again where the items are used
        last = _Failure(error)
    _put(last, waiting, is_left)


def _put(item: Any, waiting: queue.Queue[Any], is_left: threading.Event) -> bool:
    """Put one item in the queue as soon as there is room; False where nobody wants it any more."""
    while not is_left.is_set():
        try:
            waiting.put(item, timeout=_PATIENCE_SECONDS)
        except queue.Full:
            continue
        return True
    return False


def _drawn(waiting: queue.Queue[Any]) -> Iterator[Any]:
    """Take items out of the queue."""
    while (item := waiting.get()) is not _END:
        if isinstance(item, _Failure):
            raise item.error
        yield item
