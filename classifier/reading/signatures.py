"""Recognise files that are not text by their first bytes, so that the refusal can say what they are."""

from __future__ import annotations

from pathlib import Path

from classifier.errors import FileProblemError
from classifier.reading.compression import compression_in, compression_of, open_bytes

EXPORT = "open it in its own program and export it as CSV"
UNPACK = "unpack it first"
RENAME = "rename it to end as what it holds, such as .csv{}, or unpack it first"
AS_TEXT = "give its text as a column of a CSV file, or as .txt files in a folder"

SIGNATURES: dict[bytes, tuple[str, str]] = {
    b"PK\x03\x04": ("an Office document or a zip archive", EXPORT),
    b"PK\x05\x06": ("an empty zip archive", EXPORT),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("an older Office document", EXPORT),
    b"{\\rtf": ("a rich-text document", EXPORT),
    b"SQLite format 3\x00": ("an SQLite database", EXPORT),
    b"%PDF-": ("a PDF document", AS_TEXT),
    b"\x89PNG\r\n": ("an image", AS_TEXT),
    b"\xff\xd8\xff": ("an image", AS_TEXT),
    b"GIF87a": ("an image", AS_TEXT),
    b"GIF89a": ("an image", AS_TEXT),
    b"\x1f\x8b\x08": ("a gzip archive", RENAME.format(".gz")),
    b"BZh91AY&SY": ("a bzip2 archive", UNPACK),
    b"\xfd7zXZ\x00": ("an xz archive", UNPACK),
    b"7z\xbc\xaf\x27\x1c": ("a 7-Zip archive", UNPACK),
    b"Rar!\x1a\x07": ("a RAR archive", UNPACK),
    b"\x28\xb5\x2f\xfd": ("a Zstandard archive", RENAME.format(".zst")),
    b"PAR1\x15": ("a Parquet file", "give it as it is, and let its name end in .parquet"),
    b"ARROW1\x00\x00": ("an Arrow file", "export it as Parquet or CSV"),
}
WEB_PAGES = (b"<!doctype html", b"<html")
PARQUET = b"PAR1"


def is_parquet(path: Path) -> bool:
    """Tell whether a file begins and ends as Parquet does."""
    with path.open("rb") as file:
        if file.read(4) != PARQUET:
            return False
        file.seek(-4, 2)
        return file.read(4) == PARQUET


def refuse_binary(path: Path) -> None:
    """Raise when the first bytes of a file, or of what is compressed in it, say that it is not a table in text.

    Raises
    ------
    FileProblemError
        Names what the file is, and how to get its documents out.
    """
    if is_parquet(path):
        raise FileProblemError(path, "it is a Parquet file", "rename it to end in .parquet")
    with open_bytes(path) as file:
        head = file.read(256)
    is_compressed = compression_of(path) is not None
    if is_compressed and compression_in(head):
        raise FileProblemError(path, "it is compressed twice", "unpack it once")
    it = "what is compressed in it" if is_compressed else "it"
    for signature, (kind, remedy) in SIGNATURES.items():
        if head.startswith(signature):
            raise FileProblemError(path, f"{it} is {kind}, not a table of documents", remedy)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(WEB_PAGES):
        raise FileProblemError(path, f"{it} is a web page, not a table of documents", "download the data itself")
