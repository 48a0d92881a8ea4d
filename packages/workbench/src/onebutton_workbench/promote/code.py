"""Write the stages out of the notebook's own statements: names and comments stay, literals become parameters."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from onebutton_workbench.promote.flow import Candidate, Statement, called
from onebutton_workbench.promote.plan import Part, names_in, outside
from onebutton_workbench.promote.refusals import modules_of

Span = tuple[int, int, str]  # first byte, the byte behind the last, and what stands there instead
LONG = 200  # letters: no file is called so
OWN = ["onebutton-contracts", "onebutton-evaluation", "onebutton-models[convert]"]
ALWAYS = [*OWN, "pandas>=2.3", "polars>=2", "pyarrow>=20", "pydantic>=2.10"]  # what the template imports


@dataclass
class Code:
    """What a template puts into the module of a stage."""

    imports: str = ""
    functions: str = ""
    body: str = ""
    cells: str = ""
    params: dict[str, float] = field(default_factory=dict)
    params_name: str = "params"


def write(
    statements: Sequence[Statement], part: Part, folder: Path, shown: Candidate | None = None, *, literals: bool = False
) -> Code:
    """Write a stage.

    Args:
        statements: of the notebook.
        part: which of them the stage is made of.
        folder: where the notebook stands: what names a file there names that in `source/`.
        shown: the number that the stage returns, if it does.
        literals: whether numbers become parameters.
    """
    chosen = [statements[at] for at in part.statements]
    used = {name for one in chosen for name in one.uses} | (names_in(shown.node) if shown else set())
    code = Code(params_name="settings" if any("params" in one.uses | one.defines for one in chosen) else "params")
    imports, functions = outside(statements, used)
    code.imports = "\n".join(ast.unparse(one.node) for one in imports)
    code.functions = "\n\n\n".join(_replaced(one, folder, None) for one in functions)
    lines = [f"{name} = {value!r}  # as the notebook made it" for name, value in part.carried.items()]
    lines += [_replaced(one, folder, code if literals else None) for one in chosen]
    code.body = textwrap.indent("\n".join(lines), "    ")
    numbers = sorted({one.cell.number for one in chosen} | ({statements[shown.at].cell.number} if shown else set()))
    code.cells = f"cell{'s' if len(numbers) > 1 else ''} {_spans(numbers)}"
    return code


def _spans(numbers: Sequence[int]) -> str:
    """Write 1, 2, 3, 5 as `1 to 3, 5`."""
    runs: list[list[int]] = []
    for one in numbers:
        if runs and one == runs[-1][-1] + 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def files(statements: Sequence[Statement], chosen: Collection[int], folder: Path) -> list[str]:
    """Name the files beside a notebook that some statements, or functions, name."""
    named: list[Any] = [
        getattr(part, "value", "")
        for one in statements
        if one.index in chosen or one.is_function
        for part in ast.walk(one.node)
        if _is_file(part, folder)
    ]
    return list(dict.fromkeys(named))


def _is_file(node: ast.AST, folder: Path) -> bool:
    text = node.value if isinstance(node, ast.Constant) else None
    return isinstance(text, str) and 0 < len(text) < LONG and text.isprintable() and (folder / text).is_file()


def _replaced(one: Statement, folder: Path, code: Code | None) -> str:
    """Write a statement with its files in `source/`, and with its numbers as parameters where there is code to collect them."""
    text = textwrap.dedent(one.text)
    tree = ast.parse(text)
    spans = [*_paths(tree, text, folder), *(_numbers(tree, text, code) if code else ())]
    content = text.encode()
    for first, last, words in sorted(spans, reverse=True):
        content = content[:first] + words.encode() + content[last:]
    written = content.decode()
    whole = ast.unparse(ast.parse(written))
    indented = ast.parse(f"if 1:\n{textwrap.indent(written, '    ')}").body[0]
    return written if ast.unparse(ast.Module(indented.body, [])) == whole else whole  # type: ignore[attr-defined]  # else a text over lines


def _paths(tree: ast.AST, text: str, folder: Path) -> Iterator[Span]:
    for node in ast.walk(tree):
        if _is_file(node, folder):
            assert isinstance(node, ast.Constant)  # noqa: S101  for mypy
            yield (*_place(node, text), f'SOURCE / "{Path(str(node.value)).name}"')


def _numbers(tree: ast.Module, text: str, code: Code) -> Iterator[Span]:
    """Find numbers that are given by name to an estimator or to the split, or have a name of their own."""
    statement = tree.body[0]
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        yield from _number(statement.targets[0].id.lower(), statement.value, "", text, code)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if called(call)[:1].isupper() or called(call) == "train_test_split":
            for word in call.keywords:
                yield from _number(word.arg or "", word.value, called(call), text, code)


def _number(name: str, node: ast.expr, owner: str, text: str, code: Code) -> Iterator[Span]:
    value: Any = getattr(node, "value", None)
    if type(value) not in {int, float} or not isinstance(node, ast.Constant) or not name.isidentifier():
        return
    if code.params.get(name, value) != value:
        name = f"{owner.lower()}_{name}"
    if not name.startswith("_") and code.params.setdefault(name, value) == value:
        yield (*_place(node, text), f"{code.params_name}.{name}")


def _place(node: ast.expr, text: str) -> tuple[int, int]:
    """Return where an expression begins and ends, in bytes, as Python counts columns."""
    starts = [0, *accumulate(len(line.encode()) for line in text.splitlines(keepends=True))]
    return starts[node.lineno - 1] + node.col_offset, starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)


def packages(codes: Collection[Code], given: Mapping[str, Sequence[str]]) -> list[str]:
    """Name the distributions that the written modules import.

    Args:
        codes: of all stages.
        given: by module, the distributions that bring it.
    """
    modules = {name for code in codes for node in ast.parse(code.imports).body for name in modules_of(node)}
    floors = {"scikit-learn": "scikit-learn>=1.9", "lightgbm": "lightgbm>=4.7"}
    found = {floors.get(given[name][0], given[name][0]) for name in modules if name in given}
    return sorted({*ALWAYS, *(one for one in found if one not in {re.split(r"[\[>]", other)[0] for other in ALWAYS})})
