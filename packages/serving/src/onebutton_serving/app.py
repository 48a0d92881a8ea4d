"""The ASGI application of one worker: predictions are answered here, everything else by the pages."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable

import msgspec

from onebutton_models.scoring import ScoringError
from onebutton_serving.answering import Answerer
from onebutton_serving.batching import Batcher
from onebutton_serving.bodies import Bodies, DisconnectedError, Receive, RefusedError, Scope, Send
from onebutton_serving.faults import Fault, Refusal, faults_in
from onebutton_serving.log import PredictionLog
from onebutton_serving.metrics import EVERY, Metrics
from onebutton_serving.rows import Values
from onebutton_serving.service import Service

PATH = "/v1/predict"
_LARGE_BODY = 50_000  # bytes: more counts until it is answered, and what is wrong with it is found in a thread
_LONGEST_ID = 64  # characters of an id that the client brings
_JSON = (b"content-type", b"application/json")
_encode = msgspec.json.Encoder().encode
_BROKEN = _encode(Refusal([Fault("body", "the body broke off, or its chunks are malformed")]))


class App:
    """Answers requests with what is in service when they come."""

    def __init__(
        self,
        service: Service,
        log: PredictionLog,
        metrics: Metrics,
        pages: Callable[[Scope, Receive, Send], Awaitable[None]],
    ) -> None:
        """Put the parts together.

        Args:
            service: holds the release.
            log: of predictions.
            metrics: counts.
            pages: everything but predictions.
        """
        self._service, self._log, self._metrics, self._pages = service, log, metrics, pages
        self._bodies, self._batcher = Bodies(), Batcher()
        self._one_search = asyncio.Semaphore(
            1
        )  # for what is wrong with a large body: it takes 25 times the body's size
        self._prefix, self._count = secrets.token_hex(5), 0
        self._timer: asyncio.TimerHandle | None = None

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
        count = held = 0
        request = ""
        try:
            announced, request = _head(scope)
            if not request:
                self._count += 1
                request = f"{self._prefix}-{self._count}"
            body = await self._bodies.read(receive, announced)
            if release is None:
                raise self._not_ready()
            if len(body) > _LARGE_BODY:
                held = self._bodies.hold(len(body))
            rows = await self._rows(release, body)
            try:
                answers = await self._batcher.answer(release, rows)
            except ScoringError as error:
                raise RefusedError(422, await asyncio.to_thread(_unscorable, release, rows, str(error))) from None
            content, status, count = release.written(answers), 200, len(rows)
            headers = [_JSON, release.header, (b"x-request-id", request.encode())]
            seconds = time.perf_counter() - begun
            self._log.add((release, time.time(), seconds, request, rows, answers))
        except RefusedError as error:
            status, content = error.status, _encode(Refusal(error.faults))
            headers = [_JSON] if release is None else [_JSON, release.header]
            seconds = time.perf_counter() - begun
        except DisconnectedError:
            # The client left, or its chunks are malformed: granian says the same of both, and answers 500 to silence.
            status, content, headers = 400, _BROKEN, [_JSON]
            seconds = time.perf_counter() - begun
        finally:
            if held:
                self._bodies.let_go(held)
        self._metrics.answered(status, count, seconds)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _not_ready(self) -> RefusedError:
        return RefusedError(503, Fault("not ready", self._service.reason))

    async def _rows(self, release: Answerer, body: bytes) -> list[Values]:
        try:
            return release.read(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            schema, words = release.loaded.schema, str(error)
            if len(body) > _LARGE_BODY:
                async with self._one_search:
                    status, faults = await asyncio.to_thread(faults_in, body, schema, words)
            else:
                status, faults = faults_in(body, schema, words)
            raise RefusedError(status, *faults) from None

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._flush()
                await send({"type": "lifespan.startup.complete"})
            else:
                self._batcher.close()
                if self._timer:
                    self._timer.cancel()
                await asyncio.to_thread(self._log.close)
                self._metrics.flush()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _flush(self) -> None:
        self._metrics.flush()
        self._timer = asyncio.get_running_loop().call_later(EVERY, self._flush)


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
                raise RefusedError(415, Fault("content type", "send the body as it is, without content-encoding"))
        elif name == b"x-request-id" and len(value) <= _LONGEST_ID and value.isascii():
            request = value.decode()
    if kind != b"application/json" and kind.partition(b";")[0].strip().lower() != b"application/json":
        raise RefusedError(415, Fault("content type", "send the body as content-type: application/json"))
    return announced, request


def _unscorable(release: Answerer, rows: list[Values], words: str) -> Fault:
    """Find the first row that a model refuses, by halves."""
    low, high = 0, len(rows)  # rows before low are good, one before high is not
    while high - low > 1:
        middle = (low + high) // 2
        try:
            release.answer(rows[low:middle])
            low = middle
        except ScoringError:
            high = middle
    return Fault("model", words[:300], low)
