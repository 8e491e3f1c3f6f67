"""What training learns about a multi-label model beside the model: how good its sets of labels are, and an audit."""

from __future__ import annotations

from typing import Any

import numpy as np

from classifier.analysis.intervals import wilson_interval
from classifier.analysis.label_audit import audit_label_sets
from classifier.analysis.label_scales import Bools, fit_label_scales
from classifier.analysis.metric_names import MAJORITY_SET
from classifier.analysis.multilabel import evaluate_multi_label, macro_f1, micro_f1
from classifier.datamodels import MULTI_LABEL
from classifier.embedding.contract import Embeddings
from classifier.modeling.findings import Findings, common_facts
from classifier.modeling.folds import ALWAYS_IN_TRAINING
from classifier.modeling.held_out import HeldOut
from classifier.modeling.label_sets import LabelRule, all_right_log_odds, split_labels
from classifier.modeling.multi_label import MultiLabelFit
from classifier.modeling.training_data import TrainingData


def label_rule(fitted: MultiLabelFit, y: Bools) -> LabelRule:
    """Take the thresholds of a head, and learn from held-out documents how sure a set of labels is."""
    measured = fitted.folds != ALWAYS_IN_TRAINING
    if not measured.any():
        return LabelRule(fitted.thresholds)
    proba, decisions = fitted.held_out_proba[measured], fitted.held_out_decisions[measured]
    log_odds = all_right_log_odds(proba, decisions)[:, None]
    scales = fit_label_scales([log_odds], (decisions == y[measured]).all(axis=1, keepdims=True))
    return LabelRule(fitted.thresholds, float(scales.factors[0, 0]), float(scales.offsets[0]))


def label_findings(
    data: TrainingData, embeddings: Embeddings, fitted: MultiLabelFit, rule: LabelRule, *, seed: int
) -> Findings:
    """Sum up what held-out documents say about a head that gives each document any number of labels."""
    y, proba, decisions = data.label_matrix, fitted.held_out_proba, fitted.held_out_decisions
    measured = fitted.folds != ALWAYS_IN_TRAINING
    audited = audit_label_sets(data.texts, data.labels, data.classes, embeddings, proba, measured, y, ids=data.ids)
    majority = np.isin(data.classes, split_labels(data.majority))
    evaluation = None
    if measured.any():
        evaluation = evaluate_multi_label(
            proba[measured],
            decisions[measured],
            data.classes,
            y[measured],
            majority=majority,
            n_distinct=len(np.unique(data.groups[measured])),
            seed=seed,
        )
    held_out = HeldOut.of_sets(rule.confidence_of(proba, decisions), decisions, y, measured)
    facts = {
        **common_facts(data, fitted, audited, evaluation, held_out),
        "task": MULTI_LABEL,
        "label_rule": rule.to_dict(),
        "scope": None,
        "baselines": _baseline_scores(fitted, y[measured], majority, measured) if measured.any() else [],
    }
    return Findings(evaluation, audited, held_out, facts)


def _baseline_scores(fitted: MultiLabelFit, y: Bools, majority: Bools, measured: Bools) -> list[dict[str, Any]]:
    """Measure what simpler models would have answered to the same held-out documents."""
    answers = {MAJORITY_SET: np.broadcast_to(majority, y.shape)}
    answers |= {name: decisions[measured] for name, decisions in fitted.baselines.items()}
    return [_scored(name, decisions, y) for name, decisions in answers.items()]


def _scored(name: str, decisions: Bools, y: Bools) -> dict[str, Any]:
    """Score the answers of one model."""
    n_exact = int((decisions == y).all(axis=1).sum())
    return {
        "name": name,
        "n_documents": len(y),
        "exact_match": n_exact / len(y),
        "exact_match_interval": list(wilson_interval(n_exact, len(y))),
        "micro_f1": micro_f1(decisions, y),
        "macro_f1": macro_f1(decisions, y),
    }
