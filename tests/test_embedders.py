"""The plug point for embedders, and whole folders loaded through it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_origin import copied, replaced, with_module

from classifier import load_embedder
from classifier.datamodels import EncoderOptions
from classifier.embedding.contract import Embedder, MeasuresCoverage
from classifier.embedding.embedders import DEFAULT_EMBEDDER, EMBEDDERS, lasting_name
from classifier.errors import ClassifierError, EmbedderError, EmbedderNotFoundError

OFFLINE = EncoderOptions(download=False)
TEXTS = ["a letter from the bank", "", "two words"]


@pytest.fixture(scope="module")
def local_copy(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    """Load a copy of the default model from a plain folder."""
    return load_embedder(str(copied(tmp_path_factory.mktemp("models") / "copy")))


def test_a_local_copy_is_the_same_encoder(local_copy: Embedder, encoder: Embedder) -> None:
    """A model copied into a folder gives the same vectors; its revision is that of its files."""
    assert np.array_equal(local_copy.encode(TEXTS), encoder.encode(TEXTS))
    assert local_copy.contract.model_id != encoder.contract.model_id
    assert set(encoder.contract.differences(local_copy.contract)) == {"revision"}


def test_embedders_keep_the_protocol(local_copy: Embedder) -> None:
    """Vectors have the promised shape, precision and length, and coverage is measured."""
    vectors = local_copy.encode(TEXTS)
    assert vectors.shape == (3, local_copy.contract.dimension)
    assert vectors.dtype == np.dtype(local_copy.contract.dtype)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 1], abs=1e-6)
    assert isinstance(local_copy, MeasuresCoverage)
    assert local_copy.coverage(TEXTS).tolist() == [1, 0, 1]


def test_a_family_may_be_named(local_copy: Embedder) -> None:
    """A prefix chooses the family, and what follows is its own business."""
    name = f"transformer:{local_copy.contract.model_id}"
    assert load_embedder(name, OFFLINE).contract == local_copy.contract


@pytest.mark.parametrize("family", EMBEDDERS)
def test_every_family_refuses_what_it_cannot_find(family: str) -> None:
    """Unknown names are refused by each family in one sentence."""
    with pytest.raises(ClassifierError) as caught:
        load_embedder(f"{family}:somebody/no-such-model", OFFLINE)
    assert "\n" not in str(caught.value)


def test_an_unknown_family_is_a_name_like_any_other() -> None:
    """A colon alone does not choose a family, and nothing by this name is found."""
    with pytest.raises(EmbedderNotFoundError, match="bogus:thing"):
        load_embedder("bogus:thing", OFFLINE)
    assert DEFAULT_EMBEDDER not in EMBEDDERS


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", b""),
        ("model.safetensors", b"\xff" * 1000),
        ("tokenizer.json", "{}"),
        ("tokenizer.json", "not JSON"),
        ("config.json", "[1]"),
        ("config.json", '{"model_type": "no-such-architecture"}'),
        ("1_Pooling/config.json", "{}"),
        ("modules.json", "[]"),
        ("modules.json", with_module("sentence_transformers.nowhere.Pooling", "")),
        ("adapter_config.json", '{"base_model_name_or_path": "somewhere"}'),
    ],
)
def test_damaged_folders_are_one_sentence(tmp_path: Path, file: str, content: Any) -> None:
    """Whatever is wrong with a folder, no library's traceback reaches the user."""
    folder = copied(tmp_path / "model")
    replaced(folder / file, content)
    with pytest.raises(EmbedderError) as caught:
        load_embedder(str(folder))
    assert isinstance(caught.value, ClassifierError)
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_never_opened(tmp_path: Path) -> None:
    """A pickle beside good weights stays closed: loading leaves no trace of it."""
    trace = tmp_path / "trace"
    folder = copied(tmp_path / "model")
    payload = f"cbuiltins\nopen\n(V{trace}\nVw\ntR.".encode()
    replaced(folder / "pytorch_model.bin", payload)
    assert load_embedder(str(folder)).contract.dimension == 384
    assert not trace.exists()
    pickle.loads(payload).close()  # noqa: S301 # proves that the payload works
    assert trace.exists()


@pytest.mark.parametrize(
    ("name", "meant"), [("ststic", "static"), ("word-vector", "word-vectors"), ("defualt", "default")]
)
def test_a_slip_of_the_finger_names_the_nearest(name: str, meant: str) -> None:
    """An unknown embedder is told with the families there are and the one that was probably meant."""
    with pytest.raises(EmbedderNotFoundError, match=f"Did you mean '{meant}'") as caught:
        load_embedder(name, OFFLINE)
    assert "'lsa'" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("default+pca:0", "give a number of dimensions"),
        ("default+pca:many", "give a number of dimensions"),
        ("default+pca:" + "9" * 5000, "give a number of dimensions"),
        ("default+pca:٣", "give a number of dimensions"),
        ("default+pca:8+pca:4", "gives +pca twice"),
        ("lsa+pooling:cls", "cannot change its pooling"),
        ("default+pooling:cks", "Did you mean 'cls'"),
    ],
)
def test_suffixes_that_make_no_sense_are_refused(name: str, problem: str) -> None:
    """What cannot be asked for is one sentence."""
    with pytest.raises(EmbedderError) as caught:
        load_embedder(name, OFFLINE)
    assert problem in str(caught.value)


def test_a_name_lasts_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative files and folders become whole paths; everything else stays as it was written."""
    copied(tmp_path / "copy")
    (tmp_path / "words.txt").write_text("a 1 2\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert lasting_name("copy+pca:8") == f"{tmp_path / 'copy'}+pca:8"
    assert lasting_name("word-vectors:words.txt") == f"word-vectors:{tmp_path / 'words.txt'}"
    assert [lasting_name(name) for name in ("default", "lsa:12", "static")] == ["default", "lsa:12", "static"]
