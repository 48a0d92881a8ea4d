from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from onebutton_contracts.contract import Contract, contract_of
from onebutton_contracts.dummy.copula import ENOUGH, fit_copula, fit_spread
from onebutton_contracts.dummy.tables import Description, Plan, describe, generate, read_description, write_description
from onebutton_contracts.errors import InputError
from onebutton_contracts.validation import validate

HEAD = "apiVersion: v3.1.0\nkind: DataContract\nid: x\nversion: 1.0.0\nstatus: active\nteam: {name: the rail team}\n"
HOURS = """\
schema:
  - name: hours
    properties:
      - {name: place, logicalType: string, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: at, logicalType: timestamp, required: true, primaryKey: true, primaryKeyPosition: 2}
      - {name: rain, logicalType: number, required: true, logicalTypeOptions: {minimum: 0}}
"""
TRAINS = """\
schema:
  - name: trains
    properties:
      - {name: train, logicalType: integer, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: at, logicalType: timestamp, required: true, primaryKey: true, primaryKeyPosition: 2}
      - {name: place, logicalType: string, required: true}
      - {name: line, logicalType: string, required: true}
      - {name: delay, logicalType: number}
"""
PLAN = """\
replaces: ingest
seed: 7
tables:
  hours:
    file: hours.parquet
    contract: hours.odcs.yaml
    instant: at
    zone: Europe/Berlin
    series: true
    categories: [place]
    modelled: {rain: rain}
  trains:
    file: trains.parquet
    contract: trains.odcs.yaml
    instant: at
    zone: Europe/Berlin
    parent: hours
    categories: [place, line]
    target: delay >= 10
    modelled: {train: train, delay: delay}
"""


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("plan")
    (folder / "dummy.yaml").write_text(PLAN, encoding="utf-8")
    return Plan.load(folder / "dummy.yaml")


@pytest.fixture(scope="module")
def contracts() -> dict[str, Contract]:
    return {name: contract_of(HEAD + text, Path(name)) for name, text in (("hours", HOURS), ("trains", TRAINS))}


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    """Two months at two stations, where trains are late when it rains; one line runs three times only."""
    chance = np.random.default_rng(0)
    start, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 29, 22, tzinfo=UTC)
    at = pl.datetime_range(start, end, "1h", eager=True).cast(pl.Datetime("us", "UTC"))
    parts = [
        pl.DataFrame({"at": at, "rain": np.exp(chance.standard_normal(len(at)))}).with_columns(place=pl.lit(place))
        for place in ("Bonn", "Köln")
    ]
    hours = pl.concat(parts).select("place", "at", "rain")
    rows = 6000
    drawn = hours[chance.integers(0, hours.height, rows)]
    delay = 4 * drawn["rain"].to_numpy() + 3 * chance.standard_normal(rows)
    trains = drawn.select("at", "place").with_columns(
        train=pl.int_range(rows, dtype=pl.Int64),
        line=pl.when(pl.int_range(rows) < 3).then(pl.lit("Sonderzug")).otherwise(pl.lit("RE5")),
        delay=pl.Series(np.where(chance.random(rows) < 0.03, np.nan, delay)).fill_nan(None),
    )
    return {"hours": hours, "trains": trains.select("train", "at", "place", "line", "delay")}


@pytest.fixture(scope="module")
def described(plan: Plan, tables: dict[str, pl.DataFrame], contracts: dict[str, Contract]) -> dict[str, Description]:
    return describe(plan, tables, contracts)


@pytest.fixture(scope="module")
def dummy(plan: Plan, described: dict[str, Description], contracts: dict[str, Contract]) -> dict[str, pl.DataFrame]:
    return generate(plan, described, contracts, 3000)


def test_dummy_tables_keep_the_contracts_of_the_real_ones(
    dummy: dict[str, pl.DataFrame], contracts: dict[str, Contract]
) -> None:
    assert dummy["trains"].height == 3000
    for name, table in dummy.items():
        assert validate(table, contracts[name]).equals(table)


def test_every_dummy_row_finds_its_row_in_the_table_that_it_is_joined_to(dummy: dict[str, pl.DataFrame]) -> None:
    found = dummy["trains"].join(dummy["hours"], on=["place", "at"], how="semi")
    assert found.height == dummy["trains"].height


def test_what_depends_on_the_other_table_still_does(
    dummy: dict[str, pl.DataFrame], tables: dict[str, pl.DataFrame]
) -> None:
    def bound(both: dict[str, pl.DataFrame]) -> float:
        joined = both["trains"].join(both["hours"], on=["place", "at"]).drop_nulls()
        return float(joined.select(pl.corr("delay", "rain", method="spearman")).item())

    assert bound(tables) > 0.5
    assert bound(dummy) == pytest.approx(bound(tables), abs=0.15)


def test_the_shares_of_nulls_and_of_late_trains_stay(
    dummy: dict[str, pl.DataFrame], tables: dict[str, pl.DataFrame]
) -> None:
    for share in (pl.col("delay").is_null().mean(), (pl.col("delay") >= 10).mean()):
        assert dummy["trains"].select(share).item() == pytest.approx(tables["trains"].select(share).item(), abs=0.015)


def test_what_is_cut_off_is_no_answer_of_its_own(
    plan: Plan, described: dict[str, Description], contracts: dict[str, Contract]
) -> None:
    few = generate(plan, described, contracts, 200)["trains"]
    assert few.select(pl.col("delay").is_null().any(), late=(pl.col("delay") >= 10).any()).row(0) == (True, True)


def test_a_category_that_few_rows_share_is_folded_away(
    dummy: dict[str, pl.DataFrame], described: dict[str, Description], tmp_path: Path
) -> None:
    write_description(described, tmp_path / "dummy.json")
    assert "Sonderzug" not in (tmp_path / "dummy.json").read_text(encoding="utf-8")
    assert dummy["trains"]["line"].unique().to_list() == ["RE5"]


def test_no_real_row_comes_back(dummy: dict[str, pl.DataFrame], tables: dict[str, pl.DataFrame]) -> None:
    known = dummy["trains"].drop_nulls()
    assert known.join(tables["trains"], on=["place", "at", "delay"], how="semi").height == 0


def test_the_same_description_and_seed_give_the_same_rows(
    plan: Plan, described: dict[str, Description], contracts: dict[str, Contract], tmp_path: Path
) -> None:
    write_description(described, tmp_path / "dummy.json")
    one, two = (generate(plan, read_description(tmp_path / "dummy.json"), contracts, 500) for _ in range(2))
    assert all(one[name].equals(two[name]) for name in one)


def test_a_description_that_is_missing_or_none_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "dummy.json"
    with pytest.raises(InputError, match="who has access to the data fits it"):
        read_description(file)
    for text in ("", "[]", '{"x": {}}', '{"format": 1, "tables": {}}'):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=r"dummy\.json"):
            read_description(file)


def test_the_ends_of_a_spread_are_means_of_many_rows() -> None:
    salaries = np.concatenate([np.random.default_rng(0).normal(50_000, 5_000, 5000), [9_999_999.0]])
    told = fit_spread(salaries)
    assert max(told.values) < 9_999_999.0 / ENOUGH * 2
    assert told.value(np.array([0.0]))[0] == pytest.approx(np.median(salaries), rel=0.01)


def test_columns_of_few_values_stay_as_bound_as_they_were() -> None:
    chance = np.random.default_rng(0)
    given = chance.standard_normal(20_000)
    answer = (0.6 * given + 0.8 * chance.standard_normal(20_000) > 0.7).astype(float)
    copula = fit_copula({"given": given, "answer": answer})
    drawn = copula.draw(["answer"], {"given": given}, 20_000, chance)["answer"]
    assert drawn.mean() == pytest.approx(answer.mean(), abs=0.01)
    assert np.corrcoef(given, drawn)[0, 1] == pytest.approx(np.corrcoef(given, answer)[0, 1], abs=0.03)


def test_each_of_many_common_values_keeps_its_share() -> None:
    places = np.repeat(np.arange(300.0), [30 + 90 * (at % 2) for at in range(300)])
    told = fit_spread(places)
    drawn = told.value(np.random.default_rng(0).standard_normal(45_000))
    assert (drawn % 2 == 1).mean() == pytest.approx(0.8, abs=0.01)
    assert len(np.unique(drawn)) > 295
