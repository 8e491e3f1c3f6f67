"""Decisions of people: each is kept at once, counts once, can be taken back, and none is ever lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.datamodels import Document
from classifier.errors import StorageError
from classifier.storage.feedback import FILE_NAME, Feedback


@pytest.fixture
def feedback(tmp_path: Path) -> Feedback:
    """Begin with no decision."""
    return Feedback(tmp_path / "kept" / FILE_NAME)


def labels(feedback: Feedback, model: str = "m") -> dict[str, str]:
    """Return what counts."""
    return {one.text: one.new_label for one in feedback.standing(model)}


def test_nothing_is_made_by_looking(feedback: Feedback) -> None:
    """Who only reads leaves no file."""
    assert feedback.standing("m") == feedback.last("m") == []
    assert not feedback.path.parent.exists()


def test_a_decision_says_everything(feedback: Feedback) -> None:
    """Document, both labels, who, when and of which version."""
    number = feedback.record("m", "3", "where is it", "refund", "delivery", who="ana", document="t-7")
    [found] = feedback.standing("m")
    assert (found.number, found.model, found.version, found.document) == (number, "m", "3", "t-7")
    assert (found.text, found.old_label, found.new_label, found.who) == ("where is it", "refund", "delivery", "ana")
    assert found.made_at.endswith("+00:00")
    assert found.trained_in is None


def test_ten_presses_decide_once(feedback: Feedback) -> None:
    """The same decision about a document again is the same decision, from ten threads as well."""
    with ThreadPoolExecutor(10) as pool:
        numbers = set(pool.map(lambda _: feedback.record("m", "1", "a", "x", "y", who="ana"), range(10)))
    assert len(numbers) == len(feedback.standing("m")) == 1


def test_the_last_decision_about_a_document_counts(feedback: Feedback) -> None:
    """Others about it stay in the file, and come back when the last is undone."""
    first = feedback.record("m", "1", "a", "x", "y", who="ana")
    second = feedback.record("m", "1", "a", "x", "z", who="ben")
    assert labels(feedback) == {"a": "z"}
    feedback.undo(second)
    assert labels(feedback) == {"a": "y"}
    feedback.undo(second)
    assert labels(feedback) == {"a": "y"}
    feedback.undo(first)
    assert labels(feedback) == {}
    with sqlite3.connect(feedback.path) as connection:
        assert connection.execute("SELECT COUNT(*) FROM decisions").fetchone() == (2,)


def test_models_and_people_are_kept_apart(feedback: Feedback) -> None:
    """Of another model nothing is seen, and one's own last ones can be asked for."""
    feedback.record("m", "1", "a", "x", "y", who="ana")
    feedback.record("n", "1", "a", "x", "z", who="ana")
    feedback.record("m", "1", "b", "x", "y", who="ben")
    assert labels(feedback) == {"a": "y", "b": "y"}
    assert [one.text for one in feedback.last("m", who="ana")] == ["a"]
    assert [one.text for one in feedback.last("m", 1)] == ["b"]


def test_what_was_learned_is_marked(feedback: Feedback) -> None:
    """A version learns from a decision once; a new decision about the document is to be learned again."""
    number = feedback.record("m", "1", "a", "x", "y", who="ana")
    feedback.mark_trained([number], "2")
    feedback.mark_trained([number], "3")
    assert [one.trained_in for one in feedback.standing("m")] == ["2"]
    assert feedback.standing("m", untrained=True) == []
    feedback.record("m", "2", "a", "y", "z", who="ana")
    assert [one.new_label for one in feedback.standing("m", untrained=True)] == ["z"]


@settings(deadline=None, max_examples=25)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.sampled_from(["ana", "ben"])) | st.integers(1, 8),
        max_size=12,
    )
)
def test_any_order_of_deciding_and_undoing(
    steps: list[tuple[str, str, str] | int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What counts is what a pile of decisions for each document says."""
    feedback = Feedback(tmp_path_factory.mktemp("piles") / FILE_NAME)
    piles: dict[str, list[tuple[int, str, str]]] = {}
    for step in steps:
        if isinstance(step, int):
            feedback.undo(step)
            for pile in piles.values():
                if pile and pile[-1][0] == step:
                    pile.pop()
            continue
        text, label, who = step
        number = feedback.record("m", "1", text, "", label, who=who)
        pile = piles.setdefault(text, [])
        if not pile or pile[-1][1:] != (label, who):
            pile.append((number, label, who))
        assert pile[-1][0] == number
    assert labels(feedback) == {text: pile[-1][1] for text, pile in piles.items() if pile}


def test_odd_texts_are_kept(feedback: Feedback) -> None:
    """Half characters, NUL and scripts neither fail nor run."""
    for text in ("\ud800 half", "a\0b", "'; DROP TABLE decisions; --", "\U0001f600" * 1000):
        feedback.record("m", "1", text, "", "y", who="ana")
    assert len(feedback.standing("m")) == 4


def test_a_file_that_is_none_is_refused(feedback: Feedback) -> None:
    """One sentence says so, and the file stays."""
    feedback.path.parent.mkdir()
    feedback.path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageError, match="check the disk"):
        feedback.record("m", "1", "a", "x", "y", who="ana")
    with pytest.raises(StorageError, match="check the disk"):
        feedback.standing("m")
    assert feedback.path.read_bytes() == b"no database at all" * 100


def test_a_newer_file_is_refused(feedback: Feedback) -> None:
    """What a newer program wrote is left alone."""
    feedback.record("m", "1", "a", "x", "y", who="ana")
    with sqlite3.connect(feedback.path) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(StorageError, match="newer program"):
        feedback.standing("m")


WRITER = """
import sys
from pathlib import Path
from classifier.storage.feedback import Feedback
feedback = Feedback(Path(sys.argv[1]))
for number in range(10**6):
    feedback.record("m", "1", f"text {number}", "x", "y", who="ana")
    print(number, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="processes are killed by a signal")
def test_what_was_said_to_be_kept_survives_a_kill(feedback: Feedback) -> None:
    """Killed at any moment, the file holds every decision that was confirmed."""
    n_kept = 0
    for trial in range(5):
        path = feedback.path.with_name(f"{trial}.sqlite")
        with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(10 + 3 * trial):
                last = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            said = [last, *map(int, writer.stdout.read().split())]
        kept = labels(Feedback(path))
        assert {f"text {number}" for number in range(max(said) + 1)} <= set(kept)
        n_kept += len(kept)
    assert n_kept >= 5 * 10


def test_documents_wait_until_somebody_decides(feedback: Feedback) -> None:
    """Each text once, in the order they were sent; a decision ends the waiting, and undoing it brings it back."""
    sent = [Document("1", "a", "x"), Document("2", "b"), Document("3", "a", "y"), Document("4", "\ud800", "x")]
    assert feedback.send("m", sent, source="the map") == 3
    assert feedback.send("m", sent[:1], source="somebody else") == 0
    assert feedback.send("other", sent[:1], source="the map") == 1
    assert [(one.document, one.text, one.label) for one in feedback.waiting("m")] == [
        ("1", "a", "x"),
        ("2", "b", ""),
        ("4", "?", "x"),
    ]
    assert [one.document for one in feedback.waiting("m", limit=1)] == ["1"]
    number = feedback.record("m", "1", "a", "x", "y", who="ana")
    assert [one.document for one in feedback.waiting("m")] == ["2", "4"]
    assert (feedback.n_waiting("m"), feedback.n_waiting("other"), feedback.n_waiting("none")) == (2, 1, 0)
    feedback.undo(number)
    assert feedback.n_waiting("m") == 3


def test_decisions_of_the_first_format_stay(feedback: Feedback) -> None:
    """A file without documents that wait gets a place for them."""
    feedback.record("m", "1", "a", "x", "y", who="ana")
    with sqlite3.connect(feedback.path) as connection:
        connection.execute("DROP TABLE waiting")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    assert feedback.send("m", [Document("1", "b")], source="here") == 1
    assert labels(feedback) == {"a": "y"}
