"""Serve the page to a real headless Chromium, and record what it asks for."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, FilePayload, Page, sync_playwright

ROOT = Path(__file__).parents[1]
SCREENSHOTS = ROOT / "output" / "screenshots"
CHROMIUM = shutil.which("chromium")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
START_SECONDS = 60
WAIT_MILLISECONDS = 30_000
HERE = {"localhost", "127.0.0.1"}
TABLE_ROW_PIXELS = 35

CHOSEN_AND_LEFT = """name => {
    const found = [...document.querySelectorAll('[role=radio]')].filter(one => one.textContent.trim() === name);
    const chosen = found.length === 1 && found[0].getAttribute('aria-checked') === 'true';
    return chosen && document.activeElement === document.body;
}"""

PAYLOADS = [
    "<script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "[click](javascript:window.hacked=1) ![](http://outside.example/a.png) http://outside.example",
    '"><svg onload=window.hacked=1>',
]
PAYLOAD = " ".join(PAYLOADS)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium; the test is skipped where there is none."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@dataclass(frozen=True)
class Server:
    """A page that is served: its address, and the process that does it, the first of a process group of its own."""

    address: str
    process: subprocess.Popen[bytes]


@contextmanager
def started(models_dir: Path, log: Path) -> Iterator[Server]:
    """Serve the page on a free port, with the models of a folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", str(port)]
    environment = os.environ | {"CLASSIFIER_MODELS_DIR": str(models_dir)}
    with (
        log.open("wb") as stream,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        ) as server,
    ):
        try:
            wait_until_healthy(f"http://localhost:{port}/_stcore/health", server, log)
            yield Server(f"http://localhost:{port}", server)
        finally:
            server.terminate()


@contextmanager
def served(models_dir: Path, log: Path) -> Iterator[str]:
    """Serve the page; give its address."""
    with started(models_dir, log) as server:
        yield server.address


@contextmanager
def opened(browser: Browser, address: str, requested: list[str]) -> Iterator[Page]:
    """Open an address in a session of its own; `requested` gets the address of everything it asks for."""
    with browser.new_context(viewport={"width": 1440, "height": 1000}) as context:
        page = context.new_page()
        page.set_default_timeout(WAIT_MILLISECONDS)
        page.on("request", lambda request: requested.append(request.url))
        page.on("websocket", lambda socket: requested.append(socket.url))
        page.goto(address)
        yield page


def wait_until_healthy(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Poll the server until it answers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(url, timeout=1) as answer:  # noqa: S310 # an address of this machine
                if answer.status == http.client.OK:
                    return
        except (URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"the server did not start: {log.read_text(encoding='utf-8')}")


def upload(page: Page, name: str, text: str) -> None:
    """Upload a file."""
    file: FilePayload = {"name": name, "mimeType": "text/plain", "buffer": text.encode()}
    page.get_by_test_id("stFileUploader").locator("input[type=file]").set_input_files(file)


def choose(page: Page, box: int, option: str) -> None:
    """Choose an option of a select box, counted from the top of the page, the sidebar first."""
    page.get_by_test_id("stSelectbox").nth(box).locator("input").click()
    page.get_by_role("option", name=option, exact=True).click()


def assert_nothing_ran(page: Page) -> None:
    """Give a payload the time to run, then look."""
    page.wait_for_timeout(300)
    assert page.evaluate("window.hacked") is None


def outside(requested: list[str]) -> set[str]:
    """Return every address that is not on this machine."""
    parts = [(urlsplit(url), url) for url in requested]
    return {url for part, url in parts if part.scheme in {"http", "https", "ws", "wss"} and part.hostname not in HERE}


def choose_strategy(page: Page, name: str) -> None:
    """Choose which documents to review, and wait until the choice has let go of the keyboard.

    It does so by being drawn anew: for a moment there are two of it.
    """
    page.get_by_role("radio", name=name, exact=True).click()
    page.wait_for_function(CHOSEN_AND_LEFT, arg=name)
