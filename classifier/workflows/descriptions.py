"""Read what a file says of the labels of documents."""

from __future__ import annotations

from pathlib import Path

from classifier.errors import FileProblemError, excerpt
from classifier.modeling.priors import require_described
from classifier.modeling.training_data import normalise_labels
from classifier.reading.columns import LABEL_NAMES
from classifier.reading.labels_file import read_labels
from classifier.reports import Columns, LabelledFile


def read_descriptions(
    file: str | Path | None, data: LabelledFile, columns: Columns, *, alike: bool = False
) -> dict[str, str]:
    """Read what a file says of the labels of documents.

    Parameters
    ----------
    file : str, Path or None
        Labels and descriptions, see `read_labels`; nothing is described where None.
    data : LabelledFile
        The documents.
    columns : Columns
        How `data` was read: a column of labels of the same name is preferred here, and the encoding is the same.
    alike : bool, default=False
        Whether labels that differ from those of the documents only by case or spaces are written like those.

    Returns
    -------
    dict of str to str
        By label.

    Raises
    ------
    FileProblemError
        When the file cannot be read, describes nothing, or describes a label twice.
    UnknownLabelError
        When it names a label that no document has.
    """
    if file is None:
        return {}
    usual = LABEL_NAMES if columns.label is None else (columns.label, *LABEL_NAMES)
    listed = read_labels(file, usual_names=usual, need_descriptions=True, encoding=columns.encoding).descriptions
    labels = [document.label or "" for document in data.documents]
    names = normalise_labels([*labels, *listed])[len(labels) :] if alike else list(listed)
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        problem = f"the label {excerpt(repeated)} is there twice, once labels are written alike"
        raise FileProblemError(file, problem, "keep one of them")
    descriptions = dict(zip(names, listed.values(), strict=True))
    require_described(descriptions, sorted(set(labels)), file)
    return descriptions
