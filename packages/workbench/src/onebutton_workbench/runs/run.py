"""Bring every stage that is out of date up to date, with DVC, and write down what made the results. The work of `make run`."""

import re
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import psutil

from onebutton_contracts.dvc_files import read_plan
from onebutton_contracts.errors import InputError, require
from onebutton_tracking.commit import git_environment, record
from onebutton_tracking.mirror import mirror_all
from onebutton_tracking.store import tracking_uri
from onebutton_workbench.data.storage import bring
from onebutton_workbench.git import call as git_call
from onebutton_workbench.runs.interrupted import mend, only_press
from onebutton_workbench.runs.metrics import METRICS, metrics_table, summarise
from onebutton_workbench.workspace import ROOT, pipelines_named, unnamed_drafts

# What DVC says when a stage begins, is taken from its cache or ends.
SAID = re.compile(
    r"(?:(?P<runs>Running stage)|Stage) '(?:(?P<file>[^']+):)?(?P<stage>[^:']+)'(?P<cached> is cached)?|Updating lock file"
)
CODE = "code"  # the stage that always runs and takes a moment
PAUSE = 0.2  # seconds between two looks at the memory in use
FAILED = (
    "a stage failed and says why above. Its outputs are not recorded and the stages after it did not run; "
    "mend it and press `make run` again: what is done stays done"
)


@dataclass
class Made:
    """A stage that DVC made again: it ran, or came out of DVC's cache."""

    pipeline: str  # empty of a stage in the root
    stage: str
    seconds: float = 0.0  # 0 of one out of the cache
    peak_mb: float = 0.0  # the most memory that all its processes held together

    def __str__(self) -> str:
        """Say it in a few words."""
        took = f" {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.stage}{took}" + (f" {self.peak_mb:.0f} MB" if self.peak_mb else "")


def run(  # noqa: PLR0913  what can be typed after the button
    pipeline: str = "",
    *,
    data: Literal["", "dummy"] = "",
    rows: int | None = None,
    fit: bool = False,
    track: Literal["", "only"] = "",
    alone: bool = False,
) -> int:
    """Train, evaluate and track what changed; or copies on dummy data, or each stage alone, or only track."""
    require(rows is None or rows >= 1, f"ROWS must be a whole number from 1 on, it is {rows}")
    require(data or not (rows or fit), "ROWS and FIT are about dummy data: type DATA=dummy, too")
    if alone:
        from onebutton_workbench.runs.alone import run_each_alone

        run_each_alone(pipeline)
        return 0
    if track:
        from onebutton_release.aliases import tell_all

        status = mirror(map(folder_of, pipelines_named(pipeline)), after_run=False)
        tell_all(ROOT)
        return status
    return run_on_dummy_data(pipeline, rows, fit=fit) if data else run_stages(pipeline)


def run_stages(pipeline: str) -> int:
    """Run what is out of date, bring the results into MLflow and say how good they are; return the exit status.

    A draft that is not named and fails is told at the end, and stops nobody.
    """
    refuse_unfinished_merge(ROOT)
    names, drafts = pipelines_named(pipeline), unnamed_drafts(pipeline)
    made, failed = reproduce(pipeline, names, drafts)
    if status := mirror(folder_of(name) for name in names if name not in drafts):
        return status
    not_whole = "its results are not whole, as said above"
    unfailed = [name for name in drafts if name not in failed]
    failed |= refused(unfailed, lambda name: require(not mirror([folder_of(name)]), not_whole))
    summarise([name for name in names if name not in failed], {one.pipeline for one in made if one.stage != CODE})
    for name, why in failed.items():
        print(f"run: the draft {name} failed, which stops nobody: {why}")
    return 0


def refused(names: Iterable[str], check: Callable[[str], None]) -> dict[str, str]:
    """Say of each pipeline that a check refuses why it does."""
    failed = {}
    for name in names:
        try:
            check(name)
        except InputError as error:
            failed[name] = str(error)
    return failed


def folder_of(pipeline: str) -> Path:
    """Return the folder of a pipeline."""
    return ROOT / "pipelines" / pipeline


def mirror(folders: Iterable[Path], *, after_run: bool = True) -> int:
    """Bring the results of pipelines into MLflow; return the exit status."""
    return mirror_all([*folders], tracking_uri(ROOT), after_run=after_run)


def run_on_dummy_data(pipeline: str, rows: int | None, *, fit: bool) -> int:
    """Run a copy of a pipeline, or of every one that has a plan, on dummy data; no result of real data is touched."""
    from onebutton_workbench.data import dummy

    planned = sorted(file.parent.name for file in ROOT.glob("pipelines/*/dummy.yaml"))
    names = pipelines_named(pipeline) if pipeline else planned
    require(names, "no pipeline has a dummy.yaml; docs/dummy-data.md shows how to write one")
    for name in names:
        if fit:
            dummy.describe_tables(name)
        else:
            dummy.run(name, rows or dummy.DEFAULT_ROWS)
    if fit:
        return 0
    status = mirror(map(dummy.folder_of, names))
    for name in names:
        print(*metrics_table(f"{name} on DUMMY data", dummy.folder_of(name) / METRICS), sep="\n")
    print("", "run: done, on DUMMY data: these numbers say that the code works, not how good a model is", sep="\n")
    return status


def reproduce(pipeline: str, names: Sequence[str], drafts: Collection[str]) -> tuple[list[Made], dict[str, str]]:
    """Call DVC on the pipelines of some names, all of them where no `pipeline` was typed, and write down what each stage took.

    DVC prints each stage as it runs and goes on after one that failed. Returned is what was made again, and why which of the
    drafts failed, which stop nobody.

    Raises:
        InputError: committed data is not here, or a stage of a pipeline that is no draft failed.
    """
    begun = time.monotonic()
    which = f"pipelines/{pipeline}/dvc.yaml" if pipeline else "--all-pipelines"
    command = ["dvc", "--wait-for-lock", "repro", "--keep-going", which]
    others = {*unnamed_drafts("")} - {*names}
    with only_press(ROOT) as lock:
        mend(ROOT)
        bring(ROOT, [name for name in names if name not in drafts])
        failed = refused(drafts, _prepare_draft)
        made, ended = call_dvc(command, ROOT, lock, unseen={*others, *failed})
        if drafts and not (ended or made):  # DVC reads every dvc.yaml first, and stops at the first that is wrong
            failed = dict.fromkeys(drafts, "DVC says above which file of a draft it cannot read") | failed
            made, ended = call_dvc(command, ROOT, lock, unseen={*others, *failed})
    if not ended:
        stale = refused([name for name in names if name not in failed], _refuse_stale)
        require(stale and {*stale} <= {*drafts}, FAILED)
        failed |= stale
    for name in {*names} - {*failed}:
        ran = [one for one in made if one.pipeline == name and one.seconds]
        peaks = {one.stage: one.peak_mb for one in ran if one.peak_mb}
        record(folder_of(name), {one.stage: one.seconds for one in ran}, peaks)
    made = [one for one in made if one.pipeline not in failed]
    print(f"run: every stage is up to date ({time.monotonic() - begun:.1f} s), {made_again(made)}", flush=True)
    return made, failed


def _prepare_draft(name: str) -> None:
    read_plan(folder_of(name) / "dvc.yaml")
    bring(ROOT, [name])


def _refuse_stale(name: str) -> None:
    from onebutton_workbench.lineage.stale import stale_stages  # imports much that a run without failures does without

    require(not stale_stages([read_plan(folder_of(name) / "dvc.yaml")], ROOT), FAILED)


def made_again(made: Sequence[Made]) -> str:
    """Say which stages were made again, by pipeline, with what each took that ran."""
    told = sorted((one for one in made if one.stage != CODE), key=lambda one: one.pipeline)
    parts = [(name, ", ".join(map(str, stages))) for name, stages in groupby(told, lambda one: one.pipeline)]
    words = "; ".join(f"{name} ({stages})" if name else stages for name, stages in parts)
    return f"made again: {words}" if words else "nothing had to be made again"


def call_dvc(command: Sequence[str], root: Path, lock: int, unseen: Collection[str] = ()) -> tuple[list[Made], bool]:
    """Call DVC, pass on what it prints, and read from that which stages it made again, and whether none failed.

    DVC inherits `lock`, an open file that stays locked while it runs, and sees nothing of the pipelines `unseen`.
    """
    made: list[Made] = []
    running, begun = None, 0.0
    environment = git_environment() | {"PYTHONUNBUFFERED": "1"}  # a stage is to be seen while it runs
    ignored = root / "pipelines" / ".dvcignore"
    ignored.unlink(missing_ok=True)  # what a killed press left
    if unseen:
        ignored.write_text("".join(f"/{name}/\n" for name in unseen), encoding="utf-8")
    open_to_read: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True, "errors": "replace", "pass_fds": (lock,)}
    try:
        with subprocess.Popen(command, cwd=root, env=environment, **open_to_read) as program:
            threading.Thread(target=_watch_memory, args=(program, made), daemon=True).start()
            for line in program.stdout or ():
                print(line, end="", flush=True)
                said = SAID.match(line)
                if said and running:
                    running.seconds, running = time.monotonic() - begun, None
                if said and (said["runs"] or said["cached"]):
                    made.append(Made(Path(said["file"] or "dvc.yaml").parent.name, said["stage"]))
                if said and said["runs"]:
                    running, begun = made[-1], time.monotonic()
            if running:
                running.seconds = time.monotonic() - begun
    finally:
        ignored.unlink(missing_ok=True)
    return made, not program.returncode


def _watch_memory(program: subprocess.Popen[str], made: Sequence[Made]) -> None:
    """Note the memory that all processes of DVC hold together, for the stage that runs."""
    while program.poll() is None:
        for one in [one for one in made[-1:] if one.stage != CODE]:  # a look costs some milliseconds
            with suppress(psutil.Error):  # one of them has just ended
                used = sum(child.memory_info().rss for child in psutil.Process(program.pid).children(recursive=True))
                one.peak_mb = max(one.peak_mb, used / 1e6)
        time.sleep(PAUSE)


def refuse_unfinished_merge(root: Path) -> None:
    """Stop where a merge waits for a person: what stages write is made anew, what people write only they can settle."""
    written = ("*.py", "*.toml", "*.yaml", "*.yml")
    found = git_call("grep", "-nIE", "--untracked", "^<{7} ", "--", *written, folder=root).stdout
    file, line, *_ = [*found.split(":", 2), ""]
    mend = "Keep the lines that are right, take the marks out, `git add` it, and press the button again"
    require(not found, f"a merge is not finished: {file} line {line} holds what both sides wrote. {mend}")
