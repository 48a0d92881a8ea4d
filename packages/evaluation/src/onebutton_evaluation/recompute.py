"""Compute every judged number again, from the model and the holdout, and hold the results files to it.

A number in a file is for reading: a person who can write the file can write its digest into `dvc.lock` as well. So gates and
deployments believe the model alone.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from onebutton_contracts.dvc_files import parse_yaml, read_yaml
from onebutton_contracts.errors import InputError
from onebutton_evaluation.champion import CHAMPION, NAME, PREDICTIONS
from onebutton_evaluation.curves import DIGITS
from onebutton_evaluation.declarations import load_declarations
from onebutton_evaluation.judgement import SLICES
from onebutton_evaluation.stage_alone import Stage, lacking, read_stages, run_alone
from onebutton_models.scoring import OnnxModel, ScoringError

NUMBER = re.compile(r"[+-]?\d[\d,]*\.?\d*(e[+-]?\d+)?")
IMPORTANCE = "plots/importance.csv"  # asks the model three times for every input, and decides nothing
FOLLOWS = "rows_needed"  # a count that follows from an estimate: it may round otherwise
MOST = 3  # differences told of a file


@dataclass(frozen=True)
class Computed:
    """What the model itself says.

    Attributes:
        results: by file the content that it must have.
        wrong: one line for each results file that says otherwise.
        unknown: why nothing, or not all, was computed; empty otherwise.
    """

    results: Mapping[str, Any] = field(default_factory=dict)
    wrong: tuple[str, ...] = ()
    unknown: str = ""


def compute(folder: Path, champion: Path | None = None) -> Computed:
    """Judge a pipeline's model again, and compare with the results files in the working tree and in the last commit.

    Args:
        folder: of the pipeline.
        champion: the release of the champion; its model answers the holdout again. None takes the predictions in `champion/`.
    """
    try:
        stages = read_stages(folder)
    except InputError as error:
        return Computed(unknown=str(error))
    judging, showing = (
        next((stage for stage in stages.values() if file in stage.writes), None) for file in (SLICES, "card.md")
    )
    if judging is None:
        return Computed(unknown=f"no stage of dvc.yaml writes {SLICES}, so no number could be computed again")
    if missing := lacking(folder, judging):
        words = f"{missing[0]} is not here, so the numbers were read and not computed"
        return Computed(unknown=f"{words}. `make pull` fetches it, or `make run` makes it")
    near = tolerance(folder)
    with (
        tempfile.TemporaryDirectory() as scratch,
        tempfile.TemporaryDirectory() as other,
        ThreadPoolExecutor(2) as pool,
    ):
        judged = pool.submit(_again, folder, judging, Path(scratch), near, champion)
        # the card is made of the results files, to the letter; one of wrong results is wrong by them
        told = pool.submit(_again, folder, showing, Path(other)) if showing and not lacking(folder, showing) else None
        wrong = judged.result() or (told.result() if told else [])
        said = {
            file: _parse(file, _here(Path(scratch, file)), near) for file in judging.writes if file.endswith(".json")
        }
    return Computed({file: one for file, one in said.items() if one is not None}, tuple(wrong))


def _again(
    folder: Path, stage: Stage, scratch: Path, near: float | None = None, champion: Path | None = None
) -> list[str]:
    try:
        wrong = rescore(folder, champion, scratch / CHAMPION, near or 0) if champion else []
        run_alone(folder, stage, scratch, without=[IMPORTANCE])
        return [*wrong, *compared(folder, stage, scratch, near)]
    except InputError as error:
        return [str(error)]


def rescore(folder: Path, release: Path, into: Path, near: float) -> list[str]:
    """Have the champion's model answer the holdout, and write its predictions; say where those in `champion/` are others.

    Raises:
        InputError: the model cannot answer these rows.
    """
    rows, judging = pl.read_parquet(folder / "data/holdout.parquet"), load_declarations(folder / "gates.toml").judging
    kept = pl.read_parquet(folder / CHAMPION / PREDICTIONS)
    columns = judging.predicted()
    key = [name for name in kept.columns if name in rows.columns and name not in columns]
    again = answers_of(release / "model.onnx", f"the champion {release.name}", rows, key, columns)
    into.mkdir()
    again.write_parquet(into / PREDICTIONS)
    (into / NAME).write_text(release.name + "\n", encoding="utf-8")
    both = kept.select(*key, *columns).join(again, on=key, suffix="_again", nulls_equal=True)
    apart = [name for name in columns if not _near(both[name], both[f"{name}_again"], near).all()]
    words = f"{CHAMPION}/{PREDICTIONS} is not what {release.name} answers"
    return [words] if apart or not both.height else []


def answers_of(model: Path, name: str, rows: pl.DataFrame, key: Sequence[str], columns: Sequence[str]) -> pl.DataFrame:
    """Have another model answer rows, as `champion/` keeps predictions.

    Args:
        model: its ONNX file.
        name: for people.
        rows: to answer.
        key: the columns that together name a row.
        columns: what its answers are called.

    Raises:
        InputError: it cannot answer these rows.
    """
    try:
        answers = OnnxModel(model).predict(rows).astype("float64")
    except ScoringError as error:
        message = f"{name} cannot answer the holdout, so nothing can be compared with it: {error}"
        raise InputError(message) from None
    return rows.select(key).hstack(pl.DataFrame(answers.reshape(len(rows), -1), schema=list(columns)))


def compared(folder: Path, stage: Stage, scratch: Path, near: float | None) -> Iterator[str]:
    """Hold what a stage wrote, here and at HEAD, to what it writes now; without `near` every byte of it.

    Models are left out: on another machine the same training may write other bytes.
    """
    same_inputs = _inputs(_at_head(folder, "dvc.lock"), stage) == _inputs(_here(folder / "dvc.lock"), stage)
    inside = (path for one in stage.writes for path in (scratch / one, *sorted((scratch / one).rglob("*"))))
    for file in (path.relative_to(scratch).as_posix() for path in inside if path.is_file() and path.suffix != ".onnx"):
        computed = _parse(file, _here(scratch / file), near)
        if computed is None:
            continue
        sides = {"": _here(folder / file)}
        committed = _at_head(folder, file) if same_inputs else None
        if committed not in {None, sides[""]}:
            sides[" at HEAD"] = committed
        for where, content in sides.items():
            if (said := _parse(file, content, near)) is None:
                yield f"{file} is not here, or cannot be read, and the stage {stage.name} writes it"
                continue
            found = list(differing(said, computed, near or 0))
            more = f", and {len(found) - MOST} more" if len(found) > MOST else ""
            if found:
                yield f"{file}{where} is not what comes out: {'; '.join(found[:MOST])}{more}"


def differing(said: Any, computed: Any, near: float, name: str = "") -> Iterator[str]:
    """Say where two contents differ; numbers by more than `near` of their size, counts and words at all.

    Numbers inside words are left out: they stand beside as numbers.
    """
    if isinstance(said, Mapping) and isinstance(computed, Mapping):
        for key in dict.fromkeys([*computed, *said]):
            yield from differing(said.get(key), computed.get(key), near, f"{name}.{key}" if name else str(key))
    elif isinstance(said, pl.DataFrame):
        yield from _apart(said, computed, near)
    elif isinstance(said, bytes) and said != computed:
        yield "it has other words or numbers"
    elif isinstance(said, list) and isinstance(computed, list) and len(said) == len(computed):
        for place, pair in enumerate(zip(said, computed, strict=True)):
            yield from differing(*pair, near, f"{name}[{place}]")
    elif not _same(said, computed, near, name):
        one, other = (f"{value:.6g}" if isinstance(value, float) else str(value)[:60] for value in (said, computed))
        yield f"{name or 'it'} says {one}, computed {other}"


def _same(said: Any, computed: Any, near: float, name: str) -> bool:
    if isinstance(said, str) and isinstance(computed, str):
        return NUMBER.sub("#", said) == NUMBER.sub("#", computed)
    if isinstance(said, bool) or not isinstance(said, int | float) or not isinstance(computed, int | float):
        return bool(said == computed)
    if name.endswith(FOLLOWS):
        return abs(said - computed) <= max(1, 0.01 * abs(computed))
    if isinstance(said, int) and isinstance(computed, int):
        return said == computed
    return math.isclose(said, computed, rel_tol=near, abs_tol=near)


def _apart(said: pl.DataFrame, computed: pl.DataFrame, near: float) -> Iterator[str]:
    if (said.height, said.schema) != (computed.height, computed.schema):
        yield f"it has {said.height} rows and the columns {', '.join(said.columns)}, computed {computed.height} rows"
        return
    for name in said.columns:
        old, new = said[name], computed[name]
        equal = old.eq_missing(new)
        if old.dtype.is_float():
            equal |= _near(old, new, near)
        if not equal.all():
            yield f"{name} is another in {(~equal).sum()} of {said.height} rows"


def _near(old: pl.Series, new: pl.Series, near: float) -> pl.Series:
    """Say which values are as near as their own size, at least 1, allows; a missing one is not."""
    size = pl.select(pl.max_horizontal(new.abs(), 1.0)).to_series()
    return ((old - new).abs() <= near * size).fill_null(value=False)


def _here(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def _parse(file: str, content: bytes | None, near: float | None) -> Any:
    """Read a results file as mappings, a frame, or without `near` as bytes; None where it is not there or cannot be read."""
    if content is None or near is None:
        return content
    try:
        if file.endswith(".parquet"):
            return pl.read_parquet(content)
        if file.endswith(".csv"):
            return pl.read_csv(content, infer_schema_length=None)
        return json.loads(content) if file.endswith(".json") else content
    except (ValueError, pl.exceptions.PolarsError):
        return None


def _at_head(folder: Path, file: str) -> bytes | None:
    """Return a file of the last commit; None where git has none."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(["git", "show", f"HEAD:./{file}"], cwd=folder, env=own, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def _inputs(lock: bytes | None, stage: Stage) -> Any:
    """Return what a stage read according to a `dvc.lock`."""
    try:
        done = parse_yaml((lock or b"").decode(), "dvc.lock")["stages"][stage.name]
        return {entry["path"]: entry.get("md5") for entry in done["deps"]} | {"params": done.get("params")}
    except (InputError, TypeError, KeyError):
        return None


def tolerance(folder: Path) -> float:
    """Read how much a number may differ from one that was computed elsewhere: `reproduce.tolerance` of `params.yaml`."""
    try:
        said = float(read_yaml(folder / "params.yaml")["reproduce"]["tolerance"])
    except (InputError, TypeError, KeyError, ValueError):
        said = 0.0
    return max(said, float(10**-DIGITS))
