"""Measure batches: throughput against the bare encoder, the fast way against what anyone would write first, memory.

Usage: python benchmarks/batch.py FOLDER [--parts exact,fast,memory] [--sets snips7,banking77] [--work FOLDER]

FOLDER holds one folder for each data set, with ``train.csv`` and ``test.csv`` of the columns ``text`` and ``label``.
Everything runs as whole processes, in turn. Training and test texts are answered together. The fast way runs twice:
without any vector that is known already, and as it is used, with those that training left in the cache (which is one of
this benchmark's own). Then the exact run answers the same file, and all rows are compared.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from processes import run

from classifier import load

SETS = ("snips7", "banking77", "clinc150", "spamassassin")
ROUNDS = 3
EXACT_CHARACTERS = 1_000_000
SIZES = (100_000, 1_000_000)
COMMAND = (sys.executable, "-m", "classifier")


def main() -> None:
    """Print one table for each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parts", default="exact,fast,memory")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--work", type=Path, help="where models and vectors stay for the next run")
    arguments = parser.parse_args()
    csv.field_size_limit(1 << 30)
    parts = {"exact": exact, "fast": fast, "memory": memory}
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        os.environ["CLASSIFIER_CACHE_DIR"] = str(work / "cache")
        for part in arguments.parts.split(","):
            print(f"\n== {part}", flush=True)
            parts[part](arguments.folder, arguments.sets.split(","), work)


def exact(folder: Path, names: list[str], work: Path) -> None:
    """Compare `predict` with an encoder that does nothing else, in turn."""
    print(f"{'':14}{'rows':>8}{'encoder, s':>12}{'predict, s':>12}{'throughput':>12}")
    for name in names:
        model, source = trained(folder, name, work), together(folder, name, work, EXACT_CHARACTERS)
        bare, whole = [], []
        for _ in range(ROUNDS):
            bare.append(float(run([sys.executable, script("bare_encoder.py"), str(source)]).output))
            report = predict(model, source, work / "out.csv", "--no-cache")
            whole.append(report["seconds"])
        one, other = statistics.median(bare), statistics.median(whole)
        print(f"{name:14}{report['counts']['n_rows']:8,}{one:12.1f}{other:12.1f}{one / other:12.2f}", flush=True)


def fast(folder: Path, names: list[str], work: Path) -> None:
    """Compare the fast way with what anyone would write first, and its answers with those of the exact run."""
    head = f"{'':14}{'rows':>8}{'naive, s':>10}{'fast, s':>9}{'ratio':>7}{'with cache, s':>15}{'ratio':>7}{'cheap':>8}"
    print(f"{head}{'audited':>9}{'differ, told':>14}{'differ, all rows':>17}")
    ratios = []
    for name in names:
        model, source = trained(folder, name, work), together(folder, name, work)
        naive = run([sys.executable, script("naive_prediction.py"), str(source),
                     str(plain_head(model, work)), str(work / "naive.csv")])  # fmt: skip
        answer = [*COMMAND, "predict", str(model), str(source), "--json", "--restart", "-o"]
        alone = run([*answer, str(work / "alone.csv"), "--fast", "--no-cache"])
        cached = run([*answer, str(work / "fast.csv"), "--fast"])
        run([*answer, str(work / "exact.csv")])
        report = json.loads(cached.output)
        found, counts = report["agreement"], report["counts"]
        pairs = list(zip(rows(work / "exact.csv"), rows(work / "fast.csv"), strict=True))
        differing = sum(differ(one, other) for one, other in pairs) / len(pairs)
        ratios.append((naive.seconds / alone.seconds, naive.seconds / cached.seconds))
        told = f"{100 * found['observed']:.2f} ≤ {100 * found['interval'][1]:.2f}"
        print(
            f"{name:14}{len(pairs):8,}{naive.seconds:10.1f}{alone.seconds:9.1f}{ratios[-1][0]:7.1f}"
            f"{cached.seconds:15.1f}{ratios[-1][1]:7.1f}{counts['n_cheap'] / len(pairs):8.1%}"
            f"{found['n_audited']:9,}{told:>14}{differing:17.2%}",
            flush=True,
        )
    means = np.exp(np.mean(np.log(ratios), axis=0))
    print(f"geometric means of the ratios: {means[0]:.1f}, with cache {means[1]:.1f}")


def memory(folder: Path, names: list[str], work: Path) -> None:
    """Compare the peak memory of a long file with that of a longer one, answered the fast way."""
    model = trained(folder, names[0], work)
    texts = [row["text"] for row in rows(folder / names[0] / "test.csv")]
    peaks = []
    for size in SIZES:
        source = work / f"{size}.csv"
        with source.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["id", "text"])
            writer.writerows([number, texts[number % len(texts)]] for number in range(size))
        ran = run([*COMMAND, "predict", str(model), str(source), "-o", str(work / "long.csv"), "--json", "--fast",
                   "--restart"])  # fmt: skip
        peaks.append(ran.peak_mb)
        print(
            f"{size:10,} rows: {ran.seconds:8.1f} s, {size / ran.seconds:8,.0f} rows/s, {ran.peak_mb:8.0f} MB",
            flush=True,
        )
    print(f"ratio of the peaks: {peaks[1] / peaks[0]:.3f}")


def script(name: str) -> str:
    """Return the path of a script beside this one."""
    return str(Path(__file__).with_name(name))


def trained(folder: Path, name: str, work: Path) -> Path:
    """Train a model once and return its folder."""
    model = work / "models" / name / "1"
    if not model.exists():
        run([*COMMAND, "train", str(folder / name / "train.csv"), "--name", name, "--models-dir", str(work / "models")])
    return model


def together(folder: Path, name: str, work: Path, most_characters: int | None = None) -> Path:
    """Write training and test texts as one file; of the shuffled texts, so many that they reach a length."""
    texts = [row["text"] for part in ("train", "test") for row in rows(folder / name / f"{part}.csv")]
    if most_characters is not None:
        np.random.default_rng(0).shuffle(texts)
        texts = texts[: int(np.searchsorted(np.cumsum([len(text) for text in texts]), most_characters)) + 1]
    target = work / f"{name}-{most_characters or 'all'}.csv"
    with target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text"])
        writer.writerows([text] for text in texts)
    return target


def plain_head(model: Path, work: Path) -> Path:
    """Write the dense half of a model as arrays: what the naive script multiplies by costs it the same."""
    opened, target = load(model), work / "head.npz"
    np.savez(target, coef=opened.head_.coef, intercept=opened.head_.intercept, classes=opened.classes_.astype(str))
    return target


def predict(model: Path, source: Path, target: Path, *options: str) -> dict[str, object]:
    """Run `classifier predict` and return its report."""
    command = [*COMMAND, "predict", str(model), str(source), "-o", str(target), "--json", "--restart", *options]
    return json.loads(run(command).output)


def differ(one: dict[str, str], other: dict[str, str]) -> bool:
    """Tell whether two answers differ: in the label, or in being out of scope or empty."""
    special = {"out-of-scope", "empty"}
    return one["predicted_label"] != other["predicted_label"] or (
        one["status"] != other["status"] and bool({one["status"], other["status"]} & special)
    )


def rows(path: Path) -> list[dict[str, str]]:
    """Read CSV."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


if __name__ == "__main__":
    main()
