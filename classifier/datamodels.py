"""The nouns of the product, as frozen dataclasses: no behaviour beyond small derived values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

SINGLE_LABEL, MULTI_LABEL = "single-label", "multi-label"
STATUS_OK = "ok"
STATUS_UNSURE = "unsure"
STATUS_OUT_OF_SCOPE = "out-of-scope"
STATUS_EMPTY = "empty"
STATUSES = (STATUS_OK, STATUS_UNSURE, STATUS_OUT_OF_SCOPE, STATUS_EMPTY)
CANDIDATES_CONFIDENCE = 0.9


@dataclass(frozen=True, slots=True)
class Document:
    """One text of a file.

    Attributes
    ----------
    id : str
        The value of the id column, or the row number where a file has none.
    text : str
        The text, never altered; empty for an empty cell.
    label : str or None
        None where the file has no label for this row.
    row : int
        Number of the data row, the first being 1 (a header is not counted).
    """

    id: str
    text: str
    label: str | None = None
    row: int = 0


@dataclass(frozen=True, slots=True)
class Rejection:
    """One row that could not become a document.

    Attributes
    ----------
    source : str
        The file it came from.
    row : int
        Number of the data row, the first being 1.
    reason : str
        One sentence: what was wrong.
    id : str
        The row's id where it is known, otherwise empty.
    """

    source: str
    row: int
    reason: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer.

    Attributes
    ----------
    label : str
        The most probable label; of a multi-label model, all given ones joined by ``|``, maybe none. Empty when
        `status` is ``empty``.
    confidence : float
        Calibrated probability that `label` is right, in [0, 1]; 0 when `status` is ``empty``.
    status : str
        ``ok``; ``unsure``, where a person should look; ``out-of-scope``, where no label seems to fit; or ``empty``.
    probabilities : mapping of str to float
        Every label with its probability, most probable first; empty when `status` is ``empty``.
    used_fraction : float
        Share of the text's visible characters that reached the encoder as tokens it knows, in [0, 1].
    similarity : float or None
        Mean similarity to the five nearest training documents, in [-1, 1]; None where it was not looked for.
    labels : tuple of str
        The given labels one by one, in the model's order.
    candidates : tuple of str
        The labels that cannot be ruled out, most probable first: for a share of `CANDIDATES_CONFIDENCE` of all
        documents the right one is among them. Empty where there may be several labels, where none is typical enough,
        or where the model was never measured.
    """

    label: str
    confidence: float
    status: str
    probabilities: Mapping[str, float] = field(default_factory=dict)
    used_fraction: float = 1.0
    similarity: float | None = None
    labels: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()

    def top(self, k: int) -> list[tuple[str, float]]:
        """Return the `k` most probable labels with their probabilities."""
        return list(self.probabilities.items())[:k]


@dataclass(frozen=True, slots=True)
class Neighbor:
    """One training document that resembles a query; `similarity` is a cosine in [-1, 1]."""

    id: str
    text: str
    label: str
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewPolicy:
    """Which answers go to a person; at most one of the three is given.

    Attributes
    ----------
    target_accuracy : float or None
        Share of the answers that stand alone which shall be right, between 0 and 1.
    review_budget : int or None
        How many documents of a file a person can read.
    min_confidence : float or None
        Answers below it go to a person, in [0, 1]; one half where nothing is given.
    """

    target_accuracy: float | None = None
    review_budget: int | None = None
    min_confidence: float | None = None


def default_cache_dir() -> Path:
    """Return ``CLASSIFIER_CACHE_DIR``, else the folder where this system keeps what can be made again."""
    chosen = os.environ.get("CLASSIFIER_CACHE_DIR")
    return Path(chosen) if chosen else user_cache_path("document-classifier", appauthor=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderOptions:
    """How encoders are found and run.

    Attributes
    ----------
    backend : str
        ``openvino``, ``torch``, or ``auto``: the faster one this machine has.
    precision : str
        ``f32``, ``bf16``, ``int8``, or ``auto``: bf16 where the processor multiplies in it, else f32.
    cache_dir : Path
        Where converted encoders and vectors are kept between runs.
    use_cache : bool
        Whether vectors of known texts are looked up instead of computed.
    download : bool
        Whether an encoder that is not on this machine may be fetched from the hub.
    """

    backend: str = "auto"
    precision: str = "auto"
    cache_dir: Path = field(default_factory=default_cache_dir)
    use_cache: bool = True
    download: bool = True


@dataclass(frozen=True, slots=True)
class Settings:
    """What the entry points read once from the environment and pass on.

    Attributes
    ----------
    models_dir : Path
        Where the registry lives.
    encoder : EncoderOptions
        How encoders are run.
    """

    models_dir: Path
    encoder: EncoderOptions = field(default_factory=EncoderOptions)

    @classmethod
    def from_environment(
        cls,
        models_dir: str | Path | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        encoder: EncoderOptions | None = None,
    ) -> Settings:
        """Take `models_dir`, else ``CLASSIFIER_MODELS_DIR``, else ``models``."""
        values: Mapping[str, Any] = os.environ if environ is None else environ
        return cls(
            models_dir=Path(models_dir or values.get("CLASSIFIER_MODELS_DIR") or "models"),
            encoder=encoder or EncoderOptions(),
        )
