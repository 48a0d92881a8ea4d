"""Train on newer months and compare with the model in service on rows that neither has learnt from: `make retrain`.

Which months train and which judge is moved on by the rule `retrain` of `params.yaml`. Each comparison is made in a scratch
folder, by the stages that `dvc.yaml` declares; nothing is written here before it stands.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from onebutton_contracts.contract import load_contract
from onebutton_contracts.dvc_files import read_yaml
from onebutton_contracts.errors import InputError
from onebutton_evaluation.champion import CHAMPION, NAME, PREDICTIONS, champion_name
from onebutton_evaluation.declarations import load_declarations
from onebutton_evaluation.holdout import read_holdout
from onebutton_evaluation.judgement import write_text
from onebutton_evaluation.recompute import answers_of, read_stages, run_alone
from onebutton_evaluation.wording import with_interval
from onebutton_workbench.environment import call
from onebutton_workbench.files import edit_yaml, write_texts
from onebutton_workbench.workspace import ROOT, the_pipeline

HOLDOUT, COMPARISON = "data/holdout.parquet", "comparison.json"
CONTRACT = "contracts/predictions.odcs.yaml"
REPORT = ROOT / "report/retrain.md"  # of the last press
KEPT = ".code/retrained"  # comparisons of months, by what they were made of; ignored by git
SAYS = {
    "better": "retraining helps",
    "worse": "retraining harms",
    "mixed": "retraining helps some and harms others",
}


@dataclass(frozen=True)
class Old:
    """The model that a newer one must beat.

    Attributes:
        name: for people.
        file: the ONNX file.
        in_service: whether it is the champion, and not only the last one that was trained here.
    """

    name: str
    file: Path
    in_service: bool


def retrain(pipeline: str, until: str = "") -> int:
    """Retrain until a month and write what that took, or try every month of a range and write nothing.

    Args:
        pipeline: its name.
        until: the last month whose rows are known, `2013-09`, or a range of them, `2013-07..2013-12`; the month before this one
            when empty.

    Returns:
        The exit status: of the run that made the results, 0 after a range.

    Raises:
        InputError: the pipeline has no rule, a month leaves no rows, or a stage failed. Nothing was written.
    """
    from onebutton_workbench.runs.run import run

    folder = ROOT / "pipelines" / the_pipeline(pipeline)
    today = date.today()  # noqa: DTZ011  the month that people here write
    first, last = _months(until or _spelt(today.year * 12 + today.month - 2))
    old = _old(folder)
    said = [f"# {pipeline}: does retraining help?\n"]
    with tempfile.TemporaryDirectory(prefix="onebutton-retrain-") as name:
        for month in range(first, last + 1):
            scratch = Path(name, _spelt(month))
            scratch.mkdir()
            said.append(f"{_spelt(month)}, {sentence(_tried(folder, old, month, scratch), _spelt(month))}\n")
            print(f"retrain: {said[-1]}", end="", flush=True)
        REPORT.parent.mkdir(exist_ok=True)
        write_text(REPORT, "\n".join(said))
        if first != last:
            print(f"retrain: nothing was written. Next: make retrain PIPELINE={pipeline} UNTIL={_spelt(last)}")
            return 0
        if not (scratch / HOLDOUT).is_file():  # the comparison stood from before
            _compare(folder, old, last, scratch)
        _write(folder, old, scratch)
    print(f"retrain: params.yaml and {CONTRACT} of {pipeline} moved on to {_spelt(last)}", flush=True)
    return run(pipeline)


def sentence(comparison: Mapping[str, Any], month: str) -> str:
    """Say whether retraining helps, and how sure that is.

    Args:
        comparison: of the new model with the old one, as the stage `evaluate` writes it.
        month: that was judged.
    """
    than, whole, metric = comparison["name"], comparison["slices"]["all"], comparison["metric"].replace("_", " ")
    verdict = whole["verdict"]
    does = SAYS.get(verdict, f"retraining does not mend {month}")
    if "difference" not in whole:
        return f"{verdict} to compare with {than} ({whole['rows']:,} rows): nothing says that retraining helps"
    moved = f"{with_interval(whole['difference'], sign=True)} {metric} beside {than}, {whole['rows']:,} rows"
    judged = sum("difference" in one for one in comparison["slices"].values())
    return f"{verdict} after Holm over {judged} slices: {moved}; {does}. By slice: {comparison['in_words']}"


def moved(params: Mapping[str, Any], until: int) -> dict[str, Any]:
    """Return the parameters that the rule writes, by dotted key.

    Args:
        params: as `params.yaml` has them; `retrain` says by key the months from and to, counted back from the last one, or
            `first` for the first that stands there now.
        until: the last month, counted from year 0.

    Raises:
        InputError: there is no rule, a key of it does not exist, or it leaves no month.
    """
    rule = params.get("retrain")
    if not rule:
        raise InputError(
            "params.yaml has no section `retrain`, which says how the months that train and judge move on: "
            "docs/retraining.md shows one"
        )
    return {key: _like(_get(params, key), since, to, until, key) for key, (since, to) in rule.items()}


def _like(value: Any, since: int | str, to: int, until: int, key: str) -> Any:
    """Write months as those that stand there now: numbers of one year, texts such as `2013-09`, or the day that begins one."""
    if not value or not isinstance(value, list | str) or (isinstance(value, str) and since == "first"):
        message = f"params.yaml: retrain names {key}, {value!r}: neither a list of months nor a day that a number moves"
        raise InputError(message)
    if isinstance(value, str):
        return f"{_spelt(until - int(since))}-01"
    by_number = isinstance(value[0], int)
    begins = until // 12 * 12 + value[0] - 1 if by_number else _months(value[0])[0]
    months = range(begins if since == "first" else until - int(since), until - to + 1)
    if not months or (by_number and months[0] // 12 != months[-1] // 12):
        message = f"UNTIL={_spelt(until)} leaves {key} of params.yaml without a month, or with months of two years"
        raise InputError(message)
    return [one % 12 + 1 if by_number else _spelt(one) for one in months]


def _get(params: Mapping[str, Any], key: str) -> Any:
    value: Any = params
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            message = f"params.yaml: retrain names {key}, which is no key of this file"
            raise InputError(message)
        value = value[part]
    return value


def _months(text: str) -> tuple[int, int]:
    """Read `2013-09` or `2013-07..2013-12` as months counted from year 0."""
    found = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])(?:\.\.(\d{4})-(0[1-9]|1[0-2]))?", text)
    if not found:
        message = f"UNTIL must be a month such as 2013-09, or a range such as 2013-07..2013-12, it is {text!r}"
        raise InputError(message)
    year, month, last_year, last_month = found.groups()
    first = int(year) * 12 + int(month) - 1
    return first, int(last_year) * 12 + int(last_month) - 1 if last_year else first


def _spelt(month: int) -> str:
    return f"{month // 12}-{month % 12 + 1:02}"


def _old(folder: Path) -> Old:
    """Find the model to beat: the champion's, or where nothing is in service the one that was trained last."""
    from onebutton_release.champion import release_of_champion

    if name := champion_name(folder / CHAMPION):
        if not (release := release_of_champion(ROOT, folder)):
            message = f"the release of the champion {name} cannot be had from here, so nothing can be compared with it"
            raise InputError(message)
        return Old(name, release / "model.onnx", in_service=True)
    file = folder / "model/model.onnx"
    if not file.is_file():
        message = f"{file.relative_to(ROOT)} is not here. `make run PIPELINE={folder.name}` makes it"
        raise InputError(message)
    return Old("the model trained before", file, in_service=False)


def _tried(folder: Path, old: Old, month: int, scratch: Path) -> dict[str, Any]:
    """Compare until a month, unless a comparison of the same code, data and models stands from before."""
    made_of = [old.file, *(folder / name for name in ("dvc.lock", "params.yaml", "gates.toml", CONTRACT))]
    digest = hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in made_of)).hexdigest()
    kept = folder / KEPT / f"{_spelt(month)}-{digest[:16]}.json"
    if not kept.is_file():
        _compare(folder, old, month, scratch)
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_text(kept, (scratch / COMPARISON).read_text(encoding="utf-8"))
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))[CHAMPION]
    return found


def _compare(folder: Path, old: Old, month: int, scratch: Path) -> None:
    """Run the stages that the moved parameters reach, up to the comparison, and let the old model answer the new holdout."""
    values = moved(read_yaml(folder / "params.yaml"), month)

    def change(content: Any) -> None:
        for key, value in values.items():
            *path, last = key.split(".")
            section = content
            for part in path:
                section = section[part]
            if isinstance(value, list):
                section[last].clear()  # the list that stands there keeps its comment and its brackets
                section[last].extend(value)
            else:
                section[last] = value

    text = (folder / "params.yaml").read_text(encoding="utf-8")
    (scratch / "params.yaml").write_text(edit_yaml(text, change), encoding="utf-8")
    made: set[str] = set()
    for stage in read_stages(folder).values():
        if "params.yaml" not in stage.reads and not made & {*stage.reads}:
            continue
        if missing := [path for path in stage.lacking(folder) if path not in made]:
            message = f"{missing[0]} is not here, and the stage {stage.name} reads it. `make run` makes it"
            raise InputError(message)
        run_alone(folder, stage, scratch)
        made |= {*stage.writes}
        if HOLDOUT in stage.writes:
            _answer(folder, old, scratch)
        if COMPARISON in stage.writes:
            return
    message = f"no stage of {folder.name} that params.yaml reaches writes {COMPARISON}, so nothing can be compared"
    raise InputError(message)


def _answer(folder: Path, old: Old, scratch: Path) -> None:
    """Write the old model's predictions for the new holdout; refuse one that it has learnt from."""
    rows = pl.read_parquet(scratch / HOLDOUT)
    if not rows.height:
        raise InputError("no row is of the months that would judge. Is the newest data here? `make data-add` adds it")
    key = load_contract(folder / CONTRACT).primary_key
    learnt = rows.join(pl.read_parquet(folder / "data/train.parquet"), on=key, how="semi").height
    if learnt:
        message = f"{learnt:,} of {rows.height:,} rows that would judge were trained on before: take a later month"
        raise InputError(message)
    columns = load_declarations(folder / "gates.toml").judging.predicted()
    predictions = answers_of(old.file, old.name, rows, key, columns)
    (scratch / CHAMPION).mkdir()
    predictions.write_parquet(scratch / CHAMPION / PREDICTIONS)
    (scratch / CHAMPION / NAME).write_text(old.name + "\n", encoding="utf-8")


def _write(folder: Path, old: Old, scratch: Path) -> None:
    """Write parameters, the pin of the holdout, and the champion's answers to it."""
    judged = load_declarations(folder / "gates.toml").judging
    key = load_contract(folder / CONTRACT).primary_key
    holdout = read_holdout(pl.read_parquet(scratch / HOLDOUT), key, judged.answer)
    pins = {"holdoutRows": holdout.rows, "holdoutSha256": holdout.digest}

    def pin(content: Any) -> None:
        for entry in _entries(content):
            entry["value"] = pins.get(entry["property"], entry["value"])

    contract = edit_yaml((folder / CONTRACT).read_text(encoding="utf-8"), pin)
    write_texts(folder, {"params.yaml": (scratch / "params.yaml").read_text(encoding="utf-8"), CONTRACT: contract})
    if old.in_service:
        shutil.copyfile(scratch / CHAMPION / PREDICTIONS, folder / CHAMPION / f"{PREDICTIONS}.draft")
        (folder / CHAMPION / f"{PREDICTIONS}.draft").replace(folder / CHAMPION / PREDICTIONS)
        done = call("dvc", "add", "--quiet", str((folder / CHAMPION / PREDICTIONS).relative_to(ROOT)), folder=ROOT)
        if done.returncode:
            message = f"DVC could not take the champion's answers in: {(done.stderr or done.stdout).strip()}"
            raise InputError(message)


def _entries(content: Any) -> Iterator[Any]:
    for table in content["schema"]:
        yield from table.get("customProperties", [])
