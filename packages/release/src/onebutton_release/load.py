"""A small load on one address: some connections, each of which asks again when it is answered.

It is the gate's own, so that a gate can be measured wherever a model is built. It costs the processor as well; benchmarks
use `wrk`.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Load:
    """What a load took.

    Attributes:
        requests: answered.
        failed: answered with anything but 200, or not at all.
        seconds: from the first to the last.
        milliseconds: of each request, in ascending order.
        versions: the releases that answered, in the order in which each first did.
    """

    requests: int
    failed: int
    seconds: float
    milliseconds: tuple[float, ...]
    versions: tuple[str, ...] = ()

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    def percentile(self, percent: float) -> float:
        """Return the time, in milliseconds, within which so many percent of the requests were answered."""
        if not self.milliseconds:
            return math.inf
        return self.milliseconds[min(len(self.milliseconds) - 1, int(len(self.milliseconds) * percent / 100))]


def load(address: str, body: bytes, *, connections: int = 8, seconds: float = 3.0) -> Load:
    """Ask a server for predictions with one body again and again, as fast as they are answered."""
    parts = urlsplit(address)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    head = f"POST /v1/predict HTTP/1.1\r\nhost: {host}:{port}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    request = f"{head}\r\n\r\n".encode() + body
    begun = time.perf_counter()

    async def ask() -> list[tuple[list[float], int, list[str]]]:
        return await asyncio.gather(*(_connection(host, port, request, begun + seconds) for _ in range(connections)))

    tallies = asyncio.run(ask())
    took = time.perf_counter() - begun
    times = sorted(ms for tally in tallies for ms in tally[0])
    versions = dict.fromkeys(version for tally in tallies for version in tally[2])
    return Load(len(times), sum(tally[1] for tally in tallies), took, tuple(times), tuple(versions))


async def _connection(host: str, port: int, request: bytes, until: float) -> tuple[list[float], int, list[str]]:
    times: list[float] = []
    failed = 0
    versions: dict[str, None] = {}
    writer: asyncio.StreamWriter | None = None
    while (begun := time.perf_counter()) < until:
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection(host, port)
            writer.write(request)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), timeout=30)
            fields = {key.lower(): value for key, _, value in (line.partition(b": ") for line in head.split(b"\r\n"))}
            await reader.readexactly(int(fields.get(b"content-length", b"0")))
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            failed += 1
            writer = None
            await asyncio.sleep(0.01)
            continue
        failed += b" 200 " not in head[:16]
        versions[fields.get(b"x-model-version", b"").decode()] = None
        times.append((time.perf_counter() - begun) * 1000)
    if writer is not None:
        writer.close()
    return times, failed, [version for version in versions if version]
