"""Which engine is chosen, what is said about it, and that it reports to nobody."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from classifier.embedding import engine
from classifier.embedding.engine import (
    AUTO,
    BACKENDS,
    PRECISIONS,
    choose_engine,
    openvino_core,
    openvino_multiplies_bf16,
    processor_name,
    torch_multiplies_bf16,
    usable_cores,
)
from classifier.errors import EmbedderError, UnknownNameError

ROOT = Path(__file__).parents[1]
ASKED = list(product((AUTO, *BACKENDS), (AUTO, *PRECISIONS)))
IMPOSSIBLE = {("torch", "int8")}


@pytest.fixture
def no_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make OpenVINO as if it were not installed."""
    monkeypatch.setitem(sys.modules, "openvino", None)


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let OpenVINO tell of another processor than this machine's: what it can do is the list's content."""
    capabilities: list[str] = []
    monkeypatch.setattr(openvino_core(), "get_property", lambda *_: capabilities)
    openvino_multiplies_bf16.cache_clear()
    yield capabilities
    openvino_multiplies_bf16.cache_clear()


@pytest.mark.parametrize(("backend", "precision"), [asked for asked in ASKED if asked not in IMPOSSIBLE])
def test_what_is_asked_for_is_chosen(backend: str, precision: str) -> None:
    """Whatever is named is taken, the rest is chosen, and the reason names both."""
    chosen = choose_engine(backend, precision)
    assert chosen.backend in ({backend} - {AUTO} or BACKENDS)
    assert chosen.precision in ({precision} - {AUTO} or {"f32", "bf16"})
    assert f"{chosen.backend}: " in chosen.reason
    assert f"; {chosen.precision}: " in chosen.reason
    assert "\n" not in chosen.reason
    assert chosen.reason.count("asked for") == (backend != AUTO) + (precision != AUTO)


@pytest.mark.parametrize(("backend", "precision"), sorted(IMPOSSIBLE))
def test_what_cannot_be_is_refused(backend: str, precision: str) -> None:
    """The message says what else to ask for."""
    with pytest.raises(EmbedderError) as caught:
        choose_engine(backend, precision)
    assert str(caught.value) == "The precision int8 needs the backend openvino; ask for f32 or bf16, or use auto."


@pytest.mark.parametrize(
    ("backend", "precision", "message"),
    [
        ("openvin", AUTO, "no backend 'openvin'; allowed: 'auto', 'openvino', 'torch'. Did you mean 'openvino'?"),
        ("Torch", AUTO, "no backend 'Torch'; allowed: 'auto', 'openvino', 'torch'. Did you mean 'torch'?"),
        ("cuda", AUTO, "no backend 'cuda'; allowed: 'auto', 'openvino', 'torch'."),
        ("", AUTO, "no backend ''; allowed: 'auto', 'openvino', 'torch'."),
        (AUTO, "int-8", "no precision 'int-8'; allowed: 'auto', 'f32', 'bf16', 'int8'. Did you mean 'int8'?"),
        (AUTO, "fp16", "no precision 'fp16'; allowed: 'auto', 'f32', 'bf16', 'int8'. Did you mean 'bf16'?"),
        ("torch", "x", "no precision 'x'; allowed: 'auto', 'f32', 'bf16', 'int8'."),
    ],
)
def test_unknown_names_are_refused(backend: str, precision: str, message: str) -> None:
    """The allowed names are listed, and the nearest one is suggested."""
    with pytest.raises(UnknownNameError) as caught:
        choose_engine(backend, precision)
    assert str(caught.value) == f"There is {message}"


def test_openvino_is_preferred_where_there_is_no_graphics_processor() -> None:
    """Nobody has to ask for the faster one."""
    import torch

    expected = "torch" if torch.cuda.is_available() else "openvino"
    assert choose_engine().backend == expected
    assert choose_engine(AUTO, "int8").backend == "openvino"


def test_a_driver_without_a_graphics_processor_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is torch that knows whether there is one."""
    import torch

    monkeypatch.setattr(engine, "_NVIDIA_DRIVER", tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_engine(AUTO, "f32").backend == "openvino"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_engine(AUTO, "f32").reason == "torch: there is a graphics processor; f32: asked for"
    assert choose_engine(AUTO, "int8").backend == "openvino"


@pytest.mark.usefixtures("no_openvino")
def test_torch_stands_in_for_a_missing_openvino() -> None:
    """Where it is asked for by name, or nothing else can do it, the message says how to install it."""
    assert choose_engine(AUTO, "f32").reason == "torch: openvino is not installed; f32: asked for"
    with pytest.raises(EmbedderError, match="backend openvino is not installed; install it with pip install openvino"):
        choose_engine("openvino")
    with pytest.raises(EmbedderError, match="int8 needs the backend openvino"):
        choose_engine(AUTO, "int8")
    assert processor_name()


@pytest.mark.parametrize("multiplies", [True, False])
def test_bf16_is_chosen_where_the_processor_multiplies_in_it(processor: list[str], multiplies: bool) -> None:
    """And nowhere else, unless it is asked for."""
    processor += ["FP32", "INT8", *(["BF16"] if multiplies else [])]
    chosen = choose_engine("openvino")
    assert (chosen.precision == "bf16") is multiplies is openvino_multiplies_bf16()
    assert chosen.reason.endswith("it" if multiplies else "bf16")
    assert ("does not multiply" in chosen.reason) is not multiplies


def test_this_machine_is_known() -> None:
    """What is said of it comes from the machine."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
    assert processor_name().strip()
    if "flags" in flags:
        assert openvino_multiplies_bf16() == any(name in flags for name in ("avx512_bf16", "amx_bf16"))
    assert isinstance(torch_multiplies_bf16(), bool)
