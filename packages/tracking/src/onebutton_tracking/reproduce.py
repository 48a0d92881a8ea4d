"""Make the results of a run again, from its commit and nothing else, and compare every output. The work of `make reproduce`.

A git worktree at that commit, the locked environment, every stage by force: the person's own tree is not touched, and the
worktree is gone afterwards.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebutton_contracts.dvc_files import read_stages, read_yaml
from onebutton_contracts.errors import InputError
from onebutton_tracking import lookup
from onebutton_tracking.commit import git, git_environment
from onebutton_tracking.comparison import DIFFERENT, Comparison, compare, page, read_by
from onebutton_tracking.entry import COMMIT_TAG, PATCH
from onebutton_tracking.results import CURVES, collect, file_digest
from onebutton_tracking.store import DIRTY_TAG, LOCK_TAG, PIPELINE_TAG, StoreError, check_there, connect, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_RUNNING = re.compile(r"^Running stage '(?:.+:)?(?P<stage>[^:']+)':")
_FOREIGN = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT_ENVIRONMENT")  # they lead to another environment


@dataclass(frozen=True)
class Record:
    """What is to be made again: a run as MLflow keeps it, or what the last commit holds."""

    name: str  # for people: a run, a model version or a commit
    pipeline: str
    sha: str  # of the commit
    patch: str = ""  # from the commit to the sources; empty unless the run was dirty
    lock: str = ""  # the text of its `dvc.lock`; empty for a commit
    lock_digest: str = ""  # of that text; empty for a commit
    metrics: dict[str, float] | None = None  # by dotted name; None for those of the commit


def records(root: Path, *, run: str = "", model: str = "") -> list[Record]:
    """Find what was asked for: a run, a model, or else each pipeline's champion; what the last commit holds where there is none.

    Raises:
        InputError: it is not there, or MLflow does not answer.
    """
    if run and model:
        raise InputError("RUN and MODEL each say what to make again: type one of them")
    uri, sha = tracking_uri(root), git("rev-parse", "HEAD", folder=root).strip()
    names = sorted(path.parent.name for path in root.glob("pipelines/*/dvc.lock"))
    committed = {name: Record(f"{name} at the last commit", name, sha) for name in names}
    try:
        check_there(uri)
    except StoreError:
        if run or model or os.environ.get("MLFLOW_TRACKING_URI"):
            raise
        return list(committed.values())
    with connect(uri) as client:
        if run:
            found = lookup.find_run(client, run)
            return [_record(client, found, f"run {found.info.run_id[:8]}")]
        known = {one.name for one in client.search_registered_models()}
        wanted = [model] if model else names
        return [_champion(client, name) if model or name in known else committed[name] for name in wanted]


def _champion(client: MlflowClient, text: str) -> Record:
    run, version = lookup.find_model(client, text)
    return _record(client, run, f"{version.name} version {version.version}")


def _record(client: MlflowClient, run: Run, name: str) -> Record:
    tags = run.data.tags
    return Record(
        name=name,
        pipeline=tags[PIPELINE_TAG],
        sha=tags.get(COMMIT_TAG, ""),
        patch=_artifact(client, run, PATCH) if tags.get(DIRTY_TAG) == "true" else "",
        lock=_artifact(client, run, "sources/dvc.lock"),
        lock_digest=tags[LOCK_TAG],
        metrics={name: number for name, number in run.data.metrics.items() if not name.startswith(CURVES)},
    )


def _artifact(client: MlflowClient, run: Run, path: str) -> str:
    """Return the text of a file that the mirror kept."""
    with tempfile.TemporaryDirectory(prefix="onebutton-artifact-") as scratch:
        file = Path(client.download_artifacts(run.info.run_id, path, scratch))
        return file.read_bytes().decode("utf-8", "surrogateescape")


def check_possible(record: Record, root: Path) -> None:
    """Refuse what cannot be gone back to."""
    fault = ""
    if not record.sha:
        fault = f"{record.name} was made outside git: there is no commit to go back to"
    elif not git("cat-file", "-t", f"{record.sha}^{{commit}}", folder=root):
        fault = f"commit {record.sha[:12]} of {record.name} is not in this clone. `git fetch --all` may bring it"
    if fault:
        raise InputError(fault)


@contextmanager
def worktree(root: Path, sha: str) -> Iterator[Path]:
    """Check a commit out into a temporary folder, and remove it again whatever happens."""
    git("worktree", "prune", folder=root)  # what a killed press left behind
    with tempfile.TemporaryDirectory(prefix="onebutton-reproduce-", ignore_cleanup_errors=True) as scratch:
        tree = Path(scratch, root.name)
        try:
            _call(["git", "worktree", "add", "--quiet", "--detach", str(tree), sha], root, "git made no worktree")
            yield tree
        finally:
            git("worktree", "remove", "--force", str(tree), folder=root)


def _environment(**more: str) -> dict[str, str]:
    return {key: text for key, text in git_environment(more).items() if key not in _FOREIGN}


def _call(command: list[str], folder: Path, trouble: str) -> None:
    if subprocess.run(command, cwd=folder, env=_environment(), check=False).returncode:
        raise InputError(f"{trouble}, and says why above")


def prepare(record: Record, tree: Path, root: Path) -> list[str]:
    """Bring sources, environment and data of a record into a worktree; return in words what is not as it was recorded."""
    notes, lock = [], tree / "pipelines" / record.pipeline / "dvc.lock"
    if record.patch:
        file = tree.parent / "patch.diff"
        file.write_text(record.patch, encoding="utf-8", errors="surrogateescape")
        _call(["git", "apply", "--whitespace=nowarn", str(file)], tree, "the patch does not fit its commit")
    if record.lock:  # the commit's own is older where code was committed first and run then
        lock.write_bytes(record.lock.encode("utf-8", "surrogateescape"))
    if record.lock_digest and file_digest(lock) != record.lock_digest:
        notes.append(
            f"dvc.lock of commit {record.sha[:12]} is another than that of {record.name}, which MLflow does not hold"
        )
    _call(["uv", "sync", "--frozen", "--all-packages", "--quiet"], tree, "uv did not make the environment")
    settings = root / ".dvc/config.local"
    if settings.is_file():
        shutil.copy2(settings, tree / ".dvc/config.local")  # how to reach the remote
    dvc = str(tree / ".venv/bin/dvc")
    cache = subprocess.run(["dvc", "cache", "dir"], cwd=root, capture_output=True, text=True, check=False).stdout
    _call([dvc, "cache", "dir", "--quiet", "--local", str(root / cache.strip())], tree, "DVC did not take the cache")
    if tracked := git("ls-files", "*.dvc", folder=tree).splitlines():
        try:
            _call([dvc, "checkout", "--quiet", *tracked], tree, "")
        except InputError:  # what is not in the cache
            _call([dvc, "pull", "--quiet", *tracked], tree, "DVC did not bring the data that it tracks")
    return notes


def run_stages(record: Record, tree: Path) -> set[str]:
    """Run every stage of the pipeline by force, whatever the cache holds; return the names of those that ran."""
    environment = _environment(PATH=f"{tree / '.venv/bin'}{os.pathsep}{os.environ['PATH']}", PYTHONUNBUFFERED="1")
    command, said = ["dvc", "repro", "--force", f"pipelines/{record.pipeline}/dvc.yaml"], subprocess.PIPE
    ran = set()
    with subprocess.Popen(command, cwd=tree, env=environment, stdout=said, text=True, errors="replace") as dvc:
        for line in dvc.stdout or ():
            print(f"  {line}", end="", flush=True)
            if match := _RUNNING.match(line):
                ran.add(match["stage"])
    if dvc.returncode:
        raise InputError(f"a stage of {record.name} does not run any more, and says why above")
    return ran


def _other_inputs(lock: Mapping[str, Any], folder: Path) -> list[str]:
    """Name the inputs whose bytes are not those that a `dvc.lock` recorded: DVC takes what stands in its cache at its word."""
    words = "does not hold the bytes that were recorded; somebody changed it in the cache"
    return [
        f"the input {path} {words}"
        for path, digest in read_by(lock).items()
        if (folder / path).is_file() and hashlib.md5((folder / path).read_bytes()).hexdigest() != digest  # noqa: S324  DVC's own
    ]


def reproduce(record: Record, root: Path) -> Comparison:
    """Make the results of a record again and compare."""
    check_possible(record, root)
    patched = " and its patch" if record.patch else ""
    print(f"reproduce: {record.name} from commit {record.sha[:12]}{patched}, in a worktree", flush=True)
    with worktree(root, record.sha) as tree:
        folder = tree / "pipelines" / record.pipeline
        notes = prepare(record, tree, root)
        then = read_stages(folder / "dvc.lock")
        notes += _other_inputs(then, folder)
        before = collect(folder).metrics if record.metrics is None else record.metrics
        ran = run_stages(record, tree)
        now = read_stages(folder / "dvc.lock")
        found = compare(then, now, before, collect(folder).metrics, tolerance(folder))
        notes += [f"{stage} did not run" for stage in sorted(set(now) - ran)]
    if notes:
        return Comparison(DIFFERENT, found.rows, (*notes, *found.reasons))
    print(f"reproduce: {len(ran)} of {len(now)} stages ran", flush=True)
    return found


def tolerance(folder: Path) -> float:
    """Read how much a metric may differ off `params.yaml`: `reproduce.tolerance`; 0 where it does not say."""
    file = folder / "params.yaml"
    section = read_yaml(file).get("reproduce") if file.is_file() else None
    return float(section["tolerance"]) if isinstance(section, dict) and "tolerance" in section else 0.0


def reproduce_all(*, root: Path, run: str = "", model: str = "") -> int:
    """Make again a run or a model, or every champion; print a table and a verdict for each, and return the exit status."""
    status = 0
    for record in records(root, run=run, model=model):
        found = reproduce(record, root)
        print(page(found))
        why = f": {'; '.join(found.reasons[:5])}" if found.reasons else ""
        print(f"reproduce: {record.name} is {found.verdict}{why}", flush=True)
        status |= found.verdict == DIFFERENT
    return status
