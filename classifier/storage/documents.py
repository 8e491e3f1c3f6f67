"""The training documents of a bundle: JSON lines with an array of offsets, read one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from classifier.datamodels import Document
from classifier.errors import BundleRefusedError
from classifier.storage.arrays import map_array, write_array

DOCUMENTS_FILE = "documents.jsonl"
OFFSETS_FILE = "documents_offsets.npy"


def write_documents(folder: Path, documents: Sequence[Document]) -> None:
    """Write `documents` and the byte offset of each line, plus the end, into `folder`."""
    offsets = np.zeros(len(documents) + 1, dtype="<i8")
    with (folder / DOCUMENTS_FILE).open("wb") as stream:
        for index, document in enumerate(documents):
            line = json.dumps({"id": document.id, "text": document.text, "label": document.label})
            stream.write(line.encode("ascii") + b"\n")
            offsets[index + 1] = stream.tell()
    write_array(folder / OFFSETS_FILE, offsets)


class DocumentStore(Sequence[Document]):
    """Documents on disk; only the ones asked for are read.

    Parameters
    ----------
    folder : Path
        A folder with the two files of `write_documents`.

    Raises
    ------
    ValueError
        When the offsets do not fit the file.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / DOCUMENTS_FILE
        self._offsets = map_array(folder / OFFSETS_FILE, "<i8", 1)
        if len(self._offsets) == 0 or self._offsets[0] != 0 or self._offsets[-1] != self._path.stat().st_size:
            raise ValueError(f"{OFFSETS_FILE!r} does not fit {DOCUMENTS_FILE!r}")
        if (np.diff(self._offsets) <= 0).any():
            raise ValueError(f"{OFFSETS_FILE!r} is not in order")

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> Document: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Document]: ...

    def __getitem__(self, index: int | slice) -> Document | Sequence[Document]:
        """Read one document, or the documents of a slice."""
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        start, end = int(self._offsets[position]), int(self._offsets[position + 1])
        with self._path.open("rb") as stream:
            stream.seek(start)
            return _parse(stream.read(end - start), position, self._path)

    def __iter__(self) -> Iterator[Document]:
        """Read all documents in order."""
        with self._path.open("rb") as stream:
            for position, n_bytes in enumerate(np.diff(self._offsets)):
                yield _parse(stream.read(int(n_bytes)), position, self._path)


def _parse(line: bytes, position: int, path: Path) -> Document:
    """Turn one line into a document."""
    try:
        values = json.loads(line)
        return Document(id=str(values["id"]), text=str(values["text"]), label=str(values["label"]), row=position + 1)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleRefusedError(path.parent, f"line {position + 1} of {path.name!r} is no document") from error
