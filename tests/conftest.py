"""What tests share: an embedder without a model, two small classifiers, and a home of their own."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported, hence before everything else
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["CLASSIFIER_CACHE_DIR"] = tempfile.mkdtemp(prefix="classifier-tests-")  # the encoder is converted once

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser
from serving import chromium

from classifier import DocumentClassifier, load_embedder
from classifier.embedding.contract import Embedder, EmbeddingContract, Embeddings
from classifier.prediction.batch import BatchCounts, BatchOptions, ExactAnswers, predict_stream
from classifier.prediction.formats import open_format
from classifier.prediction.journal import Journal
from classifier.prediction.outputs import OUTPUT, REJECTED, JournaledOutput, StreamedOutput
from classifier.reading.documents import Row, Table, read_documents

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data"
N_REAL_ROWS = 120
_MEMORY = Path("/dev/shm")  # noqa: S108 # only a fresh folder inside is used

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


class FakeEmbedder:
    """Turn each text into a vector of unit length that comes from its hash alone; a blank text into zeros.

    The bundles of tests/bundles were made with it: its vectors and its contract must never change.

    Parameters
    ----------
    dimension : int, default=16
        Length of a vector.
    name : str, default='fake-embedder'
        The model id of its contract.

    Attributes
    ----------
    calls : list of list of str
        The texts of each call of `encode`.
    """

    def __init__(self, dimension: int = 16, name: str = "fake-embedder") -> None:
        self.calls: list[list[str]] = []
        self._contract = EmbeddingContract(
            model_id=name,
            revision="",
            weights_sha256=hashlib.sha256(b"no weights").hexdigest(),
            tokenizer_sha256=hashlib.sha256(b"no tokenizer").hexdigest(),
            pooling="none",
            normalize=True,
            prompt="",
            max_tokens=512,
            chunking="none",
            dimension=dimension,
        )

    @property
    def contract(self) -> EmbeddingContract:
        """What its vectors may be compared with."""
        return self._contract

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:  # noqa: ARG002 # part of the protocol
        """Hash each text; float32 of shape (n_documents, dimension)."""
        self.calls.append(list(texts))
        vectors = np.array([self._vector(text) for text in texts], dtype=np.float32)
        return vectors.reshape(len(texts), self._contract.dimension)

    def coverage(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return 1 for each text with something to read, otherwise 0."""
        return np.array([float(bool(text.strip())) for text in texts])

    def _vector(self, text: str) -> NDArray[np.float64]:
        """Hash one text."""
        if not text.strip():
            return np.zeros(self._contract.dimension)
        digest = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(self._contract.dimension)
        vector = np.frombuffer(digest, dtype=np.uint8) - 127.5
        return vector / np.linalg.norm(vector)


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


@pytest.fixture(scope="session")
def memory_folder() -> Iterator[Path]:
    """Make a folder where reaching the disk costs no time, on systems that have one."""
    with tempfile.TemporaryDirectory(prefix="classifier-tests-", dir=_MEMORY if _MEMORY.is_dir() else None) as name:
        yield Path(name)


@pytest.fixture(scope="session")
def encoder() -> Embedder:
    """Load the real default embedder, once."""
    return load_embedder()


@pytest.fixture(scope="session")
def ticket_rows() -> list[dict[str, str]]:
    """Read the example data: rows of id, text and label."""
    with (DATA / "support_tickets.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="session")
def small_model() -> DocumentClassifier:
    """Train a classifier of three labels on the fake embedder; tests must not change it."""
    rows = [(text, label) for label, texts in SMALL_TEXTS.items() for text in texts]
    return DocumentClassifier(FakeEmbedder()).fit([text for text, _ in rows], [label for _, label in rows])


@pytest.fixture(scope="session")
def tiny_model() -> DocumentClassifier:
    """Train a classifier of two labels, four documents and four dimensions; tests must not change it."""
    return DocumentClassifier(FakeEmbedder(4)).fit(["bread", "a roll", "milk", "cream"], ["dry", "dry", "wet", "wet"])


@pytest.fixture
def tiny_bundle(tiny_model: DocumentClassifier, tmp_path: Path) -> Path:
    """Save the tiny classifier; the folder is the test's own."""
    return tiny_model.save(tmp_path / "tiny" / "1")


@pytest.fixture(scope="session")
def real_model(encoder: Embedder, ticket_rows: list[dict[str, str]]) -> DocumentClassifier:
    """Train a classifier of the example data on the real encoder; tests must not change it."""
    rows = ticket_rows[:N_REAL_ROWS]
    ids = [row["id"] for row in rows]
    return DocumentClassifier(encoder).fit([row["text"] for row in rows], [row["label"] for row in rows], ids=ids)


@pytest.fixture(scope="session")
def posts() -> dict[str, list[dict[str, str]]]:
    """Read the posts of the example data, for training and for measuring: rows of id, text and topics."""
    found = {}
    for part, name in (("train", "community_posts.csv"), ("test", "community_posts_test.csv")):
        with (DATA / name).open(encoding="utf-8", newline="") as stream:
            found[part] = list(csv.DictReader(stream))
    return found


@pytest.fixture(scope="session")
def forum(encoder: Embedder, posts: dict[str, list[dict[str, str]]]) -> DocumentClassifier:
    """Train a classifier of any number of topics on the real encoder; tests must not change it."""
    rows = posts["train"]
    model = DocumentClassifier(encoder, multi_label=True)
    return model.fit([row["text"] for row in rows], [row["topics"] for row in rows], ids=[row["id"] for row in rows])


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Chromium once."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def requested() -> list[str]:
    """Hold the address of everything that pages ask for."""
    return []
