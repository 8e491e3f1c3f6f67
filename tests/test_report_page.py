"""A model's report and card: what they say, what they survive, and that nothing on them runs."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifier.analysis.evaluation import evaluate
from classifier.analysis.html import Frame, document, roomy
from classifier.analysis.model_card import render_card
from classifier.analysis.report_figures import MOST_LABELS
from classifier.analysis.report_page import render_report
from classifier.analysis.report_words import (
    RECORDED,
    is_cross_validated,
    learning_sentence,
    limit_sentences,
    not_shown,
    summary_sentences,
)

BUNDLES = Path(__file__).parent / "bundles"
HOSTILE = "<script>alert('\"&')</script>"
UNCLOSED = {"meta", "wbr"}
SHAPES = {"path", "line", "circle", "polyline", "rect"}
LARGEST_BYTES = 5_000_000


class Page(HTMLParser):
    """Read a page strictly: every tag that opens closes, in order.

    Attributes
    ----------
    attributes : list of (str, str or None)
        Of all tags.
    tags : list of str
        In order of opening.
    words : str
        What a reader reads.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str | None]] = []
        self.tags: list[str] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open
        self.words = " ".join(self.words.split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in UNCLOSED:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note a shape."""
        assert tag in SHAPES, tag
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag: str) -> None:
        """Close the last tag that is open."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep what is not style."""
        if "style" not in self._open:
            self.words += f"{data} "


def facts(**changes: Any) -> dict[str, Any]:
    """Return the facts of a small model, as they are read from its bundle."""
    proba = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])
    metrics = evaluate(proba, ["apple", "pear"], ["apple", "pear", "pear", "pear"], majority="pear").to_dict()
    found = {
        "created": "2024-05-01T10:00:00+00:00",
        "libraries": {"document-classifier": "0.1.0"},
        "contract": {"model_id": "an-encoder", "dimension": 8, "max_tokens": 32, "weights_sha256": "cd" * 32},
        "labels": [{"name": "apple", "color": "#3b6fd4"}, {"name": "pear", "color": "#d9622b"}],
        "head": "hybrid",
        "seed": 7,
        "inverse_regularisation": 10.0,
        "temperature": 0.51,
        "n_words": 1234,
        "data": {"n_documents": 1200, "file": "letters.csv", "sha256": "ab" * 32, "n_unlabelled": 17},
        "warnings": ["Two labels look alike."],
        "measured_on": "5-fold cross-validation of the training documents",
        "metrics": metrics,
        "race": [entrant("embedding", 10.0), entrant("words", 1.0), entrant("embedding and words", 0.0, chosen=True)],
        "baselines": [method("always the most frequent label", 0.75), method("five nearest documents", 0.7),
                      method("embedding", 0.72), method("words", 0.6)],
        "review": {
            "costs": [cost(0.5, 0.0, 0.91), cost(0.71, 0.123, 0.953), cost(0.93, 0.456, 0.987), cost(1.1, 1.0, None)],
            "curve": [{"threshold": 0.9, "coverage": 0.5, "accuracy": 0.99},
                      {"threshold": 0.4, "coverage": 1.0, "accuracy": 0.91}],
        },
        "sets": [{"confidence_level": 0.95, "coverage": 0.957, "mean_size": 1.43, "empty_fraction": 0.002,
                  "n_documents": 4}],
        "audit": {"n_documents": 1200, "n_conflicting_texts": 2, "n_conflicting_documents": 5, "n_repeated": 31,
                  "n_near_duplicates": 12, "n_suspected": 9, "estimated_error_fraction": 0.034,
                  "overlaps": [{"label": "apple", "other": "pear", "n_confused": 6, "share": 0.11}],
                  "small_labels": {"apple": 3}, "n_issues": {"conflicting": 5}},
        "scope": {"limit": -3.1},
        "learning_curve": [point(120, 0.8), point(480, 0.85), point(960, 0.88)],
        "learning_curve_estimate": {"n_documents": 1920, "accuracy": 0.902},
        **changes,
    }  # fmt: skip
    return json.loads(json.dumps(found))


def entrant(features: str, c: float, *, chosen: bool = False) -> dict[str, Any]:
    """Return one row of the race."""
    return {"features": features, "c": c, "loss": 0.456, "accuracy": 0.876, "n_documents": 4, "chosen": chosen}


def method(name: str, accuracy: float) -> dict[str, Any]:
    """Return one baseline."""
    interval = [accuracy - 0.1, accuracy + 0.1]
    return {"name": name, "n_documents": 4, "accuracy": accuracy, "accuracy_interval": interval, "macro_f1": 0.5}


def cost(threshold: float, fraction: float, right: float | None) -> dict[str, Any]:
    """Return one row of what review costs."""
    return {"threshold": threshold, "review_fraction": fraction, "accuracy_answered": right, "n_documents": 4}


def point(n_documents: int, accuracy: float) -> dict[str, Any]:
    """Return one point of a learning curve."""
    interval = [accuracy - 0.03, accuracy + 0.03]
    return {"n_documents": n_documents, "accuracy": accuracy, "accuracy_interval": interval}


def many_labels(n: int, start: str = "shelf") -> dict[str, Any]:
    """Return the facts of a model with many labels, of which each is taken for the next one once."""
    names = [f"{start} {number:04}" for number in range(n)]
    metrics = facts()["metrics"]
    metrics["per_class"] = {
        name: {"n_documents": 11, "n_predicted": 11, "precision": 0.9, "recall": 0.9, "f1": (number + 1) / n}
        for number, name in enumerate(names)
    }
    confusion = np.zeros((n, n), dtype=np.int64)
    rows = np.arange(n)
    confusion[rows, rows], confusion[rows, (rows + 1) % n] = 10, 1
    labels = [{"name": name, "color": "#3b6fd4"} for name in names]
    return {**facts(labels=labels), "metrics": metrics | {"labels": names, "confusion": confusion.tolist()}}


def words_of(found: dict[str, Any], title: str = "fruit, version 1") -> str:
    """Return what the page says."""
    return Page(render_report(title, found)).words.replace("\u00a0", " ")


def paths_of(found: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where each value of nested facts is."""
    entries = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, value in entries:
        yield (*before, key)
        yield from paths_of(value, (*before, key))


def test_the_page_stands_by_itself() -> None:
    """One whole file: no script, no request, every figure titled and described, every link within the page."""
    text = render_report("fruit, version 1", facts())
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not {"src", "srcset", "action"} & {name for name, _ in page.attributes}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not re.search(r"https?:|//|url\(|@import", text)
    links = [value for name, value in page.attributes if name == "href"]
    assert len(links) == 11
    assert {f"#{value}" for name, value in page.attributes if name == "id"} == set(links)
    assert ("lang", "en") in page.attributes
    drawn = page.tags.count("svg")
    assert drawn == page.tags.count("figcaption") == page.attributes.count(("role", "img")) == 5
    described = [value for name, value in page.attributes if name == "aria-label" and value != "Contents"]
    assert len(described) == drawn
    assert all(value and len(value) > 40 for value in described)
    assert "color-scheme: light dark" in text
    assert "@media print" in text


def test_the_page_holds_the_numbers() -> None:
    """Every measured figure is there as a person writes it."""
    words = words_of(facts())
    for figure in (
        "75.0 % (30.1 to 95.4)",  # accuracy
        "five nearest documents 70.0 % (60.0 to 80.0)",
        "95 % 0.71 12.3 % 95.3 %",  # wanted, confidence, read, right
        "99 % everything not reached",
        "embedding and words of each of each 0.456 87.6 % 4 ★ yes",
        "120 80.0 % 77.0 to 83.0",
        "1,920 ≈ 90.2 % an estimate",
        "95.0 % 95.7 % 1.43 0.2 % 4",  # sets
        "repeats of an earlier document 31",
        "apple pear 6 11.0 %",
        "1,200 documents of letters.csv",
        "17 rows, left out",
        "SHA-256 " + "ab" * 32,
        "Two labels look alike.",
        "an-encoder, 8 dimensions",
    ):
        assert figure in words


def test_the_summary_is_three_sentences_for_a_manager() -> None:
    """What it does, how good it is beside the best simpler method, and what reading the unsure answers costs."""
    does, good, costs = summary_sentences("fruit, version 1", facts())
    assert does == (
        "fruit, version 1 gives each document one of 2 labels ('apple', 'pear'); it learned them from 1,200 documents "
        "of letters.csv on 1 May 2024."
    )
    assert "it labels 75.0 % (95 % interval 30.1 to 95.4) rightly" in good
    assert "always the most frequent label would be right in 75.0 %" in good
    assert costs == "When a person reads the 12.3 % that it is least sure of, 95.3 % of its other answers are right."
    better = facts(baselines=[method("words", 0.74)])
    assert (
        "the best simpler method, the words alone, reaches 74.0 %, which lies within"
        in summary_sentences("x", better)[1]
    )


def test_a_simpler_method_above_the_interval_does_not_lie_within_it() -> None:
    """The interval has two ends, and both are looked at."""
    for reached, is_within in ((0.302, True), (0.953, True), (0.3, False), (0.96, False)):
        told = summary_sentences("x", facts(baselines=[method("words", reached)]))[1]
        assert f"the words alone, reaches {100 * reached:.1f} %" in told
        assert ("which lies within that interval" in told) is is_within


@pytest.mark.parametrize(
    ("costs", "sentence"),
    [
        ([cost(1.1, 1.0, None)] * 4, "No confidence was high enough"),
        ([cost(0.1, 0.0, 0.995)] * 4, "Nobody has to read anything for 99 % right answers."),
        ([cost(0.1, 0.0, 0.96)] * 2 + [cost(1.1, 1.0, None)] * 2, "for 95 % right answers; more was not reached"),
        ([cost(0.9, 0.8, 0.91)] * 4, "When a person reads the 80.0 % that it is least sure of, 91.0 %"),
    ],
)
def test_costs_are_said_in_words(costs: list[dict[str, Any]], sentence: str) -> None:
    """Nothing reached, everything reached, and everything between."""
    found = facts(review={"costs": costs, "curve": facts()["review"]["curve"]})
    assert sentence in summary_sentences("x", found)[2]
    Page(render_report("x", found))


def test_labels_stand_weakest_first() -> None:
    """Page and card begin with the label that needs help; the page marks few documents."""
    proba = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])
    metrics = evaluate(proba, ["apple", "pear"], ["apple", "pear", "pear", "pear"], majority="pear").to_dict()
    first, second = sorted(metrics["per_class"], key=lambda name: metrics["per_class"][name]["f1"])
    words = words_of(facts())
    assert re.search(rf"documents {first} [\d.]+ .* {second} [\d.]+ .*\*", words)
    assert "fewer than 10 documents" in words
    card = render_card("x", facts())
    assert card.index(f"| {first} |") < card.index(f"| {second} |")


def test_more_documents_are_advised_only_where_they_help() -> None:
    """A steep curve asks for documents, a flat one for clearer labels, and none says nothing."""
    assert "2.2 points more than with 960: more documents are worth it" in learning_sentence(facts())
    flat = facts(learning_curve_estimate={"n_documents": 1920, "accuracy": 0.881})
    assert "would change little" in learning_sentence(flat)
    assert learning_sentence(facts(learning_curve_estimate=None)) == ""


def test_limits_name_what_is_weak_in_this_model() -> None:
    """Weak and small labels, rough confidence, unknown labels, and a missing scope are named."""
    metrics = facts()["metrics"] | {"ece": 0.12, "unknown_labels": ["plum"]}
    metrics["per_class"]["pear"]["f1"] = 0.2
    told = " ".join(limit_sentences(facts(metrics=metrics, scope=None)))
    for words in ("weak at 'pear'", "'apple' (3)", "12.0 points off", "'plum'", "also where none fits", "about people"):
        assert words in told
    assert "marked out-of-scope" in " ".join(limit_sentences(facts()))


def test_a_test_file_is_not_compared_with_cross_validation() -> None:
    """Figures of different documents stand apart, and the page says so."""
    found = facts(measured_on="the test file more.csv")
    assert "compare with care" in words_of(found)
    assert "best simpler method" not in summary_sentences("x", found)[1]
    assert "measured on held-out training documents:" in render_card("x", found)


@pytest.mark.parametrize("name", ["my cross-validation set.csv", "5-fold cross-validation of x.csv", "more.csv"])
def test_the_name_of_a_test_file_does_not_matter(name: str) -> None:
    """What was measured on is told by the product's own words, not by those of a user."""
    assert not is_cross_validated(facts(measured_on=f"the test file {name}"))
    assert not is_cross_validated(facts(measured_on=""))
    assert is_cross_validated(facts())


def test_costs_and_sets_beside_a_test_file_say_where_they_come_from() -> None:
    """They are of held-out training documents, while the metrics beside them are not; else nothing is added."""
    origin, note = "by cross-validation of the training documents", "not on the test file."
    found = facts(measured_on="the test file more.csv")
    assert summary_sentences("x", found)[2].startswith(f"{origin.capitalize()}, when a person reads the 12.3 %")
    assert render_card("x", found).partition("## What review costs")[2].startswith(f"\n\nMeasured {origin}, {note}\n")
    assert words_of(found).count(f"Measured {origin}, {note}") == 2
    for text in (*summary_sentences("x", facts()), render_card("x", facts()), words_of(facts())):
        assert origin.capitalize() not in text
        assert note not in text


def test_a_head_on_embeddings_is_not_its_own_baseline() -> None:
    """The embedding alone is the model itself, and is left out."""
    words = words_of(facts(head="logistic"))
    assert "the embedding alone" not in words
    assert "the words alone" in words


def test_users_strings_stay_inert() -> None:
    """Labels, files, warnings, names and colours that are scripts are shown, not run; a lone surrogate does no harm."""
    hostile = f"{HOSTILE}\ud800"
    found = facts(
        labels=[{"name": hostile, "color": '#fff"><script>'}, {"name": "pear", "color": "red;background:url(x)"}],
        warnings=[hostile],
        measured_on=hostile,
        head=hostile,
        race=[entrant(hostile, 1.0)],
        baselines=[method(hostile, 0.5)],
        data={"n_documents": 2, "file": hostile, "sha256": hostile},
        contract={"model_id": hostile, "dimension": hostile, "max_tokens": hostile, "weights_sha256": hostile},
        libraries={"document-classifier": hostile},
    )
    metrics = found["metrics"]
    metrics["labels"] = [hostile, "pear"]
    metrics["per_class"][hostile] = metrics["per_class"].pop("apple")
    found["audit"]["overlaps"][0]["label"] = hostile
    found["audit"]["small_labels"] = {hostile: 1}
    text = render_report(hostile, found)
    page = Page(text)
    assert "script" not in page.tags
    assert "url(" not in text
    assert text.count("&lt;script&gt;") > 15
    text.encode("utf-8")
    assert "<script" not in render_card(hostile, found)


@pytest.mark.parametrize("name", sorted(facts()))
def test_every_fact_may_be_missing(name: str) -> None:
    """A model of an older version has a page without the part; the page says what was not recorded."""
    found = facts()
    del found[name]
    words = words_of(found)
    if name in RECORDED:
        assert f"Not recorded by the version that trained it: {RECORDED[name]}." in words
    else:
        assert "Not recorded" not in words
    assert words_of({}).startswith("Report of fruit")


@pytest.mark.parametrize("name", ["metrics", "contract", "data", "audit"])
def test_every_part_of_a_fact_may_be_missing(name: str) -> None:
    """Whatever lacks within a fact, the rest is shown."""
    for path in [path for path in paths_of(facts()[name]) if len(path) == 1]:
        found = facts()
        del found[name][path[0]]
        Page(render_report("x", found))


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_what_was_not_measured_is_told_apart(name: str) -> None:
    """Nothing to measure is another thing than nothing recorded."""
    words = words_of(facts(**{name: None}))
    assert f"Not measured, for want of documents: {RECORDED[name]}." in words
    assert not_shown(facts(**{name: None})) == ([], [RECORDED[name]])
    render_card("x", facts(**{name: None}))


def test_an_unmeasured_model_shows_no_figures() -> None:
    """Without metrics, page and card say that nothing is known."""
    found = facts(metrics=None, baselines=[], review=None, sets=[], learning_curve=[], learning_curve_estimate=None)
    words = words_of(found)
    assert "no label has two different documents" in words
    assert "accuracy 7" not in words
    assert "Its quality is unknown" in words
    assert "Its quality is unknown" in render_card("x", found)


@pytest.mark.parametrize("name", ["format-1", "format-2"])
def test_models_of_every_format_have_a_page(name: str) -> None:
    """A committed old bundle shows what it knows, its race by C included."""
    found = json.loads((BUNDLES / name / "manifest.json").read_text(encoding="utf-8"))["facts"]
    words = words_of(found)
    assert "C = 30" in words
    assert "Not recorded by the version that trained it: simpler methods, cost of review" in words
    assert f"{100 * found['metrics']['accuracy']:.1f} %" in words
    render_card("old", found)


def test_many_labels_at_once_have_a_page() -> None:
    """A model that gives several labels is judged by exact matches and F1."""
    metrics = {
        "exact_match": 0.62,
        "micro_f1": 0.831,
        "macro_f1": 0.777,
        "n_documents": 40,
        "per_class": facts()["metrics"]["per_class"],
    }
    race = [one | {"macro_f1": one["accuracy"]} for one in facts()["race"]]
    found = facts(task="multi-label", metrics=metrics, race=race, baselines=[], sets=[], review=None)
    words = words_of(found)
    assert "any number of 2 labels" in words
    assert "it gives 62.0 % exactly their labels" in words
    assert "micro-F1 83.1 %" in words
    assert "| micro-F1 | 0.831 |" in render_card("x", found)


def test_a_map_is_drawn_as_long_as_it_can_be_read() -> None:
    """Up to forty labels have a map; above, the most confused pairs are a table."""
    drawn, listed = (render_report("x", many_labels(n)) for n in (MOST_LABELS, MOST_LABELS + 1))
    assert "Confusion matrix of 40 labels" in drawn
    assert "Confusion matrix" not in listed
    for text in (drawn, listed):
        assert "the 12 most frequent" in Page(text).words
    assert "shelf 0000 taken for shelf 0001: 1" in drawn


def test_five_thousand_labels_have_a_page() -> None:
    """The page stays small; the weakest labels are shown, and the rest is counted."""
    found = many_labels(5000, start='"&<>' * 40)
    text = render_report("x", found)
    assert len(text.encode("utf-8")) < LARGEST_BYTES
    words = Page(text).words
    assert "960 labels with a higher F1" in words
    assert "4,000 more labels fare better" in words
    assert len(render_card("x", found)) < 200_000


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_any_figures_can_be_drawn(share: float) -> None:
    """Equal and extreme figures keep every mark inside its drawing."""
    found = facts(
        learning_curve=[{"n_documents": 9, "accuracy": share, "accuracy_interval": [share, share]}],
        learning_curve_estimate=None,
        baselines=[method("words", share) | {"accuracy_interval": [share, share]}],
        review={
            "costs": [cost(0.5, share, share)] * 4,
            "curve": [{"threshold": share, "coverage": share, "accuracy": share}],
        },
    )
    found["metrics"] |= {
        "accuracy": share,
        "accuracy_interval": [share, share],
        "reliability": [{"n_documents": 1, "mean_confidence": share, "accuracy": share}],
        "confusion": [[0, 0], [0, 0]],
    }
    text = render_report("x", found)
    Page(text)
    assert "nan" not in text.lower().replace("manager", "")
    for width, height, content in re.findall(r'<svg [^>]*viewBox="0 0 (\d+) (\d+)"[^>]*>(.*?)</svg>', text, re.DOTALL):
        for x, y in re.findall(r'<circle class="\w+" cx="(-?[\d.]+)" cy="(-?[\d.]+)"', content):
            assert 0 <= float(x) <= float(width)
            assert 0 <= float(y) <= float(height)


def test_rendering_changes_no_fact() -> None:
    """What is read stays as it was."""
    found = facts()
    before = copy.deepcopy(found)
    render_report("x", found)
    render_card("x", found)
    assert found == before


def test_the_card_says_the_same_in_short() -> None:
    """Summary, metrics, simpler methods, review, more documents, sets, audit and limits are on the card."""
    card = render_card("fruit, version 1", facts())
    for words in (
        "gives each document one of 2 labels",
        "| accuracy | 0.750 (0.301 to 0.954) | 0.750 |",
        "| five nearest documents | 0.700 (0.600 to 0.800) | 4 |",
        "| 95 % | 0.71 | 12.3 % | 95.3 % |",
        "| 99 % |  | everything | not reached |",
        "more documents are worth it",
        "with 1.43 labels on average",
        "31 repeats of an earlier document",
        "- Do not use it alone for decisions about people",
        "- Noticed in the training data: Two labels look alike.",
    ):
        assert words in card


def test_a_document_is_escaped_and_a_frame_is_upright() -> None:
    """A title is text; larger shares lie higher, larger values to the right, logarithms as distances."""
    assert f"<title>{escape(HOSTILE)}</title>" in document(HOSTILE, "", "")
    frame = Frame(400, (1.0, 100.0), roomy(0.5, 0.9), is_log=True)
    assert frame.y(0.9) < frame.y(0.5) <= frame.floor
    assert frame.x(10.0) - frame.x(1.0) == pytest.approx(frame.x(100.0) - frame.x(10.0))
