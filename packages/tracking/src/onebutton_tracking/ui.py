"""Open MLflow's own pages over the store in use, on this machine alone."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from onebutton_tracking.store import tracking_uri

HOST = "127.0.0.1"


def main() -> int:  # noqa: RET503  the program becomes MLflow's at the end, and never returns
    """Serve until Ctrl-C; PORT=5000 unless another is given."""
    port = os.environ.get("BUTTON_PORT") or "5000"
    if not port.isdigit() or not 0 < int(port) < 2**16:
        print(f"ui: PORT={port} is not a port number, such as 5000", file=sys.stderr)
        return 1
    uri = tracking_uri(Path.cwd())
    if uri.startswith(("http://", "https://")):
        print(f"ui: the team's MLflow is at {uri}")
        return 0
    with socket.socket() as probe:
        if probe.connect_ex((HOST, int(port))) == 0:
            print(
                f"ui: something listens on port {port} already. Open http://{HOST}:{port}, or press `make ui PORT=5001`",
                file=sys.stderr,
            )
            return 1
    print(f"ui: MLflow is at http://{HOST}:{port} in a few seconds. Ctrl-C ends it", flush=True)
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # half the start-up, a fifth of the memory
    command = ["mlflow", "server", "--backend-store-uri", uri, "--host", HOST, "--port", port, "--workers", "1"]
    os.execvpe(command[0], command, os.environ | settings)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
