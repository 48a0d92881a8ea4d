import sys
from pathlib import Path

import pytest

from onebutton_workbench.runs.interrupted import only_press
from onebutton_workbench.runs.run import call_dvc, made_again

DVC = """
import subprocess, sys

print("Running stage 'pipelines/demo/dvc.yaml:code':", flush=True)
for stage, megabytes in (("train", 300), ("card", 1)):
    print(f"Running stage 'pipelines/demo/dvc.yaml:{stage}':", flush=True)
    command = f"import time; held = b'x' * {megabytes}_000_000; time.sleep(1)"
    subprocess.run([sys.executable, "-c", command], check=True)
    print("Updating lock file 'pipelines/demo/dvc.lock'", flush=True)
print("Stage 'pipelines/churn/dvc.yaml:evaluate' is cached - skipping run, checking out outputs")
print("Stage 'pipelines/other/dvc.yaml:train' didn't change, skipping")
print("Stage files are what the stage itself talks about")
"""


@pytest.mark.slow
def test_seconds_and_peak_memory_of_each_stage_are_in_the_summary(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with only_press(tmp_path) as lock:
        made, ended = call_dvc([sys.executable, "-c", DVC], tmp_path, lock)
    code, train, card, evaluate = made
    assert ended
    assert 300 < train.peak_mb < 400
    assert 0 < card.peak_mb < 100
    assert 0.9 < train.seconds < 20
    assert 0 < code.seconds < 1
    assert evaluate.seconds == 0
    assert str(train) == f"train {train.seconds:.1f} s {train.peak_mb:.0f} MB"
    assert made_again(made) == f"made again: churn (evaluate); demo ({train}, {card})"
    assert "Stage 'pipelines/other/dvc.yaml:train' didn't change, skipping\n" in capfd.readouterr().out
