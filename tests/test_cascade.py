"""The fast way: the words answer where they are clear, and what that costs is measured before anything is written."""

from __future__ import annotations

import csv
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeEmbedder

from classifier import DocumentClassifier, progress, workflows
from classifier.datamodels import STATUS_EMPTY, ReviewPolicy, Settings
from classifier.embedding.embedders import EMBEDDERS, Family
from classifier.errors import CascadeError, OptionError, TrainingDataWarning
from classifier.prediction import cascade
from classifier.prediction.batch import StoppedError
from classifier.prediction.cascade import CheapHalf
from classifier.prediction.checking import settle
from classifier.reading.documents import read_documents
from classifier.reports import BatchReport, BatchRequest
from classifier.storage.registry import Registry

WORDS = {
    "garden": "moss rake soil hedge rose",
    "kitchen": "pan oven flour egg ladle",
    "workshop": "nail saw glue vice bit",
}


def drawn(n: int, seed: int) -> tuple[list[str], list[str]]:
    """Return texts of words that mostly tell their label, and the labels."""
    rng = np.random.default_rng(seed)
    labels = [str(label) for label in rng.choice(list(WORDS), n)]
    texts = []
    for number, label in enumerate(labels):
        own, other = WORDS[label].split(), WORDS[str(rng.choice(list(WORDS)))].split()
        n_own = int(rng.integers(1, 5))
        texts.append(" ".join([*rng.choice(own, n_own), *rng.choice(other, 2), f"n{number % 50}"]))
    return texts, labels


@pytest.fixture(scope="module")
def model() -> DocumentClassifier:
    """Train on words that tell and vectors that do not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingDataWarning)
        return DocumentClassifier(FakeEmbedder(name="fake:a")).fit(*drawn(900, 0))


@pytest.fixture
def shelf(model: DocumentClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Store the same model where workflows find it."""
    monkeypatch.setitem(EMBEDDERS, "fake", Family(lambda name, options: FakeEmbedder(name=name.source)))  # noqa: ARG005
    Registry(tmp_path / "models").add("rooms", model.save)
    return Settings(tmp_path / "models")


def written(path: Path, texts: list[str]) -> Path:
    """Write texts as a file."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["id", "text"], *([str(row), text] for row, text in enumerate(texts))])
    return path


def predict(shelf: Settings, source: Path, name: str, **request: Any) -> tuple[BatchReport, list[dict[str, str]]]:
    """Predict a file; return the report and the rows."""
    target = source.with_name(name)
    report = workflows.predict_file("rooms", source, target, shelf, BatchRequest(**request))
    with target.open(newline="", encoding="utf-8") as stream:
        return report, list(csv.DictReader(stream))


def test_checking_can_be_stopped_and_is_shown(
    model: DocumentClassifier, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who waits for the check sees how far it is, and may end it."""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    stream, stop = read_documents(written(tmp_path / "in.csv", drawn(2000, 1)[0])), threading.Event()
    half = CheapHalf(model)
    settle(model, half, stream.__iter__, stream.n_rows, tolerance=0.1, min_confidence=0.0, progress=True)
    assert "checking the words" in capsys.readouterr().err
    stop.set()
    with pytest.raises(StoppedError):
        settle(model, half, stream.__iter__, stream.n_rows, tolerance=0.1, min_confidence=0.0, stop=stop)


def test_the_fast_way_keeps_its_promise(shelf: Settings, tmp_path: Path) -> None:
    """Of all rows, no more differ from the exact run than tolerated; each row says what it was answered by."""
    source = written(tmp_path / "in.csv", [*drawn(3000, 1)[0], "", "zzz qqq"])
    exact, all_exact = predict(shelf, source, "exact.csv")
    fast, all_fast = predict(shelf, source, "fast.csv", tolerance=0.02)
    assert exact.agreement is None
    assert fast.agreement is not None
    assert fast.agreement.is_kept
    assert fast.agreement.n_audited >= min(500, fast.counts.n_cheap)
    by = [row["answered_by"] for row in all_fast]
    assert by.count("words") == fast.counts.n_cheap > 300
    differing = [
        one
        for one, other in zip(all_exact, all_fast, strict=True)
        if one["predicted_label"] != other["predicted_label"]
    ]
    assert len(differing) <= 0.02 * len(all_exact)
    for one, other in zip(all_exact, all_fast, strict=True):
        if other["answered_by"] == "whole model":
            assert {**one, "answered_by": "whole model"} == other
    assert [row["status"] for row in all_fast[-2:]] == [row["status"] for row in all_exact[-2:]]
    assert all_fast[-2]["status"] == STATUS_EMPTY


def test_what_differs_too_often_is_not_answered_cheaply(model: DocumentClassifier, tmp_path: Path) -> None:
    """Where the words alone say something else than the model, the margin rises until the promise holds."""
    half = CheapHalf(model)
    answer = half.answer

    def turned(texts: Any) -> Any:
        found = answer(texts)
        return cascade.CheapAnswers(np.roll(found.proba, 1, axis=1), found.margin)

    half.answer = turned  # type: ignore[method-assign] # another label than the model's, as clear as before
    stream = read_documents(written(tmp_path / "in.csv", drawn(2000, 2)[0]))
    found = settle(model, half, stream.__iter__, stream.n_rows, tolerance=0.01, min_confidence=0.0)
    assert found.threshold == float("inf")
    assert found.is_kept
    assert found.cheap_fraction == 0


def test_the_audit_is_the_same_every_time(model: DocumentClassifier, tmp_path: Path) -> None:
    """Which rows are looked at depends on their number alone."""
    stream = read_documents(written(tmp_path / "in.csv", drawn(2000, 3)[0]))
    one, two = (
        settle(model, CheapHalf(model), stream.__iter__, stream.n_rows, tolerance=0.02, min_confidence=0.5)
        for _ in range(2)
    )
    assert one == two


def test_a_cheap_answer_is_never_unsure(shelf: Settings, tmp_path: Path) -> None:
    """Who wants to be asked below a confidence is asked by the whole model's."""
    source = written(tmp_path / "in.csv", drawn(1500, 4)[0])
    _, rows = predict(shelf, source, "out.csv", tolerance=0.05, review=ReviewPolicy(min_confidence=0.97), top_k=2)
    cheap = [row for row in rows if row["answered_by"] == "words"]
    assert all(row["status"] == "ok" and float(row["confidence"]) >= 0.97 for row in cheap)


def test_cheap_confidence_means_what_it_says(model: DocumentClassifier) -> None:
    """On new texts, words that answer alone are right about as often as they say."""
    texts, labels = drawn(3000, 5)
    found = CheapHalf(model).answer(texts)
    names = model.classes_.astype(str)
    right = names[found.proba.argmax(axis=1)] == np.array(labels)
    assert found.confidence.mean() == pytest.approx(right.mean(), abs=0.03)


def test_texts_without_a_known_word_are_never_clear(model: DocumentClassifier) -> None:
    """Neither an empty text nor one of strange signs is answered by words."""
    found = CheapHalf(model).answer(["", "\u2603", "moss rake moss"])
    assert found.margin[:2].tolist() == [-np.inf, -np.inf]
    assert found.margin[2] > 0


def test_where_there_is_no_fast_way(tmp_path: Path) -> None:
    """Models without words of their own, wishes that need every vector, and odd tolerances get one sentence."""
    logistic = DocumentClassifier(FakeEmbedder(), head="logistic").fit(*drawn(60, 0))
    with pytest.raises(CascadeError, match="train it again, or leave --fast out"):
        CheapHalf(logistic)
    several = DocumentClassifier(FakeEmbedder(), multi_label=True).fit(*drawn(60, 0))
    with pytest.raises(CascadeError, match="any number of labels"):
        CheapHalf(several)
    for wish in ({"n_similar": 3}, {"embeddings_out": tmp_path / "v.parquet"}):
        with pytest.raises(CascadeError, match="need every row embedded"):
            BatchRequest(tolerance=0.01, **wish)  # type: ignore[arg-type] # one of several kinds
    with pytest.raises(OptionError, match="tolerance"):
        BatchRequest(tolerance=1.0)


def test_similarities_that_change_nothing_need_not_be_measured(model: DocumentClassifier) -> None:
    """Statuses are those that all training documents give, foreign texts among them."""
    texts = [*drawn(1500, 3)[0], *(f"zzz {number} qqq" for number in range(200))]
    embeddings = model.encode(texts)
    whole = model.decide(texts, embeddings)
    short = model.decide(texts, embeddings, measures_all=False)
    assert short.statuses == whole.statuses
    assert "out-of-scope" in whole.statuses
    measured = ~np.isnan(short.similarity)
    assert 0 < measured.sum() < len(texts)
    assert short.similarity[measured] == pytest.approx(whole.similarity[measured], abs=1e-9)
