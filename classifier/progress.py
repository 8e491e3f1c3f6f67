"""What takes long shows how far it is: on a terminal a bar that moves, elsewhere a line a minute."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from tqdm import tqdm

if TYPE_CHECKING:
    Bar = tqdm[Any]
else:
    Bar = tqdm

SECONDS_BETWEEN_LINES = 60.0

Step = Callable[[str], None]


def progress_bar(
    what: str, unit: str, *, total: int | None, shown: bool, initial: int = 0, stream: TextIO | None = None
) -> Bar:
    """Return a bar that shows speed and remaining time.

    Parameters
    ----------
    what : str
        What is done.
    unit : str
        What is counted.
    total : int or None
        How many there are; None where nobody knows.
    shown : bool
        Whether to show anything.
    initial : int, default=0
        How many of them were there before.
    stream : text stream or None
        Where to; None for stderr. In a log file there is nothing to draw over, so lines are added, and work that is
        done within a minute leaves none.

    Examples
    --------
    >>> with progress_bar("waiting", "day", total=2, shown=False) as bar:
    ...     _ = bar.update(2)
    """
    stream = sys.stderr if stream is None else stream
    options: dict[str, Any] = {}
    if not stream.isatty():
        pause = SECONDS_BETWEEN_LINES
        options = {"mininterval": pause, "maxinterval": pause, "miniters": 1, "delay": pause, "ncols": 120}
        stream = _Lines(stream)  # type: ignore[assignment] # tqdm writes and flushes, and no more
    return tqdm(desc=what, unit=unit, total=total, initial=initial, disable=not shown, file=stream, **options)


def silent(what: str) -> None:
    """Show nothing."""


@contextmanager
def steps_shown(title: str, *, shown: bool) -> Iterator[Step]:
    """Give what is to be called at the beginning of each step, with a few words for it.

    How long the steps are together is not known before: a race ends when its figures turn. So there is a count and the
    time, and no share that would only pretend.
    """
    with progress_bar(title, "step", total=None, shown=shown) as line:
        line.bar_format = "{desc}: step {n}, {elapsed}{postfix}"

        def step(what: str) -> None:
            line.set_postfix_str(what, refresh=False)
            line.update()
            if sys.stderr.isatty():
                line.refresh()

        yield step


class _Lines:
    """Writes each state of a bar as a line of its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write a state; what a terminal would erase with is left out."""
        line = text.strip("\r\n \x1b[A")
        if line:
            self._stream.write(f"{line}\n")

    def flush(self) -> None:
        """Flush."""
        self._stream.flush()
