from datetime import date
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.dvc_files import Output, body_of, entries, outputs, parse_yaml, paths, read_stages
from onebutton_contracts.errors import InputError

PLAN = """\
stages:
  train:
    foreach: {slow: 1, fast: 2}
    do:
      cmd: python -m demo.train ${key} ${item}
      metrics:
        - "metrics/${key}.json": {cache: false}
  card:
    cmd: python -m demo.card
    outs: [card.md]
"""
LOCK = """\
stages:
  train@slow: {outs: [{path: metrics/slow.json, md5: a}, {path: model/slow.onnx, md5: b}]}
  train@fast: {outs: [{path: metrics/fast.json, md5: c}]}
  card: {outs: [{path: card.md, md5: d}]}
"""


def test_what_stages_write_is_named_as_dvc_filled_it_in() -> None:
    plan, lock = parse_yaml(PLAN, "dvc.yaml")["stages"], parse_yaml(LOCK, "dvc.lock")["stages"]
    card = Output("card", "card.md", {})
    slow = Output("train@slow", "metrics/slow.json", {"cache": False})
    assert outputs(plan, lock) == [slow, slow._replace(stage="train@fast", path="metrics/fast.json"), card]
    assert outputs(plan, lock, "outs") == [card]
    assert outputs(plan, {}) == [card]  # before the first run
    assert body_of(plan["train"])["cmd"].startswith("python")


def test_entries_are_paths_with_their_options() -> None:
    assert entries(["a", {"b": {"cache": False}}, {"c": None}]) == [("a", {}), ("b", {"cache": False}), ("c", {})]
    assert paths("${shared}") == []
    assert body_of(None) == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-05", 1e-05),
        ("1e5", 1e5),
        (".5", 0.5),
        ("2.", 2.0),
        ("-.inf", float("-inf")),
        ("0x1F", 31),
        ("-7", -7),
        ("1_000", 1000),
        ("12:30", "12:30"),
        ("no", "no"),
        ("on", "on"),
        ("True", True),
        ("~", None),
        ("2013-07-01", date(2013, 7, 1)),
        ("v1.2", "v1.2"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_a_value_is_read_as_dvc_reads_it(text: str, value: Any) -> None:
    found = parse_yaml(f"key: {text}", "params.yaml")["key"]
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [", "not YAML"), ("- a", "not a mapping"), ("a: 1", "has no stages"), (None, "cannot be read .* `make run`")],
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, text: str | None, words: str) -> None:
    file = tmp_path / "dvc.yaml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        read_stages(file)
