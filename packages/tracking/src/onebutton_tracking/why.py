"""Print the lineage of a model, a run or a metric. The work of `make why`."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebutton_tracking import lookup
from onebutton_tracking.entry import open_store
from onebutton_tracking.lineage import Lineage, trace
from onebutton_tracking.lookup import Subject, UnknownError
from onebutton_tracking.mirror import refusals
from onebutton_tracking.results import CURVES
from onebutton_tracking.store import check_there, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

LABELS = {"chosen_because": "chosen", "also_tried": "also tried"}
WIDTH = 104  # of a line of prose
SHORT = 12  # characters of a digest
SLICE = 2  # dots in the name of a metric that is about a part of the data, such as `by_month.07.auc`


def page(found: Lineage) -> str:
    """Lay a lineage out for a terminal; `JSON=1` has every value."""
    return "\n".join(f"  {label:<11} {words}".rstrip() if label != ">" else words for label, words in _lines(found))


def _lines(found: Lineage) -> Iterator[tuple[str, str]]:
    aliases = f" (@{', @'.join(found.aliases)})" if found.aliases else ""
    when = datetime.fromtimestamp(found.finished / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    yield ">", f"{found.model or found.pipeline}{aliases}: run {found.run_id[:8]} of {when}"
    for name, words in found.chosen.items():
        yield from _part(LABELS[name], textwrap.wrap(words, WIDTH))
    yield from _part("commit", _commit_words(found))
    yield from _part("data", [_data_words(name, entry) for name, entry in found.data.items()])
    yield from _part("params", [f"{name} = {text}" for name, text in found.params.items()])
    wanted = {name: number for name, number in found.metrics.items() if name.count(".") < SLICE and CURVES not in name}
    yield from _part("metrics", [f"{name} = {number:.6g}" for name, number in wanted.items()])
    uv_lock, machine = found.environment["uv.lock"], found.environment["machine"]
    yield from _part("environment", [f"uv.lock {uv_lock[:SHORT]}", machine])
    yield from _part("took", [", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in found.seconds.items())])
    yield from _part("upstream", found.upstream)
    if found.model:
        yield from _part("promoted", found.promoted or ["no alias points here"])
    yield from _part("before", _changes_words(found))


def _part(label: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    for number, words in enumerate(line for line in lines if line):
        yield ("" if number else label), words


def _commit_words(found: Lineage) -> list[str]:
    commit = found.commit
    if not commit["sha"]:
        return ["none: the run was made outside git"]
    lines = [f"{commit['sha'][:SHORT]} on {commit['branch'] or 'no branch'}"]
    if commit["author"]:
        lines += [f"{commit['subject']}", f"{commit['author']}, {commit['date']}"]
    else:
        lines.append("it is not in this clone: `git fetch --all` may bring it, or it was made in another repository")
    if found.dirty:
        lines.append("and sources that are in no commit: MLflow keeps them as sources/patch.diff")
    return lines


def _data_words(name: str, entry: dict[str, str]) -> str:
    source = json.loads(entry["source"])
    origin = f"{source['sourceFile']} of {source['sourceDistribution']}" if "sourceFile" in source else ""
    words = origin or f"read by {entry['read_by']}"
    return f"{name}  {entry['digest'][:SHORT]}  {words}"


def _changes_words(found: Lineage) -> list[str]:
    if not found.before:
        return ["nothing: it is the first"]
    if not found.changes:
        return [f"{found.before}: nothing differs"]
    lines = [f"{found.before}; since then:"]
    for part, changed in found.changes.items():
        if part == "code":
            lines.append(f"  code of {', '.join(changed)}")
        else:
            lines += [f"  {name}: {_value(one.old)} -> {_value(one.new)}" for name, one in changed.items()]
    return lines


def _value(value: Any) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text[:SHORT] if len(text) in {32, 36, 64} else text  # a digest


def question(**values: str) -> tuple[str, str]:
    """Choose what was asked about: model, run or file, and its value.

    Raises:
        UnknownError: it was asked about in no or in several ways.
    """
    asked = [(way.upper(), text) for way, text in values.items() if text]
    if len(asked) != 1:
        message = (
            "one of MODEL=flight_delays, RUN=3f2a91c0 or FILE=pipelines/flight_delays/metrics.json says what to look at"
        )
        raise UnknownError(message)
    return asked[0]


def subject(client: MlflowClient, way: str, text: str, root: Path) -> Subject:
    """Find what was asked about.

    Args:
        client: of the store.
        way: MODEL, RUN or FILE.
        text: which one.
        root: of the repo; FILE is relative to it.

    Raises:
        UnknownError: it is not there.
        ResultsError: FILE is of a pipeline that was never run.
    """
    if way == "MODEL":
        return lookup.find_model(client, text)
    return Subject(lookup.find_run(client, text) if way == "RUN" else lookup.find_file(client, root / text))


def why(root: Path, *, model: str = "", run: str = "", file: str = "", as_json: bool = False) -> None:
    """Print what stands behind one model, run or file; the work of `make why`.

    Raises:
        UnknownError: it is not there, or it was asked about in no or in several ways.
        ResultsError: the file is of a pipeline that was never run.
        StoreError: MLflow cannot be asked.
    """
    uri = tracking_uri(root)
    way, asked = question(model=model, run=run, file=file)  # before MLflow is imported, which takes seconds
    check_there(uri)
    with refusals(uri):
        client = open_store(uri)
        found = trace(client, subject(client, way, asked, root), root)
    print(json.dumps(asdict(found), indent=1) if as_json else page(found))
