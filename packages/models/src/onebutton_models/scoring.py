"""Score a frame with an ONNX file. Needs onnxruntime and numpy alone, so that whatever serves a model stays small."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import onnxruntime

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Column(Protocol):
    """A column of a polars or pandas frame."""

    def to_numpy(self) -> NDArray[Any]:
        """Return the values, one per row."""


class Frame(Protocol):
    """A polars or pandas frame, as far as scoring is concerned."""

    def __getitem__(self, name: str, /) -> Any:
        """Return one `Column`."""


class ScoringError(ValueError):
    """A frame that the model cannot score, the message names the column; or a file that is no model."""


class OnnxModel:
    """An ONNX file with one named input per column.

    Attributes:
        inputs: each input's name and kind, `string` or `float`, in the order of the file.
    """

    def __init__(self, source: bytes | Path, *, threads: int = 1) -> None:
        """Load the model.

        Args:
            source: the file, or its content.
            threads: how many threads one call may use; 0 takes all. With one, an answer is the same to the last digit on every
                machine and in every batch; more add up the trees of a forest in another order.

        Raises:
            ScoringError: there is no such file, or it is not a model that onnxruntime can load.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        content = source if isinstance(source, bytes) else str(source)
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no other class in common
            message = f"not a model that can be loaded: {' '.join(str(error).split())}"
            raise ScoringError(message) from error
        kinds = {"tensor(string)": "string", "tensor(float)": "float"}
        self.inputs: Mapping[str, str] = {item.name: kinds[item.type] for item in self._session.get_inputs()}

    def predict(self, frame: Frame) -> NDArray[np.float32]:
        """Score every row.

        Args:
            frame: holds at least the model's inputs as columns; a missing number is null or NaN.

        Returns:
            For a classifier of two classes the probability of the second, shape (rows,); for one of more classes all
            probabilities, shape (rows, classes); for a regressor the values, shape (rows,).

        Raises:
            ScoringError: a column is missing, has the wrong type, or is text with nulls; or the model itself refuses a value.
        """
        return self.answer({name: _as_input(frame, name, kind) for name, kind in self.inputs.items()})

    def answer(self, feed: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Score arrays that are ready, for a caller who has checked the values already.

        Args:
            feed: for each input an array of shape (rows, 1): objects that are text, or float32.

        Returns:
            As `predict`.

        Raises:
            ScoringError: the model refuses a value.
        """
        try:
            found: NDArray[np.float32] = self._session.run(None, feed)[-1]
        except Exception as error:  # as above
            message = f"the model refuses these rows: {' '.join(str(error).split())}"
            raise ScoringError(message) from error
        if found.ndim == 2 and found.shape[1] == 2:  # noqa: PLR2004  both classes of a binary classifier
            return found[:, 1]
        return found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found  # noqa: PLR2004


def _as_input(frame: Frame, name: str, kind: str) -> NDArray[Any]:
    """Take one column as a tensor of shape (rows, 1)."""
    try:
        values = np.asarray(frame[name].to_numpy())
    except Exception as error:  # noqa: BLE001  polars and pandas raise different errors for a column that is not there
        message = f"the model needs the column {name!r}: {error}"
        raise ScoringError(message) from None
    if kind == "string":
        texts = values.astype(object)
        if not all(isinstance(value, str) for value in texts):
            message = f"column {name!r} must be text without nulls"
            raise ScoringError(message)
        return texts.reshape(-1, 1)
    try:
        return _as_numbers(values).reshape(-1, 1)
    except (TypeError, ValueError) as error:
        message = f"column {name!r} must be numbers: {error}"
        raise ScoringError(message) from None


def _as_numbers(values: NDArray[Any]) -> NDArray[np.float32]:
    """Refuse what NumPy would turn into numbers though it is none: the text "1400", a date, a list."""
    if values.dtype.kind == "O":  # how polars and pandas hand over text, and often what has nulls
        for value in values:
            if isinstance(value, str | bytes):
                message = f"it holds {value!r}"
                raise TypeError(message)
    elif values.dtype.kind not in "biuf" or values.ndim > 1:
        message = f"it is {values.dtype} of shape {values.shape}"
        raise TypeError(message)
    return values.astype(np.float32)
