"""The flights and the weather of 2013, as the locked distribution brings them, and a small part of them to train on."""

import contextlib
import dataclasses
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from flight_delays import features, train
from flight_delays.features import build_features
from flight_delays.params import Params, TrainParams
from onebutton_contracts.contract import Contract, load_contract
from onebutton_contracts.sources import pinned_source
from onebutton_contracts.tables import write_parquet
from onebutton_contracts.validation import validate
from onebutton_evaluation import card, evaluate
from onebutton_evaluation.splits import by_values
from onebutton_flights.source import read_table, unpack

PIPELINE = Path(__file__).resolve().parents[1]
ROOT = PIPELINE.parents[1]


def contract_of(name: str) -> Contract:
    return load_contract(PIPELINE / "contracts" / f"{name}.odcs.yaml")


@pytest.fixture(scope="session")
def contracts() -> dict[str, Contract]:
    """The contracts of this pipeline, by name; in those of its results any number of rows will do."""
    few = {name: dataclasses.replace(contract_of(name), minimum_rows=1) for name in ("features", "predictions")}
    return {name: contract_of(name) for name in ("flights", "weather")} | few


@pytest.fixture(scope="session")
def params() -> Params:
    """What `params.yaml` says."""
    return Params.load(PIPELINE / "params.yaml")


@pytest.fixture(scope="session")
def quick(params: Params) -> TrainParams:
    """Parameters that suit few rows and one core."""
    return params.train.model_copy(update={"max_trees": 30, "stop_after": 5, "min_child_samples": 20, "threads": 1})


@pytest.fixture(scope="session")
def flights(contracts: dict[str, Contract]) -> pl.DataFrame:
    """Every flight of the year, as `ingest` reads it."""
    table = read_table(unpack(pinned_source(contracts["flights"])), contracts["flights"])
    return validate(table, contracts["flights"]).select(contracts["flights"].column_names)


@pytest.fixture(scope="session")
def weather(contracts: dict[str, Contract]) -> pl.DataFrame:
    """The weather of the year, as `ingest` reads it."""
    table = read_table(unpack(pinned_source(contracts["weather"])), contracts["weather"])
    return validate(table, contracts["weather"]).select(contracts["weather"].column_names)


@pytest.fixture(scope="session")
def year(flights: pl.DataFrame, weather: pl.DataFrame, params: Params, contracts: dict[str, Contract]) -> pl.DataFrame:
    """The features of every flight of the year, in the order of their key."""
    contract = contracts["features"]
    built = build_features(flights.lazy(), weather.lazy(), params.features).select(contract.column_names)
    return built.sort(contract.primary_key).collect()


@pytest.fixture(scope="session")
def rows(year: pl.DataFrame, params: Params) -> pl.DataFrame:
    """The features of every twentieth flight of the training months, as training reads them: some 1,400 a month."""
    months = params.train
    return by_values(year.gather_every(20), "month", fit=months.fit_months, tune=months.tune_months, holdout=())


@pytest.fixture(scope="session")
def later(year: pl.DataFrame, params: Params) -> pl.DataFrame:
    """Every second flight of the test months: 83,334 rows that training never saw."""
    return year.filter(pl.col("month").is_in(params.evaluate.test_months)).gather_every(2)


@pytest.fixture(scope="session")
def finished(flights: pl.DataFrame, weather: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the stages after `ingest` as programs do, on every fortieth flight; return the folder that they leave behind."""
    folder = tmp_path_factory.mktemp("flight_delays")
    shutil.copytree(PIPELINE / "contracts", folder / "contracts")
    for name in ("features", "predictions"):
        file = folder / "contracts" / f"{name}.odcs.yaml"
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("mustBeGreaterOrEqualTo: ", "mustBeGreaterOrEqualTo: 1 # "), encoding="utf-8")
    settings = (PIPELINE / "params.yaml").read_text(encoding="utf-8")
    for key, instead in (("max_trees", "30"), ("threads", "1"), ("min_child_samples", "20")):
        settings, lines = re.subn(rf"^( *{key}:) *\S+", rf"\1 {instead}", settings, flags=re.MULTILINE)
        assert lines == 1
    (folder / "params.yaml").write_text(settings, encoding="utf-8")
    for name in ("gates.toml", "card.toml", "dvc.yaml"):
        shutil.copy(PIPELINE / name, folder)
    some = dataclasses.replace(contract_of("flights"), minimum_rows=1, freshness=None)
    write_parquet(flights.gather_every(40), folder / "data" / "raw" / "flights.parquet", some)
    write_parquet(weather, folder / "data" / "raw" / "weather.parquet", contract_of("weather"))
    with contextlib.chdir(folder):
        features.main()
        train.main()
        evaluate.main()
        card.main()
    return folder


FOREIGN = (
    "GIT_",
    "GITHUB_",  # a person at home is no workflow
    "BUTTON_",
    "MAKE",
    "MFLAGS",
    "PYTEST_",
    "COV_",
    "PRE_COMMIT",
    "MLFLOW_",
    "UV_",
    "PYTHONDONTWRITEBYTECODE",
)


class Newcomer:
    """A person with a fresh clone, and a HOME with nothing in it; uv's downloads alone are shared, to be quick.

    Attributes:
        printed: what the first `make run` said.
    """

    printed = ""

    def __init__(self, folder: Path) -> None:
        self.home, self.clone = folder / "home", folder / "clone"
        self.home.mkdir()
        cache = subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
        # a machine with git, make and Python alone: a folder that brings uv is left out, unless Python is in it too
        folders = [Path(part) for part in os.environ["PATH"].split(":") if Path(part) != ROOT / ".venv/bin"]
        path = [folder for folder in folders if not (folder / "uv").exists() or (folder / "python3").exists()]
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        self.environment |= {
            "HOME": str(self.home),
            "UV_CACHE_DIR": cache,
            "PATH": ":".join(map(str, path)),
            **{f"GIT_{role}_{what}": f"new@{role}" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        self.call("git", "clone", "--quiet", str(ROOT), str(self.clone), folder=folder)
        self._take_what_is_not_committed()

    def _take_what_is_not_committed(self) -> None:
        """Test what stands on disk, also before it is committed."""
        for name in self.git_lines("ls-files", "--deleted", folder=ROOT):
            (self.clone / name).unlink(missing_ok=True)
        others = self.git_lines("ls-files", "--others", "--exclude-standard", folder=ROOT)
        for name in [*self.git_lines("diff", "--name-only", "HEAD", folder=ROOT), *others]:
            if (ROOT / name).is_file():
                (self.clone / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.clone / name)
        self.call("git", "add", "--all")
        self.call("git", "commit", "--quiet", "--no-verify", "--allow-empty", "--message", "what stands on disk")

    def call(self, *command: str, status: int | None = 0, folder: Path | None = None, **extra: str) -> str:
        done = subprocess.run(
            command,
            cwd=folder or self.clone,
            env=self.environment | extra,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert status is None or done.returncode == status, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def git_lines(self, *arguments: str, folder: Path | None = None) -> list[str]:
        return self.call("git", *arguments, folder=folder).splitlines()

    def refused(self, *command: str, folder: Path | None = None, **extra: str) -> str:
        """Run what must be refused, without a traceback."""
        done = self.call(*command, status=None, folder=folder, **extra)
        assert "Traceback" not in done, done
        return done

    def edit(self, name: str, old: str, new: str) -> None:
        file = self.clone / name
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")

    def reset(self) -> None:
        self.call("git", "reset", "--quiet", "--hard")
        self.call("git", "clean", "--quiet", "-d", "--force")

    def runs(self) -> int:
        with contextlib.closing(sqlite3.connect(self.clone / "mlflow.db")) as database:
            (count,) = database.execute("SELECT count(*) FROM runs WHERE lifecycle_stage = 'active'").fetchone()
        return int(count)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    """A clone that has run once; each file of tests has its own, so that none counts the models of another."""
    newcomer = Newcomer(tmp_path_factory.mktemp("newcomer"))
    newcomer.printed = newcomer.call("make", "run")
    newcomer.call("git", "add", "--all")
    newcomer.call("git", "commit", "--quiet", "--no-verify", "--allow-empty", "--message", "results")
    return newcomer


@pytest.fixture
def newcomer(trained: Newcomer) -> Iterator[Newcomer]:
    """The clone as it was after its first run, whatever the test before did to git's files."""
    trained.reset()
    yield trained
    trained.reset()
