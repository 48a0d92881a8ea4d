"""Refuse tests that cannot fail, and tests that are passed over while nobody says why.

| id | rule |
|---|---|
| OB413 | a test asserts something: itself, through a helper, or that an error is raised |
| OB414 | a skip and an expected failure say why |
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

from onebutton_workbench.checks.rules import hold
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import listed
from onebutton_workbench.lineage.imports import name_of
from onebutton_workbench.workspace import ROOT

Test = ast.FunctionDef | ast.AsyncFunctionDef
EXPECTS = {"raises", "warns", "deprecated_call", "fail", "run_state_machine_as_test"}  # pytest's and Hypothesis's
EXPECTS |= {"call_and_validate", "validate_response"}  # Schemathesis's
PASSES_OVER = {"skip", "skipif", "xfail"}


def functions(tree: ast.AST) -> dict[str, Test]:
    """List every function of a module by its name, those of classes too; of several with one name the second has a 2."""
    found: dict[str, Test] = {}
    for node in (node for node in ast.walk(tree) if isinstance(node, Test)):
        same = sum(one.name == node.name for one in found.values())
        found[f"{node.name} {same + 1}" if same else node.name] = node
    return found


def tests(tree: ast.AST) -> dict[str, Test]:
    """List the tests of a module by their names."""
    return {name: node for name, node in functions(tree).items() if name.startswith("test")}


def assertions(test: ast.AST, helpers: Collection[str] = ()) -> int:
    """Count what in a function can fail by intent; a call of a helper that asserts is one."""
    count = 0
    for node in ast.walk(test):
        if isinstance(node, ast.Assert):
            count += not isinstance(node.test, ast.Constant)  # `assert True` cannot fail
        elif isinstance(node, ast.Call):
            name = name_of(node.func)
            count += name in EXPECTS or name in helpers or name.lower().startswith("assert")
    return count


def skips(tree: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """Find every skip and expected failure: its line, its name, and whether it says why."""
    called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in PASSES_OVER and name_of(node.value) in {"mark", "pytest"}:
            call = called.get(id(node))
            given = [key.value for key in call.keywords if key.arg in {"reason", "msg"}] if call else []
            if call and (node.attr == "skip" or name_of(node.value) == "pytest"):  # others take a condition first
                given += call.args[:1]
            yield node.lineno, node.attr, any(not isinstance(why, ast.Constant) or why.value for why in given)


def helpers_of(tree: ast.AST) -> frozenset[str]:
    """Name the functions of a module that assert, directly or through each other."""
    found = functions(tree)
    names, known = set[str](), -1
    while len(names) > known:
        known = len(names)
        names |= {node.name for name, node in found.items() if not name.startswith("test") and assertions(node, names)}
    return frozenset(names)


def parsed(source: str | bytes) -> ast.Module:
    """Parse a module; one with a syntax error, of which ruff says so, is as an empty one."""
    try:
        return ast.parse(source)
    except SyntaxError:
        return ast.Module([], [])


@cache
def _helpers_in(file: Path) -> frozenset[str]:
    return helpers_of(parsed(file.read_bytes())) if file.is_file() else frozenset()


def check(root: Path = ROOT) -> Iterator[Finding]:
    """Look at every test of every member."""
    for path in listed(root, "packages/*/tests/**test_*.py", "pipelines/*/tests/**test_*.py"):
        file = root / path
        tree = parsed(file.read_bytes())
        shared = (folder / "conftest.py" for folder in file.parents if folder.is_relative_to(root))
        helpers = helpers_of(tree).union(*map(_helpers_in, shared))
        for name, test in tests(tree).items():
            if not assertions(test, helpers):
                words = f"{name} asserts nothing, so it is green whatever the code answers"
                mend = "assert what a user would notice, or take the test out"
                yield Finding("OB413", f"{path}:{test.lineno}", words, mend)
        for line, kind, has_reason in skips(tree):
            if not has_reason:
                words = f"`{kind}` without a reason, so nobody will know when to take it out"
                yield Finding("OB414", f"{path}:{line}", words, f'write `{kind}(reason="...")`')


if __name__ == "__main__":
    hold(check, "every test asserts something, and what is skipped says why")
