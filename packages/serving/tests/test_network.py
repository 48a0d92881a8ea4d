"""A network of a deep-learning library, served as any other model."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from packages.models.tests.test_jax import export
from packages.serving.tests.conftest import CLASSES, OF_CLASSES, Server, change, make_release

from onebutton_models.adoption import adopt
from onebutton_models.scoring import OnnxModel, ScoringError

COLUMNS = ("distance", "departure_minute", "temp", "humid")


@pytest.mark.slow
def test_a_network_that_jax_exported_answers_odd_rows_over_http_as_its_file_does(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    chance = np.random.default_rng(0)
    seen = pl.DataFrame(chance.standard_normal((200, 4)).astype(np.float32), schema=COLUMNS)
    file, answers = export(seen.to_numpy(), tmp_path)
    model = adopt(file, lambda frame: answers[: len(frame)], seen).model
    ours = OnnxModel(model)
    inputs = [{"name": name, "type": "number", "required": name in ours.limits.required} for name in COLUMNS]
    made = make_release(tmp_path / "store", **OF_CLASSES | {"inputs": inputs})
    names = [output["name"] for output in OF_CLASSES["outputs"]]
    golden = [
        {"input": row, "output": dict(zip(names, map(float, numbers), strict=True))}
        for row, numbers in zip(seen.head(3).to_dicts(), ours.predict(seen.head(3)), strict=True)
    ]
    change(made, model=model, golden=json.dumps({"tolerance": 1e-5, "rows": golden}))
    server = serve("--release", str(made)).ready()

    values = [0.0, -0.0, 1e-30, -1e6, 1e6, 3e38, None, *chance.standard_normal(20).tolist()]
    answered = 0
    for _ in range(100):
        row = {name: values[at] for name, at in zip(COLUMNS, chance.integers(len(values), size=4), strict=True)}
        status, content = server.predict(row)
        try:
            wanted = ours.predict(pl.DataFrame([row], schema=dict.fromkeys(COLUMNS, pl.Float32)))[0]
        except ScoringError:
            assert status == 422
            continue
        assert status == 200, content
        answered += 1
        (prediction,) = content["predictions"]
        found = [np.nan if number is None else number for number in prediction["probability"].values()]
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
        assert prediction["label"] == CLASSES[int(wanted.argmax())]
    assert answered >= 30
