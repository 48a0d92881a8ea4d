"""Hold every `dvc.yaml` to the rules that keep results fresh, and mend the files that break them.

| id | rule |
|---|---|
| OB101 | a `dvc.yaml` has the stage `code`, which always runs and writes the fingerprints |
| OB102 | a stage runs modules of the workspace, so that its code is known |
| OB103 | a stage depends on its fingerprint, and `code` writes it |
| OB104 | every import behind a stage can be followed, to a module or to a version in `uv.lock` |
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from onebutton_workbench.files import edit_yaml, read_yaml
from onebutton_workbench.findings import Finding, tell
from onebutton_workbench.lineage.fingerprint import Lock, innermost, read_lock
from onebutton_workbench.lineage.imports import (
    Module,
    direct_imports,
    find_modules,
    lines_of,
    reach,
    read_source,
    unfollowed_imports,
)
from onebutton_workbench.lineage.stages import FINGERPRINTS, Stage, body_of, dvc_files, paths, read_stages
from onebutton_workbench.pressed import press
from onebutton_workbench.workspace import ROOT

COMMAND = "python -m onebutton_workbench.lineage.fingerprint"


def check(dvc_yaml: Path, root: Path) -> list[Finding]:
    """Hold one `dvc.yaml` to the rules."""
    place = dvc_yaml.relative_to(root).as_posix()
    stages = read_yaml(dvc_yaml).get("stages") or {}
    code = body_of(stages.get("code"))
    unlisted = {name: f"`deps: {deps}`" for name, one in stages.items() if not isinstance(deps := _deps(one), list)}
    findings = []
    if code.get("cmd") != COMMAND or code.get("always_changed") is not True:
        words = (
            f"no stage `code` that runs `{COMMAND}` with `always_changed: true`, so an edit in code would rerun nothing"
        )
        findings.append(Finding("OB101", place, words, "`make format` writes it"))
    written = paths(code.get("outs"))
    modules = find_modules(root)
    for stage in (one for one in read_stages(dvc_yaml) if not one.frozen):
        unknown = [name for name in stage.modules if name not in modules]
        if unknown or stage.others or not stage.modules:
            words = f"stage {stage.name!r} {_unfollowed(stage, unknown)}, so nobody can say when its code has changed"
            findings.append(Finding("OB102", place, words, "let its `cmd` be `python -m` and a module of a member"))
            continue
        if stage.name in unlisted:
            words = f"stage {stage.name!r} has {unlisted[stage.name]}, which is no list, so its fingerprint cannot stand in it"
            findings.append(Finding("OB103", place, words, "write its `deps` as a list, a line for each"))
            continue
        if not stage.has_fingerprint or f"{FINGERPRINTS}/{stage.name}" not in written:
            reached = sorted({module.name.partition(".")[0] for name in stage.modules for module in reach(name, root)})
            words = (
                f"stage {stage.name!r} does not depend on its fingerprint {FINGERPRINTS}/{stage.name}, "
                f"so an edit in {', '.join(reached)} would not rerun it"
            )
            findings.append(Finding("OB103", place, words, "`make format`"))
    return findings


def _deps(stage: Any) -> Any:
    return body_of(stage).get("deps") or []


def _unfollowed(stage: Stage, unknown: Sequence[str]) -> str:
    """Say what a stage runs that nobody follows."""
    if unknown:
        known = "which only DVC knows once it runs" if "${" in unknown[0] else "which is no module here"
        return f"runs {unknown[0]}, {known}"
    if stage.modules:
        return f"also runs `{stage.others[0]}`, which is no `python -m <module>`"
    return "runs no `python -m <module>`"


def check_imports(root: Path) -> list[Finding]:
    """Find the imports behind stages that cannot be followed."""
    entries = {name for file in dvc_files(root) for stage in read_stages(file) for name in stage.modules}
    known = find_modules(root)
    reached = {module for entry in sorted(entries & set(known)) for module in reach(entry, root)}
    lock = read_lock(root)
    return [
        finding
        for module in sorted(reached, key=lambda one: one.name)
        for finding in (*_unfollowed_imports(module, root), *_unlocked_imports(module, lock, root))
    ]


def _unfollowed_imports(module: Module, root: Path) -> Iterator[Finding]:
    for line in unfollowed_imports(module):
        yield Finding(
            "OB104",
            f"{module.path.relative_to(root).as_posix()}:{line}",
            "imports a name that is only known when it runs, so an edit there would rerun no stage",
            "say on that line what it may be: `# reaches: package.module`, or `# reaches: nothing`",
        )


def _unlocked_imports(module: Module, lock: Lock, root: Path) -> Iterator[Finding]:
    """Find what a module imports from no distribution of `uv.lock`."""
    unlocked = {
        name.partition(".")[0]: name for name in innermost(direct_imports(module, root)[1]) if not lock.brings(name)
    }
    for top, name in unlocked.items():
        line = next(iter(lines_of(name, module)), 1)
        if "# reaches: nothing" not in read_source(module).decode(errors="replace").splitlines()[line - 1]:
            yield Finding(
                "OB104",
                f"{module.path.relative_to(root).as_posix()}:{line}",
                f"imports {top}, and no package of uv.lock is known to bring it, so an upgrade of it would rerun no stage",
                f'say which one in the pyproject.toml of its member: `name-of-the-package = "{top}"` '
                "under [tool.deptry.package_module_name_map]",
            )


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
    text = edit_yaml(dvc_yaml.read_text(encoding="utf-8"), lambda content: changes.append(_complete(content)))
    if not any(changes):
        return False
    draft = dvc_yaml.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    draft.rename(dvc_yaml)
    return True


def _complete(content: Any) -> bool:
    """Add what the rules ask for; say whether anything was added. What is no list is left to a person."""
    changed = False
    if not content.get("stages"):
        content["stages"] = {}
    stages = content["stages"]
    if "code" not in stages:
        code = {"cmd": COMMAND, "always_changed": True, "outs": []}
        stages.insert(0, "code", code) if hasattr(stages, "insert") else stages.update(code=code)
        changed = True
    for key, wanted in (("cmd", COMMAND), ("always_changed", True)):
        if stages["code"].get(key) != wanted:
            stages["code"][key], changed = wanted, True
    for name, stage in stages.items():
        body = body_of(stage)
        if name != "code" and "cmd" in body and not body.get("frozen") and isinstance(_deps(stage), list):
            changed |= _complete_stage(f"{FINGERPRINTS}/{name}", body, stages["code"])
    return changed


def _complete_stage(fingerprint: str, body: Any, code: Any) -> bool:
    changed = False
    if fingerprint not in paths(code.setdefault("outs", [])):
        code["outs"].append({fingerprint: {"cache": False}})
        changed = True
    if fingerprint not in paths(body.get("deps")):
        if not body.get("deps"):
            body.pop("deps", None)
            body.insert(list(body).index("cmd") + 1, "deps", [])
        body["deps"].insert(0, fingerprint)
        changed = True
    return changed


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
