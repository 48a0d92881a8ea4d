from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onebutton_release import pointer
from onebutton_release.pointer import (
    Entry,
    been_in_service,
    good,
    in_service,
    read_history,
    read_pointer,
    rolled_back,
)
from onebutton_release.target import Target
from onebutton_serving.release_store import ReleaseStoreError
from onebutton_serving.sealed import ReleaseError

VERSIONS = [f"2026110{number}-{number:08x}" for number in range(1, 6)]


def entry(number: int, action: Literal["deploy", "rollback", "undo"], before: str, after: str) -> Entry:
    return Entry(number, "2026-11-25T03:00:00+00:00", "ann", "local", "flights", action, before, after, "", "")


@given(st.lists(st.one_of(st.sampled_from(VERSIONS), st.just("back")), max_size=30))
def test_going_back_undoes_the_last_deployment_that_still_stands(moves: list[str]) -> None:
    """Against a model of the history: a stack, on which a deployment lays its release and going back takes one off."""
    stack: list[str] = []
    history: list[Entry] = []
    for move in moves:
        current = stack[-1] if stack else ""
        if move == "back":
            if len(stack) < 2:
                continue
            stack.pop()
            history.append(entry(len(history) + 1, "rollback", current, stack[-1]))
        elif move != current:
            stack = [version for version in stack if version != move] + [move]
            history.append(entry(len(history) + 1, "deploy", current, move))
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


def test_what_version_0_1_wrote_of_an_undone_first_release_is_read_as_nothing_in_service(target: Target) -> None:
    a, *_ = VERSIONS
    first, undone = entry(1, "deploy", "", a), entry(2, "undo", a, a)
    target.store.write(
        "pointer.json", json.dumps({"version": a, "sequence": 2, "breaking": True, "entry": asdict(undone)}).encode()
    )
    target.store.append(1, json.dumps(asdict(first)).encode())
    assert in_service(target.store) is None
    assert [(one.action, one.before, one.after) for one in read_history(target.store)] == [
        ("deploy", "", a),
        ("undo", a, ""),
    ]
    pointer.move(target.store, entry(3, "deploy", "", a))
    assert been_in_service(read_history(target.store)) == {a}


def test_a_release_counts_as_rolled_back_until_somebody_puts_it_back() -> None:
    a, b, *_ = VERSIONS
    history = [entry(1, "deploy", "", a), entry(2, "deploy", a, b), entry(3, "rollback", b, a)]
    assert rolled_back(history, b) == history[-1]
    assert rolled_back(history, a) is None
    assert rolled_back([*history, entry(4, "deploy", a, b)], b) is None


@pytest.mark.parametrize("version", ["/home/ann", "../..", "", "20261101-AAAAAAAA"])
def test_a_version_that_would_lead_elsewhere_is_damage(target: Target, version: str) -> None:
    """Write access to a bucket must not reach a folder on the machine that deploys."""
    line = asdict(entry(1, "deploy", "", version))
    said = {"version": version, "sequence": 1, "breaking": False, "entry": line}
    target.store.write("pointer.json", json.dumps(said).encode())
    with pytest.raises(ReleaseStoreError, match=r"pointer\.json is damaged"):
        read_pointer(target.store)
    with pytest.raises(ReleaseError, match="is no version of a release"):
        target.fetch(version)
    target.store.write("pointer.json", json.dumps(said | {"version": VERSIONS[0]}).encode())
    with pytest.raises(ReleaseStoreError, match=r"pointer\.json is damaged"):
        read_pointer(target.store)
    (Path(target.store.url) / "pointer.json").unlink()
    target.store.append(1, json.dumps(line).encode())
    assert read_history(target.store) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": "x"}', b"\xff\xfe", b'{"entry": {}}', b"null"])
def test_a_damaged_pointer_is_told_and_never_guessed(target: Target, content: bytes) -> None:
    target.store.write("pointer.json", content)
    with pytest.raises(ReleaseStoreError, match=r"pointer\.json is damaged"):
        read_pointer(target.store)
