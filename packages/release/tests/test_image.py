import json
import re
import shlex
import stat
import tomllib
from pathlib import Path

import pytest
import yaml

from onebutton_contracts.errors import InputError
from onebutton_models.conversion import LOCALE
from onebutton_release import image
from onebutton_release.image import (
    ARGUMENTS,
    DOCKERFILE,
    members_of_the_server,
    write_context,
)
from onebutton_serving.sealed import ReleaseError, seal

ROOT = Path(__file__).parents[3]
EXEC_FORM = ("RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK")


def instructions(dockerfile: Path = DOCKERFILE) -> list[tuple[str, str]]:
    """Read a Dockerfile as instructions with what follows them."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / dockerfile).read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line)]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A sealed folder whose schema can be read; nothing here loads its model."""
    folder = tmp_path / "store/small/20260102-0123abcd"
    folder.mkdir(parents=True)
    contracts = {"input_contract": "features 1.0.0", "output_contract": "predictions 1.0.0"}
    sides = {"inputs": [{"name": "x", "type": "number"}], "outputs": [{"name": "y", "type": "number"}]}
    schema = {"format": 1, "pipeline": "small", "title": "A number", **contracts, **sides}
    (folder / "schema.json").write_text(json.dumps(schema), encoding="utf-8")
    seal(folder)
    return folder


@pytest.fixture
def pressed(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person typed, with a release in service."""
    monkeypatch.setattr(image, "release_in_service", lambda *_: release)
    monkeypatch.delenv("GITHUB_OUTPUT", raising=False)


@pytest.mark.parametrize("dockerfile", [DOCKERFILE, Path("deploy/mlflow/Dockerfile")], ids=str)
def test_every_base_is_pinned_by_digest(dockerfile: Path) -> None:
    stages: set[str] = set()
    for word, rest in instructions(dockerfile):
        if word == "FROM":
            base, _, stage = rest.partition(" AS ")
            assert base in stages or re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", base), base
            stages.add(stage)
    assert "uv" in stages


def test_text_is_lowered_by_a_locale_that_the_image_holds() -> None:
    assert ("ENV", f"LANG={LOCALE} LC_ALL={LOCALE}") in instructions()


def test_the_bases_are_the_versions_that_this_repo_is_tested_with() -> None:
    text = (ROOT / DOCKERFILE).read_text(encoding="utf-8")
    python = (ROOT / ".python-version").read_text(encoding="utf-8").strip()
    assert f"FROM docker.io/library/python:{python}." in text
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]["required-version"]
    lowest = re.match(r">=(\d+\.\d+)", wanted)
    assert lowest
    assert f"FROM ghcr.io/astral-sh/uv:{lowest[1]}." in text


def test_dependabot_moves_the_digests() -> None:
    content = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text(encoding="utf-8"))
    docker = [one for one in content["updates"] if one["package-ecosystem"] == "docker"]
    assert f"/{DOCKERFILE.parent}" in docker[0]["directories"]


def test_no_instruction_needs_a_shell() -> None:
    for word, rest in instructions():
        if word in EXEC_FORM:
            assert json.loads(rest[rest.index("[") :]), rest


def test_the_server_is_no_root_and_its_state_is_a_volume() -> None:
    last = {word: rest for word, rest in instructions() if word != "ENV"}
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last["USER"])
    assert last["VOLUME"] == "/srv/state"
    assert json.loads(last["ENTRYPOINT"]) == ["python", "-m", "onebutton_serving"]


def test_the_server_is_two_members_and_no_more() -> None:
    assert members_of_the_server(ROOT) == [Path("packages/models"), Path("packages/serving")]


def test_the_context_holds_what_the_image_is_built_from_and_nothing_else(release: Path, tmp_path: Path) -> None:
    folder = tmp_path / "context"
    write_context(ROOT, release, folder)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {name for name in files if "/" not in name} == {"Dockerfile", "pyproject.toml", "uv.lock"}
    assert {name for name in files if name.startswith("release/")} == {
        f"release/{release.name}/MANIFEST.sha256",
        f"release/{release.name}/schema.json",
    }
    assert "packages/serving/src/onebutton_serving/loading.py" in files
    assert {"/".join(name.split("/")[:2]) for name in files if name.startswith("packages/")} == {
        "packages/models",
        "packages/serving",
    }
    assert not [name for name in files if "__pycache__" in name or "/tests/" in name]


def test_the_context_needs_no_argument_and_anybody_may_read_it(release: Path, tmp_path: Path) -> None:
    folder = tmp_path / "context"
    write_context(ROOT, release, folder)
    (values,) = (
        line.removeprefix("ARG ")
        for line in (folder / "Dockerfile").read_text(encoding="utf-8").splitlines()
        if line.startswith("ARG ")
    )
    facts = dict(word.split("=", 1) for word in shlex.split(values))
    assert (facts["PIPELINE"], facts["VERSION"]) == ("small", release.name)
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", facts["REVISION"])
    assert ARGUMENTS in (ROOT / DOCKERFILE).read_text(encoding="utf-8")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    assert modes == {0o755, 0o644, 0o444}


def test_a_folder_with_something_in_it_is_no_place_for_a_context(release: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept", encoding="utf-8")
    with pytest.raises(InputError, match="not empty"):
        write_context(ROOT, release, tmp_path)
    assert (tmp_path / "mine").read_text(encoding="utf-8") == "kept"


def test_a_damaged_release_is_refused(release: Path, tmp_path: Path) -> None:
    (release / "schema.json").chmod(0o644)
    (release / "schema.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ReleaseError, match=r"schema\.json was changed"):
        write_context(ROOT, release, tmp_path / "context")


@pytest.mark.usefixtures("pressed")
def test_the_last_line_is_the_command_that_builds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(image, "CONTEXT", tmp_path / "image")
    for _ in range(2):  # what the last press laid out is laid out anew
        image.image(root=ROOT)
    assert (tmp_path / "image/small/Dockerfile").is_file()
    command = shlex.split(capsys.readouterr().out.splitlines()[-1].partition("Next: ")[2])
    assert command[:2] == ["docker", "build"]
    assert "onebutton-small:20260102-0123abcd" in command
    assert command[-1] == str(tmp_path / "image/small")


@pytest.mark.usefixtures("pressed")
def test_a_workflow_gets_the_context_and_what_names_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))
    monkeypatch.setenv("GITHUB_REPOSITORY", "Acme/House")
    image.image(root=ROOT, out=tmp_path / "context")
    assert (tmp_path / "context/Dockerfile").is_file()
    outputs = dict(line.split("=", 1) for line in (tmp_path / "outputs").read_text(encoding="utf-8").splitlines())
    assert outputs["image"] == "acme/house/small"
    assert "SOURCE=https://github.com/Acme/House" in (tmp_path / "context/Dockerfile").read_text(encoding="utf-8")
    assert outputs["version"] == "20260102-0123abcd"
    assert outputs["epoch"].isdigit()
