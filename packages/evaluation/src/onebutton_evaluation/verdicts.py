"""Hold a pipeline's results to its gates: each gets a verdict, passed, failed or NOT RUN, and says why."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import InputError
from onebutton_contracts.sources import sha256
from onebutton_evaluation.card_text import read_card_text
from onebutton_evaluation.champion import champion_name
from onebutton_evaluation.comparison import holm
from onebutton_evaluation.declarations import (
    CardGate,
    ExamGate,
    Gate,
    LimitGate,
    NoiseGate,
    NoWorseGate,
    NumberGate,
    PerturbedGate,
    ServiceGate,
    SizeGate,
)
from onebutton_evaluation.influence import METRICS
from onebutton_evaluation.intervals import LEVEL
from onebutton_evaluation.judgement import COMPARISON, ROBUSTNESS, SLICES, read_json
from onebutton_evaluation.placements import LEAST
from onebutton_evaluation.seals import locked_sizes

Result = Literal["passed", "failed", "NOT RUN"]
SERVICE = "service.json"
CHAMPION = "champion"  # what a gate calls it, and its folder
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Verdict:
    """What became of one gate.

    Attributes:
        words: what was found, with the numbers that decided.
    """

    id: str
    result: Result
    words: str
    owner: str
    why: str


@dataclass(frozen=True)
class Finding:
    """What one gate's check found."""

    result: Result
    words: str


@dataclass(frozen=True)
class Evidence:
    """A pipeline's results, read when a gate first asks for them."""

    folder: Path
    _read: dict[str, dict[str, Any]] = field(default_factory=dict)

    def file(self, name: str) -> dict[str, Any]:
        """Return the content of a results file.

        Raises:
            InputError: it is not there.
        """
        if name not in self._read:
            self._read[name] = read_json(self.folder / name)
        return self._read[name]


def verdicts(folder: Path, gates: Sequence[Gate]) -> list[Verdict]:
    """Hold the results in a pipeline's folder to its gates, in their order; a result that is missing makes a gate NOT RUN."""
    evidence = Evidence(folder)
    found = []
    for gate in gates:
        try:
            finding = _CHECKS[type(gate)](gate, evidence)
        except InputError as error:
            finding = Finding("NOT RUN", str(error))
        found.append(Verdict(gate.id, finding.result, finding.words, gate.owner, gate.why))
    return found


def _worst(findings: Sequence[Finding], passed: str) -> Finding:
    """Sum up findings: failed when one failed, else NOT RUN when one is, and the words of those alone."""
    for result in ("failed", "NOT RUN"):
        words = [one.words for one in findings if one.result == result]
        if words:
            return Finding("failed" if result == "failed" else "NOT RUN", "; ".join(words))
    return Finding("passed", passed)


def _chosen(slices: Mapping[str, Any], names: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Find slices by name or by group; None where nothing is called so."""
    for name in names:
        found = {key: one for key, one in slices.items() if name in (key, one["group"])}
        yield from found.items() or [(name, None)]


def _exam(gate: ExamGate, evidence: Evidence) -> Finding:
    contract = load_contract(evidence.folder / gate.contract)
    judged = evidence.file(SLICES)["exam"]
    pinned = {name: contract.properties.get(name) for name in ("examRows", "examSha256")}
    right = f"If they are right, pin examRows: {judged['rows']}, examSha256: {judged['digest']}"
    if None in pinned.values():
        return Finding("failed", f"{gate.contract} pins no exam; {judged['rows']:,} rows were judged. {right}")
    if str(judged["rows"]) != pinned["examRows"]:
        words = f"{judged['rows']:,} rows were judged, the contract pins {int(str(pinned['examRows'])):,}"
        return Finding("failed", f"{words}. {right}")
    if judged["digest"] != pinned["examSha256"]:
        return Finding("failed", f"as many rows as the contract pins, but other keys or answers. {right}")
    return Finding("passed", f"{judged['rows']:,} rows with the keys and answers that the contract pins")


def _limit(gate: LimitGate, evidence: Evidence) -> Finding:
    slices, findings, ends = evidence.file(SLICES)["slices"], [], []
    for name, one in _chosen(slices, gate.slices):
        if one is None:
            findings.append(Finding("failed", f"no slice or group is called {name!r}"))
            continue
        number = one["metrics"].get(gate.metric)
        if number is None:
            findings.append(_too_few(name, one, gate.metric))
            continue
        findings.append(_judged(number, gate, f"{METRICS[gate.metric].words} on {name}"))
        if number["low"] is not None:
            ends.append((number["low"], number["high"]))
    reach = f"{min(low for low, _ in ends):.4f} to {max(high for _, high in ends):.4f}" if ends else ""
    what = f"{METRICS[gate.metric].words} on {', '.join(gate.slices)}"
    return _worst(findings, f"{what} surely lies in {reach}, limit {_limits(gate)}")


def _too_few(place: str, one: Mapping[str, Any], metric: str) -> Finding:
    words = f"not enough data on {place}: {one['rows']:,} rows, {one['units']:,} units"
    return Finding("NOT RUN", f"{words}{_both(metric)}")


def _both(metric: str) -> str:
    """Say what an AUC needs beside rows."""
    return (
        f"; {METRICS[metric].words} needs {LEAST} units with either answer" if METRICS[metric].scale == "ranks" else ""
    )


def _judged(number: Mapping[str, Any], gate: Any, what: str) -> Finding:
    """Hold the worse end of an interval to a gate's limits; without an interval an estimate can fail, and cannot pass."""
    if number["low"] is not None:
        return _within(number["low"], number["high"], gate, what)
    alone = _within(number["estimate"], number["estimate"], gate, what)
    return alone if alone.result == "failed" else Finding("NOT RUN", f"{what} has no interval: every row is alike")


def _within(low: float, high: float, gate: Any, what: str) -> Finding:
    """Hold the worse end of an interval, or a plain number as both ends, to a gate's limits."""
    shown = f"{low:.4f}" if low == high else f"{low:.4f} to {high:.4f}"
    if gate.at_least is not None and not low >= gate.at_least:
        return Finding("failed", f"{what} is {shown}, and must be at least {gate.at_least:g}")
    if gate.at_most is not None and not high <= gate.at_most:
        return Finding("failed", f"{what} is {shown}, and must be at most {gate.at_most:g}")
    return Finding("passed", f"{what} is {shown}, limit {_limits(gate)}")


def _limits(gate: Any) -> str:
    limits = {"least": gate.at_least, "most": gate.at_most}
    return " and ".join(f"at {side} {value:g}" for side, value in limits.items() if value is not None)


def _number(gate: NumberGate, evidence: Evidence) -> Finding:
    return _named_number(gate.number, evidence.file("metrics.json"), gate)


def _service(gate: ServiceGate, evidence: Evidence) -> Finding:
    if not (evidence.folder / SERVICE).is_file():
        return Finding("NOT RUN", "no server was measured on this model: `make gates MEASURE=1` does it")
    model = evidence.folder / read_card_text(evidence.folder / "card.toml").model
    if not model.is_file() or sha256(model) != evidence.file(SERVICE).get("model_sha256"):
        return Finding(
            "NOT RUN", "the server was measured on another model: `make gates MEASURE=1` measures it on this one"
        )
    return _named_number(gate.number, evidence.file(SERVICE), gate)


def _named_number(name: str, numbers: Any, gate: NumberGate | ServiceGate) -> Finding:
    for part in name.split("."):
        numbers = numbers.get(part) if isinstance(numbers, Mapping) else None
    if isinstance(numbers, bool) or not isinstance(numbers, int | float):
        return Finding("failed", f"there is no number {name}")
    return _within(numbers, numbers, gate, name)


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
    chosen = dict(_chosen(compared["slices"], ("all", *gate.protected)))
    worse = surely_worse(chosen)
    findings = [_not_worse(name, one, compared, worse=name in worse) for name, one in chosen.items()]
    return _worst(findings, compared["in_words"])


def surely_worse(slices: Mapping[str, Mapping[str, Any] | None]) -> set[str]:
    """Name the slices on which a challenger is worse, p-values corrected together (Holm 1979) for these slices alone.

    A gate asks about the slices that it names, all others are there to look around: their number is no reason to miss what a gate
    was put there to find.
    """
    found = {name: one["difference"] for name, one in slices.items() if one is not None and "difference" in one}
    p_values = [math.nan if one.get("p") is None else one["p"] for one in found.values()]
    return {
        name
        for (name, one), p in zip(found.items(), holm(p_values), strict=True)
        if p < 1 - LEVEL and one["estimate"] < 0
    }


def _not_worse(name: str, one: Mapping[str, Any] | None, compared: Mapping[str, Any], *, worse: bool) -> Finding:
    """One slice: no worse by the tolerance is shown, worse is shown, or nobody can tell."""
    if one is None:
        return Finding("failed", f"no slice or group is called {name!r}")
    place = "all rows" if name == "all" else name
    if one["verdict"] == "not enough data":
        return _too_few(place, one, compared["metric"])
    difference, tolerance = one["difference"], compared["tolerance"]
    ends = f"{difference['low']:+.4f} to {difference['high']:+.4f}"
    if difference["low"] > -tolerance:
        return Finding("passed", "")
    if worse or one["verdict"] == "worse":
        return Finding("failed", f"worse on {place} than {compared['name']} ({compared['metric']} {ends})")
    tail = f"about {one['rows_needed']:,} rows are needed, there are {one['rows']:,}"
    if one["rows_needed"] <= one["rows"]:
        tail = f"the {one['rows']:,} rows would do for two equal models, so this one may be a little worse"
    return Finding("NOT RUN", f"cannot tell on {place}: {ends} with a tolerance of {tolerance:g}; {tail}")


def _noise(gate: NoiseGate, evidence: Evidence) -> Finding:
    noise = evidence.file(ROBUSTNESS)["label_noise"]
    result: Result = "passed" if noise <= gate.at_most else "failed"
    return Finding(result, f"{noise:.1%} of the answers look wrong, limit {gate.at_most:.1%}")


def _perturbed(gate: PerturbedGate, evidence: Evidence) -> Finding:
    numbers = evidence.file(ROBUSTNESS)["perturbed"].get(gate.perturbation)
    if numbers is None:
        return Finding("NOT RUN", f"not judged with {gate.perturbation!r}")
    number = numbers.get(gate.metric)
    if number is None:
        return Finding("NOT RUN", f"not enough data with {gate.perturbation!r}{_both(gate.metric)}")
    return _judged(number, gate, f"{METRICS[gate.metric].words} with {gate.perturbation}")


def _size(gate: SizeGate, evidence: Evidence) -> Finding:
    file = evidence.folder / gate.file
    size = file.stat().st_size if file.is_file() else locked_sizes(evidence.folder).get(gate.file)
    if size is None:
        return Finding("NOT RUN", f"{gate.file} is not here, and no stage wrote it")
    result: Result = "passed" if size <= gate.at_most_mb * MEGABYTE else "failed"
    return Finding(result, f"{gate.file} has {size / MEGABYTE:.2f} MB, limit {gate.at_most_mb:g} MB")


def _card(gate: CardGate, evidence: Evidence) -> Finding:
    said = read_card_text(evidence.folder / "card.toml")
    empty = [name for name in gate.required if not said.written(name)]
    if empty:
        return Finding("failed", f"card.toml: nobody has written {', '.join(empty)}")
    return Finding("passed", f"{len(gate.required)} fields are written")


_CHECKS: dict[type, Callable[[Any, Evidence], Finding]] = {
    ExamGate: _exam,
    LimitGate: _limit,
    NumberGate: _number,
    NoWorseGate: _no_worse,
    NoiseGate: _noise,
    PerturbedGate: _perturbed,
    SizeGate: _size,
    ServiceGate: _service,
    CardGate: _card,
}
