"""What training learns about a model beside the model: how good it is, baselines, what review costs, an audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from classifier.analysis.abstention import cost_table, risk_coverage
from classifier.analysis.agreement import agreement_curve
from classifier.analysis.audit import audit
from classifier.analysis.confidence import Floats, Ints
from classifier.analysis.conformal import conformal_thresholds, nonconformity, prediction_sets, set_summary
from classifier.analysis.evaluation import Evaluation, evaluate, score_answers
from classifier.analysis.intervals import wilson_interval
from classifier.analysis.issues import Audit
from classifier.analysis.metric_names import MAJORITY
from classifier.analysis.multilabel import MultiLabelEvaluation
from classifier.analysis.scope import ScopeRule, fit_scope, leave_out_similarity
from classifier.datamodels import SINGLE_LABEL
from classifier.embedding.contract import Embeddings
from classifier.modeling.choices import LEXICAL
from classifier.modeling.folds import ALWAYS_IN_TRAINING
from classifier.modeling.held_out import HeldOut
from classifier.modeling.learning_curve import twice_the_data
from classifier.modeling.multi_label import MultiLabelFit
from classifier.modeling.race import HeadFit
from classifier.modeling.training_data import TrainingData

NEAREST = "five nearest documents"
CONFIDENCE_LEVELS = (0.9, 0.95)
MOST_QUERIES = 2000
N_NEIGHBORS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """What is known about a model after training.

    Attributes
    ----------
    evaluation : Evaluation, MultiLabelEvaluation or None
        On held-out training documents; None where nothing could be held out.
    audit : Audit
        What deserves a look among them.
    held_out : HeldOut
        How each of them fared.
    facts : dict of str to object
        What is stored of it with the model; JSON values only.
    """

    evaluation: Evaluation | MultiLabelEvaluation | None
    audit: Audit
    held_out: HeldOut
    facts: dict[str, Any]


def findings(data: TrainingData, embeddings: Embeddings, fitted: HeadFit, *, seed: int) -> Findings:
    """Sum up what held-out documents say about a head that gives each document one label."""
    y, proba = data.y, fitted.held_out_proba
    measured = fitted.folds != ALWAYS_IN_TRAINING
    audited = audit(data.texts, data.labels, data.classes, embeddings, proba, measured, ids=data.ids)
    similarity = leave_out_similarity(embeddings, np.where(measured, fitted.folds, -1))
    scope = fit_scope(fitted.held_out_evidence, similarity)
    evaluation = None
    if measured.any():
        labels = [data.labels[row] for row in np.flatnonzero(measured)]
        evaluation = evaluate(
            proba[measured],
            data.classes,
            labels,
            majority=data.majority,
            n_distinct=len(np.unique(data.groups[measured])),
            seed=seed,
        )
    held_out = HeldOut.of(proba, y, measured)
    facts = {
        **common_facts(data, fitted, audited, evaluation, held_out),
        "task": SINGLE_LABEL,
        "scope": scope and asdict(scope),
        "cascade": cascade_facts(fitted, scope, similarity),
        "baselines": baseline_scores(fitted.baselines, embeddings, y, fitted.folds, seed=seed),
        "learning_curve": [asdict(point) for point in fitted.learning_curve],
        "learning_curve_estimate": twice_the_data(fitted.learning_curve),
        "sets": set_facts(proba, y, fitted.folds),
    }
    return Findings(evaluation, audited, held_out, facts)


def common_facts(
    data: TrainingData,
    fitted: HeadFit | MultiLabelFit,
    audited: Audit,
    evaluation: Evaluation | MultiLabelEvaluation | None,
    held_out: HeldOut,
) -> dict[str, Any]:
    """Return the facts that all models have."""
    return {
        "data": {"n_documents": len(data.texts), "file": "", "sha256": ""},
        "race": [asdict(entrant) for entrant in fitted.race],
        "inverse_regularisation": fitted.inverse_regularisation,
        "audit": audited.summary(),
        "review": review_facts(held_out),
        "measured_on": f"{fitted.n_folds}-fold cross-validation of the training documents",
        "metrics": None if evaluation is None else evaluation.to_dict(),
    }


def baseline_scores(
    proba_of: Mapping[str, Floats], embeddings: Embeddings, y: Ints, folds: Ints, *, seed: int = 0
) -> list[dict[str, Any]]:
    """Measure what simpler models would have answered to the same held-out documents.

    Parameters
    ----------
    proba_of : mapping of str to ndarray
        Held-out probabilities of each simpler model, shape (n_documents, n_classes).
    embeddings : ndarray of float32, shape (n_documents, n_dims)
    y : ndarray of int, shape (n_documents,)
    folds : ndarray of int, shape (n_documents,)
        Fold of each document; -1 where it was never held out.
    seed : int, default=0
        Decides which documents are asked for their neighbours, where there are many.

    Returns
    -------
    list of dict
        ``name``, ``n_documents``, ``accuracy``, ``accuracy_interval`` and ``macro_f1`` of each.
    """
    held_out = np.flatnonzero(folds >= 0)
    if not len(held_out):
        return []
    n_classes = int(y.max()) + 1
    found = [_scored(MAJORITY, np.full(len(held_out), np.bincount(y).argmax()), y[held_out], n_classes)]
    queries = held_out
    if len(held_out) > MOST_QUERIES:
        queries = np.sort(np.random.default_rng(seed).choice(held_out, MOST_QUERIES, replace=False))
    found.append(_scored(NEAREST, _nearest_answers(embeddings, y, folds, queries), y[queries], n_classes))
    return found + [
        _scored(name, proba[held_out].argmax(axis=1), y[held_out], n_classes) for name, proba in proba_of.items()
    ]


def review_facts(held_out: HeldOut) -> dict[str, Any] | None:
    """Return what it costs to be right more often, and the curve behind it; None where nothing was held out."""
    measured = held_out.measured
    if not measured.any():
        return None
    confidence, correct = held_out.confidence[measured].astype(np.float64), held_out.correct[measured] == 1
    return {
        "costs": [asdict(cost) for cost in cost_table(confidence, correct)],
        "curve": risk_coverage(confidence, correct).points(),
    }


def set_facts(proba: Floats, y: Ints, folds: Ints) -> list[dict[str, Any]]:
    """Measure conformal sets, the thresholds of each fold coming from the other folds."""
    measured = folds >= 0
    if len(np.unique(folds[measured])) < 2:
        return []
    found = []
    for level in CONFIDENCE_LEVELS:
        sets = np.zeros(proba.shape, dtype=np.bool_)
        for fold in np.unique(folds[measured]):
            own, others = folds == fold, measured & (folds != fold)
            scores = nonconformity(proba[others], y[others])
            thresholds = conformal_thresholds(scores, y[others], proba.shape[1], level, per_class=False)
            sets[own] = prediction_sets(proba[own], thresholds)
        found.append({"confidence_level": level, **asdict(set_summary(sets[measured], y[measured]))})
    return found


def cascade_facts(fitted: HeadFit, scope: ScopeRule | None, similarity: Floats) -> dict[str, Any] | None:
    """Measure how often the words alone answer as the whole head does; None where there are none."""
    proba = fitted.baselines.get(LEXICAL)
    rows = fitted.folds != ALWAYS_IN_TRAINING
    if scope is not None:  # of many documents, similarities are known of some
        rows &= np.isfinite(similarity)
    if proba is None or fitted.words_scale is None or not rows.any():
        return None
    is_foreign = np.zeros(int(rows.sum()), dtype=np.bool_)
    if scope is not None:
        is_foreign = scope.scores(fitted.held_out_evidence[rows], similarity[rows]) < scope.limit
    answers = fitted.held_out_proba[rows].argmax(axis=1)
    curve = agreement_curve(proba[rows], answers, is_foreign, scale=fitted.words_scale)
    return None if curve is None else curve.to_dict()


def _scored(name: str, answers: Ints, y: Ints, n_classes: int) -> dict[str, Any]:
    """Score the answers of one model."""
    accuracy, macro_f1 = score_answers(answers, y, n_classes)
    interval = wilson_interval(int((answers == y).sum()), len(y))
    return {
        "name": name,
        "n_documents": len(y),
        "accuracy": accuracy,
        "accuracy_interval": list(interval),
        "macro_f1": macro_f1,
    }


def _nearest_answers(embeddings: Embeddings, y: Ints, folds: Ints, queries: Ints) -> Ints:
    """Let the nearest documents of other folds vote, each with its similarity."""
    answers = np.zeros(len(queries), dtype=np.intp)
    for fold in np.unique(folds[queries]):
        asked = np.flatnonzero(folds[queries] == fold)
        known = np.flatnonzero(folds != fold)
        similarities = embeddings[queries[asked]] @ embeddings[known].T
        k = min(N_NEIGHBORS, len(known))
        nearest = np.argpartition(-similarities, k - 1, axis=1)[:, :k]
        votes = np.zeros((len(asked), int(y.max()) + 1))
        rows = np.repeat(np.arange(len(asked)), k)
        np.add.at(votes, (rows, y[known[nearest]].ravel()), np.take_along_axis(similarities, nearest, axis=1).ravel())
        answers[asked] = votes.argmax(axis=1)
    return answers
