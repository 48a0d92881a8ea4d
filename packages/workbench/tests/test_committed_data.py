"""Two people share a repository: what one committed is what the other's stages read."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.errors import InputError
from onebutton_workbench.data.storage import bring, check_remote, choose, configured, pull, push

pytestmark = pytest.mark.slow  # each calls DVC a dozen times

DATA = "pipelines/toy/data/rows.csv"
PLAN = """\
stages:
  count:
    cmd: echo $(wc -l < data/rows.csv) rows > count.txt
    deps: [data/rows.csv]
    outs: [count.txt]
"""


class Person:
    """Somebody with a checkout."""

    def __init__(self, root: Path, shell: Any) -> None:
        self.root, self.shell = root, shell

    def call(self, *command: str, status: int | None = 0) -> str:
        said: str = self.shell(*command, folder=self.root, status=status)
        return said

    def add(self, text: str, path: str = DATA) -> None:
        """Have DVC track data, and commit that."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")
        self.call("dvc", "add", "--quiet", path)
        self.call("git", "add", "--all")
        self.call("git", "commit", "--quiet", "--message", f"data of {len(text)} characters")

    def lose(self) -> None:
        (self.root / DATA).unlink()
        shutil.rmtree(self.root / ".dvc/cache")

    @property
    def data(self) -> str:
        return (self.root / DATA).read_text(encoding="utf-8")

    @property
    def count(self) -> str:
        """What the pipeline makes of it."""
        bring(self.root, ["toy"])
        self.call("dvc", "repro", "--quiet", "pipelines/toy/dvc.yaml")
        return (self.root / "pipelines/toy/count.txt").read_text(encoding="utf-8").split()[0]


@pytest.fixture(scope="module")
def beginning(tmp_path_factory: pytest.TempPathFactory, shell: Any) -> Path:
    """A folder with my checkout, in which one file of data is committed and pushed, and with what the team shares."""
    folder = tmp_path_factory.mktemp("beginning")
    root = folder / "me"
    (root / "pipelines/toy").mkdir(parents=True)
    (root / "pipelines/toy/dvc.yaml").write_text(PLAN, encoding="utf-8")
    (root / "pyproject.toml").write_text("", encoding="utf-8")
    person = Person(root, shell)
    person.call("git", "init", "--quiet", "--initial-branch", "main")
    person.call("dvc", "init", "--quiet")
    (folder / "team").mkdir()
    choose(str(folder / "team"), root)
    person.add("1\n")
    push(root)
    return folder


@pytest.fixture
def me(beginning: Path, tmp_path: Path, shell: Any) -> Person:
    shutil.copytree(beginning, tmp_path, dirs_exist_ok=True, symlinks=True)
    config = tmp_path / "me/.dvc/config"
    config.write_text(config.read_text(encoding="utf-8").replace(str(beginning), str(tmp_path)), encoding="utf-8")
    person = Person(tmp_path / "me", shell)
    person.call("git", "commit", "--quiet", "--all", "--amend", "--no-edit")
    return person


@pytest.fixture
def colleague(me: Person, tmp_path: Path, shell: Any) -> Person:
    """Somebody who cloned, and then committed another file of data."""
    shell("git", "clone", "--quiet", str(me.root), str(tmp_path / "colleague"), folder=tmp_path)
    person = Person(tmp_path / "colleague", shell)
    pull(person.root)
    person.add("1\n2\n")
    push(person.root)
    return person


def pulled(me: Person, colleague: Person) -> None:
    me.call("git", "pull", "--quiet", "--no-rebase", str(colleague.root), "main")


def test_data_that_a_colleague_committed_is_what_is_trained_on_once_it_is_fetched(
    me: Person, colleague: Person
) -> None:
    assert me.count == "1"
    pulled(me, colleague)
    with pytest.raises(InputError) as refused:
        bring(me.root, ["toy"])
    assert str(refused.value) == (
        f"{DATA}, which {DATA}.dvc names, is another than the committed one, which is not here: "
        "`make pull` fetches it. No stage was run"
    )
    pull(me.root)
    assert me.count == "2"
    assert me.call("git", "status", "--porcelain", "--", "*.dvc") == ""


def test_what_the_cache_has_is_put_in_place_without_a_word_from_anybody(
    me: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    me.add("1\n2\n")
    me.call("git", "checkout", "--quiet", "HEAD~1")
    assert me.count == "1"
    assert capsys.readouterr().out.endswith(f"run: {DATA} is now the one that {DATA}.dvc names\n")
    assert me.call("git", "status", "--porcelain", "--", "*.dvc") == ""


def test_data_that_nobody_else_has_is_never_touched(me: Person) -> None:
    (me.root / DATA).write_text("mine\nand mine\n", encoding="utf-8")
    with pytest.raises(InputError) as refused:
        bring(me.root, ["toy"])
    assert f"{DATA}: not what {DATA}.dvc names, and there is no other copy" in str(refused.value)
    assert f"`dvc add {DATA}`" in str(refused.value)
    assert "`make pull`" in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="Move it away, or `dvc add` it"):
        pull(me.root)
    assert me.data == "mine\nand mine\n"
    me.call("dvc", "add", "--quiet", DATA)  # on purpose: the `.dvc` file now differs from the commit
    assert me.count == "2"


def test_a_fresh_clone_names_the_button_that_fetches_what_is_missing(me: Person) -> None:
    me.lose()
    with pytest.raises(InputError) as refused:
        bring(me.root, ["toy"])
    said = f"{DATA}, which {DATA}.dvc names, is not here: `make pull` fetches it. No stage was run"
    assert str(refused.value) == said
    pull(me.root, "toy")
    assert me.count == "1"


def test_a_fresh_clone_without_a_remote_names_the_button_that_sets_one(me: Person) -> None:
    me.lose()
    (me.root / ".dvc/config").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"is not here: `make remote URL=…` says .*, then `make pull`"):
        bring(me.root, ["toy"])


def test_missing_data_that_the_cache_has_is_simply_there_again(me: Person) -> None:
    (me.root / DATA).unlink()
    assert me.count == "1"


def test_before_the_first_commit_data_is_as_it_is(me: Person) -> None:
    shutil.rmtree(me.root / ".git")
    bring(me.root, ["toy"])
    me.call("git", "init", "--quiet")
    me.call("git", "add", "--all")
    (me.root / DATA).write_text("mine\n", encoding="utf-8")
    bring(me.root, ["toy"])
    assert me.data == "mine\n"


def test_the_data_of_another_pipeline_stops_nobody(me: Person) -> None:
    other = me.root / "pipelines/other"
    other.mkdir()
    (other / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    me.lose()
    bring(me.root, ["other"])
    (other / "dvc.yaml").write_text(PLAN.replace("data/rows", "../toy/data/rows"), encoding="utf-8")
    with pytest.raises(InputError, match="is not here"):
        bring(me.root, ["other"])


def test_a_folder_is_compared_file_by_file_and_what_dvc_ignores_does_not_count(me: Person) -> None:
    raw = me.root / "pipelines/toy/raw"
    for name in ("a/c", "a-b", "a.b", "B", "a/b/d"):
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_text(name, encoding="utf-8")
    me.call("dvc", "add", "--quiet", "pipelines/toy/raw")
    me.call("git", "add", "--all")
    me.call("git", "commit", "--quiet", "--message", "raw")
    bring(me.root, ["toy"])
    (me.root / ".dvcignore").write_text("*.swp\n", encoding="utf-8")
    (raw / "a.swp").write_text("", encoding="utf-8")
    bring(me.root, ["toy"])
    (raw / "B").write_text("other", encoding="utf-8")
    with pytest.raises(InputError, match="there is no other copy"):
        bring(me.root, ["toy"])


def test_a_pipeline_is_sent_and_fetched_with_the_data_that_no_stage_of_it_makes(me: Person) -> None:
    (me.root / "pipelines/toy/new.csv").write_text("1\n", encoding="utf-8")
    me.call("dvc", "add", "--quiet", "pipelines/toy/new.csv")  # not in git yet, and sent all the same
    assert me.count == "1"
    push(me.root, "toy")
    me.lose()
    pull(me.root, "toy")
    assert me.data == "1\n"


def test_data_that_was_committed_and_not_pushed_is_told_until_it_is(me: Person) -> None:
    remote = configured(me.root)
    assert remote
    assert check_remote(me.root, remote) == ([], "")
    me.add("1\n2\n")
    ((found,), _) = check_remote(me.root, remote)
    assert (found.check, found.place) == ("OB304", DATA)
    assert found.words.startswith(f"is not on {remote.url}, so it is lost with the machine")
    push(me.root, "toy")
    assert check_remote(me.root, remote) == ([], "")


def test_pull_without_a_remote_says_so_and_is_green(me: Person, capsys: pytest.CaptureFixture[str]) -> None:
    (me.root / ".dvc/config").write_text("", encoding="utf-8")
    pull(me.root)
    assert "nothing to fetch, no remote is set. `make remote URL=" in capsys.readouterr().out


def test_what_the_remote_lacks_is_red_only_when_no_stage_makes_it(
    me: Person, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert me.count == "1"
    me.call("git", "add", "--all")
    me.call("git", "commit", "--quiet", "--message", "results that were not pushed")
    me.lose()
    (me.root / "pipelines/toy/count.txt").unlink()
    pull(me.root)
    assert "It does not have all that dvc.lock names: `make run` makes the rest" in capsys.readouterr().out
    assert me.count == "1"
    me.lose()
    shutil.rmtree(tmp_path / "team")
    (tmp_path / "team").mkdir()
    with pytest.raises(InputError, match=f"does not have {DATA}, and no stage makes that.*`make push`"):
        pull(me.root)
