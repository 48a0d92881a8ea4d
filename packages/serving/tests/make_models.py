"""Make the small models of these tests: `python packages/serving/tests/make_models.py` writes the same bytes every time.

A boosted model of 1,000 flights in July, text and numbers in, gusts missing mostly; a second one with more trees; and one of
three classes. They are committed, so that the tests of this member need nothing that trains. Examples with their answers stand
beside each.
"""

import json
import os
from pathlib import Path

import numpy as np
import polars as pl

from onebutton_models.conversion import to_onnx
from onebutton_models.scoring import OnnxModel

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "models/tests/flights.csv"
TEXTS = ["carrier", "origin"]
NUMBERS = ["distance", "departure_minute", "temp", "wind_gust"]
CLASSES = ["early", "in time", "late"]


def main() -> None:
    """Train, convert, write."""
    from lightgbm import LGBMClassifier
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    flights = pl.read_csv(SOURCE).with_columns(pl.col(NUMBERS).cast(pl.Float32))
    late = (flights["arr_delay"] >= 15).to_numpy().astype(np.int64)
    arrival = late + (flights["arr_delay"] >= 0).to_numpy()
    inputs = flights.select(TEXTS + NUMBERS)
    for name, trees, answer in (("first", 4, late), ("second", 6, late), ("classes", 4, arrival)):
        encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        columns = ColumnTransformer(
            [("texts", encoder, TEXTS)], remainder="passthrough", verbose_feature_names_out=False
        )
        booster = LGBMClassifier(n_estimators=trees, num_leaves=6, n_jobs=1, random_state=0, verbose=-1)
        pipeline = Pipeline([("columns", columns.set_output(transform="pandas")), ("booster", booster)])
        pipeline.fit(inputs[:1000].to_pandas(), answer[:1000])
        model = to_onnx(pipeline, inputs[:1000].to_pandas())
        (HERE / f"{name}.onnx").write_bytes(model)
        rows = inputs[1000::60]
        answers = OnnxModel(model).predict(rows).reshape(len(rows), -1).tolist()
        outputs = [f"probability[{label}]" for label in CLASSES] if name == "classes" else ["probability"]
        golden = [
            {"slices": ["all"], "input": row, "output": dict(zip(outputs, numbers, strict=True))}
            for row, numbers in zip(rows.to_dicts(), answers, strict=True)
        ]
        text = json.dumps({"tolerance": 1e-5, "rows": golden}, indent=1)
        (HERE / f"{name}.golden.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    main()
