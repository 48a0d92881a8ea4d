"""Open MLflow's own pages over the store in use, on this machine alone."""

import os
import socket
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_tracking.store import is_server, tracking_uri

HOST = "127.0.0.1"


def ui(*, root: Path, port: int = 5000) -> None:
    """Serve until Ctrl-C; the program becomes MLflow's.

    Raises:
        InputError: the port is none, or taken.
    """
    if not 0 < port < 2**16:
        raise InputError(f"PORT={port} is not a port number, such as 5000")
    uri = tracking_uri(root)
    if is_server(uri):
        print(f"ui: the team's MLflow is at {uri}")
        return
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise InputError(
                f"something listens on port {port} already. Open http://{HOST}:{port}, or press `make ui PORT=5001`"
            )
    print(f"ui: MLflow is at http://{HOST}:{port} in a few seconds. Ctrl-C ends it", flush=True)
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # half the start-up, a fifth of the memory
    command = ["mlflow", "server", "--backend-store-uri", uri, "--host", HOST, "--port", str(port), "--workers", "1"]
    os.execvpe(command[0], command, os.environ | settings)  # noqa: S606
