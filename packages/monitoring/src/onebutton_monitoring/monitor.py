"""The work of `make monitor`: look at a log and its labels, write the page and the figures, tell who is on call.

.monitoring/production/flight_delays/page.html      weeks, slices, alarms, what to do
                                     monitor.prom   for Prometheus; the server's own /metrics shows it too
                                     told.json      what was told already, the one thing that is remembered
"""

import json
import os
import textwrap
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from onebutton_contracts.errors import require
from onebutton_evaluation.intervals import interval
from onebutton_evaluation.judgement import write_text
from onebutton_evaluation.metrics import read_rows
from onebutton_evaluation.pages import render
from onebutton_evaluation.slices import ALL
from onebutton_monitoring.alarms import Alarm
from onebutton_monitoring.drift import explain
from onebutton_monitoring.joining import DAY, SLICE, WEEK, join
from onebutton_monitoring.watch import Seen, Watch, replay, score, watch
from onebutton_release.target import find_target, pipeline_named, release_in_service
from onebutton_serving.loading import MODEL
from onebutton_serving.segments import read_log

STATE = Path(".monitoring")
URLS = "ONEBUTTON_ALARM_URLS"  # as https://github.com/caronc/apprise/wiki writes them, with spaces between
KINDS = ("cost", "relation", "silence", "contract", "nulls", "unseen", "stale", "moved")
FOUR = 4  # weeks of the metric: its interval needs some twenty days


def monitor(root: Path, pipeline: str, environment: str, labels: str, now: datetime | None = None) -> int:
    """Look once; return 1 where an alarm stands.

    What is left empty is the only pipeline, production, and the labels that `monitor.toml` names; now is in UTC, by the clock.

    Raises:
        InputError: something is missing, or nobody could be told.
    """
    moment, target = now or datetime.now(UTC), find_target(root, pipeline, environment, "production")
    name, release = f"{target.pipeline} in {target.name}", release_in_service(root, target.pipeline, target.name)
    one = watch(target.folder, release / MODEL)
    require(labels or one.said.labels, "say where labels are: LABELS=file, or `labels` in monitor.toml")
    path = root / labels if labels else one.folder / one.said.labels
    files = sorted(path.parent.glob(path.name))
    require(files, f"labels: there is no file {path}")
    csv = path.suffix == ".csv"
    known = pl.scan_csv(files, try_parse_dates=True) if csv else pl.scan_parquet(files, missing_columns="insert")
    place = root / one.said.log.get(target.name, f".serving/{target.name}/{target.pipeline}/*/log")
    folders = sorted(Path(place.anchor).glob(str(place.relative_to(place.anchor))))
    logs = [log for log in map(read_log, folders) if not log.limit(1).collect().is_empty()]
    require(logs, f"nothing was ever logged in {place}: no server of {target.name}, or its log is elsewhere")
    joined = join(pl.concat(logs, how="diagonal_relaxed"), known, one.said, one.judging, release.name)
    seen = one.look(joined, moment.date())
    for number, alarm in enumerate(seen.alarms):
        if alarm.kind == "cost" and alarm.until is None:
            told = explain(alarm, joined, one.tuning, one.inputs(joined.watched))
            seen.alarms[number] = alarm._replace(why=told)
    count = {0: "no alarm stands", 1: "1 alarm stands"}.get(len(seen.standing), f"{len(seen.standing)} alarms stand")
    why, runbook = seen.standing[0].name if seen.standing else "", target.environment.runbook
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if (address := project.get("urls", {}).get("repository")) and "://" not in runbook:
        runbook = f"{address}/blob/main/{runbook}"
    todo = [
        f"On call: {target.environment.on_call}",
        f'If it is the model: make rollback PIPELINE={target.pipeline} ENV={target.name} WHY="{why}"',
        f"Runbook: {runbook}",
    ]
    state = root / STATE / target.name / target.pipeline
    state.mkdir(parents=True, exist_ok=True)
    standing = ("failed" if seen.standing else "passed", count)
    write_text(state / "page.html", _page(one, seen, heading=f"Monitor: {name}", standing=standing, todo=todo))
    for folder in (state, *(folder.parent for folder in folders)):
        with suppress(PermissionError):  # of a server, whose state may be mounted to be read alone
            write_to_textfile(str(folder / "monitor.prom"), _figures(seen, moment, target.pipeline))
    for alarm in seen.standing:
        print(textwrap.indent(str(alarm), "  "))
    for what, times in sorted((+joined.told).items()):
        print(f"  {times:,} {what}")
    print(f"monitor: {name}: {count}; {_tell(name, seen.standing, todo, state / 'told.json')}. {state / 'page.html'}")
    return int(bool(seen.standing))


def replay_history(root: Path, pipeline: str) -> int:
    """Replay the holdout, and print what the rules would have done."""
    folder = root / "pipelines" / pipeline_named(pipeline, root)
    one = watch(folder, folder / "model" / MODEL)
    seen = replay(one, one.history("holdout"))
    for alarm in seen.alarms:
        print(f"  week of {alarm.week}: {alarm}")
    for line in score(seen.alarms, seen.weeks, one.usual, one.said.label_delay_days).words:
        print(f"monitor: {line}")
    return 0


def _page(one: Watch, seen: Seen, **words: object) -> str:
    """Write alarms and what to do, the cost of each week, slices, and what was told of log and labels.

    The metric of `gates.toml` is of the four weeks up to each week, where there are labels enough for its interval.
    """
    known = seen.joined.watched.filter(pl.col(SLICE) == ALL, pl.col(one.judging.answer).is_not_null())
    judging, metric, headline = replace(one.judging, unit=DAY), one.judging.known()[one.judging.champion], {}
    for week in known[WEEK].unique():
        four = known.filter(pl.col(WEEK).is_between(week - timedelta(weeks=FOUR - 1), week))
        if number := interval(read_rows(four, judging, judging.prediction), metric):
            headline[week] = number.mapping()
    costs = [
        {"week": number, "cost of a row": week["cost"]["estimate"], **week["cost"]}
        for number, week in enumerate(seen.weeks[ALL].to_dicts() if ALL in seen.weeks else [])
        if week["cost"]["error"] is not None
    ]
    return render("monitor.html", one=one, seen=seen, costs=costs, metric=metric, headline=headline, **words)


def _figures(seen: Seen, now: datetime, pipeline: str) -> CollectorRegistry:
    """Set figures for Prometheus."""
    registry, names = CollectorRegistry(), [["pipeline"], ["pipeline", "kind"], ["pipeline", "slice"]]
    ran = Gauge("onebutton_monitor_run_timestamp_seconds", "When the monitor last ran", names[0], registry=registry)
    alarms = Gauge("onebutton_monitor_alarms", "Alarms that stand", names[1], registry=registry)
    costs = Gauge("onebutton_monitor_cost", "Mean cost of a row in the last week", names[2], registry=registry)
    ran.labels(pipeline).set(now.timestamp())
    for kind in KINDS:
        alarms.labels(pipeline, kind).set(sum(alarm.kind == kind for alarm in seen.standing))
    for name, weeks in seen.weeks.items():
        if (cost := weeks["cost"].struct.field("estimate")[-1]) is not None:
            costs.labels(pipeline, name).set(cost)
    return registry


def _tell(name: str, standing: Sequence[Alarm], footer: Sequence[str], memory: Path) -> str:
    """Tell the owner of a release what is new and what is over since the last time; say in words what was done.

    What was told is written after it was sent: a monitor that is killed in between tells again, and never keeps silent.
    """
    told: list[str] = json.loads(memory.read_text(encoding="utf-8")) if memory.is_file() else []
    names, new = [alarm.name for alarm in standing], [alarm for alarm in standing if alarm.name not in told]
    over = [one for one in told if one not in names]
    if not new and not over:
        return f"nothing new to tell: {len(told)} told before still stand" if told else "nothing to tell"
    title = f"Over: {name}: {', '.join(over)}"
    if new:
        more = f" and {len(new) - 1} more" if new[1:] else ""
        title = f"ALARM {name}: {new[0].name}{more}, since {min(alarm.since for alarm in new)}"
    if not (urls := os.environ.get(URLS, "").split()):
        return f"nobody was told: {URLS} is not set. {title}"
    import apprise

    sender, body = apprise.Apprise(), "\n".join([*map(str, new), *(f"over: {one}" for one in over), "", *footer])
    sent = sender.add(urls) and sender.notify(title=title, body=body, body_format="text")
    require(sent, f"an alarm could not be sent to all that {URLS} names, and is sent again at the next press: {title}")
    write_text(memory, json.dumps(names, indent=1) + "\n")
    return f"told {len(urls)} address{'es' if urls[1:] else ''}: {title}"
