"""The commands that look after the cache folder and tell what a machine can do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from classifier import load_embedder
from classifier.cli import app
from classifier.datamodels import EncoderOptions
from classifier.embedding.cache import VectorCache
from classifier.embedding.engine import choose_engine
from classifier.errors import ClassifierError, UnknownNameError

TEXTS = [f"note {number}" for number in range(300)]


def run(*arguments: str) -> str:
    """Run a command that must succeed, and return what it printed."""
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_vectors: None) -> Path:  # noqa: ARG001
    """Use a cache folder of the test's own, with a few vectors in it."""
    monkeypatch.setenv("CLASSIFIER_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def small_vectors(tmp_path: Path) -> None:
    """Store vectors of some texts under a contract of sixteen dimensions."""
    from conftest import FakeEmbedder

    embedder = FakeEmbedder()
    cache = VectorCache(tmp_path / "cache")
    cache.store(embedder.contract, TEXTS, embedder.encode(TEXTS))
    cache.close()


def test_the_cache_is_shown(own_cache: Path) -> None:
    """Folder, number of vectors and contract are told to people and to machines."""
    assert str(own_cache) in run("cache", "info")
    report = json.loads(run("cache", "info", "--json"))
    assert report["vectors"]["n_vectors"] == len(TEXTS)
    assert report["vectors"]["contracts"][0]["model_id"] == "fake-embedder"


def test_the_cache_is_cleared(own_cache: Path) -> None:
    """Clearing removes every vector, and with --all what was converted too."""
    (own_cache / "encoders" / "x").mkdir(parents=True)
    assert json.loads(run("cache", "clear", "--json")) == {"n_removed": len(TEXTS)}
    assert (own_cache / "encoders" / "x").is_dir()
    run("cache", "clear", "--all")
    assert not (own_cache / "encoders").exists()
    assert json.loads(run("cache", "info", "--json"))["vectors"]["n_vectors"] == 0


def test_the_cache_is_pruned(own_cache: Path) -> None:
    """Pruning removes no more than it must, and nothing at all where everything fits."""
    assert json.loads(run("cache", "prune", "--max-bytes", str(1 << 30), "--json")) == {"n_removed": 0}
    removed = json.loads(run("cache", "prune", "--max-bytes", "0", "--json"))["n_removed"]
    assert removed == len(TEXTS)
    assert own_cache.exists()


def test_an_empty_cache_is_no_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything was kept there is nothing to show, clear or prune."""
    monkeypatch.setenv("CLASSIFIER_CACHE_DIR", str(tmp_path / "nothing"))
    assert json.loads(run("cache", "info", "--json"))["vectors"]["n_vectors"] == 0
    assert json.loads(run("cache", "clear", "--json")) == {"n_removed": 0}
    assert json.loads(run("cache", "prune", "--max-bytes", "10", "--json")) == {"n_removed": 0}


def test_a_negative_size_is_wrong_usage() -> None:
    """Sizes begin at nothing."""
    assert CliRunner().invoke(app, ["cache", "prune", "--max-bytes", "-1"]).exit_code == 2


def test_the_doctor_tells_what_was_chosen_and_why() -> None:
    """The engine that is reported is the one that is used."""
    report = json.loads(run("doctor", "--json"))
    engine = choose_engine()
    assert report["engine"] == {"backend": engine.backend, "precision": engine.precision, "reason": engine.reason}
    contract = load_embedder(options=EncoderOptions(use_cache=False)).contract
    assert (contract.backend, contract.precision) == (engine.backend, engine.precision)
    assert "its checksums are right" in report["encoder"]
    assert engine.reason in run("doctor")


def test_the_doctor_says_that_a_cache_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the folder's place is told, not stumbled over."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("CLASSIFIER_CACHE_DIR", str(tmp_path / "file"))
    assert "cannot be written" in run("doctor")


@pytest.mark.parametrize(("option", "value"), [("--backend", "torhc"), ("--precision", "bf61")])
def test_an_unknown_engine_names_the_nearest(option: str, value: str) -> None:
    """A slip of the finger is told with what was meant."""
    result = CliRunner().invoke(app, ["doctor", option, value])
    assert isinstance(result.exception, UnknownNameError)
    assert "Did you mean" in str(result.exception)


def test_what_a_machine_cannot_do_is_refused() -> None:
    """int8 by torch is one sentence."""
    result = CliRunner().invoke(app, ["doctor", "--backend", "torch", "--precision", "int8"])
    assert isinstance(result.exception, ClassifierError)
    assert "needs the backend openvino" in str(result.exception)
