"""The two halves of a head: what is tried for each, on documents that were held out, and how what won is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from classifier.analysis.confidence import Floats, Ints, fit_scales, log_losses
from classifier.embedding.contract import Embeddings
from classifier.errors import counted
from classifier.modeling.choices import DENSE
from classifier.modeling.learning_curve import in_turn
from classifier.modeling.solvers import LOGISTIC, SPARSE_SOLVERS, SQUARED_HINGE, Weights
from classifier.modeling.task import Mask, Scores, Task, weighted_sum
from classifier.modeling.workers import Job, in_processes, in_threads

INVERSE_REGULARISATION = {LOGISTIC: (1.0, 3.0, 10.0, 30.0, 100.0), SQUARED_HINGE: (0.1, 0.3, 1.0, 3.0)}
LEXICAL_INVERSE_REGULARISATION = {SQUARED_HINGE: (0.3, 1.0), LOGISTIC: (10.0, 100.0)}
MOST_RACED = 20_000
_LIGHT = 20_000_000
_HEAVY = 50_000_000


@dataclass(frozen=True, slots=True)
class Entrant:
    """One candidate of the race, and how it fared on held-out documents.

    Attributes
    ----------
    features : str
        ``embedding``, ``words``, ``words and parts``, or a sum of two.
    c : float
        Inverse regularisation; 0 for a sum of two, whose halves have their own.
    loss, accuracy : float
        Held-out log loss at its best temperature, and share of right answers.
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
    accuracy: float
    n_documents: int
    chosen: bool = False
    trained_with: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Half:
    """What was chosen for one half: its C, its loss, its out-of-fold scores, and all that were tried."""

    c: float
    trained_with: str
    scores: Scores
    entrants: tuple[Entrant, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What was chosen for the sparse half.

    Attributes
    ----------
    name : str
        ``words`` or ``words and parts``.
    n_columns : int
        How many columns of the sparse rows that is.
    c : float
    trained_with : str
    entrants : tuple of Entrant
    known : dict of int to ndarray of float32
        Scores of documents held out in a fold, ``(n_held_out, n_classes)``, as far as the race made them.
    """

    name: str
    n_columns: int
    c: float
    trained_with: str
    entrants: tuple[Entrant, ...] = ()
    known: Mapping[int, Scores] | None = None

    def held_out_jobs(self, task: Task, by_fold: Sequence[Any]) -> dict[int, Job]:
        """Return what makes the scores of the other folds."""
        folds = [fold for fold in range(task.n_folds) if fold not in (self.known or {})]
        return {fold: _held_out_job(self, task, by_fold[fold], task.folds != fold, fold) for fold in folds}

    def half(self, task: Task, found: Mapping[int, Scores]) -> Half:
        """Put the scores of all folds together."""
        scores = np.zeros((len(task.y), task.n_classes), dtype=np.float32)
        for fold, held_out in {**found, **(self.known or {})}.items():
            scores[task.folds == fold] = held_out
        if not task.n_folds:
            return Half(self.c, self.trained_with, scores, ())
        alone = measured(self.name, self.c, scores[task.held_out], task.y[task.held_out], self.trained_with)
        return Half(self.c, self.trained_with, scores, (*self.entrants, alone.entrant))


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """An entrant with the log loss of each document it was measured on, and the scores that won it."""

    entrant: Entrant
    losses: Floats
    scores: Any = None

    @property
    def error(self) -> float:
        """Standard error of the mean loss."""
        return float(self.losses.std() / np.sqrt(len(self.losses)))

    def clearly_beats(self, other: Candidate) -> bool:
        """Whether its loss on the same documents is lower by more than the standard error of the difference."""
        gain = other.losses - self.losses
        return float(gain.mean()) > float(gain.std() / np.sqrt(len(gain)))


def measured(features: str, c: float, scores: Any, y: Ints, trained_with: str = "") -> Candidate:
    """Measure scores of documents, shape (n_documents, n_classes), at their best temperature."""
    losses = log_losses(scores, y, 1 / float(fit_scales([scores], y)[0]))
    accuracy = float((scores.argmax(axis=1) == y).mean())
    return Candidate(Entrant(features, c, float(losses.mean()), accuracy, len(y), False, trained_with), losses)


def race_dense(task: Task, by_fold: Sequence[Embeddings], losses: Sequence[str]) -> Half:
    """Choose C and loss of the dense half; the first loss stays unless another is clearly better.

    Notes
    -----
    Within a fold the candidates of the logistic loss are fitted from strong to weak regularisation, each from the
    solution before it, and the path ends once the held-out log loss has passed its lowest point. The chosen C is the
    strongest regularisation within one standard error of the lowest loss.

    References
    ----------
    Breiman et al. (1984), Classification and Regression Trees, section 3.4.3 (the one-standard-error rule)
    """
    if not task.n_folds:
        return Half(task.default_c, losses[0], np.zeros((len(task.y), task.n_classes), dtype=np.float32), ())
    path = _dense_path(task, by_fold, task.choices.trained_with if task.choices else losses[0])
    lowest = min(path, key=_loss)
    highest = lowest.entrant.loss + (0.0 if task.is_lean else lowest.error)
    chosen = next(candidate for candidate in path if candidate.entrant.loss <= highest)
    is_light = by_fold[0].size * task.n_classes <= _LIGHT
    for loss in losses[1:] if task.may_race and is_light and not task.choices else ():
        others = _dense_path(task, by_fold, loss)
        path += others
        best = min(others, key=_loss)
        chosen = best if best.clearly_beats(chosen) else chosen
    entrants = tuple(replace(one.entrant, chosen=one is chosen) for one in path)
    return Half(chosen.entrant.c, chosen.entrant.trained_with, chosen.scores, entrants)


def _dense_path(task: Task, by_fold: Sequence[Embeddings], loss: str) -> list[Candidate]:
    """Follow the regularisation path in all folds at once until the held-out loss turns up."""
    rows = task.held_out
    parts = [task.folds != fold for fold in range(task.n_folds)]
    solvers = [task.solver(found, part, loss) for found, part in zip(by_fold, parts, strict=True)]
    candidates: list[Candidate] = []
    raced = INVERSE_REGULARISATION[loss] if task.may_race else (task.default_c,)
    for c in (task.choices.c,) if task.choices else raced:
        task.step(f"{DENSE}, {loss} loss, C = {c:g}")
        scores = np.zeros((len(task.y), task.n_classes), dtype=np.float32)
        solutions = in_threads([partial(solver, c) for solver in solvers])
        for found, part, (coef, intercept) in zip(by_fold, parts, solutions, strict=True):
            scores[~part] = found[~part] @ coef.T + intercept
        candidates.append(replace(measured(DENSE, c, scores[rows], task.y[rows], loss), scores=scores))
        if len(candidates) > 1 and _loss(candidates[-1]) >= _loss(candidates[-2]):
            break
    return candidates


def race_terms(task: Task, matrix: Any, kinds: Mapping[str, int], dense: Scores) -> Terms:
    """Choose kind of terms, C and loss of the sparse half in the first fold, beside the dense half.

    Parameters
    ----------
    task : Task
    matrix : scipy.sparse.csr_array, shape (n_rows, n_columns)
        Rows of the task with the terms that the first fold's training part has.
    kinds : mapping of str to int
        How many of the columns each kind of terms takes.
    dense : ndarray of float32, shape (n_rows, n_classes)
        Held-out scores of the dense half.

    Notes
    -----
    The candidates learn from `MOST_RACED` rows at most: what is best for so many is best for more.
    """
    fold, loss = 0, SQUARED_HINGE
    tried = [Terms(name, n, c, loss) for name, n in kinds.items() for c in LEXICAL_INVERSE_REGULARISATION[loss]]
    if task.choices and task.choices.terms in kinds:
        name = task.choices.terms
        return Terms(name, kinds[name], task.choices.terms_c, task.choices.terms_trained_with)
    if not task.n_folds or not task.may_race or task.choices:
        return tried[-1]
    raced, first = _raced(task), task.folds == fold
    task.step(f"{counted(len(tried), 'kind')} of words and C, {loss} loss")
    field = _field(tried, task, matrix, raced, dense)
    chosen = min(field, key=_loss)
    if matrix.nnz * task.n_classes <= _LIGHT:
        task.step(f"{chosen.entrant.features}, {LOGISTIC} loss")
        cs = LEXICAL_INVERSE_REGULARISATION[LOGISTIC]
        won = tried[field.index(chosen)]
        others = [replace(won, c=c, trained_with=LOGISTIC) for c in cs]
        tried, field = tried + others, field + _field(others, task, matrix, raced, dense)
        best = min(field[-len(cs) :], key=_loss)
        chosen = best if best.clearly_beats(chosen) else chosen
    entrants = tuple(replace(one.entrant, chosen=one is chosen) for one in field)
    whole = bool((raced | first).all())
    known = {fold: chosen.scores} if whole else {}
    return replace(tried[field.index(chosen)], entrants=entrants, known=known)


def _raced(task: Task) -> Mask:
    """Return which rows candidates of the sparse half learn from, of the first fold's training part."""
    part = np.asarray(task.folds != 0)
    documents = np.flatnonzero(part[: task.n_documents])
    order = in_turn(task.y[documents], np.random.default_rng(task.seed))
    part[documents[order[max(MOST_RACED, task.n_classes) :]]] = False
    return part


def _field(tried: Sequence[Terms], task: Task, matrix: Any, raced: Mask, dense: Scores) -> list[Candidate]:
    """Measure candidates of the sparse half, each in its best sum with the dense half."""
    first = task.folds == 0
    y = task.y[first]
    jobs = [_held_out_job(terms, task, matrix, raced, 0) for terms in reversed(tried)]
    found = side_by_side(jobs, task, matrix)[::-1]
    field = []
    for terms, scores in zip(tried, found, strict=True):
        both = [dense[first], scores]
        total = weighted_sum(both, fit_scales(both, y))
        candidate = measured(f"{DENSE} and {terms.name}", terms.c, total, y, terms.trained_with)
        field.append(replace(candidate, scores=scores))
    return field


def _held_out_job(terms: Terms, task: Task, matrix: Any, part: Mask, fold: int) -> Job:
    """Return what trains the sparse half on some rows and scores those of a fold."""
    columns, held_out = matrix[:, : terms.n_columns], task.folds == fold
    fit = SPARSE_SOLVERS[terms.trained_with]
    data = columns[part], task.y[part], task.weights[part], columns[held_out]
    return partial(_scores_of, fit, *data, terms.c, task.seed)


def _scores_of(
    fit: Callable[..., Weights], rows: Any, y: Ints, weights: Floats, held_out: Any, c: float, seed: int
) -> Scores:
    """Score held-out rows, shape (n_held_out, n_classes)."""
    coef, intercept = fit(rows, y, weights, c, seed=seed)
    return np.asarray(held_out @ coef + intercept, dtype=np.float32)


def training_jobs(task: Task, matrix: Any, dense: Half, terms: Terms) -> list[Job]:
    """Return what trains the dense and the sparse half on all rows of a task."""
    fit = SPARSE_SOLVERS[terms.trained_with]
    return [
        partial(task.solver(task.embeddings, loss=dense.trained_with, may_start=True), dense.c),
        partial(fit, matrix[:, : terms.n_columns], task.y, task.weights, terms.c, seed=task.seed),
    ]


def side_by_side(jobs: Sequence[Job], task: Task, matrix: Any) -> list[Any]:
    """Run jobs of the sparse half at the same time, in processes where those are worth their beginning."""
    return in_processes(jobs) if matrix.nnz * task.n_classes > _HEAVY else in_threads(jobs)


def _loss(candidate: Candidate) -> float:
    """Return the held-out log loss."""
    return candidate.entrant.loss
