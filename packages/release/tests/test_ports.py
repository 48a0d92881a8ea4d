from __future__ import annotations

from pathlib import Path

import pytest

from onebutton_contracts.errors import InputError
from onebutton_release.ports import ports
from onebutton_release.target import find_target

ROOT = Path(__file__).resolve().parents[3]


def add(root: Path, name: str, release: str = "") -> None:
    folder = root / "pipelines" / name
    folder.mkdir(parents=True)
    (folder / "dvc.yaml").touch()
    (folder / "release.toml").write_text(release, encoding="utf-8")


def test_every_pipeline_has_a_port_of_its_own_that_its_name_makes(tmp_path: Path) -> None:
    add(tmp_path, "churn")
    before = ports(tmp_path)["churn"]
    for number in range(300):
        add(tmp_path, f"more_{number}")
    found = ports(tmp_path)
    assert found["churn"] == before
    assert len({*found.values()}) == len(found) == 301
    assert all(8100 <= port < 8800 for port in found.values())


def test_a_declared_port_is_kept_and_given_to_nobody_else(tmp_path: Path) -> None:
    add(tmp_path, "churn")
    made = ports(tmp_path)["churn"]
    add(tmp_path, "zebra", f"port = {made}")
    found = ports(tmp_path)
    assert found["zebra"] == made
    assert found["churn"] == made + 1


def test_two_pipelines_that_declare_the_same_port_are_named(tmp_path: Path) -> None:
    add(tmp_path, "churn", "port = 8000")
    add(tmp_path, "flights", "port = 8000")
    with pytest.raises(InputError, match=r"churn and flights both say `port = 8000` in release.toml"):
        ports(tmp_path)


def test_a_laptop_that_names_no_server_has_the_one_that_serve_starts(repo: Path) -> None:
    assert find_target(repo, "flights", "", "local").servers == (f"http://127.0.0.1:{ports(repo)['flights']}",)


def test_the_sample_is_served_where_the_docs_say() -> None:
    assert ports(ROOT).get("flight_delays", 8000) == 8000
