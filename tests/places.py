"""Where tests keep what they share, and how large they are: light, as processes that tests start import it, too."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data"
THOROUGH = os.environ.get("CLASSIFIER_TEST_PROFILE") == "thorough"
_MADE_BY = {
    "encoders": ("converted", "openvino_runtime", "origin", "torch_encoder"),
    "static": ("static", "origin", "words"),
}
_SHARED_MEMORY, _ENOUGH_BYTES = Path("/dev/shm"), 4 << 30  # noqa: S108 # only fresh folders inside are used
MEMORY = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() and shutil.disk_usage(_SHARED_MEMORY).free > _ENOUGH_BYTES else None

N_THREADS = "1" if "PYTEST_XDIST_WORKER" in os.environ else "2"  # those of two processes would wait for each other


def cache_folder() -> str:
    """Make a cache folder of this process's own, in which what was converted or distilled by earlier runs is found.

    It stays in folders named by all that makes it: the pins, and our own code. Vectors never stay.
    """
    folder = Path(tempfile.mkdtemp(prefix="classifier-tests-", dir=MEMORY))
    for name, modules in _MADE_BY.items():
        sources = [ROOT / "constraints.txt", *(ROOT / "classifier" / "embedding" / f"{one}.py" for one in modules)]
        key = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
        kept = ROOT / ".pytest_cache" / f"{name}-{key}"
        kept.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(kept)
    return str(folder)


def scaled(quick: T, thorough: T) -> T:
    """Choose the size of a test: a sample for ``make test``, the whole for ``make test-all``."""
    return thorough if THOROUGH else quick
