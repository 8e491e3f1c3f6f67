"""The model card: what a model is, how good it is and where it must not be trusted, in Markdown; a report in short."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from classifier.analysis.label_words import is_labels_only, names_sentence, why_not_measured
from classifier.analysis.metric_names import METRICS, majority_name
from classifier.analysis.report_words import (
    Facts,
    audit_counts,
    headline,
    is_cross_validated,
    learning_sentence,
    limit_sentences,
    method_name,
    percent,
    simpler_methods,
    source_of,
    summary_sentences,
    targets_of,
    training_origin,
)

_SHOWN_LABELS = 200
_JOINERS = "\u200c\u200d"


def render_card(title: str, facts: Facts) -> str:
    """Write the card of a model.

    Parameters
    ----------
    title : str
        What the model is called.
    facts : mapping
        The facts of its bundle.

    Returns
    -------
    str
        Markdown.
    """
    contract, data = facts["contract"], facts["data"]
    source = f"{' ' if data['file'] else ', '}{source_of(facts)}"
    if is_labels_only(facts):
        source = f", only labels {source_of(facts)}"
    checksum = f", SHA-256 `{_plain(data['sha256'])[:16]}…`" if data["sha256"] else ""
    version = _plain(facts["libraries"]["document-classifier"])
    lines = [
        f"# Model card: {_plain(title)}",
        *_paragraphs(summary_sentences(title, facts)),
        "",
        f"- Trained: {_plain(facts['created'])} by document-classifier {version}",
        "- Data: " + _plain(f"{data['n_documents']:,} documents{source}") + checksum,
        (
            f"- Encoder: {_plain(contract['model_id'])}, {_plain(contract['dimension'])} dimensions, window "
            f"{_plain(contract['max_tokens'])} tokens; longer texts are read whole, window by window"
        ),
        f"- Head: {_head(facts)}",
        *([f"- Names of labels: {_plain(names_sentence(facts))}"] if names_sentence(facts) else []),
        "",
        *_metric_lines(facts),
        *_method_lines(facts),
        *_review_lines(facts),
        *_more_lines(facts),
        "## Before you rely on it",
        "",
        *[f"- {_plain(sentence)}" for sentence in limit_sentences(facts)],
        *[f"- Noticed in the training data: {_plain(warning)}" for warning in facts["warnings"]],
        "",
    ]
    return "\n".join(lines)


def _paragraphs(sentences: Iterable[str]) -> Iterator[str]:
    """Set sentences apart."""
    for sentence in sentences:
        yield from ("", _plain(sentence))


def _head(facts: Facts) -> str:
    """Say what kind of head it is."""
    if is_labels_only(facts):
        return "the label whose name or description is most similar"
    numbers = f"C = {facts['inverse_regularisation']:g}, temperature {facts['temperature']:.3f}"
    return f"{_plain(facts['head'])}, {numbers}"


def _metric_lines(facts: Facts) -> list[str]:
    """Return the section on quality."""
    metrics, measured_on = facts.get("metrics"), facts.get("measured_on", "")
    if metrics is None:
        return ["## Quality", "", f"Not measured: {why_not_measured(facts)}.", ""]
    shown = [(name, word) for name, word, _ in METRICS if metrics.get(name) is not None]
    majority = [metrics.get(f"majority_{name}") for name, _ in shown]
    measured = f"{metrics['n_documents']:,} documents: " if "n_documents" in metrics else ""
    return [
        "## Quality",
        "",
        f"Measured on {measured}{_plain(measured_on)}.",
        "",
        *_table(
            ("metric", "value (95 % interval)", majority_name(metrics)),
            [
                (word, _with_interval(metrics, name), "" if baseline is None else f"{baseline:.3f}")
                for (name, word), baseline in zip(shown, majority, strict=True)
            ],
        ),
        *_class_lines(metrics.get("per_class") or {}),
    ]


def _class_lines(per_class: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the labels, the weakest first."""
    ranked = sorted(per_class.items(), key=lambda item: (item[1]["f1"], item[0]))
    more = len(ranked) - _SHOWN_LABELS
    rows = [
        (
            _plain(label),
            f"{scores['n_documents']:,}",
            *(f"{scores[name]:.2f}" for name in ("precision", "recall", "f1")),
        )
        for label, scores in ranked[:_SHOWN_LABELS]
    ]
    if more > 0:
        rows.append((f"… and {more} more", "", "", "", ""))
    return _table(("label", "documents", "precision", "recall", "F1"), rows) if rows else []


def _method_lines(facts: Facts) -> list[str]:
    """Return what simpler methods reach."""
    name = headline(facts.get("metrics") or {})
    rows = [
        (_plain(method_name(str(one["name"]))), _with_interval(one, name), f"{one['n_documents']:,}")
        for one in simpler_methods(facts)
        if headline(one) == name
    ]
    if not rows:
        return []
    where = "" if is_cross_validated(facts) else ", measured on held-out training documents"
    return [f"Simpler methods{where}:", "", *_table(("method", "value (95 % interval)", "documents"), rows)]


def _review_lines(facts: Facts) -> list[str]:
    """Return what a person has to read for answers to be right more often."""
    costs = (facts.get("review") or {}).get("costs")
    if not costs:
        return []
    rows = []
    for aim, one in zip(targets_of(costs), costs, strict=True):
        wanted, right = "" if aim is None else f"{100 * aim:.0f} %", one["accuracy_answered"]
        rows.append(
            (wanted, "", "everything", "not reached")
            if right is None
            else (wanted, f"{one['threshold']:.2f}", percent(one["review_fraction"]), percent(right))
        )
    header = ("wanted", "confidence from", "a person reads", "right among the rest")
    origin = training_origin(facts)
    measured = [f"Measured {origin}, not on the test file.", ""] if origin else []
    return ["## What review costs", "", *measured, *_table(header, rows)]


def _more_lines(facts: Facts) -> list[str]:
    """Return what more documents would give, how large sets are, and what the training documents need."""
    told = [learning_sentence(facts)]
    told += [
        f"Sets that shall hold the true label in {percent(one['confidence_level'])} did so in "
        f"{percent(one['coverage'])}, with {one['mean_size']:.2f} labels on average."
        for one in facts.get("sets") or ()
    ]
    counts = ", ".join(f"{count:,} {what}" for what, count in audit_counts(facts) if count)
    told += [f"What deserves a look in the training documents: {counts}."] if counts else []
    lines = [f"- {_plain(sentence)}" for sentence in told if sentence]
    return ["## Also measured", "", *lines, ""] if lines else []


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lay out rows, and leave a blank line behind them."""
    rule = "|" + "---|" * len(header)
    return [f"| {' | '.join(header)} |", rule, *(f"| {' | '.join(row)} |" for row in rows), ""]


def _with_interval(metrics: Mapping[str, Any], name: str) -> str:
    """Return a value with its interval, where it has one."""
    interval = metrics.get(f"{name}_interval")
    return f"{metrics[name]:.3f}" + (" ({:.3f} to {:.3f})".format(*interval) if interval else "")


def _plain(text: object) -> str:
    """Keep a user's string from acting as Markdown or HTML, and what would steer a reader instead of being shown."""
    line = "".join(
        character if character.isprintable() or character in _JOINERS else "·"
        for character in " ".join(str(text).split())
    )
    escaped = "".join("\\" + character if character in r"\`*_{}[]|#!~" else character for character in line)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
