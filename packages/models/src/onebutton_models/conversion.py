"""Turn a fitted scikit-learn pipeline into ONNX, and prove that both answer alike.

The pipeline takes the raw columns, text included, so that scoring needs no code of ours. Numbers travel as float32,
as they do everywhere in ONNX: train on float32 columns, and the two agree to the last rounding.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onebutton_models.estimators import REPLACEMENTS
from onebutton_models.scoring import OnnxModel, ScoringError

# The newest operator sets for which every converter in the lock was written.
OPSETS = {"": 18, "ai.onnx.ml": 3}


class ConversionError(ValueError):
    """An estimator that cannot ship as ONNX; the message names the step and the nearest replacement."""


def to_onnx(pipeline: Any, sample: Any) -> bytes:
    """Convert a fitted pipeline.

    Args:
        pipeline: a fitted scikit-learn pipeline or estimator that takes frames; LightGBM and XGBoost may be its last step.
        sample: a polars or pandas frame with the columns that the pipeline was fitted on; rows do not matter.

    Returns:
        The ONNX file: one input per column (text as string, numbers as float), shape (rows, 1). Equal pipelines give equal bytes.

    Raises:
        ConversionError: a step has no converter.
    """
    from skl2onnx import to_onnx as convert
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.base import is_classifier

    _register_boosters(pipeline)
    _number_from_the_start()
    types = [
        (name, (FloatTensorType if _is_number(sample[name]) else StringTensorType)([None, 1]))
        for name in sample.columns
    ]
    options = {id(pipeline): {"zipmap": False}} if is_classifier(pipeline) else None
    try:
        model = convert(pipeline, initial_types=types, options=options, target_opset=OPSETS, name="model")
    except Exception as error:  # the converters raise whatever they stumble over, TypeError to RuntimeError
        raise ConversionError(_refusal(pipeline, error)) from error
    # skl2onnx collects the operator sets in a Python set, whose order changes from one process to the next.
    opsets = sorted(model.opset_import, key=lambda opset: opset.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def prove_equal(pipeline: Any, model: bytes, sample: Any, tolerance: float) -> float:
    """Score a sample both ways and return the largest difference.

    Args:
        pipeline: the fitted pipeline.
        model: its ONNX file.
        sample: rows that the pipeline can score.
        tolerance: largest absolute difference allowed, in the unit of the prediction.

    Raises:
        ConversionError: they differ by more, one of them answers NaN, or the ONNX file cannot score the sample.
    """
    if hasattr(pipeline, "predict_proba"):
        expected = np.asarray(pipeline.predict_proba(sample))
        expected = expected[:, 1] if expected.shape[1] == 2 else expected  # noqa: PLR2004  both classes of two
    else:
        expected = np.asarray(pipeline.predict(sample))
    try:
        answers = OnnxModel(model).predict(sample)
    except ScoringError as error:
        message = f"the ONNX file cannot score what {_name(pipeline)} can: {error}"
        raise ConversionError(message) from error
    if answers.size != expected.size or expected.dtype.kind not in "biuf":
        message = (
            f"{_name(pipeline)} answers with {expected.dtype} of shape {expected.shape}, the ONNX file with numbers of shape "
            f"{answers.shape}. What ships is a probability for each class, or one number a row: take another estimator"
        )
        raise ConversionError(message)
    difference = float(np.max(np.abs(answers.reshape(expected.shape) - expected), initial=0.0))
    if math.isnan(difference) or difference > tolerance:
        message = (
            f"the ONNX file and {_name(pipeline)} differ by {difference:.3g} on the sample, {tolerance:.3g} is allowed, so "
            "what ships would not be what was trained. Fit on float32 columns, scale nothing that goes into trees, fill what "
            "is missing before trees of scikit-learn, or take another estimator"
        )
        raise ConversionError(message)
    return difference


def _is_number(column: Any) -> bool:
    return np.asarray(column.to_numpy()).dtype.kind in "biuf"


def _name(estimator: Any) -> str:
    return type(estimator).__name__


def steps(pipeline: Any) -> dict[str, Any]:
    """Find every estimator of a pipeline, those inside others too, by the name that `set_params` knows it by."""
    parts = {_name(pipeline): pipeline} | pipeline.get_params()
    lists = ("steps", "transformers", "transformer_list")  # pipelines, column transformers and unions only hold others
    return {
        name: part
        for name, part in parts.items()
        if hasattr(part, "get_params") and not any(hasattr(part, attribute) for attribute in lists)
    }


def _refusal(pipeline: Any, error: Exception) -> str:
    for name, estimator in steps(pipeline).items():
        if _name(estimator) in REPLACEMENTS:
            return (
                f"step {name!r}: {_name(estimator)} cannot become ONNX, so this model could not ship. "
                f"Take {REPLACEMENTS[_name(estimator)]}; onebutton_models/estimators.py lists what converts"
            )
    parts = ", ".join(f"{name!r} ({_name(estimator)})" for name, estimator in steps(pipeline).items())
    reason = " ".join(str(error).split())[:300]
    return f"one of the steps {parts} cannot become ONNX: {reason}. onebutton_models/estimators.py lists what converts"


def _register_boosters(pipeline: Any) -> None:
    """Teach skl2onnx the boosters that the pipeline uses, and only those, so that none is imported for nothing."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )

    libraries = {type(estimator).__module__.split(".")[0] for estimator in steps(pipeline).values()}
    for_classes = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    if "lightgbm" in libraries:
        import lightgbm

        update_registered_converter(
            lightgbm.LGBMClassifier,
            "LightGbmLGBMClassifier",
            calculate_linear_classifier_output_shapes,
            _convert_lightgbm,
            options=for_classes,
        )
        update_registered_converter(
            lightgbm.LGBMRegressor, "LightGbmLGBMRegressor", calculate_linear_regressor_output_shapes, _convert_lightgbm
        )
    if "xgboost" in libraries:
        import xgboost
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

        update_registered_converter(
            xgboost.XGBClassifier,
            "XGBoostXGBClassifier",
            calculate_linear_classifier_output_shapes,
            convert_xgboost,
            options=for_classes,
        )
        update_registered_converter(
            xgboost.XGBRegressor, "XGBoostXGBRegressor", calculate_linear_regressor_output_shapes, convert_xgboost
        )


def _number_from_the_start() -> None:
    """Let skl2onnx number what it names from zero, else the second conversion of a process gives other bytes."""
    from skl2onnx.common import _topology, utils

    _topology.Variable._UNIQUE_NUMBER_ = 0
    utils._unique_index["subgraph"] = 0  # noqa: SLF001  there is no public way


def _convert_lightgbm(scope: Any, operator: Any, container: Any) -> None:
    """Convert a booster whose thresholds are float32 numbers already, so that no split moves when ONNX stores them."""
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    trained = operator.raw_operator
    operator.raw_operator = _RoundedDown(trained)
    try:
        convert_lightgbm(scope, operator, container)
    finally:
        operator.raw_operator = trained


class _RoundedDown:
    """A LightGBM estimator that dumps its trees with thresholds rounded down to float32.

    LightGBM keeps thresholds as float64 and sends `x <= threshold` to the left; ONNX stores float32. Rounded to the nearest,
    a threshold may land on the next value above, and rows that went right go left (60 of 166,668 flights, with differences up
    to 0.015). Rounded down, no float32 value changes sides.
    """

    is_mock = True  # onnxmltools then asks `dump_model` instead of the C library

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self.booster_ = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._estimator, name)

    def dump_model(self) -> dict[str, Any]:
        """Return the trees as LightGBM's own dump has them, thresholds rounded."""
        model: dict[str, Any] = self._estimator.booster_.dump_model()
        for tree in model["tree_info"]:
            _round_down(tree["tree_structure"])
        return model


def _round_down(node: dict[str, Any]) -> None:
    if node.get("decision_type") == "<=":
        with np.errstate(over="ignore"):  # "everything that is not missing" is the largest float64
            threshold = np.float32(node["threshold"])
            below = np.nextafter(threshold, np.float32(-np.inf))
        node["threshold"] = float(below if float(threshold) > node["threshold"] else threshold)
    for child in ("left_child", "right_child"):
        if child in node:
            _round_down(node[child])
