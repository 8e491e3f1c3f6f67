"""Take the pictures of the README: ``python docs/screenshots.py MODEL``.

A model that does not exist yet is trained on the sample data first. The page is served on a free port and looked at
with headless Chromium, in light and in dark.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, sync_playwright

from classifier import workflows
from classifier.datamodels import Settings

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
SAMPLE = ROOT / "data" / "support_tickets.csv"
MAX_BYTES = 300_000
START_SECONDS = 60
TICKET = """Hello,

I sent the Wren grinder back on 3 October; tracking says it reached you on the 7th and someone signed for it. \
It is now the 21st and nothing has come back to my card. The form said five working days.

Could you tell me when the £149 will be returned?

Many thanks, Josephine"""


def main() -> None:
    """Take every picture."""
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/screenshots.py MODEL")
    settings = Settings.from_environment()
    name = sys.argv[1]
    if all(model.name != name for model in workflows.list_models(settings)):
        workflows.train(SAMPLE, settings, name=name)
    chromium = shutil.which("chromium") or sys.exit("chromium is not installed")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        take(browser, address, name, IMAGES / "classify.png", dark=False)
        take(browser, address, name, IMAGES / "classify-dark.png", dark=True)
        browser.close()


def take(browser: Browser, address: str, name: str, target: Path, *, dark: bool) -> None:
    """Ask about a ticket and take a picture of the answer."""
    scheme = "dark" if dark else "light"
    with browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme) as context:
        page = context.new_page()
        page.goto(address)
        page.get_by_test_id("stSelectbox").first.locator("input").click()
        page.get_by_role("option").filter(has_text=f"{name}@").filter(has_text="promoted").first.click()
        text_box = page.get_by_placeholder("Paste a text")
        text_box.fill(TICKET)
        text_box.press("Control+Enter")
        page.locator("article.card").first.wait_for()
        page.get_by_test_id("stStatusWidget").wait_for(state="detached")
        text_box.evaluate("box => { box.blur(); box.scrollTop = 0; }")
        page.mouse.move(1430, 890)
        page.wait_for_timeout(500)
        page.screenshot(path=target)
    if target.stat().st_size > MAX_BYTES:
        sys.exit(f"{target} is larger than {MAX_BYTES:,} bytes")


@contextmanager
def served() -> Iterator[str]:
    """Serve the page on a free port until the pictures are taken."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as server:  # noqa: S603 # the project's page
        try:
            wait_until_healthy(f"http://localhost:{port}/_stcore/health")
            yield f"http://localhost:{port}"
        finally:
            server.terminate()


def wait_until_healthy(url: str) -> None:
    """Poll the server until it answers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=1):  # noqa: S310 # an address of this machine
                return
        except (URLError, OSError):
            time.sleep(0.1)
    sys.exit("the page did not start")


if __name__ == "__main__":
    main()
