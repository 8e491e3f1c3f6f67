"""Take the pictures of the README, of every page in light and in dark: ``python docs/screenshots.py``.

The sample data is trained on in a temporary folder, some documents are decided about, and the page is served from there
and looked at with headless Chromium.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from serving import ROOT, chromium, served, upload

from classifier import workflows
from classifier.datamodels import Settings
from classifier.workflows import mapping
from classifier.workflows.corrections import correct

IMAGES = ROOT / "docs" / "images"
SAMPLE, INBOX = ROOT / "data" / "support_tickets.csv", ROOT / "data" / "inbox.csv"
NAME = "tickets"
MAX_BYTES = 400_000
PATIENCE = 120_000
TICKET = """Hello,

I sent the Wren grinder back on 3 October; tracking says it reached you on the 7th and someone signed for it. \
It is now the 21st and nothing has come back to my card. The form said five working days.

Could you tell me when the £149 will be returned?

Many thanks, Josephine"""


def classify(page: Page) -> None:
    """Ask about a ticket."""
    text_box = page.get_by_placeholder("Paste a text")
    text_box.fill(TICKET)
    text_box.press("Control+Enter")
    page.locator("article.card").first.wait_for()
    text_box.evaluate("box => { box.blur(); box.scrollTop = 0; }")


def batch(page: Page) -> None:
    """Answer the inbox."""
    upload(page, INBOX.name, INBOX.read_text(encoding="utf-8"))
    page.get_by_role("button", name="Start").click()
    page.get_by_role("button", name="Download CSV").wait_for()


def train(page: Page) -> None:
    """Look at a file before training."""
    upload(page, SAMPLE.name, SAMPLE.read_text(encoding="utf-8"))
    page.get_by_role("button", name="Start training").wait_for()


def report(page: Page) -> None:
    """Show what is confused."""
    page.get_by_role("radio", name="Confusion").click()
    page.get_by_test_id("stEChartsChart").wait_for()


def explore(page: Page) -> None:
    """Show the map."""
    page.get_by_test_id("stEChartsChart").wait_for()


def review(page: Page) -> None:
    """Decide about three documents."""
    count = page.locator(".facts span", has_text="decided now").locator("strong")
    for number in range(4):
        page.wait_for_function(
            "([place, wanted]) => document.querySelector(place)?.parentElement.textContent.startsWith(wanted)",
            arg=[".facts span:nth-child(2) strong", str(number)],
        )
        if number < 3:
            page.keyboard.press("Enter")
    count.wait_for()


def models(page: Page) -> None:
    """Compare two versions."""
    page.get_by_role("radio", name="Compare").click()
    page.get_by_role("heading", name="Label by label").wait_for()


PAGES: dict[str, tuple[str, Callable[[Page], None]]] = {
    "classify": ("", classify),
    "batch": ("batch", batch),
    "train": ("train", train),
    "report": ("report", report),
    "explore": ("explore", explore),
    "review": ("review", review),
    "models": ("models", models),
}


def main() -> None:
    """Take every picture, or those of the pages that are named."""
    wanted = sys.argv[1:] or list(PAGES)
    if unknown := set(wanted) - set(PAGES):
        sys.exit(f"there is no page {', '.join(sorted(unknown))}; give some of {', '.join(PAGES)}")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(Path(folder) / "models")
        workflows.train(SAMPLE, settings, name=NAME)
        mapping.map_documents(NAME, settings)
        with served(settings.models_dir, Path(folder) / "log.txt") as address, chromium() as browser:
            for name in wanted:
                if name == "models":
                    a_second_version(settings)
                for scheme in ("light", "dark"):
                    take(browser, address, name, scheme)


def a_second_version(settings: Settings) -> None:
    """Train once more, with some decisions of the review."""
    model = workflows.open_predictor(NAME, settings)
    for item in workflows.review_queue(model, NAME, settings, limit=12).items:
        correct(settings, NAME, "1", item.text, old_label=item.label, new_label=item.suggestion, who="ana")
    workflows.retrain(NAME, settings)


def take(browser: Browser, address: str, name: str, scheme: str) -> None:
    """Walk to where a page shows what it can, and take a picture."""
    path, walk = PAGES[name]
    target = IMAGES / (f"{name}.png" if scheme == "light" else f"{name}-dark.png")
    with browser.new_context(
        viewport={"width": 1440, "height": 900}, color_scheme="dark" if scheme == "dark" else "light"
    ) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"{address}/{path}")
        page.get_by_role("heading", level=1).wait_for()
        walk(page)
        page.get_by_test_id("stStatusWidget").wait_for(state="detached")
        page.mouse.move(1430, 890)
        page.wait_for_timeout(1500)
        page.screenshot(path=target)
    if target.stat().st_size > MAX_BYTES:
        sys.exit(f"{target} is larger than {MAX_BYTES:,} bytes")


if __name__ == "__main__":
    main()
