from __future__ import annotations

from pathlib import Path

import pytest

from onebutton_contracts.errors import InputError
from onebutton_release.measurement import Load, in_words, summary


def a_load(requests: int, milliseconds: float, failed: int = 0) -> Load:
    return Load(failed, 2.0, [milliseconds] * requests)


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"x" * 1_000_000)
    return tmp_path


def test_the_best_of_the_rounds_counts_and_noise_is_said(candidate: Path) -> None:
    found = summary([a_load(100, 9), a_load(400, 2), a_load(300, 3)], [0.010, 0.018, 0.011], 1.25, 80.0, candidate)
    assert (found["requests_per_second"], found["p95_ms"], found["size_mb"]) == (200.0, 2, 1.0)
    assert found["noise"] == 0.8
    assert "the machine was noisy (its own arithmetic varied by 80%)" in in_words(found)
    assert "noisy" not in in_words(found | {"noise": 0.1})


def test_a_server_that_fails_requests_is_not_fit_for_service(candidate: Path) -> None:
    with pytest.raises(InputError, match="3 requests to the candidate failed"):
        summary([a_load(100, 2), a_load(100, 2, failed=3)], [0.01, 0.01], 1.0, 80.0, candidate)


def test_a_percentile_is_the_time_within_which_so_many_were_answered() -> None:
    one = Load(0, 1.0, [float(number) for number in range(100, 0, -1)])
    assert (one.percentile(50), one.percentile(95), one.percentile(99), one.per_second) == (51, 96, 100, 100)
    assert Load(0, 1.0).percentile(95) == float("inf")
