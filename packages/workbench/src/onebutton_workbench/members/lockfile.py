"""Let uv write `uv.lock`, and declare what a member imports. The work of `make add`, which then syncs."""

from pathlib import Path

from onebutton_contracts.errors import require
from onebutton_workbench.environment import call
from onebutton_workbench.workspace import ROOT, members, the_member

LOCK = "uv.lock"


def relock(folder: Path) -> str:
    """Let uv bring the lock in line with what the members declare; say why it could not, if so."""
    done = call("uv", "lock", "--quiet", folder=folder, UV_FROZEN="0")
    return "" if done.returncode == 0 else " ".join(done.stderr.split()) or "uv does not say why"


def lock(folder: Path) -> None:
    """Let uv write the lock, or refuse what the members declare; the caller takes back what was changed."""
    problem = relock(folder)
    require(not problem, f"uv could not lock it: {problem}. Nothing was changed")


def add(*, package: str = "", member: str = "", root: Path = ROOT) -> None:
    """Declare a package in the `pyproject.toml` of a member and bring the lock along, or change nothing.

    The package is of an index, with or without a version (`xgboost`, `polars>=2`), or the folder of one here.
    """
    require(package, "PACKAGE= says what to add: make add PACKAGE=xgboost MEMBER=churn")
    into = the_member(member, root)
    here = {one.path.name: one.name for one in members(root) if not one.is_pipeline}
    folder, bracket, extras = package.partition("[")
    wanted = f"{here.get(folder, folder)}{bracket}{extras}"
    done = call("uv", "add", "--quiet", "--no-sync", "--package", into.name, "--", wanted, folder=root, UV_FROZEN="0")
    refused = f"{wanted} cannot be added to {into.path}: {' '.join(done.stderr.split())}. Nothing was changed"
    require(not done.returncode, refused)
    where = f"{into.path}/pyproject.toml and in uv.lock"
    print(f"add: {wanted} stands in {where}. Next: import it, then `make check`")
