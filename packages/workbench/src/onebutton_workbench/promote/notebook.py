"""Read a notebook, refuse what its page shows, and follow what each statement defines, changes and uses.

A column that is set defines its table anew.
"""

from __future__ import annotations

import ast
import re
import symtable
import tempfile
import tomllib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from onebutton_contracts.errors import InputError
from onebutton_workbench import environment

CHANGES = re.compile(  # methods that change what they are called on
    "append|extend|insert|remove|pop|popitem|clear|update|setdefault|add|discard|sort|reverse"
    "|fit|fit_transform|fit_predict|fit_resample|partial_fit|set_params|set_output"
)
CHANGE_ARGUMENTS = {"shuffle", "setattr", "insort"}  # functions that change what they are given
CALM = re.compile(r"\s*(%matplotlib|%config InlineBackend|%(load_ext )?autoreload|%%?time\b|!(ls|head|cat|pwd|wc)\b)")
SHOWN = {  # what a statement says, as `ast.unparse` writes it, and the refusal
    "pickle": r"(?m)^\s*(?:import|from) .*\b(pickle|joblib|dill|cloudpickle)\b|\b((?:to|read)_pickle)\(",
    "foreign": r"(?m)^\s*(?:import|from) (torch|tensorflow|keras)\b",
    "absolute": r"""['"]((?:/[\w.-]+/|~\w*/|[A-Za-z]:[\\/])[^'"]*)""",
    "network": r"""['"]((?:https?|ftp|s3|gs|abfss?|hdfs)://[^'"]*)|\b(fetch_\w+|load_dataset|urlretrieve|urlopen)\(""",
}
HELD = re.compile(r"\b(known_hash|sha256)=(?!None\b)")  # a download, which then is the same tomorrow
IMPORT, FUNCTION = (ast.Import, ast.ImportFrom), (ast.FunctionDef, ast.ClassDef)
LONG = 200  # letters: no file is called so
MAGIC = re.compile(r"^[ \t]*(?:%|!|\w[\w, ]*=[ \t]*[%!]).*$", re.MULTILINE)  # a line that IPython alone understands


@dataclass(frozen=True)
class Cell:
    """A cell of code."""

    number: int  # among the cells of code, from 1 on, in the order of the page
    source: str
    heading: str = ""  # the last one above it
    said: str = ""  # all that its outputs show as text
    ran: int | None = None  # its place in the order in which cells ran; nothing where outputs were taken out

    def __str__(self) -> str:
        """Name it so that a person finds it: by its number and how it begins."""
        lines = [line.strip() for line in self.source.splitlines()]
        first = next((line for line in lines if line and not line.startswith("#")), "")
        return f"cell {self.number} (`{first[:60]}`)"


@dataclass(frozen=True)
class Statement:
    """One statement at the top level of a notebook."""

    index: int  # among all of them
    cell: Cell
    node: ast.stmt
    text: str  # its source with the comments above it
    defines: frozenset[str]  # names that it binds or changes
    uses: frozenset[str]  # names that it reads or changes, those that its functions read too
    files: Sequence[str]  # beside the notebook, that it names
    shows: bool  # whether it prints, or is what its cell returns

    def __str__(self) -> str:
        """Name it by how it begins."""
        return ast.unparse(self.node).splitlines()[0][:60]


def refuse(cell: Cell, which: str, **facts: object) -> NoReturn:
    """Stop, and say where, why, and what mends it; `refusals.toml` has the words."""
    words = tomllib.loads(Path(__file__).with_name("refusals.toml").read_text(encoding="utf-8"))[which]
    raise InputError(f"{cell}: {words['what'].format(**facts)}. {words['mend'].format(**facts)}. Nothing was written")


def read(path: Path) -> list[Cell]:
    """Read the cells of code.

    Raises:
        InputError: it is no notebook.
    """
    import nbformat

    try:
        page: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except Exception as error:  # nbformat raises what its JSON and schema libraries do
        raise InputError(f"NOTEBOOK={path} is no notebook that can be read: {str(error).splitlines()[0]}") from error
    cells, heading = list[Cell](), ""
    for cell in page.cells:
        if cell.cell_type == "markdown":
            titles = [line.lstrip("# ").strip() for line in cell.source.splitlines() if line.startswith("#")]
            heading = titles[-1] if titles else heading
        elif cell.cell_type == "code" and cell.source.strip():
            said = "\n".join(map(_said, cell.get("outputs", [])))
            cells.append(Cell(len(cells) + 1, cell.source, heading, said, cell.get("execution_count")))
    return cells


def _said(output: Any) -> str:
    shown = (str(text) for kind, text in output.get("data", {}).items() if not kind.startswith("image/"))
    return "\n".join([output.get("text", ""), *output.get("traceback", []), *shown])


def hold_page(cells: Sequence[Cell], root: Path) -> None:
    """Refuse secrets, magics that change state, and cells that ran in another order.

    Raises:
        InputError: names the first cell of them.
    """
    with tempfile.TemporaryDirectory(prefix="onebutton-promote-") as folder:
        for cell in cells:
            Path(folder, f"{cell.number}.txt").write_text(f"{cell.source}\n{cell.said}\n", encoding="utf-8")
        look = ("betterleaks", "fs", "--config", str(root / ".github/betterleaks.toml"), "--no-banner", "--redact")
        done = environment.call(*look, folder, folder=root, NO_COLOR="1")
    if done.returncode:
        named = re.search(r"(\d+)\.txt", done.stdout)
        refuse(cells[int(named[1]) - 1 if named else 0], "secret")
    for cell in cells:
        for line in MAGIC.findall(cell.source):
            if not CALM.match(line):
                refuse(cell, "magic", line=line.strip()[:40])
    for one, other in pairwise(cell for cell in cells if cell.ran):
        if (other.ran or 0) < (one.ran or 0):
            refuse(other, "ran-before", above=one.number)


def follow(cells: Sequence[Cell], folder: Path) -> list[Statement]:
    """Split the cells of a notebook in a folder into statements, and say of each what it defines and uses.

    Raises:
        InputError: a cell is no Python, or says what no pipeline may, needed or not: all of them run.
    """
    found = list[Statement]()
    reads = dict[str, frozenset[str]]()  # what each function takes from outside
    changing = {*CHANGE_ARGUMENTS}  # functions that change what they are given
    for cell in cells:
        source, end = MAGIC.sub("", cell.source), 0  # so lines keep their numbers
        try:
            nodes = ast.parse(source).body
        except SyntaxError as error:
            refuse(cell, "syntax", why=error.msg)
        for node in nodes:
            said = ast.unparse(node)
            for which, pattern in SHOWN.items():
                match = re.search(pattern, said)
                if match and not (which == "network" and HELD.search(said)):
                    refuse(cell, which, what=match[match.lastindex or 0][:60])
            defines, uses = _names(node, reads, changing)
            shows = isinstance(node, ast.Expr) and (node is nodes[-1] or "print" in called_in(node))
            files = [name for part in ast.walk(node) if (name := file_of(part, folder))]
            found.append(Statement(len(found), cell, node, _text(source, node, end), defines, uses, files, shows))
            end = node.end_lineno or end
    return found


def _text(source: str, node: ast.stmt, after: int) -> str:
    """Take the whole lines of a statement, with the comments above; of one that shares its line only what it says."""
    whole, text = "\n".join(source.splitlines()[after : node.end_lineno]).strip("\n"), ast.unparse(node)
    with suppress(SyntaxError):
        return whole if ast.unparse(ast.parse(whole)) == text else text
    return text


def _names(
    node: ast.stmt, reads: dict[str, frozenset[str]], changing: set[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """Name what a statement defines and what it uses; what it changes is both. Remember its functions."""
    top, *inner = _tables(symtable.symtable(ast.unparse(node), "cell", "exec"))
    binds = {one.get_name() for one in top.get_symbols() if one.is_assigned() or one.is_imported()}
    uses = {one.get_name() for one in top.get_symbols() if one.is_referenced()}
    uses |= {
        one.get_name() for table in inner for one in table.get_symbols() if one.is_global() and one.is_referenced()
    }
    changes = {name for part in ast.walk(node) for name in _changed(part, changing)} - {""}
    if isinstance(node, FUNCTION):
        arguments = {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}
        changing |= {node.name} if changes & arguments else set()
        reads[node.name] = frozenset(uses - binds)
        return frozenset({node.name}), reads[node.name]
    uses |= {name for function in uses & reads.keys() for name in reads[function]}
    if isinstance(node, ast.If | ast.For | ast.While | ast.Try | ast.With):
        changes |= binds  # perhaps, and perhaps not
    return frozenset(binds | changes), frozenset(uses | changes)


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():  # functions, lambdas, comprehensions
        yield from _tables(child)


def _changed(node: ast.AST, changing: Collection[str]) -> Iterator[str]:
    """Name what one node changes: the table of a column, the owner of a method that changes it, an argument."""
    match node:
        case ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del()):
            yield root(node)
        case ast.AugAssign(target=target):
            yield root(target)
        case ast.Call(func=function, args=args, keywords=words):
            in_place = any(word.arg == "inplace" and getattr(word.value, "value", True) for word in words)
            if isinstance(function, ast.Attribute) and (CHANGES.fullmatch(function.attr) or in_place):
                yield root(function.value)
            if called(node) in changing:
                yield from (root(one) for one in (*args, *(word.value for word in words)))


def root(node: ast.expr) -> str:
    """Return the name at the start of `df["a"].str.x`; empty where a call makes what stands there."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def called(call: ast.Call) -> str:
    """Return the last name of what is called."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def calls(node: ast.AST) -> Iterator[ast.Call]:
    """Return all calls inside a statement."""
    return (one for one in ast.walk(node) if isinstance(one, ast.Call))


def called_in(node: ast.AST) -> set[str]:
    """Name all that is called inside a statement."""
    return {called(one) for one in calls(node)}


def names_in(node: ast.AST) -> set[str]:
    """Name what an expression reads."""
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def file_of(node: ast.AST, folder: Path) -> str:
    """Return the name of a file beside the notebook where a text is one."""
    text = node.value if isinstance(node, ast.Constant) else None
    return text if isinstance(text, str) and len(text) < LONG and (folder / text).is_file() else ""


def walk_back(
    statements: Sequence[Statement], wanted: Collection[str], own: Callable[[int], bool] = lambda _: True
) -> tuple[list[int], set[str]]:
    """Walk from the last statement back over those that some names depend on: return own ones, and names that others make."""
    need, taken, given = set(wanted), list[int](), set[str]()
    for one in reversed(statements):
        if made := one.defines & need:
            if own(one.index):
                taken.append(one.index)
                need = (need - one.defines) | one.uses
            else:
                given |= made
                need -= made
    return taken[::-1], given
