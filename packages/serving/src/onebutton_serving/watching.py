"""Watch the history from a thread of its own, so that loading a release holds up no request."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time

from onebutton_serving.history import HISTORY
from onebutton_serving.release_store import ReleaseStore, ReleaseStoreError
from onebutton_serving.service import Service

NEAR, FAR = 0.2, 2.0  # seconds between two looks at a folder, and at storage elsewhere
AGAIN = 60.0  # seconds until a release that was refused is tried again: the disk may have room by then
logger = logging.getLogger("onebutton_serving")


class Watcher(threading.Thread):
    """Follows the history, and ends its worker when the server is gone."""

    def __init__(self, service: Service, store: ReleaseStore | None) -> None:
        """Watch nothing yet.

        Args:
            service: does what the history says.
            store: where the history is; None with a fixed release.
        """
        super().__init__(name="watcher", daemon=True)
        self._service, self._store = service, store
        self._server = os.getppid()
        self._stop_asked = threading.Event()
        self._seen: list[str] | None = None
        self._tried = 0.0
        self._trouble = ""

    def run(self) -> None:
        """Look again and again."""
        while True:
            if self._store:
                self._look(self._store)
            if os.getppid() != self._server:  # it was killed: nobody could stop this worker any more
                os.kill(os.getpid(), signal.SIGTERM)
                return
            if self._stop_asked.wait(NEAR if self._store is None or self._store.folder else FAR):
                return

    def stop(self) -> None:
        """Look no more."""
        self._stop_asked.set()

    def _look(self, store: ReleaseStore) -> None:
        """Go on whatever happens: a watcher that ended would leave this worker on its old release."""
        trouble = ""
        try:
            moves = store.names(HISTORY)
            again = self._service.refused is not None and time.monotonic() - self._tried > AGAIN
            if moves != self._seen or again:
                self._tried = time.monotonic()
                self._service.follow(store)
            self._seen = moves
        except ReleaseStoreError as error:
            trouble = str(error)
            if trouble != self._trouble:
                self._service.keep(trouble)
        except Exception as error:
            trouble = repr(error)
            if trouble != self._trouble:
                logger.exception("the watcher failed, and goes on")
        if self._trouble and not trouble:
            logger.info("%s can be read again", store.url)
        self._trouble = trouble
