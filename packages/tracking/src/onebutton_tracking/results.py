"""Collect what DVC holds of a pipeline's last run: parameters, metrics, curves, plots, data, the model."""

from __future__ import annotations

import csv
import hashlib
import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError
from onebutton_tracking.plan import as_run, declared_names, declared_plots, is_filled_in, kept_in_git, prefix_of

FINGERPRINTS = ".code/"
GATES = "gates.toml"
VERDICTS = "verdicts.json"
CURVES = "curves/"  # MLflow draws what stands before a slash as a group, and no curve overwrites a metric of its name
NOT_DATA = (".onnx", ".yaml", ".yml", ".json", ".toml")  # models, contracts and settings that stages read
DUMMY = "-dummy"  # ends the name of a copy of a pipeline that ran on dummy data, and so of its experiment and model


class ResultsError(InputError):
    """The results of a pipeline cannot be read; the message says which file."""


@dataclass(frozen=True)
class Results:
    """One pipeline's results, as its `dvc.lock` describes them.

    Attributes:
        pipeline: its name.
        folder: where its `dvc.yaml` stands.
        lock_digest: SHA-256 of its `dvc.lock`: equal digest, equal results.
        params: every parameter that a stage used, by dotted name.
        metrics: every number of the metrics files, by dotted name.
        headline: of `metrics`, the name of the one that `gates.toml` lets decide; empty where it names none.
        gates: `passed`, or which failed or could not be judged; empty without verdicts.
        curves: for each metric with steps its points, such as `curves/by_month.auc` -> [(7, 0.75), ...].
        plots: files with the data of plots.
        data: every file or folder that a stage reads or writes, with its MD5; fingerprints left out.
        code: the MD5 of each stage's fingerprint, by stage.
        inputs: of `data`, the data sets that a stage reads, each with the stages that read it.
        model: the ONNX file that ships, if there is one.
    """

    pipeline: str
    folder: Path
    lock_digest: str
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    headline: str = ""
    gates: str = ""
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    plots: list[Path] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, list[str]] = field(default_factory=dict)
    model: Path | None = None


def file_digest(file: Path) -> str:
    """Hash a file (SHA-256), as the mirror writes it into tags; empty when there is none."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def lock_digest(folder: Path) -> str:
    """Hash a pipeline's `dvc.lock` (SHA-256).

    Raises:
        ResultsError: the pipeline was never run.
    """
    lock = folder / "dvc.lock"
    if not (digest := file_digest(lock)):
        message = f"{lock} is missing: the pipeline was never run to its end. `make run` does it"
        raise ResultsError(message)
    return digest


def collect(folder: Path) -> Results:
    """Read a pipeline's results.

    Raises:
        ResultsError: a file that `dvc.yaml` names is missing or malformed.
    """
    digest = lock_digest(folder)
    lock = _stages(folder / "dvc.lock")
    plan = as_run(_stages(folder / "dvc.yaml"), lock)
    metrics: dict[str, float] = {}
    for stage, body in plan["stages"].items():
        for name in declared_names(body.get("metrics", [])):
            found = flatten(_json(folder / name), prefix_of(stage))
            metrics |= {name: value for name, value in found.items() if isinstance(value, (int, float))}
    params: dict[str, Any] = {}
    inputs: dict[str, list[str]] = {}
    for name, stage in lock["stages"].items():
        for file, values in stage.get("params", {}).items():
            params |= flatten(values) if file != GATES else {}  # how a model is judged is nothing to turn
        for path in [entry["path"] for entry in stage.get("deps", []) if "md5" in entry]:
            if not path.startswith(FINGERPRINTS) and not path.endswith(NOT_DATA):
                inputs.setdefault(path, []).append(name)
    plots = declared_plots(plan)
    written = [out["path"] for stage in lock["stages"].values() for out in stage.get("outs", [])]
    return Results(
        pipeline=folder.name,
        folder=folder,
        lock_digest=digest,
        params={name: str(value) for name, value in params.items()},
        metrics=metrics,
        headline=_headline(folder, metrics),
        gates=_gates(folder),
        curves=_curves(folder, plots),
        plots=[folder / name for name in plots],
        data=locked_digests(lock),
        code=locked_code(lock),
        inputs=inputs,
        model=next((folder / path for path in written if path.endswith("model.onnx")), None),
    )


def _headline(folder: Path, metrics: dict[str, float]) -> str:
    file = folder / GATES
    judging = tomllib.loads(file.read_text(encoding="utf-8")).get("judging", {}) if file.is_file() else {}
    name = f"model.{judging.get('champion')}"
    return name if name in metrics else ""


def _gates(folder: Path) -> str:
    """Sum the verdicts up; a gate that needs a running server is judged by `make deploy` and says nothing of the results."""
    found = _json(folder / VERDICTS) if (folder / VERDICTS).is_file() else {}
    failed = [name for name, one in found.items() if one.get("result") == "failed"]
    idle = [name for name, one in found.items() if one.get("result") == "NOT RUN" and one.get("check") != "service"]
    words = [f"failed: {', '.join(failed)}"] * bool(failed) + [f"NOT RUN: {', '.join(idle)}"] * bool(idle)
    return "; ".join(words) or ("passed" if found else "")


def produced_files(folder: Path) -> list[Path]:
    """List the files in git that a run of a pipeline may change, relative to its folder; fingerprints left out.

    Raises:
        ResultsError: there is no readable `dvc.yaml`.
    """
    plan, lock = _stages(folder / "dvc.yaml"), folder / "dvc.lock"
    if any(map(is_filled_in, plan["stages"].values())) and lock.is_file():
        plan = as_run(plan, _stages(lock))
    names = [name for stage in plan["stages"].values() for name in kept_in_git(stage)]
    return [Path("dvc.lock"), *(Path(name) for name in names if not name.startswith(FINGERPRINTS))]


def read_lock(text: str) -> dict[str, Any]:
    """Parse the text of a `dvc.lock`.

    Raises:
        ResultsError: it is none.
    """
    content = _yaml(text, "dvc.lock")
    return content if isinstance(content, dict) and "stages" in content else {"stages": {}}


def locked_digests(lock: dict[str, Any]) -> dict[str, str]:
    """Take the MD5 of everything that the stages read or wrote out of a `dvc.lock`, fingerprints left out."""
    return {path: digest for path, digest in _entries(lock) if not path.startswith(FINGERPRINTS)}


def locked_code(lock: dict[str, Any]) -> dict[str, str]:
    """Take the MD5 of each stage's fingerprint out of a `dvc.lock`, by stage."""
    stages = {name.partition("@")[0] for name in lock["stages"]}
    return {name: digest for path, digest in _entries(lock) if (name := path.removeprefix(FINGERPRINTS)) in stages}


def _entries(lock: dict[str, Any]) -> list[tuple[str, str]]:
    sides = [entry for stage in lock["stages"].values() for side in ("deps", "outs") for entry in stage.get(side, [])]
    return [(entry["path"], entry["md5"]) for entry in sides if "md5" in entry]


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested mappings into one with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        path = f"{prefix}{name}"
        flat |= flatten(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return flat


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Raises:
        ResultsError: it is missing or no such file.
    """
    content = _yaml(_text(path, f"`git checkout {path.name}` brings it back"), str(path))
    if isinstance(content, dict):
        return content
    message = f"{path} is not what it should be. `git checkout {path.name}` brings it back"
    raise ResultsError(message)


def _stages(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    if isinstance(content.get("stages"), dict):
        return content
    message = f"{path} has no stages. `git checkout {path.name}` brings it back, `make run` writes the lock again"
    raise ResultsError(message)


def _yaml(text: str, name: str) -> Any:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same in C, ten times as fast
    try:
        return yaml.load(text, Loader=loader)  # noqa: S506  both are safe
    except yaml.YAMLError as error:
        message = f"{name} is no YAML: {' '.join(str(error).split())}"
        raise ResultsError(message) from None


def _text(path: Path, mend: str = "`make run` writes it again") -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read ({error}). {mend}"
        raise ResultsError(message) from None


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_text(path))
    except ValueError as error:
        message = f"{path} cannot be read ({error}). `make run` writes it again"
        raise ResultsError(message) from None
    return content if isinstance(content, dict) else {"metrics": content}


def _curves(folder: Path, plots: dict[str, dict[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    curves: dict[str, list[tuple[int, float]]] = {}
    for name, options in plots.items():
        file = folder / name
        if file.suffix == ".csv" and isinstance(options.get("x"), str):
            curves |= read_curves(_text(file), file.stem, options["x"])
    return curves


def read_curves(text: str, name: str, step: str) -> dict[str, list[tuple[int, float]]]:
    """Take a plot over a whole number as curves: one for every other column of numbers, named `curves/<name>.<column>`.

    Args:
        text: CSV with a header.
        name: of the plot.
        step: the column that counts.

    Returns:
        For each curve its points; none when `step` is missing or no whole number.
    """
    rows = list(csv.DictReader(text.splitlines()))
    if not rows or step not in rows[0] or not all((row[step] or "").lstrip("-").isdigit() for row in rows):
        return {}
    curves = {}
    for column in rows[0]:
        try:
            points = [(int(row[step]), float(row[column])) for row in rows if row[column]]
        except ValueError:  # a column of words
            continue
        if column != step and points:
            curves[f"{CURVES}{name}.{column}"] = points
    return curves
