"""What takes long shows how far it is."""

from __future__ import annotations

import io
import re

import pytest

from classifier import progress
from classifier.progress import progress_bar, steps_shown


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_on_a_terminal_the_bar_moves() -> None:
    """It is drawn over, at once."""
    stream = Terminal()
    with progress_bar("counting", "sheep", total=3, shown=True, stream=stream) as bar:
        bar.update(3)
    assert stream.getvalue().startswith("\rcounting:   0%")
    assert "3/3" in stream.getvalue()


def test_in_a_log_short_work_leaves_nothing() -> None:
    """What is done within a minute needs no line."""
    stream = io.StringIO()
    with progress_bar("counting", "sheep", total=3, shown=True, stream=stream) as bar:
        bar.update(3)
    assert stream.getvalue() == ""


def test_in_a_log_long_work_leaves_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each state is a line of its own, without what a terminal is told."""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    stream = io.StringIO()
    with progress_bar("counting", "sheep", total=3, shown=True, stream=stream) as bar:
        for _ in range(3):
            bar.update()
    lines = stream.getvalue().splitlines()
    assert all(line.startswith("counting: ") for line in lines)
    assert [line.split("|")[2].split()[0] for line in lines][-1] == "3/3"
    assert "\r" not in stream.getvalue()


def test_nothing_is_shown_where_nobody_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a bar nor a step."""
    with progress_bar("counting", "sheep", total=1, shown=False) as bar, steps_shown("counting", shown=False) as step:
        bar.update()
        step("one")
    assert capsys.readouterr() == ("", "")


def test_steps_are_counted_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal each step is shown when it begins, under the title of all, without a share."""
    stream = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", stream)
    with steps_shown("training", shown=True) as step:
        step("racing heads")
        assert re.search(r"training: step 1, \d\d:\d\d, racing heads$", stream.getvalue())
        step("measuring")
        assert re.search(r"training: step 2, \d\d:\d\d, measuring$", stream.getvalue().rstrip())
    assert "%" not in stream.getvalue()
