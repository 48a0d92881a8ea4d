import os
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).with_name("with_xgboost.py")


@pytest.mark.slow
def test_the_rows_of_xgboost_convert_in_an_environment_that_has_it() -> None:
    command = ["uv", "run", "--isolated", "--frozen", "--no-default-groups", "--group", "test"]
    command += ["--package", "onebutton-models", "--all-extras"]
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTEST_ADDOPTS")}
    command += ["pytest", "-q", str(TESTS)]
    ended = subprocess.run(command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "8 passed" in ended.stdout
