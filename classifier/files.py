"""Small things that every room does with files: checksums, and reaching the disk."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path

_BLOCK_BYTES = 1 << 20


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def file_crc32(path: Path, n_bytes: int) -> int:
    """Return the CRC-32 of the first bytes of a file, read in blocks."""
    found = 0
    with path.open("rb") as stream:
        while n_bytes and (block := stream.read(min(n_bytes, _BLOCK_BYTES))):
            found = zlib.crc32(block, found)
            n_bytes -= len(block)
    return found


def sync_path(path: Path) -> None:
    """Make sure a file or folder has reached the disk, where the system lets us."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(PermissionError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears, or replaces an old one, in one step; after that it is on the disk.

    Raises
    ------
    OSError
        When it cannot be written; an old file is as it was.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        Path(temporary).chmod(0o644)
        sync_path(Path(temporary))
        Path(temporary).replace(path)
        sync_path(path.parent)
    finally:
        Path(temporary).unlink(missing_ok=True)
