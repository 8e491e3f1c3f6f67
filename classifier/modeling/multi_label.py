"""Heads for documents with any number of labels: one calibrated decision per label, chosen on held-out documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.analysis.confidence import Floats, Ints
from classifier.analysis.label_scales import Bools, LabelScales, fit_label_scales, label_losses
from classifier.analysis.multilabel import cross_fitted, decide, macro_f1, tune_thresholds
from classifier.embedding.contract import Embeddings
from classifier.modeling.choices import BOTH, DENSE, LEXICAL
from classifier.modeling.folds import ALWAYS_IN_TRAINING, FOLDS_OF_MANY, MANY_DOCUMENTS, N_FOLDS
from classifier.modeling.halves import INVERSE_REGULARISATION
from classifier.modeling.head import LexicalWeights, LinearHead
from classifier.modeling.label_solvers import fit_logistic_all, fit_margins_all
from classifier.modeling.lexical import Lexicon, fit_lexicon, restricted
from classifier.modeling.race import Refit
from classifier.modeling.solvers import LOGISTIC, SQUARED_HINGE, Weights
from classifier.modeling.sparse import SparseRows
from classifier.modeling.workers import in_threads, undisturbed_solvers
from classifier.progress import Step, silent

LEXICAL_INVERSE_REGULARISATION = (0.1, 0.3, 1.0)
_UNMEASURED_FACTORS = (0.5, 1.0)
_UNMEASURED_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class LabelEntrant:
    """One candidate of the race, and how it fared on held-out documents.

    Attributes
    ----------
    features : str
        ``embedding``, ``words``, ``words and parts``, or a sum of two.
    c : float
        Inverse regularisation; 0 for a sum of two, whose halves have their own.
    loss : float
        Held-out log loss of a decision about one label, once calibrated.
    macro_f1 : float
        At the thresholds that suit these documents.
    n_documents : int
        On how many documents.
    chosen : bool
        Whether it is in the head.
    trained_with : str
        The loss that its weights minimise; empty for a sum of two.
    """

    features: str
    c: float
    loss: float
    macro_f1: float
    n_documents: int
    chosen: bool = False
    trained_with: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class MultiLabelFit:
    """A head and what was learned about it on documents it had not seen.

    Attributes
    ----------
    head : LinearHead
        Trained on every document; each label has a probability of its own.
    lexicon : Lexicon or None
        What turns texts into the sparse half of its features; None where no text has a term.
    thresholds : ndarray of float64, shape (n_classes,)
        From which probability on a label is given, in (0, 1].
    race : tuple of LabelEntrant
        All that were tried.
    inverse_regularisation : float
        The chosen C of the dense half.
    folds : ndarray of int, shape (n_documents,)
        Fold in which a document was held out; -1 where it never was, see `stratify`.
    held_out_proba : ndarray of float64, shape (n_documents, n_classes)
        Probabilities from heads that had not seen the document, calibrated without its fold; zeros where never held
        out.
    held_out_decisions : ndarray of bool, shape (n_documents, n_classes)
        The same for labels, by thresholds of the other folds.
    baselines : dict of str to ndarray of bool
        The decisions of each half alone.
    """

    head: LinearHead
    lexicon: Lexicon | None
    thresholds: Floats
    race: tuple[LabelEntrant, ...]
    inverse_regularisation: float
    folds: Ints
    held_out_proba: Floats
    held_out_decisions: Bools
    baselines: dict[str, Bools]

    @property
    def n_folds(self) -> int:
        """How many folds there were; 0 where nothing could be held out."""
        return int(self.folds.max(initial=ALWAYS_IN_TRAINING)) + 1


@dataclass(frozen=True, slots=True, eq=False)
class _Half:
    """The chosen candidate of one half: its C, its out-of-fold scores, and all that were tried."""

    c: float
    scores: NDArray[np.float32]
    entrants: tuple[LabelEntrant, ...]


def fit_multi_label(
    embeddings: Embeddings,
    y: Bools,
    *,
    texts: Sequence[str],
    groups: Ints | None = None,
    seed: int = 0,
    refit: Refit | None = None,
    step: Step = silent,
) -> MultiLabelFit:
    """Train one linear head for all labels on embeddings and words; everything is chosen by cross-validation.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n_documents, n_dims)
    y : ndarray of bool, shape (n_documents, n_classes)
        Which labels each document has; it may have none. At least one document and one label.
    texts : sequence of str
        Rows follow `embeddings`.
    groups : ndarray of int, shape (n_documents,), or None
        Documents that are held out together, see `stratify`.
    seed : int, default=0
        Decides the folds.
    refit : callable or None
        For an embedder that learns from texts, see `fit_hybrid`.
    step : callable
        Called at the beginning of each step with a few words for it.

    Returns
    -------
    MultiLabelFit

    Notes
    -----
    Each label has a logistic regression on the dense vectors and a linear support vector machine on the sparse rows,
    neither with class weights: thresholds do their work, and better. `fit_label_scales` adds the two up to log odds
    per label, `tune_thresholds` finds from where on a label is given. Scales, offsets and all are linear, so that
    the result is one linear head.
    """
    folds = stratify(y, FOLDS_OF_MANY if len(y) > MANY_DOCUMENTS else N_FOLDS, seed, groups)
    step("counting words")
    lexicon, rows = fit_lexicon(texts, n_classes=y.shape[1])
    with undisturbed_solvers():
        if (folds == ALWAYS_IN_TRAINING).all():
            return _unmeasured(embeddings, lexicon, rows, y, folds)
        halves = {DENSE: _race_dense(embeddings, y, folds, refit, step)}
        if len(lexicon):
            halves[LEXICAL], n_columns = _race_lexical(rows, len(lexicon.words), y, folds, halves[DENSE].scores, step)
            if n_columns < len(lexicon):
                lexicon = Lexicon(lexicon.words, (), lexicon.idf[:n_columns])
        step("all documents")
        trained = _train(embeddings, rows.matrix()[:, : len(lexicon)], y, [half.c for half in halves.values()])
    held_out = folds != ALWAYS_IN_TRAINING
    scores, truth = [half.scores[held_out] for half in halves.values()], y[held_out]
    scales = fit_label_scales(scores, truth)
    proba, decisions = np.zeros(y.shape), np.zeros_like(y)
    proba[held_out], decisions[held_out] = cross_fitted(scores, truth, folds[held_out])
    baselines = {}
    for name, alone in zip(halves, scores, strict=True):
        baselines[name] = np.zeros_like(y)
        baselines[name][held_out] = cross_fitted([alone], truth, folds[held_out])[1]
    race = [entrant for half in halves.values() for entrant in half.entrants]
    if len(halves) > 1:
        race.append(replace(_entrant(BOTH, 0.0, scores, truth), chosen=True))
    return MultiLabelFit(
        head=_joined(trained, scales),
        lexicon=lexicon if len(lexicon) else None,
        thresholds=tune_thresholds(scales.proba(scores), truth),
        race=tuple(race),
        inverse_regularisation=halves[DENSE].c,
        folds=folds,
        held_out_proba=proba,
        held_out_decisions=decisions,
        baselines=baselines,
    )


def fit_logistic_multi_label(
    embeddings: Embeddings,
    y: Bools,
    *,
    texts: Sequence[str] = (),  # noqa: ARG001 # one signature for all heads
    groups: Ints | None = None,
    seed: int = 0,
    refit: Refit | None = None,
    step: Step = silent,
) -> MultiLabelFit:
    """Train one logistic regression per label on the embeddings alone; see `fit_multi_label` for the parameters."""
    return fit_multi_label(embeddings, y, texts=[""] * len(y), groups=groups, seed=seed, refit=refit, step=step)


MULTI_LABEL_HEADS: dict[str, Callable[..., MultiLabelFit]] = {
    "hybrid": fit_multi_label,
    "logistic": fit_logistic_multi_label,
}


def stratify(y: Bools, n_folds: int, seed: int, groups: Ints | None = None) -> Ints:
    """Spread the documents of each label over the folds as evenly as can be.

    Parameters
    ----------
    y : ndarray of bool, shape (n_documents, n_classes)
        Which labels each document has.
    n_folds : int
        How many folds; fewer are used where there are fewer groups.
    seed : int
        Decides the order in which groups are dealt out.
    groups : ndarray of int, shape (n_documents,), or None
        Documents of one group, such as equal texts, are held out together; each is its own where None.

    Returns
    -------
    ndarray of int, shape (n_documents,)
        Fold of each document; -1 for documents with a label that no second group has: they stay in every training
        part, so that no head is asked for a label it never saw.

    Notes
    -----
    The rarest label is dealt out first, each of its groups to the fold that lacks most documents of that label, then
    to the one that lacks most documents. Folds do not depend on the order of labels.

    References
    ----------
    Sechidis et al. (2011), On the Stratification of Multi-label Data,
    https://doi.org/10.1007/978-3-642-23808-6_10
    """
    groups = np.arange(len(y)) if groups is None else groups
    _, group_of = np.unique(groups, return_inverse=True)
    n_groups = int(group_of.max()) + 1
    place = np.random.default_rng(seed).permutation(n_groups)[group_of]
    counts = np.zeros((n_groups, y.shape[1]), dtype=np.int32)
    np.add.at(counts, place, y)
    lone = ((counts > 0) & ((counts > 0).sum(axis=0) == 1)).any(axis=1)
    folds = np.full(n_groups, ALWAYS_IN_TRAINING, dtype=np.intp)
    if n_groups > 1:
        folds[~lone] = _dealt_out(counts[~lone], np.bincount(place)[~lone], min(n_folds, n_groups))
    for label in range(y.shape[1]):
        members = counts[:, label] > 0
        if len(np.unique(folds[members])) == 1:
            folds[members] = ALWAYS_IN_TRAINING
    used = np.unique(folds[folds != ALWAYS_IN_TRAINING])
    return np.where(folds == ALWAYS_IN_TRAINING, ALWAYS_IN_TRAINING, np.searchsorted(used, folds))[place]


def _dealt_out(counts: NDArray[np.int32], sizes: Ints, n_folds: int) -> Ints:
    """Deal groups out to folds, in their order, the rarest label first; `counts` says how often each has each label."""
    folds = np.full(len(sizes), ALWAYS_IN_TRAINING, dtype=np.intp)
    wanted = np.tile(counts.sum(axis=0) / n_folds, (n_folds, 1))
    room = np.full(n_folds, sizes.sum() / n_folds)
    left = (counts > 0).sum(axis=0)
    owners = [np.flatnonzero(column) for column in counts.T]
    keys = [np.stack([rows, column[rows]]).tobytes() for rows, column in zip(owners, counts.T, strict=True)]

    def deal(members: Ints, wants: Floats) -> None:
        left[:] -= (counts[members] > 0).sum(axis=0)
        for group in members:
            fold = int(np.lexsort((room, wants))[-1])
            folds[group] = fold
            wanted[fold] -= counts[group]
            room[fold] -= sizes[group]

    while left.any():
        rarest = np.flatnonzero(left == left[left > 0].min())
        label = max(rarest, key=keys.__getitem__)
        deal(owners[label][folds[owners[label]] == ALWAYS_IN_TRAINING], wanted[:, label])
    deal(np.flatnonzero(folds == ALWAYS_IN_TRAINING), room)
    return folds


def _race_dense(embeddings: Embeddings, y: Bools, folds: Ints, refit: Refit | None, step: Step) -> _Half:
    """Follow the regularisation path in all folds at once until the held-out loss turns up."""
    parts = [folds != fold for fold in range(int(folds.max()) + 1)]
    by_fold = [embeddings if refit is None else refit(part) for part in parts]
    solutions: list[Any] = [None] * len(parts)
    held_out = folds != ALWAYS_IN_TRAINING
    candidates: list[_Half] = []
    for c in INVERSE_REGULARISATION[LOGISTIC]:
        step(f"{DENSE}, C = {c:g}")
        solutions = in_threads(
            [
                partial(fit_logistic_all, found[part], y[part], c, start=start)
                for found, part, start in zip(by_fold, parts, solutions, strict=True)
            ]
        )
        scores = np.zeros(y.shape, dtype=np.float32)
        for found, part, (coef, intercept) in zip(by_fold, parts, solutions, strict=True):
            scores[~part] = found[~part] @ coef.T + intercept
        candidates.append(_Half(c, scores, (_entrant(DENSE, c, [scores[held_out]], y[held_out], LOGISTIC),)))
        if len(candidates) > 1 and candidates[-1].entrants[0].loss >= candidates[-2].entrants[0].loss:
            break
    best = min(candidates, key=lambda candidate: candidate.entrants[0].loss)
    entrants = tuple(replace(one.entrants[0], chosen=one is best) for one in candidates)
    return replace(best, entrants=entrants)


def _race_lexical(
    rows: SparseRows, n_words: int, y: Bools, folds: Ints, dense: NDArray[np.float32], step: Step
) -> tuple[_Half, int]:
    """Try kinds of terms and regularisations in one fold, beside the dense half, and the best of them in all folds."""
    by_fold = [restricted(rows, folds != fold, n_words).matrix() for fold in range(int(folds.max()) + 1)]
    kinds = {"words": n_words} | ({"words and parts": rows.n_columns} if rows.n_columns > n_words else {})
    first, held_out = folds == 0, folds != ALWAYS_IN_TRAINING
    candidates: list[tuple[LabelEntrant, str, int, NDArray[np.float32]]] = []
    for name, n_columns in kinds.items():
        path: list[float] = []
        start: Weights | None = None
        for c in LEXICAL_INVERSE_REGULARISATION:
            step(f"{name}, C = {c:g}")
            scores, start = _held_out_margins(by_fold[0][:, :n_columns], y, first, c, start)
            entrant = _entrant(f"{DENSE} and {name}", c, [dense[first], scores], y[first], SQUARED_HINGE)
            candidates.append((entrant, name, n_columns, scores))
            path.append(entrant.loss)
            if path[-1] > min(path):
                break
    best, name, n_columns, found = min(candidates, key=lambda candidate: candidate[0].loss)
    scores = np.zeros_like(dense)
    scores[first] = found
    for fold in range(1, len(by_fold)):
        step(f"{name}, part {fold + 1} of {len(by_fold)}")
        scores[folds == fold], _ = _held_out_margins(by_fold[fold][:, :n_columns], y, folds == fold, best.c)
    marked = (replace(entrant, chosen=entrant is best) for entrant, *_ in candidates)
    alone = _entrant(name, best.c, [scores[held_out]], y[held_out], SQUARED_HINGE)
    return _Half(best.c, scores, (*marked, alone)), n_columns


def _held_out_margins(
    matrix: Any, y: Bools, held_out: Bools, c: float, start: Weights | None = None
) -> tuple[NDArray[np.float32], Weights]:
    """Train on the other documents; return the scores of those held out, and the weights."""
    coef, intercept = fit_margins_all(matrix[~held_out], y[~held_out], c, start=start)
    return np.asarray(matrix[held_out] @ coef + intercept, dtype=np.float32), (coef, intercept)


def _unmeasured(embeddings: Embeddings, lexicon: Lexicon, rows: SparseRows, y: Bools, folds: Ints) -> MultiLabelFit:
    """Train a head where nothing can be held out."""
    factors = np.array(_UNMEASURED_FACTORS if len(lexicon) else (1.0,))
    trained = _train(embeddings, rows.matrix(), y, [1.0] * len(factors))
    scales = LabelScales(np.tile(factors[:, None], y.shape[1]), np.zeros(y.shape[1]))
    thresholds = np.full(y.shape[1], _UNMEASURED_THRESHOLD)
    head, known = _joined(trained, scales), lexicon if len(lexicon) else None
    return MultiLabelFit(head, known, thresholds, (), 1.0, folds, np.zeros(y.shape), np.zeros_like(y), {})


def _train(embeddings: Embeddings, matrix: Any, y: Bools, cs: Sequence[float]) -> list[Weights]:
    """Train the dense half on all documents and, where there is a second C, the sparse half."""
    dense = fit_logistic_all(embeddings, y, cs[0])
    return [dense, *(fit_margins_all(matrix, y, c) for c in cs[1:])]


def _joined(trained: Sequence[Weights], scales: LabelScales) -> LinearHead:
    """Make one head of the halves, each times its factors, and the offsets."""
    factors, offsets = scales.factors.astype(np.float32), scales.offsets.astype(np.float32)
    (coef, intercept), *rest = trained
    lexical = None
    for other_coef, other_intercept in rest:
        lexical = LexicalWeights(other_coef * factors[1], other_intercept * factors[1])
    return LinearHead(coef * factors[0][:, None], intercept * factors[0] + offsets, 1.0, lexical, is_multi_label=True)


def _entrant(
    features: str, c: float, scores: Sequence[NDArray[np.float32]], y: Bools, trained_with: str = ""
) -> LabelEntrant:
    """Say how a candidate fared."""
    scales = fit_label_scales(scores, y)
    loss = float(label_losses(scales.total(scores), y).mean())
    proba = scales.proba(scores)
    return LabelEntrant(
        features, c, loss, macro_f1(decide(proba, tune_thresholds(proba, y)), y), len(y), False, trained_with
    )
