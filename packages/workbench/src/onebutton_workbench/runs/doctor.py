"""Say what is installed, what is missing, and what cannot be seen from here. The work of `make doctor`.

Every line is `ok`, `missing` with what to do, or `NOT RUN` with why it could not be looked at; what was not seen is never ok.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from onebutton_tracking.store import StoreError, check_there, shown, sqlite_file, tracking_uri
from onebutton_workbench.bootstrap import OTHER_HOOKS
from onebutton_workbench.data.storage import UNSET, check_remote, configured
from onebutton_workbench.git import call
from onebutton_workbench.workspace import ROOT

# What was looked at; `ok`, `missing` or `NOT RUN`; what was seen, and for anything but ok what to do.
Line = tuple[str, str, str]
RULESET = ".github/ruleset.json"
IMPORT = f"Settings, Rules, Rulesets, Import a ruleset: {RULESET}"
ON_GITHUB = {
    "GitHub Actions": "a new fork has them switched off: open its Actions tab and enable them",
    "secret scanning": "Settings, Code security: switch on secret scanning, push protection and the dependency graph",
}


def repository(root: Path = ROOT) -> Iterator[Line]:
    """Look for the hooks of the checkout."""
    hooks = call("rev-parse", "--git-path", "hooks", folder=root).stdout.strip()
    other = call("config", "--get", "core.hooksPath", folder=root).stdout.strip()
    if not hooks or other:
        yield "hooks", "NOT RUN", OTHER_HOOKS.format(other) if hooks else "this folder is not a git checkout"
        return
    for hook in ("pre-commit", "pre-push"):
        there = (root / hooks / hook).is_file()
        yield f"hook {hook}", "ok" if there else "missing", "presses the buttons" if there else "press `make setup`"


def storage(root: Path = ROOT) -> Iterator[Line]:
    """Ask the remote, when it is shared."""
    remote = configured(root)
    if remote is None:
        yield "storage", "missing", UNSET
    elif not remote.shared:
        yield "storage", "ok", f"{remote}; `make remote URL=s3://…` shares data"
    elif reason := check_remote(root, remote)[1]:
        meanwhile = "Ask its owner, whom .github/CODEOWNERS names; `make run DATA=dummy` needs no access"
        yield "storage", "missing", f"{remote}: {reason}. {meanwhile}"
    else:
        yield "storage", "ok", f"{remote} answers"


def tracking() -> Line:
    """Look at MLflow's store."""
    uri = tracking_uri(ROOT)
    file = sqlite_file(uri)
    if file and not file.exists():
        return "MLflow", "ok", f"{file.name} will be made by the first `make run`"
    try:
        check_there(uri, to_write=True)
    except StoreError as error:
        return "MLflow", "missing", str(error)
    return "MLflow", "ok", shown(uri)


def protection(root: Path = ROOT) -> Line:
    """Ask GitHub, where `gh` is signed in, whether main has the rules of the ruleset."""
    subject, path = "protection of main", "repos/{owner}/{repo}/rules/branches/main"
    try:
        said = subprocess.run(["gh", "api", path], cwd=root, capture_output=True, check=True, timeout=10).stdout
        active, wanted = json.loads(said), json.loads((root / RULESET).read_text(encoding="utf-8"))["rules"]
    except (OSError, ValueError, subprocess.SubprocessError):
        return subject, "NOT RUN", f"{IMPORT}; where `gh auth status` is well, this asks GitHub"
    lacking = ", ".join(lacks(wanted, active))
    return (subject, "missing", f"GitHub lacks {lacking}. {IMPORT}") if lacking else (subject, "ok", f"as {RULESET}")


def lacks(wanted: Sequence[Mapping[str, Any]], active: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Name what the rules of a ruleset ask for and none of those that hold does; more than is asked for is fine."""
    for rule in wanted:
        given = [one.get("parameters") or {} for one in active if one["type"] == rule["type"]]
        if not given:
            yield rule["type"]
            continue
        for key, value in rule.get("parameters", {}).items():
            if isinstance(value, list):
                held = {check["context"] for one in given for check in one.get(key, [])}
                yield from (f"the required check {check['context']}" for check in value if check["context"] not in held)
            elif value > max(one.get(key, 0) for one in given) and key != "do_not_enforce_on_create":
                yield key


def examine() -> int:
    """Say what is there, what is missing, and what nobody can see from here; fail when something is missing."""
    unseen = ((subject, "NOT RUN", words) for subject, words in ON_GITHUB.items())
    lines = [*repository(), *storage(), tracking(), protection(), *unseen]
    if sys.platform == "darwin":  # what no wheel brings to a Mac
        libomp = any(Path(prefix, "opt/libomp/lib/libomp.dylib").exists() for prefix in ("/opt/homebrew", "/usr/local"))
        lines.append(("libomp", "ok" if libomp else "missing", "LightGBM needs it: `brew install libomp` brings it"))
    width = max(len(subject) for subject, _, _ in lines)
    for subject, state, words in lines:
        print(f"  {state:<8} {subject:<{width}}  {words}")
    states = [state for _, state, _ in lines]
    print(f"doctor: {states.count('missing')} missing, {states.count('NOT RUN')} that nobody can see from here")
    return int("missing" in states)
