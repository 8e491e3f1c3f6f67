"""Run whole processes and read what the operating system counted of them."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Run(NamedTuple):
    """One finished process."""

    seconds: float
    peak_mb: float
    output: str


def run(command: Sequence[str], environ: Mapping[str, str] | None = None) -> Run:
    """Run a command to its end, alone."""
    with tempfile.TemporaryFile("w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL, env=environ)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
        output.seek(0)
        return Run(seconds, usage.ru_maxrss / 1024, output.read())
