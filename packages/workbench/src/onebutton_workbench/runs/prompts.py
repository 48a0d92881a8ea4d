"""Ask a prompt of a pipeline about a text. The work of `make try`."""

from __future__ import annotations

import subprocess
import sys

from onebutton_contracts.errors import InputError
from onebutton_workbench.workspace import ROOT, the_pipeline


def ask(pipeline: str, prompt: str, text: str) -> int:
    """Call the module `ask` of a pipeline that has prompts; return its exit status.

    Raises:
        InputError: no text was typed, or no pipeline, or more than one, has prompts.
    """
    there = sorted(path.parent.name for path in ROOT.glob("pipelines/*/prompts"))
    name = the_pipeline(pipeline) if pipeline else there[0] if len(there) == 1 else ""
    if name not in there:
        message = f"PIPELINE can be: {', '.join(there) or '(no pipeline has prompts)'}"
        raise InputError(message)
    if not text:
        message = 'TEXT says what to ask about: make try TEXT="I love it"'
        raise InputError(message)
    command = [sys.executable, "-m", f"{name}.ask", f"--prompt={prompt}", f"--text={text}"]
    return subprocess.run(command, cwd=ROOT / "pipelines" / name, check=False).returncode
