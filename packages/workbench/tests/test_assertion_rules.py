"""A test that cannot fail, and a skip that says nothing, are found; what asserts in any other way is not."""

import textwrap
from pathlib import Path
from typing import Any

import pytest

from onebutton_workbench.checks.assertion_rules import check
from onebutton_workbench.workspace import ROOT

FILE = "packages/lib/tests/test_lib.py"
ASSERTING = {
    "assert": "def test_it():\n    assert f() == 1",
    "an error": "def test_it():\n    with pytest.raises(ValueError):\n        f()",
    "a warning": "def test_it():\n    pytest.warns(UserWarning, f)",
    "a library's assertion": "def test_it():\n    np.testing.assert_allclose(f(), 1)",
    "unittest's": "class TestIt(TestCase):\n    def test_it(self):\n        self.assertEqual(f(), 1)",
    "pytest.fail": "def test_it():\n    if f():\n        pytest.fail('no')",
    "a helper": "def test_it():\n    same(f())\n\ndef same(x):\n    assert x == 1",
    "a helper of a helper": "def test_it():\n    one(f())\n\ndef one(x):\n    two(x)\n\ndef two(x):\n    assert x",
    "a fixture of conftest": "def test_it(agree):\n    agree(f())",
    "a property": "@given(st.integers())\ndef test_it(x):\n    assert f(x) == x",
    "a state machine": "def test_it():\n    run_state_machine_as_test(Machine)",
    "a coroutine": "async def test_it():\n    assert await f() == 1",
}
NOT_ASSERTING = {
    "a call": "def test_it():\n    f()",
    "assert True": "def test_it():\n    assert True",
    "nothing": "def test_it():\n    pass",
    "a helper that does not": "def test_it():\n    same(f())\n\ndef same(x):\n    return x == 1",
    "a coroutine": "async def test_it():\n    await f()",
    "in a class": "class TestIt:\n    def test_it(self):\n        f()",
}
SILENT = {
    "a mark": "@pytest.mark.skip\ndef test_it():\n    assert f()",
    "a mark that is called": "@pytest.mark.skip()\ndef test_it():\n    assert f()",
    "an empty reason": "@pytest.mark.skip(reason='')\ndef test_it():\n    assert f()",
    "a condition": "@pytest.mark.skipif(True)\ndef test_it():\n    assert f()",
    "an expected failure": "@pytest.mark.xfail(raises=ValueError)\ndef test_it():\n    assert f()",
    "an expected failure with a condition": "@pytest.mark.xfail(True)\ndef test_it():\n    assert f()",
    "a whole file": "pytestmark = pytest.mark.skip\n\ndef test_it():\n    assert f()",
    "one case": "@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.xfail)])\ndef test_it(x):\n    assert x",
    "a call": "def test_it():\n    pytest.skip()\n    assert f()",
}
SAYING = {
    "a mark": "@pytest.mark.skip(reason='no IPv6')\ndef test_it():\n    assert f()",
    "a mark without a name": "@pytest.mark.skip('no IPv6')\ndef test_it():\n    assert f()",
    "a condition": "@pytest.mark.skipif(True, reason='no IPv6')\ndef test_it():\n    assert f()",
    "a call": "def test_it():\n    pytest.skip('no IPv6')\n    assert f()",
    "a reason that is put together": "def test_it():\n    pytest.skip(f'no {1}')\n    assert f()",
    "importorskip": "def test_it():\n    np = pytest.importorskip('numpy')\n    assert np",
}


@pytest.fixture
def found(tmp_path: Path, shell: Any) -> Any:
    shell("git", "init", "--quiet", folder=tmp_path)
    (tmp_path / FILE).parent.mkdir(parents=True)
    helper = "import pytest\n\n\n@pytest.fixture\ndef agree():\n    def agree(x):\n        assert x\n    return agree\n"
    (tmp_path / FILE).with_name("conftest.py").write_text(helper, encoding="utf-8")

    def find(text: str) -> list[tuple[str, str]]:
        (tmp_path / FILE).write_text(textwrap.dedent(text), encoding="utf-8")
        return [(one.check, one.place) for one in check(tmp_path)]

    return find


@pytest.mark.parametrize("name", ASSERTING)
def test_a_test_that_can_fail_is_no_finding(found: Any, name: str) -> None:
    assert found(ASSERTING[name]) == []


@pytest.mark.parametrize("name", NOT_ASSERTING)
def test_a_test_that_cannot_fail_is_found_with_its_line(found: Any, name: str) -> None:
    line = 2 if NOT_ASSERTING[name].startswith("class") else 1
    assert found(NOT_ASSERTING[name]) == [("OB413", f"{FILE}:{line}")]


@pytest.mark.parametrize("name", SILENT)
def test_a_test_that_is_passed_over_without_a_reason_is_found(found: Any, name: str) -> None:
    assert {check for check, _ in found(SILENT[name])} == {"OB414"}


@pytest.mark.parametrize("name", SAYING)
def test_a_reason_is_enough(found: Any, name: str) -> None:
    assert found(SAYING[name]) == []


def test_of_two_tests_with_one_name_each_is_looked_at(found: Any) -> None:
    both = "class TestOne:\n    def test_it(self):\n        f()\n\nclass TestTwo:\n    def test_it(self):\n        assert f()"
    assert found(both) == [("OB413", f"{FILE}:2")]


def test_a_file_that_is_no_python_is_left_to_ruff(found: Any) -> None:
    assert found("def test_it(:\n") == []


def test_every_test_of_this_repository_keeps_the_rules() -> None:
    assert list(map(str, check(ROOT))) == []
