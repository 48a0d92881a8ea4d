"""The work of `make monitor`: look at a log and its labels, write the page and the figures, tell who is on call.

.monitoring/production/flight_delays/page.html      weeks, slices, alarms, what to do
                                     monitor.prom   for Prometheus; the server's own /metrics shows it too
                                     told.json      what was told already
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from onebutton_contracts.errors import InputError
from onebutton_evaluation.judgement import write_text
from onebutton_evaluation.pages import render
from onebutton_evaluation.slices import ALL
from onebutton_monitoring.drift import explain
from onebutton_monitoring.joining import join, scan
from onebutton_monitoring.notify import tell
from onebutton_monitoring.seen import Seen, look, replay, score
from onebutton_monitoring.watch import Watch, watch
from onebutton_monitoring.weeks import Week, headline
from onebutton_release.target import Target, find_target, pipeline_named
from onebutton_serving.history import in_service
from onebutton_serving.loading import MODEL
from onebutton_serving.segments import read_log

STATE = Path(".monitoring")


def monitor(root: Path, pipeline: str, environment: str, labels: str, now: datetime | None = None) -> int:
    """Look once; return 1 where an alarm stands.

    Args:
        root: of the repository.
        pipeline: as typed; may be empty where there is one.
        environment: as typed; production where empty.
        labels: a file or a pattern, as typed; where empty, as `monitor.toml` says.
        now: in UTC; the clock's where None.

    Raises:
        InputError: something is missing, or nobody could be told.
    """
    moment = now or datetime.now(UTC)
    target = find_target(root, pipeline, environment, "production")
    move = in_service(target.store)
    if move is None:
        raise InputError(
            f"no release of {target.pipeline} is in service in {target.name}. `make deploy` puts one there"
        )
    one = watch(root / "pipelines" / target.pipeline, target.fetch(move.after) / MODEL)
    named = labels or one.said.labels
    if not named:
        raise InputError("say where labels are: LABELS=file, or `labels` in monitor.toml")
    known = scan(named, root if labels else one.folder, "labels")
    place = root / one.said.log.get(target.name, f".serving/{target.name}/{target.pipeline}/*/log")
    folders = sorted(Path(place.anchor).glob(str(place.relative_to(place.anchor))))
    log = pl.concat([read_log(folder) for folder in folders], how="diagonal_relaxed") if folders else None
    if log is None or log.limit(1).collect().is_empty():
        raise InputError(f"nothing was ever logged in {place}: no server of {target.name}, or its log is elsewhere")
    seen = look(one, join(log, known, one.said, one.judging, move.after), moment)
    name = f"{target.pipeline} in {target.name}"
    state = root / STATE / target.name / target.pipeline
    details = {alarm.name: explain(one, alarm, seen.joined) for alarm in seen.standing if alarm.kind == "cost"}
    todo = _to_do(target, seen, root)
    state.mkdir(parents=True, exist_ok=True)
    write_text(state / "page.html", _page(one, seen, name, details=details, todo=todo))
    for folder in (state, *(folder.parent for folder in folders)):
        with suppress(PermissionError):  # of a server, whose state may be mounted to be read alone
            write_text(folder / "monitor.prom", figures(seen, moment, target.pipeline))
    for alarm in seen.standing:
        print(f"  {alarm.name}, since {alarm.since}: {alarm.words}", *details.get(alarm.name, []), sep="\n    ")
    for what, count in sorted(seen.joined.told.items()):
        if count:
            print(f"  {count:,} {what}")
    words = tell(name, seen.standing, details, todo, state)
    print(f"monitor: {name}: {seen.standing_in_words}; {words}. {state / 'page.html'}")
    return int(bool(seen.standing))


def replay_history(root: Path, pipeline: str) -> int:
    """Replay the holdout, and print what the rules would have done."""
    name = pipeline_named(pipeline, root)
    folder = root / "pipelines" / name
    one = watch(folder, folder / "model" / MODEL)
    seen = replay(one, one.history("holdout"))
    found = score(seen.alarms, seen.weeks, one.usual, one.said.label_delay_days)
    for alarm in seen.alarms:
        over = f" until {alarm.until}" if alarm.until else ""
        print(f"  {alarm.seen}: {alarm.name}, since {alarm.since}{over}: {alarm.words}")
    print(*(f"monitor: {line}" for line in found.words), sep="\n")
    return 0


def _page(one: Watch, seen: Seen, name: str, **told: object) -> str:
    """Write alarms and what to do, the cost of each week, slices, and what was told of log and labels."""
    return render(
        "monitor.html",
        heading=f"Monitor: {name}",
        standing=("failed" if seen.standing else "passed", seen.standing_in_words),
        seen=seen,
        costs=_costs(seen.weeks.get(ALL, [])),
        usual=one.usual,
        metric=one.judging.known()[one.judging.champion],
        headline=headline(seen.joined.watched, one.judging),
        harm=one.said.harm,
        **told,
    )


def _costs(weeks: Sequence[Week]) -> list[dict[str, float]]:
    """List what a row cost in each week, with its interval; one day alone has none."""
    found = []
    for number, week in enumerate(weeks):
        if cost := week.cost:
            low, high = cost.ends if cost.days > 1 else (cost.estimate, cost.estimate)
            found.append({"week": number, "cost of a row": cost.estimate, "low": low, "high": high})
    return found


def _to_do(target: Target, seen: Seen, root: Path) -> list[str]:
    """Write who is on call and what to press."""
    why = next((alarm.name for alarm in seen.standing), "")
    place = target.environment.runbook
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
    address = project.get("urls", {}).get("repository", "")
    runbook = place if "://" in place or not address else f"{address}/blob/main/{place}"
    return [
        f"On call: {target.environment.on_call}",
        f'If it is the model: make rollback PIPELINE={target.pipeline} ENV={target.name} WHY="{why}"',
        f"Runbook: {runbook}",
    ]


def figures(seen: Seen, now: datetime, pipeline: str) -> str:
    """Write figures for Prometheus."""
    registry = CollectorRegistry()
    ran = Gauge("onebutton_monitor_run_timestamp_seconds", "When the monitor last ran", ["pipeline"], registry=registry)
    ran.labels(pipeline).set(now.timestamp())
    alarms = Gauge("onebutton_monitor_alarms", "Alarms that stand", ["pipeline", "kind"], registry=registry)
    for kind in ("cost", "relation", "silence", "contract", "nulls", "unseen", "stale", "moved"):
        alarms.labels(pipeline, kind).set(sum(alarm.kind == kind for alarm in seen.standing))
    cost = Gauge(
        "onebutton_monitor_cost", "Mean cost of a row in the last week", ["pipeline", "slice"], registry=registry
    )
    for name, weeks in seen.weeks.items():
        if weeks[-1].cost:
            cost.labels(pipeline, name).set(weeks[-1].cost.estimate)
    return generate_latest(registry).decode()
