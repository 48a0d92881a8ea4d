"""Name the stages whose code, command, parameters or files changed since they were last run. The work of `make status`.

It compares what stands in git with the committed `dvc.lock` and needs no data, so a pull request can be told that somebody forgot
to press `make run` (OB105). DVC says what differs; where that may only be data that is not here, the digests that git holds, in
`.dvc` files and locks, say whether it changed. Data that was changed and not committed is not seen here.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from posixpath import dirname, relpath
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.exceptions import DvcException
from dvc.repo import Repo

from onebutton_contracts.dvc_files import FINGERPRINTS, Plan
from onebutton_contracts.errors import InputError
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import listed
from onebutton_workbench.lineage.fingerprint import write_fingerprints

NEVER = ("never",)


def stale_stages(plans: Sequence[Plan], root: Path, overlook: str = "") -> list[Finding]:
    """Compare the stages of some plans with what their locks say was run; what concerns several stages of one is told once.

    Fingerprints are written first, as the stage `code` would, so that DVC compares them with all else. `overlook` is a file or a
    folder beside `dvc.yaml` whose change alone makes no stage stale.

    Raises:
        InputError: a module has a syntax error, a stage runs none of the workspace, or DVC cannot read a plan.
    """
    for plan in plans:
        write_fingerprints(plan.file.parent, root)
    found: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    try:
        with Repo(str(root), uninitialized=True, _wait_for_lock=True) as repo, repo.lock:
            repo.stage_collection_error_handler = lambda *_: None  # others than these plans may be unreadable
            outs = (out for out in repo.index.outs if out.use_cache)
            data = {out.fs_path: out.hash_info if out.hash_name == "md5" else None for out in outs}  # DVC 2 had another
            files = {f"{repo.root_dir}/{name}" for name in listed(root)}
            for plan in plans:
                place = plan.file.relative_to(root).as_posix()
                for stage in repo.stage.load_all(f"{repo.root_dir}/{place}"):
                    if stage.name != "code" and not stage.frozen:
                        found[place, _changes(stage, data, files)].append(repr(stage.name))
    except DvcException as error:
        why = f"{error}: {error.__cause__}" if error.__cause__ else str(error)
        raise InputError(f"DVC cannot compare the stages with what was run: {' '.join(why.split())}") from None
    findings = []
    for (place, what), which in found.items():
        words = f"{', '.join(what)} changed since {', '.join(which)} ran, so results are of another time"
        if what == NEVER:
            words = f"{', '.join(which)} never ran, so results are missing"
        if {*what} - {overlook}:
            findings.append(Finding("OB105", place, words, "`make run`, then commit the files that it names"))
    return findings


def _changes(stage: Any, data: Mapping[str, Any], files: Collection[str]) -> tuple[str, ...]:
    """Name what differs between a stage as it was run and as it stands here."""
    if not any(one.hash_info for one in [*stage.deps, *stage.outs]):
        return NEVER
    deps = [dep for dep in stage.deps if dep.status()]
    parameters = [dep for dep in deps if isinstance(dep, ParamsDependency)]
    code = [dep for dep in deps if dep.def_path.endswith(f"{FINGERPRINTS}{stage.name.partition('@')[0]}")]
    told = {
        "code": code,
        "the command": stage.cmd_changed,
        "parameters": parameters,
        "what is written": [out for out in stage.outs if not out.hash_info],
    }
    others = [dep for dep in deps if dep not in [*code, *parameters] and _is_another(dep, data, files)]
    changed = sorted(relpath(dep.fs_path, dirname(stage.path)) for dep in others)
    return (*(what for what, found in told.items() if found), *changed)


def _is_another(dep: Any, data: Mapping[str, Any], files: Collection[str]) -> bool:
    """Whether what DVC calls changed did change, as far as git knows, or is only not here."""
    path, folder = dep.fs_path, f"{dep.fs_path}/"
    if path in files or not dep.hash_info:
        return True
    if path in data:
        return bool(data[path]) and data[path] != dep.hash_info
    kept = {name: known for name, known in data.items() if name.startswith(folder)}
    of_git = [name for name in files if name.startswith(folder)]
    if not of_git or any(not one or one.isdir for one in kept.values()):
        return False  # only a list that is with the data says what is in a folder
    digests = {name: one.value for name, one in kept.items()} | {name: _md5(Path(name).read_bytes()) for name in of_git}
    content = [{"md5": md5, "relpath": name.removeprefix(folder)} for name, md5 in sorted(digests.items())]
    return f"{_md5(json.dumps(content).encode())}.dir" != str(dep.hash_info.value)  # as DVC digests a folder


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
