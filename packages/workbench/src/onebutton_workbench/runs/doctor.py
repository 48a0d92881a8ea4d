"""Say what is installed, what is missing, and what cannot be seen from here. The work of `make doctor`.

Every line is `ok`, `missing` with what to do, or `NOT RUN` with why it could not be looked at; what was not seen is never ok.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from onebutton_tracking.store import check_writable, sqlite_file, tracking_uri
from onebutton_workbench.bootstrap import OTHER_HOOKS
from onebutton_workbench.data.access import try_environments, try_remote, try_sources
from onebutton_workbench.environment import clean_environment
from onebutton_workbench.workspace import ROOT, pipelines

ENOUGH_DISK = 5  # GB: the environment, the data and a model registry
PROGRAMS = {
    "git": "keeps history",
    "uv": "installs what uv.lock pins",
    "dvc": "runs the stages",
    "act": "runs workflows here",
}
ON_GITHUB = {
    "GitHub Actions": "a new fork has them switched off: open its Actions tab and enable them",
    "branch protection": "Settings, Branches: require the check `all-green` and one review on main",
    "secret scanning": "Settings, Code security: switch on secret scanning, push protection and the dependency graph",
}


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
        done = subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def environment() -> Iterator[Finding]:
    """Look at what this repo stands on."""
    yield Finding("Python", "ok", f"{platform.python_version()} in {sys.prefix}")
    for program, why in PROGRAMS.items():
        version = ask(program, "--version").partition("\n")[0]
        yield found(program, version, version, f"it {why}; press `make setup`")
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
    for name in pipelines():
        model = ROOT / "pipelines" / name / "model/model.onnx"
        yield found(f"results of {name}", model.is_file(), "here", f"press `make run PIPELINE={name}`")


def data() -> Iterator[Finding]:
    """Try every source of data, and where models are deployed to."""
    for access in (*try_sources(ROOT), try_remote(ROOT), *try_environments(ROOT)):
        yield found(access.source, access.has, access.words, access.words)


def tracking() -> Iterator[Finding]:
    """Look at MLflow's store."""
    uri = tracking_uri(ROOT)
    file = sqlite_file(uri)
    if file is None:
        yield Finding("MLflow", *_server(uri))
    elif not file.exists():
        yield Finding("MLflow", "ok", f"{file.name} will be made by the first `make run`")
    else:
        try:
            check_writable(uri)
            yield Finding("MLflow", "ok", str(file))
        except Exception as error:  # noqa: BLE001  whatever it is, the doctor tells it and goes on
            yield Finding("MLflow", "missing", str(error))


def _server(uri: str) -> tuple[str, str]:
    from urllib.request import urlopen

    if not uri.startswith(("http://", "https://")):
        return "NOT RUN", f"{uri.split(':', 1)[0]} store: only a run can tell"
    try:
        with urlopen(f"{uri}/health", timeout=3):  # noqa: S310  the scheme was checked above
            return "ok", f"{uri} answers"
    except OSError as error:
        return "missing", f"{uri} does not answer ({error}); runs are kept in DVC and mirrored by a later `make run`"


def elsewhere() -> Iterator[Finding]:
    """Name what only GitHub or another program can tell."""
    answers = ask("docker", "info", "--format", "{{.ServerVersion}}")
    words = f"engine {answers}" if answers else "no engine answers; only RUNNER=docker needs one"
    yield Finding("Docker", "ok" if answers else "NOT RUN", words)
    for subject, words in ON_GITHUB.items():
        yield Finding(subject, "NOT RUN", words)


def examine() -> int:
    """Print every finding; fail when something is missing."""
    findings = [finding for look in (environment, repository, data, tracking, elsewhere) for finding in look()]
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        print(f"  {finding.state:<8} {finding.subject:<{width}}  {finding.words}")
    states = [finding.state for finding in findings]
    print(f"doctor: {states.count('missing')} missing, {states.count('NOT RUN')} that nobody can see from here")
    return 1 if "missing" in states else 0
