"""Measure the page as its visitors feel it, in a headless Chromium on this machine.

Usage: python benchmarks/ui.py [--models FOLDER] [--predictions 500] [--people 20]

First paint is the time from going to the address until the first widget is there, in a browser with an empty cache. A
prediction is timed from Ctrl+Enter until the answer to that very text is drawn, with the model warm; every text is new,
so nothing is remembered. Memory is that of the server's process after every tenth of the predictions, after a first
tenth that is not counted.

People are sessions of their own, each with a connection of its own, that speak to the server as a browser does but draw
nothing (see `tests/page_session.py`: twenty browsers on one machine take most of its processor for themselves). First
all of them ask in the same moment, again and again; then each asks anew as soon as it was answered in full, and one
more visitor sits before a real Chromium on the same machine. Each one's texts carry a word of theirs; a session that
was sent anybody else's counts as mixed up.

Without --models, the sample tickets are trained on first.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from playwright.sync_api import Browser, Page

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from page_session import PageSession, page_session
from serving import ROOT, Server, chromium, started

from classifier import workflows
from classifier.datamodels import Settings

WORDS = ("grinder", "kettle", "parcel", "refund", "invoice", "coffee", "account", "noise", "leak", "late", "broken")
N_PAINTS = 7
N_ALONE = 60
N_TOGETHER = 10
N_BESIDE = 30
ANSWERED = """wanted => [...document.querySelectorAll('.dc.result')].some(one => one.textContent.includes(wanted))"""


def main() -> None:
    """Print one line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--predictions", type=int, default=500)
    parser.add_argument("--people", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = options.models or Path(folder) / "models"
        if options.models is None:
            workflows.train(ROOT / "data" / "support_tickets.csv", Settings(models), name="tickets")
        with started(models, Path(folder) / "log.txt") as server, chromium() as browser:
            measure_alone(browser, server, options.predictions)
            measure_together(browser, server, options.people)


def measure_alone(browser: Browser, server: Server, n_predictions: int) -> None:
    """Measure what one visitor feels."""
    with browser.new_context() as context:
        visit(context.new_page(), server)
    paints = []
    for _ in range(N_PAINTS):
        with browser.new_context() as context:
            paints.append(visit(context.new_page(), server))
    told("first paint, s", paints)
    with browser.new_context() as context:
        page = context.new_page()
        visit(page, server)
        rng = random.Random(0)
        ask(page, rng, "warm")
        told("prediction, one visitor, s", [ask(page, rng, f"alone{number}") for number in range(N_ALONE)])
        tenth, memory = max(1, n_predictions // 10), []
        for number in range(n_predictions + tenth):
            ask(page, rng, f"memory{number}")
            if (number + 1) % tenth == 0:
                memory.append(megabytes(server))
    print(f"memory of the server over {n_predictions} predictions, MB: " + " ".join(f"{one:.0f}" for one in memory))


def measure_together(browser: Browser, server: Server, n_people: int) -> None:
    """Measure what many people feel who ask at the same time."""
    with browser.new_context() as context:
        page = context.new_page()
        visit(page, server)
        ask(page, random.Random(0), "warm")
        crowd = Crowd(server, n_people)
        crowd.start()
        crowd.asks_freely.wait()
        rng = random.Random(0)
        seen = [ask(page, rng, f"browser{turn}") for turn in range(N_BESIDE)]
        crowd.is_over.set()
        crowd.join()
    told(f"prediction, {n_people} people in the same moment, s", crowd.together)
    told(f"prediction, {n_people} people who never pause, s", crowd.freely)
    told(f"prediction, in Chromium beside {n_people} who never pause, s", seen)
    print(f"errors: {len(crowd.errors)}, sessions that were sent another's text: {len(crowd.mixed)}")
    for one in [*crowd.errors, *crowd.mixed][:5]:
        print(f"  {one}")


class Crowd(threading.Thread):
    """People who ask: first all at once, then each as soon as answered, until it is over.

    Attributes
    ----------
    together, freely : list of float
        Seconds until each answer.
    errors, mixed : list of str
        What went wrong; who was sent another's text.
    asks_freely, is_over : threading.Event
    """

    def __init__(self, server: Server, n_people: int) -> None:
        super().__init__()
        self._address, self._n_people = server.address, n_people
        self.together, self.freely = list[float](), list[float]()
        self.errors, self.mixed = list[str](), list[str]()
        self.asks_freely, self.is_over = threading.Event(), threading.Event()

    def run(self) -> None:
        """Ask, and look at what was sent to whom."""
        try:
            asyncio.run(self._ask())
        except Exception as error:  # noqa: BLE001 # whatever it is, it is counted
            self.errors.append(f"{type(error).__name__}: {error}")
        finally:
            self.asks_freely.set()

    async def _ask(self) -> None:
        """Open a session for each person, and let them ask."""
        async with AsyncExitStack() as stack:
            people = [await stack.enter_async_context(page_session(self._address)) for _ in range(self._n_people)]
            for turn in range(N_TOGETHER):
                self.together += await asyncio.gather(
                    *(self._one(person, number, turn) for number, person in enumerate(people))
                )
            self.asks_freely.set()
            await asyncio.gather(*(self._freely(person, number) for number, person in enumerate(people)))
        for number, person in enumerate(people):
            self.errors += [f"person {number}: {problem}" for problem in person.problems]
            others = (other for other in range(self._n_people) if other != number)
            self.mixed += [
                f"{number} saw {other}" for other in others if f"person{other}turn".encode() in person.received
            ]

    async def _one(self, person: PageSession, number: int, turn: int) -> float:
        """Let one person ask about a new text."""
        return await person.ask(*question(random.Random(f"{number} {turn}"), f"person{number}turn{turn}"))

    async def _freely(self, person: PageSession, number: int) -> None:
        """Let one person ask without a pause."""
        turn = N_TOGETHER
        while not self.is_over.is_set():
            self.freely.append(await self._one(person, number, turn))
            turn += 1


def visit(page: Page, server: Server) -> float:
    """Open the page; return the seconds until its first widget is there."""
    page.set_default_timeout(120_000)
    started_at = time.perf_counter()
    page.goto(server.address)
    page.get_by_placeholder("Paste a text").wait_for()
    return time.perf_counter() - started_at


def ask(page: Page, rng: random.Random, word: str) -> float:
    """Ask about a new text; return the seconds until its answer is there."""
    text, answered = question(rng, word)
    page.get_by_placeholder("Paste a text").fill(text)
    started_at = time.perf_counter()
    page.keyboard.press("Control+Enter")
    page.wait_for_function(ANSWERED, arg=answered, polling=10)
    return time.perf_counter() - started_at


def question(rng: random.Random, word: str) -> tuple[str, str]:
    """Return a new text, and what the page says about its length."""
    n_words = rng.randint(6, 20)
    text = " ".join([word, *(rng.choice(WORDS) for _ in range(n_words))])
    return text, f"{n_words + 1} words, {len(text)} characters"


def told(what: str, seconds: Sequence[float]) -> None:
    """Print median and range."""
    print(f"{what}: median {statistics.median(seconds):.2f}, {min(seconds):.2f} to {max(seconds):.2f}", flush=True)


def megabytes(server: Server) -> float:
    """Return the resident memory of the server's process."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


if __name__ == "__main__":
    main()
