"""Put a model into service: release, move, servers. The work of `make deploy`.

Whatever goes wrong before the move changes nothing; that a server is off, or is not ours, is found before. After it every server
must report the new release, or it is moved back.
"""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from onebutton_contracts.errors import InputError, require
from onebutton_release.aliases import tell_mlflow
from onebutton_release.candidate import check_no_draft, release_of_results
from onebutton_release.champion import keep_champion
from onebutton_release.moves import been_in_service, begin, rolled_back, say, whole
from onebutton_release.servers import ask, wait
from onebutton_release.target import FILE, Target, find_target
from onebutton_serving.history import Move, in_service, now, read_history, record
from onebutton_serving.loading import load_release
from onebutton_serving.release_store import STORE_ID, ReleaseStoreError
from onebutton_serving.schema import is_draft, read_schema
from onebutton_serving.sealed import MANIFEST, ReleaseError, digest_of

PATIENCE = 30.0  # seconds in which every server must have loaded a release


def deploy_and_report(target: Target, *, version: str, why: str, breaking: bool) -> str:
    """Deploy as `deploy` does, tell MLflow, keep the champion; return the line that says what is in service, and what is next."""
    move = deploy(target, version=version, why=why, breaking=breaking)
    for words in tell_mlflow(target.root, [target]):
        say(words)
    after, serve = move.after, f"make serve PIPELINE={target.pipeline}"
    then = "make deploy STATUS=1"
    if is_draft(target.fetch(after)):  # no model is compared with it
        return f"{after}, a draft, is in service in {target.name}. Next: {serve}, which says how to ask it; {then}"
    if target.environment.image:
        then = f"make image PIPELINE={target.pipeline} ENV={target.name}, and roll it out"
    elif target.environment.champion:
        try:
            then = keep_champion(target, after) or then
        except InputError as error:  # the model is in service all the same
            then = f"make deploy again, which keeps its predictions for the comparison: {error}"
    where = f"; `{serve}` serves it on {target.servers[0]}" if target.environment.laptop else ""
    return f"{after} is in service in {target.name}{where}. Next: {then}"


def deploy(target: Target, *, version: str = "", why: str = "", breaking: bool = False) -> Move:
    """Deploy a release, and return the move that put into service what is.

    Args:
        target: where to.
        version: which release, also one that was rolled back; empty for the one in service in the environment before, or the
            results in this checkout.
        why: in words, for the history.
        breaking: take it although its callers were written for another contract.

    Raises:
        InputError: a gate or a server refuses; the message says which, and what is in service.
        ReleaseError: the release is damaged.
        ReleaseStoreError: the release store cannot be read or written.
    """
    move = begin(target, "deploy", why)
    require(
        target.servers or target.environment.laptop or target.environment.image,
        f"{target.name} names no server of {target.pipeline}, so nobody could confirm a release. Name them under `servers` "
        f"in {FILE}, or say `image = true` where they run an image of it: docs/kubernetes.md",
    )
    target.store.create(STORE_ID, uuid.uuid4().hex.encode() + b"\n")  # by which its servers are known
    before = in_service(target.store)
    addresses = _servers_of_ours(target)
    folder = _release(target, move.before, version)
    check_no_draft(target, draft=is_draft(folder))
    if before and before.after == folder.name:
        say(f"{folder.name} is in service in {target.name} already, since {before.at}")
        wrong = _confirmed(target, addresses, before.after)
        mend = f"The history names {folder.name} and was not moved: restart that server, then press again"
        require(not wrong, f"{wrong}. {mend}")
        return before
    if not version and (
        bad := rolled_back(read_history(target.store), folder.name)
    ):  # a push of other work is no request
        back = f"make deploy PIPELINE={target.pipeline} ENV={target.name} TO={folder.name}"
        raise InputError(
            f"{folder.name} was rolled back in {target.name} by {bad.who}, {bad.at}: {bad.why}. Train a model that mends this, "
            f"and it goes in as usual; {back} brings this one back"
        )
    if before and not breaking:
        _check_callers(target.fetch(before.after), folder)
    target.store.publish(folder)
    load_release(target.fetch(folder.name))  # as the servers will, before anybody is pointed at it
    move = replace(move, at=now(), after=folder.name, digest=digest_of(folder / MANIFEST))
    record(target.store, move)
    if wrong := _confirmed(target, addresses, folder.name):
        raise InputError(f"{wrong}. {_undone(target, addresses, before, replace(move, why=wrong))}")
    return move


def _release(target: Target, current: str, version: str) -> Path:
    """Find the release that was asked for, or was in service in the environment before; else make that of the results here."""
    if after := target.environment.after:
        earlier = find_target(target.root, target.pipeline, after, after)
        there = in_service(earlier.store)
        wanted = version or (there.after if there else "")
        if wanted in been_in_service(read_history(earlier.store)):
            return whole(earlier, wanted)
        what = f"{wanted} was never in service in {after}" if wanted else f"nothing is in service in {after} yet"
        raise InputError(
            f"{what}, and must be before it comes here. `make deploy PIPELINE={target.pipeline} ENV={after}` first"
        )
    if not version:
        return release_of_results(target, current)
    known = target.store.releases()
    require(version in known, f"there is no release {version}. There are: {', '.join(known) or '(none yet)'}")
    return whole(target, version)


def _servers_of_ours(target: Target) -> tuple[str, ...]:
    """Return the addresses at which a server is waited for; refuse one that is off or not ours: it could confirm no release.

    A laptop's server may be off, and another program may have its port: that is told and not waited for.
    """
    reports = [ask(address, target.identity) for address in target.servers]
    if target.environment.laptop:
        remedy = f"`make serve PIPELINE={target.pipeline} PORT=…` takes another port"
        for one in reports:
            if one.foreign:
                say(f"{one.address} {one.foreign}; this deployment does not wait for it. {remedy}")
    elif bad := [f"{one.address} {one.words('')}" for one in reports if one.foreign or one.off]:
        raise InputError(
            f"{'; '.join(bad)}, so nobody could confirm a release. Nothing was changed. Start the server of "
            f"{target.pipeline} there, or mend `servers` of {target.name} in {FILE}, then press again"
        )
    return tuple(one.address for one in reports if not one.foreign)


def _check_callers(current: Path, folder: Path) -> None:
    """Refuse a release that would refuse who asks the one in service; of a draft nobody was promised anything."""
    try:
        old, new = read_schema(current), read_schema(folder)
    except ReleaseError:
        return  # what is in service is damaged: all the more reason to replace it
    other = [] if old.callers_contract == new.callers_contract else ["another major version"]
    names = [{one.name for one in fields} for fields in (old.inputs, new.inputs, old.outputs, new.outputs)]
    needed, needed_before = ({one.name for one in schema.inputs if one.required} for schema in (new, old))
    other += [f"{name} is no input any more" for name in names[0] - names[1]]
    other += [f"{name} is needed" for name in needed - needed_before]
    other += [f"{name} is answered no more" for name in names[2] - names[3]]
    words = f"{folder.name} reads {new.input_contract}, {current.name} in service reads {old.input_contract}"
    mend = "Change them first, then press again with BREAKING=1"
    require(old.draft or not other, f"{words}: its callers would be refused ({', '.join(sorted(other))}). {mend}")


def _undone(target: Target, addresses: Sequence[str], before: Move | None, move: Move) -> str:
    """Move back to what was in service, to nothing if nothing was, and say so; the move's `why` is what is wrong."""
    back, digest = (before.after, before.digest) if before else ("", "")
    number = move.sequence + 1  # is taken where somebody else moved meanwhile, and theirs stands
    try:
        undo = begin(target, "undo", move.why)
        record(target.store, replace(undo, sequence=number, before=move.after, after=back, digest=digest))
    except ReleaseStoreError as error:
        return f"It could not be moved back ({error}). `make deploy STATUS=1` says what is in service"
    reports = wait(addresses, target.identity, back, PATIENCE)
    late = [one.address for one in reports if one.versions and not one.has(back)]
    stays = f". {' and '.join(late)} DID NOT GO BACK: restart it" if late else ""
    return f"So it was moved back: {back or 'nothing'} is in service in {target.name}{stays}"


def _confirmed(target: Target, addresses: Sequence[str], version: str) -> str:
    """Wait until every server has a release in service; return what is wrong, or an empty string. A laptop's may be off."""
    bad = []
    for one in wait(addresses, target.identity, version, PATIENCE):
        words = f"{one.address} {one.words(version)}"
        if one.has(version):
            say(words)
        elif one.silent and target.environment.laptop:
            say(f"no server runs at {one.address} yet")
        else:
            bad.append(words)
    return "; ".join(bad)
