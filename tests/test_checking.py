"""A look at a labelled file before training: counts, copies, contradictions, and rows that teach nothing."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from classifier import workflows
from classifier.analysis.label_checks import FEW_DOCUMENTS, check_labels
from classifier.cli import app

ROWS = [
    ("My parcel is late", "delivery"),
    ("my parcel is LATE!", "delivery"),
    ("Where is it?", "delivery"),
    ("Where is it", "billing"),
    ("Pay me", "Billing"),
    ("", "billing"),
    ("Nobody knows", ""),
]


def write(path: Path, rows: list[tuple[str, str]], more: str = "") -> Path:
    """Write documents as CSV."""
    lines = "".join(f'{number},"{text}","{label}"\n' for number, (text, label) in enumerate(rows, start=100))
    path.write_text(f"id,text,label\n{lines}{more}", encoding="utf-8")
    return path


def test_every_finding_is_counted_and_shown(tmp_path: Path) -> None:
    """Each kind of row is counted once, and the sentences say so, the gravest first."""
    found = workflows.check_file(write(tmp_path / "tickets.csv", ROWS, "1,2,3,4,5\n"))
    assert found.labels.counts == {"delivery": 3, "billing": 1, "Billing": 1}
    assert (found.n_unlabelled, found.n_empty, found.n_rejected) == (1, 1, 1)
    assert found.labels.n_copies == 1
    assert found.labels.alike == (("Billing", "billing"),)
    assert found.labels.few == ("Billing", "billing", "delivery")
    assert [found.documents[row].id for row in found.labels.conflicts[0].rows] == ["102", "103"]
    assert found.can_train
    sentences = list(found.sentences())
    assert sentences[0].startswith(
        "2 documents have the words of another one with another label, such as 'Where is it?'"
    )
    assert len(sentences) == 7


def test_labels_can_be_made_alike_or_taken_apart(tmp_path: Path) -> None:
    """As training would."""
    file = write(tmp_path / "tickets.csv", [("a", "Late|lost"), ("b", "late"), ("c", "")])
    assert workflows.check_file(file).labels.counts == {"Late|lost": 1, "late": 1}
    several = workflows.check_file(file, multi_label=True)
    assert several.labels.counts == {"Late": 1, "lost": 1, "late": 1}
    assert several.n_unlabelled == 0
    assert workflows.check_file(file, multi_label=True, normalise_labels=True).labels.counts["Late"] == 2


def test_one_label_alone_teaches_nothing(tmp_path: Path) -> None:
    """It is said first."""
    found = workflows.check_file(write(tmp_path / "one.csv", [("a", "x"), ("b", "x")]))
    assert not found.can_train
    assert next(found.sentences()).startswith("There are not two labels")


texts = st.lists(st.tuples(st.sampled_from(["a b", "A  b!", "c", "d"]), st.sampled_from(["x", "y"])), max_size=12)


@given(texts)
def test_copies_and_conflicts_are_what_a_plain_count_finds(rows: list[tuple[str, str]]) -> None:
    """Words alone count, not case, spaces or punctuation."""
    found = check_labels([text for text, _ in rows], [(label,) for _, label in rows])
    words = [text.lower().replace("!", "").split() for text, _ in rows]
    both = [(tuple(word), label) for word, (_, label) in zip(words, rows, strict=True)]
    assert found.n_copies == len(both) - len(set(both))
    assert found.n_conflicting == sum(any(one == other and a != b for other, b in both) for one, a in both)
    assert sum(found.counts.values()) == len(rows)
    assert all(len({one for one, a in both if a == label}) < FEW_DOCUMENTS for label in found.few)


def test_the_command_says_the_same_to_people_and_machines(tmp_path: Path) -> None:
    """Rows in JSON are those of the file."""
    file = write(tmp_path / "tickets.csv", ROWS)
    shown = CliRunner().invoke(app, ["check", str(file)])
    assert shown.exit_code == 0
    values = json.loads(CliRunner().invoke(app, ["check", str(file), "--json"]).stdout)
    assert shown.stdout.splitlines()[1 : 1 + len(values["sentences"])] == values["sentences"]
    assert values["conflicts"] == [{"rows": [3, 4], "labels": ["delivery", "billing"]}]
    assert values["copies"] == [[1, 2]]
    assert values["unlabelled_rows"] == [7]
