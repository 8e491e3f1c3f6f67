"""Plain arrays of a bundle, written whole and opened without a parser that runs on what a stranger wrote.

``numpy.load`` hands the header of a ``.npy`` file to Python's own parser, and takes zip files for
arrays. Here a header either looks exactly as `numpy.save` writes it for plain numbers, or the file
is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_START = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(rb"\{'descr': '([<|][fiu][1248])', 'fortran_order': False, 'shape': \(([0-9, ]{1,80})\), \} *\n")
_SHAPE = re.compile(rb"[0-9]{1,15}(, [0-9]{1,15})*,?")


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an array of plain numbers as `numpy.save` does, except that a full disk is always noticed.

    `numpy.save` hands real files to C's own buffer, and the loss of its last part goes unreported.

    Raises
    ------
    OSError
        When it cannot be written whole.
    """
    array = np.ascontiguousarray(array)
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(array))
        stream.write(array.reshape(-1).view(np.uint8).data)


def map_array(path: Path, dtype: str, n_dims: int) -> np.ndarray:
    """Map a file of plain numbers into memory, read-only.

    Parameters
    ----------
    path : Path
        A file written by `write_array`.
    dtype : str
        The type it must have, such as ``<f4``.
    n_dims : int
        The number of dimensions it must have.

    Raises
    ------
    ValueError
        When it is anything else, or longer or shorter than its shape says.
    """
    with path.open("rb") as stream:
        start = stream.read(len(_START) + 2)
        header = stream.read(int.from_bytes(start[len(_START) :], "little"))
    found = _HEADER.fullmatch(header)
    shape_text = found[2] if found else b""
    if not start.startswith(_START) or found is None or not _SHAPE.fullmatch(shape_text):
        raise ValueError(f"{path.name!r} is not a plain array")
    shape = tuple(int(length) for length in shape_text.split(b",") if length)
    if found[1].decode() != dtype or len(shape) != n_dims:
        raise ValueError(f"{path.name!r} is not an array of type {dtype} with {n_dims} dimensions")
    offset = len(start) + len(header)
    if path.stat().st_size != offset + math.prod(shape) * np.dtype(dtype).itemsize:
        raise ValueError(f"{path.name!r} is not as long as its shape says")
    if 0 in shape:
        return np.zeros(shape, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)


def write_state(path: Path, state: Mapping[str, np.ndarray]) -> None:
    """Write named arrays of plain numbers to one safetensors file.

    Raises
    ------
    OSError
        When it cannot be written whole.
    """
    from safetensors.numpy import save

    path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in state.items()}))


def read_state(path: Path) -> dict[str, np.ndarray]:
    """Read a file written by `write_state`.

    Raises
    ------
    ValueError
        When it is anything else, or holds numbers that are not finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        state: dict[str, np.ndarray] = load_file(path)
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name!r} is not a file of plain arrays") from error
    for name, array in state.items():
        if array.dtype.kind not in "fiu" or (array.dtype.kind == "f" and not np.isfinite(array).all()):
            raise ValueError(f"{path.name!r} holds {name!r}, which is not an array of finite numbers")
    return state
