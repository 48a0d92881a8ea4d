"""A repo with one pipeline, `shops`, whose release is in service: rows of three towns, a sigmoid as model, days that differ."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from onebutton_monitoring.watch import Watch, watch
from onebutton_release.target import find_target
from onebutton_serving.history import Move, following, in_service, now, record
from onebutton_serving.sealed import MANIFEST, digest_of, seal

VERSION = "20260601-aaaaaaaa"
BEGIN = date(2026, 1, 5)  # a Monday
ENVIRONMENTS = """
[environments.local]
store = "releases"
may_deploy = ["*"]
on_call = "Ann, 0100"
laptop = true
"""
GATES = """
[judging]
owner = "the team"
task = "binary"
answer = "left"
prediction = "probability"
metrics = ["auc"]
unit = "day"
champion = "auc"
tolerance = 0.01
[[gates]]
id = "auc"
why = "else it ranks nothing"
check = "limit"
metric = "auc"
slices = ["all"]
at_least = 0.6
"""
MONITOR = """
key = ["request", "row"]
time = "day"
label_delay_days = 1
[harm]
limit = 0.5
miss = 2.0
[[slices]]
by = ["town"]
"""
CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: {name}
name: {name}
version: 1.0.0
status: active
team: {{name: the team}}
roles: [{{role: reader, access: read, description: ask}}]
description: {{purpose: a test}}
schema:
  - name: {name}
    logicalType: object
    properties:
      - {{name: visit, logicalType: integer, required: true, primaryKey: true, primaryKeyPosition: 1}}
{columns}
"""
INPUTS = """      - {name: day, logicalType: date, required: true}
      - {name: town, logicalType: string, required: true, logicalTypeOptions: {pattern: "^[A-Za-z]+$"}}
      - {name: spend, logicalType: number, logicalTypeOptions: {minimum: -10000, maximum: 10000}}
      - {name: warm, logicalType: number}
      - {name: left, logicalType: integer, required: true}"""
OUTPUTS = """      - {name: left, logicalType: integer, required: true}
      - {name: probability, logicalType: number, required: true, logicalTypeOptions: {minimum: 0, maximum: 1}}"""
CARD = "\n".join(
    f'{name} = "x"'
    for name in (
        "title", "predicts", "owner", "data", "intended", "forbidden", "chosen_because", "also_tried", "limits", "people",
    )
) + '\npackages = ["onnx"]\n'  # fmt: skip


def model() -> bytes:
    """Make an ONNX file: the probability is a sigmoid of `spend`; the others are read and change nothing."""
    from onnx import TensorProto, helper, numpy_helper

    kinds = {"town": TensorProto.STRING, "spend": TensorProto.FLOAT, "warm": TensorProto.FLOAT}
    inputs = [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in kinds.items()]
    output = helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None, 1])
    weight = numpy_helper.from_array(np.array([[1.0]], dtype=np.float32), "slope")
    nodes = [
        helper.make_node("MatMul", ["spend", "slope"], ["odds"]),
        helper.make_node("Sigmoid", ["odds"], ["probability"]),
    ]
    graph = helper.make_graph(nodes, "shops", inputs, [output], [weight])
    content: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    ).SerializeToString()
    return content


def rows(days: int, first: int = 0, *, a_day: int = 300, seed: int = 0, worse: float = 0.0) -> pl.DataFrame:
    """Draw visits; `worse` moves the log odds of leaving, which the model does not see."""
    rng = np.random.default_rng([seed, first])
    count = days * a_day
    day = np.repeat(np.arange(days), a_day)
    spend = rng.normal(-1, 1.5, count)
    odds = spend + rng.normal(0, 0.15, days)[day] + worse
    return pl.DataFrame(
        {
            "visit": np.arange(count) + first * a_day,
            "day": [BEGIN + timedelta(first + int(one)) for one in day],
            "town": rng.choice(["Alba", "Bern", "Cork"], count),
            "spend": spend,
            "warm": 15 + 5 * np.sin(day / 5) + rng.normal(0, 3, count),
            "left": (rng.random(count) < 1 / (1 + np.exp(-odds))).astype(np.int64),
        }
    )


def deploy(root: Path, version: str) -> None:
    """Put a release into service."""
    target = find_target(root, "shops", "local", "local")
    release = root / "releases/shops" / version
    release.mkdir(parents=True)
    (release / "model.onnx").write_bytes(model())
    seal(release)
    before, (sequence, previous) = in_service(target.store), following(target.store)
    record(
        target.store,
        Move(
            sequence=sequence, at=now(), who="ann", known_by="git", environment="local", pipeline="shops", action="deploy",
            before=before.after if before else "", after=version, why="", digest=digest_of(release / MANIFEST), previous=previous,
        ),
    )  # fmt: skip


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the pipeline, its tables, and a release in service."""
    for name in ("CI", "GITHUB_ACTIONS"):  # there a release store inside of a checkout is refused
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "pipelines/shops"
    for name in ("contracts", "data", "model"):
        (folder / name).mkdir(parents=True)
    written = {
        "deploy/environments.toml": ENVIRONMENTS,
        "pyproject.toml": '[project]\nname = "acme"\nurls.repository = "https://example.com/acme"\n',
        "pipelines/shops/dvc.yaml": "stages: {}\n",
        "pipelines/shops/gates.toml": GATES,
        "pipelines/shops/monitor.toml": MONITOR,
        "pipelines/shops/card.toml": CARD,
        "pipelines/shops/release.toml": 'inputs = "contracts/inputs.odcs.yaml"\noutputs = "contracts/outputs.odcs.yaml"\n',
        "pipelines/shops/pyproject.toml": '[project]\nname = "shops"\n',
        "pipelines/shops/contracts/inputs.odcs.yaml": CONTRACT.format(name="inputs", columns=INPUTS),
        "pipelines/shops/contracts/outputs.odcs.yaml": CONTRACT.format(name="outputs", columns=OUTPUTS),
    }  # fmt: skip
    for file, text in written.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    (folder / "model/model.onnx").write_bytes(model())
    known = rows(70).with_columns(
        split=pl.when(pl.col("day") < BEGIN + timedelta(35)).then(pl.lit("fit")).otherwise(pl.lit("tune"))
    )
    known.write_parquet(folder / "data/train.parquet")
    rows(56, 70).write_parquet(folder / "data/holdout.parquet")
    deploy(tmp_path, VERSION)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ONEBUTTON_ALARM_URLS", raising=False)
    return tmp_path


@pytest.fixture
def shops(repo: Path) -> Watch:
    """What is watched."""
    return watch(repo / "pipelines/shops", repo / "pipelines/shops/model/model.onnx")


class World:
    """The shops, their server's log and their late labels."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.logs = root / ".serving/local/shops/8000/log"
        self.logs.mkdir(parents=True)
        self.labels = root / "labels"
        self.labels.mkdir()

    rows = staticmethod(rows)
    version = VERSION

    def deploy(self, version: str) -> None:
        """Put another release into service."""
        deploy(self.root, version)

    def day(self, number: int) -> date:
        """A day by its number; the log begins at 70."""
        return BEGIN + timedelta(number)

    def at(self, number: int) -> datetime:
        """Eight in the morning of a day."""
        return datetime.combine(self.day(number), datetime.min.time(), UTC) + timedelta(hours=8)

    def logged(self, visits: pl.DataFrame, version: str = VERSION) -> pl.DataFrame:
        """Lay visits out as a server logs them: each is a request of one row, named by the visit."""
        return visits.select(
            pl.col("day").cast(pl.Datetime("us")).dt.replace_time_zone("UTC").dt.offset_by("8h").alias("time"),
            pl.lit(version).alias("version"),
            pl.lit(1.0).alias("latency_ms"),
            pl.col("visit").cast(pl.String).alias("request"),
            pl.lit(0, dtype=pl.Int64).alias("row"),
            "town", "spend", "warm",
            (1 / (1 + (-pl.col("spend")).exp())).alias("probability"),
        )  # fmt: skip

    def known(self, visits: pl.DataFrame) -> pl.DataFrame:
        """Lay out what became known later."""
        return visits.select(pl.col("visit").cast(pl.String).alias("request"), pl.lit(0).alias("row"), "left")

    def write(self, visits: pl.DataFrame, answers: pl.DataFrame | None = None, version: str = VERSION) -> None:
        """Write visits into the log, and their answers, or others, to the labels."""
        number = len(list(self.logs.iterdir()))
        self.logged(visits, version).write_parquet(self.logs / f"2026-{number:04d}.parquet")
        self.known(visits if answers is None else answers).write_parquet(self.labels / f"{number:04d}.parquet")


@pytest.fixture
def world(repo: Path) -> World:
    """The shops."""
    return World(repo)
