"""Vectors that are known are not computed again, and what comes out is never another text's vector."""

from __future__ import annotations

import copy
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeEmbedder
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from places import scaled

from classifier import progress
from classifier.embedding import cache as cache_module
from classifier.embedding import vector_store
from classifier.embedding.cache import FILE_NAME, CachedEmbedder, VectorCache
from classifier.embedding.contract import EmbeddingContract, Embeddings
from classifier.embedding.vector_store import DAMAGED_SUFFIX, VectorStore
from classifier.errors import CacheWarning, OutputError

TEXTS = [f"text number {number}" for number in range(300)]
STRANGE = [
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",
    "a\udfff",
    "\ud83d\ude00",
    "😀",
    "é",
    "e\u0301",
    "\n",
    "\u202e",
    "x" * 10_000_000,
]
CONTRACT = FakeEmbedder().contract
EXPECTED = FakeEmbedder().encode(TEXTS)
OTHER: dict[type, Any] = {str: "something else", bool: False, int: 7}
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Name a folder that is not there yet."""
    return tmp_path / "cache"


@pytest.fixture
def vectors(folder: Path) -> Iterator[VectorCache]:
    """Open a cache in a folder of the test's own."""
    with closing(VectorCache(folder)) as opened:
        yield opened


@contextmanager
def quiet() -> Iterator[None]:
    """Let a cache complain without failing the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CacheWarning)
        yield


class Variant(FakeEmbedder):
    """A fake embedder under a contract that differs in some fields."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self._contract = replace(self._contract, **changes)


class Bare:
    """An embedder that cannot tell how much of a text it reads."""

    def __init__(self) -> None:
        self.contract = CONTRACT

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:
        """Embed as the fake does; nobody else may show a bar."""
        assert not progress
        return FakeEmbedder().encode(texts)


def n_embedded(embedder: FakeEmbedder) -> int:
    """Count the texts that an embedder was asked for."""
    return sum(map(len, embedder.calls))


def encode_twice(cache: VectorCache, embedder: FakeEmbedder | None = None) -> None:
    """Encode all texts twice, and check every vector."""
    for _ in range(2):
        assert np.array_equal(CachedEmbedder(embedder or FakeEmbedder(), cache).encode(TEXTS), EXPECTED)


def filled(folder: Path, texts: Sequence[str] = TEXTS) -> Path:
    """Store the vectors of some texts, and return the file."""
    with closing(VectorCache(folder)) as cache:
        CachedEmbedder(FakeEmbedder(), cache).encode(texts)
    return folder / FILE_NAME


# What is known is not computed again


def test_known_texts_are_not_embedded_again(folder: Path) -> None:
    """The second run asks the embedder for nothing, and gets the same bits."""
    first, second = FakeEmbedder(), FakeEmbedder()
    with closing(VectorCache(folder)) as cache:
        fresh = CachedEmbedder(first, cache).encode(TEXTS)
    with closing(VectorCache(folder)) as cache:
        found = CachedEmbedder(second, cache).encode(TEXTS)
    assert second.calls == []
    assert found.dtype == fresh.dtype == np.float32
    assert fresh.tobytes() == found.tobytes() == EXPECTED.tobytes()


def test_one_changed_row_of_ten_thousand_embeds_one_text(vectors: VectorCache) -> None:
    """Only the new text reaches the embedder."""
    texts = [f"row {number}" for number in range(10_000)]
    CachedEmbedder(FakeEmbedder(), vectors).encode(texts)
    texts[4321] = "something new"
    embedder = FakeEmbedder()
    found = CachedEmbedder(embedder, vectors).encode(texts)
    assert embedder.calls == [["something new"]]
    assert found.tobytes() == FakeEmbedder().encode(texts).tobytes()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.text(st.characters(), max_size=3), max_size=12), max_size=4))
def test_a_cache_changes_nothing(runs: list[list[str]]) -> None:
    """Whatever was asked for before, any texts with any repeats get the vectors of the embedder itself."""
    with tempfile.TemporaryDirectory() as folder, closing(VectorCache(Path(folder))) as cache:
        embedder = FakeEmbedder()
        for texts in runs:
            found = CachedEmbedder(embedder, cache).encode(texts)
            assert found.shape == (len(texts), 16)
            assert found.tobytes() == FakeEmbedder().encode(texts).tobytes()
        asked = [text for call in embedder.calls for text in call]
        assert len(asked) == len(set(asked)) == len({text for texts in runs for text in texts})


def test_no_text_is_too_strange_for_a_key(vectors: VectorCache) -> None:
    """Empty, huge, NUL, lone surrogates and look-alikes are all different keys, each with its own vector."""
    expected = FakeEmbedder().encode(STRANGE)
    vectors.store(CONTRACT, STRANGE, expected)
    found, embeddings = vectors.lookup(CONTRACT, STRANGE)
    assert found.all()
    assert embeddings.tobytes() == expected.tobytes()
    assert vectors.info().n_vectors == len(STRANGE)


def test_texts_with_nothing_to_read_are_known_too(vectors: VectorCache) -> None:
    """A vector of zeros is a vector."""
    CachedEmbedder(FakeEmbedder(), vectors).encode(["", "  "])
    embedder = FakeEmbedder()
    assert not CachedEmbedder(embedder, vectors).encode(["  ", ""]).any()
    assert embedder.calls == []


def test_lookup_follows_the_texts(vectors: VectorCache) -> None:
    """Repeats and strangers keep their places."""
    vectors.store(CONTRACT, TEXTS[:2], EXPECTED[:2])
    found, embeddings = vectors.lookup(CONTRACT, [TEXTS[1], "unknown", TEXTS[0], TEXTS[1]])
    assert found.tolist() == [True, False, True, True]
    assert np.array_equal(embeddings[[0, 2, 3]], EXPECTED[[1, 0, 1]])
    assert not embeddings[1].any()


@pytest.mark.parametrize("texts", [[], ["unknown"]])
def test_an_empty_cache_finds_nothing(vectors: VectorCache, texts: list[str]) -> None:
    """Shapes are right where nothing is there."""
    found, embeddings = vectors.lookup(CONTRACT, texts)
    assert found.tolist() == [False] * len(texts)
    assert embeddings.shape == (len(texts), 16)
    assert embeddings.dtype == np.float32


@pytest.mark.parametrize("shape", [(1, 16), (2, 15), (2,), (0, 16)])
def test_vectors_that_do_not_belong_to_the_texts_are_refused(vectors: VectorCache, shape: tuple[int, ...]) -> None:
    """One row of the contract's length for each text, or an error that names both."""
    with pytest.raises(ValueError, match="is not one vector of 16 for each of 2 texts"):
        vectors.store(CONTRACT, ["a", "b"], np.zeros(shape, dtype=np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_not_kept(vectors: VectorCache, bad: float) -> None:
    """A broken run of the encoder does not stay broken; its neighbours are kept."""
    damaged = EXPECTED[:3].copy()
    damaged[1, 5] = bad
    vectors.store(CONTRACT, TEXTS[:3], damaged)
    assert vectors.info().n_vectors == 2
    assert vectors.lookup(CONTRACT, TEXTS[:3])[0].tolist() == [True, False, True]


# Contracts


def test_the_same_weights_under_another_name_are_the_same_encoder(vectors: VectorCache) -> None:
    """A folder that moved finds its vectors."""
    CachedEmbedder(FakeEmbedder(), vectors).encode(TEXTS)
    moved = FakeEmbedder(name="/another/folder")
    CachedEmbedder(moved, vectors).encode(TEXTS)
    assert moved.calls == []


@pytest.mark.parametrize("name", [field.name for field in fields(EmbeddingContract) if field.name != "model_id"])
def test_a_changed_contract_never_serves_an_old_vector(vectors: VectorCache, name: str) -> None:
    """Weights, pooling, precision, window: one changed field, and nothing is found."""
    other = replace(CONTRACT, **{name: OTHER[type(getattr(CONTRACT, name))]})
    vectors.store(CONTRACT, TEXTS, EXPECTED)
    assert not vectors.lookup(other, TEXTS)[0].any()
    assert vectors.lookup(CONTRACT, TEXTS)[0].all()


def test_contracts_do_not_disturb_each_other(vectors: VectorCache) -> None:
    """The same text has a vector under each contract."""
    variants = [Variant(pooling=pooling) for pooling in ("mean", "cls")]
    for factor, variant in enumerate(variants, 1):
        vectors.store(variant.contract, TEXTS, factor * EXPECTED)
    for factor, variant in enumerate(variants, 1):
        assert np.array_equal(vectors.lookup(variant.contract, TEXTS)[1], factor * EXPECTED)


def test_half_precision_takes_half_the_room(vectors: VectorCache) -> None:
    """Numbers rounded to float16 are stored as such, and are the same before and after."""
    embedder = Variant(dtype="float16")
    fresh = CachedEmbedder(embedder, vectors).encode(TEXTS)
    found = CachedEmbedder(embedder, vectors).encode(TEXTS)
    assert n_embedded(embedder) == len(TEXTS)
    assert fresh.dtype == found.dtype == np.float32
    assert fresh.tobytes() == found.tobytes() == EXPECTED.astype(np.float16).astype(np.float32).tobytes()
    assert vectors.info().contracts[0].n_bytes == len(TEXTS) * 16 * 2


@pytest.mark.parametrize("dtype", ["int8", "binary"])
def test_other_numbers_pass_through(vectors: VectorCache, dtype: str) -> None:
    """What cannot be kept is computed each time, and no file is made for it."""
    embedder = Variant(dtype=dtype)
    for _ in range(2):
        assert np.array_equal(CachedEmbedder(embedder, vectors).encode(TEXTS), EXPECTED)
    assert n_embedded(embedder) == 2 * len(TEXTS)
    assert not vectors.path.exists()


def test_a_folder_with_a_strange_name_is_an_encoder_too(vectors: VectorCache) -> None:
    """A name that is no UTF-8 is shown as well as it can be."""
    CachedEmbedder(FakeEmbedder(name="caf\udce9"), vectors).encode(TEXTS)
    assert [usage.model_id for usage in vectors.info().contracts] == ["caf?"]
    assert vectors.lookup(CONTRACT, TEXTS)[0].all()


# Windows, interruption and progress


def test_an_interrupted_run_keeps_what_it_has_done(vectors: VectorCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was embedded before Ctrl+C is found by the next run."""

    class Interrupted(FakeEmbedder):
        def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:
            if len(self.calls) == 2:
                raise KeyboardInterrupt
            return super().encode(texts, progress=progress)

    monkeypatch.setattr(cache_module, "WINDOW_TEXTS", 100)
    with pytest.raises(KeyboardInterrupt):
        CachedEmbedder(Interrupted(), vectors).encode(TEXTS)
    embedder = FakeEmbedder()
    assert np.array_equal(CachedEmbedder(embedder, vectors).encode(TEXTS), EXPECTED)
    assert embedder.calls == [TEXTS[200:]]


@given(
    st.lists(st.integers(0, 30), max_size=40).flatmap(
        lambda lengths: (
            st.tuples(st.just(lengths), st.sets(st.sampled_from(range(len(lengths)))))
            if lengths
            else st.just(([], set()))
        )
    )
)
def test_windows_put_together_are_what_is_missing(case: tuple[list[int], set[int]]) -> None:
    """Nothing is lost or doubled, and only a single text may be longer than a window."""
    texts = ["x" * length for length in case[0]]
    rows = np.array(sorted(case[1]), dtype=np.intp)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache_module, "WINDOW_TEXTS", 4)
        patch.setattr(cache_module, "WINDOW_CHARACTERS", 40)
        windows = list(cache_module._windows(texts, rows))
    assert [row for window in windows for row in window] == rows.tolist()
    for window in windows:
        assert 1 <= len(window) <= 4
        assert len(window) == 1 or sum(len(texts[row]) for row in window) <= 40


def test_one_bar_for_the_whole_call(
    vectors: VectorCache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bar begins with what was found and ends with everything; the embedder shows none of its own."""
    monkeypatch.setattr(cache_module, "WINDOW_TEXTS", 50)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    vectors.store(CONTRACT, TEXTS[:120], EXPECTED[:120])
    CachedEmbedder(Bare(), vectors).encode([*TEXTS, *TEXTS], progress=True)
    shown = capsys.readouterr().err.splitlines()
    assert all(line.startswith("embedding:") for line in shown)
    assert "120/300" in shown[0]
    assert "300/300" in shown[-1]
    CachedEmbedder(Bare(), vectors).encode(TEXTS)
    assert capsys.readouterr().err == ""


def test_coverage_is_the_embedders(vectors: VectorCache) -> None:
    """Where the embedder cannot tell how much it reads, it is taken to read everything."""
    assert CachedEmbedder(FakeEmbedder(), vectors).coverage(["a", " "]).tolist() == [1.0, 0.0]
    assert CachedEmbedder(Bare(), vectors).coverage(["a", " "]).tolist() == [1.0, 1.0]


def test_a_copy_opens_the_file_for_itself(vectors: VectorCache) -> None:
    """An embedder with a cache can be copied, as scikit-learn does with whatever it is given."""
    embedder = CachedEmbedder(FakeEmbedder(), vectors)
    embedder.encode(TEXTS)
    twin = copy.deepcopy(embedder)
    with closing(twin.cache):
        assert np.array_equal(twin.encode(TEXTS), EXPECTED)
    assert twin.cache.path == vectors.path
    assert isinstance(twin.embedder, FakeEmbedder)
    assert len(twin.embedder.calls) == 1


# Several threads and processes


def test_threads_share_a_cache(vectors: VectorCache) -> None:
    """One cache serves many threads at once."""

    def run(seed: int) -> bool:
        chosen = random.Random(seed).choices(range(len(TEXTS)), k=100)
        found = CachedEmbedder(FakeEmbedder(), vectors).encode([TEXTS[number] for number in chosen])
        return np.array_equal(found, EXPECTED[chosen])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, range(40)))


def work(folder: Path, seed: int) -> int:
    """Store and read overlapping texts in a process of its own; return how many vectors were wrong."""
    warnings.simplefilter("error")
    rng = random.Random(seed)
    n_wrong = 0
    with closing(VectorCache(folder, max_bytes=60_000 if seed % 2 else 1 << 30)) as cache:
        for _ in range(25):
            chosen = rng.choices(range(len(TEXTS)), k=60)
            found = CachedEmbedder(FakeEmbedder(), cache).encode([TEXTS[number] for number in chosen])
            n_wrong += int((found != EXPECTED[chosen]).any(axis=1).sum())
            if rng.random() < 0.1:
                cache.close()
    return n_wrong


def test_processes_write_and_read_at_once(folder: Path) -> None:
    """Four processes begin the same file together, store, read and prune: no error, no warning, no wrong vector."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=spawn) as pool:
        assert list(pool.map(work, [folder] * 4, range(4))) == [0, 0, 0, 0]
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_opens_the_file_for_itself(vectors: VectorCache) -> None:
    """A child does not touch its parent's connection; both go on."""
    embedder = CachedEmbedder(FakeEmbedder(), vectors)
    embedder.encode(TEXTS[:100])
    inherited = vectors._file._connection
    child = os.fork()
    if child == 0:
        is_right = np.array_equal(embedder.encode(TEXTS[:200]), EXPECTED[:200])
        os._exit(0 if is_right and vectors._file._connection is not inherited else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert vectors.lookup(CONTRACT, TEXTS[:200])[0].all()
    assert np.array_equal(embedder.encode(TEXTS), EXPECTED)
    assert vectors._file._connection is inherited


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_cache import CONTRACT, EXPECTED, TEXTS
from classifier.embedding.cache import VectorCache
cache = VectorCache(Path(sys.argv[1]))
while True:
    print("next", flush=True)
    cache.store(CONTRACT, TEXTS, EXPECTED)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system does not kill outright")
def test_a_killed_writer_leaves_a_readable_file(folder: Path) -> None:
    """Killed in the middle of storing: what is found is right, nothing warns, and storing goes on."""
    for n_stores in (0, 10):
        writer = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(folder), str(Path(__file__).parent)], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        with writer.stdout:
            for _ in range(n_stores + 1):
                assert writer.stdout.readline() == b"next\n"
            writer.kill()
            writer.wait()
        with closing(VectorCache(folder)) as cache:
            found, embeddings = cache.lookup(CONTRACT, TEXTS)
            assert np.array_equal(embeddings[found], EXPECTED[found])
            assert found.all() or not found.any()
            assert np.array_equal(CachedEmbedder(FakeEmbedder(), cache).encode(TEXTS), EXPECTED)
            assert cache.lookup(CONTRACT, TEXTS)[0].all()
            cache.clear()


def test_a_lock_that_lasts_costs_time_but_nothing_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody keeps the file, vectors are not kept; afterwards they are again. There is one warning."""
    monkeypatch.setattr(vector_store, "BUSY_SECONDS", 0.01)
    path = filled(folder, TEXTS[:100])
    with closing(VectorCache(folder)) as cache, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.warns(CacheWarning, match="is in use by another process") as caught:
            encode_twice(cache)
        assert len(caught) == 1
        assert cache.lookup(CONTRACT, TEXTS)[0].tolist() == [True] * 100 + [False] * 200
        with pytest.raises(OutputError, match="database is locked"):
            cache.clear()
        other.execute("ROLLBACK")
        encode_twice(cache)
        assert cache.lookup(CONTRACT, TEXTS)[0].all()


def test_a_new_file_in_use_is_waited_for_where_sqlite_would_not(folder: Path) -> None:
    """Two processes that begin a file at once do not stumble over each other."""
    folder.mkdir()
    with (
        closing(sqlite3.connect(folder / FILE_NAME, isolation_level=None, check_same_thread=False)) as other,
        closing(sqlite3.connect(folder / FILE_NAME, isolation_level=None, timeout=0)) as impatient,
    ):
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.1, other.rollback)
        release.start()
        vector_store._write_ahead(impatient)
        release.join()
        assert impatient.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_new_file_that_stays_in_use_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting ends, with a warning; later the file is begun after all."""
    monkeypatch.setattr(vector_store, "BUSY_SECONDS", 0.05)
    folder.mkdir()
    with (
        closing(VectorCache(folder)) as cache,
        closing(sqlite3.connect(folder / FILE_NAME, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.warns(CacheWarning, match="is in use by another process"):
            encode_twice(cache)
        other.execute("ROLLBACK")
        cache.store(CONTRACT, TEXTS, EXPECTED)
        assert cache.lookup(CONTRACT, TEXTS)[0].all()


# Folders that cannot be used


def unusable(tmp_path: Path, kind: str) -> Path:
    """Make a folder that no cache can be kept in."""
    if kind == "its parent is a file":
        (tmp_path / "file").write_text("not a folder")
        return tmp_path / "file" / "cache"
    if kind == "it is a file":
        (tmp_path / "file").write_text("not a folder")
        return tmp_path / "file"
    if kind == "the file is a folder":
        (tmp_path / FILE_NAME).mkdir()
        return tmp_path
    return Path("/proc/no-such-cache")


ACTIONS: dict[str, Callable[[VectorCache], int]] = {
    "info": lambda cache: cache.info().n_vectors,
    "clear": VectorCache.clear,
    "prune": lambda cache: cache.prune(0),
}
UNUSABLE = ["its parent is a file", "it is a file", "the file is a folder"]
if Path("/proc/self").exists():
    UNUSABLE.append("it is in /proc")


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_folder_that_cannot_be_used_warns_once(tmp_path: Path, kind: str) -> None:
    """Everything works without the cache, and the one warning says what to do."""
    embedder = FakeEmbedder()
    with closing(VectorCache(unusable(tmp_path, kind))) as cache:
        with pytest.warns(CacheWarning, match=r"cannot be used \(.*CLASSIFIER_CACHE_DIR") as caught:
            encode_twice(cache, embedder)
        assert len(caught) == 1
        assert n_embedded(embedder) == 2 * len(TEXTS)


READ_ONLY = """
import os, sys, warnings
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_cache import EXPECTED, TEXTS, CachedEmbedder, FakeEmbedder, VectorCache, np
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(2):
        cache = CachedEmbedder(FakeEmbedder(), VectorCache(Path(sys.argv[1])))
        for _ in range(2):
            assert np.array_equal(cache.encode(TEXTS), EXPECTED)
        cache.cache.close()
print([warning.category.__name__ for warning in caught])
"""


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no such permissions")
@pytest.mark.parametrize("has_file", [False, True])
def test_a_read_only_folder_warns_once(has_file: bool) -> None:
    """Without permission to write, each cache warns once and stays out of the way, whether or not it has a file."""
    with tempfile.TemporaryDirectory() as outer:
        folder = Path(outer) / "cache"
        folder.mkdir()
        if has_file:
            filled(folder, TEXTS[:200])
            (folder / FILE_NAME).chmod(0o444)
        folder.chmod(0o555)
        Path(outer).chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, str(folder), str(Path(__file__).parent)], capture_output=True, text=True
        )
        folder.chmod(0o755)
    assert done.stderr == ""
    assert done.stdout == "['CacheWarning', 'CacheWarning']\n"


def test_a_folder_that_disappears_does_no_harm(folder: Path) -> None:
    """Somebody tidies up while we run: vectors stay right."""
    with closing(VectorCache(folder)) as cache, quiet():
        CachedEmbedder(FakeEmbedder(), cache).encode(TEXTS[:100])
        shutil.rmtree(folder)
        encode_twice(cache)
    with closing(VectorCache(folder)) as cache:
        encode_twice(cache)


@pytest.mark.parametrize("action", ACTIONS.values(), ids=list(ACTIONS))
def test_what_cannot_be_done_is_not_passed_over(tmp_path: Path, action: Callable[[VectorCache], int]) -> None:
    """Who asks for the vectors to be gone must hear that they are not."""
    cache = VectorCache(unusable(tmp_path, "the file is a folder"))
    with pytest.raises(OutputError, match=r"the vector cache cannot be used \(.*; close what else uses it"):
        action(cache)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_nobody_else_may_read(vectors: VectorCache, folder: Path) -> None:
    """Vectors tell something about texts: folder and files are the user's own."""
    vectors.store(CONTRACT, TEXTS, EXPECTED)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {FILE_NAME + suffix: 0o600 for suffix in ("", "-wal", "-shm")}


# Damage


GARBAGE = {
    "text": b"this is no database, but some words\n" * 500,
    "header alone": b"SQLite format 3\0",
    "header and noise": b"SQLite format 3\0" + bytes(range(256)) * 64,
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=list(GARBAGE))
def test_a_file_of_garbage_is_set_aside(folder: Path, content: bytes) -> None:
    """One warning names where it went, and a new file is begun."""
    folder.mkdir()
    (folder / FILE_NAME).write_bytes(content)
    embedder = FakeEmbedder()
    with closing(VectorCache(folder)) as cache:
        with pytest.warns(CacheWarning, match=f"was damaged .* is in {FILE_NAME}{DAMAGED_SUFFIX}") as caught:
            encode_twice(cache, embedder)
        assert len(caught) == 1
        assert n_embedded(embedder) == len(TEXTS)
        assert (folder / (FILE_NAME + DAMAGED_SUFFIX)).read_bytes() == content
        cache.clear()
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]


def test_an_empty_file_is_a_new_one(folder: Path) -> None:
    """A file of no bytes holds no vectors and needs no warning."""
    folder.mkdir()
    (folder / FILE_NAME).touch()
    with closing(VectorCache(folder)) as cache:
        assert cache.info().n_vectors == 0
        cache.store(CONTRACT, TEXTS, EXPECTED)
        assert cache.lookup(CONTRACT, TEXTS)[0].all()


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_a_truncated_file_is_set_aside(folder: Path, share: float) -> None:
    """A file that ends too early is begun anew, with one warning."""
    path = filled(folder)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    embedder = FakeEmbedder()
    with closing(VectorCache(folder)) as cache:
        with pytest.warns(CacheWarning, match="was damaged") as caught:
            encode_twice(cache, embedder)
        assert len(caught) == 1
        assert cache.lookup(CONTRACT, TEXTS)[0].all()


def test_damage_that_only_shows_on_writing_loses_no_new_vector(folder: Path) -> None:
    """What was just embedded goes into the file that is begun anew."""
    path = filled(folder, TEXTS[:100])
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'contracts'").fetchone()
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    path.write_bytes(content)
    with closing(VectorCache(folder)) as cache:
        with pytest.warns(CacheWarning, match="was damaged"):
            CachedEmbedder(FakeEmbedder(), cache).encode(TEXTS[100:])
        assert cache.lookup(CONTRACT, TEXTS)[0].tolist() == [False] * 100 + [True] * 200


def test_a_damaged_index_of_contracts_is_noticed(folder: Path) -> None:
    """A contract that can neither be added nor be found means damage."""
    path = filled(folder, TEXTS[:100])
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE tbl_name = 'contracts' AND type = 'index'"
        (page,) = connection.execute(query).fetchone()
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 + 9] = 0x95
    path.write_bytes(content)
    with closing(VectorCache(folder)) as cache:
        with pytest.warns(CacheWarning, match="its list of contracts is damaged"):
            CachedEmbedder(FakeEmbedder(), cache).encode(TEXTS)
        assert cache.lookup(CONTRACT, TEXTS)[0].tolist() == [False] * 100 + [True] * 200


def test_a_file_with_damaged_names_is_set_aside(folder: Path) -> None:
    """Python cannot even read out what SQLite says about such a file."""
    path = filled(folder)
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE", b"CREATE T\xffBLE"))
    with closing(VectorCache(folder)) as cache, pytest.warns(CacheWarning, match="its names are damaged"):
        encode_twice(cache)


@pytest.fixture(scope="module")
def whole_file() -> bytes:
    """Return the content of a file with some vectors."""
    with tempfile.TemporaryDirectory() as outer:
        return filled(Path(outer)).read_bytes()


PAGES = st.integers(0, 30)
OFFSETS = st.integers(0, 15) | st.integers(0, 4095)
NOISE = st.binary(min_size=1, max_size=8) | st.binary(min_size=300, max_size=300)


@settings(deadline=None, max_examples=scaled(12, 60))
@given(damages=st.lists(st.tuples(PAGES, OFFSETS, NOISE), min_size=1, max_size=6))
def test_no_damage_gives_a_wrong_vector(whole_file: bytes, damages: list[tuple[int, int, bytes]]) -> None:
    """Any bytes changed anywhere: no crash, and every vector is right."""
    content = bytearray(whole_file)
    for page, offset, noise in damages:
        start = (page * 4096 + offset) % len(content)
        content[start : start + len(noise)] = noise[: len(content) - start]
    with tempfile.TemporaryDirectory() as outer, quiet():
        (Path(outer) / FILE_NAME).write_bytes(content)
        with closing(VectorCache(Path(outer))) as cache:
            found, embeddings = cache.lookup(CONTRACT, TEXTS)
            assert np.array_equal(embeddings, np.where(found[:, None], EXPECTED, 0))
            encode_twice(cache)


def vector_blob(vector: NDArray[np.float32]) -> tuple[bytes, int]:
    """Return a vector's bytes and their checksum."""
    return vector.tobytes(), zlib.crc32(vector.tobytes())


UNTRUE = {
    "too short": vector_blob(EXPECTED[0][:-1]),
    "too long": vector_blob(np.append(EXPECTED[0], np.float32(0))),
    "empty": vector_blob(EXPECTED[0][:0]),
    "not finite": vector_blob(np.full(16, np.nan, dtype=np.float32)),
    "another checksum": (EXPECTED[0].tobytes(), 0),
    "no bytes": ("words", 0),
    "nothing": (0, 0),
}


@pytest.mark.parametrize("stored", UNTRUE.values(), ids=list(UNTRUE))
def test_a_vector_that_cannot_be_true_is_a_miss_and_is_mended(folder: Path, stored: tuple[object, int]) -> None:
    """Its neighbours are found; the next run puts it right."""
    with closing(sqlite3.connect(filled(folder))) as connection, connection:
        connection.execute("UPDATE vectors SET vector = ?, checksum = ? WHERE number = 7", stored)
    embedder = FakeEmbedder()
    with closing(VectorCache(folder)) as cache:
        assert (~cache.lookup(CONTRACT, TEXTS)[0]).sum() == 1
        encode_twice(cache, embedder)
    assert n_embedded(embedder) == 1


def test_a_digest_that_differs_is_a_miss(folder: Path) -> None:
    """Two texts whose short keys are equal do not get each other's vector."""
    with closing(sqlite3.connect(filled(folder))) as connection, connection:
        connection.execute("UPDATE vectors SET digest = zeroblob(32) WHERE number = 7")
    with closing(VectorCache(folder)) as cache:
        assert (~cache.lookup(CONTRACT, TEXTS)[0]).sum() == 1


def test_another_programs_file_is_left_alone(folder: Path) -> None:
    """A database that is not ours is neither read, changed nor moved."""
    folder.mkdir()
    path = folder / FILE_NAME
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE vectors (number, key, contract, digest, checksum, vector)")
    content = path.read_bytes()
    with closing(VectorCache(folder)) as cache:
        with pytest.warns(CacheWarning, match="another program's file") as caught:
            assert np.array_equal(CachedEmbedder(FakeEmbedder(), cache).encode(TEXTS), EXPECTED)
        assert len(caught) == 1
        with pytest.raises(OutputError, match="another program's file"):
            cache.clear()
    assert path.read_bytes() == content
    assert [entry.name for entry in folder.iterdir()] == [FILE_NAME]


def test_a_file_of_another_version_is_set_aside(folder: Path) -> None:
    """What another version wrote is not guessed at."""
    with closing(sqlite3.connect(filled(folder))) as connection:
        connection.execute("PRAGMA user_version = 99")
    with closing(VectorCache(folder)) as cache, pytest.warns(CacheWarning, match="written by another version"):
        encode_twice(cache)


def test_a_new_file_is_not_set_aside_for_the_old_one(folder: Path) -> None:
    """Of two that find the same damage, the second keeps its hands off what the first has begun."""
    path = filled(folder)
    with closing(VectorStore(path)) as slow, closing(VectorStore(path)) as quick:
        slow.usage()
        quick.usage()
        quick.set_aside()
        quick.insert(CONTRACT, {b"\1" * 32: b"new"})
        slow.set_aside()
        assert slow.fetch([b"\1" * 32], 3) == {b"\1" * 32: b"new"}


@pytest.mark.parametrize("name", ACTIONS)
def test_a_damaged_file_can_be_looked_after(folder: Path, name: str) -> None:
    """The commands set it aside as well, and go on with the new file."""
    folder.mkdir()
    (folder / FILE_NAME).write_bytes(GARBAGE["text"])
    with closing(VectorCache(folder)) as cache, pytest.warns(CacheWarning, match="was damaged"):
        assert ACTIONS[name](cache) == 0
    assert (folder / (FILE_NAME + DAMAGED_SUFFIX)).exists() == (name != "clear")


# Looking after a cache


def test_info_tells_what_is_there(vectors: VectorCache) -> None:
    """Contracts are counted apart, and sizes are those on disk."""
    vectors.store(CONTRACT, TEXTS, EXPECTED)
    half = replace(CONTRACT, dtype="float16", pooling="cls", precision="bf16")
    vectors.store(half, TEXTS[:10], EXPECTED[:10])
    info = vectors.info()
    assert info.path == vectors.path
    assert info.n_vectors == 310
    sizes = [(vectors.path.parent / name).stat().st_size for name in (FILE_NAME, f"{FILE_NAME}-wal")]
    assert info.n_bytes == sum(sizes)
    shown = [(u.model_id, u.precision, u.pooling, u.dimension, u.n_vectors, u.n_bytes) for u in info.contracts]
    assert shown == [
        ("fake-embedder", "f32", "none", 16, 300, 300 * 64),
        ("fake-embedder", "bf16", "cls", 16, 10, 10 * 32),
    ]
    assert {usage.last_used for usage in info.contracts} == {date.today().isoformat()}


def test_reading_counts_as_use(folder: Path) -> None:
    """The day of the last use moves when vectors are found, not when they are missed."""
    with closing(sqlite3.connect(filled(folder))) as connection, connection:
        connection.execute("UPDATE contracts SET last_used = '2020-02-02'")
    with closing(VectorCache(folder)) as cache:
        cache.lookup(CONTRACT, ["unknown"])
        assert cache.info().contracts[0].last_used == "2020-02-02"
        cache.lookup(CONTRACT, TEXTS)
        assert cache.info().contracts[0].last_used == date.today().isoformat()


@pytest.mark.parametrize("action", ACTIONS.values(), ids=list(ACTIONS))
def test_looking_after_nothing_makes_nothing(
    vectors: VectorCache, folder: Path, action: Callable[[VectorCache], int]
) -> None:
    """Asking about a cache that was never used leaves no trace."""
    assert action(vectors) == 0
    assert vectors.info().n_bytes == 0
    assert not folder.exists()


def test_clear_drops_everything_and_shrinks_the_file(vectors: VectorCache) -> None:
    """Nothing is found afterwards, and the cache goes on working."""
    vectors.store(CONTRACT, TEXTS, EXPECTED)
    before = vectors.info().n_bytes
    assert vectors.clear() == len(TEXTS)
    info = vectors.info()
    assert (info.n_vectors, info.contracts) == (0, ())
    assert info.n_bytes < before / 2
    assert not vectors.lookup(CONTRACT, TEXTS)[0].any()
    vectors.store(CONTRACT, TEXTS, EXPECTED)
    assert vectors.lookup(CONTRACT, TEXTS)[0].all()


@pytest.mark.parametrize("rows_at_once", [7, 20_000])
def test_prune_drops_the_oldest_first(vectors: VectorCache, monkeypatch: pytest.MonkeyPatch, rows_at_once: int) -> None:
    """What is left is the newest, the file is no larger than asked for, and not much smaller."""
    monkeypatch.setattr(vector_store, "ROWS_PER_DELETION", rows_at_once)
    many = [f"{text} {number}" for number in range(5) for text in TEXTS]
    expected = FakeEmbedder().encode(many)
    vectors.store(CONTRACT, many, expected)
    vectors.close()
    max_bytes = vectors.info().n_bytes // 2
    n_removed = vectors.prune(max_bytes)
    found, embeddings = vectors.lookup(CONTRACT, many)
    assert found.tolist() == [False] * n_removed + [True] * (len(many) - n_removed)
    assert np.array_equal(embeddings[found], expected[found])
    assert max_bytes * 0.8 < vectors.info().n_bytes <= max_bytes
    assert vectors.prune(max_bytes) == 0


@pytest.mark.parametrize("max_bytes", [0, -1, 1])
def test_prune_to_nothing_is_clear(vectors: VectorCache, max_bytes: int) -> None:
    """A limit below the size of an empty file leaves an empty file."""
    vectors.store(CONTRACT, TEXTS, EXPECTED)
    assert vectors.prune(max_bytes) == len(TEXTS)
    assert vectors.info().n_vectors == 0


def test_the_cache_is_bounded(folder: Path) -> None:
    """However much is stored, the file stays below its limit and keeps the newest."""
    max_bytes = 150_000
    with closing(VectorCache(folder, max_bytes)) as cache:
        for number in range(20):
            texts = [f"{text} {number}" for text in TEXTS]
            cache.store(CONTRACT, texts, EXPECTED)
            assert cache.lookup(CONTRACT, texts)[0].all()
        assert 0 < cache.info().n_vectors < 20 * len(TEXTS)
    assert max_bytes / 2 < (folder / FILE_NAME).stat().st_size <= max_bytes
