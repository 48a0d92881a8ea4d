import subprocess
import sys

PROGRAM = """
from onebutton_contracts.errors import InputError, run_stage

def main():
    {line}

run_stage(main)
"""


def run(line: str) -> subprocess.CompletedProcess[str]:
    """Run a stage of one line as a program."""
    words = [sys.executable, "-c", PROGRAM.format(line=line)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_a_persons_mistake_ends_the_stage_with_the_message_alone() -> None:
    ended = run("raise InputError('params.yaml: unknown key')")
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "params.yaml: unknown key\n")


def test_our_own_mistake_ends_the_stage_with_a_traceback() -> None:
    ended = run("[][0]")
    assert ended.returncode == 1
    assert ended.stderr.startswith("Traceback (most recent call last):")
    assert "IndexError: list index out of range" in ended.stderr


def test_a_stage_that_works_ends_in_silence() -> None:
    ended = run("pass")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_mistake_that_another_package_tells_is_told_in_one_line_too() -> None:
    ended = run("raise type('ForeignError', (ValueError,), {'for_people': True})('column temp is missing')")
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "column temp is missing\n")
