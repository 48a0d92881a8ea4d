"""Build a release candidate: everything that a release holds, in a folder that is sealed once every gate has passed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError
from onebutton_evaluation.checks import SERVICE
from onebutton_evaluation.gatekeeping import gate_folder
from onebutton_evaluation.integrity import locked_sizes
from onebutton_evaluation.recompute import Computed
from onebutton_evaluation.verdicts import Verdict
from onebutton_models.scoring import OnnxModel, ScoringError
from onebutton_release.compiled import compile_schema
from onebutton_release.declared import Declared
from onebutton_release.pickle_scan import pickles
from onebutton_release.provenance import provenance
from onebutton_release.sbom import SBOM, bill_of_materials
from onebutton_serving.loading import GOLDEN, MODEL, load_release, quantile_file
from onebutton_serving.schema import SCHEMA, schema_text
from onebutton_serving.sealed import ReleaseError, digest_of, seal

VERDICTS = "verdicts.json"
PREDICTIONS = "predictions.parquet"


def build(one: Declared, root: Path, folder: Path, now: str, who: str) -> None:
    """Lay out a candidate: model, schema, golden examples, card, provenance, bill of materials.

    Args:
        one: what the pipeline declares.
        root: of the repo.
        folder: where to put it; it must not be there yet.
        now: the time of the build.
        who: builds it.

    Raises:
        InputError: a result is missing, a contract does not describe the model, or a file holds a pickle.
    """
    parts = one.parts
    files = {
        MODEL: parts.model,
        GOLDEN: parts.golden,
        PREDICTIONS: parts.predictions,
        "card.md": "card.md",
        "card.html": "card.html",
        "gates.toml": "gates.toml",
    } | {quantile_file(name): f"model/{quantile_file(name)}" for name in one.said.judging.quantiles.values()}
    missing = [name for name in files.values() if not (one.folder / name).is_file()]
    if missing:
        known = locked_sizes(one.folder)
        button = "`make pull` fetches it, or `make run` makes it" if missing[0] in known else "`make run` makes it"
        message = f"{one.pipeline}: {missing[0]} is not here, so there is nothing to release. {button}"
        raise InputError(message)
    folder.mkdir(parents=True)
    for name, source in files.items():
        shutil.copyfile(one.folder / source, folder / name)
    try:
        model = OnnxModel(folder / MODEL)
    except (ScoringError, KeyError) as error:
        message = f"{one.pipeline}: {parts.model}: {error}"
        raise InputError(message) from None
    schema = compile_schema(one, model.inputs, model.limits)
    (folder / SCHEMA).write_text(schema_text(schema), encoding="utf-8")
    origin = json.dumps(provenance(one.folder, root, now, who), indent=1)
    (folder / "provenance.json").write_text(f"{origin}\n", encoding="utf-8")
    (folder / SBOM).write_text(bill_of_materials(root), encoding="utf-8")
    if found := pickles(folder):
        message = f"{one.pipeline}: {found[0]}. A model is data, not a program: nothing was released"
        raise InputError(message)


def service_numbers(pipeline: Path) -> dict[str, Any] | None:
    """Return what was measured of the server on the model that is here; None when nothing was, or of another model."""
    try:
        numbers: dict[str, Any] = json.loads((pipeline / SERVICE).read_text(encoding="utf-8"))
        model = digest_of(pipeline / "model/model.onnx")
    except (OSError, ValueError):
        return None
    return numbers if numbers.get("model_sha256") == model else None


def unmet(found: Sequence[Verdict]) -> list[Verdict]:
    """List the gates that are not passed: what could not be judged does not ship."""
    return [one for one in found if one.result != "passed"]


def judge(one: Declared, candidate: Path, computed: Computed) -> list[Verdict]:
    """Hold what the model says to every gate, the measured service included, and write the verdicts into the candidate."""
    found = gate_folder(one.folder, computed)
    verdicts = json.dumps({"gates": [asdict(verdict) for verdict in found]}, indent=1)
    (candidate / VERDICTS).write_text(f"{verdicts}\n", encoding="utf-8")
    if (one.folder / SERVICE).is_file():  # a pipeline without gates on its service may have none
        shutil.copyfile(one.folder / SERVICE, candidate / SERVICE)
    return found


def finish(candidate: Path) -> None:
    """Seal a candidate, and load it once as the server will.

    Raises:
        InputError: it would be refused.
    """
    try:
        seal(candidate)
        load_release(candidate)
    except ReleaseError as error:
        raise InputError(str(error)) from None
