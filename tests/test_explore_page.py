"""The Explore page: what it draws, and a visitor's walk in a real browser."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import borrow
from playwright.sync_api import Browser, Page, expect
from serving import PAYLOADS, SCREENSHOTS, assert_nothing_ran, opened, outside
from streamlit.testing.v1 import AppTest

from classifier import DocumentClassifier
from classifier.datamodels import Settings
from classifier.modeling.predictor import Predictor
from classifier.storage.registry import Registry
from classifier.ui import explore_chart
from classifier.ui.markup import label_colors
from classifier.workflows import exploring, lines, map_files, mapping
from classifier.workflows.corrections import review_counts
from classifier.workflows.opening import open_predictor

pytestmark = pytest.mark.usefixtures("light_pages")

ROOT = Path(__file__).parents[1]
KINDS = ("grinder", "kettle", "coffee beans", "paper filter", "milk jug", "scales", "tamper", "cup")
SECONDS_FOR_A_MAP = 90
BOX_BUTTON = (28, 26)
A_POINT = """() => { for (const canvas of document.querySelectorAll('[data-testid="stEChartsChart"] canvas')) {
    const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    for (let y = 90; y < box.height - 90; y++) for (let x = 60; x < box.width - 60; x++)
        if (pixels[4 * (Math.round(y * ratio) * canvas.width + Math.round(x * ratio)) + 3] > 120)
            return [box.x + x + 2, box.y + y + 2]; }
    return null; }"""


@pytest.fixture(scope="module")
def settings(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Store a model of each kind and one full of payloads; the first has its better map already."""
    settings = borrow(library, tmp_path_factory.mktemp("explore") / "models", "tickets", "posts")
    texts = [f"{payload} {kind} {{a}} {{@who}}" for payload in PAYLOADS for kind in KINDS]
    labels = [payload for payload in PAYLOADS for _ in KINDS]
    hostile = DocumentClassifier("lsa:8").fit(texts, labels, ids=[f"{text} id" for text in texts])
    Registry(settings.models_dir).add("hostile", hostile.save)
    store_map(settings, "tickets")
    store_map(settings, "posts")
    return settings


def store_map(settings: Settings, name: str) -> None:
    """Keep coordinates as a job would."""
    folder = settings.models_dir / name / "1"
    path = map_files.stored_path(folder, settings)
    path.parent.mkdir(exist_ok=True)
    n_documents = len(open_predictor(name, settings).documents_)
    mapping.write_array(path, np.random.default_rng(0).normal(size=(n_documents, 2)).astype(np.float32))


@pytest.fixture
def tickets(settings: Settings) -> Predictor:
    """Open the model that gives one label."""
    return open_predictor("tickets", settings)


def test_one_series_for_each_label_in_its_colour(tickets: Predictor) -> None:
    """All documents are drawn once, with what tooltips say as cells and never as part of the template."""
    colors, found = label_colors(tickets.facts_), mapping.pca_map(tickets)
    groups = mapping.drawn_groups(found, exploring.groups(tickets, "label"))
    captions = explore_chart.captions_table(exploring.captions(tickets))
    option = explore_chart.map_option(found, groups, colors, captions)
    assert {one["name"]: one["itemStyle"]["color"] for one in option["series"]} == colors
    sources = [one["source"] for one in option["dataset"]]
    assert sum(len(source) for source in sources) == len(tickets.documents_)
    first = sources[0].to_pylist()[0]
    row = int(groups[0].rows[0])
    assert first["who"].startswith(tickets.documents_[row].id)
    assert (first["x"], first["y"]) == pytest.approx(tuple(found.coordinates[row]))
    assert option["tooltip"]["formatter"] == "<b>{a}</b><br>{@who}<br>{@how}<br>{@what}"
    assert option["legend"]["type"] == "scroll"


def test_right_and_wrong_differ_in_symbol_too(tickets: Predictor) -> None:
    """Colour alone tells nothing."""
    found = mapping.pca_map(tickets)
    option = explore_chart.map_option(found, exploring.groups(tickets, "correctness"), {}, None)
    looks = {one["name"]: (one["symbol"], one["itemStyle"]["color"]) for one in option["series"]}
    assert looks["right"][0] != looks["wrong"][0]
    assert looks["right"][1] != looks["wrong"][1]
    assert option["tooltip"]["formatter"] == "{a}"


def test_confidence_has_a_scale(tickets: Predictor) -> None:
    """Each step has a shade of its own."""
    groups = exploring.groups(tickets, "confidence")
    option = explore_chart.map_option(mapping.pca_map(tickets), groups, {}, None)
    shades = [one["itemStyle"]["color"] for one in option["series"]]
    assert len(set(shades)) == len(groups) > 3


def test_many_points_are_drawn_at_once(tickets: Predictor) -> None:
    """A large map leaves single points to the fast way of drawing."""
    n_documents = 30_000
    found = mapping.DocumentMap("pca", np.zeros((n_documents, 2), np.float32), np.arange(n_documents), 0.1)
    group = exploring.Group("a", "label", np.arange(n_documents))
    series = explore_chart.map_option(found, [group], {"a": "#112233"}, None)["series"][0]
    assert series["large"]
    small = explore_chart.map_option(mapping.pca_map(tickets), exploring.groups(tickets, "correctness"), {}, None)
    assert not small["series"][0]["large"]


def test_a_line_has_a_lane_for_each_label(tickets: Predictor) -> None:
    """Positions are those of the workflow."""
    ends = lines.end_of(tickets, "billing"), lines.end_of(tickets, "delivery")
    line = lines.between(tickets, *ends, only_theirs=True)
    option = explore_chart.line_option(line, lines.lanes(tickets, line, *ends), label_colors(tickets.facts_))
    assert option["yAxis"]["data"] == ["billing", "delivery"]
    drawn = [position for one in option["dataset"] for position in one["source"]["position"].to_pylist()]
    assert sorted(drawn) == line.positions.tolist()


@pytest.fixture
def page(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """Open the page."""
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(settings.models_dir))
    return AppTest.from_function(_explore, default_timeout=90)


def _explore() -> None:
    """Draw the page alone."""
    from classifier.ui.explore import explore

    explore()


def run(page: AppTest, model: str, view: str) -> AppTest:
    """Turn to a view of a model, and make sure that nothing crashed."""
    page.query_params["model"] = model
    page.run()
    page.button_group[0].set_value(view)
    page.run()
    assert not page.exception
    assert not page.error
    return page


def shown(page: AppTest) -> str:
    """Return the words that were drawn, without its style sheet."""
    parts = [element.value for element in page.html if "<style>" not in element.value]
    return html.unescape(re.sub("<[^>]*>", " ", " ".join(parts)))


@pytest.mark.parametrize("model", ["tickets@1", "posts@1"])
def test_every_view_of_every_kind_of_model(page: AppTest, model: str) -> None:
    """All views are drawn, and say what they show."""
    assert "near neighbours stay near" in shown(run(page, model, "Map"))
    assert "Other words with the same meaning" in shown(run(page, model, "Search"))
    assert "the ambiguous ones" in shown(run(page, model, "Between two"))
    assert "How compact labels are" in shown(run(page, model, "Labels"))


def test_search_on_the_page(page: AppTest, tickets: Predictor) -> None:
    """The table holds what the workflow finds, the nearest first; a filter that lets nothing pass says so."""
    run(page, "tickets@1", "Search")
    page.text_input[0].set_value("where is my parcel").run()
    expected = exploring.search(tickets, "where is my parcel", k=100)
    assert page.dataframe[0].value["id"].tolist() == [one.document.id for one, _ in expected]
    page.slider[0].set_value(1.0).run()
    assert "No document passes" in shown(page)


def test_the_two_labels_that_are_most_alike_come_first(page: AppTest, settings: Settings) -> None:
    """The line begins with the pair that deserves a look, and lists what lies halfway."""
    run(page, "tickets@1", "Between two")
    chosen = {box.value for box in page.selectbox if box.label in {"A", "B"}}
    from classifier.workflows.centres import label_centres

    model = open_predictor("tickets", settings)
    closest = max(label_centres(model), key=lambda centre: centre.similarity or 0)
    assert chosen == {closest.label, closest.nearest}


@pytest.fixture
def address(settings: Settings, show_models: Callable[[Path], str]) -> str:
    """Have the pages show the models."""
    return show_models(settings.models_dir)


def draw_box(page: Page) -> None:
    """Draw a box around all points of the map."""
    chart = page.get_by_test_id("stEChartsChart")
    page.wait_for_function(f"() => ({A_POINT})() !== null")
    box = chart.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + BOX_BUTTON[0], box["y"] + BOX_BUTTON[1])
    page.mouse.move(box["x"] + 12, box["y"] + 43)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 300, steps=4)
    page.mouse.move(box["x"] + box["width"] - 12, box["y"] + box["height"] - 55, steps=4)
    page.mouse.up()


@pytest.mark.browser
def test_walk(browser: Browser, address: str, requested: list[str], settings: Settings, tickets: Predictor) -> None:
    """Draw a region, send it to review, look at other views; no request leaves the machine."""
    n_documents = len(tickets.documents_)
    with opened(browser, f"{address}/explore?model=tickets@1", requested) as page:
        draw_box(page)
        expect(page.get_by_role("heading", name=f"{n_documents} documents in the region")).to_be_visible()
        page.get_by_text("Right or wrong", exact=True).click()
        expect(page.get_by_role("heading", name=f"{n_documents} documents in the region")).to_be_visible()
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / "explore.png")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download CSV").click()
        assert len(download.value.path().read_text(encoding="utf-8").split('\n"1')) == n_documents + 1
        page.get_by_role("button", name=f"Send all {n_documents} to review").click()
        expect(page.get_by_text("sent to review")).to_be_visible()
        assert review_counts(settings, "tickets").n_waiting > n_documents * 0.9
        for view, heading in (("Between two", "From A to B"), ("Labels", "How compact labels are")):
            page.get_by_test_id("stButtonGroup").first.get_by_text(view, exact=True).click()
            expect(page.get_by_role("heading", name=heading)).to_be_visible()
    assert requested
    assert outside(requested) == set()


@pytest.mark.browser
def test_nothing_in_texts_and_labels_runs(
    browser: Browser, address: str, requested: list[str], settings: Settings
) -> None:
    """Payloads are drawn in every view, in tooltips too; meanwhile a job brings the better map."""
    n_documents = len(PAYLOADS) * len(KINDS)
    with opened(browser, f"{address}/explore?model=hostile@1", requested) as page:
        page.get_by_text("PCA").or_(page.get_by_text("t-SNE")).first.wait_for()
        expect(page.get_by_text("Arranged so that near neighbours stay near")).to_be_visible(
            timeout=1000 * SECONDS_FOR_A_MAP
        )
        folder = settings.models_dir / "hostile" / "1"
        assert mapping.stored_coordinates(folder, settings, n_documents) is not None
        page.wait_for_function(f"() => ({A_POINT})() !== null")
        x, y = page.evaluate(A_POINT)
        page.mouse.move(x - 3, y)
        page.mouse.move(x, y)
        expect(page.get_by_test_id("stEChartsChart").get_by_text("% sure")).to_be_visible()
        assert_nothing_ran(page)
        draw_box(page)
        expect(page.get_by_role("heading", name=f"{n_documents} documents in the region")).to_be_visible()
        assert_nothing_ran(page)
        for view, heading in (("Between two", "From A to B"), ("Labels", "How compact labels are")):
            page.get_by_test_id("stButtonGroup").first.get_by_text(view, exact=True).click()
            expect(page.get_by_role("heading", name=heading)).to_be_visible()
            assert_nothing_ran(page)
        assert page.locator("a[href*=outside], img[src*=outside]").count() == 0
    assert outside(requested) == set()
