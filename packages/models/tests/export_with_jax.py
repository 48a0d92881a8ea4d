"""Export a small network of Flax; `test_jax.py` runs this in an environment that has it.

Arguments: a file of rows (float32), where the ONNX file goes, where the network's own answers go.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx  # type: ignore[import-not-found]
from jax2onnx import to_onnx  # type: ignore[import-not-found]


class Network(nnx.Module):  # type: ignore[misc]  # where types are checked, Flax is not
    """Two layers, three classes."""

    def __init__(self, columns: int) -> None:
        rngs = nnx.Rngs(0)
        self.first = nnx.Linear(columns, 16, rngs=rngs)
        self.second = nnx.Linear(16, 3, rngs=rngs)

    def __call__(self, rows: Any) -> Any:
        return nnx.softmax(self.second(nnx.relu(self.first(rows))))


rows = np.load(sys.argv[1])
network = Network(rows.shape[1])
Path(sys.argv[2]).write_bytes(to_onnx(network, [("rows", rows.shape[1])]).SerializeToString())
np.save(sys.argv[3], np.asarray(network(rows)))
