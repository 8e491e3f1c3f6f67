"""What training is doing, as one line on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

Step = Callable[[str], None]


def silent(what: str) -> None:
    """Show nothing."""


@contextmanager
def steps_shown(title: str, *, shown: bool) -> Iterator[Step]:
    """Give what is to be called at the beginning of each step, with a few words for it.

    How long the steps are together is not known before: a race ends when its figures turn. So there is a count and the
    time, and no share that would only pretend.
    """
    layout = "{desc}: step {n}, {elapsed}{postfix}"
    with tqdm(desc=title, disable=not shown, file=sys.stderr, bar_format=layout) as line:

        def step(what: str) -> None:
            line.set_postfix_str(what, refresh=False)
            line.update()
            line.refresh()

        yield step
