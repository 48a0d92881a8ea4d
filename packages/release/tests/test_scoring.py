from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onebutton_contracts.errors import InputError
from onebutton_models.scoring import OnnxModel
from onebutton_release import scoring
from onebutton_release.scoring import Job, score
from onebutton_serving.loading import Loaded, load_release
from onebutton_serving.schema import Field, Schema, schema_text
from onebutton_serving.sealed import ReleaseError, digest_of, seal

if TYPE_CHECKING:
    from numpy.typing import NDArray

# 1,500 real flights of July 2013 (CC0), and a forest of five trees that was grown on them
FLIGHTS = pl.read_csv(Path(__file__).parents[3] / "packages/models/tests/flights.csv").drop("arr_delay")
MODEL = Path(__file__).with_name("test_scoring_model.onnx")
VERSION = "20130714-0123abcd"
SCHEMA = Schema(
    pipeline="flights",
    title="Will it come late?",
    input_contract="features 1.0.0",
    output_contract="predictions 1.0.0",
    inputs=(
        Field("carrier", "string", pattern="^[A-Z0-9]{2}$"),
        Field("origin", "string", allowed=("EWR", "JFK", "LGA")),
        Field("dest", "string", min_length=3, max_length=3, classification="personal"),
        Field("distance", "number", minimum=1, maximum=5500, unit="miles"),
        Field("departure_minute", "integer", minimum=0, maximum=1439),
        Field("temp", "number", required=False),
        Field("humid", "number", required=False, minimum=0, maximum=100),
        Field("wind_gust", "number", required=False),
    ),
    outputs=(Field("late", "number", minimum=0, maximum=1),),
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed release."""
    folder = tmp_path_factory.mktemp("store") / VERSION
    folder.mkdir()
    shutil.copy(MODEL, folder / "model.onnx")
    (folder / "schema.json").write_text(schema_text(SCHEMA))
    examples = FLIGHTS.head(3).rows(named=True)
    answers = OnnxModel(MODEL).predict(FLIGHTS.head(3))
    golden = [{"input": row, "output": {"late": float(late)}} for row, late in zip(examples, answers, strict=True)]
    (folder / "golden.json").write_text(json.dumps({"tolerance": 1e-5, "rows": golden}))
    seal(folder)
    return folder


@pytest.fixture(scope="session")
def release(folder: Path) -> Loaded:
    return load_release(folder)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `rows.parquet`, where the button is pressed."""
    monkeypatch.chdir(tmp_path)
    FLIGHTS.write_parquet("rows.parquet")
    return tmp_path


@dataclasses.dataclass(frozen=True)
class Pressed:
    """What a press printed, and its exit status."""

    status: int
    out: str
    err: str


Press = Callable[..., Pressed]


@pytest.fixture
def press(folder: Path, capsys: pytest.CaptureFixture[str]) -> Press:
    """Press the button with values such as IN=, on the release or another one."""

    def press(release: Path = folder, **values: str) -> Pressed:
        names = {"IN": "rows.parquet", "OUT": "scored.parquet"} | values
        try:
            out = scoring.score_file(
                names["IN"],
                names["OUT"],
                lambda: release,
                names.get("SHARD", ""),
            )
        except (InputError, ReleaseError) as error:
            return Pressed(1, "", str(error))
        return Pressed(0, out, capsys.readouterr().err)

    return press


def refusal(pressed: Pressed) -> str:
    """Return the one line of a press that was refused and left nothing."""
    assert pressed.status == 1
    assert pressed.out == ""
    (line,) = pressed.err.splitlines()
    assert not Path("scored.parquet").exists()
    return line


def only_rows_are_here() -> bool:
    return [path.name for path in Path.cwd().iterdir()] == ["rows.parquet"]


def test_the_columns_come_back_with_the_answers_and_the_release(press: Press) -> None:
    done = press()
    assert done.status == 0
    scored = pl.read_parquet("scored.parquet")
    assert scored.drop("late", "release").equals(FLIGHTS)
    np.testing.assert_array_equal(scored["late"].to_numpy(), OnnxModel(MODEL).predict(FLIGHTS))
    assert scored["release"].unique().to_list() == [VERSION]


def test_one_line_says_how_many_how_fast_by_whom_and_what_is_next(press: Press) -> None:
    done = press()
    line = r"1,500 rows in \d+\.\d s, [\d,]+ a second, by release 20130714-0123abcd: scored\.parquet\. Next: .*"
    assert re.fullmatch(line, done.out)
    assert done.err == ""


def test_nothing_but_the_answers_is_left(press: Press) -> None:
    press()
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["rows.parquet", "scored.parquet"]


def test_a_csv_gives_what_parquet_gives(press: Press) -> None:
    FLIGHTS.write_csv("rows.csv")
    press(IN="rows.csv", OUT="of_csv.parquet")
    press()
    assert pl.read_parquet("of_csv.parquet").equals(pl.read_parquet("scored.parquet").cast({"distance": pl.Float64}))


def test_true_and_false_are_scored_from_parquet_and_from_a_csv(press: Press, folder: Path, tmp_path: Path) -> None:
    inputs = [
        Field("wind_gust", "boolean", required=False) if one.name == "wind_gust" else one for one in SCHEMA.inputs
    ]
    made = tmp_path / "made" / VERSION
    shutil.copytree(folder, made, ignore=shutil.ignore_patterns("MANIFEST*", "schema.json"))
    (made / "schema.json").write_text(schema_text(msgspec.structs.replace(SCHEMA, inputs=tuple(inputs))))
    seal(made)
    flights = FLIGHTS.with_columns(wind_gust=pl.when(pl.col("wind_gust").is_not_null()).then(pl.col("wind_gust") > 12))
    flights.write_parquet("rows.parquet")
    assert press(made).status == 0
    np.testing.assert_array_equal(pl.read_parquet("scored.parquet")["late"], OnnxModel(MODEL).predict(flights))
    flights.write_csv("rows.csv")
    assert press(made, IN="rows.csv", OUT="of_csv.parquet").status == 0
    assert pl.read_parquet("of_csv.parquet")["late"].equals(pl.read_parquet("scored.parquet")["late"])
    flights.with_columns(wind_gust=pl.col("wind_gust").cast(pl.String).replace("true", "yes")).write_csv("rows.csv")
    said = press(made, IN="rows.csv", OUT="third.parquet")
    assert "column wind_gust must be a boolean [type]" in said.err


def test_columns_of_a_csv_that_the_model_does_not_know_stay_as_they_are(press: Press) -> None:
    FLIGHTS.with_columns(tail=pl.lit("007")).write_csv("rows.csv")
    assert press(IN="rows.csv").status == 0
    assert pl.read_parquet("scored.parquet")["tail"].unique().to_list() == ["007"]


def test_parquet_is_known_by_its_content(press: Press) -> None:
    Path("rows.parquet").rename("rows.dat")
    assert press(IN="rows.dat").status == 0


@pytest.mark.parametrize(
    ("column", "kind"),
    [("carrier", pl.Categorical), ("departure_minute", pl.Float64), ("temp", pl.Float32), ("distance", pl.Int16)],
)
def test_types_that_hold_the_same_values_do_as_well(press: Press, column: str, kind: pl.DataType) -> None:
    FLIGHTS.with_columns(pl.col(column).cast(kind)).write_parquet("rows.parquet")
    assert press().status == 0
    np.testing.assert_allclose(pl.read_parquet("scored.parquet")["late"], OnnxModel(MODEL).predict(FLIGHTS))


def test_a_column_without_a_value_is_missing_where_that_is_allowed(press: Press) -> None:
    FLIGHTS.with_columns(wind_gust=None).write_parquet("rows.parquet")
    assert press().status == 0


def spoil(column: str, value: Any, *rows: int) -> pl.DataFrame:
    """Put a value into some rows, counted from 1."""
    chosen = pl.int_range(1, pl.len() + 1).is_in(rows)
    return FLIGHTS.with_columns(pl.when(chosen).then(pl.lit(value)).otherwise(column).alias(column))


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        (
            "carrier",
            "ua",
            "column carrier must match ^[A-Z0-9]{2}$ [pattern]; 1 of rows 1 to 1,500 break it: row 7 (ua)",
        ),
        ("carrier", None, "column carrier must not be missing [required]; 1 of rows 1 to 1,500 break it: row 7 (null)"),
        ("origin", "PHL", "must be one of EWR, JFK, LGA [allowed values]; 1 of rows 1 to 1,500 break it: row 7 (PHL)"),
        (
            "distance",
            0.0,
            "column distance must be at least 1 miles [minimum]; 1 of rows 1 to 1,500 break it: row 7 (0)",
        ),
        (
            "distance",
            9e3,
            "column distance must be at most 5500 miles [maximum]; 1 of rows 1 to 1,500 break it: row 7 (9000)",
        ),
        (
            "humid",
            float("nan"),
            "or missing where that is allowed [not a number]; 1 of rows 1 to 1,500 break it: row 7 (nan)",
        ),
        ("departure_minute", 3.5, "must be a whole number [type]; 1 of rows 1 to 1,500 break it: row 7 (3.5)"),
        ("departure_minute", float("inf"), "must be a whole number [type]; 1 of rows 1 to 1,500 break it: row 7 (inf)"),
        (
            "dest",
            "SFOX",
            "column dest must have at most 3 characters [longest]; 1 of rows 1 to 1,500 break it: row 7 (***)",
        ),
    ],
)
def test_a_bad_row_stops_it_and_is_named(press: Press, column: str, value: Any, words: str) -> None:
    spoil(column, value, 7).write_parquet("rows.parquet")
    assert words in refusal(press())
    assert only_rows_are_here()


def test_at_most_five_bad_rows_are_shown_and_other_rules_named(press: Press) -> None:
    bad = spoil("distance", 9000, *range(100, 109)).with_columns(humid=pl.lit(101.0))
    bad.write_parquet("rows.parquet")
    line = refusal(press())
    assert "9 of rows 1 to 1,500 break it: row 100 (9000), row 101 (9000)" in line
    assert line.count("(9000)") == 5
    assert "Broken there too: humid [maximum]" in line


def test_a_cell_of_a_csv_that_is_no_number_is_named(press: Press) -> None:
    spoil("distance", "far", 11).write_csv("rows.csv")
    assert "column distance must be a number [type]; 1 of rows 1 to 1,500 break it: row 11 in line 12 (far)" in refusal(
        press(IN="rows.csv")
    )


def test_the_line_of_a_csv_is_right_after_a_cell_of_several_lines(press: Press) -> None:
    spoil("distance", 9000, 11).with_columns(note=pl.lit("two\nlines")).write_csv("rows.csv")
    assert "row 11 in line 22 (9000)" in refusal(press(IN="rows.csv"))


def test_a_missing_column_is_named(press: Press) -> None:
    FLIGHTS.drop("humid").write_parquet("rows.parquet")
    assert "rows.parquet: missing column: humid; release" in refusal(press())


@pytest.mark.parametrize(("column", "kind"), [("distance", pl.String), ("carrier", pl.Binary)])
def test_a_column_of_another_type_is_named(press: Press, column: str, kind: pl.DataType) -> None:
    FLIGHTS.with_columns(pl.col(column).cast(pl.String).cast(kind)).write_parquet("rows.parquet")
    assert re.search(rf"rows.parquet: column {column} must be \w+, is {kind} \[type\]", refusal(press()))


@pytest.mark.parametrize("name", ["late", "release"])
def test_a_column_where_the_answer_would_stand_is_refused(press: Press, name: str) -> None:
    FLIGHTS.with_columns(pl.lit(0).alias(name)).write_parquet("rows.parquet")
    assert f"it has a column {name} already" in refusal(press())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.parquet", None, "IN=none.parquet is not here"),
        ("empty.csv", b"", "empty.csv cannot be read as CSV: empty CSV"),
        ("page.html", b"<html>", "page.html cannot be read as parquet: "),
        ("image.csv", b"\x89PNG\0\0", "image.csv has columns but no rows"),
        ("half.parquet", b"PAR1 and no more", "half.parquet cannot be read as parquet: "),
        ("latin.csv", "carrier\nÜA\n".encode("latin-1"), "latin.csv cannot be read as CSV: "),
        ("wide.csv", b"carrier\nUA,1,2\n", "wide.csv cannot be read as CSV: "),
    ],
)
def test_what_is_no_table_is_refused(press: Press, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    assert words in refusal(press(IN=name))


def test_a_table_without_rows_is_refused(press: Press) -> None:
    FLIGHTS.clear().write_parquet("rows.parquet")
    assert "rows.parquet has columns but no rows" in refusal(press())


def test_a_folder_is_no_table(press: Press) -> None:
    Path("days").mkdir()
    assert "IN=days is not here, or cannot be read: name one parquet or CSV file" in refusal(press(IN="days"))


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("none/scored.parquet", "none is no folder that can be written to"),
        ("scored.csv", "OUT=, which must end in .parquet"),
        ("", "say IN= and OUT=, "),
    ],
)
def test_an_out_that_cannot_be_is_refused(press: Press, out: str, words: str) -> None:
    assert words in refusal(press(OUT=out))


def test_a_folder_that_cannot_be_written_to_is_refused(press: Press) -> None:
    Path("locked").mkdir(mode=0o555)
    folder = "locked" if os.geteuid() else "/proc/self"  # root may write everywhere but where there are no files
    assert f"{folder} is no folder that can be written to" in refusal(press(OUT=f"{folder}/scored.parquet"))


def test_another_file_at_out_stays_as_it_is(press: Press) -> None:
    FLIGHTS.write_parquet("there.parquet")
    before = Path("there.parquet").read_bytes()
    assert "OUT=there.parquet exists, and is not what this input and release" in refusal(press(OUT="there.parquet"))
    assert Path("there.parquet").read_bytes() == before


def test_the_same_press_again_says_that_it_is_done(press: Press) -> None:
    press()
    before = Path("scored.parquet").stat().st_mtime_ns
    again = press()
    assert again.status == 0
    assert "it is done already" in again.out
    assert Path("scored.parquet").stat().st_mtime_ns == before


def test_another_input_of_the_same_name_is_not_done(press: Press) -> None:
    press()
    FLIGHTS.head(10).write_parquet("rows.parquet")
    again = press()
    assert again.status == 1
    assert "exists, and is not what this input" in again.err


def test_a_damaged_release_is_refused(press: Press, folder: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(folder, tmp_path / "damaged" / folder.name)
    (damaged / "model.onnx").chmod(0o644)
    (damaged / "model.onnx").write_bytes(MODEL.read_bytes()[:-1] + b"!")
    assert "is damaged: model.onnx was changed" in refusal(press(release=damaged))


# Interrupted and pressed again


def job(release: Loaded, out: str = "scored.parquet", rows: int = 100, threads: int = 1) -> Job:
    return Job(Path("rows.parquet"), Path(out), release, rows=rows, threads=threads)


@pytest.fixture(scope="module")
def whole(release: Loaded, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An input, and the digest of what an uninterrupted press makes of it."""
    folder = tmp_path_factory.mktemp("whole")
    FLIGHTS.write_parquet(folder / "rows.parquet")
    out = folder / "scored.parquet"
    score(Job(folder / "rows.parquet", out, release))
    return folder / "rows.parquet", digest_of(out)


@pytest.mark.parametrize(("rows", "threads"), [(61, 1), (100, 3), (751, 2), (1500, 1), (1600, 3)])
def test_any_cut_into_parts_gives_the_same_bytes(
    release: Loaded, whole: tuple[Path, str], rows: int, threads: int
) -> None:
    source, wanted = whole
    out = source.with_name("cut.parquet")
    score(Job(source, out, release, rows=rows, threads=threads))
    assert digest_of(out) == wanted


class PulledError(Exception):
    """Somebody pulled the plug."""


class Counting:
    """A model that counts the rows it is asked about, and may have its plug pulled before one of its answers."""

    def __init__(self, model: OnnxModel, pull_at: int | None = None) -> None:
        self.model, self.calls, self.rows, self.pull_at = model, 0, 0, pull_at

    def answer(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        self.calls += 1
        if self.calls == self.pull_at:
            raise PulledError
        answers = self.model.answer(arrays)
        self.rows += len(answers)
        return answers


def with_model(release: Loaded, model: Any) -> Loaded:
    return dataclasses.replace(release, models=[model])


def interrupt(release: Loaded, at: int, **more: Any) -> None:
    with pytest.raises(PulledError):
        score(job(with_model(release, Counting(release.models[0], at)), **more))


@given(moments=st.lists(st.integers(1, 15), max_size=4), threads=st.integers(1, 3))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_wherever_it_was_interrupted_the_bytes_are_the_same(
    release: Loaded, whole: tuple[Path, str], moments: list[int], threads: int
) -> None:
    source, wanted = whole
    out = source.with_name("interrupted.parquet")
    out.unlink(missing_ok=True)
    for moment in moments:
        with contextlib.suppress(PulledError):
            score(Job(source, out, with_model(release, Counting(release.models[0], moment)), rows=100, threads=threads))
            break  # what was kept was enough
    else:
        score(Job(source, out, release, rows=100, threads=threads))
    assert digest_of(out) == wanted


def test_parts_that_are_finished_are_not_made_again(release: Loaded) -> None:
    interrupt(release, at=11)
    kept = len([*Path("scored.parquet.parts").glob("part-*")])
    assert kept >= 9
    model = Counting(release.models[0])
    score(job(with_model(release, model)))
    assert model.rows == 1500 - 100 * kept


@pytest.mark.parametrize("damage", ["cut", "changed", "renamed"])
def test_a_damaged_part_is_made_again(release: Loaded, whole: tuple[Path, str], damage: str) -> None:
    shutil.copy2(whole[0], "rows.parquet")
    interrupt(release, at=11)
    first, second, *_ = sorted(Path("scored.parquet.parts").glob("part-*"))
    if damage == "cut":
        first.write_bytes(first.read_bytes()[:-7])
    elif damage == "changed":
        first.write_bytes(second.read_bytes())
    else:
        second.rename(second.with_name(second.name.replace("part-000001", "part-000000")))
        first.unlink()
    score(job(release))
    assert digest_of(Path("scored.parquet")) == whole[1]


def test_parts_of_another_input_count_for_nothing(release: Loaded) -> None:
    interrupt(release, at=11, rows=100)
    changed = FLIGHTS.reverse()
    changed.write_parquet("rows.parquet")
    asked = Counting(release.models[0])
    score(job(with_model(release, asked)))
    assert asked.rows == FLIGHTS.height
    assert pl.read_parquet("scored.parquet").select(FLIGHTS.columns).equals(changed)
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["rows.parquet", "scored.parquet"]


def test_an_input_that_changes_meanwhile_is_refused(release: Loaded) -> None:
    class Slow(Counting):
        def answer(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
            os.utime("rows.parquet")
            return super().answer(arrays)

    with pytest.raises(InputError, match="the input was changed while it was scored"):
        score(job(with_model(release, Slow(release.models[0]))))
    assert only_rows_are_here()


def test_parts_that_a_crash_left_after_the_last_step_go_with_the_next_press(press: Press, release: Loaded) -> None:
    interrupt(release, at=11, rows=131_072 // 1000)
    shutil.move("scored.parquet.parts", "left")
    press()
    shutil.move("left", "scored.parquet.parts")
    assert "it is done already" in press().out


# Shared among machines


@pytest.mark.parametrize("order", [range(1, 9), (8, 3, 1, 7, 2, 6, 4, 5)])
def test_eight_shards_merged_are_byte_equal_to_one_run(
    release: Loaded, whole: tuple[Path, str], order: Iterable[int]
) -> None:
    shutil.copy2(whole[0], "rows.parquet")
    scored = [score(job(release, rows=61), number, 8) for number in order]
    assert sum(scored) == 1500
    assert not Path("scored.parquet").exists()
    silent = Counting(release.models[0])
    score(job(with_model(release, silent), rows=61))
    assert silent.calls == 0
    assert digest_of(Path("scored.parquet")) == whole[1]
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["rows.parquet", "scored.parquet"]


def test_shards_of_a_csv_are_merged(release: Loaded) -> None:
    FLIGHTS.write_csv("rows.csv")
    asked = Job(Path("rows.csv"), Path("scored.parquet"), release, rows=400)
    assert [score(asked, number, 2) for number in (2, 1)] == [700, 800]
    assert score(asked) == 1500


def test_a_shard_says_what_is_next(press: Press) -> None:
    said = press(SHARD="1/2").out
    assert "shard 1/2: 1,500 rows" in said
    assert said.endswith("kept in scored.parquet.parts. Next: the other shards, then the same without SHARD")
    assert press().status == 0


@pytest.mark.parametrize("foreign", ["of another release", "damaged", "missing"])
def test_what_a_shard_did_not_keep_whole_is_scored_when_all_is_put_together(
    release: Loaded, whole: tuple[Path, str], folder: Path, foreign: str
) -> None:
    shutil.copy2(whole[0], "rows.parquet")
    for number in (1, 2):
        score(job(release), number, 2)
    (ours,) = Path.cwd().glob("scored.parquet.parts/part-000003-*")
    if foreign == "damaged":
        ours.write_bytes(ours.read_bytes()[:-1] + b"!")
    else:
        ours.unlink()
    if foreign == "of another release":
        other = load_release(shutil.copytree(folder, Path("20990101-00000000")))
        score(job(other, out="other.parquet"), 2, 2)
        (theirs,) = Path.cwd().glob("other.parquet.parts/part-000003-*")
        shutil.copy2(theirs, ours.parent)
    asked = Counting(release.models[0])
    score(job(with_model(release, asked)))
    assert asked.rows == 100
    assert digest_of(Path("scored.parquet")) == whole[1]


@pytest.mark.parametrize("shard", ["0/8", "9/8", "3", "3/", "a/b", "-1/8", "1/8/9"])
def test_a_shard_that_cannot_be_is_refused(press: Press, shard: str) -> None:
    assert f"SHARD={shard} must be as 3/64" in refusal(press(SHARD=shard))


# Every task


def make_release(tmp_path: Path, schema: Schema, models: Mapping[str, Path], columns: Sequence[str]) -> Path:
    """Seal a release of one or more models, and of golden examples that they answer."""
    folder = tmp_path / "20130715-0123abcd"
    folder.mkdir()
    found = []
    for name, model in models.items():
        shutil.copy(model, folder / name)
        found.append(OnnxModel(model).predict(FLIGHTS.head(3)).reshape(3, -1))
    rows = FLIGHTS.head(3).select(field.name for field in schema.inputs).rows(named=True)
    golden = [
        {"input": row, "output": dict(zip(columns, map(float, numbers), strict=True))}
        for row, numbers in zip(rows, np.concatenate(found, axis=1), strict=True)
    ]
    (folder / "schema.json").write_text(schema_text(schema))
    (folder / "golden.json").write_text(json.dumps({"tolerance": 1e-5, "rows": golden}))
    seal(folder)
    return folder


CLASSES = Path(__file__).parents[3] / "packages/serving/tests/classes.onnx"  # three classes of 400 of these flights


def test_of_several_classes_come_the_label_and_the_probability_of_each(press: Press, tmp_path: Path) -> None:
    model, names = OnnxModel(CLASSES), ("early", "in time", "late")
    columns = [f"probability[{name}]" for name in names]
    schema = msgspec.structs.replace(
        SCHEMA,
        inputs=tuple(field for field in SCHEMA.inputs if field.name in model.inputs),
        outputs=tuple(Field(name, "number", minimum=0, maximum=1) for name in columns),
        classes=names,
    )
    made = make_release(tmp_path, schema, {"model.onnx": CLASSES}, columns)
    assert press(made).status == 0
    scored, wanted = pl.read_parquet("scored.parquet"), model.predict(FLIGHTS)
    np.testing.assert_array_equal(scored.select(columns).to_numpy(), wanted)
    assert scored["label"].to_list() == [names[at] for at in wanted.argmax(axis=1)]
    assert scored.drop(*columns, "label", "release").equals(FLIGHTS)


def test_of_true_and_false_the_threshold_says_which(press: Press, tmp_path: Path) -> None:
    schema = msgspec.structs.replace(SCHEMA, classes=("false", "true"), threshold=0.4)
    assert press(make_release(tmp_path, schema, {"model.onnx": MODEL}, ["late"])).status == 0
    scored = pl.read_parquet("scored.parquet")
    assert scored["label"].to_list() == ["true" if late >= 0.4 else "false" for late in scored["late"]]
    assert scored["label"].n_unique() == 2


def test_quantiles_come_beside_the_number(press: Press, tmp_path: Path) -> None:
    outputs = (Field("minutes", "number"), Field("p90", "number"))
    schema = msgspec.structs.replace(SCHEMA, outputs=outputs, quantiles=("p90",))
    made = make_release(tmp_path, schema, {"model.onnx": MODEL, "p90.onnx": MODEL}, ["minutes", "p90"])
    assert press(made).status == 0
    scored = pl.read_parquet("scored.parquet")
    np.testing.assert_array_equal(scored["p90"].to_numpy(), OnnxModel(MODEL).predict(FLIGHTS))
    assert scored.columns[-3:] == ["minutes", "p90", "release"]


def test_a_terminal_sees_how_far_it_is(press: Press, monkeypatch: pytest.MonkeyPatch) -> None:
    pl.concat([FLIGHTS] * 300).write_parquet("rows.parquet")
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(screen, "isatty", lambda: True)
    assert press().status == 0
    assert re.search(r"score: 131,072 of 450,000 rows", screen.getvalue())
    assert screen.getvalue().endswith("\r\x1b[K")


# In a process of its own


SCORE = """
import sys
from pathlib import Path
from onebutton_contracts.errors import run_stage
from onebutton_release import scoring

rows, scored, release = sys.argv[1:]
scoring.release_in_service = lambda *_: Path(release)
run_stage(lambda: scoring.score_table(root=Path(), in_=rows, out=scored))
"""


def start(folder: Path, limit: int | None = None) -> subprocess.Popen[str]:
    """Press the button; no file may grow larger than a limit in bytes."""
    values = {"PYTHONDONTWRITEBYTECODE": "1"} if limit else {}  # half a .pyc would stay
    command = [sys.executable, "-c", SCORE, "rows.parquet", "scored.parquet", str(folder)]
    bound = (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))) if limit else None
    return subprocess.Popen(
        command,
        env={**os.environ, **values},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=bound,  # noqa: PLW1509  no threads run in this test
    )


@pytest.mark.slow
@pytest.mark.parametrize("limit", [10_000, 2_000_000], ids=["a part", "all parts together"])
def test_a_full_disk_is_told_in_a_line_and_the_next_press_goes_on(folder: Path, limit: int) -> None:
    rows = pl.concat([FLIGHTS] * 200)  # with a temperature that cannot be written in fewer bytes than it has
    rows.with_columns(temp=np.random.default_rng(0).random(rows.height)).write_parquet("rows.parquet")
    with start(folder, limit) as full:
        out, err = full.communicate()
    assert (full.returncode, out) == (1, "")
    reason = r"(File too large|.*File too large \(os error 27\).*)"
    assert re.fullmatch(
        rf"scored\.parquet cannot be written: {reason}\. Finished parts are kept: press again when that is mended\n",
        err,
    )
    assert not Path("scored.parquet").exists()
    assert [*Path.cwd().glob("*.parts/*.draft")] == []
    with start(folder) as again:
        out, err = again.communicate()
    assert (again.returncode, err) == (0, "")
    assert pl.read_parquet("scored.parquet").height == rows.height


@pytest.mark.slow
def test_killed_at_thirty_random_moments_it_gives_the_same_bytes(folder: Path) -> None:
    pl.concat([FLIGHTS] * 1400).write_parquet("rows.parquet")
    begun = time.monotonic()
    with start(folder) as undisturbed:
        _, err = undisturbed.communicate()
    taken = time.monotonic() - begun
    assert undisturbed.returncode == 0, err
    wanted = Path("scored.parquet").read_bytes()
    random, killed = Random(7), 0  # noqa: S311
    for _ in range(30):
        Path("scored.parquet").unlink(missing_ok=True)
        for _ in range(random.randint(1, 2)):
            with start(folder) as pressed:
                time.sleep(random.uniform(0.3, 1) * taken)
                pressed.send_signal(signal.SIGKILL)
                pressed.communicate()
            if pressed.returncode == -signal.SIGKILL:
                killed += 1
            else:
                taken *= 0.9  # it had ended: the machine is less busy than when that was measured
            assert not Path("scored.parquet").exists() or Path("scored.parquet").read_bytes() == wanted
        with start(folder) as last:
            _, err = last.communicate()
        assert last.returncode == 0, err
        assert Path("scored.parquet").read_bytes() == wanted
        assert sorted(path.name for path in Path.cwd().iterdir()) == ["rows.parquet", "scored.parquet"]
    assert killed >= 10


@pytest.mark.slow
def test_interrupted_by_hand_at_any_moment_it_says_in_a_line_that_parts_are_kept(folder: Path) -> None:
    pl.concat([FLIGHTS] * 4000).write_parquet("rows.parquet")
    random = Random(11)  # noqa: S311
    for _ in range(8):
        kept = [*Path.cwd().glob("*.parts/part-*")]
        with start(folder) as pressed:
            deadline = time.monotonic() + 60
            while len([*Path.cwd().glob("*.parts/part-*")]) == len(kept):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            time.sleep(0.1 * random.random())
            pressed.send_signal(signal.SIGINT)
            _, err = pressed.communicate()
        assert pressed.returncode == 130
        assert err == "\nscore: interrupted; finished parts are kept, press again to go on\n"
        assert [*Path.cwd().glob("*.parts/part-*")]
    with start(folder) as last:
        _, err = last.communicate()
    assert (last.returncode, err) == (0, "")
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["rows.parquet", "scored.parquet"]


# On Linux `ru_maxrss` begins with what the process had that started this one.
PEAK = f"""{SCORE}
import re, resource
told = Path("/proc/self/status")
found = re.search(r"VmHWM:\\s+(\\d+) kB", told.read_text()) if told.exists() else None
print(int(found[1] if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_memory_does_not_grow_with_the_rows(folder: Path, kind: str) -> None:
    peaks = []
    for times in (700, 4000):  # 1 and 6 million rows
        rows = pl.concat([FLIGHTS] * times)
        rows.write_csv("rows.csv") if kind == "csv" else rows.write_parquet("rows.parquet")
        done = subprocess.run(
            [sys.executable, "-c", PEAK, f"rows.{kind}", f"{times}.parquet", str(folder)],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] < peaks[0] + 200
    assert peaks[1] < 1000
