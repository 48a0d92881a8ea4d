"""Refuse tests that cannot fail, and tests that are passed over while nobody says why.

OB413 and OB414: `docs/checks/` has a page for each.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

from onebutton_workbench.findings import Finding
from onebutton_workbench.git import listed
from onebutton_workbench.lineage.imports import name_of

Test = ast.FunctionDef | ast.AsyncFunctionDef
EXPECTS = re.compile(  # what fails by intent: of pytest, Hypothesis and Schemathesis, and all that is called so
    "raises|warns|deprecated_call|fail|run_state_machine_as_test|call_and_validate|validate_response|(?i:assert).*"
)
PASSES_OVER = {"skip", "skipif", "xfail"}


@cache
def parsed(source: str | bytes) -> ast.Module:
    """Parse a module; one with a syntax error, of which ruff says so, is as an empty one."""
    try:
        return ast.parse(source)
    except SyntaxError:
        return ast.Module([], [])


@cache
def nodes_of(tree: ast.AST) -> list[ast.AST]:
    """Walk through a module or a part of one, once."""
    return list(ast.walk(tree))


@cache
def functions(tree: ast.AST) -> list[Test]:
    """List every function of a module, those of classes too."""
    return [node for node in nodes_of(tree) if isinstance(node, Test)]


def tests(tree: ast.AST) -> list[Test]:
    """List the tests of a module."""
    return [one for one in functions(tree) if one.name.startswith("test")]


@cache
def read(test: ast.AST) -> tuple[int, list[str]]:
    """Count what in a function can fail by intent, and name what else it calls."""
    nodes = nodes_of(test)
    called = [name_of(node.func) for node in nodes if isinstance(node, ast.Call)]
    asserted = [node for node in nodes if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant)]
    others = [name for name in called if not EXPECTS.fullmatch(name)]
    return len(asserted) + len(called) - len(others), others


def assertions(test: ast.AST, helpers: Collection[str] = ()) -> int:
    """Count what in a function can fail by intent; a call of a helper that asserts is one."""
    asserted, called = read(test)
    return asserted + sum(name in helpers for name in called)


def helpers_of(*trees: ast.AST) -> set[str]:
    """Name the functions that assert, directly or through each other."""
    found = [one for tree in trees for one in functions(tree) if not one.name.startswith("test")]
    names, known = set[str](), -1
    while len(names) > known:
        known = len(names)
        names |= {one.name for one in found if assertions(one, names)}
    return names


def skips(tree: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """Find every skip and expected failure: its line, its name, and whether it says why."""
    calls = {id(node.func): node for node in nodes_of(tree) if isinstance(node, ast.Call)}
    for node in nodes_of(tree):
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
        shared = (root / "conftest.py", *file.parent.glob("conftest.py"))
        tree, *others = (parsed(one.read_bytes()) for one in (file, *shared) if one.is_file())
        helpers = helpers_of(tree, *others)
        for test in tests(tree):
            if not assertions(test, helpers):
                words = f"{test.name} asserts nothing, so it is green whatever the code answers"
                mend = "assert what a user would notice, or take the test out"
                yield Finding("OB413", f"{path}:{test.lineno}", words, mend)
        for line, kind, has_reason in skips(tree):
            if not has_reason:
                words = f"`{kind}` without a reason, so nobody will know when to take it out"
                yield Finding("OB414", f"{path}:{line}", words, f'write `{kind}(reason="...")`')
