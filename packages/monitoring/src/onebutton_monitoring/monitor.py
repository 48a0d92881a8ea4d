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
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from onebutton_contracts.errors import InputError, require
from onebutton_evaluation.intervals import interval
from onebutton_evaluation.judgement import write_text
from onebutton_evaluation.metrics import read_rows
from onebutton_evaluation.pages import render
from onebutton_evaluation.slices import ALL
from onebutton_monitoring.alarms import HALF_YEAR, Alarm, of_silence
from onebutton_monitoring.drift import explain
from onebutton_monitoring.joining import DAY, SLICE, WEEK, Joined, join
from onebutton_monitoring.watch import Watch, replay, watch
from onebutton_release.moves import good
from onebutton_release.target import find_target, pipeline_named, release_in_service
from onebutton_serving.history import read_history
from onebutton_serving.loading import MODEL
from onebutton_serving.segments import read_log

STATE = Path(".monitoring")
URLS = "ONEBUTTON_ALARM_URLS"  # as https://github.com/caronc/apprise/wiki writes them, with spaces between
KINDS = ("cost", "silence", "contract", "nulls", "unseen", "stale", "moved")
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
    known = _read_labels(root / labels if labels else target.folder / one.said.labels)
    place = root / one.said.log.get(target.name, f".serving/{target.name}/{target.pipeline}/*/log")
    folders = sorted(Path(place.anchor).glob(str(place.relative_to(place.anchor))))
    logs = [log for log in map(read_log, folders) if not log.limit(1).collect().is_empty()]
    require(logs, f"nothing was ever logged in {place}: no server of {target.name}, or its log is elsewhere")
    joined = join(pl.concat(logs, how="diagonal_relaxed"), known, one.said, one.judging, release.name)
    weeks, found = one.look(joined, moment.date())
    alarms = [*found, *of_silence(joined.days, one.said, moment.date())]
    inputs = one.inputs(joined.watched)
    standing = [explain(alarm, joined, one.tuning, inputs) for alarm in alarms if alarm.until is None]
    count = {0: "no alarm stands", 1: "1 alarm stands"}.get(len(standing), f"{len(standing)} alarms stand")
    first: date | None = joined.days[WEEK].min()  # type: ignore[assignment]
    if weeks.is_empty() and first:
        due = first + timedelta(weeks=1, days=one.said.label_delay_days)
        count += f"; what predictions cost was not judged yet: labels of the first week are due on {due}"
    runbook = target.environment.runbook
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if (address := project.get("urls", {}).get("repository")) and "://" not in runbook:
        runbook = f"{address}/blob/main/{runbook}"
    back = f"If it is the model: make rollback PIPELINE={target.pipeline} ENV={target.name}"
    todo = [f"On call: {target.environment.on_call}", f"Runbook: {runbook}"]
    if len(good(read_history(target.store))) > 1:  # else it is the first release, and there is none to go back to
        todo[1:1] = [f'{back} WHY="{alarm.name}"' for alarm in standing[:1]]
    state = root / STATE / target.name / target.pipeline
    state.mkdir(parents=True, exist_ok=True)
    past = [alarm for alarm in alarms if alarm.until]
    page = _page(one, joined, weeks=weeks, alarms=standing + past, todo=todo, heading=f"Monitor: {name}", count=count)
    write_text(state / "page.html", page)
    for folder in (state, *(folder.parent for folder in folders)):
        with suppress(PermissionError):  # of a server, whose state may be mounted to be read alone
            write_to_textfile(str(folder / "monitor.prom"), _figures(weeks, standing, moment, target.pipeline))
    for alarm in standing:
        print(textwrap.indent(str(alarm), "  "))
    for what, times in sorted((+joined.told).items()):
        print(f"  {times:,} {what}")
    print(f"monitor: {name}: {count}; {_tell(name, standing, todo, state / 'told.json')}. {state / 'page.html'}")
    return int(bool(standing))


def replay_history(root: Path, pipeline: str) -> int:
    """Replay the holdout, and print what the rules would have done."""
    folder = root / "pipelines" / pipeline_named(pipeline, root)
    alarms, found = replay(watch(folder, folder / "model" / MODEL))
    for alarm in alarms:
        print(f"  week of {alarm.week}: {alarm}")
    quiet = found.weeks - found.harmful
    half_year = found.false / quiet * HALF_YEAR if quiet else float("nan")
    came = ", ".join("never" if days is None else str(days) for days in found.delays)
    print(f"monitor: {found.weeks} weeks, {found.harmful} harmful; {found.caught} of these caught")
    print(
        f"monitor: {found.false} calls about cost in a quiet week: {half_year:.1f} false alarms in {HALF_YEAR} quiet weeks"
    )
    print(f"monitor: days from the end of the first harmful week to the call: {came or 'no harm'}")
    return 0


def _read_labels(path: Path) -> pl.LazyFrame:
    """Scan labels of a file or a pattern, or refuse what is neither Parquet nor CSV."""
    files, csv = [file for file in sorted(path.parent.glob(path.name)) if file.is_file()], path.suffix == ".csv"
    require(files, f"labels: there is no file {path}")
    try:
        known = pl.scan_csv(files, try_parse_dates=True) if csv else pl.scan_parquet(files, missing_columns="insert")
        known.collect_schema()
    except pl.exceptions.PolarsError as error:
        raise InputError(f"labels: {path} is no {'CSV' if csv else 'Parquet'}: {str(error).splitlines()[0]}") from None
    return known


def _page(one: Watch, joined: Joined, **words: object) -> str:
    """Write alarms and what to do, the cost of each week, slices, and what was told of log and labels.

    The metric of `gates.toml` is of the four weeks up to each week, where there are labels enough for its interval.
    """
    known = joined.watched.filter(pl.col(SLICE) == ALL, pl.col(one.judging.answer).is_not_null())
    judging, metric, headline = replace(one.judging, unit=DAY), one.judging.known()[one.judging.champion], {}
    for week in known[WEEK].unique():
        four = known.filter(pl.col(WEEK).is_between(week - timedelta(weeks=FOUR - 1), week))
        if number := interval(read_rows(four, judging, judging.prediction), metric):
            headline[week] = number.mapping()
    return render("monitor.html", one=one, told=joined.told, metric=metric, headline=headline, **words)


def _figures(weeks: pl.DataFrame, standing: Sequence[Alarm], now: datetime, pipeline: str) -> CollectorRegistry:
    """Set figures for Prometheus."""
    registry, names = CollectorRegistry(), [["pipeline"], ["pipeline", "kind"], ["pipeline", "slice"]]
    ran = Gauge("onebutton_monitor_run_timestamp_seconds", "When the monitor last ran", names[0], registry=registry)
    alarms = Gauge("onebutton_monitor_alarms", "Alarms that stand", names[1], registry=registry)
    costs = Gauge("onebutton_monitor_cost", "Mean cost of a row in the last week", names[2], registry=registry)
    ran.labels(pipeline).set(now.timestamp())
    for kind in KINDS:
        alarms.labels(pipeline, kind).set(sum(alarm.kind == kind for alarm in standing))
    for week in weeks.group_by(SLICE, maintain_order=True).last().iter_rows(named=True):
        if (cost := week["cost"]["estimate"]) is not None:
            costs.labels(pipeline, week[SLICE]).set(cost)
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
    kind = "failure" if new else "success"  # what a pager tells apart
    sent = sender.add(urls) and sender.notify(title=title, body=body, notify_type=kind, body_format="text")
    require(sent, f"an alarm could not be sent to all that {URLS} names, and is sent again at the next press: {title}")
    write_text(memory, json.dumps(names, indent=1) + "\n")
    return f"told {len(urls)} address{'es' if urls[1:] else ''}: {title}"
