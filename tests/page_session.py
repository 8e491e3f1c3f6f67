"""A visitor of the page without a browser: it speaks to the server as Streamlit's own client does.

A browser that draws takes more of a processor than the server does. Where many people are measured on one machine,
all but one of them are therefore sessions of this kind: each has its own connection, state and run of the script.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

ANSWER_SECONDS = 120


class PageSession:
    """One session: its connection, the widgets it was sent, and all that it ever received.

    Attributes
    ----------
    received : bytearray
        Every message of the server.
    problems : list of str
        Every exception that the page showed.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._text_area = self._button = ""
        self.received = bytearray()
        self.problems: list[str] = []

    async def begin(self) -> None:
        """Run the script for the first time, to its end."""
        await self._connection.send(_rerun())
        await self._until_finished()
        if not (self._text_area and self._button):
            raise LookupError("the page has no text area and button")

    async def ask(self, text: str, answered: str) -> float:
        """Send a text as Ctrl+Enter does, and wait for the end of the run.

        Returns
        -------
        float
            Seconds until a message held `answered`.
        """
        message = BackMsg()
        message.rerun_script.SetInParent()
        states = message.rerun_script.widget_states.widgets
        states.add(id=self._text_area, string_value=text)
        states.add(id=self._button, trigger_value=True)
        started_at = time.perf_counter()
        await self._connection.send(message.SerializeToString())
        answered_at = await self._until_finished(answered.encode())
        if answered_at is None:
            raise LookupError(f"the run ended without an answer to {text!r}")
        return answered_at - started_at

    async def _until_finished(self, wanted: bytes | None = None) -> float | None:
        """Take messages until the run ends; return when one of them held what is wanted."""
        found = None
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                frame = await self._connection.recv(decode=False)
                if found is None and wanted is not None and wanted in frame:
                    found = time.perf_counter()
                self.received += frame
                if self._take(ForwardMsg.FromString(frame)):
                    return found

    def _take(self, message: ForwardMsg) -> bool:
        """Remember widgets and problems; tell whether the run ended."""
        if message.WhichOneof("type") == "script_finished":
            return message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN
        element = message.delta.new_element
        if element.HasField("text_area"):
            self._text_area = element.text_area.id
        elif element.HasField("button") and element.button.label == "Classify":
            self._button = element.button.id
        elif element.HasField("exception"):
            self.problems.append(element.exception.message or element.exception.type)
        return False


@asynccontextmanager
async def page_session(address: str) -> AsyncIterator[PageSession]:
    """Open a session of its own at the address of a server, and let its first run end."""
    place = urlsplit(address).netloc
    async with connect(
        f"ws://{place}/_stcore/stream", origin=address, subprotocols=["streamlit"], max_size=None
    ) as one:  # type: ignore[arg-type, list-item] # strings are taken
        session = PageSession(one)
        await session.begin()
        yield session


def _rerun() -> bytes:
    """Ask for a run of the script as it is at first."""
    message = BackMsg()
    message.rerun_script.query_string = ""
    return message.SerializeToString()
