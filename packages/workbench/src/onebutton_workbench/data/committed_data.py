"""Bring data that `.dvc` files name in line with them before stages run.

`git pull` brings a colleague's new `.dvc` file, and the data of before still lies beside it. DVC takes that for new data of
yours: it would train on it and write the colleague's file back. So data of an earlier commit gives way to that of this one, and
data that nobody else has is never touched: its author says which is meant.
"""

from __future__ import annotations

import json
import posixpath
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_workbench.data.storage import configured, why
from onebutton_workbench.environment import clean_environment
from onebutton_workbench.git import call, holds, names, shortened
from onebutton_workbench.lineage.stages import read_stages
from onebutton_workbench.lineage.tracked_data import FOLDER, Tracked, digest, signature, tracked

NOTES = ".dvc/tmp/onebutton-data"  # which digest what lies here has, so that nothing is read twice


def bring(root: Path, pipeline: str = "") -> None:
    """Put the committed data in place where that of an earlier commit lies, or none.

    Args:
        root: of the checkout.
        pipeline: whose data; when empty, that of all.

    Raises:
        InputError: it is not here, or somebody's own data lies in its place; nothing was changed then.
    """
    if not holds("rev-parse", "--verify", "--quiet", "HEAD", folder=root):
        return  # nothing is committed yet, or this is no checkout
    known = [one for one in tracked(root) if not pipeline or _concerns(one, pipeline, root)]
    if not known:
        return
    edited = set(names("diff", "--name-only", "--no-ext-diff", "--relative", "-z", "HEAD", "--", "*.dvc", folder=root))
    notes = _read_notes(root)
    found = {one: _digest(one.path, root, notes) for one in known}
    differ = [one for one in known if found[one] != one.md5 and found[one] and one.md5 and one.file not in edited]
    missing = [one for one in known if not found[one]]
    if differ or missing:
        cache = _cache(root)
        older = [one for one in differ if cached(found[one], cache) or found[one] in _digests_of_before(one, root)]
        own = [one for one in differ if one not in older and not _is_unchanged(one, root)]
        _check(own, older, missing, cache, root)
        _check_out([*older, *missing], root)
        notes |= {one.path: [signature(root / one.path), one.md5] for one in (*differ, *missing)}
    _write_notes(root, {path: note for path, note in notes.items() if (root / path).exists()})


def _concerns(one: Tracked, pipeline: str, root: Path) -> bool:
    """Whether data belongs to a pipeline or is read by a stage of it."""
    folder = f"pipelines/{pipeline}"
    stages = read_stages(root / folder / "dvc.yaml")
    deps = (posixpath.normpath(posixpath.join(folder, dep)) for stage in stages for dep in stage.deps)
    read = (dep == one.path or dep.startswith(f"{one.path}/") or one.path.startswith(f"{dep}/") for dep in deps)
    return one.path.startswith(f"{folder}/") or any(read)


def _digest(path: str, root: Path, notes: dict[str, list[str]]) -> str:
    """Digest what lies there, from the notes while it looks as it did; empty where nothing lies."""
    if not (root / path).exists():
        return ""
    now = signature(root / path)
    before = notes.get(path)
    if before is None or before[0] != now:
        notes[path] = before = [now, digest(root / path)]
    return before[1]


def cached(md5: str, cache: Path) -> bool:
    """Whether DVC's cache holds content; of a folder every file in it."""
    file = cache / "files/md5" / md5[:2] / md5[2:]
    if not md5 or not file.is_file():
        return False
    if not md5.endswith(FOLDER):
        return True
    return all(cached(entry["md5"], cache) for entry in json.loads(file.read_text(encoding="utf-8")))


def _cache(root: Path) -> Path:
    return root / _dvc("cache", "dir", root=root).stdout.strip()


def _digests_of_before(one: Tracked, root: Path) -> set[str]:
    """List the digests that commits up to this one gave the data."""
    history = call("log", "--patch", "--unified=0", "--format=", "--no-ext-diff", "--", one.file, folder=root).stdout
    return set(re.findall(r"^[-+].*md5: ([0-9a-f]{32}(?:\.dir)?)$", history, re.MULTILINE))


def _is_unchanged(one: Tracked, root: Path) -> bool:
    """Ask DVC, which leaves out what `.dvcignore` names in a folder."""
    if not one.md5.endswith(FOLDER):
        return False
    answer = _dvc("status", "--json", one.file, root=root)
    return answer.returncode == 0 and "modified" not in answer.stdout


def _check(
    own: Sequence[Tracked], older: Sequence[Tracked], missing: Sequence[Tracked], cache: Path, root: Path
) -> None:
    """Refuse what cannot be put right here.

    Raises:
        InputError: as `bring`.
    """
    if own:
        one = own[0]
        message = (
            f"{_paths(own)}: not what {one.file} names, and nobody has a copy. To take yours on purpose, "
            f"`dvc add {one.path}` (a table of another source: `make data-add`); to take the committed one, "
            "move yours away and press `make pull`. No stage was run"
        )
        raise InputError(message)
    away = [one for one in (*older, *missing) if one.md5 and not cached(one.md5, cache)]
    if not away:
        return
    remote = configured(root)
    first = "" if remote and remote.shared else "`make remote URL=…` says where your team keeps data, then "
    what = "is that of an earlier commit, and the committed one is not here" if away[0] in older else "is not here"
    message = f"{_paths(away)}, which {away[0].file} names, {what}: {first}`make pull` fetches it. No stage was run"
    raise InputError(message)


def _paths(some: Sequence[Tracked]) -> str:
    return shortened([one.path for one in some])


def _check_out(some: Sequence[Tracked], root: Path) -> None:
    """Take committed data out of DVC's cache.

    Raises:
        InputError: DVC refuses.
    """
    if not some:
        return
    done = _dvc("checkout", "--quiet", "--force", *sorted({one.file for one in some}), root=root)
    if done.returncode:
        message = (
            f"DVC does not put {_paths(some)} in place: {why(done.stdout + done.stderr)}. Perhaps `make pull` does"
        )
        raise InputError(message)
    for one in some:
        print(f"run: {one.path} is now the one that {one.file} names", flush=True)


def _dvc(*arguments: str, root: Path) -> subprocess.CompletedProcess[str]:
    command = ["dvc", "--wait-for-lock", *arguments] if arguments[0] != "cache" else ["dvc", *arguments]
    return subprocess.run(command, cwd=root, env=clean_environment(), capture_output=True, text=True, check=False)


def _read_notes(root: Path) -> dict[str, list[str]]:
    try:
        notes = json.loads((root / NOTES).read_text(encoding="utf-8"))
        return {str(path): [str(one), str(two)] for path, (one, two) in notes.items()}
    except (OSError, ValueError, AttributeError):
        return {}  # none yet, or half of them: everything is read once


def _write_notes(root: Path, notes: dict[str, list[str]]) -> None:
    if notes != _read_notes(root):
        (root / NOTES).parent.mkdir(parents=True, exist_ok=True)
        (root / NOTES).write_text(json.dumps(notes), encoding="utf-8")
