"""The Classify page in a real browser: corrections, many files, shared settings; nothing runs and nothing leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import borrow
from playwright.sync_api import Browser, Page, expect
from serving import (
    PAYLOAD,
    PAYLOADS,
    SCREENSHOTS,
    TABLE_ROW_PIXELS,
    WAIT_MILLISECONDS,
    assert_nothing_ran,
    opened,
    outside,
)
from test_parsing import mail, pdf

from classifier import workflows
from classifier.datamodels import Settings
from classifier.workflows.corrections import last_corrections

pytestmark = pytest.mark.browser

REFUND = "I sent the grinder back three weeks ago and still wait for my money. Please refund me."
NAME = '<img src=x onerror=window.hacked=1> [a](javascript:window.hacked=1) "b" www.outside.example'


@pytest.fixture(scope="module")
def models_dir(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store a model that needs no transformer, and one whose labels are payloads."""
    folder = tmp_path_factory.mktemp("classify")
    settings = borrow(library, folder / "models", "tickets")
    doubled = [payload.replace('"', '""') for payload in PAYLOADS]
    kinds = ("grinder", "kettle", "beans", "mill", "filter", "spoon")
    rows = [f'"{label} {kind}","{label}"\n' for label in doubled for kind in kinds]
    (folder / "hostile.csv").write_text("text,label\n" + "".join(rows), encoding="utf-8")
    workflows.train(folder / "hostile.csv", settings, name="hostile", embedder="lsa:8")
    return folder / "models"


@pytest.fixture
def address(models_dir: Path, show_models: Callable[[Path], str]) -> str:
    """Have the pages show the models."""
    return show_models(models_dir)


def ask(page: Page, text: str) -> None:
    """Paste a text and ask by keyboard."""
    page.get_by_placeholder("Paste a text").fill(text)
    page.keyboard.press("Control+Enter")
    page.locator("article.card").first.wait_for()


def send(page: Page, files: dict[str, bytes]) -> None:
    """Upload files together."""
    page.get_by_test_id("stFileUploader").locator("input[type=file]").set_input_files(
        [{"name": name, "mimeType": "application/octet-stream", "buffer": content} for name, content in files.items()]
    )


def test_a_visitor_corrects_an_answer(browser: Browser, address: str, requested: list[str], models_dir: Path) -> None:
    """Type a label of one's own, which is a script; save, see it, take it back; agree with another answer."""
    settings = Settings(models_dir)
    with opened(browser, f"{address}/?model=tickets@1", requested) as page:
        ask(page, REFUND)
        box = page.get_by_test_id("stSelectbox").filter(has_text="No, it is").locator("input")
        box.fill(PAYLOADS[1])
        box.press("Enter")
        page.get_by_role("button", name="Save").click()
        expect(page.locator(".dc .chips", has_text="Saved")).to_contain_text(PAYLOADS[1])
        [kept] = last_corrections(settings, "tickets")
        assert (kept.text, kept.new_label, kept.who) == (REFUND, PAYLOADS[1], "page")
        assert_nothing_ran(page)
        page.get_by_role("button", name="Undo").click()
        page.get_by_role("button", name="Right").wait_for()
        assert last_corrections(settings, "tickets") == []
        page.get_by_role("button", name="Right").click()
        page.get_by_role("button", name="Undo").wait_for()
        [kept] = last_corrections(settings, "tickets")
        assert kept.new_label == kept.old_label == workflows.predict_text("tickets", REFUND, settings).label
    assert outside(requested) == set()


def test_a_visitor_drops_many_files(browser: Browser, address: str, requested: list[str]) -> None:
    """Names, texts and attachments are scripts; a bad file stops nothing; a row is read in full, the CSV is whole."""
    files = {
        "letter.pdf": pdf(REFUND, ""),
        f"{NAME}.txt": PAYLOAD.encode(),
        "mail.eml": mail().replace(b"bill.pdf", PAYLOADS[1].encode()),
        f"{NAME}.pdf": b"%PDF-1.7 nothing",
        "page.html": f"<p>{REFUND}</p>{PAYLOAD}".encode(),
    }
    with opened(browser, f"{address}/?model=tickets@1", requested) as page:
        page.get_by_role("heading", name="Try an example").wait_for()
        send(page, files)
        expect(page.get_by_role("heading", name="4 files answered, 1 rejected")).to_be_visible()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download CSV").click()
        content = download.value.path().read_text(encoding="utf-8")
        assert content.startswith('"id","text","predicted_label","confidence","status"\n"letter.pdf",')
        assert content.count("onerror") >= 2
        table = page.get_by_test_id("stDataFrame").bounding_box()
        assert table is not None
        page.mouse.click(table["x"] + 15, table["y"] + 2.5 * TABLE_ROW_PIXELS)
        expect(page.locator(".dc.result", has_text="onerror")).to_be_visible()
        assert_nothing_ran(page)
        page.mouse.click(table["x"] + 15, table["y"] + 4.5 * TABLE_ROW_PIXELS)
        alert = page.get_by_test_id("stAlert")
        expect(alert).to_contain_text("it is damaged")
        assert alert.locator("a, img").count() == 0
        send(page, {"more.md": b"# where is my parcel"})
        expect(page.get_by_role("heading", name="5 files answered, 1 rejected")).to_be_visible()
        assert_nothing_ran(page)
        assert page.locator(".dc :is(script, img, svg, a)").count() == 0
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / "files.png")
        assert "onerror" not in page.url
    assert outside(requested) == set()


def test_an_address_is_shared(browser: Browser, address: str, requested: list[str]) -> None:
    """Choose another label's words and more neighbours; the address restores both elsewhere, and holds no text."""
    with opened(browser, f"{address}/?model=hostile@1", requested) as page:
        ask(page, f"the kettle {PAYLOADS[0]}")
        page.get_by_test_id("stButtonGroup").get_by_role("radio", name="10", exact=True).click()
        pills = page.get_by_test_id("stButtonGroup").first.locator("button")
        pills.nth(1).click()
        page.wait_for_url(lambda url: {"similar", "words"} <= set(parse_qs(urlsplit(url).query)))
        place = page.url
        assert_nothing_ran(page)
        label = pills.nth(1).inner_text()
    asked = parse_qs(urlsplit(place).query)
    assert set(asked) == {"model", "similar", "words"}
    assert "kettle" not in place
    with opened(browser, place, requested) as page:
        ask(page, f"the grinder {PAYLOADS[0]}")
        expect(page.locator("article.card")).to_have_count(10)
        assert label.split()[0].strip("<>") in asked["words"][0]
        expect(page.locator(".dc em.user").last).to_have_text(asked["words"][0])
        assert_nothing_ran(page)
    assert outside(requested) == set()


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_a_narrow_screen_needs_no_sideways_scrolling(browser: Browser, address: str, scheme: str) -> None:
    """At 420 pixels, with an unsure answer and several files."""
    dark = scheme == "dark"
    with browser.new_context(
        viewport={"width": 420, "height": 2600}, color_scheme="dark" if dark else "light"
    ) as context:
        page = context.new_page()
        page.set_default_timeout(WAIT_MILLISECONDS)
        page.goto(f"{address}/?model=tickets@1")
        page.get_by_role("heading", name="Try an example").wait_for()
        send(page, {"a.txt": REFUND.encode(), "b.txt": b"my parcel was charged and came broken", "c.pdf": b"%PDF"})
        page.get_by_role("button", name="Download CSV").wait_for()
        table = page.get_by_test_id("stDataFrame").bounding_box()
        assert table is not None
        page.mouse.click(table["x"] + 15, table["y"] + 2.5 * TABLE_ROW_PIXELS)
        page.locator("article.card").first.wait_for()
        for selector in ("html", "[data-testid=stMain]"):
            wider = page.evaluate(
                "s => { const e = document.querySelector(s); return e.scrollWidth - e.clientWidth }", selector
            )
            assert wider <= 1, selector
        page.screenshot(path=SCREENSHOTS / f"classify-narrow-{scheme}.png")
