"""The buttons that ship: `make deploy`, `rollback`, `measure`, `champion`, `serve`. Each imports what it needs when pressed."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from onebutton_contracts.errors import InputError
from onebutton_serving.release_store import ReleaseStoreError

if TYPE_CHECKING:
    from onebutton_release.target import Target


def typed(name: str) -> str:
    """Return a value that was typed after `make`; empty when it was not."""
    return os.environ.get(f"BUTTON_{name}", "")


def deploy(root: Path) -> None:
    """Put a model into service, or with STATUS=1 say what is."""
    from onebutton_release.target import find_target

    if typed("STATUS"):
        _status(root)
        return
    from onebutton_release.aliases import tell_mlflow
    from onebutton_release.deploy import DeployRequest
    from onebutton_release.deploy import deploy as put_into_service

    target = find_target(root, typed("PIPELINE"), typed("ENV"), "local")
    after = target.environment.after
    earlier = find_target(root, target.pipeline, after, after) if after else None
    request = DeployRequest(version=typed("TO"), why=typed("WHY"), breaking=bool(typed("BREAKING")))
    pointer = put_into_service(target, earlier, request, _say)
    for words in tell_mlflow([target]):
        _say(words)
    print(f"deploy: {pointer.version} is in service in {target.name}{_where(target)}. Next: {_next(target)}")


def _where(target: Target) -> str:
    if not target.environment.laptop or not target.servers:
        return ""
    return f"; `make serve PIPELINE={target.pipeline}` serves it on {target.servers[0]}"


def _next(target: Target) -> str:
    if target.environment.image:
        return f"make image PIPELINE={target.pipeline} ENV={target.name}, and roll it out"
    if target.environment.champion:
        return f"make champion PIPELINE={target.pipeline}, so that the next model is compared with it"
    return "make deploy STATUS=1"


def _say(words: str) -> None:
    print(f"  {words}", flush=True)


def _status(root: Path) -> None:
    from onebutton_release.environments import pipeline_named, read_environments
    from onebutton_release.status import status
    from onebutton_release.target import find_target

    environments = read_environments(root)
    there = sorted(path.parent.name for path in root.glob("pipelines/*/release.toml"))
    pipelines = [pipeline_named(typed("PIPELINE"), root)] if typed("PIPELINE") else there
    names = [name for name in environments if typed("ENV") in ("", name)]
    if not names:
        message = f"there is no environment {typed('ENV')!r}. ENV can be: {', '.join(environments)}"
        raise InputError(message)
    unreadable = 0
    for pipeline in pipelines:
        for name in names:
            try:
                lines = list(status(find_target(root, pipeline, name, name, environments)))
            except InputError as error:
                lines = [f"{pipeline} in {name}: NOT RUN: {error}"]
            unreadable += "NOT RUN" in lines[0]
            print(*lines, sep="\n")
    if unreadable:
        message = f"{unreadable} release {'store' if unreadable == 1 else 'stores'} could not be read"
        raise InputError(message)


def rollback(root: Path) -> None:
    """Go back to the release before; production when ENV is left out."""
    from onebutton_release.rollback import rollback as go_back
    from onebutton_release.target import find_target

    target = find_target(root, typed("PIPELINE"), typed("ENV"), "production")
    pointer = go_back(target, version=typed("TO"), why=typed("WHY"), say=_say)
    print(
        f"rollback: {pointer.version} is in service in {target.name} again, {pointer.entry.before} is not. "
        "Next: make track (MLflow's alias), then find out why"
    )


def measure(root: Path) -> None:
    """Boot the server on the model that is here, and measure it for the service gates."""
    from onebutton_release import candidate
    from onebutton_release.declared import declared
    from onebutton_release.environments import pipeline_named, who
    from onebutton_release.measured import in_words, measured
    from onebutton_release.pointer import now
    from onebutton_release.provenance import version_of

    there = sorted(path.parent.name for path in root.glob("pipelines/*/release.toml"))
    for pipeline in [pipeline_named(typed("PIPELINE"), root)] if typed("PIPELINE") else there:
        one = declared(root / "pipelines" / pipeline)
        known = candidate.service_numbers(one.folder)
        if known is None:
            with tempfile.TemporaryDirectory(prefix="onebutton-candidate-") as scratch:
                folder = Path(scratch) / version_of(one.folder)
                candidate.build(one, root, folder, now(), who())
                known = measured(one.folder, folder)
        print(f"measure: {pipeline}: {in_words(known)}")
    print(
        "measure: done. Next: make gates STRICT=1"
        if there
        else "measure: no pipeline has a release.toml, so there is none to measure"
    )


def champion(root: Path) -> None:
    """Fetch what the model in service predicted, for the comparison."""
    from onebutton_release.champion import champions_environment, fetch_champion
    from onebutton_release.target import find_target

    name = typed("ENV") or champions_environment(root)
    target = find_target(root, typed("PIPELINE"), name, name)
    version = fetch_champion(target)
    print(
        f"champion: {target.pipeline} is compared with {version} of {target.name} from now on. "
        f"Next: make run, then commit pipelines/{target.pipeline}/champion"
    )


def serve(root: Path) -> None:
    """Run the server in the foreground on an environment's pointer."""
    from onebutton_release.target import find_target

    target = find_target(root, typed("PIPELINE"), typed("ENV"), "local")
    port = typed("PORT") or _port_of(target.servers)
    if not port.isdigit():
        message = f"PORT={port} is no number of a port"
        raise InputError(message)
    state = root / ".serving" / target.name / target.pipeline / port
    words = ["--store", target.url, "--pipeline", target.pipeline, "--port", port, "--state", str(state)]
    if not any(address.endswith(f":{port}") for address in target.servers):
        print(
            f"serve: `make deploy` looks for this server at {' and '.join(target.servers) or 'no address'}, not at port {port}"
        )
    os.execv(sys.executable, [sys.executable, "-m", "onebutton_serving", *words])  # noqa: S606  it takes this program's place


def _port_of(addresses: tuple[str, ...]) -> str:
    last = addresses[0].rpartition(":")[2] if addresses else ""
    return last if last.isdigit() else "8000"


BUTTONS = {"deploy": deploy, "rollback": rollback, "measure": measure, "champion": champion, "serve": serve}


def press(name: str, root: Path) -> int:
    """Do the work of a button; a person's mistake is told in a line."""
    try:
        BUTTONS[name](root)
    except (InputError, ReleaseStoreError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{name}: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted. `make deploy STATUS=1` says what is in service", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    code = press(sys.argv[1], Path.cwd())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of MLflow that still wait for a server would hold the program
