"""Measure what the names of labels add to a few examples, on public data sets.

Usage: python benchmarks/few_examples.py FOLDER [--sets banking77,snips7] [--examples 1,2,5,8] [--draws 5] [--numbers]

FOLDER holds one folder for each data set, with ``train.csv`` and ``test.csv`` of the columns ``text`` and ``label``.
Each draw takes as many training documents of each label at random; accuracy is on the whole test split. *ours* is
``DocumentClassifier().fit``, *names alone* is ``DocumentClassifier().fit_labels``. The baseline is scikit-learn's
``LogisticRegression()`` at its defaults, without and with the readable name of each label as one more document. All see
the same vectors. With ``--numbers`` labels are called ``1``, ``2``, …, which say nothing.
"""

from __future__ import annotations

import argparse
import csv
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from classifier import DocumentClassifier, load_embedder
from classifier.embedding.contract import Embedder, Embeddings
from classifier.errors import TrainingDataWarning
from classifier.modeling.priors import readable_name

SETS = ("banking77", "clinc150", "hwu64", "snips7", "sib200_eng_Latn")
WAYS = ("LR", "LR + names", "ours", "names alone")


@dataclass(frozen=True, slots=True)
class Split:
    """Labelled documents of one file, and their vectors."""

    texts: list[str]
    labels: NDArray[np.object_]
    embeddings: Embeddings


def main() -> None:
    """Print the mean accuracy of each way, for each set and number of examples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--examples", default="1,2,5,8")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--numbers", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", TrainingDataWarning)
    embedder = load_embedder()
    sizes = [int(size) for size in arguments.examples.split(",")]
    print(f"{'set':18}{'per label':>10}" + "".join(f"{way:>13}" for way in WAYS) + f"{'lowest gain':>13}")
    found: dict[int, list[NDArray[np.float64]]] = {size: [] for size in sizes}
    for name in arguments.sets.split(","):
        train, test = (read(arguments.folder / name / f"{split}.csv", embedder) for split in ("train", "test"))
        if arguments.numbers:
            train, test = numbered(train, test)
        alone = DocumentClassifier(embedder).fit_labels(sorted(set(train.labels)))
        by_names = accuracy(alone.proba_of(test.texts, test.embeddings), alone, test)
        for size in sizes:
            draws = (draw(train, size, seed) for seed in range(arguments.draws))
            rows = np.array([[*compare(part, test, embedder, seed), by_names] for seed, part in enumerate(draws)])
            found[size].append(rows.mean(axis=0))
            show(name, size, rows)
    for size in sizes:
        show("mean", size, np.array(found[size]))


def read(path: Path, embedder: Embedder) -> Split:
    """Read and embed a file."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    texts = [row["text"] for row in rows]
    return Split(texts, np.array([row["label"] for row in rows], dtype=object), embedder.encode(texts))


def numbered(train: Split, test: Split) -> tuple[Split, Split]:
    """Call labels by numbers."""
    number = {label: str(row) for row, label in enumerate(sorted(set(train.labels)), start=1)}
    train, test = (
        replace(one, labels=np.array([number[label] for label in one.labels], dtype=object)) for one in (train, test)
    )
    return train, test


def draw(train: Split, size: int, seed: int) -> Split:
    """Take documents of each label at random."""
    rng = np.random.default_rng(1000 * seed + size)
    labels = sorted(set(train.labels))
    rows = np.concatenate([rng.permutation(np.flatnonzero(train.labels == label))[:size] for label in labels])
    return Split([train.texts[row] for row in rows], train.labels[rows], train.embeddings[rows])


def compare(train: Split, test: Split, embedder: Embedder, seed: int) -> list[float]:
    """Return the accuracy of the first three of the `WAYS`."""
    labels = sorted(set(train.labels))
    names = embedder.encode([readable_name(label) for label in labels])
    plain = LogisticRegression().fit(train.embeddings, train.labels.tolist())
    named = LogisticRegression().fit(np.concatenate([train.embeddings, names]), [*train.labels, *labels])
    ours = DocumentClassifier(embedder, seed=seed).fit(train.texts, train.labels.tolist())
    return [
        accuracy(plain.predict_proba(test.embeddings), plain, test),
        accuracy(named.predict_proba(test.embeddings), named, test),
        accuracy(ours.proba_of(test.texts, test.embeddings), ours, test),
    ]


def accuracy(proba: NDArray[np.floating], model: LogisticRegression | DocumentClassifier, test: Split) -> float:
    """Return the share of test documents whose most probable label is right."""
    return float((model.classes_[proba.argmax(axis=1)] == test.labels).mean())


def show(name: str, size: int, rows: Sequence[NDArray[np.float64]] | NDArray[np.float64]) -> None:
    """Print the mean of several rows of accuracies, and the lowest gain of ours over the baseline."""
    table = np.asarray(rows)
    figures = "".join(f"{100 * share:13.2f}" for share in table.mean(axis=0))
    print(f"{name:18}{size:10}{figures}{100 * (table[:, 2] - table[:, 0]).min():+13.2f}", flush=True)


if __name__ == "__main__":
    main()
