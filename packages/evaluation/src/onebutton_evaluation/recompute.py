"""Run stages again, with nothing but what `dvc.yaml` says that they read, and hold the results files to what comes out.

A number in a file is for reading: a person who can write the file can write its digest into `dvc.lock` as well. So gates and
deployments believe the model alone.
"""

import json
import math
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from itertools import zip_longest
from pathlib import Path
from typing import Any

import polars as pl
from polars.testing import assert_frame_equal

from onebutton_contracts.contract import load_contract
from onebutton_contracts.dvc_files import Stage, outputs, parse_yaml, paths, read_plan, read_yaml, stage_of
from onebutton_contracts.errors import InputError, require
from onebutton_evaluation.champion import AFRESH, CHAMPION, NAME, PREDICTIONS, beside, read_champion
from onebutton_evaluation.declarations import CONTRACT, load_declarations
from onebutton_evaluation.evaluate import IMPORTANCE, ask
from onebutton_evaluation.intervals import DIGITS
from onebutton_evaluation.judgement import SLICES
from onebutton_models.scoring import OnnxModel

# What may differ in its last digits: a number with a point or an exponent, and `rows_needed`, which follows from such a number.
DECIMAL = re.compile(r'[+-]?\d+\.\d+(?:e[+-]?\d+)?|[+-]?\d+e[+-]?\d+|(?<="rows_needed": )\d+')
MOST = 3  # lines told of a file


def run_alone(folder: Path, stage: Stage, scratch: Path, inside: Sequence[str] = ()) -> None:
    """Run a stage of a pipeline in a scratch folder: what it reads is linked there, unless something stands there instead.

    `inside` is a command that runs another, such as one that takes the network away.

    Raises:
        InputError: the stage failed; the message is its last lines.
    """
    for path in stage.reads:
        here = scratch / path
        if not here.exists() and (folder / path).exists():
            here.parent.mkdir(parents=True, exist_ok=True)
            here.symlink_to((folder / path).resolve())
    plan = {stage.name: stage.body}
    for _, path, options in outputs(plan, {}):
        (scratch / path).parent.mkdir(parents=True, exist_ok=True)
        if options.get("persist") and (folder / path).is_file():  # the next run is given it again
            shutil.copyfile(folder / path, scratch / path)
    (scratch / "dvc.yaml").write_text(json.dumps({"stages": plan}), encoding="utf-8")  # JSON is YAML
    said = stage.body["cmd"]
    command = [*inside, "sh", "-c", said if isinstance(said, str) else " && ".join(said)]  # as DVC runs them
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    lines = (done.stderr or done.stdout).strip().splitlines() or ["it does not say why"]
    why = lines[-1:] if "Traceback (most recent call last):" in lines else lines[-3:]
    alone = "when it was run with nothing but what dvc.yaml names"
    require(not done.returncode, f"the stage {stage.name} failed {alone}: {' '.join(why)}")


@dataclass(frozen=True)
class Computed:
    """What the model itself says: what each results file must have, what is wrong in them, or why nothing was computed."""

    results: Mapping[str, Any] = field(default_factory=dict)
    wrong: Sequence[str] = ()
    unknown: str = ""


def compute(folder: Path, champion: Path | None = None) -> Computed:
    """Judge a pipeline's model again, and compare with the results files in the working tree and in the last commit.

    The predictions in `champion/` are held to the champion's release; where there is none, they are taken as they are.
    """
    try:
        stages = [stage for stage in read_plan(folder / "dvc.yaml").stages if not stage.filled_in]
        judging = next((stage for stage in stages if SLICES in stage.outs), stage_of("", {}))
        require(judging.name, f"no stage of dvc.yaml writes {SLICES}, so no number could be computed again")
        missing, mend = judging.lacking(folder), "`make pull` fetches it, or `make run` makes it"
        require(not missing, f"{''.join(missing[:1])} is not here, so the numbers were read and not computed. {mend}")
    except InputError as error:
        return Computed(unknown=str(error))
    # the importance asks the model three times for every input, and decides nothing
    plots = [one for one in judging.body.get("plots", []) if paths([one]) != [IMPORTANCE.as_posix()]]
    judging = stage_of(judging.name, {**judging.body, "plots": plots})
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
    """Say where the predictions in `champion/` are neither those that its release was sealed with nor what its model answers now.

    Those of the release stand for the same rows, by keys and answers, whatever became of the inputs: its model may be unable to
    read them.
    """
    rows, near, name = pl.read_parquet(folder / "data/holdout.parquet"), _tolerance(folder), release.name
    key, answer = load_contract(folder / CONTRACT).primary_key, load_declarations(folder / "gates.toml").judging.answer
    sealed, here = release / PREDICTIONS, folder / CHAMPION / PREDICTIONS
    wrong = f"{CHAMPION}/{PREDICTIONS} is not what {name} answers or was released with"
    mend = f"Remove {CHAMPION}/{NAME}, then `make deploy PIPELINE={folder.name} ENV=… TO={name}` writes both anew"
    if sealed.is_file() and here.is_file() and sealed.read_bytes() == here.read_bytes():
        known = pl.read_parquet(sealed)
        known = known.select(pl.col(one).cast(rows.schema[one], strict=False) for one in (*key, answer) if one in known)
        if rows.join(known, on=known.columns, how="anti").is_empty():
            return []
        wrong, mend = f"the rows that judge have other keys or answers than when {name} was released", AFRESH
    try:
        again = answer_as_champion(folder, release / "model.onnx", name, rows, scratch)
    except InputError as error:
        return [f"{wrong}: {error}. {mend}"]
    try:
        if kept := read_champion(folder / CHAMPION):
            both = beside(again, kept, key, {name: name for name in again.columns if name not in key})
            assert_frame_equal(both, again, check_column_order=False, check_dtypes=False, rel_tol=near, abs_tol=near)
    except InputError as error:
        return [str(error)]
    except AssertionError:
        return [f"{wrong}. {mend}"]
    return []


def answer_as_champion(folder: Path, model: Path, name: str, rows: pl.DataFrame, scratch: Path) -> pl.DataFrame:
    """Have an ONNX file answer rows, or refuse them, and keep each row's key and answers in `champion/` of another folder."""
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
    if missing := stage.lacking(folder):
        return [f"{missing[0]} is not here. `make run` makes it"]
    try:
        run_alone(folder, stage, scratch, inside)
    except InputError as error:
        return [str(error)]
    near, lock, found = _tolerance(folder), folder / "dvc.lock", []
    same_inputs = lock.is_file() and _inputs(lock.read_bytes(), stage) == _inputs(_at_head(lock), stage)
    written = (path for one in stage.outs for path in (scratch / one, *sorted((scratch / one).rglob("*"))))
    for path in (path for path in written if path.is_file() and path.suffix != ".onnx"):
        file = path.relative_to(scratch).as_posix()
        here = folder / file
        if not here.is_file():
            found.append(f"{file} is not here, and the stage {stage.name} writes it")
            continue
        contents = {_at_head(here): " at HEAD"} if same_inputs else {}
        for content, where in (contents | {here.read_bytes(): ""}).items():  # where both are the same, once
            if differing := _differing(content, path.read_bytes(), near):
                found.append(f"{file}{where} is not what comes out: {'; '.join(differing[:MOST])}")
    return found


def _differing(said: bytes, computed: bytes, near: float) -> list[str]:
    """Say where a file differs from what was computed: of a parquet file in a column, of any other in its lines."""
    if computed.startswith(b"PAR1"):
        try:
            tables = [pl.read_parquet(BytesIO(content)) for content in (said, computed)]
            assert_frame_equal(*tables, rel_tol=near, abs_tol=near)
        except (AssertionError, pl.exceptions.PolarsError) as error:
            return str(error).splitlines()[:1]
        return []
    lines = (content.decode(errors="backslashreplace").splitlines() for content in (said, computed))
    return [
        f"line {number} says {one.strip(' ,')[:60]}, computed {other.strip(' ,')[:60]}"
        for number, (one, other) in enumerate(zip_longest(*lines, fillvalue=""), 1)
        if one != other and not _alike(one, other, near)
    ]


def _alike(one: str, other: str, near: float) -> bool:
    """Say whether decimal numbers differ by no more than `near` of their size, and counts and words not at all."""
    numbers = zip(*(map(float, DECIMAL.findall(line)) for line in (one, other)), strict=False)
    same_words = DECIMAL.sub("#", one) == DECIMAL.sub("#", other)
    return same_words and all(math.isclose(*pair, rel_tol=near, abs_tol=near) for pair in numbers)


def _at_head(file: Path) -> bytes:
    """Return a file as the last commit has it, or as it stands where git has none."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    ask = ["git", "show", f"HEAD:./{file.name}"]
    done = subprocess.run(ask, cwd=file.parent, env=own, capture_output=True, check=False)
    return file.read_bytes() if done.returncode else done.stdout


def _inputs(lock: bytes, stage: Stage) -> Any:
    """Return all that a `dvc.lock` says of a stage but what it wrote."""
    with suppress(InputError, LookupError, TypeError):
        return {**parse_yaml(lock.decode(), "dvc.lock")["stages"][stage.name], "outs": ()}
    return None


def _tolerance(folder: Path) -> float:
    """Read how much a number may differ from one that was computed elsewhere: `reproduce.tolerance` of `params.yaml`."""
    file = folder / "params.yaml"
    said = read_yaml(file).get("reproduce", {}) if file.is_file() else {}
    return max(float(said.get("tolerance", 0)), float(10**-DIGITS))
