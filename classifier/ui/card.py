"""The card of a model as HTML. Pure: of its Markdown, only headings, lists and tables mean anything."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from classifier.ui.markup import escaped

CSS = """
<style>
.dc.document { max-width: 60rem; display: grid; gap: 0.55rem; }
.dc.document ul { list-style: disc; padding-left: 1.2rem; display: grid; gap: 0.2rem; }
.dc.document h3 { font-size: 1rem; font-weight: 600; margin-top: 0.6rem; }
.dc.document .wide { overflow-x: auto; }
.dc.document table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
.dc.document :is(th, td) { text-align: left; padding: 0.25rem 1.1rem 0.25rem 0; border: 0;
                           border-bottom: 1px solid var(--line); }
</style>
"""
_ESCAPED = re.compile(r"\\(.)")
_CELL_END = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"\|[-|: ]*\|?")


def render_document(text: str) -> str:
    r"""Turn the Markdown of a card into HTML; links, pictures and HTML in it stay text.

    Examples
    --------
    >>> render_document("# A & B\n\n- <b>x</b>")
    '<div class="dc document"><h2 class="user">A &amp; B</h2><ul><li class="user">&lt;b&gt;x&lt;/b&gt;</li></ul></div>'
    """
    pieces: list[str] = []
    for kind, lines in groupby(text.splitlines(), _kind):
        pieces += _piece(kind, [line.strip() for line in lines])
    return f'<div class="dc document">{"".join(pieces)}</div>'


def _kind(line: str) -> str:
    """Tell what a line is part of."""
    line = line.strip()
    return next((sign for sign in ("#", "- ", "|") if line.startswith(sign)), "text" if line else "")


def _piece(kind: str, lines: Sequence[str]) -> Iterator[str]:
    """Draw lines of one kind."""
    if kind == "#":
        for line in lines:
            yield _tagged("h2" if line.startswith("# ") else "h3", line.lstrip("# "))
    elif kind == "- ":
        items = "".join(_tagged("li", line[2:]) for line in lines)
        yield f"<ul>{items}</ul>"
    elif kind == "|":
        rows = [_cells(line) for line in lines if not _RULE.fullmatch(line)]
        drawn = "".join(_row(row, "td" if number else "th") for number, row in enumerate(rows))
        yield f'<div class="wide"><table>{drawn}</table></div>'
    elif kind:
        yield _tagged("p", " ".join(lines))


def _cells(line: str) -> list[str]:
    """Split a row of a table."""
    return [cell.strip() for cell in _CELL_END.split(line.removeprefix("|").removesuffix("|"))]


def _row(cells: Sequence[str], tag: str) -> str:
    """Draw a row of a table."""
    return f"<tr>{''.join(_tagged(tag, cell) for cell in cells)}</tr>"


def _tagged(tag: str, text: str) -> str:
    """Return what Markdown stands for, as text in an element."""
    plain = html.unescape(_ESCAPED.sub(r"\1", text.replace("`", "")))
    return f'<{tag} class="user">{escaped(plain)}</{tag}>'
