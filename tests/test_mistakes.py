"""Mistakes that cost people data or trust elsewhere, tried through the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import seal
from fakes import FakeEmbedder
from typer.testing import CliRunner

from classifier import DocumentClassifier
from classifier.analysis.label_words import ALONE, BESIDE, NOT_NEEDED, NOT_READ
from classifier.cli import app
from classifier.embedding.embedders import EMBEDDERS, Family
from classifier.errors import BundleRefusedError
from classifier.storage.registry import Registry
from classifier.ui.markup import model_card

ROWS = "".join(f"{row},text number {row},{'odd' if row % 2 else 'even'}\n" for row in range(1, 13))


FAKE = Family(lambda *_arguments: FakeEmbedder())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a labelled file and a model ``m``; tests must not change it."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "train.csv").write_text("id,text,label\n" + ROWS, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setitem(EMBEDDERS, "fake", FAKE)
        command = ["train", "train.csv", "--name", "m", "--embedder", "fake:x", "--models-dir", "models"]
        result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a copy of that folder, with the fake embedder as a family."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setitem(EMBEDDERS, "fake", FAKE)
    return tmp_path


def test_rejects_never_replace_the_input(folder: Path) -> None:
    """A file that is called like the list of rejected rows is read, and not written over."""
    source = folder / "x.csv.rejected.csv"
    source.write_text("id,text\n1,hello\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["predict", "m", source.name, "-o", "x.csv"])
    assert result.exit_code == 1
    assert source.read_text(encoding="utf-8") == "id,text\n1,hello\n"


def test_rejected_rows_of_the_test_file_are_told(folder: Path) -> None:
    """A bad row of the test file ends with 3, in a list of its own where the names are equal."""
    (folder / "other").mkdir()
    (folder / "other" / "train.csv").write_text("id,text,label\n" + ROWS + "13,one,two,many\n", encoding="utf-8")
    command = ["train", "train.csv", "--test-file", "other/train.csv", "--name", "m", "--embedder", "fake:x"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 3, result.output
    assert "row" in (folder / "train.csv.test.rejected.csv").read_text(encoding="utf-8")


def test_measuring_on_training_documents_is_told(folder: Path) -> None:
    """Figures on documents that were trained on are flattered, and say so."""
    assert (folder / "train.csv").is_file()
    result = CliRunner().invoke(app, ["evaluate", "m", "train.csv"])
    assert "12 of 12 documents are, or nearly are, training documents" in result.stderr


def test_json_keeps_numbers_as_they_are(folder: Path) -> None:
    """Numbers of a JSONL file pass through the one JSON object digit by digit."""
    (folder / "in.jsonl").write_text('{"text": "hello", "p": 1.10, "q": 123456789.123456789012}\n', encoding="utf-8")
    result = CliRunner().invoke(app, ["predict", "m", "in.jsonl", "--json"])
    assert result.exit_code == 0, result.output
    assert '"p": 1.10, "q": 123456789.123456789012' in result.stdout
    assert json.loads(result.stdout)["predictions"][0]["text"] == "hello"


@pytest.mark.parametrize(
    "arguments",
    [["predict", "m", "--text", "hi", "-o", "out.csv"], ["predict", "m", "train.csv", "-o", "out.xlsx"]],
)
def test_options_without_effect_are_refused(folder: Path, arguments: list[str]) -> None:
    """An option that would be ignored, or an ending that would lie, is wrong usage."""
    assert CliRunner().invoke(app, arguments).exit_code == 2
    assert not list(folder.glob("out.*"))


def test_a_label_cannot_steer_the_terminal(folder: Path) -> None:
    """Escape sequences in a label are shown, not obeyed."""
    hostile = "\x1b[31mred\x1b]0;title\x07"
    model = DocumentClassifier(FakeEmbedder()).fit(["a", "b", "c", "d"], [hostile, hostile, "x", "x"])
    model.embedder = "fake:x"
    Registry(folder / "models").add("hostile", model.save)
    result = CliRunner().invoke(app, ["predict", "hostile", "--text", "a"])
    assert "\x1b" not in result.stdout
    assert "red" in result.stdout


def test_a_column_of_ids_is_no_column_of_labels(folder: Path) -> None:
    """Thousands of labels that the model does not know are refused in one sentence, before anything grows."""
    rows = "".join(f"{row},text {row},key {row}\n" for row in range(1200))
    (folder / "ids.csv").write_text("id,text,label\n" + rows, encoding="utf-8")
    result = CliRunner().invoke(app, ["evaluate", "m", "ids.csv"])
    assert result.exit_code == 1
    assert "1,200 labels that the model does not know" in str(result.exception)


METRICS = {"accuracy": 0.5, "accuracy_interval": [0.1, 0.9], "macro_f1": 0.5, "ece": 0.1}
SETS = METRICS | {"exact_match": 0.5, "exact_match_interval": [0.1, 0.9], "micro_f1": 0.5}
TRUST = {"accuracy": 0.5, "chance": 0.2, "share": 0.1, "largest_weight": 2.0, "needed_below": 50}


@pytest.mark.parametrize(
    "change",
    [
        {"labels": None},
        {"labels": [{"name": ["a"], "color": ["b"]}]},
        {"data": "z"},
        {"created": "x"},
        {"metrics": 3},
        {"metrics": METRICS | {"accuracy": 10**400}},
        {"metrics": METRICS | {"accuracy_interval": [0, 10**400]}},
        *({"metrics": METRICS | {"micro_f1": value}} for value in (None, "x", [])),
        *({"task": "multi-label", "metrics": SETS | {"micro_f1": value}} for value in (None, "x", [], 10**400)),
        {"warnings": [1]},
        {"label_names": "x"},
        {"label_names": [1]},
        {"label_names": {"role": "x"}},
        {"label_names": {"role": []}},
        {"label_names": {"described": []}},
        {"label_names": {"role": NOT_NEEDED}},
        *({"label_names": TRUST | {"role": BESIDE, "accuracy": value}} for value in (None, "x", [], 10**400)),
    ],
    ids=lambda change: str(change)[:60],
)
def test_odd_facts_are_refused(folder: Path, change: dict[str, object]) -> None:
    """A manifest whose checksum is right and whose facts are not is refused, not shown and not promoted."""
    seal(folder / "models" / "m" / "1", **change)
    for verb in ("show", "promote"):
        result = CliRunner().invoke(app, ["models", verb, "m@1"])
        assert isinstance(result.exception, BundleRefusedError), (verb, result.output)
        assert "\n" not in str(result.exception)


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": METRICS},
        {"task": "multi-label", "metrics": SETS},
        {"metrics": None},
        {"label_names": None},
        *({"label_names": TRUST | {"role": role, "described": []}} for role in (ALONE, BESIDE, NOT_NEEDED, NOT_READ)),
        {"label_names": {"role": ALONE, "described": ["a"]}},
        {"label_names": {"role": NOT_NEEDED, "described": [], "needed_below": 50}},
        {"label_names": {"role": NOT_READ, "described": [], "needed_below": 50}},
    ],
    ids=lambda change: str(change)[:60],
)
def test_facts_that_pass_are_shown(folder: Path, change: dict[str, object]) -> None:
    """What is not refused can be written in a terminal and on the page."""
    seal(folder / "models" / "m" / "1", **change)
    result = CliRunner().invoke(app, ["models", "show", "m@1"])
    assert result.exit_code == 0, result.output
    assert "Documents" in model_card(Registry(folder / "models").find("m@1").facts())
