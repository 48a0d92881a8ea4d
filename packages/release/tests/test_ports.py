from __future__ import annotations

from pathlib import Path

from onebutton_release.target import find_target, port_of

ROOT = Path(__file__).resolve().parents[3]


def add(root: Path, name: str, release: str = "") -> Path:
    folder = root / "pipelines" / name
    folder.mkdir(parents=True)
    (folder / "release.toml").write_text(release, encoding="utf-8")
    return folder


def test_a_pipeline_has_a_port_that_its_name_makes_or_the_one_that_it_declares(tmp_path: Path) -> None:
    made = {port_of(add(tmp_path, name)) for name in ("churn", "flights", "prices", "sentiment")}
    assert len(made) == 4
    assert all(8100 <= port < 8800 for port in made)
    assert made == {port_of(tmp_path / "pipelines" / name) for name in ("churn", "flights", "prices", "sentiment")}
    assert port_of(add(tmp_path, "zebra", "port = 8000")) == 8000


def test_a_laptop_that_names_no_server_has_the_one_that_serve_starts(repo: Path) -> None:
    assert find_target(repo, "flights", "", "local").servers == (
        f"http://127.0.0.1:{port_of(repo / 'pipelines/flights')}",
    )


def test_the_sample_is_served_where_the_docs_say() -> None:
    folder = ROOT / "pipelines/flight_delays"
    assert not folder.is_dir() or port_of(folder) == 8000
