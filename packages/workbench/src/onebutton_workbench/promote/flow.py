"""Follow what each statement of a notebook defines, changes and uses; an assignment to a column counts as a new definition."""

from __future__ import annotations

import ast
import re
import symtable
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from onebutton_workbench.promote.cells import Cell

CHANGES = {  # methods that change what they are called on
    *(
        "append",
        "extend",
        "insert",
        "remove",
        "pop",
        "popitem",
        "clear",
        "update",
        "setdefault",
        "add",
        "discard",
        "sort",
    ),
    *("reverse", "fit", "fit_transform", "fit_predict", "fit_resample", "partial_fit", "set_params", "set_output"),
}
CHANGE_ARGUMENTS = {"shuffle", "setattr", "insort"}  # functions that change what they are given
METRIC = re.compile(r"(_score|_error|_loss|_auc|_deviance)$|^(score|auc|accuracy|mae|mse|rmse|auroc|acc|r2|f1)$")
RANDOM = "numpy.random"  # the state that all unseeded calls share, as if it were a name
DRAWS = {"train_test_split", "sample", "shuffle", "permutation", "resample", "KFold", "StratifiedKFold", "ShuffleSplit"}
UNSEEDED = {  # estimators that draw when they are fitted
    *(
        "RandomForestClassifier",
        "RandomForestRegressor",
        "ExtraTreesClassifier",
        "ExtraTreesRegressor",
        "MLPClassifier",
    ),
    *("MLPRegressor", "DecisionTreeClassifier", "DecisionTreeRegressor", "GradientBoostingClassifier", "SGDClassifier"),
    *("GradientBoostingRegressor", "SGDRegressor", "BaggingClassifier", "BaggingRegressor", "KMeans"),
}
MAGIC = re.compile(r"^\s*(%|!|\w[\w, ]*=\s*[%!])")


@dataclass(frozen=True)
class Statement:
    """One statement at the top level of a notebook.

    Attributes:
        index: among all of them.
        text: its source with the comments above it.
        defines: names that it binds or changes.
        changes: those of `defines` that stand for the thing they stood for before.
        uses: names that it reads, those that its functions read too.
        last: whether its cell shows what it returns.
    """

    index: int
    cell: Cell
    node: ast.stmt
    text: str
    defines: frozenset[str]
    changes: frozenset[str]
    uses: frozenset[str]
    last: bool

    @property
    def is_import(self) -> bool:
        """Whether it stands at the top of a module."""
        return isinstance(self.node, ast.Import | ast.ImportFrom)

    @property
    def is_function(self) -> bool:
        """Whether it is a function or a class."""
        return isinstance(self.node, ast.FunctionDef | ast.ClassDef)


@dataclass
class _Known:
    """What is known of a notebook so far."""

    reads: dict[str, frozenset[str]] = field(default_factory=dict)  # by function, the names that it takes from outside
    changed: dict[str, list[int]] = field(default_factory=dict)  # by function, which arguments it changes
    alike: dict[str, set[str]] = field(default_factory=dict)  # by name, those that stand for the same thing
    seeded: bool = False  # whether the state that unseeded calls share was set


def without_magics(source: str) -> str:
    """Blank the lines that IPython alone understands, so that lines keep their numbers."""
    return "\n".join("" if MAGIC.match(line) else line for line in source.splitlines())


def follow(cells: Sequence[Cell]) -> list[Statement]:
    """Split cells into statements, and say of each what it defines and uses.

    Raises:
        SyntaxError: a cell is no Python; its attribute `filename` is the number of the cell.
    """
    found: list[Statement] = []
    known = _Known()
    for cell in cells:
        source = without_magics(cell.source)
        nodes = ast.parse(source, filename=str(cell.number)).body
        end = 0
        for node in nodes:
            text = _text(source, node, end)
            found.append(_statement(len(found), cell, node, text, known, last=node is nodes[-1]))
            end = node.end_lineno or end
    return found


def _text(source: str, node: ast.stmt, after: int) -> str:
    """Take the whole lines of a statement, with the comments above; of several in one line its own part."""
    lines = source.splitlines()
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
    if first <= after or lines[first - 1][: node.col_offset].strip():
        return ast.get_source_segment(source, node) or ast.unparse(node)
    behind = lines[(node.end_lineno or first) - 1].encode()[node.end_col_offset :].decode().strip()
    if behind.startswith(";"):
        return ast.get_source_segment(source, node) or ast.unparse(node)
    return "\n".join(lines[after : node.end_lineno]).strip("\n")


def _statement(  # noqa: PLR0913  what a statement is
    index: int, cell: Cell, node: ast.stmt, text: str, known: _Known, *, last: bool
) -> Statement:
    table = symtable.symtable(ast.unparse(node), "cell", "exec")
    binds = {one.get_name() for one in table.get_symbols() if one.is_assigned() or one.is_imported()}
    uses = {one.get_name() for one in table.get_symbols() if one.is_referenced()} | set(_of_inner(table))
    uses -= {one.get_name() for one in table.get_symbols() if one.is_imported()}
    changes = set(_changed(node, known))
    if isinstance(node, ast.FunctionDef):
        known.reads[node.name] = frozenset(uses - binds)
        names = [one.arg for one in node.args.args]
        inside = {
            name for inner in ast.walk(node) if isinstance(inner, ast.stmt | ast.Call) for name in _roots(inner, known)
        }
        known.changed[node.name] = [at for at, name in enumerate(names) if name in inside]
        changes = {name for inner in ast.walk(node) if isinstance(inner, ast.Global) for name in inner.names}
        binds = {node.name}
    else:
        for name in uses & known.reads.keys():
            uses |= known.reads[name]
    changes |= {one for name in changes for one in known.alike.get(name, ())}
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
        group = known.alike.setdefault(node.value.id, {node.value.id}) | binds
        known.alike |= dict.fromkeys(group, group)
    else:
        for name in binds - changes:
            group = known.alike.pop(name, set())
            known.alike |= {one: group - {name} for one in group - {name}}
    seed = seeds(node)
    known.seeded = known.seeded or seed
    if known.seeded and (seed or unseeded(node, UNSEEDED)) and not isinstance(node, ast.FunctionDef):
        (binds if seed else changes).add(RANDOM)
    compound = isinstance(node, ast.If | ast.For | ast.While | ast.Try | ast.With)
    kept: Collection[str] = (binds if compound else set()) | changes
    defines, kept, used = frozenset(binds | changes), frozenset(kept), frozenset(uses | {*kept})
    return Statement(index, cell, node, text, defines, kept, used, last)


def _of_inner(table: symtable.SymbolTable) -> Iterator[str]:
    """Name what functions, lambdas and comprehensions take from outside."""
    for child in table.get_children():
        yield from (one.get_name() for one in child.get_symbols() if one.is_global() and one.is_referenced())
        yield from _of_inner(child)


def _changed(node: ast.AST, known: _Known) -> Iterator[str]:
    """Name what a statement changes in place, outside the functions that it defines."""
    for inner in ast.walk(node) if not isinstance(node, ast.FunctionDef | ast.ClassDef) else ():
        yield from _roots(inner, known)


def _roots(node: ast.AST, known: _Known) -> Iterator[str]:
    """Name what one node changes: the table of a column, the owner of a method that changes it, an argument."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.Delete):
        targets = [one for target in node.targets for one in getattr(target, "elts", [target])]
    elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.For):
        targets = [node.target]
    for target in targets:
        if isinstance(target, ast.Attribute | ast.Subscript) or isinstance(node, ast.AugAssign):
            yield root(target)
    if isinstance(node, ast.Call):
        name = called(node)
        in_place = any(one.arg == "inplace" and getattr(one.value, "value", 1) for one in node.keywords)
        if isinstance(node.func, ast.Attribute) and (name in CHANGES or in_place):
            yield root(node.func.value)
        chosen = known.changed.get(name, range(len(node.args)) if name in CHANGE_ARGUMENTS else ())
        yield from (root(node.args[at]) for at in chosen if at < len(node.args))


def root(node: ast.expr) -> str:
    """Return the name at the start of `df["a"].str.x`; empty where there is none."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call | ast.Starred):
        node = node.func if isinstance(node, ast.Call) else node.value
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


def seeds(node: ast.AST) -> bool:
    """Whether a statement sets the seed that all share."""
    return "seed" in called_in(node)


def unseeded(node: ast.AST, more: Collection[str] = ()) -> list[str]:
    """Name the calls that draw and say no seed."""
    found = []
    for one in calls(node):
        name, words = called(one), {word.arg: getattr(word.value, "value", 1) for word in one.keywords}
        draws = (
            name in DRAWS
            or name in more
            or ast.unparse(one.func).startswith(("np.random.", "numpy.random.", "random."))
        )
        calm = name in {"seed", "default_rng", "RandomState", "Generator"} or (
            name.endswith(("Fold", "split")) and not words.get("shuffle", name == "train_test_split")
        )
        owner = root(one.func.value) if isinstance(one.func, ast.Attribute) else ""
        own = name in DRAWS - {"train_test_split"} and owner in {"rng", "generator", "random_state"}
        if draws and not calm and not own and words.get("random_state") is None and words.get("seed") is None:
            found.append(ast.unparse(one.func))
    return found


def live(statements: Sequence[Statement], wanted: Collection[str], before: int) -> list[int]:
    """Return the statements that some names depend on, as they are before one of them."""
    need, found = set(wanted), []
    for one in reversed(statements[:before]):
        if one.defines & need:
            found.append(one.index)
            need = (need - (one.defines - one.changes)) | one.uses
    return found[::-1]


def needed(statements: Sequence[Statement], chosen: Collection[int], wanted: Collection[str], at: int) -> set[str]:
    """Name what the chosen statements from one on, and some names behind them, take from before it."""
    need = set(wanted)
    for one in reversed(statements[at:]):
        if one.index in chosen:
            need = (need - (one.defines - one.changes)) | one.uses
    return need


@dataclass(frozen=True)
class Candidate:
    """An expression that may be the headline number.

    Attributes:
        label: the words beside it where it is printed.
        shown: whether the notebook prints or returns it.
    """

    number: int
    at: int
    node: ast.expr
    label: str
    shown: bool


def candidates(statements: Sequence[Statement]) -> list[Candidate]:
    """Find and mark what is printed, returned, or a metric with a name."""
    found: list[Candidate] = []

    def note(one: Statement, node: ast.expr, label: str, *, shown: bool) -> None:
        while isinstance(node, ast.Call) and called(node) in {"round", "float"} and node.args:
            node = node.args[0]
        if isinstance(node, ast.Constant) or hasattr(node, "number"):
            return
        node.number = len(found)  # type: ignore[attr-defined]  # which `notebook.run` reads
        found.append(Candidate(len(found), one.index, node, label, shown))
        if isinstance(node, ast.Call) and called(node) in {"max", "min"}:
            for argument in node.args:
                note(one, argument, label, shown=shown)

    for one in statements:
        for node, label, shown in _numbers_of(one):
            note(one, node, label, shown=shown)
    return found


def _numbers_of(one: Statement) -> Iterator[tuple[ast.expr, str, bool]]:
    value = getattr(one.node, "value", None)
    if isinstance(one.node, ast.Expr) and isinstance(value, ast.Call) and called(value) == "print":
        label = " ".join(str(part.value) for part in ast.walk(value) if isinstance(part, ast.Constant))
        yield from ((node, label, True) for node in _printed(value))
    elif isinstance(one.node, ast.Expr) and one.last:
        yield one.node.value, "", True
    elif isinstance(one.node, ast.Assign) and isinstance(one.node.targets[0], ast.Name):
        yield one.node.value, one.node.targets[0].id, False


def _printed(call: ast.Call) -> Iterator[ast.expr]:
    for argument in call.args:
        if isinstance(argument, ast.JoinedStr):
            yield from (part.value for part in argument.values if isinstance(part, ast.FormattedValue))
        elif (
            isinstance(argument, ast.BinOp)
            and isinstance(argument.op, ast.Mod)
            and isinstance(argument.left, ast.Constant)
        ):
            yield from getattr(argument.right, "elts", [argument.right])
        elif (
            isinstance(argument, ast.Call) and called(argument) == "format" and isinstance(argument.func, ast.Attribute)
        ):
            yield from argument.args
        else:
            yield argument


def constants(statements: Sequence[Statement]) -> Mapping[str, Statement]:
    """Return the names that are bound once, to a literal, and never changed."""
    found: dict[str, Statement] = {}
    counts: dict[str, int] = {}
    for one in statements:
        for name in one.defines:
            counts[name] = counts.get(name, 0) + 1
        if (
            isinstance(one.node, ast.Assign)
            and len(one.node.targets) == 1
            and isinstance(one.node.targets[0], ast.Name)
        ):
            try:
                ast.literal_eval(one.node.value)
            except ValueError:
                continue
            found[one.node.targets[0].id] = one
    return {name: one for name, one in found.items() if counts[name] == 1}
