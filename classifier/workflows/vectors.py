"""Embed a file for somebody else, and use vectors that somebody else made."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from classifier.datamodels import Document, Rejection, Settings
from classifier.embedding.contract import Embedder, EmbeddingContract, Recipe
from classifier.embedding.embedders import DEFAULT_EMBEDDER, load_embedder
from classifier.embedding.quantization import RoundedEmbedder, resolve_dtype
from classifier.embedding.vectors_file import VectorsFile, VectorsWriter, read_contract
from classifier.errors import UnfittedEmbedderError
from classifier.prediction.rejections import RejectionsFile
from classifier.progress import progress_bar
from classifier.reading.documents import DocumentStream, read_documents
from classifier.reports import FIND_COLUMNS, Columns, EmbeddingReport
from classifier.workflows.labelled import rejected_path, require_other_file
from classifier.workflows.opening import open_predictor

WINDOW_DOCUMENTS = 4096
WINDOW_CHARACTERS = 8_000_000


def embed(
    file: str | Path,
    target: Path,
    settings: Settings,
    *,
    embedder: str = DEFAULT_EMBEDDER,
    model: str | None = None,
    dtype: str | None = None,
    columns: Columns = FIND_COLUMNS,
    progress: bool = False,
) -> EmbeddingReport:
    """Write the vectors of a file's documents, with the contract they were made under.

    Parameters
    ----------
    file : str or Path
        Documents; labels are not needed.
    target : Path
        A Parquet file.
    settings : Settings
        How the encoder is run.
    embedder : str
        What turns texts into vectors, where `model` is None.
    model : str or None
        A stored model whose embedder is taken, with all that it learned.
    dtype : str or None
        ``float32``, ``float16``, ``int8`` or ``binary``; that of the embedder where None.
    columns : Columns
        How to read the file.
    progress : bool
        Show a bar on stderr.

    Raises
    ------
    UnfittedEmbedderError
        When the embedder learns from texts and comes from no model.
    ClassifierError
        When the file or model cannot be read, or the output cannot be written; an old output stays as it was.
    """
    started = time.perf_counter()
    stream = read_documents(file, text_column=columns.text, id_column=columns.id, encoding=columns.encoding)
    require_other_file(target, Path(file))
    rejects_path = rejected_path(target)
    require_other_file(rejects_path, Path(file))
    found = _embedder(embedder, model, settings)
    if dtype is not None:
        found = RoundedEmbedder(found, resolve_dtype(dtype))
    n_documents = n_empty = n_rejected = 0
    with (
        RejectionsFile(rejects_path) as rejects,
        VectorsWriter(target, found.contract) as writer,
        progress_bar("embedding", "row", total=stream.n_rows, shown=progress) as bar,
    ):
        for documents, rejected in _windows(stream):
            for rejection in rejected:
                rejects.write(rejection)
            texts = [document.text for document in documents]
            vectors = found.encode(texts)
            writer.write([document.id for document in documents], texts, vectors)
            n_documents += len(documents)
            n_empty += int((~vectors.any(axis=1)).sum())
            n_rejected += len(rejected)
            bar.update(len(documents) + len(rejected))
    return EmbeddingReport(
        source=str(file),
        output=str(target),
        contract=found.contract.to_dict(),
        n_documents=n_documents,
        n_empty=n_empty,
        n_rejected=n_rejected,
        rejected_file=str(rejects_path) if n_rejected else None,
        notes=stream.notes,
        seconds=time.perf_counter() - started,
    )


@contextmanager
def vectors_from(path: str | Path | None, contract: EmbeddingContract | None = None) -> Iterator[VectorsFile | None]:
    """Open a file of vectors for as long as it is needed; None for none.

    Raises
    ------
    ContractMismatchError
        When its vectors cannot be compared with those of `contract`; it is told before they are read.
    """
    if path is None:
        yield None
        return
    if contract is not None:
        contract.require_same(read_contract(Path(path)))
    with VectorsFile(Path(path)) as vectors:
        yield vectors


def _embedder(name: str, model: str | None, settings: Settings) -> Embedder:
    """Load the embedder of a model, or one by name."""
    if model is not None:
        return open_predictor(model, settings).loaded_embedder()
    found = load_embedder(name, settings.encoder)
    if isinstance(found, Recipe):
        raise UnfittedEmbedderError(name)
    return found


def _windows(stream: DocumentStream) -> Iterator[tuple[list[Document], list[Rejection]]]:
    """Group a stream into runs bounded in documents and in characters."""
    documents: list[Document] = []
    rejected: list[Rejection] = []
    n_characters = 0
    for item in stream:
        if isinstance(item, Rejection):
            rejected.append(item)
        else:
            documents.append(item.document)
            n_characters += len(item.document.text)
        if len(documents) + len(rejected) >= WINDOW_DOCUMENTS or n_characters >= WINDOW_CHARACTERS:
            yield documents, rejected
            documents, rejected, n_characters = [], [], 0
    yield documents, rejected
