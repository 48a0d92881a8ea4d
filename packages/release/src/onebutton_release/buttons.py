"""The buttons that ship: `make deploy`, `rollback`, `serve`, and `make gates MEASURE=1`.

Each imports what it needs when pressed.
"""

from __future__ import annotations

import ctypes
import json
import os
import shlex
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from onebutton_contracts.errors import InputError

if TYPE_CHECKING:
    from onebutton_release.deploy import DeployRequest
    from onebutton_release.target import Target

END_WITH_PARENT = 1  # PR_SET_PDEATHSIG
LONGEST = 1000  # characters of a request that is shown


def deploy(root: Path, pipeline: str, environment: str, request: DeployRequest) -> None:
    """Put a model into service; local when no environment is named."""
    from onebutton_release.aliases import tell_mlflow
    from onebutton_release.deploy import deploy as put_into_service
    from onebutton_release.target import find_target
    from onebutton_serving.schema import is_draft

    target = find_target(root, pipeline, environment, "local")
    after = target.environment.after
    earlier = find_target(root, target.pipeline, after, after) if after else None
    moved = put_into_service(target, earlier, request, _say)
    for words in tell_mlflow([target]):
        _say(words)
    draft = is_draft(target.fetch(moved.after))
    words = f"{moved.after}, a draft, is" if draft else f"{moved.after} is"
    where = "" if draft else _where(target)
    print(f"deploy: {words} in service in {target.name}{where}. Next: {_next(target, moved.after, draft=draft)}")


def _where(target: Target) -> str:
    if not target.environment.laptop or not target.servers:
        return ""
    return f"; `make serve PIPELINE={target.pipeline}` serves it on {target.servers[0]}"


def _next(target: Target, version: str, *, draft: bool) -> str:
    if draft:  # the next model is compared with none
        return f"make serve PIPELINE={target.pipeline}, which says how to ask it; make deploy STATUS=1"
    if target.environment.image:
        return f"make image PIPELINE={target.pipeline} ENV={target.name}, and roll it out"
    if target.environment.champion:
        from onebutton_release.champion import keep_champion

        try:
            return keep_champion(target, version) or "make deploy STATUS=1"
        except InputError as error:  # the model is in service all the same
            return f"make deploy again, which keeps its predictions for the comparison: {error}"
    return "make deploy STATUS=1"


def _say(words: str) -> None:
    print(f"  {words}", flush=True)


def say_status(root: Path, pipeline: str, environment: str) -> None:
    """Say what is in service, everywhere unless a pipeline or an environment is named."""
    from onebutton_release.environments import pipeline_named, read_environments
    from onebutton_release.status import status
    from onebutton_release.target import find_target

    environments = read_environments(root)
    there = sorted(path.parent.name for path in root.glob("pipelines/*/release.toml"))
    pipelines = [pipeline_named(pipeline, root)] if pipeline else there
    names = [name for name in environments if environment in ("", name)]
    if not names:
        message = f"there is no environment {environment!r}. ENV can be: {', '.join(environments)}"
        raise InputError(message)
    unreadable = 0
    for one in pipelines:
        for name in names:
            try:
                lines = list(status(find_target(root, one, name, name, environments)))
            except InputError as error:
                lines = [f"{one} in {name}: NOT RUN: {error}"]
            unreadable += "NOT RUN" in lines[0]
            print(*lines, sep="\n")
    if unreadable:
        message = f"{unreadable} release {'store' if unreadable == 1 else 'stores'} could not be read"
        raise InputError(message)


def rollback(root: Path, pipeline: str, environment: str, version: str, why: str) -> None:
    """Go back to the release before; production when no environment is named."""
    from onebutton_release.rollback import rollback as go_back
    from onebutton_release.target import find_target

    target = find_target(root, pipeline, environment, "production")
    moved = go_back(target, version=version, why=why, say=_say)
    print(
        f"rollback: {moved.after} is in service in {target.name} again, {moved.before} is not. "
        "Next: make run TRACK=only (MLflow's alias), then find out why"
    )


def measure(root: Path, pipeline: str) -> None:
    """Boot the server on the model that is here, of every pipeline unless one is named, and measure it for the service gates.

    A draft is measured where it is named.
    """
    from onebutton_evaluation.gatekeeping import is_draft
    from onebutton_release import candidate
    from onebutton_release.declared import declared
    from onebutton_release.environments import pipeline_named, who
    from onebutton_release.measurement import in_words, measured
    from onebutton_release.provenance import version_of
    from onebutton_serving.history import now

    folders = [path.parent for path in sorted(root.glob("pipelines/*/release.toml"))]
    there = [folder.name for folder in folders if not is_draft(folder)]
    for name in [pipeline_named(pipeline, root)] if pipeline else there:
        folder = root / "pipelines" / name
        one = declared(folder)
        known = candidate.service_numbers(one.folder)
        if known is None:
            with tempfile.TemporaryDirectory(prefix="onebutton-candidate-") as scratch:
                built = Path(scratch) / version_of(one.folder)
                candidate.build(one, root, built, now(), who().name)
                known = measured(one.folder, built)
        print(f"gates: measured {name}: {in_words(known)}", flush=True)
    if not there:
        print("gates: no pipeline but drafts has a release.toml, so there is none to measure")


def waits_for_deploy(root: Path, pipeline: str, environment: str) -> bool:
    """Say whether a draft is here of which nothing is in service on this laptop yet."""
    from onebutton_evaluation.gatekeeping import is_draft
    from onebutton_release.target import find_target
    from onebutton_serving.history import in_service

    with suppress(InputError):  # which says who goes on with it
        target = find_target(root, pipeline, environment, "local")
        draft = target.environment.laptop and is_draft(root / "pipelines" / target.pipeline)
        return draft and in_service(target.store) is None
    return False


def serve(root: Path, pipeline: str, environment: str, port: int | None) -> None:
    """Run the server in the foreground on what an environment has in service."""
    from onebutton_release.target import find_target

    target = find_target(root, pipeline, environment, "local")
    port = port or _port_of(target.servers)
    state = root / ".serving" / target.name / target.pipeline / str(port)
    words = ["--store", target.url, "--pipeline", target.pipeline, "--port", str(port), "--state", str(state)]
    if not any(address.endswith(f":{port}") for address in target.servers):
        print(
            f"serve: `make deploy` looks for this server at {' and '.join(target.servers) or 'no address'}, not at port {port}"
        )
    if ask := _to_try(target, f"http://127.0.0.1:{port}"):
        print(f"serve: as soon as it runs, {ask}", flush=True)
    if sys.platform == "linux":  # that make was killed nobody could tell the server otherwise; this outlives execv
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGTERM)
    os.execv(sys.executable, [sys.executable, "-m", "onebutton_serving", *words])  # noqa: S606  it takes this program's place


def _to_try(target: Target, address: str) -> str:
    """Write a request for a terminal, of a golden row; empty where nothing is in service that can be read."""
    from onebutton_serving.history import in_service
    from onebutton_serving.loading import GOLDEN
    from onebutton_serving.openapi import example
    from onebutton_serving.release_store import ReleaseStoreError
    from onebutton_serving.schema import read_schema
    from onebutton_serving.sealed import ReleaseError

    try:
        move = in_service(target.store)
        folder = target.fetch(move.after) if move else Path()
        golden = json.loads((folder / GOLDEN).read_text(encoding="utf-8"))["rows"][0]
        row = json.dumps({"rows": [example(read_schema(folder), golden)]}, ensure_ascii=False)
    except (OSError, ValueError, LookupError, ReleaseError, ReleaseStoreError):
        return ""  # the server says what is wrong
    ask = f"curl {address}/v1/predict --header 'content-type: application/json' --data {shlex.quote(row)}"
    return (
        f"{address}/docs is its page, and this asks it:\n  {ask}"
        if len(ask) < LONGEST
        else f"{address}/docs is its page"
    )


def _port_of(addresses: tuple[str, ...]) -> int:
    last = addresses[0].rpartition(":")[2] if addresses else ""
    return int(last) if last.isdigit() else 8000
