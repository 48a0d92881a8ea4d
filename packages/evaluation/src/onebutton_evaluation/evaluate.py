"""Score the holdout with the ONNX file that ships and the declared baselines, and judge both. A stage of its own in DVC.

It needs no code of the pipeline: the ONNX file names its inputs, `gates.toml` says how rows are judged, and the contract of
predictions says which columns are kept. A pipeline with metrics of its own registers them in a module that calls `main`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import polars as pl
from polars import selectors
from pydantic import Field
from pydantic.dataclasses import dataclass

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import InputError, run_stage
from onebutton_contracts.parameters import STRICT, load_parameters
from onebutton_contracts.tables import read_parquet, write_parquet
from onebutton_evaluation.baselines import constant
from onebutton_evaluation.champion import read_champion
from onebutton_evaluation.curves import DIGITS, curves
from onebutton_evaluation.declarations import ONNX, Declarations, load_declarations
from onebutton_evaluation.frames import read_rows
from onebutton_evaluation.golden import GOLDEN, golden_examples, golden_text
from onebutton_evaluation.importance import importance
from onebutton_evaluation.judgement import SLICES, Asked, judgement, write_judgement, write_text
from onebutton_evaluation.metrics import metrics, metrics_by
from onebutton_evaluation.plots import declared_plots
from onebutton_evaluation.slices import Slice, find_slices
from onebutton_evaluation.splits import likely_leaks
from onebutton_models.scoring import OnnxModel, ScoringError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL = "model/model.onnx"
PLOTS = Path("plots")
IMPORTANCE = PLOTS / "importance.csv"
OTHERS = STRICT | {"extra": "ignore"}  # what else stands in params.yaml is for the pipeline's own stages


@dataclass(frozen=True, config=OTHERS)
class EvaluateParams:
    """The section `evaluate` of `params.yaml`.

    Attributes:
        calibration_bins: bins of equal count, of the calibration error and of curves.
    """

    calibration_bins: Annotated[int, Field(ge=1)] = 10


@dataclass(frozen=True, config=OTHERS)
class Params:
    """What this stage reads of `params.yaml`."""

    evaluate: EvaluateParams = field(default_factory=EvaluateParams)


def predictions(
    rows: pl.DataFrame, known: pl.DataFrame, said: Declarations, models: Mapping[str, OnnxModel]
) -> dict[str, NDArray[np.float64]]:
    """Answer every row of the holdout, as the model does and as each baseline.

    Args:
        rows: the holdout.
        known: the rows that the model was trained on, with their answers.
        said: what `gates.toml` declares.
        models: by the file that they were read from.

    Returns:
        The columns of predictions by their name, each of shape (rows,).

    Raises:
        InputError: a model cannot score these rows, or answers in another shape than its task has.
    """
    judging = said.judging
    asked = {MODEL: judging.predicted()}
    asked |= {quantile_file(column): [column] for column in judging.quantiles.values()}
    asked |= {kind: judging.predicted(name) for name, kind in said.baselines.items() if kind in models}
    found: dict[str, NDArray[np.float64]] = {}
    for file in asked:
        hold_order(models[file], file, judging.classes)
    with ThreadPoolExecutor(2) as pool:  # each model takes one thread, so that its answers are the same everywhere
        answers = pool.map(lambda file: ask(models[file], rows, file, len(asked[file])), asked)
        for names, values in zip(asked.values(), answers, strict=True):
            found |= dict(zip(names, values, strict=True))
    for name, kind in said.baselines.items():
        if kind not in models:
            values = constant(kind, known[judging.answer], judging)
            found |= {
                column: np.full(rows.height, value)
                for column, value in zip(judging.predicted(name), values, strict=True)
            }
    return found


def hold_order(model: OnnxModel, file: str, classes: Sequence[str]) -> None:
    """Refuse a model whose probabilities stand in another order than `gates.toml` names the classes in.

    Raises:
        InputError: names both orders.
    """
    if model.classes and classes and list(model.classes) != list(classes):
        message = (
            f"{file} answers with the classes {', '.join(model.classes)}, in this order, and gates.toml says classes = "
            f"{list(classes)}. Write them there as the model has them, then press `make run`"
        )
        raise InputError(message)


def ask(model: OnnxModel, rows: pl.DataFrame, file: str, columns: int) -> NDArray[np.float64]:
    """Ask a model about each row; return shape (columns, rows).

    Raises:
        InputError: it cannot score these rows, or has more answers to a row, or fewer, than its task has.
    """
    try:
        answers = np.atleast_2d(model.predict(rows).astype(np.float64).T)
    except ScoringError as error:
        message = f"{file} cannot score the holdout: {error}"
        raise InputError(message) from None
    if len(answers) != columns:
        message = f"{file} gives {len(answers)} numbers for a row; for the task in gates.toml it must give {columns}"
        raise InputError(message)
    return answers


def quantile_file(column: str) -> str:
    """Name the file of the model that predicts a quantile."""
    return f"model/{column}.onnx"


def read_models(said: Declarations) -> dict[str, OnnxModel]:
    """Read the model and those beside it, by their file.

    Raises:
        InputError: one is not here, or is no model.
    """
    beside = (kind for kind in said.baselines.values() if kind.endswith(ONNX))
    found = {}
    for file in (MODEL, *map(quantile_file, said.judging.quantiles.values()), *beside):
        if not Path(file).is_file():
            message = f"{file} is not here, so nothing can be scored. `make run` makes it"
            raise InputError(message)
        try:
            found[file] = OnnxModel(Path(file))
        except (ScoringError, KeyError) as error:
            message = f"{file}: {error}"
            raise InputError(message) from None
    return found


def score(rows: pl.DataFrame, known: pl.DataFrame, said: Declarations, models: Mapping[str, OnnxModel]) -> pl.DataFrame:
    """Put every prediction beside its row, and the class that it is called in a column `label`.

    Raises:
        InputError: as `predictions`, or a column of the holdout is called as one of predictions.
    """
    found = predictions(rows, known, said, models)
    if taken := sorted(found.keys() & set(rows.columns)):
        message = (
            f"the holdout has a column {taken[0]!r} already, as gates.toml calls predictions; give one another name"
        )
        raise InputError(message)
    frame = rows.with_columns(pl.Series(name, values) for name, values in found.items())
    if said.judging.classes and "label" not in frame.columns:
        called = np.array(said.judging.classes)[read_rows(frame, said.judging).called]
        frame = frame.with_columns(label=pl.Series(called, dtype=pl.String))
    return frame


def summary(frame: pl.DataFrame, known: pl.DataFrame, said: Declarations, bins: int) -> dict[str, Any]:
    """Measure the model, each baseline, and the model by each column that slices are cut by; describe training.

    Args:
        frame: as `score` returns it.
        known: the rows that the model was trained on.
        said: what `gates.toml` declares.
        bins: of the calibration error.
    """
    judging = said.judging
    found: dict[str, Any] = {"model": metrics(read_rows(frame, judging), judging, bins)}
    found |= {name: metrics(read_rows(frame, judging, name), judging, bins) for name in said.baselines}
    for rule in said.slices:
        if len(rule.by) == 1 and not rule.quantiles:
            found[f"by_{rule.by[0]}"] = metrics_by(frame, rule.by[0], judging, bins)
    shares = {"share": "base-rate"} if judging.task == "binary" else {}
    middle = {"median": "median", "mean": "mean"} if judging.task == "regression" else {}
    numbers = {name: constant(kind, known[judging.answer], judging)[0] for name, kind in (shares | middle).items()}
    return found | {
        "training": {"rows": known.height, **{name: round(float(one), DIGITS) for name, one in numbers.items()}}
    }


def plots(
    frame: pl.DataFrame, said: Declarations, found: Mapping[str, Any], bins: int, parts: Sequence[Slice]
) -> dict[str, pl.DataFrame]:
    """Draw the curves of the task, and the metrics by each column that slices are cut by.

    Args:
        frame: as `score` returns it.
        said: what `gates.toml` declares.
        found: as `summary` returns it.
        bins: of equal count.
        parts: the slices.

    Returns:
        The data of each plot by its name, such as `by_month`.
    """
    drawn = curves(read_rows(frame, said.judging), bins, parts)
    for name in (name for name in found if name.startswith("by_")):
        column = name.removeprefix("by_")
        values = frame[column].unique().sort()
        drawn[name] = pl.DataFrame(
            [{column: value, **numbers} for value, numbers in zip(values, found[name].values(), strict=True)]
        )
    return drawn


def main() -> None:
    """Write predictions, metrics, curves, slices, comparisons, robustness, and the golden examples that a release carries.

    Raises:
        InputError: a file is missing, or does not fit the others; nothing was written.
    """
    said, bins = load_declarations(), load_parameters(Params).evaluate.calibration_bins
    judging, contract = said.judging, load_contract(Path("contracts/predictions.odcs.yaml"))
    known, rows = (read_parquet(Path(f"data/{name}.parquet")) for name in ("train", "holdout"))
    models = read_models(said)
    frame = score(rows, known, said, models)
    model = models[MODEL]
    inputs = rows.select(
        pl.col(name).cast(pl.Float32 if kind == "float" else pl.String) for name, kind in model.inputs.items()
    )
    asked = Asked(inputs, model.predict)
    files = judgement(frame, said, contract, asked, read_champion(Path("champion")))
    files[SLICES]["holdout"]["likely_leaks"] = likely_leaks(known, rows, judging.unit)
    answers = {name: frame[name].to_numpy() for name in (*judging.predicted(), *judging.quantiles.values())}
    parts = find_slices(frame, said.slices)
    golden = golden_text(golden_examples(inputs, parts, answers))
    found = summary(frame, known, said, bins)
    drawn, declared = plots(frame, said, found, bins, parts), declared_plots()
    if IMPORTANCE in declared:  # the model answers three times for each input: only where somebody reads it
        drawn[IMPORTANCE.stem] = importance(read_rows(frame, judging), asked, judging.known()[judging.champion])

    kept = frame.select(name for name in contract.column_names if name in frame.columns)
    write_parquet(kept, Path("data/predictions.parquet"), contract)
    write_judgement(files)
    write_text(Path("model") / GOLDEN, golden)
    write_text(Path("metrics.json"), json.dumps(found, indent=2) + "\n")
    PLOTS.mkdir(exist_ok=True)
    for path in declared.keys() & {PLOTS / f"{name}.csv" for name in drawn}:
        drawn[path.stem].with_columns(selectors.float().round(DIGITS)).write_csv(path)


if __name__ == "__main__":
    run_stage(main)
