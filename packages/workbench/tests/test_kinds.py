"""Every kind of new pipeline is whole: small, of one subject, green, and what ships answers as what was trained."""

import os
import re
import signal
import subprocess
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from onebutton_workbench.members.new import Task, render
from onebutton_workbench.workspace import ROOT, Member

Shell = Callable[..., str]  # of conftest.py
KINDS: dict[Task, str] = {  # what each example is about
    "binary": "tumour",
    "multiclass": "penguin",
    "regression": "penguin",
    "text": "passenger",
}


def test_every_kind_is_tested() -> None:
    assert set(KINDS) == set(get_args(Task))


@pytest.fixture(params=KINDS)
def written(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """A kind, and the folder of a new pipeline of it."""
    monkeypatch.setenv("PATH", str(ROOT / ".venv/bin"), prepend=":")
    for name in ("pyproject.toml", "templates"):
        (tmp_path / name).symlink_to(ROOT / name)
    render(Member(Path("pipelines/churn"), "churn"), tmp_path, request.param)
    return request.param, tmp_path / "pipelines/churn"


def test_a_new_pipeline_is_twelve_files_and_forty_lines_of_stages(written: tuple[str, Path]) -> None:
    files = [path.relative_to(written[1]) for path in written[1].rglob("*") if path.is_file()]
    own = [file for file in files if file.parts[0] != "contracts" and file.name[0] not in "._"]
    assert len(own) == 12
    assert len((written[1] / "dvc.yaml").read_text(encoding="utf-8").splitlines()) <= 40


def test_a_new_pipeline_speaks_of_its_own_example_alone(written: tuple[str, Path]) -> None:
    kind, folder = written
    text = "\n".join(path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file())
    assert {subject for subject in KINDS.values() if subject in text} == {KINDS[kind]}  # type: ignore[index]
    assert not re.search(r"\{[{%]|[%}]\}|\bkind\b", text.replace("kind: DataContract", ""))
    assert ("pandas" in text) is (kind == "regression")


def test_the_contracts_of_a_new_pipeline_keep_the_schema_of_the_standard(
    written: tuple[str, Path], breaks_standard: Callable[[Path], list[str]]
) -> None:
    found = [breaks_standard(file) for file in (written[1] / "contracts").glob("*.odcs.yaml")]
    assert found == [[], []]


def test_the_tests_of_a_new_pipeline_name_none_of_its_columns(written: tuple[str, Path]) -> None:
    test = (written[1] / "tests/test_churn.py").read_text(encoding="utf-8")
    contract = (written[1] / "contracts/rows.odcs.yaml").read_text(encoding="utf-8")
    columns = re.findall(r"^      - name: (\w+)$", contract, re.MULTILINE)
    assert len(columns) >= 5
    assert [name for name in columns if re.search(rf"[\"']{name}[\"']", test)] == []


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory, copy_of_this_repo: Callable[[Path], Path], shell: Shell) -> Path:
    """A repo of one pipeline of each kind, as it was written, run and committed."""
    folder = copy_of_this_repo(tmp_path_factory.mktemp("four") / "clone")
    shell("git", "rm", "-r", "--quiet", "pipelines", folder=folder)  # whose samples take longer
    shell("make", "lock", "setup", folder=folder)
    shell("git", "config", "core.hooksPath", "/dev/null", folder=folder)  # what hooks say is another test's
    for kind in KINDS:
        shell("make", "new-pipeline", f"NAME=with_{kind}", f"KIND={kind}", folder=folder)
    shell("make", "run", folder=folder)
    shell("git", "add", "--all", folder=folder)
    shell("git", "commit", "--quiet", "--message", "four pipelines", folder=folder)
    return folder


@pytest.mark.slow
def test_one_of_each_kind_is_green_without_an_edit(four: Path, shell: Shell) -> None:
    assert "drafts" not in shell("make", "lint", "types", folder=four)
    judged = " ".join(shell("make", "status", "report", "gates", folder=four).split())
    assert judged.count("5 of 6 gates passed; NOT RUN: latency-p95, which `make deploy` measures.") == len(KINDS), (
        judged
    )
    tested = shell(str(four / ".venv/bin/python"), "-m", "pytest", "--quiet", "pipelines", folder=four)
    assert f"{6 * len(KINDS)} passed" in tested


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_odd_rows_are_answered_as_scikit_learn_does_or_refused(kind: str, four: Path, shell: Shell) -> None:
    asked = (four / ".venv/bin/python", Path(__file__).with_name("ask_odd_rows.py"), f"with_{kind}")
    said = shell(*map(str, asked), folder=four / f"pipelines/with_{kind}")
    answered = re.search(r"^(\d+) answered alike, \d+ refused$", said, re.MULTILINE)
    assert answered
    assert int(answered[1]) >= 90


def with_quantiles() -> list[str]:
    """Name the pipelines of this repo that predict quantiles, which no new pipeline does; a fork may have none."""
    said = {path.parent.name: path.read_text(encoding="utf-8") for path in ROOT.glob("pipelines/*/gates.toml")}
    return [name for name, text in said.items() if "quantiles" in tomllib.loads(text)["judging"]]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, copy_of_this_repo: Callable[[Path], Path], shell: Shell) -> Path:
    """This repo, in which the pipelines with quantiles were run and committed."""
    folder = copy_of_this_repo(tmp_path_factory.mktemp("own") / "clone")
    shell("make", "setup", folder=folder)
    shell("git", "config", "core.hooksPath", "/dev/null", folder=folder)
    for pipeline in with_quantiles():
        shell("make", "run", f"PIPELINE={pipeline}", folder=folder)
    shell("git", "add", "--all", folder=folder)
    shell("git", "commit", "--quiet", "--allow-empty", "--message", "results", folder=folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", [*(f"with_{kind}" for kind in KINDS), *with_quantiles()])
def test_every_kind_is_deployed_and_answers_odd_rows_over_http_as_its_files_do(
    name: str, request: pytest.FixtureRequest, shell: Shell, free_port: Callable[[], int]
) -> None:
    repo: Path = request.getfixturevalue("own" if name in with_quantiles() else "four")
    pipeline, folder, port = f"PIPELINE={name}", repo / f"pipelines/{name}", free_port()
    declared = folder / "pyproject.toml"
    declared.write_text(declared.read_text(encoding="utf-8").replace("draft = true\n", ""), encoding="utf-8")
    shell("git", "commit", "--quiet", "--all", "--allow-empty", "--message", "no draft any more", folder=repo)
    shell("make", "deploy", pipeline, folder=repo)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "MAKE"))}
    serve = ["make", "serve", pipeline, f"PORT={port}"]
    server = subprocess.Popen(serve, cwd=repo, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/health/ready")
        asked = (repo / ".venv/bin/python", Path(__file__).with_name("ask_served_rows.py"), name)
        said = shell(*map(str, asked), f"http://127.0.0.1:{port}", folder=folder)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)
    answered = re.search(r"^(\d+) answered alike, \d+ refused$", said, re.MULTILINE)
    assert answered
    assert int(answered[1]) >= 90


def wait_for(page: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(page, timeout=5).close()
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.1)
        else:
            return
    message = f"{page} does not answer"
    raise AssertionError(message)
