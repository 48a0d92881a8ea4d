"""Measure what scoring in batch costs beside the model itself: `python benchmarks/scoring.py` prints a table in Markdown.

Real flights, repeated to 10 million rows (`--rows`), are scored by the button in a process of its own, from the start of Python
to its last line, and by bare calls of onnxruntime on arrays that are ready, with the same one thread. The two take turns, three
times (`--repeats`), and the least of each counts: other programs disturbed it least. `--shards 8` scores it once more in so many
shards, and says whether they make the same file when merged. `make run` makes the model and the flights.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime
import polars as pl

from onebutton_contracts.contract import load_contract
from onebutton_models.scoring import OnnxModel
from onebutton_release.scoring_rows import BATCH
from onebutton_serving.schema import Field, Schema, schema_text
from onebutton_serving.sealed import digest_of, seal

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIPELINE = Path(__file__).resolve().parents[1] / "pipelines/flight_delays"
MODEL, FEATURES = PIPELINE / "model/model.onnx", PIPELINE / "data/holdout.parquet"
READY = 1_000_000  # rows of the ready arrays, asked again and again


def make_release(folder: Path, model: OnnxModel, flights: pl.DataFrame) -> None:
    """Seal a release of the flights' model that checks what the contract of its features says."""
    contract = load_contract(PIPELINE / "contracts/features.odcs.yaml")
    terms = [asdict(contract.column(name)) for name in model.inputs]
    shared = set(Field.__struct_fields__)
    inputs = tuple(
        Field(type=one["logical_type"], **{name: value for name, value in one.items() if name in shared})
        for one in terms
    )
    outputs = (Field("late_probability", "number", minimum=0, maximum=1),)
    schema = Schema("flight_delays", "late?", "features 1.0.0", "predictions 1.0.0", inputs, outputs)
    row = flights.select(*model.inputs).head(1)
    golden = [{"input": row.row(0, named=True), "output": {outputs[0].name: float(model.predict(row)[0])}}]
    folder.mkdir()
    shutil.copy(MODEL, folder / "model.onnx")
    (folder / "schema.json").write_text(schema_text(schema), encoding="utf-8")
    (folder / "golden.json").write_text(json.dumps({"tolerance": 1e-5, "rows": golden}), encoding="utf-8")
    seal(folder)


def write_rows(path: Path, flights: pl.DataFrame, rows: int) -> None:
    """Write real flights again and again, in bounded memory."""
    whole, rest = divmod(rows, flights.height)
    pl.concat([*[flights.lazy()] * whole, flights.head(rest).lazy()]).sink_parquet(path, row_group_size=100_000)


def ready_arrays(model: OnnxModel, flights: pl.DataFrame, rows: int) -> dict[str, NDArray[Any]]:
    """Make the arrays that the model takes."""
    frame = pl.concat([flights] * (rows // flights.height + 1)).head(rows)
    return {
        name: (frame[name] if kind == "string" else frame[name].cast(pl.Float32)).to_numpy().reshape(-1, 1)
        for name, kind in model.inputs.items()
    }


def raw_seconds(session: Any, arrays: dict[str, NDArray[Any]], rows: int) -> tuple[float, float]:
    """Time bare calls of onnxruntime: seconds, and seconds of the processor."""
    batches = [
        {name: values[at : at + BATCH] for name, values in arrays.items()} for at in range(0, min(READY, rows), BATCH)
    ]
    begun, worked, done = time.perf_counter(), time.process_time(), 0
    while done < rows:
        for batch in batches:
            session.run(None, batch)
        done += min(READY, rows)
    return (time.perf_counter() - begun) * rows / done, (time.process_time() - worked) * rows / done


SCORE = """
import sys
from pathlib import Path
from onebutton_release.scoring import score_file

rows, out, release, shard = sys.argv[1:]
score_file(rows, out, lambda: Path(release), shard)
"""


def button(release: Path, rows: Path, out: Path, shard: str = "") -> tuple[float, float, int]:
    """Press the button in a process of its own.

    Returns:
        Seconds, seconds of the processor, and the peak of resident memory in MB.
    """
    command = [sys.executable, "-c", SCORE, str(rows), str(out), str(release), shard]
    begun = time.perf_counter()
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(started.pid, 0)
    taken = time.perf_counter() - begun
    started.returncode = os.waitstatus_to_exitcode(status)
    if started.returncode:
        raise SystemExit(started.returncode)
    return taken, used.ru_utime + used.ru_stime, used.ru_maxrss // (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--shards", type=int, default=0)
    asked = parser.parse_args()
    rows = asked.rows
    flights = pl.read_parquet(FEATURES).drop("late")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(MODEL), options, providers=["CPUExecutionProvider"])
    model = OnnxModel(MODEL)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_release(folder / "20130630-00000000", model, flights)
        write_rows(folder / "rows.parquet", flights, rows)
        arrays = ready_arrays(model, flights, min(READY, rows))
        bare, pressed, out = [], [], folder / "scored.parquet"
        places = (folder / "20130630-00000000", folder / "rows.parquet", out)
        for _ in range(asked.repeats):
            out.unlink(missing_ok=True)
            bare.append(raw_seconds(session, arrays, rows))
            pressed.append(button(*places))
        whole = digest_of(out)
        shards = [f"{number + 1}/{asked.shards}" for number in range(asked.shards)]
        if shards:
            out.unlink()
        for shard in shards:
            button(*places, shard)
        merged = button(*places)[0] if shards else 0.0
        same = digest_of(out) == whole
    raw, raw_cpu = (min(one[place] for one in bare) for place in (0, 1))
    taken, cpu = (min(one[place] for one in pressed) for place in (0, 1))
    peak = max(one[2] for one in pressed)
    print(f"\n{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(f"| {rows:,} rows | seconds | rows a second | share | processor's seconds | peak memory |")
    print("|---|--:|--:|--:|--:|--:|")
    print(f"| onnxruntime on ready arrays | {raw:.1f} | {rows / raw:,.0f} | 100 % | {raw_cpu:.1f} | |")
    share = f"{100 * raw / taken:.0f} %"
    print(f"| `make score` | {taken:.1f} | {rows / taken:,.0f} | {share} | {cpu:.1f} | {peak:,} MB |")
    if shards:
        print(f"\n{len(shards)} shards merged in {merged:.1f} s: {'the same bytes' if same else 'NOT the same bytes'}")


if __name__ == "__main__":
    main()
