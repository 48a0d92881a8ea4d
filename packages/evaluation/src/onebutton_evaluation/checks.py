"""Hold a pipeline's results to its gates: each gets a verdict, passed, failed or NOT RUN, with the numbers that decided."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import InputError
from onebutton_contracts.sources import sha256
from onebutton_evaluation.card_text import CardText
from onebutton_evaluation.champion import CHAMPION, champion_name
from onebutton_evaluation.comparison import NONE, holm
from onebutton_evaluation.declarations import (
    Declarations,
    HoldoutGate,
    Judging,
    LimitedGate,
    LimitGate,
    NoWorseGate,
    NumberGate,
    PerturbedGate,
)
from onebutton_evaluation.influence import Metric
from onebutton_evaluation.intervals import LEVEL, needs
from onebutton_evaluation.judgement import AGAIN, COMPARISON, ROBUSTNESS, SLICES, number_at, read_json
from onebutton_evaluation.slices import ALL
from onebutton_evaluation.wording import limit_words, with_interval

Result = Literal["failed", "NOT RUN", "passed"]
WORST_FIRST: tuple[Result, ...] = ("failed", "NOT RUN", "passed")
SERVICE = "service.json"
MEASURES = "needs a running server: `make deploy` measures it, and so does `make gates MEASURE=1`"


class UnknownError(InputError):
    """A gate names what the results do not have, so it fails."""


class Finding(NamedTuple):
    """What one gate's check found, and the room that is left between its number and the limit; negative beyond it."""

    result: Result
    words: str
    room: float = math.inf


class Verdict(NamedTuple):
    """What became of one gate: what was found with the numbers that decided, and which kind it is in `gates.toml`."""

    id: str
    result: Result
    words: str
    why: str
    check: str


class Results(dict[str, Any]):
    """Results files by name: as they were computed just now, else as they stand in a folder."""

    def __init__(self, folder: Path, computed: Mapping[str, Any]) -> None:
        """Begin with what was computed."""
        super().__init__(computed)
        self.folder = folder

    def __missing__(self, name: str) -> Any:
        """Read a file; raise an `InputError` where that cannot be done."""
        self[name] = read_json(self.folder / name)
        return self[name]


Slices = Mapping[str, Mapping[str, Any]]  # as results have them, by name


def _holdout(gate: HoldoutGate, _: Judging, results: Results) -> Finding:
    pins = load_contract(results.folder / gate.contract).properties
    judged = results[SLICES]["holdout"]
    rows, digest, leaks = judged["rows"], judged["digest"], judged.get("likely_leaks")
    pinned = pins.get("holdoutRows")
    if (pinned, pins.get("holdoutSha256")) == (str(rows), digest):
        words = f"{rows:,} rows, keys and answers as the contract pins them"
        return Finding("passed", f"{words}. Likely a leak: {'; '.join(leaks)}" if leaks else words)
    others = "as many, but other keys or answers" if pinned == str(rows) else pinned or "none"
    words = f"{rows:,} rows were judged, the contract pins {others}"
    return Finding("failed", f"{words}. If they are right, pin holdoutRows: {rows}, holdoutSha256: {digest}")


def _limit(gate: LimitGate, judging: Judging, results: Results) -> Finding:
    metric = judging.known()[gate.metric]

    def judged(_: str, one: Mapping[str, Any]) -> Finding:
        number = one["metrics"].get(gate.metric)
        return _held(gate, number, f"{metric.words} {with_interval(number, gate)}") if number else _few(one, metric)

    return _together(_chosen(results[SLICES]["slices"], gate.slices), judged)


def _perturbed(gate: PerturbedGate, judging: Judging, results: Results) -> Finding:
    metric = judging.known()[gate.metric]
    number = results[ROBUSTNESS]["perturbed"][gate.perturbation].get(gate.metric)
    if number is None:
        return Finding("NOT RUN", f"not enough data with {gate.perturbation!r}; {needs(metric)}")
    return _held(gate, number, f"{metric.words} with {gate.perturbation} {with_interval(number, gate)}")


def _number(gate: NumberGate, _: Judging, results: Results) -> Finding:
    return _found(gate, "metrics.json", results)


def _service(gate: NumberGate, _: Judging, results: Results) -> Finding:
    model = results.folder / CardText.load(results.folder / "card.toml").model
    measured = results[SERVICE] if (results.folder / SERVICE).is_file() else {}
    if not model.is_file() or sha256(model) != measured.get("model_sha256"):
        return Finding("NOT RUN", MEASURES)
    return _found(gate, SERVICE, results)


def _found(gate: NumberGate, file: str, results: Results) -> Finding:
    value = number_at(gate.number, results[file])
    if value is None:
        raise UnknownError(f"{file} has no number {gate.number}")
    number, name = {"estimate": value}, gate.number.removeprefix("model.").replace("_", " ")
    return _held(gate, number, f"{name} {with_interval(number, gate)}")


def _held(gate: LimitedGate, number: Mapping[str, Any], words: str) -> Finding:
    """Hold a number to a gate's limits: what counts is the worse end of its interval.

    A metric whose interval is not known can fail, and cannot pass; other numbers, such as a latency, have none.
    """
    alone = number.get("low") is None
    low, high = (number["estimate"],) * 2 if alone else (number["low"], number["high"])
    below = math.inf if gate.at_least is None else low - gate.at_least
    above = math.inf if gate.at_most is None else gate.at_most - high
    limits, room = limit_words(gate), min(below, above)
    if not room >= 0:
        end = "" if alone else "the lower end " if below == room else "the upper end "
        return Finding("failed", f"{words}, {end}must be {limits}", room)
    if alone and "low" in number:
        return Finding("NOT RUN", f"{words} has no interval, because every row is alike", room)
    return Finding("passed", f"{words}, {limits}", room)


def _no_worse(gate: NoWorseGate, judging: Judging, results: Results) -> Finding:
    compared = results[COMPARISON].get(gate.than)
    if compared is None:
        raise UnknownError(f"nothing was compared with {gate.than!r}, which is no baseline that ranks rows")
    champion = champion_name(results.folder / CHAMPION) if gate.than == CHAMPION else None
    if champion is not None and champion != compared["name"]:
        with_whom = "no champion" if compared["name"] is None else f"the champion {compared['name']}"
        words = f"compared with {with_whom}, but {CHAMPION}/ holds {champion} by now: `make run` compares with it"
        return Finding("failed", words)
    if compared["name"] is None:
        return Finding("passed", compared["in_words"])
    chosen = _chosen(compared["slices"], (ALL, *gate.protected))
    metric, tolerance, worse = judging.known()[compared["metric"]], compared["tolerance"], shown_worse(chosen)

    def judged(name: str, one: Mapping[str, Any]) -> Finding:
        if one["verdict"] == NONE:
            return _few(one, metric)
        difference = one["difference"]
        floor = 0.0 if gate.better and name == ALL else -tolerance
        must, room = f"more than {floor:g}" if floor else "above 0", difference["low"] - floor
        words = f"improvement in {metric.words} over {compared['name'].replace('_', ' ')}"
        words += f" {with_interval(difference, sign=True)}"
        if room > 0:
            return Finding("passed", f"{words}, {must}", room)
        if name in worse or difference["low"] > -tolerance:
            return Finding("failed", f"{words}, the lower end must be {must}", room)
        tail = f"about {one['rows_needed']:,} rows are needed, there are {one['rows']:,}"
        if one["rows_needed"] <= one["rows"]:
            tail = f"the {one['rows']:,} rows would do for two equal models, so this one may be a little worse"
        return Finding("NOT RUN", f"{words}: cannot tell with a tolerance of {tolerance:g}; {tail}", room)

    return _together(chosen, judged)


def shown_worse(slices: Slices) -> set[str]:
    """Name the slices on which a challenger is worse, p-values corrected together (Holm 1979) for these slices alone.

    A gate asks about the slices that it names; how many others are shown beside them must not weaken it.
    """
    found = {name: one["difference"] for name, one in slices.items() if "difference" in one}
    p_values = holm([math.nan if one["p"] is None else one["p"] for one in found.values()])
    pairs = zip(found.items(), p_values, strict=True)
    return {name for (name, one), p in pairs if p < 1 - LEVEL and one["estimate"] < 0}


def _chosen(slices: Slices, names: Sequence[str]) -> Slices:
    """Find slices by name or by group."""
    for name in names:
        if not any(name in (key, one["group"]) for key, one in slices.items()):
            raise UnknownError(f"no slice or group is called {name!r}")
    return {key: one for name in names for key, one in slices.items() if name in (key, one["group"])}


def _together(chosen: Slices, judged: Callable[[str, Mapping[str, Any]], Finding]) -> Finding:
    """Judge each slice; the worst decides, and stands beside all rows."""
    found = {name: judged(name, one) for name, one in chosen.items()}
    parts = {name: one for name, one in found.items() if name != ALL}
    told = [found[ALL].words] if ALL in found else []
    if parts:
        worst = min(parts, key=lambda name: (WORST_FIRST.index(parts[name].result), parts[name].room))
        many = f"worst of {len(parts)} slices: " if len(parts) > 1 else ""
        told.append(f"{many}{worst}, {parts[worst].words}")
    words, result = "; ".join(told), min((one.result for one in found.values()), key=WORST_FIRST.index)
    alike = [name for name, one in found.items() if one.result == result]
    if result != "passed" and len(alike) > 1:
        words += f". {len(alike)} slices {result}: {', '.join(alike)}"
    return Finding(result, words)


def _few(one: Mapping[str, Any], metric: Metric) -> Finding:
    words = f"not enough data: {one['rows']:,} rows, {one['units']:,} units; {needs(metric)}"
    return Finding("NOT RUN", f"{words}. Add rows, or take the slice out of gates.toml, then `make run`")


CHECKS: dict[str, Callable[[Any, Judging, Results], Finding]] = {
    "holdout": _holdout,
    "limit": _limit,
    "number": _number,
    "service": _service,
    "no-worse": _no_worse,
    "perturbed": _perturbed,
}


def verdicts(folder: Path, said: Declarations, results: Mapping[str, Any] | None = None) -> list[Verdict]:
    """Hold results to gates, in their order; a result that cannot be read makes a gate NOT RUN.

    `results` is by file the content that was computed just now; a file that is not named there is read in the folder.
    """
    read, found = Results(folder, results or {}), []
    for gate in said.gates:
        try:
            finding = CHECKS[gate.check](gate, said.judging, read)
        except InputError as error:
            finding = Finding("failed" if isinstance(error, UnknownError) else "NOT RUN", str(error))
        except (AttributeError, LookupError, TypeError) as error:
            finding = Finding("NOT RUN", f"a result is not laid out as this version reads it ({error!r}). {AGAIN}")
        found.append(Verdict(gate.id, finding.result, finding.words, gate.why, gate.check))
    return found


def standing(found: Sequence[Verdict], *, draft: bool = False) -> tuple[Result, str]:
    """Sum up verdicts: the worst result, and a sentence that says what it means for a deployment."""
    names = {result: [one.id for one in found if one.result == result] for result in WORST_FIRST}
    measurable = all(one.check == "service" for one in found if one.result == "NOT RUN")
    words = [f"{len(names['passed'])} of {len(found)} gates passed"]
    words += [f"{result}: {', '.join(names[result])}" for result in WORST_FIRST[:2] if names[result]]
    if names["NOT RUN"] and measurable and not names["failed"]:
        words[-1] += ", which `make deploy` measures"
    sentence = "; ".join(words) + "."
    if draft:
        sentence += " This is a draft: its gates stop nobody, and it stays on your own machine."
    elif names["failed"] or not measurable:
        sentence += " `make deploy` refuses it like this."
    return next((result for result in WORST_FIRST if names[result]), "passed"), sentence
