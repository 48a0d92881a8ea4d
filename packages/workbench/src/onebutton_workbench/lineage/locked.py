"""What a change of `uv.lock` means: did anything move that was locked before, or did members come, go or declare more?"""

from __future__ import annotations

from collections.abc import Mapping

LOCK = "uv.lock"
_BLOCK = "[[package]]\n"
_OURS = (
    "source = { editable = ",
    "source = { virtual = ",
)  # a folder here; what it declares, its own pyproject.toml says


def moved(before: str, after: str) -> bool:
    """Say whether a change of the lock may change what somebody already uses.

    Args:
        before: the text of `uv.lock`; empty where there was none.
        after: the same, later.

    Returns:
        False when all that was locked from an index is locked as it was. What came is used by those alone who ask for it, and
        what went by nobody.
    """
    (old_head, old), (new_head, new) = _read(before), _read(after)
    return old_head != new_head or any(new.get(name, blocks) != blocks for name, blocks in old.items())


def _read(lock: str) -> tuple[list[str], Mapping[str, list[str]]]:
    """Split a lock into its settings, without the list of members, and what it locks from an index, by name."""
    head, *blocks = lock.split(_BLOCK)
    locked: dict[str, list[str]] = {}
    for block in blocks:
        if not any(mark in block for mark in _OURS):
            locked.setdefault(block.partition("\n")[0], []).append(block.strip())
    return head.partition("[manifest]")[0].split(), locked
