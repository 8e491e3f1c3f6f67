"""One writer at a time: who holds a file, and for how long."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from classifier.errors import OutputError
from classifier.prediction import locks


def test_a_lock_lasts_until_it_is_let_go(tmp_path: Path) -> None:
    """Nobody else gets the file, in this process neither, until its descriptor is closed."""
    path = tmp_path / "work" / "journal"
    first = locks.lock_file(path, "out")
    with pytest.raises(OutputError, match="out: another run is writing it; wait until that has ended, or name another"):
        locks.lock_file(path, "out")
    os.close(first)
    os.close(locks.lock_file(path, "out"))


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    """However it ends: a killed process leaves a file, and no lock."""
    path = tmp_path / "work" / "journal"
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom classifier.prediction.locks import lock_file\n"
        "lock_file(Path(sys.argv[1]), 'out')\nprint('locked', flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(OutputError, match="another run is writing it"):
            locks.lock_file(path, "out")
        other.kill()
        other.wait(timeout=60)
    os.close(locks.lock_file(path, "out"))
    assert path.exists()


def test_a_lock_on_a_file_that_was_removed_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the owner removes its folder between opening and locking, the next one begins with a new file."""
    path = tmp_path / "work" / "journal"
    lock, removed = locks._lock, []

    def lock_late(descriptor: int) -> None:
        if not removed:
            removed.append(path.read_bytes())
            path.unlink()
            path.parent.rmdir()
        lock(descriptor)

    monkeypatch.setattr(locks, "_lock", lock_late)
    descriptor = locks.lock_file(path, "out")
    try:
        assert os.path.samestat(os.fstat(descriptor), path.stat())
    finally:
        os.close(descriptor)


def test_a_folder_that_is_removed_while_it_is_looked_for_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run may have it when it is to be made, and end before it is looked at."""
    path = tmp_path / "work" / "journal"
    make, found = os.mkdir, []

    def make_late(folder: Path, *mode: int) -> None:
        if not found:
            found.append(folder)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        make(folder, *mode)

    monkeypatch.setattr(os, "mkdir", make_late)
    os.close(locks.lock_file(path, "out"))
    assert path.exists()


def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    """Nothing is waited for that does not come."""
    (tmp_path / "work").write_text("mine")
    with pytest.raises(NotADirectoryError):
        locks.lock_file(tmp_path / "work" / "journal", "out")
    assert (tmp_path / "work").read_text() == "mine"
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        locks.lock_file(tmp_path / "link" / "journal", "out")


def test_a_system_without_locks_is_told_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that cannot be had at all is no other run."""

    def fail(_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "_lock", fail)
    with pytest.raises(OSError, match="No locks available") as told:
        locks.lock_file(tmp_path / "work" / "journal", "out")
    assert not isinstance(told.value, OutputError)
