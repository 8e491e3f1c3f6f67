"""Where a batch goes: a file that can be gone on with after anything, or a stream that cannot."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from classifier.datamodels import Rejection
from classifier.embedding.contract import Embeddings
from classifier.prediction.formats import RowFormat, compress
from classifier.prediction.journal import Journal
from classifier.prediction.rejections import is_list_of_rejected, rejected_lines
from classifier.prediction.sinks import StreamSink, one_sentence

OUTPUT, REJECTED, VECTORS, SUMMARY, WHOLE = "output", "rejected", "vectors", "summary", "whole"


class Output(Protocol):
    """Takes the blocks of a batch in order."""

    @property
    def notes(self) -> Sequence[Mapping[str, Any]]:
        """What was noted of blocks that an earlier run finished, which are not to come again."""

    def write(
        self, body: bytes, rejected: Sequence[Rejection], note: Mapping[str, Any], vectors: Embeddings | None = None
    ) -> None:
        """Take one block: its rows, the rows that were rejected, and what is to be noted of it."""


class JournaledOutput:
    """Blocks in a file, by way of a journal.

    Parameters
    ----------
    journal : Journal
        Of the target.
    target : Path
        Where the file is to appear.
    rows : RowFormat
        What made the blocks.
    rejected : Path
        Where rejected rows are to be listed.
    keeps_vectors : bool, default=False
        Whether vectors are kept as well.
    """

    def __init__(
        self, journal: Journal, target: Path, rows: RowFormat, rejected: Path, *, keeps_vectors: bool = False
    ) -> None:
        self._journal, self._target, self._rows, self._rejected = journal, target, rows, rejected
        self._keeps_vectors = keeps_vectors
        self._compress = compress(target)

    @property
    def notes(self) -> Sequence[Mapping[str, Any]]:
        """What was noted of finished blocks."""
        return self._journal.notes

    def write(
        self, body: bytes, rejected: Sequence[Rejection], note: Mapping[str, Any], vectors: Embeddings | None = None
    ) -> None:
        """Make one block safe."""
        is_first = not self._journal.notes
        content = (self._rows.begin() if is_first else b"") + body
        contents = {
            OUTPUT: self._compress(content) if content or is_first else b"",  # an empty file is no compressed one
            REJECTED: rejected_lines(rejected, with_header=is_first).encode(),
        }
        if self._keeps_vectors and vectors is not None:
            contents[VECTORS] = np.ascontiguousarray(vectors, dtype="<f4").tobytes()
        self._journal.append(contents, {**note, "output_bytes": len(contents[OUTPUT])})

    def vectors(self, n_dims: int) -> Iterator[Embeddings]:
        """Yield the vectors that were kept, block by block; rows follow the predicted ones of the input."""
        with self._journal.path(VECTORS).open("rb") as stream:
            for note in self.notes:
                n_predicted = note["n_rows"] - note["n_rejected"]
                content = stream.read(4 * n_dims * n_predicted)
                yield np.frombuffer(content, dtype="<f4").reshape(n_predicted, n_dims)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Let the file appear, whole, with the list of rejected rows where there are any, and a summary."""
        if self._journal.is_finished:
            return
        journal = self._journal
        with one_sentence(str(self._target)):
            sizes = [int(note["output_bytes"]) for note in journal.notes]
            is_made = self._rows.whole(journal.path(OUTPUT), sizes, journal.path(WHOLE))
            lines = json.dumps(summary, ensure_ascii=False, indent=2, default=str) + "\n"
            journal.path(SUMMARY).write_text(lines, encoding="utf-8")
        finals = {SUMMARY: summary_path(self._target)}
        if any(note["n_rejected"] for note in journal.notes) or is_list_of_rejected(self._rejected):
            finals[REJECTED] = self._rejected
        target = Path(os.path.realpath(self._target))
        journal.finish({**finals, WHOLE if is_made else OUTPUT: target})


class StreamedOutput:
    """Blocks on their way to an open stream, such as standard output; rejected rows wait for the end.

    Parameters
    ----------
    stream : text stream
    rows : RowFormat
        What made the blocks.
    """

    notes: Sequence[Mapping[str, Any]] = ()

    def __init__(self, stream: IO[Any], rows: RowFormat) -> None:
        self._sink = StreamSink(stream)
        self._begin: bytes | None = rows.begin()
        self.rejected: list[Rejection] = []

    def write(
        self,
        body: bytes,
        rejected: Sequence[Rejection],
        note: Mapping[str, Any],  # noqa: ARG002 # nothing is gone on with
        vectors: Embeddings | None = None,  # noqa: ARG002 # they go with a file
    ) -> None:
        """Pass one block on."""
        with one_sentence("standard output"):
            self._sink.write_bytes((self._begin or b"") + body)
            self._begin = None
            self._sink.commit()
        self.rejected.extend(rejected)


def summary_path(target: Path) -> Path:
    """Return where the summary of a batch is written: ``OUT.summary.json``."""
    return target.parent / f"{target.name}.summary.json"
