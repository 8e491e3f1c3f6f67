"""What the stored facts of a model say, in plain sentences; the report's page and the model card share them.

Sentences hold the strings of users as they are: who shows them makes them safe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from classifier.analysis.abstention import TARGETS
from classifier.analysis.html import bounds
from classifier.analysis.label_words import is_labels_only, why_not_measured
from classifier.analysis.metric_names import majority_name
from classifier.datamodels import MULTI_LABEL
from classifier.errors import excerpt, listing

Facts = Mapping[str, Any]

RECORDED = {
    "race": "race for the head",
    "metrics": "quality",
    "baselines": "simpler methods",
    "review": "cost of review",
    "learning_curve": "learning curve",
    "sets": "sets of labels",
    "audit": "audit of the training documents",
}
_OF_ONE_LABEL = frozenset({"learning_curve", "sets"})
_ALONE = {"embedding": "the embedding alone", "words": "the words alone"}
_WEAK_F1 = 0.5
_LARGE_ECE = 0.05
_SMALL_GAIN = 0.01
_ENOUGH_IN_A_BIN = 20
_SMALL_LEANING = 0.005
_MUCH_TO_READ = 0.4


def percent(share: float) -> str:
    """Write a share as a percentage, in plain characters."""
    return f"{100 * share:.1f} %"


def label_names(facts: Facts) -> list[str]:
    """Return the labels in the model's order; where they are not stored, those that were measured."""
    stored = [str(label["name"]) for label in facts.get("labels") or ()]
    return stored or list((facts.get("metrics") or {}).get("per_class", ()))


def not_shown(facts: Facts) -> tuple[list[str], list[str]]:
    """Return what the version that trained a model did not record, and what it could not measure."""
    meant = RECORDED if facts.get("task") != MULTI_LABEL else RECORDED.keys() - _OF_ONE_LABEL
    absent = [what for name, what in RECORDED.items() if name in meant and name not in facts]
    empty = [what for name, what in RECORDED.items() if name in meant and name in facts and not facts[name]]
    return absent, empty


def summary_sentences(title: str, facts: Facts) -> tuple[str, ...]:
    """Say in three sentences what a model does, how good it is, and what reading unsure answers costs."""
    return (_purpose(title, facts), _quality(facts), _review(facts))


def day_of(facts: Facts) -> str:
    """Write the day on which a model was trained."""
    if not facts.get("created"):
        return "an unknown day"
    created = datetime.fromisoformat(facts["created"])
    return f"{created.day} {created:%B %Y}"


def source_of(facts: Facts) -> str:
    """Name the training file, where there was one."""
    name = (facts.get("data") or {}).get("file")
    return f"of {name}" if name else "given from Python"


def documents_of(facts: Facts) -> str:
    """Say how many documents a model was trained on, and where they came from."""
    if is_labels_only(facts):
        return f"the names of labels {source_of(facts)} alone, without any document,"
    n_documents = (facts.get("data") or {}).get("n_documents")
    return f"documents {source_of(facts)}" if n_documents is None else f"{n_documents:,} documents {source_of(facts)}"


def method_name(name: str) -> str:
    """Say in words what a simpler method is.

    Examples
    --------
    >>> method_name("words")
    'the words alone'
    """
    return _ALONE.get(name, name)


def simpler_methods(facts: Facts) -> list[Mapping[str, Any]]:
    """Return the baselines that are not the model itself, the worst first."""
    itself = "embedding" if facts.get("head") == "logistic" else ""
    found = [one for one in facts.get("baselines") or () if one["name"] != itself and headline(one)]
    return sorted(found, key=_headline_value)


def is_of_test_file(facts: Facts) -> bool:
    """Tell whether the metrics are of a test file."""
    return str(facts.get("measured_on", "")).startswith("the test file ")


def is_cross_validated(facts: Facts) -> bool:
    """Tell whether the metrics are of held-out training documents, as the baselines are."""
    return bool(facts.get("measured_on")) and not is_of_test_file(facts)


def training_origin(facts: Facts) -> str:
    """Say where figures come from that are never of a test file; empty where the metrics are not of one either."""
    return "by cross-validation of the training documents" if is_of_test_file(facts) else ""


def headline(metrics: Mapping[str, Any]) -> str:
    """Name the metric that a model is first judged by; empty where it has none."""
    return next((name for name in ("accuracy", "exact_match", "micro_f1") if metrics.get(name) is not None), "")


def with_interval(metrics: Mapping[str, Any], name: str) -> str:
    """Write a share with its 95 % interval, where it has one."""
    interval = metrics.get(f"{name}_interval")
    return percent(metrics[name]) + (f" (95 % interval {bounds(interval)})" if interval else "")


def targets_of(costs: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """Return the share of right answers that each row of review costs aims at, where that is known."""
    return list(TARGETS) if len(costs) == len(TARGETS) else [None] * len(costs)


def learning_sentence(facts: Facts) -> str:
    """Say what twice the documents would give; empty where that was not estimated."""
    curve, estimate = facts.get("learning_curve"), facts.get("learning_curve_estimate")
    if not curve or not estimate:
        return ""
    gain = estimate["accuracy"] - curve[-1]["accuracy"]
    told = f"With {estimate['n_documents']:,} documents, about {percent(estimate['accuracy'])} are expected to be right"
    if gain < _SMALL_GAIN:
        return f"{told}: more documents like these would change little, clearer labels may."
    return f"{told}, {100 * gain:.1f} points more than with {curve[-1]['n_documents']:,}: more documents are worth it."


def reliability_sentences(facts: Facts) -> tuple[str, ...]:
    """Say in words what the reliability diagram shows: of answers of some confidence, how many were right.

    Examples
    --------
    >>> bins = [{"n_documents": 200, "mean_confidence": 0.9, "accuracy": 0.88}]
    >>> reliability_sentences({"metrics": {"ece": 0.02, "reliability": bins}})[0]
    'Of the 200 answers that it was about 90 % sure of, 88.0 % were right.'
    """
    metrics = facts.get("metrics") or {}
    found = metrics.get("reliability") or ()
    enough = [one for one in found if one["n_documents"] >= _ENOUGH_IN_A_BIN]
    if not enough:
        return ()
    is_set = facts.get("task") == MULTI_LABEL
    what, right = ("labels of documents", "belonged there") if is_set else ("answers", "were right")
    told = [
        f"Of the {one['n_documents']:,} {what} that it was about {100 * one['mean_confidence']:.0f} % sure of, "
        f"{percent(one['accuracy'])} {right}."
        for one in (enough[-1], *enough[len(enough) // 2 : -1][:1])
    ]
    n_all = sum(one["n_documents"] for one in found)
    above = sum(one["n_documents"] * (one["accuracy"] - one["mean_confidence"]) for one in found) / n_all
    tendency = "too modest" if above > 0 else "too sure"
    ece = metrics.get("ece")
    if ece is not None:
        leaning = f", mostly {tendency}" if abs(above) > max(_SMALL_LEANING, ece / 2) else ""
        told.append(f"On average its confidence is {100 * ece:.1f} points off{leaning}.")
    return tuple(told)


def audit_counts(facts: Facts) -> list[tuple[str, int]]:
    """Count what deserves a look among the training documents."""
    audit = facts.get("audit") or {}
    names = (
        ("n_conflicting_documents", "equal texts with different labels"),
        ("n_suspected", "labels that are probably wrong"),
        ("n_repeated", "repeats of an earlier document"),
        ("n_near_duplicates", "texts nearly equal to another"),
    )
    counts = [(what, audit[name]) for name, what in names if name in audit]
    n_doubtful = audit.get("n_issues", {}).get("doubtful")
    return counts + ([("labels that another one is a little more probable than", n_doubtful)] if n_doubtful else [])


def limit_sentences(facts: Facts) -> tuple[str, ...]:
    """Say where a model must not be trusted."""
    return tuple(_limits(facts))


def _purpose(title: str, facts: Facts) -> str:
    """Say what a model does and what it learned from."""
    labels = label_names(facts)
    gives = "any number" if facts.get("task") == MULTI_LABEL else "one"
    return (
        f"{title} gives each document {gives} of {len(labels):,} labels ({listing(labels, 5)}); it learned them from "
        f"{documents_of(facts)} on {day_of(facts)}."
    )


def _quality(facts: Facts) -> str:
    """Say how good a model is, beside the baselines."""
    metrics = facts.get("metrics")
    name = headline(metrics or {})
    if not metrics or not name:
        return f"How good it is was not measured: {why_not_measured(facts)}."
    told = {
        "accuracy": "Of documents that it had not seen, it labels {} rightly",
        "exact_match": "Of documents that it had not seen, it gives {} exactly their labels",
        "micro_f1": "On documents that it had not seen, it reaches a micro-F1 of {}",
    }[name].format(with_interval(metrics, name))
    told += _leak(facts, name)
    majority = metrics.get(f"majority_{name}")
    compared = [] if majority is None else [f"{majority_name(metrics)} would be right in {percent(majority)}"]
    best = simpler_methods(facts)[-1:] if is_cross_validated(facts) else []
    if best and headline(best[0]) == name and best[0][name] != majority:
        low, high = metrics.get(f"{name}_interval") or (2.0, 2.0)
        within = low <= best[0][name] <= high
        compared.append(
            f"the best simpler method, {method_name(best[0]['name'])}, reaches {percent(best[0][name])}"
            + (", which lies within that interval" if within else "")
        )
    return "; ".join([told, " and ".join(compared)] if compared else [told]) + "."


def _leak(facts: Facts, name: str) -> str:
    """Say how many of the documents it had seen after all, and how good it is without them."""
    if not facts.get("n_leaked"):
        return ""
    without = facts.get("metrics_without_leaked")
    rest = f"; {percent(without[name])} without these" if without else ""
    return f" (but {facts['n_leaked']:,} of them are, or nearly are, training documents{rest})"


def _review(facts: Facts) -> str:
    """Say what it costs to have a person read what is unsure."""
    if not facts.get("review"):
        return "What it costs to have a person read the unsure answers was not measured."
    told, origin = _cost(facts["review"]["costs"]), training_origin(facts)
    return f"{origin.capitalize()}, {told[0].lower()}{told[1:]}" if origin else told


def _cost(costs: Sequence[Mapping[str, Any]]) -> str:
    """Say what a person has to read, from the rows of review costs."""
    reached = [one for one in zip(costs, targets_of(costs), strict=True) if one[0]["accuracy_answered"] is not None]
    if not reached:
        return "No confidence was high enough to promise anything: let a person read whatever matters."
    read = [row for row, _ in reached if row["review_fraction"] > 0]
    if not read:
        more = "." if len(reached) == len(costs) else "; more was not reached, however much a person reads."
        return f"Nobody has to read anything for {_aimed(*reached[-1])} right answers{more}"
    row = next((row for row in reversed(read) if row["review_fraction"] <= _MUCH_TO_READ), read[0])
    return (
        f"When a person reads the {percent(row['review_fraction'])} that it is least sure of, "
        f"{percent(row['accuracy_answered'])} of its other answers are right."
    )


def _aimed(row: Mapping[str, Any], aim: float | None) -> str:
    """Write a target."""
    return f"{100 * (row['accuracy_answered'] if aim is None else aim):.0f} %"


def _limits(facts: Facts) -> Iterator[str]:
    """Yield first what holds for every model, then what is this one's own."""
    yield "Do not use it alone for decisions about people, or where one wrong answer does harm: a person decides there."
    if is_labels_only(facts):
        yield "Its confidence is not calibrated: there was no document to learn from how often it is right."
    else:
        yield (
            "A confidence is a calibrated probability for texts like the training documents; it says nothing of others."
        )
    if facts.get("task") == MULTI_LABEL:
        yield "A text that fits no label gets none; whether it resembles the training documents at all is not judged."
    elif facts.get("scope") is None:
        yield "It always answers with its own labels, also where none fits: read what is unsure."
    else:
        yield (
            "A text that resembles no training document is marked out-of-scope; so are about 2 in 100 that do belong, "
            "and not every foreign one is noticed."
        )
    yield "Words written only with characters that the encoder does not know are not seen; the used share says so."
    yield from _own_limits(facts)


def _own_limits(facts: Facts) -> Iterator[str]:
    """Yield what is weak in this model."""
    metrics, small = facts.get("metrics") or {}, (facts.get("audit") or {}).get("small_labels")
    if not metrics:
        yield "Its quality is unknown: try it on labelled documents that it has not seen before you rely on it."
    weak = [label for label, scores in metrics.get("per_class", {}).items() if scores["f1"] < _WEAK_F1]
    if weak:
        yield f"It is weak at {listing(sorted(weak), 5)} (F1 below {_WEAK_F1}): read these, or give it more examples."
    if small:
        few = ", ".join(f"{excerpt(label)} ({count:,})" for label, count in list(small.items())[:5])
        more = f" and {len(small) - 5:,} more" if len(small) > 5 else ""
        yield f"Some labels have so few documents that their figures are coarse: {few}{more}."
    if metrics.get("ece", 0.0) > _LARGE_ECE:
        yield f"Its confidence is {100 * metrics['ece']:.1f} points off on average: choose thresholds with a margin."
    if metrics.get("unknown_labels"):
        unknown = listing(metrics["unknown_labels"], 5)
        yield f"It was tested on labels that it does not have, whose documents count as wrong: {unknown}."


def _headline_value(metrics: Mapping[str, Any]) -> float:
    """Return the value of the metric that a method is first judged by."""
    return float(metrics[headline(metrics)])
