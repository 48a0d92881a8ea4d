"""The lineage of a model, a run or a metric: read from the tags that the mirror wrote, and from git."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebutton_tracking.commit import git
from onebutton_tracking.entry import BRANCH_TAG, COMMIT_TAG
from onebutton_tracking.lookup import Subject, all_runs
from onebutton_tracking.promotion import promoted_words
from onebutton_tracking.store import DIRTY_TAG, LOCK_TAG, PIPELINE_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

CARD = "card.toml"


@dataclass(frozen=True)
class Change:
    """Something that differs between two runs; None on the side that lacks it."""

    old: Any
    new: Any


@dataclass(frozen=True)
class Lineage:
    """What a number was made from, and how that differs from the run before.

    Attributes:
        model: name and version; empty for a run without one.
        aliases: that point at that version now: `champion` is the one that was promoted.
        promoted: for each of them who pointed it there, when and why.
        chosen: `chosen_because` and `also_tried` of the card that was read; empty where that card is not here.
        commit: `sha`, `branch`, `author`, `date`, `subject`; the last three are empty where the commit is not in this clone.
        dirty: whether the sources were in no commit; MLflow keeps the patch.
        data: each data set with `digest`, `source` and `read_by`.
        environment: digest of `uv.lock`, and the machine.
        seconds: that each stage took which ran then.
        code: digest of the fingerprint of each stage.
        outputs: MD5 of every file that the stages read or wrote.
        upstream: runs of other pipelines whose outputs were read.
        before: the version or run before; empty for the first.
        changes: what differs from the one before: `params`, `code`, `data`, `metrics`, `environment`.
    """

    run_id: str
    pipeline: str
    lock_digest: str
    finished: int
    model: str
    aliases: list[str]
    promoted: list[str]
    commit: dict[str, str]
    dirty: bool
    data: dict[str, dict[str, str]]
    params: dict[str, str]
    metrics: dict[str, float]
    environment: dict[str, str]
    seconds: dict[str, float]
    code: dict[str, str]
    outputs: dict[str, str]
    chosen: dict[str, str] = field(default_factory=dict)
    upstream: list[str] = field(default_factory=list)
    before: str = ""
    changes: dict[str, dict[str, Change]] = field(default_factory=dict)


def trace(client: MlflowClient, subject: Subject, folder: Path) -> Lineage:
    """Collect the lineage of a run, and how it differs from the one before.

    Args:
        client: of the store.
        subject: what is asked about.
        folder: of the repo, to ask git.
    """
    lineage = _read(subject, folder)
    before = _before(client, subject)
    upstream = _upstream(client, lineage)
    if before is None:
        return Lineage(**vars(lineage) | {"upstream": upstream})
    earlier = _read(before, folder)
    name = earlier.model or f"run {earlier.run_id[:8]}"
    return Lineage(**vars(lineage) | {"upstream": upstream, "before": name, "changes": changes(earlier, lineage)})


def changes(old: Lineage, new: Lineage) -> dict[str, dict[str, Change]]:
    """Compare two runs: what went in first, what came out last."""
    pairs: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
        "params": (old.params, new.params),
        "code": (old.code, new.code),
        "data": (_digests(old), _digests(new)),
        "environment": (_locked(old), _locked(new)),
        "metrics": (old.metrics, new.metrics),
    }
    return {part: _different(*both) for part, both in pairs.items() if _different(*both)}


def _digests(lineage: Lineage) -> dict[str, str]:
    return {name: entry["digest"] for name, entry in lineage.data.items()}


def _locked(lineage: Lineage) -> dict[str, str]:
    return {"uv.lock": lineage.environment["uv.lock"]}


def _different(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Change]:
    names = dict.fromkeys([*old, *new])
    return {name: Change(old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}


def _read(subject: Subject, folder: Path) -> Lineage:
    run, tags = subject.run, subject.run.data.tags
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return Lineage(
        run_id=run.info.run_id,
        pipeline=tags[PIPELINE_TAG],
        lock_digest=tags[LOCK_TAG],
        finished=run.info.end_time or run.info.start_time,
        model=f"{subject.version.name} version {subject.version.version}" if subject.version else "",
        aliases=sorted(subject.version.aliases) if subject.version else [],
        promoted=[promoted_words(alias, subject.version.tags) for alias in sorted(subject.version.aliases)]
        if subject.version
        else [],
        commit=_commit(tags, folder),
        dirty=tags.get(DIRTY_TAG) == "true",
        data={
            entry.dataset.name: {
                "digest": entry.dataset.digest,
                "source": entry.dataset.source,
                "read_by": next((tag.value for tag in entry.tags if tag.key == "mlflow.data.context"), ""),
            }
            for entry in sorted(inputs, key=lambda one: one.dataset.name)
        },
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        environment={
            "uv.lock": tags.get("onebutton.uv_lock", ""),
            "machine": tags.get("onebutton.machine", ""),
        },
        seconds={name: float(text) for name, text in _under("onebutton.seconds.", tags).items()},
        code=_under("onebutton.code.", tags),
        outputs=_under("onebutton.md5.", tags),
        chosen=_chosen(tags, folder),
    )


def _chosen(tags: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Read why the model was chosen from the card that the run read: as it was committed, or as it still stands here."""
    path = f"pipelines/{tags[PIPELINE_TAG]}/{CARD}"
    here = (folder / path).read_text(encoding="utf-8") if (folder / path).is_file() else ""
    for text in (git("show", f"{tags.get(COMMIT_TAG, '')}:{path}", folder=folder), here):
        if hashlib.md5(text.encode()).hexdigest() == tags.get(f"onebutton.md5.{CARD}"):  # noqa: S324  DVC's own
            card = tomllib.loads(text)
            return {name: " ".join(card[name].split()) for name in ("chosen_because", "also_tried") if card.get(name)}
    return {}


def _under(prefix: str, tags: Mapping[str, str]) -> dict[str, str]:
    return {key.removeprefix(prefix): text for key, text in sorted(tags.items()) if key.startswith(prefix)}


def _commit(tags: Mapping[str, str], folder: Path) -> dict[str, str]:
    sha = tags.get(COMMIT_TAG, "")
    shown = git("show", "--no-patch", "--format=%an <%ae>%x00%cI%x00%s", sha, folder=folder) if sha else ""
    author, date, subject = shown.strip().split("\0") if shown else ("", "", "")
    return {"sha": sha, "branch": tags.get(BRANCH_TAG, ""), "author": author, "date": date, "subject": subject}


def _before(client: MlflowClient, subject: Subject) -> Subject | None:
    """Find the version before a version, or the run of the same pipeline before a run."""
    if version := subject.version:
        older = [
            one
            for one in client.search_model_versions(f"name = '{version.name}'")
            if int(one.version) < int(version.version)
        ]
        for one in sorted(older, key=lambda one: int(one.version), reverse=True):
            run = next((run for run in all_runs(client) if run.info.run_id == one.run_id), None)
            if run and LOCK_TAG in run.data.tags:
                return Subject(run, one)
        return None
    same = [
        run
        for run in all_runs(client)
        if run.info.experiment_id == subject.run.info.experiment_id and LOCK_TAG in run.data.tags
    ]
    # By the end: a run's start is its end less what its stages took, and stages of two runs can overlap.
    earlier = [run for run in same if run.info.end_time < subject.run.info.end_time]
    return Subject(max(earlier, key=lambda run: int(run.info.end_time))) if earlier else None


def _upstream(client: MlflowClient, lineage: Lineage) -> list[str]:
    """Find the runs of other pipelines that wrote what this one read, such as `../prices/data/daily.parquet`."""
    found = []
    for name, entry in lineage.data.items():
        if not name.startswith("../"):
            continue
        _, pipeline, path = name.split("/", 2)
        key = f"onebutton.md5.{path.replace('/', '.')}"
        for run in all_runs(client):
            tags = run.data.tags
            if tags.get(PIPELINE_TAG) == pipeline and tags.get(key) == entry["digest"]:
                found.append(f"{pipeline} run {run.info.run_id[:8]}")
                break
    return found


def file_digest(file: Path) -> str:
    """Hash a file (SHA-256), as the mirror writes it into tags; empty when there is none."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
