"""What a model is and how far it can be trusted, as one HTML page: no script, no request, light, dark, on paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from classifier.analysis import report_figures as figures
from classifier.analysis import report_sections as sections
from classifier.analysis.html import document, escaped, fact_list, percent, prose
from classifier.analysis.metric_names import METRICS, SHARES
from classifier.analysis.report_words import Facts, label_names, not_shown, summary_sentences

STYLE = (
    figures.STYLE
    + """
h2 { font-size: 1.3rem; letter-spacing: -0.01em; }
section { margin-top: 3.5rem; }
.summary { margin-top: 1.6rem; border-left: 4px solid var(--accent); padding: 0.15rem 0 0.15rem 1.25rem; }
.summary p { font-size: 1.08rem; max-width: 46rem; }
.summary p + p { margin-top: 0.5rem; }
.facts { margin: 1.6rem 0 0; gap: 0.9rem 2.6rem; }
nav { display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; margin-top: 1.8rem; font-size: 0.875rem; }
a { color: var(--accent); text-decoration-color: var(--line); text-underline-offset: 0.2em; }
a:hover { text-decoration-color: currentColor; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); gap: 1.6rem 3rem;
  margin-top: 1.2rem; align-items: start; }
.pair > * { min-width: 0; }
figcaption { font-size: 0.875rem; font-weight: 600; margin-bottom: 0.7rem; }
.pair .scroll:first-child { margin-top: 0; }
.pair .plot { max-width: 32rem; }
.pair .scroll, section > .scroll { max-width: 46rem; }
.scroll + .small, dl + .small, figure + .small { margin-top: 0.9rem; }
.small + figure { margin-top: 1.2rem; }
th { white-space: normal; overflow-wrap: normal; vertical-align: bottom; }
td { overflow-wrap: break-word; }
.label { display: inline-flex; align-items: baseline; white-space: normal; text-align: left; min-width: 9rem; }
.label bdi { overflow-wrap: anywhere; }
.label .dot { flex: none; }
.pairs :is(th, td):nth-child(2) { text-align: left; }
.words td { vertical-align: top; }
.words td:first-child { white-space: normal; min-width: 9rem; }
.words small { display: block; color: var(--muted); font-size: 0.8rem; line-height: 1.35; }
.sentences { padding-left: 1.1rem; margin-top: 0.6rem; max-width: 46rem; font-size: 0.95rem; }
.sentences li + li { margin-top: 0.35rem; }
.meter { display: inline-block; width: 5rem; height: 0.5rem; border-radius: 1rem; background: var(--track);
  overflow: hidden; margin-left: 0.7rem; vertical-align: middle; }
.meter i { display: block; height: 100%; border-radius: 1rem; background: var(--label); }
.note { color: var(--muted); font-weight: 400; }
dl.terms { display: grid; grid-template-columns: max-content 1fr; gap: 0.35rem 1.2rem; font-size: 0.9rem;
  margin-top: 0.8rem; }
.terms dt { color: var(--muted); }
@media (max-width: 640px) { section { margin-top: 2.75rem; } th, td { padding-left: 0.3rem; padding-right: 0.3rem; }
  td:first-child { white-space: normal; } .label { min-width: 7.5rem; } .meter { display: none; }
  table { font-size: 0.8rem; } }
@page { margin: 15mm; }
@media print { section { margin-top: 2rem; } nav { display: none; }
  .pair { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 1rem 1.5rem; }
  table { font-size: 0.75rem; } th, td { padding-left: 0.25rem; padding-right: 0.25rem; } .label { min-width: 6rem; } }
"""
)


@dataclass(frozen=True, slots=True)
class _Section:
    """One part of the page: its anchor, its name in the contents, its title, how to read it, and its content."""

    anchor: str
    name: str
    title: str
    aid: str
    content: Callable[[Facts], str]

    def html(self, content: str) -> str:
        """Put it together."""
        aid = f'<p class="small">{self.aid}</p>' if self.aid else ""
        return f'<section id="{self.anchor}">\n<h2>{self.title}</h2>\n{aid}\n{content}\n</section>'


def render_report(title: str, facts: Facts) -> str:
    """Write the report of a model.

    Parameters
    ----------
    title : str
        What the model is called.
    facts : mapping
        The facts of its bundle, of whatever format; what is not there is left out, and named at the end.

    Returns
    -------
    str
        A whole HTML document; whatever names and labels hold stays inert.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError, ArithmeticError
        When a fact is of another kind than any version writes.
    """
    drawn = [(section, content) for section in _SECTIONS if (content := section.content(facts))]
    links = "".join(f'<a href="#{section.anchor}">{section.name}</a>' for section, _ in drawn)
    summary = "".join(f"<p>{prose(sentence)}</p>" for sentence in summary_sentences(title, facts))
    parts = "\n".join(section.html(content) for section, content in drawn)
    body = f"""<h1>{escaped(title)}</h1>
<p class="lead">What this model is, how good it is, and how far it can be trusted.</p>
<div class="summary">{summary}</div>
{_headline_facts(facts)}
<nav aria-label="Contents">{links}</nav>
{parts}
{_left_out(facts)}"""
    return document(f"Report of {title}", body, STYLE)


def render_section(anchor: str, facts: Facts) -> str:
    """Write one part of the report, to stand in another page; empty where the model lacks the facts.

    Parameters
    ----------
    anchor : str
        Its anchor on the whole page, such as ``quality``.
    facts : mapping
        As for `render_report`, which also says what is raised.
    """
    section = next(one for one in _SECTIONS if one.anchor == anchor)
    content = section.content(facts)
    return section.html(content) if content else ""


def _headline_facts(facts: Facts) -> str:
    """Show the figures that are asked for first."""
    metrics = facts.get("metrics") or {}
    shown = [(name, word) for name, word, _ in METRICS if name in SHARES and metrics.get(name) is not None]
    found = [(word, percent(metrics[name]) + sections.interval(metrics, name)) for name, word in shown]
    if metrics.get("ece") is not None:
        found.append(("calibration error", f"{metrics['ece']:.3f}"))
    n_documents = (facts.get("data") or {}).get("n_documents")
    found += [("documents", f"{n_documents:,}")] if n_documents is not None else []
    return fact_list([*found, ("labels", f"{len(label_names(facts)):,}")])


def _left_out(facts: Facts) -> str:
    """Say at the end what this page would show of other models."""
    absent, empty = not_shown(facts)
    told = [f"Not recorded by the version that trained it: {', '.join(absent)}."] if absent else []
    told += [f"Not measured, for want of documents: {', '.join(empty)}."] if empty else []
    return f'<section><p class="small">{" ".join(told)}</p></section>' if told else ""


_SECTIONS = (
    _Section("data", "Data", "What it was made from", "", sections.data),
    _Section(
        "quality",
        "Quality",
        "How good it is",
        "A bar shows the share; its whisker is the 95&nbsp;% interval, within which chance alone may move it.",
        sections.quality,
    ),
    _Section(
        "labels",
        "Labels",
        "Label by label, the weakest first",
        "Precision: of the documents given the label, the share that has it. Recall: of those that have it, the share "
        "that was given it. F1 balances both.",
        sections.labels,
    ),
    _Section(
        "confusion",
        "Confusion",
        "What is taken for what",
        "",
        sections.confusion,
    ),
    _Section(
        "confidence",
        "Confidence",
        "Whether its confidence can be believed",
        "On the dashed line, answers of 80&nbsp;% confidence are right 80 times in 100. Points below it are too sure, "
        "points above it too modest; larger points stand for more answers.",
        sections.confidence,
    ),
    _Section(
        "review",
        "Review",
        "What reading the unsure answers buys",
        "To the left, only the surest documents are answered without a person; the lower the curve falls to the right, "
        "the more errors come with answering all. A circle is a threshold of the table.",
        sections.review,
    ),
    _Section(
        "learning",
        "More documents",
        "What more documents would give",
        "Each point is a model trained on fewer documents, with its 95&nbsp;% interval; where the curve is still "
        "steep, labelling more is worth the time.",
        sections.learning,
    ),
    _Section(
        "sets",
        "Sets",
        "Several labels instead of one",
        "Where one answer is too bold, the model can give a set that holds the true label as often as was asked for; "
        "the smaller the sets, the better.",
        sections.sets,
    ),
    _Section(
        "race",
        "Race",
        "How its head was chosen",
        "Candidates were trained on parts of the documents and asked about the rest; the lowest log loss wins, the "
        "simpler one of near equals. Compare rows that were measured on equally many documents.",
        sections.race,
    ),
    _Section(
        "audit",
        "Audit",
        "What its training documents need",
        "Each of these rows deserves a look: <code>classifier audit FILE -o ISSUES.csv</code> lists them.",
        sections.audit,
    ),
    _Section("limits", "Limits", "What it must not be used for", "", sections.limits),
)
