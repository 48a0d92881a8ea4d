"""Read the stages of a `dvc.yaml`: what each runs, and whether it depends on its fingerprint."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onebutton_workbench.files import read_yaml
from onebutton_workbench.workspace import WorkbenchError

FINGERPRINTS = ".code"
_BETWEEN = ";&|\n"  # what stands between the commands of a shell line
_DUPLICATED = re.compile(r"\d*>&\d")  # `2>&1` is no two commands
_PYTHON = re.compile(r"python[\d.]*")
_SETTING = re.compile(r"\w+=.*", re.DOTALL)
_PLAIN = {"cat", "cd", "cp", "echo", "export", "ln", "mkdir", "mv", "rm", "set", "tee", "touch", "true"}


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: as `dvc.yaml` has it; under `foreach` and `matrix` DVC makes several of it, called `name@key`.
        modules: what its command runs with `python -m`.
        deps: the paths that it depends on, relative to its `dvc.yaml`.
        frozen: whether DVC was told to leave it as it is.
        others: the parts of its command that run something else, whose code nobody follows.
    """

    name: str
    modules: tuple[str, ...]
    deps: tuple[str, ...]
    frozen: bool = False
    others: tuple[str, ...] = ()

    @property
    def has_fingerprint(self) -> bool:
        """Whether an edit of its code reruns it."""
        return f"{FINGERPRINTS}/{self.name}" in self.deps


def dvc_files(root: Path) -> list[Path]:
    """List every `dvc.yaml`: those of the pipelines, and one in the root, should a team have written one."""
    return [path for path in (root / "dvc.yaml", *sorted(root.glob("pipelines/*/dvc.yaml"))) if path.is_file()]


def read_stages(dvc_yaml: Path) -> list[Stage]:
    """Read every stage but `code`, in the order of the file."""
    stages = read_yaml(dvc_yaml).get("stages") or {}
    return [_stage(name, body) for name, body in stages.items() if name != "code"]


def body_of(stage: Any) -> Any:
    """Return what a stage of a `dvc.yaml` does: under `foreach`, what each of the stages does that DVC makes of it."""
    body = stage.get("do", stage) if isinstance(stage, dict) else {}
    return body if isinstance(body, dict) else {}


def _stage(name: str, stage: Any) -> Stage:
    body = body_of(stage)
    commands = body.get("cmd", [])
    parts = [part for one in (commands if isinstance(commands, list) else [commands]) for part in _parts(str(one))]
    deps = tuple(paths(body.get("deps")))
    modules = tuple(module for part in parts if (module := _module(part)))
    others = tuple(" ".join(part) for part in parts if not _module(part) and not _is_plain(part))
    return Stage(name, modules, deps, body.get("frozen") is True, others)


def paths(entries: Any) -> list[str]:
    """List the paths of `deps`, `outs` and the like; none where they are no list, such as `deps: ${shared}`."""
    listed = entries if isinstance(entries, list) else []
    return [entry if isinstance(entry, str) else str(next(iter(entry))) for entry in listed if entry]


def _parts(command: str) -> list[list[str]]:
    """Split what a shell runs into the commands in it, each into its words."""
    text = _DUPLICATED.sub("", command.replace("\\\n", " "))
    words = shlex.shlex(text, posix=True, punctuation_chars=_BETWEEN)
    words.whitespace, words.whitespace_split, words.commenters = " \t\r", True, ""
    parts: list[list[str]] = [[]]
    try:
        for word in words:
            if set(word) <= set(_BETWEEN):
                parts.append([])
            else:
                parts[-1].append(word)
    except ValueError:  # a quote that is never closed: the shell would not run it either
        return [[command]]
    return [part for part in parts if part]


def _module(words: list[str]) -> str:
    """Read which module a command runs with `python -m`; empty when it runs none."""
    rest = iter(words)
    if not any(_PYTHON.fullmatch(word.rpartition("/")[2]) for word in rest):
        return ""
    for word in rest:
        if word == "-m":
            return next(rest, "")
        if word in {"-W", "-X"}:
            next(rest, "")
        elif not word.startswith("-"):
            break
    return ""


def _is_plain(words: list[str]) -> bool:
    """Whether a command means all that it says, with no code behind it that could change."""
    first = next((word for word in words if not _SETTING.fullmatch(word)), "true")
    return first in _PLAIN


def resolved(dvc_yaml: Path, root: Path) -> dict[str, dict[str, Any]]:
    """Read the stages that DVC makes of a plan: `${…}` filled in, and one for each item of `foreach` and `matrix`.

    Raises:
        WorkbenchError: DVC cannot tell what a `${…}` is.
    """
    content = read_yaml(dvc_yaml)
    plan: dict[str, Any] = {
        name: stage for name, stage in (content.get("stages") or {}).items() if isinstance(stage, dict)
    }
    if "${" not in dvc_yaml.read_text(encoding="utf-8") and not any(
        "do" in one or "matrix" in one for one in plan.values()
    ):
        return plan
    from dvc.exceptions import DvcException
    from dvc.parsing import DataResolver
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            found: dict[str, dict[str, Any]] = DataResolver(repo, str(dvc_yaml.parent), content).resolve()["stages"]
    except DvcException as error:
        message = f"{dvc_yaml.relative_to(root)}: DVC cannot fill it in: {' '.join(str(error).split())}"
        raise WorkbenchError(message) from None
    return found
