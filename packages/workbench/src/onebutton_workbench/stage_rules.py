"""Hold every `dvc.yaml` to the rules that keep results fresh, and mend the files that break them.

| id | rule |
|---|---|
| OB101 | a `dvc.yaml` has the stage `code`, which always runs and writes the fingerprints |
| OB102 | a stage runs modules of the workspace, so that its code is known |
| OB103 | a stage depends on its fingerprint, and `code` writes it |
| OB104 | every import behind a stage can be followed |
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from onebutton_workbench.closure import find_modules, reach, unfollowed_imports
from onebutton_workbench.findings import Finding, tell
from onebutton_workbench.pressed import press
from onebutton_workbench.stages import FINGERPRINTS, edit_yaml, read_stages, read_yaml
from onebutton_workbench.workspace import ROOT

COMMAND = "python -m onebutton_workbench.fingerprint"


def dvc_files(root: Path) -> list[Path]:
    """List every `dvc.yaml`: that of the root and those of the pipelines."""
    return [path for path in (root / "dvc.yaml", *sorted(root.glob("pipelines/*/dvc.yaml"))) if path.is_file()]


def check(dvc_yaml: Path, root: Path) -> list[Finding]:
    """Hold one `dvc.yaml` to the rules."""
    place = dvc_yaml.relative_to(root).as_posix()
    code = read_yaml(dvc_yaml).get("stages", {}).get("code", {})
    findings = []
    if code.get("cmd") != COMMAND or code.get("always_changed") is not True:
        words = (
            f"no stage `code` that runs `{COMMAND}` with `always_changed: true`, so an edit in code would rerun nothing"
        )
        findings.append(Finding("OB101", place, words, "`make format` writes it"))
    written = _paths(code.get("outs", []))
    modules = find_modules(root)
    for stage in (one for one in read_stages(dvc_yaml) if not one.frozen):
        unknown = [name for name in stage.modules if name not in modules]
        if unknown or not stage.modules:
            what = f"runs {unknown[0]}, which is no module here" if unknown else "runs no `python -m <module>`"
            words = f"stage {stage.name!r} {what}, so nobody can say when its code has changed"
            findings.append(Finding("OB102", place, words, "let its `cmd` be `python -m` and a module of a member"))
            continue
        if not stage.has_fingerprint or f"{FINGERPRINTS}/{stage.name}" not in written:
            reached = sorted({module.name.partition(".")[0] for name in stage.modules for module in reach(name, root)})
            words = (
                f"stage {stage.name!r} does not depend on its fingerprint {FINGERPRINTS}/{stage.name}, "
                f"so an edit in {', '.join(reached)} would not rerun it"
            )
            findings.append(Finding("OB103", place, words, "`make format`"))
    return findings


def check_imports(root: Path) -> list[Finding]:
    """Find the imports behind stages that cannot be followed."""
    entries = {name for file in dvc_files(root) for stage in read_stages(file) for name in stage.modules}
    known = find_modules(root)
    reached = {module for entry in sorted(entries & set(known)) for module in reach(entry, root)}
    return [
        Finding(
            "OB104",
            f"{module.path.relative_to(root).as_posix()}:{line}",
            "imports a name that is only known when it runs, so an edit there would rerun no stage",
            "say on that line what it may be: `# reaches: package.module`, or `# reaches: nothing`",
        )
        for module in sorted(reached, key=lambda one: one.name)
        for line in unfollowed_imports(module)
    ]


def check_all(root: Path = ROOT) -> list[Finding]:
    """Hold every `dvc.yaml`, and the code behind its stages, to the rules.

    Raises:
        WorkbenchError: a module has a syntax error.
    """
    return [finding for file in dvc_files(root) for finding in check(file, root)] + check_imports(root)


def mend(dvc_yaml: Path) -> bool:
    """Give a `dvc.yaml` its stage `code`, and every stage its fingerprint, keeping comments and order.

    Returns:
        Whether the file was changed.
    """
    changes: list[bool] = []
    text = edit_yaml(dvc_yaml.read_text(encoding="utf-8"), lambda content: changes.append(_complete(content["stages"])))
    if not any(changes):
        return False
    draft = dvc_yaml.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    draft.rename(dvc_yaml)
    return True


def _complete(stages: Any) -> bool:
    """Add what the rules ask for; say whether anything was added."""
    changed = False
    if "code" not in stages:
        stages.insert(0, "code", {"cmd": COMMAND, "always_changed": True, "outs": []})
        changed = True
    code = stages["code"]
    for key, wanted in (("cmd", COMMAND), ("always_changed", True)):
        if code.get(key) != wanted:
            code[key], changed = wanted, True
    for name, body in stages.items():
        fingerprint = f"{FINGERPRINTS}/{name}"
        if name == "code" or body.get("frozen"):
            continue
        if fingerprint not in _paths(code.setdefault("outs", [])):
            code["outs"].append({fingerprint: {"cache": False}})
            changed = True
        if fingerprint not in _paths(body.get("deps", [])):
            if "deps" not in body:
                body.insert(list(body).index("cmd") + 1, "deps", [])
            body["deps"].insert(0, fingerprint)
            changed = True
    return changed


def _paths(entries: list[Any]) -> list[str]:
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def lint() -> int:
    """Print what breaks a rule; a part of `make lint`."""
    return tell(check_all(), "every stage depends on the code behind it")


def mend_all() -> int:
    """Mend every `dvc.yaml`; a part of `make format`."""
    for file in dvc_files(ROOT):
        if mend(file):
            print(f"format: {file.relative_to(ROOT)} now has every fingerprint")
    return 0


if __name__ == "__main__":
    press("format" if sys.argv[1:] == ["mend"] else "lint", mend_all if sys.argv[1:] == ["mend"] else lint)
