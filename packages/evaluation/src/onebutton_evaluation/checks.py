"""Hold a pipeline's results to its gates: each gets a verdict, passed, failed or NOT RUN, with the numbers that decided.

There is a check for each kind of gate: the holdout, limits, comparisons, perturbed inputs, the measured server.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import InputError
from onebutton_contracts.sources import sha256
from onebutton_evaluation.card_text import CardText
from onebutton_evaluation.catalogue import named
from onebutton_evaluation.champion import CHAMPION, champion_name
from onebutton_evaluation.comparison import holm
from onebutton_evaluation.declarations import (
    Declarations,
    HoldoutGate,
    LimitedGate,
    LimitGate,
    NoWorseGate,
    NumberGate,
    PerturbedGate,
    ServiceGate,
)
from onebutton_evaluation.influence import Metric
from onebutton_evaluation.intervals import LEVEL, needs
from onebutton_evaluation.judgement import AGAIN, COMPARISON, ROBUSTNESS, SLICES, number_at, read_json
from onebutton_evaluation.slices import ALL
from onebutton_evaluation.wording import limit_words, service_words, with_interval

Result = Literal["passed", "failed", "NOT RUN"]
SERVICE = "service.json"
MEASURES = "`make deploy` measures it, and so does `make gates MEASURE=1`"


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


class Evidence(NamedTuple):
    """What gates look at: a pipeline's folder, the metrics by name, and what reads a results file or raises an `InputError`."""

    folder: Path
    known: Mapping[str, Metric]
    file: Callable[[str], Mapping[str, Any]]


def _chosen(slices: Mapping[str, Any], names: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Find slices by name or by group; None where nothing is called so."""
    for name in names:
        found = {key: one for key, one in slices.items() if name in (key, one["group"])}
        yield from found.items() or [(name, None)]


def _holdout(gate: HoldoutGate, evidence: Evidence) -> Finding:
    pins = load_contract(evidence.folder / gate.contract).properties
    pinned = pins.get("holdoutRows"), pins.get("holdoutSha256")
    judged = evidence.file(SLICES)["holdout"]
    rows, digest, leaks = judged["rows"], judged["digest"], judged.get("likely_leaks")
    if pinned == (str(rows), digest):
        words = f"{rows:,} rows, keys and answers as the contract pins them"
        return Finding("passed", f"{words}. Likely a leak: {'; '.join(leaks)}" if leaks else words)
    words = "as many rows as the contract pins, but other keys or answers"
    if None in pinned:
        words = f"{gate.contract} pins no holdout; {rows:,} rows were judged"
    elif pinned[0] != str(rows):
        words = f"{rows:,} rows were judged, the contract pins {int(str(pinned[0])):,}"
    return Finding("failed", f"{words}. If they are right, pin holdoutRows: {rows}, holdoutSha256: {digest}")


def _limit(gate: LimitGate, evidence: Evidence) -> Finding:
    metric, found = named(evidence.known, gate.metric), {}
    for name, one in _chosen(evidence.file(SLICES)["slices"], gate.slices):
        if one is None:
            return Finding("failed", f"no slice or group is called {name!r}")
        number = one["metrics"].get(gate.metric)
        found[name] = _held(number, gate, metric.words) if number else _too_few(name, one, metric)
    failed = [name for name, one in found.items() if one.result == "failed"]
    unsure = [one.words for one in found.values() if one.result == "NOT RUN"]
    if unsure and not failed:
        return Finding("NOT RUN", "; ".join(unsure))
    name = min(found, key=lambda name: found[name].room)
    words = found[name].words
    if len(found) > 1:
        words = f"worst of {len(found)} slices: {name}, {words}"
    elif name != ALL:
        words = f"{name}: {words}"
    if len(failed) > 1:
        words += f". {len(failed)} slices failed: {', '.join(failed)}"
    return Finding(found[name].result, words)


def _too_few(place: str, one: Mapping[str, Any], metric: Metric) -> Finding:
    words = f"not enough data on {place}: {one['rows']:,} rows, {one['units']:,} units; {needs(metric)}"
    return Finding("NOT RUN", f"{words}. Add rows, or take the slice out of gates.toml, then `make run`")


def _held(number: Mapping[str, Any], gate: LimitedGate, what: str) -> Finding:
    """Hold the worse end of an interval to a gate's limits; without an interval an estimate can fail, and cannot pass."""
    alone = number["low"] is None
    low, high = (number["estimate"],) * 2 if alone else (number["low"], number["high"])
    below = math.inf if gate.at_least is None else low - gate.at_least
    above = math.inf if gate.at_most is None else gate.at_most - high
    words, limits, room = f"{what} {with_interval(number, gate)}", limit_words(gate), min(below, above)
    if not room >= 0:
        end = "it" if alone else "the lower end" if below == room else "the upper end"
        return Finding("failed", f"{words}, {end} must be {limits}", room)
    if alone:
        return Finding("NOT RUN", f"{words} has no interval, because every row is alike", room)
    return Finding("passed", f"{words}, {limits}", room)


def _number(gate: NumberGate, evidence: Evidence) -> Finding:
    number = number_at(gate.number, evidence.file("metrics.json"))
    if number is None:
        return Finding("failed", f"metrics.json has no number {gate.number}")
    name = gate.number.removeprefix("model.").replace("_", " ")
    return _plain(number, gate, f"{name} {with_interval({'estimate': number}, gate)}", limit_words(gate))


def _plain(value: float, gate: LimitedGate, words: str, limits: str) -> Finding:
    """Hold a number without an interval to its limits."""
    if (gate.at_least is None or value >= gate.at_least) and (gate.at_most is None or value <= gate.at_most):
        return Finding("passed", f"{words}, {limits}")
    return Finding("failed", f"{words}, must be {limits}")


def _service(gate: ServiceGate, evidence: Evidence) -> Finding:
    measured = evidence.file(SERVICE) if (evidence.folder / SERVICE).is_file() else {}
    if not measured:
        return Finding("NOT RUN", f"needs a running server: {MEASURES}")
    model = evidence.folder / CardText.load(evidence.folder / "card.toml").model
    if not model.is_file() or sha256(model) != measured.get("model_sha256"):
        return Finding("NOT RUN", f"the server was measured with another model; with this one {MEASURES}")
    value = number_at(gate.number, measured)
    if value is None:
        return Finding("failed", f"{SERVICE} has no number {gate.number}")
    return _plain(value, gate, *service_words(gate.number, value, gate))


def _no_worse(gate: NoWorseGate, evidence: Evidence) -> Finding:
    compared = evidence.file(COMPARISON).get(gate.than)
    if compared is None:
        return Finding("failed", f"nothing was compared with {gate.than!r}")
    champion = champion_name(evidence.folder / CHAMPION) if gate.than == CHAMPION else None
    if champion is not None and champion != compared["name"]:
        with_whom = "no champion" if compared["name"] is None else f"the champion {compared['name']}"
        words = f"compared with {with_whom}, but {CHAMPION}/ holds {champion} by now: `make run` compares with it"
        return Finding("failed", words)
    if compared["name"] is None:
        return Finding("passed", compared["in_words"])
    chosen = dict(_chosen(compared["slices"], (ALL, *gate.protected)))
    worse = shown_worse(chosen)
    metric = named(evidence.known, compared["metric"])
    findings = [_not_worse(name, one, compared, metric, worse=name in worse) for name, one in chosen.items()]
    results: tuple[Result, ...] = ("failed", "NOT RUN")
    for result in results:
        if told := [one.words for one in findings if one.result == result]:
            return Finding(result, "; ".join(told))
    words = _improvement(gate, compared, chosen, metric)
    if gate.better and not compared["slices"][ALL]["difference"]["low"] > 0:
        return Finding("failed", f"{words}; on all rows the lower end must be above 0")
    return Finding("passed", words)


def _improvement(gate: NoWorseGate, compared: Mapping[str, Any], chosen: Mapping[str, Any], metric: Metric) -> str:
    """Say how much better the model is overall, and where least; every slice has a difference."""
    floor = f"more than {-compared['tolerance']:g}"
    parts = {name: one["difference"] for name, one in chosen.items()}
    whole = with_interval(parts.pop(ALL), sign=True)
    words = f"improvement in {metric.words} over {compared['name'].replace('_', ' ')} {whole}"
    words += f", {'above 0' if gate.better else floor}"
    if not parts:
        return words
    least = min(parts, key=lambda name: parts[name]["low"])
    return f"{words}; worst of {len(parts)} slices: {least}, {with_interval(parts[least], sign=True)}, {floor}"


def shown_worse(slices: Mapping[str, Mapping[str, Any] | None]) -> set[str]:
    """Name the slices on which a challenger is worse, p-values corrected together (Holm 1979) for these slices alone.

    A gate asks about the slices that it names; how many others are shown beside them must not weaken it.
    """
    found = {name: one["difference"] for name, one in slices.items() if one is not None and "difference" in one}
    p_values = [math.nan if one.get("p") is None else one["p"] for one in found.values()]
    return {
        name
        for (name, one), p in zip(found.items(), holm(p_values), strict=True)
        if p < 1 - LEVEL and one["estimate"] < 0
    }


def _not_worse(
    name: str, one: Mapping[str, Any] | None, compared: Mapping[str, Any], metric: Metric, *, worse: bool
) -> Finding:
    """Judge one slice: no worse by the tolerance is shown, worse is shown, or the data cannot tell."""
    if one is None:
        return Finding("failed", f"no slice or group is called {name!r}")
    place = "all rows" if name == ALL else name
    if one["verdict"] == "not enough data":
        return _too_few(place, one, metric)
    difference, tolerance = one["difference"], compared["tolerance"]
    if difference["low"] > -tolerance:
        return Finding("passed", "")
    words = f"{metric.words} {with_interval(difference, sign=True)}"
    if worse or one["verdict"] == "worse":
        words = f"worse on {place} than {compared['name']}: {words}"
        return Finding("failed", f"{words}, the lower end must be more than {-tolerance:g}")
    tail = f"about {one['rows_needed']:,} rows are needed, there are {one['rows']:,}"
    if one["rows_needed"] <= one["rows"]:
        tail = f"the {one['rows']:,} rows would do for two equal models, so this one may be a little worse"
    return Finding("NOT RUN", f"cannot tell on {place}: {words} with a tolerance of {tolerance:g}; {tail}")


def _perturbed(gate: PerturbedGate, evidence: Evidence) -> Finding:
    numbers = evidence.file(ROBUSTNESS)["perturbed"].get(gate.perturbation)
    if numbers is None:
        return Finding("NOT RUN", f"the model was not tried with {gate.perturbation!r}: `make run` does it")
    number = numbers.get(gate.metric)
    metric = named(evidence.known, gate.metric)
    if number is None:
        return Finding("NOT RUN", f"not enough data with {gate.perturbation!r}; {needs(metric)}")
    return _held(number, gate, f"{metric.words} with {gate.perturbation}")


CHECKS: dict[type, Callable[[Any, Evidence], Finding]] = {
    HoldoutGate: _holdout,
    LimitGate: _limit,
    NumberGate: _number,
    NoWorseGate: _no_worse,
    PerturbedGate: _perturbed,
    ServiceGate: _service,
}


def verdicts(folder: Path, said: Declarations, results: Mapping[str, Any] | None = None) -> list[Verdict]:
    """Hold results to gates, in their order; a result that cannot be read makes a gate NOT RUN.

    `results` is by file the content that was computed just now; a file that is not named there is read in the folder.
    """
    computed = results or {}

    @cache
    def file(name: str) -> Mapping[str, Any]:
        return computed[name] if name in computed else read_json(folder / name)

    evidence = Evidence(folder, said.judging.known(), file)
    found = []
    for gate in said.gates:
        try:
            finding = CHECKS[type(gate)](gate, evidence)
        except InputError as error:
            finding = Finding("NOT RUN", str(error))
        except (AttributeError, LookupError, TypeError) as error:
            finding = Finding("NOT RUN", f"a result is not laid out as this version reads it ({error!r}). {AGAIN}")
        found.append(Verdict(gate.id, finding.result, finding.words, gate.why, gate.check))
    return found


def standing(found: Sequence[Verdict], *, draft: bool = False) -> tuple[Result, str]:
    """Sum up verdicts: the worst result, and a sentence that says what it means for a deployment."""
    failed = [one.id for one in found if one.result == "failed"]
    waiting = sum(one.result == "NOT RUN" and one.check == "service" for one in found)
    not_judged = [one.id for one in found if one.result == "NOT RUN" and one.check != "service"]
    passed = sum(one.result == "passed" for one in found)
    words = [f"{passed} of {len(found)} gates passed"]
    if failed:
        words = [f"{len(failed)} of {len(found)} gates failed: {', '.join(failed)}"]
    elif passed == len(found) > 1:
        words = [f"All {passed} gates passed"]
    if not_judged:
        words.append(f"{len(not_judged)} could not be judged: {', '.join(not_judged)}")
    if waiting and not failed:
        need, them = ("needs", "it") if waiting == 1 else ("need", "them")
        words.append(f"{waiting} {need} a running server, and `make deploy` measures {them}")
    sentence = "; ".join(words) + "."
    if draft:
        sentence += " This is a draft: its gates stop nobody, and it stays on your own machine."
    elif failed or not_judged:
        sentence += " `make deploy` refuses it like this."
    return "failed" if failed else "NOT RUN" if waiting or not_judged else "passed", sentence
