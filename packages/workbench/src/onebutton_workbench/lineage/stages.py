"""Read the stages of a `dvc.yaml`: what each runs, and whether it depends on its fingerprint."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

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


def read_yaml(file: Path) -> dict[str, Any]:
    """Read a file that holds a mapping, such as `dvc.yaml`, `dvc.lock`, `params.yaml` or a workflow.

    Raises:
        WorkbenchError: it is not a mapping in YAML.
    """
    return parse_yaml(file.read_text(encoding="utf-8"), str(file))


def parse_yaml(text: str, file: str) -> dict[str, Any]:
    """Read the text of such a file; messages call it `file`.

    Raises:
        WorkbenchError: as `read_yaml`.
    """
    import yaml

    try:
        content = yaml.load(text, Loader=_loader())  # noqa: S506  a safe loader
    except yaml.YAMLError as error:
        message = f"{file}: not YAML: {' '.join(str(error).split())}"
        raise WorkbenchError(message) from None
    if not isinstance(content, dict):
        message = f"{file}: not a mapping of names to values"
        raise WorkbenchError(message)
    return content


@cache
def _loader() -> Any:
    """Read YAML as DVC does: there 1e-05 is a number, as in YAML 1.2, which PyYAML takes for text."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the same in C, ten times as fast
        pass

    exponent = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", exponent, list("-+0123456789"))
    return Loader


def edit_yaml(text: str, change: Callable[[Any], Any]) -> str:
    """Change a YAML text in place; its comments, quotes and order stay."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000
    yaml.indent(mapping=2, sequence=4, offset=2)
    content = yaml.load(text)
    change(content)
    stream = io.StringIO()
    yaml.dump(content, stream)
    return stream.getvalue()


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
