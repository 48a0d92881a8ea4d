"""Merge what upstream has done since this repo was made from it, or last upgraded. The work of `make upgrade`.

It is an ordinary `git merge`, with three things told to git that it cannot know: where to begin when the history does not say,
whose a file is when both changed it, and that some files are written by tools and not by people.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from onebutton_tracking.results import ResultsError
from onebutton_tracking.results import collect as collect_results
from onebutton_workbench.files import read_texts, write_texts
from onebutton_workbench.git import call, check_clean, git, holds, names
from onebutton_workbench.members import conflicts
from onebutton_workbench.members.conflicts import Naming, Side
from onebutton_workbench.members.identity import adopted, identity_of, readdressed, upstream_identity
from onebutton_workbench.members.lockfile import LOCK, relock
from onebutton_workbench.members.manifest import MANIFEST, Manifest, read_manifest, with_value
from onebutton_workbench.members.upstream import Baseline, fetch, find_baseline
from onebutton_workbench.pressed import press, value
from onebutton_workbench.workspace import ROOT, WorkbenchError, pipelines


@dataclass(frozen=True)
class Outcome:
    """How an upgrade went.

    Attributes:
        settled: files that both changed, by the side that they were settled to.
        results: results that both changed; the team's were kept, as a whole.
        removed: members that upstream has changed and the team has removed.
        lock: why `uv lock` could not write the lock; empty when it did, or must wait for what is left.
        left: files that a person must finish.
    """

    settled: Mapping[Side, list[str]]
    results: list[str]
    removed: list[str]
    lock: str
    left: list[str]


def check_ready(root: Path) -> None:
    """Refuse to merge where it could not be finished, or not be taken back.

    Raises:
        WorkbenchError: what stands in the way, and what to do about it.
    """
    merging = holds("rev-parse", "--quiet", "--verify", "MERGE_HEAD", folder=root)
    on_branch = holds("symbolic-ref", "--quiet", "HEAD", folder=root)
    named = holds("var", "GIT_COMMITTER_IDENT", folder=root)
    shallow = git("rev-parse", "--is-shallow-repository", folder=root) == "true"
    for obstacle, words in (
        (merging, "a merge is under way: `git commit` ends it, `git merge --abort` takes it back"),
        (not on_branch, "this is no branch: `git switch` to one"),
        (not named, "git does not know you: `git config user.name` and `git config user.email` tell it"),
        (shallow, "this clone lacks its history: `git fetch --unshallow` brings it"),
    ):
        if obstacle:
            message = f"{words}. Then press `make upgrade` again; nothing was changed"
            raise WorkbenchError(message)
    check_clean(root, "upgrade")


def result_sets(root: Path) -> list[list[str]]:
    """List the results in git, each run's apart: numbers of two runs must never stand side by side."""
    sets = []
    for folder in (root, *(root / "pipelines" / name for name in pipelines(root))):
        try:
            produced = collect_results(folder).produced
        except ResultsError:
            continue  # never run to its end
        place = folder.relative_to(root)
        sets.append(names("ls-files", "-z", "--", *(str(place / name) for name in produced), folder=root))
    return [files for files in sets if files]


@contextmanager
def grafted(root: Path, baseline: Baseline) -> Iterator[None]:
    """Let git take the baseline for a parent of HEAD while it merges, where the history does not say so."""
    if baseline.in_history:
        yield
        return
    head, *parents = git("rev-list", "--parents", "--max-count=1", "HEAD", folder=root).split()
    arguments = [word for parent in (*parents, baseline.commit) for word in ("-p", parent)]
    graft = git("commit-tree", f"{head}^{{tree}}", *arguments, "-m", "graft", folder=root)
    git("replace", "--force", head, graft, folder=root)
    try:
        yield
    finally:
        git("replace", "--delete", head, folder=root)


def merge(root: Path, baseline: Baseline, tip: str, title: str) -> None:
    """Let git merge, without a commit yet.

    Renames are not guessed: a pipeline that was made from a removed sample would be taken for the sample. Before 2.50 git's
    strategy `ort` guesses all the same, `recursive` does not; from then on they are one.

    Raises:
        WorkbenchError: git refuses.
    """
    how = ("--no-commit", "--no-ff", "--strategy", "recursive", "--strategy-option", "no-renames")
    with grafted(root, baseline):
        done = call("merge", *how, "-m", title, tip, folder=root)
    if not holds("rev-parse", "--quiet", "--verify", "MERGE_HEAD", folder=root):
        message = f"git merge failed: {(done.stderr or done.stdout).strip()}"
        raise WorkbenchError(message)


def keep_removed(root: Path, base: str) -> list[str]:
    """Take out again what upstream changed in members that the team has removed, and name those members."""
    ask = ("ls-tree", "-d", "-z", "--name-only")
    here, there = (set(names(*ask, commit, "packages/", "pipelines/", folder=root)) for commit in ("HEAD", base))
    returned = [member for member in sorted(there - here) if names("ls-files", "-z", "--", member, folder=root)]
    for member in returned:
        git("rm", "-r", "--quiet", "--force", "--", member, folder=root)
    return returned


def keep_results(root: Path, sets: Sequence[Sequence[str]], base: str, tip: str) -> list[str]:
    """Keep the team's results as a whole where both sides have made some."""
    both = [
        files
        for files in sets
        if not any(holds("diff", "--quiet", base, side, "--", *files, folder=root) for side in ("HEAD", tip))
    ]
    for files in both:
        git("checkout", "--quiet", "HEAD", "--", *files, folder=root)
    return [file for files in both for file in files]


def rename_arrivals(root: Path, naming: Naming) -> None:
    """Say the team's name where what came in says upstream's."""
    came = names("diff", "--cached", "--name-only", "-z", "--diff-filter=AM", "HEAD", folder=root)
    left = {conflict.path for conflict in conflicts.collect(root)}
    texts = read_texts(root, [name for name in came if name not in left])
    changed = {path: new for path, text in texts.items() if (new := naming(path, text)) != text}
    write_texts(root, changed)
    if changed:
        git("add", "--", *changed, folder=root)


def settle(root: Path, manifest: Manifest, sets: Sequence[Sequence[str]], base: str, tip: str) -> Outcome:
    """Settle all that git left open, and note in the manifest where upstream is now."""
    before, after = upstream_identity(manifest.upstream), identity_of(manifest)
    removed = keep_removed(root, base)
    results = keep_results(root, sets, base, tip)
    settled: dict[Side, list[str]] = defaultdict(list)
    for conflict in conflicts.collect(root):
        owner = manifest.owner_of(conflict.path)
        side = conflicts.settle(root, conflict, owner, lambda path, text: adopted(path, text, before, after))
        settled[side].append(conflict.path)
    rename_arrivals(root, lambda path, text: readdressed(path, text, before, after))
    note_commit(root, tip)
    if LOCK in settled["person"]:  # marks would stop uv from reading it
        git("checkout", "--quiet", "--theirs", "--", LOCK, folder=root)
    lock = "" if any(map(_declares, settled["person"])) else relock(root)
    if not lock and (root / LOCK).is_file():
        git("add", "--", LOCK, folder=root)
    left = sorted(conflict.path for conflict in conflicts.collect(root))
    return Outcome(settled, results, removed, lock, left)


def _declares(path: str) -> bool:
    """Whether a file says what the lock must hold."""
    return path.rpartition("/")[2] == "pyproject.toml"


def note_commit(root: Path, tip: str) -> None:
    """Write upstream's newest commit into the manifest, also between marks of a conflict there."""
    text = (root / MANIFEST).read_text(encoding="utf-8")
    write_texts(root, {MANIFEST: with_value(text, "upstream", "commit", tip)})
    if not names("ls-files", "--unmerged", "-z", "--", MANIFEST, folder=root):
        git("add", "--", MANIFEST, folder=root)


def describe(outcome: Outcome) -> list[str]:
    """Say file by file what was settled, and how."""
    told = (
        ("upstream's lines stand", outcome.settled.get("upstream", [])),
        ("your lines stand", outcome.settled.get("team", [])),
        ("your results stand", outcome.results),
        ("stays removed", outcome.removed),
        ("left to you", outcome.left),
    )
    return [f"  {words:<24}{file}" for words, files in told for file in sorted(files)]


def what_is_left(outcome: Outcome) -> list[str]:
    """Say what a person must do before the merge is whole; nothing when it is."""
    steps = []
    if [file for file in outcome.left if file != LOCK]:
        steps.append("choose between the lines marked <<<<<<< and >>>>>>>")
    if outcome.lock or LOCK in outcome.left or any(map(_declares, outcome.left)):
        steps.append("`make lock`")
    if not steps:
        return []
    why = [f"upgrade: uv.lock could not be written again: {outcome.lock}"] if outcome.lock else []
    steps += ["`git add --update`", "`git commit`"]
    return [*why, f"upgrade: not finished: {', then '.join(steps)}. `git merge --abort` takes all of it back"]


def upgrade(root: Path, source: str) -> int:
    """Merge upstream, and say what came, what was settled and what is left.

    Args:
        root: the repo.
        source: an address or folder to fetch from; the manifest's when empty.

    Returns:
        1 when something is left to a person.

    Raises:
        WorkbenchError: it cannot begin, or failed on the way; nothing was changed.
    """
    check_ready(root)
    manifest = read_manifest(root)
    tip = fetch(root, source or manifest.url)
    baseline = find_baseline(root, tip, manifest.commit)
    if baseline.commit == tip:
        print(f"upgrade: nothing new: upstream is at {tip[:7]}, and all of it is in here")
        return 0
    span = f"{baseline.commit}..{tip}"
    commits = int(git("rev-list", "--count", span, folder=root))
    files = len(names("diff", "--name-only", "-z", span, folder=root))
    title = f"chore: upgrade to {tip[:7]} of {manifest.upstream}"
    sets = result_sets(root)
    try:
        merge(root, baseline, tip, title)
        outcome = settle(root, manifest, sets, baseline.commit, tip)
        left = what_is_left(outcome)
        if not left:
            # no hook: the environment is still the old lock's. `make check` comes next, and CI after it
            git("commit", "--quiet", "--no-verify", "--no-edit", folder=root)
    except BaseException:
        git("reset", "--quiet", "--hard", "HEAD", folder=root)  # the tree was clean, so nothing is lost
        raise
    came = f"{_count(commits, 'commit')} in {_count(files, 'file')}"
    lines = [f"upgrade: {came} of upstream, from {baseline.commit[:7]} to {tip[:7]}", *describe(outcome)]
    merged = git("rev-parse", "--short", "HEAD", folder=root)
    lines += left or [
        f"upgrade: merged as {merged}; `git reset --hard HEAD^` takes it back.",
        "Next: `make check`, then `make run` for the results that upstream's code changes, then push.",
    ]
    print(*lines, sep="\n")
    return 1 if left else 0


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


if __name__ == "__main__":
    press("upgrade", lambda: upgrade(ROOT, value("FROM")))
