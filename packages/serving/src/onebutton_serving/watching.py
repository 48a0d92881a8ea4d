"""Watch the history from a thread of its own, so that loading a release holds up no request."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable

from onebutton_serving.history import HISTORY
from onebutton_serving.release_store import ReleaseStore, ReleaseStoreError
from onebutton_serving.service import Service

NEAR, FAR = 0.2, 2.0  # seconds between two looks at a folder, and at storage elsewhere
AGAIN = 60.0  # seconds until a release that was refused is tried again: the disk may have room by then
logger = logging.getLogger("onebutton_serving")


class Watcher(threading.Thread):
    """Follows the history, and ends its worker when the server is gone."""

    def __init__(self, service: Service, store: ReleaseStore | None, server: int) -> None:
        """Watch nothing yet.

        Args:
            service: does what the history says.
            store: where the history is; None with a fixed release.
            server: the process that started this worker; 0 when it does not matter.
        """
        super().__init__(name="watcher", daemon=True)
        self._service, self._store, self._server = service, store, server
        self._stop_asked = threading.Event()
        self._seen: str | None = None
        self._tried = 0.0
        self._trouble = ""

    def run(self) -> None:
        """Look again and again."""
        store = self._store
        if store:
            self._guarded(lambda: self._service.resume(store))
        while True:
            if store:
                self._guarded(lambda: self._look(store))
            if self._server and os.getppid() != self._server:  # it was killed: nobody could stop this worker any more
                os.kill(os.getpid(), signal.SIGTERM)
                return
            if self._stop_asked.wait(NEAR if store is None or store.folder else FAR):
                return

    def stop(self) -> None:
        """Look no more."""
        self._stop_asked.set()

    def _look(self, store: ReleaseStore) -> None:
        stamp = store.stamp(HISTORY)
        again = self._service.refused is not None and time.monotonic() - self._tried > AGAIN
        if stamp == self._seen and not again:
            return
        self._tried = time.monotonic()
        self._service.follow(store)
        if self._trouble:
            logger.info("%s can be read again", store.url)
        self._seen, self._trouble = stamp, ""

    def _guarded(self, work: Callable[[], None]) -> None:
        """Go on whatever happens: a watcher that ended would leave this worker on its old release."""
        try:
            work()
        except ReleaseStoreError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._service.keep(self._trouble)
        except Exception as error:
            if repr(error) != self._trouble:
                self._trouble = repr(error)
                logger.exception("the watcher failed, and goes on")
