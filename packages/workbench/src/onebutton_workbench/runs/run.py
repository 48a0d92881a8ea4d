"""Bring every stage that is out of date up to date, with DVC, and write down what made the results. The work of `make run`."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from onebutton_contracts.errors import InputError
from onebutton_tracking.mirror import mirror_all
from onebutton_tracking.origin import record
from onebutton_tracking.store import tracking_uri
from onebutton_workbench.bootstrap import SetupError, conflict_in, refuse_conflicts
from onebutton_workbench.data.committed_data import bring
from onebutton_workbench.files import read_yaml
from onebutton_workbench.git import at_commit
from onebutton_workbench.git import call as git_call
from onebutton_workbench.lineage.stages import dvc_files, read_stages
from onebutton_workbench.lineage.tracked_data import signature
from onebutton_workbench.runs.repro import RUNNING, call_dvc, made_again, stage_use
from onebutton_workbench.runs.summary import summarise, summarise_dummies
from onebutton_workbench.workspace import ROOT, pipelines, the_pipeline
from onebutton_workbench.workspace import drafts as draft_folders

RAN = Path(".code/ran")  # of a draft: what it was when it last ran to its end; ignored by git
FAILED = (
    "a stage failed and says why above. Its outputs are not recorded and the stages after it did not run; "
    "mend it and press `make run` again: what is done stays done"
)


class StageError(InputError):
    """A stage failed, or DVC did not get to one.

    Attributes:
        pipeline: whose stage it was; empty where DVC did not get to one.
    """

    pipeline = ""


def run(pipeline: str) -> int:
    """Run what is out of date, bring the results into MLflow and say how good they are; return the exit status.

    Drafts run after all others and each by itself: one that fails is told, and stops nobody unless it is named. Those that are
    as they were when they last ran to their end run with the others, so that DVC starts once.

    Args:
        pipeline: its name; all of them when empty.

    Raises:
        InputError: as `reproduce`.
    """
    names = [the_pipeline(pipeline)] if pipeline else pipelines()
    drafts = [Path(folder).name for folder in draft_folders(ROOT)]
    apart = [name for name in names if name in drafts and not pipeline]
    calm = [name for name in apart if _state(name) == _last_state(name)]
    done = [name for name in names if name not in apart or name in calm]
    try:
        status, made = run_apart(pipeline, done, drafts)
    except StageError as error:
        if not calm or error.pipeline not in {"", *drafts}:
            raise
        status, made = 1, []
    if status and calm:  # perhaps one of these failed, by what it imports
        calm, done = [], [name for name in names if name not in apart]
        status, made = run_apart(pipeline, done, drafts)
    if status:
        return status
    failed = {}
    for name in [name for name in apart if name not in calm]:
        print(f"\nrun: {name}, a draft", flush=True)
        try:
            status, more = run_apart(name, [name], drafts)
            if status:
                failed[name] = "its results are not whole, as said above"
            else:
                done.append(name)
                made += more
        except InputError as error:
            failed[name] = str(error)
    for name in [name for name in done if name in drafts]:
        (ROOT / "pipelines" / name / RAN).write_text(_state(name), encoding="utf-8")
    summarise(done, made)
    for name, why in failed.items():
        print(f"run: the draft {name} failed, which stops nobody: {why}")
    return 0


def _state(pipeline: str) -> str:
    folder = ROOT / "pipelines" / pipeline
    parts = [folder / part for part in ("src", "dvc.yaml", "params.yaml", "dvc.lock")]
    return " ".join(signature(part) for part in parts if part.exists())


def _last_state(pipeline: str) -> str:
    file = ROOT / "pipelines" / pipeline / RAN
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def run_apart(pipeline: str, names: Sequence[str], drafts: Sequence[str]) -> tuple[int, list[str]]:
    """Run one pipeline, or all, without the drafts that are not meant, and bring the results into MLflow.

    Returns:
        The exit status, and the pipelines of which a stage was made again.
    """
    made = reproduce(pipeline, names, [draft for draft in drafts if draft not in names])
    folders = [ROOT / "pipelines" / name for name in names]
    return mirror_all(folders, tracking_uri(ROOT), after_run=True), made


def run_on_dummy_data(pipeline: str, rows: int | None, *, fit: bool) -> int:
    """Run a copy of a pipeline, or of every one that has a plan, on dummy data; no result of real data is touched.

    Raises:
        InputError: the pipeline is unknown or has no plan, or a stage failed.
    """
    from onebutton_workbench.data import dummy

    names = [the_pipeline(pipeline)] if pipeline else dummy.with_plan()
    if not names:
        raise InputError("no pipeline has a dummy.yaml; docs/dummy-data.md shows how to write one")
    good = [dummy.run(name, rows, fit=fit) for name in names]
    status = mirror_all([dummy.folder_of(name) for name in names], tracking_uri(ROOT), after_run=True)
    summarise_dummies({name: dummy.folder_of(name) for name in names})
    return status or int(not all(good))


def track(pipeline: str) -> int:
    """Bring results into MLflow that are not there yet, and what is in service as aliases; run no stage.

    Raises:
        InputError: there is no such pipeline.
    """
    from onebutton_release.aliases import tell_all

    names = [the_pipeline(pipeline)] if pipeline else pipelines()
    status = mirror_all([ROOT / "pipelines" / name for name in names], tracking_uri(ROOT))
    tell_all(ROOT)
    return status


def reproduce(pipeline: str, names: Sequence[str], without: Sequence[str] = ()) -> list[str]:
    """Call DVC, which prints each stage as it runs.

    Args:
        pipeline: what was typed; all are meant when it is empty.
        names: the pipelines that are meant.
        without: those that DVC is not to see: it reads every `dvc.yaml` first, and stops at the first that is wrong.

    Returns:
        The pipelines of which a stage was made again.

    Raises:
        InputError: a merge waits for a person, committed data is not here, or a stage failed.
    """
    refuse_unfinished_merge(ROOT)
    begun = time.monotonic()
    target = [f"pipelines/{pipeline}/dvc.yaml"] if pipeline else ["--all-pipelines"]
    with only_press(ROOT) as lock:
        wait_for_others(ROOT)
        mend_locks(ROOT)
        with unseen(ROOT, without), kept(ROOT, without):
            for name in names if without else [pipeline]:
                bring(ROOT, name)
            status, lines, looks = call_dvc(["dvc", "--wait-for-lock", "repro", *target], ROOT, lock)
    if status:
        ran = [match for _, line in lines if (match := RUNNING.match(line))]
        error = StageError(FAILED)
        error.pipeline = Path(ran[-1]["file"] or "").parent.name if ran else ""
        raise error
    use = stage_use(lines, looks)
    for name in names:
        took = use.get(f"pipelines/{name}/dvc.yaml", {})
        seconds = {stage: one.seconds for stage, one in took.items()}
        record(ROOT / "pipelines" / name, seconds, {stage: one.peak_mb for stage, one in took.items() if one.peak_mb})
    again, words = made_again(lines, use)
    print(f"run: every stage is up to date ({time.monotonic() - begun:.1f} s), {words}", flush=True)
    return again


@contextmanager
def unseen(root: Path, names: Sequence[str]) -> Iterator[None]:
    """Let DVC see nothing of some pipelines; what a killed press left of this, the next takes away."""
    file = root / "pipelines" / ".dvcignore"
    file.unlink(missing_ok=True)
    try:
        if names:
            file.write_text("".join(f"/{name}/\n" for name in names), encoding="utf-8")
        yield
    finally:
        file.unlink(missing_ok=True)


@contextmanager
def kept(root: Path, without: Collection[str] = ()) -> Iterator[None]:
    """Keep the small results that are in git when a stage fails that would make them anew: DVC removes them before it runs.

    DVC's own `persist: true` keeps them too, but such a stage is never taken from DVC's cache: going back to
    parameters of before would train again what was trained already.
    """
    before = {path: path.read_bytes() for path in small_results(root, without) if path.is_file()}
    try:
        yield
    finally:
        for path, content in before.items():
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)


def small_results(root: Path, without: Collection[str] = ()) -> list[Path]:
    """List what the stages write into git: outputs that DVC does not cache; some pipelines left out."""
    files = (file for file in dvc_files(root) if file.parent.name not in without)
    return [file.parent / path for file in files for stage in read_stages(file) for path in stage.in_git]


@contextmanager
def only_press(root: Path) -> Iterator[int]:
    """Let one press at a time run stages here.

    The lock is on an open file that DVC inherits: when `make` is killed and DVC goes on without it, the next press still waits.

    Yields:
        The file's descriptor.
    """
    place = root / ".dvc/tmp"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "onebutton-run").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("run: waits for another press, which still runs stages here", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def wait_for_others(root: Path) -> None:
    """Wait for a `dvc repro` that somebody typed, or that was killed and is not gone yet: DVC would refuse to start."""
    told: set[int] = set()
    while busy := busy_programs(root / ".dvc/tmp/rwlock"):
        for process in busy.keys() - told:
            print(f"run: waits for process {process}, which still runs stages here ({busy[process]})", flush=True)
        told |= busy.keys()
        time.sleep(0.5)


def busy_programs(file: Path) -> dict[int, str]:
    """Read which living processes hold files, in DVC's notes of it: their commands by their number.

    Notes of a DVC that was killed while it wrote them are taken away: it would refuse to start.
    """
    try:
        notes = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        file.unlink()
        return {}
    holders = [*notes.get("write", {}).values(), *(one for many in notes.get("read", {}).values() for one in many)]
    return {one["pid"]: one["cmd"] for one in holders if one and psutil.pid_exists(one["pid"])}


def refuse_unfinished_merge(root: Path) -> None:
    """Stop where a merge waits for a person: what stages write is made anew, what people write only they can settle.

    Raises:
        InputError: code, parameters or settings hold both sides of a conflict; the message names file and line.
    """
    written = ("*.py", "*.toml", "*.yaml", "*.yml")
    marked = git_call("grep", "-lzIE", "--untracked", "^<{7} ", "--", *written, folder=root).stdout
    try:
        refuse_conflicts((root / name for name in marked.split("\0") if name), root)
    except SetupError as error:
        raise InputError(str(error)) from None


def mend_locks(root: Path) -> None:
    """Bring the committed `dvc.lock` back where a merge left a conflict in it, or DVC was killed while it wrote it.

    What runs then is what the sources need.
    """
    for lock in (plan.with_name("dvc.lock") for plan in dvc_files(root)):
        if lock.is_file() and not _is_whole(lock):
            merged = conflict_in(lock)
            name = lock.relative_to(root).as_posix()
            committed = at_commit("HEAD", name, root)
            lock.unlink()
            if committed is not None:
                lock.write_text(committed, encoding="utf-8")
            why = "holds the conflict of a merge" if merged else "was left half written by a press that was killed"
            print(f"run: {name} {why}; that of your last commit is back", flush=True)


def _is_whole(lock: Path) -> bool:
    try:
        stages = (read_yaml(lock).get("stages") or {}).values()
        entries = [entry for stage in stages for entry in [*stage.get("deps", []), *stage.get("outs", [])]]
    except (InputError, AttributeError, TypeError):
        return False
    return all("path" in entry for entry in entries) and lock.read_bytes().endswith(b"\n")
