"""Build a container image of the release that is in service. The work of `make image`.

It is built from one small folder: the lock, the members that the server consists of, and one release. `docker build` in it makes
the same image without one argument.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onebutton_contracts.errors import require
from onebutton_release.target import release_in_service
from onebutton_serving.schema import read_schema
from onebutton_serving.sealed import check
from onebutton_tracking.commit import git, git_environment

DOCKERFILE = Path("deploy/serving/Dockerfile")
ARGUMENTS = "ARG PIPELINE VERSION REVISION SOURCE"  # of the Dockerfile; they get their values here
PARTS = ("pyproject.toml", "README.md", "src")  # of a member
ENGINES = ("docker", "podman", "buildah")  # in the order of how well people know them
MISSING = (
    "NOT RUN: none of docker, podman and buildah is here. `sudo apt-get install buildah` brings the smallest on Debian, Ubuntu; "
    "on a Mac take Docker Desktop or podman. `OUT=folder` writes what the image is built from, for an engine elsewhere"
)


@dataclass(frozen=True)
class Facts:
    """What the labels of an image say."""

    pipeline: str
    version: str  # of the release
    revision: str  # the commit whose server and lock are in it, `-dirty` behind it where something was not committed
    source: str  # the address of the repository, as GitHub says it to a workflow; empty elsewhere
    epoch: int  # the time of that commit, in seconds since 1970; every file of the image has it

    @property
    def name(self) -> str:
        """The name of the image on this machine."""
        return f"onebutton-{self.pipeline}:{self.version}".lower()


def image(*, root: Path, pipeline: str = "", env: str = "", out: Path | None = None) -> None:
    """Build the image of what is in service, or only lay out in the folder `out` what it is built from."""
    release = release_in_service(root, pipeline, env)
    facts = read_facts(root, release)
    if out:
        write_context(root, release, facts, out)
        if file := os.environ.get("GITHUB_OUTPUT"):  # a workflow holds no logic, and a registry takes no capitals
            name = f"{os.environ.get('GITHUB_REPOSITORY', '').lower()}/{facts.pipeline}"
            with Path(file).open("a", encoding="utf-8") as outputs:
                outputs.write(f"image={name}\nversion={facts.version}\nepoch={facts.epoch}\n")
        print(f"image: {out} holds all that {facts.name} is built from. Next: docker build {out}")
        return
    engine = next(filter(shutil.which, ENGINES), "")
    require(engine, MISSING)
    with tempfile.TemporaryDirectory(prefix="onebutton-image-") as scratch:
        write_context(root, release, facts, Path(scratch))
        came_out = build(engine, facts, Path(scratch))
    run = f"{engine} run --read-only --tmpfs /tmp --publish 127.0.0.1:8000:8000 {facts.name}, or "
    print(f"image: {facts.name}: {came_out}. Next: {run if engine != 'buildah' else ''}docs/kubernetes.md")


def build(engine: str, facts: Facts, folder: Path, more: Sequence[str] = ()) -> str:
    """Build an image from what `write_context` wrote, with more arguments for the engine; return its size and digest.

    Its files get the time of the commit: the same sources make the same layers.
    """
    when = ["--build-arg", f"SOURCE_DATE_EPOCH={facts.epoch}"]
    if engine != "docker":
        when = ["--timestamp", str(facts.epoch), "--format", "docker"]  # OCI's own format knows no health check
    command = [engine, "build", *when, "--tag", facts.name, *more, str(folder)]
    failed = subprocess.run(command, env=git_environment(), check=False).returncode
    require(not failed, f"{engine} failed, and says why above")
    shown = [engine, "images", "--no-trunc", "--format", "{{.Size}} {{.ID}}", facts.name]
    answer = subprocess.run(shown, env=git_environment(), capture_output=True, text=True, check=True)
    return ", ".join(answer.stdout.rsplit(maxsplit=1))


def read_facts(root: Path, release: Path) -> Facts:
    """Find out what the labels must say of a release, which must be what was sealed."""
    check(release)
    commit, _, seconds = git("log", "-1", "--format=%H %ct", folder=root).strip().partition(" ")
    changed = git("status", "--porcelain", "--", "packages", "pyproject.toml", "uv.lock", str(DOCKERFILE), folder=root)
    repository = os.environ.get("GITHUB_REPOSITORY", "")
    source = f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}" if repository else ""
    revision = f"{commit}-dirty" if changed else commit
    return Facts(read_schema(release).pipeline, release.name, revision, source, int(seconds or 0))


def members_of_the_server(root: Path) -> list[Path]:
    """List the folders of the workspace members that the server needs, as uv reads them off the lock."""
    command = ["uv", "export", "--package", "onebutton-serving", "--no-dev", "--frozen", "--no-hashes", "--quiet"]
    said = subprocess.run(command, cwd=root, env=git_environment(), capture_output=True, text=True, check=True).stdout
    return sorted(Path(line.split()[1]) for line in said.splitlines() if line.startswith("-e "))


def write_context(root: Path, release: Path, facts: Facts, folder: Path) -> None:
    """Lay out the folder that an image is built from; it must not be there yet, or be empty."""
    folder.mkdir(parents=True, exist_ok=True)
    require(not any(folder.iterdir()), f"{folder} is not empty: name a folder that is not there yet")
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copyfile(root / name, folder / name)
    for member in members_of_the_server(root):
        (folder / member).mkdir(parents=True)
        for part in PARTS:
            source, target = root / member / part, folder / member / part
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(source, target)
    sealed = folder / "release" / release.name
    shutil.copytree(release, sealed)
    recipe = (root / DOCKERFILE).read_text(encoding="utf-8")
    values = f"PIPELINE={facts.pipeline} VERSION={facts.version} REVISION={facts.revision} SOURCE={facts.source}"
    (folder / "Dockerfile").write_text(recipe.replace(ARGUMENTS, f"ARG {values}"), encoding="utf-8")
    for path in [folder, *folder.rglob("*")]:  # whatever the umask: readable by the server, its owner's to clear
        path.chmod(0o755 if path.is_dir() else 0o444 if sealed in path.parents else 0o644)
