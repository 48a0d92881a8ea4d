"""Put a model into service: gates, candidate, measured service, seal, move, servers. The work of `make deploy`.

Whatever goes wrong before the move changes nothing; that a server is off, or is not ours, is found before. After it every server
must report the new release, or it is moved back.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_evaluation.gatekeeping import RESULTS, gate_folder, table
from onebutton_evaluation.recompute import Computed, compute
from onebutton_release import candidate
from onebutton_release.champion import check_champion, release_of_champion
from onebutton_release.declared import Declared, declared
from onebutton_release.environments import FILE, check_allowed, who
from onebutton_release.measurement import measured
from onebutton_release.moves import been_in_service, rolled_back
from onebutton_release.provenance import same_results, version_of
from onebutton_release.servers import Report, ask, wait
from onebutton_release.target import Target
from onebutton_serving.history import Move, altered, following, in_service, now, read_history, record
from onebutton_serving.loading import load_release
from onebutton_serving.release_store import STORE_ID, ReleaseStoreError
from onebutton_serving.schema import is_draft, read_schema
from onebutton_serving.sealed import MANIFEST, ReleaseError, digest_of
from onebutton_tracking.commit import read_commit
from onebutton_tracking.results import produced_files

PATIENCE = 30.0  # seconds in which every server must have loaded a release
Say = Callable[[str], None]


@dataclass(frozen=True)
class DeployRequest:
    """What the person typed.

    Attributes:
        version: which release, also one that was rolled back; empty for the one in service in the environment before, or the
            results in this checkout.
        why: in words, for the history.
        breaking: take it although its callers were written for another contract.
    """

    version: str = ""
    why: str = ""
    breaking: bool = False


def deploy(target: Target, earlier: Target | None, request: DeployRequest, say: Say) -> Move:
    """Deploy a release.

    Args:
        target: where to.
        earlier: the environment that must have had it in service before; None when the release is built from this checkout.
        request: what was typed.
        say: prints one line of progress.

    Returns:
        The move that put into service what is.

    Raises:
        InputError: a gate, the release, the release store or a server refuses; the message says which, and what is in service.
        ReleaseStoreError: the release store cannot be read or written.
    """
    person = who()
    check_allowed(target.name, target.environment, person)
    if not target.servers and not (target.environment.laptop or target.environment.image):
        message = (
            f"{target.name} names no server of {target.pipeline}, so nobody could confirm a release. Name them under `servers` "
            f"in {FILE}, or say `image = true` where they run an image of it: docs/kubernetes.md"
        )
        raise InputError(message)
    sequence, previous = following(target.store)
    target.store.create(STORE_ID, uuid.uuid4().hex.encode() + b"\n")  # by which its servers are known
    before = in_service(target.store)
    addresses = _servers_of_ours(target, say)
    folder = _from_before(earlier, request.version) if earlier else _built(target, before, request.version, say)
    _check_no_draft(target, draft=is_draft(folder))
    if before and before.after == folder.name:
        say(f"{folder.name} is in service in {target.name} already, since {before.at}")
        if bad := _confirmed(target, addresses, before.after, say):
            message = (
                f"{bad}. The history names {before.after} and was not moved: restart that server, then press again"
            )
            raise InputError(message)
        return before
    if not request.version:
        _check_not_rolled_back(target, folder.name)
    _check_callers(target, before, folder, breaking=request.breaking)
    target.store.publish(folder)
    found = _loaded(target.fetch(folder.name))  # as the servers will, before anybody is pointed at it
    if fault := target.store.lacks(folder.name, found):
        raise InputError(fault)
    move = Move(
        sequence=sequence,
        at=now(),
        who=person.name,
        known_by=person.known_by,
        environment=target.name,
        pipeline=target.pipeline,
        action="deploy",
        before=before.after if before else "",
        after=folder.name,
        why=request.why,
        digest=digest_of(folder / MANIFEST),
        breaking=request.breaking,
        previous=previous,
    )
    record(target.store, move)
    if bad := _confirmed(target, addresses, folder.name, say):
        raise InputError(_undone(target, addresses, before, replace(move, why=bad)))
    return move


def _servers_of_ours(target: Target, say: Say) -> tuple[str, ...]:
    """Return the addresses at which a server of ours is waited for.

    On a laptop its server may be off, and another program may have its port: that is told and not waited for.

    Raises:
        InputError: elsewhere, when a server is off or is not ours: nobody could confirm the release.
    """
    reports = [ask(address, target.identity) for address in target.servers]
    foreign = {report.address: report.foreign for report in reports if report.foreign}
    if target.environment.laptop:
        for address, words in foreign.items():
            say(
                f"{address} {words}; this deployment does not wait for it. "
                f"`make serve PIPELINE={target.pipeline} PORT=…` takes another port"
            )
        return tuple(address for address in target.servers if address not in foreign)
    bad = [f"{address} {words}" for address, words in foreign.items()]
    bad += [f"{report.address} does not answer ({report.silent})" for report in reports if report.off]
    if bad:
        message = (
            f"{'; '.join(bad)}, so nobody could confirm a release. Nothing was changed. Start the server of "
            f"{target.pipeline} there, or mend `servers` of {target.name} in {FILE}, then press again"
        )
        raise InputError(message)
    return target.servers


def _from_before(earlier: Target, version: str) -> Path:
    """Fetch a release that was in service in the environment before this one."""
    current = in_service(earlier.store)
    wanted = version or (current.after if current else "")
    known = been_in_service(read_history(earlier.store))
    if wanted not in known:
        what = (
            f"{wanted} was never in service in {earlier.name}"
            if wanted
            else f"nothing is in service in {earlier.name} yet"
        )
        message = f"{what}, and must be before it comes here. `make deploy PIPELINE={earlier.pipeline} ENV={earlier.name}` first"
        raise InputError(message)
    return _as_it_was(earlier, wanted)


def _as_it_was(where: Target, version: str) -> Path:
    """Fetch a release that was made before, and refuse one that is not what was in service then."""
    folder = _loaded(where.fetch(version))
    if fault := altered(read_history(where.store), version, digest_of(folder / MANIFEST)):
        message = f"{fault}. Remove it from {where.store.url}; then deploy it anew from a checkout that has its results"
        raise InputError(message)
    return folder


def _loaded(folder: Path) -> Path:
    try:
        load_release(folder)
    except ReleaseError as error:
        raise InputError(str(error)) from None
    return folder


def _built(target: Target, before: Move | None, version: str, say: Say) -> Path:
    """Build the release of the results in this checkout; one that is in the release store already is not built again."""
    one = declared(target.root / "pipelines" / target.pipeline)
    known = target.store.releases()
    if version:
        if version not in known:
            message = f"there is no release {version}. There are: {', '.join(known) or '(none yet)'}"
            raise InputError(message)
        return _as_it_was(target, version)
    name = version_of(one.folder)
    _check_no_draft(target, draft=one.draft)
    again = same_results(name, known)
    if (
        before and again == before.after
    ):  # there is nothing to release, so no gate is asked: its own champion would stop it
        return _as_it_was(target, again)
    commit, _ = read_commit(one.folder, produced_files(one.folder))
    if commit.dirty and not target.environment.laptop:
        message = (
            "something that makes this model is not committed, so nobody else could make it again. Commit it, then press "
            "again; an environment that says `laptop = true` takes it as it is"
        )
        raise InputError(message)
    if not target.environment.laptop:
        check_champion(target.root, one.folder)
    say("computing every judged number again, from the model and the holdout")
    computed = compute(one.folder, release_of_champion(target.root, one.folder))
    _check_gates(one, target, computed, say, measured_too=False)
    if again:
        say(f"release {again} was made of these very results before")
        return _as_it_was(target, again)
    return _sealed(one, target, name, computed, say)


def _sealed(one: Declared, target: Target, name: str, computed: Computed, say: Say) -> Path:
    """Candidate, then the service measured on it, then the seal; and a copy in the release store."""
    with tempfile.TemporaryDirectory(prefix="onebutton-candidate-") as scratch:
        folder = Path(scratch) / name
        say(f"candidate {name}: model, schema, golden examples, card, provenance, bill of materials")
        candidate.build(one, target.root, folder, now(), who().name)
        if candidate.service_numbers(one.folder) is None:
            say("measuring the server on it, a few seconds")
        measured(one.folder, folder)
        _check_gates(one, target, computed, say, measured_too=True)
        candidate.judge(one, folder, computed)
        candidate.finish(folder)
        target.store.publish(folder)
        say(f"sealed: {len(list(folder.iterdir()))} files, {MANIFEST} {digest_of(folder / MANIFEST)[:12]}")
    return target.fetch(name)


def _check_not_rolled_back(target: Target, version: str) -> None:
    """Refuse to bring back what somebody took out of service, unless its name was typed: a push of other work is no request."""
    if move := rolled_back(read_history(target.store), version):
        message = (
            f"{version} was rolled back in {target.name} by {move.who}, {move.at}: {move.why}. Train a model that mends this, "
            f"and it goes in as usual; make deploy PIPELINE={target.pipeline} ENV={target.name} TO={version} brings this one back"
        )
        raise InputError(message)


def _check_no_draft(target: Target, *, draft: bool) -> None:
    """Keep what is still being tried out on a laptop."""
    if draft and not target.environment.laptop:
        message = (
            f"{target.pipeline} is a draft, which goes to an environment with `laptop = true` alone, and {target.name} is none. "
            f"When the model is meant for others, answer what card.toml asks, take `draft = true` out of "
            f"pipelines/{target.pipeline}/pyproject.toml, and press `make run PIPELINE={target.pipeline}`, then `make check`"
        )
        raise InputError(message)


def _check_gates(one: Declared, target: Target, computed: Computed, say: Say, *, measured_too: bool) -> None:
    """Refuse a model of which one gate is not passed; of a draft, say so.

    Args:
        one: what the pipeline declares.
        target: where to; on a laptop numbers that could not be computed again are believed.
        computed: what its model says.
        say: prints one line of progress.
        measured_too: whether gates about the server count; before the server was measured they do not.
    """
    service = {gate.id for gate in one.said.gates if gate.check == "service"}
    found = [verdict for verdict in gate_folder(one.folder, computed) if measured_too or verdict.id not in service]
    bad = candidate.unmet(found)
    if target.environment.laptop:
        bad = [verdict for verdict in bad if (verdict.check, verdict.result) != (RESULTS, "NOT RUN")]
    lines = "\n".join(table(bad)) if bad else ""
    if one.draft and bad:
        if measured_too:
            say(f"not passed, which stops nobody while it is a draft:\n{lines}")
    elif bad:
        names = ", ".join(f"{verdict.id} ({verdict.result})" for verdict in bad)
        message = (
            f"{one.pipeline} may not be released: {names}\n{lines}\nNothing was changed. Ask: {one.said.judging.owner}. "
            "`make report` shows it all"
        )
        raise InputError(message)


def _check_callers(target: Target, before: Move | None, folder: Path, *, breaking: bool) -> None:
    """Refuse a release that reads another major version of its contract than those who call were written for."""
    if before is None or breaking:
        return
    try:
        old = read_schema(target.fetch(before.after))
        new = read_schema(folder)
    except ReleaseError:
        return  # what is in service is damaged: all the more reason to replace it
    if old.callers_contract != new.callers_contract:
        message = f"{folder.name} reads {new.input_contract}, {before.after} in service reads {old.input_contract}"
        message += ": its callers would be refused. Change them first, then press again with BREAKING=1"
        raise InputError(message)


def _undone(target: Target, addresses: Sequence[str], before: Move | None, move: Move) -> str:
    """Move back to what was in service, to nothing if nothing was, and say so; the move's `why` is what is wrong.

    Raises:
        InputError: the release store does not take the move.
    """
    back = before.after if before else ""
    try:
        _, previous = following(target.store)
        undo = replace(
            move,
            sequence=move.sequence + 1,  # is taken where somebody else moved meanwhile, and theirs stands
            at=now(),
            action="undo",
            before=move.after,
            after=back,
            digest=before.digest if before else "",
            breaking=True,
            previous=previous,
        )
        record(target.store, undo)
    except ReleaseStoreError as error:
        message = f"{move.why}. It could not be moved back ({error}). `make deploy STATUS=1` says what is in service"
        raise InputError(message) from None
    left = [report.address for report in wait(addresses, target.identity, back, PATIENCE) if _lags(report, back)]
    stays = f". {' and '.join(left)} DID NOT GO BACK: restart it" if left else ""
    return f"{move.why}. So it was moved back: {back or 'nothing'} is in service in {target.name}{stays}"


def _lags(report: Report, version: str) -> bool:
    return not (report.has(version) or report.silent or report.foreign)


def _confirmed(target: Target, addresses: Sequence[str], version: str, say: Say) -> str:
    """Wait until every server has a release in service; return what is wrong, or an empty string."""
    reports = wait(addresses, target.identity, version, PATIENCE)
    for report in reports:
        if report.has(version):
            count = len(report.versions)
            say(f"{report.address}: {count} {'process has' if count == 1 else 'processes have'} {version} in service")
    bad = [words for report in reports if (words := _trouble(report, version, target))]
    off = [report for report in reports if report.silent]
    if off and target.environment.laptop:
        say(f"no server runs at {off[0].address} yet")
    return "; ".join(bad)


def _trouble(report: Report, version: str, target: Target) -> str:
    if report.silent or report.foreign:
        words = report.foreign or f"does not answer ({report.silent})"
        return "" if target.environment.laptop else f"{report.address} {words}"
    if why := report.refusal(version):
        return f"{report.address} stays on the old release: {why}"
    return "" if report.has(version) else f"{report.address} did not take {version} within {PATIENCE:.0f} s"
