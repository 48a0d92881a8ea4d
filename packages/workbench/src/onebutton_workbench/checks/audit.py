"""Ask what others know of the packages that are locked here, and whether a key was ever committed. The work of `make audit`.

What could not be asked is NOT RUN, never passed: told on a laptop and under act, refused on GitHub, which has a network.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from onebutton_release.sbom import bill_of_materials
from onebutton_workbench.checks.lint import REVOKE, Check, Verdict, report
from onebutton_workbench.checks.lock_rules import check_licenses
from onebutton_workbench.environment import call
from onebutton_workbench.git import listed
from onebutton_workbench.lineage.changes import NothingToCompareError, choose_base, is_commit, parted
from onebutton_workbench.workspace import ROOT

BILL, LOCK = Path("report/sbom.cdx.json"), "uv.lock"
KNOWN = "uv audit --frozen --output-format json --preview-features audit-command,json-output"
FOUND = 1  # uv's status when it found something; a greater one says that it could not look
LEAKS = "betterleaks git . --config .github/betterleaks.toml --no-banner --redact --log-opts"
FILES = re.compile(r"^(sdist = .*\n|(wheels|members) = \[\n(    .*\n)*\]\n)", re.MULTILINE)


def vulnerabilities(root: Path, *service: str) -> Verdict:
    """Ask OSV, through uv, about every locked package; an answer about fewer of them is none."""
    check = Check("known vulnerabilities", "uv audit", "`uv lock --upgrade-package NAME`, or another package")
    done = call(*KNOWN.split(), *service, folder=root)
    if done.returncode > FOUND or not done.stdout:
        return _unasked(check, done.stderr)
    answer = json.loads(done.stdout)
    asked = answer["summary"]["audited_packages"]
    locked = (root / LOCK).read_text(encoding="utf-8").count("source = { registry")
    if asked < locked:
        return _unasked(check, f"only {asked} of {locked} locked packages were looked at")
    words = "{dependency[name]} {dependency[version]}: {id}, mended in {fixed}: {summary}"
    said = [words.format(**one, fixed=one["fix_versions"] or "none") for one in answer["vulnerabilities"]]
    return _judged(check, [*said, *map(str, answer["adverse_statuses"])])


def of_the_index(root: Path) -> Verdict:
    """Lock the same versions anew, without what the lock says of files, and compare: uv takes a lock's own hashes on trust."""
    mend = "`git checkout main -- uv.lock`, then `make lock`"
    check = Check("files that are not those of the index", "uv lock", mend)
    lock = (root / LOCK).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="onebutton-audit-") as folder:
        for name in listed(root, "*pyproject.toml", ".python-version", "*README.md"):
            (copy := Path(folder, name)).parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((root / name).read_bytes())
        # without its members uv does not take the lock for one that is still good, and asks the index
        Path(folder, LOCK).write_text(FILES.sub("", lock), encoding="utf-8")
        done = call("uv", "lock", "--refresh", folder=Path(folder), UV_FROZEN="0")
        if done.returncode:
            return _unasked(check, done.stderr)
        known = set(Path(folder, LOCK).read_text(encoding="utf-8").splitlines())
    others = ((number, line.strip()) for number, line in enumerate(lock.splitlines(), 1) if line not in known)
    return _judged(check, (f"{LOCK}:{number}: not so there: {line}" for number, line in others))


def leaks(root: Path, base: str = "") -> Verdict:
    """Look for keys in each commit since BASE, where the work will go, or the last merge: what is taken out, git keeps."""
    try:
        base = choose_base(base, root)
    except NothingToCompareError:
        base = "HEAD^" if is_commit("HEAD^", root) else "HEAD"
    done = call(*LEAKS.split(), f"{parted(base, root)}..HEAD", folder=root, NO_COLOR="1")
    found = "failed" if done.returncode else "passed"
    return Verdict(Check(f"keys and tokens in the commits since {base}", "betterleaks git", REVOKE), found, done.stdout)


def audit(base: str = "", root: Path = ROOT) -> int:
    """Print what was found, and write the bill of materials; the status is 1 where something was, or GitHub could not ask."""
    (root / BILL).parent.mkdir(exist_ok=True)
    (root / BILL).write_text(bill_of_materials(root, ""), encoding="utf-8")
    licences = _judged(Check("licences", "OB302", "as it says"), map(str, check_licenses(root)))
    found = [licences, leaks(root, base), vulnerabilities(root), of_the_index(root)]
    for verdict in found:
        report(verdict, "audit")
    results = [verdict.result for verdict in found]
    counts = ", ".join(f"{results.count(one)} {one}" for one in ("passed", "failed", "NOT RUN"))
    print(f"audit: {counts}; {BILL} lists all packages")
    on_github = os.environ.get("CI") == "true" and not os.environ.get("ACT")
    return int("failed" in results or ("NOT RUN" in results and on_github))


def _judged(check: Check, lines: Iterable[str]) -> Verdict:
    said = "".join(f"{line}\n" for line in lines)
    return Verdict(check, "failed" if said else "passed", said)


def _unasked(check: Check, said: str) -> Verdict:
    lines = said.splitlines() or ["it does not say why"]
    check = replace(check, mend="a network, then `make audit`")
    return Verdict(check, "NOT RUN", "\n".join(dict.fromkeys([lines[0], lines[-1]])))
