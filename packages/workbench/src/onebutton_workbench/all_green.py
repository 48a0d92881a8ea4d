"""The last job of CI: green only when every job that it needs succeeded. The work of `make all-green`.

GitHub counts a skipped job as a pass for a required check, so a job that never ran could let a change through. It reads the
variable NEEDS, which the workflow sets to `toJSON(needs)`: {"test": {"result": "success"}}. Standard library only: the job
installs nothing.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> int:
    """Judge the jobs in NEEDS."""
    try:
        jobs = json.loads(os.environ.get("NEEDS", ""))
        bad = [f"{name}: {job['result']}" for name, job in jobs.items() if job["result"] != "success"]
        bad += [] if jobs else ["NOT RUN: NEEDS names no job"]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        bad = [f"NOT RUN: the variable NEEDS is not what GitHub's toJSON(needs) gives: {error}"]
    print(f"all-green: {'; '.join(bad) or 'every job succeeded'}", file=sys.stderr if bad else sys.stdout)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
