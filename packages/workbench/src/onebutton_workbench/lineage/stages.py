"""Read every `dvc.yaml`: what each stage runs, and whether it depends on its fingerprint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onebutton_contracts.dvc_files import OUTPUTS, body_of, paths, read_yaml

FINGERPRINTS = ".code"
_NO_COMMAND = re.compile(r"\d*>&\d|\\\n")  # `2>&1`, and a line that goes on
_BETWEEN = re.compile(r"[;&|\n]+")  # what stands between the commands of a shell line
_MODULE = re.compile(r"\bpython[\d.]*(?:\s+-(?:[WX]\s+\S+|(?!m\s)\S+))*\s+-m\s+(\S+)")
# Commands that mean all that they say, with no code behind them that could change.
_PLAIN = re.compile(r"(\w+=\S*(\s+|$))*((cat|cd|cp|echo|export|ln|mkdir|mv|rm|set|tee|touch|true)\b|$)")


@dataclass(frozen=True)
class Stage:
    """One stage."""

    name: str  # as `dvc.yaml` has it; under `foreach` and `matrix` DVC makes several of it, called `name@key`
    modules: tuple[str, ...]  # what its command runs with `python -m`
    others: tuple[str, ...]  # the parts of its command that run something else, whose code nobody follows
    deps: tuple[str, ...]  # the paths that it depends on, relative to `wdir`
    outs: tuple[str, ...]  # the paths that it writes, metrics and plots included
    frozen: bool  # whether DVC was told to leave it as it is
    wdir: str  # the folder that it runs in, relative to its `dvc.yaml`

    @property
    def has_fingerprint(self) -> bool:
        """Whether an edit of its code reruns it."""
        return f"{FINGERPRINTS}/{self.name}" in self.deps


@dataclass(frozen=True)
class Plan:
    """One `dvc.yaml`."""

    file: Path
    stages: tuple[Stage, ...]  # every stage but `code`, in the order of the file
    code: Mapping[str, Any]  # what the stage `code` does; empty where there is none


def dvc_files(root: Path) -> list[Path]:
    """List every `dvc.yaml`: those of the pipelines, and one in the root, should a team have written one."""
    return [path for path in (root / "dvc.yaml", *sorted(root.glob("pipelines/*/dvc.yaml"))) if path.is_file()]


def read_plan(dvc_yaml: Path) -> Plan:
    """Read one `dvc.yaml`.

    Raises:
        InputError: it is not a mapping in YAML.
    """
    bodies = {name: body_of(stage) for name, stage in (read_yaml(dvc_yaml).get("stages") or {}).items()}
    code = bodies.pop("code", {})
    return Plan(dvc_yaml, tuple(_stage(name, body) for name, body in bodies.items()), code)


def _stage(name: str, body: Mapping[str, Any]) -> Stage:
    commands = body.get("cmd", [])
    script = "\n".join(map(str, commands)) if isinstance(commands, list) else str(commands)
    parts = [part.strip() for part in _BETWEEN.split(_NO_COMMAND.sub(" ", script))]
    return Stage(
        name,
        modules=tuple(found[1] for part in parts if (found := _MODULE.search(part))),
        others=tuple(part for part in parts if not _MODULE.search(part) and not _PLAIN.match(part)),
        deps=tuple(paths(body.get("deps"))),
        outs=tuple(path for kind in OUTPUTS for path in paths(body.get(kind))),
        frozen=body.get("frozen") is True,
        wdir=str(body.get("wdir", "")),
    )
