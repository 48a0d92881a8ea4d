"""The ASGI application of one worker: predictions are answered here, everything else by the pages."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count

import msgspec

from onebutton_models.scoring import ScoringError
from onebutton_serving.answering import Answerer, Answers, Batcher
from onebutton_serving.bodies import LARGE, Bodies, Receive, RefusedError, Scope, Send, refused
from onebutton_serving.faults import MOST, Fault, Refusal, faults_in
from onebutton_serving.log import PredictionLog
from onebutton_serving.metrics import EVERY, Metrics
from onebutton_serving.rows import Values
from onebutton_serving.service import Service

PATH = "/v1/predict"
_LONGEST_ID = 64  # characters of an id that the client brings
_JSON = (b"content-type", b"application/json")
_encode = msgspec.json.Encoder().encode


class App:
    """Answers requests with what is in service when they come."""

    def __init__(
        self,
        service: Service,
        log: PredictionLog,
        metrics: Metrics,
        pages: Callable[[Scope, Receive, Send], Awaitable[None]],
    ) -> None:
        """Put the parts together; `pages` answers everything but predictions."""
        self._service, self._log, self._metrics, self._pages = service, log, metrics, pages
        self._bodies, self._batcher = Bodies(), Batcher()
        self._one_search = asyncio.Semaphore(1)
        self._prefix, self._numbers = secrets.token_hex(5), count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST":
            await self._predict(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._pages(scope, receive, send)

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        release = self._service.current  # taken once: one release answers the whole request
        headers = [_JSON, release.header] if release else [_JSON]
        body = b""
        rows: list[Values] = []
        try:
            announced, request = _head(scope)
            request = request or f"{self._prefix}-{next(self._numbers)}"
            body = await self._bodies.read(receive, announced)
            if release is None:
                raise refused(503, "not ready", self._service.reason)
            rows, answers = await self._answered(release, body)
            status, content = 200, release.written(answers)
            headers.append((b"x-request-id", request.encode()))
            self._log.add(release, rows, answers, request, time.perf_counter() - begun)
        except RefusedError as error:
            status, content = error.status, _encode(Refusal(error.faults))
        finally:
            self._bodies.held -= len(body)
        self._metrics.answered(status, len(rows), time.perf_counter() - begun)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _answered(self, release: Answerer, body: bytes) -> tuple[list[Values], Answers]:
        try:
            rows = release.read(body)
            return rows, await self._batcher.answer(release, rows)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            search = partial(faults_in, body, release.loaded.schema, str(error))
        except ScoringError as error:
            search = partial(_unscorable, release, rows, str(error))
        if len(body) > LARGE:  # one at a time: looking for what is wrong takes 25 times the body's size
            async with self._one_search:
                status, faults = await asyncio.to_thread(search)
        else:
            status, faults = search()
        raise RefusedError(status, *faults)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._flush()
                await send({"type": "lifespan.startup.complete"})
            else:
                await asyncio.to_thread(self._log.close)
                self._metrics.flush()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _flush(self) -> None:
        self._metrics.flush()
        asyncio.get_running_loop().call_later(EVERY, self._flush)


def _head(scope: Scope) -> tuple[int, str]:
    """Return the announced size of a body and the id that the client gave the request."""
    announced, request, kind = 0, "", b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value
        elif name == b"content-length":
            announced = int(value) if value.isdigit() and len(value) < 20 else 0  # noqa: PLR2004
        elif name == b"content-encoding":
            if value != b"identity":
                raise refused(415, "content type", "send the body as it is, without content-encoding")
        elif name == b"x-request-id" and len(value) <= _LONGEST_ID and value.isascii():
            request = value.decode()
    if kind != b"application/json" and kind.partition(b";")[0].strip().lower() != b"application/json":
        raise refused(415, "content type", "send the body as content-type: application/json")
    return announced, request


def _unscorable(release: Answerer, rows: list[Values], words: str) -> tuple[int, list[Fault]]:
    """Ask the model about each row alone; its own words where it refuses them only together."""
    found = []
    for at, row in enumerate(rows):
        try:
            release.answer([row])
        except ScoringError as error:
            found.append(Fault("model", str(error)[:300], at))
    return 422, found[:MOST] or [Fault("model", words[:300])]
