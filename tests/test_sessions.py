"""Many people at once: each is answered, and nothing of one reaches another."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from page_session import PageSession, page_session, run_visits

from classifier import DocumentClassifier
from classifier.storage.registry import Registry
from classifier.ui import markup, state

N_PEOPLE, N_TURNS = 6, 3
THINGS = ("a refund for the grinder", "a parcel that is late", "an invoice that is wrong", "a kettle that leaks")


@pytest.fixture
def address(tmp_path: Path, real_model: DocumentClassifier, show_models: Callable[[Path], str]) -> str:
    """Have the pages show the real model."""
    Registry(tmp_path / "models").add("tickets", real_model.save)
    return show_models(tmp_path / "models")


def canary(number: int) -> str:
    """Return the word that only one person writes."""
    return f"canary{number}bird"


def text_of(number: int, turn: int) -> str:
    """Return what one person asks about; everybody has another text each time."""
    return (
        f"{canary(number)} asks for {THINGS[(number + turn) % len(THINGS)]}" + " please" * (number + 1) + " now" * turn
    )


async def ask_all(address: str) -> list[PageSession]:
    """Let everybody ask in the same moment, some times; return their sessions."""
    async with AsyncExitStack() as stack:
        people = [await stack.enter_async_context(page_session(address)) for _ in range(N_PEOPLE)]
        for turn in range(N_TURNS):
            texts = [text_of(number, turn) for number in range(N_PEOPLE)]
            await asyncio.gather(
                *(
                    person.ask(text, f"{len(text.split())} words, {len(text)} characters")
                    for person, text in zip(people, texts, strict=True)
                )
            )
    return people


def test_each_session_gets_its_own_answers(address: str, real_model: DocumentClassifier) -> None:
    """As the model answers alone; no word of one person is in what was sent to another."""
    people = run_visits(ask_all(address))
    for number, person in enumerate(people):
        assert person.problems == []
        assert canary(number).encode() in person.received
        for other in range(N_PEOPLE):
            assert other == number or canary(other).encode() not in person.received
        answers = real_model.classify([text_of(number, turn) for turn in range(N_TURNS)])
        for answer in answers:
            assert markup.percentage(answer.confidence).replace(">", "&gt;").encode() in person.received


def test_long_computations_take_turns() -> None:
    """No two of them run at the same time, whoever asks for them."""
    running, most = 0, 0

    def compute() -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.02)
        running -= 1
        return running

    threads = [threading.Thread(target=state.after_the_others, args=(compute,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_opened_models_cost_no_collection(tmp_path: Path, real_model: DocumentClassifier) -> None:
    """What an opened model brought along is not looked through after every run of a page."""
    gc.unfreeze()
    stored = Registry(tmp_path / "models").add("tickets", real_model.save)
    state.open_model(stored, stored.facts()["created"])
    try:
        assert gc.get_freeze_count() > len(gc.get_objects())
    finally:
        gc.unfreeze()
