"""Loading, converting, training and embedding say nothing unless they are asked to."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SMALL_TEXTS
from test_converted import tiny_encoder

from classifier import load_embedder
from classifier.datamodels import EncoderOptions
from classifier.embedding.torch_encoder import quiet_transformers
from classifier.errors import EmbedderError

ROOT = Path(__file__).parents[1]
TEXTS = [text for texts in SMALL_TEXTS.values() for text in texts]
LABELS = [label for label, texts in SMALL_TEXTS.items() for _ in texts]

NOTICE = """
import sys
noticed = []
STARTS = {"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
def notice(event, arguments):
    if event.startswith("socket.") or event in STARTS:
        noticed.append((event, str(arguments)))
sys.addaudithook(notice)
"""
NOTHING = """
assert not noticed, noticed
assert not {name for name, module in sys.modules.items() if name.startswith("openvino_telemetry") and module}
"""
EMBED = f"""{NOTICE}
import json
from classifier import load_embedder
from classifier.datamodels import EncoderOptions
from classifier.embedding.contract import Recipe
texts, names = json.loads(sys.argv[1])
for name, backend, precision in names:
    embedder = load_embedder(name, EncoderOptions(backend=backend, precision=precision, download=False))
    if isinstance(embedder, Recipe):
        embedder, _ = embedder.fit(texts)
    assert embedder.encode([*texts, "", "half \\ud800"]).any(), name
    assert embedder.coverage(texts).all(), name
{NOTHING}"""

CLASSIFY = """
import json, sys
from classifier import DocumentClassifier, load
texts, labels, name, folder = json.loads(sys.argv[1])
DocumentClassifier(name).fit(texts, labels).save(folder)
model = load(folder)
assert [answer.status == "empty" for answer in model.classify([*texts, ""])] == [False] * len(texts) + [True]
assert model.similar("tulips")
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Save a small transformer of half precision and a file of word vectors, and return both paths."""
    folder = tmp_path_factory.mktemp("sources")
    known = sorted({word for text in TEXTS for word in text.split()})
    lines = [f"{word} {number} {number % 7} 1" for number, word in enumerate(known)]
    (folder / "words.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(tiny_encoder(folder / "tiny", dtype="float16")), str(folder / "words.txt")


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep what is converted in a home where nothing else is; empty at first."""
    folder = tmp_path_factory.mktemp("home") / "cache"
    folder.mkdir()
    return folder


def words_of(code: str, argument: object, cache_dir: Path) -> tuple[str, str, int]:
    """Run a fresh interpreter, where every warning is an error; return its output, complaints and exit code."""
    kept = {name: os.environ[name] for name in ("PATH", "OMP_NUM_THREADS")}
    environment = kept | {"HOME": str(cache_dir.parent), "CLASSIFIER_CACHE_DIR": str(cache_dir)}
    command = [sys.executable, "-W", "error", "-c", code, json.dumps(argument)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=ROOT, env=environment)
    return done.stdout, done.stderr, done.returncode


@pytest.mark.parametrize("use", ["first", "second"])
def test_embedding_is_silent(use: str, sources: tuple[str, str], cache_dir: Path) -> None:
    """Every family, on every engine, also where it is converted or distilled for the first time.

    Nor is anything said to somebody else: no socket is opened, no process started, no telemetry loaded, and nothing
    left at home but the cache folder.
    """
    encoder, words = sources
    converted = [
        (encoder, "openvino", "auto"),
        (f"{encoder}+pooling:cls", "openvino", "f32"),
        (encoder, "openvino", "int8"),
        (f"static:{encoder}", "auto", "auto"),
    ]
    others = [
        (encoder, "torch", "f32"),
        (encoder, "torch", "bf16"),
        ("lsa:12", "auto", "auto"),
        (f"word-vectors:{words}", "auto", "auto"),
        ("lsa:12+pca:4", "auto", "auto"),
    ]
    assert (cache_dir / "encoders").exists() is (use == "second")
    assert words_of(EMBED, [TEXTS, converted + (others if use == "first" else [])], cache_dir) == ("", "", 0)
    assert [path.name for path in cache_dir.parent.iterdir()] == ["cache"]
    assert {path.name for path in cache_dir.iterdir()} == {"encoders", "static", "word-vectors", "vectors.sqlite"}


def test_distilling_is_silent_for_a_tokenizer_without_padding(
    sources: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What a library notices about a tokenizer is not the user's business."""
    folder = shutil.copytree(sources[0], tmp_path / "unpadded")
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    (folder / "tokenizer.json").write_text(json.dumps({**tokenizer, "padding": None}), encoding="utf-8")
    load_embedder(f"static:{folder}", EncoderOptions(cache_dir=tmp_path / "cache", download=False))
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_training_and_predicting_are_silent(tmp_path: Path, sources: tuple[str, str], cache_dir: Path) -> None:
    """From texts to a saved model and back."""
    arguments = [TEXTS, LABELS, f"{sources[0]}+pca:4", str(tmp_path / "model" / "1")]
    assert words_of(CLASSIFY, arguments, cache_dir) == ("", "", 0)


def test_a_word_would_be_heard(cache_dir: Path) -> None:
    """The tests above would notice a print, a warning, a log, a socket and a process."""
    printed = words_of("print('word')", None, cache_dir)
    logged = words_of("import logging; logging.warning('word')", None, cache_dir)
    warned = words_of("import warnings; warnings.warn('word')", None, cache_dir)
    assert printed == ("word\n", "", 0)
    assert logged == ("", "WARNING:root:word\n", 0)
    assert warned[2] == 1
    assert words_of(f"{NOTICE}import socket; socket.socket().close(){NOTHING}", None, cache_dir)[2] == 1
    assert words_of(f"{NOTICE}import subprocess; subprocess.run(['true']){NOTHING}", None, cache_dir)[2] == 1
    assert words_of(f"{NOTICE}{NOTHING}", None, cache_dir) == ("", "", 0)


def test_a_failed_conversion_leaves_logging_as_it_was(tmp_path: Path) -> None:
    """Whoever logs beside us goes on to log where and what they did."""
    folder = tiny_encoder(tmp_path / "short", n_positions=4)
    root = logging.getLogger()
    before = root.level, list(root.handlers), list(root.filters)
    with pytest.raises(EmbedderError, match="could not be converted"):
        load_embedder(str(folder), EncoderOptions(backend="openvino", cache_dir=tmp_path / "cache", download=False))
    assert (root.level, root.handlers, root.filters) == before


def test_transformers_speaks_as_before_afterwards() -> None:
    """Whoever uses the library beside us hears of it what they asked to hear, also after a failure."""
    from transformers.utils.logging import get_verbosity, set_verbosity

    before = get_verbosity()
    set_verbosity(logging.INFO)
    try:
        with quiet_transformers():
            assert get_verbosity() == logging.ERROR
        assert get_verbosity() == logging.INFO
        with pytest.raises(ZeroDivisionError), quiet_transformers():
            _ = 1 / 0
        assert get_verbosity() == logging.INFO
    finally:
        set_verbosity(before)
