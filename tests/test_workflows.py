"""Workflows: what a report holds, what is counted, and what is said."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
from fakes import FakeEmbedder

from classifier import DocumentClassifier, load, workflows
from classifier.datamodels import Settings
from classifier.embedding.embedders import EMBEDDERS, Family
from classifier.errors import (
    BundleRefusedError,
    ColumnError,
    FileMissingError,
    OutputError,
    RegistryError,
    TrainingDataError,
    TrainingDataWarning,
    UnknownModelError,
    UnknownNameError,
)
from classifier.reports import BatchRequest, Columns, TrainingReport
from classifier.storage.registry import Registry
from classifier.terminal import training_lines
from classifier.workflows.models import losses

EMBEDDER = "fake:a"
ROWS = [
    ("k1", "oil the chain", "bike"),
    ("k2", "a flat tyre", "bike"),
    ("k3", "true the wheel", "bike"),
    ("k4", "new brake pads", "bike"),
    ("k5", "patch the sail", "boat"),
    ("k6", "scrape the hull", "boat"),
    ("k7", "coil the ropes", "boat"),
    ("k8", "bail it out", "boat"),
]
ODD_ROWS = [("k9", "oil the chain", "boat"), ("k10", "a bell", "horn")]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with one more family of embedders: the fake ones."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setitem(EMBEDDERS, "fake", Family(lambda name, options: FakeEmbedder(name=name.source)))  # noqa: ARG005


@pytest.fixture
def shelf(tmp_path: Path) -> Settings:
    """Keep models in the test's own folder."""
    return Settings(tmp_path / "models")


def write(name: str, rows: list[tuple[str, str, str]] = ROWS, header: str = "id,text,label", extra: str = "") -> Path:
    """Write rows as CSV."""
    path = Path(name)
    path.write_text("\n".join([header, *map(",".join, rows)]) + f"\n{extra}", encoding="utf-8")
    return path


def train(file: Path, settings: Settings, **options: object) -> TrainingReport:
    """Train on the fake embedder."""
    return workflows.train(file, settings, embedder=EMBEDDER, **options)  # type: ignore[arg-type]


def test_a_report_of_training_holds_what_came_of_it(shelf: Settings) -> None:
    """Counts, metrics, times and the place of the model; nothing is noted where nothing was chosen."""
    report = train(write("garage.csv"), shelf)
    assert (report.model.reference, report.model.promoted) == ("garage@1", True)
    assert report.model.folder == shelf.models_dir / "garage" / "1"
    assert (report.n_documents, report.n_labels, report.n_unlabelled, report.n_rejected) == (8, 2, 0, 0)
    assert (report.notes, report.warnings, report.rejected_file) == ((), (), None)
    assert report.measured_on == "4-fold cross-validation of the training documents"
    assert report.evaluation is not None
    assert report.evaluation.n_documents == 8
    assert set(report.evaluation.per_class) == {"bike", "boat"}
    assert list(report.seconds) == [
        *("reading", "loading the encoder", "embedding", "training the head", "measuring", "saving")
    ]
    assert all(value >= 0 for value in report.seconds.values())
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.n_labels = 3  # type: ignore[misc]


def test_the_model_remembers_its_data(shelf: Settings) -> None:
    """Name and checksum of the file, counts, and the documents with their ids."""
    file = write("garage.csv", extra="k11,nobody knows,\n")
    report = train(file, shelf)
    _, facts = workflows.show_model("garage", shelf)
    assert facts["data"] == {
        "n_documents": 8,
        "file": "garage.csv",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "n_unlabelled": 1,
    }
    assert report.n_unlabelled == 1
    assert report.evaluation is not None
    assert facts["metrics"] == json.loads(json.dumps(report.evaluation.to_dict()))
    documents = load("garage", models_dir=shelf.models_dir).documents_
    assert [(item.id, item.text, item.label) for item in documents] == ROWS


NAMES = {
    "garage.csv": "garage",
    "My garage (1).csv": "My-garage-1",
    "été.csv": "t",
    "日本.csv": "model",
    "..odd..csv": "odd",
    "v1.2_final-x.csv": "v1.2_final-x",
    "x" * 100 + ".csv": "x" * 64,
}


@pytest.mark.parametrize("file", NAMES)
def test_a_model_is_named_after_its_file(shelf: Settings, file: str) -> None:
    """What a name may not hold is left out, and something always remains."""
    assert train(write(file), shelf).model.name == NAMES[file]


def test_a_given_name_counts_and_a_bad_one_is_refused_first(shelf: Settings) -> None:
    """A name that cannot be a folder's is refused before anything is read or trained."""
    assert train(write("garage.csv"), shelf, name="shed").model.reference == "shed@1"
    with pytest.raises(RegistryError, match=r"'\.\./up' cannot be a model's name"):
        train(Path("not there.csv"), shelf, name="../up")


def test_versions_count_up_and_the_name_means_the_promoted_one(shelf: Settings) -> None:
    """Each training is the next version; without promotion the name keeps its meaning."""
    file = write("garage.csv")
    first, second, unpromoted = train(file, shelf), train(file, shelf), train(file, shelf, promote=False)
    assert [one.model.version for one in (first, second, unpromoted)] == ["1", "2", "3"]
    assert [one.replaced for one in (first, second, unpromoted)] == [None, "1", None]
    assert "garage now means garage@2; to go back: classifier models promote garage@1" in training_lines(second)
    assert not unpromoted.model.promoted
    assert workflows.show_model("garage", shelf)[0].version == "2"
    assert workflows.promote_model("garage@1", shelf).reference == "garage@1"
    listed = [(model.reference, model.promoted) for model in workflows.list_models(shelf)]
    assert listed == [("garage@1", True), ("garage@2", False), ("garage@3", False)]
    with pytest.raises(RegistryError, match="promote another one before deleting it"):
        workflows.delete_model("garage@1", shelf)
    workflows.delete_model("garage@2", shelf)
    assert [model.version for model in workflows.list_models(shelf)] == ["1", "3"]


def test_notes_say_which_columns_were_found(shelf: Settings) -> None:
    """Columns with other names are found and told of; those that were named are not."""
    file = write("garage.csv", header="Case,Body,Kind")
    named = Columns(text="Body", label="Kind")
    [note] = train(file, shelf).notes
    assert note.startswith("Taking the text from column 'Body' and the label from column 'Kind'")
    assert train(file, shelf, columns=named).notes == ()
    with pytest.raises(ColumnError, match=r"there is no column 'Knid'.*Did you mean 'Kind'"):
        train(file, shelf, columns=Columns(label="Knid"))


def test_notes_tell_of_a_guessed_encoding(shelf: Settings) -> None:
    """A file that is not UTF-8 is read, and the guess is told; an encoding that was named is no guess."""
    texts = [(name, f"{text} : déjà réglé à l'atelier", label) for name, text, label in ROWS]
    write("garage.csv", texts)
    Path("garage.csv").write_bytes(Path("garage.csv").read_text(encoding="utf-8").encode("cp1252"))
    [note] = train(Path("garage.csv"), shelf).notes
    assert note.startswith("read as Windows-1252")
    report = train(Path("garage.csv"), shelf, columns=Columns(encoding="cp1252"))
    assert report.notes == ()
    assert load("garage", models_dir=shelf.models_dir).documents_[0].text == texts[0][1]


def test_warnings_name_what_deserves_a_look(shelf: Settings) -> None:
    """A label with one document, equal texts with different labels, and empty texts, each by name."""
    rows = [*ROWS, *ODD_ROWS, ("k12", "", "bike")]
    with pytest.warns(TrainingDataWarning):
        report = train(write("garage.csv", rows), shelf)
    assert report.warnings[0] == "1 document with nothing to read left out: id 'k12'."
    assert report.warnings[1].startswith("1 label with a single document, which cannot be measured: 'horn'")
    assert report.warnings[-1] == "1 text with conflicting labels: 'oil the chain' is 'bike' and 'boat'."
    assert workflows.show_model("garage", shelf)[1]["warnings"] == list(report.warnings)
    assert (report.n_documents, report.n_labels) == (10, 3)


def test_rejected_rows_are_counted_and_listed(shelf: Settings) -> None:
    """Rows that cannot be read cost only themselves; a later run without any empties the list."""
    file = write("garage.csv", extra="too,many,cells,here\n")
    report = train(file, shelf)
    assert (report.n_documents, report.n_rejected, report.rejected_file) == (8, 1, "garage.csv.rejected.csv")
    listed = Path("garage.csv.rejected.csv").read_text()
    assert listed == '"row","id","reason"\n"9","","has 4 fields where the header has 3"\n'
    report = train(write("garage.csv"), shelf)
    assert (report.n_rejected, report.rejected_file) == (0, None)
    assert Path("garage.csv.rejected.csv").read_text() == '"row","id","reason"\n'


def test_a_test_file_replaces_cross_validation(shelf: Settings) -> None:
    """Metrics come from it, here from the training texts themselves, and say so in the report and in the model."""
    file = write("garage.csv")
    report = train(file, shelf, test_file=write("held out.csv", ROWS[:5]))
    assert report.measured_on == "the test file held out.csv"
    assert report.evaluation is not None
    assert report.evaluation.n_documents == 5
    _, facts = workflows.show_model("garage", shelf)
    assert (facts["measured_on"], facts["metrics"]["n_documents"]) == (report.measured_on, 5)
    again = workflows.evaluate("garage", "held out.csv", shelf)
    assert again.evaluation == report.evaluation
    with pytest.raises(FileMissingError, match=r"gone\.csv"):
        train(file, shelf, test_file="gone.csv")


def test_nothing_to_measure_is_no_evaluation(shelf: Settings) -> None:
    """Where every label has one document, a model is made but no number is made up."""
    with pytest.warns(TrainingDataWarning, match="2 labels with a single document"):
        report = train(write("garage.csv", [ROWS[0], ROWS[-1]]), shelf)
    assert report.evaluation is None
    assert workflows.show_model("garage", shelf)[1]["metrics"] is None


def test_an_evaluation_counts_what_it_leaves_out(shelf: Settings) -> None:
    """Unlabelled, empty and rejected rows are counted apart, and an unknown label is counted as wrong."""
    train(write("garage.csv"), shelf)
    report = workflows.evaluate(
        "garage",
        write("new.csv", [*ROWS, ("x", "rest", ""), ("y", " ", "bike"), ("z", "a cart", "cart")], extra="w\n"),
        shelf,
    )
    assert (report.n_unlabelled, report.n_empty, report.n_rejected) == (1, 1, 1)
    assert report.rejected_file == "new.csv.rejected.csv"
    assert report.evaluation.n_documents == 9
    assert list(report.evaluation.unknown_labels) == ["cart"]
    with pytest.raises(TrainingDataError, match=r"No row of none\.csv has a label"):
        workflows.evaluate("garage", write("none.csv", [("a", "b c", ""), ("b", "d e", "")]), shelf)
    with pytest.raises(TrainingDataError, match=r"No labelled row of blank\.csv has a text"):
        workflows.evaluate(
            "garage", write("blank.csv", [("a", " ", "bike"), ("b", " ", "boat")]), shelf, columns=Columns(text="text")
        )


def test_predictions_of_a_file(shelf: Settings, tmp_path: Path) -> None:
    """The report says where from, where to, by which model and how many; it agrees with single predictions."""
    train(write("garage.csv"), shelf)
    source, target = write("in.csv", [("1", "a flat tyre", "x"), ("2", "", "y")], extra="bad\n"), tmp_path / "out.jsonl"
    report = workflows.predict_file("garage@1", source, target, shelf, BatchRequest(output_format="jsonl", top_k=1))
    assert (report.source, report.output, report.model) == ("in.csv", str(target), "garage@1")
    counts = report.counts
    assert (counts.n_rows, counts.n_predicted, counts.n_rejected) == (3, 2, 1)
    assert counts.statuses == {"ok": 1, "empty": 1}
    assert report.rejected_file == f"{target}.rejected.csv"
    assert report.seconds > 0
    first, second = (json.loads(line) for line in target.read_text(encoding="utf-8").splitlines())
    answer = workflows.predict_text("garage", "a flat tyre", shelf)
    assert (first["predicted_label"], first["confidence"]) == (answer.label, round(answer.confidence, 6))
    assert (second["predicted_label"], second["status"]) == ("", "empty")
    with pytest.raises(UnknownNameError, match="no output format 'xml'"):
        workflows.predict_file("garage", source, target, shelf, BatchRequest(output_format="xml"))
    with pytest.raises(OutputError, match="it is the file that is being read"):
        workflows.predict_file("garage", source, source, shelf, BatchRequest())


def test_similar_documents(shelf: Settings) -> None:
    """A training text is nearest to itself; an unknown label is refused with the nearest name."""
    train(write("garage.csv"), shelf)
    first, *others = workflows.similar("garage", "bail it out", shelf, k=3)
    assert (first.id, first.label) == ("k8", "boat")
    assert first.similarity == pytest.approx(1)
    assert len(others) == 2
    assert workflows.similar("garage", "bail it out", shelf, k=1, exclude_self=True)[0].id != "k8"
    with pytest.raises(UnknownNameError, match="Did you mean 'boat'"):
        workflows.similar("garage", "bail it out", shelf, label="boats")


def test_an_unknown_model_gets_the_nearest_name(shelf: Settings) -> None:
    """Every verb refuses it in the same words; an empty shelf says how to fill it."""
    with pytest.raises(UnknownModelError, match="it is empty: train one with 'classifier train FILE --name NAME'"):
        workflows.predict_text("garage", "a text", shelf)
    file = write("garage.csv")
    train(file, shelf)
    for verb in (
        lambda: workflows.predict_text("garaeg", "a text", shelf),
        lambda: workflows.predict_file("garaeg", file, Path("out.csv"), shelf, BatchRequest()),
        lambda: workflows.evaluate("garaeg", file, shelf),
        lambda: workflows.similar("garaeg", "a text", shelf),
        lambda: workflows.show_model("garaeg", shelf),
        lambda: load("garaeg", models_dir=shelf.models_dir),
    ):
        with pytest.raises(UnknownModelError, match=r"no model 'garaeg'.*it has 'garage'.*Did you mean 'garage'\?"):
            verb()
    with pytest.raises(UnknownModelError, match=r"no model 'garage@2'.*it has 'garage@1'"):
        workflows.predict_text("garage@2", "a text", shelf)
    assert not Path("out.csv").exists()


def test_a_model_can_be_named_by_its_folder(shelf: Settings, tmp_path: Path) -> None:
    """A path with a separator is a folder, wherever models live; one without a model is refused."""
    folder = train(write("garage.csv"), shelf).model.folder
    elsewhere = Settings(tmp_path / "nowhere")
    assert workflows.predict_text(folder, "a flat tyre", elsewhere) == workflows.predict_text(
        "garage", "a flat tyre", shelf
    )
    assert load(str(folder)).classes_.tolist() == ["bike", "boat"]
    with pytest.raises(BundleRefusedError):
        workflows.predict_text(tmp_path / "work", "a flat tyre", elsewhere)


@pytest.mark.parametrize("reference", ["garage", "garage@", "@1", ""])
def test_promoting_and_deleting_need_a_version(shelf: Settings, reference: str) -> None:
    """Neither is done to a bare name, so that nothing is lost by leaving something out."""
    train(write("garage.csv"), shelf)
    for verb in (workflows.promote_model, workflows.delete_model):
        with pytest.raises(RegistryError, match="does not name one version; write NAME@VERSION"):
            verb(reference, shelf)
    assert len(workflows.list_models(shelf)) == 1


def test_a_deletion_says_what_stays(shelf: Settings, tiny_model: DocumentClassifier) -> None:
    """Other versions of the name, or nothing of it; other names have nothing to do with it."""
    for name, n_versions in (("garage", 3), ("attic", 1), ("cellar", 2)):
        for _ in range(n_versions):
            Registry(shelf.models_dir).add(name, tiny_model.save)
    told = {model.reference: losses(model, shelf).partition("; ")[2] for model in workflows.list_models(shelf)}
    assert told["garage@2"] == "2 other versions of garage stay."
    assert told["attic@1"] == "it is the only version, so that the name attic goes, too."
    assert told["cellar@2"] == "1 other version of cellar stays."


def test_equal_seeds_make_equal_models(shelf: Settings) -> None:
    """Two trainings on one file answer alike to the last bit."""
    first, second = (train(write("garage.csv"), shelf, seed=3) for _ in range(2))
    assert first.evaluation == second.evaluation
    answers = [workflows.predict_text(f"garage@{version}", "a bell", shelf) for version in "12"]
    assert answers[0] == answers[1]


def test_training_tells_what_a_test_file_repeats(shelf: Settings) -> None:
    """Where the test file is the training file, training says so, as evaluate does, and stores it."""
    file = write("pets.csv")
    report = workflows.train(file, shelf, test_file=write("test.csv"), embedder="fake:x")
    [told] = [note for note in report.notes if "are, or nearly are, training documents" in note]
    assert told.startswith(f"Test file: {report.n_documents} of {report.n_documents} documents are")
    assert report.model.facts()["n_leaked"] == report.n_documents
