"""Take an ONNX file that another library exported, and prove it as one of ours.

Deep-learning libraries export one matrix of features; here each column is an input with its name. The file gets nodes in front
that join the columns; nothing inside it changes.
"""

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
    from onnx import TensorProto, helper
    from onnx.compose import add_prefix

    content = source if isinstance(source, bytes) else source.read_bytes()
    try:
        given = onnx.load_from_string(content)
    except Exception as error:  # protobuf's DecodeError, which no package exports
        raise ConversionError("this is no ONNX file") from error
    file = add_prefix(given, PREFIX)
    graph, columns = file.graph, list(sample.columns)
    constants = {tensor.name for tensor in graph.initializer}
    inputs = {one.name.removeprefix(PREFIX): one.type.tensor_type for one in graph.input if one.name not in constants}
    by_name = inputs.keys() <= set(columns)
    if not by_name and [len(one.shape.dim) for one in inputs.values()] != [2]:
        raise ConversionError(
            f"the file takes {', '.join(inputs)}: neither the columns {', '.join(columns)} by their names, nor one matrix of "
            "them. Export it with one input of shape (rows, columns), the number of rows left open"
        )
    nodes, taken = [], dict[str, int]()
    for name, tensor in inputs.items():
        joined, shape, names = f"{PREFIX}{name}/joined", f"{PREFIX}{name}/shape", [name] if by_name else columns
        taken |= {one: TensorProto.FLOAT if is_number(sample[one]) else TensorProto.STRING for one in names}
        nodes.append(helper.make_node("Concat", names, [joined], axis=1))
        if tensor.elem_type not in (TensorProto.FLOAT, TensorProto.STRING):
            nodes.append(helper.make_node("Cast", [joined], [f"{joined}/cast"], to=tensor.elem_type))
            joined = f"{joined}/cast"
        wanted = [-1, len(names)][: len(tensor.shape.dim)]  # one dimension, where the file takes a column as a list
        graph.initializer.append(helper.make_tensor(shape, TensorProto.INT64, [len(wanted)], wanted))
        nodes.append(helper.make_node("Reshape", [joined, shape], [f"{PREFIX}{name}"]))
    values = [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in taken.items()]
    for part, filled in ((graph.input, values), (graph.node, [*nodes, *graph.node])):
        del part[:]
        part.extend(filled)
    return prove(predict, file.SerializeToString(deterministic=True), sample, drawn, tolerance=tolerance)
