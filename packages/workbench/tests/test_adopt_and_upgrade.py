"""A team's life with upstream, lived in small repos of plain files: a fork or a template, adopted, worked in, and upgraded."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from onebutton_workbench.git import git
from onebutton_workbench.members import upgrade as upgrades
from onebutton_workbench.members.adopt import adopt
from onebutton_workbench.members.manifest import MANIFEST, read_manifest, with_value
from onebutton_workbench.members.upgrade import upgrade
from onebutton_workbench.pressed import clean_environment
from onebutton_workbench.workspace import ROOT, WorkbenchError

OLD = "old-owner/old-name"
FILES = {
    "pyproject.toml": """\
[project]
name = "old-name"
description = "What upstream says."
requires-python = ">=3.11"
version = "0.1.0"

[tool.uv]
package = false

[tool.uv.workspace]
members = ["packages/*", "pipelines/*"]

[tool.uv.sources]
onebutton-lib = { workspace = true }

[tool.ruff]
line-length = 120

[tool.mypy]
mypy_path = [
    "packages/lib/src",
    "pipelines/sample/src",
]
""",
    "packages/lib/src/onebutton_lib/scores.py": "ONE = 1\nTWO = 2\nTHREE = 3\n",
    "pipelines/sample/src/sample/train.py": "def train():\n    return 1\n\n\ndef check():\n    return 2\n",
    "pipelines/sample/params.yaml": "seed: 1\n\ntrees: 100\n\nrate: 0.1\n",
    "pipelines/sample/dvc.yaml": (
        "stages:\n  train:\n    cmd: python -m sample.train\n    metrics:\n      - metrics.json: {cache: false}\n"
    ),
    "pipelines/sample/dvc.lock": "schema: '2.0'\nstages:\n  train:\n    cmd: python -m sample.train\n",
    "pipelines/sample/metrics.json": '{\n  "auc": 0.70,\n\n  "loss": 0.50\n}\n',
    "dvc.yaml": (
        "stages:\n  report:\n    cmd: python -m report\n    deps:\n      - pipelines/sample/metrics.json\n"
        "    outs:\n      - report.md: {cache: false}\n"
    ),
    "dvc.lock": "schema: '2.0'\nstages:\n  report:\n    cmd: python -m report\n",
    "report.md": "# Report\n",
    "Makefile": "VALUES := ID\n\nrun: ## Run\n\tdvc repro\n\ntest: ## Test\n\tpytest\n",
    ".github/workflows/ci.yml": f"# https://github.com/{OLD}\nname: ci\n",
    ".github/CODEOWNERS": "*                   @old-owner/all\n/pipelines/sample/  @old-owner/sample\n",
    "README.md": (
        f"# old-name\n\nWhat it is.\n\n## Begin\n\n    git clone https://github.com/{OLD} && cd old-name\n    make run\n\n"
        "## Buttons\n\nMany.\n"
    ),
    "SECURITY.md": "Write to @old-owner/security.\n",
    "CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n### Added\n\n- the first thing.\n",
    "LICENSE": f"Copyright {OLD}\n",
}


class Repo:
    """A git repo of text files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        assert old in self.read(name), f"{name} does not hold {old!r}"
        self.write(name, self.read(name).replace(old, new, 1))

    def git(self, *arguments: str) -> str:
        return git(*arguments, folder=self.folder)

    def begin(self) -> None:
        if not (self.folder / ".git").exists():
            self.git("init", "--quiet", "--initial-branch", "main")
        identity = "[user]\n\tname = test\n\temail = test@localhost\n[commit]\n\tgpgsign = false\n"
        self.write(".git/config", self.read(".git/config") + identity)

    def copy(self, folder: Path) -> Repo:
        return Repo(shutil.copytree(self.folder, folder))

    def commit(self, message: str = "work") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--no-verify", "--message", message)
        return self.git("rev-parse", "HEAD")

    def state(self) -> tuple[str, str, str]:
        return self.git("rev-parse", "HEAD"), self.git("status", "--porcelain"), self.git("for-each-ref")


@pytest.fixture(autouse=True)
def _as_a_button_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    as_a_button_runs(monkeypatch)


def as_a_button_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{ROOT / '.tools/bin'}:{ROOT / '.venv/bin'}", prepend=":")
    monkeypatch.setenv("UV_FROZEN", "1")
    monkeypatch.setenv("UV_OFFLINE", "1")  # the small repos need nothing from outside


def member_toml(name: str, *requires: str) -> str:
    return (
        f'[project]\nname = "{name}"\nversion = "0.1.0"\nrequires-python = ">=3.11"\ndependencies = {list(requires)}\n'
    )


def lock(repo: Repo) -> None:
    environment = {name: text for name, text in clean_environment().items() if name != "UV_FROZEN"}
    subprocess.run(["uv", "lock", "--quiet"], cwd=repo.folder, env=environment, check=True)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Repo]:
    """Upstream, and what people make of it: each test gets copies, side by side in one folder."""
    folder = tmp_path_factory.mktemp("seeds")
    manifest = (ROOT / MANIFEST).read_text(encoding="utf-8")
    fresh = (("upstream", "url", "../upstream"), ("upstream", "name", OLD), ("upstream", "commit", ""))
    for table, key, text in (*fresh, *(("team", key, "") for key in ("name", "owner", "url"))):
        manifest = with_value(manifest, table, key, text)
    upstream = Repo(folder / "upstream")
    for name, text in FILES.items():
        upstream.write(name, text)
    upstream.write(MANIFEST, manifest)
    upstream.write(".gitattributes", (ROOT / ".gitattributes").read_text(encoding="utf-8"))
    upstream.write("packages/lib/pyproject.toml", member_toml("onebutton-lib"))
    upstream.write("pipelines/sample/pyproject.toml", member_toml("sample", "onebutton-lib"))
    upstream.begin()
    with pytest.MonkeyPatch.context() as patch:
        as_a_button_runs(patch)
        lock(upstream)
        upstream.commit("the very first")
        upstream.edit("README.md", "Many.", "Many of them.")
        upstream.commit("what the team starts from")
        git("clone", "--quiet", str(upstream.folder), "fork", folder=folder)
        fork = Repo(folder / "fork")
        fork.begin()
        template = Repo(folder / "template")
        shutil.copytree(upstream.folder, template.folder, ignore=shutil.ignore_patterns(".git"))
        template.begin()
        template.commit("Initial commit")  # what GitHub's "Use this template" makes: no shared history
        repos = {"upstream": upstream, "fork": fork, "template": template}
        for kind in ("fork", "template"):
            repos[f"adopted {kind}"] = repos[kind].copy(folder / f"adopted {kind}")
            adopt(repos[f"adopted {kind}"].folder, "acme", "@acme/data")
            repos[f"adopted {kind}"].commit("chore: adopt as acme")
    return repos


@pytest.fixture
def upstream(seeds: dict[str, Repo], tmp_path: Path) -> Repo:
    return seeds["upstream"].copy(tmp_path / "upstream")


@pytest.fixture
def fork(seeds: dict[str, Repo], upstream: Repo) -> Repo:
    return seeds["fork"].copy(upstream.folder.with_name("fork"))


@pytest.fixture
def template(seeds: dict[str, Repo], upstream: Repo) -> Repo:
    return seeds["template"].copy(upstream.folder.with_name("template"))


@pytest.fixture
def team(seeds: dict[str, Repo], upstream: Repo) -> Repo:
    """A fork of the team's, adopted."""
    return seeds["adopted fork"].copy(upstream.folder.with_name("team"))


@pytest.fixture(params=["adopted fork", "adopted template"])
def either(request: pytest.FixtureRequest, seeds: dict[str, Repo], upstream: Repo) -> Repo:
    """A repo of the team's, adopted, whichever way it was made."""
    return seeds[request.param].copy(upstream.folder.with_name("team"))


def test_adoption_writes_name_owner_and_address_and_leaves_no_trace_of_the_old_owner(
    fork: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    fork.git("remote", "set-url", "origin", "git@github.com:acme/models.git")
    assert adopt(fork.folder, "acme", "@acme/data") == 0
    printed = capsys.readouterr().out
    changed = [line[3:] for line in fork.git("status", "--porcelain").splitlines()]
    assert all(f"  {name} " in printed for name in changed)
    assert set(changed) == {
        ".github/CODEOWNERS",
        ".github/workflows/ci.yml",
        "CHANGELOG.md",
        "README.md",
        "SECURITY.md",
        "pyproject.toml",
        "uv.lock",
        MANIFEST,
    }
    kept = (":!LICENSE", ":!CHANGELOG.md", f":!{MANIFEST}")
    traces = fork.git("ls-files", "--", *kept).splitlines()
    assert [name for name in traces if OLD in fork.read(name) or "@old-owner/" in fork.read(name)] == []
    assert fork.read("LICENSE") == FILES["LICENSE"]
    assert fork.read("README.md").startswith("# acme\n")
    assert "git clone https://github.com/acme/models && cd models\n" in fork.read("README.md")
    assert fork.read(".github/CODEOWNERS") == "*                   @acme/data\n/pipelines/sample/  @acme/data\n"
    assert "onebutton-lib = { workspace = true }" in fork.read("pyproject.toml")


def test_the_lock_of_an_adopted_repo_is_the_one_that_uv_would_write(either: Repo) -> None:
    before = either.read("uv.lock")
    assert 'name = "acme"' in before
    lock(either)
    assert either.read("uv.lock") == before


def test_the_manifest_remembers_the_upstream_commit_that_the_repo_began_with(upstream: Repo, either: Repo) -> None:
    manifest = read_manifest(either.folder)
    assert manifest.commit == upstream.git("rev-parse", "HEAD")
    assert manifest.url == "../upstream"
    assert f"Adopted as acme by @acme/data, from <../upstream> at {manifest.commit[:7]}." in either.read("CHANGELOG.md")


def test_the_commit_that_a_fork_began_with_is_upstreams_and_not_the_teams_own(upstream: Repo, fork: Repo) -> None:
    fork.write("ours.txt", "a")
    fork.commit()
    adopt(fork.folder, "acme", "@acme/data")
    assert read_manifest(fork.folder).commit == upstream.git("rev-parse", "HEAD")


def test_adoption_works_while_upstream_cannot_be_reached_and_says_what_it_could_not_ask(
    upstream: Repo, template: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    away = upstream.folder.rename(upstream.folder.with_name("away"))
    assert adopt(template.folder, "acme", "@acme/data") == 0
    assert (
        "NOT RUN: asking upstream which of its commits is in here: upstream ../upstream cannot be reached: "
        in capsys.readouterr().out
    )
    template.commit()
    away.rename(upstream.folder)
    upstream.edit("Makefile", "dvc repro", "dvc repro --all-pipelines")
    upstream.commit()
    assert upgrade(template.folder, "") == 0
    assert "--all-pipelines" in template.read("Makefile")


@pytest.mark.parametrize("committed", [True, False])
def test_a_second_press_changes_nothing_and_says_so(
    fork: Repo,
    capsys: pytest.CaptureFixture[str],
    committed: bool,  # noqa: FBT001  a parameter of the test
) -> None:
    adopt(fork.folder, "acme", "@acme/data")
    if committed:
        fork.commit()
    before = fork.state(), {name: fork.read(name) for name in FILES}
    capsys.readouterr()
    assert adopt(fork.folder, "acme", "@acme/data") == 0
    assert capsys.readouterr().out == "adopt: this is acme of @acme/data already; nothing was changed\n"
    assert (fork.state(), {name: fork.read(name) for name in FILES}) == before


def test_once_adopted_no_pipeline_leaves_unnamed(team: Repo) -> None:
    with pytest.raises(WorkbenchError, match=r"may be yours .* `make remove MEMBER=sample`"):
        adopt(team.folder, "acme", "@acme/data", "remove")
    with pytest.raises(WorkbenchError, match="SAMPLES=yes is not understood"):
        adopt(team.folder, "acme", "@acme/data", "yes")
    assert team.git("status", "--porcelain") == ""


def test_a_team_may_change_its_mind(team: Repo) -> None:
    adopt(team.folder, "beta", "@beta/ml")
    assert team.read("README.md").startswith("# beta\n")
    assert "@acme" not in team.read(".github/CODEOWNERS")
    assert 'name = "beta"' in team.read("uv.lock")


def test_the_address_is_found_once_and_then_kept_but_a_guess_gives_way_to_an_origin(fork: Repo) -> None:
    adopt(fork.folder, "acme", "@acme/data")
    fork.commit()
    assert read_manifest(fork.folder).home == "https://github.com/acme/acme"
    for origin in ("git@github.com:acme/models.git", "git@github.com:ann/her-own-fork.git"):
        fork.git("remote", "set-url", "origin", origin)
        adopt(fork.folder, "acme", "@acme/data")
        assert read_manifest(fork.folder).home == "https://github.com/acme/models"
        assert "git clone https://github.com/acme/models && cd models" in fork.read("README.md")


def test_a_trace_of_the_old_owner_that_came_in_by_hand_goes_with_the_next_press(team: Repo) -> None:
    team.write("docs/copied.md", "Ask @old-owner/all.\n")
    team.commit()
    adopt(team.folder, "acme", "@acme/data")
    assert team.read("docs/copied.md") == "Ask @acme/data.\n"


@pytest.mark.parametrize(
    ("name", "owner", "words"),
    [
        ("Acme", "@acme/data", "NAME=Acme is no name"),
        ("old-name", "@acme/data", "NAME=old-name is upstream's"),
        ("onebutton-lib", "@acme/data", "is a package that is used here"),
        ("acme", "acme", "OWNER=acme is no owner"),
        ("acme", "", "OWNER is missing"),
    ],
)
def test_a_wrong_name_or_owner_changes_nothing(fork: Repo, name: str, owner: str, words: str) -> None:
    before = fork.state()
    with pytest.raises(WorkbenchError, match=words) as refusal:
        adopt(fork.folder, name, owner)
    assert "\n" not in str(refusal.value)
    assert fork.state() == before


def test_unfinished_work_is_not_mixed_with_an_adoption_or_an_upgrade(upstream: Repo, fork: Repo) -> None:
    upstream.write("new.txt", "new")
    upstream.commit()
    fork.write("mine.txt", "mine")
    fork.edit("SECURITY.md", "Write", "Send a letter")
    before = fork.state()
    with pytest.raises(
        WorkbenchError, match=r"not committed: SECURITY\.md, mine\.txt.*`make adopt`.*nothing was changed"
    ):
        adopt(fork.folder, "acme", "@acme/data")
    with pytest.raises(
        WorkbenchError, match=r"not committed: SECURITY\.md, mine\.txt.*`make upgrade`.*nothing was changed"
    ):
        upgrade(fork.folder, "")
    assert fork.state() == before
    assert fork.read("mine.txt") == "mine"


def test_a_full_disk_leaves_every_file_as_it_was(fork: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name.startswith("pyproject.toml"):
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    before = fork.state()
    with pytest.raises(OSError, match="No space left"):
        adopt(fork.folder, "acme", "@acme/data")
    assert fork.state() == before


def work_of_the_team(team: Repo) -> None:
    """A package, a pipeline, entries for both, parameters and owners."""
    team.write("packages/mine/pyproject.toml", member_toml("mine"))
    team.write("packages/mine/src/mine/__init__.py", "MINE = 1\n")
    team.write("pipelines/ours/pyproject.toml", member_toml("ours", "mine", "onebutton-lib"))
    team.write("pipelines/ours/params.yaml", "seed: 7\n")
    team.edit(
        "pyproject.toml",
        "onebutton-lib = { workspace = true }\n",
        "mine = { workspace = true }\nonebutton-lib = { workspace = true }\n",
    )
    team.edit("pyproject.toml", '    "packages/lib/src",\n', '    "packages/lib/src",\n    "packages/mine/src",\n')
    team.edit(
        "dvc.yaml",
        "      - pipelines/sample/metrics.json\n",
        "      - pipelines/ours/metrics.json\n      - pipelines/sample/metrics.json\n",
    )
    team.edit("pipelines/sample/params.yaml", "trees: 100", "trees: 250")
    team.edit(".github/CODEOWNERS", "/pipelines/sample/", "/pipelines/ours/    @acme/ours\n/pipelines/sample/")
    team.edit("README.md", "What it is.", "What it is at Acme.")
    lock(team)
    team.commit("feat: our own pipeline")


def work_of_upstream(upstream: Repo) -> None:
    """Everywhere: libraries, buttons, settings elsewhere in the same files, a workflow, a new package and a new page."""
    upstream.edit("packages/lib/src/onebutton_lib/scores.py", "TWO = 2", "TWO = 2.0")
    upstream.edit("Makefile", "VALUES := ID", "VALUES := ID NAME")
    upstream.edit("pyproject.toml", "line-length = 120", 'line-length = 120\nsrc = ["packages/*/src"]')
    upstream.edit("pyproject.toml", 'version = "0.1.0"', 'version = "0.2.0"')
    upstream.edit(".github/workflows/ci.yml", "name: ci", "name: checks")
    upstream.write(".github/workflows/night.yml", f"# https://github.com/{OLD}\nname: night\n")
    upstream.write("packages/extra/pyproject.toml", member_toml("onebutton-extra", "onebutton-lib"))
    upstream.write("docs/extra.md", f"# Extra\n\nAsk @old-owner/all, or clone https://github.com/{OLD}.\n")
    upstream.edit(
        ".github/CODEOWNERS",
        "/pipelines/sample/  @old-owner/sample\n",
        "/pipelines/sample/  @old-owner/sample\n/pipelines/text/    @old-owner/text\n",
    )
    upstream.edit("CHANGELOG.md", "- the first thing.", "- the first thing.\n- another thing.")
    upstream.edit("README.md", "make run", "make run  # trains")
    upstream.edit("pipelines/sample/src/sample/train.py", "return 2", "return 3")
    upstream.edit("pipelines/sample/params.yaml", "rate: 0.1", "rate: 0.2")
    lock(upstream)
    upstream.commit("feat: work of upstream")


def test_what_both_sides_did_in_different_places_merges_without_a_conflict(
    upstream: Repo, either: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    work_of_the_team(either)
    work_of_upstream(upstream)
    begun = either.git("rev-parse", "HEAD")
    assert upgrade(either.folder, "") == 0

    printed = capsys.readouterr().out
    assert "upgrade: 1 commit in " in printed
    assert "stand" not in printed
    assert either.git("status", "--porcelain") == ""
    assert either.git("rev-parse", "HEAD^1", "HEAD^2").split() == [begun, upstream.git("rev-parse", "HEAD")]
    assert read_manifest(either.folder).commit == upstream.git("rev-parse", "HEAD")
    assert either.git("for-each-ref", "refs/replace") == ""
    for name in ("packages/lib/src/onebutton_lib/scores.py", "Makefile", "packages/extra/pyproject.toml"):
        assert either.read(name) == upstream.read(name)
    project = either.read("pyproject.toml")
    assert all(
        line in project
        for line in ('name = "acme"', 'version = "0.2.0"', "mine = { workspace", '"packages/mine/src"', "src = [")
    )
    assert "trees: 250" in either.read("pipelines/sample/params.yaml")
    assert "rate: 0.2" in either.read("pipelines/sample/params.yaml")
    assert "return 3" in either.read("pipelines/sample/src/sample/train.py")
    assert either.read("README.md").startswith("# acme\n\nWhat it is at Acme.")
    assert "make run  # trains" in either.read("README.md")
    assert "- another thing." in either.read("CHANGELOG.md")
    assert "Adopted as acme" in either.read("CHANGELOG.md")
    assert either.read(".github/CODEOWNERS").split() == [
        *("*", "@acme/data"),
        *("/pipelines/ours/", "@acme/ours"),
        *("/pipelines/sample/", "@acme/data"),
        *("/pipelines/text/", "@acme/data"),
    ]
    locked = either.read("uv.lock")
    assert all(f'name = "{name}"' in locked for name in ("acme", "mine", "ours", "onebutton-extra", "onebutton-lib"))
    lock(either)
    assert either.read("uv.lock") == locked


def test_an_upgrade_brings_no_trace_of_the_old_owner_back(upstream: Repo, team: Repo) -> None:
    work_of_upstream(upstream)
    upgrade(team.folder, "")
    assert team.read("docs/extra.md") == "# Extra\n\nAsk @acme/data, or clone https://github.com/acme/acme.\n"
    assert team.read(".github/workflows/night.yml").startswith("# https://github.com/acme/acme\n")


def test_one_upgrade_follows_another(upstream: Repo, either: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    work_of_the_team(either)
    for number in ("2.1", "2.2"):
        upstream.edit("packages/lib/src/onebutton_lib/scores.py", "TWO = 2", f"TWO = {number} or 2")
        upstream.commit()
        assert upgrade(either.folder, "") == 0
        assert either.read("packages/lib/src/onebutton_lib/scores.py") == upstream.read(
            "packages/lib/src/onebutton_lib/scores.py"
        )
        assert "upgrade: 1 commit in 1 file of upstream" in capsys.readouterr().out


def test_an_upgrade_that_was_squashed_on_its_way_to_main_is_not_merged_twice(upstream: Repo, either: Repo) -> None:
    """A squash keeps the files and loses the history; the manifest is a file."""
    upstream.edit("Makefile", "VALUES := ID", "VALUES := ID NAME")
    upstream.commit()
    either.git("switch", "--quiet", "--create", "upgrade")
    assert upgrade(either.folder, "") == 0
    either.git("switch", "--quiet", "main")
    either.git("merge", "--quiet", "--squash", "upgrade")
    either.commit("chore: upgrade, squashed")
    either.edit("Makefile", "VALUES := ID NAME", "VALUES := ID NAME OURS")
    either.commit("our value")
    upstream.edit("Makefile", "pytest", "pytest -q")
    upstream.commit()
    assert upgrade(either.folder, "") == 0
    assert "VALUES := ID NAME OURS\n" in either.read("Makefile")
    assert "pytest -q" in either.read("Makefile")
    assert upgrade(either.folder, "") == 0


def test_without_anything_new_nothing_is_done(either: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    before = either.state()
    capsys.readouterr()
    assert upgrade(either.folder, "") == 0
    assert capsys.readouterr().out.startswith("upgrade: nothing new: upstream is at ")
    assert either.state() == before


def test_lines_that_both_changed_are_upstreams_in_its_files_and_the_teams_in_its_own(
    upstream: Repo, team: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    for repo, value in ((upstream, "upstream"), (team, "team")):
        repo.edit("Makefile", "VALUES := ID", f"VALUES := {value}")
        repo.edit("pipelines/sample/params.yaml", "trees: 100", f"trees: {value}")
    team.edit("Makefile", "\tpytest\n", "\tpytest\n\nours: ## Our own\n\ttrue\n")
    team.commit()
    upstream.edit("pipelines/sample/params.yaml", "rate: 0.1", "rate: 0.2")
    upstream.commit()
    assert upgrade(team.folder, "") == 0
    assert "VALUES := upstream\n" in team.read("Makefile")
    assert "ours: ## Our own" in team.read("Makefile")
    assert "trees: team\n\nrate: 0.2\n" in team.read("pipelines/sample/params.yaml")
    printed = capsys.readouterr().out
    assert "upstream's lines stand  Makefile\n" in printed
    assert "your lines stand        pipelines/sample/params.yaml\n" in printed


def test_a_file_that_the_team_claims_in_the_manifest_is_the_teams(upstream: Repo, team: Repo) -> None:
    team.write(MANIFEST, team.read(MANIFEST) + '"Makefile" = "team"\n')
    for repo in (upstream, team):
        repo.edit("Makefile", "VALUES := ID", f"VALUES := {repo.folder.name}")
        repo.commit()
    assert upgrade(team.folder, "") == 0
    assert f"VALUES := {team.folder.name}\n" in team.read("Makefile")


def test_a_shared_file_in_conflict_stops_the_merge_which_can_be_finished_or_taken_back(
    upstream: Repo, either: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    for repo, value in ((upstream, "80"), (either, "100")):
        repo.edit("pyproject.toml", "line-length = 120", f"line-length = {value}")
        repo.edit("packages/lib/src/onebutton_lib/scores.py", "ONE = 1", f"ONE = {value}")
        repo.commit()
    before = either.state()
    assert upgrade(either.folder, "") == 1
    printed = capsys.readouterr().out
    assert "left to you             pyproject.toml\n" in printed
    assert "`make lock`, then `git add --update`, then `git commit`. `git merge --abort` takes" in printed
    assert either.read("pyproject.toml").count("<<<<<<<") == 1
    assert 'name = "acme"' in either.read("pyproject.toml").partition("<<<<<<<")[0]
    assert "ONE = 80\n" in either.read("packages/lib/src/onebutton_lib/scores.py")
    with pytest.raises(WorkbenchError, match="a merge is under way"):
        upgrade(either.folder, "")

    either.git("merge", "--abort")
    assert either.state() == before

    assert upgrade(either.folder, "") == 1
    text = either.read("pyproject.toml")
    start, end = text.index("<<<<<<<"), text.index("\n", text.index(">>>>>>>")) + 1
    either.write("pyproject.toml", f"{text[:start]}line-length = 90\n{text[end:]}")
    lock(either)
    either.git("add", "--update")
    either.git("commit", "--no-verify", "--no-edit", "--quiet")
    assert len(either.git("rev-list", "--parents", "--max-count=1", "HEAD").split()) == 3
    assert either.git("log", "-1", "--format=%s").startswith("chore: upgrade to ")
    assert upgrade(either.folder, "") == 0


def test_a_member_that_the_team_removed_stays_removed(
    upstream: Repo, team: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    team.git("rm", "-r", "--quiet", "pipelines/sample")
    team.edit("pyproject.toml", '    "pipelines/sample/src",\n', "")
    lock(team)
    team.commit()
    work_of_upstream(upstream)
    upstream.write("pipelines/sample/src/sample/score.py", "new = 1\n")
    upstream.commit()
    assert upgrade(team.folder, "") == 0
    assert team.git("ls-files", "pipelines") == ""
    assert not (team.folder / "pipelines/sample").exists()
    assert "stays removed           pipelines/sample\n" in capsys.readouterr().out
    assert 'name = "sample"' not in team.read("uv.lock")


def test_a_pipeline_that_was_made_from_a_sample_is_not_taken_for_the_sample(upstream: Repo, team: Repo) -> None:
    team.git("mv", "pipelines/sample", "pipelines/ours")
    team.edit("pyproject.toml", "pipelines/sample/src", "pipelines/ours/src")
    team.edit("pipelines/ours/pyproject.toml", 'name = "sample"', 'name = "ours"')
    lock(team)
    team.commit()
    ours = {name: team.read(name) for name in team.git("ls-files", "pipelines").splitlines()}
    work_of_upstream(upstream)
    upstream.write("pipelines/sample/src/sample/score.py", "new = 1\n")
    upstream.commit()
    assert upgrade(team.folder, "") == 0
    assert {name: team.read(name) for name in team.git("ls-files", "pipelines").splitlines()} == ours


def test_numbers_of_two_runs_never_stand_in_one_file_or_side_by_side(
    upstream: Repo, team: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.edit("pipelines/sample/metrics.json", '"auc": 0.70', '"auc": 0.75')
    upstream.edit("report.md", "# Report", "# Report of upstream")
    upstream.commit()
    team.edit("pipelines/sample/metrics.json", '"loss": 0.50', '"loss": 0.45')
    team.edit("pipelines/sample/dvc.lock", "'2.0'", "'2.0'\n# ours")
    ours = team.read("pipelines/sample/metrics.json")
    team.commit()
    assert upgrade(team.folder, "") == 0
    assert team.read("pipelines/sample/metrics.json") == ours
    assert team.read("report.md") == "# Report of upstream\n"  # of which the team had none of its own
    printed = capsys.readouterr().out
    assert "your results stand      pipelines/sample/metrics.json\n" in printed
    assert "`make run`" in printed.splitlines()[-1]


def test_a_file_that_one_side_deleted_and_the_other_changed_goes_as_its_owner_has_it(
    upstream: Repo, team: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("docs/page.md", "docs/other.md", "notebooks/a.txt", "notebooks/b.txt", "CONTRIBUTING.md"):
        upstream.write(name, "first\n")
    upstream.commit()
    assert upgrade(team.folder, "") == 0
    for repo, deleted, changed in (
        (upstream, ("docs/page.md", "notebooks/a.txt"), ("docs/other.md", "notebooks/b.txt", "CONTRIBUTING.md")),
        (team, ("docs/other.md", "notebooks/b.txt", "CONTRIBUTING.md"), ("docs/page.md", "notebooks/a.txt")),
    ):
        repo.git("rm", "--quiet", *deleted)
        for name in changed:
            repo.write(name, f"of {repo.folder.name}\n")
        repo.commit()
    assert upgrade(team.folder, "") == 1
    assert "left to you             CONTRIBUTING.md\n" in capsys.readouterr().out
    assert not (team.folder / "docs/page.md").exists()
    assert team.read("docs/other.md") == "of upstream\n"
    assert team.read("notebooks/a.txt") == "of team\n"
    assert not (team.folder / "notebooks/b.txt").exists()


def test_a_package_that_both_added_under_one_name_is_left_to_a_person(upstream: Repo, team: Repo) -> None:
    for repo in (upstream, team):
        repo.write("packages/extra/README.md", f"# extra of {repo.folder.name}\n")
        repo.commit()
    assert upgrade(team.folder, "") == 1
    assert f"# extra of {team.folder.name}\n" in team.read("packages/extra/README.md")
    assert "# extra of upstream\n" in team.read("packages/extra/README.md")


def test_an_image_that_both_changed_is_taken_as_a_whole(upstream: Repo, fork: Repo) -> None:
    for repo, content in ((upstream, b"\0first"), (fork, None), (upstream, b"\0theirs"), (fork, b"\0ours")):
        if content is None:
            upgrade(fork.folder, "")
            continue
        for name in ("packages/lib/logo.bin", "notebooks/look.bin"):
            (repo.folder / name).parent.mkdir(exist_ok=True)
            (repo.folder / name).write_bytes(content)
        repo.commit()
    assert upgrade(fork.folder, "") == 0
    assert (fork.folder / "packages/lib/logo.bin").read_bytes() == b"\0theirs"
    assert (fork.folder / "notebooks/look.bin").read_bytes() == b"\0ours"


def test_another_place_can_be_named_to_upgrade_from(upstream: Repo, team: Repo) -> None:
    work_of_upstream(upstream)
    mirror = upstream.folder.rename(upstream.folder.with_name("mirror"))
    assert upgrade(team.folder, str(mirror)) == 0
    assert (team.folder / "docs/extra.md").is_file()


def test_a_lock_that_uv_cannot_write_leaves_the_merge_open_and_says_why(
    upstream: Repo, team: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.edit("packages/lib/pyproject.toml", "dependencies = []", 'dependencies = ["no-such-thing-anywhere"]')
    upstream.commit()
    assert upgrade(team.folder, "") == 1
    printed = capsys.readouterr().out
    assert "uv.lock could not be written again: " in printed
    assert "no-such-thing-anywhere" in printed
    assert "upgrade: not finished: `make lock`, then `git add --update`, then `git commit`." in printed


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), RuntimeError("a mistake of ours")])
def test_an_upgrade_that_breaks_off_takes_everything_back(
    upstream: Repo, team: Repo, failure: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> str:
        raise failure

    work_of_upstream(upstream)
    monkeypatch.setattr(upgrades, "relock", fail)
    before = team.state()
    with pytest.raises(type(failure)):
        upgrade(team.folder, "")
    assert team.state() == before


def test_an_upstream_that_does_not_answer_changes_nothing(team: Repo, tmp_path: Path) -> None:
    before = team.state()
    with pytest.raises(WorkbenchError, match="cannot be reached: ") as refusal:
        upgrade(team.folder, str(tmp_path / "nowhere"))
    assert "\n" not in str(refusal.value)
    assert team.state() == before


@pytest.mark.parametrize("commit", ["0123456789abcdef0123456789abcdef01234567", "nonsense", "--help"])
def test_a_commit_that_upstream_does_not_have_changes_nothing(upstream: Repo, either: Repo, commit: str) -> None:
    work_of_upstream(upstream)
    either.write(MANIFEST, with_value(either.read(MANIFEST), "upstream", "commit", commit))
    either.commit()
    before = either.state()
    with pytest.raises(WorkbenchError, match="but upstream has no such commit") as refusal:
        upgrade(either.folder, "")
    assert "\n" not in str(refusal.value)
    assert either.state() == before


def test_a_repo_that_nobody_knows_the_beginning_of_is_refused(upstream: Repo, template: Repo) -> None:
    template.write("README.md", "# Something else\n")
    template.git("add", "--all")
    template.git("commit", "--quiet", "--amend", "--no-edit")
    work_of_upstream(upstream)
    with pytest.raises(WorkbenchError, match="nobody knows where this repo began: write the upstream commit"):
        upgrade(template.folder, "")


def test_a_clone_without_its_history_is_refused(upstream: Repo, tmp_path: Path) -> None:
    shallow = Repo(tmp_path / "shallow")
    git("clone", "--quiet", "--depth=1", f"file://{upstream.folder}", str(shallow.folder), folder=tmp_path)
    shallow.begin()
    with pytest.raises(WorkbenchError, match="`git fetch --unshallow`"):
        upgrade(shallow.folder, "")


def test_a_head_on_no_branch_is_refused(fork: Repo) -> None:
    fork.git("switch", "--quiet", "--detach")
    with pytest.raises(WorkbenchError, match="this is no branch"):
        upgrade(fork.folder, "")


@pytest.mark.slow
def test_this_very_repo_can_be_adopted_worked_in_and_upgraded(
    tmp_path: Path, shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UV_FROZEN", "UV_OFFLINE"):
        monkeypatch.delenv(name)
    upstream, fork = Repo(tmp_path / "upstream"), Repo(tmp_path / "fork")
    shell("git", "clone", "--quiet", str(ROOT), str(upstream.folder), folder=tmp_path)
    upstream.begin()
    old = read_manifest(upstream.folder)
    fresh = with_value(upstream.read(MANIFEST), "upstream", "commit", "")
    upstream.write(MANIFEST, with_value(fresh, "upstream", "url", str(upstream.folder)))
    upstream.commit()
    shell("git", "clone", "--quiet", str(upstream.folder), str(fork.folder), folder=tmp_path)
    fork.begin()

    printed = shell("make", "adopt", "NAME=a-team", "OWNER=@a-team/data", folder=fork.folder)
    assert "this is a-team of @a-team/data now" in printed
    kept = ("--", ":!LICENSE", ":!CHANGELOG.md", f":!{MANIFEST}")
    account = old.upstream.partition("/")[0]
    assert shell("git", "grep", "-e", old.upstream, "-e", f"@{account}/", *kept, folder=fork.folder, status=1) == ""
    fork.commit("chore: adopt")
    assert "nothing was changed" in shell("make", "adopt", "NAME=a-team", "OWNER=@a-team/data", folder=fork.folder)

    fork.write("packages/mine/pyproject.toml", member_toml("mine"))
    fork.edit("pyproject.toml", "[tool.uv.sources]", "[tool.uv.sources]\nmine = { workspace = true }")
    fork.edit("pyproject.toml", "mypy_path = [", 'mypy_path = [\n    "packages/mine/src",')
    lock(fork)
    fork.commit("feat: mine")
    upstream.edit("Makefile", "VALUES := ", "VALUES := A_NEW_ONE ")
    upstream.edit("pyproject.toml", "[tool.ruff]", "[tool.ruff]\npreview = false")
    upstream.edit(".github/workflows/ci.yml", "timeout-minutes: 15", "timeout-minutes: 16")
    upstream.edit("packages/models/README.md", "# models", "# models\n\nA new line.")
    upstream.commit()

    printed = shell("make", "upgrade", folder=fork.folder)
    assert "upgrade: 1 commit in 4 files of upstream" in printed
    assert "upgrade: merged as" in printed
    assert fork.git("status", "--porcelain") == ""
    assert "preview = false" in fork.read("pyproject.toml")
    assert 'name = "a-team"' in fork.read("pyproject.toml")
    shell("uv", "lock", "--check", folder=fork.folder)
    shell("make", "types", folder=fork.folder)
