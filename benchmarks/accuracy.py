"""Measure accuracy, calibration, sets, scope, audit and training time on public data sets, each test split once.

Usage: python benchmarks/accuracy.py FOLDER [--parts accuracy,labels,sets,scope,audit,time]

FOLDER holds one folder for each data set, with ``train.csv`` and ``test.csv`` of the columns ``text`` and ``label``
(clinc150 also ``oos_test.csv``; medical_abstracts only ``test.csv``); several labels are joined by ``|``. Everything is
trained at its defaults, and nothing is chosen by a test split. Vectors are kept in the user's cache folder, so that a
second run embeds nothing.
"""

from __future__ import annotations

import argparse
import csv
import random
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array, hstack
from sklearn.svm import LinearSVC

from classifier import DocumentClassifier, load_embedder
from classifier.analysis.conformal import conformal_thresholds, nonconformity, prediction_sets, set_summary
from classifier.analysis.evaluation import evaluate
from classifier.analysis.multilabel import evaluate_multi_label, label_matrix
from classifier.analysis.scope import auroc, nearest_similarity
from classifier.embedding.contract import Embedder
from classifier.errors import TrainingDataWarning
from classifier.modeling.decisions import stored_scope
from classifier.modeling.label_sets import split_labels
from classifier.modeling.lexical import fit_lexicon

PARTS = ("accuracy", "labels", "sets", "scope", "audit", "time")
SETS = ("snips7", "banking77", "hwu64", "subj", "clinc150", "movie_reviews_long", "sib200_eng_Latn")
SETS_OF_LABELS = ("unfair_tos_en", "goemotions")
LEVELS = (0.9, 0.95)
N_SPLITS = 20
FLIPPED = 0.05
SIZES = (2000, 5000, 10_000, 20_000, 40_000)


def main() -> None:
    """Print one table for each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--sets", default=",".join(SETS))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", TrainingDataWarning)
    embedder = load_embedder()
    parts: dict[str, Callable[[], None]] = {
        "accuracy": lambda: accuracy(arguments.folder, arguments.sets.split(","), embedder),
        "labels": lambda: labels(arguments.folder, embedder),
        "sets": lambda: sets(arguments.folder, embedder),
        "scope": lambda: scope(arguments.folder, embedder),
        "audit": lambda: audit(arguments.folder, embedder),
        "time": lambda: training_time(arguments.folder, embedder),
    }
    for name in arguments.parts.split(","):
        print(f"\n== {name}", flush=True)
        parts[name]()


def accuracy(folder: Path, names: Sequence[str], embedder: Embedder) -> None:
    """Test accuracy at defaults, with calibration error; beside it the halves by cross-validation."""
    columns = f"{'':22}{'n':>7}{'accuracy':>10}{'interval':>16}{'macro-F1':>10}{'ECE':>8}{'train s':>9}"
    print(f"{columns}   held out: both; majority, nearest, embedding, words")
    found = []
    for name in names:
        texts, labels = read(folder / name / "train.csv")
        test_texts, test_labels = read(folder / name / "test.csv")
        embedder.encode(texts)
        started = time.perf_counter()
        model = DocumentClassifier(embedder).fit(texts, labels)
        seconds = time.perf_counter() - started
        classes = [str(label) for label in model.classes_]
        measured = evaluate(model.predict_proba(test_texts), classes, test_labels, majority=model.majority_label())
        found.append(measured.accuracy)
        low, high = measured.accuracy_interval
        halves = [f"{100 * one['accuracy']:.1f}" for one in model.facts_["baselines"]]
        cross = model.evaluation_.accuracy if model.evaluation_ else 0.0
        print(
            f"{name:22}{len(test_texts):7}{100 * measured.accuracy:10.2f}{f'{100 * low:.1f} to {100 * high:.1f}':>16}"
            f"{100 * measured.macro_f1:10.2f}{measured.ece:8.4f}{seconds:9.1f}   {100 * cross:.1f}, {' '.join(halves)}",
            flush=True,
        )
    print(f"{'mean':22}{'':7}{100 * np.mean(found):10.2f}")


def labels(folder: Path, embedder: Embedder) -> None:
    """Test metrics of any number of labels at defaults; beside them macro-F1 of the halves by cross-validation."""
    columns = f"{'':22}{'n':>7}{'macro-F1':>10}{'interval':>16}{'micro-F1':>10}{'exact':>8}{'ECE':>8}{'train s':>9}"
    print(f"{columns}   held out, macro-F1: both; majority, embedding, words")
    for name in SETS_OF_LABELS:
        texts, given = read(folder / name / "train.csv")
        test_texts, test_given = read(folder / name / "test.csv")
        embedder.encode(texts)
        started = time.perf_counter()
        model = DocumentClassifier(embedder, multi_label=True).fit(texts, given)
        seconds = time.perf_counter() - started
        proba = model.predict_proba(test_texts)
        y, names = label_matrix([split_labels(label) for label in test_given], model.classes_.tolist())
        measured = evaluate_multi_label(proba, model.given_labels(proba), names, y)
        low, high = measured.macro_f1_interval
        halves = [f"{100 * one['macro_f1']:.1f}" for one in model.facts_["baselines"]]
        print(
            f"{name:22}{len(test_texts):7}{100 * measured.macro_f1:10.2f}{f'{100 * low:.1f} to {100 * high:.1f}':>16}"
            f"{100 * measured.micro_f1:10.2f}{100 * measured.exact_match:8.2f}{measured.ece:8.4f}{seconds:9.1f}   "
            f"{100 * model.facts_['metrics']['macro_f1']:.1f}, {' '.join(halves)}",
            flush=True,
        )


def sets(folder: Path, embedder: Embedder) -> None:
    """Coverage and size of conformal sets on random halves of the test split, 20 times."""
    print(f"{'':22}{'level':>7}{'kind':>11}{'coverage':>10}{'lowest':>8}{'highest':>9}{'size':>7}{'empty':>7}")
    for name in ("banking77", "clinc150", "subj"):
        texts, labels = read(folder / name / "train.csv")
        test_texts, test_labels = read(folder / name / "test.csv")
        model = DocumentClassifier(embedder).fit(texts, labels)
        proba = model.predict_proba(test_texts)
        y = np.searchsorted(model.classes_.astype(str), test_labels)
        for level in LEVELS:
            for kind, measured in (
                ("own", [own_sets(model, proba, y, level, seed) for seed in range(N_SPLITS)]),
                ("split", [split_sets(proba, y, level, seed) for seed in range(N_SPLITS)]),
            ):
                coverage = [one.coverage for one in measured]
                print(
                    f"{name:22}{level:7.2f}{kind:>11}{np.mean(coverage):10.4f}{min(coverage):8.3f}{max(coverage):9.3f}"
                    f"{np.mean([one.mean_size for one in measured]):7.2f}"
                    f"{np.mean([one.empty_fraction for one in measured]):7.3f}",
                    flush=True,
                )


def own_sets(model: DocumentClassifier, proba: np.ndarray, y: np.ndarray, level: float, seed: int) -> object:
    """Take the thresholds that the model carries, and measure a random half of the test split."""
    half = np.random.default_rng(seed).permutation(len(y))[: len(y) // 2]
    measured = model.held_out_.measured
    scores = 1.0 - model.held_out_.truth[measured].astype(np.float64)
    labels = model.document_labels_[measured]
    thresholds = conformal_thresholds(scores, labels, proba.shape[1], level, per_class=False)
    return set_summary(prediction_sets(proba[half], thresholds), y[half])


def split_sets(proba: np.ndarray, y: np.ndarray, level: float, seed: int) -> object:
    """Take thresholds from one random half, and measure the other."""
    order = np.random.default_rng(seed).permutation(len(y))
    one, other = order[: len(y) // 2], order[len(y) // 2 :]
    scores = nonconformity(proba[one], y[one])
    thresholds = conformal_thresholds(scores, y[one], proba.shape[1], level, per_class=False)
    return set_summary(prediction_sets(proba[other], thresholds), y[other])


def scope(folder: Path, embedder: Embedder) -> None:
    """Refuse what belongs to no label, on clinc150, without one example of it."""
    texts, labels = read(folder / "clinc150" / "train.csv")
    inside, inside_labels = read(folder / "clinc150" / "test.csv")
    outside, _ = read(folder / "clinc150" / "oos_test.csv")
    model = DocumentClassifier(embedder).fit(texts, labels)
    rule = stored_scope(model.facts_)
    if rule is None:
        raise SystemExit("the model has no scope")
    scores = {}
    for name, asked in (("inside", inside), ("outside", outside)):
        proba = model.predict_proba(asked)
        similarity = nearest_similarity(model.encode(asked), model.embeddings_)
        rows = model.lexicon_.transform(asked) if model.lexicon_ else None
        evidence = model.head_.scores(model.encode(asked), rows).max(axis=1)
        scores[name] = rule.scores(evidence, similarity)
        if name == "outside":
            top_alone = proba.max(axis=1)
        else:
            top_inside = proba.max(axis=1)
    answers = model.classify(inside)
    refused = [answer.status == "out-of-scope" for answer in answers]
    right = [
        answer.label == label and not is_refused
        for answer, label, is_refused in zip(answers, inside_labels, refused, strict=True)
    ]
    found = [answer.status == "out-of-scope" for answer in model.classify(outside)]
    print(f"in-scope accuracy with refusals counted as wrong: {100 * np.mean(right):.2f} %")
    print(
        f"in-scope accuracy without refusing: {100 * (model.predict(inside) == np.array(inside_labels)).mean():.2f} %"
    )
    print(
        f"in scope refused: {100 * np.mean(refused):.2f} %; out of scope refused (recall): {100 * np.mean(found):.2f} %"
    )
    alone = auroc(top_inside, top_alone)
    print(f"AUROC: {auroc(scores['inside'], scores['outside']):.4f}; top probability alone: {alone:.4f}")


def audit(folder: Path, embedder: Embedder) -> None:
    """Conflicts of medical_abstracts, and flipped labels of banking77."""
    texts, labels = read(folder / "medical_abstracts" / "test.csv")
    model = DocumentClassifier(embedder).fit(texts, labels)
    by_text: dict[str, set[str]] = {}
    for text, label in zip(texts, labels, strict=True):
        by_text.setdefault(text, set()).add(label)
    expected = {row for row, text in enumerate(texts) if len(by_text[text]) > 1}
    found = {issue.row for issue in model.audit_.issues if issue.kind == "conflicting"}
    n_texts = sum(len(given) > 1 for given in by_text.values())
    print(
        f"medical_abstracts: {n_texts} texts in {len(expected)} documents conflict; {len(found & expected)} are listed"
    )
    texts, labels = read(folder / "banking77" / "train.csv")
    for seed in range(3):
        rng = random.Random(seed)
        names, flipped = sorted(set(labels)), rng.sample(range(len(labels)), round(FLIPPED * len(labels)))
        given = list(labels)
        for row in flipped:
            given[row] = rng.choice([name for name in names if name != labels[row]])
        model = DocumentClassifier(embedder).fit(texts, given)
        worst = [issue.row for issue in model.audit_.issues][: len(flipped)]
        by_margin = np.argsort(model.held_out_.truth - model.held_out_.confidence, kind="stable")[: len(flipped)]
        shares = [100 * len(set(rows) & set(flipped)) / len(flipped) for rows in (worst, by_margin.tolist())]
        print(
            f"banking77, seed {seed}: {len(flipped)} labels flipped; {shares[0]:.1f} % of them are in the first "
            f"{len(worst)} rows of the list, {shares[1]:.1f} % in as many by margin alone",
            flush=True,
        )


def training_time(folder: Path, embedder: Embedder) -> None:
    """Everything after embedding, against one LinearSVC(C=1) fit on the same features; and how it grows."""
    print(f"{'':22}{'documents':>10}{'train s':>9}{'one SVC s':>11}{'ratio':>7}")
    for name in ("banking77", "clinc150"):
        texts, labels = read(folder / name / "train.csv")
        time_one(name, texts, labels, embedder)
    texts, labels = read(folder / "goemotions" / "train.csv")
    single = [(text, label.split("|")[0]) for text, label in zip(texts, labels, strict=True) if label]
    for size in SIZES:
        part = single[:size]
        if len(part) == size:
            time_one("goemotions, first label", [text for text, _ in part], [label for _, label in part], embedder)


def time_one(name: str, texts: Sequence[str], labels: Sequence[str], embedder: Embedder) -> None:
    """Time one training and one plain fit, in turn."""
    vectors = embedder.encode(texts)
    started = time.perf_counter()
    DocumentClassifier(embedder).fit(texts, labels)
    ours = time.perf_counter() - started
    _, rows = fit_lexicon(texts)
    features = hstack([csr_array(vectors), rows.matrix()]).tocsr()
    started = time.perf_counter()
    LinearSVC(C=1).fit(features, labels)
    plain = time.perf_counter() - started
    print(f"{name:22}{len(texts):10}{ours:9.1f}{plain:11.1f}{ours / plain:7.2f}", flush=True)


def read(path: Path) -> tuple[list[str], list[str]]:
    """Read texts and labels."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["text"].strip()]
    return [row["text"] for row in rows], [row["label"] for row in rows]


if __name__ == "__main__":
    main()
