"""What one worker has in service: one reference, so that a swap is one assignment."""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from onebutton_serving.history import HISTORY, Move, altered, last_move, read_history
from onebutton_serving.loading import Loaded, load_release
from onebutton_serving.release_store import ReleaseStore, ReleaseStoreError
from onebutton_serving.sealed import MANIFEST, ReleaseError, digest_of

NEAR, FAR = 0.2, 2.0  # seconds between two looks at a folder, and at storage elsewhere
AGAIN = 60.0  # seconds until a release that was refused is tried again: the disk may have room by then
LONGEST = 1000  # characters of a reason
logger = logging.getLogger("onebutton_serving")


class Service:
    """The release in service, and why another is not.

    Attributes:
        current: answers requests; None until a release is loaded. A request takes it once.
        reason: why none is loaded.
        refused: `version` and `why` of the release that the history names and this worker does not take; else None.
        swaps: how many releases were taken, and how many refusals there were.
        follows: which history, as `ReleaseStore.identity` says it; None with a fixed release.
    """

    def __init__(self, cache: Path) -> None:
        """Start with nothing; copies of releases of a store that is no folder go into the cache."""
        self.current: Loaded | None = None
        self.reason = "no release is loaded yet"
        self.refused: dict[str, str] | None = None
        self.swaps = {"taken": 0, "refusals": 0}
        self.follows: dict[str, str] | None = None
        self._cache = cache

    def follow(self, store: ReleaseStore) -> None:
        """Do what the history says: swap, or keep what is in service and say why.

        Raises:
            ReleaseStoreError: the release store cannot be read now.
        """
        move = last_move(store)
        self.follows = store.identity()
        if move is None:
            button = f"`make deploy PIPELINE={self.follows['pipeline']}` puts a model into service"
            self.keep(f"{store.url}: its history is empty, so nothing was deployed here yet. {button}")
        elif not move.after:
            self.current = self.refused = None
            self.keep(f"{store.url}: the first deployment was undone, so nothing is in service")
        elif self.current is not None and self.current.version == move.after:
            self._accept(self.current)
        else:
            try:
                self._take(store, move.after, [move])
            except ReleaseError as error:
                if self.current is None and move.before:  # a worker that comes back must not have less than the others
                    with contextlib.suppress(ReleaseError):
                        self._take(store, move.before, read_history(store))
                self._refuse(move.after, str(error))

    def _take(self, store: ReleaseStore, version: str, history: Sequence[Move]) -> None:
        """Load a release and swap to it, unless it was sealed again in place: all of its own digests would agree then.

        Raises:
            ReleaseError: it was, or it cannot be loaded.
        """
        folder = store.fetch(version, self._cache)
        manifest = folder / MANIFEST
        if manifest.is_file() and (fault := altered(history, version, digest_of(manifest))):
            raise ReleaseError(fault)
        self._accept(load_release(folder))

    def fix(self, folder: Path) -> None:
        """Serve one release, which never changes."""
        try:
            self._accept(load_release(folder))
        except ReleaseError as error:
            self._refuse(folder.name, str(error))

    def _accept(self, found: Loaded) -> None:
        if found is not self.current:
            self.current = found  # the swap: requests under way keep the one that they took
            self.swaps["taken"] += 1
            logger.info("in service: %s %s", found.schema.pipeline, found.version)
        self.reason, self.refused = "", None

    def _refuse(self, version: str, why: str) -> None:
        refused = {"version": version, "why": why[:LONGEST]}
        if refused == self.refused:  # it was tried again
            return
        self.refused = refused
        self.swaps["refusals"] += 1
        self.keep(f"refused: {why}")

    def keep(self, reason: str) -> None:
        """Say why what is in service stays, or why nothing is."""
        if self.current is None:
            self.reason = reason
        logger.warning("%s%s", reason, f". {self.current.version} stays in service" if self.current else "")


def watch(service: Service, store: ReleaseStore | None, stop: threading.Event) -> None:
    """Follow the history until told to stop, in a thread, so that loading a release holds up no request.

    Whatever fails, it goes on, else this worker would stay on its old release. It ends the worker when the server is gone: nobody
    could stop that any more. With a fixed release there is no store.
    """
    server, pause = os.getppid(), NEAR if store is None or store.folder else FAR
    seen: list[str] | None = None
    tried, trouble = 0.0, ""
    while os.getppid() == server:
        try:
            moves = store.names(HISTORY) if store else seen
            again = service.refused is not None and time.monotonic() - tried > AGAIN
            if store and (moves != seen or again):
                tried = time.monotonic()
                service.follow(store)
            seen = moves
            if trouble:
                logger.info("the history can be read again")
            trouble = ""
        except Exception as error:
            if str(error) != trouble:
                trouble = str(error)
                service.keep(trouble)
                if not isinstance(error, ReleaseStoreError):
                    logger.exception("this is a mistake of the server")
        if stop.wait(pause):
            return
    os.kill(os.getpid(), signal.SIGTERM)
