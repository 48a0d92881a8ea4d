"""Refuse tests that cannot fail, and tests that are passed over while nobody says why.

OB413 and OB414: `docs/checks/` has a page for each.
"""

import ast
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from onebutton_workbench.findings import Finding
from onebutton_workbench.git import listed
from onebutton_workbench.lineage.imports import name_of

# What fails by intent: of Python, pytest, Hypothesis, Schemathesis and our models, and all that is called so.
EXPECTS = re.compile(
    "raises|warns|deprecated_call|fail|run_state_machine_as_test|call_and_validate|validate_response|prove_equal|(?i:assert).*"
)
PASSES_OVER = {"skip", "skipif", "xfail"}


@dataclass(frozen=True)
class Function:
    """A test, which begins so, or a helper of tests."""

    name: str
    line: int
    calls: list[str]  # what it calls; an `assert` of anything but a constant, too

    def assertions(self, helpers: Collection[str] = ()) -> int:
        """Count what in it can fail by intent; a call of a helper that asserts is one."""
        return sum(name in helpers or EXPECTS.fullmatch(name) is not None for name in self.calls)


@cache
def _nodes(source: str | bytes) -> list[ast.AST]:
    try:
        return list(ast.walk(ast.parse(source)))
    except SyntaxError:  # ruff says so
        return []


@cache
def functions(source: str | bytes) -> list[Function]:
    """Read every function of a module, those of classes too."""
    found = []
    for one in _nodes(source):
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
            calls = [name_of(node.func) for node in ast.walk(one) if isinstance(node, ast.Call)]
            asserts = (node.test for node in ast.walk(one) if isinstance(node, ast.Assert))
            calls += ["assert" for test in asserts if not isinstance(test, ast.Constant)]
            found.append(Function(one.name, one.lineno, calls))
    return found


def skips(source: str | bytes) -> Iterator[tuple[int, str, bool]]:
    """Find every skip and expected failure: its line, its name, and whether it says why."""
    calls = {id(node.func): node for node in _nodes(source) if isinstance(node, ast.Call)}
    for node in _nodes(source):
        if isinstance(node, ast.Attribute) and node.attr in PASSES_OVER and name_of(node.value) in {"pytest", "mark"}:
            call = calls.get(id(node))
            given = [key.value for key in call.keywords if key.arg in {"reason", "msg"}] if call else []
            if call and (node.attr == "skip" or name_of(node.value) == "pytest"):  # others take a condition first
                given += call.args[:1]
            yield node.lineno, node.attr, any(not isinstance(why, ast.Constant) or why.value for why in given)


def check(root: Path) -> Iterator[Finding]:
    """Look at every test of every member."""
    for path in listed(root, "packages/*/tests/**test_*.py", "pipelines/*/tests/**test_*.py"):
        file = root / path
        source = file.read_bytes()
        shared = [one.read_bytes() for one in (root / "conftest.py", file.with_name("conftest.py")) if one.is_file()]
        known = [one for text in (source, *shared) for one in functions(text)]
        helpers: set[str] = set()
        while more := {one.name for one in known if one.assertions(helpers)} - helpers:
            helpers |= more  # others may assert through these
        for one in functions(source):
            if one.name.startswith("test") and not one.assertions(helpers):
                words = f"{one.name} asserts nothing, so it is green whatever the code answers"
                mend = "assert what a user would notice, or take the test out"
                yield Finding("OB413", f"{path}:{one.line}", words, mend)
        for line, kind, has_reason in skips(source):
            if not has_reason:
                words = f"`{kind}` without a reason, so nobody will know when to take it out"
                yield Finding("OB414", f"{path}:{line}", words, f'write `{kind}(reason="...")`')
