"""Data that give little to learn from: a sound result, or one clear sentence."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeEmbedder
from typer.testing import CliRunner, Result

from classifier import DocumentClassifier
from classifier.cli import app
from classifier.embedding.contract import Embedder
from classifier.errors import TrainingDataError, TrainingDataWarning
from classifier.modeling import task

DATASETS = Path(__file__).parents[1] / ".." / "shared" / "datasets"


def write(path: Path, rows: Sequence[tuple[str, str]]) -> Path:
    """Write a labelled file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


def run(*arguments: object) -> Result:
    """Run a command; what it warns of is no error here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingDataWarning)
        return CliRunner().invoke(app, [*map(str, arguments)])


def test_equal_documents_are_answered_by_their_shares(tmp_path: Path) -> None:
    """One text under two labels gives each its share, and is called what it is: not measured, conflicting."""
    file = write(tmp_path / "same.csv", [("the same words", "a" if row % 4 else "b") for row in range(40)])
    trained = run("train", file, "--models-dir", tmp_path / "models")
    assert trained.exit_code == 0
    assert "Not measured: no label has two different documents." in trained.output
    answered = run("predict", "same", "--text", "the same words", "--json", "--models-dir", tmp_path / "models")
    answer = json.loads(answered.output)
    assert answer["label"] == "a"
    assert 0.5 < answer["confidence"] < 0.9
    found = run("audit", file)
    assert found.exit_code == 0
    assert "1 text with more than one label, in 40 documents" in found.output


def test_other_spellings_of_a_text_are_held_out_with_it() -> None:
    """Copies that differ by case, spaces or punctuation do not make labels by chance look learned."""
    rng = np.random.default_rng(0)
    texts, labels = [], []
    for _ in range(80):
        text, label = " ".join(f"w{word}" for word in rng.integers(0, 60, 8)), "xy"[rng.integers(2)]
        texts += [text, text.upper(), f"{text} ", f"{text.capitalize()}."]
        labels += [label] * 4
    with pytest.warns(TrainingDataWarning, match="240 documents with the words and label of another"):
        model = DocumentClassifier(FakeEmbedder()).fit(texts, labels)
    assert model.evaluation_ is not None
    assert model.evaluation_.accuracy < 0.65
    assert model.predict_proba([f"new w{number} w{number + 1}" for number in range(50)]).max(axis=1).mean() < 0.65


@pytest.mark.parametrize("n_documents", [4, 6, 10])
def test_a_label_that_was_never_held_out_leaves_doubt(n_documents: int) -> None:
    """With one document of a label, nobody knows how often the other one is wrongly given."""
    means = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        texts = [" ".join(f"w{word}" for word in rng.integers(0, 500, 5)) for _ in range(n_documents + 100)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrainingDataWarning)
            model = DocumentClassifier(FakeEmbedder(), seed=seed).fit(
                texts[:n_documents], ["x", *["y"] * (n_documents - 1)]
            )
        means.append(model.predict_proba(texts[n_documents:]).max(axis=1).mean())
    assert np.mean(means) < 1 - 0.5 / n_documents


def test_one_label_is_nothing_to_choose_from(tmp_path: Path) -> None:
    """A file with a single label is refused by name, whatever command reads it."""
    file = write(tmp_path / "one.csv", [(f"cat number {row}", "cat") for row in range(9)])
    for verb in ("train", "audit"):
        with pytest.raises(TrainingDataError, match="There is only the label 'cat' to learn from"):
            CliRunner().invoke(app, [verb, str(file)], catch_exceptions=False, standalone_mode=False)


def test_labels_that_the_model_never_saw_are_wrong(tmp_path: Path) -> None:
    """They are named, count as wrong, and do not stop anything, as long as one label is known."""
    file = write(
        tmp_path / "pets.csv", [(f"cat {row}", "cat") for row in range(9)] + [(f"dog {row}", "dog") for row in range(9)]
    )
    run("train", file, "--models-dir", tmp_path / "models")
    other = write(tmp_path / "other.csv", [("an eel", "eel"), ("cat and mouse", "mouse"), ("a cat", "cat")])
    measured = run("evaluate", "pets", other, "--json", "--models-dir", tmp_path / "models")
    assert measured.exit_code == 0
    values = json.loads(measured.stdout)
    assert (values["accuracy"], values["unknown_labels"]) == (pytest.approx(1 / 3), ["eel", "mouse"])


def many(n_labels: int, n_each: int) -> tuple[list[str], list[str]]:
    """Return documents of very many labels, each with a word of its own."""
    rng = np.random.default_rng(0)
    labels = [f"label {number}" for number in range(n_labels) for _ in range(n_each)]
    texts = [f"own{label[6:]} {' '.join(f'w{word}' for word in rng.integers(0, 50, 4))}" for label in labels]
    return texts, labels


class WordVectors(FakeEmbedder):
    """Give texts the vector of their first word, nearly."""

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> np.ndarray:
        """Embed the first word, and a little of the whole."""
        first = super().encode([text.split()[0] for text in texts], progress=progress)
        whole = first + 0.2 * super().encode(texts, progress=progress)
        unit: np.ndarray = whole / np.linalg.norm(whole, axis=1, keepdims=True)
        return unit.astype(np.float32)


@pytest.mark.parametrize("n_each", [2, 12])
def test_thousands_of_labels_get_a_simpler_head(n_each: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a size that a race would take hours for, one head on embeddings is trained, measured and calibrated."""
    monkeypatch.setattr(task, "MANY_SCORES", 5000)
    texts, labels = many(60, n_each) if n_each > 2 else many(300, n_each)
    model = DocumentClassifier(WordVectors(24)).fit(texts, labels)
    assert model.lexicon_ is None
    assert model.evaluation_ is not None
    assert model.evaluation_.accuracy > 0.8
    assert {one["features"] for one in model.facts_["race"]} == {"embedding"}
    assert model.predict(texts[:50]).tolist() == labels[:50]


@pytest.mark.slow
def test_five_thousand_labels(tmp_path: Path) -> None:
    """Five thousand labels of two documents each train, are saved, loaded and answered."""
    texts, labels = many(5000, 2)
    model = DocumentClassifier(WordVectors(48)).fit(texts, labels)
    assert model.evaluation_ is not None
    assert model.evaluation_.accuracy > 0.8
    model.save(tmp_path / "model")
    again = DocumentClassifier.load(tmp_path / "model")
    again.embedder = WordVectors(48)
    assert again.predict(texts[:100]).tolist() == labels[:100]


def held_out_accuracy(model: DocumentClassifier, name: str) -> float:
    """Return the cross-validated accuracy of a simpler method."""
    return float(next(one["accuracy"] for one in model.facts_["baselines"] if one["name"] == name))


@pytest.mark.slow
def test_chinese_keeps_its_words(encoder: Embedder) -> None:
    """Without spaces between words, the sparse half still learns, where the encoder itself knows little."""
    file = DATASETS / "sib200_zho_Hans" / "train.csv"
    if not file.is_file():
        pytest.skip("no datasets beside the repository (../shared/datasets)")
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    model = DocumentClassifier(encoder).fit([row["text"] for row in rows], [row["label"] for row in rows])
    assert model.evaluation_ is not None
    assert held_out_accuracy(model, "words") > 0.7
    assert model.evaluation_.accuracy >= held_out_accuracy(model, "embedding") + 0.2
