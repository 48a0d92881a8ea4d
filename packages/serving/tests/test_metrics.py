"""What Prometheus reads at /metrics, in its own format."""

from pathlib import Path

from packages.serving.tests.conftest import FIRST, Client, golden_rows
from prometheus_client.parser import text_string_to_metric_families

from onebutton_serving.metrics import Metrics

ROW = golden_rows()[0]["input"]


def figures(client: Client) -> dict[str, float]:
    status, headers, content = client.ask("GET", "/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    samples = [sample for family in text_string_to_metric_families(content.decode()) for sample in family.samples]
    return {" ".join([sample.name, *sample.labels.values()]): sample.value for sample in samples}


def test_answers_rows_and_refusals_are_counted_and_the_release_is_named(client: Client) -> None:
    before = figures(client)
    assert (before["onebutton_requests_total 200"], before["onebutton_requests_total 422"]) == (0, 0)
    client.predict(ROW, ROW)
    client.predict(ROW | {"origin": "BOS"})
    found = figures(client)
    assert (found["onebutton_requests_total 200"], found["onebutton_requests_total 422"]) == (1, 1)
    assert (found["onebutton_rows_total"], found["onebutton_swaps_total"]) == (2, 1)
    assert found[f"onebutton_release_info {FIRST}"] == 1
    assert found["onebutton_latency_seconds_count"] == found["onebutton_latency_seconds_bucket +Inf"] == 2
    assert found["onebutton_latency_seconds_bucket 0.0005"] <= found["onebutton_latency_seconds_bucket 10.0"] == 2
    assert found["onebutton_latency_seconds_sum"] > 0


def test_workers_are_added_up_and_one_that_ended_still_counts(client: Client, tmp_path: Path) -> None:
    other = Metrics(tmp_path / "state", client.service, client.log)
    other.answered(200, 7, 20.0)
    other.flush()
    other._own.close()  # as the end of a process does
    client.predict(ROW)
    found = figures(client)
    assert (found["onebutton_rows_total"], found[f"onebutton_release_info {FIRST}"]) == (8, 1)
    assert (found["onebutton_latency_seconds_bucket 10.0"], found["onebutton_latency_seconds_count"]) == (1, 2)


def test_a_file_of_figures_that_was_torn_is_passed_over(client: Client, tmp_path: Path) -> None:
    (tmp_path / "state/workers/1-1.json").write_bytes(b'{"rows": 1')
    client.predict(ROW)
    assert figures(client)["onebutton_rows_total"] == 1


def test_what_the_monitor_found_is_shown_too(client: Client, tmp_path: Path) -> None:
    """So that who watches the server sees when the monitor itself has not run."""
    assert "onebutton_monitor_run_timestamp_seconds" not in figures(client)
    (tmp_path / "state/monitor.prom").write_text("onebutton_monitor_run_timestamp_seconds 12.0\n", encoding="utf-8")
    assert figures(client)["onebutton_monitor_run_timestamp_seconds"] == 12
