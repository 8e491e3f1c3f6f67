"""Descriptions of labels, and labels alone, from file to model, report and answers; as workflows and as commands."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import pytest
from click.testing import Result
from places import DATA
from test_label_texts import WordEmbedder
from typer.testing import CliRunner

from classifier import load, workflows
from classifier.cli import app
from classifier.datamodels import Settings
from classifier.embedding.contract import Embedder
from classifier.embedding.embedders import EMBEDDERS, Family
from classifier.errors import (
    ClassifierError,
    FileProblemError,
    LabelTextsError,
    RegistryError,
    TrainingDataError,
    UncalibratedWarning,
    UnknownLabelError,
)
from classifier.reports import Columns

TRAINING = "text,label\n" + "".join(
    f"{text},{label}\n"
    for label, texts in {
        "cat": ("the cat sleeps", "a cat purrs", "cat food again", "my cat hides"),
        "dog": ("the dog barks", "a dog runs", "dog food again", "my dog digs"),
    }.items()
    for text in texts
)
DESCRIBED = "label,description\ncat,cat or kitten\ndog,dog or puppy\n"
HONEST = "It was trained on the {} of its labels alone, without a document; its confidence is not calibrated"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with documents and descriptions of their labels, and an embedder of words as a family."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(EMBEDDERS, "words", Family(lambda *_arguments: WordEmbedder()))
    Path("train.csv").write_text(TRAINING, encoding="utf-8")
    Path("labels.csv").write_text(DESCRIBED, encoding="utf-8")
    Path("labels.txt").write_text("cat\ndog\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def shelf(folder: Path) -> Settings:
    """Keep models in the test's own folder."""
    return Settings(folder / "models")


def run(*arguments: str, code: int = 0) -> Result:
    """Run a command that must end with a code."""
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=code == 1)
    assert result.exit_code == code, result.output
    return result


def refusal(*arguments: str) -> str:
    """Return the one sentence with which a command is refused."""
    result = run(*arguments, code=1)
    assert isinstance(result.exception, ClassifierError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


def test_descriptions_reach_the_model(shelf: Settings) -> None:
    """The model knows words of descriptions, remembers which labels are described, and the report says it."""
    report = workflows.train("train.csv", shelf, embedder="words:x", label_descriptions="labels.csv")
    model = load("train", models_dir=shelf.models_dir)
    assert model.facts_["label_names"]["described"] == ["cat", "dog"]
    assert model.predict(["puppy", "kitten"]).tolist() == ["dog", "cat"]
    assert len(model.documents_) == report.n_documents == 8
    assert report.label_names.startswith(
        "The names and descriptions of the labels alone give 100 % of the training documents the right label (50 % by"
    )


def test_descriptions_follow_labels_that_are_written_alike(shelf: Settings) -> None:
    """With labels normalised, a description finds its label in any spelling; without, the nearest is suggested."""
    Path("labels.csv").write_text("label,description\nCAT ,cat or kitten\nDog,\n", encoding="utf-8")
    with pytest.raises(
        UnknownLabelError, match=r"^labels\.csv: it names 'CAT', but the labels are 'cat', 'dog'; .*'cat'\?$"
    ):
        workflows.train("train.csv", shelf, embedder="words:x", label_descriptions="labels.csv")
    workflows.train("train.csv", shelf, embedder="words:x", label_descriptions="labels.csv", normalise_labels=True)
    assert load("train", models_dir=shelf.models_dir).facts_["label_names"]["described"] == ["cat"]
    Path("labels.csv").write_text("label,description\nCAT,meows\ncat,purrs\n", encoding="utf-8")
    with pytest.raises(
        FileProblemError, match="the label 'cat' is there twice, once labels are written alike; keep one"
    ):
        workflows.train("train.csv", shelf, embedder="words:x", label_descriptions="labels.csv", normalise_labels=True)


def test_the_column_of_labels_may_have_one_name_in_both_files(shelf: Settings) -> None:
    """A name that was given for the documents is looked for first in the file of descriptions."""
    Path("train.csv").write_text(TRAINING.replace("text,label", "text,queue"), encoding="utf-8")
    Path("labels.csv").write_text(DESCRIBED.replace("label,", "queue,"), encoding="utf-8")
    columns = Columns(label="queue")
    workflows.train("train.csv", shelf, embedder="words:x", label_descriptions="labels.csv", columns=columns)
    Path("labels.csv").write_text(DESCRIBED, encoding="utf-8")
    workflows.train("train.csv", shelf, embedder="words:x", label_descriptions="labels.csv", columns=columns)
    assert len(workflows.list_models(shelf)) == 2


def test_vectors_of_a_file_take_no_descriptions() -> None:
    """Names cannot be embedded there: none are used, and descriptions are refused in one sentence."""
    run("embed", "train.csv", "-o", "v.parquet", "--embedder", "words:x")
    shown = run("train", "train.csv", "--embeddings", "v.parquet").stdout
    assert "The names of labels were not used, as the vectors were made elsewhere." in shown
    told = refusal("train", "train.csv", "--embeddings", "v.parquet", "--label-descriptions", "labels.csv")
    assert told.startswith("Descriptions of labels cannot be read where vectors were made elsewhere")


@pytest.mark.parametrize(("file", "texts"), [("labels.csv", "names and descriptions"), ("labels.txt", "names")])
def test_labels_alone_make_a_model_that_says_so(folder: Path, shelf: Settings, file: str, texts: str) -> None:
    """Terminal, facts, card and page say that there was no document and that the confidence is not calibrated."""
    shown = run("train", file, "--labels-only", "--embedder", "words:x").stdout
    assert shown.startswith("Trained labels@1 on the names of 2 labels, without a document.\n")
    assert f"{HONEST.format(texts)} and was never measured.\nNot measured: there is no document.\n" in shown
    assert HONEST.format(texts) in run("models", "show", "labels").stdout
    run("report", "labels", "-o", "page.html")
    for written in (Path("page.html"), folder / "models" / "labels" / "1" / "model_card.md"):
        content = written.read_text(encoding="utf-8")
        assert HONEST.format(texts) in content
        assert "Not measured: it was trained without a document." in content
        assert "calibrated probability" not in content
        assert "no label has two documents" not in content
    _, facts = workflows.show_model("labels", shelf)
    assert facts["data"] == {
        "n_documents": 0,
        "file": file,
        "sha256": hashlib.sha256(Path(file).read_bytes()).hexdigest(),
    }


def test_every_verb_takes_a_model_of_labels_alone() -> None:
    """One text, a file, similar texts, an explanation and an evaluation; a promise is refused in one sentence."""
    run("train", "labels.csv", "--labels-only", "--embedder", "words:x", "--name", "m")
    with pytest.warns(UncalibratedWarning, match="its confidence is not calibrated and was never measured"):
        assert json.loads(run("predict", "m", "--text", "my puppy", "--json").stdout)["label"] == "dog"
    with pytest.warns(UncalibratedWarning, match="without a document"):
        run("predict", "m", "train.csv", "-o", "out.csv")
    with Path("out.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["predicted_label"] for row in rows] == [row["label"] for row in rows]
    [nearest] = json.loads(run("similar", "m", "--text", "a kitten", "-k", "1", "--json").stdout)["results"]
    assert (nearest["id"], nearest["text"], nearest["label"]) == ("cat", "cat or kitten", "cat")
    assert "Words for dog" in run("explain", "m", "--text", "my puppy digs").stdout
    assert json.loads(run("evaluate", "m", "train.csv", "--json").stdout)["accuracy"] == 1
    with pytest.warns(UncalibratedWarning):
        told = refusal("predict", "m", "train.csv", "-o", "out.csv", "--target-accuracy", "0.9")
    assert told.startswith("This model was never measured")


def test_a_test_file_measures_labels_alone(shelf: Settings) -> None:
    """Its metrics are the model's, beside the most frequent label of the test file; calibration is not claimed."""
    Path("test.csv").write_text(
        "text,label\na dog,dog\nmy dog,dog\na puppy,dog\na cat,cat\nan eel,eel\n", encoding="utf-8"
    )
    report = workflows.train_on_labels("labels.csv", shelf, embedder="words:x", test_file="test.csv")
    assert report.measured_on == "the test file test.csv"
    assert report.evaluation is not None
    assert (report.evaluation.n_documents, report.evaluation.accuracy) == (5, 0.8)
    assert report.evaluation.majority_accuracy == 0.6
    assert report.evaluation.unknown_labels == ["eel"]
    assert report.label_names == f"{HONEST.format('names and descriptions')}."
    assert (report.n_documents, report.n_labels) == (0, 2)
    assert workflows.show_model("labels", shelf)[1]["metrics"]["accuracy"] == 0.8


def test_labels_alone_are_refused_in_one_sentence(shelf: Settings) -> None:
    """A bad name first, then a bad file, too few labels, and an embedder that needs documents."""
    with pytest.raises(RegistryError, match="cannot be a model's name"):
        workflows.train_on_labels("gone.csv", shelf, name="../up")
    with pytest.raises(FileProblemError, match=r"train\.csv: the label 'cat' is in row 1 and again in row 2"):
        workflows.train_on_labels("train.csv", shelf, embedder="words:x")
    Path("one.txt").write_text("cat\n", encoding="utf-8")
    with pytest.raises(TrainingDataError, match="There is only the label 'cat' to choose from"):
        workflows.train_on_labels("one.txt", shelf, embedder="words:x")
    with pytest.raises(LabelTextsError, match="The embedder 'lsa' learns from documents"):
        workflows.train_on_labels("labels.csv", shelf, embedder="lsa")
    with pytest.raises(FileProblemError, match="there is no column 'queue'"):
        workflows.train_on_labels("labels.csv", shelf, embedder="words:x", columns=Columns(label="queue"))
    assert workflows.list_models(shelf) == []


@pytest.mark.parametrize(
    "options",
    [
        ["--label-descriptions", "labels.csv"],
        ["--normalise-labels"],
        ["--embeddings", "v.parquet"],
        ["--text-column", "text"],
        ["--id-column", "id"],
    ],
)
def test_options_of_documents_have_no_place_beside_labels_only(options: list[str]) -> None:
    """What would be ignored is wrong usage; columns of a test file are not."""
    shown = run("train", "labels.csv", "--labels-only", *options, code=2)
    assert f"{options[0]} has no effect with --labels-only" in " ".join(shown.stderr.split())
    assert not Path("models").exists()


def test_columns_of_the_test_file_may_be_named_beside_labels_only() -> None:
    """The text and label columns are then those of the test file, which the list of labels need not have."""
    Path("test.csv").write_text("body,kind\na dog,dog\na cat,cat\n", encoding="utf-8")
    asked = ["train", "labels.csv", "--labels-only", "--embedder", "words:x", "--json", "--test-file", "test.csv"]
    shown = run(*asked, "--text-column", "body", "--label-column", "kind").stdout
    assert json.loads(shown)["evaluation"]["accuracy"] == 1


def test_names_of_labels_are_told_in_the_page_and_the_card(folder: Path) -> None:
    """With documents, page and card say how far names were trusted, in the same sentence as the terminal."""
    shown = run("train", "train.csv", "--embedder", "words:x", "--json").stdout
    told = json.loads(shown)["label_names"]
    assert told.startswith("The names of the labels alone give 100 %")
    run("report", "train", "-o", "page.html")
    assert told in Path("page.html").read_text(encoding="utf-8")
    assert told in (folder / "models" / "train" / "1" / "model_card.md").read_text(encoding="utf-8")


def test_the_sample_descriptions_fit_the_sample_data(shelf: Settings, encoder: Embedder) -> None:
    """Every label of the sample data is described, and descriptions alone are right far more often than chance."""
    assert encoder.contract.dimension == 384
    with (DATA / "support_tickets.csv").open(encoding="utf-8", newline="") as stream:
        labels = {row["label"] for row in csv.DictReader(stream)}
    report = workflows.train_on_labels(DATA / "ticket_labels.csv", shelf, test_file=DATA / "support_tickets_test.csv")
    model = load("ticket_labels", models_dir=shelf.models_dir)
    assert set(model.facts_["label_names"]["described"]) == set(model.classes_) == labels
    assert report.evaluation is not None
    assert report.evaluation.accuracy_interval[0] > 2 * report.evaluation.majority_accuracy


def test_the_readme_of_the_data_lists_the_descriptions() -> None:
    """Rows and columns of the sample descriptions are those that the README names."""
    with (DATA / "ticket_labels.csv").open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream, strict=True)
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    assert f"| `ticket_labels.csv` | {len(rows)} | `{','.join(header)}` |" in readme
