"""A comparison as one HTML page: no script, no request, readable in light and dark, on a phone and on a wall."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from classifier.analysis.html import Frame, bounds, document, escaped, fact_list, percent, roomy, table
from classifier.analysis.tradeoffs import Comparison, Recommendation, Tradeoff

WIDE, NARROW = 860, 400
DEEPEST = 0.3
_COLORS = (
    "#3b6fd4", "#d9622b", "#2c9a6b", "#b0408f", "#c49a16",
    "#7459c9", "#1f95a8", "#cc4257", "#6f8f2a", "#8a6148",
)  # fmt: skip
_SHAPES = {
    "fp32": "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z",
    "fp16": "M-3.4,-3.4h6.8v6.8h-6.8Z",
    "int8": "M0,-4.6L4.4,3.4H-4.4Z",
    "binary": "M0,-4.8L4.8,0L0,4.8L-4.8,0Z",
}
_HEADER = ("embedder", "dimensions", "stored as", "accuracy", "95 % interval", "recall@10", "docs / s", "bytes / doc",
           "model, MB", "front")  # fmt: skip
_STYLE = """
.result { border-left: 4px solid var(--label); padding: 0.15rem 0 0.15rem 1.25rem; }
.result h2 { font-size: 1.9rem; font-weight: 680; letter-spacing: -0.02em; line-height: 1.2;
  color: color-mix(in oklab, var(--label) 80%, light-dark(black, white)); }
.result p + p { margin-top: 0.4rem; }
.result p { max-width: 46rem; }
pre { margin-top: 0.9rem; padding: 0.7rem 0.9rem; border-radius: 0.5rem; background: var(--track); font-size: 0.85rem;
  white-space: pre-wrap; }
.legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; list-style: none; margin: 0.9rem 0 0.3rem;
  font-size: 0.875rem; }
.legend li { display: inline-flex; align-items: center; gap: 0.4rem; }
.legend .dot { width: 0.65rem; height: 0.65rem; margin: 0; }
.legend svg { width: 12px; height: 12px; overflow: visible; }
.legend path { fill: var(--muted); }
.plot .way { fill: none; stroke-width: 1.6; opacity: 0.55; }
.plot .bar { stroke-width: 1.6; opacity: 0.6; }
.plot .behind { opacity: 0.3; }
.plot .chosen { fill: none; stroke: var(--ink); stroke-width: 1.8; }
.narrow { display: none; }
@media (max-width: 640px) { .wide { display: none; } .narrow { display: block; } }
"""


def render_page(comparison: Comparison) -> str:
    """Write the page.

    Returns
    -------
    str
        A whole HTML document; whatever names and labels hold stays inert.
    """
    title = f"Embeddings compared on {comparison.source}"
    colors = _colors(comparison)
    front = sorted((one for one in comparison.tradeoffs if one.on_front), key=lambda one: -one.accuracy)
    everything = _table(comparison.tradeoffs, comparison.recommendation.chosen, colors)
    body = f"""<h1>{escaped(title)}</h1>
<p class="lead">{_data_line(comparison)}</p>
{_recommended(comparison.recommendation, colors)}
<section>
<h2>Accuracy against size</h2>
<p class="small">Up and to the left is better. A line joins the dimensions of one embedder in fp32, from few to all;
pale marks are beaten by another row. The ring is the recommended one.</p>
{_legend(colors, with_shapes=True)}
{_both(lambda width: _size_plot(comparison, colors, width))}
</section>
<section>
<h2>Accuracy against speed</h2>
<p class="small">Up and to the right is better. The most accurate row of each embedder, with its 95 % interval.</p>
{_legend(colors, with_shapes=False)}
{_both(lambda width: _speed_plot(comparison, colors, width))}
</section>
<section>
<h2>What no other row beats</h2>
<p class="small">The Pareto front: nothing else is as good in accuracy, size of a vector and speed together.</p>
{_table(front, comparison.recommendation.chosen, colors)}
<details><summary>All {len(comparison.tradeoffs)} measured rows</summary>{everything}</details>
</section>
<section>
<h2>How this was measured</h2>
<p class="small">{_method(comparison)}</p>
</section>"""
    return document(title, body, _STYLE)


def _colors(comparison: Comparison) -> dict[str, str]:
    """Give each embedder a colour."""
    names = dict.fromkeys(one.embedder for one in comparison.tradeoffs)
    return {name: _COLORS[number % len(_COLORS)] for number, name in enumerate(names)}


def _data_line(comparison: Comparison) -> str:
    """Say what was measured on."""
    sampled = comparison.n_documents < comparison.n_available
    of = f" of {comparison.n_available:,} documents (a sample, every label in proportion)" if sampled else " documents"
    return (
        f"{comparison.n_documents:,}{of}, {comparison.n_labels} labels, {comparison.n_folds}-fold cross-validation. "
        f"Always the most frequent label would be right in {percent(comparison.majority_accuracy)}."
    )


def _recommended(recommendation: Recommendation, colors: dict[str, str]) -> str:
    """Show the one to take, why, and how."""
    chosen = recommendation.chosen
    facts = (
        ("accuracy", f"{percent(chosen.accuracy)} ({bounds(chosen.accuracy_interval)})"),
        ("bytes per document", f"{chosen.vector_bytes:,}"),
        ("recall@10", f"{chosen.recall_at_10:.2f}"),
        ("documents per second", f"{chosen.documents_per_second:,.0f}"),
        ("model", f"{chosen.model_bytes / 1e6:,.1f} MB"),
    )
    reasons = "".join(f"<p>{escaped(reason)}</p>" for reason in recommendation.reasons)
    commands = "\n".join(escaped(command) for command in recommendation.commands)
    return (
        f'<section class="result" style="--label: {colors[chosen.embedder]}"><p class="small">Recommended</p>'
        f"<h2>{escaped(chosen.title)}</h2>{fact_list(facts)}{reasons}<pre>{commands}</pre></section>"
    )


def _legend(colors: dict[str, str], *, with_shapes: bool) -> str:
    """Name colours, and on request shapes."""
    chips = [f'<li><i class="dot" style="--label: {color}"></i>{escaped(name)}</li>' for name, color in colors.items()]
    shapes = [
        f'<li><svg viewBox="-6 -6 12 12" aria-hidden="true"><path d="{shape}"/></svg>{name}</li>'
        for name, shape in _SHAPES.items()
    ]
    return f'<ul class="legend">{"".join(chips)}</ul>' + (
        f'<ul class="legend">{"".join(shapes)}</ul>' if with_shapes else ""
    )


def _both(plot: Callable[[int], str]) -> str:
    """Draw a plot for wide and for narrow screens, of which one is shown."""
    return f'<div class="wide">{plot(WIDE)}</div><div class="narrow">{plot(NARROW)}</div>'


def _size_plot(comparison: Comparison, colors: dict[str, str], width: int) -> str:
    """Draw accuracy against the bytes of a vector."""
    best = max(one.accuracy for one in comparison.tradeoffs)
    shown = [one for one in comparison.tradeoffs if one.accuracy >= best - DEEPEST]
    sizes = [one.vector_bytes for one in shown]
    accuracies = [one.accuracy for one in shown]
    frame = Frame(width, (min(sizes) / 1.3, max(sizes) * 1.3), roomy(min(accuracies), best), is_log=True)
    content = frame.axes([2**power for power in range(0, 24, 1 if width == WIDE else 2)], "bytes per document")
    for name, color in colors.items():
        steps = [one for one in shown if one.embedder == name and one.dtype == "float32"]
        points = " ".join(f"{frame.x(one.vector_bytes):.1f},{frame.y(one.accuracy):.1f}" for one in steps)
        content += f'<polyline class="way" stroke="{color}" points="{points}"/>'
    for one in sorted(shown, key=lambda one: one.on_front):
        mark = _mark(one, frame.x(one.vector_bytes), frame.y(one.accuracy), colors[one.embedder], one.short_dtype)
        content += mark if one.on_front else f'<g class="behind">{mark}</g>'
    chosen = comparison.recommendation.chosen
    content += _ring(frame.x(chosen.vector_bytes), frame.y(chosen.accuracy))
    n_below = len(comparison.tradeoffs) - len(shown)
    drawing = frame.svg(f"Accuracy against bytes per document of {len(shown)} rows; the table has the figures", content)
    if not n_below:
        return drawing
    return f'{drawing}<p class="small">{n_below} rows below {percent(best - DEEPEST)} are in the table only.</p>'


def _speed_plot(comparison: Comparison, colors: dict[str, str], width: int) -> str:
    """Draw the best accuracy of each embedder against its speed."""
    best = {
        name: max((one for one in comparison.tradeoffs if one.embedder == name), key=lambda one: one.accuracy)
        for name in colors
    }
    chosen = comparison.recommendation.chosen
    speeds = [one.documents_per_second for one in best.values()]
    lows, highs = zip(*(one.accuracy_interval for one in best.values()), strict=True)
    low = min(*lows, chosen.accuracy)
    frame = Frame(width, (min(speeds) / 1.6, max(speeds) * 1.6), roomy(low, max(highs)), height=320, is_log=True)
    content = frame.axes(_speed_ticks(*frame.x_range), "documents per second")
    for name, one in best.items():
        x, (low, high) = frame.x(one.documents_per_second), one.accuracy_interval
        content += (
            f'<line class="bar" stroke="{colors[name]}" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.y(low):.1f}" '
            f'y2="{frame.y(high):.1f}"/>{_mark(one, x, frame.y(one.accuracy), colors[name], "fp32")}'
        )
    content += _ring(frame.x(chosen.documents_per_second), frame.y(chosen.accuracy))
    return frame.svg("Accuracy against documents per second of each embedder; the table has the figures", content)


def _mark(one: Tradeoff, x: float, y: float, color: str, shape: str) -> str:
    """Draw one row; what it is shows when it is pointed at."""
    told = f"{one.title}: {percent(one.accuracy)}, {one.vector_bytes:,} bytes, {one.documents_per_second:,.0f} / s"
    return (
        f'<path d="{_SHAPES[shape]}" fill="{color}" transform="translate({x:.1f} {y:.1f})">'
        f"<title>{escaped(told)}</title></path>"
    )


def _ring(x: float, y: float) -> str:
    """Draw the ring around the recommended row."""
    return f'<circle class="chosen" cx="{x:.1f}" cy="{y:.1f}" r="8.5"/>'


def _speed_ticks(low: float, high: float) -> list[float]:
    """Choose round speeds, fewer of them where there is much to cover."""
    steps = (1, 2, 5) if high / low < 50 else (1, 3)
    return [step * 10.0**power for power in range(8) for step in steps]


def _table(shown: Sequence[Tradeoff], chosen: Tradeoff, colors: dict[str, str]) -> str:
    """Lay out rows."""
    rows = [_cells(one, is_chosen=one == chosen, color=colors[one.embedder]) for one in shown]
    return table(_HEADER, rows, chosen=[one == chosen for one in shown])


def _cells(one: Tradeoff, *, is_chosen: bool, color: str) -> tuple[str, ...]:
    """Lay out one row."""
    return (
        f'<i class="dot" style="--label: {color}"></i>{escaped(one.embedder)}',
        f"{one.n_dims:,}",
        one.short_dtype,
        percent(one.accuracy),
        bounds(one.accuracy_interval),
        f"{one.recall_at_10:.2f}",
        f"{one.documents_per_second:,.0f}",
        f"{one.vector_bytes:,}",
        f"{one.model_bytes / 1e6:,.1f}",
        '<b title="recommended">★ yes</b>' if is_chosen else "yes" if one.on_front else "",
    )


def _method(comparison: Comparison) -> str:
    """Say how the figures came about."""
    return (
        f"Each of {comparison.n_measured:,} documents was answered once by a logistic regression that had not seen it; "
        "vocabularies, weights of words and principal components were fitted without it too. The regularisation was "
        "chosen once for each embedder, on full float32 vectors. Dimensions below an embedder's own are principal "
        "components; vectors are rounded to what is stored before training and before answering. Recall@10 is the "
        f"share of the ten nearest documents by full float32 vectors that stay among the ten nearest, of "
        f"{comparison.n_queries:,} held-out documents among all {comparison.n_documents:,}. Speed is that of embedding "
        "on this machine, without looking vectors up; reducing and rounding take next to no time, and speeds within "
        f"50\u00a0% of each other count as equal. The best of so many rows was helped by chance a little: "
        f"a test file tells how good a trained model is. Seed {comparison.seed}."
    )
