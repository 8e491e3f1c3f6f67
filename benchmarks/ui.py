"""Measure the page as its visitors feel it, in a headless Chromium on this machine.

Usage: python benchmarks/ui.py [--models FOLDER] [--predictions 500] [--people 20]

First paint is the time from going to the address until the first widget is there, in a browser with an empty cache. A
prediction is timed from Ctrl+Enter until the answer to that very text is drawn, with the model warm; every text is new,
so nothing is remembered. People are sessions of their own, each with a browser context of its own, who ask at once;
each one's texts carry a word of theirs, and a session that shows anybody else's counts as mixed up. Memory is that of
the server's process after every tenth of the predictions.

Without --models, the sample tickets are trained on first.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Browser, Page

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from serving import ROOT, Server, chromium, started

from classifier import workflows
from classifier.datamodels import Settings

WORDS = ("grinder", "kettle", "parcel", "refund", "invoice", "coffee", "account", "noise", "leak", "late", "broken")
N_PAINTS = 7
N_ALONE = 60
N_EACH = 6
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
        with started(models, Path(folder) / "log.txt") as server:
            with chromium() as browser:
                measure_alone(browser, server, options.predictions)
            measure_together(server, options.people)


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
        memory = [megabytes(server)]
        for number in range(n_predictions):
            ask(page, rng, f"memory{number}")
            if (number + 1) % max(1, n_predictions // 10) == 0:
                memory.append(megabytes(server))
    print(f"memory of the server over {n_predictions} predictions, MB: " + " ".join(f"{one:.0f}" for one in memory))


def measure_together(server: Server, n_people: int) -> None:
    """Measure what many people feel who ask at the same time."""
    found: list[float] = []
    errors, mixed = list[str](), list[str]()
    everyone_is_in = threading.Barrier(n_people)

    def one_person(number: int) -> None:
        try:
            with chromium() as browser, browser.new_context() as context:
                page = context.new_page()
                visit(page, server)
                everyone_is_in.wait(timeout=600)
                rng = random.Random(number)
                for turn in range(N_EACH):
                    found.append(ask(page, rng, f"person{number}turn{turn}"))
                    shown = page.locator("body").inner_text()
                    mixed.extend(
                        f"{number} saw {other}"
                        for other in range(n_people)
                        if other != number and f"person{other}turn" in shown
                    )
        except Exception as error:  # noqa: BLE001 # whatever it is, it is counted
            errors.append(f"{number}: {error}")

    threads = [threading.Thread(target=one_person, args=(number,)) for number in range(n_people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told(f"prediction, {n_people} people at once, s", found or [float("nan")])
    print(f"errors: {len(errors)}, sessions that saw another's text: {len(mixed)}")
    for one in [*errors, *mixed][:5]:
        print(f"  {one.splitlines()[0]}")


def visit(page: Page, server: Server) -> float:
    """Open the page; return the seconds until its first widget is there."""
    page.set_default_timeout(120_000)
    started_at = time.perf_counter()
    page.goto(server.address)
    page.get_by_placeholder("Paste a text").wait_for()
    return time.perf_counter() - started_at


def ask(page: Page, rng: random.Random, word: str) -> float:
    """Ask about a new text; return the seconds until its answer is there."""
    n_words = rng.randint(6, 20)
    text = " ".join([word, *(rng.choice(WORDS) for _ in range(n_words))])
    page.get_by_placeholder("Paste a text").fill(text)
    started_at = time.perf_counter()
    page.keyboard.press("Control+Enter")
    page.wait_for_function(ANSWERED, arg=f"{n_words + 1} words, {len(text)} characters", polling=10)
    return time.perf_counter() - started_at


def told(what: str, seconds: Sequence[float]) -> None:
    """Print median and range."""
    print(f"{what}: median {statistics.median(seconds):.2f}, {min(seconds):.2f} to {max(seconds):.2f}", flush=True)


def megabytes(server: Server) -> float:
    """Return the resident memory of the server's process."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


if __name__ == "__main__":
    main()
