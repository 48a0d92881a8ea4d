"""Take a request's body in, within its limits of size and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from onebutton_serving.faults import Fault

MAX_BYTES = 8_000_000  # of one body
MAX_HELD = (
    64_000_000  # of all large bodies that one worker reads or answers at a time; their rows take some five times that
)
MAX_SECONDS = 10.0  # to send a body
_LOOK = 0.5  # seconds between two looks for slow ones

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
    """Reads the bodies of one worker's requests.

    One look at all that are being read, twice a second, ends those that take too long: a timer for each would cost every
    request a part of its answer.
    """

    def __init__(self) -> None:
        """Hold nothing."""
        self._reading: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._held = 0
        self._timer: asyncio.TimerHandle | None = None

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
        task: Any = asyncio.current_task()
        self._reading[task] = time.monotonic()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK, self._look)
        try:
            message = await receive()
            body: bytes = message.get("body", b"")
            if message.get("more_body"):
                body = await self._rest(receive, body)
            elif message["type"] == "http.disconnect":
                raise DisconnectedError
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            self._late.discard(task)
            task.uncancel()
            raise RefusedError(408, Fault("time", f"the body took longer than {MAX_SECONDS:g} seconds")) from None
        finally:
            del self._reading[task]
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

    def _look(self) -> None:
        now = time.monotonic()
        for task, begun in list(self._reading.items()):
            if now - begun > MAX_SECONDS and task not in self._late:
                self._late.add(task)
                task.cancel()
        again = asyncio.get_running_loop().call_later(_LOOK, self._look) if self._reading else None
        self._timer = again


def _too_many() -> RefusedError:
    return RefusedError(429, Fault("busy", "too many large bodies at a time; send this one again in a moment"))


def _too_large() -> RefusedError:
    return RefusedError(
        413, Fault("size", f"the body is larger than {MAX_BYTES:,} bytes; send the rows in several requests")
    )
