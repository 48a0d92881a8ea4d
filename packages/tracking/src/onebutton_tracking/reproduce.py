"""Make the results of a run again, from its commit and nothing else, and compare every output. The work of `make reproduce`.

A worktree at that commit, the locked environment, every stage by force: the person's own tree is not touched, and the worktree is
gone afterwards.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebutton_tracking import past
from onebutton_tracking.commit import git, git_environment
from onebutton_tracking.comparison import DIFFERENT, Comparison, compare, page, sides
from onebutton_tracking.entry import COMMIT_TAG, PATCH, open_store
from onebutton_tracking.mirror import refusals
from onebutton_tracking.past import UnknownError
from onebutton_tracking.results import CURVES, Results, ResultsError, collect, read_lock, read_yaml
from onebutton_tracking.store import DIRTY_TAG, LOCK_TAG, PIPELINE_TAG, StoreError, check_there, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_RUNNING = re.compile(r"^Running stage '(?:.+:)?(?P<stage>[^:']+)':")
LOCK = "sources/dvc.lock"


class NotReproducedError(Exception):
    """The results could not be made again; the message says where it stopped."""


@dataclass(frozen=True)
class Record:
    """What is to be made again.

    Attributes:
        name: for people: a run, a model version or a commit.
        sha: the commit.
        patch: from the commit to the sources; empty unless the run was dirty.
        dirty: whether its sources were in no commit.
        lock: the text of its `dvc.lock`; empty for a commit, and where nobody kept it.
        lock_digest: of that text; empty for a commit.
        uv_lock: digest of its `uv.lock`; empty where nobody wrote it down.
        metrics: by dotted name; None for those of the commit.
    """

    name: str
    pipeline: str
    sha: str
    patch: str = ""
    dirty: bool = False
    lock: str = ""
    lock_digest: str = ""
    uv_lock: str = ""
    metrics: dict[str, float] | None = field(default=None)


def record_of_run(client: MlflowClient, run: Run, name: str) -> Record:
    """Read what is to be made again off a run."""
    tags = run.data.tags
    return Record(
        name=name,
        pipeline=tags[PIPELINE_TAG],
        sha=tags.get(COMMIT_TAG, ""),
        patch=_artifact(client, run, PATCH) if tags.get(DIRTY_TAG) == "true" else "",
        dirty=tags.get(DIRTY_TAG) == "true",
        lock=_artifact(client, run, LOCK),
        lock_digest=tags[LOCK_TAG],
        uv_lock=tags.get("onebutton.uv_lock", ""),
        metrics={name: number for name, number in run.data.metrics.items() if not name.startswith(CURVES)},
    )


def _artifact(client: MlflowClient, run: Run, path: str) -> str:
    """Return the text of a file that the mirror kept; empty when it kept none."""
    folder, _, _ = path.rpartition("/")
    if path not in {entry.path for entry in client.list_artifacts(run.info.run_id, folder)}:
        return ""
    with tempfile.TemporaryDirectory(prefix="onebutton-artifact-") as scratch:
        file = Path(client.download_artifacts(run.info.run_id, path, scratch))
        return file.read_bytes().decode("utf-8", "surrogateescape")


def check_possible(record: Record, root: Path) -> None:
    """Refuse what cannot be gone back to.

    Raises:
        NotReproducedError: there is no commit, it is not here, or the patch that it needs was not kept.
    """
    if not record.sha:
        message = f"{record.name} was made outside git: there is no commit to go back to"
    elif not git("cat-file", "-t", f"{record.sha}^{{commit}}", folder=root):
        message = (
            f"commit {record.sha[:12]} of {record.name} is not in this clone. `git fetch --all` may bring it; "
            "if it was never pushed, only the machine that made the run has it"
        )
    elif record.dirty and not record.patch:
        message = f"{record.name} was made from sources that are in no commit, and MLflow holds no patch of it"
    else:
        return
    raise NotReproducedError(message)


@contextmanager
def worktree(root: Path, sha: str) -> Iterator[Path]:
    """Check a commit out into a temporary folder, and remove it again whatever happens."""
    git("worktree", "prune", folder=root)  # what a killed press left behind
    with tempfile.TemporaryDirectory(prefix="onebutton-reproduce-", ignore_cleanup_errors=True) as scratch:
        tree = Path(scratch, root.name)
        try:
            call(["git", "worktree", "add", "--quiet", "--detach", str(tree), sha], root, "git made no worktree")
            yield tree
        finally:
            git("worktree", "remove", "--force", str(tree), folder=root)
    git("worktree", "prune", folder=root)


def call(command: list[str], folder: Path, trouble: str, more: Mapping[str, str] | None = None) -> None:
    """Call a program that must succeed.

    Raises:
        NotReproducedError: it did not; what it printed stands above.
    """
    foreign = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT_ENVIRONMENT")
    environment = {key: text for key, text in git_environment(more).items() if key not in foreign}
    if subprocess.run(command, cwd=folder, env=environment, check=False).returncode:
        message = f"{trouble}, and says why above"
        raise NotReproducedError(message)


def prepare(record: Record, tree: Path, root: Path) -> list[str]:
    """Bring sources, environment and data of a record into a worktree.

    Returns:
        What is not as it was recorded, in words.

    Raises:
        NotReproducedError: a piece of it cannot be had.
    """
    notes = []
    folder = tree / "pipelines" / record.pipeline
    if record.patch:
        file = tree.parent / "patch.diff"
        file.write_text(record.patch, encoding="utf-8", errors="surrogateescape")
        call(["git", "apply", "--whitespace=nowarn", str(file)], tree, "the patch does not fit its commit")
    if not (folder / "dvc.yaml").is_file():
        message = f"commit {record.sha[:12]} has no pipelines/{record.pipeline}/dvc.yaml"
        raise NotReproducedError(message)
    if record.lock_digest and past.file_digest(folder / "dvc.lock") != record.lock_digest:
        notes += bring_lock(record, folder / "dvc.lock")
    if record.uv_lock and past.file_digest(tree / "uv.lock") != record.uv_lock:
        notes.append(f"uv.lock of commit {record.sha[:12]} is another than that of {record.name}")
    call(["uv", "sync", "--frozen", "--all-packages", "--quiet"], tree, "uv did not make the environment")
    settings = root / ".dvc/config.local"
    if settings.is_file():
        shutil.copy2(settings, tree / ".dvc/config.local")  # how to reach the remote
    cache = subprocess.run(
        ["dvc", "cache", "dir"], cwd=root, capture_output=True, text=True, check=False
    ).stdout.strip()
    program = str(tree / ".venv/bin/dvc")
    call([program, "cache", "dir", "--quiet", "--local", str(root / cache)], tree, "DVC did not take the cache")
    tracked = git("ls-files", "*.dvc", folder=tree).split("\n")[:-1]
    if tracked:
        _bring_data(program, tracked, tree)
    return notes


def bring_lock(record: Record, file: Path) -> list[str]:
    """Put the `dvc.lock` of a run in place of its commit's, which is older where code was committed first and run then.

    Returns:
        What is wrong with it, in words: nobody kept it, or the one that was kept is another.
    """
    kept = record.lock.encode("utf-8", "surrogateescape")
    if hashlib.sha256(kept).hexdigest() != record.lock_digest:
        return [
            f"dvc.lock of commit {record.sha[:12]} is another than that of {record.name}, which MLflow does not hold"
        ]
    file.write_bytes(kept)
    return []


def _bring_data(program: str, tracked: list[str], tree: Path) -> None:
    """Take the data that DVC tracks out of the cache, and what is not there from the remote."""
    try:
        call([program, "checkout", "--quiet", *tracked], tree, "")
    except NotReproducedError:
        call([program, "pull", "--quiet", *tracked], tree, "DVC did not bring the data that it tracks")


def other_inputs(lock: Mapping[str, Any], folder: Path) -> list[str]:
    """Name the inputs whose bytes are not those that a `dvc.lock` recorded: DVC takes what stands in its cache at its word."""
    found = []
    for path, digest in sides(lock)[0].items():
        file = folder / path
        if file.is_file() and hashlib.md5(file.read_bytes()).hexdigest() != digest:  # noqa: S324  DVC's own hash
            found.append(
                f"the input {path} does not hold the bytes that were recorded; somebody changed it in the cache"
            )
    return found


def run_stages(record: Record, tree: Path) -> set[str]:
    """Run every stage of the pipeline by force, whatever the cache holds; return the names of those that ran.

    Raises:
        NotReproducedError: one failed.
    """
    path = f"{tree / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    environment = git_environment({"PATH": path, "PYTHONUNBUFFERED": "1"})
    for foreign in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT_ENVIRONMENT"):
        environment.pop(foreign, None)
    command = ["dvc", "repro", "--force", f"pipelines/{record.pipeline}/dvc.yaml"]
    ran = set()
    with subprocess.Popen(
        command, cwd=tree, env=environment, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as dvc:
        for line in dvc.stdout or ():
            print(f"  {line}", end="", flush=True)
            if match := _RUNNING.match(line):
                ran.add(match["stage"])
    if dvc.returncode:
        message = f"a stage of {record.name} does not run any more, and says why above"
        raise NotReproducedError(message)
    return ran


def reproduce(record: Record, root: Path) -> Comparison:
    """Make the results of a record again and compare.

    Raises:
        NotReproducedError: it could not be done.
        ResultsError: the results cannot be read.
    """
    check_possible(record, root)
    patched = " and its patch" if record.patch else ""
    print(f"reproduce: {record.name} from commit {record.sha[:12]}{patched}, in a worktree", flush=True)
    with worktree(root, record.sha) as tree:
        folder = tree / "pipelines" / record.pipeline
        notes = prepare(record, tree, root)
        then = read_lock((folder / "dvc.lock").read_text(encoding="utf-8"))
        notes += other_inputs(then, folder)
        before = collect(folder).metrics if record.metrics is None else record.metrics
        ran = run_stages(record, tree)
        results = collect(folder)
        now = read_lock((folder / "dvc.lock").read_text(encoding="utf-8"))
        found = compare(then, now, before, results.metrics, tolerance(results))
        idle = sorted(set(now["stages"]) - ran)
        reasons = [*notes, *([f"{', '.join(idle)} did not run"] if idle else [])]
        if reasons:
            return Comparison(DIFFERENT, found.rows, (*reasons, *found.reasons))
        print(f"reproduce: {len(ran)} of {len(now['stages'])} stages ran", flush=True)
        return found


def tolerance(results: Results) -> float:
    """Read how much a metric may differ off `params.yaml`: `reproduce.tolerance`; 0 where it does not say."""
    file = results.folder / "params.yaml"
    section = read_yaml(file).get("reproduce") if file.is_file() else None
    return float(section["tolerance"]) if isinstance(section, dict) and "tolerance" in section else 0.0


def records(root: Path, asked: Mapping[str, str]) -> list[Record]:
    """Find what was asked for: a run, a model, or when nothing was typed every pipeline's champion.

    Where MLflow knows none, it is what the last commit holds: a clone without MLflow can be held to its results as well.

    Raises:
        UnknownError: it is not there.
        StoreError: MLflow does not answer.
    """
    uri = tracking_uri(root)
    names = sorted(path.parent.name for path in root.glob("pipelines/*/dvc.lock"))
    sha = git("rev-parse", "HEAD", folder=root).strip()
    committed = {name: Record(f"{name} at the last commit", name, sha) for name in names}
    try:
        check_there(uri)
    except StoreError:
        if asked or os.environ.get("MLFLOW_TRACKING_URI"):
            raise
        return list(committed.values())
    with refusals(uri):
        client = open_store(uri)
        if len(asked) > 1:
            raise UnknownError("RUN and MODEL each say what to make again: type one of them")
        if text := asked.get("RUN"):
            run = past.find_run(client, text)
            return [record_of_run(client, run, f"run {run.info.run_id[:8]}")]
        registered = {model.name for model in client.search_registered_models()}
        found = []
        for text in [asked["MODEL"]] if asked else names:
            if not asked and text not in registered:
                found.append(committed[text])
                continue
            subject = past.find_model(client, text)
            version = subject.version.version if subject.version else "?"
            found.append(
                record_of_run(client, subject.run, f"{text.partition('@')[0].partition('/')[0]} version {version}")
            )
        return found


def main() -> int:
    """Make again what RUN or MODEL names, or every champion; print a table and a verdict for each."""
    root = Path.cwd()
    status = 0
    try:
        asked = {way: text for way in ("RUN", "MODEL") if (text := os.environ.get(f"BUTTON_{way}"))}
        for record in records(root, asked):
            found = reproduce(record, root)
            print(page(found))
            why = f": {'; '.join(found.reasons[:5])}" if found.reasons else ""
            print(f"reproduce: {record.name} is {found.verdict}{why}", flush=True)
            status |= found.verdict == DIFFERENT
    except (NotReproducedError, UnknownError, ResultsError, StoreError) as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nreproduce: interrupted", file=sys.stderr)
        return 130
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
