"""Hold every `dvc.yaml` to the rules that keep results fresh, and mend the files that break them.

OB101, OB102, OB103, OB104, OB106 and OB108: `docs/checks/` has a page for each.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

from onebutton_contracts.dvc_files import FINGERPRINTS, Plan, Stage, body_of, paths, read_plan
from onebutton_contracts.errors import InputError
from onebutton_workbench.files import edit_yaml
from onebutton_workbench.findings import Finding
from onebutton_workbench.lineage.imports import Imports, name_of, parse, read_imports
from onebutton_workbench.workspace import ROOT, dvc_files

COMMAND = "python -m onebutton_workbench.lineage.fingerprint"
MODEL, HOLDOUT = ".onnx", "holdout"  # how the file of a model ends, and how that of a holdout begins
ABSOLUTE = re.compile(r"""["'](~/|/(home|Users|root|mnt|media|data|tmp|srv|opt|var|Volumes)/|[A-Za-z]:[\\/])""")
# What imports or runs code by a name, which nobody can read from the source.
BY_NAME = {"__import__", "import_module", "run_module", "run_path", "spec_from_file_location"}


def check_all(root: Path) -> list[Finding]:
    """Hold every `dvc.yaml`, and the code behind its stages, to the rules; what cannot be read is found, too."""
    imports = read_imports(root)
    findings: list[Finding] = []
    for file in dvc_files(root):
        place = file.relative_to(root).as_posix()
        try:
            plan = read_plan(file)
            findings += [*_check_stages(plan, imports, place), *_check_code(plan, imports, root)]
        except InputError as error:
            words = f"cannot be followed: {str(error).replace(f'{root}/', '')}"
            findings.append(Finding("OB104", place, words, "the line that it names"))
    return list(dict.fromkeys(findings))  # two pipelines may reach one module


def _check_stages(plan: Plan, imports: Imports, place: str) -> Iterator[Finding]:
    if plan.code.get("cmd") != COMMAND or plan.code.get("always_changed") is not True:
        words = f"no stage `code` that runs `{COMMAND}` with `always_changed: true`, so edits of code rerun nothing"
        yield Finding("OB101", place, words, "`make format` writes it")
    for stage in plan.stages:
        if not stage.frozen:
            yield from _check_fingerprint(stage, plan, imports, place)
        # a model that has seen the holdout is judged by what it knows by heart
        if any(path.endswith(MODEL) for path in stage.outs) and (reader := _reader_of_holdout(stage, plan)):
            through = "" if reader == stage.name else f" through {reader!r}"
            words = f"stage {stage.name!r} trains a model and reads the holdout{through}, so its score would flatter it"
            yield Finding("OB106", place, words, "let it depend on `data/train.parquet` alone")


def _check_fingerprint(stage: Stage, plan: Plan, imports: Imports, place: str) -> Iterator[Finding]:
    unknown = [name for name in stage.modules if name not in imports.files]
    if unknown or stage.others or not stage.modules:
        runs = f"{unknown[0]}, no module here," if unknown else f"`{next(iter(stage.others), '')}`"
        words = f"stage {stage.name!r} runs {runs} and nobody can say when the code behind that has changed"
        yield Finding("OB102", place, words, "let its `cmd` be `python -m` and a module of a member")
    elif stage.fingerprint not in stage.deps or stage.fingerprint not in paths(plan.code.get("outs")):
        reached = sorted({name.partition(".")[0] for name in imports.reached(stage.modules)[0]})
        cost = f"so an edit in {', '.join(reached)} would not rerun it"
        words = f"stage {stage.name!r} does not depend on its fingerprint {stage.fingerprint}, {cost}"
        yield Finding("OB103", place, words, "`make format`, where its `deps` are a list")


def _reader_of_holdout(stage: Stage, plan: Plan) -> str:
    """Name the stage through which the holdout reaches one, which may be itself; empty where it does not."""
    holdouts = [out for one in plan.stages for out in one.outs if PurePosixPath(out).name.startswith(HOLDOUT)]
    before = [stage]
    for one in before:  # grows while it is read
        if any(PurePosixPath(dep).name.startswith(HOLDOUT) for dep in one.deps) or _overlap(one.deps, holdouts):
            return one.name
        before += [other for other in plan.stages if other not in before and _overlap(one.deps, other.outs)]
    return ""


def _overlap(some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether a path is one of others, or the folder around one, or in one."""
    pairs = product(map(PurePosixPath, some), map(PurePosixPath, others))
    return any(one.is_relative_to(other) or other.is_relative_to(one) for one, other in pairs)


def _check_code(plan: Plan, imports: Imports, root: Path) -> Iterator[Finding]:
    """Find what stages reach that no fingerprint can hold: code that is not followed, and files that one machine alone has.

    Code in a folder without `__init__.py`, which is not followed either, is found by ruff.
    """
    modules, _ = imports.reached({name for stage in plan.stages for name in stage.modules if name in imports.files})
    late = "write `import package.module`, inside a function where it must be late"
    take_in = "take the file in with `make data-add`, and name it below the pipeline's folder and in `deps`"
    for file in sorted(imports.files[name] for name in modules):
        text, path = file.read_text(encoding="utf-8"), file.relative_to(root).as_posix()
        suspect = ABSOLUTE.search(text) or any(name in text for name in BY_NAME)
        for node in ast.walk(parse(file)) if suspect else ():  # to parse takes longer
            place = f"{path}:{getattr(node, 'lineno', 1)}"
            if (named := name_of(node)) in BY_NAME and not isinstance(node, ast.FunctionDef):
                cost = "what it brings in is known only when it runs, so edits of it would rerun no stage"
                yield Finding("OB104", place, f"uses `{named}`; {cost}", late)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and ABSOLUTE.match(f'"{node.value}'):
                cost = "nobody else has the file, and its change would rerun no stage"
                yield Finding("OB108", place, f"{node.value!r} is a path of one machine: {cost}", take_in)


def mend(dvc_yaml: Path) -> bool:
    """Give a `dvc.yaml` its stage `code`, and every stage its fingerprint, keeping comments and order; say if it changed."""
    before = dvc_yaml.read_text(encoding="utf-8")
    changed = edit_yaml(before, lambda _: None) != (text := edit_yaml(before, _complete))
    if changed:
        dvc_yaml.write_bytes(text.encode())  # bytes, so that line ends stay as they are
    return changed


def _complete(content: Any) -> None:
    """Add what the rules ask for; `deps` that are no list are left to a person."""
    from ruamel.yaml.comments import CommentedMap

    stages = content["stages"] = content.get("stages") or CommentedMap()
    if "code" not in stages:
        stages.insert(0, "code", CommentedMap())
    code = stages["code"]
    code.update(cmd=COMMAND, always_changed=True)
    outs = code.setdefault("outs", [])
    for name, stage in stages.items():
        body, fingerprint = body_of(stage), f"{FINGERPRINTS}{name}"
        if name == "code" or "cmd" not in body or body.get("frozen") or not isinstance(body.get("deps") or [], list):
            continue
        if fingerprint not in paths(outs):
            outs.append({fingerprint: {"cache": False}})
        if fingerprint not in paths(body.get("deps")):
            body["deps"] = body.get("deps") or []
            body["deps"].insert(0, fingerprint)


def mend_all() -> None:
    """Mend every `dvc.yaml`; a part of `make format`."""
    for file in dvc_files(ROOT):
        if mend(file):
            print(f"format: {file.relative_to(ROOT)} now has every fingerprint")
