"""Run stages again, with nothing but what `dvc.yaml` says that they read, and hold the results files to what comes out.

A number in a file is for reading: a person who can write the file can write its digest into `dvc.lock` as well. So gates and
deployments believe the model alone.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
from polars.testing import assert_frame_equal

from onebutton_contracts.contract import load_contract
from onebutton_contracts.dvc_files import Stage, entries, parse_yaml, paths, read_plan, read_yaml
from onebutton_contracts.errors import InputError, require
from onebutton_evaluation.champion import CHAMPION, NAME, PREDICTIONS, beside, read_champion
from onebutton_evaluation.declarations import CONTRACT, load_declarations
from onebutton_evaluation.evaluate import IMPORTANCE, ask
from onebutton_evaluation.intervals import DIGITS
from onebutton_evaluation.judgement import SLICES
from onebutton_models.scoring import OnnxModel

NUMBER = re.compile(r"[+-]?\d[\d,]*\.?\d*(e[+-]?\d+)?")
TABLES: dict[str, Callable[..., pl.DataFrame]] = {
    ".parquet": pl.read_parquet,
    ".csv": partial(pl.read_csv, infer_schema_length=None),
}
MOST = 3  # differences told of a file


def run_alone(folder: Path, stage: Stage, scratch: Path, inside: Sequence[str] = ()) -> None:
    """Run a stage in a folder of its own: what it reads is linked there, unless it is there already.

    Args:
        folder: of the pipeline.
        stage: to run.
        scratch: an empty folder, or one with what the stage is to read instead.
        inside: a command that runs another, such as one that takes the network away.

    Raises:
        InputError: the stage failed; the message is its last line.
    """
    for path in stage.reads:
        here = scratch / path
        if not here.exists() and (folder / path).exists():
            here.parent.mkdir(parents=True, exist_ok=True)
            here.symlink_to((folder / path).resolve())
    for path in stage.outs:
        (scratch / path).parent.mkdir(parents=True, exist_ok=True)
    for path, options in entries(stage.body.get("outs")):
        if options.get("persist") and (folder / path).is_file():  # the next run is given it again
            shutil.copyfile(folder / path, scratch / path)
    plan = json.dumps({"stages": {stage.name: stage.body}})  # JSON is YAML
    (scratch / "dvc.yaml").write_text(plan, encoding="utf-8")
    said = stage.body["cmd"]
    command = [*inside, "sh", "-c", said if isinstance(said, str) else " && ".join(said)]  # as DVC runs them
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": search}
    done = subprocess.run(command, cwd=scratch, env=environment, capture_output=True, text=True, check=False)
    last = (done.stderr or done.stdout).strip().splitlines() or ["it does not say why"]
    alone = "when it was run with nothing but what dvc.yaml names"
    require(not done.returncode, f"the stage {stage.name} failed {alone}: {last[-1]}")


@dataclass(frozen=True)
class Computed:
    """What the model itself says: what each results file must have, what is wrong in them, or why nothing was computed."""

    results: Mapping[str, Any] = field(default_factory=dict)
    wrong: Sequence[str] = ()
    unknown: str = ""


def compute(folder: Path, champion: Path | None = None) -> Computed:
    """Judge a pipeline's model again, and compare with the results files in the working tree and in the last commit.

    The model in the champion's release answers the holdout again; where there is none, the predictions in `champion/` are taken.
    """
    stages = [stage for stage in read_plan(folder / "dvc.yaml").stages if not stage.filled_in]
    judging = next((stage for stage in stages if SLICES in stage.outs), None)
    if judging is None:
        return Computed(unknown=f"no stage of dvc.yaml writes {SLICES}, so no number could be computed again")
    if missing := judging.lacking(folder):
        words = f"{missing[0]} is not here, so the numbers were read and not computed"
        return Computed(unknown=f"{words}. `make pull` fetches it, or `make run` makes it")
    # the importance asks the model three times for every input, and decides nothing
    plots = [one for one in judging.body.get("plots", []) if paths([one]) != [IMPORTANCE.as_posix()]]
    judging = replace(judging, body={**judging.body, "plots": plots})
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as other:
        scratch = Path(name)
        wrong = rescore(folder, champion, scratch) if champion else []
        wrong += rerun(folder, judging, scratch)
        card = next((stage for stage in stages if "card.md" in stage.outs and not stage.lacking(folder)), None)
        if card and not wrong:  # the card is made of the results files; one of wrong results is wrong by them
            wrong = rerun(folder, card, Path(other))
        results = [file for file in judging.outs if file.endswith(".json") and (scratch / file).is_file()]
        return Computed({file: json.loads((scratch / file).read_bytes()) for file in results}, wrong)


def rescore(folder: Path, release: Path, scratch: Path) -> list[str]:
    """Have the champion's model answer the holdout again, and say where the predictions in `champion/` are others."""
    rows, near = pl.read_parquet(folder / "data/holdout.parquet"), _tolerance(folder)
    try:
        again = answer_as_champion(folder, release / "model.onnx", release.name, rows, scratch)
        if kept := read_champion(folder / CHAMPION):
            key = load_contract(folder / CONTRACT).primary_key
            both = beside(again, kept, key, {name: name for name in again.columns if name not in key})
            assert_frame_equal(both, again, rel_tol=near, abs_tol=near)
    except InputError as error:
        return [str(error)]
    except AssertionError:
        return [f"{CHAMPION}/{PREDICTIONS} is not what {release.name} answers"]
    return []


def answer_as_champion(folder: Path, model: Path, name: str, rows: pl.DataFrame, scratch: Path) -> pl.DataFrame:
    """Have an ONNX file answer rows, and keep each row's key and answers in the folder `champion/` of another folder.

    Raises:
        InputError: it cannot answer these rows; the message names it.
    """
    columns = load_declarations(folder / "gates.toml").judging.predicted()
    answers = rows.select(load_contract(folder / CONTRACT).primary_key)
    answers = answers.with_columns(**ask(OnnxModel(model), rows, name, columns))
    (scratch / CHAMPION).mkdir()
    answers.write_parquet(scratch / CHAMPION / PREDICTIONS)
    (scratch / CHAMPION / NAME).write_text(f"{name}\n", encoding="utf-8")
    return answers


def rerun(folder: Path, stage: Stage, scratch: Path, inside: Sequence[str] = ()) -> list[str]:
    """Run a stage again, as `run_alone` does, and say where what stands here and at HEAD is not what it writes.

    Models are left out: on another machine the same training may write other bytes.
    """
    try:
        run_alone(folder, stage, scratch, inside)
    except InputError as error:
        return [str(error)]
    near, lock, found = _tolerance(folder), "dvc.lock", []
    same_inputs = _inputs(_at_head(folder, lock), stage) == _inputs(_here(folder / lock), stage)
    written = (path for one in stage.outs for path in (scratch / one, *sorted((scratch / one).rglob("*"))))
    for path in (path for path in written if path.is_file() and path.suffix != ".onnx"):
        file = path.relative_to(scratch).as_posix()
        here, head = _here(folder / file), _at_head(folder, file) if same_inputs else None
        if here is None:
            found.append(f"{file} is not here, and the stage {stage.name} writes it")
        for where, said in {"": here, " at HEAD": None if head == here else head}.items():
            differing = [] if said is None else _differing(path.suffix, said, path.read_bytes(), near)
            more = f", and {len(differing) - MOST} more" if len(differing) > MOST else ""
            if differing:
                found.append(f"{file}{where} is not what comes out: {'; '.join(differing[:MOST])}{more}")
    return found


def _differing(kind: str, said: bytes, computed: bytes, near: float) -> list[str]:
    """Say where two contents differ; numbers by more than `near` of their size, counts and words at all."""
    try:
        if kind == ".json":
            one, other = (dict(_leaves(json.loads(content))) for content in (said, computed))
            pairs = {name: (one.get(name), other.get(name)) for name in {**other, **one}}
            return [
                f"{name} says {_shown(ours)}, computed {_shown(theirs)}"
                for name, (ours, theirs) in pairs.items()
                if not _same(name, ours, theirs, near)
            ]
        if kind in TABLES:
            tables = (TABLES[kind](BytesIO(content)) for content in (said, computed))
            assert_frame_equal(*tables, rel_tol=near, abs_tol=near)
            return []
    except AssertionError as error:
        return str(error).splitlines()[:1]
    except (ValueError, pl.exceptions.PolarsError):
        pass  # it cannot be read, so it is not what comes out
    return [] if said == computed else ["it has other words or numbers"]


def _leaves(content: Any, name: str = "it") -> Iterator[tuple[str, Any]]:
    """List the numbers and words of a JSON file by their dotted place."""
    inside = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else None
    if inside is None:
        yield name, content
    for key, value in inside or ():
        yield from _leaves(value, str(key) if name == "it" else f"{name}.{key}")


def _same(name: str, said: Any, computed: Any, near: float) -> bool:
    match said, computed:
        case float(), float():
            return math.isclose(said, computed, rel_tol=near, abs_tol=near)
        case str(), str() if name.endswith("in_words"):  # its numbers stand beside
            return NUMBER.sub("#", said) == NUMBER.sub("#", computed)
        case int(), int() if name.endswith("rows_needed"):  # it follows from an estimate, so it may round otherwise
            return abs(said - computed) <= max(1, 0.01 * computed)
    return bool(said == computed)


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:60]


def _here(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


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


def _tolerance(folder: Path) -> float:
    """Read how much a number may differ from one that was computed elsewhere: `reproduce.tolerance` of `params.yaml`."""
    file = folder / "params.yaml"
    said = read_yaml(file).get("reproduce", {}) if file.is_file() else {}
    return max(float(said.get("tolerance", 0)), float(10**-DIGITS))
