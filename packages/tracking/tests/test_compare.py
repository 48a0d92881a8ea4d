from typing import Any

import pytest

from onebutton_tracking.reproduce import DIFFERENT, IDENTICAL, WITHIN, compare


def lock(data: str = "d1", model: str = "m1", metrics: str = "j1") -> dict[str, Any]:
    entries = {"model.onnx": model, "metrics.json": metrics}
    outs = [{"path": path, "md5": digest} for path, digest in entries.items() if digest]
    return {"train": {"deps": [{"path": "data", "md5": data}, {"path": ".code/train", "md5": "c"}], "outs": outs}}


def test_the_same_bytes_are_identical() -> None:
    assert compare(lock(), lock(), {"auc": 0.7}, {"auc": 0.7}, 0) == (IDENTICAL, [])


def test_other_bytes_with_metrics_near_enough_are_within_tolerance() -> None:
    found = compare(lock(), lock(model="m2", metrics="j2"), {"auc": 0.7}, {"auc": 0.70001}, 0.001)
    words = ["model.onnx has other bytes", "metrics.json has other bytes", "auc is 0.70001 and was 0.7"]
    assert found == (WITHIN, words)


@pytest.mark.parametrize(
    ("now", "metrics", "words"),
    [
        (lock(model="m2", metrics="j2"), {"auc": 0.8}, "auc is 0.8 and was 0.7"),
        (lock(model="m2", metrics="j2"), {"auc": float("nan")}, "auc is nan and was 0.7"),
        (lock(model="m2", metrics="j2"), {}, "auc is (none) and was 0.7"),
        (lock(data="tampered"), {"auc": 0.7}, "the input data is another"),
        (lock(model=""), {"auc": 0.7}, "model.onnx was not written"),
    ],
)
def test_what_differs_is_named(now: dict[str, Any], metrics: dict[str, float], words: str) -> None:
    verdict, differences = compare(lock(), now, {"auc": 0.7}, metrics, 0.001)
    assert verdict == DIFFERENT
    assert differences[0] == words


def test_other_bytes_without_a_metric_to_judge_by_are_different() -> None:
    assert compare(lock(), lock(model="m2"), {}, {}, 1)[0] == DIFFERENT
