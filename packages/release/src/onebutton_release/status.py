"""Say what is in service where, since when, by whom, and what one could go back to. The work of `make deploy STATUS=1`."""

from __future__ import annotations

from collections.abc import Iterator

from onebutton_release.pointer import Entry, good, in_service, read_history
from onebutton_release.servers import Report, ask
from onebutton_release.target import Target
from onebutton_serving.release_store import ReleaseStoreError

LATEST = 10  # moves that are shown


def status(target: Target) -> Iterator[str]:
    """Write what is known of one pipeline in one environment."""
    try:
        pointer, history = in_service(target.store), read_history(target.store)
    except ReleaseStoreError as error:
        yield f"{target.pipeline} in {target.name}: NOT RUN, its release store cannot be read: {error}"
        return
    if pointer is None:
        yield f"{target.pipeline} in {target.name}: nothing is in service yet. `make deploy ENV={target.name}`"
        return
    yield f"{target.pipeline} in {target.name}: {pointer.version}, since {pointer.entry.at}, by {pointer.entry.who}"
    yield f"  store      {target.store.url}"
    yield f"  on call    {target.environment.on_call} ({target.environment.runbook})"
    for address in target.servers:
        report = ask(address, target.identity)
        yield f"  server     {address}: {_words(report, pointer.version)}"
        yield from (f"             refused {version}: {why}" for version, why in report.refused)
    before = good(history)[:-1]
    yield f"  back to    {before[-1] if before else 'nothing: it is the first'}"
    for number, entry in enumerate(reversed(history[-LATEST:])):
        yield f"  {'history' if not number else '':<10} {_line(entry)}"


def _words(report: Report, version: str) -> str:
    if report.foreign:
        return f"{report.foreign}: it is none of this environment's"
    if report.silent:
        return f"does not answer ({report.silent})"
    words = ", ".join(sorted(set(report.versions))) or "no release"
    return words if report.has(version) else f"{words} NOT what the pointer names"


def _line(entry: Entry) -> str:
    why = f": {entry.why}" if entry.why else ""
    return (
        f"{entry.at}  {entry.action:<8} {entry.before or '(nothing)'} -> {entry.after or '(nothing)'}  {entry.who}{why}"
    )
