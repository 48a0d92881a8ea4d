"""One worker process: granian calls `make_app` in each, after it was started or came back."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path

from onebutton_serving.app import App
from onebutton_serving.log import PredictionLog
from onebutton_serving.metrics import Metrics
from onebutton_serving.pages import Pages
from onebutton_serving.release_store import ReleaseStore
from onebutton_serving.service import Service, watch
from onebutton_serving.settings import Settings

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
    store = ReleaseStore(settings.store, settings.pipeline) if settings.store else None
    service = Service(state / "releases")
    if store is None:
        service.fix(Path(settings.release))
    log = PredictionLog(state / "log")
    metrics = Metrics(state, service, log)
    threading.Thread(target=watch, args=(service, store, threading.Event()), name="watcher", daemon=True).start()
    return App(service, log, metrics, Pages(service, log, metrics))
