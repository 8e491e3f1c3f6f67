"""Say whether the new one of two versions is better, on the same documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.duplicates import leaked_rows
from classifier.analysis.multilabel import label_matrix
from classifier.analysis.paired import LabelChange, PairedScores, compare_answers, p_words
from classifier.datamodels import Settings
from classifier.errors import TrainingDataError, counted, excerpt, listing
from classifier.modeling.held_out import UNKNOWN
from classifier.modeling.label_sets import split_labels
from classifier.modeling.predictor import Predictor
from classifier.reports import FIND_COLUMNS, Columns
from classifier.storage.registry import Registry
from classifier.workflows.labelled import read_labelled
from classifier.workflows.opening import open_predictor

LabelSets = list[tuple[str, ...]]
HELD_OUT = "documents that both versions held out while they were trained"
_NAMED_LABELS = 3
_MOST_WARNINGS = 12


@dataclass(frozen=True, slots=True)
class VersionComparison:
    """Two versions on the same documents.

    Attributes
    ----------
    old, new : str
        ``NAME@VERSION``.
    measured_on : str
        Which documents.
    multi_label : bool
        Whether documents have any number of labels; an answer is right where exactly these are given.
    scores : PairedScores
        Figures of both, their difference, and one row per label.
    only_old_labels, only_new_labels : tuple of str
        Labels that only one of them can give.
    verdict : str
        Whether the new one is better, in one sentence.
    warnings : tuple of str
        Labels that fell, and what makes the figures less sure.
    notes : tuple of str
        Which documents were left out.
    """

    old: str
    new: str
    measured_on: str
    multi_label: bool
    scores: PairedScores
    only_old_labels: tuple[str, ...]
    only_new_labels: tuple[str, ...]
    verdict: str
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Answered:
    """The same documents with their true labels and both answers."""

    truth: LabelSets
    old: LabelSets
    new: LabelSets
    measured_on: str
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def compare_versions(
    old: str | Path,
    new: str | Path,
    settings: Settings,
    *,
    test_file: str | Path | None = None,
    columns: Columns = FIND_COLUMNS,
    progress: bool = False,
) -> VersionComparison:
    """Measure two versions of a model on the same documents.

    Parameters
    ----------
    old, new : str or Path
        ``NAME@VERSION``, ``NAME``, or the folder of a bundle.
    settings : Settings
        Where models live.
    test_file : str, Path or None
        Labelled documents, which both answer; those that the training documents of either give away are left out.
        Where None, the documents that both held out while they were trained, with the label of the newer version and
        the answers that were kept. A text counts once.
    columns : Columns
        How to read the test file.
    progress : bool
        Show bars on stderr.

    Raises
    ------
    TrainingDataError
        When they give different kinds of labels, or there is no document to compare them on.
    ClassifierError
        When a model or the file cannot be read.
    """
    models = open_predictor(old, settings), open_predictor(new, settings)
    names = _reference(old, settings), _reference(new, settings)
    if models[0].multi_label != models[1].multi_label:
        raise TrainingDataError(
            f"Of {names[0]} and {names[1]}, one gives each document one label and the other any number",
            "compare versions of one kind",
        )
    classes = [{str(label) for label in model.classes_} for model in models]
    if not classes[0] & classes[1]:
        raise TrainingDataError(f"{names[0]} and {names[1]} have no label in common", "compare versions of one model")
    if test_file is None:
        found = _held_out_answers(models, names)
    else:
        found = _test_answers(models, names, Path(test_file), columns, progress=progress)
    scores = _scores(found, models[1])
    only_old, only_new = sorted(classes[0] - classes[1]), sorted(classes[1] - classes[0])
    return VersionComparison(
        old=names[0],
        new=names[1],
        measured_on=found.measured_on,
        multi_label=models[0].multi_label,
        scores=scores,
        only_old_labels=tuple(only_old),
        only_new_labels=tuple(only_new),
        verdict=_verdict(scores, *names),
        warnings=(*_fallen(scores), *_one_sided(names, only_old, only_new, found.truth), *found.warnings),
        notes=found.notes,
    )


def _reference(model: str | Path, settings: Settings) -> str:
    """Return what a version is called."""
    if isinstance(model, Path):
        return f"{model.parent.name}@{model.name}"
    return model if "@" in model or "/" in model else Registry(settings.models_dir).find(model).reference


def _held_out_answers(models: Sequence[Predictor], names: Sequence[str]) -> _Answered:
    """Take the answers that both kept to the documents that they share."""
    for model, name in zip(models, names, strict=True):
        if not (model.held_out_.answers != UNKNOWN).any():
            raise TrainingDataError(
                f"{name} kept no answers to documents that it held out while it was trained",
                "give a labelled test file that both can answer",
            )
    old, new = models
    old_answers, new_answers = (_kept_answers(model) for model in models)
    old_rows = {document.text: row for row, document in enumerate(old.documents_) if old_answers[row] is not None}
    found = _Answered([], [], [], HELD_OUT, (), ())
    seen, n_shared = set[tuple[str, str]](), 0
    for row, document in enumerate(new.documents_):
        old_row, new_answer = old_rows.get(document.text), new_answers[row]
        if old_row is None or new_answer is None:
            continue
        n_shared += 1
        key = (document.text, document.label or "")
        if key not in seen:
            seen.add(key)
            found.truth.append(_labels_of(new, document.label or ""))
            found.old.append(old_answers[old_row] or ())
            found.new.append(new_answer)
    if not found.truth:
        raise TrainingDataError(
            f"{names[0]} and {names[1]} share no document that both held out", "give a labelled test file"
        )
    return _Answered(
        found.truth, found.old, found.new, HELD_OUT, (), _held_out_notes(models, names, n_shared, len(seen))
    )


def _held_out_notes(
    models: Sequence[Predictor], names: Sequence[str], n_shared: int, n_counted: int
) -> tuple[str, ...]:
    """Say which documents count."""
    notes = [f"The right labels are those of {names[1]}, with every correction that it learned from."]
    n_other = [len(model.documents_) - n_shared for model in models]
    if any(n_other):
        pairs = [f"{n:,} of {name}" for n, name in zip(n_other, names, strict=True) if n]
        notes.append(f"Left out, as the other version did not hold them out: {' and '.join(pairs)}.")
    if n_counted < n_shared:
        notes.append(f"Left out: {counted(n_shared - n_counted, 'document')} with the text and label of another.")
    return tuple(notes)


def _kept_answers(model: Predictor) -> list[tuple[str, ...] | None]:
    """Return what was answered to each training document while it was held out; None where nobody knows."""
    classes, answers = [str(label) for label in model.classes_], model.held_out_.answers
    known = (answers != UNKNOWN).any(axis=1)
    if model.multi_label:
        sets = (tuple(classes[code] for code in np.flatnonzero(row == 1)) for row in answers)
        return [given if is_known else None for given, is_known in zip(sets, known, strict=True)]
    return [(classes[code],) if is_known else None for code, is_known in zip(answers[:, 0], known, strict=True)]


def _test_answers(
    models: Sequence[Predictor], names: Sequence[str], file: Path, columns: Columns, *, progress: bool
) -> _Answered:
    """Let both answer a labelled file."""
    old, new = models
    data = read_labelled(file, columns, multi_label=old.multi_label)
    distinct = {(document.text, document.label or ""): document for document in data.documents}
    texts, labels = [text for text, _ in distinct], [label for _, label in distinct]
    vectors = [old.encode(texts, progress=progress)]
    vectors.append(vectors[0] if old.contract_ == new.contract_ else new.encode(texts, progress=progress))
    readable = np.asarray(vectors[0].any(axis=1) & vectors[1].any(axis=1))
    leaked = np.zeros(len(texts), dtype=np.bool_)
    for model, embeddings in zip(models, vectors, strict=True):
        known = [document.text for document in model.documents_]
        leaked |= leaked_rows(known, texts, np.asarray(model.embeddings_), embeddings)
    kept = np.flatnonzero(readable & ~leaked)
    if not len(kept):
        raise TrainingDataError(
            f"No row of {data.name} can be used: each is blank, or a training document of {names[0]} or {names[1]}",
            "give documents that neither was trained on",
        )
    given = [
        _given(model, [texts[row] for row in kept], embeddings[kept])
        for model, embeddings in zip(models, vectors, strict=True)
    ]
    left_out = (
        (len(data.documents) - len(texts), "repeated"),
        (int((~readable).sum()), "with nothing to read"),
        (int((leaked & readable).sum()), "known to one of them from training, or nearly so"),
        (data.n_unlabelled, "without a label"),
        (data.n_rejected, "that cannot be read"),
    )
    listed = ", ".join(f"{n:,} {what}" for n, what in left_out if n)
    notes = [f"Rows left out: {listed}."] if listed else []
    truth = [_labels_of(old, labels[row]) for row in kept]
    return _Answered(truth, given[0], given[1], f"the test file {data.name}", (), (*data.notes, *notes))


def _given(model: Predictor, texts: list[str], embeddings: NDArray[np.float32]) -> LabelSets:
    """Return the labels that a model gives to texts."""
    classes = [str(label) for label in model.classes_]
    given = model.given_labels(model.proba_of(texts, embeddings))
    return [tuple(classes[code] for code in np.flatnonzero(row)) for row in given]


def _labels_of(model: Predictor, label: str) -> tuple[str, ...]:
    """Return the labels that are written in one cell."""
    return split_labels(label) if model.multi_label else (label,)


def _scores(found: _Answered, model: Predictor) -> PairedScores:
    """Compare answers as arrays."""
    n = len(found.truth)
    classes = [str(label) for label in model.classes_]
    matrix, names = label_matrix([*found.truth, *found.old, *found.new], classes)
    truth, old, new = (np.asfortranarray(matrix[part * n : (part + 1) * n]) for part in range(3))
    return compare_answers(truth, old, new, names)


def _verdict(scores: PairedScores, old: str, new: str) -> str:
    """Say in one sentence whether the new version is better."""
    low, high = (100 * bound for bound in scores.difference_interval)
    alone = (
        f"on {counted(scores.n_documents, 'document')}, {new} alone is right on {scores.n_only_new_right:,} "
        f"and {old} alone on {scores.n_only_old_right:,} ({p_words(scores.p_value)})"
    )
    fallen = [change for change in scores.labels if change.fell]
    n_clear = sum(change.beyond_chance for change in fallen)
    but = f"; {counted(len(fallen), 'label')} fell, {n_clear} beyond chance" if fallen else ""
    if not scores.is_shown:
        return (
            f"No difference can be shown: {alone}, and the difference in accuracy lies between {low:+.1f} and "
            f"{high:+.1f} points{but}."
        )
    word = "better" if scores.difference > 0 else "worse"
    return f"{new} is {word} than {old}: {alone}, which is {low:+.1f} to {high:+.1f} points of accuracy{but}."


def _fallen(scores: PairedScores) -> Iterator[str]:
    """Warn of labels that fell."""
    fallen = [change for change in scores.labels if change.fell]
    for change in fallen[:_MOST_WARNINGS]:
        yield _fall_sentence(change)
    if len(fallen) > _MOST_WARNINGS:
        yield f"{counted(len(fallen) - _MOST_WARNINGS, 'more label')} fell."


def _fall_sentence(change: LabelChange) -> str:
    """Say by how much a label fell, and whether it may be chance."""
    difference = change.recall_difference
    chance = "" if change.beyond_chance else "; chance can explain it"
    if difference is None or difference >= 0:
        return (
            f"Label {excerpt(change.label)} fell from F1 {100 * change.old_f1:.0f} to {100 * change.new_f1:.0f}: "
            f"it is now given to more documents that do not have it{chance}."
        )
    old, new = 100 * (change.old_recall or 0.0), 100 * (change.new_recall or 0.0)
    return (
        f"Label {excerpt(change.label)} fell from {old:.0f} % to {new:.0f} % on "
        f"{counted(change.n_documents, 'document')}{chance}."
    )


def _one_sided(
    names: Sequence[str], only_old: Sequence[str], only_new: Sequence[str], truth: LabelSets
) -> Iterator[str]:
    """Warn of labels that only one version can give."""
    for name, other, labels in ((names[0], names[1], only_old), (names[1], names[0], only_new)):
        if labels:
            n_with = sum(bool(set(given) & set(labels)) for given in truth)
            cost = f"; {other} cannot be right on {counted(n_with, 'document')} with them" if n_with else ""
            yield f"Only {name} has the label{'' if len(labels) == 1 else 's'} {listing(labels, _NAMED_LABELS)}{cost}."
