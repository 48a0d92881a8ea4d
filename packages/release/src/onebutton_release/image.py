"""Lay out what a container image of the release in service is built from. The work of `make image`.

It is one small folder: the lock, the members that the server consists of, one release, and a Dockerfile that needs no argument.
Any engine builds it, here or on another machine; the last line says with which command.
"""

import os
import shutil
import subprocess
from pathlib import Path

from onebutton_contracts.errors import require
from onebutton_release.target import release_in_service
from onebutton_serving.schema import read_schema
from onebutton_serving.sealed import check
from onebutton_tracking.commit import git, git_environment

DOCKERFILE = Path("deploy/serving/Dockerfile")
CONTEXT = Path(".releases/image")  # where it is laid out when nobody names a folder
ARGUMENTS = "ARG PIPELINE VERSION REVISION SOURCE"  # of the Dockerfile; they get their values here
PARTS = ("pyproject.toml", "README.md", "src")  # of a member


def image(*, root: Path, pipeline: str = "", env: str = "", out: Path | None = None) -> None:
    """Lay out the image of what is in service, in the folder `out` or one of ours, and say how to build it."""
    release = release_in_service(root, pipeline, env)
    name = read_schema(release).pipeline
    folder = out or CONTEXT / name
    if not out:
        shutil.rmtree(root / folder, ignore_errors=True)
    write_context(root, release, root / folder)
    epoch = git("log", "-1", "--format=%ct", folder=root).strip()  # the same commit makes the same layers
    if file := os.environ.get("GITHUB_OUTPUT"):  # a workflow holds no logic, and a registry takes no capitals
        tag = f"{os.environ.get('GITHUB_REPOSITORY', '').lower()}/{name}"
        with Path(file).open("a", encoding="utf-8") as outputs:
            outputs.write(f"image={tag}\nversion={release.name}\nepoch={epoch}\n")
    build = f"docker build --build-arg SOURCE_DATE_EPOCH={epoch} --tag onebutton-{name}:{release.name} {folder}"
    print(f"image: {folder} holds all that it is built from. Next: {build}")


def labels(root: Path, release: Path) -> dict[str, str]:
    """Say of a release which pipeline and version it is, and the commit and address whose server and lock go with it.

    The commit has `-dirty` behind it where something was not committed; the address is there in a workflow alone.
    """
    commit = git("rev-parse", "HEAD", folder=root).strip()
    changed = git("status", "--porcelain", "--", "packages", "pyproject.toml", "uv.lock", str(DOCKERFILE), folder=root)
    repository = os.environ.get("GITHUB_REPOSITORY", "")
    return {
        "PIPELINE": read_schema(release).pipeline,
        "VERSION": release.name,
        "REVISION": f"{commit}-dirty" if changed else commit,
        "SOURCE": repository and f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}",
    }


def members_of_the_server(root: Path) -> list[Path]:
    """List the folders of the workspace members that the server needs, as uv reads them off the lock."""
    command = ["uv", "export", "--package", "onebutton-serving", "--no-dev", "--frozen", "--no-hashes", "--quiet"]
    said = subprocess.run(command, cwd=root, env=git_environment(), capture_output=True, text=True, check=True).stdout
    return sorted(Path(line.split()[1]) for line in said.splitlines() if line.startswith("-e "))


def write_context(root: Path, release: Path, folder: Path) -> None:
    """Lay out the folder that an image of a release is built from.

    Raises:
        InputError: the folder is there already and not empty.
        ReleaseError: the release is not what was sealed.
    """
    check(release)
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
    values = " ".join(f"{name}={text}" for name, text in labels(root, release).items())
    recipe = (root / DOCKERFILE).read_text(encoding="utf-8")
    (folder / "Dockerfile").write_text(recipe.replace(ARGUMENTS, f"ARG {values}"), encoding="utf-8")
    for path in [folder, *folder.rglob("*")]:  # whatever the umask: readable by the server, its owner's to clear
        path.chmod(0o755 if path.is_dir() else 0o444 if sealed in path.parents else 0o644)
