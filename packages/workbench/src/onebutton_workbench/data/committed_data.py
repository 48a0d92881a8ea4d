"""Bring data that `.dvc` files name in line with them before stages run.

`git pull` brings a colleague's new `.dvc` file, and the data of before still lies beside it. DVC would take that for new data of
yours, train on it and write the colleague's file back. So data of an earlier commit gives way to that of this one; data that
DVC's cache does not hold is never touched, its author says which is meant.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from posixpath import join, normpath

from onebutton_contracts.errors import InputError
from onebutton_workbench.data.storage import UNSAVED, call_dvc, compare, configured, why
from onebutton_workbench.git import holds, names, shortened
from onebutton_workbench.lineage.stages import read_stages
from onebutton_workbench.lineage.tracked_data import Tracked, signature, tracked

NOTES = ".dvc/tmp/onebutton-data.json"  # what was found right, so that DVC is not asked about it again


def bring(root: Path, pipeline: str = "") -> None:
    """Put the committed data in place where that of an earlier commit lies, or none.

    Args:
        root: of the checkout.
        pipeline: whose data; when empty, that of all.

    Raises:
        InputError: it is not here, or your own data, which stays, lies in its place.
    """
    if not holds("rev-parse", "--verify", "--quiet", "HEAD", folder=root):
        return  # nothing is committed yet, or this is no checkout
    edited = names("diff", "--name-only", "--no-ext-diff", "--relative", "-z", "HEAD", "--", "*.dvc", folder=root)
    notes = _read_notes(root)
    unsure = [
        one
        for one in tracked(root)
        if one.md5
        and (one.file not in edited or not (root / one.path).exists())
        and (not pipeline or _concerns(one, pipeline, root))
        and notes.get(one.path) != _note(one, root)
    ]
    if not unsure:
        return
    differ, away = compare([one.path for one in unsure], root)
    if lacking := [one for one in unsure if one.path in differ & away]:
        raise InputError(_not_here(lacking, root))
    for one in unsure:
        if one.path in differ:
            _check_out(one, root)
    notes |= {one.path: _note(one, root) for one in unsure}
    (root / NOTES).parent.mkdir(parents=True, exist_ok=True)
    (root / NOTES).write_text(json.dumps(notes), encoding="utf-8")


def _concerns(one: Tracked, pipeline: str, root: Path) -> bool:
    """Whether data belongs to a pipeline or is read by a stage of it."""
    folder = f"pipelines/{pipeline}"
    deps = (normpath(join(folder, dep)) for stage in read_stages(root / folder / "dvc.yaml") for dep in stage.deps)
    read = (f"{one.path}/".startswith(f"{dep}/") or dep.startswith(f"{one.path}/") for dep in deps)
    return one.path.startswith(f"{folder}/") or any(read)


def _not_here(away: Sequence[Tracked], root: Path) -> str:
    """Say how committed data is fetched."""
    remote = configured(root)
    first = "" if remote and remote.shared else "`make remote URL=…` says where your team keeps data, then "
    other = (root / away[0].path).exists()
    what = "is another than the committed one, which is not here" if other else "is not here"
    paths = shortened([one.path for one in away])
    return f"{paths}, which {away[0].file} names, {what}: {first}`make pull` fetches it. No stage was run"


def _check_out(one: Tracked, root: Path) -> None:
    """Have DVC put committed data in place; it refuses to replace what its cache does not hold."""
    done = call_dvc("checkout", one.file, root=root)
    said = done.stdout + done.stderr
    if UNSAVED in said:
        message = (
            f"{one.path}: not what {one.file} names, and there is no other copy. To take yours on purpose, "
            f"`dvc add {one.path}` (a table of another source: `make data-add`); to take the committed one, "
            "move yours away and press `make pull`. No stage was run"
        )
        raise InputError(message)
    if done.returncode:
        message = f"DVC does not put {one.path} in place: {why(said)}. Perhaps `make pull` does"
        raise InputError(message)
    print(f"run: {one.path} is now the one that {one.file} names", flush=True)


def _note(one: Tracked, root: Path) -> str:
    return f"{one.md5} {signature(root / one.path)}" if (root / one.path).exists() else ""


def _read_notes(root: Path) -> dict[str, str]:
    try:
        return dict(json.loads((root / NOTES).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}  # none yet, or half of them: DVC is asked once
