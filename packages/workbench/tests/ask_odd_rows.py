"""Ask what ships and what was trained about rows that the contract lets in; run in the folder of a pipeline, with its module."""

import importlib
import sys
from pathlib import Path

import numpy as np
import polars as pl

from onebutton_contracts.contract import load_contract
from onebutton_contracts.odd_rows import odd_rows
from onebutton_contracts.tables import read_parquet
from onebutton_models.proof import answers_of
from onebutton_models.scoring import OnnxModel, ScoringError

ROWS = 100


def main() -> None:
    """Print how many rows were answered alike, and how many were refused; end with an error where answers differ."""
    training = importlib.import_module(f"{sys.argv[1]}.train")
    in_pandas, params = hasattr(training, "pd"), training.Params.load().train
    table = read_parquet(Path("data/train.parquet"))
    rows = table.to_pandas() if in_pandas else table
    known = training.model_inputs(rows)
    seen = pl.from_pandas(known) if in_pandas else known
    odd = odd_rows(load_contract(Path("contracts/rows.odcs.yaml")), seen, seed=1).sample(ROWS, seed=1)
    ask, model = answers_of(training.train(rows, params)), OnnxModel(Path("model/model.onnx"))
    spread, refused = np.ptp(ask(known)), 0
    for row in odd.iter_slices(1):
        try:
            found = model.predict(row)
        except ScoringError:
            refused += 1
            continue
        expected = ask(row.to_pandas().astype(known.dtypes) if in_pandas else row)
        allowed = params.proof_tolerance * np.maximum(spread, np.abs(expected))
        assert (np.abs(found - expected) <= allowed).all(), (row, found, expected)
    print(f"{ROWS - refused} answered alike, {refused} refused")


if __name__ == "__main__":
    main()
