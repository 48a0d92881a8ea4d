"""Measure what a large workspace costs: `python benchmarks/workspace.py` prints a table in Markdown.

It makes a workspace of 50 members and one of 114, each with modules of some fifty lines and this repo's own lock, and runs whole
programs, Python's start and calls of git included. Each figure is the median of five, in seconds of the processor: what a person
waits for on a machine that does nothing else. Aims for 200 stages over 500 modules: fingerprints 1 s, `affected` 0.4 s.
"""

import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 5
FUNCTIONS = 6  # in each module, seven lines each
STAGES = 10  # of each pipeline
FINGERPRINTS = "from onebutton_workbench.lineage.fingerprint import write_fingerprints\n"
LOOKS = {
    "affected": "from onebutton_workbench.lineage.affected import report; report(root)",
    "lint": "from onebutton_workbench.checks.stage_rules import check_all; assert not check_all(root)",
    "one pipeline": f"{FINGERPRINTS}write_fingerprints(root / 'pipelines/pipeline_000', root)",
    "all": f"{FINGERPRINTS}for folder in sorted(root.glob('pipelines/*')): write_fingerprints(folder, root)",
}


@dataclass(frozen=True)
class Shape:
    """How large a workspace is; every pipeline has ten stages."""

    packages: int
    pipelines: int

    @property
    def modules(self) -> int:
        """Files of Python in them: three of a package, eleven of a pipeline."""
        return 3 * self.packages + (STAGES + 1) * self.pipelines

    @property
    def members(self) -> int:
        """Packages and pipelines."""
        return self.packages + self.pipelines


SHAPES = (Shape(48, 2), Shape(94, 20))


def module(imports: list[str]) -> str:
    """Write a module as long as a short one of this repo, some 50 lines."""
    head = ['"""A module."""', "", "import numpy as np", *imports, ""]
    body = [
        f'\ndef work_{number}(values: list[float], *, power: float = {number}.5) -> float:\n    """Say what it is for."""\n'
        "    kept = [value for value in values if value is not None and value > 0]\n    if not kept:\n"
        '        raise ValueError("nothing to work on")\n    return float(np.mean([value**power for value in kept]))\n'
        for number in range(FUNCTIONS)
    ]
    return "\n".join(head + body)


def member(name: str, requires: list[str], modules: Mapping[str, str]) -> dict[str, str]:
    """Write the files of a member, relative to it."""
    listed = "".join(f'    "{requirement}",\n' for requirement in ["numpy>=2", *requires])
    pyproject = (
        f'[project]\nname = "{name}"\nversion = "0.1.0"\ndescription = "One of many."\nrequires-python = ">=3.11"\n'
        f'dependencies = [\n{listed}]\n\n[build-system]\nrequires = ["uv_build"]\nbuild-backend = "uv_build"\n'
    )
    files = {f"src/{name}/{module_name}.py": text for module_name, text in modules.items()}
    test = f"from {name} import {min(modules)}\n"
    return {
        "pyproject.toml": pyproject,
        f"src/{name}/__init__.py": '"""A member."""\n',
        f"tests/test_{name}.py": test,
    } | files


def workspace(shape: Shape) -> dict[str, str]:
    """Write every file of a workspace: each member builds on up to three packages before it, all of them at last on the first."""
    chance = random.Random(shape.members)  # noqa: S311  any graph will do, the same each time
    files = {
        "pyproject.toml": '[tool.uv.workspace]\nmembers = ["packages/*", "pipelines/*"]\n',
        "uv.lock": (ROOT / "uv.lock").read_text(encoding="utf-8"),
        ".gitignore": ".code/\n",
    }
    names: list[str] = []
    for number in range(shape.packages):
        used = sorted(chance.sample(names, min(3, len(names))))
        name = f"package_{number:03}"
        modules = {
            "upper": module(
                [f"from {name} import lower", *(f"from {other} import upper as {other}" for other in used)]
            ),
            "lower": module([f"from {other}.lower import work_1 as from_{other}" for other in used[:1]]),
        }
        files |= {f"packages/{name}/{path}": text for path, text in member(name, used, modules).items()}
        names.append(name)
    for number in range(shape.pipelines):
        name = f"pipeline_{number:03}"
        used = sorted(chance.sample(names, 5))
        stages = {f"stage_{at}": module([f"from {chance.choice(used)} import upper"]) for at in range(STAGES)}
        files |= {f"pipelines/{name}/{path}": text for path, text in member(name, used, stages).items()}
        files[f"pipelines/{name}/dvc.yaml"] = dvc_yaml(name)
        files[f"pipelines/{name}/params.yaml"] = "".join(f"stage_{at}: {{rate: 0.1}}\n" for at in range(STAGES))
    return files


def dvc_yaml(pipeline: str) -> str:
    """Write the stages of a pipeline, each reading what the one before it wrote."""
    outs = "".join(f"      - .code/stage_{at}: {{cache: false}}\n" for at in range(STAGES))
    command = "python -m onebutton_workbench.lineage.fingerprint"
    code = f"stages:\n  code:\n    cmd: {command}\n    always_changed: true\n    outs:\n{outs}"
    return code + "".join(
        f"  stage_{at}:\n    cmd: python -m {pipeline}.stage_{at}\n    params: [stage_{at}]\n"
        f"    deps: [.code/stage_{at}, data/{at}.parquet]\n    outs: [data/{at + 1}.parquet]\n"
        for at in range(STAGES)
    )


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files and commit them."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    git = ["git", "-c", "user.name=benchmark", "-c", "user.email=benchmark"]
    for command in (
        ["init", "--quiet", "--initial-branch", "main"],
        ["add", "--all"],
        ["commit", "--quiet", "--message", "all"],
        ["switch", "--quiet", "--create", "change"],
    ):
        subprocess.run([*git, *command], cwd=folder, env=environment(), check=True)


def environment() -> dict[str, str]:
    """Leave out what slows Python down or points at another repository."""
    foreign = ("GIT_", "GITHUB_", "BUTTON_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def seconds(look: str, folder: Path) -> float:
    """Measure a whole program and the programs that it calls, the median of several."""
    program = f"import sys; from pathlib import Path; root = Path(sys.argv[1])\n{LOOKS[look]}"
    taken = []
    for _ in range(REPEATS):
        begun = spent()
        subprocess.run([sys.executable, "-c", program, str(folder)], env=environment(), capture_output=True, check=True)
        taken.append(spent() - begun)
    return statistics.median(taken)


def spent() -> float:
    """Return the seconds that ended programs of ours, and those that they called, have spent so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(shape: Shape) -> dict[str, float]:
    """Time every figure of one workspace."""
    with tempfile.TemporaryDirectory(prefix="onebutton-workspace-") as name:
        folder = Path(name)
        write(folder, workspace(shape))
        edits = {"nobody builds on": shape.packages - 1, "a few build on": shape.packages // 2, "all build on": 0}
        figures = {
            "fingerprints of all stages": seconds("all", folder),
            "fingerprints of one pipeline": seconds("one pipeline", folder),
            "lint of what every stage depends on": seconds("lint", folder),
        }
        for whom, number in edits.items():
            file = folder / f"packages/package_{number:03}/src/package_{number:03}/lower.py"
            text = file.read_text(encoding="utf-8")
            file.write_text(f"{text}\nEDITED = True\n", encoding="utf-8")
            figures[f"`affected`, an edit in a package that {whom}"] = seconds("affected", folder)
            file.write_text(text, encoding="utf-8")
        return figures


def main() -> None:
    """Print the table."""
    small, large = (measure(shape) for shape in SHAPES)
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    columns = [f"{one.members} members, {one.modules} modules, {one.pipelines * STAGES} stages" for one in SHAPES]
    print(f"| seconds | {' | '.join(columns)} | times |\n|---|--:|--:|--:|")
    for what, few in small.items():
        print(f"| {what} | {few:.2f} | {large[what]:.2f} | {large[what] / few:.1f} |")


if __name__ == "__main__":
    main()
