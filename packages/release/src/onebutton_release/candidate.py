"""Make the release of the results in a checkout: gates, candidate, the server measured on it, seal."""

import hashlib
import json
import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from onebutton_contracts.dvc_files import read_stages
from onebutton_contracts.errors import InputError, require
from onebutton_evaluation.card import read_card
from onebutton_evaluation.checks import SERVICE, Verdict
from onebutton_evaluation.gatekeeping import RESULTS, gate_folder, is_draft, table
from onebutton_evaluation.pages import render
from onebutton_evaluation.recompute import compute
from onebutton_models.scoring import OnnxModel
from onebutton_release.champion import check_champion, release_of_champion
from onebutton_release.declared import Declared, compile_schema, declared
from onebutton_release.measurement import in_words, measured
from onebutton_release.moves import say, whole
from onebutton_release.sbom import SBOM, bill_of_materials
from onebutton_release.target import Target, pipeline_named, pipelines_to_ship, who
from onebutton_serving.history import now
from onebutton_serving.loading import GOLDEN, MODEL, quantile_file
from onebutton_serving.schema import SCHEMA, schema_text
from onebutton_serving.sealed import MANIFEST, digest_of, seal
from onebutton_tracking.commit import git, read_commit
from onebutton_tracking.results import file_digest, lock_digest, locked_digests

FORMAT = b"release 1"


def release_of_results(target: Target, in_service: str) -> Path:
    """Return the release of the results in this checkout; one that is in the release store already is not built again.

    Where the version that is in service at the target is of these results, no gate is asked: its own champion would stop it.

    Raises:
        InputError: a gate is not passed, or something is not as it must be to be released.
        ReleaseError: a release of these results is there and damaged.
    """
    one = declared(target.folder)
    check_no_draft(target, draft=one.draft)
    name = version_of(one.folder)
    # the same results may have been released under the day of another commit
    again = next((one for one in target.store.releases() if one.endswith(name[8:])), "")
    if again and again == in_service:
        return whole(target, again)
    if not target.environment.laptop:
        why = "something that makes this model is not committed, so nobody else could make it again"
        remedy = "Commit it, then press again; an environment that says `laptop = true` takes it as it is"
        require(not read_commit(one.folder).dirty, f"{why}. {remedy}")
        check_champion(target.root, one.folder)
    say("computing every judged number again, from the model and the holdout")
    computed = compute(one.folder, release_of_champion(target.root, one.folder))
    if not one.draft:  # before anything is measured
        service = {gate.id for gate in one.said.gates if gate.check == "service"}
        _check_gates(one, target, [gate for gate in gate_folder(one.folder, computed) if gate.id not in service])
    if again:
        say(f"release {again} was made of these very results before")
        return whole(target, again)
    with tempfile.TemporaryDirectory(prefix="onebutton-candidate-") as scratch:
        folder = Path(scratch) / name
        say(f"candidate {name}: model, schema, golden examples, card, provenance, bill of materials")
        build(one, target.root, folder)
        measured(one.folder, folder)
        found = gate_folder(one.folder, computed)
        _check_gates(one, target, found)
        _write(folder / "verdicts.json", {"gates": [verdict._asdict() for verdict in found]})
        shutil.copyfile(one.folder / SERVICE, folder / SERVICE)
        seal(folder)
        target.store.publish(folder)
        say(f"sealed: {len(list(folder.iterdir()))} files, {MANIFEST} {digest_of(folder / MANIFEST)[:12]}")
    return target.fetch(name)


def build(one: Declared, root: Path, folder: Path) -> None:
    """Lay out a candidate in a new folder.

    Raises:
        InputError: a result is missing, or a contract does not describe the model.
    """
    models = [f"model/{name}" for name in (MODEL, GOLDEN, *map(quantile_file, one.said.judging.quantiles.values()))]
    folder.mkdir(parents=True)
    for name in (*models, "data/predictions.parquet", "card.md", "gates.toml"):
        source = one.folder / name
        remedy = "`make pull` fetches it, or `make run` makes it"
        require(source.is_file(), f"{one.folder.name}: {name} is not here, so there is nothing to release. {remedy}")
        shutil.copyfile(source, folder / source.name)
    (folder / "card.html").write_text(render("card.html", **read_card(one.folder, one.said)), encoding="utf-8")
    model = OnnxModel(folder / MODEL)
    schema = compile_schema(one, model.inputs, model.limits)
    (folder / SCHEMA).write_text(schema_text(schema), encoding="utf-8")
    _write(folder / "provenance.json", provenance(one.folder, root))
    (folder / SBOM).write_text(bill_of_materials(root), encoding="utf-8")


def version_of(folder: Path) -> str:
    """Name the release that a pipeline's results make: the day of the commit, and the start of a digest of all it is made of.

    The same results always have the same name, so a release is built once.
    """
    lock_digest(folder)  # refuses a pipeline that was never run
    lock, file = folder / "dvc.lock", folder / "release.toml"
    day = git("log", "-1", "--format=%cs", "--", "dvc.lock", folder=folder).strip()
    if not day:  # never committed, so it is dated by the day of the run
        day = datetime.fromtimestamp(lock.stat().st_mtime, UTC).date().isoformat()
    lines = file.read_bytes().splitlines(keepends=True) if file.is_file() else []
    beside = b"".join(line for line in lines if not line.startswith(b"port"))  # which is no part of a release
    made_of = FORMAT + lock.read_bytes() + beside + (b"draft" if is_draft(folder) else b"")
    return f"{day.replace('-', '')}-{hashlib.sha256(made_of).hexdigest()[:8]}"


def provenance(folder: Path, root: Path) -> dict[str, Any]:
    """Write down what made the release of the results in a pipeline's folder."""
    data, code = locked_digests(read_stages(folder / "dvc.lock"))
    commit = read_commit(folder)
    return {
        "pipeline": folder.name,
        "commit": commit.sha,
        "branch": commit.branch,
        "dirty": commit.dirty,
        "sources": commit.sources,
        "built_at": now(),
        "built_by": who()[0],
        "python": platform.python_version(),
        "machine": platform.machine(),
        "dvc.lock": lock_digest(folder),
        "uv.lock": file_digest(root / "uv.lock"),
        "params.yaml": file_digest(folder / "params.yaml"),
        "data": data,
        "code": code,
    }


def _write(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def check_no_draft(target: Target, *, draft: bool) -> None:
    """Keep what is still being tried out on a laptop."""
    require(
        target.environment.laptop or not draft,
        f"{target.pipeline} is a draft, which goes to an environment with `laptop = true` alone. When it is meant for others "
        f"answer what card.toml asks, take `draft = true` out of pipelines/{target.pipeline}/pyproject.toml, then `make run`",
    )


def _check_gates(one: Declared, target: Target, found: Sequence[Verdict]) -> None:
    """Refuse a model of which a gate is not passed, and say so of a draft; a laptop believes what cannot be computed again."""
    bad = [verdict for verdict in found if verdict.result != "passed"]
    if target.environment.laptop:
        bad = [verdict for verdict in bad if (verdict.check, verdict.result) != (RESULTS, "NOT RUN")]
    if not bad:
        return
    lines = "\n".join(table(bad))
    if one.draft:
        say(f"not passed, which stops nobody while it is a draft:\n{lines}")
        return
    names = ", ".join(f"{verdict.id} ({verdict.result})" for verdict in bad)
    last = f"Nothing was changed. Ask: {one.said.judging.owner}. `make report` shows it all"
    raise InputError(f"{one.folder.name} may not be released: {names}\n{lines}\n{last}")


def measure(root: Path, pipeline: str) -> None:
    """Measure the server on the results of a pipeline, for the service gates; of all that are no drafts when none is named."""
    for name in [pipeline_named(pipeline, root)] if pipeline else pipelines_to_ship(root):
        folder = root / "pipelines" / name
        if not pipeline and is_draft(folder):
            continue
        with tempfile.TemporaryDirectory(prefix="onebutton-candidate-") as scratch:
            built = Path(scratch) / version_of(folder)
            build(declared(folder), root, built)
            print(f"gates: measured {name}: {in_words(measured(folder, built))}", flush=True)
