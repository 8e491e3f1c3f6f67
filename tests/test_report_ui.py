"""The page of the report: without a browser as far as that goes, then in a real one."""

from __future__ import annotations

import base64
import html
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import borrow
from playwright.sync_api import Browser, Page, expect
from serving import PAYLOADS, ROOT, SCREENSHOTS, TABLE_ROW_PIXELS, assert_nothing_ran, choose, opened, outside
from streamlit.testing.v1 import AppTest

from classifier import DocumentClassifier, workflows
from classifier.analysis.html import drawing
from classifier.datamodels import ReviewPolicy, Settings
from classifier.errors import TrainingDataWarning
from classifier.storage.registry import Registry
from classifier.ui import report_charts, report_markup
from classifier.workflows import inspecting
from classifier.workflows.corrections import review_counts

pytestmark = pytest.mark.usefixtures("light_pages")


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory, library: Path) -> Path:
    """Store models of one label and of any number, and one that is made of payloads."""
    folder = borrow(library, tmp_path_factory.mktemp("report") / "models", "tickets", "posts").models_dir
    texts = [f"{payload} {kind} {n}" for payload in PAYLOADS for kind in ("grinder", "kettle") for n in range(5)]
    labels = [payload for payload in PAYLOADS for _ in range(10)]
    labels[::7] = [PAYLOADS[0]] * len(labels[::7])
    hostile = DocumentClassifier("lsa:8").fit(texts, labels, ids=[f"{text} id" for text in texts])
    Registry(folder).add("hostile", hostile.save)
    return folder


def show_report() -> None:
    """Draw the page alone, without the navigation."""
    from classifier.ui import report

    report.report()


@pytest.fixture
def page(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """Open the page."""
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(models_dir))
    return AppTest.from_function(show_report, default_timeout=60)


def part(page: AppTest, name: str, model: str = "tickets@1") -> AppTest:
    """Turn to a part of the report of a model, as its address does."""
    page.query_params["model"] = model
    page.query_params["part"] = name
    page.run()
    assert not page.exception
    return page


def shown(page: AppTest) -> str:
    """Return the words of everything that was drawn, without style sheets."""
    parts = [element.value for element in page.html if "<style>" not in element.value]
    words = html.unescape(re.sub("<[^>]*>", " ", " ".join(parts)))
    return " ".join(words.replace("\u00a0", " ").split())


def pictures(page: AppTest) -> list[str]:
    """Return the drawings of a page."""
    drawn = " ".join(element.value for element in page.html)
    return [base64.b64decode(one).decode() for one in re.findall(r"base64,([^\"]+)", drawn)]


def test_quality_stands_first_with_intervals_and_simpler_methods(page: AppTest, models_dir: Path) -> None:
    """Without any choice the page says how good the model is, on what, and beside what."""
    page.query_params["model"] = "tickets@1"
    page.run()
    metrics = workflows.open_predictor("tickets", Settings(models_dir)).facts_["metrics"]
    low, high = metrics["accuracy_interval"]
    words = shown(page)
    assert f"{100 * metrics['accuracy']:.1f} % ({100 * low:.1f} to {100 * high:.1f})" in words
    assert "-fold cross-validation of the training documents" in words
    assert "What it must not be used for" in words
    assert "always the most frequent label" in pictures(page)[0]
    assert page.segmented_control[0].options == [
        "Quality",
        "Confusion",
        "Labels",
        "Confidence",
        "Threshold",
        "Audit",
        "Model",
    ]


def test_the_slider_moves_threshold_accuracy_and_command(page: AppTest, models_dir: Path) -> None:
    """What the page says of a budget is what the workflow finds; the command carries the threshold."""
    model = workflows.open_predictor("tickets", Settings(models_dir))
    part(page, "Threshold")
    for n_read in (100, 300):
        page.slider[0].set_value(n_read)
        page.run()
        choice = inspecting.review_choice(model, ReviewPolicy(review_budget=n_read))
        assert choice is not None
        assert choice.accuracy is not None
        assert f"{round(1000 * choice.review_fraction):,} of 1,000" in shown(page)
        assert f"Right among the others {100 * choice.accuracy:.1f} %" in shown(page)
        assert [code.value for code in page.code] == [
            f"classifier predict tickets@1 FILE --min-confidence {choice.threshold:.6g} --output answers.csv"
        ]
        assert f">{100 * choice.accuracy:.1f} %</text>" in pictures(page)[0]
    page.slider[0].set_value(1000)
    page.run()
    assert "A person reads everything" in shown(page)
    assert not page.code


def test_a_wanted_accuracy_is_another_way_to_choose(page: AppTest, models_dir: Path) -> None:
    part(page, "Threshold")
    page.segmented_control[1].set_value("Share that shall be right")
    page.run()
    page.slider[0].set_value(90.0)
    page.run()
    model = workflows.open_predictor("tickets", Settings(models_dir))
    choice = inspecting.review_choice(model, ReviewPolicy(target_accuracy=0.9))
    assert choice is not None
    assert f"--min-confidence {choice.threshold:.6g}" in page.code[0].value


def test_confidence_is_put_into_words(page: AppTest, models_dir: Path) -> None:
    words = shown(part(page, "Confidence"))
    bins = workflows.open_predictor("tickets", Settings(models_dir)).facts_["metrics"]["reliability"]
    surest = [one for one in bins if one["n_documents"] >= 20][-1]
    assert (
        f"Of the {surest['n_documents']:,} answers that it was about {100 * surest['mean_confidence']:.0f} % sure of, "
        f"{100 * surest['accuracy']:.1f} % were right." in words
    )
    assert "Several labels instead of one" in words


def test_how_the_model_came_about(page: AppTest) -> None:
    words = shown(part(page, "Model"))
    assert "How its head was chosen" in words
    assert "What it was made from" in words
    assert "lsa" in words


def test_labels_to_doubt_are_filtered(page: AppTest, models_dir: Path) -> None:
    """The table holds what the filters let through, worst first."""
    part(page, "Audit")
    model = workflows.open_predictor("tickets", Settings(models_dir))
    assert list(page.dataframe[0].value["id"]) == [one.id for _, one in inspecting.suspected_documents(model)]
    page.selectbox[0].select("suspected")
    page.selectbox[1].select("delivery")
    page.run()
    found = inspecting.suspected_documents(model, kind="suspected", label="delivery")
    assert list(page.dataframe[0].value["id"]) == [document.id for _, document in found]
    page.button[0].click()
    page.run()
    assert not page.exception
    assert review_counts(Settings(models_dir), "tickets").n_waiting == len(found)


def test_sets_of_labels_have_no_confusion(page: AppTest, models_dir: Path) -> None:
    """A multi-label model has every part but the matrix; its table is that of its labels."""
    part(page, "Labels", "posts@1")
    assert "Confusion" not in page.segmented_control[0].options
    rows = inspecting.label_table(workflows.open_predictor("posts", Settings(models_dir))).rows
    assert [list(cell) for cell in page.dataframe[0].value["label"]] == [[row.label] for row in rows]
    for name in ("Quality", "Confidence", "Threshold", "Audit", "Model"):
        part(page, name, "posts@1")


def test_a_part_that_another_model_lacks_gives_way(page: AppTest) -> None:
    """Whoever looks at a matrix and turns to a model without one lands on its quality."""
    part(page, "Confusion")
    page.sidebar.selectbox[0].select("posts@1")
    page.run()
    assert not page.exception
    assert "posts, version 1 gives each document any number of 8 labels" in shown(page)
    part(page, "Nonsense", "posts@1")
    assert "posts, version 1 gives each document any number of 8 labels" in shown(page)


def test_a_model_of_labels_alone_says_so_in_one_sentence(
    page: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither documents nor metrics: two parts remain, and no crash."""
    folder = tmp_path / "models"
    file = tmp_path / "few.csv"
    file.write_text("text,label\nfresh bread,dry\ncold milk,wet\n", encoding="utf-8")
    with pytest.warns(TrainingDataWarning):
        workflows.train(file, Settings(folder), name="few", embedder="lsa")
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(folder))
    words = shown(part(page, "Quality", "few@1"))
    assert "How good it is was not measured" in words
    assert {"Confusion", "Labels", "Confidence", "Threshold"} & set(page.segmented_control[0].options) == set()


def test_drawings_become_pictures_in_the_colours_of_the_page() -> None:
    """Nothing of a drawing is lost, its words describe it, and nothing is cut at its edges."""
    drawn = drawing(100, 50, 'a "plot"', '<text class="name">100 %</text>')
    for dark, ink in ((False, "--ink:#1d2433"), (True, "--ink:#e6e9f0")):
        framed = report_markup.framed(f"<p>before</p>{drawn}<p>after</p>", dark=dark)
        assert framed.startswith('<div class="dc report"><p>before</p><img class="plot"')
        assert 'alt="a &quot;plot&quot;"' in framed
        found = re.search(r"base64,([^\"]+)", framed)
        assert found is not None
        picture = base64.b64decode(found[1]).decode()
        assert ink in picture
        assert 'viewBox="-14 0 128 50"' in picture
        assert picture.endswith('<text class="name">100 %</text></svg>')


def test_cells_of_the_matrix_are_numbered_as_they_are_drawn() -> None:
    """A chosen cell is found again by its position; blue is right, orange wrong, deeper for a larger share."""
    labels, matrix = ["x" * 30 + "1", "x" * 30 + "2"], [[8, 2], [0, 5]]
    options = report_charts.matrix_chart(labels, matrix, [10, 5], dark=False)
    data = options["series"][0]["data"]
    assert report_charts.matrix_cells(matrix) == [(0, 0), (0, 1), (1, 1)]
    assert [one["value"] for one in data] == [[0, 0, 8], [1, 0, 2], [1, 1, 5]]
    assert [one["itemStyle"]["color"].startswith(f"rgba({report_charts.RIGHT}") for one in data] == [True, False, True]
    names = [one["value"] for one in options["xAxis"]["data"]]
    assert len(set(names)) == 2


def test_the_page_starts_without_what_only_training_needs() -> None:
    """Importing the page of the report brings no numerical library beside numpy."""
    code = "import sys; from classifier.ui import report; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert {"scipy", "sklearn", "torch", "sentence_transformers", "pandas"} & set(done.stdout.split()) == set()


@pytest.fixture
def address(models_dir: Path, show_models: Callable[[Path], str]) -> str:
    """Have the pages show the models."""
    return show_models(models_dir)


def turn_to(page: Page, name: str) -> None:
    """Turn to a part of the report, once the page has come to rest: what is drawn anew may swallow a click."""
    page.locator('[data-test-script-state="notRunning"]').first.wait_for()
    page.get_by_test_id("stButtonGroup").first.get_by_text(name, exact=True).click()


def click_row(page: Page, table: int, row: int) -> None:
    """Choose a row of a table, the first being 0, once the page has come to rest."""
    page.locator('[data-test-script-state="notRunning"]').first.wait_for()
    page.get_by_test_id("stDataFrame").nth(table).locator("canvas").first.wait_for()
    page.wait_for_timeout(500)
    box = page.get_by_test_id("stDataFrame").nth(table).bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 15, box["y"] + (row + 1.5) * TABLE_ROW_PIXELS)


@pytest.mark.browser
def test_from_a_cell_to_its_documents_to_review(
    browser: Browser, address: str, requested: list[str], models_dir: Path
) -> None:
    """Click a cell of the matrix, read its documents, send them to review; choose a label; nothing leaves."""
    settings = Settings(models_dir)
    table = inspecting.confusion_table(workflows.open_predictor("tickets", settings))
    assert table is not None
    worst = table.confusion.errors()[0]
    with opened(browser, f"{address}/report?model=tickets@1&part=Confusion", requested) as page:
        code = {label: number for number, label in enumerate(table.confusion.labels)}
        cells = report_charts.matrix_cells(table.confusion.among(table.confusion.labels))
        number = cells.index((code[worst.true], code[worst.answered]))
        counts = page.get_by_test_id("stEChartsChart").locator("svg text", has_text=re.compile(r"^\d+$"))
        counts.nth(number).click()
        heading = page.locator(".dc h2", has_text=f"{worst.true} taken for {worst.answered}")
        expect(heading).to_be_visible()
        found = worst.n_documents
        before = review_counts(settings, "tickets").n_waiting
        page.get_by_role("button", name=f"Send all {found:,} to review").click()
        expect(page.get_by_text("sent to review")).to_be_visible()
        assert review_counts(settings, "tickets").n_waiting > before

        page.get_by_text("List of errors", exact=True).click()
        page.get_by_test_id("stDataFrame").first.wait_for()
        expect(heading).to_be_hidden()
        click_row(page, 0, 0)
        expect(heading).to_be_visible()

        turn_to(page, "Labels")
        page.wait_for_url("**part=Labels*")
        expect(page.get_by_role("heading", name="Label by label")).to_be_visible()
        click_row(page, 0, 0)
        expect(page.get_by_role("heading", name="Errors of")).to_be_visible()
        page.get_by_text("Wrongly given", exact=True).click()
        expect(page.get_by_text("They were given it and do not have it")).to_be_visible()
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / "report.png")
    assert outside(requested) == set()


@pytest.mark.browser
def test_nothing_that_documents_and_labels_hold_runs(
    browser: Browser, address: str, requested: list[str], models_dir: Path
) -> None:
    """A model whose labels, ids and texts are scripts is reported on like any other, in every part."""
    model = workflows.open_predictor("hostile", Settings(models_dir))
    table = inspecting.confusion_table(model)
    assert table is not None
    assert table.confusion.errors(), "some must be wrong for the walk"
    with opened(browser, f"{address}/report?model=hostile@1&part=Confusion", requested) as page:
        chart = page.get_by_test_id("stEChartsChart").locator("svg")
        chart.locator("text", has_text=re.compile(r"^\d+$")).first.hover()
        assert_nothing_ran(page)
        chart.locator("text", has_text=re.compile(r"^\d+$")).first.click()
        expect(page.get_by_test_id("stDataFrame")).to_be_visible()
        assert_nothing_ran(page)
        click_row(page, 0, 0)
        expect(
            page.locator(".dc .passage", has_text="grinder").or_(page.locator(".dc .passage", has_text="kettle"))
        ).to_be_visible()
        assert_nothing_ran(page)
        for name in ("Quality", "Labels", "Confidence", "Threshold", "Audit", "Model"):
            turn_to(page, name)
            page.wait_for_url(f"**part={name}*" if name != "Quality" else "**/report*")
            page.get_by_role("heading", level=2).first.wait_for()
            assert_nothing_ran(page)
        turn_to(page, "Audit")
        choose(page, 2, PAYLOADS[1])
        assert_nothing_ran(page)
    assert outside(requested) == set()
