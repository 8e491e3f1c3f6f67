"""Documents of many kinds become text; whatever is wrong with one becomes one sentence, in time."""

from __future__ import annotations

import contextlib
import io
import random
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import pytest
from docx import Document
from pypdf import PdfReader, PdfWriter

from classifier.errors import FileProblemError, UnknownNameError
from classifier.memory import peak_memory_bytes
from classifier.reading.parsing import KINDS, ParsingLimits, parse

MOST_GROWN_BYTES = 16_000_000
MOST_SECONDS = 5.0
KEEP = "Where is my parcel?"


def pdf(*pages: str) -> bytes:
    """Write a PDF by hand, one line of text on each page; an empty one has a picture instead."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for text in pages:
        content = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode() if text else b"0 0 100 100 re f"
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
        kids.append(len(objects) + 1)
        resources = b"/Resources << /Font << /F1 3 0 R >> >>"
        head = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792]"
        objects.append(b"%s %s /Contents %d 0 R >>" % (head, resources, len(objects)))
    listed = b" ".join(b"%d 0 R" % kid for kid in kids)
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (listed, len(kids))
    body, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(body)
    size = len(objects) + 1
    body += b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
    return body + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, start)


def docx() -> bytes:
    """Write a document with a header, a footer, a table in a table, and two sections."""
    document = Document()
    document.sections[0].header.paragraphs[0].text = "Letterhead"
    document.sections[0].footer.paragraphs[0].text = "Page foot"
    document.add_paragraph(KEEP)
    table = document.add_table(2, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "order", "4711"
    table.cell(1, 0).add_table(1, 1).cell(0, 0).text = "inner"
    document.add_paragraph("Kind regards")
    document.add_section()
    return saved(document)


def saved(document: Any) -> bytes:
    """Return the bytes of a document."""
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def encrypted(content: bytes, password: str) -> bytes:
    """Protect a PDF by a password."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(content)))
    writer.encrypt(password, algorithm="RC4-128")
    stream = io.BytesIO()
    writer.write(stream)
    return stream.getvalue()


def mail(*, is_html: bool = False, encoding: str = "utf-8") -> bytes:
    """Write a message with an attachment."""
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "Grüße", "ana@example.org", "shop@example.org"
    if is_html:
        message.set_content(f"<html><style>p{{}}</style><p>{KEEP}</p><p>Ciao</p></html>", subtype="html")
    else:
        message.set_content(f"{KEEP}\nÄpfel", charset=encoding)
    message.add_attachment(b"%PDF-1.4 secret", maintype="application", subtype="pdf", filename="bill.pdf")
    return message.as_bytes()


def archive(**members: bytes) -> bytes:
    """Zip."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return stream.getvalue()


PAGE = f"<html><head><title>T</title></head><body><!-- no --><h1>Help</h1><p>{KEEP}\n <b>Now</b></p><script>x</script>"
READABLE = [
    ("a.pdf", pdf(KEEP, "Second"), [KEEP, "Second"], [], []),
    ("B.PDF", pdf(KEEP, ""), [KEEP], [], ["1 of 2 pages hold no text"]),
    ("open.pdf", encrypted(pdf(KEEP), ""), [KEEP], [], []),
    ("a.docx", docx(), ["Letterhead", KEEP, "order\t4711", "inner", "Kind regards", "Page foot"], [], []),
    ("a.html", PAGE.encode(), ["Help\n", f"{KEEP} Now"], ["script", "no", "<b>"], []),
    ("a.htm", "<p>Äpfel".encode(), ["Äpfel"], [], []),
    ("old.html", '<meta charset="iso-8859-1"><p>Äpfel'.encode("latin-1"), ["Äpfel"], [], []),
    ("cells.html", b"<table><tr><td>a<td>b<tr><td>c", ["a\tb\nc"], [], []),
    ("a.eml", mail(), ["Subject: Grüße", "ana@example.org", KEEP, "Äpfel"], ["secret"], ["'bill.pdf' (15 bytes)"]),
    ("b.eml", mail(is_html=True), [KEEP, "Ciao"], ["p{}", "<p>"], ["not read"]),
    ("c.eml", mail(encoding="latin-1"), ["Äpfel"], [], []),
    ("odd.eml", b"Subject: x\nContent-Type: text/plain; charset=klingon\n\nhello", ["hello"], [], []),
]
ENTITIES = b'<!DOCTYPE d [<!ENTITY a "ha">%s]><p>&z;</p>' % b"".join(
    b'<!ENTITY %c "%s">' % (letter, b"&%c;" % (letter - 1) * 10) for letter in b"bcdefghijklmnopqrstuvwxyz"
)
REFUSED: list[tuple[str, bytes | Callable[[], bytes], str]] = [  # what takes long to make is made by its test
    ("a.pdf", b"", "damaged|holds no text|empty"),
    ("a.pdf", b"%PDF-1.7 and nothing more", "damaged"),
    ("a.pdf", pdf("x")[:200], "damaged|no text"),
    ("scan.pdf", pdf("", ""), "only pictures"),
    ("locked.pdf", encrypted(pdf(KEEP), "secret"), "password"),
    ("a.docx", b"PK\x03\x04 nothing", "damaged"),
    ("a.docx", archive(**{"word/document.xml": b"<x/>"}), "damaged"),
    ("bomb.docx", lambda: archive(**{"word/document.xml": b"0" * 300_000_000}), "would unpack to"),
    ("many.docx", lambda: archive(**{f"f{number}": b"" for number in range(10_001)}), "would unpack to"),
    ("old.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "password, or an older .doc"),
    ("a.html", b"", "no text"),
    ("a.html", b"<script>only()</script>", "no text"),
    ("a.eml", b"", "no header"),
    ("a.eml", b"just words", "no header|no text"),
]


@pytest.mark.parametrize(("name", "content", "there", "missing", "notes"), READABLE, ids=[one[0] for one in READABLE])
def test_documents_become_text(
    name: str, content: bytes, there: list[str], missing: list[str], notes: list[str]
) -> None:
    """What a reader would see is there, what is no text is not, and what was left out is said."""
    found = parse(name, content)
    for words in there:
        assert words in found.text
    for words in missing:
        assert words not in found.text
    for words in notes:
        assert any(words in note for note in found.notes), found.notes
    assert len(found.notes) >= len(notes)


@pytest.mark.parametrize(("name", "content", "why"), REFUSED, ids=[f"{one[0]}-{one[2]}" for one in REFUSED])
def test_what_has_no_text_is_refused_in_one_sentence(name: str, content: bytes | Callable[[], bytes], why: str) -> None:
    """Encrypted, damaged, scanned and hostile files: the reason and what to do, in time."""
    content = content() if callable(content) else content
    started = time.monotonic()
    with pytest.raises(FileProblemError, match=why) as caught:
        parse(name, content)
    assert time.monotonic() - started < MOST_SECONDS
    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_entities_do_not_explode() -> None:
    """A page that would unfold to the size of the world is read or refused, in time and memory."""
    started = time.monotonic()
    assert len(outcome("a.html", ENTITIES)) < 10_000
    assert time.monotonic() - started < MOST_SECONDS


def test_a_file_that_is_too_large_is_not_opened() -> None:
    """The limit is told."""
    with pytest.raises(FileProblemError, match="larger than 1 MB"):
        parse("a.pdf", b"x" * (1 << 20) + b"x", ParsingLimits(file_bytes=1 << 20))


def test_time_that_is_up_keeps_what_was_read() -> None:
    """The pages read so far are used, and the rest is told; without any page the file is refused."""
    many = pdf(*[f"page {number}" for number in range(3000)])
    for seconds in (1.5, 2.5, 4.0, 6.0):  # a busy machine needs more to begin
        with contextlib.suppress(FileProblemError):
            found = parse("long.pdf", many, ParsingLimits(seconds=seconds))
            break
    assert found.text.startswith("page 0")
    assert "page 2999" not in found.text
    assert f"of its 3,000 pages could be read in {seconds:g} seconds" in found.notes[-1]
    with pytest.raises(FileProblemError, match=r"more than 0\.01 seconds"):
        parse("long.pdf", many, ParsingLimits(seconds=0.01))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux alone")
def test_memory_is_limited() -> None:
    """What needs more than is allowed is refused."""
    with pytest.raises(FileProblemError, match="more memory than is allowed"):
        parse("a.html", b"<p>x</p>" * 2_000_000, ParsingLimits(memory_bytes=200 << 20))


def test_other_endings_are_not_guessed() -> None:
    """The message lists what can be read."""
    with pytest.raises(UnknownNameError, match=r"\.docx"):
        parse("a.rtf", b"{\\rtf1}")


def test_nothing_is_opened_but_the_standard_streams() -> None:
    """No parser opens a socket or writes a file."""
    script = (
        "import sys\n"
        "def watch(event, args):\n"
        "    writes = event == 'open' and isinstance(args[1], str) and set(args[1]) & set('wax+')\n"
        "    bad = event.startswith('socket.') or writes\n"
        "    if bad: sys.stderr.write(f'{event} {args}')\n"
        "sys.addaudithook(watch)\n"
        "from classifier.reading import extraction\n"
        "list(extraction.EXTRACTORS[sys.argv[1]](sys.stdin.buffer.read()))\n"
    )
    for name, content, *_ in READABLE:
        kind = KINDS[f".{name.lower().rsplit('.', 1)[1]}"]
        ran = subprocess.run([sys.executable, "-B", "-c", script, kind], input=content, capture_output=True, check=True)
        assert ran.stderr == b"", name


def mutated(content: bytes, draw: random.Random) -> bytes:
    """Damage a file: change, cut, repeat or drop some bytes."""
    damaged = bytearray(content)
    for _ in range(draw.randint(1, 20)):
        at = draw.randrange(len(damaged) + 1)
        kind = draw.randrange(4)
        if kind == 0:
            damaged[at : at + 1] = draw.randbytes(1)
        elif kind == 1:
            damaged[at : at + draw.randint(1, 400)] = b""
        elif kind == 2:
            damaged[at:at] = damaged[at : at + draw.randint(1, 400)]
        else:
            damaged[at:at] = draw.randbytes(draw.randint(1, 40))
    return bytes(damaged)


def outcome(name: str, content: bytes) -> str:
    """Return the text of a file, or the sentence that refuses it, which is one."""
    try:
        return parse(name, content).text
    except FileProblemError as error:
        told = str(error)
    assert "\n" not in told
    assert "Traceback" not in told
    return told


def read_damaged(n_files: int, seed: int) -> None:
    """Read damaged files: text or one sentence each, in time."""
    draw = random.Random(seed)
    n_refused = 0
    for _ in range(n_files):
        name, content, *_ = draw.choice(READABLE)
        started = time.monotonic()
        told = outcome(name, mutated(content, draw))
        n_refused += told.startswith(f"{name}: ")
        assert time.monotonic() - started < MOST_SECONDS
    assert 0 < n_refused < n_files


def test_damaged_files_give_text_or_one_sentence() -> None:
    """A sample of what the long test reads."""
    read_damaged(12, 0)


@pytest.mark.slow
def test_three_hundred_damaged_files() -> None:
    """No traceback, none over five seconds, and the memory of whoever has them read stays as it is."""
    read_damaged(10, 0)
    before = peak_memory_bytes()
    read_damaged(300, 1)
    after = peak_memory_bytes()
    assert before is None or after is None or after - before < MOST_GROWN_BYTES
