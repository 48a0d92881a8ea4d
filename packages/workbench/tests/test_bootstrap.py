import hashlib
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from onebutton_workbench import bootstrap
from onebutton_workbench.workspace import ROOT


def program(folder: Path, text: str) -> Path:
    """Write a small program that stands for a uv on PATH."""
    file = folder / "uv"
    file.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    file.chmod(0o755)
    return file


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that was set up when another uv was pinned: its own programs are first on PATH, as in every button."""
    root = tmp_path / "checkout"
    for folder in (root / ".venv/bin", root / ".tools/bin", tmp_path / "bin"):
        folder.mkdir(parents=True)
    (root / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    (root / "uv.lock").write_text('\nname = "uv"\nversion = "0.13.8"\n', encoding="utf-8")
    old = program(tmp_path, "exit 2")
    (root / ".tools/bin/uv").symlink_to(old)
    monkeypatch.setattr(bootstrap, "ROOT", root)
    monkeypatch.setattr(bootstrap, "TOOLS", root / ".tools")
    path = (root / ".venv/bin", root / ".tools/bin", tmp_path / "bin", "/usr/bin", "/bin")
    monkeypatch.setenv("PATH", ":".join(map(str, path)))
    return root


def test_a_good_uv_on_path_is_found_behind_the_old_one_of_the_checkout(checkout: Path, tmp_path: Path) -> None:
    good = program(tmp_path / "bin", "exit 0")
    assert bootstrap.find_uv() == str(checkout / ".tools/bin/uv")
    assert (checkout / ".tools/bin/uv").resolve() == good


def test_without_a_good_uv_the_pinned_one_is_fetched_with_a_python_that_has_pip(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Python of `.venv` runs the button; the one that it was made of is called, and writes what pip would."""
    fetched = checkout / ".tools/bin/uv"
    base = tmp_path / "bin/python3"
    lines = (
        f'[ "$1 $2 $3" = "-m pip install" ]\nrm {fetched}\n'
        f'printf "#!/bin/sh\\nexit 0\\n" > {fetched}\nchmod +x {fetched}'
    )
    base.write_text(f"#!/bin/sh -e\n{lines}\n", encoding="utf-8")
    base.chmod(0o755)
    monkeypatch.setattr(sys, "_base_executable", str(base))
    monkeypatch.setattr(sys, "executable", str(checkout / ".venv/bin/python3"))
    program(tmp_path / "bin", "exit 2")
    assert bootstrap.find_uv() == str(fetched)
    assert bootstrap.fits(str(fetched))


@pytest.mark.slow
def test_the_pinned_uv_is_installed_by_the_hashes_in_the_lock_or_not_at_all(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip itself is called, with a wheel whose hash the lock has not."""
    wheel = tmp_path / "wheels/uv-0.13.8-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("uv-0.13.8.dist-info/METADATA", "Metadata-Version: 2.1\nName: uv\nVersion: 0.13.8\n")
        archive.writestr("uv-0.13.8.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("uv-0.13.8.dist-info/RECORD", "")
        script = zipfile.ZipInfo("uv-0.13.8.data/scripts/uv")
        script.external_attr = 0o100755 << 16  # a file that may run
        archive.writestr(script, "#!/bin/sh\nexit 0\n")
    for name, value in {"CONFIG_FILE": "/dev/null", "NO_INDEX": "1", "FIND_LINKS": str(wheel.parent)}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    lock, digest = checkout / "uv.lock", hashlib.sha256(wheel.read_bytes()).hexdigest()
    text = '\nname = "uv"\nversion = "0.13.8"\nwheels = [\n    { url = "x", hash = "sha256:%s" },\n]\n'
    lock.write_text(text % ("0" * 64), encoding="utf-8")
    with pytest.raises(bootstrap.SetupError, match=r"uv 0\.13\.8 could not be fetched"):
        bootstrap.find_uv()
    lock.write_text(text % digest, encoding="utf-8")
    assert bootstrap.fits(bootstrap.find_uv())


def test_when_pip_fails_the_message_names_the_python_that_was_called(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "bin/python3"
    base.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    base.chmod(0o755)
    monkeypatch.setattr(sys, "_base_executable", str(base))
    with pytest.raises(bootstrap.SetupError, match=f"called as `{base} -m pip`"):
        bootstrap.find_uv()
    assert (checkout / ".tools/bin/uv").resolve() == tmp_path / "uv"


def test_the_pinned_uv_is_the_one_in_the_lock_and_fits_what_pyproject_requires() -> None:
    version, _ = bootstrap.locked((ROOT / "uv.lock").read_text(encoding="utf-8"), "uv")
    assert version.count(".") == 2
    assert f'required-version = ">={version.rpartition(".")[0]},' in (ROOT / "pyproject.toml").read_text(
        encoding="utf-8"
    )


def test_a_lock_without_uv_says_how_to_bring_it_back() -> None:
    with pytest.raises(bootstrap.SetupError, match=r"git checkout uv\.lock"):
        bootstrap.locked('\nname = "numpy"\nversion = "2.0"\n', "uv")


def test_a_uv_of_another_version_than_pyproject_requires_is_not_good(checkout: Path) -> None:
    uv = str(ROOT / ".tools/bin/uv")
    assert bootstrap.fits(uv)
    project = checkout / "pyproject.toml"
    text = project.read_text(encoding="utf-8").replace('required-version = ">=', 'required-version = ">=9')
    project.write_text(text, encoding="utf-8")
    assert not bootstrap.fits(uv)


@pytest.mark.parametrize("text", ["exit 1", "kill $$"])
def test_a_broken_uv_is_not_good(tmp_path: Path, text: str) -> None:
    assert not bootstrap.fits(str(program(tmp_path, text)))


def test_a_uv_that_is_not_there_is_not_good(tmp_path: Path) -> None:
    assert not bootstrap.fits(str(tmp_path / "uv"))


def test_a_lock_in_conflict_is_locked_from_our_side(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: Callable[..., str]
) -> None:
    """As in a clone that was never set up, in which git knows no driver."""
    monkeypatch.setattr(bootstrap, "LOCK", checkout / "uv.lock")
    shell("git", "init", "--quiet", "--initial-branch", "main", folder=checkout)
    for branch, text in (("main", "a = 0\n"), ("theirs", "a = 2\n"), ("ours", "a = 1\n")):
        shell("git", "switch", "--quiet", "--create", branch, *(["main"] if branch == "ours" else []), folder=checkout)
        bootstrap.LOCK.write_text(text, encoding="utf-8")
        shell("git", "add", "uv.lock", folder=checkout)
        shell("git", "commit", "--quiet", "--message", branch, folder=checkout)
    shell("git", "merge", "theirs", folder=checkout, status=1)
    bootstrap.lock(str(program(tmp_path / "bin", '[ "$1" != lock ] || echo "d = 1" >> uv.lock')))
    assert bootstrap.LOCK.read_text(encoding="utf-8") == "a = 1\nd = 1\n"


def test_a_lock_that_uv_cannot_write_stays_as_it_was(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "LOCK", checkout / "uv.lock")
    before = bootstrap.LOCK.read_text(encoding="utf-8")
    refusing = program(tmp_path / "bin", 'echo "no such\n  package" >&2\n[ "$1" != lock ]')
    with pytest.raises(bootstrap.SetupError, match=r"^uv\.lock is as it was, .* says why above$"):
        bootstrap.lock(str(refusing))
    assert bootstrap.LOCK.read_text(encoding="utf-8") == before


@pytest.mark.parametrize(("status", "words"), [(1, "`make lock` writes it anew"), (0, "come from the network")])
def test_when_the_environment_cannot_be_made_the_lock_is_blamed_only_where_it_lags(
    status: int, words: str, checkout: Path, tmp_path: Path
) -> None:
    assert checkout.is_dir()
    uv = program(tmp_path / "bin", f'case "$1" in sync) exit 2;; lock) exit {status};; esac')
    with pytest.raises(bootstrap.SetupError, match=words):
        bootstrap.sync(str(uv))
