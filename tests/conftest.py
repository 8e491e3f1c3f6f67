"""What tests share: an embedder without a model, two small classifiers, and a home of their own."""

from __future__ import annotations

import csv
import functools
import gc
import hashlib
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from places import DATA, MEMORY, N_THREADS, ROOT, THOROUGH, cache_folder

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported, hence before everything else
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["CLASSIFIER_CACHE_DIR"] = cache_folder()
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = N_THREADS
os.environ["LOKY_MAX_CPU_COUNT"] = N_THREADS
os.environ.pop("PYTHONUNBUFFERED", None)  # what tests start keeps its output first, as it does for users

import hypothesis
import pytest
import typer.main
import typer.testing
from fakes import GATE, FakeEmbedder
from filelock import FileLock
from hypothesis import HealthCheck
from playwright.sync_api import Browser
from serving import chromium, served
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

import classifier  # whose heavy parts come when they are used: the process that only hands out tests needs none
from classifier import workflows
from classifier.datamodels import Settings
from classifier.embedding.contract import Embedder
from classifier.prediction.batch import BatchCounts, BatchOptions, ExactAnswers, predict_stream
from classifier.prediction.formats import open_format
from classifier.prediction.journal import Journal
from classifier.prediction.outputs import OUTPUT, REJECTED, JournaledOutput, StreamedOutput
from classifier.reading.documents import Row, Table, read_documents
from classifier.workflows.jobs import UNDER_WAY, Job

if TYPE_CHECKING:
    from classifier import DocumentClassifier

N_REAL_ROWS, N_LIBRARY_ROWS = 120, 200
LIBRARY_EMBEDDER = "lsa:64"
LONGEST = (
    "test_killed_server",
    "test_recovery",
    "test_docs",
    "test_converted",
    "test_review_page",
    "test_browser",
    "test_report_ui",
)
ONE_AT_A_TIME = {"test_jobs", "test_train_jobs", "test_killed_server", "test_sessions"}  # start jobs, or wait for many
MARKED = {
    "encoder": {
        *("test_converted", "test_docs", "test_embedders", "test_engine", "test_every_embedder"),
        *("test_poolings", "test_quiet", "test_static", "test_transformer", "test_vectors_workflow"),
    },
    "process": {
        *("test_cache", "test_cli", "test_compression", "test_faults", "test_files", "test_jobs", "test_killed_server"),
        *("test_parsing", "test_persistence", "test_recovery", "test_reviewing", "test_train_jobs", "test_exporting"),
    },
    "training": {
        *(
            "test_choices",
            "test_comparing",
            "test_comparison",
            "test_dirt",
            "test_hard_data",
            "test_head",
            "test_label_texts",
        ),
        *("test_label_workflows", "test_multi_label_cli", "test_multi_label_head", "test_multi_label_model"),
        *("test_priors", "test_versions"),
    },
    "page": {
        *("test_classify_page", "test_explore_page", "test_login", "test_models_page", "test_report_ui"),
        *("test_review_page", "test_sessions", "test_ui"),
    },
}
MAIN = sys.modules["__main__"]
collect_ignore = ["gated"]

# A busy machine must not fail a property; what is drawn is the same every time, but for the thorough profile.
_PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
hypothesis.settings.register_profile("quick", max_examples=25, derandomize=True, database=None, **_PATIENT)
hypothesis.settings.register_profile("thorough", max_examples=200, **_PATIENT)
hypothesis.settings.load_profile("thorough" if THOROUGH else "quick")

SMALL_TEXTS = {
    "garden": ["tulips", "a rake", "wet soil", "cut the hedge", "rose bed", "compost heap", "moss", "a watering can"],
    "kitchen": [
        "pepper mill",
        "a blunt knife",
        "flour",
        "boil the eggs",
        "tea towel",
        "oven glove",
        "ladle",
        "a sieve",
    ],
    "workshop": [
        "a bent nail",
        "glue",
        "saw blade",
        "sand the board",
        "vice",
        "oily rag",
        "drill bit",
        "a spirit level",
    ],
}


class StopAfter(threading.Event):
    """Somebody who asks to stop after some blocks."""

    def __init__(self, n_blocks: int) -> None:
        super().__init__()
        self._n_left = n_blocks

    def is_set(self) -> bool:
        """Tell whether it is time to stop."""
        self._n_left -= 1
        return self._n_left < 0


def seal(folder: Path, **changes: object) -> None:
    """Change facts of a bundle, then mend every size and checksum, as somebody who knows the format would."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["facts"] |= changes
    for name in manifest["files"]:
        content = (folder / name).read_bytes()
        manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    path.write_text(sealed(manifest), encoding="utf-8")


def sealed(manifest: dict[str, object]) -> str:
    """Return a manifest as JSON with its own checksum made right."""
    content = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return json.dumps(content | {"manifest_sha256": hashlib.sha256(text.encode()).hexdigest()})


def write_table(
    table: Table,
    target: Path,
    kind: str,
    added: Sequence[tuple[str, type]],
    answer: Sequence[object],
    *,
    raw: bool = False,
    block_rows: int = 1000,
) -> None:
    """Write every readable row of a table with the same answer, a block at a time."""
    rows = open_format(kind, target, table, added, raw=raw)
    readable = [row for row in table.rows() if isinstance(row, Row)]
    starts = range(0, len(readable), block_rows)
    blocks = [rows.block((row, answer) for row in readable[start : start + block_rows]) for start in starts]
    parts = target.with_name("parts")
    parts.write_bytes(rows.begin() + b"".join(blocks))
    if rows.whole(parts, [len(block) for block in blocks], target):
        parts.unlink()
    else:
        parts.replace(target)


def copy_rows(source: Path, target: Path, n_rows: int | None) -> Path:
    """Copy the first rows of a CSV file, or all of them; return the copy."""
    with (
        source.open(encoding="utf-8", newline="") as rows,
        target.open("w", encoding="utf-8", newline="") as stream,
    ):
        csv.writer(stream).writerows(islice(csv.reader(rows), n_rows and n_rows + 1))
    return target


def predict_into(
    model: DocumentClassifier,
    source: Path,
    target: Any,
    kind: str,
    *,
    options: BatchOptions | None = None,
    raw: bool = False,
    text_column: str | None = None,
    **more: Any,
) -> BatchCounts:
    """Predict a whole file into another, or into a text stream; rejected rows are listed in ``TARGET.rejected``."""
    options = options or BatchOptions()
    stream = read_documents(source, text_column=text_column)
    rows = open_format(kind, target, stream.table, options.added_columns(), raw=raw)
    answers = ExactAnswers(model, options)
    if not isinstance(target, Path):
        return predict_stream(answers, stream, rows, StreamedOutput(target, rows), n_rows=stream.n_rows, **more)
    with Journal(target, {"source": str(source)}, [OUTPUT, REJECTED]) as journal:
        output = JournaledOutput(journal, target, rows, target.with_suffix(".rejected"))
        counts = predict_stream(answers, stream, rows, output, n_rows=stream.n_rows, **more)
        output.finish({"n_rows": counts.n_rows})
    return counts


def pytest_configure() -> None:
    """Keep temporary folders in memory, where no test waits for a disk, and build the command line but once."""
    typer.main.get_command = typer.testing._get_command = functools.cache(typer.main.get_command)
    if MEMORY is not None:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long and why, and begin with the files that take longest."""
    for item in items:
        if {"encoder", "real_model", "forum"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("encoder")
        for mark in [mark for mark, files in MARKED.items() if item.path.stem in files]:
            item.add_marker(mark)
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def pytest_collection_finish() -> None:
    """Keep garbage collection from looking through all that was imported, time and again."""
    gc.freeze()


class ByFile(LoadFileScheduling):
    """Keeps the tests of a file in one process, for what they share, and those of some files after each other."""

    def _split_scope(self, nodeid: str) -> str:
        """Name what the tests of one process have in common."""
        file: str = super()._split_scope(nodeid)
        return "one at a time" if Path(file).stem in ONE_AT_A_TIME else file


@pytest.hookimpl(optionalhook=True)  # test_processors runs some without xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Share the tests among processes."""
    return ByFile(config, log)


def pytest_unconfigure() -> None:
    """Remove what the tests shared."""
    shutil.rmtree(os.environ["CLASSIFIER_CACHE_DIR"], ignore_errors=True)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep each test away from the models, tokens and network settings of whoever runs it."""
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    sys.modules["__main__"] = MAIN  # a page under AppTest takes its place, and spawned processes would run that page


@pytest.fixture(scope="session")
def memory_folder() -> Iterator[Path]:
    """Make a folder where reaching the disk costs no time, on systems that have one."""
    with tempfile.TemporaryDirectory(prefix="classifier-tests-", dir=MEMORY) as name:
        yield Path(name)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Name the folder that all processes of this run of the tests share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def library(shared_folder: Path) -> Path:
    """Train ``tickets`` and, with any number of labels, ``posts``, on no transformer; tests must not change them."""
    folder = shared_folder / "library"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            settings = Settings(folder.with_name("library-to-be"))
            for name, file in (("tickets", "support_tickets.csv"), ("posts", "community_posts.csv")):
                part = copy_rows(DATA / file, shared_folder / file, N_LIBRARY_ROWS)
                workflows.train(part, settings, name=name, embedder=LIBRARY_EMBEDDER, multi_label=name == "posts")
            settings.models_dir.rename(folder)
    return folder


@pytest.fixture(scope="session")
def gated_model() -> DocumentClassifier:
    """Train a classifier whose embedder waits at a gate, in processes that the fixture `gate` was there for."""
    rows = [(text, label) for label, texts in SMALL_TEXTS.items() for text in texts]
    return classifier.DocumentClassifier(FakeEmbedder(name="gated:x")).fit(*map(list, zip(*rows, strict=True)))


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let three blocks of each process on `gated_model` pass; this file holds how many may, all may without it.

    Three are needed for the first one to be written: the next ones are in hand by then.
    """
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "tests" / "gated"), str(ROOT)]))
    monkeypatch.setenv(GATE, str(tmp_path / "gate"))
    (tmp_path / "gate").write_text("3")
    yield tmp_path / "gate"
    (tmp_path / "gate").unlink(missing_ok=True)


def wait_until(is_so: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for something that another process does, but not for ever."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(job: Job) -> str:
    """Wait for the end of a job; return its state."""
    wait_until(lambda: job.state not in UNDER_WAY)
    return job.state


def borrow(library: Path, folder: Path, *names: str) -> Settings:
    """Copy models of the library into a folder; the copies are the test's own."""
    for name in names:
        shutil.copytree(library / name, folder / name)
    return Settings(folder)


@pytest.fixture(scope="session")
def encoder(shared_folder: Path) -> Embedder:
    """Load the real default embedder, once; one process converts it for all."""
    with FileLock(shared_folder / "encoder.lock"):
        return classifier.load_embedder()


@pytest.fixture(scope="session")
def ticket_rows() -> list[dict[str, str]]:
    """Read the example data: rows of id, text and label."""
    with (DATA / "support_tickets.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="session")
def small_model() -> DocumentClassifier:
    """Train a classifier of three labels on the fake embedder; tests must not change it."""
    rows = [(text, label) for label, texts in SMALL_TEXTS.items() for text in texts]
    return classifier.DocumentClassifier(FakeEmbedder()).fit([text for text, _ in rows], [label for _, label in rows])


@pytest.fixture(scope="session")
def tiny_model() -> DocumentClassifier:
    """Train a classifier of two labels, four documents and four dimensions; tests must not change it."""
    return classifier.DocumentClassifier(FakeEmbedder(4)).fit(
        ["bread", "a roll", "milk", "cream"], ["dry", "dry", "wet", "wet"]
    )


@pytest.fixture
def tiny_bundle(tiny_model: DocumentClassifier, tmp_path: Path) -> Path:
    """Save the tiny classifier; the folder is the test's own."""
    return tiny_model.save(tmp_path / "tiny" / "1")


@pytest.fixture(scope="session")
def real_model(encoder: Embedder, ticket_rows: list[dict[str, str]], shared_folder: Path) -> DocumentClassifier:
    """Train a classifier of the example data on the real encoder; tests must not change it."""
    return trained_once(shared_folder / "real" / "1", encoder, ticket_rows[:N_REAL_ROWS], "label")


def trained_once(
    folder: Path, encoder: Embedder, rows: Sequence[dict[str, str]], column: str, *, multi_label: bool = False
) -> DocumentClassifier:
    """Train a classifier and save it in a folder, or load what another process saved there."""
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            texts, labels, ids = ([row[name] for row in rows] for name in ("text", column, "id"))
            classifier.DocumentClassifier(encoder, multi_label=multi_label).fit(texts, labels, ids=ids).save(folder)
    model = classifier.DocumentClassifier.load(folder)
    model.embedder = encoder
    return model


@pytest.fixture(scope="session")
def posts() -> dict[str, list[dict[str, str]]]:
    """Read the posts of the example data, for training and for measuring: rows of id, text and topics."""
    found = {}
    for part, name in (("train", "community_posts.csv"), ("test", "community_posts_test.csv")):
        with (DATA / name).open(encoding="utf-8", newline="") as stream:
            found[part] = list(csv.DictReader(stream))
    return found


@pytest.fixture(scope="session")
def forum(encoder: Embedder, posts: dict[str, list[dict[str, str]]], shared_folder: Path) -> DocumentClassifier:
    """Train a classifier of any number of topics on the real encoder; tests must not change it."""
    return trained_once(shared_folder / "forum" / "1", encoder, posts["train"], "topics", multi_label=True)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Chromium once."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def show_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], str]]:
    """Serve the pages once; calling this has them show the models of a folder, and gives their address."""
    folder = tmp_path_factory.mktemp("server")
    link, following = folder / "models", folder / "following"
    link.symlink_to(tmp_path_factory.mktemp("nothing"))
    with served(link, folder / "log.txt") as address:

        def show(models_dir: Path) -> str:
            following.symlink_to(models_dir)
            following.replace(link)
            return address

        yield show


@pytest.fixture(scope="session")
def component_manifests() -> list[Any]:
    """Look once through the installed packages for components of pages."""
    from streamlit.components.v2 import manifest_scanner

    return manifest_scanner.scan_component_manifests()


@pytest.fixture(scope="module")
def light_pages(component_manifests: list[Any]) -> Iterator[None]:
    """Spare pages under AppTest what they would do again and again among all that tests hold in memory.

    Each would look through the installed packages, and through every object for garbage.
    """
    from streamlit.components.v2 import manifest_scanner

    from classifier.ui import state

    gc.freeze()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", lambda: component_manifests)
        patch.setattr(state, "_spare_collections", lambda: None)
        yield


@pytest.fixture
def requested() -> list[str]:
    """Hold the address of everything that pages ask for."""
    return []
