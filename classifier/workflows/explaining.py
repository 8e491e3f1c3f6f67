"""Say why a stored model answers as it does."""

from __future__ import annotations

from pathlib import Path

from classifier.datamodels import Settings
from classifier.modeling.explain import Explanation
from classifier.modeling.explain import explain as explain_answer
from classifier.workflows.opening import open_predictor


def explain(model: str | Path, text: str, settings: Settings, *, label: str | None = None, k: int = 5) -> Explanation:
    """Say which words, passages and training documents speak for a label of a text.

    Parameters
    ----------
    model : str or Path
        As for `load`.
    text : str
        Of any length.
    settings : Settings
        Where models live.
    label : str or None
        The label to explain; the most probable one where None.
    k : int
        How many training documents at most.

    Raises
    ------
    ClassifierError
        When the model cannot be read, or has no such label.
    """
    return explain_answer(open_predictor(model, settings), text, label=label, k=k)
