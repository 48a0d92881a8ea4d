"""One worker: the ASGI application that answers predictions, everything else by the pages, and what it is put together of."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
import threading
import time
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from onebutton_models.scoring import ScoringError
from onebutton_serving.faults import MOST, Fault, Refusal, Rule, faults_in
from onebutton_serving.loading import Answers, Loaded
from onebutton_serving.log import PredictionLog
from onebutton_serving.metrics import Metrics
from onebutton_serving.pages import Pages
from onebutton_serving.release_store import ReleaseStore
from onebutton_serving.rows import Values
from onebutton_serving.service import Service, watch
from onebutton_serving.settings import Settings

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

PATH = "/v1/predict"
MAX_BYTES = 8_000_000  # of one body
MAX_HELD = 64_000_000  # of all that one worker reads or answers at a time; their rows take some five times that
MAX_SECONDS = 10.0  # to send a body
CLOCK = 0.01  # seconds that a timer may be early by its own clock
LARGE = 50_000  # bytes: a smaller body is taken even when too many are held
MANY = 64  # rows; of more a thread asks the model, so that others need not wait
SWITCH = 0.001  # seconds that log and watcher may keep requests from running; Python's own 0.005 shows in p99
_LONGEST_ID = 64  # characters of an id that the client brings
_JSON = b"application/json"
_encode = msgspec.json.Encoder().encode


class RefusedError(Exception):
    """A request is not answered with a prediction: the status of the answer, and the faults that it tells."""


def _refuse(status: int, rule: Rule, words: str) -> NoReturn:
    """Refuse a request for one fault, of no row."""
    raise RefusedError(status, [Fault(rule, words)])


class App:
    """Answers requests with what is in service when they come."""

    def __init__(self, state: Path) -> None:
        """Log and count in the state folder of the server; nothing is in service yet."""
        self.service = Service(state / "releases")
        self.log = PredictionLog(state / "log")
        self.metrics = Metrics(state, self.service, self.log)
        self._pages = Pages(self.service, self.log, self.metrics)  # answers everything but predictions
        self._held = 0  # bytes of bodies that are read or answered now
        self._one_search = asyncio.Semaphore(1)
        self._prefix, self._numbers = secrets.token_hex(5), count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST":
            await self._predict(scope, receive, send)
        else:
            await self._pages(scope, receive, send)

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        release = self.service.current  # taken once: one release answers the whole request
        headers = [(b"content-type", _JSON)]
        if release:
            headers.append((b"x-model-version", release.version.encode("ascii", "replace")))
        body = bytearray()
        rows: list[Values] = []
        try:
            announced, request = _head(scope)
            request = request or f"{self._prefix}-{next(self._numbers)}"
            await self._read(body, receive, announced)
            if release is None:
                _refuse(503, "not ready", self.service.reason)
            rows, answers = await self._answered(release, body)
            status, content = 200, release.written(answers)
            headers.append((b"x-request-id", request.encode()))
            self.log.add(release, rows, answers, request, time.perf_counter() - begun)
        except RefusedError as error:
            status, faults = error.args
            content = _encode(Refusal(faults))
        finally:
            self._held -= len(body)
        self.metrics.answered(status, len(rows), time.perf_counter() - begun)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _read(self, body: bytearray, receive: Receive, announced: int) -> None:
        """Take a body in, of which the request's head announced a size, or 0.

        Raises:
            RefusedError: it is too large (413), too slow (408), broke off (400), or there are too many large ones (429).
        """
        self._check(announced)
        loop, more = asyncio.get_running_loop(), True
        task: Any = asyncio.current_task()
        timer = loop.call_later(MAX_SECONDS, task.cancel)  # asyncio.timeout would take a tenth of a request
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":  # granian says the same of malformed chunks
                    _refuse(400, "body", "the body broke off, or its chunks are malformed")
                part = message.get("body", b"")
                body += part
                self._held += len(part)
                self._check(len(body))
                more = message.get("more_body", False)
        except asyncio.CancelledError:
            if loop.time() + CLOCK < timer.when():  # the client left
                raise
            _refuse(408, "time", f"the body took longer than {MAX_SECONDS:g} seconds")
        finally:
            timer.cancel()

    def _check(self, size: int) -> None:
        if size > MAX_BYTES:
            _refuse(413, "size", f"the body is larger than {MAX_BYTES:,} bytes; send the rows in several requests")
        if size > LARGE and self._held > MAX_HELD:
            _refuse(429, "busy", "too many large bodies at a time; send this one again in a moment")

    async def _answered(self, release: Loaded, body: bytearray) -> tuple[list[Values], Answers]:
        try:
            rows = release.reader.read(body)
            ask = partial(release.answer, rows)
            return rows, await asyncio.to_thread(ask) if len(rows) > MANY else ask()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            search = partial(faults_in, body, release.schema, str(error))
        except ScoringError as error:
            search = partial(_unscorable, release, rows, str(error))
        if len(body) > LARGE:  # one at a time: looking for what is wrong takes 25 times the body's size
            async with self._one_search:
                status, faults = await asyncio.to_thread(search)
        else:
            status, faults = search()
        raise RefusedError(status, faults)


def _head(scope: Scope) -> tuple[int, str]:
    """Return the announced size of a body and the id that the client gave the request."""
    headers = dict(scope["headers"])
    if headers.get(b"content-encoding", b"identity") != b"identity":
        _refuse(415, "content type", "send the body as it is, without content-encoding")
    kind = headers.get(b"content-type", b"")
    if kind != _JSON and kind.partition(b";")[0].strip().lower() != _JSON:
        _refuse(415, "content type", "send the body as content-type: application/json")
    size, request = headers.get(b"content-length", b""), headers.get(b"x-request-id", b"")
    announced = int(size) if size.isdigit() and len(size) < 20 else 0  # noqa: PLR2004
    return announced, request.decode() if len(request) <= _LONGEST_ID and request.isascii() else ""


def _unscorable(release: Loaded, rows: list[Values], words: str) -> tuple[int, list[Fault]]:
    """Ask the model about each row alone; its own words where it refuses them only together."""
    found = []
    for at, row in enumerate(rows):
        try:
            release.answer([row])
        except ScoringError as error:
            found.append(Fault("model", str(error)[:300], at))
    return 422, found[:MOST] or [Fault("model", words[:300])]


def make_app(settings: Settings) -> App:
    """Put a worker together, as granian has each do after it was started or came back, and let it look for its release."""
    sys.setswitchinterval(SWITCH)
    said = "%(asctime)s serving %(process)d %(levelname)s %(message)s"
    logging.basicConfig(stream=sys.stdout, format=said, force=True)
    logging.getLogger("onebutton_serving").setLevel(logging.INFO)
    app = App(settings.folder)
    store = ReleaseStore(settings.store, settings.pipeline) if settings.store else None
    if store is None:
        app.service.fix(Path(settings.release))
    threading.Thread(target=watch, args=(app.service, store, threading.Event()), name="watcher", daemon=True).start()
    return app
