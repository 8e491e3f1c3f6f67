"""How much memory this process has taken."""

from __future__ import annotations

import sys


def peak_memory_bytes() -> int | None:
    """Return the most memory that this process has held at a time; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # on Windows
        return None
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else 1024 * found
