"""Merge what upstream has done since this repository was made from it, or last upgraded. The work of `make upgrade`.

It is an ordinary `git merge`. Before it, both upstream commits, the one that is in here and the newest, are written as this
repository would have them: with its name, owner and address, and without the members that it removed. So neither can conflict,
and neither comes back. The merge begins at the first of the two, whatever the history says: a squash does not matter.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from onebutton_contracts.errors import require
from onebutton_tracking.reproduce import worktree
from onebutton_workbench.files import read_texts, write_texts
from onebutton_workbench.git import call, check_clean, git, holds, names
from onebutton_workbench.lineage.changes import cut_off
from onebutton_workbench.members.adopt import OWNERS, PYPROJECT, Identity, adopted, read_identity
from onebutton_workbench.members.lockfile import LOCK, relock
from onebutton_workbench.members.remove import README, without_samples
from onebutton_workbench.workspace import ROOT


def find_base(root: Path, tip: str, recorded: str) -> str:
    """Find the newest upstream commit that is in here.

    A fork shares upstream's history, so git knows. Where an upgrade was squashed, `upgraded-to` knows. A repository made with
    GitHub's "Use this template" shares nothing, but its first commit has the very content of one of upstream's.
    """
    known = [f"{recorded}^{{commit}}"] if recorded else []
    missing = f"`upgraded-to` is {recorded[:12]}, but upstream has no such commit. Nothing was changed"
    require(not known or holds("merge-base", "--is-ancestor", *known, tip, folder=root), missing)
    # git takes the newest commit that upstream shares with any of the others
    base = call("merge-base", tip, "HEAD", *known, folder=root).stdout.strip()
    if not base:
        log = ("log", "--no-show-signature")
        ours = set(git(*log, "--format=%T", "HEAD", folder=root).split())
        theirs = (line.split() for line in git(*log, "--format=%T %H", tip, folder=root).splitlines())
        base = next((commit for content, commit in theirs if content in ours), "")
    unknown = (
        "no commit here has the content of one of upstream's, so nobody knows where this repository began: write the "
        f"upstream commit that you started from into `upgraded-to` of {PYPROJECT}, commit that, and press again"
    )
    require(base, unknown)
    return base


def removed_members(root: Path, base: str) -> list[str]:
    """List the folders of members that are in a commit and no longer here; `pipelines` when every one of those is gone."""
    ask = ("ls-tree", "-d", "-z", "--name-only")
    here, there = (set(names(*ask, commit, "packages/", "pipelines/", folder=root)) for commit in ("HEAD", base))
    gone, samples = there - here, {member for member in there if member.startswith("pipelines/")}
    # a team without samples wants no new ones either
    return sorted(gone - samples | {"pipelines"} if samples and samples <= gone else gone)


def rewritten(root: Path, commit: str, gone: Sequence[str], before: Identity, after: Identity, *parents: str) -> str:
    """Write an upstream commit as this repository would have it, and return the new commit, which no branch names.

    That is without the folders that are gone, and with the identity after in place of the one before; the new commit has
    upstream's for a parent, and `parents`.
    """
    with worktree(root, commit) as tree:
        if gone:
            git("rm", "-r", "--quiet", "--ignore-unmatch", "--", *gone, folder=tree)
        texts = read_texts(tree, names("ls-files", "-z", folder=tree))
        new = {path: adopted(path, text, before, after) for path, text in texts.items()}
        if "pipelines" in gone:
            new[README] = without_samples(new[README])
        write_texts(tree, new)
        git("add", "--update", folder=tree)
        lineage = [word for parent in (commit, *parents) for word in ("-p", parent)]
        title = f"chore: upstream's {commit[:7]}, as {after.name} has it"
        return git("commit-tree", git("write-tree", folder=tree), *lineage, "-m", title, folder=root)


def merge(root: Path, head: str, base: str, tip: str, title: str) -> None:
    """Let git merge `tip`, taking `base` for the common ancestor, without a commit yet; on failure the caller takes it back."""
    # what `git merge --strategy ours` would commit; the branch stands there for the merge alone, so that --abort leaves no trace
    joined = git("commit-tree", f"{head}^{{tree}}", "-p", head, "-p", base, "-m", title, folder=root)
    git("update-ref", "HEAD", joined, head, folder=root)
    # results take one side, also in a clone whose setup did not say so yet
    command = ("-c", "merge.remade.driver=true", "merge", "--quiet", "--no-commit", "--no-ff")
    done = call(*command, "-m", title, tip, folder=root)
    git("update-ref", "HEAD", head, folder=root)
    require(done.returncode in (0, 1), f"git merge failed: {(done.stderr or done.stdout).strip()}")  # 1: conflicts


def finish(root: Path) -> tuple[list[str], list[str], str]:
    """Keep removed what was removed here, and write the lock again unless a person must finish files first.

    Returned are the files that stay removed, those that a person must finish, and why uv could not write the lock, if so.
    """
    lines = names("status", "--porcelain", "--no-renames", "-z", folder=root)
    removed = [line[3:] for line in lines if line[:2] == "DU"]  # deleted by us
    if removed:
        git("rm", "--quiet", "--", *removed, folder=root)
    git("checkout", "--quiet", "--ours", "--", LOCK, folder=root)  # where it is in conflict, too
    git("add", "--", LOCK, folder=root)
    left = names("diff", "--name-only", "--diff-filter=U", "-z", folder=root)
    return removed, left, "" if left else relock(root)


def upgrade(root: Path = ROOT, *, from_: str = "") -> int:
    """Merge upstream, and say what came, what stays removed and what is left to a person; the status is then 1.

    Without FROM, an address or a folder, that of `[tool.onebutton]` in pyproject.toml is fetched from.
    """
    shallow = cut_off(root)
    require(not shallow, f"{shallow}. Then press `make upgrade` again; nothing was changed")
    check_clean(root, "upgrade")
    head, ours = git("rev-parse", "HEAD", folder=root), _identity(root, "HEAD")
    source = from_ or ours.upstream
    fetched = call("fetch", "--quiet", "--no-tags", "--", source, "HEAD", folder=root)  # no branch is touched
    require(not fetched.returncode, f"upstream {source} cannot be reached: {' '.join(fetched.stderr.split())}")
    tip = git("rev-parse", "FETCH_HEAD^{commit}", folder=root)
    base = find_base(root, tip, ours.upgraded_to)
    if base == tip:
        print(f"upgrade: nothing new: upstream is at {tip[:7]}, and all of it is in here")
        return 0
    theirs = _identity(root, tip)
    gone = removed_members(root, base)
    begun = rewritten(root, base, gone, theirs, ours)
    newest = rewritten(root, tip, gone, theirs, replace(ours, upgraded_to=tip), begun)
    try:
        merge(root, head, begun, newest, f"chore: upgrade to {tip[:7]} of {theirs.name}")
        removed, left, problem = finish(root)
        if not left and not problem:
            # no hook: the environment is still the old lock's. `make check` comes next, and CI after it
            git("commit", "--quiet", "--no-verify", "--no-edit", "--all", folder=root)
    except BaseException:
        git("reset", "--quiet", "--hard", head, folder=root)  # the tree was clean, so nothing is lost
        raise
    commits = int(git("rev-list", "--count", f"{base}..{tip}", folder=root))
    print(f"upgrade: {commits:,} commit{'s' * (commits != 1)} of upstream, from {base[:7]} to {tip[:7]}")
    for words, paths in (("stays removed", [*gone, *removed]), ("left to you", left)):
        print("".join(f"  {words:<15}{path}\n" for path in paths), end="")
    if problem:
        print(f"upgrade: uv.lock could not be written again: {problem}")
    if left or problem:
        marks = "choose between the lines marked <<<<<<< and >>>>>>>, then " if left else ""
        steps = f"{marks}`make lock`, then `git add --update`, then `git commit`"
        print(f"upgrade: not finished: {steps}. `git merge --abort` takes all of it back.")
        return 1
    merged = git("rev-parse", "--short", "HEAD", folder=root)
    print(f"upgrade: merged as {merged}; `git reset --hard HEAD^` takes it back.")
    print("Next: `make check`, then `make run` for the results that upstream's code changes, then push.")
    return 0


def _identity(root: Path, commit: str) -> Identity:
    return read_identity(*(git("show", f"{commit}:{path}", folder=root) for path in (PYPROJECT, OWNERS)))
