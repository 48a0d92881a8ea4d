from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packages.release.tests.conftest import move

from onebutton_release.moves import been_in_service, good, rolled_back
from onebutton_release.status import status
from onebutton_release.target import Target
from onebutton_serving.history import Action, Move, last_move, read_history, record
from onebutton_serving.release_store import ReleaseStoreError
from onebutton_serving.sealed import ReleaseError

VERSIONS = [f"2026110{number}-{number:08x}" for number in range(1, 6)]


def entry(number: int, action: Action, before: str, after: str) -> Move:
    return Move(
        sequence=number, at="2026-11-25T03:00:00+00:00", who="ann", known_by="git", environment="local", pipeline="flights",
        action=action, before=before, after=after, why="", digest="",
    )  # fmt: skip


@given(st.lists(st.one_of(st.sampled_from(VERSIONS), st.just("back")), max_size=30))
def test_going_back_undoes_the_last_deployment_that_still_stands(moves: list[str]) -> None:
    """Against a model of the history: a stack, on which a deployment lays its release and going back takes one off."""
    stack: list[str] = []
    history: list[Move] = []
    for wanted in moves:
        current = stack[-1] if stack else ""
        if wanted == "back":
            if len(stack) < 2:
                continue
            stack.pop()
            history.append(entry(len(history) + 1, "rollback", current, stack[-1]))
        elif wanted != current:
            stack = [version for version in stack if version != wanted] + [wanted]
            history.append(entry(len(history) + 1, "deploy", current, wanted))
    assert good(history) == stack


def test_what_the_servers_refused_was_never_in_service() -> None:
    a, b, c, *_ = VERSIONS
    history = [
        entry(1, "deploy", "", a),
        entry(2, "deploy", a, b),
        entry(3, "undo", b, a),
        entry(4, "deploy", a, c),
    ]
    assert been_in_service(history) == {a, c}
    assert good(history) == [a, c]
    again = [*history, entry(5, "deploy", c, b)]
    assert been_in_service(again) == {a, b, c}


def test_a_deployment_that_was_undone_leaves_the_way_back_as_it_was() -> None:
    a, b, *_ = VERSIONS
    history = [entry(1, "deploy", "", a), entry(2, "deploy", a, b), entry(3, "deploy", b, a), entry(4, "undo", a, b)]
    assert good(history) == [a, b]
    assert been_in_service(history) == {a, b}
    torn = [*history[:2], history[3]]  # the line of the deployment was lost, so there is nothing to undo
    assert good(torn) == [a, b]


def test_a_first_release_that_the_servers_refused_is_nothing_to_go_back_to() -> None:
    a, b, *_ = VERSIONS
    history = [entry(1, "deploy", "", a), entry(2, "undo", a, ""), entry(3, "deploy", "", b)]
    assert good(history) == [b]
    assert been_in_service(history) == {b}


def test_a_release_counts_as_rolled_back_until_somebody_puts_it_back() -> None:
    a, b, *_ = VERSIONS
    history = [entry(1, "deploy", "", a), entry(2, "deploy", a, b), entry(3, "rollback", b, a)]
    assert rolled_back(history, b) == history[-1]
    assert rolled_back(history, a) is None
    assert rolled_back([*history, entry(4, "deploy", a, b)], b) is None


def release_of(target: Target) -> Path:
    return Path(target.store.url) / "history"


@pytest.mark.parametrize("version", ["/home/ann", "../..", "", "20261101-AAAAAAAA"])
def test_a_version_that_would_lead_elsewhere_is_damage(target: Target, version: str) -> None:
    """Write access to a bucket must not reach a folder on the machine that deploys."""
    record(target.store, move(target.store, "deploy", "", version))
    with pytest.raises(ReleaseStoreError, match=r"history/000001\.json is damaged"):
        last_move(target.store)
    with pytest.raises(ReleaseError, match="is no version of a release"):
        target.fetch(version)
    assert read_history(target.store) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": "x"}', b"\xff\xfe", b"null"])
def test_a_damaged_history_is_one_line_with_what_mends_it(
    target: Target, deployed: Callable[[str], None], content: bytes
) -> None:
    """A power cut can leave an empty file where the last move was being written."""
    deployed(VERSIONS[0])
    file = release_of(target) / "000002.json"
    file.write_bytes(content)
    with pytest.raises(ReleaseStoreError, match=r"history/000002\.json is damaged .*remove it: then") as told:
        last_move(target.store)
    assert "\n" not in str(told.value)
    file.unlink()
    found = last_move(target.store)
    assert found is not None
    assert found.after == VERSIONS[0]


def test_of_two_who_move_at_once_one_is_told_to_press_again(target: Target) -> None:
    first, second = (move(target.store, "deploy", "", version) for version in VERSIONS[:2])
    record(target.store, first)
    with pytest.raises(
        ReleaseStoreError, match="somebody else deployed or rolled back meanwhile, so nothing was changed"
    ):
        record(target.store, second)
    assert last_move(target.store) == first


def test_a_history_that_somebody_changed_betrays_itself(target: Target, deployed: Callable[[str], None]) -> None:
    for version in VERSIONS[:3]:
        deployed(version)
    assert "  chain      whole: each move fits the one before" in list(status(target))
    second = release_of(target) / "000002.json"
    whole = second.read_bytes()
    second.write_bytes(whole.replace(b'"ann"', b'"bob"'))
    assert "  chain      BROKEN: move 2 was changed after move 3 was made" in list(status(target))
    second.write_bytes(whole[:40])
    assert "history/000002.json is damaged" in "\n".join(status(target))
    second.unlink()
    assert "  chain      BROKEN: move 2 is missing" in list(status(target))
