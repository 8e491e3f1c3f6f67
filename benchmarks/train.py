"""Time ``classifier train`` against the pipeline anyone would write first, in turn, as whole processes.

Usage: python benchmarks/train.py FILE [--rounds N]

FILE has the columns ``text`` and ``label``. Each round runs both commands once; wall time and peak memory come from
the operating system's accounting of the finished process. Ratios are taken within a round, so a machine whose speed
drifts does not bend them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from processes import Run, run

NAIVE = Path(__file__).with_name("naive_pipeline.py")


def main() -> None:
    """Print a table of both commands and of their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    ours: list[Run] = []
    naive: list[Run] = []
    for number in range(1, arguments.rounds + 1):
        naive.append(run([sys.executable, str(NAIVE), str(arguments.file)]))
        with tempfile.TemporaryDirectory() as models:
            train = [
                "-m",
                "classifier",
                "train",
                str(arguments.file),
                "--name",
                "bench",
                "--models-dir",
                models,
                "--no-cache",
                "--json",
            ]
            ours.append(run([sys.executable, *train]))
        print(f"round {number}: naive {naive[-1].seconds:.1f} s, classifier train {ours[-1].seconds:.1f} s", flush=True)
    print(f"\n{'median of ' + str(arguments.rounds):24}{'wall s':>8}{'peak MB':>9}")
    for name, runs in (("naive pipeline", naive), ("classifier train", ours)):
        seconds = statistics.median(item.seconds for item in runs)
        print(f"{name:24}{seconds:8.1f}{statistics.median(item.peak_mb for item in runs):9.0f}")
    pairs = list(zip(ours, naive, strict=True))
    time_ratio = statistics.median(a.seconds / b.seconds for a, b in pairs)
    memory_ratio = statistics.median(a.peak_mb / b.peak_mb for a, b in pairs)
    print(f"{'ratio':24}{time_ratio:8.2f}{memory_ratio:9.2f}")
    print("\nstages of the last run, in seconds:")
    for stage, seconds in json.loads(ours[-1].output)["seconds"].items():
        print(f"  {stage:24}{seconds:8.1f}")


if __name__ == "__main__":
    main()
