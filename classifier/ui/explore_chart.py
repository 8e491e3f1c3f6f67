"""What the charts of the Explore page are made of: options of ECharts, built from arrays and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import pyarrow as pa  # type: ignore[import-untyped]

from classifier.ui.markup import NO_LABEL, NO_LABEL_COLOR
from classifier.workflows.exploring import Group
from classifier.workflows.lines import Line
from classifier.workflows.mapping import DocumentMap

Event: TypeAlias = Mapping[str, Any]

MAP_PIXELS = 620
LANE_PIXELS, LINE_PIXELS = 70, 130
_HINT = "Draw a box or a region to read its documents"
_GREY = NO_LABEL_COLOR[NO_LABEL]
_SYMBOLS = ("circle", "triangle", "diamond", "rect", "arrow")
_SHADES = (
    *("#c8402f", "#d2603a", "#d97f3f", "#dc9c4a", "#cfae63"),
    *("#a9b07c", "#82a99a", "#5f9bb4", "#4687c8", "#3b6fd4"),
)
_OF_ROLES = {
    "right": ("#2f7fd0", "circle", 1.0),
    "wrong": ("#d9542b", "diamond", 1.8),
    "unknown": (_GREY, "rect", 0.8),
    "no label": (_GREY, "circle", 1.0),
    "others": (_GREY, "circle", 0.8),
}
_FEW, _MANY = 2_000, 20_000
_MARGIN = 0.04
_TOOLTIP = {"confine": True, "extraCssText": "max-width: 24rem; white-space: normal; overflow-wrap: anywhere;"}


def map_option(
    found: DocumentMap, groups: Sequence[Group], colors: Mapping[str, str], captions: pa.Table | None
) -> dict[str, Any]:
    """Draw documents as points, one series for each group.

    Parameters
    ----------
    found : DocumentMap
    groups : sequence of Group
        What is drawn alike.
    colors : mapping of str to str
        The colour of each label.
    captions : pyarrow.Table or None
        From `captions_table`; None where a tooltip shall name the group alone.
    """
    n_drawn = sum(len(group.rows) for group in groups)
    size = 9 if n_drawn <= _FEW else 6 if n_drawn <= _MANY else 3
    style = {
        "type": "scatter",
        "encode": {"x": "x", "y": "y"},
        "large": n_drawn > _FEW,
        "largeThreshold": _FEW,
        "progressive": 0,
        "emphasis": {"disabled": True},
    }
    series = []
    for at, group in enumerate(groups):
        color, symbol, scale = _look(group, colors)
        look = {"symbol": symbol, "symbolSize": round(size * scale)}
        opacity = 0.75 if n_drawn <= _MANY else 0.5
        series.append(style | look | {"name": group.name, "datasetIndex": at, "itemStyle": _fill(color, opacity)})
    return {
        "animation": False,
        "dataset": [{"source": _points(found, group, captions)} for group in groups],
        "series": series,
        "grid": {"left": 8, "right": 8, "top": 36, "bottom": 48},
        "xAxis": _bare_axis(found, 0),
        "yAxis": _bare_axis(found, 1),
        "legend": {"type": "scroll", "bottom": 4, "itemWidth": 14, "itemHeight": 11, "itemGap": 14},
        "tooltip": _TOOLTIP | {"formatter": _template(captions)},
        "dataZoom": [{"type": "inside", "xAxisIndex": 0}, {"type": "inside", "yAxisIndex": 0}],
        "brush": {"xAxisIndex": 0, "yAxisIndex": 0, "brushMode": "single", "outOfBrush": {"colorAlpha": 0.15}},
        "title": {"text": _HINT, "left": 112, "top": 20, "textStyle": {"fontSize": 13, "fontWeight": "normal"}},
        "toolbox": {
            "left": 0,
            "top": 0,
            "itemSize": 18,
            "feature": {
                "brush": {
                    "type": ["rect", "polygon", "clear"],
                    "title": {"rect": "Draw a box", "polygon": "Draw a region", "clear": "Clear"},
                }
            },
        },
    }


def line_option(line: Line, lanes: Sequence[Group], colors: Mapping[str, str]) -> dict[str, Any]:
    """Draw the documents of a line as points along it, one lane for each group.

    Parameters
    ----------
    line : Line
    lanes : sequence of Group
        Their rows are positions in `line`.
    colors : mapping of str to str
        The colour of each label.
    """
    series: list[dict[str, Any]] = []
    for at, lane in enumerate(lanes):
        color, symbol, _ = _look(lane, colors)
        series.append(
            {
                "type": "scatter",
                "name": lane.name,
                "datasetIndex": at,
                "encode": {"x": "position", "y": "lane"},
                "symbol": symbol,
                "symbolSize": 7,
                "itemStyle": _fill(color, 0.6),
                "emphasis": {"disabled": True},
            }
        )
    series[0]["markLine"] = {
        "silent": True,
        "symbol": "none",
        "label": {"formatter": "{b}", "position": "start"},
        "lineStyle": {"type": "dashed", "color": _GREY},
        "data": [{"xAxis": 0, "name": "A"}, {"xAxis": 0.5, "name": "halfway"}, {"xAxis": 1, "name": "B"}],
    }
    return {
        "animation": False,
        "dataset": [
            {"source": pa.table({"position": line.positions[lane.rows], "lane": [lane.name] * len(lane.rows)})}
            for lane in lanes
        ],
        "series": series,
        "grid": {"left": 12, "right": 24, "top": 28, "bottom": 28, "containLabel": True},
        "xAxis": {"type": "value", "scale": True},
        "yAxis": {
            "type": "category",
            "data": [lane.name for lane in lanes],
            "inverse": True,
            "jitter": 34,
            "axisLabel": {"width": 130, "overflow": "truncate"},
        },
        "tooltip": _TOOLTIP | {"formatter": "{a}: {@position}"},
    }


def line_pixels(n_lanes: int) -> int:
    """Return how high the chart of a line is."""
    return LINE_PIXELS + LANE_PIXELS * n_lanes


def captions_table(columns: Mapping[str, Sequence[str]]) -> pa.Table | None:
    """Arrange what tooltips say, one row for each document; None where there is nothing."""
    return pa.table({name: list(cells) for name, cells in columns.items()}) if columns else None


def regions(event: Event) -> list[dict[str, Any]]:
    """Return the regions that a visitor has drawn, as `classifier.workflows.mapping.rows_in` takes them."""
    return [dict(area) for area in event["selection"]["areas"]]


def _look(group: Group, colors: Mapping[str, str]) -> tuple[str, str, float]:
    """Return colour, symbol and relative size of a group."""
    if group.role == "label":
        return colors.get(group.name, _GREY), _SYMBOLS[list(colors).index(group.name) % len(_SYMBOLS)], 1.0
    if group.role == "confidence":
        return _SHADES[int(group.name.partition(" ")[0]) * len(_SHADES) // 100], "circle", 1.0
    return _OF_ROLES[group.role]


def _fill(color: str, opacity: float) -> dict[str, Any]:
    """Return how a point is filled."""
    return {"color": color, "opacity": opacity}


def _points(found: DocumentMap, group: Group, captions: pa.Table | None) -> pa.Table:
    """Return the columns of one series."""
    x, y = found.coordinates[group.rows].T
    points = pa.table({"x": x.copy(), "y": y.copy()})
    if captions is not None:
        for name, cells in zip(captions.column_names, captions.take(group.rows).columns, strict=True):
            points = points.append_column(name, cells)
    return points


def _bare_axis(found: DocumentMap, axis: int) -> dict[str, Any]:
    """Return an axis without numbers, as they mean nothing, that begins and ends a little beyond the points."""
    values = found.coordinates[:, axis]
    low, high = float(values.min()), float(values.max())
    margin = _MARGIN * (high - low) or 1.0
    return {"type": "value", "show": False, "min": low - margin, "max": high + margin}


def _template(captions: pa.Table | None) -> str:
    """Return what a tooltip says; the cells are put in as plain text."""
    if captions is None:
        return "{a}"
    return "<b>{a}</b><br>" + "<br>".join(f"{{@{name}}}" for name in captions.column_names)
