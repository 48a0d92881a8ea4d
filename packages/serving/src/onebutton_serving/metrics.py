"""Metrics for Prometheus: each worker counts in plain numbers, and twice a second writes them where any worker reads all."""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from onebutton_serving.worker_status import WorkerStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
EVERY = 0.5  # seconds between two writes
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)  # seconds
MONITOR = "monitor.prom"  # figures that the monitor writes into the state folder
TOTALS = {
    "rows": ("onebutton_rows", "Rows that were predicted"),
    "written": ("onebutton_log_rows_written", "Predictions written to the log"),
    "dropped": ("onebutton_log_rows_dropped", "Predictions that the log had no room for"),
    "taken": ("onebutton_swaps", "Releases taken into service"),
    "refused": ("onebutton_swaps_refused", "Releases refused"),
}


class Metrics:
    """The metrics of one worker."""

    def __init__(self, status: WorkerStatus, counted: Callable[[], Mapping[str, int]]) -> None:
        """Count from nothing; `counted` says what others count: rows `written` and `dropped`, releases `taken` and `refused`."""
        self._status, self._counted = status, counted
        self._statuses = Counter({200: 0, 400: 0, 422: 0})
        self._rows, self._seconds = 0, 0.0
        self._latencies = [0] * (len(BUCKETS) + 1)
        self.flush()

    def answered(self, status: int, rows: int, seconds: float) -> None:
        """Count one answer."""
        self._statuses[status] += 1
        self._rows += rows
        self._latencies[bisect_left(BUCKETS, seconds)] += 1
        self._seconds += seconds

    def flush(self) -> None:
        """Write what was counted."""
        figures = {"statuses": self._statuses, "latencies": self._latencies, "seconds": self._seconds}
        self._status.count({**figures, "rows": self._rows, **self._counted()})

    def written(self) -> bytes:
        """Write all workers' metrics as Prometheus reads them."""
        self.flush()  # what this worker counted since the last time
        registry = CollectorRegistry()
        registry.register(_Sum(self._status))
        with contextlib.suppress(OSError):  # what `make monitor` found in the log, and when
            return generate_latest(registry) + (self._status.folder.parent / MONITOR).read_bytes()
        return generate_latest(registry)


class _Sum(Collector):
    def __init__(self, status: WorkerStatus) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        workers = self._status.counts()
        requests = CounterMetricFamily(
            "onebutton_requests", "Requests for predictions, by status of the answer", labels=["status"]
        )
        statuses: Counter[str] = Counter()
        for one in workers:
            statuses.update(one["statuses"])
        for status, count in statuses.items():
            requests.add_metric([status], count)
        yield requests
        for key, (name, words) in TOTALS.items():
            yield CounterMetricFamily(name, words, sum(one[key] for one in workers))
        counts = accumulate(map(sum, zip(*(one["latencies"] for one in workers), strict=True)))
        buckets = list(zip([*map(str, BUCKETS), "+Inf"], counts, strict=True))
        seconds = sum(one["seconds"] for one in workers)
        yield HistogramMetricFamily(
            "onebutton_latency_seconds", "From a request's head to its answer", buckets, seconds
        )
        release = GaugeMetricFamily(
            "onebutton_release_info", "How many workers have a release in service", labels=["version"]
        )
        for version, count in Counter(one["version"] for one in self._status.read() if one["version"]).items():
            release.add_metric([version], count)
        yield release
