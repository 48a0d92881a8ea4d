"""Make the results of a run again, from its commit and nothing else, and compare every output. The work of `make reproduce`.

A git worktree at that commit, the locked environment, every stage by force: the person's own tree is not touched, and the
worktree is gone afterwards.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebutton_contracts.dvc_files import FINGERPRINTS, read_plan, read_stages, read_yaml
from onebutton_contracts.errors import InputError, require
from onebutton_tracking import lookup
from onebutton_tracking.commit import git, git_environment
from onebutton_tracking.entry import COMMIT_TAG, PATCH
from onebutton_tracking.results import CURVES, all_metrics, file_digest
from onebutton_tracking.store import DIRTY_TAG, LOCK_TAG, PIPELINE_TAG, StoreError, check_there, connect, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

IDENTICAL = "identical"
WITHIN = "within tolerance"
DIFFERENT = "different"
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
    require(not (run and model), "RUN and MODEL each say what to make again: type one of them")
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


@contextmanager
def worktree(root: Path, sha: str) -> Iterator[Path]:
    """Check a commit out into a temporary folder, and remove it again whatever happens."""
    git("worktree", "prune", folder=root)  # what a killed press left behind
    with tempfile.TemporaryDirectory(prefix="onebutton-reproduce-", ignore_cleanup_errors=True) as scratch:
        tree = Path(scratch, root.name)
        try:
            _call("git", "worktree", "add", "--quiet", "--detach", str(tree), sha, folder=root)
            yield tree
        finally:
            git("worktree", "remove", "--force", str(tree), folder=root)


def _call(*command: str, folder: Path) -> None:
    """Call a program with what is installed in a folder first on PATH; what it says is for the person."""
    path = f"{folder / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {key: text for key, text in git_environment({"PATH": path}).items() if key not in _FOREIGN}
    failed = subprocess.run(command, cwd=folder, env=environment, check=False).returncode
    require(not failed, f"`{' '.join(command[:3])}` failed, and says why above")


def prepare(record: Record, tree: Path, root: Path) -> list[str]:
    """Bring sources, environment and data of a record into a worktree; return in words what is not as it was recorded."""
    notes, lock = [], tree / "pipelines" / record.pipeline / "dvc.lock"
    if record.patch:
        file = tree.parent / "patch.diff"
        file.write_text(record.patch, encoding="utf-8", errors="surrogateescape")
        _call("git", "apply", "--whitespace=nowarn", str(file), folder=tree)
    if record.lock:  # the commit's own is older where code was committed first and run then
        lock.write_bytes(record.lock.encode("utf-8", "surrogateescape"))
    if record.lock_digest and file_digest(lock) != record.lock_digest:
        notes.append(
            f"dvc.lock of commit {record.sha[:12]} is another than that of {record.name}, which MLflow does not hold"
        )
    _call("uv", "sync", "--frozen", "--all-packages", "--quiet", folder=tree)
    settings = root / ".dvc/config.local"
    if settings.is_file():
        shutil.copy2(settings, tree / ".dvc/config.local")  # how to reach the remote
    cache = subprocess.run(["dvc", "cache", "dir"], cwd=root, capture_output=True, text=True, check=False).stdout
    _call("dvc", "cache", "dir", "--quiet", "--local", str(root / cache.strip()), folder=tree)
    # those of the patch git does not know
    if tracked := git("ls-files", "--cached", "--others", "--exclude-standard", "*.dvc", folder=tree).splitlines():
        try:
            _call("dvc", "checkout", "--quiet", *tracked, folder=tree)
        except InputError:  # what is not in the cache
            _call("dvc", "pull", "--quiet", *tracked, folder=tree)
    return notes


def _other_inputs(lock: Mapping[str, Any], folder: Path) -> list[str]:
    """Name the inputs whose bytes are not those that a `dvc.lock` recorded: DVC takes what stands in its cache at its word."""
    words = "does not hold the bytes that were recorded; somebody changed it in the cache"
    return [
        f"the input {path} {words}"
        for path, digest in read_by(lock).items()
        if (folder / path).is_file() and hashlib.md5((folder / path).read_bytes()).hexdigest() != digest  # noqa: S324  DVC's own
    ]


def compare(
    then: Mapping[str, Any],
    now: Mapping[str, Any],
    metrics_then: Mapping[str, float],
    metrics_now: Mapping[str, float],
    tolerance: float,
) -> tuple[str, list[str]]:
    """Compare two states of a pipeline, by the stages of their `dvc.lock` and their metrics.

    Returns:
        `identical`; `within tolerance` when outputs have other bytes and no metric differs by more than the absolute
        `tolerance`; or `different`. And in words all that differs, what speaks against the two being one before the rest.
    """
    inputs, inputs_now = read_by(then), read_by(now)
    outputs, outputs_now = _digests(then, "outs"), _digests(now, "outs")
    wrong = [f"the input {path} is another" for path in inputs | inputs_now if inputs.get(path) != inputs_now.get(path)]
    wrong += [f"{path} was not written" for path in outputs if path not in outputs_now]
    wrong += [f"{path} was not there before" for path in outputs_now if path not in outputs]
    other = [f"{path} has other bytes" for path in outputs if outputs[path] != outputs_now.get(path, outputs[path])]
    if other and not metrics_then:
        wrong.append("there is no metric to judge them by")
    for name in {**metrics_then, **metrics_now} if other or wrong else ():
        old, new = metrics_then.get(name), metrics_now.get(name)
        if old != new:
            before, after = ("(none)" if number is None else f"{number:.6g}" for number in (old, new))
            near = old is not None and new is not None and abs(old - new) <= tolerance  # false for NaN
            (other if near else wrong).append(f"{name} is {after} and was {before}")
    return DIFFERENT if wrong else WITHIN if other else IDENTICAL, [*wrong, *other]


def _digests(lock: Mapping[str, Any], side: str) -> dict[str, str]:
    entries = [entry for stage in lock.values() for entry in stage.get(side, [])]
    return {one["path"]: one.get("md5", "") for one in entries if not one["path"].startswith(FINGERPRINTS)}


def read_by(lock: Mapping[str, Any]) -> dict[str, str]:
    """List the MD5 of every file that comes from outside the stages of a `dvc.lock`."""
    written = _digests(lock, "outs")
    return {path: digest for path, digest in _digests(lock, "deps").items() if path not in written}


def reproduce(record: Record, root: Path) -> tuple[str, list[str]]:
    """Make the results of a record again, and compare as `compare` does.

    Raises:
        InputError: there is no commit to go back to, or a stage does not run any more.
    """
    require(record.sha, f"{record.name} was made outside git: there is no commit to go back to")
    gone = f"commit {record.sha[:12]} of {record.name} is not in this clone. `git fetch --all` may bring it"
    require(git("cat-file", "-t", f"{record.sha}^{{commit}}", folder=root), gone)
    patched = " and its patch" if record.patch else ""
    print(f"reproduce: {record.name} from commit {record.sha[:12]}{patched}, in a worktree", flush=True)
    with worktree(root, record.sha) as tree:
        folder = tree / "pipelines" / record.pipeline
        notes = prepare(record, tree, root)
        then = read_stages(folder / "dvc.lock")
        lacking = next((path for path in read_by(then) if not (folder / path).exists()), "")
        mend = "`make data-add` puts it where others find it; runs from then on can be made again"
        require(not lacking, f"{lacking}, which {record.name} read, is neither in git nor in DVC. {mend}")
        notes += _other_inputs(then, folder)
        before = all_metrics(folder) if record.metrics is None else record.metrics
        _call("dvc", "repro", "--force", f"pipelines/{record.pipeline}/dvc.yaml", folder=tree)
        now = read_stages(folder / "dvc.lock")
        verdict, differences = compare(then, now, before, all_metrics(folder), tolerance(folder))
        stages = read_plan(folder / "dvc.yaml").stages
        notes += [f"{stage.name} did not run: it is frozen" for stage in stages if stage.frozen]
    return DIFFERENT if notes else verdict, [*notes, *differences]


def tolerance(folder: Path) -> float:
    """Read how much a metric may differ off `params.yaml`: `reproduce.tolerance`; 0 where it does not say."""
    file = folder / "params.yaml"
    section = read_yaml(file).get("reproduce") if file.is_file() else None
    return float(section["tolerance"]) if isinstance(section, dict) and "tolerance" in section else 0.0


def reproduce_all(*, root: Path, run: str = "", model: str = "") -> int:
    """Make again a run or a model, or every champion; print a verdict for each with what differs, and return the exit status."""
    status = 0
    for record in records(root, run=run, model=model):
        verdict, differences = reproduce(record, root)
        words = "; ".join([f"{record.name} is {verdict}", *differences])
        print(f"reproduce: {words}", flush=True)
        status |= verdict == DIFFERENT
    return status
