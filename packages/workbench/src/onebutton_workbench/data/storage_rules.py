"""Find data that a commit names and the shared remote does not have (OB304): a part of `make status`.

While the remote is a folder in the checkout, nothing is shared and nothing is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from posixpath import dirname, join, normpath

from onebutton_contracts.dvc_files import FINGERPRINTS, parse_yaml
from onebutton_workbench.data.storage import Remote, absent
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import at_commit, names
from onebutton_workbench.lineage.tracked_data import tracked
from onebutton_workbench.workspace import dvc_files

MEND = "`make push` on the machine that has it; what no stage makes needs `dvc add` first"


def check(root: Path, remote: Remote) -> Iterator[Finding]:
    """Compare what is committed with what the remote has.

    Raises:
        UnreachableError: the remote does not answer, so it is not known.
        InputError: a committed file cannot be read.
    """
    in_git = set(names("ls-tree", "-r", "-t", "-z", "--name-only", "HEAD", folder=root))
    held = {one.path: (one.md5, one.file) for one in tracked(root) if one.file in in_git and one.md5}
    for lock in (file.with_name("dvc.lock").relative_to(root).as_posix() for file in dvc_files(root)):
        stages = parse_yaml(at_commit("HEAD", lock, root) or "{}", lock).get("stages") or {}
        for entry in (one for stage in stages.values() for one in [*stage.get("outs", []), *stage.get("deps", [])]):
            path = normpath(join(dirname(lock), entry["path"]))
            if path not in in_git and f"/{FINGERPRINTS}" not in f"/{path}":
                held.setdefault(path, (str(entry.get("md5", "")), lock))
    gone = absent(remote, {digest for digest, _ in held.values()}, root)
    for path, (digest, file) in held.items():
        if digest in gone:
            words = f"{path} is not on {remote.url}, so it is lost with the machine that has it"
            yield Finding("OB304", file, words, MEND)
