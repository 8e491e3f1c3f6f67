"""Run a converted encoder by OpenVINO: two streams, several batches in flight."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from classifier.embedding.contract import Embeddings
from classifier.embedding.engine import import_openvino, openvino_core, openvino_multiplies_bf16, usable_cores
from classifier.embedding.runtime import TokenIds
from classifier.errors import EmbedderError

MAX_QUANTIZATION_GROUP = 512
MOST_KEPT_SHAPES = 100
"""How many operations OpenVINO keeps ready for shapes it has seen; by its own default memory grows for hours."""


class OpenVinoRuntime:
    """Run a model of OpenVINO on the processor.

    Parameters
    ----------
    model : Path or openvino.Model
        The file of a converted encoder, or the model itself.
    precision : str
        ``f32``, ``bf16``, or ``int8`` for a model with compressed weights.
    quantization_group : int, default=0
        How many activations share one scale in int8; must divide the length of every matrix product.

    Notes
    -----
    Several threads may run it at once; a process that was forked after the first run may not.
    """

    def __init__(self, model: Path | Any, precision: str, *, quantization_group: int = 0) -> None:
        n_cores = usable_cores()
        self._n_in_flight = 2 * max(1, min(2, n_cores)) if n_cores <= 4 else n_cores
        bf16 = precision != "f32" and openvino_multiplies_bf16()
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "NUM_STREAMS": self._n_in_flight // 2,
            "INFERENCE_NUM_THREADS": n_cores,
            "CPU_RUNTIME_CACHE_CAPACITY": MOST_KEPT_SHAPES,
        }
        if precision == "int8":
            options["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = str(quantization_group)
        self._compiled = openvino_core().compile_model(model, "CPU", options)
        self._process = os.getpid()
        self._idle: list[Any] = []
        self._lock = threading.Lock()

    def run(self, batches: Iterable[TokenIds]) -> Iterator[Embeddings]:
        """Yield one vector per row of each batch, float32 of shape (n, n_dims), in order.

        Raises
        ------
        EmbedderError
            In a process that was forked from the one that opened the encoder: its threads did not come along.
        """
        if os.getpid() != self._process:
            raise EmbedderError(
                "The encoder was opened before this process was forked; open it anew here, "
                "or start processes with the method 'spawn'."
            )
        in_flight: deque[Any] = deque()
        try:
            for token_ids in batches:
                if len(in_flight) == self._n_in_flight:
                    yield self._finish(in_flight)
                request = self._request()
                request.start_async([token_ids])
                in_flight.append(request)
            while in_flight:
                yield self._finish(in_flight)
        finally:
            for request in in_flight:
                request.wait()
                self._give_back(request)

    def _finish(self, in_flight: deque[Any]) -> Embeddings:
        """Wait for the oldest request and take its vectors."""
        request = in_flight[0]
        request.wait()
        vectors = np.array(request.get_output_tensor(0).data, dtype=np.float32)
        self._give_back(in_flight.popleft())
        return vectors

    def _request(self) -> Any:
        """Take a request that is idle, or make one."""
        with self._lock:
            return self._idle.pop() if self._idle else self._compiled.create_infer_request()

    def _give_back(self, request: Any) -> None:
        """Keep a request for the next batch."""
        with self._lock:
            self._idle.append(request)


def compress_weights(model: Any) -> int:
    """Store the weights of every matrix product in int8, one scale per output, in place.

    Parameters
    ----------
    model : openvino.Model

    Returns
    -------
    int
        How many activations may share one scale: the longest group that divides every product, at most
        `MAX_QUANTIZATION_GROUP`.

    Raises
    ------
    EmbedderError
        When the model has no product with constant weights.

    References
    ----------
    Dettmers et al. (2022), LLM.int8(), https://arxiv.org/abs/2208.07339 (scales per row, found while running)
    """
    import_openvino()
    from openvino import opset13 as ops

    lengths: set[int] = set()
    for node in model.get_ordered_ops():
        weights = node.input(1).get_source_output().get_node() if node.get_type_name() == "MatMul" else None
        if weights is None or weights.get_type_name() != "Constant" or weights.data.ndim != 2:
            continue
        axis = 1 if node.get_attributes()["transpose_b"] else 0
        scales = np.abs(weights.data).max(axis=axis, keepdims=True).astype(np.float32) / 127
        codes = np.rint(weights.data / np.where(scales > 0, scales, 1)).astype(np.int8)
        restored = ops.multiply(ops.convert(ops.constant(codes), "f32"), ops.constant(scales))
        node.input(1).replace_source_output(restored.output(0))
        lengths.add(weights.data.shape[axis])
    if not lengths:
        raise EmbedderError("The encoder has no weights that int8 could compress; use another precision.")
    shared = int(np.gcd.reduce(list(lengths)))
    return max(group for group in range(1, MAX_QUANTIZATION_GROUP + 1) if shared % group == 0)
