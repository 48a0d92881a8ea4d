"""Compare two versions of a contract: what a reader could rely on before, and cannot any more."""

from collections.abc import Iterator

from onebutton_contracts.terms import Column, Contract, Limit


def needs_major(old: Contract, new: Contract) -> list[str]:
    """Say what breaks readers of the old contract while the major version is still theirs; empty when nothing does.

    A promise that became stronger (a narrower range, a column more, no nulls where there were some) breaks no reader. It may
    break who writes the data, and validation tells them.
    """
    if new.major > old.major:
        return []
    if old.name != new.name:
        return [f"the table {old.name} is now called {new.name}"]
    there, found = {column.name: column for column in new.columns}, list[str]()
    for column in old.columns:
        found += _of_column(column, there[column.name]) if column.name in there else [f"column {column.name} is gone"]
    if old.primary_key != new.primary_key:
        found.append(f"the primary key was ({', '.join(old.primary_key)}), it is ({', '.join(new.primary_key)})")
    kept = {rule.condition for rule in new.row_rules}
    return found + [f"the rule {rule.name!r} no longer holds" for rule in old.row_rules if rule.condition not in kept]


def _of_column(old: Column, new: Column) -> Iterator[str]:
    if old.logical_type != new.logical_type:
        yield f"column {old.name} was {old.logical_type}, it is {new.logical_type}"
        return
    if old.unit != new.unit:
        yield f"column {old.name} was in {old.unit or 'no unit'}, it is in {new.unit or 'no unit'}"
    shorter_or_longer = _wider(old.min_length, old.max_length, new.min_length, new.max_length)
    looser = {
        "may now be missing": old.required and not new.required,
        "may now be missing more often": not new.required and _wider(None, old.null_percent, None, new.null_percent),
        "may now repeat": old.unique and not new.unique,
        "may now lie outside its old range": _wider(old.minimum, old.maximum, new.minimum, new.maximum),
        "may now be longer or shorter than before": shorter_or_longer,
        "has another pattern": bool(old.pattern) and old.pattern != new.pattern,
        "is now personal data": old.classification != "personal" and new.classification == "personal",
    }
    yield from (f"column {old.name} {words}" for words, holds in looser.items() if holds)
    added = sorted(map(str, set(new.allowed) - set(old.allowed)))
    if old.allowed and (added or not new.allowed):
        yield f"column {old.name} may now hold {', '.join(added) or 'anything'}"


def _wider(old_low: Limit | None, old_high: Limit | None, low: Limit | None, high: Limit | None) -> bool:
    """Whether a range lets something in that it kept out."""
    below = old_low is not None and (low is None or low < old_low)  # type: ignore[operator]  # of one type
    above = old_high is not None and (high is None or high > old_high)  # type: ignore[operator]
    return below or above
