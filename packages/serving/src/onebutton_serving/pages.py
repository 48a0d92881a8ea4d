"""Everything but predictions: what is in service, health, metrics, and pages for people."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from onebutton_serving.loading import Loaded
from onebutton_serving.log import PredictionLog
from onebutton_serving.metrics import EVERY, Metrics
from onebutton_serving.openapi import describe
from onebutton_serving.service import Service

if TYPE_CHECKING:
    from starlette.requests import Request

PAGE = Path(__file__).with_name("page")
SAFE = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-cache"}
NOWHERE = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'"
DOCS_POLICY = f"{NOWHERE}; style-src 'self'; script-src 'self'; connect-src 'self'; frame-ancestors 'none'"
CARD_POLICY = f"{NOWHERE}; style-src 'unsafe-inline'; sandbox"


class Pages(Starlette):
    """What is behind each path. What reads files is no coroutine: Starlette calls it in a thread."""

    def __init__(self, service: Service, log: PredictionLog, metrics: Metrics) -> None:
        """Read from these; the log is closed when the worker ends."""
        self._service, self._log, self._metrics = service, log, metrics
        docs = FileResponse(PAGE / "docs.html", headers=SAFE | {"content-security-policy": DOCS_POLICY})
        to_docs = RedirectResponse("docs")  # relative: a proxy may put a prefix before it
        paths: dict[str, Any] = {
            "/": to_docs, "/docs": docs, "/health/live": JSONResponse({"status": "live"}), "/health/ready": self._ready,
            "/v1/model": self._model, "/metrics": self._figures, "/openapi.json": self._openapi, "/card": self._card,
        }  # fmt: skip
        routes = [
            *(Route(path, answer, methods=["GET"]) for path, answer in paths.items()),
            Route("/v1/predict", to_docs, methods=["POST"]),  # is answered before; here so that GET is 405
            Mount("/page", StaticFiles(directory=PAGE)),
        ]
        super().__init__(routes=routes, exception_handlers={HTTPException: _refusal}, lifespan=self._live)
        self.router.redirect_slashes = False  # its redirects name this server's own address, not that of a proxy

    @contextlib.asynccontextmanager
    async def _live(self, _: Starlette) -> AsyncIterator[None]:
        """Let the other workers read what this one has counted, again and again, as long as it lives."""
        loop = asyncio.get_running_loop()

        def flush() -> None:
            self._metrics.flush()
            loop.call_later(EVERY, flush)

        flush()
        yield
        await asyncio.to_thread(self._log.close)
        self._metrics.flush()

    async def _ready(self, _: Request) -> Response:
        current = self._service.current
        if current is None:
            return JSONResponse({"status": "not ready", "reason": self._service.reason}, 503, {"retry-after": "1"})
        return JSONResponse({"status": "ready", "version": current.version})

    async def _openapi(self, _: Request) -> Response:
        return JSONResponse(describe(self._loaded()))

    def _figures(self, _: Request) -> Response:
        return Response(self._metrics.written(), headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4})

    def _card(self, _: Request) -> Response:
        text = _text(self._loaded().folder / "card.html")
        if not text:
            raise HTTPException(404)
        return HTMLResponse(text, headers=SAFE | {"content-security-policy": CARD_POLICY})

    def _model(self, _: Request) -> Response:
        current, reason = self._service.current, self._service.reason
        said = _release(current) if current else {"pipeline": None, "version": None, "reason": reason}
        return JSONResponse({"follows": self._service.follows, "workers": self._metrics.workers(), **said})

    def _loaded(self) -> Loaded:
        if self._service.current is None:
            raise HTTPException(503, self._service.reason, {"retry-after": "1"})
        return self._service.current


async def _refusal(request: Request, error: Any) -> Response:
    rule, words = {404: "path", 405: "method"}.get(error.status_code, "not ready"), error.detail
    if rule != "not ready":
        words = f"{words}: {request.method} {request.url.path}; /docs shows what there is"
    fault = {"rule": rule, "message": words, "row": None, "field": None}
    return JSONResponse({"errors": [fault]}, error.status_code, error.headers)


def _release(loaded: Loaded) -> dict[str, Any]:
    schema = loaded.schema
    provenance = json.loads(_text(loaded.folder / "provenance.json") or "{}")
    verdicts = json.loads(_text(loaded.folder / "verdicts.json") or '{"gates": []}')
    return {
        "pipeline": schema.pipeline,
        "version": loaded.version,
        "title": schema.title,
        "draft": schema.draft,
        "contracts": {"inputs": schema.input_contract, "outputs": schema.output_contract},
        "card": _text(loaded.folder / "card.md"),
        "provenance": {name: value for name, value in provenance.items() if name != "built_by"},  # a mail address
        "verdicts": Counter(gate["result"] for gate in verdicts["gates"]),
    }


def _text(path: Path) -> str:
    """Read a file of a release, whose digests were checked; empty where a release has none of that name."""
    return path.read_text(encoding="utf-8") if path.is_file() else ""
