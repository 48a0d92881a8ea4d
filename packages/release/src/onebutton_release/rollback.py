"""Go back to the release before: check it, move, wait for the servers. The work of `make rollback`.

It needs neither MLflow nor the network of anybody but the release store and its servers.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from onebutton_contracts.errors import InputError, require
from onebutton_release.moves import begin, good, say, whole
from onebutton_release.servers import wait
from onebutton_release.target import Target, find_target
from onebutton_serving.history import Move, now, read_history, record
from onebutton_serving.release_store import ReleaseStoreError
from onebutton_serving.sealed import MANIFEST, ReleaseError, digest_of

PATIENCE = 10.0  # seconds until the servers must have it


def rollback(target: Target, *, version: str = "", why: str) -> Move:
    """Go back to a release, the one before when none is named; `why` stands in the history and must not be empty.

    Raises:
        InputError: nothing was in service before, or what was is damaged; the message names the next that is whole.
        ReleaseStoreError: the release store cannot be read or written.
    """
    move = begin(target, "rollback", why)
    pipeline, before = target.pipeline, good(read_history(target.store))[:-1]
    wanted = version or next(reversed(before), "")
    example = f'make rollback PIPELINE={pipeline} WHY="every flight is late, it says"'
    require(why.strip(), f"say why, in a few words: who reads the history tomorrow was not here. `{example}`")
    none = f"no release of {pipeline} is in service in {target.name}, so there is nothing to go back from"
    require(move.before, none)
    first = f"{move.before} is the first release of {pipeline} in {target.name}: there is nothing to go back to"
    require(before, first)
    require(wanted in before, f"{wanted} is not among what was in service before: {', '.join(reversed(before))}")
    if fault := _damage(target, wanted):
        left = (one for one in reversed(before) if one != wanted and not _damage(target, one))
        next_one = next((f"make rollback PIPELINE={pipeline} ENV={target.name} TO={one} WHY=…" for one in left), "")
        more = f"The next that is whole: {next_one}" if next_one else "No other is whole: build one and deploy it"
        raise InputError(f"{fault}, so {move.before} stays in service. {more}")
    digest = digest_of(target.fetch(wanted) / MANIFEST)
    moved = record(target.store, replace(move, at=now(), after=wanted, digest=digest))
    for report in wait(target.servers, target.identity, wanted, PATIENCE):  # going back stands whatever they say
        then = ". RESTART IT"
        if report.has(wanted):
            then = ""
        elif report.foreign or report.silent:
            then = f"; going back does not wait for it{'' if report.foreign else f', it takes {wanted} when it starts'}"
        say(f"{report.address} {report.words(wanted)}{then}")
    return moved


def go_back(*, root: Path, pipeline: str = "", env: str = "", to: str = "", why: str = "") -> None:
    """Go back as `rollback` does, and say what is in service; in production where no environment is named."""
    target = find_target(root, pipeline, env, "production")
    move = rollback(target, version=to, why=why)
    then = "make run TRACK=only (MLflow's alias), then find out why"
    print(f"rollback: {move.after} is in service in {target.name} again, {move.before} is not. Next: {then}")


def _damage(target: Target, version: str) -> str:
    """Say what is wrong with a release; empty when it is whole."""
    try:
        whole(target, version)
    except (InputError, ReleaseError, ReleaseStoreError) as error:
        return str(error)
    return ""
