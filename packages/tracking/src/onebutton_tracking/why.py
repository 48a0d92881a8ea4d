"""Tell what stands behind a model, a run or a file: from the tags that the mirror wrote, and from git. The work of `make why`."""

from __future__ import annotations

import hashlib
import json
import textwrap
import tomllib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from onebutton_contracts.errors import InputError
from onebutton_tracking import lookup
from onebutton_tracking.commit import git
from onebutton_tracking.entry import BRANCH_TAG, COMMIT_TAG, GATES_TAG
from onebutton_tracking.model import PROMOTED
from onebutton_tracking.results import CURVES
from onebutton_tracking.store import DIRTY_TAG, PIPELINE_TAG, check_there, connect, tracking_uri

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

CARD = "card.toml"
CHOSEN = {"chosen_because": "chosen", "also_tried": "also tried"}
WIDTH = 104  # of a line of prose
SHORT = 12  # characters of a digest
SLICE = 2  # dots in the name of a metric that is about a part of the data, such as `by_month.07.auc`


def page(run: Run, version: ModelVersion | None, root: Path) -> str:
    """Lay the lineage of a run, and of the version of a model that it made, out for a terminal."""
    tags, when = run.data.tags, datetime.fromtimestamp((run.info.end_time or run.info.start_time) / 1000, UTC)
    name = f"{version.name} version {version.version}" if version else tags[PIPELINE_TAG]
    aliases = f" (@{', @'.join(version.aliases)})" if version and version.aliases else ""
    shown = [f"{name}{aliases}: run {run.info.run_id[:8]} of {when:%Y-%m-%d %H:%M} UTC"]
    parts: dict[str, Iterable[str]] = {
        **_chosen(tags, root),
        "gates": [tags.get(GATES_TAG, "")],
        "commit": _commit(tags, root),
        "data": _data(run),
        "params": [f"{name} = {text}" for name, text in sorted(run.data.params.items())],
        "metrics": [
            f"{name} = {number:.6g}"
            for name, number in sorted(run.data.metrics.items())
            if name.count(".") < SLICE and CURVES not in name
        ],
        "environment": [f"uv.lock {tags.get('onebutton.uv_lock', '')[:SHORT]}", tags.get("onebutton.machine", "")],
        "took": ["; ".join(_took(tags))],
        "promoted": _promoted(version) if version else [],
    }
    for label, lines in parts.items():
        shown += [f"  {'' if number else label:<11} {words}" for number, words in enumerate(filter(None, lines))]
    return "\n".join(shown)


def _chosen(tags: dict[str, str], root: Path) -> dict[str, list[str]]:
    """Read why the model was chosen from the card that the run read: as it was committed, or as it still stands here."""
    path = f"pipelines/{tags[PIPELINE_TAG]}/{CARD}"
    here = (root / path).read_text(encoding="utf-8") if (root / path).is_file() else ""
    for text in (git("show", f"{tags.get(COMMIT_TAG, '')}:{path}", folder=root), here):
        if hashlib.md5(text.encode()).hexdigest() == tags.get(f"onebutton.md5.{CARD}"):  # noqa: S324  DVC's own
            card = tomllib.loads(text)
            return {
                words: textwrap.wrap(" ".join(card[name].split()), WIDTH)
                for name, words in CHOSEN.items()
                if card.get(name)
            }
    return {}


def _commit(tags: dict[str, str], root: Path) -> Iterator[str]:
    sha = tags.get(COMMIT_TAG, "")
    if not sha:
        yield "none: the run was made outside git"
        return
    yield f"{sha[:SHORT]} on {tags.get(BRANCH_TAG) or 'no branch'}"
    told = git("show", "--no-patch", "--format=%s%n%an <%ae>, %cI", sha, folder=root).splitlines()
    yield from told or ["it is not in this clone: `git fetch --all` may bring it, or it was made in another repository"]
    if tags.get(DIRTY_TAG) == "true":
        yield "and sources that are in no commit: MLflow keeps them as sources/patch.diff"


def _data(run: Run) -> Iterator[str]:
    for one in sorted(run.inputs.dataset_inputs if run.inputs else [], key=lambda one: one.dataset.name):
        readers = next((tag.value for tag in one.tags if tag.key == "mlflow.data.context"), "")
        yield f"{one.dataset.name}  {one.dataset.digest[:SHORT]}  read by {readers}"


def _took(tags: dict[str, str]) -> Iterator[str]:
    prefix = "onebutton.seconds."
    for stage in sorted(key.removeprefix(prefix) for key in tags if key.startswith(prefix)):
        peak = tags.get(f"onebutton.peak_mb.{stage}")
        yield f"{stage} {tags[prefix + stage]} s" + (f", {peak} MB" if peak else "")


def _promoted(version: ModelVersion) -> list[str]:
    said = {alias: version.tags.get(f"{PROMOTED}{alias}", "") for alias in version.aliases}
    points = [f"@{alias} points here{words and ': '}{words}" for alias, words in said.items()]
    return points or ["no alias points here"]


def why(*, root: Path, model: str = "", run: str = "", file: str = "", json_: bool = False) -> None:
    """Print what stands behind one model, run or file; with JSON all that MLflow holds of its run."""
    if sum(map(bool, (model, run, file))) != 1:  # before MLflow is imported, which takes seconds
        example = "MODEL=flight_delays, RUN=3f2a91c0 or FILE=pipelines/flight_delays/metrics.json"
        raise InputError(f"one of {example} says what to look at")
    uri = tracking_uri(root)
    check_there(uri)
    version: ModelVersion | None = None
    with connect(uri) as client:
        if model:
            found, version = lookup.find_model(client, model)
        else:
            found = lookup.find_run(client, run) if run else lookup.find_file(client, root / file)
    print(json.dumps(found.to_dictionary(), indent=1) if json_ else page(found, version, root))
