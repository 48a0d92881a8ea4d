from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper, numpy_helper

from onebutton_models.adoption import adopt
from onebutton_models.conversion import ConversionError
from onebutton_models.scoring import OnnxModel

WEIGHTS = np.array([[0.001, -0.0005], [0.0002, 0.001]], dtype=np.float32)
FLIGHTS = pl.DataFrame({"distance": [200.0, 1400.0, 2475.0, 94.0], "departure_minute": [359.0, 600.0, 1200.0, 1.0]})


def written(graph: onnx.GraphProto) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    content: bytes = model.SerializeToString()
    return content


def matrix_graph(kind: int = TensorProto.FLOAT) -> bytes:
    """One matrix in, two probabilities out: what a deep-learning library exports."""
    weights = WEIGHTS.astype(helper.tensor_dtype_to_np_dtype(kind))
    nodes = [helper.make_node("MatMul", ["x", "w"], ["raw"]), helper.make_node("Softmax", ["raw"], ["distance"])]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", kind, ["rows", 2])],
        [helper.make_tensor_value_info("distance", kind, ["rows", 2])],  # its names may be those of columns
        [numpy_helper.from_array(weights, "w")],
    )
    return written(graph)


def answers(frame: pl.DataFrame) -> Any:
    raw = np.exp(frame.to_numpy().astype(np.float64) @ WEIGHTS)
    return raw[:, 1] / raw.sum(axis=1)


def test_a_matrix_of_features_becomes_columns_by_name() -> None:
    proof = adopt(matrix_graph(), answers, FLIGHTS)
    model = OnnxModel(proof.model)
    assert model.inputs == {"distance": "float", "departure_minute": "float"}
    np.testing.assert_allclose(model.predict(FLIGHTS), answers(FLIGHTS), atol=1e-6)
    np.testing.assert_allclose(
        model.predict(FLIGHTS.select("departure_minute", "distance")), answers(FLIGHTS), atol=1e-6
    )


def test_a_file_may_compute_in_float64() -> None:
    model = OnnxModel(adopt(matrix_graph(TensorProto.DOUBLE), answers, FLIGHTS).model)
    np.testing.assert_allclose(model.predict(FLIGHTS), answers(FLIGHTS), atol=1e-6)


def test_a_file_on_the_disk_is_adopted(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(matrix_graph())
    assert adopt(file, answers, FLIGHTS) == adopt(matrix_graph(), answers, FLIGHTS)


@pytest.mark.parametrize("shape", [["rows"], ["rows", 1]])
def test_inputs_that_have_the_names_of_columns_are_taken_by_name(shape: list[Any]) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["departure_minute"], ["minute"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["distance", "minute"], ["sum"]),
        ],
        "net",
        [
            helper.make_tensor_value_info("departure_minute", TensorProto.INT64, shape),
            helper.make_tensor_value_info("distance", TensorProto.FLOAT, shape),
        ],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, shape)],
    )
    content = written(graph)
    proof = adopt(content, lambda frame: frame["distance"].to_numpy() + frame["departure_minute"].to_numpy(), FLIGHTS)
    np.testing.assert_array_equal(OnnxModel(proof.model).predict(FLIGHTS), [559, 2000, 3675, 95])


def test_a_file_that_answers_otherwise_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"differ by 0\.\d+ on the sample"):
        adopt(matrix_graph(), lambda frame: answers(frame) * 0.99, FLIGHTS)


def test_where_it_answers_a_null_otherwise_the_column_becomes_required() -> None:
    def fills(frame: pl.DataFrame) -> Any:
        return answers(frame.with_columns(pl.col("distance").fill_nan(0).fill_null(0)))

    drawn = pl.DataFrame({"distance": [None, 200.0], "departure_minute": [359.0, 359.0]})
    proof = adopt(matrix_graph(), fills, FLIGHTS, drawn)
    assert OnnxModel(proof.model).limits.required == ["distance"]
    assert proof.refuses[0].startswith("distance: a missing value is refused")


def test_a_file_with_other_inputs_is_refused_with_what_to_export() -> None:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["rows", 3, 8, 8])
    graph = helper.make_graph([helper.make_node("Identity", ["image"], ["same"])], "net", [image], [image])
    graph.output[0].name = "same"
    content = written(graph)
    with pytest.raises(ConversionError, match=r"the file takes image: neither the columns distance, .* Export it with"):
        adopt(content, answers, FLIGHTS)


def test_what_is_no_onnx_file_is_refused() -> None:
    with pytest.raises(ConversionError, match="this is no ONNX file"):
        adopt(b"\x80\x04pickle", answers, FLIGHTS)
