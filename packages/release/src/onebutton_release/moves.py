"""Moves of what is in service: how one begins, what the history says of those that were made, and going back: `make rollback`.

Going back needs neither MLflow nor the network of anybody but the release store and its servers, and few imports.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from onebutton_contracts.errors import InputError, require
from onebutton_release.servers import wait
from onebutton_release.target import EVERYBODY, Target, find_target, who
from onebutton_serving.history import Action, Move, altered, following, in_service, now, read_history, record
from onebutton_serving.release_store import ReleaseStoreError
from onebutton_serving.sealed import MANIFEST, ReleaseError, check, digest_of

PATIENCE = 10.0  # seconds until the servers must have it


def say(words: str) -> None:
    """Print one line of progress."""
    print(f"  {words}", flush=True)


def begin(target: Target, action: Action, why: str) -> Move:
    """Begin a move of a person who may, which names no release yet. Who moves meanwhile takes its number, and turns it away."""
    person, known_by = who()
    allowed = target.environment.may_deploy
    refusal = (
        f"{person} may not deploy to {target.name}: {', '.join(allowed)} may. On call: {target.environment.on_call}"
    )
    require({EVERYBODY, person} & {*allowed}, refusal)
    sequence, previous = following(target.store)  # before all else is read
    current = in_service(target.store)
    return Move(
        sequence=sequence,
        at=now(),
        who=person,
        known_by=known_by,
        environment=target.name,
        pipeline=target.pipeline,
        action=action,
        before=current.after if current else "",
        after="",
        why=why,
        digest="",
        previous=previous,
    )


def whole(target: Target, version: str) -> Path:
    """Fetch a release; refuse one that is damaged (ReleaseError), or was in service as another (InputError)."""
    folder = target.fetch(version)
    check(folder)
    fault = altered(read_history(target.store), version, digest_of(folder / MANIFEST))
    mend = f"Remove it from {target.store.url}; then deploy it anew from a checkout with its results"
    require(not fault, f"{fault}. {mend}")
    return folder


def stood(history: Sequence[Move]) -> list[Move]:
    """Leave out the deployments that were undone, and what undid them."""
    kept: list[Move] = []
    for move in history:
        if move.action != "undo":
            kept.append(move)
        elif kept and kept[-1].action == "deploy" and kept[-1].after == move.before:
            kept.pop()
    return kept


def good(history: Sequence[Move]) -> list[str]:
    """List the releases that one can go back to, the one in service last.

    A deployment puts its release on top; going back takes everything above off, because somebody had a reason to leave it.
    """
    stack: list[str] = []
    for move in stood(history):
        if move.action == "deploy":
            stack = [*(version for version in stack if version != move.after), move.after]
        elif move.after in stack:
            stack = stack[: stack.index(move.after) + 1]
    return stack


def been_in_service(history: Sequence[Move]) -> set[str]:
    """List every release that stayed: one that its servers refused did not."""
    return {move.after for move in stood(history)}


def rolled_back(history: Sequence[Move], version: str) -> Move | None:
    """Return the move that took a release out of service because it was bad; None where somebody put it back since."""
    for move in reversed(stood(history)):
        if move.action == "rollback" and move.before == version:
            return move
        if move.after == version:
            return None
    return None


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
