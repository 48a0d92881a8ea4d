"""Refuse what cannot be promoted, by the cell and with what mends it, as soon as the page or the source shows it."""

from __future__ import annotations

import ast
import builtins
import re
import tempfile
from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path

from onebutton_models.conversion import REPLACEMENTS
from onebutton_workbench.environment import call
from onebutton_workbench.promote.notebook import (
    MAGIC,
    Cell,
    Statement,
    called_in,
    calls,
    refuse,
    unseeded,
    without_magics,
)

CALM = re.compile(r"^\s*(%matplotlib|%config InlineBackend|%(load_ext )?autoreload|%%?time\b|!(ls|head|cat|pwd|wc)\b)")
ABSOLUTE = re.compile(r"^(/[\w.-]+/|~[\w]*/|[A-Za-z]:[\\/])")
NETWORK = re.compile(r"^(https?|ftp|s3|gs|abfss?|hdfs)://")
FETCHES = re.compile(r"^(fetch_\w+|load_dataset|urlretrieve|urlopen)$")
PICKLES = {"pickle", "joblib", "dill", "cloudpickle", "to_pickle", "read_pickle"}
EXPORTED = "its ONNX export, which `onebutton_models.adoption` takes; or scikit-learn, lightgbm, xgboost"
FOREIGN = {"torch", "tensorflow", "keras"}


def before_reading(cells: Sequence[Cell], root: Path) -> None:
    """Refuse what needs no understanding: secrets, magics that change state, what is no Python, cells that ran in another order.

    Raises:
        InputError: names the first cell of them.
    """
    _refuse_secrets(cells, root)
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


def _refuse_secrets(cells: Sequence[Cell], root: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="onebutton-promote-") as folder:
        for cell in cells:
            Path(folder, f"{cell.number}.txt").write_text(f"{cell.source}\n{cell.said}\n", encoding="utf-8")
        look = ("betterleaks", "fs", "--config", str(root / ".github/betterleaks.toml"), "--no-banner", "--redact")
        done = call(*look, folder, folder=root, NO_COLOR="1")
    if done.returncode:
        named = re.search(r"(\d+)\.txt", done.stdout)
        refuse(cells[int(named[1]) - 1 if named else 0], "secret")


def before_running(statements: Sequence[Statement]) -> None:
    """Refuse what the source alone shows, in cells that the number needs and in others: they run too.

    Raises:
        InputError: names the first cell of them.
    """
    for one in statements:
        modules, names = modules_of(one.node), called_in(one.node)
        if (modules | names) & PICKLES:
            refuse(one.cell, "pickle")
        for name in sorted(modules & FOREIGN):
            refuse(one.cell, "no-onnx", name=f"a model of {name}", instead=EXPORTED)
        constants = (part.value for part in ast.walk(one.node) if isinstance(part, ast.Constant))
        texts = [value for value in constants if isinstance(value, str)]
        for text in filter(ABSOLUTE.match, texts):
            refuse(one.cell, "absolute", path=text[:60])
        words = (word for part in calls(one.node) for word in part.keywords if word.arg in {"known_hash", "sha256"})
        held = any(getattr(word.value, "value", True) for word in words)
        for read in () if held else (*filter(NETWORK.match, texts), *filter(FETCHES.match, names)):
            refuse(one.cell, "network", path=read[:60])


def modules_of(node: ast.AST) -> set[str]:
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
    draws = unrepeatable(statements, needed)
    if draws and any("seed" in called_in(one.node) for one in statements):
        refuse(draws[-1][0], "global-state")


def unrepeatable(statements: Sequence[Statement], needed: Collection[int]) -> list[tuple[Cell, str]]:
    """Name the calls without a seed among the statements that the number needs."""
    return [(statements[at].cell, name) for at in needed for name in unseeded(statements[at].node)]
