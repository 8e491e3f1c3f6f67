"""Why a label: the words, passages and training documents that speak for it or against it.

Three questions are answered by three numbers, all on the scale of the label's calibrated log-odds, log p / (1 - p).
What would change if the word were not there? (`WordEffect.total`, measured.) How much of that is its meaning, and how
much its letters? (`WordEffect.dense`, measured on the embedding; `WordEffect.lexical`, computed from the weights.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats
from classifier.datamodels import STATUS_EMPTY, STATUS_OK, Neighbor
from classifier.embedding.contract import CHUNKING, Embeddings
from classifier.errors import lookup
from classifier.modeling.links import Link, link_of
from classifier.modeling.occlusion import (
    DenseHalf,
    Group,
    LexicalHalf,
    Span,
    joined,
    passages,
    sentences,
    without,
    without_cache,
    word_spans,
)

if TYPE_CHECKING:
    from classifier.modeling.predictor import Predictor

MOST_VARIANTS = 100
N_DRAWS = 10
_SPECIAL_TOKENS = 2


@dataclass(frozen=True, slots=True)
class WordEffect:
    """What one word does to the log-odds of a label; above 0 it speaks for the label.

    Attributes
    ----------
    start, end : int
        Where it stands in the text.
    word : str
        ``text[start:end]``.
    lexical : float
        What its terms (words, pairs, parts of words) add to the sparse half; exact.
    dense : float
        By how much the dense half falls when this occurrence of the word is left out.
    total : float
        By how much the log-odds fall when it is left out, both halves measured together.
    measured : bool
        Whether it was left out by itself; otherwise `dense` and `total` are its even share of its sentence's.
    """

    start: int
    end: int
    word: str
    lexical: float
    dense: float
    total: float
    measured: bool = True


@dataclass(frozen=True, slots=True)
class ChunkEffect:
    """By how much the log-odds of a label fall when ``text[start:end]`` is left out."""

    start: int
    end: int
    effect: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a label.

    Attributes
    ----------
    text : str
        What was explained.
    label : str
        The label that is explained; empty where nothing was read and none was asked for.
    probability : float
        Its calibrated probability, in [0, 1]; 0 where nothing was read.
    is_given : bool
        Whether it is the answer to the text, or among the answers where there may be several.
    runner_up : str
        The most probable of the other labels; empty where nothing was read, or where there is no other.
    runner_up_probability : float
        In [0, 1].
    status : str
        ``ok``, or ``empty`` where there is nothing to read.
    words : tuple of WordEffect
        Every word, in reading order.
    chunks : tuple of ChunkEffect
        Passages that tile a text which is longer than the encoder's window; otherwise empty.
    neighbors : tuple of Neighbor
        The most similar training documents with their labels.
    """

    text: str
    label: str
    probability: float
    is_given: bool
    runner_up: str
    runner_up_probability: float
    status: str
    words: tuple[WordEffect, ...]
    chunks: tuple[ChunkEffect, ...]
    neighbors: tuple[Neighbor, ...]

    def most_important(self, n: int) -> tuple[list[WordEffect], list[WordEffect]]:
        """Return at most `n` words that speak for the label, and at most `n` against it, by falling weight."""
        ordered = sorted(self.words, key=lambda effect: -effect.total)
        speaks_for = [effect for effect in ordered if effect.total > 0]
        against = [effect for effect in reversed(ordered) if effect.total < 0]
        return speaks_for[:n], against[:n]


class DeletionEffect(NamedTuple):
    """By how much the probability of the answered label falls, in [-1, 1]."""

    important: float
    random: float


def explain(
    model: Predictor, text: str, *, label: str | None = None, k: int = 5, link: Link | None = None
) -> Explanation:
    """Say which words, passages and training documents speak for a label of a text.

    Parameters
    ----------
    model : Predictor
        A trained classifier.
    text : str
        Of any length.
    label : str or None
        The label to explain; the most probable one where None.
    k : int, default=5
        How many training documents at most.
    link : Link or None
        `ONE_OF_ALL` where a document has one label, `EACH_ALONE` where it may have several; the head's where None.

    Returns
    -------
    Explanation

    Raises
    ------
    UnknownNameError
        When the model has no such label.

    Notes
    -----
    `WordEffect.total` is what happens to the log-odds when the word is replaced by a space: the text without it is
    embedded, and its terms are counted and brought to unit length anew. That is the number to rank by, since it holds
    whatever the halves make of each other, and a user can try it. It is no sum: of two words that say the same, either
    alone can be left out at little cost. `WordEffect.lexical` is a sum: of each term, its weight times the difference
    between ``coef[label]`` and the mean of the other labels' ``coef``, weighed by their probabilities; shared evenly
    among the term's occurrences, and among the words that an occurrence touches. A word that stands several times is
    left out one occurrence at a time.

    The time is bounded: up to `MOST_VARIANTS` words, each is left out in one call of the encoder. Of longer texts,
    passages are left out first (or sentences, joined where they are more than that), then at most `MOST_VARIANTS`
    sentences, then as many words: those where the even share of what they are part of, plus their own terms, promises
    most. The other words keep that share. Of a text longer than the encoder's window, only the passage around a word is
    embedded anew (see `DenseHalf`): it takes about ``2 * MOST_VARIANTS`` windows more than embedding the text twice.

    References
    ----------
    Robnik-Šikonja and Kononenko (2008), Explaining classifications for individual instances,
    https://doi.org/10.1109/TKDE.2007.190734
    Li, Monroe and Jurafsky (2016), Understanding neural networks through representation erasure,
    https://arxiv.org/abs/1612.08220
    """
    embeddings = model.encode([text])
    link = link or link_of(model.head_)
    names = [str(name) for name in model.classes_]
    column = None if label is None else lookup({name: number for number, name in enumerate(names)}, label, "label")
    if not embeddings.any():
        return Explanation(text, label or "", 0.0, False, "", 0.0, STATUS_EMPTY, (), (), ())
    scores = _calibrated(model, [text], embeddings)
    chosen = int(scores[0].argmax()) if column is None else column
    second, runner_up_probability = _runner_up(names, scores, chosen, link)
    words = word_spans(text)
    groups = sentences(text, words)
    parts = _passages(model, text, words, groups)
    left_out = _LeftOut(model, text, embeddings[0], parts, chosen, link)
    lexical = left_out.lexical_effects(words)
    effects = _measured(left_out, _levels(words, groups, parts), lexical)
    return Explanation(
        text=text,
        label=names[chosen],
        probability=float(link.proba(scores, chosen)[0]),
        is_given=bool(model.given_labels(model.proba_of([text], embeddings))[0, chosen]),
        runner_up=second,
        runner_up_probability=runner_up_probability,
        status=STATUS_OK,
        words=tuple(
            WordEffect(start, end, text[start:end], float(own), float(dense), float(total), bool(measured))
            for (start, end), own, dense, total, measured in zip(
                words, lexical, effects.dense, effects.total, effects.measured, strict=True
            )
        ),
        chunks=tuple(
            ChunkEffect(part.start, part.end, float(effect))
            for part, effect in zip(parts, effects.coarse if parts else (), strict=True)
        ),
        neighbors=tuple(model.similar(text, k)) if k > 0 else (),
    )


def deletion_effect(
    model: Predictor,
    text: str,
    n: int = 3,
    rng: np.random.Generator | None = None,
    *,
    n_draws: int = N_DRAWS,
    link: Link | None = None,
) -> DeletionEffect:
    """Compare leaving out the most important words with leaving out as many random ones.

    Parameters
    ----------
    model : Predictor
    text : str
    n : int, default=3
        How many words are left out together; all of them where the text has fewer.
    rng : numpy.random.Generator or None
        Draws the random words; one with the seed 0 where None.
    n_draws : int, default=10
        Over how many draws the random drop is averaged.
    link : Link or None
        As for `explain`.

    Returns
    -------
    DeletionEffect
        Zeros for a text without words.

    References
    ----------
    DeYoung et al. (2020), ERASER: a benchmark to evaluate rationalized NLP models (comprehensiveness),
    https://arxiv.org/abs/1911.03429
    """
    rng = rng or np.random.default_rng(0)
    explanation = explain(model, text, k=0, link=link)
    words = explanation.words
    if not words:
        return DeletionEffect(0.0, 0.0)
    n = min(n, len(words))
    sets = [sorted(range(len(words)), key=lambda number: -words[number].total)[:n]]
    sets += [list(rng.choice(len(words), n, replace=False)) for _ in range(n_draws)]
    variants = [without(text, [(words[number].start, words[number].end) for number in chosen]) for chosen in sets]
    column = [str(name) for name in model.classes_].index(explanation.label)
    embeddings = without_cache(model.loaded_embedder()).encode(variants)
    proba = (link or link_of(model.head_)).proba(_calibrated(model, variants, embeddings), column)
    drops = explanation.probability - proba
    return DeletionEffect(float(drops[0]), float(drops[1:].mean()))


@dataclass(frozen=True, slots=True)
class _Effects:
    """What was found for each word, and the total effect of each part of the coarsest level."""

    dense: Floats
    total: Floats
    measured: NDArray[np.bool_]
    coarse: Floats


class _LeftOut:
    """The log-odds of one label without parts of one text."""

    def __init__(
        self,
        model: Predictor,
        text: str,
        embedding: NDArray[np.float32],
        parts: Sequence[Group],
        column: int,
        link: Link,
    ) -> None:
        head, embedder = model.head_, without_cache(model.loaded_embedder())
        whole = [Group(0, 0, 0, len(text))]
        self._dense = DenseHalf(text, embedding, embedder, head, parts or whole)
        self._lexical = None
        if model.lexicon_ is not None and head.lexical is not None:
            self._lexical = LexicalHalf(text, model.lexicon_, head.lexical)
        self._temperature, self._column, self._log_odds = head.temperature, column, link.log_odds
        self._base = self._dense.scores + (0.0 if self._lexical is None else self._lexical.scores)
        self._direction = link.direction(self._base / head.temperature, column) / head.temperature

    def lexical_effects(self, words: Sequence[Span]) -> Floats:
        """Return what each word's terms add to the log-odds, as far as those are a sum."""
        return np.zeros(len(words)) if self._lexical is None else self._lexical.word_effects(words, self._direction)

    def effects(self, spans: Sequence[Span]) -> tuple[Floats, Floats]:
        """Return by how much the dense half and the log-odds fall without each of some parts."""
        scores = self._dense.scores_without(spans)
        dense = (self._dense.scores - scores) @ self._direction
        if self._lexical is not None:
            scores = scores + np.array([self._lexical.scores_without(*span) for span in spans])
        calibrated = np.vstack([self._base, scores]) / self._temperature
        log_odds = self._log_odds(calibrated, self._column)
        return dense, log_odds[0] - log_odds[1:]


def _measured(left_out: _LeftOut, levels: Sequence[Sequence[Group]], lexical: Floats) -> _Effects:
    """Leave out ever smaller parts, at each level those that promise most; the others keep their even share."""
    dense, total, coarse = np.zeros(len(lexical)), np.zeros(len(lexical)), np.zeros(0)
    measured = np.zeros(len(lexical), dtype=np.bool_)
    for number, groups in enumerate(levels):
        is_coarse, is_finest = number == 0 and len(levels) > 1, number == len(levels) - 1
        promise = np.array([_weight(total, group) + _weight(lexical, group) for group in groups])
        chosen = list(groups) if is_coarse else [groups[row] for row in _largest(promise)]
        found = left_out.effects([(group.start, group.end) for group in chosen])
        for group, own_dense, own_total in zip(chosen, *found, strict=True):
            part, n_words = slice(group.first, group.last), group.last - group.first
            dense[part], total[part], measured[part] = own_dense / n_words, own_total / n_words, is_finest
        coarse = found[1] if is_coarse else coarse
    return _Effects(dense, total, measured, coarse)


def _levels(words: Sequence[Span], groups: Sequence[Group], parts: Sequence[Group]) -> list[Sequence[Group]]:
    """Return what is left out: passages or joined sentences, sentences, words; few words need nothing before them."""
    if not words:
        return []
    single = [Group(number, number + 1, start, end) for number, (start, end) in enumerate(words)]
    if len(words) <= MOST_VARIANTS:
        return [parts, single] if parts else [single]
    coarse = parts or joined(groups, MOST_VARIANTS)
    return [coarse, groups, single] if len(coarse) < len(groups) else [coarse, single]


def _passages(model: Predictor, text: str, words: Sequence[Span], groups: Sequence[Group]) -> list[Group]:
    """Return the passages of a text that is longer than the encoder's window; none for a shorter one."""
    contract = model.contract_
    if not words or contract.chunking != CHUNKING:
        return []
    found = passages(text, words, groups, contract.max_tokens - _SPECIAL_TOKENS)
    return found if len(found) > 1 else []


def _runner_up(names: Sequence[str], scores: Floats, chosen: int, link: Link) -> tuple[str, float]:
    """Return the most probable of the other labels with its probability; nothing where there is no other."""
    if len(names) == 1:
        return "", 0.0
    others = scores[0].copy()
    others[chosen] = -np.inf
    column = int(others.argmax())
    return names[column], float(link.proba(scores, column)[0])


def _calibrated(model: Predictor, texts: Sequence[str], embeddings: Embeddings) -> Floats:
    """Return the calibrated scores of texts, shape (n_documents, n_classes)."""
    rows = None if model.lexicon_ is None else model.lexicon_.transform(texts)
    return np.asarray(model.head_.scores(embeddings, rows), dtype=np.float64) / model.head_.temperature


def _weight(values: Floats, group: Group) -> float:
    """Add up the absolute values of a group's words."""
    return float(np.abs(values[group.first : group.last]).sum())


def _largest(promise: Floats) -> list[int]:
    """Return the positions of the `MOST_VARIANTS` largest values, by position."""
    return sorted(np.argsort(-promise, kind="stable")[:MOST_VARIANTS].tolist())
