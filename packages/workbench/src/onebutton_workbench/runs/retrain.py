"""Train on newer months and compare with the model in service on rows that neither has learnt from: `make retrain`.

Which months train and which judge is moved on by the rule `retrain` of `params.yaml`. Each comparison is made in a scratch
folder, by the stages that `dvc.yaml` declares; nothing is written here before it stands.
"""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pandas as pd
import polars as pl

from onebutton_contracts.contract import load_contract
from onebutton_contracts.dvc_files import read_plan, read_yaml
from onebutton_contracts.errors import InputError, require
from onebutton_evaluation.champion import CHAMPION, PREDICTIONS, champion_name
from onebutton_evaluation.declarations import CONTRACT, load_declarations
from onebutton_evaluation.holdout import read_holdout
from onebutton_evaluation.judgement import COMPARISON, read_json, write_text
from onebutton_evaluation.recompute import answer_as_champion, run_alone
from onebutton_evaluation.wording import with_interval
from onebutton_release.champion import keep_predictions, release_of_champion
from onebutton_workbench.data.storage import push
from onebutton_workbench.environment import call
from onebutton_workbench.files import edit_yaml, write_texts
from onebutton_workbench.git import check_clean, git
from onebutton_workbench.lineage.months import move
from onebutton_workbench.workspace import ROOT, the_pipeline

HOLDOUT, PARAMS = "data/holdout.parquet", "params.yaml"
REPORT = ROOT / "report/retrain.md"  # of the last press; a pull request begins with it


def retrain(pipeline: str = "", until: str = "", *, pr: bool = False) -> int:
    """Retrain until a month and write what that took, or try every month of a range and write nothing; return the exit status.

    The month is the last whose rows are known, `2013-09`, a range `2013-07..2013-12`; the month before this one when empty.

    Raises:
        InputError: the pipeline has no rule, a month leaves no rows, or a stage failed. Nothing was written.
    """
    from onebutton_workbench.runs.run import run

    folder = ROOT / "pipelines" / the_pipeline(pipeline)
    months = _months(until or str(pd.Period.now("M") - 1))
    if pr:
        require(shutil.which("gh"), "PR=1 opens the pull request with gh, which is not here: https://cli.github.com")
        check_clean(ROOT, "retrain PR=1")
    elif len(months) == 1:  # so that git can take back what is written
        written = (PARAMS, CONTRACT, CHAMPION)
        check_clean(ROOT, "retrain", *(f"pipelines/{folder.name}/{path}" for path in written))
    old, model = _old(folder)
    said = [f"# {folder.name}: does retraining help?\n"]
    with tempfile.TemporaryDirectory(prefix="onebutton-retrain-") as name:
        for month in months:
            scratch = Path(name, month)
            scratch.mkdir()
            said.append(f"{month}, {sentence(_compare(folder, old, model, month, scratch), month)}\n")
            print(f"retrain: {said[-1]}", end="", flush=True)
        REPORT.parent.mkdir(exist_ok=True)
        write_text(REPORT, "\n".join(said))
        if len(months) > 1:
            press = f"make retrain PIPELINE={folder.name} UNTIL={month}"
            print(f"retrain: nothing was written. Next: the month in which retraining helps, such as {press}")
            return 0
        _write(folder, scratch)
    print(f"retrain: {PARAMS} and {CONTRACT} of {folder.name} moved on to {month}", flush=True)
    status = run(folder.name)
    if pr and not status:
        _propose(folder.name, month)
    elif not status:
        print(f"retrain: {said[-1]}", end="")
        back = f"`git restore pipelines/{folder.name}`, then `make run`"
        print(f"retrain: Next: make gates, then commit. To take it back: {back}")
    return status


def _months(until: str) -> list[str]:
    """List the months of `2013-09` or `2013-07..2013-12`."""
    first, _, last = until.partition("..")
    wrong = f"UNTIL must be a month such as 2013-09, or a range such as 2013-07..2013-12, it is {until!r}"
    try:
        months = [str(month) for month in pd.period_range(first, last or first, freq="M")]
    except ValueError:
        raise InputError(wrong) from None
    require(months and until.startswith(months[0]), wrong)
    return months


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
    name, release = champion_name(folder / CHAMPION), release_of_champion(ROOT, folder)
    afar = f"the release of the champion {name} cannot be had from here, so nothing can be compared with it"
    require(release or not name, afar)
    file = release / "model.onnx" if release else folder / "model/model.onnx"
    require(file.is_file(), f"{file} is not here. `make run PIPELINE={folder.name}` makes it")
    return name or "the model trained before", file


def _compare(folder: Path, old: str, model: Path, month: str, scratch: Path) -> Mapping[str, Any]:
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
            _check_year(folder, rows, month)
            learnt = rows.join(pl.read_parquet(folder / "data/train.parquet"), on=key, how="semi").height
            before = f"{learnt:,} of {rows.height:,} rows that would judge were trained on before: take a later month"
            require(not learnt, before)
            answer_as_champion(folder, model, old, rows, scratch)
        if COMPARISON in stage.outs:
            break
    return cast("Mapping[str, Any]", read_json(scratch / COMPARISON)[CHAMPION])


def _check_year(folder: Path, rows: pl.DataFrame, month: str) -> None:
    """Refuse rows of another year, which months that are numbers do not tell apart; `judging.unit` may name their day."""
    unit = load_declarations(folder / "gates.toml").judging.unit
    if unit and rows[unit].dtype.is_temporal():
        last = min(to for _, to in read_yaml(folder / PARAMS)["retrain"].values())
        newest, wanted = str(rows[unit].max()), str(pd.Period(month, "M") - last)
        another = f"the newest row that would judge is of {newest[:7]}, not of {wanted}: UNTIL={month} needs newer data"
        require(newest.startswith(wanted), f"{another}, which `make data-add` adds")


def _write(folder: Path, scratch: Path) -> None:
    """Write parameters, the pin of the holdout, and the champion's answers to it."""
    judged, key = load_declarations(folder / "gates.toml").judging, load_contract(folder / CONTRACT).primary_key
    holdout = read_holdout(pl.read_parquet(scratch / HOLDOUT), key, judged.answer)
    pins = {"holdoutRows": holdout.rows, "holdoutSha256": holdout.digest}

    def pin(content: Any) -> None:
        for entry in content["schema"][0]["customProperties"]:
            entry["value"] = pins.get(entry["property"], entry["value"])

    contract = edit_yaml((folder / CONTRACT).read_text(encoding="utf-8"), pin)
    write_texts(folder, {PARAMS: (scratch / PARAMS).read_text(encoding="utf-8"), CONTRACT: contract})
    if champion_name(folder / CHAMPION):
        keep_predictions(folder, scratch / CHAMPION / PREDICTIONS)


def _propose(pipeline: str, month: str) -> None:
    """Commit on a branch of its own and open a pull request; data goes first, because its checks fetch what it names."""
    branch, title = f"retrain/{pipeline}-{month}", f"feat({pipeline}): retrain until {month}"
    git("switch", "--create", branch, folder=ROOT)
    git("add", "--all", f"pipelines/{pipeline}", folder=ROOT)
    git("commit", "--no-verify", "--message", title, folder=ROOT)  # the pull request runs every check
    push(ROOT, pipeline)
    git("-c", "credential.helper=!gh auth git-credential", "push", "--no-verify", "origin", branch, folder=ROOT)
    done = call("gh", "pr", "create", "--title", title, "--body-file", str(REPORT), "--head", branch, folder=ROOT)
    require(not done.returncode, f"`gh pr create` failed: {done.stderr.strip()}. The results stand on {branch}, pushed")
    print(f"retrain: proposed, {done.stdout.strip()}", flush=True)
