"""The review page: a visitor's way through a queue, by keyboard, with nothing lost and nothing that runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import borrow
from hypothesis import given, settings
from hypothesis import strategies as st
from page_session import page_session, run_visits
from playwright.sync_api import Browser, Page, expect
from serving import PAYLOADS, WAIT_MILLISECONDS, assert_nothing_ran, choose_strategy, opened, outside
from streamlit.testing.v1 import AppTest

from classifier import DocumentClassifier, workflows
from classifier.datamodels import Document, Settings
from classifier.storage.registry import Registry
from classifier.ui import review_widgets
from classifier.ui.markup import unformatted
from classifier.ui.review_session import ReviewSession, numbered_labels
from classifier.workflows import corrections
from classifier.workflows.reviewing import ReviewItem, ReviewQueue

pytestmark = pytest.mark.usefixtures("light_pages")

NAME = "tickets"


def item(text: str, label: str = "", suggestion: str = "x") -> ReviewItem:
    """Make a document to decide about."""
    return ReviewItem("", text, label, suggestion, 0.5, (), None, "", "")


def session(*texts: str) -> ReviewSession:
    """Begin with some documents."""
    queue = ReviewQueue(tuple(map(item, texts)), len(texts), 0, 0)
    found = ReviewSession("m", queue)
    found.refill(queue)
    return found


def test_a_document_is_decided_once() -> None:
    """Ten presses of one button are one decision, and the next document is not skipped."""
    found = session("a", "b")
    first = found.current
    assert first is not None
    for _ in range(10):
        found.done(first, 1)
    assert (found.n_done, found.current and found.current.text, found.history) == (1, "b", [(1, first)])


def test_presses_say_for_which_screen_they_were_made() -> None:
    """Labels are counted from the screen of whoever accepts, also behind the acceptance."""
    found = session("a", "b")
    first, turn = found.items[0], found.turn
    assert found.n_pressed_since(turn) == 0
    assert found.n_pressed_for(first) is None
    found.choose("y")
    assert found.n_pressed_since(turn) == 1
    found.choose("z")
    assert (found.n_pressed_since(turn), found.n_pressed_since(found.turn)) == (2, 0)
    found.done(first, 1, 1)
    assert found.n_pressed_for(first) == 1
    assert found.n_pressed_for(found.items[0]) is None
    found.skip(found.items[0])
    assert found.n_pressed_for(first) is None


def test_undo_goes_back() -> None:
    """To the document of the last decision, as often as there was one."""
    found = session("a", "b")
    for number, one in enumerate(list(found.items)):
        found.done(one, number)
    assert found.current is None
    found.undo()
    found.undo()
    found.undo()
    assert [one.text for one in found.items] == ["a", "b"]
    assert found.n_done == 0


def test_the_suggestion_is_chosen_first_then_the_label() -> None:
    """What Enter accepts is filled in, and anew for each document."""
    found = session("a", "b")
    assert found.chosen == "x"
    found.choose("y")
    assert found.chosen == "y"
    found.skip(found.items[0])
    assert (found.chosen, found.n_skipped) == ("x", 1)
    found.bring_back(item("c", "old", ""))
    assert found.chosen == "old"


def test_what_others_decided_is_passed_over() -> None:
    """Up to the first document that is still open."""
    found = session("a", "b", "c")
    found.pass_over({"a", "b"}.__contains__)
    assert [one.text for one in found.items] == ["c"]


def test_skipped_documents_come_back_when_asked_for() -> None:
    """A fresh queue leaves them out until then."""
    found = session("a", "b")
    found.skip(found.items[0])
    found.refill(found.queue)
    assert [one.text for one in found.items] == ["b"]
    found.forget_skipped()
    assert [one.text for one in found.items] == ["a", "b"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["done", "skip", "undo"]), max_size=30))
def test_no_document_is_lost(steps: list[str]) -> None:
    """Whatever is pressed, each document is ahead, skipped or decided, and in one place only."""
    texts = {str(number) for number in range(6)}
    found, skipped = session(*sorted(texts)), set[str]()
    for number, step in enumerate(steps):
        current = found.current
        if step == "undo":
            found.undo()
        elif current is not None and step == "skip":
            found.skip(current)
            skipped.add(current.text)
        elif current is not None:
            found.done(current, number)
    ahead, decided = [one.text for one in found.items], [one.text for _, one in found.history]
    assert sorted([*ahead, *decided, *(skipped - set(ahead) - set(decided))]) == sorted(texts)


def test_number_keys_take_ten_labels() -> None:
    """In their order where there are keys enough for all, so that a key means one label; else the suggestion first."""
    assert numbered_labels(item("t", "c", "k"), ["k", "a", "c"]) == ["k", "a", "c"]
    labels = [chr(ord("a") + number) for number in range(20)]
    found = numbered_labels(item("t", "c", "k"), labels)
    assert found == ["k", "c", "a", "b", "d", "e", "f", "g", "h", "i"]


@pytest.fixture(scope="module")
def trained(library: Path, memory_folder: Path) -> Path:
    """Store a small model that needs no transformer, and one of payloads."""
    shelf = borrow(library, memory_folder / "review-page" / "models", NAME)
    texts = [f"{payload} {word}" for payload in PAYLOADS for word in ("grinder", "kettle", "coffee beans")]
    labels = [payload for payload in PAYLOADS for _ in range(3)]
    labels[0] = labels[-1]
    hostile = DocumentClassifier("lsa:8").fit(texts, labels, ids=[f"{text} id" for text in texts])
    Registry(shelf.models_dir).add("hostile", hostile.save)
    return shelf.models_dir


@pytest.fixture
def shelf(trained: Path, tmp_path: Path) -> Settings:
    """Begin with the models and no decision."""
    return Settings(shutil.copytree(trained, tmp_path / "models"))


@pytest.fixture
def address(shelf: Settings, show_models: Callable[[Path], str]) -> str:
    """Have the pages show the models."""
    return show_models(shelf.models_dir)


@pytest.fixture
def page(browser: Browser, address: str, requested: list[str]) -> Iterator[Page]:
    """Open the review of the tickets."""
    with opened(browser, f"{address}/review?model={NAME}@1", requested) as page:
        page.get_by_role("button", name="Skip").wait_for()
        yield page


def counted(page: Page, number: int, words: str) -> None:
    """Wait for a count."""
    expect(page.locator(".facts span", has_text=words).locator("strong")).to_have_text(
        str(number), timeout=WAIT_MILLISECONDS
    )


@pytest.mark.browser
def test_walk_by_keyboard(page: Page, requested: list[str], shelf: Settings) -> None:
    """Accept, choose by number, skip, undo, change, retrain, compare, promote; no request leaves the machine."""
    model = workflows.open_predictor(NAME, shelf)
    first, second = workflows.review_queue(model, NAME, shelf, limit=2).items
    expect(page.locator(".review .text")).to_have_text(first.text, timeout=WAIT_MILLISECONDS)
    page.keyboard.press("Enter")
    counted(page, 1, "decided now")
    [decision] = corrections.last_corrections(shelf, NAME)
    assert (decision.text, decision.new_label, decision.who) == (first.text, first.suggestion, "page")

    expect(page.locator(".review .text")).to_have_text(second.text, timeout=WAIT_MILLISECONDS)
    wanted = numbered_labels(second, list(map(str, model.classes_)))[2]
    page.keyboard.press("3")
    expect(page.get_by_role("button", name="Accept")).to_contain_text(wanted)
    page.keyboard.press("Enter")
    counted(page, 2, "decided now")
    assert corrections.last_corrections(shelf, NAME)[0].new_label == wanted

    page.keyboard.press("Space")
    counted(page, 1, "skipped")
    page.keyboard.press("u")
    counted(page, 1, "decided now")
    expect(page.locator(".review .text")).to_have_text(second.text, timeout=WAIT_MILLISECONDS)
    assert len(corrections.last_corrections(shelf, NAME)) == 1

    expect(page.get_by_role("button", name="Change")).to_have_count(1, timeout=WAIT_MILLISECONDS)
    page.get_by_role("button", name="Change").click()
    expect(page.locator(".review .text")).to_have_text(first.text, timeout=WAIT_MILLISECONDS)
    page.get_by_role("combobox", name="Another label, or one of your own").fill("a label of my own")
    page.get_by_role("option").filter(has_text="a label of my own").wait_for()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Accept")).to_contain_text("a label of my own")
    page.get_by_role("button", name="Accept").click()
    expect(page.locator(".decision").first).to_contain_text("a label of my own")
    assert corrections.last_corrections(shelf, NAME)[0].new_label == "a label of my own"

    page.get_by_role("button", name="Retrain with 1 new correction").click()
    page.wait_for_url("**/review?*job=*")
    page.get_by_role("button", name="Promote tickets@2").click(timeout=120_000)
    expect(page.get_by_text("tickets means tickets@2 now.")).to_be_visible()
    assert workflows.show_model(NAME, shelf)[0].reference == "tickets@2"
    assert outside(requested) == set()


async def decide_in_haste(address: str, shelf: Settings, n_documents: int) -> list[tuple[str, str]]:
    """Choose by a number and accept while a run lasts, again and again; return what was wanted and what was kept."""
    found = []
    async with page_session(address, "review", f"model={NAME}@1") as visitor:
        labels = workflows.open_predictor(NAME, shelf).classes_
        for number in range(n_documents):
            wanted = str(labels[number % len(labels)])
            await visitor.press(visitor.button(unformatted(wanted)), visitor.button("Accept"))
            await visitor.settled()
            assert len(corrections.last_corrections(shelf, NAME, n_documents)) == number + 1
            found.append((wanted, corrections.last_corrections(shelf, NAME)[0].new_label))
        await visitor.press(visitor.button("Undo"))
        await visitor.settled()
        assert len(corrections.last_corrections(shelf, NAME, n_documents)) == n_documents - 1
    return found


def test_what_is_pressed_in_haste_counts_in_its_order(address: str, shelf: Settings) -> None:
    """A number and Enter while the page is still being drawn: the chosen label is kept, not the suggestion."""
    found = run_visits(decide_in_haste(address, shelf, 8))
    assert [kept for _, kept in found] == [wanted for wanted, _ in found]


async def waver_in_haste(address: str, shelf: Settings, n_times: int) -> list[list[str]]:
    """Press two labels and accept while a run lasts, again and again; return what was kept each time."""
    found = []
    async with page_session(address, "review", f"model={NAME}@1") as visitor:
        first, last = map(str, workflows.open_predictor(NAME, shelf).classes_[:2])
        for _ in range(n_times):
            await visitor.press(*map(visitor.button, (unformatted(first), unformatted(last), "Accept")))
            await visitor.settled()
            found.append([one.new_label for one in corrections.last_corrections(shelf, NAME, 99)])
            assert unformatted(review_widgets.HASTE).encode() in visitor.received
            visitor.received.clear()
    return found


@pytest.mark.parametrize("n_times", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_of_two_labels_pressed_in_haste_none_is_kept(address: str, shelf: Settings, n_times: int) -> None:
    """Neither of them nor the suggestion, however the server happens to take the presses; and the page says so."""
    assert run_visits(waver_in_haste(address, shelf, n_times)) == [[]] * n_times


@pytest.mark.browser
def test_payloads_do_not_run(browser: Browser, address: str, requested: list[str], shelf: Settings) -> None:
    """Texts, labels, ids and sources that are programs stay text, also in decisions."""
    for number, payload in enumerate(PAYLOADS):
        corrections.send_to_review(
            shelf, "hostile", [Document(payload, f"{payload} {number}", payload)], source=payload
        )
    with opened(browser, f"{address}/review?model=hostile@1", requested) as page:
        choose_strategy(page, "Sent to review")
        for number in range(len(PAYLOADS)):
            counted(page, number, "decided now")
            page.wait_for_timeout(200)
            page.keyboard.press("Enter")
        counted(page, len(PAYLOADS), "decided now")
        expect(page.locator(".decision")).to_have_count(len(PAYLOADS))
        assert_nothing_ran(page)
    assert outside(requested) == set()


def _review() -> None:
    """Draw the page alone."""
    from classifier.ui.review import review

    review()


def test_counts_go_on_in_another_queue() -> None:
    """What was decided and skipped stays so, and can be undone."""
    before = session("a", "b", "c")
    before.done(before.items[0], 1)
    before.skip(before.items[0])
    after = ReviewSession("m", before.queue)
    after.follow(before)
    after.refill(after.queue)
    assert (after.n_done, after.n_skipped, [one.text for one in after.items]) == (1, 1, ["a", "c"])
    after.undo()
    assert (after.n_done, after.current and after.current.text) == (0, "a")


def accept(page: AppTest) -> AppTest:
    """Press the button that accepts."""
    page.button(key=next(button.key for button in page.button if (button.key or "").startswith("accept-"))).click()
    page.run()
    assert not page.exception
    return page


def test_two_people_do_not_overwrite_each_other_unseen(shelf: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who decides second is told, and the first decision stands; an undo of what was replaced says so."""
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(shelf.models_dir))
    pages = [AppTest.from_function(_review, default_timeout=60) for _ in range(2)]
    for page in pages:
        page.query_params["model"] = f"{NAME}@1"
        page.run()
    accept(pages[0])
    [first] = corrections.last_corrections(shelf, NAME)
    accept(pages[1])
    assert [one.number for one in corrections.last_corrections(shelf, NAME)] == [first.number]
    assert any("Somebody else decided" in error.value.replace("\\", "") for error in pages[1].error)
    corrections.correct(shelf, NAME, "1", first.text, old_label="", new_label="other", who="ben")
    pages[0].button(key=next(one.key for one in pages[0].button if (one.key or "").startswith("undo-"))).click().run()
    assert any("no longer counted" in error.value.replace("\\", "") for error in pages[0].error)
    assert corrections.last_corrections(shelf, NAME)[0].new_label == "other"


def test_a_damaged_file_stops_no_skip(shelf: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, never an error of the program."""
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(shelf.models_dir))
    page = AppTest.from_function(_review, default_timeout=60)
    page.query_params["model"] = f"{NAME}@1"
    page.run()
    (shelf.models_dir / "decisions.sqlite").write_bytes(b"no database at all, but long enough to be looked at" * 40)
    page.button(key=next(one.key for one in page.button if (one.key or "").startswith("skip-"))).click().run()
    assert not page.exception
    assert any("decisions cannot be read or kept" in error.value.replace("\\", "") for error in page.error)


def test_a_decision_that_cannot_be_kept_stays_to_be_made(shelf: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is shown, and the document is still there."""
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(shelf.models_dir))
    page = AppTest.from_function(_review, default_timeout=60)
    page.query_params["model"] = f"{NAME}@1"
    page.run()
    assert not page.exception
    (shelf.models_dir / "decisions.sqlite").write_bytes(b"no database at all, but long enough to be looked at" * 40)
    page.button(key=next(button.key for button in page.button if (button.key or "").startswith("accept-"))).click()
    page.run()
    assert not page.exception
    assert any("decisions cannot be read or kept" in error.value.replace("\\", "") for error in page.error)
