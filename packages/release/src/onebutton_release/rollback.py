"""Go back to the release before: check it, move, wait for the servers. The work of `make rollback`.

It needs neither MLflow nor the network of anybody but the release store and its servers.
"""

from __future__ import annotations

from collections.abc import Callable

from onebutton_contracts.errors import InputError
from onebutton_release.environments import check_allowed, who
from onebutton_release.moves import good
from onebutton_release.servers import wait
from onebutton_release.target import Target
from onebutton_serving.history import Move, altered, following, in_service, now, read_history, record
from onebutton_serving.release_store import ReleaseStoreError
from onebutton_serving.sealed import MANIFEST, ReleaseError, check, digest_of

PATIENCE = 10.0  # seconds until the servers must have it


def rollback(target: Target, *, version: str, why: str, say: Callable[[str], None]) -> Move:
    """Go back.

    Args:
        target: where.
        version: to which release; empty for the one before.
        why: in words, for the history; it must not be empty.
        say: prints one line of progress.

    Raises:
        InputError: nothing was in service before, or what was is damaged; the message names the next that is whole.
        ReleaseStoreError: the release store cannot be read or written.
    """
    person = who()
    check_allowed(target.name, target.environment, person)
    if not why.strip():
        example = f'make rollback PIPELINE={target.pipeline} WHY="every flight is late, it says"'
        message = f"say why, in a few words: who reads the history tomorrow was not here. `{example}`"
        raise InputError(message)
    sequence, previous = following(target.store)  # before all else is read: who moves meanwhile turns this one away
    current = in_service(target.store)
    if current is None:
        message = f"no release of {target.pipeline} is in service in {target.name}, so there is nothing to go back from"
        raise InputError(message)
    before = good(read_history(target.store))[:-1]
    chosen = _choose(target, current.after, before, version)
    moved = record(
        target.store,
        Move(
            sequence=sequence,
            at=now(),
            who=person.name,
            known_by=person.known_by,
            environment=target.name,
            pipeline=target.pipeline,
            action="rollback",
            before=current.after,
            after=chosen,
            why=why,
            digest=digest_of(target.fetch(chosen) / MANIFEST),
            breaking=True,  # its callers were served by it before
            previous=previous,
        ),
    )
    _tell(target, chosen, say)
    return moved


def _choose(target: Target, current: str, before: list[str], wanted: str) -> str:
    """Take the release before, or the one that was asked for, and refuse a damaged one."""
    if not before:
        message = (
            f"{current} is the first release of {target.pipeline} in {target.name}: there is nothing to go back to"
        )
        raise InputError(message)
    if wanted and wanted not in before:
        message = f"{wanted or '(none)'} is not among what was in service before: {', '.join(reversed(before))}"
        raise InputError(message)
    chosen = wanted or before[-1]
    if fault := damage(target, chosen):
        whole = [one for one in reversed(before) if one != chosen and not damage(target, one)]
        more = (
            f"The next that is whole: make rollback PIPELINE={target.pipeline} ENV={target.name} TO={whole[0]} WHY=…"
            if whole
            else ""
        )
        message = (
            f"{fault}, so {current} stays in service. {more or 'No other release is whole: build one and deploy it'}"
        )
        raise InputError(message)
    return chosen


def damage(target: Target, version: str) -> str:
    """Say what is wrong with a release; empty when it is whole."""
    try:
        found = target.fetch(version)
        check(found)
        history = read_history(target.store)
        return altered(history, version, digest_of(found / MANIFEST)) or target.store.lacks(version, found)
    except (ReleaseError, ReleaseStoreError) as error:
        return str(error)


def _tell(target: Target, version: str, say: Callable[[str], None]) -> None:
    """Wait for the servers; going back stands whatever they say, because the history is what they will follow."""
    for report in wait(target.servers, target.identity, version, PATIENCE):
        if report.has(version):
            say(f"{report.address} has {version} in service")
        elif report.foreign:
            say(f"{report.address} {report.foreign}; going back does not wait for it")
        elif report.silent:
            say(f"{report.address} does not answer ({report.silent}); it takes {version} when it starts")
        else:
            say(
                f"{report.address} DID NOT TAKE {version}: {report.refusal(version) or 'it still has another'}. Restart it"
            )
