"""The server is killed in the middle of a batch, of training and of corrections: nothing is lost, jobs are found again.

The ordinary suite kills once; ``make test-all`` twenty times.
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
from conftest import borrow, ended
from places import scaled
from playwright.sync_api import Browser, FilePayload, Page, expect
from serving import WAIT_MILLISECONDS, Server, choose_strategy, opened, started

from classifier import workflows
from classifier.datamodels import Settings
from classifier.workflows import corrections
from classifier.workflows.jobs import DONE, Job, Jobs

pytestmark = [pytest.mark.browser, pytest.mark.skipif(os.name == "nt", reason="processes are ended by signals")]

NAME = "tickets"
N_ROWS = scaled(5_000, 60_000)
N_CORRECTIONS = scaled(10, 100)


@pytest.fixture
def shelf(library: Path, tmp_path: Path) -> Settings:
    """Begin with the model alone."""
    return borrow(library, tmp_path / "models", NAME)


def kill(server: Server) -> None:
    """End the server with everything of its process group, without a word."""
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()


def job_of(page: Page, shelf: Settings) -> Job:
    """Find the job that the address of a page names."""
    page.wait_for_url("**?*job=*")
    return Jobs(shelf).find(page.url.partition("job=")[2][:16])


def start_batch(page: Page, shelf: Settings) -> Job:
    """Upload a table and start."""
    stream = io.StringIO()
    csv.writer(stream).writerows([("id", "text"), *((row, f"where is parcel {row}") for row in range(N_ROWS))])
    file: FilePayload = {"name": "parcels.csv", "mimeType": "text/csv", "buffer": stream.getvalue().encode()}
    page.get_by_test_id("stFileUploader").locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Start").click()
    return job_of(page, shelf)


def start_training(page: Page, shelf: Settings) -> Job:
    """Retrain."""
    page.get_by_role("button", name="Retrain with").click()
    return job_of(page, shelf)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 21))])
def test_all_work_goes_on(
    browser: Browser, shelf: Settings, show_models: Callable[[Path], str], tmp_path: Path, seed: int
) -> None:
    """A batch, a training and corrections at once, in any order: every row has its answer, the new version is whole.

    What the page counted is kept. Another server finds the jobs by their addresses, and goes on behind the corrections
    until there are all of them, each once.
    """
    rng = random.Random(seed)
    corrections.correct(shelf, NAME, "1", "The lid cracked.", old_label="", new_label="machine_fault", who="ana")
    with (
        started(shelf.models_dir, tmp_path / "log.txt") as server,
        opened(browser, f"{server.address}/batch", []) as batch,
        opened(browser, f"{server.address}/review?model={NAME}@1", []) as training,
        opened(browser, f"{server.address}/review?model={NAME}@1", []) as review,
    ):
        choose_strategy(review, "Unsure")
        n_counted = press(review, rng.randrange(3, N_CORRECTIONS))
        training.reload()  # which counts what was decided meanwhile
        starts = [lambda: start_batch(batch, shelf), lambda: start_training(training, shelf)]
        jobs = [start() for start in rng.sample(starts, 2)]
        time.sleep(rng.uniform(0, 3))
        review.keyboard.press("Enter")
        time.sleep(rng.uniform(0, 0.2))
        kill(server)
    n_kept = len(corrections.last_corrections(shelf, NAME, N_CORRECTIONS + 2)) - 1  # without the one of above
    assert n_counted <= n_kept <= n_counted + 1
    assert [ended(job) for job in jobs] == [DONE, DONE]
    answered, trained = sorted(jobs, key=lambda job: not (job.folder / "answers.csv").exists())
    with (answered.folder / "answers.csv").open(encoding="utf-8", newline="") as answers:
        assert [row["id"] for row in csv.DictReader(answers)] == [str(row) for row in range(N_ROWS)]
    assert workflows.load(shelf.models_dir / NAME / "2").predict(["The lid cracked."]).shape == (1,)
    address = show_models(shelf.models_dir)
    with (
        opened(browser, f"{address}/batch?job={answered.id}", []) as batch,
        opened(browser, f"{address}/review?job={trained.id}", []) as training,
        opened(browser, f"{address}/review?model={NAME}@1", []) as review,
    ):
        expect(batch.get_by_text(f"{N_ROWS:,} rows answered")).to_be_visible(timeout=WAIT_MILLISECONDS)
        expect(training.get_by_role("button", name="Promote tickets@2")).to_be_visible(timeout=WAIT_MILLISECONDS)
        choose_strategy(review, "Unsure")
        press(review, N_CORRECTIONS - n_kept)
    standing = corrections.last_corrections(shelf, NAME, N_CORRECTIONS + 2)
    assert len({decision.text for decision in standing}) == len(standing) == N_CORRECTIONS + 1


def press(page: Page, n_wanted: int) -> int:
    """Accept so many suggestions, each once the page has counted the one before; return how many."""
    count = page.locator(".facts span", has_text="decided now").locator("strong")
    for n_done in range(n_wanted + 1):
        expect(count).to_have_text(str(n_done), timeout=WAIT_MILLISECONDS)
        if n_done < n_wanted:
            page.keyboard.press("Enter")
    return n_wanted
