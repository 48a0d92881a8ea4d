"""Score a frame with an ONNX file. Needs onnxruntime and numpy alone, so that whatever serves a model stays small."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Feed = Mapping[str, NDArray[Any]]  # of each input an array of shape (rows, 1): objects that are text, or float32

NULL_TEXT = "\ue000"  # how a missing text travels: a character that Unicode keeps free
LIMITS = "onebutton.limits"  # where an ONNX file says what it refuses
CLASSES = "onebutton.classes"  # and which classes its probabilities are of


@dataclass
class Limits:
    """What a model does not take although its contract may, because it was not proven to answer it as it was trained to."""

    required: list[str] = field(default_factory=list)  # columns in which a missing number is refused
    allowed: dict[str, list[str | float]] = field(default_factory=dict)  # columns closed to the values listed
    text_nulls: list[str] = field(default_factory=list)  # of text, where a missing one is answered; else it is refused

    def hold(self, feed: Feed) -> None:
        """Refuse what the model does not take.

        Raises:
            ScoringError: names the column and the value.
        """
        for name in self.required:
            if np.isnan(feed[name]).any():
                raise ScoringError(f"column {name!r} must not be missing: the model was not proven where it is")
        for name, values in self.allowed.items():
            given = feed[name].ravel()
            unknown = set(given.tolist()) - {NULL_TEXT, *np.array(values, dtype=given.dtype).tolist()}
            if unknown := {value for value in unknown if value == value}:  # NaN is missing  # noqa: PLR0124
                raise ScoringError(f"column {name!r} is closed to the values of training, and holds {min(unknown)!r}")


class ScoringError(ValueError):
    """A frame that the model cannot score, the message names the column; or a file that is no model."""

    for_people = True  # a stage ends with the message alone


class OnnxModel:
    """An ONNX file with one named input per column."""

    inputs: Mapping[str, str]  # each input's name and kind, `string` or `float`, in the order of the file
    limits: Limits  # what `predict` refuses; the file says so, and a server learns it from the schema compiled of it
    classes: tuple[str, ...]  # of its probabilities, in their order; empty for 0 and 1, or if the file is silent

    def __init__(self, source: bytes | Path) -> None:
        """Load the model, which computes in one thread: so an answer is the same to the last digit on every machine.

        Args:
            source: the file, or its content.

        Raises:
            ScoringError: there is no such file, or it is not a model that onnxruntime can load.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # more add up the trees of a forest in another order
        content = source if isinstance(source, bytes) else str(source)
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no other class in common
            raise ScoringError(f"not a model that can be loaded: {' '.join(str(error).split())}") from error
        kinds = {"tensor(string)": "string", "tensor(float)": "float"}
        self.inputs = {item.name: kinds[item.type] for item in self._session.get_inputs()}
        self._last_output = [self._session.get_outputs()[-1].name]  # of a classifier the first is its labels
        said = self._session.get_modelmeta().custom_metadata_map
        self.limits = Limits(**json.loads(said.get(LIMITS, "{}")))
        self.classes = tuple(json.loads(said.get(CLASSES, "[]")))

    def predict(self, frame: Any) -> NDArray[np.float32]:
        """Score every row.

        Args:
            frame: a polars or pandas frame that holds at least the model's inputs as columns; a missing number is null or NaN.

        Returns:
            For a classifier of two classes the probability of the second, shape (rows,); for one of more classes all
            probabilities, shape (rows, classes); for a regressor the values, shape (rows,).

        Raises:
            ScoringError: a column is missing, has the wrong type, or is text with nulls; or the model refuses a value.
        """
        feed = self.feed(frame)
        self.limits.hold(feed)
        return self.answer(feed)

    def feed(self, frame: Any) -> Feed:
        """Take the inputs out of a frame, as `answer` needs them; a text that may be missing and is travels as `NULL_TEXT`."""
        nulls = self.limits.text_nulls
        return {name: _as_input(frame, name, kind, nulls=name in nulls) for name, kind in self.inputs.items()}

    def answer(self, feed: Feed) -> NDArray[np.float32]:
        """Score arrays that are ready, for a caller who has checked the values already.

        Args:
            feed: of each input an array of shape (rows, 1): objects that are text, or float32.

        Returns:
            As `predict`.

        Raises:
            ScoringError: the model refuses a value.
        """
        try:
            (output,) = self._session.run(self._last_output, feed)
        except Exception as error:  # as above
            raise ScoringError(f"the model refuses these rows: {' '.join(str(error).split())}") from error
        found = np.asarray(output, dtype=np.float32)
        narrow = found.ndim == 2 and found.shape[1] <= 2  # noqa: PLR2004  one number, or both classes of a binary classifier
        return found[:, -1] if narrow else found


def _as_input(frame: Any, name: str, kind: str, *, nulls: bool) -> NDArray[Any]:
    """Take one column as a tensor of shape (rows, 1); with `nulls` a text may be missing."""
    try:
        values = np.asarray(frame[name].to_numpy())
    except Exception as error:  # noqa: BLE001  polars and pandas raise different errors for a column that is not there
        raise ScoringError(f"the model needs the column {name!r}: {error}") from None
    if kind == "string":
        texts = values.astype(object)
        if set(map(type, texts)) != {str}:
            texts = np.array([NULL_TEXT if nulls and is_missing(value) else value for value in texts], dtype=object)
            if not all(isinstance(value, str) for value in texts):
                raise ScoringError(f"column {name!r} must be text without nulls")
        return texts.reshape(-1, 1)
    if values.dtype.kind not in "biufO" or values.ndim > 1:  # NumPy would make numbers of dates
        raise ScoringError(f"column {name!r} must be numbers: it is {values.dtype} of shape {values.shape}")
    # polars and pandas hand over objects for text, and often for what has nulls; NumPy would make a number of "1400"
    if values.dtype.kind == "O" and (words := [value for value in values if isinstance(value, str | bytes)]):
        raise ScoringError(f"column {name!r} must be numbers: it holds {words[0]!r}")
    try:
        return values.astype(np.float32).reshape(-1, 1)
    except (TypeError, ValueError) as error:
        raise ScoringError(f"column {name!r} must be numbers: {error}") from None


def is_missing(value: object) -> bool:
    """Say whether a cell of text is null, as polars (None) or pandas (None, NaN, NA) have it."""
    return value is None or (isinstance(value, float) and value != value) or type(value).__name__ == "NAType"  # noqa: PLR0124
