"""Run whole processes and read what the operating system counted of them.

A process inherits the peak memory of whoever starts it, so each is started by a small interpreter: this very file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple


class Run(NamedTuple):
    """One finished process."""

    seconds: float
    peak_mb: float
    output: str


def run(command: Sequence[str]) -> Run:
    """Run a command to its end, alone."""
    ran = subprocess.run([sys.executable, __file__, *command], check=False, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {ran.returncode}: {ran.stderr[-1000:]}")
    counted = json.loads(ran.stderr.splitlines()[-1])
    return Run(counted["seconds"], counted["peak_mb"], ran.stdout)


def main() -> None:
    """Run a command and print on stderr, last, what was counted."""
    started = time.perf_counter()
    process = subprocess.Popen(sys.argv[1:])
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    print(json.dumps({"seconds": seconds, "peak_mb": usage.ru_maxrss / 1024}), file=sys.stderr)
    sys.exit(abs(process.returncode))


if __name__ == "__main__":
    main()
