"""Prove that an ONNX file answers as what was trained, on all that its contract lets in; or write into it what it refuses.

Rows of training prove little: thresholds of trees lie between them, and none holds a null or a word that comes next month. So
the rows to prove with are drawn from the contract too, by the training stage: this package knows no contract.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from onebutton_models.conversion import ConversionError, end_step, is_number, is_vectorizer
from onebutton_models.scoring import LIMITS, Limits, OnnxModel, ScoringError, is_missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS = 5000  # of training, evenly spread, that are answered both ways
MOST = 1000  # values that a column is closed to; a longer list would be no list
ADVICE = (
    "; what ships would not be what was trained. Fit on float32 columns, scale nothing that goes into trees, fill what is "
    "missing before trees of scikit-learn, or take another estimator"
)

Predict = Callable[[Any], Any]
NULL, NEW = "null", "new"  # what is odd in a column of a row: it is missing, or training never saw its value


class Proof(NamedTuple):
    """A file that was proven."""

    model: bytes  # the ONNX file; what it refuses is written into it, and nothing when it refuses nothing
    refuses: tuple[str, ...] = ()  # for people, one line for each column that takes less than its contract lets in


class _Fault(NamedTuple):
    """Why rows are not answered alike."""

    words: str
    by_training: bool = False  # what was trained refuses them itself


def prove(trained: Any, model: bytes, seen: Any, drawn: Any = None, *, tolerance: float = 1e-5) -> Proof:
    """Hold an ONNX file against what was trained, on rows of training and on rows drawn from the contract.

    A null, or a value that training never saw, that both do not answer alike is refused from then on: the column becomes
    required, or closed to the values of training. What cannot be closed is not converted.

    Args:
        trained: the fitted pipeline, or a function from a frame to its answers.
        model: its ONNX file.
        seen: the rows of training, all of them: a column is closed to the values that stand here.
        drawn: rows that the contract lets in, in the columns of `seen`; `onebutton_contracts.odd_rows` draws them.
        tolerance: largest difference allowed, as a share of the spread of the answers, or of an answer that is larger.

    Raises:
        ConversionError: they differ on rows of training, or on values that no column can be closed to.
    """
    sample = _take(seen, np.unique(np.linspace(0, len(seen) - 1, min(ROWS, len(seen))).astype(int)))
    drawn = seen[:0] if drawn is None else _like(drawn, seen)
    texts = [name for name in seen.columns if not is_number(seen[name])]
    nulls = [name for name in texts if _missing(sample[name]).any() or _missing(drawn[name]).any()]
    limits = Limits(text_nulls=nulls)
    judge = _Judge(answers_of(trained), OnnxModel(_limited(model, limits)), tolerance)
    judge.insist(sample, " on the sample")
    oddities, odd = _oddities(seen, drawn)
    refused = np.ones(len(oddities), dtype=bool)  # until they are proven, one after the other
    lines = []
    for at, (name, what) in enumerate(oddities):
        refused[at] = False
        rows = odd[:, at] & ~odd[:, refused].any(axis=1)
        if fault := judge.fault(_take(drawn, np.flatnonzero(rows))):
            refused[at] = True
            _narrow(limits, name, what, seen[name], fault)
            closed = "a missing value is refused (required)" if what == NULL else "closed to the values of training"
            lines.append(f"{name}: {closed}: {fault.words}")
    let_in = np.flatnonzero(~odd[:, refused].any(axis=1))
    judge.insist(_take(drawn, let_in), " on rows that the contract lets in")
    return Proof(_limited(model, limits), tuple(lines))


def answers_of(trained: Any) -> Predict:
    """Return what asks a fitted pipeline as ONNX answers: probabilities where there are any, of two classes the second."""
    if not hasattr(trained, "predict"):
        return trained  # type: ignore[no-any-return]  # a function
    ask = trained.predict_proba if hasattr(trained, "predict_proba") else trained.predict
    takes_texts = is_vectorizer(end_step(trained, 0))

    def answers(frame: Any) -> Any:
        found = np.asarray(ask(frame[frame.columns[0]] if takes_texts else frame))
        both_classes = hasattr(trained, "predict_proba") and found.shape[1] == 2  # noqa: PLR2004
        return found[:, 1] if both_classes else found

    return answers


class _Judge:
    """Asks both; the spread of the answers is that of the first rows asked."""

    def __init__(self, predict: Predict, onnx: OnnxModel, tolerance: float) -> None:
        self._predict, self._onnx, self._tolerance = predict, onnx, tolerance
        self._spread: float | None = None

    def insist(self, frame: Any, where: str) -> None:
        if fault := self.fault(frame, where):
            raise ConversionError(fault.words + ADVICE)

    def fault(self, frame: Any, where: str = "") -> _Fault | None:
        """Compare the answers to some rows."""
        if len(frame) == 0:
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of numbers so large that no float holds what comes of them
                expected = np.asarray(self._predict(frame))
        except Exception as error:  # noqa: BLE001  scikit-learn raises ValueError, TypeError, KeyError and more
            return _Fault(f"what was trained refuses it: {_short(error)}", by_training=True)
        try:
            answers = self._onnx.predict(frame)
        except ScoringError as error:
            return _Fault(f"the ONNX file cannot score what was trained to: {_short(error)}")
        if answers.size != expected.size or expected.dtype.kind not in "biuf":
            return _Fault(
                f"what was trained answers with {expected.dtype} of shape {expected.shape}, the ONNX file with numbers of shape "
                f"{answers.shape}, where a probability for each class or one number a row belongs"
            )
        apart = np.abs(answers.reshape(expected.shape) - expected)
        if self._spread is None:
            self._spread = float(np.ptp(expected)) or float(np.max(np.abs(expected)))
        allowed = self._tolerance * np.maximum(self._spread, np.abs(expected))
        worst = np.unravel_index(np.argmax(np.nan_to_num(apart - allowed, nan=np.inf)), apart.shape)
        if not apart[worst] <= allowed[worst]:
            return _Fault(
                f"the ONNX file and what was trained differ by {apart[worst]:.3g}{where}, {allowed[worst]:.3g} is allowed"
            )
        return None


def _oddities(seen: Any, drawn: Any) -> tuple[list[tuple[str, str]], NDArray[np.bool_]]:
    """Say what may be odd, as pairs of a column and `NULL` or `NEW`, and of which drawn rows each is true: (rows, oddities)."""
    oddities, marks = [], []
    for name in seen.columns:
        missing, known = _missing(drawn[name]), set(_values(seen[name]))
        new = np.array([value not in known for value in _values(drawn[name])], dtype=bool)
        oddities += [(name, NULL), (name, NEW)]
        marks += [missing, new & ~missing]
    return oddities, np.column_stack(marks)


def _narrow(limits: Limits, name: str, what: str, column: Any, fault: _Fault) -> None:
    """Refuse one oddity of a column from now on; raise where that would refuse what comes every day."""
    values = sorted({value for value in _values(column) if not is_missing(value)})
    if what == NULL and name in limits.text_nulls:
        limits.text_nulls.remove(name)
    elif what == NULL:
        limits.required.append(name)
    elif len(values) > min(MOST, len(column) // 2) or (is_number(column) and not fault.by_training):
        raise ConversionError(
            f"column {name!r}, values that training never saw but the contract lets in: {fault.words}{ADVICE}"
        )
    else:  # a number as a person writes it: 0.1
        limits.allowed[name] = [float(str(np.float32(value))) for value in values] if is_number(column) else values


def _limited(model: bytes, limits: Limits) -> bytes:
    """Write limits into a file; a file without any stays as it is."""
    if limits == Limits():
        return model
    import onnx

    file = onnx.load_from_string(model)
    known = {one.key: one.value for one in file.metadata_props}
    onnx.helper.set_model_props(file, known | {LIMITS: json.dumps(asdict(limits), sort_keys=True)})
    return bytes(file.SerializeToString(deterministic=True))


def _values(column: Any) -> list[Any]:
    values = np.asarray(column.to_numpy())
    return values.astype(np.float32).tolist() if is_number(column) else values.tolist()  # type: ignore[no-any-return]


def _missing(column: Any) -> NDArray[np.bool_]:
    return np.array([is_missing(value) for value in _values(column)], dtype=bool)


def _take(frame: Any, rows: NDArray[np.intp]) -> Any:
    return frame.iloc[rows] if hasattr(frame, "iloc") else frame[rows]


def _like(drawn: Any, seen: Any) -> Any:
    """Return drawn rows as a frame of the kind that training had: scikit-learn treats polars and pandas apart."""
    if not hasattr(seen, "iloc") or hasattr(drawn, "iloc"):
        return drawn
    frame = type(seen)(drawn.select(seen.columns).to_dict(as_series=False))
    whole = {name: kind for name, kind in seen.dtypes.items() if kind.kind == "f" or not frame[name].isna().any()}
    return frame.astype(whole)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
