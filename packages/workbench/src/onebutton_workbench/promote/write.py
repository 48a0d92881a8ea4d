"""Write the pipeline that a plan describes: its code, its contracts, and a copy of what stood beside the notebook."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_contracts.intake.drafting import Origin, draft
from onebutton_contracts.intake.roles import Roles
from onebutton_contracts.sources import sha256
from onebutton_contracts.tables import SPLIT
from onebutton_workbench.data.intake import Taken
from onebutton_workbench.environment import call
from onebutton_workbench.git import listed
from onebutton_workbench.members.lockfile import lock
from onebutton_workbench.members.new import render
from onebutton_workbench.promote import code
from onebutton_workbench.promote.plan import STAGES, Plan, stage_of
from onebutton_workbench.promote.refusals import refuse
from onebutton_workbench.promote.run import Seen
from onebutton_workbench.runs.own_table import describe, quoted
from onebutton_workbench.workspace import Member, distribution

SMALL = 500_000  # bytes of a file that git may hold
INSTALLED = "site-packages"


def write(  # noqa: PLR0913  a pipeline is made of so much
    root: Path,
    member: Member,
    plan: Plan,
    seen: Seen,
    roles: Roles,
    *,
    license_: str,
    told: Sequence[str],
) -> None:
    """Write the pipeline, `told` being the likely leaks; the caller takes back what a failure leaves.

    Raises:
        InputError: a file that the notebook reads cannot be followed, or uv cannot lock the member.
    """
    folder, statements = plan.notebook.path.parent, plan.notebook.statements
    codes = {
        stage: code.write(
            statements,
            plan.parts[stage],
            folder,
            plan.headline if stage == "headline" else None,
            literals=stage in {"features", "train"},
        )
        for stage in STAGES
    }
    beside = code.files(statements, plan.needed, folder)
    distributed, origin = _origin(plan, seen, beside, license_, member.path.name)
    features, number = seen.features.drop(SPLIT), ast.unparse(plan.headline.node)
    left = [(one, goes) for one in statements if (goes := stage_of(plan, one)).startswith("left")]
    notes = [f"likely a leak: {one}" for one in told]
    notes += [f"cell {one.cell.number} (`{one}`): {goes}" for one, goes in left]
    facts = describe(Taken(features, {}, (), origin), roles, seen.features, [])
    facts["code"] = {stage: vars(codes[stage]) for stage in STAGES} | {
        "notebook": plan.notebook.shown,
        "expression": number,
        "quoted_label": quoted(number),
        "files": [f"source/{Path(one).name}" for one in beside],
        "distributed": distributed,
        **{name: repr(seen.table[name]) if seen.table[name] else "" for name in ("types", "input_types")},
        "inputs": [quoted(one) for one in features.columns if one not in {*roles.key, roles.answer}],
        "key": quoted(roles.key[0]),
        "packages": code.packages(list(codes.values()), metadata.packages_distributions()),
        "notes": notes,
        **{name: getattr(plan, name) for name in ("table", "sides", "model", "passed", "steps")},
    }
    render("pipeline", member, root, roles.task, facts | {"split": {}, "musts": []}, ("table", "promoted"))
    call("ruff", "check", "--select", "F401,I", "--fix", "--quiet", str(member.path), folder=root)
    call("ruff", "format", "--quiet", str(member.path), folder=root)
    for name, frame, key in (("rows", seen.rows, None), ("features", features, roles.key)):
        text = draft(frame, replace(origin, name=name), {}, key).replace("make data-add", "make promote")
        text = text.replace("property: source\n", "property: sourceDistribution\n") if distributed else text
        (root / member.path / f"contracts/{name}.odcs.yaml").write_text(text, encoding="utf-8")
    if beside:
        _copy(root, root / member.path / "source", [folder / one for one in beside])
    lock(root)


def _origin(plan: Plan, seen: Seen, beside: Sequence[str], license_: str, name: str) -> tuple[bool, Origin]:
    """Say whether the rows are of an installed distribution, and of which file: the first that was read."""
    folder = plan.notebook.path.parent
    known = {(folder / other).resolve() for other in beside}
    found = {folder / file: plan.notebook.statements[at].cell for file, at in seen.files.items() if at in plan.needed}
    for one, cell in found.items():
        if INSTALLED not in one.parts and one.resolve() not in known:
            refuse(cell, "path-put-together", file=one.name)
    if beside:
        file = folder / beside[0]
        return False, Origin("rows", name, file.name, file.name, sha256(file), license_)
    for file in found:
        inside = file.parts[file.parts.index(INSTALLED) + 1 :]
        brought = distribution(metadata.packages_distributions().get(inside[0], [inside[0]])[0])
        return True, Origin("rows", name, brought, "/".join(inside), sha256(file), license_)
    return refuse(plan.notebook.cells[0], "no-file")


def _copy(root: Path, target: Path, sources: Sequence[Path]) -> None:
    """Bring what stood beside the notebook: into git where git has it already and it is small, else DVC tracks it."""
    target.mkdir()
    for file in sources:
        shutil.copyfile(file, target / file.name)
        in_git = file.is_relative_to(root) and listed(root, file.relative_to(root).as_posix())
        if in_git and file.stat().st_size <= SMALL:
            continue
        done = call("dvc", "add", "--quiet", str(target / file.name), folder=root)
        if done.returncode:
            message = f"DVC does not track {file.name}: {' '.join(done.stderr.split())}"
            raise InputError(message)
