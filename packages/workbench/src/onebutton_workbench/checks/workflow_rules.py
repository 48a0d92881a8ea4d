"""Hold the workflows and the Makefile to the rule that buttons hold the logic, and that no failure is lost on the way.

OB201, OB202, OB204, OB423, OB211 and OB212: `docs/checks/` has a page for each.

That a job has a time limit and says what it may do is held by jactionlint and zizmor.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from onebutton_contracts.dvc_files import read_yaml
from onebutton_workbench.findings import Finding

# `WHY="$WHY"` hands a variable of the step over: the shell keeps it one word, and the Makefile never expands a value
PRESS = re.compile(r"make( [a-z][a-z-]*| [A-Z]+=[\w.,-]+| ([A-Z]+)=\"\$\2\")+")
HANDED_OVER = re.compile(r'="\$([A-Z]+)"')
WEAK = re.compile(r"^-|\|\||;|\||\\$|&&")
TARGET = re.compile(r"^(?P<name>[a-z][\w-]*):(?!=)(?P<rest>.*)$")
SETUP = "./.github/actions/setup"


def check_workflow(path: Path, place: str) -> Iterator[Finding]:
    """Hold one workflow to the rules."""
    content: dict[Any, Any] = read_yaml(path)
    triggers = content.get("on") or {}
    for name, options in triggers.items() if isinstance(triggers, dict) else ():
        if isinstance(options, dict) and {"paths", "paths-ignore"} & options.keys():  # `schedule` has a list
            cost = "a required check then never comes, and act ignores them"
            words = f"`paths` of `{name}` skip it for some files: {cost}"
            yield Finding("OB202", place, words, "take them out; `make test AFFECTED=1` chooses what to run")
    for name, job in content.get("jobs", {}).items():
        holds_keys = "secrets." in str(job) or "id-token" in str(job.get("permissions"))
        for step in (job, *job.get("steps", [])):
            yield from check_step(step, place)
            uses, given = step.get("uses", ""), step.get("with", {})
            fills = uses.startswith("actions/cache") or (uses == SETUP and given.get("cache") != "false")
            if holds_keys and fills:  # who may push a branch can fill it with programs that this job runs
                cost = "another branch may have filled it"
                words = f"job {name!r} holds keys and takes what {uses} has in its cache; {cost}"
                yield Finding("OB423", place, words, f'write `cache: "false"` under `with`, as {SETUP} takes it')


def check_step(step: dict[str, Any], place: str) -> Iterator[Finding]:
    """Hold a job, or a step of one or of a local action, to the rules."""
    command = step.get("run")
    if command is not None and not PRESS.fullmatch(command):
        words = f"the step `{' '.join(command.split())}` holds logic of its own, so a laptop does something else"
        yield Finding("OB201", place, words, "move it behind a button; a step is `make` and the button's name")
    elif missing := {*HANDED_OVER.findall(command or "")} - {*step.get("env", {})}:
        words = f"the step `{command}` hands over {min(missing)}, which its own `env` does not set"
        yield Finding("OB201", place, words, f"write `{min(missing)}: ${{{{ … }}}}` under the step's `env`")
    if "continue-on-error" in step:
        what = "job" if "steps" in step else "step"
        words = f"the {what} `{step.get('name', command)}` has `continue-on-error`, so its failure would show green"
        yield Finding("OB204", place, words, "take it out")


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


def check_all(root: Path) -> Iterator[Finding]:
    """Hold every workflow, local action and the Makefile to the rules."""
    for path in sorted((root / ".github/workflows").glob("*.y*ml")):
        yield from check_workflow(path, path.relative_to(root).as_posix())
    for path in sorted((root / ".github/actions").glob("*/action.y*ml")):
        for step in read_yaml(path)["runs"].get("steps", []):
            yield from check_step(step, path.relative_to(root).as_posix())
    yield from check_makefile((root / "Makefile").read_text(encoding="utf-8"))
