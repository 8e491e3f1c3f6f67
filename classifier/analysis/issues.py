"""What an audit of labelled documents finds, and how it says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from classifier.errors import counted, excerpt, listing

ISSUE_KINDS = ("conflicting", "suspected", "near-duplicate", "doubtful")
FEW_DOCUMENTS = 10
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class LabelIssue:
    """One document whose label deserves a look.

    Attributes
    ----------
    row : int
        Its position among the documents, from 0.
    kind : str
        The strongest of `ISSUE_KINDS` that applies: an equal text has another label, held-out probabilities speak
        clearly for another label, at least half of the nearly equal texts have another label, or another label was
        only a little more probable, which may as well be the model's error.
    label, suggested : str
        The label it was given, and the one that most equal or nearly equal texts have or that is most probable: the
        same one where that is right and another document is wrong, empty where nothing speaks for any.
    quality : float
        The least of `label_quality` and of the share of equal or nearly equal texts that have the label, in [0, 1].
    reason : str
        One sentence in plain words; it calls other documents by their ids, or by rows from 1 where they have none.
    """

    row: int
    kind: str
    label: str
    suggested: str
    quality: float
    reason: str


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two labels, in the order of the classes, that are often taken for each other.

    Attributes
    ----------
    n_confused : int
        Held-out documents of either label that were given the other.
    share : float
        `n_confused` among the held-out documents of both, in [0, 1].
    """

    label: str
    other: str
    n_confused: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What was found in a set of labelled documents.

    Attributes
    ----------
    n_documents : int
        How many were looked at.
    issues : tuple of LabelIssue
        At most one for each document, worst first.
    n_conflicting_texts, n_conflicting_documents : int
        Texts that occur under more than one label, and the documents that have one of these texts.
    n_repeated : int
        Documents whose text and label an earlier document has.
    n_near_duplicates : int
        Documents with a text that is nearly equal, but not equal, to another's.
    n_suspected : int
        Documents whose held-out probabilities speak for another label.
    estimated_error_fraction : float
        `n_suspected` among the documents that were held out, in [0, 1]; too high where the model itself often errs.
    overlaps : tuple of Overlap
        By falling share.
    small_labels : dict of str to int
        Labels with fewer than 10 documents, rarest first, with their number.
    """

    n_documents: int
    issues: tuple[LabelIssue, ...]
    n_conflicting_texts: int
    n_conflicting_documents: int
    n_repeated: int
    n_near_duplicates: int
    n_suspected: int
    estimated_error_fraction: float
    overlaps: tuple[Overlap, ...]
    small_labels: dict[str, int]

    def summary(self) -> dict[str, Any]:
        """Return counts, overlaps and small labels as plain values, ready for JSON; no rows."""
        values = asdict(replace(self, issues=()))
        del values["issues"]
        kinds = Counter(issue.kind for issue in self.issues)
        return values | {"n_issues": {kind: kinds[kind] for kind in ISSUE_KINDS}, "overlaps": list(values["overlaps"])}

    def sentences(self) -> tuple[str, ...]:
        """Say in plain words what was found, the gravest first."""
        if not self.n_documents:
            return ("There are no documents.",)
        return (*self._about_documents(), *self._about_labels()) or ("Nothing was found that deserves a look.",)

    def _about_documents(self) -> Iterator[str]:
        """Speak of doubtful labels and of texts that occur again."""
        if self.n_conflicting_texts:
            yield (
                f"{counted(self.n_conflicting_texts, 'text')} with more than one label, in "
                f"{counted(self.n_conflicting_documents, 'document')}: decide on one label for each."
            )
        if self.n_suspected:
            yield (
                f"{counted(self.n_suspected, 'document')} with a label that is probably wrong, "
                f"{100 * self.estimated_error_fraction:.1f} % of those held out; fewer are, where the model often errs."
            )
        kinds = Counter(issue.kind for issue in self.issues)
        n_near = kinds["near-duplicate"]
        for number, what in (
            (kinds["doubtful"], "a label that another one is a little more probable than"),
            (n_near, "another label than nearly equal texts"),
            (self.n_repeated, "the text and label of an earlier one"),
            (self.n_near_duplicates, "a text that is nearly equal to another's"),
        ):
            if number:
                yield f"{counted(number, 'document')} with {what}."

    def _about_labels(self) -> Iterator[str]:
        """Speak of labels that overlap or have few documents."""
        for one in self.overlaps[:_MOST_NAMED]:
            yield (
                f"{excerpt(one.label)} and {excerpt(one.other)} are hard to tell apart: {100 * one.share:.0f} % of "
                f"their documents ({one.n_confused:,}) were taken for the other."
            )
        if len(self.overlaps) > _MOST_NAMED:
            yield f"{counted(len(self.overlaps) - _MOST_NAMED, 'more pair')} of labels that are hard to tell apart."
        single = [label for label, count in self.small_labels.items() if count == 1]
        few = [label for label, count in self.small_labels.items() if count > 1]
        if single:
            n_single = counted(len(single), "label")
            yield f"{n_single} with a single document, which cannot be measured: {listing(single)}."
        if few:
            yield f"{counted(len(few), 'label')} with fewer than {FEW_DOCUMENTS} documents: {listing(few)}."


NOTHING_TO_AUDIT = Audit(
    n_documents=0,
    issues=(),
    n_conflicting_texts=0,
    n_conflicting_documents=0,
    n_repeated=0,
    n_near_duplicates=0,
    n_suspected=0,
    estimated_error_fraction=0.0,
    overlaps=(),
    small_labels={},
)
"""Of no documents."""
