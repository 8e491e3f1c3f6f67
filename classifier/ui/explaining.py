"""HTML for why: a text with its words marked by what they do for a label. Pure, as `markup` is."""

from __future__ import annotations

from classifier.datamodels import STATUS_EMPTY
from classifier.modeling.explain import Explanation, WordEffect
from classifier.ui.markup import PASSAGE_CHARACTERS, escaped

LEAST_SHARE = 0.1
_FAINTEST, _STRONGEST = 8, 42

CSS = """
<style>
.dc .words { line-height: 1.9; }
.dc .words mark { --sign: light-dark(#0a5cc2, #7db7ff); color: inherit; border-radius: 0.2rem; padding: 0.08em 0.05em;
                  background: color-mix(in srgb, var(--sign) var(--strength, 20%), transparent);
                  text-decoration: underline solid 2px var(--sign); text-underline-offset: 0.22em; }
.dc .words mark.against { --sign: light-dark(#a8430b, #ffa366); text-decoration-style: dotted; }
</style>
"""


def render_words(explanation: Explanation) -> str:
    """Show a text whose deciding words are marked.

    Words for the label are blue with a solid underline, words against it orange with a dotted one; each says its
    number when it is pointed at. Words with less than a tenth of the largest effect stay plain.

    Parameters
    ----------
    explanation : Explanation
        Of any text: whatever it holds stays inert.
    """
    if explanation.status == STATUS_EMPTY:
        return '<p class="dc small">There is nothing to read, so there is nothing to explain.</p>'
    text, label = explanation.text[:PASSAGE_CHARACTERS], escaped(explanation.label)
    largest = max((abs(effect.total) for effect in explanation.words), default=0.0)
    parts, position = [], 0
    for effect in explanation.words:
        if largest and abs(effect.total) >= LEAST_SHARE * largest and effect.end <= len(text):
            mark = _mark(effect, abs(effect.total) / largest, explanation.label)
            parts += [escaped(text[position : effect.start]), mark]
            position = effect.end
    n_more = len(explanation.text) - len(text)
    more = f" … and {n_more:,} more characters" if n_more else ""
    return (
        '<div class="dc"><p class="small">A solid underline speaks for '
        f'<em class="user">{label}</em>, a dotted one against it; the deeper the colour, the more.</p>'
        f'<div class="passage words">{"".join(parts)}{escaped(text[position:])}{more}</div></div>'
    )


def _mark(effect: WordEffect, share: float, label: str) -> str:
    """Mark one word; `share` is its part of the largest effect, in [0, 1]."""
    side = "for" if effect.total > 0 else "against"
    strength = _FAINTEST + (_STRONGEST - _FAINTEST) * share
    title = escaped(f"{effect.total:+.2f}, speaks {side} {label}")
    return f'<mark class="{side}" style="--strength: {strength:.0f}%" title="{title}">{escaped(effect.word)}</mark>'
