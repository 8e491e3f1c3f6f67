"""What the names and descriptions of labels did for a model, in plain sentences made from its stored facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Facts = Mapping[str, Any]

ALONE = "alone"
BESIDE = "beside documents"
NOT_NEEDED = "not needed"
NOT_READ = "not read"
NOT_USED = "not used"
NOT_HELD_OUT = "no label has two different documents"


def is_labels_only(facts: Facts) -> bool:
    """Tell whether a model was trained on the names or descriptions of its labels, without any document."""
    return (facts.get("label_names") or {}).get("role") == ALONE


def names_sentence(facts: Facts) -> str:
    """Say how far a model relies on the names of its labels; empty for one of a version that did not use them.

    Examples
    --------
    >>> names_sentence({"label_names": {"role": "not needed", "needed_below": 50, "described": []}})
    'Every label has 50 documents or more, so that the names of labels were not needed.'
    """
    found = facts.get("label_names")
    if not found:
        return ""
    texts, role = _texts(found), found["role"]
    if role == ALONE:
        measured = "" if facts.get("metrics") else " and was never measured"
        return (
            f"It was trained on the {texts} of its labels alone, without a document; its confidence is not calibrated"
            f"{measured}."
        )
    if role == NOT_NEEDED:
        n_documents = f"{found['needed_below']} documents"
        return f"Every label has {n_documents} or more, so that the {texts} of labels were not needed."
    if role == NOT_READ:
        return "The names of labels were not used, as the vectors were made elsewhere."
    return trust_sentence(found)


def trust_sentence(found: Mapping[str, Any]) -> str:
    """Say how far names of labels were trusted beside documents.

    Parameters
    ----------
    found : mapping
        ``accuracy``, ``chance``, ``share``, ``largest_weight`` and ``needed_below`` as
        `classifier.modeling.priors.LabelTrust` gives them; ``described`` where labels have descriptions.
    """
    right = (
        f"The {_texts(found)} of the labels alone give {100 * found['accuracy']:.0f} % of the training documents "
        f"the right label ({100 * found['chance']:.0f} % by chance)"
    )
    if not found["share"]:
        return f"{right}: they are not used."
    if not found["largest_weight"]:
        return f"{right}; every label has {found['needed_below']} documents or more, so they are not needed."
    n_documents = f"{found['largest_weight']:.1f} documents"
    return f"{right}: each counts as up to {n_documents}, fewer where a label has more of them."


def why_not_measured(facts: Facts) -> str:
    """Say why there are no metrics.

    Examples
    --------
    >>> why_not_measured({})
    'no label has two different documents'
    """
    return "it was trained without a document" if is_labels_only(facts) else NOT_HELD_OUT


def _texts(found: Mapping[str, Any]) -> str:
    """Name what speaks for the labels."""
    return "names and descriptions" if found.get("described") else "names"
