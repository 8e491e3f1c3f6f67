"""Measure the map of documents: PCA, the options of the chart, and the time until a browser has drawn it.

Usage: python benchmarks/map.py [--rows 100000] [--labels 20] [--work FOLDER]

The model is a small one of which the training documents were replaced by generated ones, with vectors of 384 numbers
around one centre for each label. The page is served as it is, and looked at in a headless Chromium: a map counts as
drawn when its canvas holds thousands of coloured pixels.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from serving import chromium, served

from classifier import DocumentClassifier
from classifier.datamodels import Document, Settings
from classifier.modeling.held_out import HeldOut
from classifier.modeling.predictor import Predictor
from classifier.storage.arrays import write_array
from classifier.storage.registry import Registry
from classifier.ui import explore_chart
from classifier.ui.markup import label_colors
from classifier.workflows import exploring, map_files, mapping
from classifier.workflows.mapping import DocumentMap
from classifier.workflows.opening import open_predictor

N_DIMS = 384
SPREAD = 0.06
ROUNDS = 5
ENOUGH_PIXELS = 5_000
IS_DRAWN = """least => [...document.querySelectorAll('[data-testid="stEChartsChart"] canvas')].some(canvas => {
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    let drawn = 0;
    for (let at = 3; at < pixels.length; at += 4) drawn += pixels[at] > 0;
    return drawn > least;
})"""


def main() -> None:
    """Print one line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--labels", type=int, default=20)
    parser.add_argument("--work", type=Path, help="where the model stays for the next run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        settings = Settings((arguments.work or Path(temporary)) / "models")
        if not settings.models_dir.is_dir():
            Registry(settings.models_dir).add("large", large_model(arguments.rows, arguments.labels).save)
        in_process(settings)
        with chromium() as browser, served(settings.models_dir, Path(temporary) / "log.txt") as address:
            in_browser(browser, address, settings)


def large_model(n_rows: int, n_labels: int) -> DocumentClassifier:
    """Return a model of the default encoder whose training documents are generated."""
    names = [f"label {code + 1}" for code in range(n_labels)]
    texts = [f"{name} {word}" for name in names for word in ("alpha", "beta", "gamma", "delta")]
    model = DocumentClassifier(head="logistic").fit(texts, [name for name in names for _ in range(4)])
    random = np.random.default_rng(0)
    codes = random.integers(n_labels, size=n_rows)
    centres = random.normal(size=(n_labels, N_DIMS)) / np.sqrt(N_DIMS)
    embeddings = (centres[codes] + SPREAD * random.normal(size=(n_rows, N_DIMS))).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    proba = random.dirichlet(np.full(n_labels, 0.2), size=n_rows)
    labels = [str(label) for label in model.classes_]
    model.documents_ = [Document(str(row), f"document {row}", labels[code], row + 1) for row, code in enumerate(codes)]
    model.embeddings_, model.document_labels_, model.issues_ = embeddings, codes, ()
    model.held_out_ = HeldOut.of(proba, codes, np.ones(n_rows, dtype=np.bool_))
    model.facts_["data"]["n_documents"] = n_rows
    return model


def in_process(settings: Settings) -> None:
    """Measure what the server computes."""
    model = open_predictor("large", settings)
    show("PCA of all vectors", lambda: mapping.pca_map(model))
    found, colors = mapping.pca_map(model), label_colors(model.facts_)
    for by in exploring.COLORINGS:
        show(f"options of the chart, by {by}", lambda by=by: option(model, found, colors, by))


def option(model: Predictor, found: DocumentMap, colors: Mapping[str, str], by: str) -> dict[str, Any]:
    """Build what the browser is sent."""
    return explore_chart.map_option(found, mapping.drawn_groups(found, exploring.groups(model, by)), colors, None)


def in_browser(browser: Browser, address: str, settings: Settings) -> None:
    """Measure what a visitor waits for; the first page has no chart and is there to compare with."""
    is_there = "least => document.querySelectorAll('[data-testid=stTextArea]').length >= least"
    page = f"{address}/explore"
    print(f"{'first visit, the model is opened too':44}{seconds_to(browser, page, IS_DRAWN, ENOUGH_PIXELS):7.2f} s")
    show("a visit of the page without a chart", lambda: seconds_to(browser, address, is_there, 1))
    show("a visit, PCA known", lambda: seconds_to(browser, page, IS_DRAWN, ENOUGH_PIXELS))
    model = Registry(settings.models_dir).find("large")
    coordinates = np.random.default_rng(1).normal(size=(model.facts()["data"]["n_documents"], 2))
    path = map_files.stored_path(model.folder, settings)
    path.parent.mkdir(exist_ok=True)
    write_array(path, coordinates.astype(np.float32))
    show("a visit, coordinates of t-SNE known", lambda: seconds_to(browser, page, IS_DRAWN, ENOUGH_PIXELS))
    path.unlink()


def seconds_to(browser: Browser, address: str, condition: str, least: int) -> float:
    """Return the time from asking for a page until it shows what is waited for."""
    with browser.new_context(viewport={"width": 1440, "height": 1000}) as context:
        page: Page = context.new_page()
        started = time.perf_counter()
        page.goto(address)
        page.wait_for_function(condition, arg=least, polling=100, timeout=120_000)
        return time.perf_counter() - started


def show(what: str, do: Callable[[], object]) -> None:
    """Print how long something takes, the median of some rounds."""
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        do()
        seconds.append(time.perf_counter() - started)
    print(f"{what:44}{np.median(seconds):7.2f} s   ({min(seconds):.2f} to {max(seconds):.2f})", flush=True)


if __name__ == "__main__":
    main()
