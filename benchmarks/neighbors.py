"""Time searches for similar documents against numpy's product ``matrix @ query``, side by side.

Usage: python benchmarks/neighbors.py [--vectors FILE.npy] [--rows 1000000] [--queries 30] [--indexes exact,int8]

FILE holds vectors of real texts, float32 of unit length, such as the default encoder's. They are the first rows; each
further row is a mixture of two of them with noise, so that neighbourhoods are as uneven as real ones. Without a file,
rows are drawn around 3,000 centers. Queries are rows with a little noise. Vectors are searched where they lie, in a
memory-mapped file; numpy multiplies a copy in memory. Before each search there is a short pause, as the threads of
numpy's linear algebra keep a core busy for some time after their work is done. Ratios are taken within a round, and
their median is printed; recall is that of the ten nearest against the exact products. The filter keeps one row in a
hundred. ``--indexes`` may name ``lance``, too, which needs the extra ``scale``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifier.embedding.contract import Embeddings
from classifier.modeling.neighbors import NeighborIndex

K = 10
N_DIMS = 384
N_CENTERS = 3000
BLOCK_ROWS = 20_000
KEPT_FRACTION = 0.01
PAUSE_SECONDS = 0.05


def main() -> None:
    """Print one row for each way to search, and one for each batch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--indexes", default="exact,int8")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.npy"
        write(path, arguments.rows, arguments.vectors, rng)
        mapped = np.load(path, mmap_mode="r")
        matrix = np.array(mapped)
        chosen = np.sort(rng.choice(len(matrix), arguments.queries, replace=False))
        queries = near(matrix[chosen], 0.1, rng)
        kept = rng.random(len(matrix)) < KEPT_FRACTION
        print(f"{len(matrix):,} x {matrix.shape[1]} vectors, {len(queries)} queries, {kept.sum():,} rows kept")
        indexes = {}
        for name in arguments.indexes.split(","):
            started = time.perf_counter()
            indexes[name] = NeighborIndex(mapped, index=name)
            print(f"{name}: made in {time.perf_counter() - started:.1f} s")
        compare(matrix, queries, kept, indexes)
        batches(matrix, queries, indexes)


def compare(
    matrix: Embeddings, queries: Embeddings, kept: NDArray[np.bool_], indexes: dict[str, NeighborIndex]
) -> None:
    """Time single queries, one after the other, each in every way."""
    ways: dict[str, Callable[[Embeddings], object]] = {"numpy, all rows": lambda query: matrix @ query}
    ways["numpy, kept rows"] = lambda query: matrix[kept] @ query
    for name, index in indexes.items():
        ways[name] = lambda query, index=index: index.search(query, K)
        ways[f"{name}, filter"] = lambda query, index=index: index.search(query, K, among=kept)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    recalls: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way(queries[0])
    for query in queries:
        products = matrix @ query
        nearest = set(best(products)), set(best(np.where(kept, products, -np.inf)))
        for name, way in ways.items():
            time.sleep(PAUSE_SECONDS)
            started = time.perf_counter()
            answer = way(query)
            seconds[name].append(time.perf_counter() - started)
            if isinstance(answer, tuple):
                recalls[name].append(len(nearest["filter" in name] & set(answer[0].tolist())) / K)
    print(f"{'':20}{'ms':>8}{'lowest':>8}{'ratio':>8}{'recall':>9}")
    for name, values in seconds.items():
        ratio = statistics.median(
            ours / theirs for theirs, ours in zip(seconds["numpy, all rows"], values, strict=True)
        )
        recall = f"{statistics.mean(recalls[name]):9.4f}" if recalls[name] else ""
        print(
            f"{name:20}{statistics.median(values) * 1e3:8.1f}{min(values) * 1e3:8.1f}{ratio:8.2f}{recall}", flush=True
        )


def batches(matrix: Embeddings, queries: Embeddings, indexes: dict[str, NeighborIndex]) -> None:
    """Time all queries at once, and compare with their single answers."""
    print(f"\n{'all queries at once':20}{'ms each':>8}{'ratio':>16}")
    for name, index in indexes.items():
        seconds, ratios = [], []
        for _ in range(3):
            started = time.perf_counter()
            answer = index.search_many(queries, K)
            middle = time.perf_counter()
            _ = matrix @ queries[0]
            seconds.append((middle - started) / len(queries))
            ratios.append(seconds[-1] / (time.perf_counter() - middle))
        equal = all(
            np.array_equal(rows, index.search(query, K)[0]) for query, rows in zip(queries, answer[0], strict=True)
        )
        said = "same answers as single" if equal else "OTHER ANSWERS THAN SINGLE"
        print(f"{name:20}{statistics.median(seconds) * 1e3:8.1f}{statistics.median(ratios):16.2f}  {said}", flush=True)


def write(path: Path, n_rows: int, source: Path | None, rng: np.random.Generator) -> None:
    """Write vectors block by block."""
    real = None if source is None else np.load(source)[:n_rows]
    n_dims = N_DIMS if real is None else real.shape[1]
    centers = unit(rng.normal(size=(N_CENTERS, n_dims)))
    vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n_rows, n_dims))
    for start in range(0, n_rows, BLOCK_ROWS):
        size = min(BLOCK_ROWS, n_rows - start)
        if real is None:
            vectors[start : start + size] = near(centers[rng.integers(N_CENTERS, size=size)], 0.8, rng)
        else:
            first, second = real[rng.integers(len(real), size=(2, size))]
            share = rng.uniform(0, 0.5, size=(size, 1))
            mixed = (1 - share) * first + share * second
            vectors[start : start + size] = near(mixed, rng.uniform(0.05, 0.5, size=(size, 1)), rng)
    if real is not None:
        vectors[: len(real)] = real
    vectors.flush()


def near(vectors: Embeddings, distance: float | NDArray[np.float64], rng: np.random.Generator) -> Embeddings:
    """Move vectors by about `distance` in a random direction, and back to unit length."""
    return unit(vectors + distance * rng.normal(size=vectors.shape) / np.sqrt(vectors.shape[1]))


def unit(vectors: NDArray[np.floating]) -> Embeddings:
    """Bring rows to unit length."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def best(products: NDArray[np.float32]) -> list[int]:
    """Return the rows of the largest products."""
    return np.argpartition(products, len(products) - K)[len(products) - K :].tolist()


if __name__ == "__main__":
    print(json.dumps({"arguments": sys.argv[1:], "cores": os.cpu_count()}))
    main()
