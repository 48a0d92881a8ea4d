"""The container that Codespaces opens has what the buttons need, and says nothing that its schema does not know."""

import json
import re
from typing import Any

import pytest

from onebutton_workbench.workspace import ROOT

FOLDER = ROOT / ".devcontainer"
# Of what containers.dev/implementors/json_reference lets in, what is used here, and its type.
KNOWN = {
    "name": str,
    "build": dict,
    "remoteUser": str,
    "hostRequirements": dict,
    "postCreateCommand": str,
    "forwardPorts": list,
    "portsAttributes": dict,
}
KNOWN_BELOW = {
    "build": {"dockerfile"},
    "hostRequirements": {"cpus", "memory", "storage"},
}


@pytest.fixture
def said() -> dict[str, Any]:
    """The file is JSON with comments, each on a line of its own."""
    text = (FOLDER / "devcontainer.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(re.sub(r"^ *//.*$", "", text, flags=re.MULTILINE))
    return content


def test_every_key_is_one_of_the_specification_and_of_its_type(said: dict[str, Any]) -> None:
    assert [key for key, value in said.items() if not isinstance(value, KNOWN.get(key, ()))] == []
    assert [key for key, inner in KNOWN_BELOW.items() if set(said[key]) - inner] == []
    assert [port for port in said["forwardPorts"] if not isinstance(port, int) or not 0 < port < 65536] == []
    for port, attributes in said["portsAttributes"].items():
        assert re.fullmatch(r"\d+(-\d+)?", port)
        assert set(attributes) <= {"label", "onAutoForward"}
        assert attributes["onAutoForward"] in {
            "notify",
            "openBrowser",
            "openBrowserOnce",
            "openPreview",
            "silent",
            "ignore",
        }
    for amount in ("memory", "storage"):
        assert re.fullmatch(r"\d+([tgmk]b)?", said["hostRequirements"][amount])


def test_what_it_presses_is_a_button_and_what_it_builds_is_there(said: dict[str, Any]) -> None:
    button = said["postCreateCommand"].removeprefix("make ")
    assert re.search(rf"^{button}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert (FOLDER / said["build"]["dockerfile"]).is_file()


def test_its_python_is_the_pinned_one_that_the_server_runs_on() -> None:
    pinned = re.compile(r"^FROM (docker\.io/library/python:\S+@sha256:[0-9a-f]{64})", re.MULTILINE)
    ours, served = (
        pinned.findall((ROOT / file).read_text(encoding="utf-8"))
        for file in (".devcontainer/Dockerfile", "deploy/serving/Dockerfile")
    )
    assert ours == served != []
