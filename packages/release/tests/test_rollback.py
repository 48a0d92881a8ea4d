import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from onebutton_contracts.errors import InputError
from onebutton_release.moves import rollback
from onebutton_release.target import Target, find_target
from onebutton_serving.history import Move, last_move, record
from onebutton_serving.release_store import ReleaseStore, ReleaseStoreError

A, B, C = "20261101-aaaaaaaa", "20261102-bbbbbbbb", "20261103-cccccccc"
Deployed = Callable[[str], None]


def in_service(target: Target) -> str:
    last = last_move(target.store)
    return last.after if last else ""


def moves(target: Target) -> list[Path]:
    return sorted((Path(target.store.url) / "history").iterdir())


def test_going_back_takes_the_release_before_and_says_so_in_the_history(target: Target, deployed: Deployed) -> None:
    deployed(A)
    deployed(B)
    assert rollback(target, why="every flight is late, it says").after == A
    assert in_service(target) == A
    last = json.loads(moves(target)[-1].read_bytes())
    assert (last["action"], last["before"], last["after"]) == ("rollback", B, A)
    assert (last["who"], last["known_by"], last["why"]) == ("ann@acme.example", "git", "every flight is late, it says")


def test_going_back_twice_never_returns_to_the_release_that_was_left(target: Target, deployed: Deployed) -> None:
    for version in (A, B, C):
        deployed(version)
    assert rollback(target, why="bad").after == B
    assert rollback(target, why="worse").after == A
    with pytest.raises(InputError, match="is the first release of flights in local: there is nothing to go back to"):
        rollback(target, why="even this")
    deployed(C)
    assert rollback(target, why="bad again").after == A


def test_a_damaged_release_is_refused_and_the_next_whole_one_is_named(target: Target, deployed: Deployed) -> None:
    for version in (A, B, C):
        deployed(version)
    model = target.root / "releases/flights" / B / "model.onnx"
    model.chmod(0o644)
    model.write_bytes(b"flipped")
    with pytest.raises(InputError) as refused:
        rollback(target, why="bad")
    assert f"release {B} is damaged: model.onnx was changed, so {C} stays in service" in str(refused.value)
    assert f"ENV=local TO={A} WHY=" in str(refused.value)
    assert in_service(target) == C
    assert rollback(target, version=A, why="bad").after == A


def test_without_a_reason_nothing_moves(target: Target, deployed: Deployed) -> None:
    deployed(A)
    deployed(B)
    with pytest.raises(InputError, match="say why"):
        rollback(target, why=" ")
    assert in_service(target) == B


def test_a_release_that_was_never_in_service_is_no_place_to_go_back_to(target: Target, deployed: Deployed) -> None:
    deployed(A)
    deployed(B)
    with pytest.raises(InputError, match=f"{C} is not among what was in service before: {A}"):
        rollback(target, version=C, why="bad")


def test_who_rolls_back_while_somebody_deploys_is_told_and_presses_again(
    target: Target, deployed: Deployed, put: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(A)
    deployed(B)
    put(C)

    def meanwhile(store: ReleaseStore, ours: Move) -> Move:
        monkeypatch.undo()
        deployed(C)
        return record(store, ours)

    monkeypatch.setattr("onebutton_release.moves.record", meanwhile)
    with pytest.raises(
        ReleaseStoreError, match="somebody else deployed or rolled back meanwhile, so nothing was changed"
    ):
        rollback(target, why="bad")
    assert in_service(target) == C


def test_the_button_is_quick_because_it_imports_little(target: Target, deployed: Deployed) -> None:
    """Rolling back may not wait for MLflow, polars or onnxruntime: none of them is imported."""
    deployed(A)
    deployed(B)
    code = (
        "import sys; from pathlib import Path; from onebutton_release.moves import rollback; "
        "from onebutton_release.target import find_target; "
        "print(rollback(find_target(Path.cwd(), 'flights', '', 'production'), why='bad').after); "
        "print(sorted({'mlflow', 'polars', 'onnxruntime', 'pandas', 'sklearn'} & {*sys.modules}))"
    )
    environment = os.environ | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=target.root, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr
    assert done.stdout.splitlines()[-2] == A


@pytest.mark.parametrize(
    ("pipeline", "environment", "words"),
    [
        ("nothing", "", "'nothing'"),
        ("", "moon", "'moon'"),
        ("", "", "no release of flights is in service in local, so there is nothing to go back from"),
    ],
)
def test_a_mistake_is_one_line(target: Target, pipeline: str, environment: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        rollback(find_target(target.root, pipeline, environment, "production"), why="bad")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_history_grows_by_one_object_a_move(target: Target, deployed: Deployed) -> None:
    for version in (A, B, C, A):
        deployed(version)
    assert [file.name for file in moves(target)] == ["000001.json", "000002.json", "000003.json", "000004.json"]
    assert all(time.strptime(json.loads(file.read_bytes())["at"][:19], "%Y-%m-%dT%H:%M:%S") for file in moves(target))
