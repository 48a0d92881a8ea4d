"""The image, built by Debian's buildah on bases made of the running Python and uv; the server in it is asked for a prediction."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

from onebutton_release.image import labels, write_context
from onebutton_serving.sealed import seal

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.slow
SERVER_USER = "10001:10001"
LOOK = """
import json, os

def files(top):
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in ("/proc", "/sys", "/dev", "/run")]
        yield from (os.path.join(folder, name) for name in [*folders, *names])
there = list(files("/"))
writable = [path for path in there if not os.path.islink(path) and os.access(path, os.W_OK)]
print(json.dumps({"user": [os.getuid(), os.getgid()], "there": there, "writable": writable}))
"""


@dataclass(frozen=True)
class Built:
    """The image, in buildah's own store.

    Attributes:
        container: a container of it.
        config: what it says of itself.
        layers: their digests, of a first and a second build.
    """

    labels: dict[str, str]
    container: str
    config: dict[str, Any]
    layers: tuple[list[str], list[str]]

    def command(self, *words: str, port: int = 0) -> list[str]:
        """Write the call that runs a program in the container, as the user that the image names."""
        return ["buildah", "run", "--env", f"ONEBUTTON_PORT={port}", self.container, "--", *words]


def needed(*programs: str) -> None:
    """Tell a person that this did not run; in CI that is a failure."""
    missing = [program for program in programs if not shutil.which(program)]
    if not missing:
        return
    reason = f"NOT RUN: {', '.join(missing)} is not installed: sudo apt-get install buildah"
    if os.environ.get("CI") and not os.environ.get("ACT"):  # act runs on a person's machine
        pytest.fail(reason)
    pytest.skip(reason)


def buildah(*words: str) -> str:
    return subprocess.run(["buildah", *words], capture_output=True, text=True, check=True).stdout.strip()


def write_release(folder: Path) -> Path:
    """Seal a release whose model multiplies a number by three."""
    release = folder / "20260102-0123abcd"
    release.mkdir(parents=True)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    three = helper.make_tensor("three", TensorProto.FLOAT, [1], [3.0])
    graph = helper.make_graph([helper.make_node("Mul", ["x", "three"], ["y"])], "model", [x], [y], [three])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (release / "model.onnx").write_bytes(model.SerializeToString())
    contracts = {"input_contract": "features 1.0.0", "output_contract": "predictions 1.0.0"}
    sides = {"inputs": [{"name": "x", "type": "number"}], "outputs": [{"name": "y", "type": "number"}]}
    schema = {"format": 1, "pipeline": "small", "title": "Three times as much", **contracts, **sides}
    golden = {"tolerance": 1e-6, "rows": [{"slices": [], "input": {"x": 2.0}, "output": {"y": 6.0}}]}
    (release / "schema.json").write_text(json.dumps(schema), encoding="utf-8")
    (release / "golden.json").write_text(json.dumps(golden), encoding="utf-8")
    seal(release)
    return release


def libraries(*programs: Path) -> Iterator[Path]:
    """List the shared libraries of the system that programs need, the loader included."""
    for program in programs:
        said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        yield from (Path(found) for found in re.findall(r"(?:=> |^\t)(/\S+) \(0x", said, flags=re.MULTILINE))


def write_bases(folder: Path) -> dict[str, Path]:
    """Make what stands in for the two images that the Dockerfile starts from, out of what runs here."""
    uv = shutil.which("uv")
    assert uv
    (folder / "uv").mkdir()
    shutil.copy(Path(uv).resolve(), folder / "uv/uv")
    base = folder / "python"
    stdlib = Path(sysconfig.get_path("stdlib"))
    left_out = shutil.ignore_patterns("site-packages", "test", "tests", "idlelib", "tkinter", "config-*", "__pycache__")
    shutil.copytree(stdlib, base / "usr/local/lib" / stdlib.name, ignore=left_out)
    (base / "usr/local/bin").mkdir()
    program = Path(sys.executable).resolve()
    shutil.copy(program, base / "usr/local/bin/python")
    carried = [
        Path(spec.origin).parent for name in ("onnxruntime", "granian") if (spec := find_spec(name)) and spec.origin
    ]
    native = [path for place in (stdlib / "lib-dynload", *carried) for path in place.rglob("*.so*")]
    own = [place.parent for place in carried]
    for library in libraries(program, Path(uv).resolve(), *native):
        if any(library.is_relative_to(place) for place in own):
            continue
        target = base / (str(library).lstrip("/") if "ld-" in library.name else f"usr/lib/{library.name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
    for name in ("lib", "tmp", "etc/ssl/certs", "etc/uv"):
        (base / name).mkdir(parents=True, exist_ok=True)
    (base / "tmp").chmod(0o1777)
    certificates = Path("/etc/ssl/certs/ca-certificates.crt")
    if certificates.is_file():
        shutil.copy(certificates, base / certificates.relative_to("/"))
    (base / "etc/uv/uv.toml").write_text('cache-dir = "/cache"\n', encoding="utf-8")
    return {"uv": folder / "uv", "python": base}


def put_bases_in(recipe: Path, names: dict[str, str]) -> None:
    """Put other bases into a Dockerfile, in place of those that it pins."""
    text = recipe.read_text(encoding="utf-8")
    for stage, image in names.items():
        text, times = re.subn(
            rf"^FROM \S+@sha256:[0-9a-f]{{64}} AS {stage}$", f"FROM {image} AS {stage}", text, flags=re.MULTILINE
        )
        assert times == 1
    recipe.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """A folder with a store of its own for buildah: plain folders, and no container engine under it."""
    needed("buildah", "ldd")
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="onebutton-image-", ignore_cleanup_errors=True) as name,
    ):
        folder = Path(name)
        folder.chmod(0o755)
        places = f'graphroot = "{folder}/store"\nrunroot = "{folder}/run"\n'
        (folder / "storage.conf").write_text(f'[storage]\ndriver = "vfs"\n{places}', encoding="utf-8")
        patch.setenv("CONTAINERS_STORAGE_CONF", str(folder / "storage.conf"))
        patch.setenv("BUILDAH_ISOLATION", "chroot")
        try:
            yield folder
        finally:
            buildah("rm", "--all")
            buildah("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def image(scratch: Path) -> Built:
    """The image, built twice from what `make image` lays out."""
    bases = write_bases(scratch)
    for stage, folder in bases.items():
        (scratch / "Dockerfile").write_text("FROM scratch\nCOPY . /\n", encoding="utf-8")
        buildah("build", "--file", str(scratch / "Dockerfile"), "--tag", f"localhost/{stage}-here", str(folder))
    cache = subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    release = write_release(scratch / "place/small")
    context = scratch / "context"
    write_context(ROOT, release, context)
    put_bases_in(context / "Dockerfile", {stage: f"localhost/{stage}-here" for stage in bases})
    layers = []
    for _ in range(2):
        how = ["--timestamp", "1700000000", "--format", "docker", "--volume", f"{cache}:/cache"]
        buildah("build", *how, "--tag", "small", str(context))
        says = json.loads(buildah("inspect", "--type", "image", "small"))["Docker"]
        layers.append(says["rootfs"]["diff_ids"])
    return Built(labels(ROOT, release), buildah("from", "small"), says["config"], (layers[0], layers[1]))


@pytest.fixture(scope="module")
def inside(image: Built) -> dict[str, Any]:
    """What the server's user finds in the container."""
    done = subprocess.run(image.command("python", "-c", LOOK), capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextlib.contextmanager
def served(image: Built, port: int) -> Iterator[int]:
    """Start what the image starts; chroot isolation has the machine's own network."""
    command = image.command(*image.config["Entrypoint"], port=port)
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as program:
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and program.poll() is None:
                with (
                    contextlib.suppress(OSError),
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5),
                ):
                    break
                time.sleep(0.1)
            else:
                program.kill()
                pytest.fail(f"the server did not start: {program.communicate()[0].decode()}")
            yield port
        finally:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGTERM)


def test_the_server_in_it_predicts(image: Built, free_port: Callable[[], int]) -> None:
    with served(image, free_port()) as port:
        body = json.dumps({"rows": [{"x": 7.0}]}).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/predict", body, headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert 21.0 in json.loads(answer.read())["predictions"][0].values()
        check = image.config["Healthcheck"]["Test"]
        assert check[0] == "CMD"
        assert subprocess.run(image.command(*check[1:], port=port), check=False).returncode == 0
    assert subprocess.run(image.command(*check[1:], port=port), capture_output=True, check=False).returncode == 1


def test_nothing_in_it_runs_as_root_or_can_be_written_but_the_state(image: Built, inside: dict[str, Any]) -> None:
    assert image.config["User"] == SERVER_USER
    assert inside["user"] == [int(number) for number in SERVER_USER.split(":")]
    assert set(image.config["Volumes"]) == {"/srv/state"}
    assert {path for path in inside["writable"] if not path.startswith("/srv/state/")} == {"/srv/state", "/tmp"}  # noqa: S108


def test_it_holds_the_release_and_what_serves_it_and_nothing_else(image: Built, inside: dict[str, Any]) -> None:
    packages = {Path(path).name for path in inside["there"] if Path(path).parent.name == "site-packages"}
    assert {"onebutton_serving", "onebutton_models", "onnxruntime"} <= packages
    assert not packages & {"mlflow", "sklearn", "lightgbm", "dvc", "pandas", "pytest", "mypy", "pip", "onnx", "boto3"}
    assert {name for name in packages if name.startswith("onebutton_") and "." not in name} == {
        "onebutton_serving",
        "onebutton_models",
    }
    assert f"/srv/release/{image.labels['VERSION']}/MANIFEST.sha256" in inside["there"]
    programs = {Path(path).name for path in inside["there"] if "/bin/" in path}
    assert not programs & {"uv", "uvx", "gcc", "cc", "make"}
    assert not [path for path in inside["there"] if path.startswith(("/cache", "/build", "/root"))]


def test_nothing_in_it_reports_to_anybody(image: Built, free_port: Callable[[], int]) -> None:
    assert "ORT_DISABLE_TELEMETRY=1" in image.config["Env"]
    with served(
        image, free_port()
    ):  # else an identifier of the machine is written beside the user's caches, and its absence is told
        state = subprocess.run(image.command("python", "-c", LOOK), capture_output=True, text=True, check=True).stdout
    assert not [path for path in json.loads(state)["there"] if "deviceid" in path.lower()]


def test_it_says_what_it_is(image: Built) -> None:
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in image.config["Labels"].items()}
    assert labels["title"] == "small"
    assert labels["version"] == image.labels["VERSION"]
    assert labels["revision"] == image.labels["REVISION"]
    assert labels["source"] == image.labels["SOURCE"]


def test_the_same_sources_make_the_same_layers(image: Built) -> None:
    first, second = image.layers
    assert first == second
