"""Keep data and models in DVC's remote: choose it, send to it, fetch from it, find what it lacks, and bring what a commit names.

The work of `make remote`, `push` and `pull`, of OB304 in `make status`, and of the begin of `make run`. The remote stands in
`.dvc/config`; it is any that DVC knows. Keys to it come from the environment and are never written to a file.
"""

import logging
import re
import subprocess
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from posixpath import join, normpath
from urllib.parse import urlsplit

from onebutton_contracts.dvc_files import read_plan
from onebutton_contracts.errors import InputError, require
from onebutton_workbench.environment import call
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import holds, names, shortened
from onebutton_workbench.lineage.tracked_data import Tracked, md5_of, tracked
from onebutton_workbench.workspace import ROOT, the_pipeline

UNSET = "no remote is set. `make remote URL=s3://bucket/folder` sets one"
URL = re.compile(r"(?!https?:)\w+://[^\s/]\S*|/.*")  # DVC knows which schemes there are; http is one to read from
LACKING = re.compile(r"requires '(dvc-\w+)' to be installed")  # as DVC says it of a scheme
LARGE = 200_000_000  # bytes
UNSAVED = "Can't remove the following unsaved files"  # how DVC spares data that its cache does not hold
MISSING = re.compile(r"Missing cache files|Checkout failed")  # so DVC lists what is neither here nor there


@dataclass(frozen=True)
class Remote:
    """Where DVC keeps data."""

    name: str
    url: str  # `s3://…` or another that DVC knows, or a folder
    shared: bool  # whether others can have it too: it is not inside this checkout

    def __str__(self) -> str:
        """The address, and what it is worth to others."""
        return self.url if self.shared else f"{self.url} (a folder in this checkout, not shared)"


def call_dvc(*arguments: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Call DVC and return what became of it; it waits while another call holds the repository."""
    return call("dvc", "--wait-for-lock", *arguments, folder=root)


def configured(root: Path) -> Remote | None:
    """Read which remote DVC uses; None when none is set."""
    from dvc.config import Config, ConfigError

    try:
        settings = Config(str(root / ".dvc"))
    except ConfigError as error:
        raise InputError(f".dvc/config cannot be read: {error}. `git restore .dvc/config` mends it") from None
    name = settings["core"].get("remote", "")
    url = settings["remote"].get(name, {}).get("url", "")
    inside = "://" not in url and Path(url).resolve().is_relative_to(root.resolve())
    return Remote(name, url, shared=not inside) if url else None


def the_remote(root: Path) -> Remote:
    """Return the remote that DVC uses; refuse to go on without one."""
    if remote := configured(root):
        return remote
    raise InputError(UNSET)


def why(output: str) -> str:
    """Say in one line why DVC failed: in its own first and last words, or which button brings the package that it lacks."""
    if lacking := LACKING.search(output):
        return f"DVC needs {lacking[1]} for it. `make add PACKAGE={lacking[1]} MEMBER=workbench` brings it"
    if UNSAVED in output:
        return "data of yours without another copy is in the way. Move it away, or `dvc add` it"
    said = re.findall(r"^ERROR: (.*)", output, re.MULTILINE) or output.splitlines()[-1:] or ["it does not say why"]
    return "; ".join(dict.fromkeys([said[0], said[-1]]))


def check_remote(root: Path, remote: Remote) -> tuple[list[Finding], str]:
    """Find committed data that a remote does not have, and say why nobody knows where it does not answer.

    A folder of which it has nothing ends in a slash.
    """
    from dvc.repo import Repo

    if "://" not in remote.url and not Path(remote.url).is_dir():
        return [], f"the folder {remote.url} is not there"
    settings = {"url": remote.url, "connect_timeout": 5, "read_timeout": 20}  # seconds
    patience = {"remote": {remote.name: settings}} if remote.url.startswith("s3://") else None
    logging.disable()  # some clients print every attempt with a traceback; what counts is raised
    try:
        with Repo(str(root), config=patience) as repo:
            storage = repo.cloud.get_remote_odb(remote.name)
            with suppress(FileNotFoundError):  # DVC would ask for nothing where it keeps nothing yet
                storage.fs.info(storage.oid_to_path("0" * 32))  # a digest that no file has
            found = repo.data_status(granular=True, not_in_remote=True, remote_refresh=True)
    except Exception as error:  # noqa: BLE001  each client has errors of its own; all mean no answer
        return [], why(f"{type(error).__name__}: {error}")
    finally:
        logging.disable(logging.NOTSET)
    not_committed = {path for kind in ("added", "modified") for path in found["committed"].get(kind, [])}
    gone = sorted({*found["not_in_remote"]} - not_committed)
    folders = tuple(path for path in gone if path.endswith("/"))
    lost = [path for path in gone if path in folders or not path.startswith(folders)]
    words = f"is not on {remote.url}, so it is lost with the machine that has it"
    mend = "`make push` on the machine that has it; what no stage makes needs `dvc add` first"
    return [Finding("OB304", path, words, mend) for path in lost], ""


def push(root: Path = ROOT, pipeline: str = "") -> None:
    """Send data and models to the remote; what arrived stays, whatever happens after."""
    missing = _transfer("push", root, pipeline)  # DVC only warns of what it cannot send
    words = "some data that dvc.lock names is not here, so it was not sent; the rest was. `make run` makes it"
    require(not missing, words)


def pull(root: Path = ROOT, pipeline: str = "") -> None:
    """Fetch data and models from the remote; what arrived stays, whatever happens after."""
    remote = configured(root)
    if remote is None:
        print(f"pull: nothing to fetch, {UNSET}")
    elif missing := _transfer("pull", root, pipeline):
        gone = shortened([one.path for one in tracked(root) if one.path in missing])
        sends = "what it has is here now. `make push` where it was added sends it"
        require(not gone, f"{remote.url} does not have {gone}, and no stage makes that; {sends}")
        print("pull: what it has is here now. It does not have all that dvc.lock names: `make run` makes the rest")


def _transfer(button: str, root: Path, pipeline: str) -> list[str]:
    """Press DVC's button of the same name; return its lines, each maybe a path, where something is neither here nor there."""
    remote = the_remote(root)
    print(f"{button}: {'to' if button == 'push' else 'from'} {remote}", flush=True)
    targets = ["--recursive", f"pipelines/{the_pipeline(pipeline, root)}"] if pipeline else []
    done = call_dvc(button, *targets, root=root)
    said = done.stdout + done.stderr
    missing = MISSING.search(said)
    refused = done.returncode and (not missing or UNSAVED in said)
    require(not refused, f"{remote.url}: {why(said)}. What arrived stays: press again once that is mended")
    if missing:
        return [line.rstrip("/") for line in said.splitlines()]
    print(f"{button}: done. {' '.join(done.stdout.split())}")
    return []


def choose(url: str = "", root: Path = ROOT) -> None:
    """Write a remote into `.dvc/config`, or say which is there when no URL was typed."""
    if url:
        parts = urlsplit(url)
        keyless = not (parts.password or parts.query)
        require(keyless, "a URL with a key in it would be committed. Keys stay in the environment: docs/storage.md")
        known = "s3://bucket/folder, another address that DVC writes to or an absolute folder"
        require(URL.fullmatch(url), f"URL can be {known}, not {url!r}. Nothing was changed")
        done = call_dvc("remote", "add", "--force", "--default", "storage", url, root=root)
        require(not done.returncode, f"nothing was changed: {why(done.stdout + done.stderr)}")
    remote = the_remote(root)
    print(f"remote: {remote}")
    if remote.shared:
        reason = check_remote(root, remote)[1]
        print(f"remote: NOT RUN, it was not asked: {reason}" if reason else "remote: it answers")
    if url:
        print("remote: Next: make push, then commit .dvc/config")


def bring(root: Path, pipelines: Collection[str]) -> None:
    """Put the committed data that pipelines have or read in place where that of an earlier commit lies, or none.

    `git pull` brings a colleague's new `.dvc` file, and the data of before still lies beside it: DVC would take that for new data
    of yours, train on it and write the file back. Data that DVC's cache does not hold is never touched: its author decides.
    """
    if not holds("rev-parse", "--verify", "--quiet", "HEAD", folder=root):
        return  # nothing is committed yet, or this is no checkout
    edited = names("diff", "--name-only", "--no-ext-diff", "--relative", "-z", "HEAD", "--", "*.dvc", folder=root)
    read = [one for one in tracked(root) if any(_concerns(one, name, root) for name in pipelines)]
    here = {one.path for one in read if (root / one.path).exists()}
    wanted = [one for one in read if (one.file not in edited or one.path not in here) and not _is_there(one, root)]
    if not wanted:
        return
    done = call_dvc("checkout", *[one.file for one in wanted], root=root)
    named = [one for one in wanted if one.path in done.stdout + done.stderr]
    if done.returncode:
        raise InputError(f"{_in_the_way(named or wanted, here, done.stderr, root)}. No stage was run")
    for one in named:
        print(f"run: {one.path} is now the one that {one.file} names", flush=True)


def _is_there(one: Tracked, root: Path) -> bool:
    """Whether data is what git names; of a large file or a folder DVC is asked, whose start takes longer than to read others."""
    file = root / one.path
    return file.is_file() and file.stat().st_size < LARGE and md5_of(file) == one.md5


def _concerns(one: Tracked, pipeline: str, root: Path) -> bool:
    folder = f"pipelines/{pipeline}"
    deps = (normpath(join(folder, dep)) for stage in read_plan(root / folder / "dvc.yaml").stages for dep in stage.deps)
    read = (f"{one.path}/".startswith(f"{dep}/") or dep.startswith(f"{one.path}/") for dep in deps)
    return one.path.startswith(f"{folder}/") or any(read)


def _in_the_way(some: Sequence[Tracked], here: Collection[str], said: str, root: Path) -> str:
    """Say why DVC, which never replaces what its cache does not hold, could not put data in place, what lay there or not."""
    first = some[0]
    if MISSING.search(said) and UNSAVED not in said:
        remote = configured(root)
        ask = "" if remote and remote.shared else "`make remote URL=…` says where your team keeps data, then "
        what = "is another than the committed one, which is not here" if first.path in here else "is not here"
        return f"{shortened([one.path for one in some])}, which {first.file} names, {what}: {ask}`make pull` fetches it"
    reason = "there is no other copy" if UNSAVED in said else why(said)
    return (
        f"{first.path}: not what {first.file} names, and {reason}. To take yours on purpose, `dvc add {first.path}` (a table "
        "of another source: `make data-add`); to take the committed one, move yours away and press `make pull`"
    )
