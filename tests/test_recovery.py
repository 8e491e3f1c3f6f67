"""Batches that are killed at any moment: running again gives the very file that one run gives."""

from __future__ import annotations

import csv
import random
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from crashing import KILL_AFTER, KILL_BEFORE, KILL_TORN, Crasher, Job, run_alone
from places import DATA
from trials import KINDS, N_GOOD, N_ROWS, Bench, files_of, prepare, require_recovered, require_untouched_or_whole

from classifier import DocumentClassifier
from classifier.prediction.journal import unfinished_folder

KILLS = (KILL_BEFORE, KILL_AFTER, KILL_TORN)


@pytest.fixture(scope="module")
def crasher() -> Iterator[Crasher]:
    """Start the process that forks."""
    with Crasher() as started:
        yield started


@pytest.fixture(scope="module")
def folder(memory_folder: Path) -> Path:
    """Make a folder with a stored model and an input with a few bad rows."""
    return prepare(memory_folder / "recovery")


@pytest.fixture(scope="module", params=KINDS)
def bench(request: pytest.FixtureRequest, folder: Path, crasher: Crasher) -> Bench:
    """Run once without a fault, in each format."""
    return Bench.of(request.param, folder, crasher)


def test_one_run_loses_nothing(folder: Path, crasher: Crasher) -> None:
    """What every trial is compared with has each good row once, in order, and lists each bad one."""
    (folder / "one run").mkdir()
    target = folder / "one run" / "out.csv"
    [ended] = crasher.run(Job(str(folder / "model" / "1"), str(folder / "in.csv"), str(target)))
    assert (ended.error, ended.n_rows, ended.n_rows_before) == ("", N_ROWS, 0)
    with target.open(encoding="utf-8", newline="") as stream:
        assert [row[0] for row in csv.reader(stream)] == ["id", *(f"{number:03}" for number in range(N_GOOD))]
    with target.with_name("out.csv.rejected.csv").open(encoding="utf-8", newline="") as stream:
        assert [row[0] for row in csv.reader(stream)] == ["row", "5", "16", "27"]


def kill_at_calls(bench: Bench, moments: list[tuple[int, str]]) -> None:
    """Kill a run at each of some calls, and go on."""
    n_gone_on = 0
    for at, action in moments:
        job = bench.trial(has_old=action != KILL_AFTER).but(action=action, at=at)
        [ended] = bench.crasher.run(job)
        assert ended.was_killed
        n_gone_on += require_recovered(bench, job).n_rows_before > 0
    assert n_gone_on >= len(moments) // 2


def kill_at_random(bench: Bench, n_trials: int, seed: int) -> None:
    """Kill runs after some time, and go on."""
    choices = random.Random(seed)
    for number in range(n_trials):
        job = bench.trial(has_old=number % 2 > 0).but(seconds=choices.uniform(0, 1.1 * bench.seconds))
        bench.crasher.run(job)
        require_recovered(bench, job)


def test_a_run_may_be_killed_at_calls_to_the_system(bench: Bench) -> None:
    """At some of the writes, fsyncs, renames and others, before, after and in the middle: running again is enough."""
    n_calls, shift = len(bench.calls), list(KINDS).index(Path(bench.job.target).name)
    calls = [(n_calls * (10 * number + shift)) // 40 for number in range(4)]
    kill_at_calls(bench, [(at, KILLS[(number + shift) % 3]) for number, at in enumerate(calls)])


def test_a_run_may_be_killed_at_random_moments(bench: Bench) -> None:
    """Whatever it was doing: running again is enough."""
    kill_at_random(bench, 1, seed=1)


@pytest.mark.slow
def test_a_run_may_be_killed_at_every_call_and_at_many_moments(bench: Bench) -> None:
    """Eight hundred times for each format: at every call in three ways, and at random moments."""
    moments = list(product(range(len(bench.calls)), KILLS))
    kill_at_calls(bench, moments)
    kill_at_random(bench, 800 - len(moments), seed=2)


def kill_twice(bench: Bench, n_trials: int, seed: int) -> None:
    """Kill runs, kill what goes on with them soon after it began, and go on."""
    choices = random.Random(seed)
    n_killed = n_trials_begun = 0
    while n_killed < n_trials:
        job = bench.trial(has_old=n_trials_begun % 2 > 0)
        job = job.but(action=choices.choice(KILLS), at=choices.randrange(len(bench.calls)))
        [ended] = bench.crasher.run(job)
        assert ended.was_killed
        require_untouched_or_whole(bench, job)
        [ended] = bench.crasher.run(job.but(action=choices.choice(KILLS), at=choices.randrange(16)))
        n_killed += ended.was_killed
        require_recovered(bench, job)
        n_trials_begun += 1
        assert n_trials_begun < 2 * n_trials + 10


def test_a_run_may_be_killed_while_it_recovers(bench: Bench) -> None:
    """The second kill comes while the files of the first run are looked at and cut off."""
    kill_twice(bench, 2, seed=3)


@pytest.mark.slow
def test_many_runs_may_be_killed_while_they_recover(bench: Bench) -> None:
    """Two hundred double kills for each format."""
    kill_twice(bench, 200, seed=4)


def race(bench: Bench, n_trials: int, seed: int) -> int:
    """Let two processes want one output, half of the time one with unfinished work; return how many were refused."""
    choices = random.Random(seed)
    n_refused = 0
    for number in range(n_trials):
        job = bench.trial(has_old=number % 4 > 1)
        if number % 2:
            bench.crasher.run(job.but(action=KILL_AFTER, at=len(bench.calls) // 2))
        one, other = bench.crasher.run(job.but(delay_seconds=choices.uniform(0, 0.01)), job)
        assert one.is_done or other.is_done
        for ended in (one, other):
            assert ended.is_done or ended.error == "OutputError"
            assert ended.is_done or f"{job.target}: another run is writing it; wait" in ended.message
            n_refused += not ended.is_done
        if one.held and other.held:
            assert one.held[1] < other.held[0] or other.held[1] < one.held[0]
        assert files_of(job) == bench.wanted
        require_recovered(bench, job)
    return n_refused


def test_two_processes_never_write_one_output_together(bench: Bench) -> None:
    """One writes, the other says so or comes after it, and the result is whole."""
    assert race(bench, 4, seed=5) > 0


@pytest.mark.slow
def test_many_processes_never_write_one_output_together(bench: Bench) -> None:
    """A hundred races for each format."""
    assert race(bench, 100, seed=6) > 10


def kill_the_real_one(model: DocumentClassifier, folder: Path, n_kills: int, seed: int) -> None:
    """Kill runs of the real encoder, each after it made a block or two, until one has ended; and so on."""
    choices = random.Random(seed)
    bundle = model.save(folder / "real" / "1")
    lines = (DATA / "inbox.csv").read_bytes()
    (folder / "in.csv").write_bytes(lines)
    (folder / "whole").mkdir()
    whole = Job(str(bundle), str(folder / "in.csv"), str(folder / "whole" / "out.csv"))
    assert run_alone(whole).is_done
    n_killed = 0
    while n_killed < n_kills:
        (folder / "killed").mkdir()
        job = whole.but(target=str(folder / "killed" / "out.csv"))
        is_done = False
        while not is_done:
            action = choices.choice(KILLS) if n_killed < n_kills else None
            ended = run_alone(job.but(action=action, at=choices.randrange(13, 23)))
            assert ended.was_killed or ended.is_done, ended.message
            n_killed, is_done = n_killed + ended.was_killed, ended.is_done
        assert files_of(job) == files_of(whole)
        assert not unfinished_folder(Path(job.target)).exists()
        shutil.rmtree(folder / "killed")


@pytest.mark.slow
def test_a_run_of_the_real_encoder_may_be_killed_often(real_model: DocumentClassifier, tmp_path: Path) -> None:
    """Fifty times; its numbers are the same as in one run, to the last digit."""
    kill_the_real_one(real_model, tmp_path, 50, seed=8)
