"""What pytest does otherwise here: no example of Hypothesis has a time limit, drafts may warn, and servers get ports.

The warnings of drafts are told at the end, where those of all other members are errors.
"""

import contextlib
import os
import random
import socket
import tomllib
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent
settings.register_profile("default", deadline=None)  # a busy machine is no mistake of ours
PORTS = iter(random.Random(os.getpid()).sample(range(15_000, 32_000), 17_000))  # noqa: S311  below those lent to clients


@cache
def drafts() -> tuple[Path, ...]:
    """List the folders of the members whose pyproject.toml says `draft = true` under `[tool.onebutton]`."""
    files = [*ROOT.glob("packages/*/pyproject.toml"), *ROOT.glob("pipelines/*/pyproject.toml")]
    said = {file.parent: tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}) for file in files}
    return tuple(folder for folder, tool in said.items() if tool.get("onebutton", {}).get("draft") is True)


def in_draft(path: Path) -> bool:
    """Say whether a test belongs to a draft."""
    return any(path.is_relative_to(folder) for folder in drafts())


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """Let a draft's module be imported although it warns."""
    if not in_draft(collector.path):
        return (yield)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a draft's tests run although they warn."""
    for item in items:
        if in_draft(item.path):
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Finds a port that nobody has; until a server binds it, the system lends it to nobody, and other processes try others."""

    def find() -> int:
        for port in PORTS:
            with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
                return port
        pytest.fail("every port is taken")

    return find
