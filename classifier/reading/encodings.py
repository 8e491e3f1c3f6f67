"""Find out how the bytes of a text file are to be read, and never read them wrongly in silence.

The order is: what the user named; a byte order mark; UTF-16 and UTF-32 by their NUL bytes; strict UTF-8 of the whole
file; a legacy code page guessed from the lines that are not ASCII. Every guess comes with a note for the user. A file
that is mostly UTF-8 is refused at its broken line: reading it as a code page would garble all the others.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from classifier.errors import FileProblemError, excerpt
from classifier.reading.codepages import DOUBLE_BYTE, guess_code_page
from classifier.reading.compression import open_bytes, open_text

CHUNK_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 20
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
WIDE_CODECS = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
CONTROLS = [bytes([code]) for code in range(32) if code not in b"\t\n\r"]
ESCAPE_CODECS = ("iso2022_jp", "iso2022_kr", "iso2022_jp_2")
NOT_CHARSETS = frozenset(["idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"])
TITLES = {
    "cp850": "DOS code page 850",
    "cp852": "DOS code page 852",
    "cp866": "DOS code page 866",
    "cp932": "Shift JIS",
    "cp949": "EUC-KR",
    "cp950": "Big5",
    "euc_jp": "EUC-JP",
    "gb18030": "GB 18030",
    "iso2022_jp": "ISO-2022-JP",
    "iso2022_jp_2": "ISO-2022-JP",
    "iso2022_kr": "ISO-2022-KR",
    "iso8859_2": "ISO 8859-2",
    "iso8859_5": "ISO 8859-5",
    "iso8859_6": "ISO 8859-6",
    "iso8859_15": "ISO 8859-15",
    "koi8_u": "KOI8-U",
    "mac_roman": "Mac Roman",
}
NAME_IT = "re-save it as UTF-8, or name its encoding with --encoding"


@dataclass(frozen=True)
class Encoding:
    """How to read a text file.

    Attributes
    ----------
    codec : str
        Name of a Python codec.
    guessed : bool
        Whether the bytes leave room for doubt.
    """

    codec: str
    guessed: bool = False

    @property
    def title(self) -> str:
        """The name that people use."""
        if self.codec.startswith("cp125"):
            return f"Windows-{self.codec[2:]}"
        if self.codec.startswith("utf-"):
            return "-".join(self.codec.split("-")[:2]).upper()
        return TITLES.get(self.codec, self.codec)

    @property
    def notes(self) -> tuple[str, ...]:
        """What to tell the user: one sentence about a guess, otherwise nothing."""
        if not self.guessed:
            return ()
        return (f"read as {self.title}, as it is not UTF-8; name another with --encoding",)


def find_encoding(path: Path, requested: str | None = None) -> Encoding:
    """Find the encoding of a text file.

    Parameters
    ----------
    path : Path
        A file; it is read once from end to end, and twice if it is not UTF-8.
    requested : str or None
        Name of the codec the user wants; obeyed without a guess.

    Returns
    -------
    Encoding
        A codec that the whole file, or at least a megabyte of its lines beyond ASCII, can be read with.

    Raises
    ------
    FileProblemError
        When no encoding fits, the file is broken UTF-8, or `requested` is unknown.
    """
    if requested is not None:
        return Encoding(_known_codec(path, requested))
    with open_bytes(path) as file:
        head = file.read(CHUNK_BYTES)
    for mark, codec in BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return Encoding(codec)
    if wide := _wide_codec(head):
        return Encoding(wide, guessed=True)
    if broken_line(path, "utf-8") is None:
        escaped = _escape_codec(head)
        return Encoding(escaped, guessed=True) if escaped else Encoding("utf-8")
    return Encoding(_legacy_codec(path), guessed=True)


def text_lines(path: Path, codec: str) -> Iterator[str]:
    r"""Stream the lines of a text file, each with its own line end (``\n``, ``\r\n`` or ``\r``).

    Raises
    ------
    FileProblemError
        When a byte does not fit the codec; names the line. Also as for `open_bytes`.
    """
    try:
        with open_text(path, codec) as file:
            for number, line in enumerate(file):
                yield line if number else line.removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        problem = f"line {broken_line(path, codec)} is not valid {Encoding(codec).title}"
        raise FileProblemError(path, problem, NAME_IT) from error


def broken_line(path: Path, codec: str) -> int | None:
    """Return the number of the first line that does not fit a codec, or None where all do."""
    decoder = codecs.getincrementaldecoder(codec)()
    line = 1
    with open_bytes(path) as file:
        while True:
            chunk = file.read(CHUNK_BYTES)
            try:
                line += decoder.decode(chunk, final=not chunk).count("\n")
            except UnicodeDecodeError as error:
                return line + error.object[: error.start].decode(codec, errors="ignore").count("\n")
            if not chunk:
                return None


def _known_codec(path: Path, name: str) -> str:
    """Return `name` if Python has such a character encoding."""
    try:
        "x".encode(name)
        is_charset = codecs.lookup(name).name not in NOT_CHARSETS
    except (LookupError, ValueError):
        is_charset = False
    if not is_charset:
        remedy = "use a name such as utf-8, utf-16, cp1252, shift_jis or gb18030"
        raise FileProblemError(path, f"there is no encoding {excerpt(name)}", remedy)
    return name


def _wide_codec(head: bytes) -> str | None:
    """Recognise UTF-16 or UTF-32 without a mark by the NUL bytes that they give to ASCII characters.

    Texts in Latin, Greek and Cyrillic script would be UTF-8 as well, every other byte being a control character.
    """
    if b"\x00" not in head:
        return None
    n_controls = sum(map(head.count, CONTROLS))
    if _decode_start(head, "utf-8") is not None and n_controls < 0.4 * len(head):
        return None
    for codec in WIDE_CODECS:
        text = _decode_start(head, codec)
        if text and "\x00" not in text and ("\n" in text or "\r" in text):
            return codec
    return None


def _decode_start(head: bytes, codec: str) -> str | None:
    """Decode the start of a file, which may end within a character; None where it does not fit the codec."""
    try:
        return codecs.getincrementaldecoder(codec)().decode(head)
    except UnicodeDecodeError:
        return None


def _escape_codec(head: bytes) -> str | None:
    """Recognise the seven-bit encodings of Japanese and Korean, which are ASCII to every other test."""
    if b"\x1b$" not in head:
        return None
    return next((codec for codec in ESCAPE_CODECS if _decode_start(head, codec) is not None), None)


def _legacy_codec(path: Path) -> str:
    """Guess the code page of a file that is not UTF-8, or refuse it as broken or mixed UTF-8."""
    sample = bytearray()
    n_valid = n_broken = 0
    with open_text(path, "utf-8", errors="surrogateescape") as file:
        for line in file:
            if line.isascii():
                continue
            beyond_ascii = [character for character in line if character > "\x7f"]
            broken = sum("\udc80" <= character <= "\udcff" for character in beyond_ascii)
            n_broken += broken
            n_valid += len(beyond_ascii) - broken
            if len(sample) < SAMPLE_BYTES:
                sample += line.encode("utf-8", errors="surrogateescape")
    codec = guess_code_page(bytes(sample))
    is_mixed = n_valid >= 10 and 3 * n_valid > n_broken and codec not in DOUBLE_BYTE
    if n_valid >= n_broken or is_mixed:
        share = "most" if n_valid >= n_broken else "some"
        raise FileProblemError(path, f"{share} of it is UTF-8, but line {broken_line(path, 'utf-8')} is not", NAME_IT)
    if codec is None:
        raise FileProblemError(path, "it is not UTF-8, and no other common encoding fits", NAME_IT)
    return codec
