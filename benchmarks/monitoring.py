"""Measure a monitor on the flights of New York: `python benchmarks/monitoring.py` writes the tables of docs/monitoring.md.

It needs the data and the model of flight_delays: press `make run PIPELINE=flight_delays` first. Words name parts: `history`,
`power`, `faults`, `units`, `memory`; `memory 4000000 20000000` sets the numbers of rows.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from onebutton_evaluation.evaluate import ask
from onebutton_evaluation.slices import ALL, find_slices
from onebutton_models.scoring import OnnxModel
from onebutton_monitoring import alarms
from onebutton_monitoring.declaration import Harm, Monitor
from onebutton_monitoring.drift import of_inputs
from onebutton_monitoring.joining import DAY, SLICE, WEEK, Joined, join, measure, outcome
from onebutton_monitoring.watch import Replay, Watch, score, watch
from onebutton_release.declared import declared

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/monitoring.md"
FOLDER = ROOT / "pipelines/flight_delays"
LABELS, DRAWS = (50, 200, 1000), 10  # a week; draws of these labels
WEEKS_OF_JUNE, SAMPLE = 100, 2000
CERTAIN, LARGE = 0.05, 0.2  # a p-value and a PSI, as textbooks have them
SHIFTS, HALF_YEARS = (0.3, 0.5, 0.7, 1.0, 1.5), 1000  # log odds; drawn from June
MEGA = 2**20


def write(part: str, block: str) -> None:
    """Put a block between its marks in the page."""
    print(block, flush=True)
    marks = (f"<!-- measured: {part} -->", f"<!-- /measured: {part} -->")
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(marks[0])
    after = rest.partition(marks[1])[2]
    PAGE.write_text(f"{before}{marks[0]}\n\n{block}\n\n{marks[1]}{after}", encoding="utf-8")


def table(head: list[str], rows: list[list[str]]) -> str:
    """Lay out a table of Markdown."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def history(one: Watch) -> None:
    """Replay July to December with few labels and many, beside tests of drift whose thresholds are of June as well."""
    rows = one.history("holdout")
    full = one.as_logged(rows)
    truth, key = measure(full.days, WEEK), one.declared.outputs.primary_key
    said = replace(one.said, key=tuple(key), watched_rows=1000)
    scored = rows.select(*key, "day", pl.col("scheduled_hour").alias("time"), "late")
    scored = scored.with_columns(
        probability=pl.Series(ask(one.model, rows, "the model", ["probability"])["probability"])
    )
    found: dict[str, list[tuple[Replay, int]]] = {}
    for count in (*LABELS, 0):
        for seed in range(DRAWS if count else 1):
            shuffled = scored.sample(fraction=1, shuffle=True, seed=seed).with_columns(
                pl.col("day").dt.truncate("1w").alias(WEEK)
            )
            labels = shuffled.filter(pl.int_range(pl.len()).over(WEEK) < (count or rows.height)).select(*key, "late")
            days = join(scored.lazy(), labels.lazy(), said, one.judging).days
            name = f"cost, {count:,} labels a week" if count else "cost, all labels"
            called = [*alarms.of_labels(measure(days, WEEK), one.usual, said.false_alarms_per_half_year)]
            found.setdefault(name, []).append(scored_with(called, truth, one, said.label_delay_days))
        print(name, found[name][0], flush=True)
    for name, alarm in drift_alarms(one, full).items():
        found[name] = [scored_with(alarm, truth, one, 0)]
    head = [
        "rule",
        "false calls",
        "in 26 quiet weeks",
        "quiet weeks in alarm",
        "harmful weeks caught",
        "harmful spells seen",
        "days until the call",
    ]
    lines = []
    for name, both in found.items():
        runs = [run for run, _ in both]
        quiet = runs[0].weeks - runs[0].harmful
        delays = [day for run in runs for day in run.delays if day is not None]
        seen = np.mean([sum(day is not None for day in run.delays) for run in runs])
        false = np.mean([run.false for run in runs])
        lines.append(
            [
                name,
                f"{false:.2f}",
                f"{false / quiet * 26:.1f}",
                f"{np.mean([stood for _, stood in both]):.1f} of {quiet}",
                f"{np.mean([run.caught for run in runs]):.1f} of {runs[0].harmful}",
                f"{seen:.1f} of {len(runs[0].delays)}",
                f"{np.mean(delays):.1f}" if delays else "",
            ]
        )
    write("history", table(head, lines))


def scored_with(called: list[alarms.Alarm], truth: pl.DataFrame, one: Watch, delay: int) -> tuple[Replay, int]:
    """Score alarms, and count the quiet weeks in which one stood, called in them or before."""
    found, weeks = score(called, truth, one.usual, delay), truth[WEEK].unique()
    stood = sum(any(alarm.week <= week < (alarm.until or date.max) for alarm in called) for week in weeks)
    return found, stood - found.caught


def drift_alarms(one: Watch, full: Joined) -> dict[str, list[alarms.Alarm]]:
    """Alarm by drift of inputs, each week against June: at thresholds of textbooks, and at those that keep the budget in June."""
    inputs, june, rng = list(one.model.inputs), of_all(one.tuning), np.random.default_rng(0)
    usual = june.sample(SAMPLE, seed=0)
    days = june.partition_by(DAY)
    tests: dict[str, Callable[[pl.DataFrame], float]] = {
        "KS": lambda seen: max(distance(usual[name], seen[name])[0] for name in inputs),
        "PSI": lambda seen: max(psi(usual[name], seen[name]) for name in inputs),
        "domain classifier": lambda seen: domain_auc(usual, seen, inputs),
    }
    sampled = [
        (week, part.sample(min(SAMPLE, part.height), seed=1))
        for (week,), part in of_all(full).partition_by(WEEK, as_dict=True, maintain_order=True).items()
    ]
    drawn = [
        pl.concat([days[at] for at in rng.integers(len(days), size=7)]).sample(SAMPLE, with_replacement=True, seed=n)
        for n in range(WEEKS_OF_JUNE)
    ]
    found = {}
    p_values = [
        (week, min(distance(usual[name], part[name])[1] for name in inputs) * len(inputs)) for week, part in sampled
    ]
    found["KS, p < 0.05 after Bonferroni"] = fold([(week, p < CERTAIN) for week, p in p_values])
    for name, test in tests.items():
        values = [(week, test(part)) for week, part in sampled]
        if name == "PSI":
            found["PSI above 0.2"] = fold([(week, value > LARGE) for week, value in values])
        limit = float(np.quantile([test(part) for part in drawn], 1 - one.said.false_alarms_per_half_year / 26))
        found[f"{name}, threshold {limit:.2f} from June"] = fold([(week, value > limit) for week, value in values])
        print(name, [round(value, 2) for _, value in values], flush=True)
    return found


def of_all(joined: Joined) -> pl.DataFrame:
    """Return each watched row once."""
    return joined.watched.filter(pl.col(SLICE) == ALL)


def psi(usual: pl.Series, seen: pl.Series) -> float:
    """Return the population stability index (Siddiqi 2006) over tenths of what is usual; what is missing is a bin of its own."""
    codes = pl.concat([usual, seen]).rank("dense").fill_null(0).to_numpy()
    edges = np.unique(np.quantile(codes[: len(usual)], np.linspace(0, 1, 11)[1:-1]))
    bins = np.where(codes == 0, 0, 1 + np.searchsorted(edges, codes))
    counts = [np.bincount(part, minlength=len(edges) + 2) + 0.5 for part in np.split(bins, [len(usual)])]
    there, here = (one / one.sum() for one in counts)
    return float(((here - there) * np.log(here / there)).sum())


def distance(usual: pl.Series, seen: pl.Series) -> tuple[float, float]:
    """Return the distance of Kolmogorov and Smirnov and its p-value, over ranks; what is missing is the lowest."""
    codes = pl.concat([usual, seen]).rank("dense").fill_null(0).to_numpy()
    result = ks_2samp(codes[: len(usual)], codes[len(usual) :], method="asymp")
    return float(result.statistic), float(result.pvalue)


def domain_auc(usual: pl.DataFrame, seen: pl.DataFrame, inputs: list[str]) -> float:
    """Return how well a tree tells two samples apart, out of fold: 0.5 is not at all (Rabanser et al. 2019)."""
    both = pl.concat([usual.select(inputs), seen.select(inputs)], how="vertical_relaxed")
    codes = both.select(pl.col(inputs).rank("dense").cast(pl.Float64).fill_null(0)).to_numpy()
    which = np.repeat([0, 1], [usual.height, seen.height])
    tree = DecisionTreeClassifier(max_depth=5, min_samples_leaf=20, random_state=0)
    return float(roc_auc_score(which, cross_val_predict(tree, codes, which, cv=2, method="predict_proba")[:, 1]))


def fold(weeks: list[tuple[object, bool]]) -> list[alarms.Alarm]:
    """Make alarms of weeks in which a test says so."""
    known = [(week, wrong) for week, wrong in weeks if isinstance(week, date)]
    found = [alarms.Alarm("cost", ALL, "", week, "drift", week) for week, wrong in known if wrong]
    return list(alarms.fold(found, [week for week, _ in known]))


def power(one: Watch) -> None:
    """Draw rows of half-years of June: as it was, at the limit of harm, and with more flights late; count calls."""
    rows = pl.read_parquet(FOLDER / "data/train.parquet").filter(split="tune").sort("day")
    scored = rows.with_columns(probability=pl.Series(ask(one.model, rows, "", ["probability"])["probability"]))
    as_it_was, lines, costs = cost_of(one, scored), [], []
    later = {
        (where, shift): cost_of(one, with_harm(scored, shift, where))
        for where in (ALL, "origin JFK")
        for shift in SHIFTS
    }
    for count in (*LABELS, 0):
        labelled = {
            name: (count or 6000) * len(known.costs) / len(one.usual[ALL].costs) for name, known in one.usual.items()
        }
        threshold = alarms.threshold_of(one.usual, labelled, one.said.false_alarms_per_half_year)
        told = []
        for cost in (as_it_was, at_the_limit(one, scored, as_it_was)):
            seen, harmful = evidence(one, scored, cost, count, 26)
            standing = alarms.climb(seen, threshold)[1]
            false, quiet = (alarms.calls(standing) & ~harmful).sum(axis=0), (~harmful).mean()
            told.append(f"{false.mean():.2f} ± {2 * false.std() / np.sqrt(len(false)):.2f} in {26 * quiet:.0f} weeks")
        for where in (ALL, "origin JFK") if count in {200, 0} else (ALL,):
            at, shares = list(one.usual).index(where), []
            for shift in SHIFTS:
                standing = alarms.climb(evidence(one, scored, later[where, shift], count, 4)[0], threshold)[1]
                shares.append(f"{standing[:, :, at].any(axis=0).mean():.0%}")
            lines.append([f"{count:,}" if count else "all", where, *(told if where == ALL else ["", ""]), *shares])
    costs = [f"{shift:+.1f}: {later[ALL, shift].mean():.2f}" for shift in SHIFTS]
    write("power", table(["labels a week", "harm in", "false calls, June", "false calls, at the limit", *costs], lines))


def cost_of(one: Watch, scored: pl.DataFrame) -> np.ndarray:
    """Return what each row costs."""
    return outcome(scored, one.judging, one.said.harm)["_cost"].to_numpy()


def at_the_limit(one: Watch, scored: pl.DataFrame, cost: np.ndarray) -> np.ndarray:
    """Turn rows that cost nothing into misses, until each airport costs its limit."""
    lifted, drawn = cost.copy(), np.random.default_rng(1).random(len(cost))
    for part in find_slices(scored, one.said.slices)[1:]:
        known, free = one.usual[part.name], part.mask & (cost == 0)
        share = (known.limit - known.cost) / one.said.harm.miss * part.mask.sum() / free.sum()
        lifted[free & (drawn < share)] = one.said.harm.miss
    return lifted


def with_harm(scored: pl.DataFrame, shift: float, where: str) -> pl.DataFrame:
    """Make more flights late as if the log odds were larger."""
    chance = scored["probability"].to_numpy()
    moved = 1 / (1 + np.exp(-np.log(chance / (1 - chance)) - shift))
    late = np.random.default_rng(3).random(scored.height) < (moved - chance) / (1 - chance)
    here = np.full(scored.height, fill_value=True) if where == ALL else (scored["origin"] == where[-3:]).to_numpy()
    return scored.with_columns(late=pl.Series(np.where(late & here, 1, scored["late"].to_numpy())))


def evidence(
    one: Watch, scored: pl.DataFrame, cost: np.ndarray, count: int, weeks: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw so many labelled rows of seven days in a row for each week, or all of them.

    Returns:
        Evidence, shape (weeks, half-years, slices), and whether all rows of a week are beyond the limit of any slice.
    """
    rng, parts = np.random.default_rng(4), find_slices(scored, one.said.slices)
    begins = np.append(np.flatnonzero(np.diff(scored["day"].to_physical().to_numpy(), prepend=0)), scored.height)
    begins = np.append(begins, begins[1:8] + scored.height)  # after the last day comes the first
    totals = [np.append(0, np.cumsum(np.tile(value, 2))) for part in parts for value in (cost * part.mask, part.mask)]
    found, harmful = [], []
    for _ in range(weeks):
        start = rng.integers(len(begins) - 8, size=HALF_YEARS)
        first, last = begins[start], begins[start + 7]
        both = [total[last] - total[first] for total in totals]
        whole = list(zip(both[::2], both[1::2], strict=True))
        sums = whole
        if count:
            drawn = (first[:, None] + rng.random((HALF_YEARS, count)) * (last - first)[:, None]).astype(int) % len(cost)
            sums = [((cost * part.mask)[drawn].sum(axis=1), part.mask[drawn].sum(axis=1)) for part in parts]
        usual = [one.usual[part.name] for part in parts]
        means = [total / np.maximum(number, 1) for total, number in sums]
        found.append([known.beyond(mean, n.mean()) for known, mean, (_, n) in zip(usual, means, sums, strict=True)])
        harmful.append(
            np.any([total / n > known.limit for known, (total, n) in zip(usual, whole, strict=True)], axis=0)
        )
    return np.moveaxis(np.array(found), 1, 2), np.array(harmful)


def faults(one: Watch) -> None:
    """Plant faults into the last week of June, or from the week before on, and say which alarms came of it."""
    rows, last = one.history("train").filter(split="tune"), date(2013, 6, 24)
    begun, stale = pl.col("day") >= last, (pl.col("day") >= last) & (pl.col("origin") == "LGA")
    weather = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
    week = rows.filter(begun)
    shuffled = pl.concat([rows.filter(~begun), week.with_columns(pl.col("late").shuffle(seed=1))])
    poison = pl.when((pl.col("day") >= date(2013, 6, 10)) & (pl.int_range(pl.len()) % 10 == 0)).then(1 - pl.col("late"))
    still = rows.with_columns(pl.when(stale).then(pl.col(name).first()).otherwise(name).alias(name) for name in weather)

    def changed(name: str, value: pl.Expr | None, when: pl.Expr = begun) -> pl.DataFrame:
        return rows.with_columns(pl.when(when).then(value).otherwise(name).alias(name))

    planted: list[tuple[str, pl.DataFrame]] = [
        ("none", rows),
        ("temp is null", changed("temp", None)),
        ("distance in km", changed("distance", pl.col("distance") * 1.609)),
        ("temp in Celsius", changed("temp", (pl.col("temp") - 32) / 1.8)),
        ("wind in m/s", changed("wind_speed", pl.col("wind_speed") * 0.447)),
        ("labels shuffled", shuffled),
        ("LGA's weather stands still", still),
        ("10 % of labels flipped, from 10 June on", rows.with_columns(late=poison.otherwise("late"))),
        ("traffic stops on 24 June", rows.filter(~begun)),
    ]  # fmt: skip
    pressed, lines = date(2013, 7, 2), []
    for name, logged in planted:
        joined = one.as_logged(logged)
        found = [*one.look(joined, pressed)[1], *alarms.of_silence(joined.days, one.said, pressed)]
        told = [
            f"`{alarm.name}` found {min(alarm.week + timedelta(6), pressed):%d %B}"
            for alarm in found
            if alarm.what != "labels" or alarm.kind != "silence"
        ]
        lines.append([name, "; ".join(told) or "none"])
    write("faults", table(["planted", "alarms"], lines).replace("--:", "---"))


UNITS = {"wind_speed": ("wind in m/s", 0.447), "distance": ("distance in km", 1.609), "visib": ("sight in km", 1.609),
         "pressure": ("pressure in kPa", 0.1), "precip": ("rain in mm", 25.4)}  # fmt: skip
FACTORS = (1.1, 1.15, 1.2, 1.25, 1.3, 1.5)


def units(one: Watch) -> None:
    """Count the weeks of July to December in which another unit is seen, and false alarms, by the factor that is declared."""
    lines = []
    for name in ("flight_delays", "delay_minutes"):
        folder = FOLDER.with_name(name)
        said, model = declared(folder), OnnxModel(folder / "model/model.onnx")
        other = Watch(replace(one.said, tuning="TRUE"), said, model)
        full = other.as_logged(other.history("holdout")).watched
        changed = [pl.col(column) * factor for column, (_, factor) in UNITS.items()]
        planted = full.with_columns(changed)
        for factor in FACTORS:
            seen = Counter[str]()
            for alarm in moved(other, planted.filter(pl.col(SLICE) == ALL), factor):
                seen[alarm.what] += ((alarm.until or date(2014, 1, 5)) - alarm.week).days // 7
            false = sorted(alarm.name.removeprefix("moved / ") for alarm in moved(other, full, factor))
            told = ", ".join(false) or "none"
            lines.append([name, f"{factor:g}", told, *(str(seen[column]) for column in UNITS)])
    head = ["pipeline", "factor", "false alarms", *(f"{words}, weeks of 26" for words, _ in UNITS.values())]
    write("units", table(head, lines))


def moved(one: Watch, watched: pl.DataFrame, factor: float) -> list[alarms.Alarm]:
    """Find what looks like another unit."""
    found = of_inputs(watched, one.training, one.inputs(watched), factor, date(2014, 1, 5))
    return [alarm for alarm in found if alarm.kind == "moved"]


SAID = Monitor(key=("request", "row"), time="day", label_delay_days=1, harm=Harm(limit=0.5))


def memory(sizes: list[int]) -> None:
    """Join and judge logs of growing length, each in a process of its own."""
    lines = []
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="onebutton-monitor-bench-", dir="/var/tmp") as scratch:
            for at, part in enumerate(made(size)):
                part.select("time", "version", "request", "row", "town", "spend", "probability").write_parquet(
                    f"{scratch}/log-{at:04d}.parquet"
                )
                part.select("request", "row", "left").sample(fraction=1, shuffle=True, seed=at).write_parquet(
                    f"{scratch}/labels-{at:04d}.parquet"
                )
            command = [sys.executable, __file__, "join", scratch]
            lines.append(
                [f"{size:,}", *subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()]
            )
        write("memory", table(["predictions and labels", "labelled", "seconds", "peak memory, MB"], lines))


def made(size: int, at_once: int = 1_000_000) -> Iterator[pl.DataFrame]:
    """Make predictions of half a year with their answers."""
    for first in range(0, size, at_once):
        rng, count = np.random.default_rng(first), min(at_once, size - first)
        number = np.arange(first, first + count)
        chance = rng.random(count)
        yield pl.DataFrame(
            {
                "time": pl.Series(number * (182 * 86_400_000_000 // size), dtype=pl.Int64).cast(
                    pl.Datetime("us", "UTC")
                ),
                "version": pl.repeat("20260601-aaaaaaaa", count, eager=True),
                "request": pl.Series(number).cast(pl.String),
                "row": pl.zeros(count, pl.Int64, eager=True),
                "town": rng.choice(["Alba", "Bern", "Cork"], count),
                "spend": chance * 10,
                "probability": chance,
                "left": (rng.random(count) < chance).astype(np.int64),
            }
        )


def join_one(folder: str) -> None:
    """Join what is in a folder, and print what it took."""
    from onebutton_evaluation.declarations import Judging, SliceRule

    judging = Judging(
        owner="x", answer="left", prediction="probability", metrics=("auc",), champion="auc", tolerance=0.01
    )
    said, begun = replace(SAID, slices=(SliceRule(by=("town",)),)), time.monotonic()
    log, labels = (pl.scan_parquet(f"{folder}/{name}-*.parquet") for name in ("log", "labels"))
    joined = join(log, labels, said, judging, "20260601-aaaaaaaa")
    measure(joined.days, WEEK)
    labelled = joined.days.filter(pl.col(SLICE) == ALL)["labelled"].sum()
    print(
        f"{labelled:,} {time.monotonic() - begun:.0f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGA:.0f}"
    )


def main(words: list[str]) -> None:
    """Measure what is named, or all."""
    if words[:1] == ["join"]:
        join_one(words[1])
        return
    sizes = [int(word) for word in words if word.isdecimal()] or [1_000_000, 10_000_000, 100_000_000]
    parts = [word for word in words if not word.isdecimal()] or ["history", "power", "faults", "units", "memory"]
    one = watch(FOLDER, FOLDER / "model/model.onnx") if {*parts} - {"memory"} else None
    for part in parts:
        if one is None or part == "memory":
            memory(sizes)
        else:
            {"history": history, "power": power, "faults": faults, "units": units}[part](one)


if __name__ == "__main__":
    main(sys.argv[1:])
