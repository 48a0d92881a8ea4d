"""One worker process: granian calls `make_app` in each, after it was started or came back."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

from onebutton_serving.app import App
from onebutton_serving.identity import Identity, folder_digest
from onebutton_serving.log import PredictionLog
from onebutton_serving.metrics import Metrics
from onebutton_serving.pages import Pages
from onebutton_serving.release_store import ReleaseStore
from onebutton_serving.sealed import ReleaseError
from onebutton_serving.service import Service, Watcher
from onebutton_serving.settings import Settings
from onebutton_serving.worker_status import WorkerStatus

SWITCH = 0.001  # seconds that log and watcher may keep requests from running; Python's own 0.005 shows in p99


def make_app(settings: Settings) -> App:
    """Put a worker together, and let it look for its release."""
    sys.setswitchinterval(SWITCH)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(f"%(asctime)s serving {os.getpid()} %(levelname)s %(message)s"))
    logger = logging.getLogger("onebutton_serving")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    state = settings.folder
    follows = Identity(settings.pipeline, folder_digest(settings.store)) if settings.store else None
    status = WorkerStatus(state / "workers")
    service = Service(status, state, follows)
    if settings.release:
        try:
            service.fix(Path(settings.release))
        except ReleaseError as error:
            (state / "failed").write_text(str(error), encoding="utf-8")
            os.kill(os.getppid(), signal.SIGTERM)  # there is nothing to wait for
            os._exit(1)
    log = PredictionLog(state / "log")
    metrics = Metrics(status, lambda: service.swaps | {"written": log.written, "dropped": log.dropped})
    Watcher(service, ReleaseStore(settings.store, settings.pipeline) if settings.store else None).start()
    return App(service, log, metrics, Pages(service, metrics).application())
