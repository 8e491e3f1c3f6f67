"""Batches on a failing disk: one sentence, the old output as it was, and going on once the fault is gone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from crashing import (
    FAIL_FROM_THEN_ON,
    FAIL_ONCE,
    FAIL_TORN,
    KILL_BEFORE,
    TERMINATE,
    TERMINATE_TWICE,
    VANISH,
    Crasher,
    Ended,
    Job,
)
from places import scaled
from trials import KINDS, N_ROWS, Bench, files_of, prepare, require_recovered, require_untouched_or_whole

from classifier.prediction.journal import unfinished_folder

FAULTS = (FAIL_ONCE, FAIL_TORN, FAIL_FROM_THEN_ON)


@pytest.fixture(scope="module")
def crasher() -> Iterator[Crasher]:
    """Start the process that forks."""
    with Crasher() as started:
        yield started


@pytest.fixture(scope="module")
def folder(memory_folder: Path) -> Path:
    """Make a folder with a stored model and an input with a few bad rows."""
    return prepare(memory_folder / "faults")


@pytest.fixture(scope="module", params=KINDS)
def bench(request: pytest.FixtureRequest, folder: Path, crasher: Crasher) -> Bench:
    """Run once without a fault, in each format, in three blocks."""
    return Bench.of(request.param, folder, crasher, block_rows=12)


def require_one_sentence(job: Job, ended: Ended, cause: str) -> None:
    """Make sure that a mistake is told in one line that says what, why and what to do."""
    assert ended.error == "OutputError", ended
    assert ended.message.startswith(f"{job.embeddings_out if 'vectors' in ended.message else job.target}: ")
    assert cause in ended.message
    assert ended.message.endswith(".")
    assert len(ended.message.splitlines()) == 1


def fail_at(bench: Bench, moments: list[tuple[int, str]]) -> None:
    """Let calls fail, one in each run, and go on without the fault; an old output makes one call more."""
    for at, action in moments:
        job = bench.trial(has_old=True).but(action=action, at=at)
        [ended] = bench.crasher.run(job)
        is_renamed = Path(job.target).read_bytes() != b"of last week"
        if ended.is_done:  # what is left of a finished run may stay where it cannot be removed
            assert ended.calls[at] == "rmdir"
        else:
            require_one_sentence(job, ended, "it cannot be written (No space left on device)")
        assert is_renamed == (ended.calls[:at].count("replace") == bench.calls.count("replace"))
        require_recovered(bench, job)


def test_every_call_may_fail(bench: Bench) -> None:
    """A full disk at one write, fsync, truncate, open, rename or removal; more of them in CSV than in other formats."""
    step = scaled(4, 1) if Path(bench.job.target).name == "out.csv" else scaled(18, 9)
    fail_at(bench, [(at, FAULTS[at % 3]) for at in range(0, len(bench.calls) + 1, step)])


@pytest.mark.slow
def test_every_call_may_fail_in_every_way(bench: Bench) -> None:
    """Once, in the middle of a write, and from then on; in every format."""
    fail_at(bench, [(at, action) for at in range(len(bench.calls) + 1) for action in FAULTS])


def test_a_file_may_not_become_longer(bench: Bench) -> None:
    """What the system itself refuses, also to libraries that write by themselves, is told in one sentence."""
    longest = max(map(len, bench.wanted.values()))
    for n_bytes in scaled((1, longest // 2), (0, 1, 600, longest // 2, longest - 1)):
        job = bench.trial(has_old=True).but(n_bytes=n_bytes)
        [ended] = bench.crasher.run(job)
        require_one_sentence(job, ended, "it cannot be written (")
        require_recovered(bench, job.but(n_bytes=None))


def test_the_last_file_may_not_become_longer(bench: Bench) -> None:
    """Where all blocks are there and the whole cannot be made of them, nothing has to be answered again."""
    opened_twice = [at for at in range(len(bench.calls)) if bench.calls[at : at + 2] == ("open", "open")]
    for n_bytes in scaled((100,), (0, 100, 1000)):
        job = bench.trial(has_old=True)
        [ended] = bench.crasher.run(job.but(action=KILL_BEFORE, at=opened_twice[-1]))
        assert ended.was_killed
        [ended] = bench.crasher.run(job.but(n_bytes=n_bytes))
        require_one_sentence(job, ended, "it cannot be written (")
        assert Path(job.target).read_text() == "of last week"
        assert require_recovered(bench, job).n_rows_before == N_ROWS


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_folder_that_nobody_may_write_to(bench: Bench, has_begun: bool) -> None:
    """It is told, nothing changes, and what was begun there can be ended when it may be written to again."""
    job = bench.trial(has_old=True).but(is_ordinary=True)
    if has_begun:
        bench.crasher.run(job.but(action=KILL_BEFORE, at=len(bench.calls) // 2))
    parent = Path(job.target).parent
    before = sorted(path.name for path in parent.iterdir())
    parent.chmod(0o555)
    [ended] = bench.crasher.run(job)
    require_one_sentence(job, ended, "it cannot be written (Permission denied); check the folder, its permissions")
    assert sorted(path.name for path in parent.iterdir()) == before
    assert unfinished_folder(Path(job.target)).exists() is has_begun
    assert Path(job.target).read_text() == "of last week"
    parent.chmod(0o755)
    assert require_recovered(bench, job).n_rows_before == N_ROWS * has_begun


@pytest.mark.parametrize("action", [TERMINATE, TERMINATE_TWICE])
def test_somebody_ends_the_process(bench: Bench, action: str) -> None:
    """SIGTERM finishes the block in hand, a second one does not wait for it; the old output stays, the rest is kept."""
    allowed = {"StoppedError"} if action == TERMINATE else {"StoppedError", "KeyboardInterrupt"}  # two may come as one
    n_stopped = 0
    for at in range(2, len(bench.calls), scaled(40, 8)):
        job = bench.trial(has_old=True).but(action=action, at=at)
        [ended] = bench.crasher.run(job)
        assert ended.is_done or ended.error in allowed, ended
        require_untouched_or_whole(bench, job)
        if ended.is_done:
            assert files_of(job) == bench.wanted
        n_stopped += not ended.is_done
        require_recovered(bench, job)
    assert n_stopped > 0


def test_an_input_that_vanishes(bench: Bench, tmp_path: Path) -> None:
    """Gone in the middle of a run or before it is gone on with: it is told, and the work waits for the file."""
    source = tmp_path / "in.csv"
    shutil.copy(bench.job.source, source)
    job = bench.trial(has_old=True).but(source=str(source), block_rows=1)
    wanted = bench.trial(has_old=False).but(block_rows=1)
    [ended] = bench.crasher.run(job.but(action=VANISH, at=20))
    assert (ended.error, "the file changed while it was read" in ended.message) == ("FileProblemError", True), ended
    [ended] = bench.crasher.run(job)
    assert (ended.error, ended.message.startswith(f"{source}: there is no such file")) == ("FileMissingError", True)
    shutil.copy(bench.job.source, source)
    content = source.read_bytes()
    source.write_bytes(content.replace(b"tulips", b"tulipz"))
    [ended] = bench.crasher.run(job)
    assert (ended.error, "is another one (input was '" in ended.message) == ("UnfinishedRunError", True), ended
    assert Path(job.target).read_text() == "of last week"
    source.write_bytes(content)
    [ended] = bench.crasher.run(job)
    assert ended.is_done, ended.message
    assert ended.n_rows_before > 0
    assert bench.crasher.run(wanted)[0].is_done
    assert files_of(job) == files_of(wanted)
