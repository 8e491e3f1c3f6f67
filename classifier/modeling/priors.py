"""What labels say by themselves: their names or descriptions, as documents that fade as examples come."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints
from classifier.analysis.label_words import trust_sentence
from classifier.embedding.contract import Embeddings
from classifier.errors import TrainingDataError, UnknownLabelError, excerpt
from classifier.modeling.head import LinearHead

FADED = 50
_MOST_DOCUMENTS = 4.0
_STANDARD_ERRORS = 1.28
_NAMES_ONLY_SCALE = 15.0
_BLOCK_NUMBERS = 2_000_000
_DOT_BETWEEN_LETTERS = re.compile(r"(?<=[^\W\d_])\.(?=[^\W\d_])")


@dataclass(frozen=True, slots=True)
class LabelTrust:
    """How far the names of labels may be trusted, judged on the training documents.

    Attributes
    ----------
    accuracy : float
        Share of the training documents that are closest to the name of their own label.
    chance : float
        The share that would be right if names and documents had nothing to do with each other.
    share : float
        How far the accuracy is surely above chance, from 0, no better, to 1, always right.
    weights : tuple of float
        As how many documents each label's name counts, in order of the classes.
    """

    accuracy: float
    chance: float
    share: float
    weights: tuple[float, ...]

    def __str__(self) -> str:
        """Say it in a sentence."""
        return trust_sentence(self.to_dict())

    def to_dict(self) -> dict[str, float]:
        """Return accuracy, chance, share and the largest weight, and how many documents make names needless."""
        return {
            "accuracy": self.accuracy,
            "chance": self.chance,
            "share": self.share,
            "largest_weight": max(self.weights),
            "needed_below": FADED,
        }


@dataclass(frozen=True, slots=True, eq=False)
class LabelPriors:
    """A text for each label, and its vector.

    Attributes
    ----------
    texts : tuple of str
        In order of the classes, as `prior_texts` makes them.
    embeddings : ndarray of float32, shape (n_classes, n_dims)
        Their vectors, by the embedder of the documents.
    """

    texts: tuple[str, ...]
    embeddings: Embeddings

    def trust(self, embeddings: Embeddings, y: Ints) -> LabelTrust:
        """Decide as how many documents each label's text counts.

        Parameters
        ----------
        embeddings : ndarray of float32, shape (n_documents, n_dims)
            Labelled documents.
        y : ndarray of int, shape (n_documents,)
            Their classes.

        Notes
        -----
        The names by themselves are a classifier that has seen no document, so the documents test it. The trust is the
        lower end of an 80 % interval of its accuracy (Wilson's), measured from chance: names like ``A``, ``17`` or
        ``class_3`` get none, and a few lucky hits get little. A trusted name counts as four documents times the trust.
        That falls in a straight line to nothing at `FADED` documents of its label. The trust is one for all labels:
        a single name that says nothing among others that do can cost its label some recall at one or two documents.

        References
        ----------
        Wilson (1927), Probable inference, the law of succession, and statistical inference,
        https://doi.org/10.1080/01621459.1927.10502953
        """
        n, n_classes = len(y), len(self.texts)
        nearest = self._nearest(embeddings)
        counts = np.bincount(y, minlength=n_classes)
        chance = float(np.bincount(nearest, minlength=n_classes) / n @ (counts / n))
        accuracy = float((nearest == y).mean())
        surely = _lower_end(accuracy, n)
        share = max(0.0, (surely - chance) / (1 - chance)) if chance < 1 else 0.0
        weights = _MOST_DOCUMENTS * share * np.maximum(0.0, 1 - counts / FADED)
        return LabelTrust(accuracy, chance, share, tuple(weights.tolist()))

    def _nearest(self, embeddings: Embeddings) -> Ints:
        """Return the label whose text is most similar to each document, a block of documents at a time."""
        directions = _unit(self.embeddings).T
        n_rows = max(1, _BLOCK_NUMBERS // len(self.texts))
        blocks = range(0, len(embeddings), n_rows)
        return np.concatenate([(embeddings[start : start + n_rows] @ directions).argmax(axis=1) for start in blocks])


def prior_texts(classes: Sequence[str], descriptions: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return what speaks for each label: its description, or its readable name where it has none.

    Parameters
    ----------
    classes : sequence of str
        All labels.
    descriptions : mapping of str to str, or None
        Sentences that say what a label stands for, by label; a blank one counts as none.

    Returns
    -------
    tuple of str
        Rows follow `classes`.

    Raises
    ------
    UnknownLabelError
        When a label is described that is not among the classes.
    """
    described = descriptions or {}
    require_described(described, classes)
    return tuple(described.get(label, "").strip() or readable_name(label) for label in classes)


def require_described(descriptions: Mapping[str, str], classes: Sequence[str], source: object = "descriptions") -> None:
    """Refuse a description of what is none of the classes.

    Parameters
    ----------
    descriptions : mapping of str to str
    classes : sequence of str
        All labels.
    source : object, default='descriptions'
        Where the descriptions stand, such as the name of a file; the message begins with it.

    Raises
    ------
    UnknownLabelError
        Naming the first such label and the nearest of the classes.
    TrainingDataError
        When a description is no string.
    """
    known = set(classes)
    for label, text in descriptions.items():
        if label not in known:
            raise UnknownLabelError(str(label), classes, source)
        if not isinstance(text, str):
            problem = f"The description of {excerpt(label)} is of type {type(text).__name__}"
            raise TrainingDataError(problem, "give strings only")


def readable_name(label: str) -> str:
    """Write a label as words.

    Examples
    --------
    >>> readable_name("card_arrival"), readable_name("AddToPlaylist"), readable_name("science/technology")
    ('card arrival', 'add to playlist', 'science / technology')
    >>> readable_name("rec.sport.hockey"), readable_name("HTTPError"), readable_name("PayPal dispute")
    ('rec sport hockey', 'HTTP error', 'PayPal dispute')
    """
    words = " ".join(label.replace("_", " ").split())
    if " " not in words:
        words = " ".join(map(_humps_cut, _DOT_BETWEEN_LETTERS.sub(" ", words).split()))
    return " ".join(words.replace("/", " / ").split()) or label


def names_only_head(embeddings: Embeddings, *, scale: float = _NAMES_ONLY_SCALE) -> LinearHead:
    """Make a head of label names alone: the more similar a document is to a name, the higher its score.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_classes, n_dims)
        Vectors of the labels' texts.
    scale : float, default=15.0
        Factor of the cosine similarity before the softmax.

    Returns
    -------
    LinearHead
        Its confidence is not calibrated, for there is no document to calibrate it on. With the default encoder the
        best scale was 17 to 20 on five public sets whose names say much, 13 on one and 7 on one whose names say
        little; the default is on the doubtful side of the former.
    """
    coef = np.ascontiguousarray(_unit(embeddings) * np.float32(scale), dtype=np.float32)
    return LinearHead(coef, np.zeros(len(coef), dtype=np.float32), 1.0)


def _humps_cut(word: str) -> str:
    """Cut a word before its inner capitals, and write its parts in lower case unless they are all capitals."""
    cuts = [
        place
        for place in range(1, len(word))
        if word[place].isupper()
        and (word[place - 1].islower() or (word[place - 1].isupper() and word[place + 1 : place + 2].islower()))
    ]
    if not cuts:
        return word
    parts = [word[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]
    return " ".join(part if len(part) > 1 and part.isupper() else part.lower() for part in parts)


def _lower_end(share: float, n: int) -> float:
    """Return the lower end of Wilson's interval of a share among n."""
    z = _STANDARD_ERRORS
    middle = share + z * z / (2 * n)
    return float((middle - z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))) / (1 + z * z / n))


def _unit(vectors: Embeddings) -> NDArray[np.float32]:
    """Bring vectors to unit length; zeros stay zeros."""
    lengths: Floats = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
