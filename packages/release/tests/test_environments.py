from pathlib import Path

import pytest

from onebutton_contracts.errors import InputError
from onebutton_release.moves import begin
from onebutton_release.target import FILE, find_target, port_of, read_environments, release_in_service, who

ROOT = Path(__file__).resolve().parents[3]
PRODUCTION = """
[environments.staging]
store = "/srv/nowhere/staging"
may_deploy = ["*"]
on_call = "the platform team"
servers = { flights = ["http://127.0.0.1:9"] }

[environments.production]
store = "/srv/nowhere/production"
may_deploy = ["ann@acme.example"]
on_call = "Ann, +1 555 0100"
after = "staging"
"""


def add(repo: Path, text: str) -> None:
    with (repo / FILE).open("a", encoding="utf-8") as stream:
        stream.write(text)


def test_the_file_of_this_repo_has_one_environment_that_works_here() -> None:
    environments = read_environments(ROOT)
    assert [*environments] == ["local"]
    assert environments["local"].laptop
    assert environments["local"].servers == {}  # each pipeline's is on a port of its own


def test_the_examples_in_the_file_are_what_it_takes(repo: Path) -> None:
    """A reader takes the marks away and has staging and production."""
    text = (ROOT / FILE).read_text(encoding="utf-8")
    examples = text[text.index("# [environments.staging]") :].replace("# champion = true", "# ")
    (repo / FILE).write_text(
        "\n".join(line.removeprefix("# ") for line in examples.splitlines() if line.startswith("# ")), encoding="utf-8"
    )
    assert [*read_environments(repo)] == ["staging", "production"]


def test_a_release_store_that_is_not_there_is_red(repo: Path) -> None:
    add(repo, PRODUCTION)
    with pytest.raises(InputError, match="staging keeps releases in /srv/nowhere/staging, which is not there"):
        find_target(repo, "flights", "staging", "local")


def test_a_hosted_runner_cannot_deploy_into_its_own_checkout(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with pytest.raises(InputError, match="inside a checkout that GitHub throws away"):
        find_target(repo, "flights", "local", "local")
    assert not (repo / "releases").exists()


def test_only_who_is_named_may_deploy(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(repo, PRODUCTION.replace("/srv/nowhere/production", str(repo)))
    production = find_target(repo, "flights", "production", "production")
    assert who() == ("ann@acme.example", "git")
    monkeypatch.setenv("GITHUB_ACTOR", "bob")  # in a shell that is no CI anybody may set it: it counts for nothing
    assert who() == ("ann@acme.example", "git")
    begin(production, "deploy", "")
    monkeypatch.setenv("CI", "true")
    assert who() == ("bob", "CI")
    with pytest.raises(InputError, match=r"bob may not deploy to production: ann@acme.example may. On call: Ann"):
        begin(production, "deploy", "")
    monkeypatch.setenv("GITHUB_TRIGGERING_ACTOR", "ann@acme.example")  # she ran bob's workflow again
    begin(production, "deploy", "")


def test_without_a_name_rollback_means_production(repo: Path) -> None:
    assert find_target(repo, "", "", "production").name == "local"  # the only one
    add(repo, PRODUCTION.replace("/srv/nowhere/production", str(repo)))
    assert find_target(repo, "", "", "production").name == "production"
    with pytest.raises(InputError, match=r"there is no environment 'prod'\. ENV can be: local, staging, production"):
        find_target(repo, "", "prod", "production")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('on_call = "you"', "", "on_call"),
        ("laptop = true", "laptop = true\nserver = 3", "unknown key"),
        ('may_deploy = ["*"]', "may_deploy = []", "may_deploy"),
        ("[environments.local]", "[environments", "not a file of parameters"),
    ],
)
def test_a_mistake_in_the_file_is_named(repo: Path, old: str, new: str, words: str) -> None:
    text = (repo / FILE).read_text(encoding="utf-8")
    (repo / FILE).write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError) as refused:
        read_environments(repo)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_nothing_in_service_is_said_with_the_button_that_mends_it(repo: Path) -> None:
    with pytest.raises(InputError, match=r"no release of flights is in service in local\. `make deploy ENV=local`"):
        release_in_service(repo, "flights", "local")


def make_pipeline(root: Path, name: str, release: str = "") -> Path:
    folder = root / "pipelines" / name
    folder.mkdir(parents=True)
    (folder / "release.toml").write_text(release, encoding="utf-8")
    return folder


def test_a_pipeline_has_a_port_that_its_name_makes_or_the_one_that_it_declares(tmp_path: Path) -> None:
    made = {port_of(make_pipeline(tmp_path, name)) for name in ("churn", "flights", "prices", "sentiment")}
    assert len(made) == 4
    assert all(8100 <= port < 8800 for port in made)
    assert made == {port_of(tmp_path / "pipelines" / name) for name in ("churn", "flights", "prices", "sentiment")}
    assert port_of(make_pipeline(tmp_path, "zebra", "port = 8000")) == 8000


def test_a_laptop_that_names_no_server_has_the_one_that_serve_starts(repo: Path) -> None:
    assert find_target(repo, "flights", "", "local").servers == (
        f"http://127.0.0.1:{port_of(repo / 'pipelines/flights')}",
    )


def test_the_sample_is_served_where_the_docs_say() -> None:
    folder = ROOT / "pipelines/flight_delays"
    assert not folder.is_dir() or port_of(folder) == 8000
