"""Training documents worth trying a model with."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from classifier.datamodels import Document

N_EXAMPLES = 5
LOOKED_AT = 2000
FITTING_CHARACTERS = 130


def choose_examples(documents: Sequence[Document], n: int = N_EXAMPLES) -> list[Document]:
    """Choose short documents of different labels, the same ones each time.

    Parameters
    ----------
    documents : sequence of Document
        Training documents; the first 2,000 are looked at.
    n : int, default=5
        How many at most.

    Returns
    -------
    list of Document
        Of each chosen label the one that is closest to a sentence or two; labels are spread over all there are.

    Examples
    --------
    >>> documents = [Document("1", "Refund me.", "refund"), Document("2", "It leaks.", "repair")]
    >>> [document.id for document in choose_examples(documents, 1)]
    ['1']
    """
    best: dict[str, Document] = {}
    for document in islice(documents, LOOKED_AT):
        label = document.label or ""
        if document.text.strip() and (label not in best or _distance(document) < _distance(best[label])):
            best[label] = document
    candidates = [best[label] for label in sorted(best)]
    n = min(n, len(candidates))
    return [candidates[position * len(candidates) // n] for position in range(n)]


def _distance(document: Document) -> int:
    """Return how far the length of a document is from the one that reads well on a button."""
    return abs(len(document.text) - FITTING_CHARACTERS)
