"""Run one stage of a pipeline again, in a folder that holds only what `dvc.yaml` says that it reads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onebutton_contracts.dvc_files import FINGERPRINTS, OUTPUTS, entries, paths
from onebutton_contracts.dvc_files import read_stages as read_declared
from onebutton_contracts.errors import InputError


@dataclass(frozen=True)
class Stage:
    """A stage as `dvc.yaml` declares it."""

    name: str
    body: Mapping[str, Any]

    @property
    def reads(self) -> list[str]:
        """The files and folders that it depends on, the ones of its parameters included."""
        parameters = ("params.yaml" if isinstance(one, str) else next(iter(one)) for one in self.body.get("params", []))
        deps = (path for path in paths(self.body.get("deps")) if not path.startswith(FINGERPRINTS))
        return list(dict.fromkeys([*deps, *parameters]))

    @property
    def writes(self) -> list[str]:
        """Its outputs, metrics and plots."""
        return [path for kind in OUTPUTS for path in paths(self.body.get(kind))]

    def lacking(self, folder: Path) -> list[str]:
        """Name what it reads and is not here."""
        return [path for path in self.reads if not (folder / path).exists()]


def read_stages(folder: Path) -> dict[str, Stage]:
    """Read the stages of a pipeline, in the order of its `dvc.yaml`; those that DVC fills in (`${…}`, `foreach`) are left out.

    Raises:
        InputError: there is no `dvc.yaml` that can be read.
    """
    declared = read_declared(folder / "dvc.yaml")
    return {name: Stage(name, body) for name, body in declared.items() if "cmd" in body and "${" not in str(body)}


def run_alone(
    folder: Path, stage: Stage, scratch: Path, *, without: Collection[str] = (), inside: Sequence[str] = ()
) -> None:
    """Run a stage in a folder of its own: what it reads is linked there, unless it is there already.

    Args:
        folder: of the pipeline.
        stage: to run.
        scratch: an empty folder, or one with what the stage is to read instead.
        without: outputs that nobody asks for this time; the `dvc.yaml` there does not name them.
        inside: a command that runs another, such as one that takes the network away.

    Raises:
        InputError: the stage failed; the message is its last line.
    """
    for path in stage.reads:
        here = scratch / path
        if not here.exists() and (folder / path).exists():
            here.parent.mkdir(parents=True, exist_ok=True)
            here.symlink_to((folder / path).resolve())
    for path in stage.writes:
        (scratch / path).parent.mkdir(parents=True, exist_ok=True)
    for path, options in entries(stage.body.get("outs")):
        if options.get("persist") and (folder / path).is_file():  # the next run is given it again
            shutil.copyfile(folder / path, scratch / path)
    kept = {kind: [one for one in stage.body.get(kind, []) if not {*paths([one])} & {*without}] for kind in OUTPUTS}
    plan = json.dumps({"stages": {stage.name: {**stage.body, **kept}}})  # JSON is YAML
    (scratch / "dvc.yaml").write_text(plan, encoding="utf-8")
    said = stage.body["cmd"]
    command = [*inside, "sh", "-c", said if isinstance(said, str) else " && ".join(said)]  # as DVC runs them
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": search}
    done = subprocess.run(command, cwd=scratch, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines() or ["it does not say why"]
        message = f"the stage {stage.name} failed when it was run with nothing but what dvc.yaml names: {last[-1]}"
        raise InputError(message)
