"""Train on newer months and compare with the model in service on rows that neither has learnt from: `make retrain`.

Which months train and which judge is moved on by the rule `retrain` of `params.yaml`. Each comparison is made in a scratch
folder, by the stages that `dvc.yaml` declares; nothing is written here before it stands.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from onebutton_contracts.contract import load_contract
from onebutton_contracts.dvc_files import read_plan
from onebutton_contracts.errors import InputError, require
from onebutton_evaluation.champion import CHAMPION, PREDICTIONS, champion_name
from onebutton_evaluation.declarations import CONTRACT, load_declarations
from onebutton_evaluation.holdout import read_holdout
from onebutton_evaluation.judgement import COMPARISON, read_json, write_text
from onebutton_evaluation.recompute import answer_as_champion, run_alone
from onebutton_evaluation.wording import with_interval
from onebutton_workbench.data.storage import push
from onebutton_workbench.environment import call
from onebutton_workbench.files import edit_yaml, write_texts
from onebutton_workbench.git import check_clean, git
from onebutton_workbench.lineage.months import months_of, move, spelt
from onebutton_workbench.workspace import ROOT, the_pipeline

HOLDOUT, PARAMS = "data/holdout.parquet", "params.yaml"
REPORT = ROOT / "report/retrain.md"  # of the last press; a pull request begins with it


def retrain(pipeline: str, until: str = "", *, pr: bool = False) -> int:
    """Retrain until a month and write what that took, or try every month of a range and write nothing; return the exit status.

    The month is the last whose rows are known, `2013-09`, a range `2013-07..2013-12`; the month before this one when empty.

    Raises:
        InputError: the pipeline has no rule, a month leaves no rows, or a stage failed. Nothing was written.
    """
    from onebutton_workbench.runs.run import run

    folder = ROOT / "pipelines" / the_pipeline(pipeline)
    today = date.today()  # noqa: DTZ011  the month that people here write
    first, last = months_of(until or spelt(today.year * 12 + today.month - 2))
    if pr:
        check_clean(ROOT, "retrain PR=1")
    old, model = _old(folder)
    said = [f"# {folder.name}: does retraining help?\n"]
    with tempfile.TemporaryDirectory(prefix="onebutton-retrain-") as name:
        for month in range(first, last + 1):
            scratch = Path(name, spelt(month))
            scratch.mkdir()
            found = _compare(folder, old, model, month, scratch)
            said.append(f"{spelt(month)}, {sentence(found, spelt(month))}\n")
            print(f"retrain: {said[-1]}", end="", flush=True)
        REPORT.parent.mkdir(exist_ok=True)
        write_text(REPORT, "\n".join(said))
        if first != last:
            print(f"retrain: nothing was written. Next: make retrain PIPELINE={folder.name} UNTIL={spelt(last)}")
            return 0
        _write(folder, scratch)
    print(f"retrain: {PARAMS} and {CONTRACT} of {folder.name} moved on to {spelt(last)}", flush=True)
    status = run(folder.name)
    if pr and not status:
        _propose(folder.name, spelt(last))
    return status


def sentence(comparison: Mapping[str, Any], month: str) -> str:
    """Say whether retraining helps, and how sure that is, by the comparison with the old model that `evaluate` writes."""
    than, whole, metric = comparison["name"], comparison["slices"]["all"], comparison["metric"].replace("_", " ")
    if "difference" not in whole:
        return f"{whole['verdict']} to compare with {than} ({whole['rows']:,} rows): nothing says that retraining helps"
    does = {"better": "helps", "worse": "harms"}.get(whole["verdict"], f"does not mend {month}")
    by = f"{with_interval(whole['difference'], sign=True)} {metric} beside {than}, {whole['rows']:,} rows"
    judged = sum("difference" in one for one in comparison["slices"].values())
    after = f"{whole['verdict']} after Holm over {judged} slices"
    return f"{after}: {by}; retraining {does}. By slice: {comparison['in_words']}"


def _old(folder: Path) -> tuple[str, Path]:
    """Find the model to beat, its name and file: the champion's, or where nothing is in service the one that was trained last."""
    from onebutton_release.champion import release_of_champion

    name, release = champion_name(folder / CHAMPION), release_of_champion(ROOT, folder)
    afar = f"the release of the champion {name} cannot be had from here, so nothing can be compared with it"
    require(release or not name, afar)
    file = release / "model.onnx" if release else folder / "model/model.onnx"
    require(file.is_file(), f"{file} is not here. `make run PIPELINE={folder.name}` makes it")
    return name or "the model trained before", file


def _compare(folder: Path, old: str, model: Path, month: int, scratch: Path) -> Mapping[str, Any]:
    """Run the stages that the moved parameters reach, up to the comparison, and let the old model answer the new holdout."""
    text = (folder / PARAMS).read_text(encoding="utf-8")
    write_texts(scratch, {PARAMS: edit_yaml(text, lambda params: move(params, month))})
    reached = {PARAMS}
    for stage in read_plan(folder / "dvc.yaml").stages:
        if stage.filled_in or reached.isdisjoint(stage.reads):
            continue
        run_alone(folder, stage, scratch)
        reached |= {*stage.outs}
        if HOLDOUT in stage.outs:
            rows, key = pl.read_parquet(scratch / HOLDOUT), load_contract(folder / CONTRACT).primary_key
            none = "no row is of the months that would judge. Is the newest data here? `make data-add` adds it"
            require(rows.height, none)
            learnt = rows.join(pl.read_parquet(folder / "data/train.parquet"), on=key, how="semi").height
            before = f"{learnt:,} of {rows.height:,} rows that would judge were trained on before: take a later month"
            require(not learnt, before)
            answer_as_champion(folder, model, old, rows, scratch)
        if COMPARISON in stage.outs:
            found: Mapping[str, Any] = read_json(scratch / COMPARISON)[CHAMPION]
            return found
    raise InputError(f"no stage of {folder.name} that {PARAMS} reaches writes {COMPARISON}: nothing can be compared")


def _write(folder: Path, scratch: Path) -> None:
    """Write parameters, the pin of the holdout, and the champion's answers to it."""
    judged, key = load_declarations(folder / "gates.toml").judging, load_contract(folder / CONTRACT).primary_key
    holdout = read_holdout(pl.read_parquet(scratch / HOLDOUT), key, judged.answer)
    pins = {"holdoutRows": holdout.rows, "holdoutSha256": holdout.digest}

    def pin(content: Any) -> None:
        for entry in (entry for table in content["schema"] for entry in table.get("customProperties", [])):
            entry["value"] = pins.get(entry["property"], entry["value"])

    contract = edit_yaml((folder / CONTRACT).read_text(encoding="utf-8"), pin)
    write_texts(folder, {PARAMS: (scratch / PARAMS).read_text(encoding="utf-8"), CONTRACT: contract})
    if champion_name(folder / CHAMPION):
        answers = folder / CHAMPION / PREDICTIONS
        answers.unlink(missing_ok=True)  # it may be a link into DVC's cache
        shutil.copyfile(scratch / CHAMPION / PREDICTIONS, answers)
        _call("dvc", "add", "--quiet", str(answers.relative_to(ROOT)))


def _propose(pipeline: str, month: str) -> None:
    """Commit on a branch of its own and open a pull request; data goes first, because its checks fetch what it names."""
    branch, title = f"retrain/{pipeline}-{month}", f"feat({pipeline}): retrain until {month}"
    git("switch", "--create", branch, folder=ROOT)
    git("add", "--all", f"pipelines/{pipeline}", folder=ROOT)
    git("commit", "--no-verify", "--message", title, folder=ROOT)  # the pull request runs every check
    push(ROOT, pipeline)
    _call("gh", "auth", "setup-git")
    git("push", "--no-verify", "origin", branch, folder=ROOT)
    opened = _call("gh", "pr", "create", "--title", title, "--body-file", str(REPORT), "--head", branch)
    print(f"retrain: proposed, {opened}", flush=True)


def _call(*command: str) -> str:
    done = call(*command, folder=ROOT)
    failed = f"`{' '.join(command[:2])}` failed: {(done.stderr or done.stdout).strip()}. The results stand here"
    require(not done.returncode, failed)
    return done.stdout.strip()
