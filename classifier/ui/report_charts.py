"""The matrix of the report as a chart whose cells can be chosen. Pure: values in, options out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from classifier.ui.markup import shortened

RIGHT, WRONG = "59, 111, 212", "217, 98, 43"
INK = {False: "#1d2433", True: "#e6e9f0"}
LINE = {False: "#dde2ec", True: "#2c3342"}
AXIS_PIXELS, LABEL_CHARACTERS = 150, 24
_LARGE_CELL, _SMALL_CELL, _FEW_LABELS = 38, 30, 12
_FAINTEST, _DEEPEST = 0.14, 0.5


def matrix_cells(matrix: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Return row and column of each cell that is not 0; the chart numbers its cells in this order."""
    return [(row, column) for row, counts in enumerate(matrix) for column, count in enumerate(counts) if count]


def matrix_chart(
    labels: Sequence[str], matrix: Sequence[Sequence[int]], n_true: Sequence[int], *, dark: bool
) -> dict[str, Any]:
    """Describe a matrix of true labels (rows) and answers (columns).

    Parameters
    ----------
    labels : sequence of str
    matrix : sequence of sequence of int
        Documents by true label and answer.
    n_true : sequence of int
        All documents of each label, of which a cell's share decides its depth.
    dark : bool
        Whether the page is dark.

    Returns
    -------
    dict
        Options of Apache ECharts. What labels hold is drawn as plain text.
    """
    names = [shortened(label, LABEL_CHARACTERS) for label in labels]
    data = [_cell(labels, matrix, n_true, row, column) for row, column in matrix_cells(matrix)]
    axis = {
        "type": "category",
        "data": [{"value": name} for name in _told_apart(names)],
        "axisTick": {"show": False},
        "axisLine": {"show": False},
        "splitLine": {"show": True, "lineStyle": {"color": LINE[dark]}},
    }
    text = {"fontSize": 13, "color": INK[dark], "interval": 0, "width": AXIS_PIXELS, "overflow": "truncate"}
    return {
        "animation": False,
        "grid": {"left": 8, "right": 90, "top": 8, "bottom": 8, "containLabel": True},
        "tooltip": {"formatter": "{b}", "confine": True},
        "xAxis": axis | {"position": "top", "axisLabel": text | {"rotate": -45}},
        "yAxis": axis | {"inverse": True, "axisLabel": text},
        "series": [
            {
                "type": "heatmap",
                "data": data,
                "selectedMode": "single",
                "label": {"show": True, "fontSize": 13, "color": INK[dark]},
                "itemStyle": {"borderRadius": 3, "borderWidth": 2, "borderColor": "transparent"},
                "select": {"itemStyle": {"borderColor": INK[dark], "borderWidth": 2}},
                "emphasis": {"itemStyle": {"borderColor": INK[dark]}},
            }
        ],
    }


def matrix_height(n_labels: int) -> int:
    """Return how high the chart of so many labels is, in pixels."""
    return n_labels * (_LARGE_CELL if n_labels <= _FEW_LABELS else _SMALL_CELL) + AXIS_PIXELS + 30


def _cell(
    labels: Sequence[str], matrix: Sequence[Sequence[int]], n_true: Sequence[int], row: int, column: int
) -> dict[str, Any]:
    """Describe one cell; its name is what it says when it is pointed at."""
    count = matrix[row][column]
    share = min(count / n_true[row], 1.0) if n_true[row] else 0.0
    true, answered = shortened(labels[row], 60), shortened(labels[column], 60)
    told = f"{true}: answered rightly" if row == column else f"{true} taken for {answered}"
    color = RIGHT if row == column else WRONG
    return {
        "value": [column, row, count],
        "name": f"{told}, {count:,} of {n_true[row]:,}",
        "itemStyle": {"color": f"rgba({color}, {_FAINTEST + _DEEPEST * share:.2f})"},
        "label": {"formatter": f"{count:,}"},
    }


def _told_apart(names: Sequence[str]) -> list[str]:
    """Put a number behind names that are equal once shortened: an axis has each name once."""
    return [name if names.index(name) == at else f"{name} ({at + 1})" for at, name in enumerate(names)]


def matrix_width(n_labels: int) -> int:
    """Return how wide it is, in pixels; a narrow screen makes it narrower."""
    return n_labels * (_LARGE_CELL if n_labels <= _FEW_LABELS else _SMALL_CELL) * 3 // 2 + AXIS_PIXELS + 120
