"""Turn a fresh fork into the team's: name, owner and address, wherever the repository says them. The work of `make adopt`.

The libraries keep their names, as any library does that one team maintains and another uses, so that upgrades merge.
"""

import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from onebutton_contracts.errors import InputError, require
from onebutton_workbench.files import read_texts, write_texts
from onebutton_workbench.git import call, check_clean, git, names
from onebutton_workbench.members.lockfile import LOCK
from onebutton_workbench.members.remove import left_over, take_out
from onebutton_workbench.workspace import ROOT, members

PYPROJECT, OWNERS = "pyproject.toml", ".github/CODEOWNERS"
KEPT = ("LICENSE", "CHANGELOG.md", LOCK)  # law, history, and what uv writes
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
OWNER = re.compile(r"@[A-Za-z0-9](-?[A-Za-z0-9]){0,38}(/[A-Za-z0-9][\w.-]*)?")
# with or without a user and a port: https://host/acme/data, ssh://git@host/acme/data; and git@host:acme/data
HOSTED = re.compile(r"(?:(?:https?|ssh|git)://(?:[^/@]*@)?([^/:]+)(?::\d+)?/|[^/@:]+@([^/:]+):)([\w./~-]+)")


@dataclass(frozen=True)
class Identity:
    """Whose repository this is."""

    name: str  # of the root project
    owner: str  # who is asked to review, `@org/team` or `@user`
    url: str  # the address to clone
    upstream: str  # the address that upgrades come from
    upgraded_to: str  # the upstream commit that is in here; empty before the first upgrade


def read_identity(project: str, owners: str) -> Identity:
    """Read whose repository it is from the texts of its pyproject.toml and CODEOWNERS."""
    content = tomllib.loads(project)
    reviewers = dict(re.findall(r"^(\S+)\s+(@\S+)", owners, re.MULTILINE))
    try:
        about, ours = content["project"], content["tool"]["onebutton"]
        url = about["urls"]["repository"]
        return Identity(about["name"], reviewers["*"], url, ours["upstream"], ours["upgraded-to"])
    except KeyError as missing:
        raise InputError(f"{PYPROJECT} or {OWNERS} lacks {missing}: they say whose repository this is") from None


def adopted(path: str, text: str, before: Identity, after: Identity) -> str:
    """Write one identity over another in the text of a file."""
    if path in KEPT:
        return text
    account, mine = (one.owner[1:].partition("/")[0] for one in (before, after))
    place, home = (one.url.partition("://")[2].partition("/")[2] for one in (before, after))  # owner/name, on its host
    folder, clone = (one.rpartition("/")[2] for one in (place, home))
    text = re.sub(rf"({re.escape(place)}(?:\.git)?\s+(?:&&\s+)?cd ){re.escape(folder)}\b", rf"\g<1>{clone}", text)
    new = {before.url: after.url, place: home}
    address = rf"({re.escape(before.url)}|(?<![\w-]){re.escape(place)})(?![\w-])"
    text = re.sub(address, lambda found: new[found[0]], text)
    # every team of theirs; of one account, that team alone
    teams = rf"@{re.escape(account)}/[\w-]+|" if account != mine else ""
    text = re.sub(rf"(?<![\w.])({teams}{re.escape(before.owner)})(?![\w/-])", after.owner, text)
    if path == "README.md":
        text = re.sub(rf"^# {re.escape(before.name)}$", f"# {after.name}", text, count=1, flags=re.MULTILINE)
    if path == PYPROJECT:
        for key, value in (("name", after.name), ("upstream", after.upstream), ("upgraded-to", after.upgraded_to)):
            text = re.sub(rf'^{key} = ".*?"', f'{key} = "{value}"', text, count=1, flags=re.MULTILINE)
    return text


def clone_address(origin: str) -> str:
    """Write a remote's address as others clone it, without the user and password in it; empty where it is none."""
    hosted = HOSTED.fullmatch(origin.strip().rstrip("/").removesuffix(".git"))
    return f"https://{hosted[1] or hosted[2]}/{hosted[3]}" if hosted else ""


def adopt(
    root: Path = ROOT, *, name: str = "", owner: str = "", url: str = "", samples: Literal["remove"] | None = None
) -> int:
    """Change every file that says whose repository this is, and name each.

    The address to clone is found when none is given; samples that are `remove` take the sample pipelines out as well, and
    the packages that only they need. What is refused has changed nothing.
    """
    texts = read_texts(root, names("ls-files", "-z", folder=root))
    before = read_identity(texts[PYPROJECT], texts.get(OWNERS, ""))
    locked = {package["name"] for package in tomllib.loads(texts[LOCK])["package"]} - {before.name}
    for good, words in (
        (NAME.fullmatch(name), f"NAME={name} is no name for a project: lower-case letters, digits, dashes, as in acme"),
        (name not in locked, f"NAME={name} is a package that is used here, and uv would take one for the other"),
        (OWNER.fullmatch(owner), f"OWNER={owner} is no owner on GitHub: who reviews, as in @acme/data or @ann"),
        (not url or clone_address(url), f"URL={url} is no address to clone from, such as https://github.com/acme/data"),
        (not samples or before.url == before.upstream, "it is adopted, pipelines may be yours: see `make remove`"),
    ):
        require(good, f"{words}. Nothing was changed")
    origin = clone_address(call("config", "--get", "remote.origin.url", folder=root).stdout)
    suggested = f"https://github.com/{owner[1:].partition('/')[0]}/{name}"
    # until its adoption a fork says that it is upstream
    found = next(place for place in (before.url, origin, suggested) if place not in ("", before.upstream))
    after = replace(before, name=name, owner=owner, url=clone_address(url) or found)
    pipelines = [member for member in members(root) if member.is_pipeline and samples]
    leaving = [*pipelines, *left_over(pipelines, root)]
    new = {path: adopted(path, text, before, after) for path, text in texts.items()}
    changed = {path: text for path, text in new.items() if text != texts[path]}
    if not changed and not leaving:
        print(f"adopt: this is {name} of {owner} already; nothing was changed")
        return 0
    check_clean(root, "adopt")
    try:
        write_texts(root, changed)
        take_out(root, leaving)
    except BaseException:
        git("reset", "--quiet", "--hard", folder=root)  # the tree was clean, so nothing is lost
        raise
    print(
        *(f"  {path}" for path in [*sorted(changed), LOCK]),
        f"adopt: this is {name} of {owner} now, cloned from {after.url} (URL=address says another); nothing is committed.",
        f"Next: `git diff`, `make check`, `git add --all` and `git commit --message 'chore: adopt as {name}'`.",
        "`make upgrade` brings what upstream does from now on; the libraries keep their names, so that it merges.",
        sep="\n",
    )
    return 0
