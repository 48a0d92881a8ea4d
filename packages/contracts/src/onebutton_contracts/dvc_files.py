"""Read what a `dvc.yaml` declares, and the `dvc.lock` beside it: YAML as DVC reads it."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from onebutton_contracts.errors import InputError

OUTPUTS = ("outs", "metrics", "plots")
FINGERPRINTS = ".code/"  # where the stage `code` writes what the code behind each stage means
_NO_COMMAND = re.compile(r"\d*>&\d|\\\n")  # `2>&1`, and a line that goes on
_BETWEEN = re.compile(r"[;&|\n]+")  # what stands between the commands of a shell line
_MODULE = re.compile(r"\bpython[\d.]*(?:\s+-(?:[WX]\s+\S+|(?!m\s)\S+))*\s+-m\s+(\S+)")
# Commands that mean all that they say, with no code behind them that could change.
_PLAIN = re.compile(r"(\w+=\S*(\s+|$))*((cat|cd|cp|echo|export|ln|mkdir|mv|rm|set|tee|touch|true)\b|$)")


class Stage(NamedTuple):
    """A stage as a `dvc.yaml` has it; under `foreach` and `matrix` DVC makes several of it, called `name@key`."""

    name: str
    body: Mapping[str, Any]  # what it does
    deps: list[str]  # the paths that it depends on, its fingerprint included, relative to its `wdir`
    outs: list[str]  # the paths that it writes, metrics and plots included
    reads: list[str]  # the files and folders that it reads, the ones of its parameters included
    modules: list[str]  # what its command runs with `python -m`
    others: list[str]  # the parts of its command that run something else, whose code nobody follows
    frozen: bool  # whether DVC was told to leave it as it is
    filled_in: bool  # whether only DVC knows what it becomes
    fingerprint: str  # the file with which DVC compares what the code behind it means

    def lacking(self, folder: Path) -> list[str]:
        """Name what it reads and is not here."""
        return [path for path in self.reads if not (folder / path).exists()]


def stage_of(name: str, body: Mapping[str, Any]) -> Stage:
    """Read what a stage does, its command in parts as a shell parts them."""
    deps, said = paths(body.get("deps")), body.get("cmd", [])
    script = "\n".join(map(str, said)) if isinstance(said, list) else str(said)
    commands = [part.strip() for part in _BETWEEN.split(_NO_COMMAND.sub(" ", script))]
    parameters = ("params.yaml" if isinstance(one, str) else next(iter(one)) for one in body.get("params") or [])
    return Stage(
        name,
        body,
        deps=deps,
        outs=[path for kind in OUTPUTS for path in paths(body.get(kind))],
        reads=list(dict.fromkeys([*(path for path in deps if not path.startswith(FINGERPRINTS)), *parameters])),
        modules=[found[1] for part in commands if (found := _MODULE.search(part))],
        others=[part for part in commands if not _MODULE.search(part) and not _PLAIN.match(part)],
        frozen=body.get("frozen") is True,
        filled_in="${" in str(body),
        fingerprint=f"{FINGERPRINTS}{name}",
    )


class Plan(NamedTuple):
    """One `dvc.yaml`."""

    file: Path
    stages: list[Stage]  # every stage but `code`, in the order of the file
    code: Mapping[str, Any]  # what the stage `code` does; empty where there is none


class Output(NamedTuple):
    """A file that a stage writes, with its options, such as `cache`; under `foreach` and `matrix` the stage is `name@key`."""

    stage: str
    path: str
    options: Mapping[str, Any]


def read_yaml(file: Path) -> dict[str, Any]:
    """Read a file that holds a mapping, such as `dvc.yaml`, `params.yaml`, a contract or a workflow.

    Raises:
        InputError: it cannot be read, or is not a mapping in YAML.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        mend = f"`git checkout {file.name}` or `make run` brings it back"
        raise InputError(f"{file} cannot be read ({error}). {mend}") from None
    return parse_yaml(text, str(file))


def parse_yaml(text: str, file: str) -> dict[str, Any]:
    """Read the text of such a file; messages call it `file`."""
    import yaml

    try:
        content = yaml.load(text, Loader=_loader())  # noqa: S506  a safe loader
    except Exception as error:  # PyYAML raises a dozen kinds, as of a date that is none
        raise InputError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    if isinstance(content, dict):
        return content
    raise InputError(f"{file}: not a mapping of names to values")


@cache
def _loader() -> Any:
    """Read YAML 1.2, as DVC does, with PyYAML, which reads 1.1: there `no` is false, 12:30 is 750 and 1e-05 is a text."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the same in C, ten times as fast
        yaml_implicit_resolvers = {  # noqa: RUF012  PyYAML's own
            first: [known for known in resolvers if not known[0].endswith((":bool", ":int", ":float"))]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    for kind, pattern in {
        "bool": r"true|True|TRUE|false|False|FALSE",
        "int": r"[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F]+)",
        "float": r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    }.items():
        Loader.add_implicit_resolver(
            f"tag:yaml.org,2002:{kind}", re.compile(f"({pattern})$"), list("-+.0123456789tTfF")
        )
    return Loader


def read_plan(dvc_yaml: Path) -> Plan:
    """Read a `dvc.yaml`, which may have no stage yet.

    Raises:
        InputError: it cannot be read, or is not a mapping in YAML.
    """
    bodies = {name: body_of(stage) for name, stage in (read_yaml(dvc_yaml).get("stages") or {}).items()}
    code = bodies.pop("code", {})
    return Plan(dvc_yaml, [stage_of(name, body) for name, body in bodies.items()], code)


def read_stages(file: Path) -> dict[str, Any]:
    """Read the stages of a `dvc.yaml` or a `dvc.lock`, by name.

    Raises:
        InputError: it cannot be read, or holds no stages.
    """
    stages = read_yaml(file).get("stages")
    if isinstance(stages, dict):
        return stages
    raise InputError(f"{file} has no stages. `git checkout {file.name}` or `make run` brings them back")


def body_of(stage: Any) -> Any:
    """Return what a stage of a `dvc.yaml` does: under `foreach`, what each of the stages does that DVC makes of it."""
    body = stage.get("do", stage) if isinstance(stage, dict) else {}
    return body if isinstance(body, dict) else {}


def entries(listed: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Split `deps`, `outs` and the like into paths and options; none where they are no list, such as `deps: ${shared}`."""
    found = [one for one in listed if one] if isinstance(listed, list) else []
    pairs = [(one, None) if isinstance(one, str) else next(iter(one.items())) for one in found]
    return [(str(path), options if isinstance(options, dict) else {}) for path, options in pairs]


def paths(listed: Any) -> list[str]:
    """List the paths of `deps`, `outs` and the like."""
    return [path for path, _ in entries(listed)]


def outputs(plan: Mapping[str, Any], lock: Mapping[str, Any], *kinds: str) -> list[Output]:
    """List what the stages of a `dvc.yaml` write, of some of the `OUTPUTS` or of all.

    The stages of its `dvc.lock` tell what DVC made of names such as `${key}`; there are none before the first run.
    """
    found = []
    for name, stage in plan.items():
        body = body_of(stage)
        for path, options in [pair for kind in kinds or OUTPUTS for pair in entries(body.get(kind))]:
            if "${" not in path:
                found.append(Output(name, path, options))
                continue
            pattern = re.sub(r"\$\{.*?\}", "*", path)
            for run, done in lock.items():
                written = done.get("outs", []) if run.partition("@")[0] == name else []
                found += [Output(run, out["path"], options) for out in written if fnmatchcase(out["path"], pattern)]
    return found
