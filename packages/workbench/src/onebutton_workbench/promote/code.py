"""Write the stages out of the notebook's own statements: names and comments stay, literals become parameters."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from onebutton_workbench.promote.flow import Statement, called, calls
from onebutton_workbench.promote.headline import Candidate
from onebutton_workbench.promote.plan import Part
from onebutton_workbench.promote.refusals import modules_of

Span = tuple[int, int, str]  # first byte, the byte behind the last, and what stands there instead
LONG = 200  # letters: no file is called so
BROUGHT = {"onebutton_contracts", "onebutton_evaluation", "onebutton_models", "pandas", "polars"}  # by the template
FLOORS = {"scikit-learn": "scikit-learn>=1.9", "lightgbm": "lightgbm>=4.7"}


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
    """Write a stage: what names a file in the notebook's folder names that in `source/`, and `literals` become parameters."""
    chosen = [statements[at] for at in part.statements]
    needs, outer = {name for one in chosen if one.is_function for name in one.uses}, list[Statement]()
    for one in reversed(chosen):  # functions, and what they read
        if one.is_function or (one.defines & needs and not one.is_import):
            outer.insert(0, one)
            needs |= one.uses
    body = [one for one in chosen if not one.is_import and one not in outer]
    code = Code(params_name="settings" if any("params" in one.uses | one.defines for one in chosen) else "params")
    code.imports = "\n".join(ast.unparse(one.node) for one in chosen if one.is_import)
    code.functions = "\n\n\n".join(_replaced(one, folder, None) for one in outer)
    lines = [f"{name} = {value!r}  # as the notebook made it" for name, value in part.carried.items()]
    lines += [_replaced(one, folder, code if literals else None) for one in body]
    code.body = textwrap.indent("\n".join(lines), "    ")
    numbers = sorted({one.cell.number for one in body} | ({statements[shown.at].cell.number} if shown else set()))
    code.cells = f"cell{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
    return code


def files(statements: Sequence[Statement], chosen: Collection[int], folder: Path) -> list[str]:
    """Name the files beside a notebook that some statements name."""
    parts = (part for at in chosen for part in ast.walk(statements[at].node))
    return list(dict.fromkeys(name for part in parts if (name := _file(part, folder))))


def _file(node: ast.AST, folder: Path) -> str:
    text = node.value if isinstance(node, ast.Constant) else None
    fits = isinstance(text, str) and 0 < len(text) < LONG and text.isprintable() and (folder / text).is_file()
    return str(text) if fits else ""


def _replaced(one: Statement, folder: Path, code: Code | None) -> str:
    """Write a statement with its files in `source/`, and with its numbers as parameters where there is code to collect them."""
    text = textwrap.dedent(one.text)
    tree = ast.parse(text)
    named = ((node, Path(name).name) for node in ast.walk(tree) if (name := _file(node, folder)))
    spans = [(*_place(node, text), f'SOURCE / "{name}"') for node, name in named]
    spans += _numbers(tree, text, code) if code else ()
    content = text.encode()
    for first, last, words in sorted(spans, reverse=True):
        content = content[:first] + words.encode() + content[last:]
    written = content.decode()
    whole = ast.unparse(ast.parse(written))
    with suppress(SyntaxError):  # a text over several lines would change with its indentation
        if ast.unparse(ast.parse(f"if 1:\n{textwrap.indent(written, '    ')}").body[0].body) == whole:  # type: ignore[attr-defined]
            return written
    return whole


def _numbers(tree: ast.Module, text: str, code: Code) -> Iterator[Span]:
    """Find numbers that are given by name to an estimator or to the split, or have a name of their own."""
    named: list[tuple[str, str, ast.expr]] = []
    match tree.body[0]:
        case ast.Assign(targets=[ast.Name(name)], value=given):
            named.append((name.lower(), "", given))
    for call in calls(tree):
        if called(call)[:1].isupper() or called(call) == "train_test_split":
            named += [(word.arg or "", called(call).lower(), word.value) for word in call.keywords]
    for name, owner, node in named:
        value: Any = getattr(node, "value", None)
        if type(value) not in {int, float} or not name.isidentifier() or name.startswith("_"):
            continue
        free = name if code.params.get(name, value) == value else f"{owner}_{name}".lstrip("_")
        if code.params.setdefault(free, value) == value:
            yield (*_place(node, text), f"{code.params_name}.{free}")


def _place(node: Any, text: str) -> tuple[int, int]:
    """Return where an expression begins and ends, in bytes, as Python counts columns."""
    starts = [0, *accumulate(len(line.encode()) for line in text.splitlines(keepends=True))]
    return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset


def packages(codes: Collection[Code], given: Mapping[str, Sequence[str]]) -> list[str]:
    """Name the distributions that the written modules import; `given` has by module those that bring it."""
    modules = {name for code in codes for node in ast.parse(code.imports).body for name in modules_of(node)}
    found = {given[name][0] for name in modules if name in given and name not in BROUGHT}
    return sorted(FLOORS.get(name, name) for name in found)
