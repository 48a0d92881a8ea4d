"""Tell what stands behind a model, a run or a file: from the tags that the mirror wrote, and from git. The work of `make why`."""

from __future__ import annotations

import hashlib
import json
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError
from onebutton_tracking import lookup
from onebutton_tracking.commit import git
from onebutton_tracking.entry import BRANCH_TAG, COMMIT_TAG, GATES_TAG
from onebutton_tracking.lookup import Subject
from onebutton_tracking.model import PROMOTED
from onebutton_tracking.results import CURVES
from onebutton_tracking.store import DIRTY_TAG, LOCK_TAG, PIPELINE_TAG, check_there, connect, tracking_uri

CARD = "card.toml"
CHOSEN = {"chosen_because": "chosen", "also_tried": "also tried"}
WIDTH = 104  # of a line of prose
SHORT = 12  # characters of a digest
SLICE = 2  # dots in the name of a metric that is about a part of the data, such as `by_month.07.auc`


def trace(subject: Subject, root: Path) -> dict[str, Any]:
    """Collect the lineage of a run, from its tags and from git: what `make why JSON=1` prints."""
    run, version, tags = subject.run, subject.version, subject.run.data.tags
    inputs = run.inputs.dataset_inputs if run.inputs else []
    sha = tags.get(COMMIT_TAG, "")
    shown = git("show", "--no-patch", "--format=%an <%ae>%x00%cI%x00%s", sha, folder=root) if sha else ""
    author, date, words = shown.strip().split("\0") if shown else ("", "", "")
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
            entry.dataset.name: {
                "digest": entry.dataset.digest,
                "source": entry.dataset.source,
                "read_by": next((tag.value for tag in entry.tags if tag.key == "mlflow.data.context"), ""),
            }
            for entry in sorted(inputs, key=lambda one: one.dataset.name)
        },
        "params": dict(run.data.params),
        "metrics": dict(run.data.metrics),
        "environment": {name: tags.get(f"onebutton.{name.replace('.', '_')}", "") for name in ("uv.lock", "machine")},
        "seconds": {name: float(text) for name, text in _under("onebutton.seconds.", tags).items()},
        "peak_mb": {name: float(text) for name, text in _under("onebutton.peak_mb.", tags).items()},
        "code": _under("onebutton.code.", tags),
        "outputs": _under("onebutton.md5.", tags),
    }


def _under(prefix: str, tags: Mapping[str, str]) -> dict[str, str]:
    return {key.removeprefix(prefix): text for key, text in sorted(tags.items()) if key.startswith(prefix)}


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
    for label, lines in _parts(found):
        shown += [f"  {'' if number else label:<11} {words}" for number, words in enumerate(filter(None, lines))]
    return "\n".join(shown)


def _parts(found: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for name, words in found["chosen"].items():
        yield CHOSEN[name], textwrap.wrap(words, WIDTH)
    yield "gates", [found["gates"]]
    yield "commit", _commit_words(found)
    yield "data", [f"{name}  {entry['digest'][:SHORT]}  {_source(entry)}" for name, entry in found["data"].items()]
    yield "params", [f"{name} = {text}" for name, text in found["params"].items()]
    metrics = found["metrics"].items()
    wanted = [f"{name} = {number:.6g}" for name, number in metrics if name.count(".") < SLICE and CURVES not in name]
    yield "metrics", wanted
    yield "environment", [f"uv.lock {found['environment']['uv.lock'][:SHORT]}", found["environment"]["machine"]]
    peaks = {stage: f", {peak:.0f} MB" for stage, peak in found["peak_mb"].items()}
    yield "took", ["; ".join(f"{name} {taken:.1f} s{peaks.get(name, '')}" for name, taken in found["seconds"].items())]
    if found["model"]:
        points = [f"@{alias} points here{words and ': '}{words}" for alias, words in found["promoted"].items()]
        yield "promoted", points or ["no alias points here"]


def _commit_words(found: Mapping[str, Any]) -> list[str]:
    commit = found["commit"]
    if not commit["sha"]:
        return ["none: the run was made outside git"]
    lines = [f"{commit['sha'][:SHORT]} on {commit['branch'] or 'no branch'}"]
    if commit["author"]:
        lines += [commit["subject"], f"{commit['author']}, {commit['date']}"]
    else:
        lines.append("it is not in this clone: `git fetch --all` may bring it, or it was made in another repository")
    if found["dirty"]:
        lines.append("and sources that are in no commit: MLflow keeps them as sources/patch.diff")
    return lines


def _source(entry: Mapping[str, str]) -> str:
    source = json.loads(entry["source"])
    if "sourceFile" in source:
        return f"{source['sourceFile']} of {source['sourceDistribution']}"
    return f"read by {entry['read_by']}"


def why(root: Path, *, model: str = "", run: str = "", file: str = "", as_json: bool = False) -> None:
    """Print what stands behind one model, run or file; the work of `make why`.

    Raises:
        InputError: it is not there, or it was asked about in no or in several ways.
        StoreError: MLflow cannot be asked.
    """
    if sum(map(bool, (model, run, file))) != 1:  # before MLflow is imported, which takes seconds
        message = (
            "one of MODEL=flight_delays, RUN=3f2a91c0 or FILE=pipelines/flight_delays/metrics.json says what to look at"
        )
        raise InputError(message)
    uri = tracking_uri(root)
    check_there(uri)
    with connect(uri) as client:
        if model:
            subject = lookup.find_model(client, model)
        else:
            subject = Subject(lookup.find_run(client, run) if run else lookup.find_file(client, root / file))
        found = trace(subject, root)
    print(json.dumps(found, indent=1) if as_json else page(found))
