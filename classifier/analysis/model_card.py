"""The model card: what a model is, how good it is and where it must not be trusted, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SHOWN_LABELS = 200


def render_card(title: str, facts: Mapping[str, Any]) -> str:
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
    lines = [
        f"# Model card: {_plain(title)}",
        "",
        f"- Trained: {facts['created']} by document-classifier {facts['libraries']['document-classifier']}",
        f"- Data: {data['n_documents']:,} documents" + _origin(data),
        (
            f"- Encoder: {_plain(contract['model_id'])}, {contract['dimension']} dimensions, "
            f"window {contract['max_tokens']} tokens; longer texts are read whole, window by window"
        ),
        f"- Head: {facts['head']}, C = {facts['inverse_regularisation']:g}, temperature {facts['temperature']:.3f}",
        "",
        *_metric_lines(facts.get("metrics"), facts.get("measured_on", "")),
        "## Before you rely on it",
        "",
        "- A confidence is a calibrated probability for texts like the training documents; it says nothing of others.",
        "- It always answers with one of its labels, also where none fits: read what is unsure.",
        "- Words written only with characters that the encoder does not know are not seen; the used share says so.",
        "- Do not use it alone for decisions about people.",
        *[f"- Noticed in the training data: {_plain(warning)}" for warning in facts["warnings"]],
        "",
    ]
    return "\n".join(lines)


def _origin(data: Mapping[str, Any]) -> str:
    """Name the training file, where there was one."""
    return f" of {_plain(data['file'])}, SHA-256 `{data['sha256'][:16]}…`" if data["file"] else ", given from Python"


def _metric_lines(metrics: Mapping[str, Any] | None, measured_on: str) -> list[str]:
    """Return the section on quality."""
    if metrics is None:
        return ["## Quality", "", "Not measured: no label has two documents.", ""]
    rows = [
        ("accuracy", _with_interval(metrics, "accuracy"), f"{metrics['majority_accuracy']:.3f}"),
        ("macro-F1", _with_interval(metrics, "macro_f1"), f"{metrics['majority_macro_f1']:.3f}"),
        ("log loss", f"{metrics['log_loss']:.3f}", ""),
        ("Brier score", f"{metrics['brier']:.3f}", ""),
        ("calibration error (ECE)", f"{metrics['ece']:.3f}", ""),
    ]
    per_class = list(metrics["per_class"].items())
    more = len(per_class) - _SHOWN_LABELS
    return [
        "## Quality",
        "",
        f"Measured on {metrics['n_documents']:,} documents: {measured_on}.",
        "",
        "| metric | value (95 % interval) | always the most frequent label |",
        "|---|---|---|",
        *[f"| {name} | {value} | {baseline} |" for name, value, baseline in rows],
        "",
        "| label | documents | precision | recall | F1 |",
        "|---|---|---|---|---|",
        *[
            f"| {_plain(label)} | {scores['n_documents']:,} | {scores['precision']:.2f} "
            f"| {scores['recall']:.2f} | {scores['f1']:.2f} |"
            for label, scores in per_class[:_SHOWN_LABELS]
        ],
        *([f"| … and {more} more | | | | |"] if more > 0 else []),
        "",
    ]


def _with_interval(metrics: Mapping[str, Any], name: str) -> str:
    """Return a value with its interval."""
    low, high = metrics[f"{name}_interval"]
    return f"{metrics[name]:.3f} ({low:.3f} to {high:.3f})"


def _plain(text: object) -> str:
    """Keep a user's string from acting as Markdown or HTML."""
    escaped = "".join("\\" + character if character in r"\`*_{}[]|#!" else character for character in str(text))
    return " ".join(escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").split())
