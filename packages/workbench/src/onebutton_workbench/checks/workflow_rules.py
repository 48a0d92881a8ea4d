"""Hold the workflows and the Makefile to the rule that buttons hold the logic, and that no failure is lost on the way.

| id | rule |
|---|---|
| OB201 | a step presses buttons and does nothing else |
| OB202 | a workflow runs whichever files changed |
| OB203 | a version is written as text |
| OB204 | no step and no job may fail unseen |
| OB205 | a job has a time limit, and says what it may do |
| OB423 | a job that holds keys takes nothing from a cache |
| OB211 | a line of a recipe is one simple command |
| OB212 | a button has a help line, or a comment above it says who presses it |
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from onebutton_contracts.dvc_files import read_yaml
from onebutton_workbench.findings import Finding
from onebutton_workbench.workspace import ROOT

# `WHY="$WHY"` hands a variable of the step over: the shell keeps it one word, and the Makefile never expands a value
PRESS = re.compile(r"make( [a-z][a-z-]*| [A-Z]+=[\w.,-]+| ([A-Z]+)=\"\$\2\")+")
HANDED_OVER = re.compile(r'="\$([A-Z]+)"')
WEAK = re.compile(r"^-|\|\||;|\||\\$|&&")
TARGET = re.compile(r"^(?P<name>[a-z][\w-]*):(?!=)(?P<rest>.*)$")
IN_YAML_ON_IS_TRUE = True  # YAML 1.1 reads the key `on` of a workflow as a truth value
SETUP = "./.github/actions/setup"
UNSEEN = "has `continue-on-error`, so its failure would show green"


def check_workflow(path: Path, place: str) -> Iterator[Finding]:
    """Hold one workflow to the rules."""
    content: dict[Any, Any] = read_yaml(path)
    triggers = content.get(IN_YAML_ON_IS_TRUE) or content.get("on") or {}
    for name, options in triggers.items() if isinstance(triggers, dict) else ():
        given = options if isinstance(options, dict) else {}  # `schedule` has a list
        for key in sorted({"paths", "paths-ignore"} & given.keys()):
            words = f"`on.{name}.{key}` skips it for some files: a required check then never comes, and act ignores the filter"
            yield Finding("OB202", place, words, "take the filter out; `make test AFFECTED=1` chooses what to run")
    for name, job in content.get("jobs", {}).items():
        if missing := [key for key in ("timeout-minutes", "permissions") if key not in job]:
            lacks = "`, no `".join(missing)
            words = f"job {name!r} has no `{lacks}`: it could hang for six hours, or do all that its token may"
            yield Finding("OB205", place, words, "write it into the job")
        if "continue-on-error" in job:
            yield Finding("OB204", place, f"job {name!r} {UNSEEN}", "take it out")
        yield from check_steps(job.get("steps", []), place)
        yield from check_cache(name, job, place)


def check_cache(name: str, job: dict[str, Any], place: str) -> Iterator[Finding]:
    """Refuse a cache in a job that holds keys: who may push a branch can fill it with programs that this job runs."""
    if "secrets." not in str(job) and "id-token" not in str(job.get("permissions")):
        return
    for step in job.get("steps", []):
        uses = step.get("uses", "")
        if uses.startswith("actions/cache") or (uses == SETUP and step.get("with", {}).get("cache") != "false"):
            words = (
                f"job {name!r} holds keys and takes what {uses} has in its cache, which another branch may have filled"
            )
            yield Finding(
                "OB423", place, words, f'write `cache: "false"` under the step\'s `with`, as {SETUP} takes it'
            )


def check_steps(steps: list[dict[str, Any]], place: str) -> Iterator[Finding]:
    """Hold the steps of a job, or of a local action, to the rules."""
    for step in steps:
        command = step.get("run")
        if command is not None and not PRESS.fullmatch(command):
            shown = " ".join(command.split())
            words = f"the step `{shown}` holds logic of its own, so a laptop does something else than GitHub"
            yield Finding("OB201", place, words, "move it behind a button; a step is `make` and the button's name")
        elif missing := {*HANDED_OVER.findall(command or "")} - {*step.get("env", {})}:
            words = f"the step `{command}` hands over {min(missing)}, which its own `env` does not set"
            yield Finding("OB201", place, words, f"write `{min(missing)}: ${{{{ … }}}}` under the step's `env`")
        if "continue-on-error" in step:
            yield Finding("OB204", place, f"a step {UNSEEN}", "take it out")
        for key, value in step.get("with", {}).items():
            if key.endswith("version") and isinstance(value, float):
                words = f"`{key}: {value}` is a number to YAML, where 3.10 is 3.1"
                yield Finding("OB203", place, words, f'quote it: `{key}: "{value}"`')


def check_makefile(text: str) -> Iterator[Finding]:
    """Hold the Makefile to the rules."""
    above = ""
    for number, line in enumerate(text.splitlines(), start=1):
        place = f"Makefile:{number}"
        command = line[1:].lstrip("@") if line.startswith("\t") else ""
        if WEAK.search(command):
            words = f"`{command.strip()}` is not one simple command, so a failure in it could be lost"
            yield Finding("OB211", place, words, "one command a line; more than that belongs into a module with a test")
        elif (target := TARGET.match(line)) and "##" not in target["rest"] and not above.startswith("# "):
            words = f"the button {target['name']!r} has no help line, so nobody will find it"
            yield Finding("OB212", place, words, "write `## what it does` behind it")
        above = line


def check_all(root: Path = ROOT) -> Iterator[Finding]:
    """Hold every workflow, local action and the Makefile to the rules."""
    for path in sorted((root / ".github/workflows").glob("*.y*ml")):
        yield from check_workflow(path, path.relative_to(root).as_posix())
    for path in sorted((root / ".github/actions").glob("*/action.y*ml")):
        yield from check_steps(read_yaml(path)["runs"].get("steps", []), path.relative_to(root).as_posix())
    yield from check_makefile((root / "Makefile").read_text(encoding="utf-8"))
