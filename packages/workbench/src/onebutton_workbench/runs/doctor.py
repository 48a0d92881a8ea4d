"""Say what is installed, what is missing, and what cannot be seen from here. The work of `make doctor`.

Every line is `ok`, `missing` with what to do, or `NOT RUN` with why it could not be looked at; what was not seen is never ok.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from onebutton_tracking.store import StoreError, check_writable, shown, sqlite_file, tracking_uri
from onebutton_workbench.bootstrap import OTHER_HOOKS
from onebutton_workbench.data.storage import PROBE, UNSET, UnreachableError, absent, configured
from onebutton_workbench.environment import call
from onebutton_workbench.workspace import ROOT, pipelines

ENOUGH_DISK = 5  # GB: the environment, the data and a model registry
ON_GITHUB = {
    "GitHub Actions": "a new fork has them switched off: open its Actions tab and enable them",
    "secret scanning": "Settings, Code security: switch on secret scanning, push protection and the dependency graph",
}
RULESET = ".github/ruleset.json"
IMPORT = f"Settings, Rules, Rulesets, Import a ruleset: {RULESET}"
GITHUB = re.compile(r"github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?$")


class Finding(NamedTuple):
    """One thing looked at."""

    subject: str
    state: str  # `ok`, `missing` or `NOT RUN`
    words: str  # what was seen, and for anything but ok what to do


def found(subject: str, seen: object, words: str, mend: str) -> Finding:
    """Say of a thing what was seen, or what brings it."""
    return Finding(subject, "ok", words) if seen else Finding(subject, "missing", mend)


def ask(*command: str) -> str:
    """Call a program; an empty string when it is missing or refuses."""
    try:
        done = call(*command, folder=ROOT)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def environment() -> Iterator[Finding]:
    """Look at what this repo stands on."""
    yield Finding("Python", "ok", f"{platform.python_version()} in {sys.prefix}")
    free = shutil.disk_usage(ROOT).free // 10**9
    space = f"{free} GB free here, {ENOUGH_DISK} GB are wanted"
    yield found("disk", free >= ENOUGH_DISK, space, space)
    if sys.platform == "darwin":  # two things that wheels do not bring to a Mac
        if platform.machine() == "x86_64":
            words = "has no wheel for Intel Macs: work in a Linux container or on another machine"
            yield Finding("onnxruntime", "missing", words)
        libomp = any(Path(prefix, "opt/libomp/lib/libomp.dylib").exists() for prefix in ("/opt/homebrew", "/usr/local"))
        yield found("libomp", libomp, "LightGBM finds it", "LightGBM needs it: brew install libomp")


def repository() -> Iterator[Finding]:
    """Look at the checkout."""
    hooks = ask("git", "rev-parse", "--git-path", "hooks")
    if not hooks:
        yield Finding("hooks", "NOT RUN", "this folder is not a git checkout")
    elif other := ask("git", "config", "--get", "core.hooksPath"):
        yield Finding("hooks", "NOT RUN", f"{OTHER_HOOKS.format(other)}, and so does `make check`")
    else:
        for hook in ("pre-commit", "pre-push"):
            yield found(f"hook {hook}", (ROOT / hooks / hook).is_file(), "presses the buttons", "press `make setup`")


def storage(root: Path = ROOT) -> Iterator[Finding]:
    """Ask the remote, when it is shared."""
    remote = configured(root)
    if remote is None or not remote.shared:
        yield found("storage", remote, f"{remote}; `make remote URL=s3://…` shares data", UNSET)
        return
    try:
        absent(remote, {PROBE}, root)
        yield Finding("storage", "ok", f"has, {remote} answers")
    except UnreachableError as error:
        dummies = [name for name in pipelines(root) if (root / "pipelines" / name / "dummy.yaml").is_file()]
        works = "".join(f" Meanwhile `make run DATA=dummy PIPELINE={name}` works" for name in dummies)
        words = f"has not, {remote}: {error}. Ask its owner, whom .github/CODEOWNERS names.{works}"
        yield Finding("storage", "missing", words)


def tracking() -> Iterator[Finding]:
    """Look at MLflow's store."""
    uri = tracking_uri(ROOT)
    file = sqlite_file(uri)
    if file and not file.exists():
        yield Finding("MLflow", "ok", f"{file.name} will be made by the first `make run`")
        return
    try:
        check_writable(uri)
        yield Finding("MLflow", "ok", shown(uri))
    except StoreError as error:
        yield Finding("MLflow", "missing", str(error))


def elsewhere() -> Iterator[Finding]:
    """Name what only GitHub can tell."""
    yield protection()
    for subject, words in ON_GITHUB.items():
        yield Finding(subject, "NOT RUN", words)


def protection(environment: Mapping[str, str] = os.environ) -> Finding:
    """Ask GitHub whether main has the rules of `.github/ruleset.json`, with the token that the environment may hold."""
    from urllib.request import Request, urlopen

    subject, token = "protection of main", environment.get("GITHUB_TOKEN") or environment.get("GH_TOKEN")
    hosted = GITHUB.search(ask("git", "config", "--get", "remote.origin.url"))
    if not (token and hosted):
        need = "a token in GITHUB_TOKEN" if hosted else "a remote `origin` on github.com"
        return Finding(subject, "NOT RUN", f"{IMPORT}; with {need} this asks GitHub")
    address = f"{environment.get('GITHUB_API_URL', 'https://api.github.com')}/repos/{hosted[1]}/rules/branches/main"
    try:
        with urlopen(Request(address, headers={"Authorization": f"Bearer {token}"}), timeout=5) as answer:  # noqa: S310  as above
            active = json.load(answer)
        wanted = json.loads((ROOT / RULESET).read_text(encoding="utf-8"))["rules"]
    except (OSError, ValueError) as error:
        return Finding(subject, "NOT RUN", f"{address} did not say ({error}); {IMPORT}")
    lacking = ", ".join(lacks(wanted, active))
    return found(subject, not lacking, f"GitHub has every rule of {RULESET}", f"GitHub lacks {lacking}. {IMPORT}")


def lacks(wanted: Sequence[Mapping[str, Any]], active: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Name what the rules of a ruleset ask for and none of those that hold does; more than is asked for is fine."""
    for rule in wanted:
        given = [one.get("parameters") or {} for one in active if one["type"] == rule["type"]]
        if not given:
            yield rule["type"]
        for key, value in rule.get("parameters", {}).items() if given else ():
            if isinstance(value, list):
                held = {check["context"] for one in given for check in one.get(key, [])}
                yield from (f"the required check {check['context']}" for check in value if check["context"] not in held)
            elif value > max(one.get(key, 0) for one in given) and key != "do_not_enforce_on_create":
                yield key


def examine() -> int:
    """Print every finding; fail when something is missing."""
    findings = [finding for look in (environment, repository, storage, tracking, elsewhere) for finding in look()]
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        print(f"  {finding.state:<8} {finding.subject:<{width}}  {finding.words}")
    states = [finding.state for finding in findings]
    print(f"doctor: {states.count('missing')} missing, {states.count('NOT RUN')} that nobody can see from here")
    return 1 if "missing" in states else 0
