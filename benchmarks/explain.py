"""Measure whether the words that an explanation calls important matter more than random words do.

Usage: python benchmarks/explain.py FILE [--test TEST] [--documents N] [--words N]

FILE has the columns ``text`` and ``label``; without TEST, a fifth of it is held out. From each document, the words that
speak most for its label are left out together, and so are as many random ones (the mean of several draws). Counted is
the share of documents whose label loses more probability by the first. Documents with no more words than are left out
say nothing and are skipped.
"""

from __future__ import annotations

import argparse
import csv
import random
import statistics
import time
from pathlib import Path

import numpy as np

from classifier import DocumentClassifier
from classifier.analysis.intervals import wilson_interval
from classifier.modeling.explain import DeletionEffect, deletion_effect
from classifier.modeling.occlusion import word_spans

HELD_OUT_SHARE = 0.2


def main() -> None:
    """Train, explain, and print the share with its interval."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--test", type=Path, help="where documents are taken from [a fifth of FILE]")
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--words", type=int, default=3, help="how many are left out of each")
    arguments = parser.parse_args()
    rows, shuffled = read(arguments.file), random.Random(0)
    shuffled.shuffle(rows)
    n_held_out = 0 if arguments.test else int(HELD_OUT_SHARE * len(rows))
    held_out, training = rows[:n_held_out], rows[n_held_out:]
    if arguments.test:
        held_out = read(arguments.test)
        shuffled.shuffle(held_out)
    documents = [text for text, _ in held_out if len(word_spans(text)) > arguments.words][: arguments.documents]
    model = DocumentClassifier().fit([text for text, _ in training], [label for _, label in training])
    print(f"trained on {len(training):,} documents with {len(model.classes_)} labels")
    rng, started = np.random.default_rng(0), time.perf_counter()
    effects = [deletion_effect(model, text, arguments.words, rng) for text in documents]
    seconds = (time.perf_counter() - started) / max(len(documents), 1)
    report(effects, arguments.words, seconds)


def report(effects: list[DeletionEffect], n_words: int, seconds: float) -> None:
    """Print what came of it."""
    n_more = sum(effect.important > effect.random for effect in effects)
    low, high = wilson_interval(n_more, len(effects))
    print(
        f"leaving out {n_words} words, the important ones cost more than random ones in {n_more} of {len(effects)} "
        f"documents: {100 * n_more / max(len(effects), 1):.1f} % (95 % interval {100 * low:.1f} to {100 * high:.1f})"
    )
    for name in DeletionEffect._fields:
        drops = [getattr(effect, name) for effect in effects]
        print(f"  {name:10} mean drop of the probability {statistics.mean(drops):.3f}, median {np.median(drops):.3f}")
    print(f"  {1000 * seconds:.0f} ms for each document, its deletion test included")


def read(path: Path) -> list[tuple[str, str]]:
    """Read texts with their labels."""
    with path.open(encoding="utf-8", newline="") as stream:
        return [(row["text"], row["label"]) for row in csv.DictReader(stream) if row["text"].strip()]


if __name__ == "__main__":
    main()
