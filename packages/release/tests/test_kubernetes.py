import json
import os
import re
import shutil
import subprocess
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
BASE = ROOT / "deploy/kubernetes"
MANIFESTS = sorted(path for path in BASE.glob("*.yaml") if path.name != "kustomization.yaml")
DOCKERFILE = (ROOT / "deploy/serving/Dockerfile").read_text(encoding="utf-8")
LABEL = {"app.kubernetes.io/name": "onebutton-serving"}
PINNED = re.compile(r"sha256:[0-9a-f]{64}")
MISTAKES = {
    "readinesProbe": ("readinessProbe", "readinesProbe"),
    "runAsNonroot": ("runAsNonRoot", "runAsNonroot"),
    "replicas": ("replicas: 2", "replicas: two"),
    "kind": ("kind: Deployment", "kind: Deployments"),
    "apiVersion": ("apps/v1", "apps/v7"),
}


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def not_run(reason: str) -> None:
    """Tell a person that a test did not run; in CI that is a failure."""
    if os.environ.get("CI") and not os.environ.get("ACT"):  # act runs on a person's machine
        pytest.fail(f"NOT RUN: {reason}")
    pytest.skip(f"NOT RUN: {reason}")


def refused(content: dict[str, Any]) -> str:
    """Hold a manifest to the schemas of Kubernetes, keys that they do not know refused; empty when they take it."""
    if not find_spec("kubernetes_validate"):
        not_run("kubernetes-validate is not installed. `make test SLOW=1` brings it")
    kubernetes = import_module("kubernetes_validate")  # by name: types are checked without it
    try:
        kubernetes.validate(content, kubernetes.latest_version(), strict=True)
    except (kubernetes.ValidationError, kubernetes.SchemaNotFoundError) as error:
        words: str = error.message
        return words
    return ""


@pytest.fixture(scope="module")
def pod() -> dict[str, Any]:
    spec: dict[str, Any] = read(BASE / "deployment.yaml")["spec"]["template"]["spec"]
    return spec


@pytest.fixture(scope="module")
def server(pod: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod["containers"]
    found: dict[str, Any] = container
    return found


def test_kustomize_is_told_of_every_file() -> None:
    assert sorted(read(BASE / "kustomization.yaml")["resources"]) == [path.name for path in MANIFESTS]


def test_the_image_is_named_by_digest_and_never_by_tag(server: dict[str, Any]) -> None:
    (image,) = read(BASE / "kustomization.yaml")["images"]
    assert image["name"] == server["image"]
    assert PINNED.fullmatch(image["digest"])
    assert "newTag" not in image
    assert ":latest" not in "".join(path.read_text(encoding="utf-8") for path in BASE.glob("*.yaml"))


def test_a_pod_gets_requests_once_its_release_is_checked_and_is_not_killed_for_being_busy(
    server: dict[str, Any],
) -> None:
    paths = {name: server[name]["httpGet"]["path"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert paths == {
        "startupProbe": "/health/ready",
        "readinessProbe": "/health/ready",
        "livenessProbe": "/health/live",
    }
    assert {server[name]["httpGet"]["port"] for name in paths} == {"http"}


def test_no_old_pod_goes_before_a_new_one_is_ready(pod: dict[str, Any], server: dict[str, Any]) -> None:
    spec = read(BASE / "deployment.yaml")["spec"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert spec["replicas"] > 1
    assert spec["revisionHistoryLimit"] > 1
    assert server["lifecycle"]["preStop"]["sleep"]["seconds"] < pod["terminationGracePeriodSeconds"]


def test_a_pod_may_do_nothing_that_it_does_not_need(pod: dict[str, Any], server: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    own = server["securityContext"]
    assert own["readOnlyRootFilesystem"] is True
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert set(server["resources"]["limits"]) == {"cpu", "memory"} == set(server["resources"]["requests"])


def test_the_pod_and_the_image_agree(pod: dict[str, Any], server: dict[str, Any]) -> None:
    user, group = (pod["securityContext"][name] for name in ("runAsUser", "runAsGroup"))
    assert f"\nUSER {user}:{group}\n" in DOCKERFILE
    assert f"\nEXPOSE {server['ports'][0]['containerPort']}\n" in DOCKERFILE
    volumes = {mount["mountPath"]: mount["name"] for mount in server["volumeMounts"]}
    assert set(volumes) == {"/srv/state", "/tmp"}  # noqa: S108  the only ones that can be written
    assert "\nVOLUME /srv/state\n" in DOCKERFILE
    assert {volume["name"] for volume in pod["volumes"] if "sizeLimit" in volume["emptyDir"]} == set(volumes.values())


def test_everything_selects_these_pods_and_no_others() -> None:
    kinds = {(content := read(path))["kind"]: content["spec"] for path in MANIFESTS}
    selectors = [
        kinds["Deployment"]["selector"]["matchLabels"],
        kinds["Deployment"]["template"]["metadata"]["labels"],
        kinds["Service"]["selector"],
        kinds["PodDisruptionBudget"]["selector"]["matchLabels"],  # an empty one would mean every pod of the namespace
        kinds["NetworkPolicy"]["podSelector"]["matchLabels"],
    ]
    assert selectors == [LABEL] * len(selectors)


@pytest.mark.slow
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_kubernetes_takes_every_manifest(path: Path) -> None:
    assert refused(read(path)) == ""


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_manifest_is_refused(mistake: str) -> None:
    right, wrong = MISTAKES[mistake]
    text = (BASE / "deployment.yaml").read_text(encoding="utf-8")
    assert right in text
    assert refused(yaml.safe_load(text.replace(right, wrong))) != ""


@pytest.mark.slow
def test_the_folder_that_the_page_shows_starts_from_the_base(tmp_path: Path) -> None:
    if not shutil.which("kubectl"):
        not_run("kubectl is not installed: https://kubernetes.io/docs/tasks/tools/")
    (block,) = re.findall(
        r"```yaml\n(.*?)```", (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8"), flags=re.DOTALL
    )
    shutil.copytree(BASE, tmp_path / "kubernetes")
    (tmp_path / "flights").mkdir()
    (tmp_path / "flights/kustomization.yaml").write_text(block, encoding="utf-8")
    command = ["kubectl", "kustomize", str(tmp_path / "flights")]
    built = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = {content["kind"]: content for content in yaml.safe_load_all(built)}
    assert [refused(content) for content in found.values()] == [""] * len(MANIFESTS)
    container = found["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert re.fullmatch(r"ghcr\.io/\S+/flight_delays@sha256:[0-9a-f]{64}", container["image"])
    names = {content["metadata"]["name"] for content in found.values()}
    assert names == {"flights-model"}
    instance = {"app.kubernetes.io/instance": "flights"}
    for selector in (
        found["Deployment"]["spec"]["selector"]["matchLabels"],
        found["Service"]["spec"]["selector"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector == LABEL | instance, json.dumps(selector)
