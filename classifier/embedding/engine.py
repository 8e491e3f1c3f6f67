"""Which engine runs an encoder on this machine, in which precision, and why."""

from __future__ import annotations

import os
import platform
import sys
import threading
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from classifier.errors import EmbedderError, lookup

BACKENDS = ("openvino", "torch")
PRECISIONS = ("f32", "bf16", "int8")
AUTO = "auto"
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
_importing, _opening = threading.Lock(), threading.Lock()


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs an encoder.

    Attributes
    ----------
    backend : str
        ``openvino`` or ``torch``.
    precision : str
        ``f32``, ``bf16`` or ``int8``.
    reason : str
        Why these two, in one sentence.
    """

    backend: str
    precision: str
    reason: str


def choose_engine(backend: str = AUTO, precision: str = AUTO) -> Engine:
    """Choose what runs an encoder on this machine.

    Parameters
    ----------
    backend : str, default='auto'
        ``openvino``, ``torch`` or ``auto``.
    precision : str, default='auto'
        ``f32``, ``bf16``, ``int8`` or ``auto``, which never costs accuracy that could be measured.

    Raises
    ------
    UnknownNameError
        When there is no such backend or precision.
    EmbedderError
        When this machine cannot do what was asked for.
    """
    lookup(dict.fromkeys((AUTO, *BACKENDS)), backend, "backend")
    lookup(dict.fromkeys((AUTO, *PRECISIONS)), precision, "precision")
    chosen, why = (backend, "asked for") if backend != AUTO else _fastest_backend(precision)
    if chosen == "openvino" and not _has_openvino():
        raise EmbedderError("The backend openvino is not installed; install it with pip install openvino, or use auto.")
    if chosen == "torch" and precision == "int8":
        raise EmbedderError("The precision int8 needs the backend openvino; ask for f32 or bf16, or use auto.")
    if precision != AUTO:
        return Engine(chosen, precision, f"{chosen}: {why}; {precision}: asked for")
    multiplies = openvino_multiplies_bf16() if chosen == "openvino" else torch_multiplies_bf16()
    if multiplies:
        return Engine(chosen, "bf16", f"{chosen}: {why}; bf16: the processor multiplies in it")
    return Engine(chosen, "f32", f"{chosen}: {why}; f32: the processor does not multiply in bf16")


def import_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry, which would report each import to its makers.

    Notes
    -----
    Whoever looks into a tensor first makes OpenVINO prepare something; two threads that are first together wait for
    each other for ever. It is prepared here, by one thread.
    """
    with _importing:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # None makes an import fail
        openvino = import_module("openvino")
        _ = openvino.Tensor(openvino.Type.i64, openvino.Shape([1])).data
    return openvino


def openvino_core() -> Any:
    """Return what OpenVINO compiles by: one for the whole process, that is never dropped.

    Notes
    -----
    Each one opens plugins of its own, and the plugin for processors gives the thread that opens it a stack for signals.
    Where another thread drops the plugin, the first one keeps a stack that is gone, and the next signal, as of Ctrl+C,
    ends the process at once.
    """
    with _opening:
        return _core()


@cache
def _core() -> Any:
    """Open what OpenVINO compiles by."""
    return import_openvino().Core()


def usable_cores() -> int:
    """Return the number of processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name() -> str:
    """Return what the processor calls itself, or its architecture."""
    if _has_openvino():
        return str(openvino_core().get_property("CPU", "FULL_DEVICE_NAME"))
    return platform.processor() or platform.machine()


@cache
def openvino_multiplies_bf16() -> bool:
    """Tell whether OpenVINO can multiply in bf16 here: AMX, or AVX-512 with bf16."""
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@cache
def torch_multiplies_bf16() -> bool:
    """Tell whether torch is faster in bf16 here."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _fastest_backend(precision: str) -> tuple[str, str]:
    """Return the backend that is expected to be fastest, and why."""
    if precision != "int8" and _NVIDIA_DRIVER.exists():
        import torch

        if torch.cuda.is_available():
            return "torch", "there is a graphics processor"
    if _has_openvino():
        return "openvino", "the fastest on a processor"
    return "torch", "openvino is not installed"


def _has_openvino() -> bool:
    """Tell whether OpenVINO is installed, without importing it."""
    return find_spec("openvino") is not None
