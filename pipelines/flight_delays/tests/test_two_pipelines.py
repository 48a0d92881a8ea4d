"""A second pipeline beside the sample, both deployed and served on one machine, as a team does on its first day."""

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from pipelines.flight_delays.tests.test_ship import Server, golden, measure

pytestmark = pytest.mark.slow
SECOND = f"churn_{os.getpid()}"  # its name makes its port, which another test on this machine must not have


def history(newcomer: Any, pipeline: str) -> list[tuple[str, str]]:
    files = sorted((newcomer.clone / f".releases/{pipeline}/history").glob("*.json"))
    return [(move["action"], move["before"]) for move in (json.loads(file.read_bytes()) for file in files)]


def test_the_second_pipeline_is_deployed_and_served_while_the_first_is(
    trained: Any, free_port: Callable[[], int]
) -> None:
    first = free_port()
    trained.edit("pipelines/flight_delays/release.toml", "port = 8000", f"port = {first}")
    trained.call("make", "new-pipeline", f"NAME={SECOND}")
    trained.edit(f"pipelines/{SECOND}/pyproject.toml", "draft = true", "")
    trained.call("make", "run", f"PIPELINE={SECOND}")
    trained.call("git", "add", "--all")
    trained.call("git", "commit", "--quiet", "--no-verify", "--message", "a second pipeline")
    for pipeline in ("flight_delays", SECOND):
        measure(trained, pipeline)

    said = trained.call("make", "deploy", "PIPELINE=flight_delays")
    assert (
        f"`make serve PIPELINE=flight_delays` serves it on http://127.0.0.1:{first}. Next: make run, which compares with "
        in said
    )
    one = Server(trained, first)
    try:
        one.wait()
        said = trained.call("make", "deploy", f"PIPELINE={SECOND}")
        assert history(trained, SECOND) == [("deploy", "")]
        address = said.rpartition(" serves it on ")[2].partition(". Next")[0]
        second = int(address.rpartition(":")[2])
        assert second != first
        assert f"no server runs at {address} yet" in said
        two = Server(trained, second, SECOND)
        try:
            two.wait()
            both = [server.get("/v1/model")["pipeline"] for server in (one, two)]
            assert both == ["flight_delays", SECOND]
            assert one.predict(golden(trained)["input"])["version"] == one.get("/v1/model")["version"]
            assert f"{address} has " in trained.call("make", "deploy", f"PIPELINE={SECOND}")
            said = trained.refused("make", "serve", f"PIPELINE={SECOND}", f"PORT={first}")
            assert "Address already in use; PORT= (--port) takes another" in said
        finally:
            two.stop()
    finally:
        one.stop()
    assert history(trained, "flight_delays") == [("deploy", "")]
