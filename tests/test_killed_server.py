"""The server is killed in the middle of a batch, of training and of corrections: nothing is lost, jobs are found again.

The ordinary suite kills once in each; ``pytest -m slow`` twenty times.
"""

from __future__ import annotations

import csv
import io
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import borrow
from places import scaled
from playwright.sync_api import Browser, FilePayload, Page, expect
from serving import WAIT_MILLISECONDS, Server, choose_strategy, opened, started

from classifier import workflows
from classifier.datamodels import Settings
from classifier.workflows import corrections
from classifier.workflows.jobs import DONE, UNDER_WAY, Job, Jobs

pytestmark = [pytest.mark.browser, pytest.mark.skipif(os.name == "nt", reason="processes are ended by signals")]

NAME = "tickets"
N_ROWS = scaled(10_000, 60_000)
N_CORRECTIONS = scaled(20, 100)
PATIENCE_SECONDS = 180
TIMES = [pytest.param(1), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 21))]


@pytest.fixture
def shelf(library: Path, tmp_path: Path) -> Settings:
    """Begin with the model alone."""
    return borrow(library, tmp_path / "models", NAME)


def wait(until: Callable[[], bool]) -> None:
    """Wait for something, but not for ever."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not until():
        assert time.monotonic() < end
        time.sleep(0.05)


def kill(server: Server) -> None:
    """End the server with everything of its process group, without a word."""
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()


def job_of(page: Page, shelf: Settings) -> Job:
    """Find the job that the address of a page names."""
    page.wait_for_url("**?*job=*")
    return Jobs(shelf).find(page.url.partition("job=")[2][:16])


@pytest.mark.parametrize("seed", TIMES)
def test_a_batch_goes_on(browser: Browser, shelf: Settings, tmp_path: Path, seed: int) -> None:
    """Every row has its answer, and the page of a new server finds the job by its address."""
    stream = io.StringIO()
    csv.writer(stream).writerows([("id", "text"), *((row, f"where is parcel {row}") for row in range(N_ROWS))])
    file: FilePayload = {"name": "parcels.csv", "mimeType": "text/csv", "buffer": stream.getvalue().encode()}
    with (
        started(shelf.models_dir, tmp_path / "log-1.txt") as server,
        opened(browser, f"{server.address}/batch", []) as page,
    ):
        page.get_by_test_id("stFileUploader").locator("input[type=file]").set_input_files(file)
        page.get_by_role("button", name="Start").click()
        job = job_of(page, shelf)
        time.sleep(random.Random(seed).uniform(0, 3))
        kill(server)
    wait(lambda: job.state not in UNDER_WAY)
    assert job.state == DONE
    with (
        started(shelf.models_dir, tmp_path / "log-2.txt") as server,
        opened(browser, f"{server.address}/batch?job={job.id}", []) as page,
    ):
        expect(page.get_by_text(f"{N_ROWS:,} rows answered")).to_be_visible(timeout=WAIT_MILLISECONDS)
    with (job.folder / "answers.csv").open(encoding="utf-8", newline="") as answers:
        assert [row["id"] for row in csv.DictReader(answers)] == [str(row) for row in range(N_ROWS)]


@pytest.mark.parametrize("seed", TIMES)
def test_training_goes_on(browser: Browser, shelf: Settings, tmp_path: Path, seed: int) -> None:
    """The new version is there, whole, and the page of a new server offers to promote it."""
    corrections.correct(shelf, NAME, "1", "The lid cracked.", old_label="", new_label="machine_fault", who="ana")
    with (
        started(shelf.models_dir, tmp_path / "log-1.txt") as server,
        opened(browser, f"{server.address}/review?model={NAME}@1", []) as page,
    ):
        page.get_by_role("button", name="Retrain with 1 new correction").click()
        job = job_of(page, shelf)
        time.sleep(random.Random(seed).uniform(0, 2))
        kill(server)
    wait(lambda: job.state not in UNDER_WAY)
    assert job.state == DONE
    assert workflows.load(shelf.models_dir / NAME / "2").predict(["The lid cracked."]).shape == (1,)
    with (
        started(shelf.models_dir, tmp_path / "log-2.txt") as server,
        opened(browser, f"{server.address}/review?job={job.id}", []) as page,
    ):
        expect(page.get_by_role("button", name="Promote tickets@2")).to_be_visible(timeout=WAIT_MILLISECONDS)


@pytest.mark.parametrize("seed", TIMES)
def test_corrections_are_complete(browser: Browser, shelf: Settings, tmp_path: Path, seed: int) -> None:
    """What the page counted is kept, and a new server goes on behind it until there are a hundred, each once."""
    rng = random.Random(seed)
    n_before_kill, n_kept, number = rng.randrange(3, N_CORRECTIONS), 0, 0
    while n_kept < N_CORRECTIONS:
        number += 1
        with (
            started(shelf.models_dir, tmp_path / f"log-{number}.txt") as server,
            opened(browser, f"{server.address}/review?model={NAME}@1", []) as page,
        ):
            choose_strategy(page, "Unsure")
            wanted = n_before_kill if number == 1 else N_CORRECTIONS - n_kept
            n_counted = press(page, wanted)
            if number == 1:
                page.keyboard.press("Enter")
                time.sleep(rng.uniform(0, 0.2))
                kill(server)
        standing = corrections.last_corrections(shelf, NAME, N_CORRECTIONS + 1)
        assert n_kept + n_counted <= len(standing) <= n_kept + n_counted + 1
        n_kept = len(standing)
    assert number == 2
    assert n_kept == N_CORRECTIONS == len({decision.text for decision in standing})


def press(page: Page, n_wanted: int) -> int:
    """Accept so many suggestions, each once the page has counted the one before; return what it counted."""
    count = page.locator(".facts span", has_text="decided now").locator("strong")
    for n_done in range(n_wanted + 1):
        expect(count).to_have_text(str(n_done), timeout=WAIT_MILLISECONDS)
        if n_done < n_wanted:
            page.keyboard.press("Enter")
    return n_wanted
