"""Metrics for Prometheus. A request adds to plain numbers; twice a second they go to the files that all workers share."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
EVERY = 0.5  # seconds between two flushes
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)  # seconds


class Metrics:
    """The metrics of one worker.

    Attributes:
        statuses: answers to predictions by status, since the last flush.
        rows: predicted since the last flush.
    """

    def __init__(self, folder: Path, counted: Callable[[], tuple[str | None, dict[str, int]]]) -> None:
        """Make this worker's files, and allocate them on the disk, so that a disk which fills later does no harm.

        Args:
            folder: that all workers share.
            counted: says what others count: the version in service, and totals since the start of rows `written` and `dropped`
                by the log, and of releases `taken` and `refused`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # read when the library is imported
        from prometheus_client import CollectorRegistry, Gauge, Histogram
        from prometheus_client import Counter as Count

        self._folder, self._counted = folder, counted
        self.statuses: Counter[int] = Counter()
        self.rows = 0
        self._latencies = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0
        self._told: Counter[str] = Counter()
        self._version: str | None = None
        own: Any = {"registry": CollectorRegistry()}
        self._requests = Count(
            "onebutton_requests", "Requests for predictions, by status of the answer", ["status"], **own
        )
        self._rows = Count("onebutton_rows", "Rows that were predicted", **own)
        self._latency = Histogram(
            "onebutton_latency_seconds", "From a request's head to its answer", buckets=BUCKETS, **own
        )
        self._release = Gauge(
            "onebutton_release_info", "1 for each worker that has a release in service", ["version"],
            multiprocess_mode="livesum", **own,
        )  # fmt: skip
        self._totals = {
            "written": Count("onebutton_log_rows_written", "Predictions written to the log", **own),
            "dropped": Count("onebutton_log_rows_dropped", "Predictions that the log had no room for", **own),
            "taken": Count("onebutton_swaps", "Releases taken into service", **own),
            "refused": Count("onebutton_swaps_refused", "Releases refused", **own),
        }
        for status in (200, 400, 422):
            self._requests.labels(status)
        for path in folder.glob(f"*_{os.getpid()}.db"):
            with path.open("r+b") as stream:
                if hasattr(os, "posix_fallocate"):  # not on macOS
                    os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)

    def answered(self, status: int, rows: int, seconds: float) -> None:
        """Count one answer."""
        self.statuses[status] += 1
        self.rows += rows
        self._latencies[bisect_left(BUCKETS, seconds)] += 1
        self._seconds += seconds

    def flush(self) -> None:
        """Bring what was counted to the shared files."""
        version, totals = self._counted()
        for status, count in self.statuses.items():
            self._requests.labels(status).inc(count)
        self._rows.inc(self.rows)
        for bucket, count in enumerate(self._latencies):
            if count:  # there is no public way to add many at once, and one by one takes longer than answering
                self._latency._buckets[bucket].inc(count)  # noqa: SLF001
        self._latency._sum.inc(self._seconds)  # noqa: SLF001
        for name, total in totals.items():
            self._totals[name].inc(total - self._told[name])
            self._told[name] = total
        self.statuses.clear()
        self.rows, self._seconds = 0, 0.0
        self._latencies = [0] * len(self._latencies)
        if version != self._version:
            if self._version:
                self._release.labels(self._version).set(0)
            if version:
                self._release.labels(version).set(1)
            self._version = version

    def written(self, living: set[int]) -> bytes:
        """Write all workers' metrics as Prometheus reads them.

        Args:
            living: numbers of the worker processes; what others had in service no longer counts.
        """
        from prometheus_client import CollectorRegistry, generate_latest, multiprocess

        for path in self._folder.glob("gauge_live*_*.db"):
            if int(path.stem.rpartition("_")[2]) not in living:
                path.unlink(missing_ok=True)
        registry: Any = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]
        return bytes(generate_latest(registry))
