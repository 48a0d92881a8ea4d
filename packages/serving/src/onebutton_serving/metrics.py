"""Metrics for Prometheus: each worker counts in plain numbers, and writes them where any worker reads all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from onebutton_serving.log import PredictionLog
from onebutton_serving.service import Service

EVERY = 0.2  # seconds between two writes
SIZE = 8192  # bytes of each worker's file from its start, so that a disk which fills later stops nobody from writing
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)  # seconds
MONITOR = "monitor.prom"  # figures that the monitor writes into the state folder
TOTALS = {
    "rows": ("onebutton_rows", "Rows that were predicted"),
    "written": ("onebutton_log_rows_written", "Predictions written to the log"),
    "dropped": ("onebutton_log_rows_dropped", "Predictions that the log had no room for"),
    "taken": ("onebutton_swaps", "Releases taken into service"),
    "refusals": ("onebutton_swaps_refused", "Releases refused"),
}
REQUESTS = "Requests for predictions, by status of the answer"
LATENCY = "From a request's head to its answer"
IN_SERVICE = "How many workers have a release in service"


class Metrics(Collector):
    """What one worker has counted and has in service, in a file that it keeps locked for as long as it lives.

    A lock ends with its process, however that ends. The file of a worker that has ended stays: what it counted counts on.
    """

    def __init__(self, state: Path, service: Service, log: PredictionLog) -> None:
        """Count from nothing, and make the file of this process in the server's state folder."""
        self._state, self._service, self._log = state, service, log
        self._folder = state / "workers"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._statuses = Counter({200: 0, 400: 0, 422: 0})
        self._rows, self._seconds = 0, 0.0
        self._latencies = [0] * (len(BUCKETS) + 1)
        self._own = (self._folder / f"{os.getpid()}-{time.time_ns()}.json").open("w+b", buffering=0)
        fcntl.flock(self._own, fcntl.LOCK_EX)
        self.flush()

    def answered(self, status: int, rows: int, seconds: float) -> None:
        """Count one answer."""
        self._statuses[status] += 1
        self._rows += rows
        self._latencies[bisect_left(BUCKETS, seconds)] += 1
        self._seconds += seconds

    def flush(self) -> None:
        """Write how things stand."""
        service, log = self._service, self._log
        said = {
            "pid": os.getpid(),
            "version": service.current.version if service.current else None,
            "refused": service.refused,
            "statuses": self._statuses,
            "latencies": self._latencies,
            "seconds": self._seconds,
            "rows": self._rows,
            "written": log.written,
            "dropped": log.dropped,
            **service.swaps,
        }
        with contextlib.suppress(OSError):  # the disk is full: answers matter more
            os.pwrite(self._own.fileno(), msgspec.json.encode(said).ljust(SIZE), 0)

    def close(self) -> None:
        """Write for the last time, and unlock the file."""
        self.flush()
        self._own.close()

    def workers(self) -> list[dict[str, Any]]:
        """Return what every living worker has in service and has refused, by number of process."""
        self.flush()
        shown = ("pid", "version", "refused")
        found = [{name: said[name] for name in shown} for living, said in self._files() if living]
        return sorted(found, key=lambda said: int(said["pid"]))

    def written(self) -> bytes:
        """Write all workers' metrics as Prometheus reads them."""
        self.flush()
        with contextlib.suppress(OSError):  # what `make monitor` found in the log, and when
            return generate_latest(self) + (self._state / MONITOR).read_bytes()
        return generate_latest(self)

    def collect(self) -> list[Metric]:
        """Add up the workers, those that have ended included."""
        files = list(self._files())
        workers = [said for _, said in files]
        statuses, versions = Counter[str](), Counter[str]()
        for living, said in files:
            statuses.update(said["statuses"])
            if living and said["version"]:
                versions[said["version"]] += 1
        requests = CounterMetricFamily("onebutton_requests", REQUESTS, labels=["status"])
        for status, count in statuses.items():
            requests.add_metric([status], count)
        release = GaugeMetricFamily("onebutton_release_info", IN_SERVICE, labels=["version"])
        for version, count in versions.items():
            release.add_metric([version], count)
        counts = accumulate(map(sum, zip(*(one["latencies"] for one in workers), strict=True)))
        buckets = list(zip([*map(str, BUCKETS), "+Inf"], counts, strict=True))
        seconds = sum(one["seconds"] for one in workers)
        totals = [
            CounterMetricFamily(name, words, sum(one[key] for one in workers)) for key, (name, words) in TOTALS.items()
        ]
        return [
            requests,
            *totals,
            HistogramMetricFamily("onebutton_latency_seconds", LATENCY, buckets, seconds),
            release,
        ]

    def _files(self) -> Iterator[tuple[bool, dict[str, Any]]]:
        """Read what every worker said, and whether it lives."""
        for path in self._folder.glob("*.json"):
            with path.open("rb") as stream:
                for _ in range(3):  # it may be written at this moment
                    with contextlib.suppress(msgspec.DecodeError):
                        said = msgspec.json.decode(os.pread(stream.fileno(), SIZE, 0))
                        yield _is_locked(stream.fileno()), said
                        break


def _is_locked(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
