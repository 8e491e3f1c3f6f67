"""Write docs/reference.md from the command line's own help, so that the two never differ.

Usage: python docs/make_reference.py
"""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from classifier.cli import app

TARGET = Path(__file__).with_name("reference.md")
VERBS = (
    "train",
    "evaluate",
    "predict",
    "explain",
    "similar",
    "check",
    "audit",
    "report",
    "errors",
    "threshold",
    "suspects",
    "review",
    "correct",
    "retrain",
    "embed",
    "compare",
    "compare-versions",
    "export",
    "map",
    "centroids",
    "between",
    "jobs",
    "models list",
    "models show",
    "models promote",
    "models delete",
    "cache info",
    "cache clear",
    "cache prune",
    "doctor",
)
INTRODUCTION = """# Command reference

`classifier VERB …` is the same as `python -m classifier VERB …`. This page is made by `python docs/make_reference.py`.

Exit codes: 0 done; 1 a mistake that you can mend, said in one sentence; 2 wrong usage; 3 finished with rejected rows,
whose list is named; 130 stopped by Ctrl+C. `CLASSIFIER_MODELS_DIR` names the folder of models,
`CLASSIFIER_CACHE_DIR` the one of what is kept between runs.
"""


def reference() -> str:
    """Return the page."""
    runner = CliRunner()
    sections = []
    for verb in VERBS:
        result = runner.invoke(
            app, [*verb.split(), "--help"], env={"COLUMNS": "100", "TERM": "dumb"}, prog_name="classifier"
        )
        text = re.sub(r"[ \t]+$", "", result.output, flags=re.MULTILINE).strip()
        sections.append(f"## classifier {verb}\n\n```text\n{text}\n```\n")
    return "\n".join([INTRODUCTION, *sections])


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
