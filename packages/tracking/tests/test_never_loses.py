"""MLflow away, slow, full or new; mirrors killed, or eight at once: nothing is lost and nothing is there twice."""

from __future__ import annotations

import fcntl
import os
import random
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packages.tracking.tests.conftest import client, mlflow_server, runs

from onebutton_tracking import entry, model
from onebutton_tracking import mirror as mirror_module
from onebutton_tracking.mirror import mirror, mirror_all
from onebutton_tracking.store import (
    LOCK_TAG,
    PIPELINE_TAG,
    StoreError,
    at_most,
    connect,
    tracking_uri,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def environment(**more: str) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("MLFLOW_", "GIT_", "COV_"))}
    return kept | more


MIRROR = """
import os, sys
from pathlib import Path
from onebutton_contracts.errors import run_stage
from onebutton_tracking.mirror import mirror_all
from onebutton_tracking.store import tracking_uri

def main():
    folders = sorted(Path.cwd().glob("pipelines/*"))
    status = mirror_all(folders, tracking_uri(Path.cwd()), after_run="after-run" in sys.argv)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # threads of MLflow that still wait for a server would hold the program

run_stage(main)
"""


def start(
    folder: Path, *arguments: str, before: Callable[[], None] | None = None, **more: str
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MIRROR, *arguments],
        cwd=folder.parents[1],
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=before,  # noqa: PLW1509  the child sets its own limits
    )


def press(folder: Path, *arguments: str, before: Callable[[], None] | None = None, **more: str) -> tuple[int, str]:
    """Bring results into MLflow, with `after-run` as `make run` does; return the exit status and what was printed."""
    with start(folder, *arguments, before=before, **more) as program:
        printed, _ = program.communicate(timeout=300)
    assert "Traceback" not in printed, printed
    return program.returncode, printed


def check_whole(uri: str) -> None:
    """Everything is there, once."""
    (run,) = runs(uri)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["model.auc"] == 0.75
    assert len(client(uri).get_metric_history(run.info.run_id, "curves/by_month.auc")) == 2
    assert {item.path for item in client(uri).list_artifacts(run.info.run_id)} >= {"plots", "sources"}
    assert len(client(uri).search_model_versions("name = 'demo'")) == 1
    models = client(uri).search_logged_models([run.info.experiment_id])
    assert [str(logged.status) for logged in models] == ["READY"]


def closed(folder: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    del folder
    yield f"http://127.0.0.1:{port}"


def silent(folder: Path) -> Iterator[str]:
    del folder
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes the call and never answers
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def no_database(folder: Path) -> Iterator[str]:
    del folder
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield f"postgresql://nobody@127.0.0.1:{port}/mlflow"


def unwritable(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder}/no/such/folder/mlflow.db"


@pytest.mark.parametrize("trouble", [closed, pytest.param(silent, marks=pytest.mark.slow), no_database, unwritable])
def test_mlflow_away_fails_no_run_and_says_so_in_a_line(
    pipeline: Path, trouble: Callable[[Path], Iterator[str]]
) -> None:
    for uri in trouble(pipeline):
        begun = time.monotonic()
        status, printed = press(pipeline, "after-run", MLFLOW_TRACKING_URI=uri)
        assert time.monotonic() - begun < 20
        assert status == 0
        (line,) = printed.splitlines()
        assert line.startswith("run: MLflow is behind: ")
        assert "the next `make run` brings them later" in line
        assert press(pipeline, MLFLOW_TRACKING_URI=uri)[0] == 1  # who only wants to track is told with the status too


def test_a_password_is_not_shown(pipeline: Path) -> None:
    for uri in no_database(pipeline):
        _, printed = press(pipeline, MLFLOW_TRACKING_URI=uri.replace("nobody@", "nobody:hush@"))
        assert "hush" not in printed


@pytest.mark.slow
@pytest.mark.parametrize("limit", [4_000, 100_000, 500_000])
def test_a_full_disk_fails_no_run_and_the_next_press_completes_it(pipeline: Path, limit: int) -> None:
    def full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    status, printed = press(pipeline, "after-run", before=full, PYTHONDONTWRITEBYTECODE="1")  # half a .pyc would stay
    assert status == 0
    assert "run: MLflow is behind: " in printed
    assert press(pipeline)[0] == 0
    check_whole(tracking_uri(pipeline.parents[1]))


@pytest.mark.slow
def test_a_database_of_a_newer_mlflow_is_named_and_left_as_it_is(pipeline: Path) -> None:
    press(pipeline)
    file = pipeline.parents[1] / "mlflow.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'fffffffffff0'")
        database.execute("DELETE FROM tags")  # else there is nothing to say, and MLflow is not asked
        database.commit()
    status, printed = press(pipeline, "after-run")
    assert status == 0
    assert "another version of MLflow" in printed


@pytest.mark.slow
def test_mlflow_that_takes_too_long_fails_no_run(
    pipeline: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = pipeline.parents[1]
    with connect(tracking_uri(root)):  # MLflow is imported whole: an import that is cut off half-way breaks later tests
        pass
    monkeypatch.setattr(mirror_module, "PATIENCE", 0.3)
    with (root / "mlflow.db.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # another mirror writes, for ever
        assert mirror_all([pipeline], tracking_uri(root), after_run=True) == 0
    assert "did not finish within 0.3 seconds" in capsys.readouterr().err


def test_a_limit_that_was_kept_is_forgotten() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with at_most(30, ""):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) is before


class Finalised:
    def __del__(self) -> None:
        time.sleep(0.4)  # the first alarm is raised in here, where Python only prints it


def wait_for_ever_after_a_finaliser() -> None:
    with at_most(0.2, ""):
        Finalised()
        time.sleep(30)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_limit_whose_first_alarm_is_lost_in_a_finaliser_still_holds() -> None:
    begun = time.monotonic()
    with pytest.raises(StoreError):
        wait_for_ever_after_a_finaliser()
    assert time.monotonic() - begun < 10


@pytest.mark.slow
def test_a_mirror_killed_at_any_moment_is_completed_by_the_next(pipeline: Path) -> None:
    """Fifteen mirrors, each of other results, are killed at a random moment; then each lock comes back once more."""
    uri = tracking_uri(pipeline.parents[1])
    assert press(pipeline)[0] == 0
    lock = pipeline / "dvc.lock"
    text = lock.read_text(encoding="utf-8")

    def leave(number: int) -> None:
        lock.write_text(text.replace("rate: 0.1", f"rate: {number}"), encoding="utf-8")

    leave(99)
    begun = time.monotonic()
    assert press(pipeline)[0] == 0
    whole = time.monotonic() - begun
    chance, killed = random.Random(2013), 0  # noqa: S311
    for number in range(15):
        leave(number)
        with start(pipeline, *["after-run"] * (number % 2)) as program:
            try:
                program.wait(whole * (0.3 + 0.7 * chance.random()))
                whole *= 0.8  # it had ended: the machine is less busy than when that was measured
            except subprocess.TimeoutExpired:
                killed += 1
            program.kill()
    assert killed >= 5
    for number in range(15):
        leave(number)
        mirror(pipeline, uri)
    found = runs(uri)
    assert sorted(run.data.params["train.rate"] for run in found) == sorted(["0.1", "99", *map(str, range(15))])
    assert {run.info.status for run in found} == {"FINISHED"}
    for run in found:
        assert len(client(uri).get_metric_history(run.info.run_id, "curves/by_month.auc")) == 2
        assert {item.path for item in client(uri).list_artifacts(run.info.run_id)} == {"plots", "sources"}
    assert len(client(uri).search_model_versions("name = 'demo'")) == 1
    assert len(client(uri).search_logged_models([found[0].info.experiment_id])) == 1


def seconds_of_a_press_with_nothing_to_say(pipeline: Path, uri: str) -> float:
    """Return the least of some presses: the machine may still be busy with what came before."""
    taken: list[float] = []
    while len(taken) < 5 and min(taken, default=2.0) >= 2:
        begun = time.monotonic()
        assert "already" in press(pipeline, "after-run", MLFLOW_TRACKING_URI=uri)[1]
        taken.append(time.monotonic() - begun)
    return min(taken)


def at_once(pipeline: Path, uri: str, *, machines: bool = False) -> list[str]:
    """Start eight mirrors; return what each printed."""
    places = [pipeline.parents[1] / f"machine-{number if machines else 0}" for number in range(8)]
    for place in places:
        place.mkdir(exist_ok=True)  # for temporary files: nothing in another one keeps a mirror out
    started = [start(pipeline, "after-run", MLFLOW_TRACKING_URI=uri, TMPDIR=str(place)) for place in places]
    printed = [program.communicate(timeout=600)[0] for program in started]
    assert [program.returncode for program in started] == [0] * 8, "\n".join(printed)
    return printed


@pytest.mark.usefixtures("uri")
def test_a_run_that_another_machine_deletes_while_it_is_written_is_told_in_a_line_and_written_by_the_next_press(
    pipeline: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uri, write = tracking_uri(pipeline.parents[1]), entry.log_values

    def meet_another(store: MlflowClient, run: Run, *values: Any) -> None:
        store.delete_run(run.info.run_id)
        write(store, run, *values)

    with monkeypatch.context() as patched:
        patched.setattr(entry, "log_values", meet_another)
        assert mirror_all([pipeline], uri, after_run=True) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("run: MLflow is behind: ")
    assert "demo -> MLflow run" in mirror(pipeline, uri)
    check_whole(uri)


def while_the_model_is_logged(monkeypatch: pytest.MonkeyPatch, happens: Callable[[MlflowClient], None]) -> None:
    """Let something happen once, as by a mirror on another machine, which no lock keeps out."""
    logged, once = model._logged, list[bool]()

    def meet(store: MlflowClient, *more: Any) -> str:
        identity = logged(store, *more)
        if not once:
            once.append(True)
            happens(store)
        return identity

    monkeypatch.setattr(mirror_module, "alone", lambda _: nullcontext())
    monkeypatch.setattr(model, "_logged", meet)


@pytest.mark.usefixtures("uri")
def test_a_mirror_that_comes_second_leaves_the_model_that_both_took_up(
    pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two mirrors of one run: the second finds the first one's model logged, and makes its version after the first has."""
    uri = tracking_uri(pipeline.parents[1])
    while_the_model_is_logged(monkeypatch, lambda _: print(mirror(pipeline, uri)))
    assert "demo -> MLflow run" in mirror(pipeline, uri)
    check_whole(uri)


@pytest.mark.usefixtures("uri")
def test_what_a_mirror_had_logged_of_the_model_before_its_run_was_deleted_goes(
    pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = tracking_uri(pipeline.parents[1])

    def meet_another(store: MlflowClient) -> None:
        (run,) = runs(uri)
        store.delete_run(run.info.run_id)
        assert "version 1" in mirror(pipeline, uri)

    while_the_model_is_logged(monkeypatch, meet_another)
    with pytest.raises(StoreError, match="refused"):
        mirror(pipeline, uri)
    assert "already" in mirror(pipeline, uri)
    check_whole(uri)


@pytest.mark.usefixtures("uri")
def test_a_run_that_another_machine_began_earlier_and_finished_later_is_the_one_that_stays(pipeline: Path) -> None:
    uri = tracking_uri(pipeline.parents[1])
    mirror(pipeline, uri)
    (mine,) = runs(uri)
    tags = {tag: mine.data.tags[tag] for tag in (LOCK_TAG, PIPELINE_TAG)}
    older = client(uri).create_run(mine.info.experiment_id, mine.info.start_time - 1000, tags)
    assert f"demo -> MLflow run {older.info.run_id[:8]}" in mirror(pipeline, uri)
    assert [run.info.run_id for run in runs(uri)] == [older.info.run_id]
    check_whole(uri)
    (run,) = runs(uri)
    assert run.data.tags["onebutton.model"] == "demo/1"


@pytest.mark.usefixtures("uri")
def test_a_run_that_a_mirror_left_behind_goes_with_the_next_press(pipeline: Path) -> None:
    """It was killed, or refused, while another finished the same."""
    uri = tracking_uri(pipeline.parents[1])
    mirror(pipeline, uri)
    (whole,) = runs(uri)
    tags = {tag: whole.data.tags[tag] for tag in (LOCK_TAG, PIPELINE_TAG)}
    left = client(uri).create_run(whole.info.experiment_id, tags=tags)
    assert "already" in mirror(pipeline, uri)
    assert left.info.status == "RUNNING"
    assert [run.info.run_id for run in runs(uri)] == [whole.info.run_id]
    check_whole(uri)


@pytest.mark.usefixtures("uri")
def test_a_run_that_registered_the_model_is_finished_although_another_is_whole(pipeline: Path) -> None:
    uri = tracking_uri(pipeline.parents[1])
    mirror(pipeline, uri)
    (owner,) = runs(uri)
    tags = {tag: owner.data.tags[tag] for tag in (LOCK_TAG, PIPELINE_TAG)}
    other = client(uri).create_run(owner.info.experiment_id, tags=tags)
    client(uri).set_terminated(other.info.run_id, "FINISHED")
    client(uri).update_run(owner.info.run_id, status="RUNNING")  # as a killed process leaves it
    assert "demo -> MLflow run" in mirror(pipeline, uri)
    assert [run.info.run_id for run in runs(uri)] == [owner.info.run_id]
    check_whole(uri)


@pytest.mark.usefixtures("uri")
def test_a_version_that_somebody_has_chosen_is_not_tidied_away(pipeline: Path) -> None:
    """Eight mirrors meet within seconds, yet a person may be quicker than the last of them."""
    uri = tracking_uri(pipeline.parents[1])
    mirror(pipeline, uri)
    store = client(uri)
    (first,) = store.search_model_versions("name = 'demo'")
    twice = [store.create_model_version("demo", str(first.source), first.run_id, tags=first.tags) for _ in range(2)]
    store.set_registered_model_alias("demo", "champion", str(twice[0].version))
    (run,) = runs(uri)
    model.keep_one_version(store, run.info.experiment_id, "demo", first.tags[model.MODEL_TAG])
    assert sorted(int(found.version) for found in store.search_model_versions("name = 'demo'")) == [1, 2]
    assert len(store.search_logged_models([run.info.experiment_id])) == 1


@pytest.mark.slow
def test_eight_mirrors_at_once_into_one_sqlite_file(pipeline: Path) -> None:
    at_once(pipeline, tracking_uri(pipeline.parents[1]))
    check_whole(tracking_uri(pipeline.parents[1]))


@pytest.mark.slow
def test_eight_mirrors_at_once_into_one_postgresql(
    pipeline: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pipeline.parents[1])  # artifacts of a database without a server lie beside it
    at_once(pipeline, postgresql)
    check_whole(postgresql)
    assert seconds_of_a_press_with_nothing_to_say(pipeline, postgresql) < 2  # without MLflow


@pytest.mark.slow
@pytest.mark.parametrize("machines", [False, True])
def test_eight_mirrors_at_once_into_one_server_are_one_run_after_the_next_press(
    pipeline: Path, server: str, *, machines: bool
) -> None:
    printed = at_once(pipeline, server, machines=machines)
    assert all(line.startswith(("run: demo ", "run: MLflow is behind: ")) for line in printed)
    assert [text.count("\n") for text in printed] == [1] * 8  # each is told in a line
    if not machines:
        check_whole(server)
    press(pipeline, MLFLOW_TRACKING_URI=server)  # what machines wrote in the same moment is settled now
    check_whole(server)
    assert seconds_of_a_press_with_nothing_to_say(pipeline, server) < 2


@pytest.mark.slow
def test_a_server_that_restarts_while_a_run_is_written_loses_nothing(
    pipeline: Path, tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    write, store, port = entry._log_inputs, f"sqlite:///{tmp_path}/server.db", free_port()

    def after_the_server_went(*told: Any) -> None:
        server.__exit__(None, None, None)
        write(*told)

    server = mlflow_server(store, tmp_path / "server", port)
    with monkeypatch.context() as patched:
        patched.setattr(entry, "_log_inputs", after_the_server_went)
        with pytest.raises(StoreError, match="refused"):
            mirror(pipeline, server.__enter__())
    with mlflow_server(store, tmp_path / "server", port) as address:
        assert "demo -> MLflow run" in mirror(pipeline, address)
        check_whole(address)
