"""Run the GitHub workflow on this machine, with act, on a clean clone of the commit. The work of `make ci`.

Only ci.yml runs, never a deployment. What is not committed is not in the clone, so it is refused rather than passed over.
"""

import subprocess
import tempfile
from pathlib import Path

from onebutton_contracts.errors import require
from onebutton_tracking.commit import git_environment
from onebutton_workbench.bootstrap import without_tools
from onebutton_workbench.git import ADDRESS, check_clean, git
from onebutton_workbench.workspace import ROOT

WORKFLOW = ".github/workflows/ci.yml"


def run_workflow() -> None:
    """Clone the commit, and let act run the workflow there, on this machine, as .actrc says."""
    check_clean(ROOT, "ci")
    commit = git("rev-parse", "HEAD", folder=ROOT)
    print(f"ci: {WORKFLOW} on a clean clone of {commit[:8]}", flush=True)
    with tempfile.TemporaryDirectory(prefix="onebutton-ci-") as folder:
        clone = Path(folder) / ROOT.name
        git("clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone), folder=ROOT)
        git("checkout", "--quiet", "-B", "main", commit, folder=clone)
        git("remote", "set-url", "origin", ADDRESS, folder=clone)
        environment = git_environment() | {"CI": "true", "XDG_CACHE_HOME": str(Path(folder) / "cache")}
        # the jobs bring their own tools, as they must on GitHub: those of this checkout would hide that one does not
        environment["PATH"] = without_tools(ROOT, environment["PATH"])
        # uv's own cache is outside the clone and content-addressed: sharing it saves downloads and hides nothing
        uv_cache = subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
        # one job at a time: each uses every processor already
        act = [str(ROOT / ".venv/bin/act"), "push", "--workflows", WORKFLOW, "--concurrent-jobs", "1"]
        status = subprocess.run(act, cwd=clone, env={"UV_CACHE_DIR": uv_cache} | environment, check=False).returncode
    require(not status, "a job failed: act names it above; all that a job printed is on the lines that carry its name")
    print(f"ci: every job of {WORKFLOW} succeeded on {commit[:8]}")
