"""Ask the model for many requests at once: those that arrived in the same turn of the event loop share one call.

One call of the model costs some 20 microseconds before it has looked at a row; eight rows together take little longer than one.
Nothing waits for company: a request that is alone is answered alone, in the next turn.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from onebutton_models.scoring import ScoringError
from onebutton_serving.answering import Answerer
from onebutton_serving.rows import Values

LARGE = 64  # rows: from here on a thread computes, so that other requests need not wait
_TOGETHER = 64  # rows in one call

Answers = list[list[float]]
_Waiting = tuple[Answerer, list[Values], "asyncio.Future[Answers]"]


class Batcher:
    """Computes the answers of one worker."""

    def __init__(self) -> None:
        """Start no thread yet."""
        self._waiting: list[_Waiting] = []
        self._pool = ThreadPoolExecutor(max(1, min(4, (os.cpu_count() or 2) - 1)), "large")

    async def answer(self, release: Answerer, rows: list[Values]) -> Answers:
        """Answer the rows of a request, with this release alone.

        Raises:
            ScoringError: the model refuses a value.
        """
        loop = asyncio.get_running_loop()
        if len(rows) > LARGE:
            return await loop.run_in_executor(self._pool, release.answer, rows)
        future: asyncio.Future[Answers] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._flush)
        self._waiting.append((release, rows, future))
        return await future

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        while waiting:
            release, total, count = waiting[0][0], 0, 0
            for other, rows, _ in waiting:
                total += len(rows)
                if other is not release or (count and total > _TOGETHER):
                    break
                count += 1
            _answer_together(release, waiting[:count])
            waiting = waiting[count:]


def _answer_together(release: Answerer, group: Sequence[_Waiting]) -> None:
    if len(group) == 1:
        _answer_alone(release, group[0])
        return
    try:
        answers = release.answer([row for _, rows, _ in group for row in rows])
    except ScoringError:  # of one of them: the others must not pay for it
        for one in group:
            _answer_alone(release, one)
        return
    start = 0
    for _, rows, future in group:
        end = start + len(rows)
        if not future.done():  # it may have been cancelled
            future.set_result(answers[start:end])
        start = end


def _answer_alone(release: Answerer, one: _Waiting) -> None:
    _, rows, future = one
    if future.done():
        return
    try:
        future.set_result(release.answer(rows))
    except ScoringError as error:
        future.set_exception(error)
