"""Start a server: `python -m onebutton_serving --store .releases --pipeline flight_delays`.

This process starts the workers, ends them, and has segments made of their log.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from onebutton_serving.log import JOURNAL
from onebutton_serving.sealed import ServingError, check
from onebutton_serving.settings import Settings, read_settings

if TYPE_CHECKING:
    from onebutton_serving.app import App

# What `nohup` starts outlives its terminal.
ENDING = tuple(one for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) if signal.getsignal(one) != signal.SIG_IGN)
DRAIN = 30  # seconds that requests under way may take when the server is told to end
ROLL = 5.0  # seconds between two looks for journals of the log that are done


def main(words: Sequence[str]) -> int:
    """Serve until told to stop.

    Returns:
        The exit status: 1 when the server could not start, or its workers fail again and again.
    """
    try:
        settings = read_settings(words)
        _check_settings(settings)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"http://{host}:{settings.port}"
        with _claimed(settings.folder):
            print(f"serving {settings.served} on {address}")
            print(f"  pages: {address}/docs  /v1/model  /metrics  /health/ready", flush=True)
            return _serve(settings)
    except ServingError as error:
        print(f"serving: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _serve(settings: Settings) -> int:
    from granian import Granian
    from granian.constants import Interfaces, Loops
    from granian.log import LogLevels

    def make_worker() -> App:
        from onebutton_serving.app import make_app  # not above: what uses a release store before it forks, hangs

        return make_app(settings)

    server = Granian(
        "",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=settings.workers,
        loop=Loops.uvloop,
        websockets=False,
        log_level=LogLevels.error,
        respawn_failed_workers=True,
        workers_kill_timeout=DRAIN,
    )

    ended = threading.Event()

    def told_to_end(*_signal: object) -> None:
        """Note it, and no more: what was interrupted may hold any lock."""
        server.interrupt_signal = True

    def hung_up(*_signal: object) -> None:
        """End where the terminal is closed, unless `nohup` was asked for; granian would start its workers anew."""
        server.interrupt_signal |= signal.SIGHUP in ENDING

    def wake() -> None:
        """Wake the loop until it has ended: it forgets being woken while it starts a worker anew that was ended before it."""
        while not ended.wait(0.1):
            if server.interrupt_signal:
                server.main_loop_interrupt.set()

    server.signal_handler_interrupt, server.signal_handler_reload = told_to_end, hung_up  # type: ignore[method-assign]
    os.register_at_fork(before=_hold_signals, after_in_parent=_release_signals, after_in_child=_let_signals_end_it)
    threading.Thread(target=wake, name="wake", daemon=True).start()
    segments = threading.Thread(target=_make_segments, args=(settings, ended), name="segments")
    segments.start()
    try:
        server.serve(target_loader=make_worker, wrap_loader=False)
    except SystemExit as end:
        return 1 if end.code else 0
    finally:
        ended.set()
        segments.join()
    return 0


def _hold_signals() -> None:
    """Hold signals back while a worker is forked: Python forgets those that reach it before its first line."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def _let_signals_end_it() -> None:
    """Let a worker that has not started yet be ended: it inherits handlers that only its parent acts upon."""
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
    _release_signals()


def _make_segments(settings: Settings, ended: threading.Event) -> None:
    """Have segments made of the journals that workers have let go of, in processes of their own: requests come first."""
    log, last = settings.folder / "log", False
    command = [sys.executable, "-m", "onebutton_serving.segments", str(log), str(settings.keep_mb)]
    while not last:
        last = ended.wait(ROLL)
        if len(list(log.glob(f"*{JOURNAL}"))) > (0 if last else settings.workers):
            subprocess.run(command, stdin=subprocess.DEVNULL, check=False, start_new_session=True)


def _check_settings(settings: Settings) -> None:
    """Refuse a damaged release, a release store that is not there, and a port that is taken.

    Workers share their port, so the system would let a second server share it, too.
    """
    if settings.release:
        check(Path(settings.release))
    elif "://" not in settings.store and not Path(settings.store).is_dir():
        raise ServingError(
            f"there is no release store {settings.store}. `make deploy` makes the one of a laptop; others must be mounted"
        )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as error:
        why = str(error.strerror).partition(" (")[0]  # Python adds the address
        words = f"cannot listen on {settings.host}:{settings.port}: {why}; PORT= (--port) takes another"
        raise ServingError(words) from None


def _claimed(folder: Path) -> IO[str]:
    """Lock the state folder for this server alone; what tells of an earlier life of it is removed."""
    try:
        (folder / "log").mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder / "workers", ignore_errors=True)
    except OSError as error:
        used = isinstance(error, BlockingIOError)
        why = "another server uses it" if used else error.strerror or error
        raise ServingError(f"cannot use the state folder {folder}: {why}; --state takes another") from None
    return lock


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
