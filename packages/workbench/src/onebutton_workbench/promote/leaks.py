"""Tell what makes a number better than it will be: what was fitted before the split, rows and answers that training knew."""

import ast
from collections.abc import Iterator

import polars as pl

from onebutton_contracts.intake.leaks import knowing_columns, likely_leaks
from onebutton_contracts.intake.roles import Roles
from onebutton_contracts.tables import SPLIT
from onebutton_workbench.promote.kernel import Seen
from onebutton_workbench.promote.notebook import Statement, calls, names_in, root
from onebutton_workbench.promote.plan import FITS, Plan

LABELS = {"LabelEncoder", "LabelBinarizer", "OrdinalEncoder"}  # numbering what is there learns nothing from it
DRAWN = {"train_test_split", "sample"}
CENTRES = {"mean", "median", "mode"}
SHARES = {"mean", "transform", "agg", "sum"}
TRIES = (ast.For, ast.While, ast.GeneratorExp, ast.ListComp, ast.Lambda)  # what does something several times over
DATE = r"^(\d{4}-\d\d(-\d\d)?|\d{1,2}[./]\d{1,2}[./]\d{2,4})"


def tell(plan: Plan, seen: Seen, roles: Roles) -> Iterator[str]:
    """Name the likely leaks that the source and the tables show."""
    for one in plan.needed:
        if one.index < plan.split_at:
            yield from _before_split(one, seen, roles.answer)
    yield from _chosen_on_holdout(plan)
    drawn = [one for one in plan.needed if DRAWN & one.calls and "shuffle=False" not in ast.unparse(one.node)]
    times = ", ".join(one.name for one in seen.rows if one.cast(pl.String).str.contains(DATE).min())
    if drawn and times:
        cost = "training sees some that come after those that judge; split by it"
        yield f"{drawn[0].cell}: time is shuffled: rows have {times}, and {cost}"
    for name in knowing_columns(seen.features, roles):
        yield f"the input `{name}` alone tells `{roles.answer}` almost wholly: is it there by mistake, or known only later?"
    yield from likely_leaks(seen.features.drop(SPLIT), seen.features, roles)


def _before_split(one: Statement, seen: Seen, answer: str) -> Iterator[str]:
    for call, name in calls(one.node).items():
        inner, text = {*calls(call).values()}, ast.unparse(call)
        numbers = LABELS & {str(seen.held[one.index].get(root(call.func))), *calls(call.func).values()}
        if (name in FITS and not numbers) or (name == "fillna" and CENTRES & inner):
            cost = "is fitted before the split, so it knows the rows that judge; put it into the model's Pipeline"
            yield f"{one.cell}: `{text}` {cost}"
        if name in SHARES and "groupby" in inner and repr(answer) in text:
            cost = "so each row knows its answer; use TargetEncoder in the Pipeline"
            yield f"{one.cell}: an input is made of the mean of `{answer}`, {cost}"


def _chosen_on_holdout(plan: Plan) -> Iterator[str]:
    """Find what the answers that judge chose: a threshold, a parameter, a model."""
    headline, answers = plan.headline, plan.sides[3]
    chosen = {headline.at.cell: "the best of several"} if _tries(headline.node) else {}
    for one in plan.stages["headline"].statements:
        is_number = root(headline.node) in one.defines and not _tries(one.node)
        if answers in one.uses and not is_number:
            chosen[one.cell] = ", ".join(sorted(one.defines))
    for where, names in chosen.items():
        yield f"{where}: `{answers}`, which judges, chooses {names}; choose on a part of training"
    rivals = {one.at.cell.number for one in plan.rivals if answers in names_in(one.node)}
    if others := ", ".join(map(str, sorted(rivals))):
        advice = f"as cell {others} has a number of another; choose on part of training"
        yield f"{headline.at.cell}: test rows chose the model, {advice}"


def _tries(node: ast.AST) -> bool:
    return any(isinstance(part, TRIES) for part in ast.walk(node))
