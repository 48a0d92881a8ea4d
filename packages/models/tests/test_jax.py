from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from onebutton_models.adoption import adopt
from onebutton_models.scoring import OnnxModel

EXPORT = Path(__file__).with_name("export_with_jax.py")


@pytest.mark.slow
def test_a_network_that_jax_exported_is_adopted_and_answers_as_it_did_there(seen: pl.DataFrame, tmp_path: Path) -> None:
    inputs = seen.select("distance", "departure_minute", "temp", "humid").drop_nulls()
    inputs = inputs.select((pl.all() - pl.all().mean()) / pl.all().std())
    np.save(tmp_path / "rows.npy", inputs.to_numpy())
    # An environment of its own: jax2onnx wants a newer onnx than the converters of scikit-learn take.
    command = [
        "uv",
        "run",
        "--isolated",
        "--no-project",
        "--with",
        "jax2onnx==0.17.1",
        "--with",
        "flax",
        "python",
        str(EXPORT),
    ]
    files = [tmp_path / name for name in ("rows.npy", "net.onnx", "answers.npy")]
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    ended = subprocess.run(
        [*command, *files], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    answers = np.load(files[2])
    proof = adopt(files[1], lambda frame: answers[: len(frame)], inputs)
    assert proof.difference < 1e-6
    np.testing.assert_allclose(OnnxModel(proof.model).predict(inputs), answers, atol=1e-6)
