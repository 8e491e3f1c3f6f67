"""One colour per label, the same wherever the label is drawn."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

_HAND_PICKED = (
    "#3b6fd4", "#d9622b", "#2c9a6b", "#b0408f", "#c49a16",
    "#7459c9", "#1f95a8", "#cc4257", "#6f8f2a", "#8a6148",
)  # fmt: skip
_GOLDEN_ANGLE = 0.61803398875


def label_colors(labels: Sequence[str]) -> dict[str, str]:
    """Give each label a colour that reads on white and on black.

    Returns
    -------
    dict of str to str
        ``#rrggbb``; the first ten are chosen by hand, further ones walk the colour circle.

    Examples
    --------
    >>> label_colors(["refund"])
    {'refund': '#3b6fd4'}
    """
    return {label: _color(index) for index, label in enumerate(labels)}


def _color(index: int) -> str:
    """Return the colour of a position."""
    if index < len(_HAND_PICKED):
        return _HAND_PICKED[index]
    hue = (index * _GOLDEN_ANGLE) % 1.0
    lightness = (0.42, 0.5, 0.58)[index % 3]
    channels = colorsys.hls_to_rgb(hue, lightness, 0.55)
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)
