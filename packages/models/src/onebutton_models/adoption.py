"""Take an ONNX file that another library exported, and prove it as one of ours.

Deep-learning libraries export one matrix of features; here each column is an input with its name. The file gets nodes in front
that join the columns; nothing inside it changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onebutton_models.conversion import ConversionError, is_number
from onebutton_models.proof import Predict, Proof, prove

PREFIX = "inside/"  # of every name in the file, so that none is also the name of a column


def adopt(source: bytes | Path, predict: Predict, sample: Any, drawn: Any = None, *, tolerance: float = 1e-5) -> Proof:
    """Make any ONNX file one that ships.

    Args:
        source: the file, or its content: either one input per column of the sample, by its name, or one matrix of all of them, in
            their order. The last output is the answer: one number a row, or a probability for each class.
        predict: what the file is held against: from a frame to the answers of the library that exported it.
        sample: the rows of training, a polars or pandas frame with the inputs as columns.
        drawn: rows that the contract lets in; see `prove`.
        tolerance: largest difference allowed, as a share of the spread of the answers.

    Raises:
        ConversionError: the file's inputs are not the columns, or it does not answer as `predict` does.
    """
    import onnx
    from onnx.compose import add_prefix

    content = source if isinstance(source, bytes) else source.read_bytes()
    try:
        given = onnx.load_from_string(content)
    except Exception as error:  # protobuf's DecodeError, which no package exports
        raise ConversionError("this is no ONNX file") from error
    file = add_prefix(given, PREFIX)
    constants = {tensor.name for tensor in file.graph.initializer}
    inputs = {one.name.removeprefix(PREFIX): one for one in file.graph.input if one.name not in constants}
    columns = list(sample.columns)
    if inputs.keys() <= set(columns):
        taken = {name: [name] for name in inputs}
    elif len(inputs) == 1 and all(len(one.type.tensor_type.shape.dim) == 2 for one in inputs.values()):  # noqa: PLR2004
        taken = dict.fromkeys(inputs, columns)
    else:
        raise ConversionError(
            f"the file takes {', '.join(inputs)}: neither the columns {', '.join(columns)} by their names, nor one matrix of "
            "them. Export it with one input of shape (rows, columns), the number of rows left open"
        )
    _put_columns_in_front(file.graph, [(inputs[name], names) for name, names in taken.items()], sample)
    return prove(predict, file.SerializeToString(deterministic=True), sample, drawn, tolerance=tolerance)


def _put_columns_in_front(graph: Any, taken: list[tuple[Any, list[str]]], sample: Any) -> None:
    """Give the graph one input of shape (rows, 1) for each column that its own take: text as string, numbers as float32."""
    from onnx import TensorProto, helper

    nodes, columns = [], []
    for own, names in taken:
        for name in names:
            kind = TensorProto.FLOAT if is_number(sample[name]) else TensorProto.STRING
            columns.append(helper.make_tensor_value_info(name, kind, [None, 1]))
        tensor = own.type.tensor_type
        joined, shape = f"{own.name}/joined", f"{own.name}/shape"
        nodes.append(helper.make_node("Concat", names, [joined], axis=1))
        if tensor.elem_type not in (TensorProto.FLOAT, TensorProto.STRING):
            nodes.append(helper.make_node("Cast", [joined], [f"{joined}/cast"], to=tensor.elem_type))
            joined = f"{joined}/cast"
        wanted = [-1, len(names)][: len(tensor.shape.dim)]  # one dimension, where the file takes a column as a list
        graph.initializer.append(helper.make_tensor(shape, TensorProto.INT64, [len(wanted)], wanted))
        nodes.append(helper.make_node("Reshape", [joined, shape], [own.name]))
    nodes += list(graph.node)
    for part, filled in ((graph.input, columns), (graph.node, nodes)):
        del part[:]
        part.extend(filled)
