"""Bring data that `.dvc` files name in line with them before stages run.

`git pull` brings a colleague's new `.dvc` file, and the data of before still lies beside it. DVC would take that for new data of
yours, train on it and write the colleague's file back. So data of an earlier commit gives way to that of this one; data that
DVC's cache does not hold is never touched, its author says which is meant.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from posixpath import join, normpath

from onebutton_contracts.dvc_files import read_plan
from onebutton_contracts.errors import InputError
from onebutton_workbench.data.storage import MISSING, UNSAVED, call_dvc, configured, why
from onebutton_workbench.git import holds, names, shortened
from onebutton_workbench.lineage.tracked_data import Tracked, tracked


def bring(root: Path, pipelines: Collection[str]) -> None:
    """Put the committed data that pipelines have or read in place where that of an earlier commit lies, or none."""
    if not holds("rev-parse", "--verify", "--quiet", "HEAD", folder=root):
        return  # nothing is committed yet, or this is no checkout
    edited = names("diff", "--name-only", "--no-ext-diff", "--relative", "-z", "HEAD", "--", "*.dvc", folder=root)
    wanted = [
        one
        for one in tracked(root)
        if one.md5
        and (one.file not in edited or not (root / one.path).exists())
        and any(_concerns(one, name, root) for name in pipelines)
    ]
    if not wanted:
        return
    here = {one.path for one in wanted if (root / one.path).exists()}
    done = call_dvc("checkout", *[one.file for one in wanted], root=root)
    named = [one for one in wanted if one.path in done.stdout + done.stderr]
    if done.returncode:
        raise InputError(f"{_in_the_way(named or wanted, here, done.stderr, root)}. No stage was run")
    for one in named:
        print(f"run: {one.path} is now the one that {one.file} names", flush=True)


def _concerns(one: Tracked, pipeline: str, root: Path) -> bool:
    """Whether data belongs to a pipeline or is read by a stage of it."""
    folder = f"pipelines/{pipeline}"
    deps = (normpath(join(folder, dep)) for stage in read_plan(root / folder / "dvc.yaml").stages for dep in stage.deps)
    read = (f"{one.path}/".startswith(f"{dep}/") or dep.startswith(f"{one.path}/") for dep in deps)
    return one.path.startswith(f"{folder}/") or any(read)


def _in_the_way(some: Sequence[Tracked], here: Collection[str], said: str, root: Path) -> str:
    """Say why DVC, which never replaces what its cache does not hold, could not put data in place, what lay there or not."""
    first = some[0]
    if UNSAVED in said:
        return (
            f"{first.path}: not what {first.file} names, and there is no other copy. To take yours on purpose, "
            f"`dvc add {first.path}` (a table of another source: `make data-add`); to take the committed one, "
            "move yours away and press `make pull`"
        )
    if not any(words in said for words in MISSING):
        return f"DVC does not put {first.path} in place: {why(said)}. Perhaps `make pull` does"
    remote = configured(root)
    ask = "" if remote and remote.shared else "`make remote URL=…` says where your team keeps data, then "
    what = "is another than the committed one, which is not here" if first.path in here else "is not here"
    paths = shortened([one.path for one in some])
    return f"{paths}, which {first.file} names, {what}: {ask}`make pull` fetches it"
