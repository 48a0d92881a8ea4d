"""Go back to the release before: check it, move, wait for the servers. The work of `make rollback`.

It needs neither MLflow nor the network of anybody but the release store and its servers.
"""

from __future__ import annotations

from dataclasses import replace

from onebutton_contracts.errors import InputError
from onebutton_release.moves import begin, good, say
from onebutton_release.servers import wait
from onebutton_release.target import Target
from onebutton_serving.history import Move, altered, now, read_history, record
from onebutton_serving.release_store import ReleaseStoreError
from onebutton_serving.sealed import MANIFEST, ReleaseError, check, digest_of

PATIENCE = 10.0  # seconds until the servers must have it


def rollback(target: Target, *, version: str = "", why: str) -> Move:
    """Go back.

    Args:
        target: where.
        version: to which release; empty for the one before.
        why: in words, for the history; it must not be empty.

    Raises:
        InputError: nothing was in service before, or what was is damaged; the message names the next that is whole.
        ReleaseStoreError: the release store cannot be read or written.
    """
    move = begin(target, "rollback", why)
    if not why.strip():
        example = f'make rollback PIPELINE={target.pipeline} WHY="every flight is late, it says"'
        message = f"say why, in a few words: who reads the history tomorrow was not here. `{example}`"
        raise InputError(message)
    if not move.before:
        message = f"no release of {target.pipeline} is in service in {target.name}, so there is nothing to go back from"
        raise InputError(message)
    chosen = _choose(target, move.before, version)
    digest = digest_of(target.fetch(chosen) / MANIFEST)
    moved = record(target.store, replace(move, at=now(), after=chosen, digest=digest))
    _tell(target, chosen)
    return moved


def _choose(target: Target, current: str, wanted: str) -> str:
    """Take the release before, or the one that was asked for, and refuse a damaged one."""
    before = good(read_history(target.store))[:-1]
    if not before:
        message = (
            f"{current} is the first release of {target.pipeline} in {target.name}: there is nothing to go back to"
        )
        raise InputError(message)
    chosen = wanted or before[-1]
    if chosen not in before:
        message = f"{chosen} is not among what was in service before: {', '.join(reversed(before))}"
        raise InputError(message)
    if fault := damage(target, chosen):
        whole = [one for one in reversed(before) if one != chosen and not damage(target, one)]
        more = "No other release is whole: build one and deploy it"
        if whole:
            button = f"make rollback PIPELINE={target.pipeline} ENV={target.name} TO={whole[0]} WHY=…"
            more = f"The next that is whole: {button}"
        message = f"{fault}, so {current} stays in service. {more}"
        raise InputError(message)
    return chosen


def damage(target: Target, version: str) -> str:
    """Say what is wrong with a release; empty when it is whole."""
    try:
        found = target.fetch(version)
        check(found)
        history = read_history(target.store)
        return altered(history, version, digest_of(found / MANIFEST))
    except (ReleaseError, ReleaseStoreError) as error:
        return str(error)


def _tell(target: Target, version: str) -> None:
    """Wait for the servers; going back stands whatever they say, because the history is what they will follow."""
    for report in wait(target.servers, target.identity, version, PATIENCE):
        if report.has(version):
            words = f"has {version} in service"
        elif report.foreign:
            words = f"{report.foreign}; going back does not wait for it"
        elif report.silent:
            words = f"does not answer ({report.silent}); it takes {version} when it starts"
        else:
            words = f"DID NOT TAKE {version}: {report.refused.get(version) or 'it still has another'}. Restart it"
        say(f"{report.address} {words}")
