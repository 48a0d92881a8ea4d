"""A person's own table becomes a pipeline that is trained and judged in two presses, or is refused in one line."""

import contextlib
import json
import os
import re
import runpy
import shlex
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psycopg
import pytest
from packages.tracking.tests.conftest import not_run, postgresql  # noqa: F401  fixtures

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import InputError
from onebutton_contracts.intake.roles import Roles, Said, find_roles, prepare
from onebutton_evaluation.declarations import load_declarations
from onebutton_workbench.data.database import without_address
from onebutton_workbench.data.intake import read
from onebutton_workbench.members.new import render
from onebutton_workbench.runs.own_table import describe, hold_out, read_must
from onebutton_workbench.workspace import ROOT, Member

Shell = Callable[..., str]  # of conftest.py
Columns = dict[str, Any]


def rents(rows: int = 600) -> Columns:
    """Rents of flats: a number to predict, texts and numbers, nothing odd."""
    chance = np.random.default_rng(1)
    size, district = chance.uniform(20, 140, rows).round(1), chance.choice(["north", "south", "harbour"], rows)
    rent = 200 + 11 * size + 150 * (district == "harbour") + chance.normal(0, 60, rows)
    return {"flat_id": [f"F{n:04}" for n in range(rows)], "size": size, "district": district, "rent": rent.round(0)}


def churn(rows: int = 800) -> Columns:
    """Customers who stay or leave, in words."""
    chance = np.random.default_rng(2)
    months, calls = chance.integers(1, 60, rows), chance.poisson(2, rows)
    left = chance.random(rows) < 1 / (1 + np.exp(0.08 * months - 0.9 * calls + 0.5))
    plan = chance.choice(["basic", "plus", "pro"], rows)
    return {
        "customer": range(1, rows + 1),
        "months": months,
        "calls": calls,
        "plan": plan,
        "left": np.where(left, "yes", "no"),
    }


def grades(rows: int = 600) -> Columns:
    """Three classes in words, of measures."""
    chance = np.random.default_rng(3)
    ripe, firm = chance.normal(size=rows), chance.normal(size=rows)
    grade = np.select([ripe + chance.normal(0, 0.6, rows) > 0.8, firm > 0.3], ["A", "B"], "C")
    return {"ripe": ripe.round(3), "firm": firm.round(3), "grade": grade}


def missing_as_words(rows: int = 600) -> Columns:
    """Numbers with `unknown` and `?` in them, and an honest NA in another."""
    table = rents(rows)
    chance = np.random.default_rng(4)
    floor = chance.integers(0, 9, rows).astype(str)
    return {
        **table,
        "floor": np.where(chance.random(rows) < 0.05, "unknown", floor),
        "age": np.where(chance.random(rows) < 0.1, "NA", chance.integers(1, 90, rows).astype(str)),
    }


def decimal_commas(rows: int = 600) -> Columns:
    """A size with a decimal comma, in an answer and in an input."""
    table = rents(rows)
    return {**table, "price": [f"{value:.2f}".replace(".", ",") for value in table["rent"] * 1.1 + table["size"]]}


def two_dates(rows: int = 600) -> Columns:
    """One date in two forms, and one as it should be."""
    begun = [date(2022, 1, 1) + timedelta(days=n) for n in range(rows)]
    mixed = [f"{day:%d.%m.%Y}" if n % 2 else f"{day:%m/%d/%y}" for n, day in enumerate(begun)]
    return {**rents(rows), "begun": begun, "signed": mixed}


def leaking_id(rows: int = 600) -> Columns:
    """An id that was given out by the answer."""
    table = churn(rows)
    order = np.argsort(np.argsort(table["left"] == "yes", kind="stable"), kind="stable")
    return {**table, "customer": order + 1}


def cars(rows: int = 600) -> Columns:
    """Used cars as people list them: numbers with units, days in two forms, a copied row, a class in two spellings."""
    chance = np.random.default_rng(10)
    km, kw = chance.integers(10, 250, rows), chance.integers(4, 20, rows) * 10
    price = (60 - km // 10 + kw) * 50
    sold = np.where(chance.random(rows) < 0.4, "Yes", "No")
    sold[:4] = "yes"
    return {
        "listing_id": [n if n < rows - 5 else n - 5 for n in range(rows)],
        "listed": [
            f"{date(2024, 1, 1) + timedelta(days=n):{'%d.%m.%Y' if n % 3 == 2 else '%Y-%m-%d'}}" for n in range(rows)
        ],
        "mileage": [f"{n}.{n + 100} km" for n in km],
        "power": [f"{n} kW" for n in kw],
        "doors": ["-" if n == 300 else str(3 + n % 3) for n in range(rows)],
        "zip": [f"{n:05}" for n in 7 * km],
        "fuel": [None if n % 60 == 0 else value for n, value in enumerate(chance.choice(["petrol", "diesel"], rows))],
        "price": [f"{n / 1000:.3f} EUR" for n in price],
        "value": price,
        "sold": sold,
    }


def grouped(rows: int = 800) -> Columns:
    """Several visits of one patient."""
    chance = np.random.default_rng(5)
    patient = np.arange(rows) // 4
    level = chance.normal(size=rows // 4)[patient]
    value = chance.normal(size=rows)
    return {
        "patient_id": [f"P{n:03}" for n in patient],
        "value": value.round(3),
        "fasting": chance.random(rows) < 0.5,
        "visits": chance.integers(1, 9, rows),
        "sugar": (level + value + 5).round(3),
    }


def wide(rows: int = 600) -> Columns:
    """Three hundred columns."""
    chance = np.random.default_rng(6)
    noise = chance.normal(size=(rows, 299)).round(4)
    return {**{f"gene {n}": noise[:, n] for n in range(299)}, "size": (noise[:, :4].sum(axis=1) + 3).round(4)}


def twelve() -> Columns:
    """Twelve rows."""
    return {name: list(values)[:12] for name, values in rents().items()}


def constant(rows: int = 600) -> Columns:
    """A column that says the same everywhere."""
    return {**rents(rows), "country": ["X"] * rows}


def unanswered(rows: int = 600) -> Columns:
    """An answer that some rows lack."""
    table = rents(rows)
    lacking = np.random.default_rng(7).random(rows) < 0.1
    return {**table, "rent": [None if out else value for out, value in zip(lacking, table["rent"], strict=True)]}


def unicode(rows: int = 600) -> Columns:
    """Headers as people write them, some values missing, and an answer in words with `NA`."""
    chance = np.random.default_rng(8)
    size, taste = chance.normal(10, 3, rows).round(2), chance.choice(["süß", "bitter"], rows)
    good = np.where(size + chance.normal(0, 2, rows) > 10, "très bon", "mauvais")
    return {
        "Größe (cm)": [None if n % 97 == 0 else value for n, value in enumerate(size)],
        'say "it" loud\'s': chance.integers(0, 5, rows),
        "価格": [None if n % 23 == 0 else value for n, value in enumerate(taste)],
        "qualité": np.where(np.arange(rows) % 50 == 0, "NA", good),
    }


TABLES: dict[str, tuple[Columns, str]] = {
    "rents": (rents(), "rent"),
    "churn": (churn(), "left"),
    "grades": (grades(), "grade"),
    "missing_as_words": (missing_as_words(), "rent"),
    "decimal_commas": (decimal_commas(), "rent"),
    "two_dates": (two_dates(), "rent"),
    "leaking_id": (leaking_id(), "left"),
    "cars": (cars(), "value"),
    "grouped": (grouped(), "sugar"),
    "wide": (wide(), "size"),
    "constant": (constant(), "rent"),
    "unanswered": (unanswered(), "rent"),
    "unicode": (unicode(), "qualité"),
}


def write(columns: Columns, file: Path) -> Path:
    pl.DataFrame({name: list(values) for name, values in columns.items()}).write_csv(file)
    return file


def decide(columns: Columns, folder: Path, answer: str, **typed: Any) -> Roles:
    """What is decided of a table in a CSV file."""
    table, _ = read(write(columns, folder / "own.csv"), "table", "own", "CC0-1.0")
    roles = find_roles(table.frame, Said(answer, **typed), table.guesses)
    hold_out(prepare(table.frame, roles), roles)
    return roles


def said(roles: Roles) -> str:
    return "\n".join(roles.notes)


@pytest.mark.parametrize(
    ("table", "expected", "words"),
    [
        ("rents", ("regression", "flat_id", ""), "rent is a number with"),
        ("churn", ("binary", "customer", ""), "the probability of yes is predicted"),
        ("grades", ("multiclass", "row", ""), "grade has 3 values: A, B, C"),
        ("missing_as_words", ("regression", "flat_id", ""), "split: at random"),
        ("two_dates", ("regression", "flat_id", "begun"), "left out: signed (text, values that begin with a digit"),
        ("leaking_id", ("binary", "customer", ""), "split: at random"),
        (
            "cars",
            ("regression", "row", "zip"),
            "numbers or dates as text: listed, mileage, power, doors, price; as words they",
        ),
        ("grouped", ("regression", "row", "patient_id"), "all rows of one on one side"),
        ("wide", ("regression", "row", ""), "size is a number"),
        ("constant", ("regression", "flat_id", ""), "left out: country (constant)"),
        ("unanswered", ("regression", "flat_id", ""), "rows have no rent and are left out"),
        ("unicode", ("binary", "row", ""), "answer: 12 rows have no qualité and are left out"),
        ("unicode", ("binary", "row", ""), "loud's (a server takes no such name"),
    ],
)
def test_each_table_is_decided_with_its_reasons(
    table: str, expected: tuple[str, str, str], words: str, tmp_path: Path
) -> None:
    columns, answer = TABLES[table]
    roles = decide(columns, tmp_path, answer)
    split = roles.time or roles.group
    assert (roles.task, *roles.key, split) == expected
    assert words in said(roles)
    assert not {*roles.key, answer, split} & {*roles.numbers, *roles.words}


def test_what_a_person_says_is_taken(tmp_path: Path) -> None:
    table = {**two_dates(), "stars": np.arange(600) % 5}
    roles = decide(table, tmp_path, "stars", kind="regression", key=("flat_id", "begun"), group="size")
    assert (roles.task, roles.key, roles.group) == ("regression", ("flat_id", "begun"), "size")
    assert decide(table, tmp_path, "stars").classes == ("0", "1", "2", "3", "4")


def test_dates_that_parquet_holds_as_text_are_refused_as_text() -> None:
    table = pl.DataFrame({"day": ["2024-05-30", "2024-05-31"] * 100, "rent": np.arange(200)})
    with pytest.raises(InputError, match="0 of 200 cannot be read: the file holds them as text"):
        find_roles(table, Said("rent", time="day"), {})


def test_a_word_that_ends_in_id_is_no_id(tmp_path: Path) -> None:
    humid = np.random.default_rng(9).integers(0, 90, 600)
    roles = decide({**rents(), "humid": humid, "ownerId": humid % 30}, tmp_path, "rent")
    assert "humid" in roles.numbers
    assert "left out: ownerId (names things and measures nothing)" in said(roles)


@pytest.mark.parametrize(
    ("columns", "answer", "typed", "words"),
    [
        (rents(), "", {}, "ANSWER= says which column is to be predicted. It can be: flat_id, size, district, rent"),
        (
            rents(),
            "Rnt",
            {},
            "ANSWER=Rnt is no column of the table. Did you mean rent? It can be: flat_id, size, district, rent",
        ),
        (rents(), "rent", {"group": "town"}, "GROUP=town is no column of the table"),
        (twelve(), "rent", {}, "ANSWER=rent: 12 rows have one, and fewer than 100 cannot train and judge a model"),
        (constant(), "country", {}, "ANSWER=country is X in every row, so there is nothing to predict"),
        (two_dates(), "begun", {}, "ANSWER=begun is a time"),
        (decimal_commas(), "price", {}, "ANSWER=price is text: numbers with a decimal comma"),
        (
            missing_as_words(),
            "floor",
            {},
            "ANSWER=floor is text: 28 of 600 values are no number, the first 'unknown' in",
        ),
        (cars(), "price", {}, "ANSWER=price is text: values that begin with a digit"),
        (
            cars(),
            "price",
            {"kind": "regression"},
            " EUR' in row 1. Write it anew: numbers such as 22000 or 1.5, or nothing",
        ),
        (cars(), "power", {"kind": "regression"}, " kW' in row 1. Write it anew"),
        (
            cars(),
            "value",
            {"key": ("listing_id",)},
            "5 rows repeat it, 0 lack it. Are they copies? Leave them out in the file",
        ),
        (cars(), "value", {"time": "listed"}, ": 200 of 600 cannot be read, the first '03.01.2024'"),
        (cars(), "sold", {}, "ANSWER=sold is yes in 4 rows, and a class needs 10; join it to 'Yes', or leave it empty"),
        (rents(), "district", {"kind": "regression"}, "ANSWER=district has 3 different values, which is no regression"),
        (rents(), "rent", {"kind": "binary"}, "different values, which is no binary"),
        (rents(), "rent", {"kind": "text"}, "KIND=text: from a table it can be binary, multiclass, regression"),
        (rents(), "flat_id", {}, "ANSWER=flat_id has 600 different values, which is no multiclass"),
        (rents(), "rent", {"key": ("district",)}, "KEY=district names no row: 597 rows repeat it"),
        (rents(), "rent", {"time": "size"}, "TIME=size holds no times; write them as 2024-05-31"),
        (two_dates(), "rent", {"time": "begun", "group": "flat_id"}, "TIME= splits by a time, GROUP= by what belongs"),
        ({**rents(), "split": rents()["rent"]}, "split", {}, "ANSWER=split: a stage calls a column of its own so"),
        (
            {"flat_id": rents()["flat_id"], "rent": rents()["rent"]},
            "rent",
            {},
            "no column is left to predict rent from",
        ),
        (
            {**two_dates(), "old": np.where(np.arange(600) < 290, "yes", "no")},
            "old",
            {},
            "ANSWER=old: split by begun, yes stands on one side alone",
        ),
    ],
)
def test_a_table_that_makes_no_model_is_refused_in_one_line(
    columns: Columns, answer: str, typed: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as refused:
        decide(columns, tmp_path, answer, **typed)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mae<300", 'MUST=mae<300 is no limit such as MUST="mae<=300"'),
        ("auc>=0.7", 'a regression has no auc; write one such as MUST="mae<=300"; a regression has mae'),
        ("mae>=300", "would hold for a bad model: of mae, lower is better"),
        ("rmse<=300", "its interval does not hold where a few errors are far larger"),
    ],
)
def test_a_limit_that_could_not_fail_or_be_judged_is_refused(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        read_must(text, decide(rents(), tmp_path, "rent"))
    assert words in str(refused.value)


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(ROOT / ".venv/bin"), prepend=":")
    for name in ("pyproject.toml", "templates"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.parametrize("table", ["unicode", "two_dates", "grouped", "cars"])
def test_what_is_written_is_small_and_speaks_of_this_table(
    table: str, repo: Path, breaks_standard: Callable[[Path], list[str]]
) -> None:
    columns, answer = TABLES[table]
    taken, origin = read(write(columns, repo / "own.csv"), "table", "own", "CC0-1.0")
    roles = find_roles(taken.frame, Said(answer), taken.guesses)
    rows, split = hold_out(prepare(taken.frame, roles), roles)
    must = "mae<=99" if roles.task == "regression" else "auc>=0.7"
    facts = describe(taken.frame, origin, roles, rows, []) | {"split": split, "musts": read_must(must, roles)}
    render(Member(Path("pipelines/own"), "own"), repo, roles.task, facts)
    folder = repo / "pipelines/own"
    files = {path.relative_to(folder): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()}
    assert len([file for file in files if file.parts[0] != "contracts" and file.name[0] not in "._"]) == 12
    assert not any("{{" in text or "{%" in text or "tumour" in text or "penguin" in text for text in files.values())
    assert not any("Say here" in text or "What will the answer" in text for text in files.values())
    assert not any("= (\n" in text and ")  #" in text for text in files.values()), "a comment that broke a line"
    ingest, contract = folder / "src/own/ingest.py", load_contract(folder / "contracts/predictions.odcs.yaml")
    made = "    rows = rows.with_columns(km=pl.lit(1.5))\n    made ="
    ingest.write_text(ingest.read_text("utf-8").replace("    made =", made), encoding="utf-8")
    with pytest.raises(InputError, match=r"odcs.yaml lacks km, which read_rows makes: add it there"):
        runpy.run_path(str(ingest))["read_rows"](taken.frame, contract)
    declared = load_declarations(folder / "gates.toml")
    assert [gate.id for gate in declared.gates if gate.check in {"limit", "no-worse"}] == [
        "beats-baseline",
        "must-1",
        "no-worse-than-champion",
    ]
    assert declared.judging.answer == answer
    assert load_contract(folder / "contracts/predictions.odcs.yaml").primary_key == roles.key
    assert [breaks_standard(file) for file in (folder / "contracts").glob("*.odcs.yaml")] == [[]]


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory, copy_of_this_repo: Callable[[Path], Path], shell: Shell) -> Path:
    """This repository without its samples, set up."""
    folder = copy_of_this_repo(tmp_path_factory.mktemp("fork") / "clone")
    shell("git", "rm", "-r", "--quiet", "pipelines", folder=folder)  # whose samples take longer
    shell("make", "lock", "setup", folder=folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("table", ["unicode", "two_dates", "grouped"])
def test_a_table_is_judged_in_two_presses_and_answers_in_a_third(
    table: str, fork: Path, shell: Shell, free_port: Callable[[], int]
) -> None:
    columns, answer = TABLES[table]
    source = write(columns, fork.parent / f"{table}.csv")
    typed = (f"NAME=with_{table}", f"FROM={source}", f"ANSWER={answer}", "LICENSE=CC0-1.0")
    printed = shell("make", "new-pipeline", *typed, folder=fork)
    assert f"Next: `make run PIPELINE=with_{table}`" in printed.splitlines()[-1]
    printed = shell("make", "run", f"PIPELINE=with_{table}", folder=fork)
    assert bool(re.search(r"価格: \d+ of 294 judged rows lack it, which a server refuses", printed)) == (
        table == "unicode"
    )
    assert f"Next: `make serve PIPELINE=with_{table}`" in printed.splitlines()[-1]
    judged = shell("make", "gates", f"PIPELINE=with_{table}", folder=fork)
    results = [line.split()[:2] for line in judged.splitlines() if line.startswith("  passed")]
    assert results == [
        ["passed", "holdout-unchanged"],
        ["passed", "beats-baseline"],
        ["passed", "no-worse-than-champion"],
    ]
    assert "This is a draft" in judged
    assert 'limits = "todo: ' in (fork / f"pipelines/with_{table}/card.toml").read_text(encoding="utf-8")
    log, command = fork.parent / f"{table}.log", ["make", "serve", f"PIPELINE=with_{table}", f"PORT={free_port()}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "MAKE"))}
    with log.open("wb") as out:
        server = subprocess.Popen(command, cwd=fork, env=environment, start_new_session=True, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 90
        while "in service: with_" not in (said := log.read_text(encoding="utf-8")) and time.monotonic() < deadline:
            time.sleep(0.2)
        request = next(line for line in said.splitlines() if line.startswith("  curl "))
        answer = json.loads(subprocess.run(shlex.split(request), capture_output=True, check=True).stdout)
        assert len(answer["predictions"]) == 1, said
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)
    assert f"with_{table} in local: {answer['version']}, a draft, since" in shell(
        "make", "deploy", "STATUS=1", folder=fork
    )
    assert not (fork / f"pipelines/with_{table}/champion/predictions.parquet").exists()


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_query_becomes_a_pipeline_and_is_asked_anew_without_its_password_in_any_file(
    database: str, fork: Path, shell: Shell, request: pytest.FixtureRequest
) -> None:
    columns, answer = {name: list(map(_plain, values)) for name, values in rents(300).items()}, "rent"
    insert = "insert into rents values (?, ?, ?, ?)"
    connection: Any
    if database == "sqlite":
        address, connection = f"sqlite://{fork.parent}/rents.db", sqlite3.connect(fork.parent / "rents.db")
    else:
        server = request.getfixturevalue("postgresql")
        address, connection = server.replace("postgres@", "postgres:s3cr3t@"), psycopg.connect(server)
        insert = insert.replace("?", "%s")
    rows = list(zip(*columns.values(), strict=True))
    with contextlib.closing(connection), contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("create table rents (flat_id text, size double precision, district text, rent double precision)")
        cursor.executemany(insert, rows[:250])
        connection.commit()
        query = fork.parent / "rents.sql"
        query.write_text("select * from rents order by flat_id\n", encoding="utf-8")
        typed = ("make", "new-pipeline", f"NAME=of_{database}", f"FROM={query}", f"ANSWER={answer}", "LICENSE=CC0-1.0")
        assert "must be in the variable DATABASE_URL" in shell(*typed, folder=fork, status=2)
        said = shell(*typed, folder=fork, DATABASE_URL=address)
        folder, pipeline = fork / f"pipelines/of_{database}", f"PIPELINE=of_{database}"
        assert (folder / "query.sql").read_bytes() == query.read_bytes()
        said += shell("make", "run", pipeline, folder=fork)
        cursor.executemany(insert, rows[250:])
        connection.commit()
    before = (folder / "data/table.parquet.dvc").read_bytes()
    said += shell("make", "data-add", pipeline, "AGAIN=1", folder=fork, DATABASE_URL=address)
    assert "300 rows of query.sql are the table of" in said
    assert (folder / "data/table.parquet.dvc").read_bytes() != before
    said += shell("make", "run", pipeline, folder=fork)
    wrong = address.replace("postgres:s3cr3t@", "nobody:s3cr3t@").replace("rents.db", "gone.db")
    refused = shell("make", "data-add", pipeline, "AGAIN=1", folder=fork, status=2, DATABASE_URL=wrong)
    assert "data-add: query.sql: the database that DATABASE_URL names does not answer it: " in refused
    assert "s3cr3t" not in said + refused
    assert not [file for file in folder.rglob("*") if file.is_file() and b"s3cr3t" in file.read_bytes()]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def test_what_a_driver_says_is_shown_without_address_and_password() -> None:
    login = "me:s3cr%2Ft"
    address = f"postgresql://{login}@host/name"
    said = f"cannot connect to {address}\n  (password s3cr/t, or s3cr%2Ft)"
    assert without_address(said, address) == "cannot connect to *** (password ***, or ***)"


@pytest.mark.slow
def test_what_cannot_be_a_pipeline_leaves_nothing_behind(fork: Path, shell: Shell) -> None:
    before = shell("git", "status", "--porcelain", folder=fork)
    source = write(twelve(), fork.parent / "twelve.csv")
    typed = ("NAME=twelve", f"FROM={source}", "ANSWER=rent")
    assert "LICENSE= must say under which licence" in shell("make", "new-pipeline", *typed, folder=fork, status=2)
    printed = shell("make", "new-pipeline", *typed, "LICENSE=LicenseRef-internal", folder=fork, status=2)
    assert "new-pipeline: ANSWER=rent: 12 rows have one" in printed
    assert "FROM=gone.csv is no file here" in shell(
        "make", "new-pipeline", "NAME=twelve", "FROM=gone.csv", "ANSWER=rent", folder=fork, status=2
    )
    assert shell("git", "status", "--porcelain", folder=fork) == before
