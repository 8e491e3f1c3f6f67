"""What pages that stand by themselves are made of: one look, safe text, tables, plots. No script, no request."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

STYLE = """
:root { color-scheme: light dark; --paper: light-dark(#ffffff, #14161a); --ink: light-dark(#1c2027, #e8eaee);
  --accent: light-dark(#3b6fd4, #7ea4f0); --doubt: light-dark(#d9622b, #e8854f);
  --muted: color-mix(in srgb, var(--ink) 66%, transparent); --line: color-mix(in srgb, var(--ink) 13%, transparent);
  --track: color-mix(in srgb, var(--ink) 5%, transparent); }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5; overflow-wrap: anywhere;
  font-family: "Source Sans 3", "Source Sans Pro", system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 3rem 1.5rem 4rem; }
h1, h2, p, ul, dl, dd, pre, figure { margin: 0; padding: 0; }
h1 { font-size: 1.75rem; font-weight: 650; letter-spacing: -0.015em; line-height: 1.2; }
h2 { font-size: 1.1rem; font-weight: 600; line-height: 1.35; }
section { margin-top: 2.75rem; }
.lead, .small { color: var(--muted); max-width: 46rem; }
.lead { margin-top: 0.4rem; }
.small { font-size: 0.875rem; margin-top: 0.2rem; }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.facts { display: flex; flex-wrap: wrap; gap: 0.6rem 2.2rem; margin: 0.9rem 0; }
.facts dt { color: var(--muted); font-size: 0.8rem; }
.facts dd { font-size: 1.15rem; font-weight: 620; }
.plot { display: block; width: 100%; height: auto; font-size: 12px; overflow: visible; }
.plot text { fill: var(--muted); font-variant-numeric: tabular-nums; }
.plot .rule { stroke: var(--line); }
.scroll { overflow-x: auto; margin-top: 0.7rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; }
th { font-weight: 500; color: var(--muted); }
th, td { padding: 0.32rem 0.6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
.dot { display: inline-block; width: 0.6rem; height: 0.6rem; border-radius: 50%; margin-right: 0.5rem;
  background: var(--label); }
td { font-variant-numeric: tabular-nums; }
tr.chosen td { font-weight: 650; background: var(--track); }
summary { cursor: pointer; margin-top: 1.2rem; color: var(--muted); }
@media (max-width: 640px) { main { padding: 1.5rem 1rem 3rem; } }
@media print { :root { color-scheme: light; } main { max-width: none; padding: 0; }
  h2, figcaption { break-after: avoid; } figure, tr { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def document(title: str, body: str, style: str) -> str:
    """Write a whole page.

    Parameters
    ----------
    title : str
        Plain text; also its first heading, when it is written into `body`.
    body : str
        HTML.
    style : str
        What this page adds to the common look, as CSS.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escaped(title)}</title>
<style>{STYLE}{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def escaped(value: object) -> str:
    """Make a value safe inside an element or a quoted attribute.

    Examples
    --------
    >>> escaped('<b title="x">')
    '&lt;b title=&quot;x&quot;&gt;'
    """
    return html.escape(str(value).encode("utf-8", "replace").decode())


def prose(sentence: str) -> str:
    """Make a plain sentence safe inside an element, and keep a number with its percent sign."""
    return escaped(sentence).replace(" %", "\u00a0%")


def shortened(text: object, length: int) -> str:
    """Return a user's string on one line, cut to `length` characters; plain, not escaped.

    Examples
    --------
    >>> shortened("late, and damaged", 8)
    'late, a…'
    """
    line = " ".join(str(text).split())
    return line if len(line) <= length else line[: length - 1] + "…"


def percent(share: float) -> str:
    """Write a share as a percentage."""
    return f"{100 * share:.1f}\u00a0%"


def bounds(interval: Sequence[float]) -> str:
    """Write an interval of shares in percent.

    Examples
    --------
    >>> bounds((0.825, 0.9))
    '82.5 to 90.0'
    """
    low, high = interval
    return f"{100 * low:.1f} to {100 * high:.1f}"


def fact_list(facts: Iterable[tuple[str, str]]) -> str:
    """Lay out terms, each with its value; both are HTML."""
    listed = "".join(f'<div><dt>{name}</dt><dd class="number">{value}</dd></div>' for name, value in facts)
    return f'<dl class="facts">{listed}</dl>'


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, chosen: Sequence[bool] = (), kind: str = "") -> str:
    """Lay out rows of cells, the first of each to the left.

    Parameters
    ----------
    header, rows
        HTML.
    chosen : sequence of bool
        Which rows are marked; none where it is empty.
    kind : str
        Class of the table.
    """
    head = "".join(f'<th scope="col">{name}</th>' for name in header)
    body = ""
    for number, row in enumerate(rows):
        marked = ' class="chosen"' if number < len(chosen) and chosen[number] else ""
        body += f"<tr{marked}>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
    named = f' class="{kind}"' if kind else ""
    return f'<div class="scroll"><table{named}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def drawing(width: float, height: float, label: str, content: str, style: str = "") -> str:
    """Put a plot together; `label` says in words what it shows."""
    styled = f' style="{style}"' if style else ""
    return (
        f'<svg class="plot" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escaped(label)}"{styled}>'
        f"{content}</svg>"
    )


@dataclass(frozen=True, slots=True)
class Frame:
    """Where values fall in a plot, whose y is a share.

    Attributes
    ----------
    width, height : int
        Of the drawing; `left`, `bottom`, `top` and `right` are kept free of marks.
    x_range, y_range : tuple of float
        What is shown.
    is_log : bool
        Whether x is logarithmic.
    """

    width: int
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    height: int = 380
    left: int = 46
    bottom: int = 42
    top: int = 12
    right: int = 12
    is_log: bool = False

    @property
    def floor(self) -> int:
        """Where the x axis is."""
        return self.height - self.bottom

    def x(self, value: float) -> float:
        """Place a value from left to right."""
        scaled = math.log if self.is_log else float
        low, high = (scaled(bound) for bound in self.x_range)
        return self.left + (scaled(value) - low) / (high - low) * (self.width - self.left - self.right)

    def y(self, share: float) -> float:
        """Place a share from bottom to top."""
        low, high = self.y_range
        return self.floor - (share - low) / (high - low) * (self.floor - self.top)

    def axes(
        self,
        x_ticks: Iterable[float],
        x_title: str,
        y_title: str = "",
        written: Callable[[float], str] = "{:,.0f}".format,
    ) -> str:
        """Draw rules, ticks and titles; `written` says how values of x read."""
        step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2) if (self.y_range[1] - self.y_range[0]) / step <= 7)
        first, last = math.ceil(self.y_range[0] / step - 1e-9), math.floor(self.y_range[1] / step + 1e-9)
        rows = "".join(
            f'<line class="rule" x1="{self.left}" x2="{self.width - self.right}" y1="{self.y(tick * step):.1f}" '
            f'y2="{self.y(tick * step):.1f}"/><text x="{self.left - 8}" y="{self.y(tick * step) + 4:.1f}" '
            f'text-anchor="end">{100 * tick * step:.0f} %</text>'
            for tick in range(first, last + 1)
        )
        columns = "".join(
            f'<text x="{self.x(tick):.1f}" y="{self.floor + 18}" text-anchor="middle">{written(tick)}</text>'
            for tick in x_ticks
            if self.x_range[0] <= tick <= self.x_range[1]
        )
        middle = (self.left + self.width - self.right) / 2
        titles = f'<text x="{middle}" y="{self.floor + 38}" text-anchor="middle">{x_title}</text>'
        return rows + columns + titles + (f'<text x="0" y="11">{y_title}</text>' if y_title else "")

    def svg(self, label: str, content: str) -> str:
        """Put the plot together."""
        return drawing(self.width, self.height, label, content)


def roomy(low: float, high: float) -> tuple[float, float]:
    """Give shares some room, in steps of two points.

    Examples
    --------
    >>> roomy(0.83, 0.9)
    (0.82, 0.92)
    """
    return max(0.0, math.floor(low * 50 - 0.25) / 50), min(1.0, math.ceil(high * 50 + 0.25) / 50)
