"""What one worker has in service: one reference, so that a swap is one assignment."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from onebutton_serving.answering import Answerer
from onebutton_serving.history import HISTORY, Move, altered, last_move, read_history
from onebutton_serving.identity import Identity
from onebutton_serving.loading import load_release
from onebutton_serving.release_store import STORE_ID, ReleaseStore, ReleaseStoreError
from onebutton_serving.sealed import MANIFEST, ReleaseError, digest_of
from onebutton_serving.worker_status import WorkerStatus

NEAR, FAR = 0.2, 2.0  # seconds between two looks at a folder, and at storage elsewhere
AGAIN = 60.0  # seconds until a release that was refused is tried again: the disk may have room by then
logger = logging.getLogger("onebutton_serving")


class Service:
    """The release in service, and why another is not.

    Attributes:
        current: answers requests; None until a release is loaded. A request takes it once.
        reason: why none is loaded.
        refused: `version` and `why` of the release that the history names and this worker does not take; else None.
        swaps: how many releases were taken, and how many were refused.
        follows: which history; None with a fixed release.
    """

    def __init__(self, status: WorkerStatus, state: Path, follows: Identity | None = None) -> None:
        """Start with nothing."""
        self.follows = follows
        self.current: Answerer | None = None
        self.reason = "no release is loaded yet"
        self.refused: dict[str, str] | None = None
        self.swaps = {"taken": 0, "refused": 0}
        self.status = status
        self._cache = state / "releases"

    def follow(self, store: ReleaseStore) -> None:
        """Do what the history says: swap, or keep what is in service and say why.

        Raises:
            ReleaseStoreError: the release store cannot be read now.
        """
        move = last_move(store)
        if self.follows is not None:
            known = store.read(STORE_ID) or b""
            self.follows = replace(self.follows, store=known.decode(errors="replace").strip())
        if move is None:
            self.keep(f"{store.url}: its history is empty, so nothing was deployed here yet")
            return
        if not move.after:
            self._withdraw(f"{store.url}: the first deployment was undone, so nothing is in service")
            return
        if self.current is not None and self.current.version == move.after:
            self._accept(self.current)
            return
        try:
            self._take(store, move.after, [move])
        except ReleaseError as error:
            if self.current is None and move.before:
                self._fall_back(store, move.before)
            self._refuse(move.after, str(error))

    def _fall_back(self, store: ReleaseStore, version: str) -> None:
        """Take what was in service before: a worker that starts now must not have nothing while the others have that."""
        with contextlib.suppress(ReleaseError):
            self._take(store, version, read_history(store))

    def _take(self, store: ReleaseStore, version: str, history: Sequence[Move]) -> None:
        """Load a release and swap to it, unless it was sealed again in place: all of its own digests would agree then.

        Raises:
            ReleaseError: it was, or it cannot be loaded.
        """
        folder = store.fetch(version, self._cache)
        manifest = folder / MANIFEST
        if manifest.is_file() and (fault := altered(history, version, digest_of(manifest))):
            raise ReleaseError(fault)
        self._accept(Answerer(load_release(folder)))

    def fix(self, folder: Path) -> None:
        """Serve one release, which never changes.

        Raises:
            ReleaseError: it is not what was sealed, or does not answer as it should.
        """
        self._accept(Answerer(load_release(folder)))

    def _accept(self, found: Answerer) -> None:
        if found is not self.current:
            self.current = found  # the swap: requests under way keep the one that they took
            self.swaps["taken"] += 1
            logger.info("in service: %s %s", found.loaded.schema.pipeline, found.version)
        self.reason, self.refused = "", None
        self.status.say(found.version, None)

    def _refuse(self, version: str, why: str) -> None:
        refused = {"version": version, "why": why}
        if refused == self.refused:  # it was tried again
            return
        self.refused = refused
        self.swaps["refused"] += 1
        if self.current is None:
            self.reason = why
            logger.error("refused: %s. Nothing is in service", why)
        else:
            logger.error("refused: %s. %s stays in service", why, self.current.version)
        self.status.say(self.current.version if self.current else None, self.refused)

    def _withdraw(self, reason: str) -> None:
        """Take the release out of service, because its deployment was undone and there was none before."""
        if self.current is not None:
            logger.warning("%s. %s is out of service", reason, self.current.version)
        self.current, self.refused, self.reason = None, None, reason
        self.status.say(None, None)

    def keep(self, reason: str) -> None:
        """Note why nothing is in service, or that the history has gone."""
        if self.current is None:
            self.reason = reason
        else:
            logger.warning("%s. %s stays in service", reason, self.current.version)


class Watcher(threading.Thread):
    """Follows the history in a thread, so that loading a release holds up no request; ends its worker when the server is gone."""

    def __init__(self, service: Service, store: ReleaseStore | None) -> None:
        """Watch nothing yet; with a fixed release there is no store."""
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
