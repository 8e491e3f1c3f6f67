"""The figures of a model's report, as SVG: values in, a drawing out. Shapes and numbers say what colours say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from classifier.analysis.html import Frame, bounds, drawing, escaped, percent, roomy, shortened

WIDTH, HEIGHT = 460, 310
MOST_LABELS = 40
STYLE = """
.plot .bar { fill: color-mix(in srgb, var(--ink) 22%, transparent); }
.plot .own { fill: var(--accent); }
.plot .track { fill: var(--track); }
.plot .whisker { stroke: var(--ink); stroke-width: 1.4; fill: none; }
.plot .strong { fill: var(--ink); font-weight: 620; }
.plot .diagonal { stroke: var(--muted); stroke-width: 1; stroke-dasharray: 4 4; fill: none; }
.plot .curve { stroke: var(--accent); stroke-width: 2; fill: none; stroke-linejoin: round; }
.plot .ahead { stroke: var(--accent); stroke-width: 2; stroke-dasharray: 2 5; stroke-linecap: round; }
.plot .point { fill: var(--accent); stroke: var(--paper); stroke-width: 1.5; }
.plot .hollow { fill: var(--paper); stroke: var(--accent); stroke-width: 2; }
.plot .gap { stroke: var(--accent); stroke-width: 1.4; opacity: 0.45; }
.plot .right { fill: var(--accent); }
.plot .wrong { fill: var(--doubt); }
.plot .count { fill: var(--ink); text-anchor: middle; }
.plot .name { fill: var(--ink); }
"""
_BAR_ROW, _BAR = 42, 12
_LARGEST_POINT = 13.0
_CLOSEST_TICKS = 44
_CHARACTER = 6.6


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: what it stands for, its share, its 95 % interval where there is one, and whether it is the model."""

    name: str
    share: float
    interval: Sequence[float] | None
    is_own: bool = False


def interval_bars(bars: Sequence[Bar], measure: str) -> str:
    """Draw shares from 0 to 1 as bars with their intervals as whiskers, each under its name."""
    frame = Frame(WIDTH, (0.0, 1.0), (0.0, 1.0), height=len(bars) * _BAR_ROW + 46, left=2, right=14, top=0)
    content = ""
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = frame.x(tick)
        content += (
            f'<line class="rule" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{frame.floor}"/>'
            f'<text x="{x:.1f}" y="{frame.floor + 16}" text-anchor="middle">{100 * tick:.0f} %</text>'
        )
    content += f'<text x="{frame.x(0.5):.1f}" y="{frame.floor + 36}" text-anchor="middle">{escaped(measure)}</text>'
    for number, bar in enumerate(bars):
        content += _bar(bar, frame, number * _BAR_ROW + 4)
    told = ", ".join(f"{shortened(bar.name, 40)} {percent(bar.share)}" for bar in bars)
    return drawing(WIDTH, frame.height, f"{measure} with 95 % intervals: {told}", content)


def heat_map(labels: Sequence[str], confusion: Sequence[Sequence[int]], colors: Mapping[str, str]) -> str:
    """Draw how often each true label (row) was given each label (column); at most `MOST_LABELS` labels."""
    n, longest = len(labels), 22
    cell = 34 if n <= 12 else 27 if n <= 24 else 22
    names = [shortened(label, longest) for label in labels]
    reach = max(len(name) for name in names) * _CHARACTER
    left, top = reach + 34, reach * 0.74 + 40
    width, height = left + n * cell + reach * 0.72 + 6, top + n * cell + 8
    content = f'<text x="0" y="{top - 10:.1f}">true label ↓</text><text x="{left:.1f}" y="12">given label ↓</text>'
    for number, (label, name) in enumerate(zip(labels, names, strict=True)):
        middle = (number + 0.5) * cell
        dot = f'<circle r="4" fill="{colors.get(label, "currentColor")}"/><text class="name"'
        content += (
            f'<g transform="translate({left - 10:.1f} {top + middle:.1f})">'
            f'{dot} x="-10" y="4" text-anchor="end">{escaped(name)}</text></g>'
            f'<g transform="translate({left + middle:.1f} {top - 9:.1f})">'
            f'{dot} x="10" y="3" transform="rotate(-45)">{escaped(name)}</text></g>'
        )
    content += "".join(_cells(labels, confusion, left, top, cell))
    n_right, n_all = sum(row[i] for i, row in enumerate(confusion)), sum(map(sum, confusion))
    told = f"Confusion matrix of {n} labels: {n_right:,} of {n_all:,} documents lie on the diagonal, which is right"
    return drawing(width, height, told, content, f"max-width: {width:.0f}px; min-width: {0.75 * width:.0f}px")


def reliability_diagram(bins: Sequence[Mapping[str, Any]]) -> str:
    """Draw the share of right answers against how sure they were; larger points stand for more documents."""
    frame = Frame(WIDTH, (0.0, 1.0), (0.0, 1.0), height=380, top=28)
    largest = max(one["n_documents"] for one in bins)
    content = frame.axes((0.0, 0.2, 0.4, 0.6, 0.8, 1.0), "confidence", "share that was right", _whole_percent)
    content += _line("diagonal", frame, [(0.0, 0.0), (1.0, 1.0)])
    for one in bins:
        x, y = one["mean_confidence"], one["accuracy"]
        radius = 3 + (_LARGEST_POINT - 3) * (one["n_documents"] / largest) ** 0.5
        told = f"{one['n_documents']:,} documents, {percent(x)} sure, {percent(y)} right"
        content += _line("gap", frame, [(x, x), (x, y)]) + _point(frame.x(x), frame.y(y), told, radius=radius)
    told = ", ".join(f"{percent(one['mean_confidence'])} sure {percent(one['accuracy'])} right" for one in bins)
    return frame.svg(f"Share of right answers against confidence: {told}", content)


def coverage_curve(curve: Sequence[Mapping[str, float]], costs: Sequence[tuple[float, float, str]]) -> str:
    """Draw the accuracy of the answers that stand alone against how many they are.

    Parameters
    ----------
    curve : sequence of mapping
        ``coverage`` and ``accuracy``, both in [0, 1], by rising coverage.
    costs : sequence of (float, float, str)
        Coverage, accuracy and name of points to mark.
    """
    points = [(one["coverage"], one["accuracy"]) for one in curve]
    shares = [share for _, share in points] + [share for _, share, _ in costs]
    frame = Frame(WIDTH, (0.0, 1.0), roomy(min(shares), max(shares)), height=HEIGHT, top=28)
    ticks = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    content = frame.axes(ticks, "share answered without a person", "of these, right", _whole_percent)
    content += _line("curve", frame, points)
    for coverage, accuracy, name in costs:
        x, y = frame.x(coverage), frame.y(accuracy)
        content += _point(x, y, f"{name}: {percent(coverage)} answered, {percent(accuracy)} right", kind="hollow")
        content += f'<text class="strong" x="{x - 8:.1f}" y="{y + 17:.1f}" text-anchor="end">{escaped(name)}</text>'
    told = ", ".join(f"{percent(accuracy)} at {percent(coverage)}" for coverage, accuracy in points)
    return frame.svg(f"Share of right answers against the share answered without a person: {told}", content)


def learning_curve(points: Sequence[Mapping[str, Any]], estimate: Mapping[str, Any] | None) -> str:
    """Draw the accuracy against the number of training documents, with intervals, and where twice as many may lead."""
    ahead = [estimate] if estimate else []
    sizes = [one["n_documents"] for one in (*points, *ahead)]
    shares = [bound for one in points for bound in one.get("accuracy_interval") or (one["accuracy"],)]
    shares += [one["accuracy"] for one in ahead]
    x_range = (min(sizes) / 1.25, max(sizes) * 1.25)
    frame = Frame(WIDTH, x_range, roomy(min(shares), max(shares)), height=HEIGHT, top=28, is_log=True)
    content = frame.axes(_apart(sizes, frame), "training documents", "accuracy")
    if ahead:
        content += _line("ahead", frame, [(one["n_documents"], one["accuracy"]) for one in (points[-1], *ahead)])
    content += _line("curve", frame, [(one["n_documents"], one["accuracy"]) for one in points])
    for one in points:
        x, told = frame.x(one["n_documents"]), f"{one['n_documents']:,} documents: {percent(one['accuracy'])}"
        interval = one.get("accuracy_interval")
        if interval:
            content += _whisker(x, frame.y(interval[0]), x, frame.y(interval[1]))
            told += f" ({bounds(interval)})"
        content += _point(x, frame.y(one["accuracy"]), told)
    for one in ahead:
        told = f"estimate for {one['n_documents']:,} documents: {percent(one['accuracy'])}"
        content += _point(frame.x(one["n_documents"]), frame.y(one["accuracy"]), told, kind="hollow")
    told = ", ".join(f"{percent(one['accuracy'])} with {one['n_documents']:,}" for one in points)
    told += "".join(f"; estimate {percent(one['accuracy'])} with {one['n_documents']:,}" for one in ahead)
    return frame.svg(f"Accuracy against the number of training documents: {told}", content)


def _bar(bar: Bar, frame: Frame, top: float) -> str:
    """Draw one bar below its name and value."""
    end, middle = frame.x(bar.share), top + 20 + _BAR / 2
    kind, text = ("bar own", "strong") if bar.is_own else ("bar", "name")
    value = percent(bar.share) + (f" ({bounds(bar.interval)})" if bar.interval else "")
    whisker = _whisker(frame.x(bar.interval[0]), middle, frame.x(bar.interval[1]), middle) if bar.interval else ""
    return (
        f'<text class="{text}" x="2" y="{top + 13}">{escaped(shortened(bar.name, 40))}</text>'
        f'<text class="{text}" x="{WIDTH - 14}" y="{top + 13}" text-anchor="end">{value}</text>'
        f'<rect class="{kind}" x="2" y="{top + 20}" width="{max(end - 2, 1):.1f}" height="{_BAR}" rx="3"/>{whisker}'
    )


def _cells(
    labels: Sequence[str], confusion: Sequence[Sequence[int]], left: float, top: float, cell: int
) -> Iterable[str]:
    """Draw the counts of a matrix, each on a ground that deepens with its share of the row."""
    size = 12 if cell > 30 else 10 if cell > 24 else 8
    yield f'<g style="font-size: {size}px">'
    for row, counts in enumerate(confusion):
        for column, count in enumerate(counts):
            x, y = left + column * cell, top + row * cell
            square = f'x="{x + 1:.1f}" y="{y + 1:.1f}" width="{cell - 2}" height="{cell - 2}" rx="3"'
            yield f'<rect class="track" {square}/>'
            if not count:
                continue
            told = f"{shortened(labels[row], 60)} taken for {shortened(labels[column], 60)}: {count:,}"
            kind, depth = "right" if row == column else "wrong", 0.12 + 0.5 * count / sum(counts)
            yield (
                f'<g><title>{escaped(told)}</title><rect class="{kind}" {square} fill-opacity="{depth:.2f}"/>'
                f'<text class="count" x="{x + cell / 2:.1f}" y="{y + cell / 2 + size / 3:.1f}">{count}</text></g>'
            )
    yield "</g>"


def _line(kind: str, frame: Frame, points: Iterable[tuple[float, float]]) -> str:
    """Join points."""
    places = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)
    return f'<polyline class="{kind}" points="{places}"/>'


def _point(x: float, y: float, told: str, *, kind: str = "point", radius: float = 4.5) -> str:
    """Draw one point; what it is shows when it is pointed at."""
    title = f"<title>{escaped(told)}</title>"
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">{title}</circle>'


def _whisker(x1: float, y1: float, x2: float, y2: float) -> str:
    """Draw an interval with a short stroke at either end."""
    across = "m0,-3v6" if y1 == y2 else "m-3,0h6"
    return f'<path class="whisker" d="M{x1:.1f},{y1:.1f}L{x2:.1f},{y2:.1f}{across}M{x1:.1f},{y1:.1f}{across}"/>'


def _apart(sizes: Sequence[int], frame: Frame) -> list[int]:
    """Keep the sizes whose ticks do not touch, the last ones first."""
    kept: list[int] = []
    for size in sorted(set(sizes), reverse=True):
        if not kept or frame.x(kept[-1]) - frame.x(size) >= _CLOSEST_TICKS:
            kept.append(size)
    return kept


def _whole_percent(share: float) -> str:
    """Write a tick of an axis of shares."""
    return f"{100 * share:.0f} %"
