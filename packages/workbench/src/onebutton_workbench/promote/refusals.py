"""Refuse what cannot be promoted, by the cell and with what mends it, as soon as the page or the source shows it."""

from __future__ import annotations

import ast
import builtins
import re
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise, product
from pathlib import Path

from onebutton_models.conversion import REPLACEMENTS
from onebutton_workbench.environment import call
from onebutton_workbench.promote.notebook import (
    MAGIC,
    Cell,
    Statement,
    called,
    called_in,
    calls,
    refuse,
    without_magics,
)

CALM = re.compile(r"^\s*(%matplotlib|%config InlineBackend|%(load_ext )?autoreload|%%?time\b|!(ls|head|cat|pwd|wc)\b)")
SHOWN = {  # what a statement imports, calls or says as a text, and the refusal
    r"(import|call) (pickle|joblib|dill|cloudpickle|to_pickle|read_pickle)": "pickle",
    r"import (torch|tensorflow|keras)": "foreign",
    r"text (/[\w.-]+/|~\w*/|[A-Za-z]:[\\/]).*": "absolute",
    r"text (https?|ftp|s3|gs|abfss?|hdfs)://.*": "network",
    r"call (fetch_\w+|load_dataset|urlretrieve|urlopen)": "network",
}
HELD = "held to a hash"  # a download, which then is the same tomorrow
DRAWS = re.compile(  # what draws, unless it is given a seed; a generator was given one when it was made
    r"((np|numpy)\.)?random\.(?!(seed|default_rng|RandomState|Generator)$)\w+"
    r"|(?!(rng|generator|random_state)\.)(.*\.)?(train_test_split|sample|shuffle|permutation|resample|ShuffleSplit"
    r"|(Stratified)?KFold|KMeans|(RandomForest|ExtraTrees|DecisionTree|GradientBoosting|MLP|SGD|Bagging)(Classifier|Regressor))"
)


def before_reading(cells: Sequence[Cell], root: Path) -> None:
    """Refuse what needs no understanding: secrets, magics that change state, what is no Python, cells that ran in another order.

    Raises:
        InputError: names the first cell of them.
    """
    with tempfile.TemporaryDirectory(prefix="onebutton-promote-") as folder:
        for cell in cells:
            Path(folder, f"{cell.number}.txt").write_text(f"{cell.source}\n{cell.said}\n", encoding="utf-8")
        look = ("betterleaks", "fs", "--config", str(root / ".github/betterleaks.toml"), "--no-banner", "--redact")
        done = call(*look, folder, folder=root, NO_COLOR="1")
    if done.returncode:
        named = re.search(r"(\d+)\.txt", done.stdout)
        refuse(cells[int(named[1]) - 1 if named else 0], "secret")
    for cell in cells:
        for line in cell.source.splitlines():
            if MAGIC.match(line) and not CALM.match(line):
                refuse(cell, "magic", line=line.strip()[:40])
        try:
            ast.parse(without_magics(cell.source))
        except SyntaxError as error:
            refuse(cell, "syntax", why=error.msg)
    for one, other in pairwise(cell for cell in cells if cell.ran):
        if (other.ran or 0) < (one.ran or 0):
            refuse(other, "ran-before", above=one.number)


def before_running(statements: Sequence[Statement]) -> None:
    """Refuse what the source alone shows, in cells that the number needs and in others: they run too.

    Raises:
        InputError: names the first cell of them.
    """
    for one in statements:
        shown = sorted(_shown(one.node))
        for line, (pattern, which) in product(shown, SHOWN.items()):
            if re.fullmatch(pattern, line, re.DOTALL) and (which != "network" or HELD not in shown):
                refuse(one.cell, which, what=line.partition(" ")[2][:60])


def _shown(node: ast.AST) -> Iterator[str]:
    yield from (f"import {name}" for name in packages_of(node))
    for part in ast.walk(node):
        match part:
            case ast.Call():
                yield f"call {called(part)}"
            case ast.Constant(str(text)):
                yield f"text {text}"
            case ast.keyword("known_hash" | "sha256", value) if ast.unparse(value) != "None":
                yield HELD


def packages_of(node: ast.AST) -> set[str]:
    """Name the packages that a statement imports."""
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").partition(".")[0]}
    return {name.name.partition(".")[0] for name in node.names} if isinstance(node, ast.Import) else set()


def hold_needed(statements: Sequence[Statement], needed: Collection[int], plain: Collection[int] = ()) -> None:
    """Refuse, of the statements that the number needs, what no stage could have; `plain` ones see nothing of the data.

    Raises:
        InputError: names the first cell of them; of calls that share one global seed the last.
    """
    outer = {name for one in statements if one.is_import or one.is_function for name in one.defines}
    names = [name for one in statements for name in one.defines]
    fixed = {name for at in plain for name in statements[at].defines if names.count(name) == 1}
    for one in (statements[at] for at in needed):
        for name in sorted(called_in(one.node) & REPLACEMENTS.keys()):
            refuse(one.cell, "no-onnx", name=name, instead=REPLACEMENTS[name])
        for name in sorted(one.uses - {*dir(builtins)} - outer - fixed if one.is_function else ()):
            refuse(one.cell, "reads-global", function=min(one.defines), name=name)
    draws = unseeded(statements[at] for at in needed)
    if draws and any("seed" in called_in(one.node) for one in statements):
        refuse(draws[-1][0], "global-state")


def unseeded(statements: Iterable[Statement]) -> list[tuple[Cell, str]]:
    """Name the calls that draw and say no seed."""
    found = []
    for cell, part in ((one.cell, part) for one in statements for part in calls(one.node)):
        name, words = called(part), {word.arg: getattr(word.value, "value", 1) for word in part.keywords}
        in_order = name.endswith(("Fold", "split")) and not words.get("shuffle", name == "train_test_split")
        seed = words.get("random_state", words.get("seed"))
        if DRAWS.fullmatch(ast.unparse(part.func)) and seed is None and not in_order:
            found.append((cell, ast.unparse(part.func)))
    return found
