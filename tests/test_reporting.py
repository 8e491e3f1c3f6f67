"""``classifier report``: from a stored model to a page, and every way in which that is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from conftest import seal
from playwright.sync_api import Browser
from typer.testing import CliRunner, Result

from classifier import DocumentClassifier, workflows
from classifier.cli import app
from classifier.datamodels import Settings
from classifier.errors import BundleRefusedError, ClassifierError, OutputError
from classifier.storage.bundle import load_bundle
from classifier.storage.registry import Registry
from classifier.workflows.reporting import ModelReport

BUNDLES = Path(__file__).parent / "bundles"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_model: DocumentClassifier) -> Path:
    """Stand in a folder where a model of three labels is stored."""
    monkeypatch.chdir(tmp_path)
    Registry(Path("models")).add("rooms", small_model.save)
    return tmp_path


def report(model: str | Path = "rooms", output: Path | None = Path("page.html")) -> ModelReport:
    """Write a report."""
    return workflows.report(model, Settings(Path("models")), output=output)


def run(*arguments: str) -> Result:
    """Run the command; it must succeed."""
    result = CliRunner().invoke(app, ["report", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def refusal(*arguments: str) -> str:
    """Return the one sentence with which the command is refused."""
    result = CliRunner().invoke(app, ["report", *arguments])
    assert isinstance(result.exception, ClassifierError), result.output
    return str(result.exception)


def test_a_page_is_written_and_announced() -> None:
    """The summary, where the page is and how large; the page is that of the stored facts."""
    told = run("rooms", "-o", "page.html").stdout
    assert "rooms, version 1 gives each document one of 3 labels ('garden', 'kitchen', 'workshop')" in told
    assert "written to page.html (" in told
    text = Path("page.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "<h1>rooms, version 1</h1>" in text
    accuracy = load_bundle(Path("models/rooms/1")).facts["metrics"]["accuracy"]
    assert f"{100 * accuracy:.1f}\u00a0%" in text


def test_a_page_has_a_name_by_itself() -> None:
    """Without -o it is called as the model and its version are."""
    assert "written to rooms-1-report.html" in run("rooms@1").stdout
    assert Path("rooms-1-report.html").is_file()


def test_json_says_what_was_written() -> None:
    """One object: the model, the page, its size, the three sentences and what is lacking."""
    values = json.loads(run("rooms", "-o", "page.html", "--json").stdout)
    assert values["model"] == "rooms, version 1"
    assert values["page"] == "page.html"
    assert values["n_bytes"] == Path("page.html").stat().st_size
    assert len(values["summary"]) == 3
    assert {"not_recorded", "not_measured"} <= set(values)


def test_a_page_goes_to_standard_output() -> None:
    """A hyphen writes the page itself, and nothing else."""
    found = run("rooms", "-o", "-").stdout
    assert found == Path(report().page).read_text(encoding="utf-8")
    result = CliRunner().invoke(app, ["report", "rooms", "-o", "-", "--json"])
    assert result.exit_code == 2


def test_a_folder_is_as_good_as_a_name(tmp_path: Path, small_model: DocumentClassifier) -> None:
    """A model that is stored elsewhere is called after its folder."""
    small_model.save(tmp_path / "elsewhere")
    assert report(tmp_path / "elsewhere").model == "elsewhere"
    assert report("./elsewhere/").model == "elsewhere"
    assert report("models/rooms/1").model == "rooms, version 1"


@pytest.mark.parametrize("name", ["format-1", "format-2"])
def test_old_models_have_a_report(name: str) -> None:
    """What an older version did not record is named, not missed."""
    found = report(BUNDLES / name)
    assert found.model == name
    assert "cost of review" in found.not_recorded
    assert found.not_measured == ()


def test_a_model_stays_a_model() -> None:
    """Nothing is written into its folder, not by a detour either."""
    Path("shortcut").symlink_to("models/rooms/1", target_is_directory=True)
    for target in ("models/rooms/1/page.html", "shortcut/page.html", "models/rooms/1/deeper/page.html"):
        with pytest.raises(OutputError, match="holds its own files and no others"):
            report(output=Path(target))
    load_bundle(Path("models/rooms/1"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["room"], "rooms"),
        (["rooms@7"], "rooms@1"),
        (["./nowhere"], "not a folder"),
        (["rooms", "-o", "."], "not a regular file"),
        (["rooms", "-o", "nowhere/page.html"], "cannot be written"),
        (["rooms", "-o", "models/rooms/promoted/page.html"], "cannot be written"),
        (["rooms", "-o", "x" * 300], "cannot be written"),
    ],
)
def test_mistakes_are_refused_in_one_sentence(arguments: list[str], words: str) -> None:
    """Unknown models and impossible targets; nothing is left behind."""
    before = sorted(Path().iterdir())
    assert words in refusal(*arguments)
    assert sorted(Path().iterdir()) == before


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_closed_folder_is_refused() -> None:
    """A folder without permission costs one sentence."""
    Path("closed").mkdir(mode=0o500)
    with pytest.raises(OutputError, match="cannot be written"):
        report(output=Path("closed/page.html"))


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": "none"},
        {"metrics": {"accuracy": "high"}},
        {"metrics": {"accuracy": 0.5, "accuracy_interval": [0.1]}},
        {"review": [1, 2]},
        {"review": {"costs": [{}], "curve": []}},
        {"race": [{}]},
        {"race": {"strong": 1.0}},
        {"labels": [{}]},
        {"created": "yesterday"},
        {"learning_curve": [{"n_documents": 0, "accuracy": 0.5}]},
        {"baselines": [{"accuracy": 1}]},
        {"audit": {"overlaps": [{}]}},
        {"data": 5},
    ],
    ids=str,
)
def test_facts_of_no_model_are_refused(changes: dict[str, object]) -> None:
    """Facts of the wrong kind under right checksums cost one sentence; an old page stays."""
    Path("page.html").write_text("old", encoding="utf-8")
    seal(Path("models/rooms/1"), **changes)
    with pytest.raises(BundleRefusedError, match="does not describe a model"):
        report()
    assert Path("page.html").read_text(encoding="utf-8") == "old"


def test_a_damaged_manifest_is_refused() -> None:
    """A flipped figure is not reported."""
    path = Path("models/rooms/1/manifest.json")
    path.write_text(path.read_text(encoding="utf-8").replace('"seed": 0', '"seed": 1'), encoding="utf-8")
    with pytest.raises(BundleRefusedError, match="was altered"):
        report()


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 390, 1440])
def test_a_browser_shows_it_whole(browser: Browser, folder: Path, width: int) -> None:
    """Nothing but the file is asked for, nothing is complained about, and no screen has to be scrolled sideways."""
    report()
    asked: list[str] = []
    complaints: list[str] = []
    with browser.new_context(viewport={"width": width, "height": 900}, color_scheme="dark") as context:
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.goto((folder / "page.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"
    assert asked == [(folder / "page.html").as_uri()]
    assert complaints == []
