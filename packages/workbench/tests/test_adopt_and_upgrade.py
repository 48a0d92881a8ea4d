"""A team's life with upstream, lived in small repos of plain files: a fork or a template, adopted, worked in, and upgraded."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.errors import InputError
from onebutton_tracking.commit import git_environment
from onebutton_workbench.checks.ruler_rules import check
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import git
from onebutton_workbench.lineage.changes import changes_since
from onebutton_workbench.members import upgrade as upgrades
from onebutton_workbench.members.adopt import adopt, read_identity
from onebutton_workbench.members.upgrade import upgrade
from onebutton_workbench.workspace import ROOT

OLD = "old-owner/old-name"
ACME: dict[str, Any] = {"name": "acme", "owner": "@acme/data"}
FILES = {
    "pyproject.toml": """\
[project]
name = "old-name"
description = "What upstream says."
requires-python = ">=3.11"
version = "0.1.0"

[project.urls]
repository = "https://github.com/old-owner/old-name"

[dependency-groups]
dev = [
    "onebutton-lib",
]

[tool.uv]
package = false

[tool.uv.workspace]
members = ["packages/*", "pipelines/*"]

[tool.uv.sources]
onebutton-lib = { workspace = true }

[tool.ruff]
line-length = 120

[tool.onebutton]
upstream = "https://github.com/old-owner/old-name"
upgraded-to = ""
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
        "<!-- samples -->\nIt ships with sample, which says 1.\n<!-- /samples -->\n\n## Buttons\n\nMany.\n"
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
        identity += f'[url "../upstream"]\n\tinsteadOf = https://github.com/{OLD}\n'  # upstream, without a network
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
    environment = {name: text for name, text in git_environment().items() if name != "UV_FROZEN"}
    subprocess.run(["uv", "lock", "--quiet"], cwd=repo.folder, env=environment, check=True)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Repo]:
    """Upstream, and what people make of it: each test gets copies, side by side in one folder."""
    folder = tmp_path_factory.mktemp("seeds")
    upstream = Repo(folder / "upstream")
    for name, text in FILES.items():
        upstream.write(name, text)
    upstream.write(".gitattributes", "pipelines/*/metrics.json merge=remade\nCHANGELOG.md merge=union\n")
    upstream.write("packages/lib/pyproject.toml", member_toml("onebutton-lib"))
    upstream.write("packages/spare/pyproject.toml", member_toml("onebutton-spare"))
    upstream.write("docs/spare.md", "# Spare\n")
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
            adopt(repos[f"adopted {kind}"].folder, **ACME)
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


@pytest.fixture(params=["adopted fork", pytest.param("adopted template", marks=pytest.mark.slow)])
def either(request: pytest.FixtureRequest, seeds: dict[str, Repo], upstream: Repo) -> Repo:
    """A repo of the team's, adopted, whichever way it was made."""
    return seeds[request.param].copy(upstream.folder.with_name("team"))


def test_adoption_writes_name_owner_and_address_and_leaves_no_trace_of_the_old_owner(
    fork: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    fork.git("remote", "set-url", "origin", "git@github.com:acme/models.git")
    assert adopt(fork.folder, **ACME) == 0
    printed = capsys.readouterr().out
    changed = [line[3:] for line in fork.git("status", "--porcelain").splitlines()]
    assert all(f"  {name}" in printed for name in changed)
    assert set(changed) == {
        ".github/CODEOWNERS",
        ".github/workflows/ci.yml",
        "README.md",
        "SECURITY.md",
        "pyproject.toml",
        "uv.lock",
    }
    traces = [
        line for name in fork.git("ls-files", "--", ":!LICENSE").splitlines() for line in fork.read(name).splitlines()
    ]
    assert [line for line in traces if OLD in line or "@old-owner" in line] == [
        f'upstream = "https://github.com/{OLD}"'
    ]
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


@pytest.mark.parametrize("committed", [True, False])
def test_a_second_press_changes_nothing_and_says_so(
    fork: Repo,
    capsys: pytest.CaptureFixture[str],
    committed: bool,  # noqa: FBT001  a parameter of the test
) -> None:
    adopt(fork.folder, **ACME)
    if committed:
        fork.commit()
    before = fork.state(), {name: fork.read(name) for name in FILES}
    capsys.readouterr()
    assert adopt(fork.folder, **ACME) == 0
    assert capsys.readouterr().out == "adopt: this is acme of @acme/data already; nothing was changed\n"
    assert (fork.state(), {name: fork.read(name) for name in FILES}) == before


def test_without_its_samples_the_front_page_speaks_of_none(fork: Repo) -> None:
    adopt(fork.folder, **ACME, samples="remove")
    assert not (fork.folder / "pipelines/sample").exists()
    assert "sample" not in fork.read("README.md")
    assert "sample" not in fork.read("uv.lock")
    assert "## Begin" in fork.read("README.md")
    assert "## Buttons" in fork.read("README.md")


def test_a_package_that_only_samples_need_leaves_with_them(fork: Repo) -> None:
    fork.write("packages/shared/pyproject.toml", member_toml("onebutton-shared", "onebutton-lib"))
    sources = "".join(f"onebutton-{name} = {{ workspace = true }}\n" for name in ("lib", "shared"))
    sample = member_toml("sample", "onebutton-lib", "onebutton-shared")
    fork.write("pipelines/sample/pyproject.toml", f"{sample}\n[tool.uv.sources]\n{sources}")
    lock(fork)
    fork.commit()
    adopt(fork.folder, **ACME, samples="remove")
    assert sorted(path.name for path in (fork.folder / "packages").iterdir()) == ["lib", "spare"]
    assert "shared" not in fork.read("uv.lock")


def test_once_adopted_no_pipeline_leaves_unnamed(team: Repo) -> None:
    with pytest.raises(InputError, match="may be yours: see `make remove`"):
        adopt(team.folder, **ACME, samples="remove")
    assert team.git("status", "--porcelain") == ""


def test_a_team_may_change_its_mind(team: Repo) -> None:
    adopt(team.folder, name="beta", owner="@beta/ml", url="git@example.org:beta/data.git")
    assert team.read("README.md").startswith("# beta\n")
    assert "git clone https://example.org/beta/data && cd data\n" in team.read("README.md")
    assert "@acme" not in team.read(".github/CODEOWNERS")
    assert 'name = "beta"' in team.read("uv.lock")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"name": ""}, "NAME= is no name for a project"),
        ({"name": "Acme"}, "NAME=Acme is no name"),
        ({"name": "onebutton-lib"}, "is a package that is used here"),
        ({"owner": "acme"}, "OWNER=acme is no owner"),
        ({"owner": ""}, "OWNER= is no owner"),
        ({"url": "here"}, "URL=here is no address"),
    ],
)
def test_a_wrong_value_changes_nothing(fork: Repo, typed: dict[str, str], words: str) -> None:
    before = fork.state()
    with pytest.raises(InputError, match=words) as refusal:
        adopt(fork.folder, **(ACME | typed))
    assert "\n" not in str(refusal.value)
    assert fork.state() == before


def test_unfinished_work_is_not_mixed_with_an_adoption_or_an_upgrade(upstream: Repo, fork: Repo) -> None:
    upstream.write("new.txt", "new")
    upstream.commit()
    fork.write("mine.txt", "mine")
    fork.edit("SECURITY.md", "Write", "Send a letter")
    before = fork.state()
    words = r"not committed: SECURITY\.md, mine\.txt.*`make {}`.*nothing was changed"
    with pytest.raises(InputError, match=words.format("adopt")):
        adopt(fork.folder, **ACME)
    with pytest.raises(InputError, match=words.format("upgrade")):
        upgrade(fork.folder)
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
        adopt(fork.folder, **ACME)
    assert fork.state() == before


def work_of_the_team(team: Repo) -> dict[str, list[str]]:
    """What a team does to a repo in a year; returns the lines of each file that must never be lost."""
    team.write("packages/mine/pyproject.toml", member_toml("mine"))
    team.write("packages/mine/src/mine/__init__.py", "MINE = 1\n")
    team.write("pipelines/ours/pyproject.toml", member_toml("ours", "mine", "onebutton-lib"))
    team.write("pipelines/ours/params.yaml", "seed: 7\n")
    team.edit("pyproject.toml", "onebutton-lib = {", "mine = { workspace = true }\nonebutton-lib = {")
    team.edit("pyproject.toml", "dev = [\n", 'dev = [\n    "mine",\n')
    team.edit("packages/lib/src/onebutton_lib/scores.py", "THREE = 3\n", "THREE = 3\nOURS = 4\n")
    team.edit("dvc.yaml", "      - pipelines/s", "      - pipelines/ours/metrics.json\n      - pipelines/s")
    team.edit("pipelines/sample/params.yaml", "trees: 100", "trees: 250")
    team.edit(".github/CODEOWNERS", "/pipelines/sample/", "/pipelines/ours/    @acme/ours\n/pipelines/sample/")
    team.edit("README.md", "What it is.", "What it is at Acme.")
    team.edit("Makefile", "\tpytest\n", "\tpytest\n\nours: ## Our own\n\ttrue\n")
    team.git("rm", "-r", "--quiet", "packages/spare", "docs/spare.md")
    lock(team)
    team.commit("feat: our own pipeline")
    return {
        "pyproject.toml": ['name = "acme"', "mine = { workspace", '    "mine",'],
        "packages/lib/src/onebutton_lib/scores.py": ["OURS = 4"],
        "packages/mine/src/mine/__init__.py": ["MINE = 1"],
        "pipelines/ours/params.yaml": ["seed: 7"],
        "dvc.yaml": ["- pipelines/ours/metrics.json", "- pipelines/sample/metrics.json"],
        "pipelines/sample/params.yaml": ["trees: 250"],
        ".github/CODEOWNERS": ["*                   @acme/data", "/pipelines/ours/    @acme/ours"],
        "README.md": ["# acme", "What it is at Acme.", "git clone https://github.com/acme/acme && cd acme"],
        "Makefile": ["ours: ## Our own\n\ttrue\n"],
        "uv.lock": [f'name = "{name}"' for name in ("acme", "mine", "ours", "onebutton-lib")],
    }


def work_of_upstream(upstream: Repo) -> dict[str, list[str]]:
    """Three commits, everywhere; returns the lines of each file that must come in."""
    upstream.edit("packages/lib/src/onebutton_lib/scores.py", "ONE = 1", "ONE = 1.0")
    upstream.edit("Makefile", "VALUES := ID", "VALUES := ID NAME")
    upstream.edit("pyproject.toml", 'version = "0.1.0"', 'version = "0.2.0"')
    upstream.edit("pyproject.toml", "What upstream says.", f"See https://github.com/{OLD}.")
    upstream.edit("CHANGELOG.md", "- the first thing.", "- the first thing.\n- another thing.")
    upstream.commit("feat: first")
    upstream.edit("pyproject.toml", "line-length = 120", 'line-length = 120\nsrc = ["packages/*/src"]')
    upstream.edit(".github/workflows/ci.yml", "name: ci", "name: checks")
    upstream.edit("SECURITY.md", "Write to @old-owner/security.", "Write to @old-owner/security today.")
    upstream.write(".github/workflows/night.yml", f"# https://github.com/{OLD}\nname: night\n")
    upstream.write("docs/extra.md", f"# Extra\n\nAsk @old-owner/all, or clone https://github.com/{OLD}.\n")
    upstream.write("docs/spare.md", "# Spare, rewritten\n")
    upstream.edit(
        ".github/CODEOWNERS", "@old-owner/sample\n", "@old-owner/sample\n/pipelines/text/    @old-owner/text\n"
    )
    upstream.commit("feat: second")
    upstream.write("packages/extra/pyproject.toml", member_toml("onebutton-extra", "onebutton-lib"))
    upstream.edit("packages/spare/pyproject.toml", "dependencies = []", "dependencies = ['onebutton-lib']")
    upstream.write("packages/spare/src/onebutton_spare/more.py", "MORE = 1\n")
    upstream.edit("README.md", "make run", "make run  # trains")
    upstream.edit("pipelines/sample/src/sample/train.py", "return 2", "return 3")
    upstream.edit("pipelines/sample/params.yaml", "rate: 0.1", "rate: 0.2")
    lock(upstream)
    upstream.commit("feat: third")
    return {
        "packages/lib/src/onebutton_lib/scores.py": ["ONE = 1.0"],
        "Makefile": ["VALUES := ID NAME\n"],
        "pyproject.toml": ['version = "0.2.0"', "src = [", "See https://github.com/acme/acme."],
        "CHANGELOG.md": ["- another thing."],
        ".github/workflows/ci.yml": ["# https://github.com/acme/acme\nname: checks"],
        ".github/workflows/night.yml": ["# https://github.com/acme/acme\n"],
        ".github/CODEOWNERS": ["/pipelines/text/    @acme/data"],
        "SECURITY.md": ["Write to @acme/data today."],
        "docs/extra.md": ["Ask @acme/data, or clone https://github.com/acme/acme."],
        "packages/extra/pyproject.toml": ["onebutton-lib"],
        "README.md": ["make run  # trains"],
        "pipelines/sample/src/sample/train.py": ["return 3"],
        "pipelines/sample/params.yaml": ["rate: 0.2"],
        "uv.lock": ['name = "onebutton-extra"'],
    }


def lost(repo: Repo, *works: dict[str, list[str]]) -> list[str]:
    return [line for work in works for name, lines in work.items() for line in lines if line not in repo.read(name)]


def test_nothing_of_a_teams_year_is_lost_beside_three_commits_of_upstream(
    upstream: Repo, either: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = work_of_the_team(either), work_of_upstream(upstream)
    begun = either.git("rev-parse", "HEAD")
    assert upgrade(either.folder) == 0

    printed = capsys.readouterr().out
    assert "upgrade: 3 commits of upstream" in printed
    assert "left to you" not in printed
    assert lost(either, ours, theirs) == []
    assert either.git("status", "--porcelain") == ""
    assert either.git("rev-parse", "HEAD^1") == begun
    assert either.git("worktree", "list").count("\n") == 0
    assert "stays removed  packages/spare\n" in printed
    assert "stays removed  docs/spare.md\n" in printed
    assert not (either.folder / "packages/spare").exists()
    assert not (either.folder / "docs/spare.md").exists()
    assert "onebutton-spare" not in either.read("uv.lock")
    traces = either.git("grep", "-hi", "old-owner", "--", ":!LICENSE").splitlines()
    assert traces == [f'upstream = "https://github.com/{OLD}"'], "no trace of the old owner comes back"
    locked = either.read("uv.lock")
    lock(either)
    assert either.read("uv.lock") == locked


def test_taking_an_upgrade_back_restores_everything(upstream: Repo, either: Repo) -> None:
    work_of_the_team(either)
    work_of_upstream(upstream)
    upstream.edit("Makefile", "## Test\n\tpytest\n", "## Test\n\tpytest -q\n\nours: ## Upstream's\n\tfalse\n")
    upstream.commit("feat: a button of the same name")
    before = either.state(), {name: either.read(name) for name in either.git("ls-files").splitlines()}
    assert upgrade(either.folder) == 1
    assert "ours: ## Our own\n\ttrue" in either.read("Makefile")
    assert "ours: ## Upstream's\n\tfalse" in either.read("Makefile"), "both are there, for a person to choose"
    either.git("merge", "--abort")
    assert (either.state(), {name: either.read(name) for name in either.git("ls-files").splitlines()}) == before


def test_one_upgrade_follows_another(upstream: Repo, either: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    work_of_the_team(either)
    for number in ("2.1", "2.2"):
        upstream.edit("packages/lib/src/onebutton_lib/scores.py", "TWO = 2", f"TWO = {number} or 2")
        upstream.commit()
        assert upgrade(either.folder) == 0
        assert f"TWO = {number} or 2" in either.read("packages/lib/src/onebutton_lib/scores.py")
        assert "upgrade: 1 commit of upstream" in capsys.readouterr().out


def test_a_weaker_ruler_beside_results_is_upstreams_own_and_what_the_team_adds_is_not(
    upstream: Repo, either: Repo
) -> None:
    upstream.edit("Makefile", "\tdvc repro\n", "\t@true\n")
    upstream.edit("pipelines/sample/metrics.json", "0.70", "0.75")
    upstream.commit()
    before = either.git("rev-parse", "HEAD")
    assert upgrade(either.folder) == 0
    assert list(check(changes_since(before, either.folder))) == []
    either.edit("Makefile", "\tpytest\n", "\t@true\n")
    assert [one.place for one in check(changes_since(before, either.folder)) if isinstance(one, Finding)] == [
        "Makefile:7"
    ]


def test_an_upgrade_that_was_squashed_on_its_way_to_main_is_not_merged_twice(upstream: Repo, either: Repo) -> None:
    """A squash keeps the files and loses the history; pyproject.toml is a file."""
    upstream.edit("Makefile", "VALUES := ID", "VALUES := ID NAME")
    upstream.commit()
    either.git("switch", "--quiet", "--create", "upgrade")
    assert upgrade(either.folder) == 0
    either.git("switch", "--quiet", "main")
    either.git("merge", "--quiet", "--squash", "upgrade")
    either.commit("chore: upgrade, squashed")
    either.git("branch", "--quiet", "--delete", "--force", "upgrade")
    either.edit("Makefile", "VALUES := ID NAME", "VALUES := ID NAME OURS")
    either.commit("our value")
    upstream.edit("Makefile", "pytest", "pytest -q")
    upstream.commit()
    assert upgrade(either.folder) == 0
    assert "VALUES := ID NAME OURS\n" in either.read("Makefile")
    assert "pytest -q" in either.read("Makefile")
    assert upgrade(either.folder) == 0


def test_what_was_merged_from_upstream_by_hand_is_not_merged_again(
    upstream: Repo, team: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.edit("Makefile", "VALUES := ID", "VALUES := ID NAME")
    upstream.commit()
    team.git("pull", "--quiet", "--no-rebase", "--no-edit", "../upstream", "main")
    team.edit("Makefile", "VALUES := ID NAME", "VALUES := ID OURS")
    team.commit()
    assert upgrade(team.folder) == 0
    assert "upgrade: nothing new" in capsys.readouterr().out


def test_without_anything_new_nothing_is_done(either: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    before = either.state()
    capsys.readouterr()
    assert upgrade(either.folder) == 0
    assert capsys.readouterr().out.startswith("upgrade: nothing new: upstream is at ")
    assert either.state() == before


def test_lines_that_both_changed_are_marked_and_the_merge_can_be_finished(
    upstream: Repo, either: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    for repo, number in ((upstream, "80"), (either, "100")):
        repo.edit("pyproject.toml", "line-length = 120", f"line-length = {number}")
        repo.commit()
    assert upgrade(either.folder) == 1
    printed = capsys.readouterr().out
    assert "left to you    pyproject.toml\n" in printed
    assert "<<<<<<< and >>>>>>>, then `make lock`, then `git add --update`, then `git commit`" in printed
    assert either.read("pyproject.toml").count("<<<<<<<") == 1
    assert 'name = "acme"' in either.read("pyproject.toml").partition("<<<<<<<")[0]
    with pytest.raises(InputError, match=r"not committed: .*pyproject\.toml"):
        upgrade(either.folder)
    text = either.read("pyproject.toml")
    start, end = text.index("<<<<<<<"), text.index("\n", text.index(">>>>>>>")) + 1
    either.write("pyproject.toml", f"{text[:start]}line-length = 90\n{text[end:]}")
    lock(either)
    either.git("add", "--update")
    either.git("commit", "--no-verify", "--no-edit", "--quiet")
    assert either.git("log", "-1", "--format=%s").startswith("chore: upgrade to ")
    capsys.readouterr()
    assert upgrade(either.folder) == 0
    assert "nothing new" in capsys.readouterr().out


def test_what_upstream_deleted_and_the_team_changed_is_left_to_the_team(
    upstream: Repo, team: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.git("rm", "--quiet", "docs/spare.md")
    upstream.commit()
    team.write("docs/spare.md", "# Spare, as we need it\n")
    team.commit()
    assert upgrade(team.folder) == 1
    assert "left to you    docs/spare.md\n" in capsys.readouterr().out
    assert team.read("docs/spare.md") == "# Spare, as we need it\n"


def test_a_team_without_samples_gets_none_by_an_upgrade(upstream: Repo, fork: Repo) -> None:
    adopt(fork.folder, **ACME, samples="remove")
    fork.commit()
    work_of_upstream(upstream)
    upstream.edit("README.md", "which says 1", "which says 2")
    upstream.write("pipelines/text/pyproject.toml", member_toml("text"))
    lock(upstream)
    upstream.commit()
    assert upgrade(fork.folder) == 0
    assert fork.git("ls-files", "pipelines") == ""
    assert not (fork.folder / "pipelines").exists()
    assert "sample" not in fork.read("README.md")
    assert 'name = "text"' not in fork.read("uv.lock")


def test_a_pipeline_that_was_made_from_a_sample_is_not_taken_for_the_sample(upstream: Repo, team: Repo) -> None:
    team.git("mv", "pipelines/sample", "pipelines/ours")
    team.edit("pipelines/ours/pyproject.toml", 'name = "sample"', 'name = "ours"')
    lock(team)
    team.commit()
    ours = {name: team.read(name) for name in team.git("ls-files", "pipelines").splitlines()}
    work_of_upstream(upstream)
    upstream.write("pipelines/sample/src/sample/score.py", "new = 1\n")
    upstream.commit()
    assert upgrade(team.folder) == 0
    assert {name: team.read(name) for name in team.git("ls-files", "pipelines").splitlines()} == ours


def test_numbers_of_two_runs_never_stand_in_one_file(upstream: Repo, team: Repo) -> None:
    upstream.edit("pipelines/sample/metrics.json", '"auc": 0.70', '"auc": 0.75')
    upstream.commit()
    team.edit("pipelines/sample/metrics.json", '"loss": 0.50', '"loss": 0.45')
    ours = team.read("pipelines/sample/metrics.json")
    team.commit()
    assert upgrade(team.folder) == 0
    assert team.read("pipelines/sample/metrics.json") == ours


def test_a_package_that_both_added_under_one_name_is_left_to_a_person(upstream: Repo, team: Repo) -> None:
    for repo in (upstream, team):
        repo.write("packages/extra/README.md", f"# extra of {repo.folder.name}\n")
        repo.commit()
    assert upgrade(team.folder) == 1
    assert f"# extra of {team.folder.name}\n" in team.read("packages/extra/README.md")
    assert "# extra of upstream\n" in team.read("packages/extra/README.md")


def test_another_place_can_be_named_to_upgrade_from(upstream: Repo, team: Repo) -> None:
    work_of_upstream(upstream)
    mirror = upstream.folder.rename(upstream.folder.with_name("mirror"))
    assert upgrade(team.folder, from_=str(mirror)) == 0
    assert (team.folder / "docs/extra.md").is_file()


def test_a_lock_that_uv_cannot_write_leaves_the_merge_open_and_says_why(
    upstream: Repo, team: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.edit("packages/lib/pyproject.toml", "dependencies = []", 'dependencies = ["no-such-thing-anywhere"]')
    upstream.commit()
    assert upgrade(team.folder) == 1
    printed = capsys.readouterr().out
    assert "uv.lock could not be written again: " in printed
    assert "no-such-thing-anywhere" in printed
    assert "upgrade: not finished: `make lock`, then `git add --update`, then `git commit`." in printed


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), RuntimeError("a mistake of ours")])
@pytest.mark.parametrize("step", ["merge", "relock", "write_texts"])
def test_an_upgrade_that_breaks_off_takes_everything_back(
    upstream: Repo, team: Repo, step: str, failure: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise failure

    work_of_upstream(upstream)
    monkeypatch.setattr(upgrades, step, fail)
    before = team.state()
    with pytest.raises(type(failure)):
        upgrade(team.folder)
    assert team.state() == before
    assert team.git("worktree", "list").count("\n") == 0


def test_an_upstream_that_does_not_answer_changes_nothing(team: Repo, tmp_path: Path) -> None:
    before = team.state()
    with pytest.raises(InputError, match="cannot be reached: ") as refusal:
        upgrade(team.folder, from_=str(tmp_path / "nowhere"))
    assert "\n" not in str(refusal.value)
    assert team.state() == before


@pytest.mark.parametrize("commit", ["0123456789abcdef0123456789abcdef01234567", "nonsense", "--help"])
def test_a_commit_that_upstream_does_not_have_changes_nothing(upstream: Repo, either: Repo, commit: str) -> None:
    work_of_upstream(upstream)
    either.edit("pyproject.toml", 'upgraded-to = ""', f'upgraded-to = "{commit}"')
    either.commit()
    before = either.state()
    with pytest.raises(InputError, match="but upstream has no such commit") as refusal:
        upgrade(either.folder)
    assert "\n" not in str(refusal.value)
    assert either.state() == before


def test_a_repo_that_nobody_knows_the_beginning_of_is_refused(upstream: Repo, template: Repo) -> None:
    template.edit("README.md", "What it is", "What else it is")
    template.git("add", "--all")
    template.git("commit", "--quiet", "--amend", "--no-edit")
    work_of_upstream(upstream)
    with pytest.raises(InputError, match="nobody knows where this repository began: write the upstream commit"):
        upgrade(template.folder)


def test_a_clone_without_its_history_is_refused(upstream: Repo, tmp_path: Path) -> None:
    shallow = Repo(tmp_path / "shallow")
    git("clone", "--quiet", "--depth=1", f"file://{upstream.folder}", str(shallow.folder), folder=tmp_path)
    shallow.begin()
    with pytest.raises(InputError, match="this clone is shallow: `git fetch --unshallow "):
        upgrade(shallow.folder)


@pytest.mark.slow
def test_this_very_repo_can_be_adopted_worked_in_and_upgraded(
    tmp_path: Path, shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UV_FROZEN", "UV_OFFLINE"):
        monkeypatch.delenv(name)
    upstream, fork = Repo(tmp_path / "upstream"), Repo(tmp_path / "fork")
    shell("git", "clone", "--quiet", str(ROOT), str(upstream.folder), folder=tmp_path)
    shell("git", "clone", "--quiet", str(upstream.folder), str(fork.folder), folder=tmp_path)
    upstream.begin()
    fork.begin()

    old = read_identity(fork.read("pyproject.toml"), fork.read(".github/CODEOWNERS"))
    typed = ("NAME=a-team", "OWNER=@a-team/data", "URL=https://github.com/a-team/data")
    assert "this is a-team of @a-team/data now" in shell("make", "adopt", *typed, folder=fork.folder)
    account = old.owner.partition("/")[0]
    grep = ("git", "grep", "-h", "-e", old.url, "-e", f"{account}/", "--", ":!LICENSE", ":!CHANGELOG.md")
    kept = f'upstream = "{old.url}"\n' if old.url == old.upstream else ""
    assert shell(*grep, folder=fork.folder, status=None) == kept
    fork.commit("chore: adopt")
    assert "nothing was changed" in shell("make", "adopt", *typed, folder=fork.folder)

    shell("make", "new-package", "NAME=mine", folder=fork.folder)
    fork.commit("feat: mine")
    upstream.edit("Makefile", ".DELETE_ON_ERROR:\n", ".DELETE_ON_ERROR:\n\nA_NEW_ONE := 1\n")
    upstream.edit("pyproject.toml", "[tool.ruff]", "[tool.ruff]\npreview = false")
    upstream.edit(".github/workflows/ci.yml", "timeout-minutes: 15", "timeout-minutes: 16")
    upstream.edit("packages/models/README.md", "# models", f"# models\n\nAsk {old.owner}.")
    upstream.commit()

    printed = shell("make", "upgrade", "FROM=../upstream", folder=fork.folder)
    assert "upgrade: 1 commit of upstream" in printed
    assert "upgrade: merged as" in printed
    assert fork.git("status", "--porcelain") == ""
    assert "preview = false" in fork.read("pyproject.toml")
    assert 'name = "a-team"' in fork.read("pyproject.toml")
    assert "Ask @a-team/data." in fork.read("packages/models/README.md")
    assert shell(*grep, folder=fork.folder, status=None) == kept
    shell("make", "lint", "types", folder=fork.folder)
