"""Tell what makes a number better than it will be: what was fitted before the split, rows and answers that training knew."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

import polars as pl

from onebutton_contracts.intake.leaks import knowing_columns, likely_leaks
from onebutton_contracts.intake.roles import Roles
from onebutton_contracts.tables import SPLIT
from onebutton_workbench.promote.flow import Candidate, Statement, called, called_in, calls, root
from onebutton_workbench.promote.notebook import Seen
from onebutton_workbench.promote.plan import FITS, Plan

LABELS = {"LabelEncoder", "LabelBinarizer", "OrdinalEncoder"}  # numbering what is there learns nothing from it
SHARES = {"mean", "transform", "agg", "sum"}
DATE = r"^(\d{4}-\d\d(-\d\d)?|\d{1,2}[./]\d{1,2}[./]\d{2,4})"
WORDS = {
    "rivals": "{cell}: test rows chose the model, as cell {others} shows the same number of another; choose on part of training",
    "time": "{cell}: time is shuffled: rows have {names}, and training sees some that come after those that judge; split by it",
    "fitted": "{cell}: `{what}` is fitted before the split, so it knows the rows that judge; put it into the model's Pipeline",
    "means": "{cell}: an input is made of the mean of `{what}`, so each row knows its answer; use TargetEncoder in the Pipeline",
    "chosen": "{cell}: `{what}`, which judges, chooses {names}; choose on a part of training",
    "knows": "the input `{what}` alone tells `{answer}` almost wholly: is it there by mistake, or known only later?",
}


def in_cells(
    plan: Plan, statements: Sequence[Statement], seen: Seen, rivals: Sequence[Candidate], times: Sequence[str]
) -> Iterator[str]:
    """Name the leaks that the source shows, each with its cell.

    Args:
        plan: of the pipeline.
        statements: of the notebook.
        seen: what a run showed.
        rivals: the same number of other models.
        times: columns of the table that hold times.
    """
    answer = str(seen.tables.get(plan.sides[1], {}).get("name", ""))
    needed = [statements[at] for at in sorted(plan.needed)]
    for one in needed:
        if one.index < plan.split_at:
            yield from _before_split(one, seen, answer)
    yield from _chosen_on_holdout(plan, statements)
    if rivals:
        others = ", ".join(str(number) for number in sorted({statements[one.at].cell.number for one in rivals}))
        yield WORDS["rivals"].format(cell=statements[plan.headline.at].cell, others=others)
    shuffled = [one for one in needed if any(_shuffles(call) for call in calls(one.node))]
    if times and shuffled:
        yield WORDS["time"].format(cell=shuffled[0].cell, names=", ".join(times))


def _shuffles(call: ast.Call) -> bool:
    in_order = any(word.arg == "shuffle" and getattr(word.value, "value", True) is False for word in call.keywords)
    return called(call) in {"train_test_split", "sample"} and not in_order


def _before_split(one: Statement, seen: Seen, answer: str) -> Iterator[str]:
    for call in calls(one.node):
        owner = root(call.func.value) if isinstance(call.func, ast.Attribute) else ""
        if called(call) in FITS and not {owner, seen.kinds[one.index].get(owner)} & LABELS:
            yield WORDS["fitted"].format(cell=one.cell, what=ast.unparse(call.func))
        scaled = called_in(one.node) >= {"mean", "std"} and called(call) == "std"
        if scaled and not any(word.arg == "axis" for word in call.keywords):
            yield WORDS["fitted"].format(cell=one.cell, what=ast.unparse(call))
        texts = {part.value for part in ast.walk(call) if isinstance(part, ast.Constant)}
        grouped = "groupby" in called_in(call)
        if called(call) in SHARES and answer in texts and grouped:
            yield WORDS["means"].format(cell=one.cell, what=answer)


def _chosen_on_holdout(plan: Plan, statements: Sequence[Statement]) -> Iterator[str]:
    """Find what the number needs besides itself and is made of the answers that judge: a threshold, a parameter."""
    node, answers = plan.headline.node, plan.sides[3]
    for one in (statements[at] for at in plan.parts["headline"].statements):
        is_number = isinstance(node, ast.Name) and node.id in one.defines and not _tries(one.node)
        if answers in one.uses and not is_number:
            yield WORDS["chosen"].format(cell=one.cell, what=answers, names=", ".join(sorted(one.defines)))
    if _tries(node):
        yield WORDS["chosen"].format(cell=statements[plan.headline.at].cell, what=answers, names="the best of several")


def _tries(node: ast.AST) -> bool:
    """Whether something is done several times over."""
    return any(
        isinstance(part, ast.For | ast.While | ast.GeneratorExp | ast.ListComp | ast.Lambda) for part in ast.walk(node)
    )


def in_tables(rows: pl.DataFrame, roles: Roles) -> Iterator[str]:
    """Name the leaks that the tables show.

    Args:
        rows: inputs, answer, key, and the column `split`.
        roles: which column is what.
    """
    for name in knowing_columns(rows, roles):
        yield WORDS["knows"].format(what=name, answer=roles.answer)
    yield from likely_leaks(rows.drop(SPLIT), rows, roles)


def times_of(table: pl.DataFrame) -> list[str]:
    """Name the columns that hold times, as such or as texts."""
    texts = {name: table[name].drop_nulls().head(100) for name, kind in table.schema.items() if kind == pl.String}
    written = {name for name, some in texts.items() if len(some) and some.str.contains(DATE).all()}
    return [name for name, kind in table.schema.items() if kind.is_temporal() or name in written]
