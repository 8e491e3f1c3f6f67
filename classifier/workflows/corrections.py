"""Keep what people say about documents: labels they gave, and documents that wait for one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from classifier.datamodels import Document, Settings
from classifier.errors import OptionError
from classifier.prediction.formats import unescape_formula
from classifier.reports import FIND_COLUMNS, Columns
from classifier.storage.feedback import FILE_NAME, Decision, Feedback, text_digest
from classifier.storage.registry import Registry
from classifier.workflows.labelled import read_labelled
from classifier.workflows.opening import open_predictor

LONGEST_LABEL = 10_000


@dataclass(frozen=True, slots=True)
class ReviewCounts:
    """How far a review is.

    Attributes
    ----------
    n_waiting : int
        Documents that were sent to review and have no decision yet.
    n_decided : int
        Documents about which somebody decided.
    n_untrained : int
        Of those, the ones that no version has learned from.
    """

    n_waiting: int
    n_decided: int
    n_untrained: int


@dataclass(frozen=True, slots=True)
class CorrectionReport:
    """What became of the rows of a file of corrections.

    Attributes
    ----------
    model : str
        The version that was looked at, as ``NAME@VERSION``.
    n_kept, n_unlabelled, n_rejected : int
        Rows whose label was kept, rows without one, and rows that cannot be read.
    notes : tuple of str
        What was chosen while reading.
    rejected_file : str or None
        Where the unreadable rows are listed.
    """

    model: str
    n_kept: int
    n_unlabelled: int
    n_rejected: int
    notes: tuple[str, ...]
    rejected_file: str | None


def feedback_of(settings: Settings) -> Feedback:
    """Return the decisions about the models of a folder."""
    return Feedback(settings.models_dir / FILE_NAME)


def correct(
    settings: Settings,
    name: str,
    version: str,
    text: str,
    *,
    old_label: str,
    new_label: str,
    who: str,
    document: str = "",
) -> int:
    """Keep the label that a person gave to a document, at once, and return the number of the decision.

    Parameters
    ----------
    settings : Settings
        Where models live; decisions are kept beside them.
    name, version : str
        The model that was looked at.
    text : str
        The document.
    old_label : str
        The label that it had or was given by the model.
    new_label : str
        The right one, also one that no document has yet; the same where the person agrees. Several are joined by ``|``.
    who : str
        Who says so.
    document : str
        Id of the document, where it has one.

    Raises
    ------
    OptionError
        When there is no label, or it is too long, or there is no text.
    StorageError
        When it cannot be kept.
    """
    label = " ".join(new_label.split())
    if not label:
        raise OptionError("label", "blank", "one of the model's labels, or one of your own")
    if len(label) > LONGEST_LABEL:
        raise OptionError("label", f"{len(label):,} characters long", f"one of at most {LONGEST_LABEL}")
    if not text.strip():
        raise OptionError("document", "blank", "one that has a text")
    return feedback_of(settings).record(name, version, text, old_label, label, who=who, document=document)


def correct_from_file(
    name: str, file: Path, settings: Settings, *, columns: Columns = FIND_COLUMNS, who: str
) -> CorrectionReport:
    """Keep the labels of a file, such as a list of ``classifier review`` that a person went through.

    Parameters
    ----------
    name : str
        The model.
    file : Path
        With a column of texts and one of labels; rows without a label are left out.
    settings : Settings
    columns : Columns
        How to read the file.
    who : str
        Who decided.

    Raises
    ------
    ClassifierError
        When there is no such model, the file cannot be read, or a label cannot be kept.
    """
    model = Registry(settings.models_dir).find(name)
    data = read_labelled(file, columns)
    known = {text_digest(one.text): one.label or "" for one in open_predictor(model.folder, settings).documents_}
    for document in data.documents:
        text = unescape_formula(document.text)
        correct(
            settings,
            model.name,
            model.version,
            text,
            old_label=known.get(text_digest(text), ""),
            new_label=document.label or "",
            who=who,
            document=document.id,
        )
    return CorrectionReport(
        model.reference, len(data.documents), data.n_unlabelled, data.n_rejected, data.notes, data.rejected_file
    )


def undo_correction(settings: Settings, number: int) -> bool:
    """Let a decision no longer count; the one before it counts again. Tell whether it counted until now."""
    return feedback_of(settings).undo(number)


def last_corrections(settings: Settings, name: str, n: int = 10, *, who: str | None = None) -> list[Decision]:
    """Return the last decisions about a model, of one person or of all, the newest first."""
    return feedback_of(settings).last(name, n, who=who)


def send_to_review(settings: Settings, name: str, documents: Iterable[Document], *, source: str) -> int:
    """Let documents wait for a decision about a model; return how many did not wait yet.

    Parameters
    ----------
    settings : Settings
    name : str
        The model.
    documents : iterable of Document
        With the label they have, if any; blank ones are left out.
    source : str
        Where they come from, in a few words, such as ``a region of the map``.
    """
    readable = (document for document in documents if document.text.strip())
    return feedback_of(settings).send(name, readable, source=source)


def review_counts(settings: Settings, name: str) -> ReviewCounts:
    """Count what waits for a decision about a model, and what was decided."""
    feedback = feedback_of(settings)
    n_decided, n_untrained = feedback.counts(name)
    return ReviewCounts(n_waiting=feedback.n_waiting(name), n_decided=n_decided, n_untrained=n_untrained)


def is_decided(settings: Settings, name: str, text: str) -> bool:
    """Tell whether somebody decided about a document."""
    return feedback_of(settings).is_decided(name, text)
