"""Trials of batches that something happens to, and what must be true of them afterwards."""

from __future__ import annotations

import csv
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from conftest import SMALL_TEXTS
from crashing import Crasher, Ended, Job
from fakes import FakeEmbedder

from classifier import DocumentClassifier
from classifier.prediction.outputs import summary_path

KINDS = {"out.csv": "csv", "out.csv.gz": "csv", "out.jsonl.zst": "jsonl", "out.parquet": "parquet", "kept.csv": "csv"}
GOOD_ROWS = [
    *((text, label) for label, texts in SMALL_TEXTS.items() for text in texts),
    *(("=1+1", "-"), ("", "+"), ('say "hi"\r\n', "'=x"), ("ünï\u2028code", "@a"), (" ", "\t")),
]
BAD_ROWS = ["one cell", 'a,b,c,"d"', "1,2,3,4,5"]
N_GOOD, N_ROWS = len(GOOD_ROWS), len(GOOD_ROWS) + len(BAD_ROWS)


class Bench(NamedTuple):
    """What every trial needs, and what it is compared with."""

    folder: Path
    crasher: Crasher
    job: Job
    wanted: dict[str, bytes]
    calls: tuple[str, ...]
    seconds: float

    @classmethod
    def of(cls, name: str, folder: Path, crasher: Crasher, *, block_rows: int = 5) -> Bench:
        """Run once without a fault, and see what that leaves, what it calls and how long it takes."""
        whole = folder / f"whole {name}"
        whole.mkdir()
        job = Job(str(folder / "model" / "1"), str(folder / "in.csv"), str(whole / name), KINDS[name])
        job = job.but(block_rows=block_rows)
        if name == "kept.csv":
            job = job.but(embeddings_out=str(whole / "vectors.parquet"))
        seconds, calls = [], []
        for _ in range(3):
            before = time.perf_counter()
            [ended] = crasher.run(job)
            seconds.append(time.perf_counter() - before)
            assert ended.is_done, ended.message
            calls.append(ended.calls)
        wanted = files_of(job)
        assert wanted.keys() == {name, f"{name}.rejected.csv"} | ({"vectors.parquet"} if job.embeddings_out else set())
        return cls(folder, crasher, job, wanted, tuple(calls[0]), statistics.median(seconds))

    def trial(self, *, has_old: bool) -> Job:
        """Return the batch in a folder of its own, with or without an older output."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        target = folder / Path(self.job.target).name
        if has_old:
            target.write_text("of last week")
        kept = self.job.embeddings_out and str(folder / "vectors.parquet")
        return self.job.but(target=str(target), embeddings_out=kept)


def files_of(job: Job) -> dict[str, bytes]:
    """Return all that a batch left, but for its summary, which tells of times."""
    folder = Path(job.target).parent
    summary = summary_path(Path(job.target))
    return {path.name: path.read_bytes() for path in folder.iterdir() if path != summary}


def require_untouched_or_whole(bench: Bench, job: Job) -> None:
    """Make sure that whatever has the name of the output is the old file or the whole new one."""
    target = Path(job.target)
    if target.exists():
        content = target.read_bytes()
        assert content in {b"of last week", bench.wanted[target.name]}
        if content != b"of last week":
            assert json.loads(summary_path(target).read_bytes())["counts"]["n_rows"] == N_ROWS


def require_recovered(bench: Bench, job: Job) -> Ended:
    """Run again until it is done, and compare every byte with what one run makes."""
    require_untouched_or_whole(bench, job)
    [ended] = bench.crasher.run(job.but(action=None, seconds=None))
    assert ended.is_done, ended.message
    assert ended.n_rows == N_ROWS
    found = files_of(job)
    if job.embeddings_out:  # vectors have a temporary file of their own
        found = {name: content for name, content in found.items() if not name.startswith(".classifier-")}
    assert found == bench.wanted
    assert json.loads(summary_path(Path(job.target)).read_bytes())["counts"]["n_rows"] == ended.n_rows
    shutil.rmtree(Path(job.target).parent)
    return ended


def prepare(folder: Path) -> Path:
    """Make a folder with a stored model of the fake embedder, and an input with a few bad rows."""
    texts = [(text, label) for label, texts in SMALL_TEXTS.items() for text in texts]
    model = DocumentClassifier(FakeEmbedder(name="fake:a"))
    model.fit([text for text, _ in texts], [label for _, label in texts]).save(folder / "model" / "1")
    with (folder / "in.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
        writer.writerow(["id", "text", "note"])
        for number, (text, note) in enumerate(GOOD_ROWS):
            writer.writerow([f"{number:03}", text, note])
            if number % 10 == 3:
                stream.write(BAD_ROWS[number // 10] + "\n")
    return folder
