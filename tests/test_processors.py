"""One machine shows more than itself: vectors once more, as processors with fewer instructions compute them.

What torch and OpenVINO multiply with is chosen when they are loaded, by what the processor has; both can be told to
leave some of it unused. A limit above what this processor has changes nothing, and is skipped by name.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

pytestmark = pytest.mark.encoder
LIMITS = {
    "SSE4.1": {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "AVX-512": {
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI",  # without bf16
        "ATEN_CPU_CAPABILITY": "avx512",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512",
    },
}
ABOVE = {"SSE4.1": "avx2", "AVX2": "avx512f", "AVX-512": "avx512_bf16"}
BY_TORCH = "tests/test_transformer.py::test_the_same_text_gets_the_same_vector_whatever_the_batch[torch-f32]"
NUMERIC = (
    "tests/test_transformer.py::test_the_same_text_gets_the_same_vector_whatever_the_batch",
    "tests/test_transformer.py::test_short_texts_agree_with_the_library",
    "tests/test_transformer.py::test_a_long_text_is_the_weighted_mean_of_its_windows",
    "tests/test_converted.py::test_the_default_encoder_gives_the_vectors_of_torch",
)


def instructions() -> set[str]:
    """Return what this processor says that it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())


@pytest.mark.slow  # in `make test` the numbers are those of the processor as it is
@pytest.mark.parametrize("limit", LIMITS)
def test_vectors_do_not_depend_on_their_company_there_either(limit: str) -> None:
    """The tests of numbers pass with fewer instructions than this processor has."""
    if ABOVE[limit] not in instructions():
        pytest.skip(f"this processor has nothing above {limit} that could be left unused")
    tests = [BY_TORCH] if limit == "SSE4.1" else NUMERIC  # OpenVINO refuses to run on so little
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_XDIST", "CLASSIFIER_"))}
    done = subprocess.run(
        [*command, "--override-ini", "addopts="],
        env=kept | LIMITS[limit],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
