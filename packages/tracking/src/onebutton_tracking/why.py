"""Tell what stands behind a model, a run or a file: from the tags that the mirror wrote, and from git. The work of `make why`."""

from __future__ import annotations

import hashlib
import json
import textwrap
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebutton_contracts.errors import InputError
from onebutton_tracking import lookup
from onebutton_tracking.commit import git
from onebutton_tracking.entry import BRANCH_TAG, COMMIT_TAG, GATES_TAG
from onebutton_tracking.model import PROMOTED
from onebutton_tracking.results import CURVES
from onebutton_tracking.store import DIRTY_TAG, LOCK_TAG, PIPELINE_TAG, check_there, connect, tracking_uri

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

CARD = "card.toml"
CHOSEN = {"chosen_because": "chosen", "also_tried": "also tried"}
WIDTH = 104  # of a line of prose
SHORT = 12  # characters of a digest
SLICE = 2  # dots in the name of a metric that is about a part of the data, such as `by_month.07.auc`


def trace(run: Run, version: ModelVersion | None, root: Path) -> dict[str, Any]:
    """Collect the lineage of a run, from its tags and from git: what `make why JSON=1` prints."""
    tags = run.data.tags
    inputs = run.inputs.dataset_inputs if run.inputs else []
    sha = tags.get(COMMIT_TAG, "")
    shown = git("show", "--no-patch", "--format=%an <%ae>%x00%cI%x00%s", sha, folder=root) if sha else ""
    author, date, words = shown.strip().split("\0") if shown else ("", "", "")

    def under(kind: str) -> dict[str, str]:
        prefix = f"onebutton.{kind}."
        return {key.removeprefix(prefix): text for key, text in sorted(tags.items()) if key.startswith(prefix)}

    return {
        "run_id": run.info.run_id,
        "pipeline": tags[PIPELINE_TAG],
        "lock_digest": tags[LOCK_TAG],
        "finished": run.info.end_time or run.info.start_time,
        "model": f"{version.name} version {version.version}" if version else "",
        "promoted": {alias: version.tags.get(f"{PROMOTED}{alias}", "") for alias in version.aliases} if version else {},
        "chosen": _chosen(tags, root),
        "gates": tags.get(GATES_TAG, ""),
        "commit": {"sha": sha, "branch": tags.get(BRANCH_TAG, ""), "author": author, "date": date, "subject": words},
        "dirty": tags.get(DIRTY_TAG) == "true",
        "data": {
            one.dataset.name: {
                "digest": one.dataset.digest,
                "read_by": next((tag.value for tag in one.tags if tag.key == "mlflow.data.context"), ""),
            }
            for one in sorted(inputs, key=lambda one: one.dataset.name)
        },
        "params": dict(run.data.params),
        "metrics": dict(run.data.metrics),
        "environment": {name: tags.get(f"onebutton.{name.replace('.', '_')}", "") for name in ("uv.lock", "machine")},
        "seconds": {name: float(text) for name, text in under("seconds").items()},
        "peak_mb": {name: float(text) for name, text in under("peak_mb").items()},
        "code": under("code"),
        "outputs": under("md5"),
    }


def _chosen(tags: Mapping[str, str], root: Path) -> dict[str, str]:
    """Read why the model was chosen from the card that the run read: as it was committed, or as it still stands here."""
    path = f"pipelines/{tags[PIPELINE_TAG]}/{CARD}"
    here = (root / path).read_text(encoding="utf-8") if (root / path).is_file() else ""
    for text in (git("show", f"{tags.get(COMMIT_TAG, '')}:{path}", folder=root), here):
        if hashlib.md5(text.encode()).hexdigest() == tags.get(f"onebutton.md5.{CARD}"):  # noqa: S324  DVC's own
            card = tomllib.loads(text)
            return {name: " ".join(card[name].split()) for name in CHOSEN if card.get(name)}
    return {}


def page(found: Mapping[str, Any]) -> str:
    """Lay a lineage out for a terminal; `JSON=1` has every value."""
    aliases = f" (@{', @'.join(found['promoted'])})" if found["promoted"] else ""
    when = datetime.fromtimestamp(found["finished"] / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    shown = [f"{found['model'] or found['pipeline']}{aliases}: run {found['run_id'][:8]} of {when}"]
    metrics, environment = found["metrics"].items(), found["environment"]
    took = [
        f"{name} {taken:.1f} s" + (f", {found['peak_mb'][name]:.0f} MB" if name in found["peak_mb"] else "")
        for name, taken in found["seconds"].items()
    ]
    points = [f"@{alias} points here{words and ': '}{words}" for alias, words in found["promoted"].items()]
    parts = {CHOSEN[name]: textwrap.wrap(words, WIDTH) for name, words in found["chosen"].items()} | {
        "gates": [found["gates"]],
        "commit": _commit_words(found),
        "data": [f"{name}  {one['digest'][:SHORT]}  read by {one['read_by']}" for name, one in found["data"].items()],
        "params": [f"{name} = {text}" for name, text in found["params"].items()],
        "metrics": [f"{name} = {n:.6g}" for name, n in metrics if name.count(".") < SLICE and CURVES not in name],
        "environment": [f"uv.lock {environment['uv.lock'][:SHORT]}", environment["machine"]],
        "took": ["; ".join(took)],
        "promoted": points or ["no alias points here"] * bool(found["model"]),
    }
    for label, lines in parts.items():
        shown += [f"  {'' if number else label:<11} {words}" for number, words in enumerate(filter(None, lines))]
    return "\n".join(shown)


def _commit_words(found: Mapping[str, Any]) -> list[str]:
    commit = found["commit"]
    if not commit["sha"]:
        return ["none: the run was made outside git"]
    lines = [f"{commit['sha'][:SHORT]} on {commit['branch'] or 'no branch'}"]
    if commit["author"]:
        lines += [commit["subject"], f"{commit['author']}, {commit['date']}"]
    else:
        lines.append("it is not in this clone: `git fetch --all` may bring it, or it was made in another repository")
    return [*lines, *["and sources that are in no commit: MLflow keeps them as sources/patch.diff"] * found["dirty"]]


def why(*, root: Path, model: str = "", run: str = "", file: str = "", json_: bool = False) -> None:
    """Print what stands behind one model, run or file; refuse to say it of none or of several."""
    if sum(map(bool, (model, run, file))) != 1:  # before MLflow is imported, which takes seconds
        example = "MODEL=flight_delays, RUN=3f2a91c0 or FILE=pipelines/flight_delays/metrics.json"
        raise InputError(f"one of {example} says what to look at")
    uri = tracking_uri(root)
    check_there(uri)
    with connect(uri) as client:
        if model:
            found = trace(*lookup.find_model(client, model), root)
        else:
            found = trace(lookup.find_run(client, run) if run else lookup.find_file(client, root / file), None, root)
    print(json.dumps(found, indent=1) if json_ else page(found))
