"""Metrics for Prometheus: each worker counts in plain numbers, and writes them where any worker reads all."""

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


class Metrics(Collector):
    """What one worker has counted and has in service, in a file that it keeps locked for as long as it lives.

    A lock ends with its process, however that ends. The file of a worker that has ended stays: what it counted counts on.
    """

    def __init__(self, state: Path, service: Service, log: PredictionLog) -> None:
        """Count from nothing, and make the file of this process in the server's state folder."""
        self._state, self._service, self._log = state, service, log
        self._folder = state / "workers"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._counted: dict[str, Any] = {
            "pid": os.getpid(),
            "statuses": Counter({200: 0, 400: 0, 422: 0}),
            "latencies": [0] * (len(BUCKETS) + 1),
            "seconds": 0.0,
            "rows": 0,
        }
        self._own = (self._folder / f"{os.getpid()}-{time.time_ns()}.json").open("w+b", buffering=0)
        fcntl.flock(self._own, fcntl.LOCK_EX)
        self.flush()

    def answered(self, status: int, rows: int, seconds: float) -> None:
        """Count one answer."""
        counted = self._counted
        counted["statuses"][status] += 1
        counted["latencies"][bisect_left(BUCKETS, seconds)] += 1
        counted["seconds"] += seconds
        counted["rows"] += rows

    def flush(self) -> None:
        """Write how things stand."""
        service, log = self._service, self._log
        version = service.current.version if service.current else None
        others = {"version": version, "refused": service.refused, "written": log.written, "dropped": log.dropped}
        said = self._counted | others | service.swaps
        with contextlib.suppress(OSError):  # the disk is full: answers matter more
            os.pwrite(self._own.fileno(), msgspec.json.encode(said).ljust(SIZE), 0)

    def workers(self) -> list[dict[str, Any]]:
        """Return what every living worker has in service and has refused, by number of process."""
        self.flush()
        shown = ("pid", "version", "refused")
        found = [{name: said[name] for name in shown} for living, said in self._files() if living]
        return sorted(found, key=lambda said: int(said["pid"]))

    def written(self) -> bytes:
        """Write all workers' metrics as Prometheus reads them."""
        self.flush()
        monitor = self._state / MONITOR  # what `make monitor` found in the log, and when
        return generate_latest(self) + (monitor.read_bytes() if monitor.is_file() else b"")

    def collect(self) -> Iterator[Metric]:
        """Add up the workers, those that have ended included."""
        files = list(self._files())
        workers = [said for _, said in files]
        statuses, versions = Counter[str](), Counter[str]()
        for living, said in files:
            statuses.update(said["statuses"])
            versions.update([said["version"]] if living and said["version"] else [])
        words = "Requests for predictions, by status of the answer"
        yield _by_label(CounterMetricFamily("onebutton_requests", words, labels=["status"]), statuses)
        for key, (name, words) in TOTALS.items():
            yield CounterMetricFamily(name, words, sum(one[key] for one in workers))
        counts = accumulate(map(sum, zip(*(one["latencies"] for one in workers), strict=True)))
        buckets = list(zip([*map(str, BUCKETS), "+Inf"], counts, strict=True))
        words, seconds = "From a request's head to its answer", sum(one["seconds"] for one in workers)
        yield HistogramMetricFamily("onebutton_latency_seconds", words, buckets, seconds)
        words = "How many workers have a release in service"
        yield _by_label(GaugeMetricFamily("onebutton_release_info", words, labels=["version"]), versions)

    def _files(self) -> Iterator[tuple[bool, dict[str, Any]]]:
        """Read what every worker said, and whether it lives."""
        for path in self._folder.glob("*.json"):
            with path.open("rb") as stream:
                for _ in range(3):  # it may be written at this moment
                    with contextlib.suppress(msgspec.DecodeError):
                        said = msgspec.json.decode(os.pread(stream.fileno(), SIZE, 0))
                        yield _is_locked(stream.fileno()), said
                        break


def _by_label(family: Metric, counts: Counter[str]) -> Metric:
    for label, count in counts.items():
        family.add_metric([label], count)  # type: ignore[attr-defined]  # of both classes that have labels
    return family


def _is_locked(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
