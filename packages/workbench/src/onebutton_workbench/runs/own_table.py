"""Write a pipeline: a draft that `make run` trains and judges. The work of `make new-pipeline`."""

import json
import re
import shutil
from collections.abc import Collection
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl

from onebutton_contracts.errors import require
from onebutton_contracts.intake.drafting import Origin, draft, logical_type
from onebutton_contracts.intake.files import SUPPORTED
from onebutton_contracts.intake.leaks import knowing_columns, likely_leaks
from onebutton_contracts.intake.roles import Roles, Said, find_roles, prepare
from onebutton_contracts.tables import HOLDOUT, SPLIT
from onebutton_evaluation import splits
from onebutton_evaluation.catalogue import known_metrics
from onebutton_evaluation.declarations import UNSURE
from onebutton_evaluation.holdout import read_holdout
from onebutton_workbench.data.intake import QUERY, keep, license_of, read
from onebutton_workbench.members.lockfile import lock
from onebutton_workbench.members.new import Task, named, new, render, say_next, written_whole
from onebutton_workbench.workspace import ROOT

SEED = 2024
SMALL, HALF, SHARE = 700, 0.5, 0.3  # of fewer rows half are held out, as an interval needs some
LIMIT = re.compile(r"\s*([^<>=]+?)\s*(<=|>=)\s*(-?\d+(?:\.\d+)?)\s*")
MOST_PARTS, ROWS_A_PART = 8, 50  # values of a column by which the model is shown part by part, and rows of each


def new_pipeline(  # noqa: PLR0913  a table has as many facts
    root: Path = ROOT,
    *,
    name: str = "",
    kind: Task | None = None,
    from_: str = "",
    answer: str = "",
    key: str = "",
    time: str = "",
    group: str = "",
    must: str = "",
    license_: str = "",
) -> int:
    """Write a pipeline that runs, whole or not at all: around your own table, or an example for you to change."""
    said = Said(answer, kind or "", tuple(filter(None, key.split(","))), time, group)
    if not from_:
        words = "FROM= says of which file: ANSWER, KEY, TIME, GROUP, MUST and LICENSE are about its table"
        require(not (answer or key or time or group or must or license_), words)
        return new(root, kind="pipeline", name=name, task=kind or "binary")
    member, file = named(root, "pipeline", name), Path(from_).expanduser()
    known = f"FROM= names a file of yours: {SUPPORTED}; or a query in a file query.sql"
    require(file.is_file(), f"FROM={from_} is no file here; {known}")
    table, origin = read(file, "table", name, license_of(license_))
    roles = find_roles(table.frame, said, table.guesses)
    musts = read_must(must, roles)
    rows, split = hold_out(prepare(table.frame, roles), roles)
    leaks = knowing_columns(rows, roles)
    alone = f"{', '.join(leaks)} alone tells {roles.answer} almost wholly, and no other column is left to learn from"
    require(len(leaks) < len(roles.numbers) + len(roles.words), alone)
    facts = describe(table.frame, origin, roles, rows, leaks) | {"split": split, "musts": musts}
    with written_whole(member, root):
        render(member, root, roles.task, facts)
        keep(table, origin, root)
        text = draft(rows.drop(SPLIT), replace(origin, name="rows"), table.guesses, roles.key)
        (root / member.path / "contracts/rows.odcs.yaml").write_text(text, encoding="utf-8")
        if file.suffix == ".sql":
            shutil.copyfile(file, root / member.path / QUERY)
        lock(root)
    advice = "left out until you say that it is known before the answer: then add it to train.py"
    found = [f"{name} alone tells {roles.answer} almost wholly; {advice}" for name in leaks]
    found += likely_leaks(table.frame, rows, roles)
    for note in (*table.notes, *roles.notes, *(f"LIKELY A LEAK: {words}" for words in found)):
        print(f"new-pipeline: {note}")
    say_next(member)
    return 0


def read_must(text: str, roles: Roles) -> list[dict[str, Any]]:
    """Read limits that a person set before there was a model, such as `mae<=300,median_ae<=200`."""
    known, found = known_metrics(roles.task, roles.classes), []
    for part in filter(None, text.split(",")):
        match = LIMIT.fullmatch(part)
        name, sign, limit = match.groups() if match else ("", "", "")
        example = "mae<=300" if roles.task == "regression" else "auc>=0.7"
        no_limit = f"MUST={part}: a {roles.task} has no {name}; write one" if match else f"MUST={part} is no limit"
        require(name in known, f'{no_limit} such as MUST="{example}"; a {roles.task} has {", ".join(known)}')
        require(known[name].decides, f"MUST={part} cannot be judged: {UNSURE}")
        bad = f"MUST={part} would hold for a bad model: of {name}, {known[name].better} is better"
        require((known[name].better, sign) not in {("lower", ">="), ("higher", "<=")}, bad)
        found.append({"metric": quoted(name), "at": "at_most" if sign == "<=" else "at_least", "limit": float(limit)})
    return found


def hold_out(rows: pl.DataFrame, roles: Roles) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Split the rows as the written `features.py` will; return them with the parameters of the split."""
    share = HALF if rows.height < SMALL else SHARE
    said: dict[str, Any] = {"share": share, "seed": SEED}
    if roles.time:
        times = rows[roles.time].sort()
        start = max(times[round((1 - share) * rows.height)], times.filter(times > times[0])[0])
        said, drawn = {"from": start.isoformat()}, splits.by_time(rows, roles.time, holdout_from=start)
    elif roles.group:
        drawn = splits.by_group(rows, roles.group, holdout_share=share, seed=SEED)
    else:
        drawn = splits.at_random(rows, holdout_share=share, seed=SEED)
    sides = drawn.group_by(roles.answer).agg(pl.col(SPLIT).n_unique())
    alone = [] if roles.task == "regression" else sides.filter(pl.col(SPLIT) == 1)[roles.answer].to_list()
    by = f"split by {roles.time or roles.group or 'chance'}, {', '.join(map(str, alone[:1]))} stands on one side alone"
    require(not alone, f"ANSWER={roles.answer}: {by}; split by another column")
    return drawn, said


def describe(
    table: pl.DataFrame, origin: Origin, roles: Roles, rows: pl.DataFrame, leaks: Collection[str]
) -> dict[str, Any]:
    """Collect what the template fills in; names are quoted, so that Python, TOML and YAML all read them as they are.

    The rows are as `prepare` returns them, with the column `split`; leaks are inputs that are left out.
    """
    held_out = rows.filter(pl.col(SPLIT) == HOLDOUT)
    answers, came = rows[roles.answer], table[roles.answer]
    numbers, words = ([name for name in names if name not in leaks] for names in (roles.numbers, roles.words))
    one = roles.classes[-1] if roles.classes else came.max()
    two_numbers = roles.task == "binary" and not roles.classes and set(came.drop_nulls()) != {0, 1}
    names = asdict(roles) | {
        "numbers": numbers,
        "incomplete": [name for name in numbers if rows[name].null_count()],
        "words": words,
        "parts": [name for name in words if not rows[name].null_count() and _is_cut(held_out[name])][:1],
        "leaks": list(leaks),
        "row_number": [name for name in roles.key if name not in table.columns],
        "file": origin.source,
        "one": str(one),
    }
    return {name: value and quoted(value) for name, value in names.items()} | {
        "time_type": "date" if roles.time and rows[roles.time].dtype == pl.Date else "datetime",
        "types": {quoted(name): logical_type(rows[name]) for name in (*roles.key, roles.answer)},
        "larger": repr(one) if two_numbers else "",
        "whole": roles.task != "regression" and came.dtype not in (pl.String, pl.Int64),
        "tolerance": float(f"{answers.std() / 100:.0e}") if roles.task == "regression" else 0.01,  # type: ignore[operator]
        "holdout": read_holdout(held_out, roles.key, roles.answer),
        "license": origin.license,
        "rows": rows.height,
        "notes": roles.notes,
    }


def _is_cut(column: pl.Series) -> bool:
    counts = column.value_counts()["count"]
    return 1 < len(counts) <= MOST_PARTS and bool(counts.min() >= ROWS_A_PART)  # type: ignore[operator]


def quoted(value: Any) -> Any:
    """Quote a text, or each of some, so that Python, TOML and YAML all read it as it is."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else [quoted(one) for one in value]
