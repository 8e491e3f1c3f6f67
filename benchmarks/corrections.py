"""Do corrections from the review queue help more than random ones: ``python benchmarks/corrections.py TRAIN TEST``.

Of a labelled file some labels are removed and some flipped. A model is trained on the rest, and 200 documents get their
true label: those that the queue brings first, or random ones. Both retrained models answer the same test file.
"""

from __future__ import annotations

import argparse
import csv
import random
import shutil
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from classifier import workflows
from classifier.datamodels import Document, Settings
from classifier.errors import TrainingDataWarning
from classifier.reports import FIND_COLUMNS
from classifier.workflows.corrections import correct, send_to_review

NAME, SOURCE = "corrected", "not labelled"
REMOVED, FLIPPED = 0.2, 0.05


def main() -> None:
    """Print a row for each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--corrections", type=int, default=200)
    parser.add_argument("--strategy", default="recommended")
    options = parser.parse_args()
    warnings.simplefilter("ignore", TrainingDataWarning)
    documents = workflows.read_labelled(options.train, FIND_COLUMNS).documents
    print("| seed | as it is | random | queue | flips, unlabelled in the queue | retraining, s |")
    print("|---|---|---|---|---|---|")
    for seed in range(options.seeds):
        print(row(documents, seed, options), flush=True)


def row(documents: Sequence[Document], seed: int, options: argparse.Namespace) -> str:
    """Run both ways to correct for one seed."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(Path(folder) / "models")
        given = spoiled(documents, seed)
        file = Path(folder) / "documents.csv"
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerows([("id", "text", "label"), *((one.id, one.text, one.label or "") for one in given)])
        workflows.train(file, settings, name=NAME)
        send_to_review(settings, NAME, [one for one in given if one.label is None], source=SOURCE)
        before = accuracy(settings, options.test)
        model = workflows.open_predictor(NAME, settings)
        queue = workflows.review_queue(model, NAME, settings, strategy=options.strategy, limit=options.corrections)
        chosen = [item.text for item in queue.items]
        drawn = random.Random(seed).sample([one.text for one in given], options.corrections)
        found = {}
        for way, texts in (("random", drawn), ("queue", chosen)):
            own = Settings(Path(folder) / way)
            shutil.copytree(settings.models_dir, own.models_dir)
            found[way] = corrected(own, documents, given, texts, options.test)
        kinds = flips_and_unlabelled(documents, given, chosen)
        seconds = ", ".join(f"{found[way][1]:.1f}" for way in found)
        shares = " | ".join(f"{100 * share:.2f}" for share in (before, found["random"][0], found["queue"][0]))
        return f"| {seed} | {shares} | {kinds[0]}, {kinds[1]} | {seconds} |"


def spoiled(documents: Sequence[Document], seed: int) -> list[Document]:
    """Remove some labels, and flip some of the others."""
    rng = random.Random(seed)
    labels = sorted({one.label or "" for one in documents})
    given = []
    for one in documents:
        drawn = rng.random()
        label: str | None = one.label
        if drawn < REMOVED:
            label = None
        elif drawn < REMOVED + (1 - REMOVED) * FLIPPED:
            label = rng.choice([other for other in labels if other != one.label])
        given.append(Document(one.id, one.text, label, one.row))
    return given


def corrected(
    settings: Settings, documents: Sequence[Document], given: Sequence[Document], texts: Sequence[str], test: Path
) -> tuple[float, float]:
    """Give documents their true labels and train again; return test accuracy and the seconds of training."""
    truth = {one.text: one.label or "" for one in documents}
    before = {one.text: one.label or "" for one in given}
    for text in texts:
        correct(settings, NAME, "1", text, old_label=before[text], new_label=truth[text], who="benchmark")
    started = time.perf_counter()
    workflows.retrain(NAME, settings, promote=True)
    seconds = time.perf_counter() - started
    return accuracy(settings, test), seconds


def flips_and_unlabelled(
    documents: Sequence[Document], given: Sequence[Document], texts: Sequence[str]
) -> tuple[int, int]:
    """Count the wrong labels and the documents without one among some texts."""
    truth, before = {one.text: one.label for one in documents}, {one.text: one.label for one in given}
    n_flips = sum(before[text] not in {None, truth[text]} for text in texts)
    return n_flips, sum(before[text] is None for text in texts)


def accuracy(settings: Settings, test: Path) -> float:
    """Measure the promoted version."""
    evaluation = workflows.evaluate(NAME, test, settings).evaluation
    return float(getattr(evaluation, "accuracy"))  # noqa: B009 # the other kind of evaluation has none


if __name__ == "__main__":
    main()
