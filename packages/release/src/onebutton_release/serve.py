"""Run the server on what is in service. The work of `make serve`."""

import ctypes
import os
import shlex
import signal
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from onebutton_contracts.errors import InputError
from onebutton_evaluation.gatekeeping import is_draft
from onebutton_release.target import Target, find_target
from onebutton_serving.history import in_service
from onebutton_serving.openapi import golden_request
from onebutton_serving.sealed import ServingError

END_WITH_PARENT = 1  # PR_SET_PDEATHSIG
LONGEST = 1000  # characters of a request that is shown


def waits_for_deploy(root: Path, pipeline: str, environment: str) -> bool:
    """Say whether a draft is here of which nothing is in service on this laptop yet."""
    with suppress(InputError):  # which says who goes on with it
        target = find_target(root, pipeline, environment, "local")
        return target.environment.laptop and is_draft(target.folder) and in_service(target.store) is None
    return False


def serve(root: Path, pipeline: str, environment: str, port: int | None) -> None:
    """Run the server in the foreground on what an environment has in service."""
    target = find_target(root, pipeline, environment, "local")
    looked = [urlsplit(address).port for address in target.servers]
    port = port or next(filter(None, looked), 8000)
    if port not in looked:
        where = " and ".join(target.servers) or "no address"
        print(f"serve: `make deploy` looks for this server at {where}, not at port {port}")
    state = root / ".serving" / target.name / target.pipeline / str(port)
    words = ["--store", target.url, "--pipeline", target.pipeline, "--port", str(port), "--state", str(state)]
    _say_how_to_ask(target, f"http://127.0.0.1:{port}")
    if sys.platform == "linux":  # that make was killed nobody could tell the server otherwise; this outlives execv
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGTERM)
    os.execv(sys.executable, [sys.executable, "-m", "onebutton_serving", *words])  # noqa: S606  it takes this program's place


def _say_how_to_ask(target: Target, address: str) -> None:
    """Print a request for a terminal, of a golden row; nothing where the server will say what is wrong."""
    with suppress(OSError, ValueError, LookupError, ServingError):
        if move := in_service(target.store):
            request = shlex.quote(golden_request(target.fetch(move.after)))
            ask = f"curl {address}/v1/predict --header 'content-type: application/json' --data {request}"
            too = f", and this asks it:\n  {ask}" if len(ask) < LONGEST else ""
            print(f"serve: as soon as it runs, {address}/docs is its page{too}", flush=True)
