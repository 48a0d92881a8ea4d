"""The fast way and the slow way of checking a body must agree: one refuses, the other says why."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packages.serving.tests.conftest import FIRST, SCHEMA, golden_rows, make_release

from onebutton_serving.faults import faults_in
from onebutton_serving.loading import load_release
from onebutton_serving.rows import Reader
from onebutton_serving.schema import Field, Schema
from onebutton_serving.sealed import ReleaseError

FIELDS = (
    *(Field(**field) for field in SCHEMA["inputs"]),
    Field("code", "string", min_length=2, max_length=3),
    Field("kind", "integer", allowed=(1, 2)),
    Field("paid", "boolean", required=False),
    Field("new", "boolean", allowed=(True,)),
    Field("rate", "number", required=False, allowed=(0.5, 1)),
)
SCHEME = Schema("p", "t", "a 1", "b 1", FIELDS, (Field("out", "number"),))
GOOD: dict[str, Any] = golden_rows()[0]["input"] | {"code": "abc", "kind": 2, "rate": None, "paid": None, "new": True}
VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4)
    | st.sampled_from([0, 0.5, 1, 1.0, 2.0, "EWR", "UA", 3.5e38, 2**60, 10**400]) | st.lists(st.integers(), max_size=1)
)  # fmt: skip
READER = Reader(SCHEME)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no mistake of ours
@given(
    st.dictionaries(st.sampled_from([*GOOD, "more"]), VALUES, max_size=3),
    st.lists(st.sampled_from([*GOOD]), max_size=1),
)
def test_what_one_refuses_the_other_explains(changed: dict[str, Any], left_out: list[str]) -> None:
    row = {name: value for name, value in (GOOD | changed).items() if name not in left_out}
    try:
        body = json.dumps({"rows": [row]}, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a surrogate pair is no text
        return
    try:
        READER.read(body)
        taken = True
    except (msgspec.DecodeError, UnicodeDecodeError):
        taken = False
    status, found = faults_in(body, SCHEME, "not explained")
    assert taken == (found[0].message == "not explained")
    assert status in {400, 422}


def test_good_rows_are_read_texts_first() -> None:
    names = [
        "carrier",
        "origin",
        "code",
        "distance",
        "departure_minute",
        "temp",
        "wind_gust",
        "kind",
        "paid",
        "new",
        "rate",
    ]
    assert READER.names == names
    assert READER.read(json.dumps({"rows": [GOOD]}).encode()) == [tuple(GOOD[name] for name in names)]


def test_a_pattern_that_python_cannot_read_is_the_releases_fault(tmp_path: Path) -> None:
    inputs = [field | {"pattern": "^[a"} if "pattern" in field else field for field in SCHEMA["inputs"]]
    with pytest.raises(ReleaseError, match=f"release {FIRST}: .* unterminated character set"):
        load_release(make_release(tmp_path, inputs=inputs))
