"""Take a request's body in, within its limits of size and time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from onebutton_serving.faults import Fault, Rule

MAX_BYTES = 8_000_000  # of one body
MAX_HELD = 64_000_000  # of all that one worker reads or answers at a time; their rows take some five times that
MAX_SECONDS = 10.0  # to send a body
LARGE = 50_000  # bytes: a smaller body is taken even when too many are held

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


def refused(status: int, rule: Rule, words: str) -> RefusedError:
    """Make the refusal of a request that has one fault, of no row."""
    return RefusedError(status, Fault(rule, words))


class Bodies:
    """Reads the bodies of one worker's requests.

    Attributes:
        held: bytes of bodies that are read or answered now; the reader of a body takes its size off once it is answered.
    """

    def __init__(self) -> None:
        """Hold nothing."""
        self.held = 0

    async def read(self, receive: Receive, announced: int) -> bytes:
        """Return a body, of which the request's head announced a size, or 0.

        Raises:
            RefusedError: it is too large (413), too slow (408), broke off (400), or there are too many large ones (429).
        """
        if announced > LARGE:
            self._check(announced)
        parts, size, more = [], 0, True
        try:
            async with asyncio.timeout(MAX_SECONDS):
                while more:
                    message = await receive()
                    parts.append(_part(message))
                    more = message.get("more_body", False)
                    size += len(parts[-1])
                    self.held += len(parts[-1])
                    if size > LARGE:
                        self._check(size)
        except BaseException as error:
            self.held -= size
            if isinstance(error, TimeoutError):
                words = f"the body took longer than {MAX_SECONDS:g} seconds"
                raise refused(408, "time", words) from None
            raise
        return b"".join(parts)

    def _check(self, size: int) -> None:
        if size > MAX_BYTES:
            words = f"the body is larger than {MAX_BYTES:,} bytes; send the rows in several requests"
            raise refused(413, "size", words)
        if self.held > MAX_HELD:
            raise refused(429, "busy", "too many large bodies at a time; send this one again in a moment")


def _part(message: Message) -> bytes:
    if message["type"] == "http.disconnect":  # granian says the same of malformed chunks
        raise refused(400, "body", "the body broke off, or its chunks are malformed")
    part: bytes = message.get("body", b"")
    return part
