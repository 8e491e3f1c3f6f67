"""The list of rejected rows: made only where there are some, and never half."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from classifier.datamodels import Rejection
from classifier.errors import OutputError
from classifier.prediction.rejections import RejectionsFile, is_list_of_rejected, rejected_lines


def write_and_stop(file: RejectionsFile, rejection: Rejection) -> None:
    """Write once and be interrupted."""
    file.write(rejection)
    raise KeyboardInterrupt


def write_rejections(path: Path, rejections: list[Rejection]) -> int:
    """Write a whole list of rejected rows, and return how many there were."""
    with RejectionsFile(path) as file:
        for rejection in rejections:
            file.write(rejection)
    return file.n_written


def test_rejections_are_listed_only_where_there_are_some(tmp_path: Path) -> None:
    """No rejections make no file, but replace the list of an earlier run."""
    path = tmp_path / "rejected.csv"
    assert write_rejections(path, []) == 0
    assert not path.exists()
    assert write_rejections(path, [Rejection("a.csv", 3, 'has "too" many\nfields', "x,1")]) == 1
    assert path.read_text(encoding="utf-8") == '"row","id","reason"\n"3","x,1","has ""too"" many\nfields"\n'
    with pytest.raises(KeyboardInterrupt), RejectionsFile(path) as file:
        write_and_stop(file, Rejection("a.csv", 4, "is bad"))
    assert '"3"' in path.read_text(encoding="utf-8")
    assert write_rejections(path, []) == 0
    assert path.read_text(encoding="utf-8") == '"row","id","reason"\n'
    with pytest.raises(OutputError):
        write_rejections(tmp_path / "no" / "r.csv", [Rejection("a.csv", 1, "is bad")])
    assert [entry.name for entry in tmp_path.iterdir()] == ["rejected.csv"]


def test_only_a_list_of_rejected_rows_is_replaced(tmp_path: Path) -> None:
    """A file of that name that is something else stays, where nothing has to be told."""
    path = tmp_path / "rejected.csv"
    path.write_text("row,id,reason\nmine\n")
    assert not is_list_of_rejected(path)
    assert write_rejections(path, []) == 0
    assert path.read_text() == "row,id,reason\nmine\n"
    path.write_text(rejected_lines([Rejection("a.csv", 1, "is bad")], with_header=True))
    assert is_list_of_rejected(path)
    assert not is_list_of_rejected(tmp_path)
    assert not is_list_of_rejected(tmp_path / "nothing")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_list_and_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A fault at any step of writing is reported, and cleaned up after."""
    path = tmp_path / "rejected.csv"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if call == "fsync" else Path, call, fail)
    with pytest.raises(OutputError, match=r"rejected.csv: it cannot be written \(No space left on device\); check the"):
        write_rejections(path, [Rejection("a.csv", 1, "is bad")])
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["rejected.csv"]
