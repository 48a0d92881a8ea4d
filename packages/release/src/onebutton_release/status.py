"""Say what is in service where, since when, by whom, and what one could go back to. The work of `make deploy STATUS=1`."""

from collections.abc import Iterator
from pathlib import Path

from onebutton_contracts.errors import InputError, require
from onebutton_release.moves import good
from onebutton_release.servers import ask
from onebutton_release.target import Target, find_target, pipeline_named, pipelines_to_ship, read_environments
from onebutton_serving.history import chain_fault, in_service, read_history
from onebutton_serving.release_store import ReleaseStoreError
from onebutton_serving.schema import is_draft

LATEST = 10  # moves that are shown


def show_status(root: Path, pipeline: str, environment: str) -> None:
    """Print what is in service, everywhere unless a pipeline or an environment is named.

    Raises:
        InputError: a release store could not be read.
    """
    unread = 0
    for one in [pipeline_named(pipeline, root)] if pipeline else pipelines_to_ship(root):
        for name in [environment] if environment else read_environments(root):
            try:
                print(*status(find_target(root, one, name, name)), sep="\n")
            except (InputError, ReleaseStoreError) as error:
                print(f"{one} in {name}: NOT RUN: {error}")
                unread += 1
    require(not unread, f"{unread} release {'store' if unread == 1 else 'stores'} could not be read")


def status(target: Target) -> Iterator[str]:
    """Write what is known of one pipeline in one environment."""
    last, history, fault = in_service(target.store), read_history(target.store), chain_fault(target.store)
    if last is None:
        yield f"{target.pipeline} in {target.name}: nothing is in service yet. `make deploy ENV={target.name}`"
        return
    draft = ", a draft" if target.environment.laptop and is_draft(target.fetch(last.after)) else ""
    yield f"{target.pipeline} in {target.name}: {last.after}{draft}, since {last.at}, by {last.who} ({last.known_by})"
    yield f"  store      {target.store.url}"
    yield f"  on call    {target.environment.on_call} ({target.environment.runbook})"
    for address in target.servers:
        report = ask(address, target.identity)
        yield f"  server     {address} {report.words(last.after)}"
        yield from (f"             refused {version}: {why}" for version, why in report.refused.items())
    before = good(history)[:-1]
    yield f"  back to    {before[-1] if before else 'nothing: it is the first'}"
    for number, move in enumerate(reversed(history[-LATEST:])):
        versions = f"{move.before or '(nothing)'} -> {move.after or '(nothing)'}"
        moved = f"{move.at}  {move.action:<8} {versions}  {move.who} ({move.known_by}){move.why and ': '}{move.why}"
        yield f"  {'' if number else 'history':<10} {moved}"
    yield f"  chain      {f'BROKEN: {fault}' if fault else 'whole: each move fits the one before'}"
