"""A visitor of the page without a browser: it speaks to the server as Streamlit's own client does.

A browser that draws takes more of a processor than the server does, and nobody can press keys in it faster than it
draws. Each session of this kind has its own connection, state and run of the script, and sends what it likes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect

T = TypeVar("T")

ANSWER_SECONDS = 120
QUIET_SECONDS = 0.7


@dataclass(frozen=True)
class Button:
    """A button as it was drawn: its id, and the fragment that a press draws anew; empty for the whole page."""

    id: str
    fragment: str


class PageSession:
    """One session: its connection, the widgets it was sent, and all that it ever received.

    Attributes
    ----------
    received : bytearray
        Every message of the server.
    problems : list of str
        Every exception that the page showed.
    buttons : dict of str to Button
        By what is written on them, the last drawn last.
    """

    def __init__(self, connection: ClientConnection, page: str, query: str) -> None:
        self._connection, self._page, self._query = connection, page, query
        self._text_area = ""
        self.received = bytearray()
        self.problems: list[str] = []
        self.buttons: dict[str, Button] = {}

    async def run(self) -> None:
        """Run the script of the page as it is at first, to its end."""
        await self._send()
        await self.finished()

    async def ask(self, text: str, answered: str) -> float:
        """Send a text as Ctrl+Enter does, and wait for the end of the run.

        Returns
        -------
        float
            Seconds until a message held `answered`.
        """
        started_at = time.perf_counter()
        pressed = WidgetState(id=self.buttons["Classify"].id, trigger_value=True)
        await self._send(WidgetState(id=self._text_area, string_value=text), pressed)
        answered_at = await self.finished(answered.encode())
        if answered_at is None:
            raise LookupError(f"the run ended without an answer to {text!r}")
        return answered_at - started_at

    async def press(self, *buttons: Button) -> None:
        """Begin to draw, and press buttons meanwhile, without waiting for what they do."""
        await self._send(fragment=buttons[0].fragment)
        for button in buttons:
            await self._send(WidgetState(id=button.id, trigger_value=True), fragment=button.fragment)

    async def finished(self, wanted: bytes | None = None) -> float | None:
        """Take messages until a run ends; return when one of them held what is wanted."""
        found = None
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                frame = await self._connection.recv(decode=False)
                if found is None and wanted is not None and wanted in frame:
                    found = time.perf_counter()
                self.received += frame
                if self._take(ForwardMsg.FromString(frame)):
                    return found

    async def settled(self) -> None:
        """Take messages until there are no more."""
        while True:
            try:
                async with asyncio.timeout(QUIET_SECONDS):
                    frame = await self._connection.recv(decode=False)
            except TimeoutError:
                return
            self.received += frame
            self._take(ForwardMsg.FromString(frame))

    async def _send(self, *states: WidgetState, fragment: str = "") -> None:
        """Ask for a run of the script, or of a fragment, with some widgets changed."""
        message = BackMsg()
        message.rerun_script.page_name, message.rerun_script.query_string = self._page, self._query
        message.rerun_script.fragment_id = fragment
        message.rerun_script.widget_states.widgets.extend(states)
        await self._connection.send(message.SerializeToString())

    def button(self, words: str) -> Button:
        """Return the button that was drawn last of those whose words begin like this."""
        return next(button for name, button in reversed(self.buttons.items()) if name.startswith(words))

    def _take(self, message: ForwardMsg) -> bool:
        """Remember widgets and problems; tell whether a run ended."""
        if message.WhichOneof("type") == "script_finished":
            return message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN
        element = message.delta.new_element
        if element.HasField("text_area"):
            self._text_area = element.text_area.id
        elif element.HasField("button"):
            self.buttons.pop(element.button.label, None)
            self.buttons[element.button.label] = Button(element.button.id, message.delta.fragment_id)
        elif element.HasField("exception"):
            self.problems.append(element.exception.message or element.exception.type)
        return False


@asynccontextmanager
async def page_session(address: str, page: str = "", query: str = "") -> AsyncIterator[PageSession]:
    """Open a session of its own on a page of a server, and let its first run end."""
    place = urlsplit(address).netloc
    async with connect(
        f"ws://{place}/_stcore/stream", origin=address, subprotocols=["streamlit"], max_size=None
    ) as one:  # type: ignore[arg-type, list-item] # strings are taken
        session = PageSession(one, page, query)
        await session.run()
        yield session


def run_visits(visits: Coroutine[Any, Any, T]) -> T:
    """Run what visitors do in a thread of its own: the browser of other tests has a loop in the main one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, visits).result()
