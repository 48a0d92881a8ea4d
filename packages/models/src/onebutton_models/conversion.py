"""Turn a fitted scikit-learn pipeline into ONNX.

The pipeline takes the raw columns, text included, so that scoring needs no code of ours. Numbers travel as float32,
as they do everywhere in ONNX: train on float32 columns, and the two agree to the last rounding.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from onebutton_models.scoring import CLASSES, NULL_TEXT, is_missing

# The newest operator sets for which every converter in the lock was written.
OPSETS = {"": 18, "ai.onnx.ml": 3}
WORD, WORD_OF_RE2 = r"(?u)\b\w\w+\b", r"[\p{L}\p{N}_]{2,}"  # scikit-learn's words, said to the engine of ONNX Runtime
LOCALE = "C.UTF-8"  # lowers text on machines without any language installed; the default, en_US.UTF-8, is missing there

# What to take instead of what has no converter; the tests show that each is still refused.
REPLACEMENTS = {
    "HistGradientBoostingClassifier": "lightgbm.LGBMClassifier, the same method",
    "HistGradientBoostingRegressor": "lightgbm.LGBMRegressor, the same method",
    "FunctionTransformer": "the same function in the stage that builds the features",
    "SplineTransformer": "KBinsDiscretizer or PolynomialFeatures",
    "VotingClassifier": "StackingClassifier, or the same with voting='soft' and flatten_transform=False",
}


class ConversionError(ValueError):
    """An estimator that cannot ship as ONNX; the message names the step and the nearest replacement."""

    for_people = True  # a stage ends with the message alone


def to_onnx(pipeline: Any, sample: Any) -> bytes:
    """Convert a fitted pipeline.

    Args:
        pipeline: a fitted scikit-learn pipeline or estimator that takes frames; LightGBM and XGBoost may be its last step.
        sample: a polars or pandas frame with the columns that the pipeline was fitted on; rows do not matter.

    Returns:
        The ONNX file: one input per column (text as string, numbers as float), shape (rows, 1). Equal pipelines give equal bytes.

    Raises:
        ConversionError: a step has no converter, or the pipeline answers with labels alone.
    """
    from skl2onnx import to_onnx as convert
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.base import is_classifier

    last = _name(list(fitted_steps(pipeline))[-1])
    if is_classifier(pipeline) and not hasattr(pipeline, "predict_proba") and last not in REPLACEMENTS:
        raise ConversionError(
            f"{last} answers with labels and no probabilities, so it could not be judged or "
            "served. Put CalibratedClassifierCV around it, or take an estimator that has predict_proba"
        )
    _register_boosters(pipeline)
    _number_from_the_start()
    types = [
        (name, (FloatTensorType if is_number(sample[name]) else StringTensorType)([None, 1])) for name in sample.columns
    ]
    whole = _joined(pipeline, sample)
    options: dict[int, dict[str, Any]] = {id(whole): {"zipmap": False}} if is_classifier(whole) else {}
    for step in fitted_steps(pipeline):
        if is_vectorizer(step):
            words = {"tokenexp": WORD_OF_RE2} if (step.analyzer, step.token_pattern) == ("word", WORD) else {}
            options[id(step)] = {"locale": LOCALE, **words}
    try:
        with _nulls_as_text(pipeline), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of converters that read what scikit-learn will rename
            model = convert(whole, initial_types=types, options=options or None, target_opset=OPSETS, name="model")
    except Exception as error:  # the converters raise whatever they stumble over, TypeError to RuntimeError
        raise ConversionError(_refusal(pipeline, error)) from error
    _call_inputs_by_their_columns(model, [name for name, _ in types])
    # skl2onnx collects the operator sets in a Python set, whose order changes from one process to the next.
    opsets = sorted(model.opset_import, key=lambda opset: opset.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    if is_classifier(pipeline) and (classes := _named_classes(pipeline.classes_)):
        model.metadata_props.add(key=CLASSES, value=json.dumps(classes))
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _call_inputs_by_their_columns(model: Any, columns: list[str]) -> None:
    """Give the inputs the names of their columns: skl2onnx writes `_` for a space, a bracket or a quote."""
    called = {given.name: column for given, column in zip(model.graph.input, columns, strict=True)}
    for given, column in zip(model.graph.input, columns, strict=True):
        given.name = column
    for node in model.graph.node:
        node.input[:] = [called.get(name, name) for name in node.input]


def _named_classes(classes: Any) -> list[str]:
    """Name the classes in the order of their probabilities; of 0 and 1 everybody knows it."""
    numbers = classes.dtype.kind in "biuf"
    if numbers and len(classes) == 2:  # noqa: PLR2004
        return []
    return [f"{one:g}" if numbers else str(one) for one in classes.tolist()]


def fitted_steps(estimator: Any) -> Iterator[Any]:
    """Walk over the fitted estimators of a pipeline, in the order in which a row meets them."""
    for holder in ("transformers_", "transformer_list", "steps"):
        if hasattr(estimator, holder):
            for _, part, *_ in getattr(estimator, holder):
                if hasattr(part, "get_params"):
                    yield from fitted_steps(part)
            return
    yield estimator


def first_step(pipeline: Any) -> Any:
    """Return what the columns of a frame go into first."""
    while hasattr(pipeline, "steps"):
        pipeline = pipeline.steps[0][1]
    return pipeline


def is_vectorizer(step: Any) -> bool:
    """Say whether a step makes word counts of texts, and so takes a column where others take a frame."""
    return hasattr(step, "build_analyzer")


def _joined(pipeline: Any, sample: Any) -> Any:
    """Put a step in front that joins the columns, where the first would not take them one by one."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    names = list(sample.columns)
    first = first_step(pipeline)
    if isinstance(first, ColumnTransformer) or len(names) == 1:
        return pipeline
    if isinstance(pipeline, Pipeline):  # the first step goes inside: what stands before it would make numbers of texts
        columns = ColumnTransformer([("all", pipeline.steps[0][1], names)])
        columns.transformers_ = columns.transformers  # fitted already
        return Pipeline([("columns", columns), *pipeline.steps[1:]])
    return Pipeline([("columns", ColumnTransformer([("all", "passthrough", names)]).fit(sample)), ("model", pipeline)])


@contextmanager
def _nulls_as_text(pipeline: Any) -> Iterator[None]:
    """Let steps that know missing texts know them by `NULL_TEXT` while they are converted: a tensor of text has no null."""
    before = []
    for step in fitted_steps(pipeline):
        if getattr(step, "statistics_", np.array([])).dtype == object and not isinstance(step.missing_values, str):
            before.append((step, "missing_values", step.missing_values))
            step.missing_values = NULL_TEXT
        if isinstance(getattr(step, "categories_", None), list):
            before.append((step, "categories_", step.categories_))
            step.categories_ = [_with_null_text(words) for words in step.categories_]
    try:
        yield
    finally:
        for step, name, value in before:
            setattr(step, name, value)


def _with_null_text(words: Any) -> Any:
    if words.dtype != object:
        return words
    return np.array([NULL_TEXT if is_missing(word) else word for word in words], dtype=object)


def is_number(column: Any) -> bool:
    """Say whether a column of a frame holds numbers; anything else travels as text."""
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
                f"Take {REPLACEMENTS[_name(estimator)]}; docs/models.md lists what converts"
            )
    parts = ", ".join(f"{name!r} ({_name(estimator)})" for name, estimator in steps(pipeline).items())
    reason = " ".join(str(error).split())[:300]
    return f"one of the steps {parts} cannot become ONNX: {reason}. docs/models.md lists what converts"


def _register_boosters(pipeline: Any) -> None:
    """Teach skl2onnx the boosters that the pipeline uses, and only those, so that none is imported for nothing."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator as shapes
    from sklearn.base import is_classifier

    for estimator in steps(pipeline).values():
        library = type(estimator).__module__.split(".")[0]
        if library == "lightgbm":
            name, converter = f"LightGbm{_name(estimator)}", _convert_lightgbm
        elif library == "xgboost":
            from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

            name, converter = f"XGBoost{_name(estimator)}", convert_xgboost
        else:
            continue
        shape, options = shapes.calculate_linear_regressor_output_shapes, None
        if is_classifier(estimator):
            shape = shapes.calculate_linear_classifier_output_shapes
            options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
        update_registered_converter(type(estimator), name, shape, converter, options=options)


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
