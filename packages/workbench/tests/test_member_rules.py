"""Who may need whom: what members declare, and which way the imports within one go."""

from collections.abc import Callable
from pathlib import Path

import pytest

from onebutton_workbench.checks.member_rules import check_modules, check_needs
from onebutton_workbench.workspace import Member

Say = Callable[[dict[str, str]], list[str]]


def said(**requires: str) -> list[str]:
    """Check members that declare others, by name; those called `pipe...` are pipelines."""
    workspace = []
    for word, needs in requires.items():
        name = word.replace("_", "-")
        folder = "pipelines" if name.startswith("pipe") else "packages"
        workspace.append(Member(Path(folder, name), name, frozenset(needs.split())))
    return [
        f"{finding.check} {finding.place} {finding.words.partition(', so')[0]}" for finding in check_needs(workspace)
    ]


def test_packages_may_need_each_other_and_pipelines_may_need_packages() -> None:
    assert said(wind="numpy", weather="wind polars", pipe="weather wind lightgbm") == []


def test_a_member_may_name_itself_for_its_own_extras() -> None:
    assert said(wind="wind numpy") == []


@pytest.mark.parametrize("member", ["wind", "pipe_other"])
def test_nobody_may_need_a_pipeline(member: str) -> None:
    (finding,) = said(pipe="", **{member: "pipe"})
    assert finding.startswith("OB401")
    assert finding.endswith("declares the pipeline pipe")


def test_nobody_may_need_the_workbench() -> None:
    assert said(onebutton_workbench="", wind="onebutton-workbench") == [
        "OB401 packages/wind/pyproject.toml declares onebutton-workbench"
    ]


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        ({"onebutton_contracts": "wind"}, "no member"),
        ({"onebutton_models": "wind"}, "no member"),
        ({"onebutton_serving": "wind onebutton-models"}, "no member but onebutton-models"),
    ],
)
def test_those_at_the_bottom_need_no_more_than_they_may(needs: dict[str, str], words: str) -> None:
    (finding,) = said(**{"wind": "", "onebutton_models": "", **needs})
    assert finding.startswith("OB401 packages/onebutton-")
    assert finding.endswith(f"declares wind, and what all others build on may need {words}")


@pytest.mark.parametrize(
    "needs",
    [{"one": "two", "two": "one"}, {"one": "two", "two": "three", "three": "one"}],
    ids=["two", "three"],
)
def test_a_circle_of_members_is_told_once_with_the_way_round(needs: dict[str, str]) -> None:
    (finding,) = said(**needs)
    assert (
        finding
        == f"OB402 packages/one/pyproject.toml needs itself: {' -> '.join([*sorted(needs, key=list(needs).index), 'one'])}"
    )


def test_a_pipeline_that_reaches_mlflow_is_told_the_way() -> None:
    assert said(wind="notes", notes="mlflow", pipe="wind", pipe_other="polars") == [
        "OB403 pipelines/pipe/pyproject.toml its stages reach MLflow: pipe -> wind -> notes -> mlflow"
    ]


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Say:
    """Write the modules of a member, and say what is found; its name is another in each test, because Python remembers."""
    name = f"planted_{abs(hash(request.node.name))}"
    monkeypatch.syspath_prepend(tmp_path / "packages" / name / "src")

    def check(files: dict[str, str]) -> list[str]:
        folder = tmp_path / "packages" / name
        for file, text in {"src/NAME/__init__.py": "", "pyproject.toml": "", **files}.items():
            path = folder / file.replace("NAME", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("NAME", name), encoding="utf-8")
        found = check_modules(Member(Path("packages", name), name), tmp_path)
        return [f"{one.check} {one.place}: {one.words.partition(',')[0]}".replace(name, "NAME") for one in found]

    return check


def test_two_modules_that_import_each_other_are_found_inside_functions_too(modules: Say) -> None:
    found = modules(
        {
            "src/NAME/one.py": "from NAME import two\n",
            "src/NAME/two.py": "def f():\n    from NAME.one import two\n    return two\n",
            "src/NAME/three.py": "from NAME import one, two\n",
        }
    )
    assert len(found) == 1
    assert found[0].startswith("OB404 packages/NAME/src/NAME/")


def test_a_circle_deep_in_a_member_is_found(modules: Say) -> None:
    (found,) = modules(
        {
            "src/NAME/deep/__init__.py": "",
            "src/NAME/deep/one.py": "from NAME.deep import two\n",
            "src/NAME/deep/two.py": "from NAME.deep import three\n",
            "src/NAME/deep/three.py": "from NAME.deep import one\n",
        }
    )
    assert found.startswith("OB404 packages/NAME/src/NAME/deep/")


LAYERS = '[tool.onebutton]\nlayers = [["top"], ["left", "right"]]\n'


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("top", "left", True),
        ("top", "floor", True),
        ("right", "floor", True),
        ("floor", "cellar", True),
        ("left", "top", False),
        ("left", "right", False),
        ("floor", "left", False),
        ("floor", "top", False),
    ],
)
def test_imports_go_down_the_layers(importer: str, imported: str, modules: Say, *, allowed: bool) -> None:
    files = {f"src/NAME/{name}.py": "" for name in ("top", "left", "right", "floor", "cellar")}
    files |= {"pyproject.toml": LAYERS, f"src/NAME/{importer}.py": f"from NAME import {imported}\n"}
    words = f"OB405 packages/NAME/pyproject.toml: NAME.{importer} -> NAME.{imported} goes up or across the layers"
    assert modules(files) == ([] if allowed else [words])
