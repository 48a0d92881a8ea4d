from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from onebutton_models.adoption import adopt
from onebutton_models.scoring import OnnxModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXPORT = Path(__file__).with_name("export_with_jax.py")


def export(rows: NDArray[np.float32], folder: Path) -> tuple[Path, NDArray[np.float32]]:
    """Export a network of three classes; return its ONNX file, and its own answers to the rows."""
    np.save(folder / "rows.npy", rows)
    # An environment of its own: jax2onnx wants a newer onnx than the converters of scikit-learn take.
    command = ["uv", "run", "--isolated", "--no-project", "--with", "jax2onnx==0.17.1", "--with", "flax", "python"]
    files = [folder / name for name in ("rows.npy", "net.onnx", "answers.npy")]
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    ended = subprocess.run(
        [*command, EXPORT, *files], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return files[1], np.load(files[2])


@pytest.mark.slow
def test_a_network_that_jax_exported_is_adopted_and_answers_as_it_did_there(seen: pl.DataFrame, tmp_path: Path) -> None:
    inputs = seen.select("distance", "departure_minute", "temp", "humid").drop_nulls()
    inputs = inputs.select((pl.all() - pl.all().mean()) / pl.all().std())
    file, answers = export(inputs.to_numpy(), tmp_path)
    proof = adopt(file, lambda frame: answers[: len(frame)], inputs)
    np.testing.assert_allclose(OnnxModel(proof.model).predict(inputs), answers, atol=1e-6)
