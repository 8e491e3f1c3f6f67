"""Where written bytes go: a file that appears whole or not at all, or an open stream."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from classifier.errors import OutputError
from classifier.files import sync_path


class FileSink:
    """Bytes on their way to a file that is replaced in one step.

    Parameters
    ----------
    target : Path
        Where the file is to appear; an existing one stays as it is until `commit`.

    Raises
    ------
    OutputError
        When the folder cannot be written to, or `target` is no regular file.
    """

    def __init__(self, target: Path) -> None:
        self._target = Path(os.path.realpath(target))
        self._temporary = self._target.with_name(f".classifier-{secrets.token_hex(8)}.part")
        if self._target.exists() and not self._target.is_file():
            raise OutputError(target, "it is not a regular file", "name a file to write")
        self.handle: IO[bytes] = self._temporary.open("xb")

    def write(self, text: str) -> None:
        """Append text as UTF-8."""
        self.handle.write(text.encode("utf-8"))

    def commit(self) -> None:
        """Bring everything to disk and give the file its name."""
        self.handle.flush()
        os.fsync(self.handle.fileno())
        self.handle.close()
        if self._target.exists():
            self._temporary.chmod(stat.S_IMODE(self._target.stat().st_mode))
        self._temporary.replace(self._target)
        if os.name == "posix":
            sync_path(self._target.parent)

    def discard(self) -> None:
        """Remove what was written."""
        with suppress(OSError):
            self.handle.close()
        with suppress(OSError):
            self._temporary.unlink()


class StreamSink:
    """Text on its way to an open stream, such as standard output."""

    def __init__(self, stream: IO[Any]) -> None:
        stream.flush()
        self._stream = stream
        self._bytes: IO[bytes] | None = getattr(stream, "buffer", None)

    def write(self, text: str) -> None:
        """Append text, as UTF-8 with its own line ends wherever the stream lets its bytes be reached."""
        if self._bytes is not None:
            self._bytes.write(text.encode("utf-8"))
        else:
            self._stream.write(text)

    def write_bytes(self, content: bytes) -> None:
        """Append UTF-8."""
        if self._bytes is not None:
            self._bytes.write(content)
        else:
            self._stream.write(content.decode("utf-8"))

    def commit(self) -> None:
        """Hand everything over."""
        (self._bytes or self._stream).flush()

    def discard(self) -> None:
        """Do nothing: what went out cannot be called back."""


@contextmanager
def written_whole(target: Path | IO[Any]) -> Iterator[FileSink | StreamSink]:
    """Give a sink whose file appears when the block ends, or not at all when it fails.

    Raises
    ------
    OutputError
        When the target cannot be written.
    """
    with one_sentence(str(target) if isinstance(target, Path) else "standard output"):
        sink = FileSink(target) if isinstance(target, Path) else StreamSink(target)
        try:
            yield sink
            sink.commit()
        except BaseException:
            sink.discard()
            raise


@contextmanager
def one_sentence(target: str) -> Iterator[None]:
    """Turn what the operating system says into an `OutputError`."""
    try:
        yield
    except (OutputError, BrokenPipeError):
        raise
    except OSError as error:
        remedy = "check the folder, its permissions and the free space"
        raise OutputError(target, f"it cannot be written ({error.strerror or error})", remedy) from error
