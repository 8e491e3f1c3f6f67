"""The page in a real headless Chromium: a visitor's whole walk, nothing that leaves the machine, nothing that runs."""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, Page, expect
from serving import (
    PAYLOAD,
    PAYLOADS,
    SCREENSHOTS,
    TABLE_ROW_PIXELS,
    WAIT_MILLISECONDS,
    assert_nothing_ran,
    choose,
    opened,
    outside,
    upload,
)

from classifier import DocumentClassifier, workflows
from classifier.datamodels import Settings
from classifier.embedding.contract import Embedder
from classifier.storage.registry import Registry

pytestmark = pytest.mark.browser

N_ROWS = 100
TICKET = "I sent the grinder back three weeks ago and still wait for my money. Please refund me."


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory, real_model: DocumentClassifier, encoder: Embedder) -> Path:
    """Store the real model, and one whose labels, ids and documents are all payloads."""
    folder = tmp_path_factory.mktemp("browser") / "models"
    texts = [f"{payload} {kind}" for payload in PAYLOADS for kind in ("grinder", "kettle", "coffee beans")]
    labels = [payload for payload in PAYLOADS for _ in range(3)]
    hostile = DocumentClassifier(encoder).fit(texts, labels, ids=[f"{text} id" for text in texts])
    registry = Registry(folder)
    registry.add("tickets", real_model.save)
    registry.add("hostile", hostile.save)
    return folder


@pytest.fixture
def address(models_dir: Path, show_models: Callable[[Path], str]) -> str:
    """Have the pages show the models."""
    return show_models(models_dir)


@pytest.fixture
def page(browser: Browser, address: str, requested: list[str]) -> Iterator[Page]:
    """Open the page, recording what it asks for."""
    with opened(browser, address, requested) as page:
        page.get_by_role("heading", name="Try an example").wait_for()
        yield page


def paste(page: Page, text: str) -> None:
    """Paste a text and ask by keyboard."""
    page.get_by_placeholder("Paste a text").fill(text)
    page.keyboard.press("Control+Enter")


def upload_instead(page: Page, name: str, text: str) -> None:
    """Let go of what was uploaded, and upload another file."""
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("button", name="Clear")).to_have_count(0)
    expect(page.get_by_test_id("stFileUploader")).to_have_count(1)
    upload(page, name, text)


def test_walk_through_the_page(page: Page, requested: list[str], models_dir: Path) -> None:
    """Paste, upload a text, upload a table, look at a row, filter its neighbours; no request leaves the machine."""
    settings = Settings(models_dir)
    choose(page, 0, "tickets@1 · promoted")
    paste(page, TICKET)
    label = workflows.predict_text("tickets", TICKET, settings).label
    expect(page.get_by_role("heading", name=label, exact=True)).to_be_visible()

    upload(page, "note.txt", "Hello! The grinder makes a terrible noise and smells of burning.")
    note = page.locator(".dc.result", has_text="note.txt")
    expect(note).to_be_visible()
    expect(page.get_by_placeholder("Paste a text")).to_have_value("")

    upload_instead(page, "inbox.csv", f'ticket,who,message\n1,A,Where is my parcel?\n2,B,"{TICKET}"\n3,C,\n')
    expect(page.get_by_role("heading", name="2 rows answered, 1 with nothing to read")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    assert download.value.suggested_filename == "inbox.predicted.csv"
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert lines[0] == '"ticket","who","message","predicted_label","confidence","status"'
    assert len(lines) == 4

    table = page.get_by_test_id("stDataFrame").bounding_box()
    assert table is not None
    page.mouse.click(table["x"] + 15, table["y"] + 2.5 * TABLE_ROW_PIXELS)
    expect(page.get_by_role("heading", name=label, exact=True)).to_be_visible()
    expect(page.locator("article.card")).to_have_count(5)

    neighbours = workflows.similar("tickets", TICKET, settings, k=5, label="delivery")
    box = page.get_by_role("combobox", name="Label", exact=True)
    box.evaluate("element => element.scrollIntoView({block: 'center'})")  # a list that opens at the edge closes again
    box.click()
    page.get_by_role("option", name="delivery", exact=True).click()
    expect(page.locator("article.card .chip")).to_have_text(["delivery"] * len(neighbours))
    page.locator("details summary").first.click()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "walk.png")

    assert requested
    assert any(url.startswith("ws://") for url in requested)
    assert outside(requested) == set()


def test_nothing_a_visitor_sends_runs(page: Page, requested: list[str]) -> None:
    """Put scripts into texts, file names and cells."""
    choose(page, 0, "tickets@1 · promoted")
    paste(page, PAYLOAD)
    expect(page.locator(".dc.result .bars")).to_be_visible()
    assert_nothing_ran(page)

    name = "<img src=x onerror=window.hacked=1> [a](javascript:window.hacked=1) www.outside.example"
    upload(page, f"{name}.txt", PAYLOAD)
    expect(page.locator(".dc.result", has_text="onerror")).to_be_visible()
    assert_nothing_ran(page)

    upload_instead(page, f"{name}.csv", '"unclosed')
    alert = page.get_by_test_id("stAlert")
    expect(alert).to_contain_text(name.replace("www", "www\u2060"))
    assert alert.locator("a, img").count() == 0

    cell = PAYLOAD.replace('"', '""')
    upload_instead(page, f"{name}.csv", f'id,text,"{cell}"\n"{cell}","{cell}",1\n2,"{cell}",2,3\n')
    expect(page.get_by_role("heading", name="1 row answered, 1 rejected")).to_be_visible()
    table = page.get_by_test_id("stDataFrame").bounding_box()
    assert table is not None
    page.mouse.click(table["x"] + 15, table["y"] + 1.5 * TABLE_ROW_PIXELS)
    expect(page.get_by_role("heading", name="Row 1")).to_be_visible()
    assert_nothing_ran(page)
    assert outside(requested) == set()


def test_nothing_a_model_holds_runs(page: Page, requested: list[str]) -> None:
    """Use a model whose labels, ids and documents are scripts; its examples are on the page from the start."""
    examples = page.locator("[class*=st-key-example-] button")
    expect(examples).to_have_count(len(PAYLOADS))
    assert examples.locator("a, img, script").count() == 0
    examples.first.click()
    expect(page.locator("article.card")).to_have_count(5)
    assert page.locator(".dc :is(script, img, svg, a)").count() == 0
    page.get_by_test_id("stSelectbox").nth(2).locator("input").click()
    expect(page.get_by_role("option")).to_have_count(len(PAYLOADS) + 1)
    page.keyboard.press("Escape")
    upload(page, "inbox.csv", "text\nThe grinder\nThe kettle\n")
    expect(page.get_by_role("heading", name="2 rows answered")).to_be_visible()
    assert_nothing_ran(page)
    assert outside(requested) == set()


def test_a_document_of_another_kind_is_read(page: Page) -> None:
    """An e-mail is answered by what it says, and its attachment is listed."""
    choose(page, 0, "tickets@1 · promoted")
    mail = (
        f"Subject: Money\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/plain\n\n{TICKET}\n--x\n"
    )
    mail += "Content-Type: application/pdf\nContent-Disposition: attachment; filename=bill.pdf\n\nabc\n--x--\n"
    upload(page, "mail.eml", mail)
    expect(page.locator(".dc.result", has_text="mail.eml")).to_be_visible()
    expect(page.get_by_text("bill.pdf")).to_be_visible()
    upload_instead(page, "broken.pdf", "%PDF-1.4 nothing")
    expect(page.get_by_test_id("stAlert")).to_contain_text("it is damaged")


def test_a_batch_lives_on_without_its_page(
    page: Page, browser: Browser, address: str, requested: list[str], models_dir: Path
) -> None:
    """Upload, start, close the page, find the batch again by its address, look through it, download it."""
    page.get_by_role("link", name="Batch").click()
    page.get_by_role("heading", name="Batch").wait_for()
    choose(page, 0, "tickets@1 · promoted")
    rows = "".join(f'{number},"{TICKET} {number}"\n' for number in range(N_ROWS))
    payload = PAYLOAD.replace(chr(34), chr(34) * 2)
    rows += f'{N_ROWS},"{payload}"\n{N_ROWS + 1},too,many\n'
    upload(page, f"{PAYLOADS[1]}.csv", f"id,text\n{rows}")
    expect(page.get_by_text(f"The first of {N_ROWS + 2} rows")).to_be_visible()
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/batch?*job=*")
    place = page.url
    page.close()

    with browser.new_context(viewport={"width": 1440, "height": 1000}, accept_downloads=True) as context:
        again = context.new_page()
        again.set_default_timeout(WAIT_MILLISECONDS)
        again.on("request", lambda request: requested.append(request.url))
        again.goto(place)
        again.get_by_role("button", name="Download CSV").wait_for()
        expect(again.get_by_text(f"{N_ROWS + 1} rows answered")).to_be_visible()
        expect(again.get_by_role("heading", name="Rejected rows")).to_be_visible()
        found = {}
        for kind in ("CSV", "JSONL", "Parquet"):
            with again.expect_download() as download:
                again.get_by_role("button", name=f"Download {kind}").click()
            found[kind] = download.value.path().read_bytes()
        again.get_by_label("Contains").fill("no such words anywhere")
        again.keyboard.press("Enter")
        expect(again.get_by_text("No row passes these filters.")).to_be_visible()
        assert_nothing_ran(again)
        again.screenshot(path=SCREENSHOTS / "batch.png", full_page=True)
        again.get_by_role("button", name="Start another one").click()
        expect(again.get_by_test_id("stFileUploader")).to_be_visible()
        again.goto(f"{address}/batch?job=../../../etc/passwd")
        expect(again.get_by_test_id("stAlert")).to_contain_text("There is no job")
    lines = [json.loads(line) for line in found["JSONL"].decode().splitlines()]
    assert [line["id"] for line in lines] == [str(number) for number in range(N_ROWS + 1)]
    label = workflows.predict_text("tickets", f"{TICKET} 0", Settings(models_dir)).label
    assert lines[0]["predicted_label"] == label
    assert pq.read_table(io.BytesIO(found["Parquet"])).column("text").to_pylist() == [line["text"] for line in lines]
    assert found["CSV"].count(b"\n") >= N_ROWS + 2
    assert outside(requested) == set()


def test_a_foreign_host_name_is_refused(address: str) -> None:
    """A web page elsewhere that points its own name at this machine gets no session."""
    port = urlsplit(address).port
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    statuses = {}
    for host in (f"localhost:{port}", f"rebound.example:{port}"):
        connection = http.client.HTTPConnection("localhost", port, timeout=10)
        connection.request("GET", "/_stcore/stream", headers=upgrade | {"Host": host})
        statuses[host.split(":")[0]] = connection.getresponse().status
        connection.close()
    assert statuses == {"localhost": http.client.SWITCHING_PROTOCOLS, "rebound.example": http.client.FORBIDDEN}
