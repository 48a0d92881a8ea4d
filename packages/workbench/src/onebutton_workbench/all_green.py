"""The last job of CI: green only when every job that it needs succeeded. The work of `make all-green`.

GitHub counts a skipped job as a pass for a required check, so a job that never ran could let a change through. It reads the
variable NEEDS, which the workflow sets to `toJSON(needs)`. Standard library only: the job installs nothing.
"""

from __future__ import annotations

import json
import os
import sys


def unsuccessful(needs: str) -> list[str]:
    """List the jobs that did not succeed, each with its result.

    Args:
        needs: what GitHub's `toJSON(needs)` gives: job name -> {"result": "success" | "failure" | "cancelled" | "skipped", ...}.

    Raises:
        ValueError: it is not such a mapping, or names no job, in which case nothing was checked.
    """
    jobs = json.loads(needs)
    if not isinstance(jobs, dict) or not jobs:
        raise ValueError("it names no job")
    return [f"{name}: {job['result']}" for name, job in jobs.items() if job["result"] != "success"]


def main() -> int:
    """Judge the jobs in NEEDS."""
    try:
        bad = unsuccessful(os.environ.get("NEEDS", ""))
    except (ValueError, KeyError, TypeError) as error:
        words = "the variable NEEDS is not what GitHub's toJSON(needs) gives"
        print(f"all-green: NOT RUN: {words}: {error}", file=sys.stderr)
        return 1
    if bad:
        print(f"all-green: {'; '.join(bad)}", file=sys.stderr)
        return 1
    print("all-green: every job succeeded")
    return 0


if __name__ == "__main__":
    sys.exit(main())
