"""Build a container image of the release that is in service. The work of `make image`.

With docker, podman or buildah, whichever is there: the Dockerfile needs nothing that one of them lacks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_release.image_context import Facts, read_facts, write_context
from onebutton_release.target import release_in_service
from onebutton_tracking.commit import git_environment

ENGINES = ("docker", "podman", "buildah")  # in the order of how well people know them
MISSING = (
    "NOT RUN: no engine that builds images is here: {}. `sudo apt-get install buildah` brings the smallest on Debian and "
    "Ubuntu; on a Mac take Docker Desktop or podman. `OUT=folder` writes what it is built from, for an engine elsewhere"
)


def find_engine() -> str:
    """Return the first engine that can build.

    Raises:
        InputError: there is none; docker without its engine running counts as none.
    """
    said = []
    for engine in ENGINES:
        if not shutil.which(engine):
            said.append(f"no {engine}")
        elif engine == "docker" and subprocess.run([engine, "info"], capture_output=True, check=False).returncode:
            said.append("docker, but its engine does not answer")
        else:
            return engine
    raise InputError(MISSING.format(", ".join(said)))


def build_command(engine: str, facts: Facts, folder: Path, *more: str) -> list[str]:
    """Write the call that builds an image. Its files get the time of the commit: the same sources make the same layers."""
    when = ["--build-arg", f"SOURCE_DATE_EPOCH={facts.epoch}"]
    if engine != "docker":
        when = ["--timestamp", str(facts.epoch), "--format", "docker"]  # OCI's own format knows no health check
    return [engine, "build", *when, "--tag", facts.name, *more, str(folder)]


def build(engine: str, facts: Facts, folder: Path, *more: str) -> str:
    """Build an image, and say what came out: its size and digest.

    Args:
        engine: one of `ENGINES`.
        facts: of the image.
        folder: that `write_context` wrote.
        more: arguments for the engine.

    Raises:
        InputError: the engine failed, and said why.
    """
    if subprocess.run(build_command(engine, facts, folder, *more), env=git_environment(), check=False).returncode:
        message = f"{engine} failed, and says why above"
        raise InputError(message)
    shown = [engine, "images", "--no-trunc", "--format", "{{.Size}} {{.ID}}", facts.name]
    answer = subprocess.run(shown, env=git_environment(), capture_output=True, text=True, check=True)
    return ", ".join(answer.stdout.rsplit(maxsplit=1))


def image(root: Path, pipeline: str, environment: str, out: Path | None = None, arguments: Sequence[str] = ()) -> None:
    """Build the image of what is in service, or only lay out in the folder `out` what it is built from.

    Raises:
        InputError: nothing is in service, or no engine can build it.
    """
    release = release_in_service(root, pipeline, environment)
    facts = read_facts(root, release)
    if out:
        write_context(root, release, facts, out)
        _tell_github(facts)
        print(f"image: {out} holds all that {facts.name} is built from. Next: docker build {out}")
        return
    engine = find_engine()
    print(f"image: {facts.name}, with {engine}", flush=True)
    with tempfile.TemporaryDirectory(prefix="onebutton-image-") as scratch:
        write_context(root, release, facts, Path(scratch))
        came_out = build(engine, facts, Path(scratch), *arguments)
    run = f"{engine} run --read-only --tmpfs /tmp --publish 127.0.0.1:8000:8000 {facts.name}, or "
    print(f"image: {facts.name}: {came_out}. Next: {run if engine != 'buildah' else ''}docs/kubernetes.md")


def _tell_github(facts: Facts) -> None:
    """Give later steps of a job what they cannot know: a workflow holds no logic, and a registry takes no capitals."""
    if file := os.environ.get("GITHUB_OUTPUT"):
        repository = os.environ.get("GITHUB_REPOSITORY", "").lower()
        with Path(file).open("a", encoding="utf-8") as outputs:
            outputs.write(f"image={repository}/{facts.pipeline}\nversion={facts.version}\nepoch={facts.epoch}\n")
