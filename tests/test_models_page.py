"""The pages Train and Models as a visitor uses them, without a browser and in a real one."""

from __future__ import annotations

import csv
import html
import io
import re
import shutil
import warnings
import zipfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
from places import DATA
from playwright.sync_api import Browser, Page, expect
from serving import (
    PAYLOAD,
    PAYLOADS,
    SCREENSHOTS,
    TABLE_ROW_PIXELS,
    assert_nothing_ran,
    opened,
    outside,
    upload,
)
from streamlit.testing.v1 import AppTest

from classifier import workflows
from classifier.datamodels import Settings
from classifier.errors import TrainingDataWarning
from classifier.reports import Columns
from classifier.ui import card, comparison
from classifier.workflows.exporting import JOBLIB_WARNING

pytestmark = pytest.mark.usefixtures("light_pages")

ROOT = Path(__file__).parents[1]


def rows(n: int = 90) -> list[dict[str, str]]:
    """Return example tickets."""
    with (DATA / "support_tickets.csv").open(encoding="utf-8", newline="") as stream:
        return list(islice(csv.DictReader(stream), n))


def as_csv(found: list[dict[str, str]]) -> str:
    """Write rows as CSV."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, ["id", "text", "label"], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(found)
    return stream.getvalue()


def hostile_rows() -> list[dict[str, str]]:
    """Return documents whose texts, ids and labels are scripts."""
    kinds = ("grinder noise", "kettle leak", "coffee beans", "late parcel", "broken cup")
    return [
        {"id": f"{kind} {payload}", "text": f"{payload} {kind} {number}", "label": payload}
        for payload in PAYLOADS
        for kind in kinds
        for number in range(2)
    ]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store two versions of one model, the second with half of one label wrong, and two of a hostile one."""
    folder = tmp_path_factory.mktemp("models-page")
    settings = Settings(folder / "models")
    good = rows()
    frequent = max({row["label"] for row in good}, key=lambda label: sum(row["label"] == label for row in good))
    other = next(row["label"] for row in good if row["label"] != frequent)
    bad = [row | {"label": other if row["label"] == frequent and n % 3 else row["label"]} for n, row in enumerate(good)]
    mixed = hostile_rows()
    for name, found in (("tickets", good), ("tickets", bad), ("hostile", mixed), ("hostile", mixed[:-3])):
        file = folder / f"{name}.csv"
        file.write_text(as_csv(found), encoding="utf-8")
        source = f"{PAYLOAD}.csv" if name == "hostile" else None
        columns = Columns(source_name=source, rejected_file=folder / "rejected.csv")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrainingDataWarning)
            workflows.train(file, settings, name=name, embedder="lsa", promote=False, columns=columns)
    return folder / "models"


def run(page: AppTest) -> AppTest:
    """Run the page and make sure that nothing crashed."""
    page.run()
    assert not page.exception
    return page


@pytest.fixture
def page(stored: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AppTest:
    """Open the page of models with a copy of the stored ones."""
    shutil.copytree(stored, tmp_path / "models", symlinks=True)
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(tmp_path / "models"))
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom classifier.ui import models\nmodels.models()"
    page = AppTest.from_string(script, default_timeout=60)
    page.query_params["model"] = "tickets@2"
    return run(page)


def shown(page: AppTest) -> str:
    """Return the words of everything that was drawn, without style sheets."""
    parts = [element.value for element in page.html if "<style>" not in element.value]
    return html.unescape(re.sub("<[^>]*>", " ", " ".join(parts)))


def turn_to(page: AppTest, part: str) -> AppTest:
    """Choose a part of the page."""
    page.segmented_control[0].set_value(part)
    return run(page)


def test_versions_are_listed_with_their_figures(page: AppTest, stored: Path) -> None:
    """The list says what the manifests say; the card of the chosen one stands below."""
    table = page.dataframe[0].value
    assert table["model"].tolist() == ["hostile", "hostile", "tickets", "tickets"]
    assert table["version"].tolist() == [2, 1, 2, 1]
    assert table["state"].tolist() == ["", "● promoted", "", "● promoted"]
    metrics = workflows.show_model("tickets@2", Settings(stored))[1]["metrics"]
    assert table["right"].tolist()[2] == pytest.approx(100 * metrics["accuracy"])
    assert "Model card: tickets, version 2" in shown(page)
    assert "Whoever asks for tickets gets version 1 now." in shown(page)


def test_a_version_is_promoted_and_one_goes_back(page: AppTest, tmp_path: Path) -> None:
    """One press each; the list says so."""
    settings = Settings(tmp_path / "models")
    page.button[0].click()
    run(page)
    assert workflows.show_model("tickets", settings)[0].version == "2"
    page.sidebar.selectbox[0].set_value("tickets@1")
    run(page)
    assert [button.label for button in page.button] == [r"Go back to tickets\@1"]
    page.button[0].click()
    run(page)
    assert workflows.show_model("tickets", settings)[0].version == "1"


def test_the_comparison_is_the_one_of_the_command_line(page: AppTest, stored: Path) -> None:
    """Verdict, figures and fallen labels; the older of both is the old one, whichever was chosen."""
    found = workflows.compare_versions("tickets@1", "tickets@2", Settings(stored))
    for chosen in ("tickets@2", "tickets@1"):
        page.sidebar.selectbox[0].set_value(chosen)
        run(page)
        turn_to(page, "Compare")
        words = " ".join(shown(page).split())
        assert found.verdict.partition(": ")[0] in words
        assert all(warning in words for warning in found.warnings)
        table = page.dataframe[1].value
        assert [label for [label] in table["label"]] == [change.label for change in found.scores.labels]
        fallen = [change.label for change in found.scores.labels if change.fell]
        assert [label for [label], what in zip(table["label"], table["what"], strict=True) if "fell" in what] == fallen
    page.file_uploader[0].set_value(("test.csv", b"text,label\nmy parcel is late,delivery\n", "text/csv"))
    assert "the test file test.csv" in shown(run(page))
    page.file_uploader[0].set_value(("broken.csv", b'"unclosed', "text/csv"))
    run(page)
    assert "broken" in page.error[0].value


def test_deletion_names_the_loss_and_asks_again(page: AppTest, tmp_path: Path) -> None:
    """Without the tick nothing can be pressed; the promoted one of several is refused."""
    turn_to(page, "Delete")
    assert "tickets@2 goes for good, with its 90 training documents" in shown(page)
    delete = next(button for button in page.button if button.label == "Delete")
    assert delete.disabled
    page.checkbox[0].check()
    run(page)
    next(button for button in page.button if button.label == "Delete").click()
    run(page)
    assert not (tmp_path / "models" / "tickets" / "2").exists()
    page.sidebar.selectbox[0].set_value("hostile@1")
    run(page)
    page.checkbox[0].check()
    run(page)
    next(button for button in page.button if button.label == "Delete").click()
    run(page)
    assert "promote another one before deleting it" in page.error[0].value
    assert (tmp_path / "models" / "hostile" / "1").exists()


def test_exports_are_offered_up_to_a_limit(page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The warning stands beside the pipeline; above the limit, its size is named."""
    turn_to(page, "Export")
    assert JOBLIB_WARNING in page.warning[0].value.replace("\\", "")
    monkeypatch.setattr("classifier.ui.models.MAX_EXPORT_BYTES", 1 << 20)
    run(page)
    assert "at most 1 MB" in page.error[0].value.replace("\\", "")


def test_a_damaged_version_does_not_hide_the_others(page: AppTest, tmp_path: Path) -> None:
    """It is listed as damaged."""
    (tmp_path / "models" / "hostile" / "2" / "manifest.json").write_text("{}")
    assert run(page).dataframe[0].value["state"].tolist() == ["damaged", "● promoted", "", "● promoted"]


def test_a_damaged_version_can_be_deleted(page: AppTest, tmp_path: Path) -> None:
    """Its card cannot be shown, which is said; everything else is there."""
    (tmp_path / "models" / "hostile" / "2" / "manifest.json").write_text("{}")
    page.sidebar.selectbox[0].set_value("hostile@2")
    run(page)
    assert any("refused" in error.value for error in page.error)
    turn_to(page, "Delete")
    page.checkbox[0].check()
    run(page)
    next(button for button in page.button if button.label == "Delete").click()
    run(page)
    assert not (tmp_path / "models" / "hostile" / "2").exists()


def test_a_card_is_text_whatever_it_holds() -> None:
    """Nothing but headings, lists and tables means anything."""
    found = card.render_document(f"# {PAYLOAD}\n\n| a | b |\n|---|---|\n| {PAYLOAD} | \\|x |\n- {PAYLOAD}\n{PAYLOAD}")
    assert not re.search(r"<(?!/?(?:div|h2|ul|li|table|tr|th|td|p)[ >])", found)
    assert found.count("<td") == 2


def test_no_label_can_become_part_of_the_summary(stored: Path) -> None:
    """Labels in warnings stay text."""
    found = workflows.compare_versions("hostile@1", "hostile@2", Settings(stored))
    assert not re.search(r"<(?!/?(?:section|div|h2|ul|li|p|span)[ >])", comparison.summary(found))


@pytest.fixture
def address(stored: Path, show_models: Callable[[Path], str]) -> str:
    """Have the pages show the models."""
    return show_models(stored)


@pytest.mark.browser
def test_walk_from_a_file_to_a_promoted_model(
    browser: Browser, address: str, requested: list[str], stored: Path
) -> None:
    """Upload hostile rows, see the checks, train, promote, compare, export; nothing runs, nothing leaves."""
    more = [{"id": "1", "text": f"unlabelled {PAYLOAD}", "label": ""}, *hostile_rows()]
    with opened(browser, f"{address}/train", requested) as page:
        page.get_by_test_id("stFileUploader").wait_for()
        upload(page, f"{PAYLOADS[1]}.csv", as_csv(more))
        expect(page.get_by_text("1 row without a label, which will wait for a person in the review.")).to_be_visible()
        page.get_by_text("More choices").click()
        page.get_by_text("lsa", exact=True).click()
        page.get_by_role("textbox", name="Name of the model").fill("hostile")
        page.keyboard.press("Enter")
        expect(page.get_by_text("version 1 goes on answering until you promote the new one")).to_be_visible()
        assert_nothing_ran(page)
        page.get_by_role("button", name="Start training").click()
        page.get_by_role("button", name="Promote hostile@3").wait_for(timeout=90_000)
        expect(page.get_by_text("1 row without a label sent to the review")).to_be_visible()
        assert_nothing_ran(page)
        page.get_by_role("button", name="Promote hostile@3").click()
        expect(page.get_by_text("This version answers wherever hostile is asked for")).to_be_visible()
        assert workflows.show_model("hostile", Settings(stored))[0].version == "3"
        page.get_by_role("button", name="Choose it on all pages").click()
        page.get_by_role("link", name="Models").click()
        _walk_through_models(page)
    assert requested
    assert outside(requested) == set()


def _walk_through_models(page: Page) -> None:
    """Look at each part of the page, with a model of which everything is a script."""
    expect(page.get_by_role("heading", name="Model card: hostile, version 3")).to_be_visible()
    assert_nothing_ran(page)
    page.get_by_text("Compare", exact=True).click()
    expect(page.get_by_role("heading", name="No difference can be shown")).to_be_visible()
    assert page.locator(".dc :is(script, img, svg, a)").count() == 0
    assert_nothing_ran(page)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "models.png", full_page=True)
    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download .zip").click()
    assert download.value.suggested_filename == "hostile-3.zip"
    with zipfile.ZipFile(download.value.path()) as archive:
        assert "hostile/3/manifest.json" in archive.namelist()
    table = page.get_by_test_id("stDataFrame").first.bounding_box()
    assert table is not None
    page.mouse.click(table["x"] + 15, table["y"] + 4.5 * TABLE_ROW_PIXELS)
    expect(page.get_by_role("heading", name="tickets@2", exact=True)).to_be_visible()
