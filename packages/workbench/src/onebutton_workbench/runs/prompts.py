"""Ask a prompt of a pipeline about a text. The work of `make try`."""

import os
import subprocess
import sys
from pathlib import Path

from onebutton_contracts.errors import require
from onebutton_workbench.environment import add_groups
from onebutton_workbench.workspace import ROOT, read_toml, the_pipeline


def ask(pipeline: str = "", prompt: str = "", text: str = "") -> int:
    """Call the module `ask` of a pipeline that has prompts; in a workflow its answer goes into the summary."""
    there = sorted(path.parent.name for path in ROOT.glob("pipelines/*/prompts"))
    if not there and not pipeline:
        print("try: no pipeline has prompts, so there is nothing to ask. docs/prompts.md shows one that has")
        return 0
    name = the_pipeline(pipeline) if pipeline else there[0] if len(there) == 1 else ""
    require(name in there, f"PIPELINE can be: {', '.join(there) or '(no pipeline has prompts)'}")
    require(text, 'TEXT says what to ask about: make try TEXT="I love it"')
    folder = ROOT / "pipelines" / name
    if "model" in read_toml(folder / "pyproject.toml").get("dependency-groups", {}):  # one that pip installs
        add_groups("model", folder=ROOT)  # what it lacks without a network, the pipeline says itself
    command = [sys.executable, "-m", f"{name}.ask", f"--prompt={prompt}", f"--text={text}"]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="")
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as stream:
            stream.write(f"```text\n{done.stdout or 'no answer: the log of this run says why'}\n```\n")
    return done.returncode
