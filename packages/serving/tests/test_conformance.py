"""The server keeps what its own OpenAPI page promises, whatever it is asked."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from packages.serving.tests.conftest import Server

pytestmark = pytest.mark.slow
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,negative_data_rejection"


def test_5_000_made_up_requests_meet_no_server_error(
    serve: Callable[..., Server], store: Path, tmp_path: Path, not_run: Callable[[str], None]
) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    if not program.is_file():
        not_run("schemathesis is not installed. `make test SLOW=1` brings it")
    server = serve("--store", str(store), "--pipeline", "flights").ready()
    common = [
        str(program), "run", f"{server.address}/openapi.json", "--max-examples", "2480", "--checks", CHECKS,
        "--phases", "coverage,fuzzing", "--include-path", "/v1/predict", "--suppress-health-check", "all",
        "--no-color", "--no-shrink", "--generation-database", "none", "--seed",
    ]  # fmt: skip

    def run(seed: str) -> int:
        done = subprocess.run([*common, seed], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stdout[-6000:]
        found = re.search(r"Test cases:\s*([\d,]+) generated", done.stdout)
        assert found, done.stdout[-3000:]
        return int(found[1].replace(",", ""))

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(run, ["1", "2"])) >= 5000
