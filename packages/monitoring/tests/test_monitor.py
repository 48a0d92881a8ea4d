from pathlib import Path
from typing import Any

import polars as pl
import pytest

from onebutton_contracts.errors import InputError
from onebutton_evaluation.declarations import Judging
from onebutton_monitoring.declaration import Harm
from onebutton_monitoring.joining import outcome
from onebutton_monitoring.monitor import monitor, replay_history

LABELS = "labels/*.parquet"
QUIET = 28  # days


def press(world: Any, until: int) -> int:
    return monitor(world.root, "shops", "local", LABELS, world.at(until))


def said(world: Any, until: int, capsys: pytest.CaptureFixture[str]) -> str:
    """Press after so many days, which must alarm, and return what was printed."""
    capsys.readouterr()
    assert press(world, until) == 1
    return capsys.readouterr().out


def test_quiet_weeks_alarm_nobody_and_the_page_shows_them(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    world.write(world.rows(QUIET, 70))
    assert press(world, 70 + QUIET) == 0
    assert "shops in local: no alarm stands; nothing to tell" in capsys.readouterr().out
    page = (world.root / ".monitoring/local/shops/page.html").read_text(encoding="utf-8")
    assert "no alarm stands" in page
    assert str(world.day(70)) in page
    figures = (world.logs.parent / "monitor.prom").read_text(encoding="utf-8")
    assert 'onebutton_monitor_alarms{kind="cost",pipeline="shops"} 0.0' in figures


def test_harm_in_one_slice_names_that_slice(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    world.write(world.rows(QUIET, 70))
    later, worse = world.rows(QUIET, 98), world.rows(QUIET, 98, worse=1.5)
    world.write(pl.concat([later.filter(pl.col("town") != "Bern"), worse.filter(town="Bern")]))
    out = said(world, 126, capsys)
    assert f"cost / town Bern, since {world.day(98)}" in out
    assert "town Alba" not in out
    assert "slope of answers on predictions" in out


def planted(world: Any, capsys: pytest.CaptureFixture[str], *, visits: Any = None, answers: Any = None) -> str:
    """Log quiet weeks, then one with a fault; press on the day when its labels are due."""
    world.write(world.rows(QUIET, 70))
    week = world.rows(7, 98)
    world.write(visits(week) if visits else week, answers(week) if answers else None)
    return said(world, 106, capsys)


def test_a_column_that_is_null_is_named(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nulls / all / warm" in planted(world, capsys, visits=lambda rows: rows.with_columns(warm=None))


def test_a_changed_unit_is_named(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    fahrenheit = pl.col("warm") * 9 / 5 + 32
    assert "moved / all / warm" in planted(world, capsys, visits=lambda rows: rows.with_columns(warm=fahrenheit))


def test_a_unit_that_makes_numbers_smaller_and_harms_nobody_is_named(
    world: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    out = planted(world, capsys, visits=lambda rows: rows.with_columns(pl.col("warm") * 0.447))
    assert "moved / all / warm" in out
    assert "Has its unit changed?" in out
    assert "cost" not in out


def test_a_season_that_is_a_little_warmer_than_any_of_training_is_no_other_unit(world: Any) -> None:
    world.write(world.rows(QUIET, 70))
    world.write(world.rows(7, 98).with_columns(pl.lit(22.0) + pl.col("warm") % 1))
    assert press(world, 106) == 0


def test_labels_in_disorder_are_named(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shuffled = pl.col("left").shuffle(seed=1)
    out = planted(world, capsys, answers=lambda rows: rows.with_columns(shuffled))
    assert "cost / all" in out
    assert "labels hardly follow predictions. Are they mixed up?" in out


def test_a_reading_of_one_town_that_stands_still_is_named(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    still = pl.when(pl.col("town") == "Cork").then(15.0).otherwise("warm").alias("warm")
    out = planted(world, capsys, visits=lambda rows: rows.with_columns(still))
    assert "stale / town Cork / warm" in out
    assert "Alba" not in out


def test_values_that_the_contract_forbids_and_training_never_saw_are_named(
    world: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    out = planted(world, capsys, visits=lambda rows: rows.with_columns(town=pl.lit("Bern 2")))
    assert "contract / all / town" in out
    assert "unseen / all / town" in out


def test_poisoned_labels_raise_the_cost(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """One of five that stayed is said to have left: a tenth would cost less than what the shops call harm."""
    world.write(world.rows(QUIET, 70))
    later = world.rows(QUIET, 98)
    poison = pl.when((pl.col("visit") % 5 == 0) & (pl.col("left") == 0)).then(1).otherwise("left").alias("left")
    world.write(later, later.with_columns(poison))
    assert "cost / all" in said(world, 127, capsys)


def test_traffic_or_labels_that_stop_are_told_in_days(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    week = world.rows(7, 70)
    world.write(week)
    world.write(world.rows(5, 77), week)
    out = said(world, 83, capsys)
    assert "silence / all / labels" in out
    assert "silence / all / predictions" not in out
    assert "silence / all / predictions" in said(world, 86, capsys)


def test_each_label_counts_once_and_the_last_one_counts(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    week = world.rows(14, 70)
    world.write(week, week.with_columns(left=1 - pl.col("left")))  # all wrong at first
    world.write(week.head(0), week)
    world.write(week.head(0), week.sample(fraction=1, shuffle=True, seed=1))
    strangers = world.known(world.rows(1, 500))
    strangers.write_parquet(world.labels / "9.parquet")
    assert press(world, 85) == 0
    out = capsys.readouterr().out
    assert "4,200 labels that came again" in out
    assert "4,200 labels that were corrected" in out
    assert "300 labels for unknown keys" in out
    page = (world.root / ".monitoring/local/shops/page.html").read_text(encoding="utf-8")
    assert page.count('<td class="n">2,100</td><td class="n">2,100</td>') == 2


def test_a_prediction_asked_for_again_counts_once_and_other_releases_are_told(
    world: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before, week = world.rows(7, 63), world.rows(7, 70)
    world.write(before, version="20260501-bbbbbbbb")
    world.write(week)
    world.write(week, week.head(0))
    press(world, 77)
    out = capsys.readouterr().out
    assert "2,100 predictions asked for again" in out
    assert "2,100 predictions of another release" in out
    assert "2,100 labels of another release" in out


def test_labels_as_csv_and_a_column_that_is_missing(world: Any) -> None:
    week = world.rows(7, 70)
    world.write(week)
    world.known(week).write_csv(world.root / "labels.csv")
    assert monitor(world.root, "shops", "local", "labels.csv", world.at(77)) == 0
    world.known(week).drop("left").write_csv(world.root / "labels.csv")
    with pytest.raises(InputError, match="the table of labels has no column 'left'"):
        monitor(world.root, "shops", "local", "labels.csv", world.at(77))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("labels.csv", "request,row,left\n1,0,no\n2,0,yes\n", "left is to be a number, and is read as text"),
        ("labels.csv", "request,row,left\n1,0,\n", "or is empty in all rows"),
        ("labels.csv", "request,row,left\n21000,0,2\n", "where 0 or 1 is wanted"),
        ("labels.csv", "", "labels.csv is no CSV: empty CSV"),
        ("labels.txt", "request,row,left\n1,0,1\n", "labels.txt is no Parquet"),
        ("labels", None, "there is no file"),
    ],
    ids=["words", "no values", "neither 0 nor 1", "empty", "no Parquet", "a folder"],
)
def test_labels_that_cannot_be_read_are_refused_in_a_line(name: str, text: str | None, words: str, world: Any) -> None:
    world.write(world.rows(7, 70))
    if text is not None:
        (world.root / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        monitor(world.root, "shops", "local", name, world.at(77))


def test_a_first_week_that_is_not_judged_yet_is_no_good_news(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    world.write(world.rows(3, 70))
    assert press(world, 73) == 0
    out = capsys.readouterr().out
    assert "what predictions cost was not judged yet: labels of the first week are due on" in out
    press(world, 90)
    assert "not judged yet" not in capsys.readouterr().out


def test_labels_that_never_came_are_told_since_the_log_began(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    week = world.rows(14, 70)
    world.write(week, week.head(0))
    assert f"silence / all / labels, since {world.day(70)}: no labels at all" in said(world, 84, capsys)


def test_a_log_that_is_joined_in_parts_says_the_same(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    week = world.rows(14, 70)
    world.write(week, week.with_columns(left=1 - pl.col("left")))
    world.write(week.head(0), week.sample(fraction=0.8, shuffle=True, seed=1))
    assert press(world, 85) == press(world, 85)
    state = world.root / ".monitoring/local/shops"
    whole = (state / "page.html").read_text(encoding="utf-8")
    monkeypatch.setattr("onebutton_monitoring.joining.AT_ONCE", 10_000)
    monkeypatch.setattr("onebutton_monitoring.joining.PARTS", 3)  # so that parts are parted again
    press(world, 85)
    assert (state / "page.html").read_text(encoding="utf-8") == whole
    assert "labels that were corrected" in whole


def test_an_input_that_is_not_logged_is_no_fault(world: Any) -> None:
    """What is personal is left out of a log."""
    world.write(world.rows(7, 70))
    (file,) = world.logs.iterdir()
    pl.read_parquet(file).drop("warm").write_parquet(file)
    assert press(world, 77) == 0


def test_a_model_that_predicts_quantiles_beside_a_number_is_watched_by_that_number() -> None:
    judging = Judging(
        owner="us", task="regression", answer="minutes", prediction="said", metrics=("mae",), champion="mae", tolerance=1,
        quantiles={0.1: "p10"},
    )  # fmt: skip
    known = pl.DataFrame({"minutes": [10.0, 20.0], "said": [12.0, 15.0]})  # a log has no p10
    assert outcome(known, judging, Harm(limit=9, wrong=2))["_cost"].to_list() == [4, 10]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ('by = ["colour"]', 'unable to find column "colour"'),
        ('where = "spend >"\nname = "x"', "slices by 'spend >' cannot be cut"),
    ],
)
def test_a_slice_that_the_log_does_not_hold_is_refused(world: Any, rule: str, words: str) -> None:
    world.write(world.rows(7, 70))
    with (world.root / "pipelines/shops/monitor.toml").open("a", encoding="utf-8") as stream:
        stream.write(f"[[slices]]\n{rule}\n")
    with pytest.raises(InputError, match=words):
        press(world, 77)


def test_replay_says_what_the_rules_would_have_done(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay_history(repo, "shops") == 0
    assert "monitor: 8 weeks, 0 harmful" in capsys.readouterr().out


def test_without_monitor_toml_one_line_says_how_to_begin(repo: Path) -> None:
    (repo / "pipelines/shops/monitor.toml").unlink()
    with pytest.raises(
        InputError, match=r"shops has no monitor.toml, so nobody knows what to watch. docs/monitoring.md"
    ):
        replay_history(repo, "shops")


def test_an_unknown_key_is_refused(repo: Path) -> None:
    file = repo / "pipelines/shops/monitor.toml"
    file.write_text("alarms = 3\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(InputError, match="alarms: unknown key"):
        replay_history(repo, "shops")
