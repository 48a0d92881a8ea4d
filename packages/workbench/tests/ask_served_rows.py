"""Ask a server about rows that the contract lets in; run in the folder of a pipeline, with its module and the address."""

import importlib
import json
import math
import sys
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from onebutton_contracts.contract import load_contract
from onebutton_contracts.odd_rows import odd_rows
from onebutton_contracts.tables import read_parquet
from onebutton_models.scoring import OnnxModel

ROWS = 100
REFUSED = 422


def ask(address: str, row: dict[str, Any]) -> dict[str, Any] | None:
    """Ask about one row; None where it is refused."""
    bare = {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{address}/v1/predict", json.dumps({"rows": [bare]}).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            (prediction,) = json.load(answer)["predictions"]
            return dict(prediction)
    except urllib.error.HTTPError as error:
        if error.code == REFUSED:
            return None
        raise


def numbers(prediction: dict[str, Any]) -> list[float]:
    """List the numbers of a prediction, in their order."""
    values = [value for name, value in prediction.items() if name != "label"]
    return [number for value in values for number in (value.values() if isinstance(value, dict) else [value])]


def main() -> None:
    """Print how many rows were answered as the files answer them, and how many refused; end with an error where they differ."""
    training = importlib.import_module(f"{sys.argv[1]}.train")
    table = read_parquet(Path("data/train.parquet"))
    known = training.model_inputs(table.to_pandas() if hasattr(training, "pd") else table)
    seen = known if isinstance(known, pl.DataFrame) else pl.from_pandas(known)
    inputs = tomllib.loads(Path("release.toml").read_text(encoding="utf-8"))["inputs"]
    odd = odd_rows(load_contract(Path(inputs)), seen, seed=1).sample(ROWS, seed=1)
    model, refused = OnnxModel(Path("model/model.onnx")), 0
    quantiles = {path.stem: OnnxModel(path) for path in sorted(Path("model").glob("p[0-9]*.onnx"))}
    for row in odd.iter_slices(1):
        found = ask(sys.argv[2], row.select(list(model.inputs)).row(0, named=True))
        if found is None:
            refused += 1
            continue
        expected = np.atleast_1d(model.predict(row)[0])  # raises where the server should have refused
        for name, quantile in quantiles.items():
            np.testing.assert_allclose(found.pop(name), quantile.predict(row)[0], rtol=1e-6)
        np.testing.assert_allclose(numbers(found), expected, rtol=1e-6)
        if len(expected) > 1:
            assert found["label"] == model.classes[int(expected.argmax())]
    print(f"{ROWS - refused} answered alike, {refused} refused")


if __name__ == "__main__":
    main()
