"""Ways to look around among documents beside the map: by meaning, between two of them, and label by label."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor
from typing import Any

import streamlit as st

from classifier.datamodels import Settings
from classifier.storage.registry import ModelVersion
from classifier.ui import documents, explore_chart, markup, state
from classifier.ui.documents import ListedDocument
from classifier.ui.state import OpenModel
from classifier.workflows import centres, exploring, lines
from classifier.workflows.centres import LabelCentre
from classifier.workflows.exploring import FoundDocument
from classifier.workflows.lines import End, Line

MOST_FOUND = 100
MOST_ON_LINE = 500
N_TYPICAL = 10
LABELS, DOCUMENTS = "Two labels", "Two documents"
_HOW_TO_READ = (
    "Each point is a document: at 0 it is as A is, at 1 as B is. Of the documents of A and B, those halfway are the "
    "ambiguous ones. The similarity of A and B is {similarity:.2f}"
)


def listed(found: FoundDocument, *, number: float | None = None, note: str | None = None) -> ListedDocument:
    """Turn a document into a row of the shared table: its confidence and whether it was answered right, or others."""
    return ListedDocument(
        id=found.document.id,
        text=found.document.text,
        label=found.document.label or "",
        answer=found.answer,
        number=found.confidence if number is None else min(max(number, 0.0), 1.0),
        note=found.correctness if note is None else note,
    )


def show(
    settings: Settings,
    model: ModelVersion,
    opened: OpenModel,
    rows: Sequence[ListedDocument],
    *,
    key: str,
    source: str,
    number: str = "confidence",
    note: str = "held out",
) -> None:
    """Show documents and what can be done with them."""
    chosen = documents.table(rows, opened.colors, key=key, number=number, note=note)
    if rows:
        documents.actions(rows, chosen, settings=settings, name=model.name, source=source, key=key)


def _search(settings: Settings, model: ModelVersion, opened: OpenModel) -> None:
    """Find documents by meaning."""
    text = st.text_input("Find documents that mean", placeholder="Such as: my parcel never came")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        label = st.selectbox("Label", [None, *opened.colors], format_func=lambda one: one or "All labels")
        correctness = st.selectbox(
            "Answered while held out",
            [None, *exploring.CORRECTNESSES],
            format_func=lambda one: (one or "right or wrong").capitalize(),
        )
        least = st.slider("Least similarity", 0.0, 1.0, 0.0, 0.05)
    if not text.strip():
        st.html(markup.note("Other words with the same meaning are found too; the filters go together"))
        return
    found = state.remembered(
        (opened.key, text, label, correctness, least),
        "search",
        lambda: exploring.search(
            opened.classifier, text, k=MOST_FOUND, label=label, correctness=correctness, min_similarity=least or -1.0
        ),
    )
    st.html(markup.section(f"{len(found):,} nearest documents" if found else "No document passes"))
    rows = [
        listed(one, number=similarity, note=", ".join(exploring.shared_words(text, one.document.text)))
        for one, similarity in found
    ]
    key = _key("search", opened.key, text, label, correctness, least)
    show(settings, model, opened, rows, key=key, source="a search", number="similarity", note="words in common")


def _line(settings: Settings, model: ModelVersion, opened: OpenModel) -> None:
    """Lay documents out between two labels or two documents."""
    kind = st.segmented_control("Between", [LABELS, DOCUMENTS], default=LABELS, required=True)
    left, right = st.columns(2)
    choose, begin_with = (_label_end, _closest_labels) if kind == LABELS else (_document_end, _two_documents)
    first, second = begin_with(opened)
    start, end = choose(opened, left, "A", first), choose(opened, right, "B", second)
    if start is None or end is None:
        return
    only_theirs = kind == LABELS and st.toggle("Only documents of these two labels", value=True)
    line = lines.between(opened.classifier, start, end, only_theirs=only_theirs)
    st.html(markup.section("From A to B", _HOW_TO_READ.format(similarity=line.similarity)))
    lanes = lines.lanes(opened.classifier, line, start, end)
    st.echarts_chart(
        explore_chart.line_option(line, lanes, opened.colors),
        height=explore_chart.line_pixels(len(lanes)),
        key=f"line-{_key(opened.key, start.name, end.name, only_theirs)}",
        alt="Documents between A and B",
    )
    least, most = _whole_line(line)
    low, high = st.slider("List the documents at these positions", least, most, (0.4, 0.6), 0.05)
    found = lines.on_line(opened.classifier, line, low, high, limit=MOST_ON_LINE)
    if found.n_more:
        st.html(markup.note(f"{found.n_more:,} more lie there; choose fewer positions to see all"))
    rows = [listed(one, note=f"{position:.2f}") for one, position in found.documents]
    key = _key("between", opened.key, start.name, end.name, only_theirs, low, high)
    show(settings, model, opened, rows, key=key, source=f"between {start.name} and {end.name}", note="position")


def _closest_labels(opened: OpenModel) -> tuple[str, str]:
    """Return the two labels that are most alike; one label twice where there is no other."""
    found = _centres(opened)
    closest = max(found, key=lambda centre: centre.similarity or 0.0)
    return closest.label, closest.nearest or closest.label


def _two_documents(opened: OpenModel) -> tuple[str, str]:
    """Return the ids of two documents to begin with; empty where there is none."""
    names = [document.id for document in opened.examples] or [""]
    return names[0], names[-1]


def _whole_line(line: Line) -> tuple[float, float]:
    """Return the first and the last position there is, rounded outward; 0 and 1 at least."""
    first, last = (float(line.positions[at]) if len(line.rows) else 0.0 for at in (0, -1))
    return min(floor(10 * first) / 10, 0.0), max(ceil(10 * last) / 10, 1.0)


def _centres(opened: OpenModel) -> list[LabelCentre]:
    """Return the centres of labels, computed once."""
    return state.shared(opened.key, "centres", lambda: centres.label_centres(opened.classifier))


def _label_end(opened: OpenModel, place: Any, name: str, first: str) -> End | None:
    """Choose a label as one end."""
    labels = list(opened.colors)
    label = place.selectbox(name, labels, index=labels.index(first), key=_key(name, opened.key))
    return lines.end_of(opened.classifier, label)


def _document_end(opened: OpenModel, place: Any, name: str, first: str) -> End | None:
    """Choose a document as one end; what is taken is shown."""
    asked = place.text_input(f"{name}: an id, or some words", first, key=_key(f"text {name}", opened.key))
    end = lines.nearest_end(opened.classifier, asked)
    if end is None:
        place.html(markup.note("Give the id of a document, or some words"))
        return None
    document = opened.classifier.documents_[int(end.rows[0])]
    place.html(markup.document_in_full(document.id, markup.shortened(document.text)))
    return end


def _labels(settings: Settings, model: ModelVersion, opened: OpenModel) -> None:
    """Show how compact labels are, and what is typical of one and what is not."""
    found = _centres(opened)
    st.html(
        markup.section(
            "How compact labels are",
            "Compactness is the mean similarity of a label's documents to their centre: 1 if all were the same. "
            "Choose a row to read what is typical of a label",
        )
    )
    event = st.dataframe(
        {
            "label": [[centre.label] for centre in found],
            "documents": [centre.n_documents for centre in found],
            "compactness": [centre.compactness for centre in found],
            "nearest other label": [[centre.nearest] if centre.nearest else [] for centre in found],
            "similarity of centres": [centre.similarity for centre in found],
        },
        hide_index=True,
        height=min(documents.HEAD_PIXELS + documents.ROW_PIXELS * len(found), documents.TALLEST_PIXELS),
        column_config=_centre_columns(opened),
        on_select="rerun",
        selection_mode="single-row",
        key=_key("centres", opened.key),
    )
    chosen = [row for row in event["selection"]["rows"] if row < len(found)]
    label = found[chosen[0] if chosen else 0].label
    typical = centres.typical(opened.classifier, label, N_TYPICAL)
    st.html(markup.label_heading(label, opened.colors))
    for title, note, some, source in (
        ("Least typical", "Farthest from the centre: unusual, or labelled wrongly", typical.farthest, "untypical of"),
        ("Most typical", "Nearest to the centre", typical.nearest, "typical of"),
    ):
        st.html(markup.section(title, note))
        rows = [listed(one, number=similarity) for one, similarity in some]
        key = _key(title, opened.key, label)
        show(settings, model, opened, rows, key=key, source=f"{source} {label}", number="similarity")


def _centre_columns(opened: OpenModel) -> dict[str, Any]:
    """Say how the columns about labels are drawn."""
    labels = st.column_config.MultiselectColumn(options=list(opened.colors), color=list(opened.colors.values()))
    return {
        "label": labels,
        "nearest other label": labels,
        "compactness": st.column_config.ProgressColumn(format="%.2f", min_value=0, max_value=1),
        "similarity of centres": st.column_config.NumberColumn(format="%.2f"),
    }


def _key(*parts: object) -> str:
    """Return a short key that tells a table from others."""
    return f"{parts[0] if isinstance(parts[0], str) else 'table'}-{zlib.crc32(repr(parts).encode())}"


VIEWS: Mapping[str, Callable[[Settings, ModelVersion, OpenModel], None]] = {
    "Search": _search,
    "Between two": _line,
    "Labels": _labels,
}
