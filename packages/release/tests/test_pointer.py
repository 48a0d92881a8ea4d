from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onebutton_release.pointer import Entry, been_in_service, good, read_pointer
from onebutton_release.target import Target
from onebutton_serving.places import PlaceError

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


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": "x"}', b"\xff\xfe", b'{"entry": {}}', b"null"])
def test_a_damaged_pointer_is_told_and_never_guessed(target: Target, content: bytes) -> None:
    target.place.write("pointer.json", content)
    with pytest.raises(PlaceError, match=r"pointer\.json is damaged"):
        read_pointer(target.place)
