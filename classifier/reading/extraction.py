"""Take the text out of documents. Runs in a process of its own, which `parsing` starts and limits.

Usage: ``python -m classifier.reading.extraction KIND``, the file on standard input, lines of JSON on standard output.
"""

from __future__ import annotations

import io
import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from email import policy
from email.message import MIMEPart
from email.parser import BytesParser
from typing import Any

from classifier.errors import counted

MOST_UNPACKED_BYTES = 200 << 20
MOST_RATIO = 200
MOST_MEMBERS = 10_000
MOST_CHARACTERS = 20_000_000
_SPACES = re.compile(r"\s+")
_OLE = b"\xd0\xcf\x11\xe0"
_BLOCKS = re.compile(
    "address|article|aside|blockquote|br|dd|div|dl|dt|fieldset|figcaption|figure|footer|form|h[1-6]|header|hr|li|main|"
    "nav|ol|option|p|pre|section|table|tr|ul"
)
_CELLS = frozenset({"td", "th"})
_SILENT = frozenset({"head", "script", "style", "template", "noscript", "svg", "math", "object", "iframe"})

Piece = dict[str, Any]
_TOO_MUCH: Piece = {"problem": "reading it takes more memory than is allowed", "remedy": "split it"}


class UnreadableError(Exception):
    """Why there is no text, and what to do."""

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem, self.remedy = problem, remedy
        super().__init__(problem)


def pdf_pieces(content: bytes) -> Iterator[Piece]:
    """Yield the text of each page."""
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(content))
    if reader.is_encrypted and not reader.decrypt(""):
        raise UnreadableError("it is protected by a password", "save a copy without one")
    n_pages, n_empty = len(reader.pages), 0
    yield {"n_parts": n_pages, "part": "page"}
    for page in reader.pages:
        text = page.extract_text().strip()
        n_empty += not text
        yield {"text": f"{text}\n\n", "part_done": True}
    if n_empty == n_pages:
        raise UnreadableError("it holds no text, only pictures", "run text recognition (OCR) on it first")
    if n_empty:
        yield {"note": f"{n_empty:,} of {counted(n_pages, 'page')} hold no text; a picture of text is not read"}


def docx_pieces(content: bytes) -> Iterator[Piece]:
    """Yield headers, paragraphs and tables in reading order, then footers."""
    if content.startswith(_OLE):
        raise UnreadableError("it is protected by a password, or an older .doc", "save it as a plain .docx")
    members = _unpackable(content)
    from docx import Document

    document = Document(io.BytesIO(content))
    for name in ("header", "footer"):
        if name == "footer":
            yield from ({"text": f"{text}\n"} for text in _blocks_of(document))
        seen = set[str]()
        for section in document.sections:
            part = getattr(section, name)
            text = "\n".join(_blocks_of(part)) if not part.is_linked_to_previous else ""
            if text.strip() and text not in seen:
                yield {"text": f"{text}\n"}
            seen.add(text)
    for name, what in (("word/footnotes.xml", "footnotes"), ("word/endnotes.xml", "endnotes")):
        if name in members:
            yield {"note": f"its {what} are not read"}


def html_pieces(content: bytes) -> Iterator[Piece]:
    """Yield what a reader of the page would see."""
    from lxml import etree, html

    if not content.strip():
        return
    try:
        root = html.document_fromstring(content, parser=html.HTMLParser(encoding=_utf8_or_none(content)))
    except etree.ParserError:
        return
    yield {"text": _seen_text(root)}


def eml_pieces(content: bytes) -> Iterator[Piece]:
    """Yield subject, sender and body of a message; attachments are listed, not read."""
    message = BytesParser(policy=policy.default).parsebytes(content)
    if not message.keys():
        raise UnreadableError("it has no header, so it is no e-mail", "save the message as .eml again")
    for name in ("Subject", "From", "To"):
        if message[name]:
            yield {"text": f"{name}: {message[name]}\n"}
    body = message.get_body(("plain", "html"))
    if body is not None:
        text = _decoded(body)
        if body.get_content_type() == "text/html":
            text = "".join(piece["text"] for piece in html_pieces(text.encode()))
        yield {"text": f"\n{text}"}
    for attachment in message.iter_attachments():
        size = len(attachment.get_payload(decode=True) or b"")
        name = attachment.get_filename() or attachment.get_content_type()
        yield {"note": f"its attachment {name!r} ({size:,} bytes) is not read"}


EXTRACTORS: dict[str, Callable[[bytes], Iterator[Piece]]] = {
    "pdf": pdf_pieces,
    "docx": docx_pieces,
    "html": html_pieces,
    "eml": eml_pieces,
}


def main() -> None:
    """Write the pieces of a document, then that it is done or why not."""
    kind, n_seconds, n_bytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    _limit(n_seconds, n_bytes)
    n_left = MOST_CHARACTERS
    try:
        for piece in EXTRACTORS[kind](sys.stdin.buffer.read()):
            text = piece.get("text", "")
            if len(text) > n_left:
                raise UnreadableError(f"it holds more than {MOST_CHARACTERS:,} characters", "split it")
            n_left -= len(text)
            _say(piece)
        _say({"done": True})
    except UnreadableError as error:
        _say({"problem": error.problem, "remedy": error.remedy})
    except MemoryError:
        _say(_TOO_MUCH)
    except Exception as error:  # noqa: BLE001 # whatever a parser raises on a damaged file means just that
        if _is_of_memory(error):
            _say(_TOO_MUCH)
            return
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        _say({"problem": f"it is damaged ({reason})", "remedy": "open it in its own program and save it again"})


def _is_of_memory(error: Exception) -> bool:
    """Tell whether a parser of XML gave up for want of memory, which it calls an unknown error."""
    etree = sys.modules.get("lxml.etree")
    if etree is None or not isinstance(error, etree.XMLSyntaxError):
        return False
    return bool(error.code == etree.ErrorTypes.ERR_NO_MEMORY)


def _say(piece: Piece) -> None:
    """Write one piece at once."""
    sys.stdout.write(json.dumps(piece) + "\n")
    sys.stdout.flush()


def _limit(n_seconds: int, n_bytes: int) -> None:
    """Let the system end this process where it takes too much; Windows has only the time limit of who started it."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (n_seconds, n_seconds + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))


def _unpackable(content: bytes) -> set[str]:
    """Return the names in an archive that is small enough to be unpacked."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
    n_bytes = sum(member.file_size for member in members)
    if len(members) > MOST_MEMBERS or n_bytes > min(MOST_UNPACKED_BYTES, MOST_RATIO * max(len(content), 1 << 16)):
        raise UnreadableError(
            f"it would unpack to {counted(len(members), 'file')} of {n_bytes:,} bytes, which no document does",
            "do not trust it",
        )
    return {member.filename for member in members}


def _blocks_of(container: Any) -> Iterator[str]:
    """Yield paragraphs, and rows of tables, of any depth."""
    from docx.table import Table

    for block in container.iter_inner_content():
        if isinstance(block, Table):
            for row in block.rows:
                yield "\t".join(" ".join(_blocks_of(cell)) for cell in row.cells)
        else:
            yield block.text


def _seen_text(root: Any) -> str:
    """Write the text of a page, blocks on lines of their own."""
    pieces: list[str] = []
    waiting: list[tuple[Any, bool]] = [(root, False)]
    while waiting:
        node, is_left = waiting.pop()
        is_element = isinstance(node.tag, str)
        is_block = is_element and _BLOCKS.fullmatch(node.tag)
        separator = "\n" if is_block else "\t" if node.tag in _CELLS else ""
        if is_left:
            pieces += [separator, _SPACES.sub(" ", node.tail or "")]
            continue
        waiting.append((node, True))
        if is_element and node.tag not in _SILENT:
            pieces += [separator, _SPACES.sub(" ", node.text or "")]
            waiting += [(child, False) for child in reversed(node)]
    lines = (
        "\t".join(filter(None, (" ".join(cell.split()) for cell in line.split("\t"))))
        for line in "".join(pieces).split("\n")
    )
    return "\n".join(filter(None, lines))


def _utf8_or_none(content: bytes) -> str | None:
    """Return UTF-8 where that is what it is; else the page's own word counts."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _decoded(part: MIMEPart) -> str:
    """Return the text of a part of a message, whatever its header says of it."""
    try:
        return str(part.get_content())
    except (LookupError, UnicodeError):
        payload = part.get_payload(decode=True)
        return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""


if __name__ == "__main__":
    main()
