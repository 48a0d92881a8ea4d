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


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: as `dvc.yaml` has it.
        modules: what its command runs with `python -m`.
        deps: the paths that it depends on, relative to its `dvc.yaml`.
        frozen: whether DVC was told to leave it as it is.
    """

    name: str
    modules: tuple[str, ...]
    deps: tuple[str, ...]
    frozen: bool = False

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


def _stage(name: str, body: dict[str, Any]) -> Stage:
    body = body.get("do", body)  # under `foreach`, what each of the stages does
    commands = body.get("cmd", [])
    commands = commands if isinstance(commands, list) else [commands]
    deps = tuple(dep if isinstance(dep, str) else next(iter(dep)) for dep in body.get("deps", []))
    modules = tuple(module for command in commands for module in _modules(command))
    return Stage(name, modules, deps, frozen=body.get("frozen") is True)


def _modules(command: str) -> list[str]:
    words = shlex.split(command)
    return [
        word
        for before, flag, word in zip(words, words[1:], words[2:], strict=False)
        if flag == "-m" and "python" in before
    ]
