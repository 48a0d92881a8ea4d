"""Hold a pipeline's results to its gates: each gets a verdict, passed, failed or NOT RUN, with the numbers that decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError
from onebutton_evaluation.checks import CHECKS, Evidence, Finding, Result
from onebutton_evaluation.declarations import Declarations
from onebutton_evaluation.judgement import AGAIN, read_json


@dataclass(frozen=True)
class Verdict:
    """What became of one gate.

    Attributes:
        words: what was found, with the numbers that decided.
        check: which kind of gate it is, as `gates.toml` calls it.
    """

    id: str
    result: Result
    words: str
    why: str
    check: str


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
    elif passed == len(found):
        words = [f"All {passed} gates passed" if passed > 1 else "The one gate passed"]
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
