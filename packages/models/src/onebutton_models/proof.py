"""Prove that an ONNX file answers as what was trained, on all that its contract lets in; or write into it what it refuses.

Rows of training prove little: thresholds of trees lie between them, and none holds a null or a word that comes next month. So
the rows to prove with are drawn from the contract too, by the training stage: this package knows no contract.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from onebutton_models.conversion import ConversionError, end_step, is_vectorizer
from onebutton_models.scoring import LIMITS, NULL_TEXT, Limits, OnnxModel, ScoringError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from onebutton_models.scoring import Feed

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


class _ApartError(ConversionError):
    """Rows that are not answered alike; `by_training` where what was trained refuses them itself."""

    def __init__(self, words: str, *, by_training: bool = False) -> None:
        self.words, self.by_training = " ".join(words.split())[:200], by_training
        super().__init__(self.words + ADVICE)


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
    from onnx import load_from_string

    onnx = OnnxModel(model)
    texts = [name for name, kind in onnx.inputs.items() if kind == "string"]
    onnx.limits = Limits(text_nulls=texts)
    compare = partial(_compare, answers_of(trained), onnx, tolerance)
    sample = _take(seen, np.unique(np.linspace(0, len(seen) - 1, min(ROWS, len(seen))).astype(int)))
    spread = compare(sample, where=" on the sample")
    drawn = seen[:0] if drawn is None else _like(drawn, seen)
    known, sampled = onnx.feed(seen), onnx.feed(sample)
    odd = _oddities(known, onnx.feed(drawn))
    nulls = [name for name in texts if _missing(sampled[name]).any() or odd[name, NULL].any()]
    limits, lines, refused = Limits(text_nulls=nulls), [], odd.copy()  # each until it is proven, one after the other

    def let_in(rows: NDArray[np.bool_]) -> Any:
        return _take(drawn, np.flatnonzero(np.logical_and.reduce([rows, *(~odd for odd in refused.values())])))

    for (name, what), rows in odd.items():
        del refused[name, what]
        try:
            compare(let_in(rows), spread)
        except _ApartError as fault:
            refused[name, what] = rows
            if what == NEW:
                limits.allowed[name] = _closed_to(name, known[name], fault)
            elif name in texts:
                limits.text_nulls.remove(name)
            else:
                limits.required.append(name)
            closed = "a missing value is refused (required)" if what == NULL else "closed to the values of training"
            lines.append(f"{name}: {closed}: {fault.words}")
    compare(let_in(np.ones(len(drawn), dtype=bool)), spread, " on rows that the contract lets in")
    if limits == Limits():
        return Proof(model)
    file = load_from_string(model)
    file.metadata_props.add(key=LIMITS, value=json.dumps(asdict(limits), sort_keys=True))
    return Proof(file.SerializeToString(deterministic=True), tuple(lines))


def answers_of(trained: Any) -> Predict:
    """Return what asks a fitted pipeline as ONNX answers: probabilities where there are any, of two classes the second."""
    if not hasattr(trained, "predict"):
        return trained  # type: ignore[no-any-return]  # a function
    sorts = hasattr(trained, "predict_proba")
    takes_texts = is_vectorizer(end_step(trained, 0))

    def answers(frame: Any) -> Any:
        rows = frame[frame.columns[0]] if takes_texts else frame
        found = np.asarray(trained.predict_proba(rows) if sorts else trained.predict(rows))
        return found[:, 1] if sorts and found.shape[1] == 2 else found  # noqa: PLR2004

    return answers


def _compare(  # noqa: PLR0913, PLR0917
    predict: Predict, onnx: OnnxModel, tolerance: float, frame: Any, spread: float = 0.0, where: str = ""
) -> float:
    """Compare the answers to some rows, if there are any; return the spread of the answers, theirs where none is given."""
    if len(frame) == 0:
        return spread
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of numbers so large that no float holds what comes of them
            expected = np.asarray(predict(frame))
    except Exception as error:  # scikit-learn raises ValueError, TypeError, KeyError and more
        raise _ApartError(f"what was trained refuses it: {error}", by_training=True) from error
    try:
        answers = onnx.predict(frame)
    except ScoringError as error:
        raise _ApartError(f"the ONNX file cannot score what was trained to: {error}") from error
    if answers.size != expected.size or expected.dtype.kind not in "biuf":
        raise _ApartError(
            f"what was trained answers with {expected.dtype} of shape {expected.shape}, the ONNX file with numbers of shape "
            f"{answers.shape}, where a probability for each class or one number a row belongs"
        )
    apart = np.abs(answers.reshape(expected.shape) - expected)
    spread = spread or float(np.ptp(expected)) or float(np.max(np.abs(expected)))
    allowed = tolerance * np.maximum(spread, np.abs(expected))
    worst = np.unravel_index(np.argmax(np.nan_to_num(apart - allowed, nan=np.inf)), apart.shape)
    if not apart[worst] <= allowed[worst]:
        differ = f"the ONNX file and what was trained differ by {apart[worst]:.3g}{where}"
        raise _ApartError(f"{differ}, {allowed[worst]:.3g} is allowed")
    return spread


def _oddities(known: Feed, drawn: Feed) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """Say of which drawn rows is true what may be odd: of each column `NULL` and `NEW`."""
    odd = {}
    for name, values in drawn.items():
        training = set(known[name].ravel().tolist())
        new = np.array([value not in training for value in values.ravel().tolist()], dtype=bool)
        odd[name, NULL] = _missing(values)
        odd[name, NEW] = new & ~odd[name, NULL]
    return odd


def _closed_to(name: str, known: NDArray[Any], fault: _ApartError) -> list[str | float]:
    """List the values that a column is closed to; raise where that would refuse what comes every day."""
    values = sorted(set(known.ravel()[~_missing(known)].tolist()))
    is_number = known.dtype != object
    if len(values) > min(MOST, len(known) // 2) or (is_number and not fault.by_training):
        raise ConversionError(f"column {name!r}, values that training never saw but the contract lets in: {fault}")
    return [float(str(np.float32(value))) for value in values] if is_number else values  # as a person writes it: 0.1


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    values = values.ravel()
    return np.asarray(values == NULL_TEXT if values.dtype == object else np.isnan(values), dtype=bool)


def _take(frame: Any, rows: NDArray[np.intp]) -> Any:
    return frame.iloc[rows] if hasattr(frame, "iloc") else frame[rows]


def _like(drawn: Any, seen: Any) -> Any:
    """Return drawn rows as a frame of the kind that training had: scikit-learn treats polars and pandas apart."""
    if not hasattr(seen, "iloc") or hasattr(drawn, "iloc"):
        return drawn
    frame = type(seen)(drawn.select(seen.columns).to_dict(as_series=False))
    whole = {name: kind for name, kind in seen.dtypes.items() if kind.kind == "f" or not frame[name].isna().any()}
    return frame.astype(whole)
