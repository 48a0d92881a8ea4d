"""Start a server: `python -m onebutton_serving --store .releases --pipeline flight_delays`."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO
from urllib.request import urlopen

from onebutton_serving.errors import ReleaseStoreError, ServingError
from onebutton_serving.identity import Identity, folder_digest, read_identity
from onebutton_serving.release_store import is_folder
from onebutton_serving.sealed import check
from onebutton_serving.settings import Settings, SettingsError, from_command_line

DRAIN = 30  # seconds that requests under way may take when the server is told to end
BACKLOG = 1024
PATIENCE = 2.0  # seconds for the server on a port that is taken to say who it is
_OF_ONE_LIFE = ("workers", "metrics", "in-service.json", "failed")


def main(words: list[str]) -> int:
    """Serve until told to stop.

    Returns:
        The exit status: 1 when the server could not start, or its workers fail again and again.
    """
    try:
        settings = from_command_line(words)
        served = _what_is_served(settings)
        _check_port(settings)
        with _state(settings) as state:
            return _serve(replace(settings, state=str(state), server=os.getpid()), served)
    except ServingError as error:
        print(f"serving: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _serve(settings: Settings, served: str) -> int:
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces, Loops
    from granian.log import LogLevels

    os.environ |= settings.variables()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{host}:{settings.port}"
    print(
        f"serving {served} on {address}",
        f"  pages: {address}/docs  /v1/model  /metrics  /health/ready",
        sep="\n",
        flush=True,
    )
    command = [sys.executable, "-m", "onebutton_serving.segments", str(Path(settings.state, "log"))]
    left = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # journals of a server that was killed
    server = Granian(
        "onebutton_serving.worker:make_app",
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=settings.workers,
        loop=Loops.uvloop,
        http=HTTPModes.auto,
        websockets=False,
        backlog=BACKLOG,
        log_level=LogLevels.error,
        respawn_failed_workers=True,
        workers_kill_timeout=DRAIN,
    )
    # A terminal that is closed ends the server; granian would start its workers anew.
    server.signal_handler_reload = server.signal_handler_interrupt  # type: ignore[method-assign]
    os.register_at_fork(after_in_child=_let_signals_end_it)
    code = 0
    try:
        server.serve()
    except SystemExit as end:
        code = 1 if end.code else 0
    left.wait()
    if failed := _failure(Path(settings.state)):
        print(f"serving: {failed}", file=sys.stderr)
        return 1
    subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
    return code


def _let_signals_end_it() -> None:
    """Let a worker that has not started yet be ended: it inherits handlers that only its parent acts upon."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _failure(state: Path) -> str:
    with contextlib.suppress(OSError):
        return (state / "failed").read_text(encoding="utf-8")
    return ""


def _what_is_served(settings: Settings) -> str:
    """Say what will be in service. A release store is not asked: what is used before workers are forked hangs in them.

    Raises:
        ReleaseStoreError: the release store is not there.
        ReleaseError: a fixed release is not what was sealed.
    """
    if settings.release:
        folder = Path(settings.release)
        if not folder.is_dir():
            message = f"there is no release {folder}"
            raise SettingsError(message)
        check(folder)
        return f"release {folder.name}"
    if is_folder(settings.store) and not Path(settings.store).is_dir():
        message = f"there is no release store {settings.store}. `make deploy` makes the one of a laptop; others must be mounted"
        raise ReleaseStoreError(message)
    return settings.pipeline


def _check_port(settings: Settings) -> None:
    """Refuse a port that is taken: workers share theirs, so the system would let a second server share it, too."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        why = _who_holds(settings) if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
        message = f"cannot listen on {settings.host}:{settings.port}: {why}"
        raise SettingsError(message) from None


def _who_holds(settings: Settings) -> str:
    """Name the server on a port that is taken; what is none of ours is not guessed."""
    another = "PORT= (--port) takes another"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104  compared, not bound
    address = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
    ours = Identity(settings.pipeline, folder_digest(settings.store) if settings.store else "")
    try:
        with urlopen(f"{address}/v1/model", timeout=PATIENCE) as answer:  # noqa: S310  an address of this machine
            found = read_identity(json.load(answer))
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return f"something listens there already, and it is no model server; {another}"
    if found is None:
        return f"a server of one fixed release listens there; {another}"
    if words := found.instead_of(ours):
        return f"the server there {words}; {another}"
    return f"{found.pipeline} is served there already, and that server takes what is deployed; {another}"


@contextlib.contextmanager
def _state(settings: Settings) -> Iterator[Path]:
    """Make the state folder, of this server alone; what says something of an earlier life of it is removed."""
    temporary = None
    if settings.state:
        folder = Path(settings.state).absolute()
    elif settings.release:
        temporary = folder = Path(tempfile.mkdtemp(prefix="onebutton-serving-"))
    else:
        folder = Path(".serving", settings.pipeline, str(settings.port)).absolute()
    try:
        lock = _claim(folder)
        with lock:
            yield folder
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)


def _claim(folder: Path) -> IO[str]:
    try:
        (folder / "log").mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for name in _OF_ONE_LIFE:
            path = folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except BlockingIOError:
        message = f"another server uses the state folder {folder}; --state takes another"
        raise SettingsError(message) from None
    except OSError as error:
        message = f"cannot use the state folder {folder}: {error.strerror or error}; --state takes another"
        raise SettingsError(message) from None
    return lock


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
