"""The loop of review: what to look at, what was decided, and the version that learns from it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import borrow
from typer.testing import CliRunner, Result

from classifier import workflows
from classifier.cli import app
from classifier.datamodels import Document, Settings
from classifier.errors import OptionError, TrainingDataError, UnknownModelError, UnknownNameError
from classifier.modeling.predictor import Predictor
from classifier.storage.feedback import Decision
from classifier.workflows import corrections, map_files
from classifier.workflows.retraining import apply_decisions
from classifier.workflows.reviewing import STRATEGIES, ReviewItem

NAME = "tickets"


@pytest.fixture
def shelf(library: Path, tmp_path: Path) -> Settings:
    """Begin with the model and no decision."""
    return borrow(library, tmp_path / "models", NAME)


@pytest.fixture
def model(shelf: Settings) -> Predictor:
    """Open the model."""
    return workflows.open_predictor(NAME, shelf)


def decide(shelf: Settings, text: str, label: str, old: str = "") -> int:
    """Decide about a document."""
    return corrections.correct(shelf, NAME, "1", text, old_label=old, new_label=label, who="ana")


def queue(shelf: Settings, model: Predictor, strategy: str, limit: int = 200) -> tuple[ReviewItem, ...]:
    """Return what is to be looked at."""
    return workflows.review_queue(model, NAME, shelf, strategy=strategy, limit=limit).items


def test_suspected_documents_come_with_reasons(shelf: Settings, model: Predictor) -> None:
    """The audit's worst documents first, with the label, the suggestion and why."""
    items = queue(shelf, model, "suspected", 5)
    worst = [issue for issue in model.issues_ if issue.quality < 0.5][:5]
    assert [item.text for item in items] == [model.documents_[issue.row].text for issue in worst]
    assert [item.reason for item in items] == [issue.reason for issue in worst]
    for item in items:
        assert item.label
        assert item.confidence is None or item.suggestion


def test_disagreeing_documents_have_another_answer(shelf: Settings, model: Predictor) -> None:
    """Held-out answers are what is suggested, the surest first."""
    items = queue(shelf, model, "disagreeing")
    assert len(items) == min(200, int((model.held_out_.correct == 0).sum()))
    assert all(item.suggestion != item.label for item in items)
    confidence = [item.confidence or 0.0 for item in items]
    assert confidence == sorted(confidence, reverse=True)


def test_documents_that_wait_get_answers(shelf: Settings, model: Predictor) -> None:
    """What was sent to review is asked of the model; what it trained on keeps its held-out answer."""
    known = model.documents_[0]
    sent = [Document("n1", "Where is my parcel?"), Document("n2", "Where is my parcel?"), known, Document("n3", "  ")]
    assert corrections.send_to_review(shelf, NAME, sent, source="inbox") == 2
    corrections.send_to_review(shelf, NAME, [model.documents_[9], model.documents_[4]], source="audit")
    items = queue(shelf, model, "sent")
    trained = [model.documents_[row].text for row in (0, 9, 4)]
    assert [item.text for item in items] == [*trained, "Where is my parcel?"]
    new = next(item for item in items if item.document == "n1")
    assert new.label == ""
    assert new.suggestion == model.classify([new.text])[0].label
    assert new.similarity is not None
    assert new.source == "inbox"
    old = next(item for item in items if item.text == known.text)
    assert (old.label, old.similarity) == (known.label, None)
    assert [item.text for item in queue(shelf, model, "novel")] == ["Where is my parcel?"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_decided_does_not_come_again(shelf: Settings, model: Predictor, strategy: str) -> None:
    """Until the decision is undone."""
    corrections.send_to_review(shelf, NAME, [Document(str(n), f"parcel {n}") for n in range(5)], source="here")
    items = queue(shelf, model, strategy, 3)
    number = decide(shelf, items[0].text, "delivery", items[0].label)
    assert items[0].text not in {item.text for item in queue(shelf, model, strategy)}
    corrections.undo_correction(shelf, number)
    assert queue(shelf, model, strategy, 3) == items


def test_unknown_strategies_are_named(shelf: Settings, model: Predictor) -> None:
    """The error lists the known ones."""
    with pytest.raises(UnknownNameError, match="'uncertain'"):
        queue(shelf, model, "uncertian")


@pytest.mark.parametrize(("label", "text"), [("  ", "a"), ("x" * 10_001, "a"), ("x", " ")])
def test_nothing_is_no_correction(shelf: Settings, label: str, text: str) -> None:
    """A blank label, an endless one, and a blank document are refused."""
    with pytest.raises(OptionError):
        decide(shelf, text, label)
    assert corrections.review_counts(shelf, NAME).n_decided == 0


def test_counts_follow_decisions(shelf: Settings) -> None:
    """Waiting, decided, and not yet learned from."""
    corrections.send_to_review(shelf, NAME, [Document("1", "a"), Document("2", "b")], source="here")
    decide(shelf, "a", "delivery")
    assert corrections.review_counts(shelf, NAME) == corrections.ReviewCounts(1, 1, 1)
    assert corrections.is_decided(shelf, NAME, "a")
    assert not corrections.is_decided(shelf, NAME, "b")


def test_retraining_learns_what_was_decided(shelf: Settings, model: Predictor) -> None:
    """Changed and new documents are in the next version, which waits for its promotion."""
    changed, confirmed = model.documents_[0], model.documents_[1]
    decide(shelf, changed.text, "billing", changed.label or "")
    decide(shelf, confirmed.text, confirmed.label or "", confirmed.label or "")
    decide(shelf, "The lid of my grinder cracked.", "machine_fault")
    report = workflows.retrain(NAME, shelf)
    assert (report.n_relabelled, report.n_added, report.n_confirmed, report.n_decisions) == (1, 1, 1, 3)
    assert (report.model.reference, report.model.promoted, report.before) == ("tickets@2", False, "tickets@1")
    assert not report.raced
    new = workflows.open_predictor(report.model.folder, shelf)
    labels = {document.text: document.label for document in new.documents_}
    assert labels[changed.text] == "billing"
    assert labels["The lid of my grinder cracked."] == "machine_fault"
    assert len(new.documents_) == len(model.documents_) + 1
    assert new.facts_["retrained_from"] == "tickets@1"
    assert corrections.review_counts(shelf, NAME).n_untrained == 0
    assert workflows.show_model(NAME, shelf)[0].reference == "tickets@1"
    again = workflows.retrain(NAME, shelf, promote=True)
    assert again.model.reference == workflows.show_model(NAME, shelf)[0].reference == "tickets@3"
    assert again.n_documents == report.n_documents


def test_what_is_undone_after_training_is_unlearned(shelf: Settings, model: Predictor) -> None:
    """Labels come back, documents that only a decision brought in leave, and retraining is offered until then."""
    changed = model.documents_[0]
    assert changed.label != "billing"
    numbers = [decide(shelf, changed.text, "billing", changed.label or ""), decide(shelf, "A new one.", "billing")]
    decide(shelf, model.documents_[1].text, model.documents_[1].label or "", model.documents_[1].label or "")
    workflows.retrain(NAME, shelf, promote=True)
    for number in numbers:
        assert corrections.undo_correction(shelf, number)
        assert not corrections.undo_correction(shelf, number)
    assert corrections.review_counts(shelf, NAME).n_untrained == 2
    workflows.retrain(NAME, shelf, promote=True)
    labels = {document.text: document.label for document in workflows.open_predictor(NAME, shelf).documents_}
    assert labels[changed.text] == changed.label
    assert "A new one." not in labels
    assert corrections.review_counts(shelf, NAME).n_untrained == 0


def test_a_deleted_version_has_learned_nothing(shelf: Settings) -> None:
    """Its decisions wait for the next version."""
    decide(shelf, "The lid of my grinder cracked.", "machine_fault")
    report = workflows.retrain(NAME, shelf)
    assert corrections.review_counts(shelf, NAME).n_untrained == 0
    drawn = map_files.stored_path(report.model.folder, shelf)
    drawn.parent.mkdir()
    drawn.write_bytes(b"its map")
    workflows.delete_model(report.model.reference, shelf)
    assert corrections.review_counts(shelf, NAME).n_untrained == 1
    assert not drawn.exists()


def test_a_new_label_is_learned_by_a_race(shelf: Settings) -> None:
    """Other labels than before need other choices."""
    for text in ("Are you hiring baristas?", "I would like to apply for a job.", "Do you offer internships?"):
        decide(shelf, text, "jobs")
    report = workflows.retrain(NAME, shelf)
    assert report.raced
    assert "jobs" in workflows.open_predictor(report.model.folder, shelf).classes_


def test_nothing_to_learn_is_said(shelf: Settings) -> None:
    """Without a correction, and without a model."""
    with pytest.raises(TrainingDataError, match="no corrections of 'tickets'"):
        workflows.retrain(NAME, shelf)
    with pytest.raises(UnknownModelError):
        workflows.retrain("nobody", shelf)


def test_decisions_about_several_labels_are_sets() -> None:
    """Labels are sorted and joined as everywhere; all documents of a text are changed."""
    documents = [Document("1", "a", "x", 1), Document("2", "a", "y", 2), Document("3", "b", "x", 3)]
    decision = Decision(1, "m", "1", "", "a", "x", "z | x", "ana", "now")
    applied = apply_decisions(documents, [decision], multi_label=True)
    assert [one.label for one in applied.documents] == ["x|z", "x|z", "x"]
    assert (applied.n_relabelled, applied.n_added) == (2, 0)


def run(shelf: Settings, *arguments: str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(app, [*arguments, "--models-dir", str(shelf.models_dir)])


def test_the_command_line_tells_the_same_story(shelf: Settings, model: Predictor, tmp_path: Path) -> None:
    """A list is written, corrected like a spreadsheet, kept, and learned from."""
    corrections.send_to_review(shelf, NAME, [Document("f", "=1+1 is on my invoice")], source="here")
    file = tmp_path / "queue.csv"
    asked = run(shelf, "review", NAME, "--strategy", "sent", "-o", str(file), "--json")
    told = json.loads(asked.stdout)
    assert (told["n_waiting"], told["items"][0]["suggestion"]) == (1, queue(shelf, model, "sent")[0].suggestion)
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0]["text"] == "'=1+1 is on my invoice"
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerow(rows[0] | {"label": "billing"})
    kept = run(shelf, "correct", NAME, str(file), "--who", "ben", "--json")
    assert json.loads(kept.stdout)["n_kept"] == 1
    [decision] = corrections.last_corrections(shelf, NAME)
    assert (decision.text, decision.new_label, decision.who) == ("=1+1 is on my invoice", "billing", "ben")
    trained = run(shelf, "retrain", NAME, "--json")
    assert json.loads(trained.stdout)["model"] == "tickets@2"
    assert "promote tickets@3" in run(shelf, "retrain", NAME).stdout
    command = [sys.executable, "-m", "classifier", "review", "nobody", "--models-dir", str(shelf.models_dir)]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.stderr.startswith("error: There is no model 'nobody'")
