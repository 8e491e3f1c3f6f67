"""Keep what people say about documents: labels they gave, and documents that wait for one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from classifier.datamodels import Document, Settings
from classifier.errors import OptionError
from classifier.storage.feedback import FILE_NAME, Decision, Feedback

LONGEST_LABEL = 200


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


def undo_correction(settings: Settings, number: int) -> None:
    """Let a decision no longer count; the one before it counts again."""
    feedback_of(settings).undo(number)


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
    standing = feedback.standing(name)
    return ReviewCounts(
        n_waiting=feedback.n_waiting(name),
        n_decided=len(standing),
        n_untrained=sum(decision.trained_in is None for decision in standing),
    )
