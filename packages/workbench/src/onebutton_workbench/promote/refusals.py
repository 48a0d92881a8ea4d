"""Refuse what cannot be promoted, by the cell and with what mends it; `refusals.toml` has the words."""

from __future__ import annotations

import ast
import builtins
import re
import tempfile
import tomllib
from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from onebutton_contracts.errors import InputError
from onebutton_models.conversion import REPLACEMENTS
from onebutton_workbench.environment import call
from onebutton_workbench.promote.cells import Cell
from onebutton_workbench.promote.flow import MAGIC, Statement, called_in, calls, unseeded, without_magics

CALM = re.compile(r"^\s*(%matplotlib|%config InlineBackend|%(load_ext )?autoreload|%%?time\b|!(ls|head|cat|pwd|wc)\b)")
ABSOLUTE = re.compile(r"^(/[\w.-]+/|~[\w]*/|[A-Za-z]:[\\/])")
NETWORK = re.compile(r"^(https?|ftp|s3|gs|abfss?|hdfs)://")
FETCHES = re.compile(r"^(fetch_\w+|load_dataset|urlretrieve|urlopen)$")
PICKLES = {"pickle", "joblib", "dill", "cloudpickle", "to_pickle", "read_pickle"}
EXPORTED = "its ONNX export, which `onebutton_models.adoption` takes; or scikit-learn, lightgbm, xgboost"
FOREIGN = {"torch", "tensorflow", "keras"}
OURS = re.compile("main|train|ship|sides|headline|build_features|read_rows|SOURCE|INPUTS|ANSWER|TYPES")


def refuse(cell: Cell, which: str, **facts: object) -> NoReturn:
    """Stop, and say where, why, and what mends it."""
    words = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))[which]
    message = f"{cell}: {words['what'].format(**facts)}. {words['mend'].format(**facts)}. Nothing was written"
    raise InputError(message)


def before_reading(cells: Sequence[Cell], root: Path) -> None:
    """Refuse what needs no understanding: secrets, magics that change state, what is no Python, cells that ran in another order.

    Raises:
        InputError: names the first cell of them.
    """
    if secret := _secret(cells, root):
        refuse(secret, "secret")
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


def _secret(cells: Sequence[Cell], root: Path) -> Cell | None:
    with tempfile.TemporaryDirectory(prefix="onebutton-promote-") as folder:
        for cell in cells:
            Path(folder, f"{cell.number}.txt").write_text(f"{cell.source}\n{cell.said}\n", encoding="utf-8")
        look = ("betterleaks", "fs", "--config", str(root / ".github/betterleaks.toml"), "--no-banner", "--redact")
        try:
            done = call(*look, folder, folder=root, NO_COLOR="1")
        except FileNotFoundError:
            message = "betterleaks is not installed, so nobody looked for secrets; `make setup` brings it"
            raise InputError(message) from None
    named = re.search(r"(\d+)\.txt", done.stdout)
    return cells[int(named[1]) - 1 if named else 0] if done.returncode else None


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
        parts = list(ast.walk(one.node))
        for part in (part for part in parts if isinstance(part, ast.Global)):
            refuse(one.cell, "global", function=getattr(one.node, "name", ""), name=part.names[0])
        texts = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        for text in filter(ABSOLUTE.match, texts):
            refuse(one.cell, "absolute", path=text[:60])
        hashes = [
            word.value for part in calls(one.node) for word in part.keywords if word.arg in {"known_hash", "sha256"}
        ]
        for read in [*filter(NETWORK.match, texts), *filter(FETCHES.match, names)]:
            if not any(getattr(value, "value", True) for value in hashes):
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
    calm = {*dir(builtins), *outer, *fixed}
    for one in statements:
        if one.is_import and "*" in {name.name for name in getattr(one.node, "names", ())}:
            refuse(one.cell, "star")
    for one in (statements[at] for at in needed):
        for name in sorted(called_in(one.node) & REPLACEMENTS.keys()):
            refuse(one.cell, "no-onnx", name=name, instead=REPLACEMENTS[name])
        for name in sorted(filter(OURS.fullmatch, one.defines) if one.is_function else ()):
            refuse(one.cell, "taken", name=name)
        for name in sorted(one.uses - calm if one.is_function else ()):
            refuse(one.cell, "reads-global", function=min(one.defines), name=name)
    draws = unrepeatable(statements, needed)
    if draws and any("seed" in called_in(one.node) for one in statements):
        refuse(draws[-1][0], "global-state")


def unrepeatable(statements: Sequence[Statement], needed: Collection[int]) -> list[tuple[Cell, str]]:
    """Name the calls without a seed among the statements that the number needs."""
    return [(statements[at].cell, name) for at in needed for name in unseeded(statements[at].node)]
