"""Turn a fitted scikit-learn pipeline into ONNX.

The pipeline takes the raw columns, text included, so that scoring needs no code of ours. Numbers travel as float32,
as they do everywhere in ONNX: train on float32 columns, and the two agree to the last rounding.
"""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from types import SimpleNamespace
from typing import Any

import numpy as np

from onebutton_models.scoring import CLASSES, NULL_TEXT, is_missing

# The newest operator sets for which every converter in the lock was written.
OPSETS = {"": 18, "ai.onnx.ml": 3}
WORD, WORD_OF_RE2 = r"(?u)\b\w\w+\b", r"[\p{L}\p{N}_]{2,}"  # scikit-learn's words, said to the engine of ONNX Runtime
LOCALE = "C.UTF-8"  # lowers text on machines without any language installed; the default, en_US.UTF-8, is missing there

HOLDERS = ("transformers_", "transformer_list", "steps")  # where an estimator lists those that it only holds

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
    from skl2onnx.common import _topology, utils
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.base import is_classifier

    last = end_step(pipeline, -1)
    if is_classifier(pipeline) and not hasattr(pipeline, "predict_proba") and type(last).__name__ not in REPLACEMENTS:
        raise ConversionError(
            f"{type(last).__name__} answers with labels and no probabilities, so it could not be judged or "
            "served. Put CalibratedClassifierCV around it, or take an estimator that has predict_proba"
        )
    _register_boosters(pipeline)
    _topology.Variable._UNIQUE_NUMBER_ = 0  # else the second conversion of a process gives other names, so other bytes
    utils._unique_index["subgraph"] = 0  # noqa: SLF001  there is no public way
    kinds = {name: FloatTensorType if is_number(sample[name]) else StringTensorType for name in sample.columns}
    types = [(name, kind([None, 1])) for name, kind in kinds.items()]
    whole = _joined(pipeline, sample)
    options: dict[int, dict[str, Any]] = {id(whole): {"zipmap": False}} if is_classifier(whole) else {}
    for step in filter(is_vectorizer, steps(pipeline).values()):
        words = {"tokenexp": WORD_OF_RE2} if (step.analyzer, step.token_pattern) == ("word", WORD) else {}
        options[id(step)] = {"locale": LOCALE, **words}
    try:
        with _nulls_as_text(pipeline), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of converters that read what scikit-learn will rename
            model = convert(whole, initial_types=types, options=options or None, target_opset=OPSETS, name="model")
    except Exception as error:  # the converters raise whatever they stumble over, TypeError to RuntimeError
        raise ConversionError(_refusal(pipeline, error)) from error
    called = {given.name: column for given, column in zip(model.graph.input, kinds, strict=True)}
    for given in model.graph.input:  # skl2onnx writes `_` for a space, a bracket or a quote
        given.name = called[given.name]
    for node in model.graph.node:
        node.input[:] = [called.get(name, name) for name in node.input]
    # skl2onnx collects the operator sets in a Python set, whose order changes from one process to the next.
    opsets = sorted(model.opset_import, key=lambda opset: opset.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    if is_classifier(pipeline):
        classes, are_numbers = pipeline.classes_.tolist(), pipeline.classes_.dtype.kind in "biuf"
        names = [f"{one:g}" if are_numbers else str(one) for one in classes]
        if not are_numbers or len(names) != 2:  # noqa: PLR2004  of 0 and 1 everybody knows the order
            model.metadata_props.add(key=CLASSES, value=json.dumps(names))
    return bytes(model.SerializeToString(deterministic=True))


def steps(estimator: Any, name: str = "") -> dict[str, Any]:
    """Find the estimators of a pipeline, in the order in which a row meets them, by the names that `set_params` knows.

    Pipelines, column transformers and unions only hold others, and are left out. Their steps are the fitted ones; those inside
    another estimator, as one that stacks, are what it was given.
    """
    parts = [part for holder in HOLDERS for part in getattr(estimator, holder, ())]
    inside = [(f"{name}__{one}".strip("_"), part) for one, part, *_ in parts or estimator.get_params().items()]
    found = {} if parts else {name or type(estimator).__name__: estimator}
    for one, part in inside:
        if hasattr(part, "get_params") and getattr(part, "func", True):  # without one, columns only pass through
            found |= steps(part, one) if parts else {one: part}
    return found


def end_step(pipeline: Any, end: int) -> Any:
    """Return the first step of a pipeline (0), which columns of a frame go into, or the last (-1), which answers."""
    while hasattr(pipeline, "steps"):
        pipeline = pipeline.steps[end][1]
    return pipeline


def is_vectorizer(step: Any) -> bool:
    """Say whether a step makes word counts of texts, and so takes a column where others take a frame."""
    return hasattr(step, "build_analyzer")


def _joined(pipeline: Any, sample: Any) -> Any:
    """Put a step in front that joins the columns, where the first would not take them one by one."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    names = list(sample.columns)
    if isinstance(end_step(pipeline, 0), ColumnTransformer) or len(names) == 1:
        return pipeline
    if isinstance(pipeline, Pipeline):  # the first step goes inside: what stands before it would make numbers of texts
        columns = ColumnTransformer([("all", pipeline.steps[0][1], names)])
        columns.transformers_ = columns.transformers  # fitted already
        return Pipeline([("columns", columns), *pipeline.steps[1:]])
    return Pipeline([("columns", ColumnTransformer([("all", "passthrough", names)]).fit(sample)), ("model", pipeline)])


@contextmanager
def _nulls_as_text(pipeline: Any) -> Iterator[None]:
    """Let steps that know missing texts know them by `NULL_TEXT` while they are converted: a tensor of text has no null."""
    before = [(step, dict(vars(step))) for step in steps(pipeline).values()]
    for step, values in before:
        if getattr(step, "statistics_", np.array([])).dtype == object and not isinstance(step.missing_values, str):
            step.missing_values = NULL_TEXT
        if isinstance(values.get("categories_"), list):
            step.categories_ = [
                words
                if words.dtype != object
                else np.array([NULL_TEXT if is_missing(one) else one for one in words], object)
                for words in step.categories_
            ]
    try:
        yield
    finally:
        for step, values in before:
            vars(step).update(values)


def is_number(column: Any) -> bool:
    """Say whether a column of a frame holds numbers; anything else travels as text."""
    return np.asarray(column.to_numpy()).dtype.kind in "biuf"


def _refusal(pipeline: Any, error: Exception) -> str:
    names = {step: type(estimator).__name__ for step, estimator in steps(pipeline).items()}
    for step, name in names.items():
        if name in REPLACEMENTS:
            cannot = f"step {step!r}: {name} cannot become ONNX, so this model could not ship"
            return f"{cannot}. Take {REPLACEMENTS[name]}; docs/models.md lists what converts"
    parts = ", ".join(f"{step!r} ({name})" for step, name in names.items())
    reason = " ".join(str(error).split())[:300]
    return f"one of the steps {parts} cannot become ONNX: {reason}. docs/models.md lists what converts"


def _register_boosters(pipeline: Any) -> None:
    """Teach skl2onnx the boosters that the pipeline uses, and only those, so that none is imported for nothing."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator as shapes
    from sklearn.base import is_classifier

    for estimator in steps(pipeline).values():
        library, classifies = type(estimator).__module__.split(".")[0], is_classifier(estimator)
        if library == "lightgbm":
            name, converter = "LightGbm", _convert_lightgbm
        elif library == "xgboost":
            from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

            name, converter = "XGBoost", convert_xgboost
        else:
            continue
        shape = f"calculate_linear_{'classifier' if classifies else 'regressor'}_output_shapes"
        options = {"nocl": [True, False], "zipmap": [True, False, "columns"]} if classifies else None
        kind = type(estimator)
        update_registered_converter(kind, name + kind.__name__, getattr(shapes, shape), converter, options=options)


def _convert_lightgbm(scope: Any, operator: Any, container: Any) -> None:
    """Convert a booster with thresholds rounded down to float32, so that no split moves.

    LightGBM keeps thresholds as float64 and sends `x <= threshold` to the left; ONNX stores float32. Rounded to the nearest,
    a threshold may land on the next value above, and rows that went right go left (60 of 166,668 flights, with differences up
    to 0.015). Rounded down, no float32 value changes sides.
    """
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    trained, mock = operator.raw_operator, copy(operator)
    trees = trained.booster_.dump_model(object_hook=_round_down)
    booster = SimpleNamespace(is_mock=True, dump_model=lambda: trees)  # so that the C library is not asked for them
    said = {"classes_": getattr(trained, "classes_", None), "boosting_type": trained.boosting_type}
    mock.raw_operator = SimpleNamespace(booster_=booster, **said)
    convert_lightgbm(scope, mock, container)


def _round_down(node: dict[str, Any]) -> dict[str, Any]:
    if node.get("decision_type") == "<=":
        with np.errstate(over="ignore"):  # "everything that is not missing" is the largest float64
            threshold = np.float32(node["threshold"])
            below = np.nextafter(threshold, np.float32(-np.inf))
        node["threshold"] = float(below if float(threshold) > node["threshold"] else threshold)
    return node
