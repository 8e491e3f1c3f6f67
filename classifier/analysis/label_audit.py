"""What deserves a look before documents with any number of labels are trusted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from classifier.analysis.audit import audit, suspected_labels, worst_first
from classifier.analysis.confidence import Floats
from classifier.analysis.duplicates import Mask, Vectors
from classifier.analysis.issues import FEW_DOCUMENTS, Audit, LabelIssue
from classifier.analysis.label_scales import Bools
from classifier.errors import excerpt

_MOST_REASONS = 3


def audit_label_sets(
    texts: Sequence[str],
    labels: Sequence[str],
    classes: Sequence[str],
    embeddings: Vectors,
    proba: Floats,
    held_out: Mask,
    y: Bools,
    *,
    ids: Sequence[str] | None = None,
) -> Audit:
    """Look for sets of labels and documents that deserve a look.

    Parameters
    ----------
    texts, labels : sequence of str
        The documents, and their labels joined by ``|``.
    classes : sequence of str
        Names of the columns of `proba` and `y`.
    embeddings : ndarray of float32, shape (n_documents, n_dims)
        Rows follow `texts`.
    proba : ndarray of float64, shape (n_documents, n_classes)
        Probability of each label, from models that had not seen the document.
    held_out : ndarray of bool, shape (n_documents,)
        Which documents have such probabilities.
    y : ndarray of bool, shape (n_documents, n_classes)
        Which labels each document has.
    ids : sequence of str or None
        As `audit` takes them.

    Returns
    -------
    Audit
        Equal and nearly equal texts conflict where their sets differ. A document is suspected where a label that it
        has, or one that it lacks, is; its quality is that of the worst of them. Overlaps are not looked for.
    """
    texts_alone = audit(texts, labels, classes, embeddings, proba, np.zeros(len(texts), dtype=np.bool_), ids=ids)
    right = np.where(y, proba, 1.0 - proba)
    suspected = np.zeros(y.shape, dtype=np.bool_)
    for column in range(y.shape[1]):
        one = proba[held_out, column]
        suspected[held_out, column] = suspected_labels(
            np.column_stack([1.0 - one, one]), y[held_out, column].astype(np.intp)
        )
    issues = worst_first([*texts_alone.issues, *_suspicions(labels, classes, right, suspected, y)])
    n_suspected = int(suspected.any(axis=1).sum())
    counts = sorted((int(count), name) for name, count in zip(classes, y.sum(axis=0), strict=True))
    return replace(
        texts_alone,
        issues=issues,
        n_suspected=n_suspected,
        estimated_error_fraction=n_suspected / max(int(np.sum(held_out)), 1),
        small_labels={name: count for count, name in counts if count < FEW_DOCUMENTS},
    )


def _suspicions(
    labels: Sequence[str], classes: Sequence[str], right: Floats, suspected: Bools, y: Bools
) -> Iterator[LabelIssue]:
    """Say of each document which of its labels, or of those that it lacks, are suspected, the worst first."""
    for row in np.flatnonzero(suspected.any(axis=1)).tolist():
        columns = np.flatnonzero(suspected[row])
        columns = columns[np.argsort(right[row, columns], kind="stable")]
        reasons = [
            f"{min(round(100 * (1 - right[row, column])), 99)} % sure that {excerpt(classes[column])} is "
            + ("wrong" if y[row, column] else "missing")
            for column in columns[:_MOST_REASONS]
        ]
        mended = y[row] ^ suspected[row]
        suggested = "|".join(name for name, given in zip(classes, mended, strict=True) if given)
        quality = float(right[row, columns[0]])
        yield LabelIssue(row, "suspected", labels[row], suggested, quality, "; ".join(reasons))
