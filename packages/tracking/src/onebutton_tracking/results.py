"""Collect what DVC holds of a pipeline's last run: parameters, metrics, curves, plots, data, the model."""

import csv
import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onebutton_contracts.dvc_files import FINGERPRINTS, Output, outputs, read_stages, read_yaml
from onebutton_contracts.errors import InputError

GATES = "gates.toml"
VERDICTS = "verdicts.json"
CURVES = "curves/"  # MLflow draws what stands before a slash as a group, and no curve overwrites a metric of its name
DUMMY = "-dummy"  # ends the name of a copy of a pipeline that ran on dummy data, and so of its experiment and model


@dataclass(frozen=True)
class Results:
    """One pipeline's results, as its `dvc.lock` describes them."""

    folder: Path  # of the pipeline, whose name is the pipeline's
    lock_digest: str  # SHA-256 of its `dvc.lock`: equal digest, equal results
    lock: Mapping[str, Any]  # its stages
    params: dict[str, str]  # every parameter that a stage used, by dotted name
    metrics: dict[str, float]  # every number of the metrics files, by dotted name
    headline: str  # the metric that `gates.toml` lets decide; empty where it names none
    gates: str  # `passed`, or which failed or could not be judged; empty without verdicts
    plots: dict[str, Mapping[str, Any]]  # files with the data of plots, relative to the folder, with their options
    model: Path | None  # the ONNX file that ships, if there is one


def file_digest(file: Path) -> str:
    """Hash a file (SHA-256), as the mirror writes it into tags; empty when there is none."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def lock_digest(folder: Path) -> str:
    """Hash a pipeline's `dvc.lock` (SHA-256); refuse a pipeline that was never run."""
    lock = folder / "dvc.lock"
    if not (digest := file_digest(lock)):
        raise InputError(f"{lock} is missing: the pipeline was never run to its end. `make run` does it")
    return digest


def collect(folder: Path) -> Results:
    """Read a pipeline's results.

    Raises:
        InputError: a file that `dvc.yaml` names is missing or malformed.
    """
    lock, metrics = read_stages(folder / "dvc.lock"), all_metrics(folder)
    used = [values for stage in lock.values() for values in stage.get("params", {}).items()]
    # how a model is judged is nothing to turn
    params = {name: str(one) for file, values in used if file != GATES for name, one in flatten(values).items()}
    judging = tomllib.loads(_text(folder / GATES)).get("judging", {}) if (folder / GATES).is_file() else {}
    headline = f"model.{judging.get('champion')}"
    written = [out["path"] for stage in lock.values() for out in stage.get("outs", [])]
    return Results(
        folder=folder,
        lock_digest=lock_digest(folder),
        lock=lock,
        params=params,
        metrics=metrics,
        headline=headline if headline in metrics else "",
        gates=_gates(folder / VERDICTS),
        plots=declared_plots(read_yaml(folder / "dvc.yaml"), lock),
        model=next((folder / path for path in written if path.endswith("model.onnx")), None),
    )


def all_metrics(folder: Path) -> dict[str, float]:
    """Read every number of a pipeline's metrics files, by dotted name."""
    plan, lock = read_yaml(folder / "dvc.yaml").get("stages") or {}, read_stages(folder / "dvc.lock")
    files = outputs(plan, lock, "metrics")
    return {name: number for one in files for name, number in read_metrics(_text(folder / one.path), one).items()}


def read_metrics(text: str, file: Output) -> dict[str, float]:
    """Read the numbers of a metrics file by dotted name, under `foreach` and `matrix` below the key of the stage."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"{file.path} cannot be read ({error}). `make run` writes it again") from None
    key = re.sub(r"[^\w./ -]", "_", file.stage.partition("@")[2])
    flat = flatten(content if isinstance(content, dict) else {"metrics": content}, f"{key}." if key else "")
    return {name: value for name, value in flat.items() if isinstance(value, int | float)}


def declared_plots(plan: Mapping[str, Any], lock: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """List the plots that a `dvc.yaml` declares, at its stages or at its end, each with its options."""
    at_stages = {one.path: one.options for one in outputs(plan.get("stages") or {}, lock, "plots")}
    return at_stages | {one.path: one.options for one in outputs({"": plan}, {}, "plots")}


def _gates(verdicts: Path) -> str:
    """Sum the verdicts up; a gate that needs a running server is judged by `make deploy` and says nothing of the results."""
    found = json.loads(_text(verdicts)) if verdicts.is_file() else {}
    failed = [name for name, one in found.items() if one.get("result") == "failed"]
    idle = [name for name, one in found.items() if one.get("result") == "NOT RUN" and one.get("check") != "service"]
    words = [f"failed: {', '.join(failed)}"] * bool(failed) + [f"NOT RUN: {', '.join(idle)}"] * bool(idle)
    return "; ".join(words) or ("passed" if found else "")


def produced_files(folder: Path) -> list[Path]:
    """List the files in git that a run of a pipeline may change, relative to its folder; fingerprints left out."""
    lock = folder / "dvc.lock"
    written = outputs(read_stages(folder / "dvc.yaml"), read_stages(lock) if lock.is_file() else {})
    kept = [one.path for one in written if one.options.get("cache") is False]
    return [Path("dvc.lock"), *(Path(path) for path in kept if not path.startswith(FINGERPRINTS))]


def locked_digests(lock: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Take the MD5s out of the stages of a `dvc.lock`: of all that they read or wrote, and by stage of their fingerprints."""
    entries = [entry for stage in lock.values() for side in ("deps", "outs") for entry in stage.get(side, [])]
    found = {entry["path"]: entry["md5"] for entry in entries if "md5" in entry}
    code = {path.removeprefix(FINGERPRINTS): found.pop(path) for path in [*found] if path.startswith(FINGERPRINTS)}
    return found, code


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested mappings into one with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        path = f"{prefix}{name}"
        flat |= flatten(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return flat


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}). `make run` writes it again") from None


def curves(plot: Path, x: Any) -> Iterator[tuple[str, float, int]]:
    """Take a plot over a whole number as curves: the points of every other column of numbers, `curves/<plot>.<column>`."""
    rows = list(csv.DictReader(_text(plot).splitlines())) if plot.suffix == ".csv" else []
    if not rows or not all((row.get(x) or "").lstrip("-").isdigit() for row in rows):
        return
    for column in [name for name in rows[0] if name != x]:
        with suppress(ValueError):  # a column of words
            points = [(f"{CURVES}{plot.stem}.{column}", float(row[column]), int(row[x])) for row in rows if row[column]]
            yield from points
