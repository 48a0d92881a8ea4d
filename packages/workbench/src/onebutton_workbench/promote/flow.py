"""Follow what each statement of a notebook defines, changes and uses; an assignment to a column counts as a new definition."""

from __future__ import annotations

import ast
import re
import symtable
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from onebutton_workbench.promote.cells import Cell

CHANGES = re.compile(  # methods that change what they are called on
    "append|extend|insert|remove|pop|popitem|clear|update|setdefault|add|discard|sort|reverse"
    "|fit|fit_transform|fit_predict|fit_resample|partial_fit|set_params|set_output"
)
CHANGE_ARGUMENTS = {"shuffle", "setattr", "insort"}  # functions that change what they are given
DRAWS = {"train_test_split", "sample", "shuffle", "permutation", "resample", "KFold", "StratifiedKFold", "ShuffleSplit"}
GLOBAL_DRAWS = ("np.random.", "numpy.random.", "random.")
ESTIMATORS = re.compile(  # those that draw when they are fitted
    r"(RandomForest|ExtraTrees|DecisionTree|GradientBoosting|MLP|SGD|Bagging)(Classifier|Regressor)|KMeans"
)
CALM = {"seed", "default_rng", "RandomState", "Generator"}
MAGIC = re.compile(r"^\s*(%|!|\w[\w, ]*=\s*[%!])")


@dataclass(frozen=True)
class Statement:
    """One statement at the top level of a notebook."""

    index: int  # among all of them
    cell: Cell
    node: ast.stmt
    text: str  # its source with the comments above it
    defines: frozenset[str]  # names that it binds or changes
    changes: frozenset[str]  # those of `defines` that stand for the thing they stood for before
    uses: frozenset[str]  # names that it reads, those that its functions read too
    last: bool  # whether its cell shows what it returns

    @property
    def is_import(self) -> bool:
        """Whether it stands at the top of a module."""
        return isinstance(self.node, ast.Import | ast.ImportFrom)

    @property
    def is_function(self) -> bool:
        """Whether it is a function or a class."""
        return isinstance(self.node, ast.FunctionDef | ast.ClassDef)

    def __str__(self) -> str:
        """Name it by how it begins."""
        return ast.unparse(self.node).splitlines()[0][:60]


@dataclass
class _Known:
    """What is known of a notebook so far."""

    reads: dict[str, frozenset[str]] = field(default_factory=dict)  # by function, the names that it takes from outside
    changing: set[str] = field(default_factory=lambda: {*CHANGE_ARGUMENTS})  # functions that change what they are given
    alike: dict[str, set[str]] = field(default_factory=dict)  # by name, those that stand for the same thing


def without_magics(source: str) -> str:
    """Blank the lines that IPython alone understands, so that lines keep their numbers."""
    return "\n".join("" if MAGIC.match(line) else line for line in source.splitlines())


def follow(cells: Sequence[Cell]) -> list[Statement]:
    """Split cells, all of them Python, into statements, and say of each what it defines and uses."""
    found, known = list[Statement](), _Known()
    for cell in cells:
        source, end = without_magics(cell.source), 0
        nodes = ast.parse(source).body
        for node in nodes:
            names = _names(node, known)
            found.append(Statement(len(found), cell, node, _text(source, node, end), *names, last=node is nodes[-1]))
            end = node.end_lineno or end
    return found


def _text(source: str, node: ast.stmt, after: int) -> str:
    """Take the whole lines of a statement, with the comments above; of one that shares its line only what it says."""
    whole, text = "\n".join(source.splitlines()[after : node.end_lineno]).strip("\n"), ast.unparse(node)
    with suppress(SyntaxError):
        return whole if ast.unparse(ast.parse(whole)) == text else text
    return text


def _names(node: ast.stmt, known: _Known) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Name what a statement defines, what it changes, and what it uses; remember its functions and second names."""
    table = symtable.symtable(ast.unparse(node), "cell", "exec")
    symbols = table.get_symbols()
    binds = {one.get_name() for one in symbols if one.is_assigned() or one.is_imported()}
    uses = {one.get_name() for one in symbols if one.is_referenced()} | {*_of_inner(table)}
    uses -= {one.get_name() for one in symbols if one.is_imported()}
    changes = {name for part in ast.walk(node) for name in _changed(part, known)} - {""}
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        arguments = {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}
        known.changing |= {node.name} if changes & arguments else set()
        known.reads[node.name] = frozenset(uses - binds)
        return frozenset({node.name}), frozenset(), frozenset(uses - binds)
    uses |= {name for function in uses & known.reads.keys() for name in known.reads[function]}
    changes |= {one for name in changes for one in known.alike.get(name, ())}
    for name in binds - changes:
        known.alike.pop(name, set()).discard(name)
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
        group = known.alike.setdefault(node.value.id, {node.value.id})
        group |= binds
        known.alike |= dict.fromkeys(binds, group)
    if isinstance(node, ast.If | ast.For | ast.While | ast.Try | ast.With):
        changes |= binds  # perhaps, and perhaps not
    return frozenset(binds | changes), frozenset(changes), frozenset(uses | changes)


def _of_inner(table: symtable.SymbolTable) -> Iterator[str]:
    """Name what functions, lambdas and comprehensions take from outside."""
    for child in table.get_children():
        yield from (one.get_name() for one in child.get_symbols() if one.is_global() and one.is_referenced())
        yield from _of_inner(child)


def _changed(node: ast.AST, known: _Known) -> Iterator[str]:
    """Name what one node changes: the table of a column, the owner of a method that changes it, an argument."""
    match node:
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            parts = [part for target in targets for part in getattr(target, "elts", [target])]
            yield from (root(part) for part in parts if isinstance(part, ast.Attribute | ast.Subscript))
        case ast.AugAssign(target=target):
            yield root(target)
        case ast.Call(func=function, args=args, keywords=words):
            in_place = any(word.arg == "inplace" and getattr(word.value, "value", True) for word in words)
            if isinstance(function, ast.Attribute) and (CHANGES.fullmatch(function.attr) or in_place):
                yield root(function.value)
            if called(node) in known.changing:
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


def unseeded(node: ast.AST) -> list[str]:
    """Name the calls that draw and say no seed."""
    found = []
    for one in calls(node):
        name, words = called(one), {word.arg: getattr(word.value, "value", 1) for word in one.keywords}
        whole = ast.unparse(one.func)
        draws = name in DRAWS or ESTIMATORS.fullmatch(name) or whole.startswith(GLOBAL_DRAWS)
        in_order = name.endswith(("Fold", "split")) and not words.get("shuffle", name == "train_test_split")
        of_own = whole.partition(".")[0] in {"rng", "generator", "random_state"}
        seed = words.get("random_state", words.get("seed"))
        if draws and seed is None and not (name in CALM or in_order or of_own):
            found.append(whole)
    return found


def walk_back(
    statements: Sequence[Statement], wanted: Collection[str], own: Callable[[int], bool] = lambda _: True
) -> tuple[list[int], set[str]]:
    """Walk from the last statement back over those that some names depend on: return own ones, and names that others make."""
    need, taken, given = set(wanted), list[int](), set[str]()
    for one in reversed(statements):
        if made := one.defines & need:
            if own(one.index):
                taken.append(one.index)
                need = (need - (one.defines - one.changes)) | one.uses
            else:
                given |= made
                need -= made
    return taken[::-1], given


def live(statements: Sequence[Statement], wanted: Collection[str], before: int) -> list[int]:
    """Return the statements that some names depend on, as they are before one of them."""
    return walk_back(statements[:before], wanted)[0]
