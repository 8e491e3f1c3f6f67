"""Compare embedders on a labelled file."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from classifier import __version__
from classifier.analysis.comparison_page import render_page
from classifier.analysis.tradeoffs import Comparison, Tradeoff, mark_front, recommend
from classifier.datamodels import EncoderOptions, Settings
from classifier.errors import CacheWarning, OutputError
from classifier.modeling.comparison import DEFAULT_EMBEDDERS, Measured, Sample, draw_sample, identify, measure_embedder
from classifier.prediction.sinks import FileSink, one_sentence, written_whole
from classifier.progress import progress_bar
from classifier.reports import FIND_COLUMNS, Columns
from classifier.workflows.labelled import read_labelled

MAX_DOCUMENTS = 3000
FOLDER = "comparisons"
METHOD = 1
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """What came of comparing.

    Attributes
    ----------
    comparison : Comparison
        Every row, and which one to take.
    page : str or None
        Where the page was written.
    n_resumed : int
        Embedders that an earlier run had measured.
    n_unlabelled, n_empty, n_rejected : int
        Rows left out: without a label, with nothing to read, unreadable.
    notes, warnings : tuple of str
        What was chosen while reading; what was noticed in the data.
    rejected_file : str or None
        Where unreadable rows are listed.
    seconds : float
        Wall time.
    """

    comparison: Comparison
    page: str | None
    n_resumed: int
    n_unlabelled: int
    n_empty: int
    n_rejected: int
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    rejected_file: str | None
    seconds: float


class Journal:
    """What was measured on one sample, in a file with one line for each embedder.

    It only ever saves time: a line that is not whole counts as missing, and a file that cannot be written gives a
    warning.

    Parameters
    ----------
    path : Path
        Need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Measured] = {}
        with suppress(OSError):
            for line in path.read_bytes().split(b"\n"):
                with suppress(*_DAMAGE):
                    identity, measured = _from_line(line)
                    self._known[identity] = measured

    def restart(self) -> None:
        """Forget everything."""
        self._known.clear()
        with _as_warning(self._path):
            self._path.unlink(missing_ok=True)

    def find(self, identity: str) -> Measured | None:
        """Return what is known of an embedder."""
        return self._known.get(identity)

    def add(self, identity: str, measured: Measured) -> None:
        """Keep what came of an embedder."""
        self._known[identity] = measured
        with _as_warning(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as stream:
                stream.write(b"\n" + _to_line(identity, measured) + b"\n")


def compare(
    file: str | Path,
    settings: Settings,
    *,
    columns: Columns = FIND_COLUMNS,
    embedders: Sequence[str] = DEFAULT_EMBEDDERS,
    max_documents: int = MAX_DOCUMENTS,
    page: Path | None = None,
    restart: bool = False,
    seed: int = 0,
    progress: bool = False,
) -> ComparisonReport:
    """Measure embedders on a labelled file, in every dimension and stored precision, and recommend one.

    What is finished is kept in the cache folder: the same command takes up where it was stopped.

    Parameters
    ----------
    file : str or Path
        Labelled documents.
    settings : Settings
        How encoders are run, and where results are kept.
    columns : Columns
        How to read the file.
    embedders : sequence of str
        Names for `load_embedder`, without ``+pca``.
    max_documents : int
        Of a larger file a sample is taken.
    page : Path or None
        HTML file to write.
    restart : bool
        Whether to measure again what an earlier run has measured.
    seed : int
        Decides sample and folds.
    progress : bool
        Show bars on stderr.

    Raises
    ------
    EmbedderError
        When an embedder cannot be had; before anything is measured.
    ClassifierError
        When the file cannot be read or nothing can be held out, or the page cannot be written.
    """
    started = time.perf_counter()
    if page is not None:
        _require_writable(page, Path(file))
    data = read_labelled(file, columns)
    documents = [document for document in data.documents if document.text.strip()]
    texts, labels = [document.text for document in documents], [document.label or "" for document in documents]
    sample = draw_sample(texts, labels, max_documents=max_documents, seed=seed)
    measured, n_resumed = _measure(sample, embedders, settings.encoder, restart=restart, progress=progress)
    comparison = _compared(data.name, len(documents), sample, measured)
    if page is not None:
        _write(page, render_page(comparison))
    return ComparisonReport(
        comparison=comparison,
        page=None if page is None else str(page),
        n_resumed=n_resumed,
        n_unlabelled=data.n_unlabelled,
        n_empty=len(data.documents) - len(documents),
        n_rejected=data.n_rejected,
        notes=data.notes,
        warnings=sample.data.warnings,
        rejected_file=data.rejected_file,
        seconds=time.perf_counter() - started,
    )


def _measure(
    sample: Sample, embedders: Sequence[str], options: EncoderOptions, *, restart: bool, progress: bool
) -> tuple[list[Measured], int]:
    """Measure each embedder that no earlier run has measured; return the results, and how many were there before."""
    identities = {name: identify(name, options) for name in dict.fromkeys(embedders)}
    journal = Journal(options.cache_dir / FOLDER / f"{sample.fingerprint[:32]}.jsonl")
    if restart:
        journal.restart()
    measured: list[Measured] = []
    n_resumed = 0
    with progress_bar("comparing", "embedder", total=len(identities), shown=progress) as bar:
        for name, identity in identities.items():
            key = hashlib.sha256(f"{METHOD} {__version__} {identity}".encode()).hexdigest()
            found = journal.find(key)
            n_resumed += found is not None
            if found is None:
                found = measure_embedder(name, sample, options, progress=progress)
                journal.add(key, found)
            measured.append(found)
            bar.update()
    return measured, n_resumed


def _compared(source: str, n_available: int, sample: Sample, measured: Sequence[Measured]) -> Comparison:
    """Put what was measured side by side."""
    tradeoffs = mark_front([one for found in measured for one in found.tradeoffs])
    counts = Counter(sample.data.labels[row] for row in sample.measured)
    return Comparison(
        source=source,
        n_documents=len(sample.data.texts),
        n_available=n_available,
        n_measured=len(sample.measured),
        n_labels=len(sample.data.classes),
        n_folds=sample.n_folds,
        n_queries=len(sample.queries),
        majority_accuracy=counts[sample.data.majority] / len(sample.measured),
        seed=sample.seed,
        tradeoffs=tradeoffs,
        recommendation=recommend(tradeoffs, np.concatenate([found.correct for found in measured])),
    )


def _require_writable(page: Path, source: Path) -> None:
    """Refuse early what could not be written after all the work."""
    if page.exists() and source.exists() and page.samefile(source):
        raise OutputError(page, "the page would be written over the file that is read", "choose another name")
    with one_sentence(str(page)):
        FileSink(page).discard()


def _write(page: Path, text: str) -> None:
    """Write the page whole or not at all."""
    with written_whole(page) as sink:
        sink.write(text)


@contextmanager
def _as_warning(path: Path) -> Iterator[None]:
    """Go on where a journal cannot be written."""
    try:
        yield
    except OSError as error:
        warnings.warn(
            f"What is finished cannot be kept in {path.parent} ({error.strerror or error}): after a stop, all is "
            "measured anew. Make the folder writable, or name another one with CLASSIFIER_CACHE_DIR.",
            CacheWarning,
            stacklevel=4,
        )


def _to_line(identity: str, measured: Measured) -> bytes:
    """Write one line of a journal, with its checksum."""
    content = {
        "identity": identity,
        "tradeoffs": [asdict(one) for one in measured.tradeoffs],
        "n_measured": measured.correct.shape[1],
        "correct": base64.b64encode(np.packbits(measured.correct, axis=1).tobytes()).decode("ascii"),
    }
    text = json.dumps(content, sort_keys=True)
    return json.dumps([hashlib.sha256(text.encode("ascii")).hexdigest(), text]).encode("ascii")


def _from_line(line: bytes) -> tuple[str, Measured]:
    """Read one line of a journal; one of `_DAMAGE` says that it is none."""
    checksum, text = json.loads(line)
    if hashlib.sha256(text.encode("ascii")).hexdigest() != checksum:
        raise ValueError("the line was altered")
    content: dict[str, Any] = json.loads(text)
    tradeoffs = tuple(
        Tradeoff(**values | {"accuracy_interval": tuple(values["accuracy_interval"])})
        for values in content["tradeoffs"]
    )
    packed = np.frombuffer(base64.b64decode(content["correct"]), dtype=np.uint8).reshape(len(tradeoffs), -1)
    correct = np.unpackbits(packed, axis=1, count=content["n_measured"]).astype(np.bool_)
    return content["identity"], Measured(tradeoffs, correct)
