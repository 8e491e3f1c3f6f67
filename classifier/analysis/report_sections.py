"""What stands in each part of a model's report, as HTML; nothing where a model lacks the facts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from classifier.analysis import report_figures as figures
from classifier.analysis.html import bounds, escaped, percent, prose, shortened, table
from classifier.analysis.label_words import is_labels_only, names_sentence, why_not_measured
from classifier.analysis.metric_names import METRICS, SHARES, majority_name
from classifier.analysis.report_words import (
    Facts,
    audit_counts,
    day_of,
    documents_of,
    headline,
    is_cross_validated,
    learning_sentence,
    limit_sentences,
    method_name,
    simpler_methods,
    targets_of,
    training_origin,
)
from classifier.datamodels import MULTI_LABEL

MOST_ROWS, FIRST_ROWS, MOST_PAIRS = 1000, 40, 12
_LONGEST_NAME = 60
_FEW_DOCUMENTS = 10
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_NO_COLOR = "#7a8190"


def data(facts: Facts) -> str:
    """Say what the model was made from, and what was noticed."""
    found, contract = facts.get("data") or {}, facts.get("contract") or {}
    weights, n_words = contract.get("weights_sha256"), facts.get("n_words")
    n_unlabelled = found.get("n_unlabelled")
    rows = [
        ("Trained", f"{day_of(facts)} by document-classifier {_version(facts)}"),
        ("Learned from", documents_of(facts).rstrip(",")),
        ("Without a label", f"{n_unlabelled:,} rows, left out" if n_unlabelled else ""),
        ("Its checksum", f"SHA-256 {found['sha256']}" if found.get("sha256") else ""),
        ("Encoder", _encoder(contract)),
        ("Its weights", f"SHA-256 {weights}" if weights else ""),
        ("Head", _head(facts)),
        ("Words it reads", f"{n_words:,}" if n_words else ""),
    ]
    terms = "".join(f"<dt>{term}</dt><dd>{escaped(value)}</dd>" for term, value in rows if value)
    names = names_sentence(facts)
    spoken = f'<p class="small">{escaped(names)}</p>' if names else ""
    noticed = _sentences(facts.get("warnings") or ())
    told = f'<p class="small">Noticed in the training documents:</p>{noticed}' if noticed else ""
    return f'<dl class="terms">{terms}</dl>{spoken}{told}'


def _head(facts: Facts) -> str:
    """Say what kind of head it is, and its numbers."""
    if is_labels_only(facts):
        return "the label whose name or description is most similar"
    numbers = (("inverse_regularisation", "C = {:g}"), ("temperature", "temperature {:.3f}"), ("seed", "seed {}"))
    told = [written.format(facts[name]) for name, written in numbers if facts.get(name) is not None]
    return ", ".join([str(facts["head"]), *told]) if facts.get("head") else ""


def _version(facts: Facts) -> str:
    """Return the version that trained a model."""
    return str((facts.get("libraries") or {}).get("document-classifier", "unknown"))


def _encoder(contract: Mapping[str, Any]) -> str:
    """Name the encoder."""
    if not contract:
        return ""
    parts = (
        ("dimension", "{} dimensions"),
        ("max_tokens", "windows of {} tokens, so that longer texts are read whole"),
    )
    told = [written.format(contract[name]) for name, written in parts if name in contract]
    return ", ".join([str(contract.get("model_id", "unnamed")), *told])


def race(facts: Facts) -> str:
    """Show what was tried for the head."""
    race = facts.get("race")
    if not race:
        return ""
    if isinstance(race, Mapping):
        return _first_race(facts)
    share, word = ("macro_f1", "best macro-F1") if facts.get("task") == MULTI_LABEL else ("accuracy", "accuracy")
    rows = [
        (
            escaped(one["features"]),
            escaped(one.get("trained_with", "") if one["c"] else "of each"),
            f"{one['c']:g}" if one["c"] else "of each",
            f"{one['loss']:.3f}",
            percent(one[share]),
            f"{one['n_documents']:,}",
            "★ yes" if one["chosen"] else "",
        )
        for one in race
    ]
    header = ("reads", "trained with", "C", "log loss", word, "on documents", "chosen")
    return table(header, rows, chosen=[bool(one["chosen"]) for one in race])


def _first_race(facts: Facts) -> str:
    """Show the losses that the first versions wrote, by C."""
    losses = sorted((float(c), loss) for c, loss in facts["race"].items())
    rows = [(f"C = {c:g}", f"{loss:.3f}") for c, loss in losses]
    return table(("candidate", "log loss"), rows, chosen=[c == facts.get("inverse_regularisation") for c, _ in losses])


def quality(facts: Facts) -> str:
    """Show the metrics, and bars beside those of simpler methods."""
    metrics = facts.get("metrics")
    if not metrics:
        return f'<p class="small">Not measured: {why_not_measured(facts)}.</p>'
    rows = [
        (f"{word}<small>{meaning}</small>", _value(metrics, name) + interval(metrics, name))
        for name, word, meaning in METRICS
        if metrics.get(name) is not None
    ]
    measured = f"Measured on {metrics['n_documents']:,} documents: " if metrics.get("n_documents") else "Measured on "
    told = f'<p class="small">{measured}{escaped(facts.get("measured_on", ""))}. {_caution(facts)}</p>'
    return f'{told}<div class="pair">{_bars(facts)}{table(("metric", "value"), rows, kind="words")}</div>'


def _caution(facts: Facts) -> str:
    """Warn where the bars were measured on different documents."""
    if is_cross_validated(facts) or not facts.get("baselines"):
        return ""
    return "The simpler methods were measured on held-out training documents instead: compare with care."


def _bars(facts: Facts) -> str:
    """Draw the model beside simpler methods."""
    metrics = facts["metrics"]
    name = headline(metrics)
    methods = [one for one in simpler_methods(facts) if headline(one) == name]
    bars = [figures.Bar(method_name(str(one["name"])), one[name], one.get(f"{name}_interval")) for one in methods]
    if not methods and metrics.get(f"majority_{name}") is not None:
        bars = [figures.Bar(majority_name(metrics), metrics[f"majority_{name}"], None)]
    if not name:
        return ""
    word = next(word for key, word, _ in METRICS if key == name)
    bars.append(figures.Bar("this model", metrics[name], metrics.get(f"{name}_interval"), is_own=True))
    return _figure(f"{word.capitalize()} beside simpler methods", figures.interval_bars(bars, word))


def labels(facts: Facts) -> str:
    """Show how each label fares, the weakest first."""
    per_class = (facts.get("metrics") or {}).get("per_class")
    if not per_class:
        return ""
    colors = _colors(facts)
    ranked = sorted(per_class.items(), key=lambda item: (item[1]["f1"], item[0]))
    header = ("label", "F1", "precision", "recall", "documents")
    rows = [
        (
            _named(label, colors),
            f"{scores['f1']:.2f}{_meter(scores['f1'], colors.get(label, _NO_COLOR))}",
            f"{scores['precision']:.2f}",
            f"{scores['recall']:.2f}",
            f"{scores['n_documents']:,}" + ("*" if scores["n_documents"] < _FEW_DOCUMENTS else ""),
        )
        for label, scores in ranked[:MOST_ROWS]
    ]
    few = any(scores["n_documents"] < _FEW_DOCUMENTS for scores in per_class.values())
    told = '<p class="small">* fewer than 10 documents: a coarse figure.</p>' if few else ""
    shown = told + table(header, rows[:FIRST_ROWS])
    if len(rows) > FIRST_ROWS:
        shown += f"<details><summary>{len(rows) - FIRST_ROWS:,} labels with a higher F1</summary>"
        shown += f"{table(header, rows[FIRST_ROWS:])}</details>"
    more = len(ranked) - len(rows)
    return shown + (f'<p class="small">{more:,} more labels fare better than these.</p>' if more else "")


def confusion(facts: Facts) -> str:
    """Show which labels are taken for which."""
    metrics = facts.get("metrics") or {}
    confusion, labels = metrics.get("confusion"), metrics.get("labels")
    if not labels or not (confusion or metrics.get("confused")):
        return ""
    colors = _colors(facts)
    pairs, n_true = _errors(metrics)
    worst = sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2]))[:MOST_PAIRS]
    rows = [
        (_named(labels[true], colors), _named(labels[given], colors), f"{n:,}", percent(n / n_true[true]))
        for n, true, given in worst
    ]
    told = f"{len(pairs):,} pairs of labels were confused" if pairs else "No label was taken for another"
    told += f"; the {len(rows)} most frequent:" if len(pairs) > len(rows) else ":" if pairs else "."
    listed = f'<p class="small">{told}</p>'
    if rows:
        listed += table(("true label", "taken for", "documents", "share"), rows, kind="pairs")
    if confusion is None or len(labels) > figures.MOST_LABELS:
        return listed
    aid = (
        '<p class="small">A row is a true label, a column the answer. Blue on the diagonal is right, orange beside it '
        "wrong; a deeper colour is a larger share of the row.</p>"
    )
    drawn = f'<div class="scroll">{figures.heat_map(labels, confusion, colors)}</div>'
    return aid + _figure("Confusion matrix, in documents", drawn) + listed


def _errors(metrics: Facts) -> tuple[list[tuple[int, int, int]], list[int]]:
    """Return number, row and column of each kind of error, and how many documents each label truly has."""
    n_true = [metrics.get("per_class", {}).get(label, {}).get("n_documents") or 1 for label in metrics["labels"]]
    if not metrics.get("confusion"):
        return [(n, true, given) for true, given, n in metrics["confused"]], n_true
    counts = np.array(metrics["confusion"], dtype=np.int64)
    n_true = counts.sum(axis=1).tolist()
    np.fill_diagonal(counts, 0)
    return [(int(counts[true, given]), int(true), int(given)) for true, given in np.argwhere(counts)], n_true


def confidence(facts: Facts) -> str:
    """Draw how often answers of each confidence were right."""
    metrics = facts.get("metrics") or {}
    if not metrics.get("reliability"):
        return ""
    bins = metrics["reliability"]
    rows = [(percent(one["mean_confidence"]), percent(one["accuracy"]), f"{one['n_documents']:,}") for one in bins]
    drawn = _figure("Share that was right against confidence", figures.reliability_diagram(bins))
    if facts.get("task") != MULTI_LABEL:
        return f'<div class="pair">{drawn}{table(("mean confidence", "right", "documents"), rows)}</div>'
    told = (
        '<p class="small">Here an answer is about one label of one document: how probable the label is, and whether '
        "the document has it.</p>"
    )
    return f'{told}<div class="pair">{drawn}{table(("mean probability", "has it", "labels of documents"), rows)}</div>'


def review(facts: Facts) -> str:
    """Show what a person has to read for answers to be right more often."""
    found = facts.get("review")
    if not found:
        return ""
    costs = found["costs"]
    aims = [f"{100 * aim:.0f}\u00a0%" if aim else "" for aim in targets_of(costs)]
    rows, marks = [], {}
    for aim, one in zip(aims, costs, strict=True):
        right = one["accuracy_answered"]
        if right is None:
            rows.append((aim, "", "everything", "not reached"))
            continue
        rows.append((aim, f"{one['threshold']:.2f}", percent(one["review_fraction"]), percent(right)))
        marks[1 - one["review_fraction"], right] = aim or f"{one['threshold']:.2f}"
    header = ("wanted", "confidence from", "a person reads", "rest right")
    points = [(coverage, right, name) for (coverage, right), name in marks.items()]
    drawn = _figure("Right answers against answered documents", figures.coverage_curve(found["curve"], points))
    told = (
        '<p class="small">Thresholds were chosen on the documents they are measured on, which flatters them a little: '
        "aim somewhat higher than you need. <code>classifier predict --target-accuracy</code> applies them.</p>"
    )
    return f'{_origin(facts)}<div class="pair">{drawn}<div>{table(header, rows)}{told}</div></div>'


def learning(facts: Facts) -> str:
    """Draw what fewer documents gave, and what twice as many may give."""
    curve = facts.get("learning_curve")
    if not curve:
        return ""
    estimate = facts.get("learning_curve_estimate")
    rows = [(f"{one['n_documents']:,}", percent(one["accuracy"]), _range(one)) for one in curve]
    rows += [(f"{estimate['n_documents']:,}", f"≈ {percent(estimate['accuracy'])}", "an estimate")] if estimate else []
    told = learning_sentence(facts)
    drawn = _figure("Accuracy against training documents", figures.learning_curve(curve, estimate))
    listed = table(("documents", "accuracy", "95 % interval"), rows)
    return f'<div class="pair">{drawn}<div>{listed}<p class="small">{prose(told)}</p></div></div>'


def sets(facts: Facts) -> str:
    """Show how large sets of labels are that hold the true one often enough."""
    rows = [
        (
            percent(one["confidence_level"]),
            percent(one["coverage"]),
            f"{one['mean_size']:.2f}",
            percent(one["empty_fraction"]),
            f"{one['n_documents']:,}",
        )
        for one in facts.get("sets") or ()
    ]
    header = ("asked for", "held the true label", "labels in a set", "empty sets", "documents")
    return _origin(facts) + table(header, rows) if rows else ""


def _origin(facts: Facts) -> str:
    """Say where figures come from that stand beside those of a test file."""
    origin = training_origin(facts)
    return f'<p class="small">Measured {origin}, not on the test file.</p>' if origin else ""


def audit(facts: Facts) -> str:
    """Count the training documents that deserve a look, and name labels that overlap."""
    found = facts.get("audit")
    if not found:
        return ""
    counts = [(what, f"{count:,}") for what, count in audit_counts(facts)]
    if found.get("estimated_error_fraction") is not None:
        counts.append(("wrong labels among all, estimated", percent(found["estimated_error_fraction"])))
    shown = table(("found", "documents"), counts)
    colors = _colors(facts)
    overlaps = [
        (_named(one["label"], colors), _named(one["other"], colors), f"{one['n_confused']:,}", percent(one["share"]))
        for one in found.get("overlaps", ())[:MOST_PAIRS]
    ]
    if overlaps:
        told = '<p class="small">Labels that are hard to tell apart: decide where one ends, or make them one.</p>'
        shown = f'<div class="pair"><div>{shown}</div><div>{told}'
        header = ("label", "and", "confused", "share")
        shown += f"{table(header, overlaps, kind='pairs')}</div></div>"
    return shown


def limits(facts: Facts) -> str:
    """List where the model must not be trusted."""
    return _sentences(limit_sentences(facts))


def interval(metrics: Mapping[str, Any], name: str) -> str:
    """Write the interval of a metric to stand behind it, where it has one."""
    return f' <span class="note">({_range(metrics, name)})</span>' if metrics.get(f"{name}_interval") else ""


def _value(metrics: Mapping[str, Any], name: str) -> str:
    """Write a metric."""
    return percent(metrics[name]) if name in SHARES else f"{metrics[name]:.3f}"


def _range(metrics: Mapping[str, Any], name: str = "accuracy") -> str:
    """Write an interval alone."""
    found = metrics.get(f"{name}_interval")
    return bounds(found) if found else ""


def _figure(title: str, drawn: str) -> str:
    """Give a drawing its title."""
    return f"<figure><figcaption>{title}</figcaption>{drawn}</figure>"


def _sentences(found: Iterable[str]) -> str:
    """List sentences; nothing where there are none."""
    items = "".join(f"<li>{prose(sentence)}</li>" for sentence in found)
    return f'<ul class="sentences">{items}</ul>' if items else ""


def _colors(facts: Facts) -> dict[str, str]:
    """Return the colour of each label; none for what is no colour."""
    stored = ((str(label["name"]), str(label.get("color"))) for label in facts.get("labels") or ())
    return {name: color for name, color in stored if _COLOR.fullmatch(color)}


def _named(label: str, colors: Mapping[str, str]) -> str:
    """Write a label behind a dot of its colour."""
    style = f"--label: {colors.get(label, _NO_COLOR)}"
    name = escaped(shortened(label, _LONGEST_NAME)).replace("_", "_<wbr>")
    return f'<span class="label"><i class="dot" style="{style}"></i><bdi>{name}</bdi></span>'


def _meter(share: float, color: str) -> str:
    """Draw a share as a bar; the number beside it says the same."""
    width = 100 * min(max(share, 0.0), 1.0)
    return f'<span class="meter" aria-hidden="true"><i style="--label: {color}; width: {width:.0f}%"></i></span>'
