"""What a race chose, for training again on nearly the same documents without another race."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from classifier.modeling.head import LinearHead
from classifier.modeling.solvers import LOGISTIC, SQUARED_HINGE

DENSE, LEXICAL, BOTH = "embedding", "words", "embedding and words"
KINDS = (LEXICAL, "words and parts")


@dataclass(frozen=True, slots=True)
class Choices:
    """The winner of a race.

    Attributes
    ----------
    c, trained_with : float, str
        Inverse regularisation and loss of the dense half.
    terms : str
        Kind of terms of the sparse half, of `KINDS`; empty where there was none.
    terms_c, terms_trained_with : float, str
        Inverse regularisation and loss of the sparse half.
    start : LinearHead or None
        Where the dense half of the new head begins, which saves time where it is near; held-out heads never do.
    """

    c: float
    trained_with: str
    terms: str = ""
    terms_c: float = 1.0
    terms_trained_with: str = SQUARED_HINGE
    start: LinearHead | None = field(default=None, compare=False)

    @classmethod
    def of(cls, facts: Mapping[str, Any], start: LinearHead | None = None) -> Self | None:
        """Take what a stored model's race chose; None where it had none.

        Raises
        ------
        LookupError, TypeError, ValueError
            When the facts do not describe a race.
        """
        race = facts["race"]
        dense = next((one for one in race if one["features"] == DENSE and one["chosen"]), None)
        if dense is None:
            return None
        known = (LOGISTIC, SQUARED_HINGE)
        words = next((one for one in reversed(race) if one["features"] in KINDS and one["trained_with"] in known), None)
        loss = dense["trained_with"] if dense["trained_with"] in known else LOGISTIC
        if words is None:
            return cls(float(dense["c"]), loss, start=start)
        return cls(float(dense["c"]), loss, words["features"], float(words["c"]), words["trained_with"], start)
