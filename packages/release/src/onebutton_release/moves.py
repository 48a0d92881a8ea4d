"""What the history of an environment says: what stayed in service, what one can go back to, what was taken out as bad.

Standard library alone: rolling back must not wait for imports.
"""

from __future__ import annotations

from collections.abc import Sequence

from onebutton_serving.history import Move


def stood(history: Sequence[Move]) -> list[Move]:
    """Leave out the deployments that were undone, and what undid them: together they changed nothing."""
    kept: list[Move] = []
    for move in history:
        if move.action != "undo":
            kept.append(move)
        elif kept and kept[-1].action == "deploy" and kept[-1].after == move.before:
            kept.pop()
    return kept


def good(history: Sequence[Move]) -> list[str]:
    """List the releases that one can go back to, the one in service last.

    A deployment puts its release on top; going back takes everything above off, because somebody had a reason to leave it.
    """
    stack: list[str] = []
    for move in stood(history):
        if move.action == "deploy":
            stack = [*(version for version in stack if version != move.after), move.after]
        elif move.after in stack:
            stack = stack[: stack.index(move.after) + 1]
    return stack


def been_in_service(history: Sequence[Move]) -> set[str]:
    """List every release that stayed: one that its servers refused did not."""
    return {move.after for move in stood(history)}


def rolled_back(history: Sequence[Move], version: str) -> Move | None:
    """Return the move that took a release out of service because it was bad; None where somebody put it back since."""
    for move in reversed(stood(history)):
        if move.action == "rollback" and move.before == version:
            return move
        if move.after == version:
            return None
    return None
