"""Measure what the names of labels add to a few examples, on public data sets.

Usage: python benchmarks/few_examples.py FOLDER [--sets banking77,snips7] [--examples 1,2,5,8] [--draws 5]

FOLDER holds one folder for each data set, with ``train.csv`` and ``test.csv`` of the columns ``text`` and ``label``.
Each draw takes as many training documents of each label at random; accuracy is on the whole test split. The baseline
is scikit-learn's ``LogisticRegression()`` at its defaults, without and with the readable name of each label as one
more document. All see the same vectors.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from classifier import load_embedder
from classifier.embedding.contract import Embedder, Embeddings
from classifier.modeling.priors import LabelPriors, names_only_head, prior_texts
from classifier.modeling.race import fit_hybrid

SETS = ("banking77", "clinc150", "hwu64", "snips7", "sib200_eng_Latn")
WAYS = ("LR", "LR + names", "ours", "names alone")


@dataclass(frozen=True, slots=True)
class Split:
    """Labelled documents of one file, and their vectors."""

    texts: list[str]
    y: NDArray[np.intp]
    embeddings: Embeddings


def main() -> None:
    """Print the mean accuracy of each way, for each set and number of examples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--examples", default="1,2,5,8")
    parser.add_argument("--draws", type=int, default=5)
    arguments = parser.parse_args()
    embedder = load_embedder()
    sizes = [int(size) for size in arguments.examples.split(",")]
    print(f"{'set':18}{'per label':>10}" + "".join(f"{way:>13}" for way in WAYS) + f"{'lowest gain':>13}")
    found: dict[int, list[NDArray[np.float64]]] = {size: [] for size in sizes}
    for name in arguments.sets.split(","):
        classes, train, test = read(arguments.folder / name, embedder)
        texts = prior_texts(classes)
        priors = LabelPriors(texts, embedder.encode(texts))
        for size in sizes:
            rows = np.array([compare(draw(train, size, seed), test, priors, seed) for seed in range(arguments.draws)])
            found[size].append(rows.mean(axis=0))
            show(name, size, rows)
    for size in sizes:
        show("mean", size, np.array(found[size]))


def read(folder: Path, embedder: Embedder) -> tuple[list[str], Split, Split]:
    """Read and embed both splits of a data set; also return its labels."""
    tables = []
    for split in ("train", "test"):
        with (folder / f"{split}.csv").open(encoding="utf-8", newline="") as stream:
            tables.append(list(csv.DictReader(stream)))
    classes = sorted({row["label"] for row in tables[0]})
    code = {label: number for number, label in enumerate(classes)}
    train, test = (
        Split(
            [row["text"] for row in rows],
            np.array([code[row["label"]] for row in rows]),
            embedder.encode([row["text"] for row in rows]),
        )
        for rows in tables
    )
    return classes, train, test


def draw(train: Split, size: int, seed: int) -> Split:
    """Take documents of each label at random."""
    rng = np.random.default_rng(1000 * seed + size)
    labels = range(int(train.y.max()) + 1)
    rows = np.concatenate([rng.permutation(np.flatnonzero(train.y == label))[:size] for label in labels])
    return Split([train.texts[row] for row in rows], train.y[rows], train.embeddings[rows])


def compare(train: Split, test: Split, priors: LabelPriors, seed: int) -> list[float]:
    """Return the accuracy of each of the `WAYS`."""
    plain = LogisticRegression().fit(train.embeddings, train.y).predict(test.embeddings)
    more = (
        np.concatenate([train.embeddings, priors.embeddings]),
        np.concatenate([train.y, np.arange(len(priors.texts))]),
    )
    named = LogisticRegression().fit(*more).predict(test.embeddings)
    fit = fit_hybrid(train.embeddings, train.y, texts=train.texts, seed=seed, priors=priors)
    rows = None if fit.lexicon is None else fit.lexicon.transform(test.texts)
    ours = fit.head.predict_proba(test.embeddings, rows).argmax(axis=1)
    alone = names_only_head(priors.embeddings).predict_proba(test.embeddings).argmax(axis=1)
    return [float((answers == test.y).mean()) for answers in (plain, named, ours, alone)]


def show(name: str, size: int, rows: Sequence[NDArray[np.float64]] | NDArray[np.float64]) -> None:
    """Print the mean of several rows of accuracies, and the lowest gain of ours over the baseline."""
    table = np.asarray(rows)
    figures = "".join(f"{100 * share:13.2f}" for share in table.mean(axis=0))
    print(f"{name:18}{size:10}{figures}{100 * (table[:, 2] - table[:, 0]).min():+13.2f}", flush=True)


if __name__ == "__main__":
    main()
