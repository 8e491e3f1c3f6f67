"""Read the labelled documents of a file."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from classifier.datamodels import Document, Rejection
from classifier.errors import OutputError, TrainingDataError
from classifier.files import file_sha256
from classifier.modeling.label_sets import split_labels
from classifier.prediction.rejections import RejectionsFile
from classifier.reading.compression import unpacked_name
from classifier.reading.documents import read_documents
from classifier.reports import MOST_UNLABELLED, Columns, LabelledFile


def read_labelled(
    file: str | Path, columns: Columns, *, beside: LabelledFile | None = None, multi_label: bool = False
) -> LabelledFile:
    """Read the labelled documents of a file; rows that cannot be read are listed in a file of their own.

    Where documents may have any number of labels, a row without a label is a document that has none.

    Raises
    ------
    FileProblemError
        When the file cannot be read.
    TrainingDataError
        When no row has a label.
    """
    stream = read_documents(
        file,
        text_column=columns.text,
        label_column=columns.label,
        id_column=columns.id,
        need_labels=True,
        encoding=columns.encoding,
    )
    path = Path(file)
    name = columns.source_name or file_name(path)
    rejects_path = columns.rejected_file or rejected_path(Path(file_name(path)))
    if beside is not None and rejects_path.name == f"{beside.name}.rejected.csv":
        rejects_path = rejected_path(Path(f"{file_name(path)}.test"))
    require_other_file(rejects_path, path)
    documents, unlabelled = list[Document](), list[Document]()
    n_rejected = n_unlabelled = 0
    with RejectionsFile(rejects_path) as rejects:
        for item in stream:
            if isinstance(item, Rejection):
                rejects.write(item)
                n_rejected += 1
            elif item.document.label is None and not multi_label:
                n_unlabelled += 1
                if len(unlabelled) < MOST_UNLABELLED and item.document.text.strip():
                    unlabelled.append(item.document)
            else:
                documents.append(item.document)
    if not any(split_labels(document.label or "") if multi_label else document.label for document in documents):
        raise TrainingDataError(
            f"No row of {columns.source_name or path} has a label",
            "fill one in, or name the column with --label-column",
        )
    return LabelledFile(
        name=name,
        sha256=file_sha256(path) if path.is_file() else "",
        documents=documents,
        n_rejected=n_rejected,
        n_unlabelled=n_unlabelled,
        notes=stream.notes,
        rejected_file=str(rejects_path) if n_rejected else None,
        unlabelled=tuple(unlabelled),
    )


def read_both(
    file: str | Path, test_file: str | Path | None, columns: Columns, *, multi_label: bool
) -> tuple[LabelledFile, LabelledFile | None]:
    """Read the labelled documents of a training file and, where there is one, of a test file."""
    data = read_labelled(file, columns, multi_label=multi_label)
    if test_file is None:
        return data, None
    of_test = replace(columns, source_name=None, rejected_file=None)
    return data, read_labelled(test_file, of_test, beside=data, multi_label=multi_label)


def rejected_path(target: Path) -> Path:
    """Return where the rows that cannot be read are listed: ``TARGET.rejected.csv``."""
    return target.parent / f"{file_name(target)}.rejected.csv"


def require_other_file(target: Path, source: Path) -> None:
    """Refuse to write over what is read.

    Raises
    ------
    OutputError
        When both are the same file.
    """
    if target.exists() and source.exists() and target.samefile(source):
        raise OutputError(target, "rejected rows would be written over the file that is read", "rename it first")


def file_name(path: Path) -> str:
    """Return the name of a file or folder, also of one that is given as ``.`` or ``..``."""
    return (path.resolve().name if path.name in {"", ".."} else path.name) or "documents"


def name_from(path: Path) -> str:
    """Make a model's name from a file's name: ``tickets`` from ``tickets.csv`` and from ``tickets.csv.gz``."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", unpacked_name(path).stem).strip("-._")[:64]
    return name or "model"
