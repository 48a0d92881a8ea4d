import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from onebutton_contracts.errors import InputError
from onebutton_tracking.ui import ui


@pytest.mark.parametrize("port", [0, 70000, -1])
def test_a_port_that_is_none_is_refused(tmp_path: Path, port: int) -> None:
    with pytest.raises(InputError, match=f"PORT={port} is not a port number"):
        ui(root=tmp_path, port=port)


def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(InputError, match=rf"port {port} already.*make ui PORT=5001"):
            ui(root=tmp_path, port=port)


@pytest.mark.slow
def test_the_page_opens_on_this_machine_alone(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    environment = {"PATH": str(Path(sys.executable).parent), "HOME": str(tmp_path)}
    code = f"from pathlib import Path; from onebutton_tracking.ui import ui; ui(root=Path.cwd(), port={port})"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as program:
        try:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline and program.poll() is None:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                        assert answer.status == 200
                        break
                except OSError:
                    time.sleep(0.5)
            else:
                pytest.fail("MLflow did not answer")
            listening = Path("/proc/net/tcp")
            if listening.exists():
                rows = [line.split()[1] for line in listening.read_text(encoding="utf-8").splitlines()[1:]]
                places = {row.split(":")[0] for row in rows if int(row.split(":")[1], 16) == port}
                assert "00000000" not in places  # not on every network
        finally:
            program.terminate()
