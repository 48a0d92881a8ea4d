"""Read a notebook, refuse what its page shows, and follow what each statement defines, changes and uses."""

import ast
import json
import re
import shlex
import symtable
import tempfile
import tomllib
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from onebutton_contracts.errors import InputError
from onebutton_workbench import environment
from onebutton_workbench.checks.lint import LEAKS

CHANGES = re.compile(  # methods that change what they are called on
    "append|extend|insert|remove|pop|popitem|clear|update|setdefault|add|discard|sort|reverse"
    "|fit|fit_transform|fit_predict|fit_resample|partial_fit|set_params|set_output"
)
CALM = re.compile(r"\s*(%matplotlib|%config InlineBackend|%(load_ext )?autoreload|%%?time\b|!(ls|head|cat|pwd|wc)\b)")
SHOWN = {  # what a statement says, as `ast.unparse` writes it, and the refusal
    "pickle": r"(?m)^\s*(?:import|from) .*\b(pickle|joblib|dill|cloudpickle)\b|\b((?:to|read)_pickle)\(",
    "foreign": r"(?m)^\s*(?:import|from) (torch|tensorflow|keras)\b",
    "absolute": r"""['"]((?:/[\w.-]+/|~\w*/|[A-Za-z]:[\\/])[^'"]*)""",
    # but not what is held to a hash, which is the same tomorrow
    "network": r"""(?s)^(?!.*\b(?:known_hash|sha256)=(?!None\b)).*?"""
    r"""(?:['"]((?:https?|ftp|s3|gs|abfss?|hdfs)://[^'"]*)|\b(fetch_\w+|load_dataset|urlretrieve|urlopen)\()""",
}
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
    ran: int = 0  # its place in the order in which cells ran; 0 where outputs were taken out

    def __str__(self) -> str:
        """Name it so that a person finds it: by its number and how it begins."""
        lines = map(str.strip, self.source.splitlines())
        first = next((line for line in lines if line and not line.startswith("#")), "")
        return f"cell {self.number} (`{first[:60]}`)"

    def require(self, good: object, which: str, **facts: object) -> None:
        """Refuse the notebook unless something holds of this cell."""
        if not good:
            self.refuse(which, **facts)

    def refuse(self, which: str, **facts: object) -> NoReturn:
        """Stop, and say where, why, and what mends it; `refusals.toml` has the words."""
        words = tomllib.loads(Path(__file__).with_name("refusals.toml").read_text(encoding="utf-8"))[which]
        raise InputError(
            f"{self}: {words['what'].format(**facts)}. {words['mend'].format(**facts)}. Nothing was written"
        )


@dataclass(frozen=True, eq=False)
class Statement:
    """One statement at the top level of a notebook."""

    index: int  # among all of them
    cell: Cell
    node: ast.stmt
    text: str  # its source with the comments above it
    defines: frozenset[str]  # names that it binds or changes
    uses: frozenset[str]  # names that it reads or changes, those that its functions read too
    calls: frozenset[str]  # last names of what it calls
    files: Sequence[str]  # beside the notebook, that it names
    sees: frozenset[str]  # of its files and of what it uses, what is made of the data
    shows: bool  # whether it prints, or is what its cell returns

    def __str__(self) -> str:
        """Name it by how it begins."""
        return ast.unparse(self.node).splitlines()[0][:60]


def read(path: Path, root: Path) -> list[Cell]:
    """Read the cells of code; refuse what is no notebook, and what its page shows."""
    import nbformat

    try:
        page: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except Exception as error:  # nbformat raises what its JSON and schema libraries do
        raise InputError(f"NOTEBOOK={path} is no notebook that can be read: {str(error).splitlines()[0]}") from error
    cells, heading = list[Cell](), ""
    for cell in page.cells:
        if cell.cell_type == "markdown":
            heading = [heading, *re.findall(r"(?m)^#+(.*)$", cell.source)][-1].strip()
        elif cell.cell_type == "code" and cell.source.strip():
            said = re.sub(r'"image/[^"]*": "[^"\\]*(?:\\.[^"\\]*)*"', "", json.dumps(cell.get("outputs", [])))
            cells.append(Cell(len(cells) + 1, cell.source, heading, said, cell.get("execution_count") or 0))
    hold_page(cells, root)
    return cells


def hold_page(cells: Sequence[Cell], root: Path) -> None:
    """Refuse the first cell that holds a secret or a magic that changes state, or that ran in another order."""
    with tempfile.TemporaryDirectory(prefix="onebutton-promote-") as folder:
        for cell in cells:
            Path(folder, f"{cell.number}.txt").write_text(f"{cell.source}\n{cell.said}\n", encoding="utf-8")
        done = environment.call(*shlex.split(LEAKS), folder, folder=root, NO_COLOR="1")
    if done.returncode:
        named = re.search(r"(\d+)\.txt", done.stdout)
        cells[int(named[1]) - 1 if named else 0].refuse("secret")
    for cell in cells:
        for line in MAGIC.findall(cell.source):
            cell.require(CALM.match(line), "magic", line=line.strip()[:40])
    for one, other in pairwise(cell for cell in cells if cell.ran):
        other.require(other.ran >= one.ran, "ran-before", above=one.number)


def follow(cells: Sequence[Cell], folder: Path) -> list[Statement]:
    """Split cells into statements that say what they define and use; refuse what no pipeline may say, as all of them run."""
    found = list[Statement]()
    reads = dict[str, frozenset[str]]()  # what each function takes from outside
    changing = {"shuffle", "setattr", "insort"}  # functions that change what they are given
    of_data = frozenset[str]()
    for cell in cells:
        source, end = MAGIC.sub("", cell.source), 0  # so lines keep their numbers
        try:
            nodes = ast.parse(source).body
        except SyntaxError as error:
            cell.refuse("syntax", why=error.msg)
        for node in nodes:
            said = ast.unparse(node)
            for which, pattern in SHOWN.items():
                if match := re.search(pattern, said):
                    cell.refuse(which, what=match[match.lastindex or 0][:60])
            (defines, uses), called_in = _names(node, reads, changing), frozenset(calls(node).values())
            shows = isinstance(node, ast.Expr) and (node is nodes[-1] or "print" in called_in)
            files, text = [*files_in(node, folder).values()], _text(source, node, end)
            sees = (uses & of_data).union(files)
            of_data = of_data | defines if sees else of_data - defines
            found.append(Statement(len(found), cell, node, text, defines, uses, called_in, files, sees, shows))
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
    top = symtable.symtable(ast.unparse(node), "cell", "exec")
    binds = {one.get_name() for one in top.get_symbols() if one.is_assigned() or one.is_imported()}
    uses = _read_in(top)
    changes = {root(one) for part in ast.walk(node) for one in _changed(part, changing)} - {""}
    uses = uses.union(*(reads[function] for function in uses & reads.keys()))
    if isinstance(node, FUNCTION):
        arguments = {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}
        changing |= {node.name} if changes & arguments else set()
        uses, changes = uses - binds, set[str]()
        reads[node.name] = frozenset(uses)
    if isinstance(node, ast.If | ast.For | ast.While | ast.Try | ast.With):
        changes |= binds  # perhaps, and perhaps not
    return frozenset(binds | changes), frozenset(uses | changes)


def _read_in(table: symtable.SymbolTable) -> set[str]:
    """Name what a statement reads, in its functions, lambdas and comprehensions too."""
    own = {one.get_name() for one in table.get_symbols() if one.is_global() and one.is_referenced()}
    return own.union(*map(_read_in, table.get_children()))


def _changed(node: ast.AST, changing: Collection[str]) -> list[ast.expr]:
    """Find what one node changes: the table of a column, the owner of a method that changes it, an argument."""
    match node:
        case ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del()):
            return [node]
        case ast.AugAssign(target=target):
            return [target]
        case ast.Call(func=ast.Attribute(owner, name), keywords=words) if CHANGES.fullmatch(name) or any(
            word.arg == "inplace" and getattr(word.value, "value", True) for word in words
        ):
            return [owner]
        case ast.Call(args=args, keywords=words) if calls(node)[node] in changing:
            return [*args, *(word.value for word in words)]
    return []


def root(node: ast.expr) -> str:
    """Return the name at the start of `df["a"].str.x`; empty where a call makes what stands there."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def calls(node: ast.AST) -> dict[ast.Call, str]:
    """Find all calls inside a node, with the last name of what each calls."""
    found = [one for one in ast.walk(node) if isinstance(one, ast.Call)]
    return {one: getattr(one.func, "attr", getattr(one.func, "id", "")) for one in found}


def names_in(node: ast.AST) -> set[str]:
    """Name what an expression reads."""
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def files_in(node: ast.AST, folder: Path) -> dict[ast.AST, str]:
    """Find the texts inside a statement that name a file beside the notebook."""
    texts = {one: one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return {one: text for one, text in texts.items() if len(text) < LONG and (folder / text).is_file()}


def walk_back(
    statements: Sequence[Statement], wanted: Collection[str], own: Callable[[Statement], bool] = lambda _: True
) -> tuple[list[Statement], set[str]]:
    """Walk from the last statement back over those that some names depend on: return own ones, and names that others make."""
    need, taken, given = set(wanted), list[Statement](), set[str]()
    for one in reversed(statements):
        made = one.defines & need
        if made and own(one):
            taken.insert(0, one)
            need = (need - one.defines) | one.uses
        else:
            given |= made
            need -= made
    return taken, given
