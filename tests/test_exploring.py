"""Looking around among documents: as a workflow, and on the command line."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import borrow, ended
from typer.testing import CliRunner

from classifier import DocumentClassifier, workflows
from classifier.analysis import tsne
from classifier.cli import app
from classifier.datamodels import Settings
from classifier.errors import OptionError, UnknownNameError
from classifier.modeling.predictor import Predictor
from classifier.workflows import exploring, lines, mapping
from classifier.workflows.centres import label_centres, typical
from classifier.workflows.jobs import DONE, Jobs
from classifier.workflows.opening import open_predictor


@pytest.fixture(scope="module")
def shelf(library: Path, memory_folder: Path) -> Settings:
    """Store a small model of each kind, that need no transformer."""
    return borrow(library, memory_folder / "exploring" / "models", "tickets", "posts")


@pytest.fixture(scope="module")
def tickets(shelf: Settings) -> Predictor:
    """Open the model that gives one label."""
    return open_predictor("tickets", shelf)


@pytest.fixture(scope="module")
def posts(shelf: Settings) -> Predictor:
    """Open the model that gives any number of labels."""
    return open_predictor("posts", shelf)


def run(shelf: Settings, *arguments: object) -> str:
    """Run a command that succeeds; return what it prints."""
    words = [*map(str, arguments), "--models-dir", str(shelf.models_dir)]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def printed(shelf: Settings, *arguments: object) -> Any:
    """Run a command with --json."""
    return json.loads(run(shelf, *arguments, "--json"))


@pytest.mark.parametrize("by", exploring.COLORINGS)
@pytest.mark.parametrize("name", ["tickets", "posts"])
def test_each_document_is_in_one_group(shelf: Settings, name: str, by: str) -> None:
    """Whatever they are coloured by, nobody is lost or drawn twice, and no group is empty."""
    model = open_predictor(name, shelf)
    groups = exploring.groups(model, by)
    assert all(len(group.rows) for group in groups)
    assert sorted(np.concatenate([group.rows for group in groups])) == list(range(len(model.documents_)))


def test_groups_say_what_the_model_knows(tickets: Predictor, posts: Predictor) -> None:
    """Labels, answers, confidence and correctness are those of the documents."""
    for group in exploring.groups(tickets, "label"):
        assert {tickets.documents_[row].label for row in group.rows} == {group.name}
    for group in exploring.groups(tickets, "prediction"):
        assert {str(tickets.classes_[code]) for code in tickets.held_out_.answers[group.rows, 0]} == {group.name}
    for group in exploring.groups(tickets, "confidence"):
        low = int(group.name.split()[0]) / 100
        assert ((tickets.held_out_.confidence[group.rows] - low) >= -1e-6).all()
        assert ((tickets.held_out_.confidence[group.rows] - low) <= 0.1 + 1e-6).all()
    counts = {group.role: len(group.rows) for group in exploring.groups(tickets, "correctness")}
    assert counts["right"] == (tickets.held_out_.correct == 1).sum()
    assert counts["wrong"] == (tickets.held_out_.correct == 0).sum()
    for group in exploring.groups(posts, "label"):
        expected = "" if group.role == "no label" else group.name
        assert {(posts.documents_[row].label or "").split("|")[0] for row in group.rows} == {expected}


def test_unknown_colouring_is_refused(tickets: Predictor) -> None:
    """The allowed ones are named."""
    with pytest.raises(UnknownNameError, match="confidence"):
        exploring.groups(tickets, "mood")


def test_documents_never_held_out_say_so(small_model: DocumentClassifier) -> None:
    """Nothing is invented for a document that was never held out."""
    names = {name for by in exploring.COLORINGS for name in (g.name for g in exploring.groups(small_model, by))}
    found = exploring.describe(small_model, [0])[0]
    if small_model.held_out_.measured[0]:
        assert found.confidence is not None
    else:
        assert (found.answer, found.confidence, found.correctness) == ("", None, exploring.NEVER)
        assert exploring.NEVER in names


def test_doubtful_documents_come_first(tickets: Predictor) -> None:
    """Wrong ones, then right ones, the least confident first."""
    rows = exploring.doubtful_first(tickets, np.arange(len(tickets.documents_)))
    found = exploring.describe(tickets, rows)
    n_wrong = int((tickets.held_out_.correct == 0).sum())
    assert {one.correctness for one in found[:n_wrong]} == {"wrong"}
    confidences = [one.confidence or 0.0 for one in found[:n_wrong]]
    assert confidences == sorted(confidences)


def test_search_filters_go_together(tickets: Predictor) -> None:
    """Label, correctness and similarity all hold; without a filter it is `similar`."""
    text = "where is my parcel"
    found = exploring.search(tickets, text, k=20)
    assert [one.document.id for one, _ in found] == [neighbor.id for neighbor in tickets.similar(text, 20)]
    least = found[10][1]
    narrowed = exploring.search(tickets, text, k=400, label="delivery", correctness="right", min_similarity=least)
    expected = [
        row
        for row in range(len(tickets.documents_))
        if tickets.documents_[row].label == "delivery" and tickets.held_out_.correct[row] == 1
    ]
    assert narrowed
    assert {one.row for one, _ in narrowed} <= set(expected)
    assert all(similarity >= least for _, similarity in narrowed)
    assert exploring.search(tickets, "") == []
    with pytest.raises(OptionError, match="from -1 to 1"):
        exploring.search(tickets, text, min_similarity=2)


def test_similar_takes_the_filters(shelf: Settings) -> None:
    """The command prints what the page finds."""
    found = printed(shelf, "similar", "tickets", "--text", "my parcel", "--answered", "wrong", "--min-similarity", 0.05)
    model = open_predictor("tickets", shelf)
    expected = exploring.search(model, "my parcel", k=10, correctness="wrong", min_similarity=0.05)
    assert [item["id"] for item in found["results"]] == [one.document.id for one, _ in expected]


def test_positions_between_two_labels(tickets: Predictor, shelf: Settings) -> None:
    """Each label's documents lie nearer to their own end on average; the command prints the same positions."""
    ends = lines.end_of(tickets, "billing"), lines.end_of(tickets, "delivery")
    line = lines.between(tickets, *ends, only_theirs=True)
    assert sorted(line.rows) == sorted([*ends[0].rows, *ends[1].rows])
    assert (np.diff(line.positions) >= 0).all()
    for at, end in enumerate(ends):
        assert line.positions[np.isin(line.rows, end.rows)].mean() == pytest.approx(at, abs=1e-6)
    some = lines.on_line(tickets, line, 0.4, 0.6, limit=3)
    assert all(0.4 <= position <= 0.6 for _, position in some.documents)
    assert some.n_more == ((line.positions >= 0.4) & (line.positions <= 0.6)).sum() - len(some.documents)
    values = printed(shelf, "between", "tickets", "billing", "delivery", "--only-theirs", "--limit", 5)
    expected = lines.on_line(tickets, line, -np.inf, np.inf, limit=5).documents
    assert [item["id"] for item in values["documents"]] == [one.document.id for one, _ in expected]
    assert values["n_documents"] == len(line.rows)
    assert "halfway" not in run(shelf, "between", "tickets", "billing", "delivery")


def test_documents_as_ends(tickets: Predictor) -> None:
    """An id, or words, name a document; it lies at its own end."""
    first, second = tickets.documents_[3], tickets.documents_[8]
    ends = lines.end_of(tickets, first.id), lines.nearest_end(tickets, f" {second.id} ")
    assert ends[1] is not None
    line = lines.between(tickets, ends[0], ends[1])
    positions = dict(zip(line.rows.tolist(), line.positions.tolist(), strict=True))
    assert (positions[3], positions[8]) == pytest.approx((0, 1), abs=1e-6)
    by_words = lines.nearest_end(tickets, first.text)
    assert by_words is not None
    assert tickets.documents_[int(by_words.rows[0])].text == first.text
    assert lines.nearest_end(tickets, "   ") is None
    with pytest.raises(OptionError, match="at the same place"):
        lines.between(tickets, ends[0], ends[0])
    with pytest.raises(UnknownNameError, match="label or document id 'nobody'"):
        lines.end_of(tickets, "nobody")


@pytest.mark.parametrize("name", ["tickets", "posts"])
def test_lanes_hold_every_document_of_a_line(shelf: Settings, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ends' labels come first; too many labels become one group."""
    model = open_predictor(name, shelf)
    names = [str(label) for label in model.classes_[:2]]
    ends = lines.end_of(model, names[1]), lines.end_of(model, names[0])
    line = lines.between(model, *ends)
    for most in (lines.MOST_LANES, 3):
        monkeypatch.setattr(lines, "MOST_LANES", most)
        lanes = lines.lanes(model, line, *ends)
        assert [lane.name for lane in lanes[:2]] == names[::-1]
        assert sorted(np.concatenate([lane.rows for lane in lanes])) == list(range(len(line.rows)))
    assert [lane.name for lane in lanes[2:]] == ["other labels"]


def test_centres_of_labels(tickets: Predictor, posts: Predictor, shelf: Settings) -> None:
    """The least compact comes first, a document counts for each of its labels, and the command prints the same."""
    centres = label_centres(tickets)
    assert [centre.compactness for centre in centres] == sorted(centre.compactness for centre in centres)
    assert sum(centre.n_documents for centre in centres) == len(tickets.documents_)
    assert posts.label_matrix_ is not None
    assert sum(centre.n_documents for centre in label_centres(posts)) == posts.label_matrix_.sum()
    printed_labels = printed(shelf, "centroids", "tickets")["labels"]
    assert [item["label"] for item in printed_labels] == [centre.label for centre in centres]
    values = printed(shelf, "centroids", "tickets", "--label", "billing", "-k", 3)
    found = typical(tickets, "billing", 3)
    for kind, some in (("nearest", found.nearest), ("farthest", found.farthest)):
        assert [item["id"] for item in values["documents"][kind]] == [one.document.id for one, _ in some]
    assert found.nearest[0][1] > values["compactness"] > found.farthest[0][1]
    assert "Least typical:" in run(shelf, "centroids", "tickets", "--label", "billing")


def test_label_counts(posts: Predictor) -> None:
    """The most frequent first; several labels count once each."""
    counts = exploring.label_counts(posts, np.arange(len(posts.documents_)))
    assert [count for _, count in counts] == sorted((count for _, count in counts), reverse=True)
    assert posts.label_matrix_ is not None
    assert dict(counts) == dict(zip(posts.classes_, posts.label_matrix_.sum(axis=0), strict=True))


def test_map_as_a_table(shelf: Settings, tickets: Predictor, tmp_path: Path) -> None:
    """PCA is written at once, one row for each document; nothing is kept."""
    values = printed(shelf, "map", "tickets", "--method", "pca", "-o", tmp_path / "map.csv")
    with (tmp_path / "map.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    found = mapping.pca_map(tickets)
    assert [row["id"] for row in rows] == [document.id for document in tickets.documents_]
    assert [float(row["x"]) for row in rows] == pytest.approx(found.coordinates[:, 0].tolist(), abs=1e-4)
    assert values["explained"] == pytest.approx(found.explained)
    assert values["kept"] is None


def test_tsne_is_kept_beside_the_models(shelf: Settings, posts: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's own folder does not change; the second time nothing is computed; damage is not believed."""
    monkeypatch.setattr(tsne, "N_STEPS", 260)  # where the points end up does not matter here
    folder = shelf.models_dir / "posts" / "1"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert mapping.stored_map(posts, folder, shelf) is None
    first = mapping.map_documents("posts", shelf)
    path = Path(first.kept or "")
    assert path.parent == shelf.models_dir.absolute() / ".maps"
    kept = path.read_bytes()
    found = mapping.stored_map(posts, folder, shelf)
    assert found is not None
    assert (found.method, found.coordinates.shape) == ("tsne", (len(posts.documents_), 2))
    mapping.map_documents("posts", shelf)
    assert path.read_bytes() == kept
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert [model.name for model in workflows.list_models(shelf)] == ["posts", "tickets"]
    path.write_bytes(kept[:-8])
    assert mapping.stored_map(posts, folder, shelf) is None
    path.unlink()


def test_too_few_documents_for_tsne(small_model: DocumentClassifier, tmp_path: Path) -> None:
    """One sentence names the other way."""
    folder = small_model.save(tmp_path / "small" / "1")
    with pytest.raises(OptionError, match="method for 24 documents is tsne; give pca"):
        mapping.map_documents(folder, Settings(tmp_path))
    assert mapping.map_documents(folder, Settings(tmp_path), method="pca").n_documents == 24
    with pytest.raises(UnknownNameError, match="method"):
        mapping.map_documents(folder, Settings(tmp_path), method="umap")


@pytest.mark.process
def test_a_job_computes_the_map(shelf: Settings, posts: Predictor) -> None:
    """It is found by its model, and when it is done the coordinates are there."""
    jobs, folder = Jobs(shelf), shelf.models_dir / "posts" / "1"
    assert mapping.map_job(jobs, folder) is None
    job = mapping.start_map(jobs, folder, "posts@1", shelf)
    assert ended(job) == DONE, job.log
    again = mapping.map_job(jobs, folder)
    assert again is not None
    assert again.id == job.id
    assert job.result is not None
    assert job.result["method"] == "tsne"
    assert mapping.stored_map(posts, folder, shelf) is not None


def test_regions_of_a_map() -> None:
    """A box, a lasso, both together; other kinds hold nothing."""
    points = np.array([(0, 0), (1, 1), (5, 5)], dtype=np.float32)
    box = {"brush_type": "rect", "coord_range": [[-1, 0.5], [-1, 0.5]]}
    lasso = {"brush_type": "polygon", "coord_range": [[4, 4], [6, 4], [5, 7]]}
    assert mapping.rows_in(points, [box]).tolist() == [0]
    assert mapping.rows_in(points, [box, lasso]).tolist() == [0, 2]
    assert mapping.rows_in(points, [{"brush_type": "lineX", "coord_range": [0, 9]}]).tolist() == []


def test_large_maps_are_drawn_in_part(tickets: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample by label is drawn; all documents have coordinates."""
    monkeypatch.setattr(mapping, "MOST_DRAWN", 100)
    found = mapping.pca_map(tickets)
    assert len(found.coordinates) == len(tickets.documents_)
    assert 80 <= len(found.drawn) <= 110
    kept = mapping.drawn_groups(found, exploring.groups(tickets, "label"))
    assert sorted(np.concatenate([group.rows for group in kept])) == found.drawn.tolist()
    assert {group.name for group in kept} == {str(label) for label in tickets.classes_}


def test_the_page_imports_nothing_heavy() -> None:
    """Neither what trains nor what lays out a map."""
    code = "import sys, classifier.ui.explore; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"sklearn", "openTSNE", "torch", "scipy"} & set(done.stdout.split()) == set()
