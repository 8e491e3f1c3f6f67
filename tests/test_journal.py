"""The journal of a run: what counts as safe, what is cut off, what is refused, and who may write."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from classifier.errors import OutputError, UnfinishedRunError
from classifier.prediction.journal import JOURNAL, Journal, unfinished_folder

BLOCKS = [b"first\n", b"", b"third, a longer one\n", b"fourth\n"]
IDENTITY = {"input": "abc", "format": "csv"}
NAMES = ("output", "rejected")


class StopError(Exception):
    """What ends a run in these tests."""


def opened(target: Path, identity: dict[str, Any] = IDENTITY, *, restart: bool = False) -> Journal:
    """Return the journal of a target."""
    return Journal(target, identity, NAMES, restart=restart)


def append(journal: Journal, number: int) -> None:
    """Make one block safe."""
    journal.append({"output": BLOCKS[number], "rejected": b"-" * number}, {"number": number})


def begin(target: Path, n_blocks: int) -> None:
    """Leave a run unfinished after some blocks."""
    with pytest.raises(StopError), opened(target) as journal:  # noqa: PT012 # the run is what raises
        for number in range(len(journal.notes), n_blocks):
            append(journal, number)
        raise StopError


def finish(target: Path, **options: Any) -> list[int]:
    """Go on until all is there; return the numbers of the blocks that had to be made."""
    with opened(target, **options) as journal:
        missing = [] if journal.is_finished else list(range(len(journal.notes), len(BLOCKS)))
        for number in missing:
            append(journal, number)
        if not journal.is_finished:
            journal.finish({"rejected": target.with_name("rejected.csv"), "output": target})
    return missing


def require_whole(target: Path) -> None:
    """Make sure that everything is there once, and nothing else."""
    assert target.read_bytes() == b"".join(BLOCKS)
    assert target.with_name("rejected.csv").read_bytes() == b"-" * 6
    assert not unfinished_folder(target).exists()


def journal_of(target: Path) -> Path:
    """Return where the list of blocks is."""
    return unfinished_folder(target) / JOURNAL


def flip(path: Path, at: int) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Name an output in a folder of its own."""
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder" / "out.csv"


@pytest.mark.parametrize("n_blocks", range(len(BLOCKS) + 1))
def test_a_run_goes_on_behind_its_last_block(target: Path, n_blocks: int) -> None:
    """Only what is missing is made, and the result is that of one run."""
    begin(target, n_blocks)
    assert unfinished_folder(target).exists() is (n_blocks > 0)
    assert finish(target) == list(range(n_blocks, len(BLOCKS)))
    require_whole(target)


def test_notes_and_memos_come_back(target: Path) -> None:
    """What was noted of a block, and what was settled before the first one, is there again, in order."""
    with pytest.raises(StopError), opened(target) as journal:  # noqa: PT012 # the run is what raises
        journal.remember({"margin": 0.1 + 0.2})
        append(journal, 0)
        append(journal, 1)
        raise StopError
    with pytest.raises(StopError), opened(target) as journal:  # noqa: PT012 # the run is what raises
        assert journal.notes == [{"number": 0}, {"number": 1}]
        assert journal.memo == {"margin": 0.1 + 0.2}
        assert not journal.is_finished
        assert journal.path("output").read_bytes() == b"first\n"
        raise StopError


def test_what_lies_behind_the_last_block_is_cut_off(target: Path) -> None:
    """Bytes of a block that never got its line do not count, nor does half a line."""
    begin(target, 2)
    with (unfinished_folder(target) / "output").open("ab") as stream:
        stream.write(b"half of a bl")
    with journal_of(target).open("ab") as stream:
        stream.write(b'{"kind": "block", "siz')
    assert finish(target) == [2, 3]
    require_whole(target)


def test_a_torn_last_line_costs_its_block_alone(target: Path) -> None:
    """Wherever the last line was torn, the run goes on behind the block before."""
    begin(target, 3)
    content = journal_of(target).read_bytes()
    last = content.rstrip(b"\n").rindex(b"\n") + 1
    saved = {path.name: path.read_bytes() for path in unfinished_folder(target).iterdir()}
    for size in range(last, len(content), 7):
        unfinished_folder(target).mkdir(exist_ok=True)
        for name, kept in saved.items():
            (unfinished_folder(target) / name).write_bytes(kept[:size] if name == JOURNAL else kept)
        assert finish(target) == [2, 3]
        require_whole(target)


def test_two_last_lines_in_one_are_a_torn_line(target: Path) -> None:
    """Where the line end between them was damaged, both blocks are made again."""
    begin(target, 3)
    content = journal_of(target).read_bytes()
    flip(journal_of(target), content.rstrip(b"\n").rindex(b"\n"))
    assert finish(target) == [1, 2, 3]
    require_whole(target)


def test_a_torn_first_line_is_no_run_at_all(target: Path) -> None:
    """A run that ended before its first line was whole begins anew."""
    begin(target, 1)
    content = journal_of(target).read_bytes()
    journal_of(target).write_bytes(content[: content.index(b"\n") // 2])
    assert finish(target) == [0, 1, 2, 3]
    require_whole(target)


def test_a_flipped_byte_of_the_journal_is_refused(target: Path) -> None:
    """Every byte before the last line counts; the way out is named and works, and nothing is lost till then."""
    begin(target, 3)
    content = journal_of(target).read_bytes()
    last = content.rstrip(b"\n").rindex(b"\n") + 1
    target.write_text("of last week")
    for at in range(last - 1):  # without its line end, the line before is a part of the last one
        flip(journal_of(target), at)
        with pytest.raises(UnfinishedRunError, match="its journal was damaged; start over with --restart"):
            finish(target)
        flip(journal_of(target), at)
    assert journal_of(target).read_bytes() == content
    flip(journal_of(target), last // 2)
    assert target.read_text() == "of last week"
    assert finish(target, restart=True) == [0, 1, 2, 3]
    require_whole(target)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_damaged_files_are_refused(target: Path, name: str, damage: str) -> None:
    """A byte that changed, was cut off or is gone with its file is found before anything is added to it."""
    begin(target, 3)
    path = unfinished_folder(target) / name
    if damage == "flipped":
        flip(path, 1)
    elif damage == "cut":
        os.truncate(path, path.stat().st_size - 1)
    else:
        path.unlink()
    for _ in range(2):
        with pytest.raises(
            UnfinishedRunError, match=r"out\.csv: its unfinished files were damaged; start over with --r"
        ):
            finish(target)
    assert finish(target, restart=True) == [0, 1, 2, 3]
    require_whole(target)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"input": "xyz", "format": "csv"}, "input was 'abc', now 'xyz'"),
        ({"input": "abc", "format": "jsonl"}, "format was 'csv', now 'jsonl'"),
        ({"input": "abc"}, "format was 'csv', now 'None'"),
        ({"input": "x", "format": "y", "raw": True}, "format was 'csv', now 'y'; input was 'abc', now 'x'; raw was"),
    ],
)
def test_another_run_is_refused_by_name(target: Path, changed: dict[str, Any], told: str) -> None:
    """What is not the same is told; the unfinished work stays, and can be gone on with or thrown away."""
    begin(target, 2)
    with pytest.raises(UnfinishedRunError) as refused:
        finish(target, identity=changed)
    assert str(refused.value).startswith(f"{target}: an unfinished run of it is another one (")
    assert told in str(refused.value)
    assert str(refused.value).endswith("; run it as before to go on, or start over with --restart.")
    assert finish(target) == [2, 3]
    begin(target, 2)
    assert finish(target, identity=changed, restart=True) == [0, 1, 2, 3]
    require_whole(target)


def test_the_format_of_the_journal_is_part_of_it(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unfinished work of another version of the journal is never gone on with."""
    begin(target, 2)
    monkeypatch.setattr("classifier.prediction.journal.FORMAT", 2)
    with pytest.raises(UnfinishedRunError, match="journal was '1', now '2'"):
        finish(target)


@pytest.mark.parametrize("n_renamed", [0, 1, 2])
def test_a_run_that_only_lacks_names_gets_them(target: Path, monkeypatch: pytest.MonkeyPatch, n_renamed: int) -> None:
    """When all is there but some files have not got their names, no block is made again."""
    renamed: list[Path] = []
    replace = Path.replace

    def fail(path: Path, other: Path) -> Path:
        if len(renamed) == n_renamed:
            raise OSError(errno.EIO, "Input/output error")
        renamed.append(other)
        return replace(path, other)

    begin(target, 4)
    monkeypatch.setattr(Path, "replace", fail)
    if n_renamed < 2:
        with pytest.raises(OutputError, match=r"out\.csv: it cannot be written \(Input/output error\)"):
            finish(target)
        assert not target.exists()
    else:
        monkeypatch.setattr(Journal, "_remove", lambda _: None)
        assert finish(target) == []
    monkeypatch.undo()
    with opened(target) as journal:
        assert journal.is_finished
        assert [note["number"] for note in journal.notes] == [0, 1, 2, 3]
    require_whole(target)


def test_a_finished_result_that_was_taken_away_is_made_again(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither the result nor what it would be made of is there, nobody says that all is done."""
    begin(target, 4)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_remove", lambda _: None)
        finish(target)
    target.unlink()
    assert finish(target) == [0, 1, 2, 3]
    require_whole(target)


def test_files_get_the_names_that_were_meant_where_the_run_began(
    target: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A relative name is that of the first run, also where the next one is started in another folder."""
    monkeypatch.chdir(target.parent)
    begin(Path("out.csv"), 4)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
        with pytest.raises(OutputError, match=r"^out\.csv: it cannot be written"):
            finish(Path("out.csv"))
    monkeypatch.chdir(tmp_path)
    assert finish(Path("folder/out.csv")) == []
    require_whole(target)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_restart_throws_everything_away(target: Path) -> None:
    """Blocks, memos and files of another shape that an earlier run left are gone."""
    with pytest.raises(StopError), Journal(target, {"other": 1}, ["output", "vectors"]) as journal:  # noqa: PT012
        journal.remember({"margin": 1})
        journal.append({"output": b"other\n" * 100, "vectors": b"12345678"}, {"number": 7})
        raise StopError
    with pytest.raises(StopError), opened(target, restart=True) as journal:  # noqa: PT012 # the run is what raises
        assert (journal.notes, journal.memo) == ([], {})
        append(journal, 0)
        raise StopError
    assert finish(target) == [1, 2, 3]
    require_whole(target)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_an_existing_output_keeps_its_mode(target: Path, mode: int) -> None:
    """A private output stays private when it is written again, and one that nobody may write to as well."""
    target.write_text("of last week")
    target.chmod(mode)
    finish(target)
    require_whole(target)
    assert target.stat().st_mode & 0o777 == mode


def test_an_output_behind_a_link_is_replaced_where_it_is(target: Path, tmp_path: Path) -> None:
    """The link stays a link, the work lies beside the file, and both names mean one run."""
    link = tmp_path / "link.csv"
    link.symlink_to(target)
    begin(link, 2)
    assert unfinished_folder(target).exists()
    with opened(link), pytest.raises(OutputError, match="another run is writing it"):
        finish(target)
    with opened(target) as journal:
        append(journal, 2)
        append(journal, 3)
        journal.finish({"rejected": target.with_name("rejected.csv"), "output": target})
    require_whole(target)
    assert link.is_symlink()


def test_what_cannot_be_an_output_is_refused(target: Path, tmp_path: Path) -> None:
    """A folder, a missing folder and a name that is too long are told in one sentence, and nothing is left behind."""
    for bad, told in (
        (target.parent, "it is not a regular file; name a file to write"),
        (Path("/"), "it is not a regular file; name a file to write"),
        (tmp_path / "no" / "out.csv", "it cannot be written (No such file or directory)"),
        (tmp_path / ("x" * 250), "it cannot be written (File name too long)"),
    ):
        with pytest.raises(OutputError) as refused:
            finish(bad)
        assert str(refused.value).startswith(f"{bad}: {told}")
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]


def test_a_second_writer_is_refused(target: Path) -> None:
    """In this process and in another one, as long as the first has not ended; what it writes is not touched."""
    with opened(target) as journal:
        append(journal, 0)
        for _ in range(2):
            with pytest.raises(OutputError, match=r"out\.csv: another run is writing it; wait until that has ended"):
                finish(target)
            with pytest.raises(OutputError, match="another run is writing it"):
                finish(target, restart=True)
        said = in_another_process(target)
        assert said == f"{target}: another run is writing it; wait until that has ended, or name another output."
        for number in range(1, 4):
            append(journal, number)
        journal.finish({"rejected": target.with_name("rejected.csv"), "output": target})
    require_whole(target)
    assert in_another_process(target) == ""


def in_another_process(target: Path) -> str:
    """Open the journal in another process, and return what was refused."""
    script = (
        "import sys\nfrom pathlib import Path\nfrom classifier.errors import OutputError\n"
        "from classifier.prediction.journal import Journal\n"
        "try:\n    with Journal(Path(sys.argv[1]), {}, ['output']):\n        raise SystemExit\n"
        "except OutputError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(target)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_no_block_follows_one_that_failed(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even when the disk has room again: the one that failed would be missing in the middle."""
    with pytest.raises(StopError), opened(target) as journal:  # noqa: PT012 # the run is what raises
        append(journal, 0)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
            with pytest.raises(OutputError, match=r"it cannot be written \(No space left\)"):
                append(journal, 1)
        with pytest.raises(OutputError, match="a block before this one could not be written; run it again to go on"):
            append(journal, 2)
        raise StopError
    assert finish(target) == [1, 2, 3]
    require_whole(target)


def test_bytes_that_are_written_in_pieces_are_all_written(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take fewer bytes than it was given."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: write(descriptor, bytes(content[:3])))
    assert finish(target) == [0, 1, 2, 3]
    require_whole(target)


def test_the_journal_says_what_it_is(target: Path) -> None:
    """One line of JSON with a checksum for each step, so that people can read it."""
    begin(target, 2)
    lines = [line.rpartition("\t")[0] for line in journal_of(target).read_text(encoding="ascii").splitlines()]
    kinds: Sequence[str] = [json.loads(line)["kind"] for line in lines]
    assert kinds == ["header", "block", "block"]
    assert json.loads(lines[0])["identity"] == {"journal": 1, **IDENTITY}
