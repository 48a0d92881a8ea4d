"""Hold the workflows and the Makefile to the rule that buttons hold the logic, and that no failure is lost on the way.

OB201, OB202, OB204, OB423, OB211 and OB212: `docs/checks/` has a page for each.

That a job has a time limit and says what it may do is held by jactionlint and zizmor.
"""

import re
from collections.abc import Iterator
from typing import Any

from onebutton_contracts.dvc_files import parse_yaml
from onebutton_workbench.findings import Finding

# `WHY="$WHY"` hands a variable of the step over: the shell keeps it one word, and the Makefile never expands a value
PRESS = re.compile(r"make( [a-z][a-z-]*| [A-Z]+=[\w.,-]+| ([A-Z]+)=\"\$\2\")+")
HANDED_OVER = re.compile(r'="\$([A-Z]+)"')
WEAK = re.compile(r"^-|\|\||;|\||\\$|&&")
TARGET = re.compile(r"^(?P<name>[a-z][\w-]*):(?!=)(?P<rest>.*)$")
SETUP = "./.github/actions/setup"


def check_workflow(path: str, text: str) -> Iterator[Finding]:
    """Hold a workflow, or a local action, to the rules."""
    content = parse_yaml(text, path)
    triggers = content.get("on")
    for name, options in triggers.items() if isinstance(triggers, dict) else ():
        if isinstance(options, dict) and {"paths", "paths-ignore"} & options.keys():  # `schedule` has a list
            words = f"`paths` of `{name}` skip it for some files: a required check never comes, and act ignores them"
            yield Finding("OB202", path, words, "take them out; `make test AFFECTED=1` chooses what to run")
    for name, job in content.get("jobs", {"": content.get("runs", {})}).items():
        holds_keys = "secrets." in str(job) or "id-token" in str(job.get("permissions"))
        for step in (job, *job.get("steps", [])):
            yield from _check_step(step, path)
            uses, given = step.get("uses", ""), step.get("with", {})
            fills = uses.startswith("actions/cache") or (uses == SETUP and given.get("cache") != "false")
            if holds_keys and fills:  # who may push a branch can fill it with programs that this job runs
                words = f"job {name!r} holds keys and takes what {uses} has in its cache: another branch may fill it"
                yield Finding("OB423", path, words, f'write `cache: "false"` under `with`, as {SETUP} takes it')


def _check_step(step: dict[str, Any], path: str) -> Iterator[Finding]:
    """Hold a job, or one of its steps, to the rules."""
    command = step.get("run")
    if command is not None and not PRESS.fullmatch(command):
        words = f"the step `{' '.join(command.split())}` holds logic of its own, so a laptop does something else"
        yield Finding("OB201", path, words, "move it behind a button; a step is `make` and the button's name")
    elif missing := {*HANDED_OVER.findall(command or "")} - {*step.get("env", {})}:
        words = f"the step `{command}` hands over {min(missing)}, which its own `env` does not set"
        yield Finding("OB201", path, words, f"write `{min(missing)}: ${{{{ … }}}}` under the step's `env`")
    if "continue-on-error" in step:
        what = "job" if "steps" in step else "step"
        words = f"the {what} `{step.get('name', command)}` has `continue-on-error`, so its failure would show green"
        yield Finding("OB204", path, words, "take it out")


def check_makefile(path: str, text: str) -> Iterator[Finding]:
    """Hold the Makefile to the rules."""
    above = ""
    for number, line in enumerate(text.splitlines(), 1):
        command = line[1:].lstrip("@") if line.startswith("\t") else ""
        if WEAK.search(command):
            words = f"`{command.strip()}` is not one simple command, so a failure in it could be lost"
            mend = "one command a line; more than that belongs into a module with a test"
            yield Finding("OB211", f"{path}:{number}", words, mend)
        elif (target := TARGET.match(line)) and "##" not in target["rest"] and not above.startswith("# "):
            words = f"the button {target['name']!r} has no help line, so nobody will find it"
            yield Finding("OB212", f"{path}:{number}", words, "write `## what it does` behind it")
        above = line
