"""One writer at a time: a lock on a file, which the system lets go of when its process ends, however it ends."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from classifier.errors import OutputError

_TAKEN = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}


def lock_file(path: Path, target: object) -> int:
    """Open a file, with its folder made, and lock it.

    Parameters
    ----------
    path : Path
        The file; it is made where there is none.
    target : object
        What is being written, for the message.

    Returns
    -------
    int
        Its descriptor; closing it lets go.

    Raises
    ------
    OutputError
        When another process has it.
    OSError
        When the folder or the file cannot be made.
    """
    while True:
        with suppress(FileExistsError):  # it may be gone by now; opening tells
            path.parent.mkdir()
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        except FileNotFoundError:  # another process ended just now, and removed the folder
            if path.parent.is_symlink() or not path.parent.parent.is_dir():
                raise
            continue
        except OSError:
            with suppress(OSError):
                path.parent.rmdir()
            raise
        try:
            _lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _TAKEN:
                raise
            problem = "another run is writing it"
            raise OutputError(target, problem, "wait until that has ended, or name another output") from error
        if _is_still_there(descriptor, path):
            return descriptor
        os.close(descriptor)


def _is_still_there(descriptor: int, path: Path) -> bool:
    """Tell whether the locked file still has its name, and was not removed between opening and locking."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _lock(descriptor: int) -> None:
    """Lock at once or fail."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined] # on Windows alone
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
