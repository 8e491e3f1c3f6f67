"""HTML for what a model says. Pure: values in, a string out; whatever a text, label or name holds stays inert."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from classifier.analysis.label_words import why_not_measured
from classifier.datamodels import (
    CANDIDATES_CONFIDENCE,
    MULTI_LABEL,
    STATUS_EMPTY,
    STATUS_OUT_OF_SCOPE,
    STATUS_UNSURE,
    Neighbor,
    Prediction,
)
from classifier.errors import counted
from classifier.modeling.label_sets import split_labels

VERY_SURE, FAIRLY_SURE = 0.9, 0.6
MIN_CANDIDATES, MOST_CANDIDATES = 2, 12
SNIPPET_CHARACTERS = 170
PASSAGE_CHARACTERS = 20_000
LISTED_LABELS = 12
ELLIPSIS = "\u00a0…"
NO_LABEL = "No label"
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_LINK = re.compile(r"(?i)(?<=www)(?=\.)|(?<=http)(?=s?:)|(?=@[-\w]+\.)")
_NO_COLOR = "#7a8190"
NO_LABEL_COLOR = {NO_LABEL: _NO_COLOR}
_WORD_JOINER = "\u2060"


def escaped(value: object) -> str:
    """Make a value safe inside an element or a quoted attribute.

    Examples
    --------
    >>> escaped('<b title="x">')
    '&lt;b title=&quot;x&quot;&gt;'
    """
    return html.escape(str(value).encode("utf-8", "replace").decode())


def unformatted(text: str) -> str:
    r"""Make a text safe where only Markdown can be written, such as on a button: no mark means anything.

    Lines are joined, and an invisible character keeps addresses from becoming links.

    Examples
    --------
    >>> print(unformatted("![x](a.b)\n    *c*"))
    \!\[x\]\(a\.b\) \*c\*
    """
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return _PUNCTUATION.sub(r"\\\1", _LINK.sub(_WORD_JOINER, line))


def shortened(text: str, length: int = SNIPPET_CHARACTERS) -> str:
    """Return the beginning of a text on one line, cut between words where that is possible."""
    line = " ".join(text[: 4 * length].split())
    if len(line) <= length and len(text) <= 4 * length:
        return line
    start = line[:length]
    at_word = start.rpartition(" ")[0]
    return (at_word if len(at_word) > length / 2 else start).rstrip(" ,;:.-") + ELLIPSIS


def percentage(share: float) -> str:
    """Write a share in [0, 1]; never 100 or 0 unless it is.

    Examples
    --------
    >>> percentage(0.9999), percentage(0.5), percentage(0.0001)
    ('> 99.9 %', '50.0 %', '< 0.1 %')
    """
    if 0.9995 <= share < 1:
        return "> 99.9 %"
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.1f} %"


def label_colors(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the colour of each label, in the model's order; grey in place of anything that is no colour."""
    return {
        label["name"]: label["color"] if _COLOR.fullmatch(str(label["color"])) else _NO_COLOR
        for label in facts["labels"]
    }


def heading(title: str, lead: str) -> str:
    """Head a page."""
    return f'<div class="dc"><h1>{escaped(title)}</h1><p class="lead">{escaped(lead)}</p></div>'


def section(title: str, note: str = "") -> str:
    """Head a part of a page."""
    note = f'<p class="small">{escaped(note)}</p>' if note else ""
    return f'<div class="dc"><h2>{escaped(title)}</h2>{note}</div>'


def certainty(prediction: Prediction, *, multi_label: bool = False, is_calibrated: bool = True) -> str:
    """Put the confidence of an answer into words; when in doubt, name the two most probable labels."""
    if prediction.status == STATUS_OUT_OF_SCOPE:
        return "<strong>Out of scope</strong>: it resembles no training document enough, and the label is only a guess"
    if not is_calibrated:
        return "<strong>Most similar label</strong>; trained without documents, it cannot say how sure it is"
    if prediction.confidence >= VERY_SURE:
        return "<strong>Very sure</strong>"
    if prediction.confidence >= FAIRLY_SURE and prediction.status != STATUS_UNSURE:
        return "<strong>Fairly sure</strong>"
    names = [f'<em class="user">{escaped(label)}</em>' for label, _ in prediction.top(2)]
    if not multi_label:
        return f"<strong>Unsure</strong> between {' and '.join(names)}"
    doubts = ("none fits", "this label alone is right", "exactly these labels are right")
    doubt = f"<strong>Unsure</strong> whether {doubts[min(len(prediction.labels), 2)]}"
    return f"{doubt}; the most probable are {' and '.join(names)}" if len(names) > 1 else doubt


def result(
    prediction: Prediction,
    colors: Mapping[str, str],
    text: str,
    *,
    n_shown: int,
    max_tokens: int,
    name: str = "",
    multi_label: bool = False,
    is_calibrated: bool = True,
) -> str:
    """Show one answer: label, confidence, bars, and how much of the text was read.

    Parameters
    ----------
    prediction : Prediction
        The answer.
    colors : mapping of str to str
        The colour of each label.
    text : str
        What was read.
    n_shown : int
        How many labels get a bar.
    max_tokens : int
        How much the encoder reads at once.
    name : str
        The file the text came from, if any.
    multi_label : bool
        Whether the model gives any number of labels.
    is_calibrated : bool
        Whether its confidence was learned from documents.
    """
    source = f'<p class="small user">{escaped(name)}</p>' if name else ""
    if prediction.status == STATUS_EMPTY:
        return (
            f'<section class="dc result">{source}<h2>There is nothing to read</h2>'
            '<p class="sure">The text is empty, or holds only characters that the encoder does not know. '
            "No label is guessed for it.</p></section>"
        )
    shares = prediction.top(n_shown)
    return (
        f'<section class="dc result" style="{label_style(colors, decided_label(prediction) or "")}">{source}'
        f"{_answer(prediction.labels, colors)}"
        f'<p class="sure">{certainty(prediction, multi_label=multi_label, is_calibrated=is_calibrated)} · '
        f'<span class="number">{percentage(prediction.confidence)}</span></p>'
        f"{candidates(prediction, colors)}"
        f"{bars([(label, share, percentage(share)) for label, share in shares], colors)}"
        f'<p class="facts small">{_reading(prediction.used_fraction, text, max_tokens)}</p></section>'
    )


def candidates(prediction: Prediction, colors: Mapping[str, str]) -> str:
    """Name the labels that cannot be ruled out, where an answer is unsure between several."""
    is_unsure = prediction.status == STATUS_UNSURE or prediction.confidence < FAIRLY_SURE
    found = prediction.candidates
    if not is_unsure or prediction.status == STATUS_OUT_OF_SCOPE or len(found) < MIN_CANDIDATES:
        return ""
    n_more = len(found) - MOST_CANDIDATES
    more = f' <span class="small">and {n_more:,} more</span>' if n_more > 0 else ""
    return (
        f'<p class="candidates"><span>One of</span> {chips(found[:MOST_CANDIDATES], colors)}{more}</p>'
        f'<p class="small">{100 * CANDIDATES_CONFIDENCE:.0f} % of the time the right label is among them.</p>'
    )


def decided_label(prediction: Prediction) -> str | None:
    """Return the label to explain: the most probable one that was given; None for the most probable of all."""
    return next((label for label in prediction.probabilities if label in prediction.labels), None)


def bars(rows: Iterable[tuple[str, float, str]], colors: Mapping[str, str]) -> str:
    """Draw shares as aligned bars: a label, its share in [0, 1], and what to write beside it."""
    items = (
        f'<li><span class="name user">{escaped(label)}</span>{track(share, label_style(colors, label))}'
        f'<span class="number">{escaped(value)}</span></li>'
        for label, share, value in rows
    )
    return f'<ol class="bars">{"".join(items)}</ol>'


def neighbors(found: Sequence[Neighbor], colors: Mapping[str, str]) -> str:
    """Show training documents as cards, nearest first."""
    if not found:
        return '<p class="dc small">No training document to compare with.</p>'
    return f'<div class="dc cards">{"".join(_card(neighbor, colors) for neighbor in found)}</div>'


def model_card(facts: Mapping[str, Any]) -> str:
    """Show what a model learned from and how good it is."""
    metrics = facts["metrics"]
    created = datetime.fromisoformat(facts["created"])
    rows = [
        ("Trained", f"{created.day} {created:%B %Y}"),
        ("Documents", f"{facts['data']['n_documents']:,}"),
        ("Labels", f"{len(facts['labels']):,}"),
    ]
    measured = f"Not measured: {why_not_measured(facts)}."
    if metrics:
        name, word = ("exact_match", "Exact") if facts.get("task") == MULTI_LABEL else ("accuracy", "Accuracy")
        low, high = metrics[f"{name}_interval"]
        rows.append((word, f"{percentage(metrics[name])} ({100 * low:.1f} to {100 * high:.1f})"))
        measured = f"95 % interval; measured on {facts['measured_on']}."
    listed = "".join(f"<dt>{escaped(term)}</dt><dd>{escaped(value)}</dd>" for term, value in rows)
    return (
        f'<div class="dc model"><dl>{listed}</dl>'
        f'<p class="small" style="margin-top: 0.5rem">{escaped(measured)}</p>'
        '<p class="small private">Text stays on this machine.</p></div>'
    )


def no_model(models_dir: Path) -> str:
    """Say what to do where there is no model yet."""
    return (
        '<div class="dc steps"><h2>No model yet</h2><p class="lead">This page sorts documents into your own labels, '
        "with a confidence and the training documents they resemble. It needs a model first, trained from a "
        "file with a column of texts and a column of labels.</p>"
        '<p><a class="action" href="train" target="_self">Train a model</a></p>'
        f'<p class="small" style="margin-top: 0.8rem">Models are looked for in <code>{escaped(models_dir.absolute())}'
        "</code> (set <code>CLASSIFIER_MODELS_DIR</code> for another folder).</p></div>"
    )


def next_steps(reference: str) -> str:
    """Lead from a trained model to the pages that use it."""
    where = quote(reference, safe="")
    steps = (("./", "Classify with it"), ("report", "Read its report"), ("review", "Review its documents"))
    links = "".join(f'<a href="{page}?model={where}" target="_self">{words}</a>' for page, words in steps)
    return f'<div class="dc"><p class="facts">{links}</p></div>'


def note(sentence: str) -> str:
    """Say something in passing."""
    return f'<p class="dc small">Note: {escaped(sentence)}.</p>'


def warned(sentences: Iterable[str]) -> str:
    """List what deserves a look."""
    return "".join(f'<li class="user">⚠ {escaped(sentence)}</li>' for sentence in sentences)


def preview(texts: Sequence[str]) -> str:
    """Show the first texts of a column."""
    items = "".join(f'<li class="small user">{escaped(shortened(text))}</li>' for text in texts)
    return f'<ul class="dc quoted preview">{items}</ul>' if items else '<p class="dc small">This column is empty.</p>'


def row_heading(row: int, document_id: str, text: str) -> str:
    """Head the full answer to one row of a table with its text."""
    name = "" if document_id == str(row) else f' <span class="small user">{escaped(document_id)}</span>'
    return f'<section class="dc"><h2>Row {row:,}{name}</h2><div class="quoted">{passage(text)}</div></section>'


def label_heading(label: str, colors: Mapping[str, str]) -> str:
    """Head what is said about one label."""
    return f'<div class="dc"><h2 class="chips">{chips([label], colors)}</h2></div>'


def label_counts(title: str, counts: Sequence[tuple[str, int]], colors: Mapping[str, str]) -> str:
    """Count the labels of some documents, the most frequent dozen."""
    items = [
        f'<span>{chips([label], colors)} <span class="number small">{count:,}</span></span>'
        for label, count in counts[:LISTED_LABELS]
    ]
    n_more = len(counts) - len(items)
    items += [f'<span class="small">and {counted(n_more, "other label")}</span>'] if n_more else []
    return f'<section class="dc"><h2>{escaped(title)}</h2><p class="counts">{"".join(items)}</p></section>'


def document_in_full(document_id: str, text: str) -> str:
    """Show a document with its id."""
    return (
        f'<section class="dc"><p class="small user">{escaped(document_id)}</p>'
        f'<div class="quoted passage">{escaped(text[:PASSAGE_CHARACTERS])}</div></section>'
    )


def _card(neighbor: Neighbor, colors: Mapping[str, str]) -> str:
    """Draw one training document."""
    labels = (neighbor.label,) if neighbor.label in colors else split_labels(neighbor.label) or (NO_LABEL,)
    style = label_style(colors, labels[0])
    return (
        f'<article class="card"><header style="{style}"><span class="chips">{chips(labels, colors)}</span>'
        f'<span class="id small user">{escaped(neighbor.id)}</span>'
        f'<span class="similarity" title="cosine similarity">{track(neighbor.similarity, style)}'
        f'<span class="number">{neighbor.similarity:.2f}</span></span></header>{passage(neighbor.text)}</article>'
    )


def _answer(labels: Sequence[str], colors: Mapping[str, str]) -> str:
    """Head an answer with its label, or with several of them one by one."""
    if len(labels) > 1:
        return f'<h2 class="chips">{chips(labels, colors)}</h2>'
    return f'<h2 class="user">{escaped(labels[0] if labels else NO_LABEL)}</h2>'


def chips(labels: Iterable[str], colors: Mapping[str, str]) -> str:
    """Draw labels one by one, each behind a dot of its colour."""
    return " ".join(
        f'<span class="chip user" style="{label_style(colors, label)}">{escaped(label)}</span>' for label in labels
    )


def passage(text: str) -> str:
    """Show a text, folded where it is long."""
    start = shortened(text)
    if not start.endswith(ELLIPSIS) and "\n" not in text.strip():
        return f'<p class="user">{escaped(start)}</p>'
    n_more = len(text) - PASSAGE_CHARACTERS
    more = f" … and {n_more:,} more characters" if n_more > 0 else ""
    return (
        f'<details><summary><span class="start user">{escaped(start)}</span></summary>'
        f'<div class="passage">{escaped(text[:PASSAGE_CHARACTERS].strip() + more)}</div></details>'
    )


def _reading(used_fraction: float, text: str, max_tokens: int) -> str:
    """Say how much of a text was read, and how long it is."""
    n_words = len(text.split())
    if used_fraction >= 1:
        read = "The whole text was read"
    else:
        share = min(int(1000 * used_fraction), 999) / 10
        read = f"{share:.1f} % of the text was read; the rest has characters that the encoder does not know"
    if n_words > max_tokens:
        read += f", in parts of up to {max_tokens:,} tokens, to its end"
    length = f"{counted(n_words, 'word')}, {counted(len(text), 'character')}"
    return f"<span>{escaped(read)}</span><span>{length}</span>"


def track(share: float, style: str) -> str:
    """Draw a bar; the number beside it says the same in writing."""
    width = 100 * min(max(share, 0.0), 1.0)
    return (
        f'<span class="track" aria-hidden="true"><span class="fill" style="{style}width: {width:.1f}%"></span></span>'
    )


def label_style(colors: Mapping[str, str], label: str) -> str:
    """Return the declaration of a label's colour."""
    return f"--label: {colors.get(label, _NO_COLOR)};"
