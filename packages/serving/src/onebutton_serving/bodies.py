"""Take a request's body in, within its limits of size and time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from onebutton_serving.faults import Fault

MAX_BYTES = 8_000_000  # of one body
MAX_HELD = (
    64_000_000  # of all large bodies that one worker reads or answers at a time; their rows take some five times that
)
MAX_SECONDS = 10.0  # to send a body

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class RefusedError(Exception):
    """A request is not answered with a prediction."""

    def __init__(self, status: int, *faults: Fault) -> None:
        """Say why, and with which status."""
        super().__init__(faults[0].message)
        self.status, self.faults = status, faults


class DisconnectedError(Exception):
    """The client has disconnected."""


class Bodies:
    """Reads the bodies of one worker's requests."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._held = 0

    async def read(self, receive: Receive, announced: int) -> bytes:
        """Return a body.

        Args:
            receive: of ASGI.
            announced: its size, as the request's head says; 0 when it does not.

        Raises:
            RefusedError: it is too large (413), too slow (408), or there are too many large ones at a time (429).
            DisconnectedError: nobody waits for an answer any more.
        """
        if announced > MAX_BYTES:
            raise _too_large()
        try:
            async with asyncio.timeout(MAX_SECONDS):
                message = await receive()
                body: bytes = message.get("body", b"")
                if message.get("more_body"):
                    body = await self._rest(receive, body)
                elif message["type"] == "http.disconnect":
                    raise DisconnectedError
        except TimeoutError:
            raise RefusedError(408, Fault("time", f"the body took longer than {MAX_SECONDS:g} seconds")) from None
        if len(body) > MAX_BYTES:
            raise _too_large()
        return body

    async def _rest(self, receive: Receive, first: bytes) -> bytes:
        parts, size, more = [first], len(first), True
        self._held += size
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise DisconnectedError
                part: bytes = message.get("body", b"")
                more = message.get("more_body", False)
                parts.append(part)
                size += len(part)
                self._held += len(part)
                if size > MAX_BYTES:
                    raise _too_large()
                if self._held > MAX_HELD:
                    raise _too_many()
        finally:
            self._held -= size
        return b"".join(parts)

    def hold(self, size: int) -> int:
        """Count a body that was read until `let_go`: its rows are in memory for as long as it waits for its answer.

        Raises:
            RefusedError: there are too many large ones at a time (429).
        """
        if self._held + size > MAX_HELD:
            raise _too_many()
        self._held += size
        return size

    def let_go(self, size: int) -> None:
        """Count a body no longer."""
        self._held -= size


def _too_many() -> RefusedError:
    return RefusedError(429, Fault("busy", "too many large bodies at a time; send this one again in a moment"))


def _too_large() -> RefusedError:
    return RefusedError(
        413, Fault("size", f"the body is larger than {MAX_BYTES:,} bytes; send the rows in several requests")
    )
