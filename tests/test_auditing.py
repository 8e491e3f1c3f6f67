"""The audit of a labelled file, from the command line and as a workflow."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from classifier import workflows
from classifier.cli.main import app
from classifier.datamodels import Settings
from classifier.errors import FileProblemError, OutputError, TrainingDataError, TrainingDataWarning
from classifier.workflows.auditing import ISSUE_COLUMNS

TEXTS = {
    "garden": ["cut the hedge in spring", "water the roses daily", "the compost heap smells", "rake the wet leaves"],
    "kitchen": ["boil the eggs softly", "sharpen the blunt knife", "the oven glove burned", "sieve the white flour"],
}


def labelled(path: Path, extra: list[tuple[str, str]] | None = None) -> Path:
    """Write a labelled file: each text three times with a number, and some more rows."""
    rows = [(f"{text}, part {n}", label) for label, texts in TEXTS.items() for text in texts for n in range(3)]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([("id", "text", "label"), *((f"d{n}", *row) for n, row in enumerate([*rows, *(extra or [])]))])
    return path


def run(*arguments: str) -> tuple[int, str, str]:
    """Run a command; return exit code, output and complaints."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_conflicting_rows_are_listed_worst_first(tmp_path: Path) -> None:
    """Equal texts under two labels are in the list, with their ids, rows and what to do."""
    source = labelled(
        tmp_path / "train.csv", [("Prune the  apple tree", "garden"), ("prune the apple tree", "kitchen")]
    )
    output = tmp_path / "look.csv"
    code, printed, _ = run("audit", str(source), "--embedder", "lsa", "-o", str(output))
    assert code == 0
    assert "1 text with more than one label" in printed
    with output.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == ISSUE_COLUMNS
    conflicting = {row["id"]: row for row in rows if row["kind"] == "conflicting"}
    assert set(conflicting) == {"d24", "d25"}
    assert conflicting["d24"]["row"] == "25"
    assert conflicting["d24"]["text"] == "Prune the  apple tree"
    assert [float(row["quality"]) for row in rows] == sorted(float(row["quality"]) for row in rows)
    assert "\n  row 25  garden: " in printed
    listed = json.loads(run("audit", str(source), "--embedder", "lsa", "--json")[1])["issues"]
    assert [(str(one["row"]), one["id"], one["kind"]) for one in listed] == [
        (row["row"], row["id"], row["kind"]) for row in rows
    ]


@pytest.mark.parametrize("more", [[], ["--multi-label"]])
@pytest.mark.parametrize("header", ["id,text,label", "code,text,label"])
def test_rows_are_those_of_the_file(tmp_path: Path, header: str, more: list[str]) -> None:
    """Repeated ids, rows without a label and rows with nothing to read do not shift the numbers."""
    texts = [(f"{text}, part {n}", label) for label, some in TEXTS.items() for text in some for n in range(3)]
    rows = [("left out", ""), *texts[:12], ("", "garden"), ("prune the tree", "garden"), ("left out too", "")]
    rows += [*texts[12:], ("", "kitchen"), ("Prune the tree", "kitchen")]
    source, output = tmp_path / "train.csv", tmp_path / "look.csv"
    lines = [f'same,"{text}",{label}' for text, label in rows]
    source.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    arguments = ["--embedder", "lsa", "--text-column", "text", "--label-column", "label", "-o", str(output), *more]
    code, _, complaints = run("audit", str(source), *arguments)
    assert code == 0, complaints
    with output.open(encoding="utf-8", newline="") as stream:
        found = list(csv.DictReader(stream))
    assert found
    for row in found:
        assert rows[int(row["row"]) - 1] == (row["text"], row["label"])
    conflicting = {row["row"]: row["reason"] for row in found if row["kind"] == "conflicting"}
    first, second = rows.index(("prune the tree", "garden")) + 1, len(rows)
    assert set(conflicting) == {str(first), str(second)}
    named = ("same", "same") if header.startswith("id") else (str(second), str(first))
    assert f"'kitchen' (id {named[0]})" in conflicting[str(first)]
    assert f"'garden' (id {named[1]})" in conflicting[str(second)]


def test_leakage_is_found(tmp_path: Path) -> None:
    """Test documents that are training documents are counted and named."""
    source = labelled(tmp_path / "train.csv")
    test = tmp_path / "test.csv"
    test.write_text('id,text,label\nt1,"Cut the hedge in spring, part 1",garden\nt2,a spoon,kitchen\n', "utf-8")
    code, printed, _ = run("audit", str(source), "--embedder", "lsa", "--test-file", str(test), "--json")
    values = json.loads(printed)
    assert code == 0
    assert (values["leaked_ids"], values["n_test"]) == (["t1"], 2)
    assert values["n_documents"] == 24


def test_evaluating_counts_leaked_rows_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accuracy is given raw and without the documents that training gives away."""
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(tmp_path / "models"))
    source = labelled(tmp_path / "train.csv")
    test = tmp_path / "test.csv"
    rows = ['"cut the hedge in spring, part 1",garden', "water the hedge,garden", "boil the flour,kitchen"]
    test.write_text("text,label\n" + "\n".join(rows) + "\n", "utf-8")
    assert run("train", str(source), "--embedder", "lsa", "--name", "m")[0] == 0
    code, printed, complaints = run("evaluate", "m", str(test), "--json")
    values = json.loads(printed)
    assert code == 0
    assert (values["n_leaked"], values["n_documents"], values["without_leaked"]["n_documents"]) == (1, 3, 2)
    assert "1 of 3 documents are, or nearly are, training documents" in complaints
    assert "without 1 that training gives away" in run("evaluate", "m", str(test))[1]


def test_a_file_of_other_labels_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no label is known there is no figure but one sentence; one known label is enough."""
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(tmp_path / "models"))
    assert run("train", str(labelled(tmp_path / "train.csv")), "--embedder", "lsa", "--name", "m")[0] == 0
    test = tmp_path / "test.csv"
    test.write_text("text,label\nwater the hedge,tree\nboil the flour,oven\n", "utf-8")
    with pytest.raises(TrainingDataError, match=r"No label of test.csv is one that the model knows: 'oven', 'tree'"):
        workflows.evaluate("m", test, Settings.from_environment())
    test.write_text("text,label\nwater the hedge,garden\nboil the flour,oven\n", "utf-8")
    assert run("evaluate", "m", str(test))[0] == 0


def test_a_list_of_labels_is_told_from_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who forgets --labels-only, or gives it for documents, reads what to do."""
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(tmp_path / "models"))
    labels = tmp_path / "labels.csv"
    labels.write_text("label,description\ngarden,plants and soil\nkitchen,food and pans\n", "utf-8")
    with pytest.warns(TrainingDataWarning, match="train with --labels-only if this is a list of labels"):
        workflows.train(labels, Settings.from_environment(), embedder="lsa")
    with pytest.raises(FileProblemError, match="leave --labels-only out for documents"):
        workflows.train_on_labels(labelled(tmp_path / "train.csv"), Settings.from_environment())


def test_the_list_is_not_written_over_what_is_read(tmp_path: Path) -> None:
    """The labelled file stays as it was."""
    source = labelled(tmp_path / "train.csv")
    before = source.read_bytes()
    with pytest.raises(OutputError):
        workflows.audit(source, Settings.from_environment(), embedder="lsa", output=source)
    assert source.read_bytes() == before


def test_labels_are_written_alike_on_request(tmp_path: Path) -> None:
    """Labels that differ only by case or spaces are warned about, and mended when asked."""
    source = labelled(tmp_path / "train.csv", [("mow the lawn", "Garden"), ("weed the lawn", "Garden")])
    settings = Settings.from_environment(tmp_path / "models")
    with pytest.warns(TrainingDataWarning, match="--normalise-labels"):
        assert workflows.train(source, settings, embedder="lsa").n_labels == 3
    assert workflows.train(source, settings, embedder="lsa", normalise_labels=True).n_labels == 2
