"""Score the holdout with the ONNX file that ships and the declared baselines, and judge both. A stage of its own in DVC.

It needs no code of the pipeline: the ONNX file names its inputs, `gates.toml` says how rows are judged, and the contract of
predictions says which columns are kept. A pipeline with metrics of its own registers them in a module that calls `main`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
from polars import selectors
from pydantic import Field

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import InputError, require, run_stage
from onebutton_contracts.parameters import Parameters
from onebutton_contracts.tables import read_parquet, write_parquet
from onebutton_evaluation.champion import CHAMPION, read_champion
from onebutton_evaluation.curves import curves, declared_plots
from onebutton_evaluation.declarations import (
    BASE_RATE,
    CONTRACT,
    MEAN,
    MEDIAN,
    ONNX,
    Declarations,
    Judging,
    load_declarations,
)
from onebutton_evaluation.holdout import golden_examples
from onebutton_evaluation.influence import Floats
from onebutton_evaluation.intervals import DIGITS
from onebutton_evaluation.judgement import SLICES, judgement, write_judgement
from onebutton_evaluation.metrics import answer_values, metrics, metrics_by, read_rows
from onebutton_evaluation.robustness import Asked, importance
from onebutton_evaluation.slices import find_slices
from onebutton_evaluation.splits import likely_leaks
from onebutton_models.scoring import OnnxModel, ScoringError

MODEL = "model/model.onnx"
PLOTS = Path("plots")
IMPORTANCE = PLOTS / "importance.csv"


class EvaluateParams(Parameters, extra="ignore"):
    """The section `evaluate` of `params.yaml`; what else stands there is for the pipeline's own stages."""

    calibration_bins: Annotated[int, Field(ge=1)] = 10  # of equal count, of the calibration error and of curves


class Params(Parameters, extra="ignore"):
    """What this stage reads of `params.yaml`."""

    evaluate: EvaluateParams = EvaluateParams()


def answering(said: Declarations) -> list[tuple[str, list[str]]]:
    """List who answers, the file of a model or what a baseline always says, each with its columns of predictions."""
    quantiles = [(f"model/{column}.onnx", [column]) for column in said.judging.quantiles.values()]
    baselines = [(kind, said.judging.predicted(name)) for name, kind in said.baselines.items()]
    return [(MODEL, said.judging.predicted()), *quantiles, *baselines]


def read_models(said: Declarations) -> dict[str, OnnxModel]:
    """Read the model and those beside it, by their file.

    Raises:
        ScoringError: one is not here, or is no model.
        InputError: one has the classes in another order than `gates.toml`.
    """
    found = {file: OnnxModel(Path(file)) for file, _ in answering(said) if file.endswith(ONNX)}
    classes = said.judging.classes
    for file, model in found.items():
        if model.classes and classes not in ((), model.classes):
            raise InputError(
                f"{file} answers with the classes {', '.join(model.classes)}, in this order, and gates.toml says classes = "
                f"{[*classes]}. Write them there as the model has them, then press `make run`"
            )
    return found


def ask(model: OnnxModel, rows: pl.DataFrame, file: str, columns: Sequence[str]) -> dict[str, Floats]:
    """Ask a model about each row.

    Raises:
        InputError: it cannot score these rows, or has more answers to a row, or fewer, than its task has.
    """
    try:
        answers = np.atleast_2d(model.predict(rows).astype(np.float64).T)
    except ScoringError as error:
        raise InputError(f"{file} cannot score the holdout: {error}") from None
    wrong = f"{file} gives {len(answers)} numbers for a row; for the task in gates.toml it must give {len(columns)}"
    require(len(answers) == len(columns), wrong)
    return dict(zip(columns, answers, strict=True))


def score(rows: pl.DataFrame, known: pl.DataFrame, said: Declarations, models: Mapping[str, OnnxModel]) -> pl.DataFrame:
    """Put the answer of the model and of each baseline beside its row, and the class that it is called in a column `label`.

    `rows` are the holdout, `known` those of training with their answers; models are by the file that they were read from.

    Raises:
        InputError: as `ask`, or a column of the holdout is called as one of predictions.
    """
    judging, found = said.judging, dict[str, Any]()
    for who, columns in answering(said):
        if who.endswith(ONNX):
            found |= ask(models[who], rows, who, columns)
        else:
            found |= dict(zip(columns, constant(who, known[judging.answer], judging), strict=True))
    for name in found:
        taken = f"the holdout has a column {name!r} already, as gates.toml calls predictions; give one another name"
        require(name not in rows.columns, taken)
    frame = rows.with_columns(**found)
    if judging.classes and "label" not in frame.columns:
        called = np.array(judging.classes)[read_rows(frame, judging).called]
        frame = frame.with_columns(label=pl.Series(called, dtype=pl.String))
    return frame


def constant(kind: str, answers: pl.Series, judging: Judging) -> Floats:
    """Find what a baseline that always says the same says, by the answers of training; one value per column of predictions."""
    values: Any = answer_values(answers, judging)
    if judging.task == "regression":
        return np.array([np.median(values) if kind == MEDIAN else values.mean()])
    shares = np.bincount(values.astype(np.int64), minlength=max(len(judging.classes), 2)) / len(values)
    said = shares if kind == BASE_RATE else np.eye(len(shares))[shares.argmax()]
    return said if judging.task == "multiclass" else said[1:]


def summary(frame: pl.DataFrame, known: pl.DataFrame, said: Declarations, bins: int) -> dict[str, Any]:
    """Measure what `score` returned: the model, each baseline, and the model by each column that slices are cut by."""
    judging = said.judging
    found: dict[str, Any] = {"model": metrics(read_rows(frame, judging), judging, bins)}
    found |= {name: metrics(read_rows(frame, judging, name), judging, bins) for name in said.baselines}
    for rule in said.slices:
        if len(rule.by) == 1 and not rule.quantiles:
            found[f"by_{rule.by[0]}"] = metrics_by(frame, rule.by[0], judging, bins)
    told = {"binary": {"share": BASE_RATE}, "regression": {"median": MEDIAN, "mean": MEAN}}.get(judging.task, {})
    always = {name: constant(kind, known[judging.answer], judging)[0] for name, kind in told.items()}
    found["training"] = {"rows": known.height} | {name: round(float(one), DIGITS) for name, one in always.items()}
    return found


def main() -> None:
    """Write predictions, metrics, curves, slices, comparisons, robustness, and the golden examples that a release carries.

    Raises:
        InputError, ScoringError: a file is missing, or does not fit the others; nothing was written.
    """
    said, bins = load_declarations(), Params.load().evaluate.calibration_bins
    judging, contract = said.judging, load_contract(Path(CONTRACT))
    known, rows = (read_parquet(Path(f"data/{name}.parquet")) for name in ("train", "holdout"))
    models = read_models(said)
    model, frame = models[MODEL], score(rows, known, said, models)
    inputs = rows.select(
        pl.col(name).cast(pl.Float32 if kind == "float" else pl.String) for name, kind in model.inputs.items()
    )
    asked, parts = Asked(inputs, model.predict), find_slices(frame, said.slices)
    files = judgement(frame, said, contract, asked, read_champion(Path(CHAMPION)))
    files[SLICES]["holdout"]["likely_leaks"] = likely_leaks(known, rows, judging.unit)
    files["metrics.json"] = found = summary(frame, known, said, bins)
    answers = frame.select(*judging.predicted(), *judging.quantiles.values())
    files["model/golden.json"] = golden_examples(inputs, answers)
    judged = read_rows(frame, judging)
    drawn = curves(judged, bins, parts)
    for name in (name for name in found if name.startswith("by_")):
        values = frame[name.removeprefix("by_")].unique().sort()
        drawn[name] = pl.DataFrame([*found[name].values()]).select(values, pl.all())
    declared = declared_plots()
    if IMPORTANCE in declared:  # the model answers three times for each input: only where somebody reads it
        drawn[IMPORTANCE.stem] = importance(judged, asked, judging.known()[judging.champion])

    kept = frame.select(name for name in contract.column_names if name in frame.columns)
    write_parquet(kept, Path("data/predictions.parquet"), contract)
    write_judgement(files)
    PLOTS.mkdir(exist_ok=True)
    for path in declared.keys() & {PLOTS / f"{name}.csv" for name in drawn}:
        drawn[path.stem].with_columns(selectors.float().round(DIGITS)).write_csv(path)


if __name__ == "__main__":
    run_stage(main)
