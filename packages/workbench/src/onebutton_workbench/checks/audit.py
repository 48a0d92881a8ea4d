"""Ask what others know of the packages that are locked here, and whether a key was ever committed. The work of `make audit`.

What could not be asked is NOT RUN, never passed: told on a laptop and under act, refused on GitHub, which has a network.
Licences, which need no network, are a rule of `make lint` as well: OB302, `docs/checks/` has its page.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from onebutton_release.sbom import bill_of_materials, licenses
from onebutton_workbench.checks.lint import REVOKE, Check, Verdict, report, run
from onebutton_workbench.environment import call
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import listed
from onebutton_workbench.lineage.changes import NothingToCompareError, choose_base, is_commit, parted
from onebutton_workbench.lineage.fingerprint import locked_versions
from onebutton_workbench.workspace import ROOT, members, read_toml

BILL, LOCK = Path("report/sbom.cdx.json"), "uv.lock"
KNOWN = "uv audit --frozen --output-format json --preview-features audit-command,json-output"
FOUND = 1  # uv's status when it found something; a greater one says that it could not look
LEAKS = "betterleaks git . --config .github/betterleaks.toml --no-banner --redact"
FILES = re.compile(r"^(sdist = .*\n|(wheels|members) = \[\n(    .*\n)*\]\n)", re.MULTILINE)

# Copyleft that reaches over the network, source that is not open, use that is not free. The plain GPL is no finding: it binds who
# passes programs on, and a team that does so asks its lawyers anyway.
DENIED = re.compile(
    r"\bBUSL|\bBSL-1\.1|Business Source|\bAGPL|Affero|\bSSPL|Server Side Public|Elastic License|Elastic-2|Commons Clause"
    r"|PolyForm|\bCC-BY-NC|Non-?Commercial|Proprietary|\bCommercial\b|All rights reserved",
    re.IGNORECASE,
)


def is_denied(expression: str) -> bool:
    """Whether no way of reading an expression is free of what is denied: of `A OR B` one may choose."""
    return all(DENIED.search(choice) for choice in re.split(r"\s+OR\s+", expression))


def denied(names: Iterable[str]) -> Iterator[Finding]:
    """Find distributions that a company which forks this could not build on; of another platform's nobody here can say."""
    mend = "another package; or its name and the reason under [tool.onebutton.licenses] in pyproject.toml"
    for name in sorted(names):
        with suppress(metadata.PackageNotFoundError):
            said = licenses(metadata.metadata(name))
            if not said:
                yield Finding("OB302", LOCK, f"{name} does not say under which licence it is", mend)
            elif is_denied(said):
                words = f"{name} is under {said!r}, which a company that forks this may not accept"
                yield Finding("OB302", LOCK, words, mend)


def check_licenses(root: Path) -> Iterator[Finding]:
    """Hold every package of the lock to the rule on licences; a member is nobody else's, and may say nothing."""
    reasons = read_toml(root / "pyproject.toml")["tool"].get("onebutton", {}).get("licenses", {})
    yield from denied(locked_versions(root).keys() - {member.name for member in members(root)} - reasons.keys())


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
        base = base or choose_base(root)
    except NothingToCompareError:
        base = "HEAD^" if is_commit("HEAD^", root) else "HEAD"
    command = f"{LEAKS} --log-opts {parted(base, root)}..HEAD"
    return run(Check(f"keys and tokens in the commits since {base}", command, REVOKE), root)


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
    return Verdict(replace(check, mend="a network, then `make audit`"), "NOT RUN", said)
